//! `--range`: which bytes of the plaintext.

use std::str::FromStr;

/// A range of plaintext bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// From a byte to another one, both included; without an end, to the last.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a range is START-END, START- or -N".to_owned();
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
        let (start, end) = text.split_once('-').ok_or_else(wrong)?;
        match (start, end) {
            ("", "") => Err(wrong()),
            ("", last) => number(last).map(Self::Last),
            (start, "") => Ok(Self::From(number(start)?, None)),
            (start, end) => {
                let (start, end) = (number(start)?, number(end)?);
                if start <= end {
                    Ok(Self::From(start, Some(end)))
                } else {
                    Err("a range ends where it begins or later".to_owned())
                }
            }
        }
    }
}

impl ByteRange {
    /// First byte and number of bytes in a plaintext of that length; what lies beyond its end is cut.
    pub(crate) fn within(self, length: u64) -> (u64, u64) {
        match self {
            Self::Last(count) => (length.saturating_sub(count), count.min(length)),
            Self::From(start, end) => {
                let stop = end.map_or(length, |end| end.saturating_add(1)).min(length);
                (start, stop.saturating_sub(start))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end() {
        let within = |text: &str| text.parse::<ByteRange>().unwrap().within(100);
        assert_eq!(within("0-9"), (0, 10));
        assert_eq!(within("90-"), (90, 10));
        assert_eq!(within("95-200"), (95, 5));
        assert_eq!(within("-7"), (93, 7));
        assert_eq!(within("-700"), (0, 100));
        assert_eq!(within("200-300").1, 0);
        assert_eq!(within("0-18446744073709551615"), (0, 100));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["", "-", "5", "9-3", "a-b", "1-2-3", "-1-2"] {
            assert!(wrong.parse::<ByteRange>().is_err(), "{wrong}");
        }
    }
}
