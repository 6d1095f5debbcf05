//! The tenant's bytes, and the key that opens them.

use std::time::SystemTime;

use qsec_audit::catalogue::{KeyAuthority, Provider};
use qsec_audit::{Actor, Event, catalogue};
use qsec_crypto::{
    Context, Drill, KeyBinding, KeyError, KeyringDescription, Purpose, Rotation, Stopped, StoppedBy, StoppedState,
    TenantKey, TenantKeyState,
};

use super::Tenant;
use crate::error::Error;

/// What every event of a tenant's key says of it.
pub(super) struct Facts {
    pub(super) version: i64,
    pub(super) provider: Provider,
    pub(super) kms_key: String,
}

/// An event of the key with those facts, by the tenant's own decision.
macro_rules! key_event {
    ($event:ident, $facts:expr) => {{
        let Facts { version, provider, kms_key } = $facts;
        catalogue::$event::new().version(version).provider(provider).kms_key(kms_key).by_source(KeyAuthority::Tenant)
    }};
}

impl Tenant {
    /// Seals bytes under the tenant's newest key version, bound to a context that is not stored: who opens must know it.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Key`] in the state of its key, [`Error::Seal`] for a
    /// context or length out of bounds; [`Error::TenantPolicy`] with `phi_requires_cmk` if its data is labelled PHI and no
    /// agreement is recorded.
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

    /// The key that seals now: for streams and large files. Ask for it anew for each piece of work; one that is kept goes
    /// on when the tenant is deactivated.
    ///
    /// # Errors
    /// As [`Tenant::seal`].
    pub async fn sealing_key(&self, purpose: &Purpose, now: SystemTime) -> Result<TenantKey, Error> {
        self.pass("seal", now).await?;
        self.may_seal("seal", purpose, now).await?;
        let key = self.room.keyring().current(purpose, now).await;
        key.map_err(|error| self.no_key(error, "seal", purpose, now))
    }

    /// The key that opens bytes beginning like these: at least the header. That is six bytes; of a message of the AWS
    /// Encryption SDK (feature `esdk`) it is longer.
    ///
    /// # Errors
    /// As [`Tenant::open`].
    pub async fn opening_key(&self, sealed: &[u8], purpose: &Purpose, now: SystemTime) -> Result<TenantKey, Error> {
        self.pass("open", now).await?;
        let keyring = self.room.keyring();
        let key = match self.version_of(sealed, purpose)? {
            Some(version) => keyring.version(purpose, version, now).await,
            None => keyring.for_sealed(sealed, purpose, now).await,
        };
        key.map_err(|error| self.no_key(error, "open", purpose, now))
    }

    /// The version that a message of the AWS Encryption SDK names; `None` for all else.
    #[cfg(feature = "esdk")]
    fn version_of(&self, sealed: &[u8], purpose: &Purpose) -> Result<Option<u32>, Error> {
        use qsec_crypto::{Inspection, OpenError, inspect};

        let Ok(Inspection::Esdk(header)) = inspect(sealed, None) else { return Ok(None) };
        let version = header.tenant_key_version(self.room.keyring().tenant(), purpose);
        // Without a data key of this tenant and purpose it is somebody else's message: no more is said of it.
        version.map(Some).ok_or_else(|| OpenError::NotOpened.into())
    }

