//! Verbs on a tenant's keys that take several steps: moving them to other KMS keys, wrapping them again, destroying one.
//!
//! Each is in the log before it acts: the plan before anything is asked of the new KMS, the switch before it happens.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::SystemTime;

use qsec_audit::catalogue::KeyAuthority;
use qsec_audit::{Actor, Event, catalogue};
use qsec_crypto::kms::{KeyId, Kms, LocalKms};
use qsec_crypto::{KeyBinding, KeyError, Migration, MigrationState, Purpose, Rewrap, Shredded, TenantId, VersionState};
use tokio::time::Instant;

use super::Tenant;
use super::keys::{Facts, provider};
use crate::error::Error;

/// The provider of the deployment's own KMS.
const INTERNAL: &str = "internal";

/// Who moves the keys, and since when.
struct Mover<'a> {
    actor: &'a Actor,
    began: Instant,
    now: SystemTime,
}

impl Tenant {
    /// Wraps every key version again under the KMS keys of the binding, some added and some removed; it touches no
    /// record. With neither, every wrapping moves to the newest material of its KMS key.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active; [`Error::Key`] with the code `conflict` if it would remove the
    /// last KMS key, and in the state of the KMS keys; [`Error::Record`] if the log does not take the events, which come
    /// first.
    pub async fn rewrap_keys(
        &self,
        add: &[KeyId],
        remove: &[KeyId],
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Rewrap, Error> {
        self.pass("rewrap", now).await?;
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let kept = binding.key_ids.iter().filter(|key_id| !remove.contains(key_id));
        let added = add.iter().filter(|key_id| !binding.key_ids.contains(key_id));
        let events: Vec<Event> = kept.chain(added).map(|key_id| self.rewrapped(&binding, key_id, actor)).collect();
        let rewrap = async { Ok(self.room.keyring().rewrap(add, remove, now).await?) };
        self.deployment.carry_out_all(events, now, rewrap).await
    }

    /// Moves the tenant's keys to KMS keys of another provider, the first of them primary: each key version is wrapped
    /// there, seen to open, and only then in use. No record is touched, and sealing and opening go on. The old wrappings
    /// are kept for so many days, 0 to 30, as a way back.
    ///
    /// Called again with the same target it goes on with a move that was cut off. Moving to where the keys are is done
    /// at once.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active; [`Error::Key`] with `migration_in_progress` if the keys move
    /// elsewhere, and in the state of the KMS keys: a KMS that refuses for good leaves the tenant where it was, one that
    /// is away leaves a move to go on with. [`Error::Record`] if the log does not take an event.
    pub async fn change_key_provider(
        &self,
        to: Arc<dyn Kms>,
        key_ids: &[KeyId],
        keep_old_days: u32,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Migration, Error> {
        self.pass("key_provider", now).await?;
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let mover = Mover { actor, began: Instant::now(), now };
        Box::pin(self.move_keys(&binding, to, key_ids, keep_old_days, &mover)).await
    }

    /// Moves the tenant's keys back to the internal KMS: to the key that they were under, if its wrappings were kept,
    /// else to a new one.
    ///
    /// # Errors
    /// As [`Tenant::change_key_provider`].
    pub async fn revert_keys(&self, keep_old_days: u32, actor: &Actor, now: SystemTime) -> Result<Migration, Error> {
        self.pass("key_provider", now).await?;
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let kms = Arc::clone(&self.deployment.inner.kms);
        let mover = Mover { actor, began: Instant::now(), now };
        let known = internal_keys(&binding);
        if !known.is_empty() {
            return Box::pin(self.move_keys(&binding, kms, &known, keep_old_days, &mover)).await;
        }
        if let Some(error) = no_way_back(self.room.keyring().tenant(), &binding) {
            return Err(self.refuse(self.planned(&binding, INTERNAL, &[], actor), error.into(), now));
        }
        let made = kms.create_key(now).await?;
        let to = Arc::<LocalKms>::clone(&kms);
        let moved = Box::pin(self.move_keys(&binding, to, from_ref(&made), keep_old_days, &mover)).await;
        if moved.is_err() && !self.is_moving_to(&made, now).await {
            // Nothing is under it. That it stays, if it cannot be destroyed now, harms nobody.
            let _ = kms.destroy(&made, now).await;
        }
        moved
    }

    /// Whether a KMS key is in use, or will be: also if that cannot be learnt.
    async fn is_moving_to(&self, key_id: &KeyId, now: SystemTime) -> bool {
        let Ok(binding) = self.key_binding(now).await else { return true };
        let target = binding.migration.iter().flat_map(|moving| &moving.key_ids);
        binding.key_ids.iter().chain(target).any(|known| known == key_id)
    }

    /// Calls off a move that has not switched yet: the tenant stays where it was. Needs no KMS, and works on keys that
    /// are locked.
    ///
    /// # Errors
    /// [`Error::Key`] with the code `conflict` if no move is under way, or it has switched; [`Error::Record`].
    pub async fn abort_key_migration(&self, actor: &Actor, now: SystemTime) -> Result<Migration, Error> {
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let is_under_way = binding.migration.as_ref().is_some_and(|moving| moving.state < MigrationState::Switched);
        let event = self.aborted(&binding, actor);
        let abort = async { Ok(self.room.keyring().abort_migration(now).await?) };
        if is_under_way {
            return self.carry_out(event, now, abort).await;
        }
        match abort.await {
            Ok(migration) => Ok(migration),
            Err(error) => Err(self.refuse(event, error, now)),
        }
    }

    /// Destroys one retired key version for good: what it sealed opens no more.
    ///
    /// # Errors
    /// [`Error::Key`] with the code `conflict` if the version is active, `key_version_not_found` if there is none;
    /// [`Error::Record`] if the log does not take the event, which comes first.
    pub async fn shred_key(
        &self,
        purpose: &Purpose,
        version: u32,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Shredded, Error> {
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let Facts { provider, kms_key, .. } = Facts::of(&binding, purpose);
        let event = catalogue::KeyDestroyed::new()
            .version(i64::from(version))
            .provider(provider)
            .kms_key(kms_key)
            .by_source(KeyAuthority::Tenant)
            .by(actor.clone())
            .subject(format!("key/{}/{purpose}/{version}", self.id()));
        let found = binding.versions.iter().find(|known| known.purpose == *purpose && known.version == version);
        let shred = async { Ok(self.room.keyring().shred(purpose, version, now).await?) };
        match found.map(|known| known.state) {
            Some(VersionState::Retired) => self.carry_out(event, now, shred).await,
            // What cannot be done is asked for all the same: the keyring knows why not.
            _ => shred.await.map_err(|error| self.refuse(event, error, now)),
        }
    }

    async fn move_keys(
        &self,
        binding: &KeyBinding,
        to: Arc<dyn Kms>,
        key_ids: &[KeyId],
        keep_old_days: u32,
        mover: &Mover<'_>,
    ) -> Result<Migration, Error> {
        let (now, target) = (mover.now, (to.provider(), to.endpoint().map(str::to_owned)));
        let is_there =
            (binding.provider.as_str(), &binding.endpoint) == (target.0, &target.1) && binding.key_ids == key_ids;
        let goes_on = binding.migration.as_ref().is_some_and(|moving| {
            (moving.provider.as_str(), &moving.endpoint) == (target.0, &target.1) && moving.key_ids == key_ids
        });
        let planned = self.planned(binding, target.0, key_ids, mover.actor);
        // Given to the deployment first: the new keys open what they wrap also for who comes by another handle.
        self.deployment.add_kms(Arc::clone(&to));
        let plan = async { Ok(self.room.keyring().change_provider(to, key_ids, keep_old_days, now).await?) };
        let migration = if goes_on || is_there {
            Box::pin(plan).await?
        } else {
            Box::pin(self.carry_out(planned, now, plan)).await?
        };
        if is_there && binding.migration.is_none() {
            return Ok(migration);
        }
        Box::pin(self.finish_move(binding, migration, mover)).await
    }

    /// Takes the steps that can be taken now.
    async fn finish_move(
        &self,
        from: &KeyBinding,
        mut reached: Migration,
        mover: &Mover<'_>,
    ) -> Result<Migration, Error> {
        let now = mover.now;
        while reached.state < MigrationState::Done {
            if reached.state == MigrationState::Switched && reached.keep_old_until.is_some_and(|until| until > now) {
                return Ok(reached);
            }
            reached = match Box::pin(self.advance(from, &reached, mover)).await {
                Ok(next) => next,
                Err(error) => return Err(self.not_moved(error, &reached, mover).await),
            };
        }
        Ok(reached)
    }

    /// One step; the switch and the end are in the log before they happen. A move that was cut off between the two is
    /// ended, and recorded, when it goes on: twice perhaps, but never not at all.
    async fn advance(&self, from: &KeyBinding, reached: &Migration, mover: &Mover<'_>) -> Result<Migration, Error> {
        let now = mover.now;
        let step = async { Ok(self.room.keyring().advance_migration(now).await?) };
        if reached.state >= MigrationState::Switched && reached.is_tidy {
            let finished = self.finished(&self.key_binding(now).await?, reached, mover.actor);
            return Box::pin(self.carry_out(finished, now, step)).await;
        }
        if reached.state != MigrationState::Verified {
            return step.await;
        }
        let Facts { version, provider: from_provider, kms_key } = Facts::of(from, &Purpose::data());
        let switched = catalogue::KeyProviderChanged::new()
            .version(version)
            .provider(from_provider)
            .kms_key(kms_key)
            .to_provider(provider(&reached.provider))
            .kms_calls(count(reached.kms_calls))
            .took_ms(i64::try_from(mover.began.elapsed().as_millis()).unwrap_or(i64::MAX))
            .by(mover.actor.clone())
            .subject(self.key_subject());
        let switch = async {
            let next: Migration = step.await?;
            // A version that another node made meanwhile is wrapped first; then the switch is tried again.
            let behind = next.state < MigrationState::Switched;
            Ok((next, behind))
        };
        // On the heap: a step of a move carries much, and most calls never come here.
        let (next, behind) = Box::pin(self.carry_out(switched.clone(), now, switch)).await?;
        if behind {
            let event = switched.failed("conflict").tenant(self.room.audit_id.clone());
            self.deployment.inner.recorder.durable(event, now).await?;
        }
        Ok(next)
    }

    /// A KMS that refused for good has ended the move: that is an event too.
    async fn not_moved(&self, error: Error, reached: &Migration, mover: &Mover<'_>) -> Error {
        let Ok(binding) = self.key_binding(mover.now).await else { return error };
        if reached.state < MigrationState::Switched && binding.migration.is_none() {
            let event = self.aborted(&binding, mover.actor).failed(error.code()).tenant(self.room.audit_id.clone());
            // The caller learns why the keys did not move; a log that fails refuses the next change.
            let _ = self.deployment.inner.recorder.durable(event, mover.now).await;
        }
        error
    }

    fn planned(&self, binding: &KeyBinding, to: &str, key_ids: &[KeyId], actor: &Actor) -> Event {
        let Facts { version, provider: from, kms_key } = Facts::of(binding, &Purpose::data());
        let versions = binding.versions.iter().filter(|version| version.state != VersionState::Destroyed).count();
        let target: Vec<&str> = key_ids.iter().map(KeyId::as_str).collect();
        catalogue::KeyProviderChangePlanned::new()
            .version(version)
            .provider(from)
            .kms_key(kms_key)
            .to_provider(provider(to))
            .to_kms_key(target.join(" "))
            .versions(i64::try_from(versions).unwrap_or(i64::MAX))
            .by(actor.clone())
            .subject(self.key_subject())
    }

    fn finished(&self, binding: &KeyBinding, reached: &Migration, actor: &Actor) -> Event {
        let Facts { version, provider, kms_key } = Facts::of(binding, &Purpose::data());
        catalogue::KeyProviderChangeFinished::new()
            .version(version)
            .provider(provider)
            .kms_key(kms_key)
            .kms_calls(count(reached.kms_calls))
            .old_wrappings_removed(count(reached.old_wrappings_removed))
            .by(actor.clone())
            .subject(self.key_subject())
    }

    fn aborted(&self, binding: &KeyBinding, actor: &Actor) -> Event {
        let Facts { version, provider, kms_key } = Facts::of(binding, &Purpose::data());
        let calls = binding.migration.as_ref().map_or(0, |moving| moving.kms_calls);
        catalogue::KeyProviderChangeAborted::new()
            .version(version)
            .provider(provider)
            .kms_key(kms_key)
            .kms_calls(count(calls))
            .old_wrappings_removed(0)
            .by(actor.clone())
            .subject(self.key_subject())
    }

    fn rewrapped(&self, binding: &KeyBinding, key_id: &KeyId, actor: &Actor) -> Event {
        let Facts { version, provider, .. } = Facts::of(binding, &Purpose::data());
        let known = catalogue::KeyRewrapped::new().version(version).provider(provider).kms_key(key_id.as_str());
        let known = region(key_id).into_iter().fold(known, catalogue::KeyRewrapped::region);
        known.by(actor.clone()).subject(self.key_subject()).tenant(self.room.audit_id.clone())
    }
}

/// Why the keys cannot go back to the internal KMS, as far as the records tell it before a key is made for them there.
fn no_way_back(tenant: &TenantId, binding: &KeyBinding) -> Option<KeyError> {
    if binding.policy.is_phi() {
        return Some(KeyError::PhiRequiresCmk { tenant: tenant.clone() });
    }
    let moving = binding.migration.as_ref()?;
    Some(KeyError::MigrationInProgress { provider: moving.provider.clone() })
}

/// The keys of the internal KMS that a way back leads to, or a move is on its way to.
fn internal_keys(binding: &KeyBinding) -> Vec<KeyId> {
    if let Some(moving) = binding.migration.as_ref().filter(|moving| moving.provider == INTERNAL) {
        return moving.key_ids.clone();
    }
    if binding.provider == INTERNAL {
        return binding.key_ids.clone();
    }
    let wrappings = binding.versions.iter().flat_map(|version| &version.wrappings);
    let mut kept: Vec<KeyId> =
        wrappings.filter(|wrapping| wrapping.provider == INTERNAL).map(|wrapping| wrapping.key_id.clone()).collect();
    kept.sort();
    kept.dedup();
    kept
}

/// The region that an ARN names: its fourth part.
fn region(key_id: &KeyId) -> Option<&str> {
    key_id.as_str().strip_prefix("arn:")?.split(':').nth(2).filter(|region| !region.is_empty())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
