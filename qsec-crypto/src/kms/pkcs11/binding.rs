//! AES key wrap takes no context, so what a key is bound to travels inside: its digest, compared after each unwrap.

use ring::digest::{Context, SHA256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret::{Secret, SecretKey};

const LABEL: &[u8] = b"qsec/v1/pkcs11";

/// Bytes of a tenant key, the first half of what is wrapped; the digest is as long.
const KEY_BYTES: usize = 32;

/// Bytes of a blob: 64, and the 8 that RFC 3394 adds.
pub(super) const BLOB_BYTES: usize = 72;

/// What is wrapped in place of a key.
pub(super) fn bind(key: &SecretKey, context: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([key.expose_secret().as_slice(), &digest(context)].concat())
}

/// The key, if it was bound to this context.
pub(super) fn unbind(bound: &[u8], context: &[u8]) -> Option<Secret> {
    let (key, bound_to) = bound.split_at_checked(KEY_BYTES)?;
    bool::from(bound_to.ct_eq(&digest(context))).then(|| Secret::copy_from(key))
}

fn digest(context: &[u8]) -> Vec<u8> {
    let mut digest = Context::new(&SHA256);
    digest.update(LABEL);
    digest.update(context);
    digest.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::WrappingContext;
    use crate::tenant::{Purpose, TenantId};

    #[test]
    fn a_key_is_bound_by_the_digest_of_its_context() {
        let context = WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 3).encode();
        let bound = bind(&SecretKey::copy_from(&[7; 32]), &context);
        assert_eq!(bound.len(), 64);
        assert_eq!(bound[..32], [7; 32]);
        // SHA-256 of the label and the canonical context, from another implementation.
        assert_eq!(hex::encode(&bound[32..]), "b0ed572f216fbfc9ddbd93d22e5bcafd7c7dc68d3e42a5262ec2fbbbf7989a1a");
        assert_eq!(unbind(&bound, &context).unwrap().expose_secret(), [7; 32]);
    }

    #[test]
    fn another_context_and_other_lengths_are_refused() {
        let bound = bind(&SecretKey::copy_from(&[7; 32]), b"context");
        assert!(unbind(&bound, b"contexu").is_none());
        for length in [0, 31, 32, 63] {
            assert!(unbind(&bound[..length], b"context").is_none(), "{length}");
        }
        assert!(unbind(&[&bound[..], &[0]].concat(), b"context").is_none());
    }
}
