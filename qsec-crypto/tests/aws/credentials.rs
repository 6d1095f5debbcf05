//! Who signs, and what becomes of a signature that is no longer good.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use qsec_crypto::Secret;
use qsec_crypto::kms::Kms;
use qsec_crypto::kms::aws::{AwsCredentials, AwsKms, CredentialsError, CredentialsSource};
use qsec_crypto::store::BoxFuture;

use crate::errors::decrypted;
use crate::fault::{Answer, Server, header};
use crate::world::{ARN, SECRET_ACCESS_KEY, TENANT_KEY, at, context, credentials, key_id, run};

/// Has credentials `AKID0`, after a refresh `AKID1`, and so on.
#[derive(Debug)]
struct Numbered {
    current: Mutex<Arc<AwsCredentials>>,
    refreshed: AtomicUsize,
    /// How many there are.
    last: usize,
}

impl Numbered {
    fn up_to(last: usize) -> Arc<Self> {
        let current = Mutex::new(Arc::new(credentials("AKID0")));
        Arc::new(Self { current, refreshed: AtomicUsize::new(0), last })
    }
}

impl CredentialsSource for Numbered {
    fn current(&self) -> BoxFuture<'_, Result<Arc<AwsCredentials>, CredentialsError>> {
        Box::pin(async { Ok(self.current.lock().unwrap().clone()) })
    }

    fn refresh<'a>(
        &'a self,
        expired: &'a AwsCredentials,
    ) -> BoxFuture<'a, Result<Option<Arc<AwsCredentials>>, CredentialsError>> {
        Box::pin(async move {
            assert_eq!(expired.access_key_id(), self.current.lock().unwrap().access_key_id());
            let number = self.refreshed.fetch_add(1, Ordering::Relaxed) + 1;
            if number > self.last {
                return Err("the identity service does not answer".into());
            }
            let fresh = Arc::new(credentials(&format!("AKID{number}")));
            *self.current.lock().unwrap() = Arc::clone(&fresh);
            Ok(Some(fresh))
        })
    }
}

fn kms(source: &Arc<Numbered>, server: &Server) -> AwsKms {
    AwsKms::with_credentials_from(source.clone()).with_endpoint(&server.url()).unwrap()
}

fn signers(server: &Server) -> Vec<String> {
    let signer = |head: &str| {
        let scope = header(head, "authorization").unwrap().split_once("Credential=").unwrap().1;
        scope.split('/').next().unwrap().to_owned()
    };
    server.asked().iter().map(|asked| signer(&asked.head)).collect()
}

#[test]
fn expired_credentials_are_refreshed_once_and_the_call_is_made_again() {
    let server = Server::answering([
        Answer::error(400, "ExpiredTokenException"),
        Answer::Json(200, decrypted(ARN, &TENANT_KEY)),
        Answer::Json(200, decrypted(ARN, &TENANT_KEY)),
    ]);
    let source = Numbered::up_to(9);
    let kms = kms(&source, &server);
    run(async {
        let unwrapped = kms.unwrap(&key_id(ARN), b"blob", &context(), at(0)).await.unwrap();
        assert_eq!(unwrapped.secret().expose_secret(), TENANT_KEY);
        kms.unwrap(&key_id(ARN), b"blob", &context(), at(0)).await.unwrap();
    });
    assert_eq!(signers(&server), ["AKID0", "AKID1", "AKID1"]);
    assert_eq!(source.refreshed.load(Ordering::Relaxed), 1);
}

#[test]
fn credentials_that_are_expired_after_a_refresh_are_denied() {
    let server = Server::answering(vec![Answer::error(400, "ExpiredTokenException"); 3]);
    let source = Numbered::up_to(9);
    let error = run(kms(&source, &server).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!(error.code(), "kms_access_denied");
    assert_eq!(signers(&server), ["AKID0", "AKID1"]);
}

#[test]
fn a_denial_for_another_reason_refreshes_nothing() {
    let server = Server::answering([Answer::error(400, "AccessDeniedException")]);
    let source = Numbered::up_to(9);
    let error = run(kms(&source, &server).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!(error.code(), "kms_access_denied");
    assert_eq!((signers(&server).len(), source.refreshed.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn a_source_that_does_not_answer_is_unavailable() {
    let server = Server::answering([Answer::error(400, "ExpiredTokenException")]);
    let source = Numbered::up_to(0);
    let error = run(kms(&source, &server).unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("kms_unavailable", true));
    assert!(crate::world::shown(&error).contains("the identity service does not answer"));
}

#[test]
fn a_session_is_signed_with_its_token_in_the_region_of_the_key() {
    let server = Server::answering([Answer::Json(200, decrypted(ARN, &TENANT_KEY))]);
    let credentials = credentials("ASIAEXAMPLE").with_session_token(Secret::copy_from(b"token of the session"));
    let kms = AwsKms::new(credentials).with_endpoint(&server.url()).unwrap();
    run(kms.unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap();
    let head = &server.asked()[0].head;
    assert_eq!(header(head, "x-amz-security-token"), Some("token of the session"));
    let authorization = header(head, "authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-central-1/kms/aws4_request"), "{authorization}");
    assert!(!head.contains(SECRET_ACCESS_KEY), "{head}");
}

#[test]
fn credentials_that_are_no_text_are_not_sent() {
    let server = Server::answering([]);
    let kms =
        AwsKms::new(AwsCredentials::new("AKID", Secret::copy_from(b"\xFF"))).with_endpoint(&server.url()).unwrap();
    let error = run(kms.unwrap(&key_id(ARN), b"blob", &context(), at(0))).unwrap_err();
    assert_eq!(error.code(), "kms_unavailable");
    assert!(server.actions().is_empty());
}
