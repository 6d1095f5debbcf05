//! Vault's transit engine: against a double of our own, and against a real server for whoever has one:
//! `QSEC_TEST_VAULT=http://127.0.0.1:8200 QSEC_TEST_VAULT_TOKEN=… cargo test -p qsec-crypto --features vault --test vault`

mod double;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qsec_crypto::conformance::{Outcome, Report};
use qsec_crypto::kms::conformance::{Factory, Failure, run};
use qsec_crypto::kms::vault::{VaultKms, VaultRoots};
use qsec_crypto::kms::{KeyId, Kms, KmsError, Unwrapped, WrappingContext};
use qsec_crypto::store::BoxFuture;
use qsec_crypto::{Context, KeyRecords, Keyring, Purpose, Secret, SecretKey, TenantId, Timer};
use serde_json::json;
use tokio::runtime::{Handle, Runtime};

use double::{TOKEN, Transit};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn connect(address: &str, token: &str) -> VaultKms {
    VaultKms::connect(address, Secret::copy_from(token.as_bytes()), &VaultRoots::WebPki).unwrap()
}

fn context() -> WrappingContext {
    WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 3)
}

#[derive(Debug)]
struct TokioTimer;

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }
}

/// A Vault and, where it is the double, its wire.
struct Tested {
    kms: VaultKms,
    handle: Handle,
    transit: Option<Transit>,
}

impl Factory for Tested {
    fn kms(&self) -> &dyn Kms {
        &self.kms
    }

    fn fresh_key(&self, now: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        self.kms.fresh_key(now)
    }

    fn unknown_key(&self) -> Option<KeyId> {
        self.kms.unknown_key()
    }

    fn destroy<'a>(&'a self, key_id: &'a KeyId, now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Factory::destroy(&self.kms, key_id, now)
    }

    fn rotate<'a>(&'a self, key_id: &'a KeyId, now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Factory::rotate(&self.kms, key_id, now)
    }

    fn material_version(&self, blob: &[u8]) -> Option<u32> {
        self.kms.material_version(blob)
    }

    fn timer(&self) -> Option<Arc<dyn Timer>> {
        Some(Arc::new(TokioTimer))
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        self.handle.block_on(future);
    }

    fn failing(&self, failure: Failure) -> Option<Arc<dyn Kms>> {
        if failure == Failure::Unreachable {
            // A port that nobody listens on: it was free a moment ago.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            drop(listener);
            return Some(Arc::new(connect(&address, TOKEN)));
        }
        // Vault's answers name no key.
        let transit = self.transit.as_ref().filter(|_| failure != Failure::OtherKeyId)?;
        Some(Arc::new(connect(&transit.serve(Some(failure)), TOKEN)))
    }

    fn recorded_pairs(&self) -> Option<Vec<(String, String)>> {
        Some(self.transit.as_ref()?.context().map(|context| pairs_of(&context)).unwrap_or_default())
    }

    fn unwrap_pairs<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        pairs: &'a [(&'a str, &'a str)],
        now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<Unwrapped, KmsError>>> {
        self.kms.unwrap_pairs(key_id, blob, pairs, now)
    }
}

