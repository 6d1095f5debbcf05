//! What KMS is told, and what nobody else is.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qsec_crypto::SecretKey;
use qsec_crypto::kms::Kms;
use serde_json::json;

use crate::errors::decrypted;
use crate::fault::{Answer, Server, response};
use crate::world::{ARN, SECRET_ACCESS_KEY, TENANT_KEY, at, context, credentials, key_id, kms_at, run, shown};

#[test]
fn kms_is_told_the_key_the_three_pairs_and_the_algorithm_and_nothing_else() {
    let server = Server::answering([
        Answer::Json(200, json!({ "KeyId": ARN, "CiphertextBlob": STANDARD.encode(b"blob") })),
        Answer::Json(200, decrypted(ARN, &TENANT_KEY)),
    ]);
    let kms = kms_at(&server.url());
    run(async {
        let key = SecretKey::copy_from(&TENANT_KEY);
        let wrapped = kms.wrap(&key_id(ARN), &key, &context(), at(0)).await.unwrap();
        assert_eq!((wrapped.key_id().as_str(), wrapped.blob()), (ARN, &b"blob"[..]));
        let unwrapped = kms.unwrap(&key_id(ARN), b"blob", &context(), at(0)).await.unwrap();
        assert_eq!((unwrapped.key_id().as_str(), unwrapped.secret().expose_secret()), (ARN, &TENANT_KEY[..]));
    });
    let pairs = json!({ "qsec:purpose": "data", "qsec:tenant": "acme", "qsec:version": "3" });
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        asked,
        [
            json!({
                "KeyId": ARN, "Plaintext": STANDARD.encode(TENANT_KEY), "EncryptionContext": pairs,
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            }),
            json!({
                "KeyId": ARN, "CiphertextBlob": STANDARD.encode(b"blob"), "EncryptionContext": pairs,
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            }),
        ]
    );
}

/// The answer of an unwrap is a key. When it is torn, of another key, or behind an error, none of it may be shown.
#[test]
fn no_error_shows_a_key_or_a_secret() {
    let body = decrypted(ARN, &TENANT_KEY).to_string();
    let whole = response(200, &body, "");
    let encoded = STANDARD.encode(TENANT_KEY);
    let secrets = [&encoded[4..20], "tenant key of thirty-two", SECRET_ACCESS_KEY, "116, 101, 110, 97, 110, 116"];
    for answer in [
        Answer::Raw(whole[..whole.len() - 3].to_vec()),
        Answer::Raw(response(200, &format!("{body} and more"), "")),
        Answer::Raw(response(200, &encoded, "")),
        Answer::Raw(response(500, &body, "")),
        Answer::Json(200, decrypted("other", &TENANT_KEY)),
        Answer::Json(200, decrypted(ARN, &TENANT_KEY[..31])),
        Answer::Json(400, json!({ "__type": encoded, "message": encoded })),
        Answer::Json(400, json!({ "__type": "ValidationException", "message": encoded })),
        Answer::Json(503, json!({ "__type": "ServiceUnavailable", "message": encoded })),
        Answer::Close,
    ] {
        let server = Server::answering([answer.clone(), answer.clone()]);
        let kms = kms_at(&server.url());
        let text = run(async {
            let key = SecretKey::copy_from(&TENANT_KEY);
            let unwrapping = kms.unwrap(&key_id(ARN), b"blob", &context(), at(0)).await.unwrap_err();
            let wrapping = kms.wrap(&key_id(ARN), &key, &context(), at(0)).await.unwrap_err();
            format!("{} {} {kms:?}", shown(&unwrapping), shown(&wrapping))
        });
        for secret in secrets {
            assert!(!text.contains(secret), "{answer:?} shows {secret}: {text}");
        }
    }
}

#[test]
fn debug_of_kms_and_credentials_shows_no_secret() {
    let shown = format!("{:?} {:?}", kms_at("http://[::1]:1"), Arc::new(credentials("AKIDEXAMPLE")));
    assert!(shown.contains("http://[::1]:1") && shown.contains("AKIDEXAMPLE"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}
