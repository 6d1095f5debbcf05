//! The owner's side of the keys: what a customer does in their own account, on LocalStack.

use std::net::SocketAddr;

use qsec_crypto::kms::KeyId;
use qsec_crypto::kms::aws::AwsKms;
use serde_json::{Value, json};

use crate::fault;
use crate::world::{key_id, kms_at};

/// Names the place of the server: `cargo xtask testbed up kms` says where.
const KMS: &str = "QSEC_TEST_KMS";

pub(crate) struct LocalStack {
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
}

impl LocalStack {
    /// `None` where there is none, which is said; in CI that is a failure.
    pub(crate) fn find() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests are told by variables what they find")]
        let (url, ci) = (std::env::var(KMS), std::env::var("CI"));
        let Ok(url) = url else {
            println!("not run: aws: {KMS} is not set");
            assert_ne!(ci.as_deref(), Ok("true"), "in CI everything runs");
            return None;
        };
        let address = url.trim_start_matches("http://").parse().unwrap();
        Some(Self { address, url })
    }

    pub(crate) fn kms(&self) -> AwsKms {
        kms_at(&self.url)
    }

    /// One action in one region. An error is its code.
    pub(crate) fn ask(&self, region: &str, action: &str, body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: TrentService.{action}\r\n\
             Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=owner/20300101/{region}/kms/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n",
            self.address,
            body.len(),
        );
        let answer = String::from_utf8(fault::forward(self.address, &head, body.as_bytes())).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
        if head.contains(" 200 ") { Ok(body) } else { Err(body["__type"].as_str().unwrap().to_owned()) }
    }

    pub(crate) fn create_key(&self, region: &str, options: &Value) -> KeyId {
        let answer = self.ask(region, "CreateKey", options).unwrap();
        key_id(answer["KeyMetadata"]["Arn"].as_str().unwrap())
    }

    /// A key of two regions: its primary in the first, its replica in the second.
    pub(crate) fn create_multi_region_key(&self, regions: [&str; 2]) -> [KeyId; 2] {
        let primary = self.create_key(regions[0], &json!({ "MultiRegion": true }));
        let wanted = json!({ "KeyId": primary.as_str(), "ReplicaRegion": regions[1] });
        let answer = self.ask(regions[0], "ReplicateKey", &wanted).unwrap();
        let replica = key_id(answer["ReplicaKeyMetadata"]["Arn"].as_str().unwrap());
        [primary, replica]
    }

    /// An action that needs the key alone.
    pub(crate) fn tell(&self, action: &str, key_id: &KeyId) -> Result<(), String> {
        self.ask(region_of(key_id), action, &json!({ "KeyId": key_id.as_str() })).map(|_| ())
    }

    pub(crate) fn schedule_deletion(&self, key_id: &KeyId, days: u32) -> Result<(), String> {
        let wanted = json!({ "KeyId": key_id.as_str(), "PendingWindowInDays": days });
        self.ask(region_of(key_id), "ScheduleKeyDeletion", &wanted).map(|_| ())
    }
}

pub(crate) fn region_of(key_id: &KeyId) -> &str {
    key_id.as_str().split(':').nth(3).unwrap()
}
