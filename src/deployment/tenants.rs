//! Tenants of a deployment: making them, and every transition of their lifecycle.

use std::future::Future;
use std::time::SystemTime;

use qsec_audit::{Actor, Event, catalogue};
use qsec_crypto::kms::KeyId;
use qsec_crypto::{KeyError, Purpose};
use qsec_identity::{Collection, IdentityStore, SigningKey, SigningKeyRing};
use qsec_store::TenantStore;

use super::Deployment;
use crate::error::Error;
use crate::gate;
use crate::lifecycle::{Defaults, LifecycleError, NewTenant, TenantRecord, TenantState, Verb};
use crate::tenant::{Room, Tenant};

/// The rings that a tenant gets when it is made.
pub(crate) const RINGS: [qsec_identity::Purpose; 2] = [qsec_identity::Purpose::Access, qsec_identity::Purpose::Session];

impl Deployment {
    /// Makes a tenant: its id reserved, its first key version wrapped, its token signing keys made. It is active when
    /// this returns. Interrupted, the next opening of the deployment finishes it.
    ///
    /// # Errors
    /// [`LifecycleError::IdUsed`] if the id was ever used, [`LifecycleError::Usage`] if it is no id, and whatever room
    /// could not do its part.
    pub async fn create_tenant(&self, new: &NewTenant, actor: &Actor, now: SystemTime) -> Result<Tenant, Error> {
        let defaults = Defaults { deployment: &self.inner.facts.name, region: &self.inner.facts.region };
        let record = TenantRecord::provisioning(new, &defaults, now)?;
        if let Some(known) = TenantStore::get(&self.inner.store, record.id()).await? {
            let used = LifecycleError::IdUsed { id: record.id.clone() };
            let event = TenantRecord::from_row(&known)?.refusal(&Verb::Activate, actor, &used);
            self.announce(record.id(), event, now).await?;
            return Err(used.into());
        }
        // The id is spent by what follows, so that it will be is in the log first; that it is active, comes later.
        let planned = record.reservation(actor).tenant(audit_id(record.id())?);
        let reserve = async {
            match self.inner.store.create(&record.to_row()?).await {
                Err(qsec_store::StoreError::IdUsed { id }) => Err(LifecycleError::IdUsed { id }.into()),
                reserved => Ok(reserved?),
            }
        };
        self.carry_out(planned, now, reserve).await?;
        self.provision(&record, actor, now).await
    }

    /// A tenant, ready to work with.
    ///
    /// # Errors
    /// [`LifecycleError::NotFound`], and [`LifecycleError::Inactive`] if it is neither active nor open to its
    /// administrators; the refusal is recorded.
    pub async fn tenant(&self, id: &str) -> Result<Tenant, Error> {
        let now = crate::clock::now();
        let tenant = self.tenant_in_any_state(id).await?;
        tenant.load_policy().await?;
        self.inner.recorder.ready(now).await?;
        gate::pass(&self.inner.recorder, &tenant.record(), "open", now)?;
        Ok(tenant)
    }

    /// A tenant in whatever state: for looking at its keys, its clients and its log. What a tenant that is not active
    /// must not do is refused there as well.
    ///
    /// # Errors
    /// [`LifecycleError::NotFound`], or the store's errors.
    pub async fn tenant_for_operator(&self, id: &str) -> Result<Tenant, Error> {
        let tenant = self.tenant_in_any_state(id).await?;
        // A policy that cannot be read decides nothing; keys and log must stay within an operator's reach.
        let _ = tenant.load_policy().await;
        Ok(tenant)
    }

    /// What is known of a tenant, whatever its state.
    ///
    /// # Errors
    /// [`LifecycleError::NotFound`], or the store's errors.
    pub async fn tenant_record(&self, id: &str) -> Result<TenantRecord, Error> {
        let row = TenantStore::get(&self.inner.store, id).await?;
        let row = row.ok_or_else(|| LifecycleError::NotFound { id: id.to_owned() })?;
        Ok(TenantRecord::from_row(&row)?)
    }

