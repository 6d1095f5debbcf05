//! What each error of AWS KMS comes to, by its code on the wire.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qsec_crypto::kms::{Kms, KmsError, KmsKeyState};
use qsec_crypto::{Event, KeyRecords, Keyring, Observer, Purpose, SecretKey};
use serde_json::{Value, json};

use crate::fault::{Answer, Server};
use crate::world::{ARN, TENANT_KEY, acme, at, context, key_id, kms_at, run, shown, timer};

/// What a wrap, an unwrap and a description come to when KMS answers each with this. No call is made twice.
fn refusals(answer: &Answer) -> [KmsError; 3] {
    let server = Server::answering(vec![answer.clone(); 3]);
    let (kms, key_id, context) = (kms_at(&server.url()), key_id(ARN), context());
    let errors = run(async {
        let key = SecretKey::copy_from(&TENANT_KEY);
        [
            kms.wrap(&key_id, &key, &context, at(0)).await.unwrap_err(),
            kms.unwrap(&key_id, b"blob", &context, at(0)).await.unwrap_err(),
            kms.describe(&key_id, at(0)).await.unwrap_err(),
        ]
    });
    assert_eq!(server.actions(), ["Encrypt", "Decrypt", "DescribeKey"]);
    errors
}

/// One test for each code of the table: its name, status and code, and what wrapping, unwrapping and describing say.
macro_rules! codes {
    ($($name:ident: $status:literal $code:literal => $expected:literal, $retryable:literal;)*) => { $(
        #[test]
        fn $name() {
            for error in refusals(&Answer::error($status, $code)) {
                assert_eq!((error.code(), error.is_retryable()), ($expected, $retryable), "{error:?}");
            }
        }
    )* };
}

codes! {
    a_disabled_key_is_disabled: 400 "DisabledException" => "key_disabled", false;
    a_key_that_is_not_there_is_not_found: 400 "NotFoundException" => "key_not_found", false;
    access_denied_is_denied: 400 "AccessDeniedException" => "kms_access_denied", false;
    an_unknown_client_is_denied: 400 "UnrecognizedClientException" => "kms_access_denied", false;
    an_invalid_token_id_is_denied: 403 "InvalidClientTokenId" => "kms_access_denied", false;
    an_invalid_signature_is_denied: 400 "InvalidSignatureException" => "kms_access_denied", false;
    an_expired_token_that_cannot_be_refreshed_is_denied: 400 "ExpiredTokenException" => "kms_access_denied", false;
    an_incorrect_key_is_a_wrong_key: 400 "IncorrectKeyException" => "kms_wrong_key", false;
    an_invalid_ciphertext_is_rejected: 400 "InvalidCiphertextException" => "kms_rejected", false;
    an_unavailable_key_is_unavailable: 500 "KeyUnavailableException" => "kms_unavailable", true;
    a_dependency_that_times_out_is_unavailable: 500 "DependencyTimeoutException" => "kms_unavailable", true;
    an_internal_exception_is_unavailable: 500 "KMSInternalException" => "kms_unavailable", true;
    an_internal_failure_is_unavailable: 500 "InternalFailure" => "kms_unavailable", true;
    a_service_that_is_unavailable_is_unavailable: 503 "ServiceUnavailable" => "kms_unavailable", true;
    any_other_5xx_is_unavailable: 502 "SomethingNew" => "kms_unavailable", true;
    throttling_is_throttled: 400 "ThrottlingException" => "kms_throttled", true;
    a_limit_that_is_exceeded_is_throttled: 400 "LimitExceededException" => "kms_throttled", true;
    any_other_429_is_throttled: 429 "SomethingNew" => "kms_throttled", true;
    any_other_error_is_unavailable: 400 "SomethingNew" => "kms_unavailable", true;
}

#[test]
fn a_call_that_kms_does_not_take_is_misuse_when_configuring_and_our_mistake_afterwards() {
    for code in
        ["InvalidKeyUsageException", "ValidationException", "InvalidArnException", "UnsupportedOperationException"]
    {
        let errors = refusals(&Answer::error(400, code));
        assert_eq!(errors.each_ref().map(KmsError::code), ["internal", "internal", "usage"], "{code}");
        assert!(errors[2].to_string().contains(code), "{}", errors[2]);
    }
}

/// Remembers what KMS called its errors.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<Option<String>>>);

impl Observer for Names {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(event.unknown_error.map(str::to_owned));
    }
}

