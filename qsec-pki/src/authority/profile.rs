use std::time::Duration;

use super::IssueError;
use crate::name::{DnsName, SpiffeId, Zone};
use crate::role::Role;

/// Life of a leaf unless another is asked for.
const DEFAULT_TTL: Duration = Duration::from_hours(24);
/// Shortest life of a leaf, seconds.
const MIN_TTL: u64 = 3_600;
/// Longest life of a leaf, seconds.
const MAX_TTL: u64 = 7 * 86_400;
/// Most DNS names of a leaf.
const MAX_DNS_NAMES: usize = 16;

/// What a leaf says: who, in which role, under which DNS names, for how long. Nothing else can be asked for.
///
/// Names are checked when a certificate is issued, or before by [`LeafProfile::check`].
///
/// ```
/// # use std::time::Duration;
/// use qsec_pki::{LeafProfile, Zone};
///
/// let profile = LeafProfile::server("svc/engine/node/n7").dns(["n7.svc.prod.internal"]).ttl(Duration::from_secs(7_200));
/// profile.check(&Zone::parse("prod.internal")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafProfile {
    path: String,
    role: Role,
    dns: Vec<String>,
    ttl: Duration,
}

/// A profile whose names are well-formed.
pub(super) struct Subject {
    pub(super) id: SpiffeId,
    pub(super) role: Role,
    pub(super) dns: Vec<DnsName>,
    pub(super) ttl: i64,
}

impl LeafProfile {
    /// Of whoever answers connections, by the path of its SPIFFE ID.
    pub fn server(path: impl Into<String>) -> Self {
        Self::of(Role::Server, path)
    }

    /// Of whoever opens connections.
    pub fn client(path: impl Into<String>) -> Self {
        Self::of(Role::Client, path)
    }

    /// Of whoever does both. Only a zone that [admits](crate::TrustZone::admit_peer_leaves) such leaves takes it.
    pub fn peer(path: impl Into<String>) -> Self {
        Self::of(Role::Peer, path)
    }

    /// Of a role known at run time.
    pub fn of(role: Role, path: impl Into<String>) -> Self {
        Self { path: path.into(), role, dns: Vec::new(), ttl: DEFAULT_TTL }
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// With these DNS names too, 16 at most.
    #[must_use]
    pub fn dns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.dns.extend(names.into_iter().map(Into::into));
        self
    }

    /// With another life than 24 hours: one hour to seven days, whole seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Checks names and life, whatever the request will be.
    ///
    /// # Errors
    /// `id_malformed`, `name_malformed`, `ttl_out_of_range`.
    pub fn check(&self, zone: &Zone) -> Result<(), IssueError> {
        self.subject(zone).map(|_| ())
    }

    pub(super) fn subject(&self, zone: &Zone) -> Result<Subject, IssueError> {
        let id = zone.id(&self.path)?;
        if self.dns.len() > MAX_DNS_NAMES {
            return Err(IssueError::TooManyNames { count: self.dns.len() });
        }
        let dns = self.dns.iter().map(|name| DnsName::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let ttl = check_ttl(self.ttl, MIN_TTL, MAX_TTL)?;
        Ok(Subject { id, role: self.role, dns, ttl })
    }
}

/// A life in whole seconds between two bounds.
pub(super) fn check_ttl(ttl: Duration, least: u64, most: u64) -> Result<i64, IssueError> {
    let seconds = ttl.as_secs();
    let whole = ttl.subsec_nanos() == 0;
    match i64::try_from(seconds) {
        Ok(ttl) if whole && (least..=most).contains(&seconds) => Ok(ttl),
        _ => Err(IssueError::TtlOutOfRange { seconds, least, most }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(profile: &LeafProfile) -> &'static str {
        profile.check(&Zone::parse("z.internal").unwrap()).map_or_else(|error| error.code(), |()| "ok")
    }

    #[test]
    fn bounds_of_a_profile_are_inclusive() {
        let profile = || LeafProfile::server("svc/engine/node/n7");
        for (seconds, due) in
            [(3_599, "ttl_out_of_range"), (3_600, "ok"), (604_800, "ok"), (604_801, "ttl_out_of_range")]
        {
            assert_eq!(code(&profile().ttl(Duration::from_secs(seconds))), due);
        }
        assert_eq!(code(&profile().ttl(Duration::from_millis(3_600_001))), "ttl_out_of_range");
        assert_eq!(code(&profile().dns((0..16).map(|n| format!("n{n}")))), "ok");
        assert_eq!(code(&profile().dns((0..17).map(|n| format!("n{n}")))), "name_malformed");
        assert_eq!(code(&profile().dns(["*.svc"])), "name_malformed");
        assert_eq!(code(&LeafProfile::client("/svc")), "id_malformed");
        assert_eq!(code(&LeafProfile::peer("")), "id_malformed");
    }
}
