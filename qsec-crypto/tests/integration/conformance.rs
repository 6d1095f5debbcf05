//! The exported suites pass for what is right, and fail for what is wrong.

use std::time::SystemTime;

use qsec_crypto::conformance::{Outcome, Report};
use qsec_crypto::kms::conformance::{Factory, run};
use qsec_crypto::kms::{
    KeyId, Kms, KmsError, KmsKeyDescription, LocalKms, RootKey, Unwrapped, Wrapped, WrappingContext,
};
use qsec_crypto::store::{BoxFuture, KeyRow, KeyStore, StoreError, conformance};
use qsec_crypto::{MemoryStore, Secret, SecretKey, TenantId};

use crate::world::at;

fn failed(report: &Report) -> Vec<u8> {
    report.rows().iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).map(|row| row.number).collect()
}

#[test]
fn internal_kms_passes_every_row() {
    let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
    let report = pollster::block_on(run(&kms, at(0)));
    println!("{report}");
    let numbers: Vec<u8> = report.rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 25, 26]);
    assert!(report.rows().iter().all(|row| row.outcome == Outcome::Passed), "{report}");
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

#[test]
fn a_kms_that_does_nothing_fails_and_its_missing_hooks_are_named() {
    let report = pollster::block_on(run(&Pretender, at(0)));
    assert!(!report.is_passed());
    assert_eq!(failed(&report), [2, 3, 6, 7, 8, 9, 10, 11, 25, 26], "{report}");
    let not_run: Vec<u8> = report.not_run().map(|row| row.number).collect();
    assert_eq!(not_run, [4, 5, 12, 13, 14, 15, 16, 17, 18], "{report}");
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