    #[cfg(not(feature = "esdk"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "without the feature there is nothing to look for"
    )]
    fn version_of(&self, _: &[u8], _: &Purpose) -> Result<Option<u32>, Error> {
        Ok(None)
    }

    /// The tenant's key as it stands: versions, states, wrappings. Works in every state of the tenant.
    ///
    /// # Errors
    /// [`Error::Key`] if the records cannot be read or were forged.
    pub async fn describe_keys(&self, now: SystemTime) -> Result<KeyringDescription, Error> {
        Ok(self.room.keyring().describe(now).await?)
    }

    /// Where the tenant's keys are bound, read from the store alone: tells which KMS will be needed. Works in every state of
    /// the tenant.
    ///
    /// # Errors
    /// [`Error::Key`] if the records cannot be read or were forged.
    pub async fn key_binding(&self, now: SystemTime) -> Result<KeyBinding, Error> {
        Ok(self.room.keyring().binding(now).await?)
    }

    /// Unwraps each key version through one region only, or through the one KMS key of that id: what a loss of all other
    /// regions would leave. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::Key`] if none of the tenant's KMS keys is there, and in
    /// the state of the tenant's own key. What a KMS answers is in the drill.
    pub async fn drill_keys(&self, through: &str, now: SystemTime) -> Result<Drill, Error> {
        self.pass("drill", now).await?;
        Ok(self.room.keyring().drill(through, now).await?)
    }

    /// Seals and opens messages of the AWS Encryption SDK with data keys of the tenant's own KMS keys, one for each: what is
    /// sealed so the customer opens with the official SDK, without us. Their context holds `qsec:tenant` and
    /// `qsec:purpose`, readable. Ask for it anew for each piece of work.
    ///
    /// Such a message stays under the KMS keys that it was sealed with: a move of the tenant's keys does not reach it.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active; [`Error::Key`] in the state of the tenant's own key, with
    /// `key_version_not_found` if it has none for that purpose, and with `usage` if the tenant's keys are not in this KMS.
    #[cfg(all(feature = "esdk", feature = "aws-kms"))]
    pub async fn kms_keyring(
        &self,
        kms: std::sync::Arc<qsec_crypto::kms::aws::AwsKms>,
        purpose: &Purpose,
        now: SystemTime,
    ) -> Result<qsec_crypto::esdk::KmsKeyring, Error> {
        use qsec_crypto::kms::Kms as _;

        self.pass("kms_keyring", now).await?;
        self.may_seal("kms_keyring", purpose, now).await?;
        let binding = self.key_binding(now).await?;
        let refusal = match binding.state {
            TenantKeyState::Disabled => Some(stopped(StoppedState::Disabled)),
            TenantKeyState::PendingDeletion => Some(stopped(StoppedState::PendingDeletion)),
            TenantKeyState::Destroyed => Some(stopped(StoppedState::Destroyed)),
            TenantKeyState::Active | _ if !binding.versions.iter().any(|version| version.purpose == *purpose) => {
                Some(KeyError::VersionNotFound { purpose: purpose.clone(), version: 0 })
            }
            TenantKeyState::Active | _ => None,
        };
        if let Some(error) = refusal {
            return Err(self.no_key(error, "kms_keyring", purpose, now));
        }
        if (binding.provider.as_str(), binding.endpoint.as_deref()) != (kms.provider(), kms.endpoint()) {
            let what = format!("the tenant's keys are bound to `{}`, not to this KMS", binding.provider);
            return Err(KeyError::Usage { what }.into());
        }
        let observer: std::sync::Arc<dyn qsec_crypto::Observer> =
            std::sync::Arc::<crate::recorder::Recorder>::clone(&self.deployment.inner.recorder);
        let keyring = qsec_crypto::esdk::KmsKeyring::new(kms, binding.key_ids)?;
        Ok(keyring.for_tenant(self.room.keyring().tenant().clone(), purpose.clone()).observed_by(observer))
    }

    /// Makes a new key version: new bytes are sealed under it, old ones stay readable.
    ///
    /// # Errors
    /// [`Error::Key`] in the state of the key, recorded before this returns; [`Error::Record`] if the log does not take
    /// the event, which comes first.
    pub async fn rotate_key(&self, purpose: &Purpose, actor: &Actor, now: SystemTime) -> Result<Rotation, Error> {
        let _alone = self.room.changes.lock().await;
        let current = Facts::of(&self.key_binding(now).await?, purpose);
        let subject = format!("key/{}/{purpose}/{}", self.id(), current.version);
        let event = catalogue::KeyRotated::new()
            .from_version(current.version)
            .version(current.version.saturating_add(1))
            .provider(current.provider)
            .kms_key(current.kms_key)
            .by(actor.clone())
            .subject(subject);
        if let Err(error) = self.room.keyring().current(purpose, now).await {
            return Err(self.refuse(event, error.into(), now));
        }
        self.carry_out(event, now, async { Ok(self.room.keyring().rotate(purpose, now).await?) }).await
    }

    /// Locks the tenant's key: nothing opens and nothing is sealed until it is enabled again. Nothing is lost.
    ///
    /// # Errors
    /// As [`Tenant::rotate_key`].
    #[doc(alias = "suspend")]
    pub async fn disable_key(&self, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let event = key_event!(KeyDisabled, Facts::of(&binding, &Purpose::data())).by(actor.clone());
        let event = self.not_on_its_way_out(event, &binding, now)?;
        self.carry_out(event, now, async { Ok(self.room.keyring().disable(now).await?) }).await
    }

    /// Unlocks it.
    ///
    /// # Errors
    /// As [`Tenant::rotate_key`].
    pub async fn enable_key(&self, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let event = key_event!(KeyEnabled, Facts::of(&binding, &Purpose::data())).by(actor.clone());
        let event = self.not_on_its_way_out(event, &binding, now)?;
        self.carry_out(event, now, async { Ok(self.room.keyring().enable(now).await?) }).await
    }

    /// Locks the key at once and destroys it after 7 to 30 days, unless the deletion is cancelled.
    ///
    /// # Errors
    /// [`Error::Key`] for days out of range, and as [`Tenant::rotate_key`].
    pub async fn schedule_key_deletion(&self, days: u32, actor: &Actor, now: SystemTime) -> Result<SystemTime, Error> {
        qsec_crypto::check_deletion_days(days)?;
        let due = now.checked_add(std::time::Duration::from_secs(u64::from(days) * crate::clock::DAY_SECONDS));
        let due = due.ok_or_else(|| Error::Malformed { what: "the clock is beyond all dates".to_owned() })?;
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let event = key_event!(KeyDeletionScheduled, Facts::of(&binding, &Purpose::data()))
            .days(i64::from(days))
            .due(due)
            .by(actor.clone());
        let event = self.not_on_its_way_out(event, &binding, now)?;
        self.carry_out(event, now, async { Ok(self.room.keyring().schedule_deletion(days, now).await?) }).await
    }

    /// Cancels the deletion. The key stays disabled: opening again is a second, deliberate act.
    ///
    /// # Errors
    /// [`Error::Key`] with the code `conflict` if no deletion is scheduled, and as [`Tenant::rotate_key`].
    pub async fn cancel_key_deletion(&self, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        let _alone = self.room.changes.lock().await;
        let binding = self.key_binding(now).await?;
        let event = key_event!(KeyDeletionCancelled, Facts::of(&binding, &Purpose::data())).by(actor.clone());
        let event = event.subject(self.key_subject());
        let error = match binding.state {
            TenantKeyState::PendingDeletion => {
                let cancel = async { Ok(self.room.keyring().cancel_deletion(now).await?) };
                return self.carry_out(event, now, cancel).await;
            }
            TenantKeyState::Destroyed => stopped(StoppedState::Destroyed),
            TenantKeyState::Active | TenantKeyState::Disabled | _ => {
                KeyError::Conflict { what: "no deletion is scheduled".to_owned() }
            }
        };
        Err(self.refuse(event, error.into(), now))
    }

    /// The event with its subject, if the tenant's key can still be switched on and off.
    fn not_on_its_way_out(&self, event: Event, binding: &KeyBinding, now: SystemTime) -> Result<Event, Error> {
        let event = event.subject(self.key_subject());
        let state = match binding.state {
            TenantKeyState::PendingDeletion => StoppedState::PendingDeletion,
            TenantKeyState::Destroyed => StoppedState::Destroyed,
            TenantKeyState::Active | TenantKeyState::Disabled | _ => return Ok(event),
        };
        Err(self.refuse(event, stopped(state).into(), now))
    }

    /// Why there is no key to work with, recorded. What the keyring observes by itself is recorded already, and a
    /// dependency that is away is no refusal.
    pub(super) fn no_key(&self, error: KeyError, surface: &str, purpose: &Purpose, now: SystemTime) -> Error {
        let actor = Actor::anonymous();
        let event = if let KeyError::Stopped(Stopped { by: StoppedBy::Kms, .. }) = &error {
            catalogue::KmsDenied::new().operation(surface).by(actor)
        } else if let KeyError::PhiRequiresCmk { .. } = &error {
            return self.refuse_phi(surface, error, now);
        } else if let KeyError::Stopped(_) = &error {
            catalogue::TenantRequestRefused::new().surface(surface).state(error.code()).by(actor)
        } else if let KeyError::VersionNotFound { .. } = &error {
            catalogue::CiphertextRejected::new().purpose(purpose.as_str()).format("native").by(actor)
        } else {
            return error.into();
        };
        self.refuse(event.subject(self.key_subject()), error.into(), now)
    }

    pub(super) fn key_subject(&self) -> String {
        format!("key/{}", self.id())
    }
}

impl Facts {
    /// Of the newest version of a purpose, and of the primary KMS key.
    pub(super) fn of(binding: &KeyBinding, purpose: &Purpose) -> Self {
        let versions = binding.versions.iter().filter(|version| version.purpose == *purpose);
        Self {
            version: versions.map(|version| i64::from(version.version)).max().unwrap_or_default(),
            provider: provider(&binding.provider),
            kms_key: binding.key_ids.first().map_or_else(String::new, |key| key.as_str().to_owned()),
        }
    }
}

/// A provider as events name it.
pub(super) fn provider(name: &str) -> Provider {
    match name {
        "internal" => Provider::Internal,
        "aws" => Provider::Aws,
        "pkcs11" => Provider::Pkcs11,
        "vault" => Provider::Vault,
        _ => Provider::Other,
    }
}

fn stopped(state: StoppedState) -> KeyError {
    Stopped::new(state, StoppedBy::Tenant).into()
}
