//! What the tests share: a runtime, a time, a wrapped key, and an observer that remembers.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qsec_crypto::kms::aws::{AwsCredentials, AwsKms};
use qsec_crypto::kms::{KeyId, KmsError, WrappingContext};
use qsec_crypto::store::BoxFuture;
use qsec_crypto::{Event, Observer, Purpose, Secret, TenantId, Timer};

pub(crate) const REGION: &str = "eu-central-1";

/// A key of nobody, for servers that answer what they are told.
pub(crate) const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd";

/// Bytes that occur nowhere else, in no encoding.
pub(crate) const TENANT_KEY: [u8; 32] = *b"\xB7\x5E\xC1tenant key of thirty-two \x9D\x0F\xA3\x4C";

pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI-secret-access-key";

/// Runs a test that talks to sockets.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// 2030-01-01, and so many seconds.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(525_960) + Duration::from_secs(seconds)
}

pub(crate) fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn key_id(arn: &str) -> KeyId {
    KeyId::new(arn).unwrap()
}

pub(crate) fn context() -> WrappingContext {
    WrappingContext::new(acme(), Purpose::data(), 3)
}

pub(crate) fn credentials(access_key_id: &str) -> AwsCredentials {
    AwsCredentials::new(access_key_id, Secret::copy_from(SECRET_ACCESS_KEY.as_bytes()))
}

pub(crate) fn kms_at(url: &str) -> AwsKms {
    AwsKms::new(credentials("AKIDEXAMPLE")).with_endpoint(url).unwrap()
}

/// An error, its sources, and all of them as `Debug` shows them.
pub(crate) fn shown(error: &KmsError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.extend([error.to_string(), format!("{error:?}")]);
        source = error.source();
    }
    text
}

/// Remembers every event as `name cause/outcome`.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Vec<String>>);

impl Observer for Memory {
    fn observe(&self, event: &Event<'_>) {
        let detail = event.cause.or(event.outcome).unwrap_or_default();
        self.0.lock().unwrap().push(format!("{} {detail}", event.name).trim_end().to_owned());
    }
}

impl Memory {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The timer of the runtime that the SDK needs anyway.
#[derive(Debug)]
pub(crate) struct Tokio;

impl Timer for Tokio {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub(crate) fn timer() -> Arc<dyn Timer> {
    Arc::new(Tokio)
}
