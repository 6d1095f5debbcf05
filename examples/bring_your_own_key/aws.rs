//! The customer's AWS account, as LocalStack plays it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use qsec::crypto::Secret;
use qsec::crypto::kms::aws::{AwsCredentials, AwsKms};
use qsec::crypto::kms::{KeyId, Kms};
use serde_json::{Value, json};

use crate::Done;
use crate::customer::Verb;

const PRIMARY_REGION: &str = "eu-central-1";
const REPLICA_REGION: &str = "us-east-1";

/// A place where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1";

/// An account with one multi-region key.
pub(crate) struct Account {
    url: String,
    primary: KeyId,
    replica: KeyId,
}

impl Account {
    /// Makes a key of two regions.
    pub(crate) fn create(url: String) -> Done<Self> {
        let made = ask(&url, PRIMARY_REGION, "CreateKey", &json!({"MultiRegion": true}))?;
        let primary = arn(&made, "/KeyMetadata/Arn")?;
        let wanted = json!({"KeyId": primary.as_str(), "ReplicaRegion": REPLICA_REGION});
        let made = ask(&url, PRIMARY_REGION, "ReplicateKey", &wanted)?;
        let replica = arn(&made, "/ReplicaKeyMetadata/Arn")?;
        Ok(Self { url, primary, replica })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn keys(&self) -> [KeyId; 2] {
        [self.primary.clone(), self.replica.clone()]
    }

    /// As the platform reaches it, with the primary region or without.
    pub(crate) fn kms(&self, primary_region_is_away: bool) -> Done<Arc<dyn Kms>> {
        let credentials = AwsCredentials::new("AKIDEXAMPLE", Secret::copy_from(b"emulators-take-any"));
        let kms = AwsKms::new(credentials).with_endpoint(&self.url)?;
        Ok(if primary_region_is_away {
            Arc::new(kms.with_region_endpoint(PRIMARY_REGION, NOWHERE)?)
        } else {
            Arc::new(kms)
        })
    }

    /// In the customer's own account, by actions that the platform's principal is not granted.
    pub(crate) fn does(&self, verb: Verb, key_id: &KeyId) -> Done {
        let region = if *key_id == self.primary { PRIMARY_REGION } else { REPLICA_REGION };
        let (action, body) = match verb {
            Verb::Disable => ("DisableKey", json!({"KeyId": key_id.as_str()})),
            Verb::Enable => ("EnableKey", json!({"KeyId": key_id.as_str()})),
            Verb::CancelDeletion => ("CancelKeyDeletion", json!({"KeyId": key_id.as_str()})),
            Verb::ScheduleDeletion => {
                ("ScheduleKeyDeletion", json!({"KeyId": key_id.as_str(), "PendingWindowInDays": 7}))
            }
        };
        ask(&self.url, region, action, &body)?;
        Ok(())
    }
}

fn arn(answer: &Value, pointer: &str) -> Done<KeyId> {
    let arn = answer.pointer(pointer).and_then(Value::as_str).ok_or("the emulator names no key")?;
    Ok(KeyId::new(arn)?)
}

/// One action. The emulator reads the region in the signature and does not check it.
fn ask(url: &str, region: &str, action: &str, body: &Value) -> Done<Value> {
    let (address, body) = (url.trim_start_matches("http://"), body.to_string());
    let mut server = TcpStream::connect(address)?;
    write!(
        server,
        "POST / HTTP/1.1\r\nHost: {address}\r\nX-Amz-Target: TrentService.{action}\r\nConnection: close\r\n\
         Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=owner/20300101/{region}/kms/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len(),
    )?;
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of the emulator")?;
    if !head.lines().next().is_some_and(|line| line.contains(" 200 ")) {
        return Err(format!("{action}: {answer}").into());
    }
    Ok(if body.is_empty() { Value::Null } else { serde_json::from_str(body)? })
}
