//! The exported suites pass for what is right, and fail for what is wrong.

use std::sync::Arc;
use std::time::SystemTime;

use qsec_crypto::conformance::{Outcome, Report};
use qsec_crypto::kms::conformance::{Factory, Failure, run};
use qsec_crypto::kms::{
    Fault, FaultyKms, KeyId, Kms, KmsError, KmsKeyDescription, LocalKms, RootKey, Unwrapped, Wrapped, WrappingContext,
};
use qsec_crypto::store::{BoxFuture, KeyRow, KeyStore, StoreError, conformance};
use qsec_crypto::{MemoryStore, Secret, SecretKey, TenantId, Timer};

use crate::clock::Clock;
use crate::world::at;

fn failed(report: &Report) -> Vec<u8> {
    report.rows().iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).map(|row| row.number).collect()
}

fn passed(report: &Report) -> Vec<u8> {
    report.rows().iter().filter(|row| row.outcome == Outcome::Passed).map(|row| row.number).collect()
}

fn not_run(report: &Report) -> Vec<u8> {
    report.not_run().map(|row| row.number).collect()
}

/// The internal KMS, with a wire-tap before it that fails as it is told, and a clock that need not be waited for.
struct Failing {
    local: Arc<LocalKms>,
    clock: Clock,
}

impl Factory for Failing {
    fn kms(&self) -> &dyn Kms {
        &self.local
    }

    fn fresh_key(&self, now: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        self.local.fresh_key(now)
    }

    fn unknown_key(&self) -> Option<KeyId> {
        self.local.unknown_key()
    }

    fn timer(&self) -> Option<Arc<dyn Timer>> {
        Some(Arc::new(self.clock.clone()))
    }

    fn failing(&self, failure: Failure) -> Option<Arc<dyn Kms>> {
        let kms = FaultyKms::over(self.local.clone());
        match failure {
            Failure::Unreachable => kms.fail(None, Fault::Unavailable),
            Failure::ThrottledTwice => kms.fail_times(2, Fault::Throttled),
            Failure::Hanging => kms.fail(None, Fault::Hang),
            Failure::Torn => kms.fail(None, Fault::Empty),
            Failure::ShortPlaintext => kms.fail(None, Fault::Short),
            Failure::LongPlaintext => kms.fail(None, Fault::Long),
            Failure::OtherKeyId => kms.fail(None, Fault::OtherKeyId),
            Failure::OtherPlaintext => kms.fail(None, Fault::OtherPlaintext),
            _ => return None,
        }
        Some(Arc::new(kms))
    }
}

#[test]
fn internal_kms_passes_every_row() {
    let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
    let report = pollster::block_on(run(&kms, at(0)));
    println!("internal\n{report}");
    assert_eq!(not_run(&report), [21, 22, 23, 24, 24, 24, 24, 27, 28]);
    assert_eq!(passed(&report), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 25, 26]);
}

#[test]
fn internal_kms_that_fails_passes_the_rows_of_failures() {
    let local = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
    let kms = Failing { local: Arc::new(local), clock: Clock::default() };
    let report = kms.clock.run(run(&kms, at(0)));
    println!("internal, failing\n{report}");
    // The rows of states are run above, where the factory has their hooks.
    assert_eq!(not_run(&report), [4, 5, 12, 13, 14, 15, 16, 17, 18, 27, 28]);
    assert_eq!(passed(&report), [1, 2, 3, 6, 7, 8, 9, 10, 11, 19, 20, 21, 22, 23, 24, 24, 24, 24, 25, 26]);
    let reasons: Vec<String> = report.not_run().map(|row| format!("{:?}", row.outcome)).collect();
    assert!(reasons.last().is_some_and(|reason| reason.contains("no hook `recorded_pairs`")), "{report}");
    assert!(reasons.iter().any(|reason| reason.contains("not offered")), "{report}");
}

/// Looks like a KMS: no states, no context, no authentication, and a `Debug` that shows too much.
#[derive(Debug)]
struct Pretender;

impl Kms for Pretender {
    fn provider(&self) -> &'static str {
        "pretender"
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        _: &'a WrappingContext,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move { Ok(Wrapped::new(key_id.clone(), key.expose_secret().to_vec())) })
    }

    fn unwrap<'a>(
        &'a self,
        _: &'a KeyId,
        blob: &'a [u8],
        _: &'a WrappingContext,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move { Ok(Unwrapped::new(KeyId::new("mine").unwrap(), Secret::copy_from(blob))) })
    }

    fn describe<'a>(&'a self, _: &'a KeyId, _: SystemTime) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async { Err(KmsError::Internal { what: "there is nothing to describe" }) })
    }
}

impl Factory for Pretender {
    fn kms(&self) -> &dyn Kms {
        self
    }

    fn fresh_key(&self, _: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        Box::pin(async { Ok(KeyId::new("k").unwrap()) })
    }

    fn unknown_key(&self) -> Option<KeyId> {
        KeyId::new("unknown").ok()
    }
}

/// Hooks that do not what they say.
struct Dishonest(LocalKms);

impl Factory for Dishonest {
    fn kms(&self) -> &dyn Kms {
        &self.0
    }

    fn fresh_key(&self, now: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        self.0.fresh_key(now)
    }

    fn unknown_key(&self) -> Option<KeyId> {
        None
    }

    fn timer(&self) -> Option<Arc<dyn Timer>> {
        Some(Arc::new(Clock::default()))
    }

    /// Says that it fails, and works.
    fn failing(&self, _: Failure) -> Option<Arc<dyn Kms>> {
        Some(Arc::new(Pretender))
    }

    fn recorded_pairs(&self) -> Option<Vec<(String, String)>> {
        Some(vec![("qsec:tenant".to_owned(), "acme".to_owned())])
    }
}

#[test]
fn rows_of_failures_and_of_the_wire_can_fail() {
    let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
    let report = pollster::block_on(run(&Dishonest(kms), at(0)));
    // The pretender gives 126 bytes for a key and names another: no key was taken, so row 24 holds.
    assert_eq!(failed(&report), [21, 22, 23, 28], "{report}");
}

#[test]
fn a_kms_that_does_nothing_fails_and_its_missing_hooks_are_named() {
    let report = pollster::block_on(run(&Pretender, at(0)));
    assert!(!report.is_passed());
    assert_eq!(failed(&report), [2, 3, 6, 7, 8, 9, 10, 11, 25, 26], "{report}");
    assert_eq!(not_run(&report), [4, 5, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24, 24, 24, 24, 27, 28], "{report}");
    assert!(report.to_string().contains("no hook `disable`"), "{report}");
}

/// A store that ignores generations, forgets nothing, and gives rows in the order of writing.
#[derive(Debug, Default)]
struct Careless(std::sync::Mutex<Vec<(TenantId, KeyRow)>>);

impl KeyStore for Careless {
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async move {
            let rows = self.0.lock().unwrap();
            let same = |of: &TenantId| of.as_str().eq_ignore_ascii_case(tenant.as_str());
            Ok(rows.iter().filter(|(of, _)| same(of)).map(|(_, row)| row.clone()).collect())
        })
    }

    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.0.lock().unwrap().extend(rows.iter().map(|row| (tenant.clone(), row.clone())));
            Ok(())
        })
    }

    fn erase<'a>(&'a self, _: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn a_careless_store_fails() {
    let report = pollster::block_on(conformance::key_store(&Careless::default()));
    assert_eq!(failed(&report), [3, 4, 5, 6, 7, 8], "{report}");
}
