//! Moving a tenant's keys to other KMS keys: resumable, and without touching a record.
//!
//! ```text
//! idle → planned → wrapping → verified → switched → cleaning → idle         abort: any state before switched → idle
//! ```
//!
//! Each step is one write, which names the generation that it read; so a step that was cut off is taken again, and of two
//! nodes that take it at once one is told. Until the switch the old KMS keys unwrap, from then on the new ones do:
//! sealing and opening never stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::keyring::cache::is_younger;
use crate::keyring::guard::Asked;
use crate::keyring::lifecycle::{distinct, next};
use crate::keyring::policy::{self, INTERNAL};
use crate::keyring::record::{
    Binding, KmsKeys, MAX_WRAPPINGS, MigrationRecord, MigrationState, VersionRecord, VersionState,
};
use crate::keyring::records::Snapshot;
use crate::keyring::wrapping::{Missing, Unwrapped, is_usable};
use crate::keyring::{Core, KeyError, Keyring};
use crate::kms::{KeyId, Kms, KmsError};
use crate::observer::Event;
use crate::tenant::Purpose;
use crate::timestamp;

/// Longest time that the way back is kept open, in days.
const MAX_KEEP_OLD_DAYS: u32 = 30;

/// Most version records that one write changes: what a store takes in one transaction without a second thought.
const MAX_ROWS: usize = 64;

/// A move of a tenant's keys to other KMS keys, and how far it has come.
///
/// ```
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use qsec_crypto::kms::{FaultyKms, LocalKms, RootKey};
/// use qsec_crypto::{KeyRecords, Keyring, MemoryStore, MigrationState, Purpose, TenantId};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// # let local = |root| LocalKms::open(RootKey::from_bytes(&[root; 32]), MemoryStore::new());
/// # let (ours, theirs) = (local(7)?, local(8)?);
/// # let (our_key, their_key) = (ours.create_key(now).await?, theirs.create_key(now).await?);
/// # let theirs = FaultyKms::over(theirs).as_provider("aws"); // stands for a customer's KMS
/// let keys = Keyring::new(TenantId::new("acme")?, Arc::new(ours), KeyRecords::in_memory()?);
/// keys.create(&[our_key], &[Purpose::data()], now).await?;
///
/// let planned = keys.change_provider(Arc::new(theirs), &[their_key], 0, now).await?;
/// assert_eq!(planned.state, MigrationState::Planned);
/// let done = keys.migrate(now).await?;
/// assert_eq!((done.state, done.versions_rewrapped, done.kms_calls), (MigrationState::Done, 1, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// How far it has come.
    pub state: MigrationState,
    /// The provider that the tenant moves to, or has moved to.
    pub provider: String,
    /// The KMS keys there: primary first, then replicas.
    pub key_ids: Vec<KeyId>,
    /// Where the provider is reached, if not at its usual place.
    pub endpoint: Option<String>,
    /// How many key versions there are that can be used.
    pub versions: usize,
    /// How many of them this move has wrapped under the new KMS keys.
    pub versions_rewrapped: u32,
    /// How many KMS calls the whole move takes if nothing is repeated or made meanwhile: one for each new KMS key, to
    /// describe it; for each version one to unwrap it, unless that is done by the internal KMS, and two for each new KMS
    /// key. A move that is resumed after the revocation bound asks the old KMS once more.
    pub kms_calls_at_most: u64,
    /// How many KMS calls it has made, those to unwrap from the internal KMS not counted: they never leave the process.
    pub kms_calls: u64,
    /// How many old wrappings it has deleted.
    pub old_wrappings_removed: u64,
    /// Until when the old wrappings are kept, once the new KMS keys are in use.
    pub keep_old_until: Option<SystemTime>,
    /// Whether no wrapping is left but those under the KMS keys in use. The next step of a move that has switched, and keeps
    /// nothing, is then its last; whoever must record the end before it comes does so now.
    pub is_tidy: bool,
}

