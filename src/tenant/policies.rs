//! The tenant's policies: where its data may be, whether it is health data, its optional features, its storage.
//!
//! What is demanded of KMS keys is in the authenticated record of the tenant's keys; the rest is one sealed record, which
//! names tenant and generation, so that neither another tenant's nor an older one in a newer one's place opens.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use qsec_audit::{Actor, ActorType, Event, catalogue};
use qsec_crypto::{Context, KeyPolicy, Purpose};
use qsec_store::{SettingRow, SettingStore};

use super::storage::{LANDING, configured};
use super::{Tenant, setting};
use crate::error::Error;
use crate::lifecycle::TenantRecord;
use crate::tenant_policy::{Rest, TenantPolicy, TenantPolicyError};
use crate::vault::{ServiceKey, ServicePurpose};

/// The policies in force, once somebody asked for them. One process works on a deployment: nobody else changes them.
#[derive(Debug, Default)]
pub(super) struct Policies(RwLock<Option<Arc<Current>>>);

/// The policies, and the generation of their record: 0 if there is none.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) policy: TenantPolicy,
    generation: u64,
}

impl Policies {
    fn known(&self) -> Option<Arc<Current>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, set: Option<Current>) -> Option<Arc<Current>> {
        let set = set.map(Arc::new);
        self.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(&set);
        set
    }
}

impl Tenant {
    /// What the tenant demands, and what it is allowed. Works in every state of the tenant.
    ///
    /// # Errors
    /// [`Error::Key`] and [`Error::Open`] if the records cannot be read or were forged.
    pub async fn tenant_policy(&self, now: SystemTime) -> Result<TenantPolicy, Error> {
        Ok(self.policies(now).await?.policy.clone())
    }

    /// Sets the tenant's policies in place of those before: for the operator, and as far as it is stricter for whoever
    /// administers the tenant. The KMS keys in use must satisfy it already: move first, then demand. It holds at once.
    ///
    /// ```
    /// # use qsec::{Deployment, NewTenant, Setup};
    /// # use qsec::audit::Actor;
    /// # use std::time::SystemTime;
    /// use qsec::{Storage, StorageKind, Target, TenantPolicy};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let home = folder.path().join("home");
    /// # let (now, operator) = (SystemTime::now(), Actor::operator("op-1"));
    /// # Deployment::create(&home, Setup::new().region("eu"), now).await?;
    /// # let deployment = Deployment::open(&home).await?;
    /// # let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator, now).await?;
    /// assert_eq!(acme.storage(now).await.unwrap_err().code(), "storage_not_configured");
    /// let (landing, staging) = (Target::new("s3://landing/acme", "eu")?, Target::new("s3://acme-staging", "eu")?);
    /// let policy = TenantPolicy::new().storage(Storage::new(StorageKind::Managed, landing, staging));
    ///
    /// let refused = acme.set_tenant_policy(&policy, &Actor::user("ana"), now).await.unwrap_err();
    /// assert_eq!(refused.code(), "operator_required");
    /// acme.set_tenant_policy(&policy, &operator, now).await?;
    /// assert_eq!(acme.storage(now).await?.landing().address(), "s3://landing/acme");
    /// # deployment.close(now).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::TenantPolicy`] with `operator_required` if it allows more and the actor is no operator, and with
    /// `region_not_allowed` for a feature or storage elsewhere; [`Error::Key`] with `phi_requires_cmk`, `region_not_allowed`
    /// or `multi_region_required` if the KMS keys in use do not satisfy it, and in the state of the key; [`Error::Record`] if
    /// the log does not take the events, which come first.
    pub async fn set_tenant_policy(&self, policy: &TenantPolicy, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let record = self.pass("policy", now).await?;
        let _alone = self.room.changes.lock().await;
        let before = self.policies_alone(now).await?;
        self.change_policy(&record, &before, policy, actor, now).await
    }

    /// What the tenant demands of its KMS keys. Works in every state of the tenant.
    ///
    /// # Errors
    /// [`Error::Key`] if the records cannot be read or were forged.
    pub async fn key_policy(&self, now: SystemTime) -> Result<KeyPolicy, Error> {
        Ok(self.key_binding(now).await?.policy)
    }

