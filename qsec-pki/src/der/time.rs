//! Times of certificates: whole seconds, UTC (RFC 5280 section 4.1.2.5).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::{Element, Malformed, tag};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Reads a `Time`: `UTCTime` for 1950 to 2049, `GeneralizedTime` from 2050. Unix seconds.
pub(crate) fn read(element: Element<'_>) -> Result<i64, Malformed> {
    const BAD: Malformed = Malformed("a time is not in the form that its year demands");
    let text = element.body.strip_suffix(b"Z").ok_or(BAD)?;
    let (year, rest) = match (element.tag, text) {
        (tag::UTC_TIME, [y1, y2, rest @ ..]) => {
            let year = two_digits(*y1, *y2).ok_or(BAD)?;
            (if year < 50 { year.saturating_add(2000) } else { year.saturating_add(1900) }, rest)
        }
        (tag::GENERALIZED_TIME, [y1, y2, y3, y4, rest @ ..]) => {
            let century = two_digits(*y1, *y2).ok_or(BAD)?;
            let year = century.saturating_mul(100).saturating_add(two_digits(*y3, *y4).ok_or(BAD)?);
            if year < 2050 {
                return Err(BAD);
            }
            (year, rest)
        }
        _ => return Err(BAD),
    };
    let [mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2] = *rest else { return Err(BAD) };
    let part = |a, b| two_digits(a, b).and_then(|value| i8::try_from(value).ok()).ok_or(BAD);
    let civil = DateTime::new(year, part(mo1, mo2)?, part(d1, d2)?, part(h1, h2)?, part(mi1, mi2)?, part(s1, s2)?, 0)
        .map_err(|_| BAD)?;
    Ok(civil.duration_since(EPOCH).as_secs())
}

fn two_digits(tens: u8, ones: u8) -> Option<i16> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i16::from(byte & 0x0f));
    Some(digit(tens)?.saturating_mul(10).saturating_add(digit(ones)?))
}

/// Tag and content of a time; `None` before 1950 and after 9999.
pub(crate) fn encode(seconds: i64) -> Option<(u8, String)> {
    let civil = EPOCH.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    let clock = format!("{month:02}{day:02}{:02}{:02}{:02}Z", civil.hour(), civil.minute(), civil.second());
    match year {
        1950..=2049 => Some((tag::UTC_TIME, format!("{:02}{clock}", year.rem_euclid(100)))),
        2050..=9999 => Some((tag::GENERALIZED_TIME, format!("{year:04}{clock}"))),
        _ => None,
    }
}

/// Unix seconds of an instant, rounded down; `None` beyond what fits.
pub(crate) fn floor(instant: SystemTime) -> Option<i64> {
    match instant.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000_000_000)).ok()?.checked_neg(),
    }
}

/// The instant of Unix seconds.
pub(crate) fn instant(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let instant = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    instant.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(tag: u8, text: &str) -> Option<i64> {
        read(Element { tag, body: text.as_bytes(), whole: &[] }).ok()
    }

    #[test]
    fn times_have_one_form() {
        assert_eq!(read_text(tag::UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(read_text(tag::UTC_TIME, "500101000000Z"), Some(-631_152_000));
        assert_eq!(read_text(tag::UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read_text(tag::GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(read_text(tag::GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        assert_eq!(read_text(tag::UTC_TIME, "240229000000Z"), Some(1_709_164_800));
        for bad in [
            "7001010000Z",
            "700101000000",
            "700101000000+0000",
            "230229000000Z",
            "700101240000Z",
            "700101000060Z",
            "70010100000 Z",
        ] {
            assert_eq!(read_text(tag::UTC_TIME, bad), None, "{bad}");
        }
        for bad in ["20491231235959Z", "20500101000000.5Z", "205001010000Z", "00000101000000Z"] {
            assert_eq!(read_text(tag::GENERALIZED_TIME, bad), None, "{bad}");
        }
        assert_eq!((encode(-631_152_001), encode(253_402_300_800), encode(i64::MAX)), (None, None, None));
    }

    #[test]
    fn instants_are_rounded_down() {
        assert_eq!(floor(UNIX_EPOCH + Duration::from_millis(1_999)), Some(1));
        assert_eq!(floor(UNIX_EPOCH - Duration::from_millis(1)), Some(-1));
        assert_eq!(instant(-5), UNIX_EPOCH - Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in -631_152_000_i64..253_402_300_800) {
            let (tag, text) = encode(seconds).unwrap();
            prop_assert_eq!(read_text(tag, &text), Some(seconds));
            prop_assert_eq!(floor(instant(seconds)), Some(seconds));
        }
    }
}