impl Migration {
    /// The migration that these records tell of.
    pub(super) fn of(records: &Snapshot) -> Option<Self> {
        let migration = records.binding.migration.as_ref()?;
        Some(Self::told(migration, migration.state, records))
    }

    fn told(migration: &MigrationRecord, state: MigrationState, records: &Snapshot) -> Self {
        let to = if migration.state.is_before_switch() { migration.other.clone() } else { records.binding.keys() };
        Self {
            state,
            provider: to.provider,
            key_ids: to.key_ids,
            endpoint: to.endpoint,
            versions: records.versions.values().filter(|record| is_living(record)).count(),
            kms_calls_at_most: migration.kms_calls_at_most,
            versions_rewrapped: migration.versions_rewrapped,
            kms_calls: migration.kms_calls,
            old_wrappings_removed: migration.old_wrappings_removed,
            keep_old_until: migration.keep_old_until,
            is_tidy: is_tidy(records),
        }
    }
}

/// What a failed step leaves.
enum Failure {
    /// The KMS did not do it. If it will not do it later either, the tenant stays where it was.
    Kms(KmsError),
    Other(KeyError),
}

impl From<KmsError> for Failure {
    fn from(error: KmsError) -> Self {
        Self::Kms(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Other(error)
    }
}

impl Keyring {
    /// Plans to move the tenant's keys to the KMS keys of another provider, the first of them primary: they are described
    /// and recorded, and nothing else is done. [`Self::migrate`] does the rest; whoever records what happens does so in
    /// between. The old wrappings are kept for so many days after the switch, 0 to 30, as a way back.
    ///
    /// Told the same again, it answers how far the move has come. Moving to where the keys are already is done at once.
    ///
    /// # Errors
    /// [`KeyError::PhiRequiresCmk`], [`KeyError::RegionNotAllowed`] and [`KeyError::MultiRegionRequired`] if the tenant's
    /// policy refuses the new KMS keys;
    /// [`KeyError::MigrationInProgress`] if the keys are moving elsewhere; [`KeyError::Usage`] for no or too many KMS keys
    /// or days, or one named twice; [`KeyError::Stopped`] by the state of the tenant's key or of the new KMS keys;
    /// [`KeyError::Kms`]; [`KeyError::Store`] if the store fails.
    pub async fn change_provider(
        &self,
        to: Arc<dyn Kms>,
        key_ids: &[KeyId],
        keep_old_days: u32,
        now: SystemTime,
    ) -> Result<Migration, KeyError> {
        distinct(key_ids, MAX_WRAPPINGS, "KMS keys")?;
        if keep_old_days > MAX_KEEP_OLD_DAYS {
            let what = format!("old wrappings are kept for at most {MAX_KEEP_OLD_DAYS} days, not {keep_old_days}");
            return Err(KeyError::Usage { what });
        }
        let (provider, endpoint) = (to.provider().to_owned(), to.endpoint().map(str::to_owned));
        let target = KmsKeys { provider, key_ids: key_ids.to_vec(), endpoint };
        let mut records = self.core.changeable(now).await?;
        let policy = records.binding.policy();
        self.core.may_be_at(&policy, &target.provider)?;
        let planned = plan(&records.binding, target, keep_old_days)?;
        let Some(mut migration) = planned else {
            self.core.providers.add(to);
            return Ok(Migration::of(&records).unwrap_or_else(|| nothing_to_do(&records)));
        };
        let core = self.core.counting();
        for key in migration.other.iter() {
            let asked = Asked { kms: to.as_ref(), key: &key, calls: &core.calls };
            let described = core.guard.describe(asked, &core.tenant, now).await?;
            is_usable(&described)?;
            policy::judge(&policy, &key, Some(&described))?;
        }
        migration.kms_calls = core.calls();
        // Not before its keys were found usable: it may stand in the place of the KMS that is in use.
        self.core.providers.add(to);
        migration.kms_calls_at_most = calls_at_most(&records, &migration.other);
        records.binding.migration = Some(migration);
        self.core.write_step(&mut records, Vec::new()).await?;
        self.core.observe_migration("migration.planned", &records.binding);
        Ok(Migration::of(&records).unwrap_or_else(|| nothing_to_do(&records)))
    }

