//! One tenant, as its own services see it: who is calling, what they may do, which rows they see, its bytes.
//!
//! | room of this tenant | file |
//! |---|---|
//! | signing in, authenticating, issuing tokens | `sign_in.rs`, `tokens.rs` |
//! | OAuth clients and their tokens | `clients.rs` |
//! | policy, its changes, decisions | `policy.rs`, `management.rs`, `access.rs` |
//! | reduced data, access tables in force | `access.rs`, `sections.rs` |
//! | who may see what, and which grants nobody needs | `privileges.rs` |
//! | where its data may be, health data; optional features; storage | `policies.rs`, `features.rs`, `storage.rs` |
//! | sealed bytes and keys | `keys.rs` |
//! | moving, rewrapping and shredding keys; objects under a newer one | `moves.rs`, `reencrypt.rs` |

mod access;
mod clients;
mod features;
mod keys;
mod management;
mod moves;
mod policies;
mod policy;
mod privileges;
mod reencrypt;
mod sections;
mod sign_in;
mod storage;
mod tokens;

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use qsec_audit::{Event, Log, Proven, Receipt, Tree, VerifierKey};
use qsec_crypto::Keyring;
use qsec_store::Store;

use self::policies::Policies;
use self::policy::InForce;
use self::privileges::Uses;
pub use self::reencrypt::Reencrypted;
use self::sections::Sections;
pub use self::sign_in::SignedIn;
use self::tokens::Validators;
use crate::deployment::{Deployment, audit_id, off_runtime};
use crate::error::Error;
use crate::gate;
use crate::lifecycle::TenantRecord;

/// A tenant of an open deployment. Cloning gives another handle to the same one.
///
/// Each method passes the tenant's gate first: a tenant that is not active refuses everything, also through a handle
/// that was taken before.
///
/// ```
/// # use qsec::{Deployment, NewTenant, Setup};
/// # use qsec::audit::Actor;
/// # use qsec::crypto::Context;
/// # use std::time::SystemTime;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let home = folder.path().join("home");
/// # let now = SystemTime::now();
/// # Deployment::create(&home, Setup::new(), now).await?;
/// # let deployment = Deployment::open(&home).await?;
/// # deployment.create_tenant(&NewTenant::new("acme"), &Actor::operator("op-1"), now).await?;
/// let acme = deployment.tenant("acme").await?;
/// let context = Context::from([("table", "orders"), ("row", "17")]);
///
/// let sealed = acme.seal(b"4,200 EUR", &context, now).await?;
/// assert_eq!(acme.open(&sealed, &context, now).await?, b"4,200 EUR");
/// assert!(acme.open(&sealed, &Context::from([("row", "18")]), now).await.is_err());
/// # deployment.close(now).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tenant {
    deployment: Deployment,
    room: Arc<Room>,
}

/// What a deployment keeps of a tenant while it is open.
#[derive(Debug)]
pub(crate) struct Room {
    id: String,
    audit_id: qsec_audit::TenantId,
    record: RwLock<Arc<TenantRecord>>,
    keyring: Keyring,
    policies: Policies,
    policy: InForce,
    sections: Sections,
    uses: Uses,
    validators: Validators,
    /// One at a time changes what the tenant has: what is looked at first is still so when it is written.
    changes: tokio::sync::Mutex<()>,
}

impl Room {
    pub(crate) fn new(record: TenantRecord, keyring: Keyring) -> Result<Self, Error> {
        let audit_id = audit_id(record.id())?;
        let sections = Sections::new(record.id());
        Ok(Self {
            id: record.id().to_owned(),
            audit_id,
            record: RwLock::new(Arc::new(record)),
            keyring,
            policies: Policies::default(),
            policy: InForce::default(),
            sections,
            uses: Uses::default(),
            validators: Validators::default(),
            changes: tokio::sync::Mutex::default(),
        })
    }