    /// Every tenant, in the order of ids; tombstones too.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn tenants(&self) -> Result<Vec<TenantRecord>, Error> {
        let rows = TenantStore::list(&self.inner.store).await?;
        Ok(rows.iter().map(TenantRecord::from_row).collect::<Result<_, _>>()?)
    }

    /// Closes a tenant to its users; its administrators stay.
    ///
    /// # Errors
    /// [`LifecycleError`] if the transition is not in the table, or somebody else was faster.
    pub async fn disable_users(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<TenantRecord, Error> {
        self.change(id, &Verb::DisableUsers, actor, now).await
    }

    /// Opens a tenant to its users again.
    ///
    /// # Errors
    /// As [`Deployment::disable_users`].
    pub async fn enable_users(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<TenantRecord, Error> {
        self.change(id, &Verb::EnableUsers, actor, now).await
    }

    /// Switches a tenant off: nothing runs, nothing is lost, and after `days` (10 to 90) it may be purged.
    ///
    /// # Errors
    /// [`LifecycleError::ConfirmMismatch`] unless `confirm` is the tenant's name, [`LifecycleError::Usage`] for days out
    /// of range, and the errors of the table of transitions.
    pub async fn deactivate(
        &self,
        id: &str,
        days: u32,
        confirm: &str,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<TenantRecord, Error> {
        let (record, verb) = (self.tenant_record(id).await?, Verb::Deactivate { days });
        if record.name() != confirm {
            return Err(self.refuse(&record, &verb, actor, LifecycleError::ConfirmMismatch, now).await);
        }
        self.apply(&record, &verb, actor, now).await
    }

    /// Switches a deactivated tenant on again. Sessions and tokens from before do not come back.
    ///
    /// # Errors
    /// As [`Deployment::disable_users`].
    pub async fn reactivate(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<TenantRecord, Error> {
        self.change(id, &Verb::Reactivate, actor, now).await
    }

    /// Forbids the deactivation of a tenant.
    ///
    /// # Errors
    /// As [`Deployment::disable_users`].
    pub async fn protect(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<TenantRecord, Error> {
        self.change(id, &Verb::Protect, actor, now).await
    }

    /// Allows it again: to anyone but whoever called this.
    ///
    /// # Errors
    /// As [`Deployment::disable_users`].
    pub async fn unprotect(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<TenantRecord, Error> {
        self.change(id, &Verb::Unprotect, actor, now).await
    }

    pub(crate) async fn tenant_in_any_state(&self, id: &str) -> Result<Tenant, Error> {
        let record = self.tenant_record(id).await?;
        let room = if let Some(room) = self.room(id) {
            room
        } else {
            let room = Room::new(record, self.keyring(id)?)?;
            self.keep_room(id, room.load(&self.inner.store).await?)
        };
        let tenant = self.handle(room);
        // Read once more: whoever changed the row before the room was there for everyone could not tell it.
        tenant.fresh_record().await?;
        Ok(tenant)
    }

    /// Guard, event, compare-and-set: the one way in which a tenant's row changes.
    async fn change(&self, id: &str, verb: &Verb, actor: &Actor, now: SystemTime) -> Result<TenantRecord, Error> {
        let record = self.tenant_record(id).await?;
        self.apply(&record, verb, actor, now).await
    }

    async fn apply(
        &self,
        record: &TenantRecord,
        verb: &Verb,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<TenantRecord, Error> {
        let (next, event) = match record.after(verb, actor, now) {
            Ok(changed) => changed,
            Err(error) => return Err(self.refuse(record, verb, actor, error, now).await),
        };
        let write = async {
            match TenantStore::write(&self.inner.store, &next.to_row()?).await {
                Err(qsec_store::StoreError::Conflict { .. }) => {
                    let version = self.tenant_record(&record.id).await?.version();
                    Err(LifecycleError::Changed { id: record.id.clone(), version }.into())
                }
                written => Ok(written?),
            }
        };
        self.carry_out(event.tenant(audit_id(&record.id)?), now, write).await?;
        if let Some(room) = self.room(&record.id) {
            if !next.state.is_usable() {
                room.keyring().forget();
            }
            room.replace_record(next.clone());
        }
        Ok(next)
    }

    /// Event, on disk; then its effect. An effect that does not follow is an event too: the first one alone would lie.
    pub(crate) async fn carry_out<T>(
        &self,
        event: Event,
        now: SystemTime,
        effect: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.carry_out_all(vec![event], now, effect).await
    }

    /// The same for an effect that several events announce.
    pub(crate) async fn carry_out_all<T>(
        &self,
        events: Vec<Event>,
        now: SystemTime,
        effect: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.inner.recorder.durable_all(events.clone(), now).await?;
        match effect.await {
            Ok(done) => Ok(done),
            Err(error) => {
                let undone = events.into_iter().map(|event| event.failed(error.code())).collect();
                // A log that fails meanwhile refuses the next change; this caller learns why theirs was not made.
                let _ = self.inner.recorder.durable_all(undone, now).await;
                Err(error)
            }
        }
    }

    /// A transition that is refused has its event as well.
    async fn refuse(
        &self,
        record: &TenantRecord,
        verb: &Verb,
        actor: &Actor,
        why: LifecycleError,
        now: SystemTime,
    ) -> Error {
        match self.announce(&record.id, record.refusal(verb, actor, &why), now).await {
            Ok(()) => why.into(),
            Err(unrecorded) => unrecorded,
        }
    }

    /// The log puts an event of a tenant's lifecycle into the tenant's tree and, as a second leaf of the same write, into
    /// the deployment's, so that it survives a purge.
    async fn announce(&self, id: &str, event: Event, now: SystemTime) -> Result<(), Error> {
        self.inner.recorder.durable(event.tenant(audit_id(id)?), now).await?;
        Ok(())
    }

    /// Makes what a new tenant needs. Every step looks first whether it was done, so that it can be taken again.
    async fn provision(&self, record: &TenantRecord, actor: &Actor, now: SystemTime) -> Result<Tenant, Error> {
        self.provision_keys(record.id(), actor, now).await?;
        for purpose in RINGS {
            self.provision_ring(record.id(), purpose, actor, now).await?;
        }
        self.apply(record, &Verb::Activate, actor, now).await?;
        let tenant = self.tenant_in_any_state(record.id()).await?;
        tenant.load_policy().await?;
        Ok(tenant)
    }

    async fn provision_keys(&self, id: &str, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let keyring = self.keyring(id)?;
        match keyring.describe(now).await {
            Ok(_) => return Ok(()),
            Err(KeyError::TenantNotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let key: KeyId = self.inner.kms.create_key(now).await?;
        let event = catalogue::KeyCreated::new()
            .version(1)
            .provider(catalogue::Provider::Internal)
            .kms_key(key.as_str())
            .purpose(Purpose::data().as_str())
            .by(actor.clone())
            .subject(format!("key/{id}/data/1"))
            .tenant(audit_id(id)?);
        self.carry_out(event, now, async { Ok(keyring.create(&[key], &[Purpose::data()], now).await?) }).await
    }

    async fn provision_ring(
        &self,
        id: &str,
        purpose: qsec_identity::Purpose,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        if IdentityStore::get(store, id, Collection::SigningKey, purpose.as_str()).await?.is_some() {
            return Ok(());
        }
        let key = SigningKey::generate(qsec_identity::Algorithm::Es256)
            .map_err(|error| Error::internal(error.to_string()))?;
        let record = signing_key_record(id, purpose, key.kid());
        let wrapped = self.inner.token_keys.seal(&record, key.private_bytes().expose_secret())?;
        let event = catalogue::SigningKeyActivated::new()
            .kid(key.kid())
            .alg(key.algorithm().as_str())
            .by(actor.clone())
            .subject(format!("signing_key/{}", key.kid()))
            .tenant(audit_id(id)?);
        let ring = SigningKeyRing::create(purpose, key.verifying_key(), Some(wrapped), now)
            .map_err(|error| Error::internal(error.to_string()))?;
        let write = async { Ok(IdentityStore::write(store, id, Collection::SigningKey, &ring.to_row()).await?) };
        self.carry_out(event, now, write).await
    }

    /// Finishes what an interrupted `create_tenant` left. What cannot be finished stays as it is, for the other tenants'
    /// sake: it answers nothing, and [`Deployment::examine`] names it.
    pub(crate) async fn finish_provisioning(&self, now: SystemTime) -> Result<(), Error> {
        for record in self.tenants().await? {
            if record.state() == TenantState::Provisioning {
                let _ = self.provision(&record, &Actor::system(), now).await;
            }
        }
        Ok(())
    }
}

/// The name under which the private part of a token key is sealed: it opens nowhere else.
pub(crate) fn signing_key_record(tenant: &str, purpose: qsec_identity::Purpose, kid: &str) -> String {
    format!("signing-key/{tenant}/{}/{kid}", purpose.as_str())
}

pub(crate) fn audit_id(id: &str) -> Result<qsec_audit::TenantId, Error> {
    qsec_audit::TenantId::parse(id).map_err(|error| Error::internal(error.to_string()))
}
