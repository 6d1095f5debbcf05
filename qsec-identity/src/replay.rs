//! Single use: what a replay store remembers of a token.

use std::time::SystemTime;

use crate::hash::sha256;

/// The entry by which a second use of a token or proof is recognised. It holds a hash, nothing of the token.
///
/// Consult the [`ReplayStore`](crate::ReplayStore) last, so that a token that is refused for another cause does not use
/// up its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayKey {
    tenant: String,
    key: [u8; 32],
    keep_until: SystemTime,
}

impl ReplayKey {
    /// `realm` tells single-use things of different kinds apart. Lengths stand before the texts, so that no two pairs of
    /// issuer and id have one key.
    pub(crate) fn new(realm: &str, tenant: &str, issuer: &str, id: &str, keep_until: SystemTime) -> Self {
        let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes();
        let key = sha256(&[
            b"qsec replay 1\0",
            &length(realm),
            realm.as_bytes(),
            &length(issuer),
            issuer.as_bytes(),
            &length(id),
            id.as_bytes(),
        ]);
        Self { tenant: tenant.to_owned(), key, keep_until }
    }

    /// The tenant whose entries it is among.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The hash of kind, issuer and id.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Until when it must be remembered, that second included.
    pub fn keep_until(&self) -> SystemTime {
        self.keep_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_kind_issuer_and_id_wherever_the_border_lies() {
        let key = |realm, issuer, id| *ReplayKey::new(realm, "t", issuer, id, SystemTime::UNIX_EPOCH).key();
        let all =
            [key("a", "bc", "d"), key("a", "b", "cd"), key("ab", "c", "d"), key("a", "bc", "e"), key("", "abc", "d")];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one));
        }
    }
}