/// Reads the canonical form of a wrapping context back.
fn pairs_of(context: &[u8]) -> Vec<(String, String)> {
    let (mut rest, mut texts) = (&context[2..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk() {
        let (text, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        rest = after;
    }
    texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn numbers(report: &Report, outcome: fn(&Outcome) -> bool) -> Vec<u8> {
    report.rows().iter().filter(|row| outcome(&row.outcome)).map(|row| row.number).collect()
}

#[test]
fn the_double_conforms() {
    let (runtime, transit) = (runtime(), Transit::default());
    let kms = connect(&transit.serve(None), TOKEN);
    let tested = Tested { kms, handle: runtime.handle().clone(), transit: Some(transit) };
    let report = runtime.block_on(run(&tested, NOW));
    println!("vault (double only)\n{report}");
    // Vault disables nothing and schedules no deletion, and its answers name no key; no KMS signs.
    let not_run = numbers(&report, |outcome| matches!(outcome, Outcome::NotRun(_)));
    assert_eq!(not_run, [12, 13, 14, 15, 16, 24, 27], "{report}");
    let passed = numbers(&report, |outcome| *outcome == Outcome::Passed);
    let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 18, 19, 20, 21, 22, 23, 24, 24, 24, 25, 26, 28];
    assert_eq!(passed, expected, "{report}");
}

#[test]
fn a_real_vault_conforms() {
    #[expect(clippy::disallowed_methods, reason = "tests are told by variables what they find")]
    let found = (std::env::var("QSEC_TEST_VAULT"), std::env::var("QSEC_TEST_VAULT_TOKEN"));
    let (Ok(address), Ok(token)) = found else {
        // Not a failure in CI either: no component of the testbed is a Vault.
        println!("not run: vault: QSEC_TEST_VAULT and QSEC_TEST_VAULT_TOKEN are not set");
        return;
    };
    let runtime = runtime();
    let tested = Tested { kms: connect(&address, &token), handle: runtime.handle().clone(), transit: None };
    let report = runtime.block_on(run(&tested, NOW));
    println!("vault\n{report}");
    assert!(report.is_passed(), "{report}");
}

#[test]
fn a_tenant_seals_and_opens_under_a_transit_key() {
    let transit = Transit::default();
    runtime().block_on(async {
        let kms = Arc::new(connect(&transit.serve(None), TOKEN));
        let key_id = kms.create_key("tenant-acme").await.unwrap();
        let records = KeyRecords::in_memory().unwrap();
        let keys = Keyring::new(TenantId::new("acme").unwrap(), kms.clone(), records.clone());
        keys.create(&[key_id], &[Purpose::data()], NOW).await.unwrap();
        let sealed = keys.current(&Purpose::data(), NOW).await.unwrap().seal(b"4,200 EUR", &Context::empty()).unwrap();
        let node = Keyring::new(TenantId::new("acme").unwrap(), kms, records);
        let key = node.for_sealed(&sealed, &Purpose::data(), NOW).await.unwrap();
        assert_eq!(key.open(&sealed, &Context::empty()).unwrap(), b"4,200 EUR");
    });
}

#[test]
fn a_wrap_looks_first_and_makes_no_key() {
    let transit = Transit::default();
    runtime().block_on(async {
        let kms = connect(&transit.serve(None), TOKEN);
        let (key_id, key) = (KeyId::new("absent").unwrap(), SecretKey::copy_from(&[7; 32]));
        let error = kms.wrap(&key_id, &key, &context(), NOW).await.unwrap_err();
        assert_eq!(error.code(), "key_not_found");
        assert_eq!(transit.requests(), ["GET /v1/transit/keys/absent"]);
    });
}

#[test]
fn a_key_that_binds_nothing_or_leaves_vault_is_refused() {
    let transit = Transit::default();
    runtime().block_on(async {
        let kms = connect(&transit.serve(None), TOKEN);
        for (name, settings) in [
            ("plain", json!({ "type": "aes256-gcm96", "derived": false })),
            ("open", json!({ "type": "aes256-gcm96", "derived": true, "exportable": true })),
            ("rsa", json!({ "type": "rsa-4096", "derived": true })),
        ] {
            transit.make(name, settings);
            let (key_id, key) = (KeyId::new(name).unwrap(), SecretKey::copy_from(&[7; 32]));
            assert_eq!(kms.describe(&key_id, NOW).await.unwrap_err().code(), "usage", "{name}");
            assert_eq!(kms.wrap(&key_id, &key, &context(), NOW).await.unwrap_err().code(), "usage", "{name}");
        }
    });
}

#[test]
fn a_token_that_ended_is_denied_until_it_is_replaced_and_never_shown() {
    let transit = Transit::default();
    runtime().block_on(async {
        let kms = connect(&transit.serve(None), "hvs.ended");
        let error = kms.create_key("k").await.unwrap_err();
        assert_eq!(error.code(), "kms_access_denied");
        assert!(!format!("{error} {error:?} {kms:?}").contains("hvs"));
        kms.replace_token(Secret::copy_from(TOKEN.as_bytes())).unwrap();
        kms.create_key("k").await.unwrap();
    });
}
