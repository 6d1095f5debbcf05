//! A KMS of the customer's own, in this process: an adapter as a platform writes one for a KMS that the family does not know.
//!
//! `qsec::crypto::kms::conformance` is the suite that such an adapter has to pass.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use qsec::crypto::kms::{
    KeyId, Kms, KmsError, KmsKeyDescription, LocalKms, RootKey, Unwrapped, Wrapped, WrappingContext,
};
use qsec::crypto::store::BoxFuture;
use qsec::crypto::{MemoryStore, SecretKey};

use crate::Done;
use crate::customer::Verb;

/// Two keys, as if in two regions, under a root key that the platform does not have.
#[derive(Debug)]
pub(crate) struct CustomerKms {
    inside: LocalKms,
    primary: KeyId,
    replica: KeyId,
    primary_region_is_away: AtomicBool,
    calls: AtomicU64,
}

impl CustomerKms {
    pub(crate) async fn create(now: SystemTime) -> Done<Self> {
        let inside = LocalKms::open(RootKey::generate()?, MemoryStore::new())?;
        let (primary, replica) = (inside.create_key(now).await?, inside.create_key(now).await?);
        let (primary_region_is_away, calls) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Self { inside, primary, replica, primary_region_is_away, calls })
    }

    pub(crate) fn keys(&self) -> [KeyId; 2] {
        [self.primary.clone(), self.replica.clone()]
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn set_primary_region_away(&self, away: bool) {
        self.primary_region_is_away.store(away, Ordering::SeqCst);
    }

    /// At the customer's own console, which the platform does not have.
    pub(crate) async fn does(&self, verb: Verb, key_id: &KeyId, now: SystemTime) -> Done {
        match verb {
            Verb::Disable => self.inside.disable(key_id, now).await?,
            Verb::Enable => self.inside.enable(key_id, now).await?,
            Verb::ScheduleDeletion => drop(self.inside.schedule_deletion(key_id, 7, now).await?),
            Verb::CancelDeletion => self.inside.cancel_deletion(key_id, now).await?,
        }
        Ok(())
    }

    /// A region that is away is `Unavailable`, on which a replica is tried: no other error may be used for it.
    fn reach(&self, key_id: &KeyId) -> Result<(), KmsError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if *key_id == self.primary && self.primary_region_is_away.load(Ordering::SeqCst) {
            return Err(KmsError::Unavailable("the primary region does not answer".into()));
        }
        Ok(())
    }
}

impl Kms for CustomerKms {
    fn provider(&self) -> &'static str {
        "customer"
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            self.reach(key_id)?;
            self.inside.wrap(key_id, key, context, now).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move {
            self.reach(key_id)?;
            self.inside.unwrap(key_id, blob, context, now).await
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            self.reach(key_id)?;
            self.inside.describe(key_id, now).await
        })
    }
}