    /// Reads what the store keeps of the tenant besides: before anybody has a handle to it.
    pub(crate) async fn load(self, store: &Store) -> Result<Self, Error> {
        self.sections.load(store).await?;
        self.uses.load(store, &self.id).await?;
        Ok(self)
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Takes a newer row; an older one changes nothing.
    pub(crate) fn replace_record(&self, record: TenantRecord) {
        let mut kept = self.record.write().unwrap_or_else(PoisonError::into_inner);
        if record.version() >= kept.version() {
            *kept = Arc::new(record);
        }
    }

    fn record(&self) -> Arc<TenantRecord> {
        Arc::clone(&self.record.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tenant {
    pub(crate) fn new(deployment: Deployment, room: Arc<Room>) -> Self {
        Self { deployment, room }
    }

    /// The tenant's id.
    pub fn id(&self) -> &str {
        &self.room.id
    }

    /// What is known of it.
    pub fn record(&self) -> TenantRecord {
        TenantRecord::clone(&self.room.record())
    }

    /// The issuer of its tokens, and their default audience.
    pub fn issuer(&self) -> String {
        self.room.record().issuer().to_owned()
    }

    /// Records an event of the tenant's own in its tree, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Record`] if the log does not take it.
    pub async fn write_event(&self, event: Event, now: SystemTime) -> Result<Receipt, Error> {
        self.pass("record", now).await?;
        self.deployment.inner.recorder.durable(event.tenant(self.room.audit_id.clone()), now).await
    }

    /// A proof that an event is in the tenant's tree, for anyone who has the tenant's verifier key.
    ///
    /// # Errors
    /// [`Error::Prove`] if there is no such event, [`Error::Log`] if the log does not open.
    pub async fn prove(&self, receipt: &Receipt, now: SystemTime) -> Result<Proven, Error> {
        self.prove_index(receipt.index(), now).await
    }

    /// The same for the event at that index of the tenant's tree.
    ///
    /// # Errors
    /// As [`Tenant::prove`].
    pub async fn prove_index(&self, index: u64, now: SystemTime) -> Result<Proven, Error> {
        let tree = self.tree();
        self.with_log(now, move |log| Ok(log.prove_index(&tree, index, now)?)).await
    }

    /// The key with which anyone verifies the tenant's checkpoints and proofs.
    ///
    /// # Errors
    /// [`Error::Log`] if the log does not open.
    pub async fn verifier_key(&self, now: SystemTime) -> Result<VerifierKey, Error> {
        let tree = self.tree();
        self.with_log(now, move |log| Ok(log.verifier_key(&tree))).await
    }

    fn tree(&self) -> Tree {
        Tree::Tenant(self.room.audit_id.clone())
    }

    /// Work that waits for the disk.
    async fn with_log<T: Send + 'static>(
        &self,
        now: SystemTime,
        work: impl FnOnce(&Log) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let recorder = Arc::clone(&self.deployment.inner.recorder);
        off_runtime(move || work(&*recorder.log(now)?)).await
    }

    /// The row as the store has it now.
    pub(crate) async fn fresh_record(&self) -> Result<TenantRecord, Error> {
        let record = self.deployment.tenant_record(self.id()).await?;
        self.room.replace_record(record.clone());
        Ok(record)
    }

    /// The gate, with the row as the store has it now.
    pub(crate) async fn pass(&self, surface: &str, now: SystemTime) -> Result<TenantRecord, Error> {
        let record = self.fresh_record().await?;
        self.deployment.inner.recorder.ready(now).await?;
        gate::pass(&self.deployment.inner.recorder, &record, surface, now)?;
        Ok(record)
    }

    /// The gate with the newest row that this node has seen: for what must not wait.
    pub(crate) fn pass_here(&self, surface: &str, now: SystemTime) -> Result<Arc<TenantRecord>, Error> {
        let record = self.room.record();
        gate::pass(&self.deployment.inner.recorder, &record, surface, now)?;
        Ok(record)
    }

    /// An event of this tenant, handed to the log.
    pub(crate) fn note(&self, event: Event, now: SystemTime) -> Result<(), Error> {
        self.deployment.inner.recorder.hand_over(event, Some(&self.room.audit_id), now)
    }

    /// An event of this tenant, on disk; then its effect. An effect that does not follow is an event too.
    pub(crate) async fn carry_out<T>(
        &self,
        event: Event,
        now: SystemTime,
        effect: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.deployment.carry_out(event.tenant(self.room.audit_id.clone()), now, effect).await
    }

    /// A refusal that the log has before the caller has it; if the log does not take it, that is the answer.
    pub(crate) fn refuse(&self, event: Event, error: Error, now: SystemTime) -> Error {
        match self.note(event.denied(error.code()), now) {
            Ok(()) => error,
            Err(unrecorded) => unrecorded,
        }
    }
}

/// The name of a record that the store keeps of a tenant, among those that go when it is purged. No tenant's id has a slash.
fn setting(tenant: &str, what: &str) -> String {
    format!("tenant/{tenant}/{what}")
}
