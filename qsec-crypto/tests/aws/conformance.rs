//! The suite for every KMS, on LocalStack.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qsec_crypto::conformance::Outcome;
use qsec_crypto::kms::aws::AwsKms;
use qsec_crypto::kms::conformance::{self, Factory, Failure};
use qsec_crypto::kms::{KeyId, Kms, KmsError, Unwrapped};
use qsec_crypto::store::BoxFuture;
use qsec_crypto::{Secret, Timer};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::errors::decrypted;
use crate::fault::{Answer, Asked, Server, response};
use crate::localstack::{LocalStack, region_of};
use crate::world::{ARN, REGION, TENANT_KEY, key_id, kms_at, run, timer};

/// Rows that LocalStack fails, and at what. It binds what the sorted pairs come to when they are put behind one another,
/// so it cannot tell `{a: bc}` from `{ab: c}`, nor an empty pair from none. AWS can, and our three names are fixed.
const NOT_BY_LOCALSTACK: [(u8, &str); 2] = [(4, r#"[("", ""), "#), (5, r#"("qsec:tenan", "tacme")"#)];

/// Rows that it cannot be asked: it destroys no key when the wait is over, and no KMS signs yet.
const NO_SUCH_HOOK: [u8; 2] = [17, 27];

struct Owner {
    localstack: LocalStack,
    /// Stands before it, and sees what it is told.
    proxy: Server,
    kms: AwsKms,
    runtime: Handle,
    failing: Mutex<Option<Server>>,
}

type Hook<'a, T> = Option<BoxFuture<'a, Result<T, KmsError>>>;

impl Owner {
    fn tell<'a>(&'a self, action: &'static str, key_id: &'a KeyId) -> BoxFuture<'a, Result<(), KmsError>> {
        Box::pin(async move { self.localstack.tell(action, key_id).map_err(refused) })
    }
}

fn answered(asked: &Asked, plaintext: &[u8]) -> Vec<u8> {
    response(200, &decrypted(asked.body["KeyId"].as_str().unwrap(), plaintext).to_string(), "")
}

/// How LocalStack, or what stands before it, fails so.
fn answer(failure: Failure) -> Option<Answer> {
    Some(match failure {
        Failure::ThrottledTwice => Answer::Forward,
        Failure::Hanging => Answer::Hang,
        Failure::Torn => Answer::Made(|asked| {
            let mut torn = answered(asked, &TENANT_KEY);
            torn.truncate(torn.len() - 30);
            torn
        }),
        Failure::ShortPlaintext => Answer::Made(|asked| answered(asked, &TENANT_KEY[..31])),
        Failure::LongPlaintext => Answer::Made(|asked| answered(asked, &[&TENANT_KEY[..], b"!"].concat())),
        Failure::OtherKeyId => Answer::Made(|_| response(200, &decrypted(ARN, &TENANT_KEY).to_string(), "")),
        Failure::OtherPlaintext => Answer::Made(|asked| answered(asked, &TENANT_KEY)),
        Failure::Unreachable | _ => return None,
    })
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

    fn timer(&self) -> Option<Arc<dyn Timer>> {
        Some(timer())
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        self.runtime.block_on(future);
    }

    fn failing(&self, failure: Failure) -> Option<Arc<dyn Kms>> {
        let server = Server::before(self.localstack.address);
        let kms = Arc::new(kms_at(&server.url()));
        if failure == Failure::Unreachable {
            return Some(kms); // the server ends here
        }
        if failure == Failure::ThrottledTwice {
            server.next(vec![Answer::error(400, "ThrottlingException"); 2]);
        }
        server.always(answer(failure)?);
        *self.failing.lock().unwrap() = Some(server);
        Some(kms)
    }

    fn recorded_pairs(&self) -> Option<Vec<(String, String)>> {
        let asked = self.proxy.last()?;
        let pairs = asked.body["EncryptionContext"].as_object()?;
        let pairs = pairs.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        // The members of a JSON object have no order.
        let mut pairs: Vec<(String, String)> = pairs.collect();
        pairs.sort();
        Some(pairs)
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
    let proxy = Server::before(localstack.address);
    let kms = kms_at(&proxy.url());
    #[expect(clippy::disallowed_methods, reason = "the dates are those of the server's clock")]
    let now = SystemTime::now();
    let report = run(async {
        let (runtime, failing) = (Handle::current(), Mutex::default());
        conformance::run(&Owner { localstack, proxy, kms, runtime, failing }, now).await
    });
    println!("{report}");
    for row in report.rows() {
        let exception = NOT_BY_LOCALSTACK.iter().find(|(number, _)| *number == row.number);
        let is_expected = match &row.outcome {
            Outcome::Passed => exception.is_none() && !NO_SUCH_HOOK.contains(&row.number),
            Outcome::Failed(what) => exception.is_some_and(|(_, at)| what.contains(at)),
            Outcome::NotRun(_) => NO_SUCH_HOOK.contains(&row.number),
            _ => false,
        };
        assert!(is_expected, "row {}: {:?}\n{report}", row.number, row.outcome);
    }
}
