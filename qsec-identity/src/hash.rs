//! SHA-256, the one hash of names and proofs.

use ring::digest::{Context, SHA256};

use crate::jose::base64url;

/// Of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

/// The SHA-256 of one text as base64url.
pub(crate) fn sha256_text(octets: &[u8]) -> String {
    base64url::encode(sha256(&[octets]))
}
