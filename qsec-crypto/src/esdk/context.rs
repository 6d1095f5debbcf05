//! The pairs that a message carries in the clear.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;

use crate::context::{Context, ContextError, MAX_CONTEXT_BYTES, pairs, push_prefixed};
use crate::tenant::{Purpose, TenantId};

/// Beginnings of keys that are not the caller's: ours, and the format's.
const RESERVED: [&str; 2] = ["qsec:", "aws-crypto-"];

/// The pairs that a message is sealed with, or that its reader demands.
///
/// ```
/// use qsec_crypto::{Context, Purpose, TenantId, esdk::MessageContext};
///
/// let context = Context::from([("table", "orders")]);
/// let context = MessageContext::of_tenant(&TenantId::new("acme")?, &Purpose::data(), &context)?;
/// let pairs = [("qsec:purpose", "data"), ("qsec:tenant", "acme"), ("table", "orders")];
/// assert!(context.pairs().eq(pairs));
/// assert!(MessageContext::new(&Context::from([("qsec:tenant", "acme")])).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MessageContext {
    /// As the format writes it: the count and the sorted pairs, or nothing at all.
    encoded: Vec<u8>,
}

impl MessageContext {
    /// The caller's own pairs.
    ///
    /// # Errors
    /// [`ContextError`] if they are no context, or if a key is reserved.
    pub fn new(context: &Context) -> Result<Self, ContextError> {
        Self::encode(context, [])
    }

    /// The pairs of a tenant's message: the caller's, `qsec:tenant` and `qsec:purpose`. They are also what a KMS must be
    /// given that wraps its data key.
    ///
    /// # Errors
    /// As [`Self::new`]; also if all of them together are longer than [`MAX_CONTEXT_BYTES`].
    pub fn of_tenant(tenant: &TenantId, purpose: &Purpose, context: &Context) -> Result<Self, ContextError> {
        Self::encode(context, [("qsec:tenant", tenant.as_str()), ("qsec:purpose", purpose.as_str())])
    }

    /// The pairs, sorted by the bytes of their keys.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.encoded)
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    fn encode<const N: usize>(context: &Context, ours: [(&str, &str); N]) -> Result<Self, ContextError> {
        let theirs = pairs(context.encoded()?);
        if let Some((key, _)) = theirs.clone().find(|(key, _)| RESERVED.iter().any(|start| key.starts_with(start))) {
            return Err(ContextError::ReservedKey { key: key.to_owned() });
        }
        let mut pairs: Vec<_> = theirs.chain(ours).collect();
        pairs.sort_unstable();
        if pairs.is_empty() {
            return Ok(Self { encoded: Vec::new() });
        }
        let mut encoded = u16::try_from(pairs.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        for (key, value) in pairs {
            push_prefixed(&mut encoded, key);
            push_prefixed(&mut encoded, value);
        }
        if encoded.len() > MAX_CONTEXT_BYTES {
            return Err(ContextError::TooLong { bytes: encoded.len() });
        }
        Ok(Self { encoded })
    }
}

impl fmt::Debug for MessageContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pairs()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pairs_are_no_bytes() {
        assert_eq!(MessageContext::new(&Context::empty()).unwrap().encoded(), b"");
        let context = MessageContext::new(&Context::from([("table", "orders")])).unwrap();
        assert_eq!(hex::encode(context.encoded()), "000100057461626c6500066f7264657273");
    }

    #[test]
    fn reserved_keys_are_refused_and_their_neighbours_are_not() {
        for key in ["qsec:", "qsec:tenant", "qsec:x", "aws-crypto-", "aws-crypto-public-key"] {
            let error = MessageContext::new(&Context::from([(key, "x")])).unwrap_err();
            assert_eq!((error.code(), error), ("context_invalid", ContextError::ReservedKey { key: key.to_owned() }));
        }
        for key in ["qsec", "qsecx", "aws", "aws-crypt", "Qsec:tenant"] {
            assert!(MessageContext::new(&Context::from([(key, "x")])).is_ok(), "{key}");
        }
    }

    #[test]
    fn the_tenant_counts_towards_the_length() {
        let (acme, data) = (TenantId::new("acme").unwrap(), Purpose::data());
        // 2 count, 4 + 1 for the key, 4 + 11 + 4 and 4 + 12 + 4 for the tenant's pairs.
        let of = |bytes: usize| {
            MessageContext::of_tenant(&acme, &data, &Context::from([("k".to_owned(), "x".repeat(bytes - 46))]))
        };
        assert_eq!(of(8_192).unwrap().encoded().len(), 8_192);
        assert_eq!(of(8_193), Err(ContextError::TooLong { bytes: 8_193 }));
    }
}
