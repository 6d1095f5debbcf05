//! Times and spans as people write them on a command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::failure::Failure;

/// A point in time: RFC 3339, or Unix seconds.
///
/// Parsed once by clap, so that a wrong one is a usage error before anything is read.
pub(crate) fn parse_time(text: &str) -> Result<SystemTime, String> {
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    let time = if seconds {
        text.parse().ok().and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
    } else {
        text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
    };
    time.ok_or_else(|| "a time is RFC 3339, such as 2026-07-01T12:00:00Z, or Unix seconds".to_owned())
}

/// The time for a command that only checks something: `--now`, or the clock.
pub(crate) fn checking(now: Option<SystemTime>) -> SystemTime {
    now.unwrap_or_else(clock)
}

/// The time for a command that changes a deployment: always the clock.
pub(crate) fn changing(now: Option<SystemTime>) -> Result<SystemTime, Failure> {
    match now {
        None => Ok(clock()),
        Some(_) => Err(Failure::usage("`--now` is for commands that check something; this one changes a deployment")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the program is where the clock is read")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// RFC 3339 in UTC, whole seconds: how every answer shows a time.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    unix_seconds(time)
        .try_into()
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "9999-12-31T23:59:59Z".to_owned(), |time| time.to_string())
}

/// A claim that is a time, if it can be one.
pub(crate) fn of_unix_seconds(seconds: i64) -> Option<SystemTime> {
    jiff::Timestamp::from_second(seconds).ok().map(SystemTime::from)
}

/// Whole seconds since 1970: for what mirrors a token.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_unix_seconds() {
        assert_eq!(parse_time("1700000040"), parse_time("2023-11-14T22:14:00Z"));
        assert_eq!(rfc3339(parse_time("2023-11-14T22:14:00Z").unwrap()), "2023-11-14T22:14:00Z");
        for wrong in ["", "tomorrow", "-5", "1e9", "2023-11-14", "99999999999999999999"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
