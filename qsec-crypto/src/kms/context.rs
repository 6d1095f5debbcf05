//! The wrapping context: three pairs and no more, so that a KMS's logs stay readable and its policies writable.

use crate::context::push_prefixed;
use crate::tenant::{Purpose, TenantId};

/// What a wrapped tenant key is bound to: tenant, purpose and key version.
///
/// ```
/// use qsec_crypto::{Purpose, TenantId, kms::WrappingContext};
///
/// let context = WrappingContext::new(TenantId::new("acme")?, Purpose::data(), 3);
/// let pairs = [("qsec:purpose", "data"), ("qsec:tenant", "acme"), ("qsec:version", "3")];
/// assert_eq!(context.pairs(), pairs.map(|(key, value)| (key, value.to_owned())));
/// # Ok::<(), qsec_crypto::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WrappingContext {
    tenant: TenantId,
    purpose: Purpose,
    version: u32,
}

impl WrappingContext {
    /// The context of one tenant key version.
    pub fn new(tenant: TenantId, purpose: Purpose, version: u32) -> Self {
        Self { tenant, purpose, version }
    }

    /// Whose key it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What it is for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Which version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The pairs that a KMS with an encryption context is given, sorted by key.
    pub fn pairs(&self) -> [(&'static str, String); 3] {
        [
            ("qsec:purpose", self.purpose.to_string()),
            ("qsec:tenant", self.tenant.to_string()),
            ("qsec:version", self.version.to_string()),
        ]
    }

    /// The canonical bytes, for a KMS that binds bytes: the count in 2 bytes, then the sorted pairs, each text after
    /// its 2-byte length.
    pub fn encode(&self) -> Vec<u8> {
        let pairs = self.pairs();
        Self::encode_pairs(&pairs.each_ref().map(|(key, value)| (*key, value.as_str())))
    }

    /// The canonical bytes of any sorted pairs, so that a suite can try others than the three.
    pub(crate) fn encode_pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut encoded = u16::try_from(pairs.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        for (key, value) in pairs {
            push_prefixed(&mut encoded, key);
            push_prefixed(&mut encoded, value);
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_is_the_count_and_the_sorted_pairs() {
        let context = WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 3);
        let expected = b"\0\x03\0\x0cqsec:purpose\0\x04data\0\x0bqsec:tenant\0\x04acme\0\x0cqsec:version\0\x013";
        assert_eq!(context.encode(), expected);
    }
}
