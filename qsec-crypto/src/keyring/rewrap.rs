//! Wrapping the same key versions again: another region, or the newest material of a KMS key.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::keyring::lifecycle::next;
use crate::keyring::migration::{is_living, tidied};
use crate::keyring::record::{KmsKeys, MAX_WRAPPINGS, VersionRecord};
use crate::keyring::records::Snapshot;
use crate::keyring::wrapping::Missing;
use crate::keyring::{Core, KeyError, Keyring};
use crate::kms::{KeyId, KmsError};
use crate::observer::Event;
use crate::tenant::{Purpose, TenantId};

/// What a rewrap will do. Made by [`Keyring::plan_rewrap`], done by [`Keyring::run_rewrap`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewrapPlan {
    /// The KMS keys in use afterwards: primary first, then replicas.
    pub key_ids: Vec<KeyId>,
    /// How many key versions get other wrappings than they have.
    pub versions: u32,
    /// How many wrappings are made.
    pub wrappings_made: u32,
    /// How many wrappings are deleted, those not counted that are made anew.
    pub wrappings_removed: u32,
    /// How many KMS calls it takes if each KMS key answers at once: for each version one to unwrap it and two for each
    /// wrapping, to make and to check it; where wrappings only go, one for the owner's yes and one for what stays.
    pub kms_calls_at_most: u64,
    /// Whose keys were looked at.
    tenant: TenantId,
    keys: KmsKeys,
    /// Whether every wrapping is made anew.
    renews: bool,
    /// Of the binding that was looked at.
    generation: u64,
    /// Of the versions that were looked at: one that has another now was rewrapped since, and is not again.
    generations: BTreeMap<(Purpose, u32), u64>,
}

/// What a rewrap did, or has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewrap {
    /// How many key versions have other wrappings than before.
    pub versions_rewrapped: u32,
    /// How many KMS calls it took. No record was rewritten.
    pub kms_calls: u64,
}

impl Keyring {
    /// Plans to wrap every key version again, touching no record. With KMS keys to add, versions are wrapped under those
    /// that they are not under yet; with KMS keys to remove, their wrappings go. With neither, every wrapping is made anew,
    /// which fills gaps and moves each to the newest material of its KMS key.
    ///
    /// Nothing is changed. A KMS is asked only for what the tenant's policy must know of a KMS key and its name does not
    /// say.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if it would remove the last KMS key; [`KeyError::Usage`] for a KMS key that is to be both
    /// added and removed, that is to be removed and not there, or one too many; [`KeyError::RegionNotAllowed`] and
    /// [`KeyError::MultiRegionRequired`] if the tenant's policy refuses a KMS key; [`KeyError::MigrationInProgress`] while
    /// the keys move elsewhere; [`KeyError::Stopped`] by the state of the tenant's key; [`KeyError::Store`] if the store
    /// fails.
    pub async fn plan_rewrap(&self, add: &[KeyId], remove: &[KeyId], now: SystemTime) -> Result<RewrapPlan, KeyError> {
        let records = self.core.changeable(now).await?;
        let keys = wanted(&records, add, remove)?;
        let is_new = |key_id: &&KeyId| !records.binding.key_ids.contains(key_id);
        let new = KmsKeys { key_ids: keys.key_ids.iter().filter(is_new).cloned().collect(), ..keys.clone() };
        self.core.obeys(&records.binding.policy(), &new, now).await?;
        Ok(plan(&records, keys, add.is_empty() && remove.is_empty()))
    }

    /// Does what was planned, and tells its progress after each key version.
    ///
    /// The KMS keys in use must be willing: each version is unwrapped by them afresh, and no wrapping goes before another
    /// was seen to open. A rewrap that was cut off leaves every version as usable as it was. The same plan can be run
    /// again, and does not repeat what was checked; without it, plan the same again.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if the tenant's keys were changed since the plan: plan anew; [`KeyError::Usage`] for the plan
    /// of another tenant; [`KeyError::Stopped`] and [`KeyError::Kms`] if a KMS key does not do it; [`KeyError::Store`] if
    /// the store fails.
    pub async fn run_rewrap(
        &self,
        plan: &RewrapPlan,
        progress: &mut (dyn FnMut(&Rewrap) + Send),
        now: SystemTime,
    ) -> Result<Rewrap, KeyError> {
        self.core.is_planned_here(&plan.tenant)?;
        let mut records = self.core.changeable(now).await?;
        if records.binding.generation != plan.generation || !plan.fits(&records) {
            let what = "the tenant's keys were changed since the rewrap was planned; plan anew".to_owned();
            return Err(KeyError::Conflict { what });
        }
        let core = self.core.counting();
        let mut done = Rewrap { versions_rewrapped: 0, kms_calls: 0 };
        for place in plan.generations.keys() {
            let Some(record) = records.versions.get(place).filter(|record| plan.is_left(place, record)) else {
                continue;
            };
            if let Some(record) = core.rewrapped(&records, record, plan, now).await? {
                self.core.records.write(&self.core.tenant, None, std::slice::from_ref(&record)).await?;
                self.core.cache.renew_records();
                records.versions.insert(place.clone(), record);
                done.versions_rewrapped = done.versions_rewrapped.saturating_add(1);
            }
            done.kms_calls = core.calls();
            progress(&done);
        }
        self.core.bind(&mut records, plan.keys.clone()).await?;
        for key_id in &records.binding.key_ids {
            self.core.observer.observe(&Event { key_id: Some(key_id), ..self.core.event("key.rewrapped") });
        }
        Ok(done)
    }

