//! The verbs that change a tenant's keys. Each is one write; what it stops is stopped here when it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::keyring::policy::KeyPolicy;
use crate::keyring::record::{
    Binding, KmsKeys, MAX_WRAPPINGS, PurposeRecord, TenantKeyState, VersionRecord, VersionState,
};
use crate::keyring::records::Snapshot;
use crate::keyring::wrapping::Missing;
use crate::keyring::{Core, KeyError, Keyring, check_deletion_days, version_destroyed};
use crate::kms::{KeyId, deletion_date};
use crate::stopped::{Stopped, StoppedBy, StoppedState};
use crate::tenant::{Purpose, TenantId};

/// Most purposes of a tenant: a handful is used, and each is one row to read.
const MAX_PURPOSES: usize = 64;

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The version that seals now.
    pub version: u32,
    /// The version that sealed before, and only opens now.
    pub previous: u32,
}

impl Keyring {
    /// Binds the tenant to KMS keys, the first of them primary, and makes the first key version of each purpose. The KMS
    /// keys must pass a whole wrap, unwrap and compare, or nothing is written.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if the tenant has keys already; [`KeyError::Usage`] for no or too many KMS keys or
    /// purposes, or one named twice; [`KeyError::Stopped`] and [`KeyError::Kms`] if a KMS key does not do it;
    /// [`KeyError::Store`] if the store fails.
    pub async fn create(&self, key_ids: &[KeyId], purposes: &[Purpose], now: SystemTime) -> Result<(), KeyError> {
        self.create_with_policy(key_ids, purposes, &KeyPolicy::new(), now).await
    }

    /// As [`Self::create`], for a tenant that demands something of its KMS keys from the start.
    ///
    /// # Errors
    /// [`KeyError::PhiRequiresCmk`], [`KeyError::RegionNotAllowed`] and [`KeyError::MultiRegionRequired`] if the KMS keys
    /// do not satisfy the policy; else as [`Self::create`].
    pub async fn create_with_policy(
        &self,
        key_ids: &[KeyId],
        purposes: &[Purpose],
        policy: &KeyPolicy,
        now: SystemTime,
    ) -> Result<(), KeyError> {
        distinct(key_ids, MAX_WRAPPINGS, "KMS keys")?;
        distinct(purposes, MAX_PURPOSES, "purposes")?;
        if self.core.read_records().await?.is_some() {
            return Err(KeyError::Conflict { what: format!("tenant `{}` has keys already", self.core.tenant) });
        }
        let (provider, endpoint) =
            (self.core.own_kms.provider().to_owned(), self.core.own_kms.endpoint().map(str::to_owned));
        let keys = KmsKeys { provider, key_ids: key_ids.to_vec(), endpoint };
        self.core.obeys(policy, &keys, now).await?;
        let mut versions = Vec::new();
        for purpose in purposes {
            versions.push(self.core.new_version(&keys, purpose, 1, Missing::Refused, now).await?);
        }
        let binding = Binding::new(self.core.tenant.clone(), keys, purposes, policy, now);
        self.core.records.write(&self.core.tenant, Some(&binding), &versions).await?;
        self.core.forgotten("created");
        for purpose in purposes {
            self.core.observer.observe(&self.core.event("key.created").version(purpose, 1));
        }
        Ok(())
    }

    /// Makes the first key version of a further purpose.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if the purpose has keys already; else as [`Self::rotate`].
    pub async fn add_purpose(&self, purpose: &Purpose, now: SystemTime) -> Result<(), KeyError> {
        let Snapshot { mut binding, .. } = self.core.changeable(now).await?;
        if binding.newest(purpose).is_some() {
            return Err(KeyError::Conflict { what: format!("there are keys for `{purpose}` already") });
        }
        if binding.purposes.len() >= MAX_PURPOSES {
            return Err(KeyError::Usage { what: format!("a tenant has at most {MAX_PURPOSES} purposes") });
        }
        let version = self.core.next_version(&binding, purpose, 1, now).await?;
        binding.purposes.push(PurposeRecord { purpose: purpose.clone(), newest: 1 });
        binding.generation = next(binding.generation)?;
        self.core.records.write(&self.core.tenant, Some(&binding), &[version]).await?;
        self.core.cache.renew_records();
        self.core.observer.observe(&self.core.event("key.created").version(purpose, 1));
        Ok(())
    }

