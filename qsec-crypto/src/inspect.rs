//! What sealed bytes say of themselves to someone without any key.

use crate::cobblestone::layout;
use crate::error::OpenError;
#[cfg(feature = "esdk")]
use crate::esdk::MessageHeader;
use crate::header::{Header, Suite};
use crate::xaes;

/// How many bytes from the start [`inspect`] needs at most, 256 KiB: the longest header of an AWS Encryption SDK message
/// that is read. Native sealed bytes need 6.
pub const MAX_INSPECT_BYTES: usize = 256 << 10;

/// Header facts of sealed bytes. They are claims: nothing has been authenticated.
///
/// ```
/// use qsec_crypto::{Context, Inspection, RawKey, SecretKey, inspect};
///
/// let sealed = RawKey::new(SecretKey::generate()?).at_version(7)?.seal(b"hello", &Context::empty())?;
/// let Inspection::Native(facts) = inspect(&sealed, Some(sealed.len() as u64))? else { panic!("another format") };
/// assert_eq!((facts.suite().name(), facts.key_version()), ("cobblestone-256", 7));
/// assert_eq!((facts.sealed_bytes(), facts.plaintext_bytes()), (Some(83), Some(5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inspection {
    /// One of the two native formats.
    Native(NativeInspection),
    /// A message of the AWS Encryption SDK.
    #[cfg(feature = "esdk")]
    Esdk(Box<MessageHeader>),
}

/// What native sealed bytes say of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeInspection {
    header: Header,
    sealed_bytes: Option<u64>,
}

impl NativeInspection {
    /// How the bytes say they were sealed.
    pub fn suite(&self) -> Suite {
        self.header.suite
    }

    /// The key version they name; 0 for a raw key without a version.
    pub fn key_version(&self) -> u32 {
        self.header.version
    }

    /// Their length, if it was given.
    pub fn sealed_bytes(&self) -> Option<u64> {
        self.sealed_bytes
    }

    /// The length of their plaintext, if their own length was given and is one that sealing makes.
    pub fn plaintext_bytes(&self) -> Option<u64> {
        match self.header.suite {
            Suite::Cobblestone256 => layout::plaintext_len(self.sealed_bytes?),
            Suite::Xaes256Gcm => xaes::plaintext_len(self.sealed_bytes?),
        }
    }
}

/// Reads what needs no key from the first bytes (at most [`MAX_INSPECT_BYTES`] are looked at) and the whole length of
/// sealed bytes.
///
/// # Errors
/// [`OpenError::Malformed`] if they cannot be sealed bytes, [`OpenError::UnsupportedSuite`] if they are of a format or
/// suite that is refused (without the feature `esdk`, every message of the AWS Encryption SDK),
/// [`OpenError::BudgetExceeded`] if they announce more than is read.
pub fn inspect(prefix: &[u8], sealed_bytes: Option<u64>) -> Result<Inspection, OpenError> {
    #[cfg(feature = "esdk")]
    if let Some(2) = prefix.first() {
        return MessageHeader::read(&mut &*prefix).map(|header| Inspection::Esdk(Box::new(header)));
    }
    Header::parse(prefix).map(|header| Inspection::Native(NativeInspection { header, sealed_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_only_where_they_are_known_and_possible() {
        let plaintext_bytes = |prefix: &[u8], sealed| match inspect(prefix, sealed) {
            Ok(Inspection::Native(facts)) => facts.plaintext_bytes(),
            other => panic!("{other:?}"),
        };
        let plaintext = |sealed| plaintext_bytes(&[0xF5, 1, 0, 0, 0, 3], sealed);
        assert_eq!(plaintext(None), None);
        assert_eq!(plaintext(Some(77)), None);
        assert_eq!(plaintext(Some(78)), Some(0));
        assert_eq!(plaintext(Some(16_479)), Some(16_385));
        let xaes = |sealed| plaintext_bytes(&[0xF5, 2, 0, 0, 0, 3], Some(sealed));
        assert_eq!((xaes(45), xaes(46), xaes(51)), (None, Some(0), Some(5)));
    }

    #[test]
    fn what_is_not_sealed_is_malformed() {
        assert_eq!(inspect(b"plain text", None).unwrap_err().code(), "malformed");
        assert_eq!(inspect(b"", Some(0)).unwrap_err().code(), "malformed");
        assert_eq!(inspect(&[1, 0, 0], None).unwrap_err().code(), "unsupported_suite");
    }
}
