use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

/// Longest serial, octets of content (RFC 5280 section 4.1.2.2).
pub(crate) const MAX_SERIAL: usize = 20;

/// The serial of a certificate: positive, at most 20 octets. Shown in lowercase hex, without leading zero octets.
///
/// ```
/// use qsec_pki::Serial;
///
/// let serial = Serial::parse("4f1c9a").unwrap();
/// assert_eq!(serial.to_string(), "4f1c9a");
/// assert!(Serial::parse("00").is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; MAX_SERIAL]);

impl Serial {
    /// Reads lowercase hex, two digits an octet, no leading zero octet.
    pub fn parse(hex: &str) -> Option<Self> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        let octets: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect();
        Self::from_magnitude(&octets?).filter(|serial| serial.to_string() == hex)
    }

    /// 159 random bits. `None` if the operating system gives none.
    pub(crate) fn generate() -> Option<Self> {
        loop {
            let mut octets = [0; MAX_SERIAL];
            SystemRandom::new().fill(&mut octets).ok()?;
            if let Some(first) = octets.first_mut() {
                *first &= 0x7f;
            }
            if octets != [0; MAX_SERIAL] {
                return Some(Self(octets));
            }
        }
    }

    /// From the content of a DER integer; `None` if it is zero, negative, or longer than 20 octets.
    pub(crate) fn from_integer(content: &[u8]) -> Option<Self> {
        let negative = content.first().is_none_or(|first| *first >= 0x80);
        if negative || content.len() > MAX_SERIAL { None } else { Self::from_magnitude(content) }
    }

    fn from_magnitude(magnitude: &[u8]) -> Option<Self> {
        let mut octets = [0; MAX_SERIAL];
        let start = MAX_SERIAL.checked_sub(magnitude.len())?;
        octets.get_mut(start..)?.copy_from_slice(magnitude);
        let fits = octets.first().is_some_and(|first| *first < 0x80);
        (fits && octets != [0; MAX_SERIAL]).then_some(Self(octets))
    }

    /// Big-endian, with leading zeros.
    pub(crate) fn octets(&self) -> &[u8; MAX_SERIAL] {
        &self.0
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character & 0x0f),
        b'a'..=b'f' => Some((character & 0x0f) + 9),
        _ => None,
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().skip_while(|octet| **octet == 0).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_and_short() {
        assert_eq!(Serial::from_integer(&[0, 0x80]).unwrap().to_string(), "80");
        assert_eq!(Serial::from_integer(&[1]).unwrap().to_string(), "01");
        assert!(Serial::from_integer(&[0x7f; 20]).is_some());
        for bad in [&[][..], &[0], &[0x80], &[0xff], &[1; 21], &[0; 20]] {
            assert_eq!(Serial::from_integer(bad), None, "{bad:x?}");
        }
    }

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(Serial::parse("0100").unwrap().to_string(), "0100");
        for bad in ["", "0", "1", "AB", "0001", "0g", &"8f".repeat(20), &"11".repeat(21)] {
            assert_eq!(Serial::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn generated_serials_differ() {
        let serials: std::collections::BTreeSet<_> = (0..1_000).map(|_| Serial::generate().unwrap()).collect();
        assert_eq!(serials.len(), 1_000);
        assert!(serials.iter().all(|serial| Serial::parse(&serial.to_string()) == Some(*serial)));
        let ones: u32 = serials.iter().flat_map(|serial| serial.0).map(u8::count_ones).sum();
        assert!((77_000..82_000).contains(&ones), "{ones} of 159,000 bits are set");
    }
}
