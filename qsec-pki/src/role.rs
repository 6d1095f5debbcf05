use std::fmt;

/// Which end of a connection a leaf is for.
///
/// ```
/// use qsec_pki::Role;
///
/// assert_eq!(Role::parse("client"), Some(Role::Client));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Answers connections: `serverAuth`.
    Server,
    /// Opens connections: `clientAuth`.
    Client,
    /// Both. Accepted only by a zone that [admits](crate::TrustZone::admit_peer_leaves) such leaves.
    Peer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Peer];

    /// The name that programs and ledgers use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Peer => "peer",
        }
    }

    /// The role of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::Server | Self::Peer)
    }

    pub(crate) fn calls(self) -> bool {
        matches!(self, Self::Client | Self::Peer)
    }

    pub(crate) fn covers(self, asked: Self) -> bool {
        (self.serves() || !asked.serves()) && (self.calls() || !asked.calls())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_covers_every_role_and_no_other_covers_two() {
        for asked in Role::ALL {
            assert!(Role::Peer.covers(asked));
            for held in [Role::Server, Role::Client] {
                assert_eq!(held.covers(asked), held == asked);
            }
        }
    }
}