    /// Sets what the tenant demands of its KMS keys, and leaves its other policies as they are: regions, keys in several of
    /// them, and none of the deployment's own for data labelled PHI.
    ///
    /// # Errors
    /// As [`Tenant::set_tenant_policy`].
    pub async fn set_key_policy(&self, policy: &KeyPolicy, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let record = self.pass("policy", now).await?;
        let _alone = self.room.changes.lock().await;
        let before = self.policies_alone(now).await?;
        let next = before.policy.clone().keys(policy.clone());
        self.change_policy(&record, &before, &next, actor, now).await
    }

    /// Seals content that is marked as health data: as [`Tenant::seal`], for a tenant whose policy says that it has such
    /// content, which demands a key that the customer owns, and with the reference of an agreement.
    ///
    /// # Errors
    /// [`Error::TenantPolicy`] with `phi_requires_cmk` otherwise, recorded before this returns; and as [`Tenant::seal`].
    pub async fn seal_phi(&self, bytes: &[u8], context: &Context, now: SystemTime) -> Result<Vec<u8>, Error> {
        self.pass("seal", now).await?;
        if !self.policies(now).await?.policy.key_policy().is_phi() {
            return Err(self.refuse_phi("seal", TenantPolicyError::NotPhi, now));
        }
        self.seal(bytes, context, now).await
    }

    /// Whether the tenant's policies let anything be sealed: what it has is health data if its policy says so.
    pub(super) async fn may_seal(&self, surface: &str, purpose: &Purpose, now: SystemTime) -> Result<(), Error> {
        let policies = match self.policies(now).await {
            Err(Error::Key(error)) => return Err(self.no_key(error, surface, purpose, now)),
            read => read?,
        };
        if policies.policy.key_policy().is_phi() && !policies.policy.has_agreement() {
            return Err(self.refuse_phi(surface, TenantPolicyError::NoAgreement, now));
        }
        Ok(())
    }

