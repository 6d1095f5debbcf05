//! Names that decide: zones, SPIFFE IDs, DNS names. Each has one spelling, and is compared byte for byte.

mod dns_name;
mod spiffe_id;
mod zone;

pub use dns_name::DnsName;
pub use spiffe_id::SpiffeId;
pub use zone::Zone;

/// Why a name was refused.
///
/// ```
/// use qsec_pki::Zone;
///
/// assert_eq!(Zone::parse("Prod.internal").unwrap_err().code(), "zone_malformed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is no zone name.
    #[error("`{text}` is no zone name: {reason}")]
    Zone {
        /// The text, cut to a printable length.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no SPIFFE ID.
    #[error("`{text}` is no SPIFFE ID: {reason}")]
    Id {
        /// The text, cut to a printable length.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The text is no DNS name of the form that certificates carry.
    #[error("`{text}` is no DNS name: {reason}")]
    Dns {
        /// The text, cut to a printable length.
        text: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The operating system gave no random bytes; the call can be repeated.
    #[error("the operating system gave no random bytes")]
    RandomnessUnavailable,
}

impl NameError {
    /// The stable code: `zone_malformed`, `id_malformed`, `name_malformed`, `randomness_unavailable`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Zone { .. } => "zone_malformed",
            Self::Id { .. } => "id_malformed",
            Self::Dns { .. } => "name_malformed",
            Self::RandomnessUnavailable => "randomness_unavailable",
        }
    }
}

/// Longest piece of a refused text that an error repeats, characters.
const MAX_QUOTED: usize = 80;

/// The text as an error quotes it: short, and without characters that could rewrite a terminal.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Letters, digits and hyphens in lowercase, 1-63 of them, no hyphen at either end (RFC 1123 section 2.1, RFC 5890 section 2.3.1).
fn check_label(label: &str) -> Result<(), &'static str> {
    const MAX_LABEL: usize = 63; // bytes, RFC 1035 section 2.3.4
    if label.is_empty() || label.len() > MAX_LABEL {
        return Err("a label has 1 to 63 bytes");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label neither starts nor ends with `-`");
    }
    if !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err("a label holds lowercase letters, digits and `-` only");
    }
    Ok(())
}

/// Four labels of digits only: what some resolver reads as an IPv4 address.
fn is_ipv4_literal(text: &str) -> bool {
    text.split('.').count() == 4 && text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}
