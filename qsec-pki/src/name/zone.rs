use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

use super::{NameError, SpiffeId, check_label, is_ipv4_literal, quoted};

/// Longest zone name, bytes: it fits in one `organizationName` (RFC 5280 appendix A.1, `ub-organization-name` 64).
const MAX_ZONE: usize = 63;

/// The name of a trust zone: the SPIFFE trust domain of one deployment.
///
/// Lowercase labels of letters, digits and hyphens, 63 bytes in all, not an IPv4 literal.
///
/// ```
/// use qsec_pki::Zone;
///
/// let zone = Zone::parse("prod.internal")?;
/// assert_eq!(zone.id("svc/engine/node/n7")?.as_str(), "spiffe://prod.internal/svc/engine/node/n7");
/// assert!(Zone::parse("PROD.internal").is_err());
/// # Ok::<(), qsec_pki::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(String);

impl Zone {
    /// Takes a name that is already in its one spelling.
    ///
    /// # Errors
    /// [`NameError::Zone`] if it is not.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refuse = |reason| NameError::Zone { text: quoted(text), reason };
        if text.is_empty() || text.len() > MAX_ZONE {
            return Err(refuse("a zone name has 1 to 63 bytes"));
        }
        text.split('.').try_for_each(check_label).map_err(refuse)?;
        if is_ipv4_literal(text) {
            return Err(refuse("an address is no name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// A name that no other deployment has: `z`, 26 base32 characters of 128 random bits, `.zone.internal`.
    ///
    /// # Errors
    /// [`NameError::RandomnessUnavailable`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, NameError> {
        let mut random = [0_u8; 16];
        SystemRandom::new().fill(&mut random).map_err(|_| NameError::RandomnessUnavailable)?;
        Ok(Self(format!("z{}.zone.internal", base32(u128::from_be_bytes(random)))))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI that certificates of authorities carry: `spiffe://<zone>`, no path.
    pub fn uri(&self) -> String {
        format!("spiffe://{}", self.0)
    }

    /// The SPIFFE ID of a path in this zone, such as `svc/engine/node/n7`.
    ///
    /// # Errors
    /// [`NameError::Id`] if the path is not well-formed, or the whole is longer than 255 bytes.
    pub fn id(&self, path: &str) -> Result<SpiffeId, NameError> {
        SpiffeId::parse(&format!("spiffe://{}/{path}", self.0))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 26 characters of the alphabet of RFC 4648 section 6 in lowercase, highest bits first; the last one holds 3 bits.
fn base32(bits: u128) -> String {
    (0..26_u32)
        .map(|index| {
            let five = if index < 25 { bits >> (123 - 5 * index) } else { bits << 2 };
            match u8::try_from(five & 31).unwrap_or(0) {
                letter @ 0..26 => char::from(b'a' + letter),
                digit => char::from(b'2' + (digit - 26)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zone_names_have_one_spelling() {
        for good in ["a", "prod.internal", "z9-x.a1", "1.2.3", "xn--bcher-kva.example", &"a".repeat(63)] {
            assert_eq!(Zone::parse(good).unwrap().as_str(), good);
        }
        let long = format!("{}.{}", "a".repeat(32), "b".repeat(31));
        for bad in
            ["", ".", "a.", ".a", "a..b", "-a", "a-", "A", "a_b", "a b", "ä", "1.2.3.4", "999.1.1.1", "a:1", &long]
        {
            assert_eq!(Zone::parse(bad).unwrap_err().code(), "zone_malformed", "{bad}");
        }
    }

    #[test]
    fn generated_zones_differ_and_parse() {
        let (one, two) = (Zone::generate().unwrap(), Zone::generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 1 + 26 + ".zone.internal".len());
        assert_eq!(Zone::parse(one.as_str()).unwrap(), one);
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        // RFC 4648 section 10, the prefix of "foobar" followed by ten zero bytes.
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(b"foobar");
        assert_eq!(base32(u128::from_be_bytes(bytes)), "mzxw6ytboiaaaaaaaaaaaaaaaa");
        assert_eq!(base32(u128::MAX), "77777777777777777777777774");
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in ".{0,80}") {
            if let Ok(zone) = Zone::parse(&text) {
                prop_assert_eq!(zone.as_str(), text.as_str());
            }
        }

        #[test]
        fn well_formed_names_are_taken(text in "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){0,4}") {
            prop_assert!(Zone::parse(&text).is_ok());
        }
    }
}
