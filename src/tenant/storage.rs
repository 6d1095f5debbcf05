//! Where landing data of the tenant goes, and the credentials for it.

use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_crypto::{Context, Secret};
use qsec_store::{SettingRow, SettingStore};
use zeroize::Zeroizing;

use super::{Tenant, setting};
use crate::error::Error;
use crate::tenant_policy::{Storage, StorageKind, TenantPolicyError};

/// What events of storage are about.
pub(super) const LANDING: &str = "storage/landing";
/// The record of the credentials, among the tenant's.
const CREDENTIALS: &str = "storage-credentials";
/// Most bytes of credentials: keys, tokens and certificates of any store are shorter.
const MAX_CREDENTIALS_BYTES: usize = 64 * 1024;

impl Tenant {
    /// Where landing data of the tenant goes, and where it is staged: nowhere else.
    ///
    /// # Errors
    /// [`Error::TenantPolicy`] with `storage_not_configured` until the operator said so; recorded before this returns.
    pub async fn storage(&self, now: SystemTime) -> Result<Storage, Error> {
        self.pass("storage", now).await?;
        self.storage_configured(now).await
    }

    /// Keeps the credentials with which the configured storage is reached: sealed under the tenant's key, so that who stops
    /// the key stops the loading too. They are good for this landing target and no other; after the target was changed, or
    /// the version of the key that sealed them shredded, they must be given again.
    ///
    /// # Errors
    /// [`Error::TenantPolicy`] with `storage_not_configured` until there is a target, and with `usage` for none or more than
    /// 64 KiB; [`Error::Record`] if the log does not take the event, which comes first; and as [`Tenant::seal`].
    pub async fn set_storage_credentials(
        &self,
        credentials: &Secret,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<(), Error> {
        let storage = self.storage(now).await?;
        if !(1..=MAX_CREDENTIALS_BYTES).contains(&credentials.len()) {
            let what = format!("credentials have 1 to {MAX_CREDENTIALS_BYTES} bytes");
            return Err(TenantPolicyError::Usage { what }.into());
        }
        let body = self.seal(credentials.expose_secret(), &context(&storage), now).await?;
        let _alone = self.room.changes.lock().await;
        let (store, name) = (&self.deployment.inner.store, setting(self.id(), CREDENTIALS));
        let effect = async {
            let stored = SettingStore::get(store, &name).await?.map_or(0, |row| row.generation);
            let row = SettingRow { name, generation: stored.saturating_add(1), body };
            Ok(SettingStore::write(store, &row).await?)
        };
        self.carry_out(configured(&storage).by(actor.clone()).subject(LANDING), now, effect).await
    }

    /// The credentials of the configured storage, for who is about to load; that they were taken out is recorded before
    /// this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] if none were given; [`Error::Open`] if they were given for another target; and as
    /// [`Tenant::storage`] and [`Tenant::open`].
    pub async fn storage_credentials(&self, actor: &Actor, now: SystemTime) -> Result<Secret, Error> {
        let storage = self.storage(now).await?;
        let row = SettingStore::get(&self.deployment.inner.store, &setting(self.id(), CREDENTIALS)).await?;
        let missing = || Error::NotFound { noun: "record of", id: CREDENTIALS.to_owned() };
        let opened = Zeroizing::new(self.open(&row.ok_or_else(missing)?.body, &context(&storage), now).await?);
        let event = catalogue::SecretAccessed::new().secret(CREDENTIALS).purpose("landing").by(actor.clone());
        self.note(event.subject(LANDING), now)?;
        Ok(Secret::copy_from(&opened))
    }

    async fn storage_configured(&self, now: SystemTime) -> Result<Storage, Error> {
        if let Some(storage) = self.policies(now).await?.policy.configured_storage() {
            return Ok(storage.clone());
        }
        let error = TenantPolicyError::StorageNotConfigured;
        let event =
            catalogue::TenantRequestRefused::new().surface("storage").state(error.code()).by(Actor::anonymous());
        Err(self.refuse(event.subject(format!("tenant/{}", self.id())), error.into(), now))
    }
}

/// Credentials open for the target for which they were given: one that was put in its place does not get them.
fn context(storage: &Storage) -> Context {
    Context::from([("record", CREDENTIALS), ("target", storage.landing().address())])
}

pub(super) fn configured(storage: &Storage) -> catalogue::StorageConfigured {
    let kind = match storage.kind() {
        StorageKind::Managed => catalogue::StorageKind::Managed,
        StorageKind::Customer => catalogue::StorageKind::Customer,
    };
    let (target, region) = (storage.landing().address(), storage.landing().region());
    catalogue::StorageConfigured::new().kind(kind).target(target).region(region)
}
