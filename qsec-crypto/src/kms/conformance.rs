//! What any [`Kms`] must do, as a suite that its author runs.
//!
//! Rows keep their numbers for good; number 24 has four rows. A row that needs what the factory does not have is reported
//! as not run, with what is missing.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};
use std::time::{Duration, SystemTime};

use crate::conformance::{Outcome, Report, ensure};
use crate::keyring::Timer;
use crate::kms::{KeyId, Kms, KmsError, KmsKeyState, Unwrapped, WrappingContext};
use crate::secret::SecretKey;
use crate::store::BoxFuture;
use crate::tenant::{Purpose, TenantId};

mod callers;
mod threads;

type Check = Result<(), String>;
type Hook<'a, T> = Option<BoxFuture<'a, Result<T, KmsError>>>;

/// How a provider fails in the rows 21 to 24.
///
/// ```
/// use std::sync::Arc;
/// use qsec_crypto::kms::conformance::Failure;
/// use qsec_crypto::kms::{Fault, FaultyKms, Kms};
///
/// /// For a provider that cannot be made to fail by itself.
/// fn failing(kms: Arc<dyn Kms>, failure: Failure) -> Option<Arc<dyn Kms>> {
///     let kms = FaultyKms::over(kms);
///     match failure {
///         Failure::Unreachable => kms.fail(None, Fault::Unavailable),
///         Failure::ThrottledTwice => kms.fail_times(2, Fault::Throttled),
///         Failure::Hanging => kms.fail(None, Fault::Hang),
///         _ => return None,
///     }
///     Some(Arc::new(kms))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody answers at its address.
    Unreachable,
    /// It refuses two calls for their number, and does the third.
    ThrottledTwice,
    /// It takes calls and never answers.
    Hanging,
    /// Its answers break off.
    Torn,
    /// It unwraps to 31 bytes.
    ShortPlaintext,
    /// It unwraps to 33 bytes.
    LongPlaintext,
    /// It says that another key did the work.
    OtherKeyId,
    /// It unwraps to 32 other bytes.
    OtherPlaintext,
}

/// Gives a KMS under test its keys, and puts them into states.
///
/// A hook that answers `None` says that the provider cannot be put there; the rows that need it are reported as not run.
pub trait Factory: Sync {
    /// The KMS under test.
    fn kms(&self) -> &dyn Kms;

    /// An enabled key that no other row uses.
    fn fresh_key(&self, now: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>>;

    /// A well-formed id of no key.
    fn unknown_key(&self) -> Option<KeyId>;

    /// Whether two wrappings of one key are equal by nature, as those of AES key wrap are.
    fn is_deterministic(&self) -> bool {
        false
    }

    /// Disables a key as its owner would.
    fn disable<'a>(&'a self, _key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        None
    }

    /// Enables a disabled key as its owner would.
    fn enable<'a>(&'a self, _key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        None
    }

    /// Orders a key deleted after so many days.
    fn schedule_deletion<'a>(
        &'a self,
        _key_id: &'a KeyId,
        _days: u32,
        _now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        None
    }

    /// Calls a deletion off.
    fn cancel_deletion<'a>(
        &'a self,
        _key_id: &'a KeyId,
        _now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        None
    }

    /// Destroys a key at once.
    fn destroy<'a>(&'a self, _key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        None
    }

    /// Gives a key new material.
    fn rotate<'a>(&'a self, _key_id: &'a KeyId, _now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        None
    }

    /// Which material a blob was made with, if blobs tell.
    fn material_version(&self, _blob: &[u8]) -> Option<u32> {
        None
    }

    /// Waits. The rows of failures are bounded in time, and are not run without.
    fn timer(&self) -> Option<Arc<dyn Timer>> {
        None
    }

    /// Runs a future to its end on the thread that calls. A provider that needs a runtime runs it there; the default
    /// polls it and sleeps in between.
    ///
    /// It is called on 64 threads while the thread that runs the suite waits for them.
    fn block_on(&self, future: BoxFuture<'_, ()>) {
        threads::block_on(pin!(future));
    }

    /// The provider with the same keys, as it is when it fails so. It fails at least until the next call of this hook.
    fn failing(&self, _failure: Failure) -> Option<Arc<dyn Kms>> {
        None
    }

    /// The pairs that the last call told the provider, as a proxy before it has seen them, sorted by key.
    fn recorded_pairs(&self) -> Option<Vec<(String, String)>> {
        None
    }

    /// Unwraps under pairs that no [`WrappingContext`] can hold, sorted by key.
    fn unwrap_pairs<'a>(
        &'a self,
        _key_id: &'a KeyId,
        _blob: &'a [u8],
        _pairs: &'a [(&'a str, &'a str)],
        _now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<Unwrapped, KmsError>>> {
        None
    }
}