    /// Makes a new key version, which seals from now on. The one before only opens.
    ///
    /// # Errors
    /// [`KeyError::Stopped`] by the state of the tenant's key or of the KMS key; [`KeyError::VersionNotFound`] if there
    /// are no keys for this purpose; [`KeyError::Store`] if the store fails, retryable if another node rotated at the
    /// same time; [`KeyError::Kms`].
    pub async fn rotate(&self, purpose: &Purpose, now: SystemTime) -> Result<Rotation, KeyError> {
        let Snapshot { mut binding, mut versions } = self.core.changeable(now).await?;
        let not_found = |version| KeyError::VersionNotFound { purpose: purpose.clone(), version };
        let counted = binding.purposes.iter_mut().find(|record| record.purpose == *purpose);
        let counted = counted.ok_or_else(|| not_found(0))?;
        let previous = counted.newest;
        let version = previous.checked_add(1).ok_or(KeyError::Internal { what: "versions can be counted" })?;
        counted.newest = version;
        binding.generation = next(binding.generation)?;

        let place = (purpose.clone(), previous);
        let mut retired = versions.remove(&place).ok_or_else(|| not_found(previous))?;
        retired.state = VersionState::Retired;
        retired.generation = next(retired.generation)?;
        let active = self.core.next_version(&binding, purpose, version, now).await?;
        self.core.records.write(&self.core.tenant, Some(&binding), &[retired, active]).await?;
        self.core.cache.retire(&place);
        self.core.observer.observe(&self.core.event("key.rotated").version(purpose, version));
        Ok(Rotation { version, previous })
    }

    /// Locks the tenant's keys until they are enabled: at once here, and wherever the change is read. The KMS keys are
    /// not touched.
    ///
    /// # Errors
    /// [`KeyError::Stopped`] if they are to be deleted or destroyed; [`KeyError::Store`] if the store fails.
    #[doc(alias = "suspend")]
    pub async fn disable(&self, now: SystemTime) -> Result<(), KeyError> {
        let Snapshot { mut binding, .. } = self.core.not_on_their_way_out(now).await?;
        if binding.state != TenantKeyState::Disabled {
            binding.state = TenantKeyState::Disabled;
            self.core.write_binding(&mut binding).await?;
        }
        self.core.stop(&Stopped::new(StoppedState::Disabled, StoppedBy::Tenant));
        self.core.observer.observe(&self.core.event("key.disabled").cause("tenant"));
        Ok(())
    }

    /// Unlocks keys that the tenant disabled. A KMS key that its owner disabled stays so.
    ///
    /// # Errors
    /// [`KeyError::Stopped`] if they are to be deleted or destroyed; [`KeyError::Store`] if the store fails.
    pub async fn enable(&self, now: SystemTime) -> Result<(), KeyError> {
        let Snapshot { mut binding, .. } = self.core.not_on_their_way_out(now).await?;
        if binding.state != TenantKeyState::Active {
            binding.state = TenantKeyState::Active;
            self.core.write_binding(&mut binding).await?;
        }
        self.core.forgotten("enabled");
        self.core.observer.observe(&self.core.event("key.enabled").cause("tenant"));
        Ok(())
    }

    /// Locks the tenant's keys at once and destroys them after 7 to 30 days. Answers when.
    ///
    /// # Errors
    /// [`KeyError::Usage`] for other numbers of days; [`KeyError::Stopped`] if they are to be deleted already, or are
    /// destroyed; [`KeyError::Store`] if the store fails.
    pub async fn schedule_deletion(&self, days: u32, now: SystemTime) -> Result<SystemTime, KeyError> {
        check_deletion_days(days)?;
        let date = deletion_date(days, now).ok_or(KeyError::Internal { what: "the days were checked" })?;
        let Snapshot { mut binding, .. } = self.core.not_on_their_way_out(now).await?;
        (binding.state, binding.deletion_date) = (TenantKeyState::PendingDeletion, Some(date));
        self.core.write_binding(&mut binding).await?;
        let pending = Stopped::new(StoppedState::PendingDeletion, StoppedBy::Tenant);
        self.core.stop(&Stopped { deletion_date: Some(date), ..pending });
        self.core.observer.observe(&self.core.event("key.deletion_scheduled").cause("tenant").deletion_date(date));
        Ok(date)
    }

    /// Calls the deletion off. The keys are disabled afterwards: opening again is a second, deliberate act.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if no deletion is scheduled; [`KeyError::Stopped`] if they are destroyed;
    /// [`KeyError::Store`] if the store fails.
    pub async fn cancel_deletion(&self, now: SystemTime) -> Result<(), KeyError> {
        let mut binding = self.core.load(now).await?.binding.clone();
        match binding.state {
            TenantKeyState::PendingDeletion => {}
            TenantKeyState::Destroyed => return Err(version_destroyed().into()),
            TenantKeyState::Active | TenantKeyState::Disabled => {
                return Err(KeyError::Conflict { what: "no deletion is scheduled".to_owned() });
            }
        }
        (binding.state, binding.deletion_date) = (TenantKeyState::Disabled, None);
        self.core.write_binding(&mut binding).await?;
        self.core.forgotten("deletion_cancelled");
        self.core.observer.observe(&self.core.event("key.deletion_cancelled").cause("tenant"));
        Ok(())
    }

