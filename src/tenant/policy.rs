//! The tenant's policy: what is stored, and what is in force here.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_authz::{
    Decision, EntryKind, LivePolicy, Policy, PolicyChange, PolicyStore, Request, Snapshot, StoredPolicy, Subject,
};

use super::Tenant;
use crate::error::Error;
use crate::hex;

/// The snapshot that decides, and the stored version that it was made of.
#[derive(Debug)]
pub(super) struct InForce {
    live: LivePolicy,
    version: Mutex<Option<u64>>,
}

impl Default for InForce {
    fn default() -> Self {
        Self { live: LivePolicy::new(Snapshot::default()), version: Mutex::default() }
    }
}

impl InForce {
    pub(super) fn decide(&self, request: &Request) -> Decision {
        self.live.decide(request)
    }

    pub(super) fn snapshot(&self) -> std::sync::Arc<Snapshot> {
        self.live.load()
    }

    pub(super) fn version(&self) -> Option<u64> {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An older version than the one in force changes nothing.
    pub(super) fn replace(&self, version: u64, snapshot: &Snapshot) {
        let mut current = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_none_or(|current| current <= version) {
            self.live.merge(snapshot);
            *current = Some(version);
        }
    }
}

impl Tenant {
    /// Replaces the tenant's policy by the tenant of the same id in a policy file.
    ///
    /// # Errors
    /// [`Error::Policy`] points into the file; [`Error::NotFound`] if it has no such tenant. Nothing is changed then.
    pub async fn activate_policy(&self, policy: &Policy, actor: &Actor, now: SystemTime) -> Result<u64, Error> {
        self.pass("policy", now).await?;
        let missing = || Error::NotFound { noun: "policy", id: self.id().to_owned() };
        let entries = policy.tenant(self.id()).ok_or_else(missing)?.entries()?;
        // What does not compile is never stored.
        let next = Policy::from_entries(self.id(), &entries)?;
        next.compile()?;
        let _alone = self.room.changes.lock().await;
        let store = &self.deployment.inner.store;
        let stored = PolicyStore::load(store, self.id()).await?;
        let removed =
            stored.entries.iter().filter(|old| !entries.iter().any(|new| new.kind == old.kind && new.id == old.id));
        let mut changes: Vec<PolicyChange> =
            removed.map(|old| PolicyChange::Remove { kind: old.kind, id: old.id.clone() }).collect();
        changes.extend(entries.iter().filter(|new| !stored.entries.contains(new)).cloned().map(PolicyChange::Put));
        let rules = entries.iter().filter(|entry| entry.kind == EntryKind::Rule).count();
        let event = catalogue::PolicyActivated::new()
            .digest(digest(&next))
            .rules(i64::try_from(rules).unwrap_or(i64::MAX))
            .by(actor.clone())
            .subject(format!("policy/{}", self.id()));
        let event = match self.readable(&stored) {
            Some(previous) => event.data("previous", digest(&previous)),
            None => event,
        };
        let apply = async { Ok(PolicyStore::apply(store, self.id(), stored.version, &changes).await?) };
        let version = self.carry_out(event, now, apply).await?;
        self.load_policy().await?;
        Ok(version)
    }

    /// Brings what is in force here up to the stored version; asks for no more than that if it is already.
    pub(crate) async fn load_policy(&self) -> Result<(), Error> {
        let store = &self.deployment.inner.store;
        if self.room.policy.version() == Some(PolicyStore::version(store, self.id()).await?) {
            return Ok(());
        }
        let stored = PolicyStore::load(store, self.id()).await?;
        self.room.policy.replace(stored.version, &Policy::from_stored(self.id(), &stored)?.compile()?);
        Ok(())
    }

    /// Whether the stored policy has an entry for a user.
    pub(super) async fn policy_names(&self, user: &str) -> Result<bool, Error> {
        let stored = PolicyStore::load(&self.deployment.inner.store, self.id()).await?;
        Ok(stored.entries.iter().any(|entry| entry.kind == EntryKind::User && entry.id == user))
    }

    pub(super) fn is_administrator(&self, subject: &Subject) -> bool {
        self.room.policy.snapshot().is_administrator(self.id(), subject)
    }

    /// What was stored before; nothing is said of the first policy, nor of one that this version cannot read.
    fn readable(&self, stored: &StoredPolicy) -> Option<Policy> {
        if stored.version == 0 { None } else { Policy::from_stored(self.id(), stored).ok() }
    }
}

/// Of the policy as JSON.
pub(super) fn digest(policy: &Policy) -> String {
    hex::sha256(policy.to_json().as_bytes())
}