#[test]
fn an_unknown_error_is_named_and_not_asked_for_again() {
    let [error, ..] = refusals(&Answer::error(400, "SomethingNew"));
    assert!(shown(&error).contains("`SomethingNew`"), "{}", shown(&error));
    let [error, ..] = refusals(&Answer::error(400, "evil\n\u{1b}[31m"));
    assert!(shown(&error).contains("`unknown`"), "{}", shown(&error));
    // A keyring tries thrice what may pass, and this once.
    for (answer, calls) in [(Answer::error(400, "SomethingNew"), 1), (Answer::error(500, "InternalFailure"), 3)] {
        let server = Server::answering([]);
        server.always(answer);
        run(async {
            let kms = Arc::new(kms_at(&server.url()));
            let told = Arc::new(Names::default());
            let keys = Keyring::new(acme(), kms, KeyRecords::in_memory().unwrap()).with_timer(timer());
            let keys = keys.with_observer(told.clone());
            let error = keys.create(&[key_id(ARN)], &[Purpose::data()], at(0)).await.unwrap_err();
            assert_eq!(error.code(), "kms_unavailable");
            let unknown = if calls == 1 { vec![Some("SomethingNew".to_owned())] } else { vec![None; 3] };
            assert_eq!(*told.0.lock().unwrap(), unknown, "the event has the code of KMS");
        });
        let wraps = server.actions().iter().filter(|action| *action == "Encrypt").count();
        assert_eq!(wraps, calls);
    }
}

#[test]
fn throttling_tells_how_long_to_wait_and_is_not_believed_beyond_a_minute() {
    let body = json!({ "__type": "ThrottlingException" });
    for (header, expected) in
        [("Retry-After: 2", Some(2)), ("Retry-After: 86400", Some(60)), ("Retry-After: soon", None)]
    {
        let [error, ..] = refusals(&Answer::WithHeader(400, body.clone(), header));
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{header}");
    }
}

