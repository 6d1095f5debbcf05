use std::time::SystemTime;

use crate::name::{DnsName, SpiffeId};
use crate::role::Role;
use crate::serial::Serial;

/// How it is known that a certificate is not revoked.
///
/// ```
/// assert_eq!(qsec_pki::Revocation::ShortLived.as_str(), "short_lived");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revocation {
    /// Every issuer of the path had a current list, and nothing of the path is on one.
    Checked,
    /// No list is at hand, and the leaf lives for at most 25 hours.
    ShortLived,
}

impl Revocation {
    /// The name that the program prints.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::ShortLived => "short_lived",
        }
    }
}

/// Who is at the other end, proved: a member of the zone, admitted here, at the instant of the check.
///
/// Only [`TrustZone`](crate::TrustZone) makes one; see there for an example.
///
/// ```compile_fail
/// let peer = qsec_pki::Peer { role: qsec_pki::Role::Server };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub(crate) id: SpiffeId,
    pub(crate) role: Role,
    pub(crate) leaf_role: Role,
    pub(crate) dns: Vec<DnsName>,
    pub(crate) serial: Serial,
    pub(crate) not_after: SystemTime,
    pub(crate) path: Vec<[u8; 32]>,
    pub(crate) leaf_sha256: [u8; 32],
    pub(crate) revocation: Revocation,
    pub(crate) revocation_epoch: u64,
}

impl Peer {
    /// Who it is.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The role that was asked for, and that its leaf covers.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The role of its leaf: [`Role::Peer`] if it may be both.
    pub fn leaf_role(&self) -> Role {
        self.leaf_role
    }

    /// The DNS names of its leaf.
    pub fn dns(&self) -> &[DnsName] {
        &self.dns
    }

    /// The serial of its leaf.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The last second of its leaf: no connection lives longer.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// SHA-256 over the leaf's subject public key info.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.path.first().copied().unwrap_or_default()
    }

    /// SHA-256 over the subject public key infos from leaf to root.
    pub fn path(&self) -> &[[u8; 32]] {
        &self.path
    }

    /// SHA-256 over the leaf's bytes: what a token is bound to (`x5t#S256`).
    pub fn leaf_sha256(&self) -> [u8; 32] {
        self.leaf_sha256
    }

    /// How it is known that the path is not revoked.
    pub fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// Counts the changes of roots and revocation lists of the zone that checked: a peer of an older epoch must be checked again.
    pub fn revocation_epoch(&self) -> u64 {
        self.revocation_epoch
    }
}