    /// Destroys all keys of the tenant now and for good: every wrapping is overwritten, and nothing opens any more. The
    /// KMS keys are not touched.
    ///
    /// # Errors
    /// [`KeyError::TenantNotFound`]; [`KeyError::RecordForged`]; [`KeyError::Store`] if the store fails. Keys that are
    /// destroyed already are no error.
    pub async fn destroy(&self, now: SystemTime) -> Result<(), KeyError> {
        let records = self.core.load(now).await?;
        if records.binding.state != TenantKeyState::Destroyed {
            self.core.destroy_all(Snapshot::clone(&records)).await?;
        }
        Ok(())
    }

    /// Destroys the tenant's keys if their wait is over, and answers whether they are destroyed. Keys whose wait is over
    /// are refused also before.
    ///
    /// # Errors
    /// As [`Self::destroy`].
    pub async fn destroy_due(&self, now: SystemTime) -> Result<bool, KeyError> {
        Ok(self.core.load(now).await?.binding.state == TenantKeyState::Destroyed)
    }
}

impl Core {
    pub(super) async fn destroy_all(&self, records: Snapshot) -> Result<Snapshot, KeyError> {
        let Snapshot { mut binding, versions } = records;
        (binding.state, binding.deletion_date, binding.migration) = (TenantKeyState::Destroyed, None, None);
        binding.generation = next(binding.generation)?;
        let living = versions.values().filter(|record| record.state != VersionState::Destroyed);
        let rows = living.cloned().map(destroyed).collect::<Result<Vec<_>, _>>()?;
        self.records.write(&self.tenant, Some(&binding), &rows).await?;
        self.stop(&version_destroyed());
        self.observer.observe(&self.event("key.destroyed").cause("tenant"));
        let mut versions: BTreeMap<_, _> = versions;
        versions.extend(rows.into_iter().map(|record| ((record.purpose.clone(), record.version), record)));
        Ok(Snapshot { binding, versions })
    }

    /// The records as they are now, of keys that can be used, for a change that needs their KMS.
    pub(super) async fn changeable(&self, now: SystemTime) -> Result<Snapshot, KeyError> {
        let records = self.unlocked(now).await?;
        self.reaches(&records)?;
        Ok(records)
    }

    /// The records as they are now, of keys that the tenant has not stopped.
    pub(super) async fn unlocked(&self, now: SystemTime) -> Result<Snapshot, KeyError> {
        let records = self.load(now).await?;
        match records.binding.stopped() {
            None => Ok(Snapshot::clone(&records)),
            Some(stopped) => Err(stopped.into()),
        }
    }

    /// The records as they are now, of keys whose state may be changed other than by calling their deletion off.
    async fn not_on_their_way_out(&self, now: SystemTime) -> Result<Snapshot, KeyError> {
        let records = self.load(now).await?;
        match records.binding.stopped() {
            Some(stopped) if stopped.state > StoppedState::Disabled => Err(stopped.into()),
            _ => Ok(Snapshot::clone(&records)),
        }
    }

    /// A plan says what was looked at, and was recorded as the plan for one tenant. What is alike in another tenant's
    /// records is not what it is about.
    pub(super) fn is_planned_here(&self, tenant: &TenantId) -> Result<(), KeyError> {
        if *tenant == self.tenant {
            return Ok(());
        }
        Err(KeyError::Usage { what: format!("the plan is for tenant `{tenant}`, not for `{}`", self.tenant) })
    }

    pub(super) async fn write_binding(&self, binding: &mut Binding) -> Result<(), KeyError> {
        binding.generation = next(binding.generation)?;
        self.records.write(&self.tenant, Some(binding), &[]).await
    }
}

/// A version without anything that could open it.
pub(super) fn destroyed(mut record: VersionRecord) -> Result<VersionRecord, KeyError> {
    record.state = VersionState::Destroyed;
    record.wrappings.clear();
    record.generation = next(record.generation)?;
    Ok(record)
}

pub(super) fn next(generation: u64) -> Result<u64, KeyError> {
    generation.checked_add(1).ok_or(KeyError::Internal { what: "generations can be counted" })
}

pub(super) fn distinct<T: Ord>(names: &[T], most: usize, what: &str) -> Result<(), KeyError> {
    let right = (1..=most).contains(&names.len()) && names.iter().collect::<BTreeSet<_>>().len() == names.len();
    if right { Ok(()) } else { Err(KeyError::Usage { what: format!("1 to {most} different {what} are needed") }) }
}
