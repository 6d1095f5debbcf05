//! Wrapping tenant keys, and unwrapping them without believing the KMS.

use std::time::SystemTime;

use subtle::ConstantTimeEq;

use crate::kdf;
use crate::keyring::record::{Binding, MAX_WRAPPINGS, VersionRecord, VersionState, Wrapping, WrappingRole};
use crate::keyring::{KeyError, Keyring};
use crate::kms::{KeyId, KmsError, MAX_BLOB_BYTES, Unwrapped, WrappingContext};
use crate::observer::Event;
use crate::secret::SecretKey;
use crate::tenant::Purpose;

impl Keyring {
    /// A new key version under every KMS key, each wrapping unwrapped again and compared before it is believed.
    pub(super) async fn new_version(
        &self,
        key_ids: &[KeyId],
        purpose: &Purpose,
        version: u32,
        now: SystemTime,
    ) -> Result<VersionRecord, KeyError> {
        let secret = SecretKey::generate()?;
        let key_check = kdf::key_check(&secret, &self.tenant, purpose, version)?;
        let mut record = VersionRecord {
            tenant: self.tenant.clone(),
            purpose: purpose.clone(),
            version,
            state: VersionState::Active,
            created: now,
            key_check: key_check.to_vec(),
            wrappings: Vec::new(),
            generation: 1,
        };
        for (number, key_id) in (1..).zip(key_ids) {
            let role = if number == 1 { WrappingRole::Primary } else { WrappingRole::Replica };
            let blob = self.wrap_under(key_id, &secret, &record, now).await?;
            let (id, provider) = (format!("w{number}"), self.kms.provider().to_owned());
            let wrapping = Wrapping { id, provider, key_id: key_id.clone(), role, blob, verified: now };
            self.unwrap_one(&wrapping, &record, now).await?;
            record.wrappings.push(wrapping);
        }
        Ok(record)
    }

    async fn wrap_under(
        &self,
        key_id: &KeyId,
        secret: &SecretKey,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<Vec<u8>, KmsError> {
        let wrapped = self.kms.wrap(key_id, secret, &self.context(record), now).await;
        let wrapped = wrapped.and_then(|wrapped| {
            let right = wrapped.key_id() == key_id && (1..=MAX_BLOB_BYTES).contains(&wrapped.blob().len());
            if right { Ok(wrapped) } else { Err(KmsError::WrongKey { key_id: key_id.clone() }) }
        });
        self.called("key.wrapped", "wrap", key_id, record, wrapped.as_ref().err());
        wrapped.map(crate::kms::Wrapped::into_blob)
    }

    /// Unwraps a version by the first wrapping of the binding whose KMS key answers.
    ///
    /// Only *unavailable* goes on to the next. A customer who disables the primary has said no, and a replica must not
    /// answer yes.
    pub(super) async fn unwrap_any(
        &self,
        binding: &Binding,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<SecretKey, KmsError> {
        let mut unavailable = None;
        for key_id in binding.key_ids.iter().take(MAX_WRAPPINGS) {
            let of_key = |wrapping: &&Wrapping| wrapping.provider == binding.provider && wrapping.key_id == *key_id;
            let Some(wrapping) = record.wrappings.iter().find(of_key) else { continue };
            match self.unwrap_one(wrapping, record, now).await {
                Err(error) if error.is_retryable() => {
                    self.observer.observe(&self.event("key.failover").call("unwrap", key_id, error.code()));
                    unavailable.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        Err(unavailable.unwrap_or(KmsError::Internal { what: "each version is wrapped under the tenant's binding" }))
    }

    async fn unwrap_one(
        &self,
        wrapping: &Wrapping,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<SecretKey, KmsError> {
        let key_id = &wrapping.key_id;
        let unwrapped = self.kms.unwrap(key_id, &wrapping.blob, &self.context(record), now).await;
        let secret = unwrapped.and_then(|unwrapped| {
            self.verify(&unwrapped, key_id, record).ok_or_else(|| KmsError::WrongKey { key_id: key_id.clone() })
        });
        self.called("key.unwrapped", "unwrap", key_id, record, secret.as_ref().err());
        secret
    }

    /// Believes a KMS only if the key has 32 bytes, was unwrapped by the key that was asked, and is the one that was
    /// wrapped. A KMS, or a proxy before it, that answers with a key of its own would otherwise read all that is sealed
    /// from then on.
    fn verify(&self, unwrapped: &Unwrapped, key_id: &KeyId, record: &VersionRecord) -> Option<SecretKey> {
        let secret = SecretKey::try_from_slice(unwrapped.secret().expose_secret())?;
        let check = kdf::key_check(&secret, &self.tenant, &record.purpose, record.version).ok()?;
        let right = bool::from(check.as_slice().ct_eq(&record.key_check)) && unwrapped.key_id() == key_id;
        right.then_some(secret)
    }

    fn context(&self, record: &VersionRecord) -> WrappingContext {
        WrappingContext::new(self.tenant.clone(), record.purpose.clone(), record.version)
    }

    fn called(
        &self,
        name: &'static str,
        operation: &'static str,
        key_id: &KeyId,
        record: &VersionRecord,
        error: Option<&KmsError>,
    ) {
        let outcome = error.map_or("ok", KmsError::code);
        let event = |name| Event::new(name).tenant(&self.tenant).version(&record.purpose, record.version);
        self.observer.observe(&event(name).call(operation, key_id, outcome));
        if let Some(KmsError::WrongKey { .. }) = error {
            self.observer.observe(&event("key.wrong_key_returned").call(operation, key_id, outcome));
        }
    }
}