    async fn change_policy(
        &self,
        record: &TenantRecord,
        before: &Current,
        next: &TenantPolicy,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<(), Error> {
        if next.is_looser_than(&before.policy) && actor.kind() != ActorType::Operator {
            let event = policy_changed(record, &next.changes(&before.policy)).by(actor.clone());
            return Err(self.refuse(event.subject(subject(record)), TenantPolicyError::OperatorRequired.into(), now));
        }
        if let Some(region) = next.region_outside(record.region()) {
            let allowed: Vec<&str> = next.allowed_regions(record.region()).into_iter().collect();
            let event = catalogue::ResidencyRefused::new().wanted(region).allowed(allowed.iter().copied());
            let error = TenantPolicyError::RegionNotAllowed { region: region.to_owned(), allowed: allowed.join(" ") };
            return Err(self.refuse(event.by(actor.clone()).subject(subject(record)), error.into(), now));
        }
        self.store_policy(record, before, next, actor, now).await
    }

    /// Recorded, then in force. Keys first: they may refuse, and then nothing has changed.
    pub(super) async fn store_policy(
        &self,
        record: &TenantRecord,
        before: &Current,
        next: &TenantPolicy,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<(), Error> {
        if next.changes(&before.policy).is_empty() {
            return Ok(());
        }
        let events = events_of(record, &before.policy, next, actor);
        let events = events.into_iter().map(|event| event.tenant(self.room.audit_id.clone())).collect();
        let effect = async {
            // Whatever comes of it, what was known is not known any more.
            self.room.policies.replace(None);
            if next.key_policy() != before.policy.key_policy() {
                self.room.keyring().set_policy(next.key_policy(), now).await?;
            }
            let mut generation = before.generation;
            if next.rest() != before.policy.rest() {
                generation = generation.saturating_add(1);
                self.write_policy(next.rest(), generation, now).await?;
            }
            self.room.policies.replace(Some(Current { policy: next.clone(), generation }));
            Ok(())
        };
        self.deployment.carry_out_all(events, now, effect).await
    }

    pub(super) async fn policies(&self, now: SystemTime) -> Result<Arc<Current>, Error> {
        if let Some(known) = self.room.policies.known() {
            return Ok(known);
        }
        let _alone = self.room.changes.lock().await;
        self.policies_alone(now).await
    }

    /// The same for who holds the lock of changes: so what was read is not older than what was written meanwhile.
    pub(super) async fn policies_alone(&self, now: SystemTime) -> Result<Arc<Current>, Error> {
        if let Some(known) = self.room.policies.known() {
            return Ok(known);
        }
        let keys = self.key_policy(now).await?;
        let (rest, generation) = match SettingStore::get(&self.deployment.inner.store, &self.policy_setting()).await? {
            None => (Rest::default(), 0),
            Some(row) => (self.open_policy(&row, now).await?, row.generation),
        };
        let set = self.room.policies.replace(Some(Current { policy: TenantPolicy::of(keys, rest), generation }));
        set.ok_or_else(|| Error::internal("a policy that was just kept is gone"))
    }

    async fn open_policy(&self, row: &SettingRow, now: SystemTime) -> Result<Rest, Error> {
        let opened = self.policy_key(now).await?.open(&self.policy_record(row.generation), &row.body)?;
        serde_json::from_slice(&opened).map_err(|error| Error::internal(error.to_string()))
    }

    async fn write_policy(&self, rest: &Rest, generation: u64, now: SystemTime) -> Result<(), Error> {
        let body = serde_json::to_vec(rest).map_err(|error| Error::internal(error.to_string()))?;
        let body = self.policy_key(now).await?.seal(&self.policy_record(generation), &body)?;
        let row = SettingRow { name: self.policy_setting(), generation, body };
        Ok(SettingStore::write(&self.deployment.inner.store, &row).await?)
    }

    async fn policy_key(&self, now: SystemTime) -> Result<ServiceKey, Error> {
        self.deployment.inner.vault.sealing(ServicePurpose::TenantPolicies, now).await
    }

    fn policy_setting(&self) -> String {
        setting(self.id(), "policy")
    }

    fn policy_record(&self, generation: u64) -> String {
        format!("tenant-policy/{}/{generation}", self.id())
    }

    pub(super) fn refuse_phi(&self, wanted: &str, error: impl Into<Error>, now: SystemTime) -> Error {
        let event = catalogue::PhiRefused::new().wanted(wanted).allowed(["customer_managed_key", "agreement"]);
        self.refuse(event.by(Actor::anonymous()).subject(format!("tenant/{}", self.id())), error.into(), now)
    }
}

fn subject(record: &TenantRecord) -> String {
    format!("tenant/{}", record.id())
}

/// Where the tenant stands is not changed by it; the catalogue wants it in every event of a tenant.
pub(super) fn policy_changed(record: &TenantRecord, changed: &[&str]) -> catalogue::TenantPolicyChanged {
    let (state, version) = (record.state().as_str(), i64::try_from(record.version()).unwrap_or(i64::MAX));
    catalogue::TenantPolicyChanged::new().from(state).to(state).version(version).changed(changed.iter().copied())
}

/// One event of the whole, and one of each feature and of storage.
fn events_of(record: &TenantRecord, before: &TenantPolicy, next: &TenantPolicy, actor: &Actor) -> Vec<Event> {
    let mut events = vec![policy_changed(record, &next.changes(before)).by(actor.clone()).subject(subject(record))];
    events.extend(next.switches(before).map(|(feature, on)| {
        let event = if on {
            catalogue::FeatureEnabled::new().feature(feature).by(actor.clone())
        } else {
            catalogue::FeatureDisabled::new().feature(feature).by(actor.clone())
        };
        event.subject(format!("feature/{feature}"))
    }));
    let storage = next.configured_storage().filter(|storage| before.configured_storage() != Some(storage));
    events.extend(storage.map(|storage| configured(storage).by(actor.clone()).subject(LANDING)));
    events
}
