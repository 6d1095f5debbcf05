//! The tenant's bytes, and the key that opens them.

use std::time::SystemTime;

use qsec_audit::catalogue::{KeyAuthority, Provider};
use qsec_audit::{Actor, catalogue};
use qsec_crypto::{Context, KeyringDescription, Purpose, Rotation, TenantKey};

use super::Tenant;
use crate::error::Error;

impl Tenant {
    /// Seals bytes under the tenant's newest key version, bound to a context that is not stored: who opens must know it.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Key`] in the state of its key, [`Error::Seal`] for a
    /// context or length out of bounds.
    pub async fn seal(&self, bytes: &[u8], context: &Context, now: SystemTime) -> Result<Vec<u8>, Error> {
        Ok(self.sealing_key(&Purpose::data(), now).await?.seal(bytes, context)?)
    }

    /// Opens bytes that were sealed for this tenant with the same context.
    ///
    /// # Errors
    /// [`Error::Open`], which never says which part did not fit, and the errors of [`Tenant::seal`].
    pub async fn open(&self, sealed: &[u8], context: &Context, now: SystemTime) -> Result<Vec<u8>, Error> {
        Ok(self.opening_key(sealed, &Purpose::data(), now).await?.open(sealed, context)?)
    }

    /// The key that seals now: for streams and large files.
    ///
    /// # Errors
    /// As [`Tenant::seal`].
    pub async fn sealing_key(&self, purpose: &Purpose, now: SystemTime) -> Result<TenantKey, Error> {
        self.pass("seal", now).await?;
        Ok(self.room.keyring().current(purpose, now).await?)
    }

    /// The key that opens bytes beginning like these: at least the header, six bytes.
    ///
    /// # Errors
    /// As [`Tenant::open`].
    pub async fn opening_key(&self, sealed: &[u8], purpose: &Purpose, now: SystemTime) -> Result<TenantKey, Error> {
        self.pass("open", now).await?;
        Ok(self.room.keyring().for_sealed(sealed, purpose, now).await?)
    }

    /// The tenant's key as it stands: versions, states, wrappings. Works in every state of the tenant.
    ///
    /// # Errors
    /// [`Error::Key`] if the records cannot be read or were forged.
    pub async fn describe_keys(&self, now: SystemTime) -> Result<KeyringDescription, Error> {
        Ok(self.room.keyring().describe(now).await?)
    }

    /// Makes a new key version: new bytes are sealed under it, old ones stay readable.
    ///
    /// # Errors
    /// [`Error::Key`] in the state of the key, [`Error::Record`] if the log does not take the event, which comes first.
    pub async fn rotate_key(&self, purpose: &Purpose, actor: &Actor, now: SystemTime) -> Result<Rotation, Error> {
        let current = self.room.keyring().current(purpose, now).await?.version();
        let event = catalogue::KeyRotated::new()
            .from_version(i64::from(current))
            .version(i64::from(current).saturating_add(1))
            .provider(Provider::Internal)
            .by(actor.clone())
            .subject(format!("key/{}/{purpose}/{current}", self.id()));
        self.announce(event, now).await?;
        Ok(self.room.keyring().rotate(purpose, now).await?)
    }

    /// Locks the tenant's key: nothing opens and nothing is sealed until it is enabled again. Nothing is lost.
    ///
    /// # Errors
    /// As [`Tenant::rotate_key`].
    pub async fn disable_key(&self, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let event = catalogue::KeyDisabled::new()
            .by_source(KeyAuthority::Tenant)
            .provider(Provider::Internal)
            .by(actor.clone());
        self.announce(event.subject(self.key_subject()), now).await?;
        Ok(self.room.keyring().disable(now).await?)
    }

    /// Unlocks it.
    ///
    /// # Errors
    /// As [`Tenant::rotate_key`].
    pub async fn enable_key(&self, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let event =
            catalogue::KeyEnabled::new().by_source(KeyAuthority::Tenant).provider(Provider::Internal).by(actor.clone());
        self.announce(event.subject(self.key_subject()), now).await?;
        Ok(self.room.keyring().enable(now).await?)
    }

    /// Locks the key at once and destroys it after 7 to 30 days, unless the deletion is cancelled.
    ///
    /// # Errors
    /// [`Error::Key`] for days out of range, and as [`Tenant::rotate_key`].
    pub async fn schedule_key_deletion(&self, days: u32, actor: &Actor, now: SystemTime) -> Result<SystemTime, Error> {
        qsec_crypto::check_deletion_days(days)?;
        let due = now.checked_add(std::time::Duration::from_secs(u64::from(days) * crate::clock::DAY_SECONDS));
        let due = due.ok_or_else(|| Error::Malformed { what: "the clock is beyond all dates".to_owned() })?;
        let event = catalogue::KeyDeletionScheduled::new()
            .by_source(KeyAuthority::Tenant)
            .days(i64::from(days))
            .due(due)
            .by(actor.clone());
        self.announce(event.subject(self.key_subject()), now).await?;
        Ok(self.room.keyring().schedule_deletion(days, now).await?)
    }

    /// Cancels the deletion. The key stays disabled: opening again is a second, deliberate act.
    ///
    /// # Errors
    /// As [`Tenant::rotate_key`].
    pub async fn cancel_key_deletion(&self, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let event = catalogue::KeyDeletionCancelled::new().by_source(KeyAuthority::Tenant).by(actor.clone());
        self.announce(event.subject(self.key_subject()), now).await?;
        Ok(self.room.keyring().cancel_deletion(now).await?)
    }

    fn key_subject(&self) -> String {
        format!("key/{}", self.id())
    }
}