    /// Plans and does it at once.
    ///
    /// # Errors
    /// As [`Self::plan_rewrap`] and [`Self::run_rewrap`].
    pub async fn rewrap(&self, add: &[KeyId], remove: &[KeyId], now: SystemTime) -> Result<Rewrap, KeyError> {
        let plan = self.plan_rewrap(add, remove, now).await?;
        self.run_rewrap(&plan, &mut |_| {}, now).await
    }
}

impl RewrapPlan {
    /// Whether what is not done yet is as it was planned for. A version that another rewrap has changed since, and that is
    /// not under all the KMS keys, would lose its wrappings under those that go and have none in their place.
    fn fits(&self, records: &Snapshot) -> bool {
        let mut living = records.versions.iter().filter(|(_, record)| is_living(record));
        living.all(|(place, record)| {
            self.is_left(place, record) || self.keys.iter().all(|key| record.wrapping(&key).is_some())
        })
    }

    /// Whether a version is as it was planned for, and not done yet.
    fn is_left(&self, place: &(Purpose, u32), record: &VersionRecord) -> bool {
        is_living(record) && self.generations.get(place) == Some(&record.generation)
    }
}

fn plan(records: &Snapshot, keys: KmsKeys, renews: bool) -> RewrapPlan {
    let (mut versions, mut made, mut removed, mut calls) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut generations = BTreeMap::new();
    for (place, record) in records.versions.iter().filter(|(_, record)| is_living(record)) {
        let making = keys.iter().filter(|key| renews || record.wrapping(key).is_none()).count();
        let removing = record.wrappings.iter().filter(|wrapping| keys.role(&wrapping.key()).is_none()).count();
        if making.saturating_add(removing) == 0 {
            continue;
        }
        let calls_of_it = if making == 0 { 2 } else { making.saturating_mul(2).saturating_add(1) };
        (versions, calls) = (versions.saturating_add(1), calls.saturating_add(calls_of_it));
        (made, removed) = (made.saturating_add(making), removed.saturating_add(removing));
        generations.insert(place.clone(), record.generation);
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    RewrapPlan {
        tenant: records.binding.tenant.clone(),
        key_ids: keys.key_ids.clone(),
        versions: count(versions),
        wrappings_made: count(made),
        wrappings_removed: count(removed),
        kms_calls_at_most: u64::try_from(calls).unwrap_or(u64::MAX),
        keys,
        renews,
        generation: records.binding.generation,
        generations,
    }
}

/// The KMS keys that are to be in use.
fn wanted(records: &Snapshot, add: &[KeyId], remove: &[KeyId]) -> Result<KmsKeys, KeyError> {
    if let Some(migration) = &records.binding.migration {
        return Err(KeyError::MigrationInProgress { provider: migration.other.provider.clone() });
    }
    let mut keys = records.binding.keys();
    for key_id in remove {
        let key = keys.key(key_id);
        // What a rewrap that was cut off has taken out of use already still has to be deleted.
        let is_there = keys.role(&key).is_some() || records.versions.values().any(|v| v.wrapping(&key).is_some());
        if !is_there || add.contains(key_id) {
            return Err(KeyError::Usage {
                what: format!("`{key_id}` cannot be removed: it is not there, or to be added"),
            });
        }
    }
    keys.key_ids.retain(|key_id| !remove.contains(key_id));
    for key_id in add {
        if !keys.key_ids.contains(key_id) {
            keys.key_ids.push(key_id.clone());
        }
    }
    if keys.key_ids.is_empty() {
        return Err(KeyError::Conflict { what: "the last wrapping of a key version cannot be removed".to_owned() });
    }
    let added = keys.key_ids.iter().filter(|key_id| !records.binding.key_ids.contains(key_id)).count();
    if added.saturating_add(records.binding.key_ids.len()) > MAX_WRAPPINGS {
        let what = format!("a key version has at most {MAX_WRAPPINGS} wrappings, the old and the new ones together");
        return Err(KeyError::Usage { what });
    }
    Ok(keys)
}

impl Core {
    /// A version with the wrappings that it is to have beside those that it has; `None` if it has them all.
    async fn rewrapped(
        &self,
        records: &Snapshot,
        record: &VersionRecord,
        plan: &RewrapPlan,
        now: SystemTime,
    ) -> Result<Option<VersionRecord>, KmsError> {
        let keys = &plan.keys;
        let missing = if plan.renews { Missing::Refused } else { Missing::FilledNow };
        let unwrapped = self.unwrap_any(&records.binding.keys(), record, now).await;
        if let Err(error) = &unwrapped {
            self.stopped_by_kms(error);
        }
        let unwrapped = unwrapped?;
        let mut rewrapped = record.clone();
        self.wrap_under(keys, &unwrapped.secret, &mut rewrapped, missing, now).await?;
        if rewrapped.wrappings != record.wrappings {
            let generation = next(rewrapped.generation);
            rewrapped.generation = generation.map_err(|_| KmsError::Internal { what: "generations can be counted" })?;
            return Ok(Some(rewrapped));
        }
        // Nothing was wrapped and seen to open just now; what stays must have been.
        if keys.role(&unwrapped.by).is_none() {
            self.unwrap_any(keys, record, now).await?;
        }
        Ok(None)
    }

    /// Makes these the KMS keys in use, then deletes the wrappings under others.
    async fn bind(&self, records: &mut Snapshot, keys: KmsKeys) -> Result<(), KeyError> {
        if records.binding.keys() != keys {
            records.binding.key_ids = keys.key_ids;
            self.write_step(records, Vec::new()).await?;
        }
        loop {
            let (rows, _) = tidied(records)?;
            if rows.is_empty() {
                return Ok(());
            }
            self.records.write(&self.tenant, None, &rows).await?;
            records.versions.extend(rows.into_iter().map(|record| ((record.purpose.clone(), record.version), record)));
            self.cache.renew_records();
        }
    }
}
