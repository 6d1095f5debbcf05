//! One error for the whole family: which room said no, who is at fault, and the stable code.

use std::path::{Path, PathBuf};

use qsec_audit::{OpenLogError, ProveError, ReadLogError, RecordError, VerifyError};
use qsec_authz::{Denied, ManageError, PolicyError, RequestError, section};
use qsec_crypto::reencryption::ReencryptionError;
use qsec_crypto::{KeyError, OpenError, SealError};
use qsec_identity::oauth::RegistrationError;
use qsec_identity::{IssueError, ProviderError, Rejection, RejectionClass};

use crate::fault::Fault;
use crate::lifecycle::LifecycleError;
use crate::tenant_policy::TenantPolicyError;

/// What a tenant lacks that cannot sign tokens of a kind.
pub(crate) const NO_ACTIVE_KEY: &str = "active signing key";

/// Why an operation of the facade was not done.
///
/// Every variant keeps the room's own error as its source. [`Error::code`] is stable and is what the program prints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder of the deployment.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The tenant's lifecycle.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// A token was not accepted. Tell the caller [`Rejection::public`] and nothing else.
    #[error(transparent)]
    Token(#[from] Rejection),
    /// A token could not be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// An identity provider's configuration.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// An OAuth client's registration.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The decision is no.
    #[error(transparent)]
    Denied(#[from] Box<Denied>),
    /// The policy was not changed.
    #[error(transparent)]
    Manage(Box<ManageError>),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The request cannot be judged.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The tables of section access do not fit, or the reduction was refused.
    #[error(transparent)]
    Reduce(#[from] section::ReduceError),
    /// The data of an app was not opened: no access tables are in force for it, or the decision is about another one.
    #[error(transparent)]
    OpenData(section::OpenError),
    /// Rows of an app are handed out only as the access tables in force leave them, and these were not applied.
    #[error("the access tables in force for `{app}` were not applied: {what}")]
    ObligationUnmet {
        /// The app.
        app: String,
        /// Why they were not.
        what: &'static str,
    },
    /// What was allowed is not recorded, so that nothing can be said of what was used.
    #[error("what was allowed is not recorded in this tenant")]
    UsesNotRecorded,
    /// A policy of the tenant, or what it forbids.
    #[error(transparent)]
    TenantPolicy(#[from] TenantPolicyError),
    /// The access tables are malformed.
    #[error(transparent)]
    Access(#[from] section::AccessError),
    /// The tenant's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Bytes were not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Bytes were not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Objects were not sealed again, or not all of them.
    #[error(transparent)]
    Reencrypt(#[from] ReencryptionError),
    /// A certificate could not be issued.
    #[error(transparent)]
    Certificate(#[from] qsec_pki::IssueError),
    /// A certificate request was refused.
    #[error(transparent)]
    CertificateRequest(#[from] qsec_pki::RequestError),
    /// What must be recorded could not be; the operation did not take effect.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The log does not open.
    #[error(transparent)]
    Log(#[from] std::sync::Arc<OpenLogError>),
    /// The log could not be read.
    #[error(transparent)]
    ReadLog(#[from] ReadLogError),
    /// The log could not be read for verification.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// There is no such proof.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// No record of that name.
    #[error("there is no {noun} `{id}` in this tenant")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// Its id.
        id: String,
    },
    /// A principal or a decision of another tenant: what was proved there proves nothing here.
    #[error("the {what} is another tenant's")]
    OtherTenant {
        /// What was handed in.
        what: &'static str,
    },
    /// An identifier does not have the form that it must have.
    #[error("{what}")]
    Malformed {
        /// What is wrong, and with which value.
        what: String,
    },
    /// Our own invariant broke.
    #[error("an internal invariant broke: {what}")]
    Internal {
        /// Which one: without secrets.
        what: String,
    },
}

impl Error {
    /// The stable name, in `snake_case`, of what happened.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Home(error) => error.code(),
            Self::Lifecycle(error) => error.code(),
            Self::Token(rejection) => rejection.public().as_str(),
            Self::Issue(error) => error.code(),
            Self::Provider(error) => error.code(),
            Self::Registration(error) => error.code(),
            Self::Denied(denied) => denied.code().as_str(),
            Self::Manage(error) => error.code(),
            Self::Policy(error) => error.code(),
            Self::Request(error) => error.code(),
            Self::Reduce(error) => error.code(),
            Self::OpenData(error) => error.code(),
            Self::ObligationUnmet { .. } => "obligation_unmet",
            Self::UsesNotRecorded => "uses_not_recorded",
            Self::TenantPolicy(error) => error.code(),
            Self::Access(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Reencrypt(error) => error.code(),
            Self::Certificate(error) => error.code(),
            Self::CertificateRequest(error) => error.code(),
            Self::Record(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::ReadLog(error) => error.code(),
            Self::Verify(error) => error.code(),
            Self::Prove(error) => error.code(),
            Self::Store(error) => error.code,
            Self::NotFound { noun, .. } => match *noun {
                NO_ACTIVE_KEY => "no_active_key",
                "client" => "client_not_found",
                "identity provider" => "provider_not_found",
                _ => "not_found",
            },
            Self::OtherTenant { .. } => "tenant_mismatch",
            Self::Malformed { .. } => "usage",
            Self::Internal { .. } => "internal",
        }
    }

    /// Who has to act.
    pub fn fault(&self) -> Fault {
        if let Self::Token(rejection) = self {
            return match rejection.class() {
                RejectionClass::Unavailable => Fault::Unavailable,
                RejectionClass::Malformed => Fault::Misuse,
                RejectionClass::Refused | _ => Fault::Refused,
            };
        }
        // A reason for which the token would not be accepted, told by the issuer before it is one.
        if let Self::Issue(IssueError::Unacceptable(_)) = self {
            return Fault::Misuse;
        }
        Fault::of(self.code())
    }

    /// Whether the same call may succeed when it is repeated: a dependency may be back, and whoever was faster is done.
    pub fn is_retryable(&self) -> bool {
        self.fault() == Fault::Unavailable || self.code() == "conflict"
    }

    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self::Internal { what: what.into() }
    }
}

/// What is wrong with a deployment's folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The folder holds no deployment.
    #[error("`{}` holds no deployment; `qsec init` makes one", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The folder, or the database, already holds one.
    #[error("`{}` already holds a deployment; nothing was changed", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder of a new deployment holds something else.
    #[error("a new deployment needs an empty folder, and there is `{}`; nothing was changed", path.display())]
    NotEmpty {
        /// The first file that is in the way.
        path: PathBuf,
    },
    /// The folder of a new deployment belongs to another account.
    #[error("`{}` belongs to another account", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// A file that will hold a secret is there already, and is not written over.
    #[error("`{}` is there already, and a secret is never written over a file", path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// Another process works on it.
    #[error("another process is working on the deployment in `{}`; try again when it has finished", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// Others can read or write what must be private.
    #[error("`{}` can be read or written by others; `chmod {mode:o}` it", path.display())]
    Permissions {
        /// The file or folder.
        path: PathBuf,
        /// The mode it should have.
        mode: u32,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("`{}` cannot be written", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The root key is missing or does not fit.
    #[error("the root key of the internal KMS cannot be used: {what}")]
    RootKey {
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A file of the deployment is damaged.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl HomeError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "deployment_missing",
            Self::Exists { .. } => "deployment_exists",
            Self::NotEmpty { .. } => "folder_not_empty",
            Self::FileExists { .. } => "file_exists",
            Self::Busy { .. } => "deployment_busy",
            Self::Permissions { .. } | Self::NotOurs { .. } => "folder_permissions",
            Self::Unreadable { .. } => "file_unreadable",
            Self::Unwritable { .. } => "file_unwritable",
            Self::RootKey { .. } => "key_file_invalid",
            Self::Damaged { .. } => "internal",
        }
    }

    pub(crate) fn unwritable(path: &Path, source: std::io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), source }
    }

    pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }
}

/// The database refused or is away.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
#[non_exhaustive]
pub struct StoreFailure {
    /// What was being done.
    doing: String,
    code: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreFailure {
    fn new(code: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let doing = match code {
            "conflict" => "the record was changed by someone else meanwhile",
            "store_unavailable" => "the store is unavailable",
            _ => "the store holds a damaged record",
        };
        Self { doing: doing.to_owned(), code, source: Box::new(source) }
    }
}

/// Each room has a store error of its own, so that no room knows another; here they become one.
macro_rules! store_errors {
    ($($room:ident),*) => { $(
        impl From<$room::StoreError> for Error {
            fn from(error: $room::StoreError) -> Self {
                let code = match &error {
                    $room::StoreError::Conflict => "conflict",
                    $room::StoreError::Refused { .. } => "record_refused",
                    $room::StoreError::Unavailable(_) => "store_unavailable",
                    _ => "record_damaged",
                };
                Self::Store(StoreFailure::new(code, error))
            }
        }
    )* };
}

store_errors!(qsec_crypto, qsec_identity, qsec_authz, qsec_pki);

impl From<qsec_audit::head::StoreError> for Error {
    fn from(error: qsec_audit::head::StoreError) -> Self {
        let code = match &error {
            qsec_audit::head::StoreError::Conflict => "rolled_back",
            qsec_audit::head::StoreError::Refused { .. } => "record_refused",
            qsec_audit::head::StoreError::Unavailable(_) => "store_unavailable",
            qsec_audit::head::StoreError::Damaged { .. } | _ => "record_damaged",
        };
        Self::Store(StoreFailure::new(code, error))
    }
}

impl From<qsec_store::StoreError> for Error {
    fn from(error: qsec_store::StoreError) -> Self {
        let code = error.code();
        Self::Store(StoreFailure { doing: error.to_string(), code, source: Box::new(error) })
    }
}

impl From<qsec_store::OpenError> for Error {
    fn from(error: qsec_store::OpenError) -> Self {
        let code = error.code();
        Self::Store(StoreFailure { doing: error.to_string(), code, source: Box::new(error) })
    }
}

impl From<qsec_crypto::kms::KmsError> for Error {
    fn from(error: qsec_crypto::kms::KmsError) -> Self {
        Self::Key(KeyError::from(error))
    }
}

#[cfg(all(feature = "esdk", feature = "aws-kms"))]
impl From<qsec_crypto::esdk::KmsMessageError> for Error {
    fn from(error: qsec_crypto::esdk::KmsMessageError) -> Self {
        use qsec_crypto::esdk::KmsMessageError;

        match error {
            KmsMessageError::Seal(error) => error.into(),
            KmsMessageError::Open(error) => error.into(),
            KmsMessageError::Kms(error) => error.into(),
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(Box::new(denied))
    }
}

impl From<ManageError> for Error {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Denied(denied) => Self::Denied(denied),
            ManageError::Policy(error) => Self::Policy(error),
            ManageError::Store(error) => error.into(),
            other @ (ManageError::Exceeds { .. }
            | ManageError::LastAdministrator { .. }
            | ManageError::NotFound { .. }
            | ManageError::Exists { .. }
            | ManageError::InUse { .. }
            | ManageError::Unchanged
            | ManageError::Refused { .. }
            | _) => Self::Manage(Box::new(other)),
        }
    }
}

impl From<section::OpenError> for Error {
    fn from(error: section::OpenError) -> Self {
        match error {
            section::OpenError::Reduce(error) => Self::Reduce(error),
            other @ (section::OpenError::NotActive | section::OpenError::Mismatch { .. } | _) => Self::OpenData(other),
        }
    }
}
