//! Why a keyring did not do what it was asked.

use crate::error::OpenError;
use crate::kdf::Broken;
use crate::kms::{KeyId, KmsError};
use crate::secret::RandomError;
use crate::stopped::Stopped;
use crate::store::StoreError;
use crate::tenant::{Purpose, TenantId};

/// Why a keyring did not do what it was asked.
///
/// ```
/// use qsec_crypto::{KeyError, Stopped, StoppedBy, StoppedState};
///
/// let error = KeyError::from(Stopped::new(StoppedState::Disabled, StoppedBy::Tenant));
/// assert_eq!((error.code(), error.is_retryable()), ("key_disabled", false));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The tenant has no keys.
    #[error("tenant `{tenant}` has no keys")]
    TenantNotFound {
        /// The tenant.
        tenant: TenantId,
    },
    /// The tenant has no such key version.
    #[error("there is no version {version} of the key for `{purpose}`")]
    VersionNotFound {
        /// What the key is for.
        purpose: Purpose,
        /// The version; 0 if no version of that purpose exists.
        version: u32,
    },
    /// The key must not be used now.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The KMS did not do what it was asked.
    #[error(transparent)]
    Kms(KmsError),
    /// A record was not written by this deployment, or an older one was put back.
    #[error("a key record of tenant `{tenant}` is not the one that was written: `{row}`")]
    RecordForged {
        /// The tenant.
        tenant: TenantId,
        /// The row's name.
        row: String,
    },
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant's keys are moving to other KMS keys.
    #[error("the tenant's keys are moving to other KMS keys of `{provider}`; finish that or abort it")]
    MigrationInProgress {
        /// The provider of the other KMS keys.
        provider: String,
    },
    /// The tenant's policy takes no KMS key of a single region.
    #[error("KMS key `{key_id}` is in one region only; the tenant's policy requires multi-region keys")]
    MultiRegionRequired {
        /// The KMS key.
        key_id: KeyId,
    },
    /// The tenant's policy does not let its keys be in that region.
    #[error("KMS key `{key_id}` is in region `{region}`, where the tenant's policy does not let its keys be")]
    RegionNotAllowed {
        /// The KMS key.
        key_id: KeyId,
        /// Where it is.
        region: String,
    },
    /// The tenant's policy requires a KMS of the customer's own.
    #[error("the data of tenant `{tenant}` is labelled PHI, which requires a customer-managed key")]
    PhiRequiresCmk {
        /// The tenant.
        tenant: TenantId,
    },
    /// The verb does not fit what is there.
    #[error("{what}")]
    Conflict {
        /// What stands in the way.
        what: String,
    },
    /// The caller asked for what cannot be.
    #[error("{what}")]
    Usage {
        /// What was wrong, and how to put it right.
        what: String,
    },
    /// The sealed bytes given name no key.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The kernel gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Our own invariant broke.
    #[error("an invariant of the keyring does not hold: {what}")]
    Internal {
        /// Which one.
        what: &'static str,
    },
}

impl KeyError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TenantNotFound { .. } => "tenant_not_found",
            Self::VersionNotFound { .. } => "key_version_not_found",
            Self::Stopped(stopped) => stopped.code(),
            Self::Kms(error) => error.code(),
            Self::RecordForged { .. } => "key_record_forged",
            Self::Store(error) => crate::kms::store_code(error),
            Self::MigrationInProgress { .. } => "migration_in_progress",
            Self::MultiRegionRequired { .. } => "multi_region_required",
            Self::RegionNotAllowed { .. } => "region_not_allowed",
            Self::PhiRequiresCmk { .. } => "phi_requires_cmk",
            Self::Conflict { .. } => "conflict",
            Self::Usage { .. } => "usage",
            Self::Open(error) => error.code(),
            Self::Random(error) => error.code(),
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the same call may succeed later without anyone doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Kms(error) => error.is_retryable(),
            Self::Store(error) => matches!(error, StoreError::Unavailable(_) | StoreError::Conflict),
            Self::TenantNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::Stopped(_)
            | Self::RecordForged { .. }
            | Self::MigrationInProgress { .. }
            | Self::MultiRegionRequired { .. }
            | Self::RegionNotAllowed { .. }
            | Self::PhiRequiresCmk { .. }
            | Self::Conflict { .. }
            | Self::Usage { .. }
            | Self::Open(_)
            | Self::Random(_)
            | Self::Internal { .. } => false,
        }
    }
}

impl From<KmsError> for KeyError {
    /// A key that its owner stopped is [`KeyError::Stopped`], by the KMS; every other error stays what it is.
    fn from(error: KmsError) -> Self {
        match error.stopped() {
            Some(stopped) => Self::Stopped(stopped),
            None => Self::Kms(error),
        }
    }
}

impl From<Broken> for KeyError {
    fn from(_: Broken) -> Self {
        Self::Internal { what: "key derivation takes our lengths" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopped::{StoppedBy, StoppedState};

    #[test]
    fn each_error_has_its_code_and_only_what_may_pass_is_retryable() {
        let tenant = || TenantId::new("acme").unwrap();
        let key_id = || KeyId::new("k").unwrap();
        for (error, code, retryable) in [
            (KeyError::TenantNotFound { tenant: tenant() }, "tenant_not_found", false),
            (KeyError::VersionNotFound { purpose: Purpose::data(), version: 1 }, "key_version_not_found", false),
            (Stopped::new(StoppedState::Destroyed, StoppedBy::Tenant).into(), "key_destroyed", false),
            (KmsError::KeyDisabled { key_id: key_id() }.into(), "key_disabled", false),
            (KmsError::WrongKey { key_id: key_id() }.into(), "kms_wrong_key", false),
            (KmsError::Throttled { retry_after: None }.into(), "kms_throttled", true),
            (KeyError::RecordForged { tenant: tenant(), row: "binding".to_owned() }, "key_record_forged", false),
            (StoreError::Conflict.into(), "conflict", true),
            (StoreError::Unavailable("gone".into()).into(), "store_unavailable", true),
            (KeyError::MigrationInProgress { provider: String::new() }, "migration_in_progress", false),
            (KeyError::MultiRegionRequired { key_id: key_id() }, "multi_region_required", false),
            (KeyError::RegionNotAllowed { key_id: key_id(), region: String::new() }, "region_not_allowed", false),
            (KeyError::PhiRequiresCmk { tenant: tenant() }, "phi_requires_cmk", false),
            (KeyError::Conflict { what: String::new() }, "conflict", false),
            (KeyError::Usage { what: String::new() }, "usage", false),
            (OpenError::NotOpened.into(), "not_opened", false),
            (KeyError::Internal { what: "" }, "internal", false),
        ] {
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{error:?}");
        }
        let stopped = KeyError::from(KmsError::KeyDisabled { key_id: key_id() });
        assert!(
            matches!(&stopped, KeyError::Stopped(Stopped { by: StoppedBy::Kms, key_id: Some(_), .. })),
            "{stopped:?}"
        );
    }
}
