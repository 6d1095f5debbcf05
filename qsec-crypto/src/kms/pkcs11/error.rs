//! What a token's answers mean.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use crate::kms::{KeyId, KmsError};

/// Why a token did not do what it was asked.
#[derive(Debug)]
pub(super) enum TokenError {
    /// The module said so.
    Module(Error),
    /// No token has the label.
    NoToken,
    /// No key has the label.
    NoKey,
    /// The owner switched off what was asked of the key.
    Disabled,
    /// The blob has not the length of one.
    NoBlob,
    /// The caller, or whoever set the token up, must change something.
    Usage(&'static str),
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

/// Why a token cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("there is no token of that label")]
struct NoToken;

impl TokenError {
    /// Whether a new session may do better.
    pub(super) fn is_lost_session(&self) -> bool {
        matches!(
            self,
            Self::Module(Error::Pkcs11(
                RvError::SessionHandleInvalid
                    | RvError::SessionClosed
                    | RvError::DeviceRemoved
                    | RvError::TokenNotPresent
                    | RvError::TokenNotRecognized
                    | RvError::SlotIdInvalid,
                _
            ))
        )
    }

    pub(super) fn into_kms(self, operation: &'static str, key_id: &KeyId) -> KmsError {
        let key_id = || key_id.clone();
        match self {
            Self::Module(error) => of_module(error, operation, key_id),
            Self::NoToken => KmsError::Unavailable(Box::new(NoToken)),
            Self::NoKey => KmsError::KeyNotFound { key_id: key_id() },
            Self::Disabled => KmsError::KeyDisabled { key_id: key_id() },
            Self::NoBlob => KmsError::Rejected { key_id: key_id() },
            Self::Usage(what) => KmsError::Usage { what: format!("`{}`: {what}", key_id()) },
        }
    }
}

fn of_module(error: Error, operation: &'static str, key_id: impl Fn() -> KeyId) -> KmsError {
    let Error::Pkcs11(code, function) = error else { return KmsError::Unavailable(Box::new(error)) };
    if is_no_key(code) {
        KmsError::KeyNotFound { key_id: key_id() }
    } else if is_denied(code) {
        KmsError::AccessDenied { key_id: key_id(), operation }
    } else if code == RvError::KeyFunctionNotPermitted {
        KmsError::KeyDisabled { key_id: key_id() }
    } else if matches!(function, Function::UnwrapKey) && is_bad_blob(code) {
        KmsError::Rejected { key_id: key_id() }
    } else if is_unfit(code) {
        KmsError::Usage { what: format!("the token cannot `{operation}` with key `{}`: {error}", key_id()) }
    } else {
        KmsError::Unavailable(Box::new(error))
    }
}

fn is_no_key(code: RvError) -> bool {
    matches!(
        code,
        RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::WrappingKeyHandleInvalid
            | RvError::UnwrappingKeyHandleInvalid
    )
}

fn is_denied(code: RvError) -> bool {
    matches!(
        code,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserNotLoggedIn
            | RvError::UserPinNotInitialized
            | RvError::UserAnotherAlreadyLoggedIn
    )
}

/// A changed blob, or one of another key. SoftHSM calls both a general error.
fn is_bad_blob(code: RvError) -> bool {
    matches!(
        code,
        RvError::WrappedKeyInvalid
            | RvError::WrappedKeyLenRange
            | RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::GeneralError
    )
}

/// A token or a key that is not made for key wrap.
fn is_unfit(code: RvError) -> bool {
    matches!(
        code,
        RvError::MechanismInvalid
            | RvError::WrappingKeyTypeInconsistent
            | RvError::WrappingKeySizeRange
            | RvError::UnwrappingKeyTypeInconsistent
            | RvError::UnwrappingKeySizeRange
            | RvError::TokenWriteProtected
            | RvError::AttributeReadOnly
            | RvError::ActionProhibited
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_a_module_has_its_code() {
        let key_id = KeyId::new("kek").unwrap();
        for (code, function, expected) in [
            (RvError::KeyHandleInvalid, Function::WrapKey, "key_not_found"),
            (RvError::ObjectHandleInvalid, Function::GetAttributeValue, "key_not_found"),
            (RvError::PinIncorrect, Function::Login, "kms_access_denied"),
            (RvError::PinLocked, Function::Login, "kms_access_denied"),
            (RvError::UserNotLoggedIn, Function::UnwrapKey, "kms_access_denied"),
            (RvError::KeyFunctionNotPermitted, Function::WrapKey, "key_disabled"),
            (RvError::WrappedKeyInvalid, Function::UnwrapKey, "kms_rejected"),
            (RvError::GeneralError, Function::UnwrapKey, "kms_rejected"),
            (RvError::GeneralError, Function::WrapKey, "kms_unavailable"),
            (RvError::MechanismInvalid, Function::WrapKey, "usage"),
            (RvError::DeviceRemoved, Function::WrapKey, "kms_unavailable"),
            (RvError::TokenNotPresent, Function::OpenSession, "kms_unavailable"),
            (RvError::SessionHandleInvalid, Function::UnwrapKey, "kms_unavailable"),
            (RvError::DeviceError, Function::UnwrapKey, "kms_unavailable"),
        ] {
            let error = TokenError::Module(Error::Pkcs11(code, function)).into_kms("unwrap", &key_id);
            assert_eq!(error.code(), expected, "{code:?} of {function:?}");
        }
    }

    #[test]
    fn only_a_lost_session_is_opened_again() {
        for (code, lost) in [
            (RvError::SessionHandleInvalid, true),
            (RvError::DeviceRemoved, true),
            (RvError::TokenNotPresent, true),
            (RvError::PinIncorrect, false),
            (RvError::UserNotLoggedIn, false),
            (RvError::GeneralError, false),
        ] {
            let error = TokenError::Module(Error::Pkcs11(code, Function::WrapKey));
            assert_eq!(error.is_lost_session(), lost, "{code:?}");
        }
        assert!(!TokenError::NoKey.is_lost_session());
    }
}
