use crate::key::KeyError;
use crate::ledger::StoreError;
use crate::name::NameError;
use crate::rejection::Rejection;

/// Why a certificate or a list was not issued.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{LeafProfile, Zone};
///
/// let profile = LeafProfile::server("svc/engine/node/n7").ttl(Duration::from_secs(60));
/// assert_eq!(profile.check(&Zone::parse("prod.internal")?).unwrap_err().code(), "ttl_out_of_range");
/// # Ok::<(), qsec_pki::NameError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A name of the profile is not well-formed, or there are too many.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The profile has more DNS names than a leaf may carry.
    #[error("profile has {count} DNS names, at most 16 are issued")]
    TooManyNames {
        /// How many.
        count: usize,
    },
    /// A name is outside what the intermediate that issues may name.
    #[error("the intermediate that issues may not issue this name: {0}")]
    NameNotInZone(#[source] Rejection),
    /// The life asked for is outside its bounds.
    #[error("lifetime of {seconds} s is not between {least} s and {most} s")]
    TtlOutOfRange {
        /// What was asked for.
        seconds: u64,
        /// The shortest life.
        least: u64,
        /// The longest life.
        most: u64,
    },
    /// The issuer has less left than the life asked for.
    #[error("issuer expires before the certificate would")]
    IssuerExpiring,
    /// The instant lies before the issuer's own validity.
    #[error("issuer is not valid yet")]
    IssuerNotYetValid,
    /// The key was certified before, or is that of an authority.
    #[error("key was certified before: make a fresh one")]
    KeyReused,
    /// The authority's key is not here but in a KMS: prepare and finish.
    #[error("the authority's key is not here: prepare, have it signed, finish")]
    SignerNotHere,
    /// What the signer gave back is no signature of the authority's key over what was prepared.
    #[error("signature is not that of the authority over what was prepared")]
    SignatureInvalid,
    /// An intermediate issues leaves only; a root makes intermediates.
    #[error("an intermediate makes no intermediates")]
    IssuerIsIntermediate,
    /// More than a minute passed since it was prepared; its serial stays spent.
    #[error("what was prepared is older than 60 s: prepare again")]
    PreparedStale,
    /// What was prepared is another authority's.
    #[error("what was prepared is another authority's")]
    PreparedElsewhere,
    /// The instant cannot be written into a certificate.
    #[error("the instant is outside the years that a certificate can name")]
    TimeOutOfRange,
    /// The operating system gave no random bytes; the call can be repeated.
    #[error("the operating system gave no random bytes")]
    RandomnessUnavailable,
    /// The ledger did not take the row.
    #[error("the ledger did not take the row")]
    Ledger(#[from] StoreError),
    /// What was issued does not pass our own rules: nothing is handed out.
    #[error("what was issued does not pass the rules of the zone: {0}")]
    Invariant(#[source] Rejection),
}

impl IssueError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name(name) => name.code(),
            Self::TooManyNames { .. } => "name_malformed",
            Self::NameNotInZone(_) => "name_not_in_zone",
            Self::TtlOutOfRange { .. } => "ttl_out_of_range",
            Self::IssuerExpiring => "issuer_expiring",
            Self::IssuerNotYetValid => "issuer_not_yet_valid",
            Self::KeyReused => "key_reused",
            Self::SignerNotHere => "signer_not_here",
            Self::SignatureInvalid => "signature_invalid",
            Self::IssuerIsIntermediate => "issuer_is_intermediate",
            Self::PreparedStale => "prepared_stale",
            Self::PreparedElsewhere => "issuer_key_mismatch",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::RandomnessUnavailable => "randomness_unavailable",
            Self::Ledger(StoreError::Conflict) => "serial_spent",
            Self::Ledger(StoreError::Refused { .. }) => "record_refused",
            Self::Ledger(StoreError::Unavailable(_)) => "store_unavailable",
            Self::Ledger(StoreError::Damaged { .. }) | Self::Invariant(_) => "internal",
        }
    }
}

impl From<KeyError> for IssueError {
    /// Our own keys fail to sign only when there is no randomness.
    fn from(_: KeyError) -> Self {
        Self::RandomnessUnavailable
    }
}

/// Why an authority was not opened.
///
/// ```
/// use qsec_pki::{Authority, PrivateKey};
///
/// let error = Authority::open(b"no certificate", PrivateKey::generate()?).unwrap_err();
/// assert_eq!(error.code(), "root_unacceptable");
/// # Ok::<(), qsec_pki::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The certificate is no zone root.
    #[error("certificate is no zone root: {0}")]
    RootUnacceptable(#[source] Rejection),
    /// The certificate is no issuing intermediate of the root.
    #[error("certificate is no issuing intermediate of the root: {0}")]
    IntermediateUnacceptable(#[source] Rejection),
    /// The key is not that of the certificate.
    #[error("key is not that of the authority's certificate")]
    IssuerKeyMismatch,
}

impl OpenError {
    /// The stable code: `root_unacceptable`, `intermediate_unacceptable`, `issuer_key_mismatch`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RootUnacceptable(_) => "root_unacceptable",
            Self::IntermediateUnacceptable(_) => "intermediate_unacceptable",
            Self::IssuerKeyMismatch => "issuer_key_mismatch",
        }
    }
}
