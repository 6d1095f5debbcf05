//! Times in records: RFC 3339 in UTC, whole seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Writes a time, cut to its second. `None` for years outside 0000 to 9999.
pub(crate) fn encode(time: SystemTime) -> Option<String> {
    let second = Timestamp::try_from(time).ok()?.as_second();
    let text = Timestamp::from_second(second).ok()?.to_string();
    // A year outside the four digits of RFC 3339 is written with a sign.
    (text.len() == "2030-01-01T00:00:00Z".len()).then_some(text)
}

/// Reads what [`encode`] writes and nothing else.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let time = SystemTime::from(text.parse::<Timestamp>().ok()?);
    (encode(time)? == text).then_some(time)
}

/// The first whole second that is not before the time: a wait that ends there is never too short.
pub(crate) fn round_up(time: SystemTime) -> SystemTime {
    let nanoseconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    match nanoseconds {
        0 => time,
        part => time.checked_add(Duration::from_nanos(1_000_000_000 - u64::from(part))).unwrap_or(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_and_read_back() {
        let time = UNIX_EPOCH + Duration::from_hours(525_960);
        assert_eq!(encode(time).unwrap(), "2030-01-01T00:00:00Z");
        assert_eq!(encode(time + Duration::from_millis(999)).unwrap(), "2030-01-01T00:00:00Z");
        assert_eq!(parse("2030-01-01T00:00:00Z"), Some(time));
    }

    #[test]
    fn any_other_spelling_is_refused() {
        for text in [
            "",
            "2030-01-01",
            "2030-01-01T00:00:00",
            "2030-01-01T01:00:00+01:00",
            "2030-01-01t00:00:00z",
            "2030-01-01T00:00:00.5Z",
            "2030-01-01 00:00:00Z",
            "+002030-01-01T00:00:00Z",
            "2030-02-30T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn rounding_up_never_shortens_a_wait() {
        let second = UNIX_EPOCH + Duration::from_secs(9);
        assert_eq!(round_up(second), second);
        assert_eq!(round_up(second + Duration::from_nanos(1)), second + Duration::from_secs(1));
    }
}
