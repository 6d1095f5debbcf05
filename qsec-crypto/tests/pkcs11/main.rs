//! Against a real PKCS#11 module: the SoftHSM that `cargo xtask testbed up hsm` makes.

mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qsec_crypto::conformance::Outcome;
use qsec_crypto::kms::pkcs11::Pkcs11Kms;
use qsec_crypto::kms::{KeyId, Kms, KmsKeyState, LocalKms, RootKey, WrappedRootKey, WrappingContext, conformance};
use qsec_crypto::{Context, KeyRecords, Keyring, MemoryStore, Purpose, Secret, SecretKey, TenantId};

use token::{HsmToken, label};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn context() -> WrappingContext {
    WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 3)
}

#[test]
fn a_token_conforms() {
    let Some(token) = HsmToken::find() else { return };
    pollster::block_on(async {
        let kms = token.open().await;
        let report = conformance::run(&kms, at(0)).await;
        println!("pkcs11\n{report}");
        let numbers = |outcome: fn(&Outcome) -> bool| -> Vec<u8> {
            report.rows().iter().filter(|row| outcome(&row.outcome)).map(|row| row.number).collect()
        };
        // Deterministic; no scheduled deletion, no rotation; a library in the process cannot be made to fail, has no
        // wire and no proxy; no KMS signs.
        let not_run = numbers(|outcome| matches!(outcome, Outcome::NotRun(_)));
        assert_eq!(not_run, [2, 14, 15, 16, 18, 21, 22, 23, 24, 24, 24, 24, 27, 28], "{report}");
        let passed = numbers(|outcome| *outcome == Outcome::Passed);
        assert_eq!(passed, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 19, 20, 25, 26], "{report}");
        token.remove_keys_of_the_suite();
    });
}

#[test]
fn a_blob_has_72_bytes_and_is_bound_to_its_context() {
    let Some(token) = HsmToken::find() else { return };
    pollster::block_on(async {
        let kms = token.open().await;
        let key_id = kms.create_key(&label("blob")).await.unwrap();
        let key = SecretKey::copy_from(&[7; 32]);
        let blob = kms.wrap(&key_id, &key, &context(), at(0)).await.unwrap().into_blob();
        assert_eq!(blob.len(), 72);
        let unwrapped = kms.unwrap(&key_id, &blob, &context(), at(0)).await.unwrap();
        assert_eq!(unwrapped.secret().expose_secret(), [7; 32]);
        let other = WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 4);
        assert_eq!(kms.unwrap(&key_id, &blob, &other, at(0)).await.unwrap_err().code(), "kms_rejected");
        kms.destroy(&key_id).await.unwrap();
        assert_eq!(kms.unwrap(&key_id, &blob, &context(), at(0)).await.unwrap_err().code(), "key_not_found");
    });
}

#[test]
fn a_tenant_seals_and_opens_under_a_key_on_the_token() {
    let Some(token) = HsmToken::find() else { return };
    pollster::block_on(async {
        let kms = Arc::new(token.open().await);
        let key_id = kms.create_key(&label("tenant")).await.unwrap();
        let records = KeyRecords::in_memory().unwrap();
        let keys = Keyring::new(TenantId::new("acme").unwrap(), kms.clone(), records.clone());
        keys.create(std::slice::from_ref(&key_id), &[Purpose::data()], at(0)).await.unwrap();
        let sealed =
            keys.current(&Purpose::data(), at(0)).await.unwrap().seal(b"4,200 EUR", &Context::empty()).unwrap();

        // Another node: nothing cached, and the owner has locked the key meanwhile.
        let node = Keyring::new(TenantId::new("acme").unwrap(), kms.clone(), records);
        kms.disable(&key_id).await.unwrap();
        let error = node.for_sealed(&sealed, &Purpose::data(), at(0)).await.unwrap_err();
        assert_eq!(error.code(), "key_disabled");
        kms.enable(&key_id).await.unwrap();
        let key = node.for_sealed(&sealed, &Purpose::data(), at(60)).await.unwrap();
        assert_eq!(key.open(&sealed, &Context::empty()).unwrap(), b"4,200 EUR");
    });
}

