//! Wrapping the same key versions again: another region, or the newest material of a KMS key.

use std::time::SystemTime;

use crate::keyring::lifecycle::next;
use crate::keyring::migration::{is_living, tidied};
use crate::keyring::record::{KmsKeys, MAX_WRAPPINGS, VersionRecord};
use crate::keyring::records::Snapshot;
use crate::keyring::wrapping::Missing;
use crate::keyring::{Core, KeyError, Keyring};
use crate::kms::{KeyId, KmsError};
use crate::observer::Event;

/// What a rewrap did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewrap {
    /// How many key versions have other wrappings than before.
    pub versions_rewrapped: u32,
    /// How many KMS calls it took. No record was rewritten.
    pub kms_calls: u64,
}

impl Keyring {
    /// Wraps every key version again, touching no record. With KMS keys to add, versions are wrapped under those that they
    /// are not under yet; with KMS keys to remove, their wrappings go. With neither, every wrapping is made anew, which
    /// moves it to the newest material of its KMS key.
    ///
    /// The KMS keys in use must be willing: each version is unwrapped by them afresh, and no wrapping goes before another
    /// was seen to open. A rewrap that was cut off leaves every version as usable as it was; do it again.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if it would remove the last KMS key; [`KeyError::Usage`] for a KMS key that is to be both
    /// added and removed, that is to be removed and not there, or one too many; [`KeyError::MigrationInProgress`] while
    /// the keys move elsewhere; [`KeyError::Stopped`] and [`KeyError::Kms`] if a KMS key does not do it;
    /// [`KeyError::Store`] if the store fails.
    pub async fn rewrap(&self, add: &[KeyId], remove: &[KeyId], now: SystemTime) -> Result<Rewrap, KeyError> {
        let mut records = self.core.changeable(now).await?;
        let keys = wanted(&records, add, remove)?;
        let core = self.core.counting();
        let mut versions_rewrapped = 0_u32;
        for place in records.versions.keys().cloned().collect::<Vec<_>>() {
            let Some(record) = records.versions.get(&place).filter(|record| is_living(record)) else { continue };
            let missing = if add.is_empty() && remove.is_empty() { Missing::Refused } else { Missing::FilledNow };
            if let Some(record) = core.rewrapped(&records, record, &keys, missing, now).await? {
                self.core.records.write(&self.core.tenant, None, std::slice::from_ref(&record)).await?;
                self.core.cache.renew_records();
                records.versions.insert(place, record);
                versions_rewrapped = versions_rewrapped.saturating_add(1);
            }
        }
        self.core.bind(&mut records, keys).await?;
        for key_id in &records.binding.key_ids {
            self.core.observer.observe(&Event { key_id: Some(key_id), ..self.core.event("key.rewrapped") });
        }
        Ok(Rewrap { versions_rewrapped, kms_calls: core.calls() })
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
        keys: &KmsKeys,
        missing: Missing,
        now: SystemTime,
    ) -> Result<Option<VersionRecord>, KmsError> {
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