    /// Plans to move the tenant's keys back to the internal KMS; [`Self::migrate`] does it. Their owner must still be
    /// willing: there is no way around a customer's lock.
    ///
    /// # Errors
    /// [`KeyError::Usage`] if the KMS is not the internal one; [`KeyError::PhiRequiresCmk`] if the tenant's data is
    /// labelled PHI; else as [`Self::change_provider`].
    pub async fn revert(
        &self,
        to: Arc<dyn Kms>,
        key_ids: &[KeyId],
        keep_old_days: u32,
        now: SystemTime,
    ) -> Result<Migration, KeyError> {
        if to.provider() != INTERNAL {
            let what = format!("keys revert to the internal KMS, not to `{}`", to.provider());
            return Err(KeyError::Usage { what });
        }
        self.change_provider(to, key_ids, keep_old_days, now).await
    }

    /// Takes the next step of a move, and answers where it leads. Each step is one write. The switch is taken from
    /// [`MigrationState::Verified`]; whoever must record it before it happens does so then.
    ///
    /// The owner of the old KMS keys must still be willing: every key version is unwrapped by them afresh, and once more
    /// before the switch if that was longer ago than the revocation bound. If a KMS refuses for good, the move is
    /// called off and the tenant stays where it was; if it is unavailable, the step can be taken again later.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if no move is under way; [`KeyError::Stopped`] and [`KeyError::Kms`] if a KMS key does not
    /// do it; [`KeyError::Usage`] if this keyring does not know the KMS that the keys move to; [`KeyError::Store`] if the
    /// store fails, retryable if another node took the step.
    pub async fn advance_migration(&self, now: SystemTime) -> Result<Migration, KeyError> {
        let mut records = self.core.changeable(now).await?;
        let migration = records.binding.migration.clone();
        let migration = migration.ok_or_else(|| KeyError::Conflict { what: "no migration is under way".to_owned() })?;
        let step = match migration.state {
            MigrationState::Planned | MigrationState::Wrapping => {
                self.core.wrap_next(&mut records, migration, now).await
            }
            MigrationState::Verified => self.core.switch(&mut records, migration, now).await,
            MigrationState::Switched | MigrationState::Cleaning | MigrationState::Done | MigrationState::Aborted => {
                Ok(self.core.clean(&mut records, migration, now).await?)
            }
        };
        match step {
            Ok(migration) => Ok(migration),
            Err(Failure::Other(error)) => Err(error),
            Err(Failure::Kms(error)) => {
                // Misuse, such as a KMS that this process does not know, says nothing about the move.
                if !error.is_retryable() && !matches!(error, KmsError::Usage { .. } | KmsError::Internal { .. }) {
                    self.core.call_off(records).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Takes all steps of a move that can be taken now. Answers [`MigrationState::Done`], or [`MigrationState::Switched`]
    /// if the old wrappings are kept for some days: call it again then.
    ///
    /// For one key version these are three KMS calls from the internal KMS, the one of the plan included, and four from
    /// any other; for each further version two and three. No record is rewritten.
    ///
    /// # Errors
    /// As [`Self::advance_migration`].
    pub async fn migrate(&self, now: SystemTime) -> Result<Migration, KeyError> {
        loop {
            let migration = self.advance_migration(now).await?;
            let waits = migration.keep_old_until.is_some_and(|until| until > now);
            if migration.state >= MigrationState::Done || (migration.state == MigrationState::Switched && waits) {
                return Ok(migration);
            }
        }
    }

    /// Deletes old wrappings whose days are over, and those of a move that was cut off while it deleted them. `None` if
    /// there is nothing to delete yet. For a housekeeper: it needs no KMS and works on keys that are locked.
    ///
    /// # Errors
    /// [`KeyError::TenantNotFound`], [`KeyError::RecordForged`], and [`KeyError::Store`] if the store fails, retryable if
    /// another node does it.
    pub async fn clean_due(&self, now: SystemTime) -> Result<Option<Migration>, KeyError> {
        let mut records = Snapshot::clone(&*self.core.load(now).await?);
        loop {
            let Some(migration) = records.binding.migration.clone() else { return Ok(None) };
            let waits = migration.keep_old_until.is_some_and(|until| until > now);
            if migration.state.is_before_switch() || waits {
                return Ok(None);
            }
            let cleaned = self.core.clean(&mut records, migration, now).await?;
            if cleaned.state == MigrationState::Done {
                return Ok(Some(cleaned));
            }
        }
    }

    /// Calls a move off that has not switched yet. The tenant stays where it was; the wrappings made so far are deleted.
    /// It needs no KMS, and works on keys that are locked.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if no move is under way or it has switched; [`KeyError::Store`] if the store fails.
    pub async fn abort_migration(&self, now: SystemTime) -> Result<Migration, KeyError> {
        let records = Snapshot::clone(&*self.core.load(now).await?);
        match &records.binding.migration {
            Some(migration) if migration.state.is_before_switch() => self.core.call_off(records).await,
            Some(_) => Err(KeyError::Conflict { what: "the migration has switched; move back instead".to_owned() }),
            None => Err(KeyError::Conflict { what: "no migration is under way".to_owned() }),
        }
    }
}

/// What is to be recorded for a move to these KMS keys; `None` if it is under way, or there is nothing to do.
fn plan(binding: &Binding, target: KmsKeys, keep_old_days: u32) -> Result<Option<MigrationRecord>, KeyError> {
    match &binding.migration {
        Some(migration) if migration.state.is_before_switch() => {
            if migration.other == target {
                return Ok(None);
            }
            return Err(KeyError::MigrationInProgress { provider: migration.other.provider.clone() });
        }
        // Before the old wrappings are deleted the way back is open, and the plan for it takes this one's place.
        Some(migration) if migration.state == MigrationState::Switched && migration.other == target => {}
        Some(_) if binding.keys() != target => {
            return Err(KeyError::MigrationInProgress { provider: binding.provider.clone() });
        }
        Some(_) | None if binding.keys() == target => return Ok(None),
        Some(_) | None => {}
    }
    let own = binding.keys();
    let together = target.iter().filter(|key| own.role(key).is_none()).count().saturating_add(own.key_ids.len());
    if together > MAX_WRAPPINGS {
        let what = format!("a key version has at most {MAX_WRAPPINGS} wrappings, the old and the new ones together");
        return Err(KeyError::Usage { what });
    }
    Ok(Some(MigrationRecord {
        state: MigrationState::Planned,
        other: target,
        asked: None,
        keep_old_days,
        keep_old_until: None,
        versions_rewrapped: 0,
        kms_calls: 0,
        kms_calls_at_most: 0,
        old_wrappings_removed: 0,
    }))
}

/// What a move to these KMS keys costs: 1 + 3 for each version with one new KMS key, 1 + 2 from the internal KMS.
fn calls_at_most(records: &Snapshot, to: &KmsKeys) -> u64 {
    let is_external = records.binding.provider != INTERNAL;
    let mut calls = to.key_ids.len();
    for record in records.versions.values().filter(|record| is_living(record)) {
        let lacking = to.iter().filter(|key| record.wrapping(key).is_none()).count();
        let asked = usize::from(is_external && lacking > 0);
        calls = calls.saturating_add(lacking.saturating_mul(2)).saturating_add(asked);
    }
    u64::try_from(calls).unwrap_or(u64::MAX)
}

fn nothing_to_do(records: &Snapshot) -> Migration {
    let KmsKeys { provider, key_ids, endpoint } = records.binding.keys();
    Migration {
        state: MigrationState::Done,
        provider,
        key_ids,
        endpoint,
        versions: records.versions.values().filter(|record| is_living(record)).count(),
        kms_calls_at_most: 0,
        versions_rewrapped: 0,
        kms_calls: 0,
        old_wrappings_removed: 0,
        keep_old_until: None,
        is_tidy: is_tidy(records),
    }
}

impl Core {
    /// This core with a count of its own.
    pub(super) fn counting(&self) -> Self {
        Self { calls: Arc::default(), ..self.clone() }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Wraps the next version that is not under all new KMS keys; none is left: all are verified.
    async fn wrap_next(
        &self,
        records: &mut Snapshot,
        mut migration: MigrationRecord,
        now: SystemTime,
    ) -> Result<Migration, Failure> {
        let Some(place) = next_to_wrap(records, &migration.other) else {
            migration.state = MigrationState::Verified;
            records.binding.migration = Some(migration);
            return Ok(self.step(records, Vec::new()).await?);
        };
        let record = records.versions.get(&place).ok_or(KeyError::Internal { what: "what was found is there" })?;
        let (core, mut record) = (self.counting(), record.clone());
        let unwrapped = self.ask_old(&core, &records.binding, &record, now).await?;
        core.wrap_under(&migration.other, &unwrapped.secret, &mut record, Missing::FilledNow, now).await?;
        record.generation = next(record.generation)?;
        migration.state = MigrationState::Wrapping;
        migration.asked = Some(unwrapped.as_of);
        migration.versions_rewrapped = migration.versions_rewrapped.saturating_add(1);
        migration.kms_calls = migration.kms_calls.saturating_add(core.calls());
        records.binding.migration = Some(migration);
        Ok(self.step(records, vec![record]).await?)
    }

    /// Makes the new KMS keys those in use.
    async fn switch(
        &self,
        records: &mut Snapshot,
        mut migration: MigrationRecord,
        now: SystemTime,
    ) -> Result<Migration, Failure> {
        // A version made since by a node that did not reach the new KMS.
        if next_to_wrap(records, &migration.other).is_some() {
            migration.state = MigrationState::Wrapping;
            records.binding.migration = Some(migration);
            return Ok(self.step(records, Vec::new()).await?);
        }
        let is_recent = migration.asked.is_some_and(|asked| is_younger(asked, now, self.cache.bound()));
        if let Some(record) = records.versions.values().find(|record| is_living(record))
            && !is_recent
        {
            let core = self.counting();
            let unwrapped = self.ask_old(&core, &records.binding, record, now).await?;
            migration.asked = Some(unwrapped.as_of);
            migration.kms_calls = migration.kms_calls.saturating_add(core.calls());
        }
        let old = records.binding.keys();
        let new = std::mem::replace(&mut migration.other, old);
        migration.state = MigrationState::Switched;
        migration.keep_old_until = match migration.keep_old_days {
            0 => None,
            days => now.checked_add(Duration::from_hours(24).saturating_mul(days)).map(timestamp::round_up),
        };
        let binding = &mut records.binding;
        (binding.provider, binding.key_ids, binding.endpoint) = (new.provider, new.key_ids, new.endpoint);
        binding.migration = Some(migration);
        let switched = self.step(records, Vec::new()).await?;
        self.observe_migration("migration.switched", &records.binding);
        Ok(switched)
    }

    /// Deletes old wrappings, some at a time; none is left: it is over.
    async fn clean(
        &self,
        records: &mut Snapshot,
        mut migration: MigrationRecord,
        now: SystemTime,
    ) -> Result<Migration, KeyError> {
        if migration.keep_old_until.is_some_and(|until| until > now) {
            return Ok(Migration::told(&migration, MigrationState::Switched, records));
        }
        let (rows, removed) = tidied(records)?;
        migration.old_wrappings_removed = migration.old_wrappings_removed.saturating_add(removed);
        migration.state = MigrationState::Cleaning;
        if !rows.is_empty() {
            records.binding.migration = Some(migration);
            return self.step(records, rows).await;
        }
        records.binding.migration = None;
        self.write_step(records, rows).await?;
        self.observe_migration("migration.finished", &records.binding);
        Ok(Migration::told(&migration, MigrationState::Done, records))
    }

    /// Deletes the wrappings under the new KMS keys, and forgets the plan.
    async fn call_off(&self, mut records: Snapshot) -> Result<Migration, KeyError> {
        loop {
            let (rows, _) = tidied(&records)?;
            if rows.is_empty() {
                break;
            }
            self.write_step(&mut records, rows).await?;
        }
        let migration = records.binding.migration.take();
        let migration = migration.ok_or(KeyError::Internal { what: "a migration that is called off is there" })?;
        self.write_step(&mut records, Vec::new()).await?;
        self.observe_migration("migration.aborted", &records.binding);
        Ok(Migration::told(&migration, MigrationState::Aborted, &records))
    }

    /// Unwraps a version by the old KMS keys, never from memory: a key that is remembered must not carry a tenant out of
    /// a lock that its owner has just set.
    async fn ask_old(
        &self,
        counting: &Self,
        binding: &Binding,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<Unwrapped, KmsError> {
        let core = if binding.provider == INTERNAL { self } else { counting };
        let unwrapped = core.unwrap_any(&binding.keys(), record, now).await;
        if let Err(error) = &unwrapped {
            self.stopped_by_kms(error);
        }
        unwrapped
    }

    async fn step(&self, records: &mut Snapshot, rows: Vec<VersionRecord>) -> Result<Migration, KeyError> {
        self.write_step(records, rows).await?;
        Migration::of(records).ok_or(KeyError::Internal { what: "a migration that goes on is there" })
    }

    /// Writes the binding and some versions, all or none.
    pub(super) async fn write_step(&self, records: &mut Snapshot, rows: Vec<VersionRecord>) -> Result<(), KeyError> {
        records.binding.generation = next(records.binding.generation)?;
        self.records.write(&self.tenant, Some(&records.binding), &rows).await?;
        records.versions.extend(rows.into_iter().map(|record| ((record.purpose.clone(), record.version), record)));
        self.cache.renew_records();
        Ok(())
    }

    fn observe_migration(&self, name: &'static str, binding: &Binding) {
        let other = binding.migration.as_ref().filter(|migration| migration.state.is_before_switch());
        let keys = other.map_or_else(|| binding.keys(), |migration| migration.other.clone());
        self.observer.observe(&Event { key_id: keys.key_ids.first(), ..self.event(name) });
    }
}

/// A version that is not under all of these KMS keys.
fn next_to_wrap(records: &Snapshot, keys: &KmsKeys) -> Option<(Purpose, u32)> {
    let lacks = |record: &VersionRecord| keys.iter().any(|key| record.wrapping(&key).is_none());
    let found = records.versions.iter().find(|(_, record)| is_living(record) && lacks(record));
    found.map(|(place, _)| place.clone())
}

fn is_tidy(records: &Snapshot) -> bool {
    tidied(records).is_ok_and(|(rows, _)| rows.is_empty())
}

/// Versions without their wrappings under KMS keys that are not in use, as many as one write takes, and how many
/// wrappings that removes.
pub(super) fn tidied(records: &Snapshot) -> Result<(Vec<VersionRecord>, u64), KeyError> {
    let keys = records.binding.keys();
    let (mut rows, mut removed) = (Vec::new(), 0_u64);
    for record in records.versions.values() {
        let mut tidy = record.clone();
        tidy.wrappings.retain_mut(|wrapping| match keys.role(&wrapping.key()) {
            Some(role) => {
                wrapping.role = role;
                true
            }
            None => false,
        });
        if tidy.wrappings == record.wrappings {
            continue;
        }
        // Every verb has wrapped a version under the KMS keys in use before it comes here. If one has not, what it sealed
        // would be lost for good.
        if tidy.wrappings.is_empty() {
            return Err(KeyError::Internal { what: "a version is under a KMS key in use before its old wrappings go" });
        }
        let gone = record.wrappings.len().saturating_sub(tidy.wrappings.len());
        removed = removed.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
        tidy.generation = next(tidy.generation)?;
        rows.push(tidy);
        if rows.len() == MAX_ROWS {
            break;
        }
    }
    Ok((rows, removed))
}

pub(super) fn is_living(record: &VersionRecord) -> bool {
    record.state != VersionState::Destroyed
}
