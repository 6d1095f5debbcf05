//! The suite for every KMS, on LocalStack.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qsec_crypto::Secret;
use qsec_crypto::conformance::Outcome;
use qsec_crypto::kms::aws::AwsKms;
use qsec_crypto::kms::conformance::{self, Factory};
use qsec_crypto::kms::{KeyId, Kms, KmsError, Unwrapped};
use qsec_crypto::store::BoxFuture;
use serde_json::{Value, json};

use crate::localstack::{LocalStack, region_of};
use crate::world::{REGION, key_id, run};

/// Rows that LocalStack fails, and at what. It binds what the sorted pairs come to when they are put behind one another,
/// so it cannot tell `{a: bc}` from `{ab: c}`, nor an empty pair from none. AWS can, and our three names are fixed.
const NOT_BY_LOCALSTACK: [(u8, &str); 2] = [(4, r#"[("", ""), "#), (5, r#"("qsec:tenan", "tacme")"#)];

/// Rows that it cannot be asked: it destroys no key when the wait is over.
const NO_SUCH_HOOK: [u8; 1] = [17];

struct Owner {
    localstack: LocalStack,
    kms: AwsKms,
}

type Hook<'a, T> = Option<BoxFuture<'a, Result<T, KmsError>>>;

impl Owner {
    fn tell<'a>(&'a self, action: &'static str, key_id: &'a KeyId) -> BoxFuture<'a, Result<(), KmsError>> {
        Box::pin(async move { self.localstack.tell(action, key_id).map_err(refused) })
    }
}

fn refused(code: String) -> KmsError {
    KmsError::Usage { what: code }
}

impl Factory for Owner {
    fn kms(&self) -> &dyn Kms {
        &self.kms
    }

    fn fresh_key(&self, _: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        Box::pin(async { Ok(self.localstack.create_key(REGION, &json!({}))) })
    }

    fn unknown_key(&self) -> Option<KeyId> {
        Some(key_id("arn:aws:kms:eu-central-1:000000000000:key/00000000-0000-0000-0000-000000000000"))
    }

    fn disable<'a>(&'a self, key_id: &'a KeyId, _: SystemTime) -> Hook<'a, ()> {
        Some(self.tell("DisableKey", key_id))
    }

    fn enable<'a>(&'a self, key_id: &'a KeyId, _: SystemTime) -> Hook<'a, ()> {
        Some(self.tell("EnableKey", key_id))
    }

    fn schedule_deletion<'a>(&'a self, key_id: &'a KeyId, days: u32, _: SystemTime) -> Hook<'a, ()> {
        Some(Box::pin(async move { self.localstack.schedule_deletion(key_id, days).map_err(refused) }))
    }

    fn cancel_deletion<'a>(&'a self, key_id: &'a KeyId, _: SystemTime) -> Hook<'a, ()> {
        Some(self.tell("CancelKeyDeletion", key_id))
    }

    fn rotate<'a>(&'a self, key_id: &'a KeyId, _: SystemTime) -> Hook<'a, ()> {
        Some(self.tell("RotateKeyOnDemand", key_id))
    }

    fn unwrap_pairs<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        pairs: &'a [(&'a str, &'a str)],
        _: SystemTime,
    ) -> Hook<'a, Unwrapped> {
        Some(Box::pin(async move {
            let context: Value = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
            let blob = STANDARD.encode(blob);
            let wanted = json!({ "KeyId": key_id.as_str(), "CiphertextBlob": blob, "EncryptionContext": context });
            let answer = self.localstack.ask(region_of(key_id), "Decrypt", &wanted).map_err(refused)?;
            let plaintext = STANDARD.decode(answer["Plaintext"].as_str().unwrap()).unwrap();
            Ok(Unwrapped::new(key_id.clone(), Secret::copy_from(&plaintext)))
        }))
    }
}

#[test]
fn aws_kms_passes_the_suite_on_localstack() {
    let Some(localstack) = LocalStack::find() else { return };
    let kms = localstack.kms();
    #[expect(clippy::disallowed_methods, reason = "the dates are those of the server's clock")]
    let now = SystemTime::now();
    let report = run(conformance::run(&Owner { localstack, kms }, now));
    println!("{report}");
    for row in report.rows() {
        let exception = NOT_BY_LOCALSTACK.iter().find(|(number, _)| *number == row.number);
        let is_expected = match &row.outcome {
            Outcome::Passed => exception.is_none() && !NO_SUCH_HOOK.contains(&row.number),
            Outcome::Failed(what) => exception.is_some_and(|(_, at)| what.contains(at)),
            // Above 18 are rows that need more of a factory than a server of LocalStack's kind.
            Outcome::NotRun(_) => NO_SUCH_HOOK.contains(&row.number) || row.number > 18,
            _ => false,
        };
        assert!(is_expected, "row {}: {:?}\n{report}", row.number, row.outcome);
    }
}