/// Runs the suite.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_crypto::MemoryStore;
/// use qsec_crypto::kms::{LocalKms, RootKey, conformance};
///
/// let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?;
/// let report = pollster::block_on(conformance::run(&kms, SystemTime::UNIX_EPOCH));
/// assert!(report.is_passed(), "{report}");
/// // Here it has no timer, is not made to fail, and has no proxy before it; and no KMS signs.
/// let not_run: Vec<u8> = report.not_run().map(|row| row.number).collect();
/// assert_eq!(not_run, [21, 22, 23, 24, 24, 24, 24, 27, 28]);
/// # Ok::<(), qsec_crypto::kms::KmsError>(())
/// ```
pub async fn run(factory: &dyn Factory, now: SystemTime) -> Report {
    let suite = Suite { factory, kms: factory.kms(), now };
    let mut report = Report::default();
    report.record(1, "what was wrapped unwraps to the same 32 bytes", suite.round_trip().await);
    report.record(2, "two wrappings of one key differ", suite.wrappings_differ().await);
    report.record(3, "another tenant, purpose or version is refused", suite.other_contexts().await);
    report.record(4, "a missing and an extra pair are refused", suite.other_pairs().await);
    report.record(5, "a pair of equal concatenation is refused", suite.boundary_shift().await);
    report.record(6, "each changed byte of a blob is refused", suite.changed_blobs().await);
    report.record(7, "each truncation and extension of a blob is refused", suite.cut_blobs().await);
    report.record(8, "blobs of 0 bytes, 1 byte and 64 KiB are refused", suite.absurd_blobs().await);
    report.record(9, "a blob of another key is refused", suite.blob_of_another_key().await);
    report.record(10, "an unknown key is not found", suite.unknown_key().await);
    report.record(11, "the answers name the key that was asked", suite.answered_ids().await);
    report.record(12, "a disabled key neither wraps nor unwraps", suite.disabled().await);
    report.record(13, "an enabled key does both again", suite.enabled_again().await);
    report.record(14, "a key to be deleted stops at once and tells the date", suite.pending_deletion().await);
    report.record(15, "a deletion called off leaves the key disabled", suite.cancelled().await);
    report.record(16, "a deletion in 6 or in 31 days is refused", suite.deletion_days().await);
    report.record(17, "a destroyed key stays destroyed", suite.destroyed().await);
    report.record(18, "old blobs unwrap after a rotation, new ones use new material", suite.rotated().await);
    report.record(19, "64 threads wrap and unwrap at once", suite.threads().await);
    report.record(20, "a dropped future leaves nothing locked", suite.dropped_future().await);
    report.record(21, "an unreachable provider is unavailable, in time", suite.unreachable().await);
    report.record(22, "a call that is throttled twice succeeds", suite.throttled_twice().await);
    report.record(23, "a provider that hangs is unavailable, in time", suite.hanging().await);
    report.record(24, "a torn answer gives no key", suite.gives_no_key(Failure::Torn).await);
    report.record(24, "a key of another length is not taken", suite.other_lengths().await);
    report.record(24, "an answer of another key id gives no key", suite.gives_no_key(Failure::OtherKeyId).await);
    report.record(24, "another plaintext is not taken", suite.gives_no_key(Failure::OtherPlaintext).await);
    report.record(25, "a description tells usage, state and regions", suite.description().await);
    report.record(26, "no secret occurs in debug output or in errors", suite.no_secret_shown().await);
    report.record(27, "a signature verifies with a foreign library", not_offered());
    report.record(28, "the provider is told exactly the pairs of the context", suite.recorded_pairs().await);
    report
}