/// An unwrap that is answered with an invalid state, and then a description with this.
fn invalid_state(described: Answer) -> KmsError {
    let server = Server::answering([Answer::error(400, "KMSInvalidStateException"), described]);
    let error = run(kms_at(&server.url()).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!(server.actions(), ["Decrypt", "DescribeKey"]);
    error
}

fn metadata(members: &Value) -> Answer {
    let mut metadata = json!({
        "KeyId": "mrk-1234abcd", "Arn": ARN, "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT",
    });
    metadata.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Answer::Json(200, json!({ "KeyMetadata": metadata }))
}

#[test]
fn an_invalid_state_is_asked_for_once_and_pending_deletion_tells_the_date() {
    let error = invalid_state(metadata(&json!({ "KeyState": "PendingDeletion", "DeletionDate": 1_893_456_000.0 })));
    let KmsError::KeyPendingDeletion { key_id, deletion_date } = &error else { panic!("{error:?}") };
    assert_eq!((key_id.as_str(), *deletion_date), (ARN, Some(at(0))));
    let error = invalid_state(metadata(&json!({ "KeyState": "PendingReplicaDeletion" })));
    assert_eq!(error.code(), "key_pending_deletion");
}

#[test]
fn an_invalid_state_that_is_disabled_or_waits_for_its_material_is_disabled() {
    for state in ["Disabled", "PendingImport"] {
        assert_eq!(invalid_state(metadata(&json!({ "KeyState": state }))).code(), "key_disabled", "{state}");
    }
}

#[test]
fn an_invalid_state_of_a_key_that_is_gone_is_destroyed() {
    assert_eq!(invalid_state(Answer::error(400, "NotFoundException")).code(), "key_destroyed");
}

#[test]
fn an_invalid_state_that_is_none_of_these_is_unavailable() {
    for state in ["Creating", "Updating", "Unavailable", "Enabled", "SomethingNew"] {
        assert_eq!(invalid_state(metadata(&json!({ "KeyState": state }))).code(), "kms_unavailable", "{state}");
    }
    let other = "arn:aws:kms:eu-central-1:111122223333:key/other";
    let of_another = metadata(&json!({ "KeyState": "Disabled", "Arn": other }));
    for described in [Answer::error(400, "AccessDeniedException"), Answer::Close, of_another] {
        assert_eq!(invalid_state(described).code(), "kms_unavailable");
    }
}

#[test]
fn a_closed_connection_is_unavailable() {
    for error in refusals(&Answer::Close) {
        assert_eq!(error.code(), "kms_unavailable");
    }
}

#[test]
fn a_place_where_nobody_listens_is_unavailable() {
    let nobody = Server::answering([]).url();
    let error = run(kms_at(&nobody).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!(error.code(), "kms_unavailable");
    assert!(shown(&error).contains("no connection"), "{}", shown(&error));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
fn a_kms_that_hangs_is_unavailable_within_the_total_timeout_without_a_timer_too() {
    let server = Server::answering([Answer::Hang]);
    let begin = Instant::now();
    let error = run(kms_at(&server.url()).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!(error.code(), "kms_unavailable");
    assert!(begin.elapsed() >= Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
fn an_answer_that_is_torn_or_not_one_of_kms_is_unavailable() {
    let whole = crate::fault::response(200, &decrypted(ARN, &TENANT_KEY).to_string(), "");
    for bytes in [
        whole[..whole.len() - 20].to_vec(),
        crate::fault::response(200, "<html>welcome</html>", ""),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
    ] {
        for error in refusals(&Answer::Raw(bytes.clone())) {
            assert_eq!(error.code(), "kms_unavailable", "{}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn a_plaintext_that_is_none_is_unavailable() {
    for plaintext in [json!("not base64!"), json!(7), json!([]), json!({ "a": "b" })] {
        let server = Server::answering([Answer::Json(200, json!({ "KeyId": ARN, "Plaintext": plaintext }))]);
        let error = run(kms_at(&server.url()).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
        assert_eq!(error.code(), "kms_unavailable", "{plaintext}");
    }
}

pub(crate) fn decrypted(arn: &str, plaintext: &[u8]) -> Value {
    json!({ "KeyId": arn, "Plaintext": STANDARD.encode(plaintext), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" })
}

#[test]
fn an_unwrapped_key_of_another_key_or_length_is_a_wrong_key() {
    let other = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abce";
    let replica = ARN.replace("eu-central-1", "us-east-1");
    for answer in [
        decrypted(other, &TENANT_KEY),
        decrypted(&replica, &TENANT_KEY),
        decrypted("mrk-1234abcd", &TENANT_KEY),
        decrypted("", &TENANT_KEY),
        decrypted(ARN, &TENANT_KEY[..31]),
        decrypted(ARN, &[&TENANT_KEY[..], b"!"].concat()),
        decrypted(ARN, b""),
        json!({ "KeyId": ARN }),
        json!({ "Plaintext": STANDARD.encode(TENANT_KEY) }),
        json!({}),
    ] {
        let server = Server::answering([Answer::Json(200, answer.clone())]);
        let error = run(kms_at(&server.url()).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
        assert_eq!(error.code(), "kms_wrong_key", "{answer}");
    }
}

#[test]
fn a_wrapped_key_of_another_key_or_of_no_length_is_a_wrong_key() {
    let blob = |length: usize| STANDARD.encode(vec![7; length]);
    let other = "arn:aws:kms:eu-central-1:111122223333:key/other";
    for answer in [
        json!({ "KeyId": other, "CiphertextBlob": blob(116) }),
        json!({ "KeyId": ARN, "CiphertextBlob": "" }),
        json!({ "KeyId": ARN, "CiphertextBlob": blob(6_145) }),
        json!({ "KeyId": ARN }),
        json!({ "CiphertextBlob": blob(116) }),
    ] {
        let server = Server::answering([Answer::Json(200, answer.clone())]);
        let key = SecretKey::copy_from(&TENANT_KEY);
        let error = run(kms_at(&server.url()).wrap(&key_id(ARN), &key, &context(), at(0))).unwrap_err();
        assert_eq!(error.code(), "kms_wrong_key", "{answer}");
    }
}

#[test]
fn a_description_of_another_key_is_a_wrong_key() {
    let other = "arn:aws:kms:eu-central-1:111122223333:key/other";
    let server = Server::answering([metadata(&json!({ "Arn": other, "KeyState": "Enabled" }))]);
    let error = run(kms_at(&server.url()).describe(&key_id(ARN), at(0))).unwrap_err();
    assert_eq!(error.code(), "kms_wrong_key");
}

#[test]
fn a_blob_of_no_possible_length_is_rejected_and_nobody_is_asked() {
    let server = Server::answering([]);
    for length in [0, 6_145, 65_536] {
        let error = run(kms_at(&server.url()).unwrap(&key_id(ARN), &vec![7; length], &context(), at(0))).unwrap_err();
        assert_eq!(error.code(), "kms_rejected", "{length}");
    }
    assert!(server.actions().is_empty());
}

#[test]
fn a_description_tells_usage_state_regions_and_date() {
    let server = Server::answering([
        metadata(&json!({
            "KeyState": "Enabled", "MultiRegion": true, "MultiRegionConfiguration": {
                "MultiRegionKeyType": "REPLICA",
                "PrimaryKey": { "Arn": "arn:a", "Region": "us-east-1" },
                "ReplicaKeys": [{ "Arn": "arn:b", "Region": "eu-central-1" }, { "Arn": "arn:c", "Region": "eu-west-1" }],
            },
        })),
        metadata(&json!({ "KeyState": "PendingDeletion", "DeletionDate": 1_893_456_000.5, "MultiRegion": false })),
        metadata(&json!({ "KeyState": "Enabled", "KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256" })),
        metadata(&json!({ "KeyState": "Enabled", "KeySpec": "RSA_4096" })),
    ]);
    let kms = kms_at(&server.url());
    let [multi, pending, signing, asymmetric] = run(async {
        let key_id = key_id(ARN);
        [
            kms.describe(&key_id, at(0)).await.unwrap(),
            kms.describe(&key_id, at(0)).await.unwrap(),
            kms.describe(&key_id, at(0)).await.unwrap(),
            kms.describe(&key_id, at(0)).await.unwrap(),
        ]
    });
    assert_eq!(multi.regions(), ["us-east-1", "eu-central-1", "eu-west-1"]);
    assert!(multi.is_multi_region() && multi.wraps() && multi.deletion_date().is_none());
    assert_eq!(pending.state(), KmsKeyState::PendingDeletion);
    assert_eq!((pending.regions(), pending.is_multi_region()), (&["eu-central-1".to_owned()][..], false));
    assert_eq!(pending.deletion_date(), Some(at(0) + Duration::from_millis(500)));
    assert!(!signing.wraps() && !asymmetric.wraps());
}
