use std::fmt;

use super::{NameError, check_label, is_ipv4_literal, quoted};

/// Longest DNS name without the final dot, bytes (RFC 1035 section 2.3.4).
const MAX_DNS_NAME: usize = 253;

/// A DNS name as certificates of a zone carry it: lowercase, no wildcard, underscore, trailing dot or address.
///
/// ```
/// use qsec_pki::DnsName;
///
/// assert_eq!(DnsName::parse("n7.svc.prod.internal")?.as_str(), "n7.svc.prod.internal");
/// assert_eq!(DnsName::parse("*.prod.internal").unwrap_err().code(), "name_malformed");
/// # Ok::<(), qsec_pki::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Takes a name that is already in its one spelling; names beyond ASCII only as `xn--` labels.
    ///
    /// # Errors
    /// [`NameError::Dns`] if it is not.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refuse = |reason| NameError::Dns { text: quoted(text), reason };
        if text.is_empty() || text.len() > MAX_DNS_NAME {
            return Err(refuse("a name has 1 to 253 bytes"));
        }
        text.split('.').try_for_each(check_label).map_err(refuse)?;
        if is_ipv4_literal(text) {
            return Err(refuse("an address is no name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dns_names_have_one_spelling() {
        let longest =
            [&"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(61)].map(String::as_str).join(".");
        assert_eq!(longest.len(), 253);
        for good in ["localhost", "n7.svc.prod.internal", "xn--bcher-kva.example", "4.example", "1-2.3", &longest] {
            assert_eq!(DnsName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "*.a",
            "a_b",
            "A",
            "a.",
            ".a",
            "1.2.3.4",
            "::1",
            "[::1]",
            "bücher.example",
            "-a",
            "a-",
            "xn--",
            &format!("{longest}d"),
        ] {
            assert_eq!(DnsName::parse(bad).unwrap_err().code(), "name_malformed", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_kept_byte_for_byte(text in "[a-z0-9.*_A-Z-]{0,40}") {
            if let Ok(name) = DnsName::parse(&text) {
                prop_assert_eq!(name.as_str(), text.as_str());
                prop_assert!(!text.contains(['*', '_']) && !text.bytes().any(|b| b.is_ascii_uppercase()));
            }
        }
    }
}