struct Suite<'a> {
    factory: &'a dyn Factory,
    kms: &'a dyn Kms,
    now: SystemTime,
}

/// A key and a tenant key wrapped by it.
struct Sample {
    key_id: KeyId,
    key: SecretKey,
    context: WrappingContext,
    blob: Vec<u8>,
}

impl Sample {
    fn copy(&self) -> Self {
        Self {
            key_id: self.key_id.clone(),
            key: SecretKey::copy_from(self.key.expose_secret()),
            context: self.context.clone(),
            blob: self.blob.clone(),
        }
    }
}

impl Suite<'_> {
    async fn round_trip(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            self.unwraps(&sample).await
        };
        check.await.into()
    }

    async fn wrappings_differ(&self) -> Outcome {
        if self.factory.is_deterministic() {
            return Outcome::NotRun("the provider declares itself deterministic".to_owned());
        }
        let check = async {
            let sample = self.sample().await?;
            let again = self.wrap(&sample).await.map_err(text("wrapping again"))?;
            ensure(again != sample.blob, || "both are equal".to_owned())
        };
        check.await.into()
    }

    async fn other_contexts(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            for (tenant, purpose, version) in [
                ("acmf", "data", 3),
                ("acme", "date", 3),
                ("acme", "data", 4),
                ("acme", "data", 33),
                ("data", "acme", 3),
            ] {
                let other = Sample { context: context(tenant, purpose, version)?, ..sample.copy() };
                self.refuses(&other, &format!("{tenant}/{purpose}/{version}")).await?;
            }
            Ok(())
        };
        check.await.into()
    }

    async fn other_pairs(&self) -> Outcome {
        let purpose = ("qsec:purpose", "data");
        let tenant = ("qsec:tenant", "acme");
        let version = ("qsec:version", "3");
        self.pairs_are_refused(&[
            &[],
            &[tenant, version],
            &[purpose, version],
            &[purpose, tenant],
            &[purpose, tenant, version, ("z", "")],
            &[("", ""), purpose, tenant, version],
        ])
        .await
    }

    async fn boundary_shift(&self) -> Outcome {
        self.pairs_are_refused(&[
            &[("qsec:purpose", "data"), ("qsec:tenan", "tacme"), ("qsec:version", "3")],
            &[("qsec:purpose", "data"), ("qsec:tenanta", "cme"), ("qsec:version", "3")],
            &[("qsec:purposed", "ata"), ("qsec:tenant", "acme"), ("qsec:version", "3")],
        ])
        .await
    }

    async fn pairs_are_refused(&self, others: &[&[(&str, &str)]]) -> Outcome {
        let sample = match self.sample().await {
            Ok(sample) => sample,
            Err(what) => return Outcome::Failed(what),
        };
        for pairs in others {
            match self.factory.unwrap_pairs(&sample.key_id, &sample.blob, pairs, self.now) {
                None => return no_hook("unwrap_pairs"),
                Some(answer) => {
                    if answer.await.is_ok() {
                        return Outcome::Failed(format!("unwrapped under {pairs:?}"));
                    }
                }
            }
        }
        // The hook must be able to succeed, or its refusals say nothing.
        let own = sample.context.pairs();
        let own = own.each_ref().map(|(key, value)| (*key, value.as_str()));
        match self.factory.unwrap_pairs(&sample.key_id, &sample.blob, &own, self.now) {
            None => no_hook("unwrap_pairs"),
            Some(answer) => answer.await.map(|_| ()).map_err(text("unwrapping under its own pairs")).into(),
        }
    }

    async fn changed_blobs(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            for at in 0..sample.blob.len() {
                for bit in [0x01, 0x80] {
                    let mut changed = sample.copy();
                    changed.blob.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
                    self.refuses(&changed, &format!("byte {at} changed by {bit:#04x}")).await?;
                }
            }
            self.unwraps(&sample).await
        };
        check.await.into()
    }

    async fn cut_blobs(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            for length in 0..sample.blob.len() {
                let cut = Sample { blob: sample.blob.iter().copied().take(length).collect(), ..sample.copy() };
                self.refuses(&cut, &format!("cut to {length} bytes")).await?;
            }
            for extra in [&[0][..], &[0xFF], &sample.blob] {
                let longer = Sample { blob: [&sample.blob, extra].concat(), ..sample.copy() };
                self.refuses(&longer, &format!("longer by {} bytes", extra.len())).await?;
            }
            Ok(())
        };
        check.await.into()
    }

    async fn absurd_blobs(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            for byte in [0, 1, 0xF5, 0xFF] {
                for length in [0, 1, 126, 65_536] {
                    let absurd = Sample { blob: vec![byte; length], ..sample.copy() };
                    self.refuses(&absurd, &format!("{length} bytes of {byte:#04x}")).await?;
                }
            }
            Ok(())
        };
        check.await.into()
    }

    async fn blob_of_another_key(&self) -> Outcome {
        let check = async {
            let (first, second) = (self.sample().await?, self.sample().await?);
            let swapped = Sample { blob: second.blob, ..first };
            match self.unwrap(&swapped).await {
                Err(KmsError::WrongKey { .. } | KmsError::Rejected { .. }) => Ok(()),
                other => Err(format!("answered {other:?}")),
            }
        };
        check.await.into()
    }

    async fn unknown_key(&self) -> Outcome {
        let Some(key_id) = self.factory.unknown_key() else { return no_hook("unknown_key") };
        let check = async {
            let sample = Sample { key_id, ..self.sample().await? };
            has_code(&self.wrap(&sample).await, "key_not_found")?;
            has_code(&self.unwrap(&sample).await, "key_not_found")?;
            has_code(&self.kms.describe(&sample.key_id, self.now).await, "key_not_found")
        };
        check.await.into()
    }

    async fn answered_ids(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            let wrapped = self.kms.wrap(&sample.key_id, &sample.key, &sample.context, self.now).await;
            let wrapped = wrapped.map_err(text("wrapping"))?;
            let unwrapped = self.unwrap(&sample).await.map_err(text("unwrapping"))?;
            let described = self.kms.describe(&sample.key_id, self.now).await.map_err(text("describing"))?;
            let ids = [wrapped.key_id(), unwrapped.key_id(), described.key_id()];
            ensure(ids == [&sample.key_id; 3], || format!("asked `{}`, answered {ids:?}", sample.key_id))
        };
        check.await.into()
    }

    async fn disabled(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            hook(self.factory.disable(&sample.key_id, self.now), "disable").await?;
            self.is_stopped(&sample, "key_disabled", KmsKeyState::Disabled).await
        };
        not_run_or(check.await)
    }

    async fn enabled_again(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            hook(self.factory.disable(&sample.key_id, self.now), "disable").await?;
            hook(self.factory.enable(&sample.key_id, self.now), "enable").await?;
            self.wrap(&sample).await.map_err(text("wrapping"))?;
            self.unwraps(&sample).await?;
            Ok(())
        };
        not_run_or(check.await)
    }

    async fn pending_deletion(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            hook(self.factory.schedule_deletion(&sample.key_id, 7, self.now), "schedule_deletion").await?;
            self.is_stopped(&sample, "key_pending_deletion", KmsKeyState::PendingDeletion).await?;
            let described = self.kms.describe(&sample.key_id, self.now).await.map_err(text("describing"))?;
            let earliest = self.now + Duration::from_hours(24 * 7);
            let date = described.deletion_date();
            let in_time = date.is_some_and(|date| earliest <= date && date <= earliest + Duration::from_hours(24));
            Ok(ensure(in_time, || format!("the date is {date:?}, 7 days from {:?}", self.now))?)
        };
        not_run_or(check.await)
    }

    async fn cancelled(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            hook(self.factory.schedule_deletion(&sample.key_id, 30, self.now), "schedule_deletion").await?;
            hook(self.factory.cancel_deletion(&sample.key_id, self.now), "cancel_deletion").await?;
            self.is_stopped(&sample, "key_disabled", KmsKeyState::Disabled).await
        };
        not_run_or(check.await)
    }

    async fn deletion_days(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            for days in [0, 6, 31, u32::MAX] {
                let Some(answer) = self.factory.schedule_deletion(&sample.key_id, days, self.now) else {
                    return Err(Stop::NoHook("schedule_deletion"));
                };
                ensure(answer.await.is_err(), || format!("{days} days were accepted"))?;
            }
            Ok(self.unwraps(&sample).await?)
        };
        not_run_or(check.await)
    }

    async fn destroyed(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            hook(self.factory.destroy(&sample.key_id, self.now), "destroy").await?;
            self.stays_destroyed(&sample).await?;
            // Whoever tries to bring it back is refused, and has changed nothing.
            let revivals = [
                self.factory.enable(&sample.key_id, self.now),
                self.factory.cancel_deletion(&sample.key_id, self.now),
                self.factory.rotate(&sample.key_id, self.now),
            ];
            for revival in revivals.into_iter().flatten() {
                ensure(revival.await.is_err(), || "a destroyed key was brought back".to_owned())?;
            }
            Ok(self.stays_destroyed(&sample).await?)
        };
        not_run_or(check.await)
    }

    async fn stays_destroyed(&self, sample: &Sample) -> Check {
        for answer in [self.wrap(sample).await.map(|_| ()), self.unwrap(sample).await.map(|_| ())] {
            // A provider that forgets destroyed keys no longer finds them.
            has_code(&answer, "key_destroyed").or_else(|_| has_code(&answer, "key_not_found"))?;
        }
        Ok(())
    }

    async fn rotated(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            hook(self.factory.rotate(&sample.key_id, self.now), "rotate").await?;
            self.unwraps(&sample).await?;
            let newer = Sample { blob: self.wrap(&sample).await.map_err(text("wrapping"))?, ..sample.copy() };
            self.unwraps(&newer).await?;
            let versions = [&sample.blob, &newer.blob].map(|blob| self.factory.material_version(blob));
            let [Some(before), Some(after)] = versions else { return Ok(()) };
            Ok(ensure(after > before, || format!("material {before} before, {after} after"))?)
        };
        not_run_or(check.await)
    }

    async fn dropped_future(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            let mut task = TaskContext::from_waker(Waker::noop());
            {
                let mut wrapping = pin!(self.kms.wrap(&sample.key_id, &sample.key, &sample.context, self.now));
                let _ = wrapping.as_mut().poll(&mut task);
                let mut unwrapping = pin!(self.kms.unwrap(&sample.key_id, &sample.blob, &sample.context, self.now));
                let _ = unwrapping.as_mut().poll(&mut task);
            }
            drop(self.kms.unwrap(&sample.key_id, &sample.blob, &sample.context, self.now));
            self.still_works(&sample).await
        };
        check.await.into()
    }

    async fn description(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            let described = self.kms.describe(&sample.key_id, self.now).await.map_err(text("describing"))?;
            ensure(described.wraps(), || "a key that wraps is said to be for something else".to_owned())?;
            ensure(described.state() == KmsKeyState::Enabled, || format!("a fresh key is {:?}", described.state()))?;
            ensure(described.deletion_date().is_none(), || "a fresh key has a deletion date".to_owned())?;
            ensure(!described.is_multi_region() || !described.regions().is_empty(), || {
                "a multi-region key is in no region".to_owned()
            })
        };
        check.await.into()
    }

    async fn no_secret_shown(&self) -> Outcome {
        let check = async {
            let sample = self.sample().await?;
            let cut = Sample { blob: sample.blob.iter().copied().skip(1).collect(), ..sample.copy() };
            let moved = Sample { context: context("acmf", "data", 3)?, ..sample.copy() };
            let wrapped = self.kms.wrap(&sample.key_id, &sample.key, &sample.context, self.now).await;
            let described = self.kms.describe(&sample.key_id, self.now).await;
            let mut shown = format!("{:?} {wrapped:?} {described:?} {:?}", self.kms, self.unwrap(&sample).await);
            for error in [self.unwrap(&cut).await.err(), self.unwrap(&moved).await.err()].into_iter().flatten() {
                shown.extend([error.to_string(), format!("{error:?}")]);
            }
            let part: Vec<u8> = sample.key.expose_secret().iter().copied().take(6).collect();
            let [decimal, hex] = [format!("{part:?}"), format!("{part:02x?}").replace(", ", "")];
            let occurs = |part: &str| shown.to_lowercase().contains(part.trim_matches(['[', ']']));
            ensure(!occurs(&decimal) && !occurs(&hex), || "it does".to_owned())
        };
        check.await.into()
    }

    async fn sample(&self) -> Result<Sample, String> {
        let key_id = self.factory.fresh_key(self.now).await.map_err(text("making a key"))?;
        let key = SecretKey::generate().map_err(|error| error.to_string())?;
        let mut sample = Sample { key_id, key, context: context("acme", "data", 3)?, blob: Vec::new() };
        sample.blob = self.wrap(&sample).await.map_err(text("wrapping"))?;
        Ok(sample)
    }

    async fn wrap(&self, sample: &Sample) -> Result<Vec<u8>, KmsError> {
        let wrapped = self.kms.wrap(&sample.key_id, &sample.key, &sample.context, self.now).await?;
        Ok(wrapped.into_blob())
    }

    async fn unwrap(&self, sample: &Sample) -> Result<Unwrapped, KmsError> {
        self.kms.unwrap(&sample.key_id, &sample.blob, &sample.context, self.now).await
    }

    async fn unwraps(&self, sample: &Sample) -> Check {
        let unwrapped = self.unwrap(sample).await.map_err(text("unwrapping"))?;
        let same = SecretKey::try_from_slice(unwrapped.secret().expose_secret());
        ensure(same.is_some_and(|key| key.ct_eq(&sample.key)), || "another key was unwrapped".to_owned())
    }

    async fn refuses(&self, sample: &Sample, what: &str) -> Check {
        match self.unwrap(sample).await {
            Err(KmsError::WrongKey { .. } | KmsError::Rejected { .. }) => Ok(()),
            other => Err(format!("{what}: answered {other:?}")),
        }
    }

    async fn is_stopped(&self, sample: &Sample, code: &str, state: KmsKeyState) -> Result<(), Stop> {
        has_code(&self.wrap(sample).await, code)?;
        has_code(&self.unwrap(sample).await, code)?;
        let described = self.kms.describe(&sample.key_id, self.now).await.map_err(text("describing"))?;
        Ok(ensure(described.state() == state, || format!("described as {:?}, not {state:?}", described.state()))?)
    }
}