#[test]
fn the_root_key_of_the_internal_kms_may_be_under_a_key_on_the_token() {
    let Some(token) = HsmToken::find() else { return };
    pollster::block_on(async {
        let hsm = token.open().await;
        let key_id = hsm.create_key(&label("root")).await.unwrap();
        let (root, store) = (RootKey::generate().unwrap(), MemoryStore::new());
        let line = root.wrap_for(&hsm, &key_id, at(0)).await.unwrap().to_string();
        let made = LocalKms::open(root, store.clone()).unwrap().create_key(at(0)).await.unwrap();

        let root = RootKey::unwrap_from(&hsm, &WrappedRootKey::parse(&line).unwrap(), at(0)).await.unwrap();
        let kms = LocalKms::open(root, store).unwrap();
        assert_eq!(kms.describe(&made, at(0)).await.unwrap().state(), KmsKeyState::Enabled);
    });
}

#[test]
fn a_key_that_can_be_carried_off_or_is_not_alone_does_not_wrap() {
    let Some(token) = HsmToken::find() else { return };
    pollster::block_on(async {
        let kms = token.open().await;
        let open = KeyId::new(token.make_extractable_key("open")).unwrap();
        let key = SecretKey::copy_from(&[7; 32]);
        assert_eq!(kms.wrap(&open, &key, &context(), at(0)).await.unwrap_err().code(), "usage");
        let described = kms.describe(&open, at(0)).await.unwrap();
        assert!(described.state() == KmsKeyState::Enabled && !described.wraps());

        let twin = kms.create_key(&label("twin")).await.unwrap();
        assert_eq!(kms.create_key(twin.as_str()).await.unwrap_err().code(), "usage");
        token.make_key(twin.as_str(), false);
        let error = kms.wrap(&twin, &key, &context(), at(0)).await.unwrap_err();
        assert_eq!(error.code(), "usage");
        assert!(error.to_string().contains("two keys"), "{error}");
    });
}

#[test]
fn a_lost_session_is_opened_again_once() {
    let Some(token) = HsmToken::alone("a_lost_session_is_opened_again_once") else { return };
    pollster::block_on(async {
        let kms = token.open().await;
        let key_id = kms.create_key(&label("lost")).await.unwrap();
        let key = SecretKey::copy_from(&[7; 32]);
        let blob = kms.wrap(&key_id, &key, &context(), at(0)).await.unwrap().into_blob();
        token.end_all_sessions();
        let unwrapped = kms.unwrap(&key_id, &blob, &context(), at(0)).await.unwrap();
        assert_eq!(unwrapped.secret().expose_secret(), [7; 32]);
    });
}

#[test]
fn a_wrong_pin_is_denied_and_not_shown() {
    // Login is of the process: a PIN is looked at only where nobody has logged in.
    let Some(token) = HsmToken::alone("a_wrong_pin_is_denied_and_not_shown") else { return };
    let opened = pollster::block_on(Pkcs11Kms::open(&token.module, &token.name, Secret::copy_from(b"13579246")));
    let error = opened.unwrap_err();
    assert_eq!(error.code(), "kms_access_denied");
    assert!(!format!("{error} {error:?}").contains("13579246"));
}

#[test]
fn a_token_that_is_not_there_is_unavailable() {
    let Some(token) = HsmToken::find() else { return };
    let opened = pollster::block_on(Pkcs11Kms::open(&token.module, "no such token", Secret::copy_from(b"1234")));
    let error = opened.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("kms_unavailable", true));
}

#[test]
fn many_who_open_one_module_load_it_once() {
    let Some(token) = HsmToken::find() else { return };
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let kms = pollster::block_on(token.open());
                assert_eq!(kms.endpoint(), Some(format!("pkcs11:token={}", token.name).as_str()));
                assert!(!format!("{kms:?}").contains(std::str::from_utf8(token.pin().expose_secret()).unwrap()));
            });
        }
    });
}
