//! Wrapping tenant keys, and unwrapping them by whichever KMS key of the binding answers and may.

use std::sync::Arc;
use std::time::SystemTime;

use crate::kdf;
use crate::keyring::guard::{Asked, WrappedKey};
use crate::keyring::record::{Binding, KmsKey, KmsKeys, VersionRecord, VersionState, Wrapping, WrappingRole};
use crate::keyring::{Core, KeyError};
use crate::kms::{Kms, KmsError, KmsKeyDescription, KmsKeyState, WrappingContext};
use crate::observer::Event;
use crate::secret::SecretKey;
use crate::tenant::Purpose;

/// What becomes of KMS keys under which a version is not, and which do not answer when it is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The whole fails.
    Refused,
    /// Another one is enough; a later rewrap fills the gap.
    FilledLater,
    /// The whole fails, and what is wrapped already is left as it is.
    FilledNow,
}

/// A key, and as of when all KMS keys that come before the one that answered had not said no.
#[derive(Debug)]
pub(super) struct Unwrapped {
    pub(super) secret: SecretKey,
    /// Who answered.
    pub(super) by: KmsKey,
    pub(super) as_of: SystemTime,
}

impl Core {
    /// A new version under the binding's KMS keys, and under those that the tenant is moving to.
    pub(super) async fn next_version(
        &self,
        binding: &Binding,
        purpose: &Purpose,
        version: u32,
        now: SystemTime,
    ) -> Result<VersionRecord, KeyError> {
        let (secret, mut record) = self.unwrapped_version(purpose, version, now)?;
        self.wrap_under(&binding.keys(), &secret, &mut record, Missing::FilledLater, now).await?;
        if let Some(migration) = &binding.migration
            && migration.state.is_before_switch()
        {
            match self.wrap_under(&migration.other, &secret, &mut record, Missing::FilledLater, now).await {
                // The migration will wrap it, or say why it cannot; making a version need not wait for that.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(record)
    }

    /// A new key version under KMS keys, each wrapping unwrapped again and compared before it is believed.
    pub(super) async fn new_version(
        &self,
        keys: &KmsKeys,
        purpose: &Purpose,
        version: u32,
        missing: Missing,
        now: SystemTime,
    ) -> Result<VersionRecord, KeyError> {
        let (secret, mut record) = self.unwrapped_version(purpose, version, now)?;
        self.wrap_under(keys, &secret, &mut record, missing, now).await?;
        Ok(record)
    }

    fn unwrapped_version(
        &self,
        purpose: &Purpose,
        version: u32,
        now: SystemTime,
    ) -> Result<(SecretKey, VersionRecord), KeyError> {
        let secret = SecretKey::generate()?;
        let key_check = kdf::key_check(&secret, &self.tenant, purpose, version)?;
        let record = VersionRecord {
            tenant: self.tenant.clone(),
            purpose: purpose.clone(),
            version,
            state: VersionState::Active,
            created: now,
            key_check: key_check.to_vec(),
            wrappings: Vec::new(),
            generation: 1,
        };
        Ok((secret, record))
    }

    /// Puts wrappings under these KMS keys beside those that are there, in place of any under the same key.
    pub(super) async fn wrap_under(
        &self,
        keys: &KmsKeys,
        secret: &SecretKey,
        record: &mut VersionRecord,
        missing: Missing,
        now: SystemTime,
    ) -> Result<(), KmsError> {
        let mut unavailable = None;
        let mut wrapped = false;
        for key in keys.iter() {
            if missing == Missing::FilledNow && record.wrapping(&key).is_some() {
                continue;
            }
            match self.wrap_one(&key, keys.role(&key), secret, record, now).await {
                Ok(wrapping) => {
                    record.wrappings.retain(|other| other.key() != key);
                    record.wrappings.push(wrapping);
                    wrapped = true;
                }
                Err(error) if missing == Missing::FilledLater && error.is_retryable() => {
                    unavailable.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match unavailable {
            Some(error) if !wrapped => Err(error),
            _ => Ok(()),
        }
    }

    /// Wraps under one KMS key, and unwraps again: nothing is stored that was not seen to open.
    async fn wrap_one(
        &self,
        key: &KmsKey,
        role: Option<WrappingRole>,
        secret: &SecretKey,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<Wrapping, KmsError> {
        let (kms, context) = (self.kms(key)?, self.context(record));
        let asked = Asked { kms: kms.as_ref(), key, calls: &self.calls };
        let wrap = async || self.guard.wrap(asked, secret, &context, now).await;
        let blob = self.guard.retrying(|| Box::pin(wrap())).await?;
        let wrapping = Wrapping {
            id: new_id(record),
            provider: key.provider.clone(),
            key_id: key.key_id.clone(),
            endpoint: key.endpoint.clone(),
            role: role.unwrap_or(WrappingRole::Replica),
            blob,
            verified: now,
        };
        self.guard.retrying(|| Box::pin(self.unwrap_one(&wrapping, record, now))).await?;
        Ok(wrapping)
    }

    /// Unwraps a version by the first of these KMS keys that answers.
    pub(super) async fn unwrap_any(
        &self,
        keys: &KmsKeys,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<Unwrapped, KmsError> {
        self.guard.retrying(|| Box::pin(self.unwrap_in_turn(keys, record, now))).await
    }

    /// Asks each KMS key once: first those that answered lately, in their order, then the others.
    ///
    /// Only *unavailable* goes on to the next. A customer who disables the primary has said no, and a replica must not
    /// answer yes.
    async fn unwrap_in_turn(
        &self,
        keys: &KmsKeys,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<Unwrapped, KmsError> {
        let is_one_of_several = keys.key_ids.len() > 1;
        let (late, mut order): (Vec<_>, Vec<_>) =
            keys.iter().partition(|key| is_one_of_several && self.guard.breakers().is_failed_over(key, now));
        order.extend(late);
        let mut refused = None;
        for (place, key) in order.iter().enumerate() {
            let error = match self.ask(key, record, now).await {
                Ok(Some(secret)) => {
                    self.failed_back(key);
                    return Ok(Unwrapped { secret, by: key.clone(), as_of: self.as_of(keys, key, now) });
                }
                Ok(None) => continue,
                Err(error) => error,
            };
            let goes_on =
                (error.is_retryable() || self.failover_on_terminal) && !matches!(error, KmsError::Busy { .. });
            if !goes_on {
                return Err(error);
            }
            let next = order.get(place.saturating_add(1)).map(|next| &next.key_id);
            if is_one_of_several && self.guard.breakers().fail_over(key, next, now) {
                let event = Event::new("key.failover").tenant(&self.tenant).regions(Some(&key.key_id), next);
                self.observer.observe(&event.call("unwrap", &key.key_id, error.code()));
            }
            refused.get_or_insert(error);
        }
        Err(refused.unwrap_or(KmsError::Internal { what: "each version is wrapped under the tenant's binding" }))
    }

    /// Unwraps by one KMS key. A key that has no wrapping of this version cannot, but may be stopped, and then no other
    /// must be asked.
    async fn ask(&self, key: &KmsKey, record: &VersionRecord, now: SystemTime) -> Result<Option<SecretKey>, KmsError> {
        match record.wrapping(key) {
            Some(wrapping) => self.unwrap_one(wrapping, record, now).await.map(Some),
            None => is_usable(&self.describe_key(key, now).await?).map(|()| None),
        }
    }

    pub(super) async fn unwrap_one(
        &self,
        wrapping: &Wrapping,
        record: &VersionRecord,
        now: SystemTime,
    ) -> Result<SecretKey, KmsError> {
        let (key, context) = (wrapping.key(), self.context(record));
        let wrapped = WrappedKey { blob: &wrapping.blob, context: &context, key_check: &record.key_check };
        let kms = self.kms(&key)?;
        self.guard.unwrap(Asked { kms: kms.as_ref(), key: &key, calls: &self.calls }, wrapped, now).await
    }

    pub(super) async fn describe_key(&self, key: &KmsKey, now: SystemTime) -> Result<KmsKeyDescription, KmsError> {
        let kms = self.kms(key)?;
        self.guard.describe(Asked { kms: kms.as_ref(), key, calls: &self.calls }, &self.tenant, now).await
    }

    /// The KMS keys before the one that answered were found unavailable, some of them a while ago. What they would say
    /// now is not known, so the answer is as old as the oldest of those questions.
    fn as_of(&self, keys: &KmsKeys, answered: &KmsKey, now: SystemTime) -> SystemTime {
        let before = keys.iter().take_while(|key| key != answered);
        before.filter_map(|key| self.guard.breakers().asked(&key)).fold(now, SystemTime::min)
    }

    fn failed_back(&self, key: &KmsKey) {
        if let Some(from) = self.guard.breakers().fail_back(key) {
            let event = Event::new("key.failback").tenant(&self.tenant).regions(from.to.as_ref(), Some(&key.key_id));
            self.observer.observe(&event.call("unwrap", &key.key_id, "ok"));
        }
    }

    fn kms(&self, key: &KmsKey) -> Result<Arc<dyn Kms>, KmsError> {
        self.providers.find(&key.provider, key.endpoint.as_deref())
    }

    fn context(&self, record: &VersionRecord) -> WrappingContext {
        WrappingContext::new(self.tenant.clone(), record.purpose.clone(), record.version)
    }
}

/// Whether a KMS key's state lets it wrap and unwrap.
pub(super) fn is_usable(described: &KmsKeyDescription) -> Result<(), KmsError> {
    let key_id = described.key_id().clone();
    match described.state() {
        KmsKeyState::Enabled if described.wraps() => Ok(()),
        KmsKeyState::Enabled => Err(KmsError::Usage { what: format!("KMS key `{key_id}` is not for wrapping") }),
        KmsKeyState::Disabled | KmsKeyState::PendingImport => Err(KmsError::KeyDisabled { key_id }),
        KmsKeyState::PendingDeletion => {
            Err(KmsError::KeyPendingDeletion { key_id, deletion_date: described.deletion_date() })
        }
        KmsKeyState::Destroyed => Err(KmsError::KeyDestroyed { key_id }),
        KmsKeyState::Unavailable => Err(KmsError::Unavailable("the KMS key cannot be used now".into())),
    }
}

/// A name that no wrapping of this version has had: one more than the greatest.
fn new_id(record: &VersionRecord) -> String {
    let numbers = record.wrappings.iter().filter_map(|wrapping| wrapping.id.strip_prefix('w')?.parse::<u64>().ok());
    format!("w{}", numbers.max().unwrap_or(0).saturating_add(1))
}