/// Why a row ends before its end.
enum Stop {
    Failed(String),
    NoHook(&'static str),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

async fn hook<T>(hook: Hook<'_, T>, name: &'static str) -> Result<T, Stop> {
    let answer = hook.ok_or(Stop::NoHook(name))?.await;
    answer.map_err(|error| Stop::Failed(format!("hook `{name}`: {error}")))
}

fn not_run_or(result: Result<(), Stop>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(Stop::Failed(what)) => Outcome::Failed(what),
        Err(Stop::NoHook(name)) => no_hook(name),
    }
}

fn not_offered() -> Outcome {
    Outcome::NotRun("not offered: a `Kms` wraps and unwraps, and does not sign".to_owned())
}

fn no_hook(name: &str) -> Outcome {
    Outcome::NotRun(format!("no hook `{name}`"))
}

fn has_code<T: std::fmt::Debug>(answer: &Result<T, KmsError>, code: &str) -> Check {
    match answer {
        Err(error) if error.code() == code => Ok(()),
        other => Err(format!("answered {other:?}, not `{code}`")),
    }
}

fn context(tenant: &str, purpose: &str, version: u32) -> Result<WrappingContext, String> {
    let tenant = TenantId::new(tenant).map_err(|error| error.to_string())?;
    let purpose = Purpose::new(purpose).map_err(|error| error.to_string())?;
    Ok(WrappingContext::new(tenant, purpose, version))
}

fn text(doing: &'static str) -> impl Fn(KmsError) -> String {
    move |error| format!("{doing}: {error}")
}
