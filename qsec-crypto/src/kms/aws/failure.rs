//! What a failed call comes to.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use super::CredentialsError;
use crate::kms::UnknownAnswer;
use crate::kms::{KeyId, KmsError};

/// Most bytes of an error code that is shown; the longest of KMS has 41.
const MAX_CODE_BYTES: usize = 64;

/// Most bytes of the reasons why a connection failed.
const MAX_REASON_BYTES: usize = 500;

/// Most seconds that an answer can ask us to wait: a header that says more is not believed.
const MAX_RETRY_AFTER_SECONDS: u64 = 60;

/// Whether the key is being configured, when a key of the wrong kind is the caller's mistake; afterwards it is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Configuring,
    Working,
}

/// Why a call failed.
///
/// It is made of the parts of the SDK's error that hold no secret. That error itself is never kept: it prints the answer,
/// and a torn answer of `Decrypt` is the beginning of a key.
#[derive(Debug)]
pub(super) enum Failure {
    /// KMS answered with an error.
    Answered { code: String, status: u16, retry_after: Option<Duration> },
    /// There was no answer, or none that can be read.
    NotAnswered(NoAnswer),
    /// There was nothing to sign with.
    NoCredentials(CredentialsError),
    /// The SDK did not take the call.
    NotMade,
}

/// There was no answer of KMS.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct NoAnswer {
    what: String,
}

/// KMS answered that it cannot now.
#[derive(Debug, thiserror::Error)]
#[error("it answered `{code}` with status {status}")]
struct CannotNow {
    code: String,
    status: u16,
}

impl Failure {
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(answer) => Self::answered(answer.err().code(), answer.raw()),
            SdkError::ConstructionFailure(_) => Self::NotMade,
            SdkError::TimeoutError(_) => Self::no_answer("it did not answer in time".to_owned()),
            // The reasons of a connection: addresses, names, the handshake. Nothing was answered.
            SdkError::DispatchFailure(failure) => {
                let reasons = failure.as_connector_error().map(|error| reasons(error)).unwrap_or_default();
                Self::no_answer(format!("no connection{reasons}"))
            }
            SdkError::ResponseError(_) | _ => Self::not_understood(),
        }
    }

    pub(super) fn not_understood() -> Self {
        Self::no_answer("its answer is torn, or not one of KMS".to_owned())
    }

    pub(super) fn no_credentials(error: CredentialsError) -> Self {
        Self::NoCredentials(error)
    }

    fn no_answer(what: String) -> Self {
        Self::NotAnswered(NoAnswer { what })
    }

    fn answered(code: Option<&str>, response: &HttpResponse) -> Self {
        let is_code = |code: &&str| {
            code.len() <= MAX_CODE_BYTES && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        };
        let code = code.filter(is_code).unwrap_or("unknown").to_owned();
        let seconds = response.headers().get("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.min(MAX_RETRY_AFTER_SECONDS)));
        Self::Answered { code, status: response.status().as_u16(), retry_after }
    }

    /// The code on the wire. The SDK has variants for some of them, and its spelling of those differs.
    fn code(&self) -> Option<&str> {
        if let Self::Answered { code, .. } = self { Some(code) } else { None }
    }

    pub(super) fn is_expired(&self) -> bool {
        self.code() == Some("ExpiredTokenException")
    }

    pub(super) fn is_invalid_state(&self) -> bool {
        self.code() == Some("KMSInvalidStateException")
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.code() == Some("NotFoundException")
    }

    /// The error that the caller gets.
    pub(super) fn into_error(self, key_id: &KeyId, operation: &'static str, moment: Moment) -> KmsError {
        let key_id = key_id.clone();
        match self {
            Self::Answered { ref code, status, retry_after } => match code.as_str() {
                "DisabledException" => KmsError::KeyDisabled { key_id },
                "NotFoundException" => KmsError::KeyNotFound { key_id },
                "AccessDeniedException"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "ExpiredTokenException"
                | "InvalidSignatureException" => KmsError::AccessDenied { key_id, operation },
                "IncorrectKeyException" => KmsError::WrongKey { key_id },
                "InvalidCiphertextException" => KmsError::Rejected { key_id },
                "InvalidKeyUsageException"
                | "ValidationException"
                | "InvalidArnException"
                | "UnsupportedOperationException" => misused(&key_id, code, moment),
                "ThrottlingException" | "LimitExceededException" => KmsError::Throttled { retry_after },
                "KeyUnavailableException"
                | "DependencyTimeoutException"
                | "KMSInternalException"
                | "InternalFailure"
                | "ServiceUnavailable"
                | "KMSInvalidStateException" => self.into_unavailable(),
                _ if status == 429 => KmsError::Throttled { retry_after },
                _ if status >= 500 => self.into_unavailable(),
                _ => KmsError::Unavailable(Box::new(UnknownAnswer { code: code.clone() })),
            },
            Self::NotMade => misused(&key_id, "a call that cannot be made", moment),
            Self::NotAnswered(_) | Self::NoCredentials(_) => self.into_unavailable(),
        }
    }

    /// The error that says: later perhaps.
    pub(super) fn into_unavailable(self) -> KmsError {
        KmsError::Unavailable(match self {
            Self::Answered { code, status, .. } => Box::new(CannotNow { code, status }),
            Self::NotAnswered(no_answer) => Box::new(no_answer),
            Self::NoCredentials(error) => error,
            Self::NotMade => "the call could not be made".into(),
        })
    }
}

fn misused(key_id: &KeyId, code: &str, moment: Moment) -> KmsError {
    match moment {
        Moment::Configuring => {
            KmsError::Usage { what: format!("AWS KMS does not take key `{key_id}` for this: `{code}`") }
        }
        Moment::Working => KmsError::Internal { what: "AWS KMS takes the calls that are made of it" },
    }
}

/// An error and its sources on one line.
fn reasons(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| text.len() < MAX_REASON_BYTES) {
        let _ = write!(text, ": {error}");
        next = error.source();
    }
    text
}
