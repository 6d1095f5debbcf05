//! What Vault's answers mean: the status first, and the text only where one status means two things.

use std::time::Duration;

use serde::Deserialize;

use crate::kms::{KeyId, KmsError};

/// Longest pause that a server may ask for: beyond it the breaker of the key decides.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Vault answered that it cannot now.
#[derive(Debug, thiserror::Error)]
#[error("Vault answered with HTTP status {0}")]
struct Status(u16);

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

pub(super) fn of_answer(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    operation: &'static str,
    key_id: &KeyId,
) -> KmsError {
    let key_id = || key_id.clone();
    match status {
        // `decrypt` with a key that is not there is a bad request, and no 404.
        400 if says(body, "encryption key not found") => KmsError::KeyNotFound { key_id: key_id() },
        400 | 422 if says(body, "soft deleted") => KmsError::KeyDisabled { key_id: key_id() },
        400 | 422 if operation == "unwrap" => KmsError::Rejected { key_id: key_id() },
        400 | 422 => KmsError::Usage { what: format!("Vault refuses `{operation}` with key `{}`", key_id()) },
        401 | 403 => KmsError::AccessDenied { key_id: key_id(), operation },
        404 => KmsError::KeyNotFound { key_id: key_id() },
        429 => KmsError::Throttled { retry_after: retry_after.map(|pause| pause.min(MAX_RETRY_AFTER)) },
        // Sealed, standby, behind its peers, broken, or a redirect, which is not followed.
        _ => KmsError::Unavailable(Box::new(Status(status))),
    }
}

fn says(body: &[u8], what: &str) -> bool {
    let errors: Option<Errors> = serde_json::from_slice(body).ok();
    errors.is_some_and(|body| body.errors.iter().any(|error| error.contains(what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_code() {
        let key_id = KeyId::new("k").unwrap();
        let failed = br#"{"errors":["cipher: message authentication failed"]}"#;
        for (status, body, operation, expected) in [
            (400, &br#"{"errors":["encryption key not found"]}"#[..], "unwrap", "key_not_found"),
            (400, br#"{"errors":["key is soft deleted"]}"#, "unwrap", "key_disabled"),
            (400, failed, "unwrap", "kms_rejected"),
            (400, b"", "unwrap", "kms_rejected"),
            (400, failed, "wrap", "usage"),
            (403, br#"{"errors":["permission denied"]}"#, "unwrap", "kms_access_denied"),
            (404, br#"{"errors":[]}"#, "describe", "key_not_found"),
            (429, b"", "unwrap", "kms_throttled"),
            (307, b"", "unwrap", "kms_unavailable"),
            (412, b"", "unwrap", "kms_unavailable"),
            (500, b"", "unwrap", "kms_unavailable"),
            (503, br#"{"errors":["Vault is sealed"]}"#, "unwrap", "kms_unavailable"),
        ] {
            let error = of_answer(status, None, body, operation, &key_id);
            assert_eq!(error.code(), expected, "{status} {operation}");
        }
    }

    #[test]
    fn a_server_cannot_ask_for_a_pause_of_hours() {
        let error = of_answer(429, Some(Duration::from_hours(9)), b"", "unwrap", &KeyId::new("k").unwrap());
        assert_eq!(error.retry_after(), Some(MAX_RETRY_AFTER));
    }
}
