//! The issuance ledger: every serial that an authority ever spent. The border to a database.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub mod conformance;
mod memory;

pub use memory::MemoryLedger;

/// A future that a store returns: boxed, so that the trait can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The record has another generation than the writer assumed: read again, decide again.
    #[error("the record was changed by someone else meanwhile")]
    Conflict,
    /// The record cannot be kept as it is: too long, or a NUL in a name. The caller's fault, not the store's.
    #[error("the record cannot be stored: {what}")]
    Refused {
        /// What is wrong with it.
        what: String,
    },
    /// The store cannot be reached now; the call can be repeated.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store holds something that it cannot have written.
    #[error("the store holds a damaged record: {what}")]
    Damaged {
        /// Which record, and what is wrong with it.
        what: String,
    },
}

/// Where a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateState {
    /// The serial is reserved; nothing was signed yet.
    Prepared,
    /// Signed and handed out.
    Issued,
    /// On the revocation list.
    Revoked,
    /// Reserved once and never signed; the serial stays spent.
    Abandoned,
}

impl CertificateState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Prepared, Self::Issued, Self::Revoked, Self::Abandoned];

    /// The name that a store writes and the program prints: stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Issued => "issued",
            Self::Revoked => "revoked",
            Self::Abandoned => "abandoned",
        }
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a store builds rows from its columns")]
pub struct LedgerRow {
    /// The serial, lowercase hex without separators: unique for ever.
    pub serial: String,
    /// SHA-256 of the subject's public key information.
    pub spki_sha256: [u8; 32],
    /// Where it stands.
    pub state: CertificateState,
    /// Last instant of validity, Unix seconds.
    pub not_after: u64,
    /// Identity, role, names, issuer and the certificate, JSON. At most 64 KiB.
    pub body: Vec<u8>,
}

/// Keeps the ledger of a deployment's authority.
///
/// # Contract
/// `reserve` is atomic: of two rows with one serial exactly one is kept. Rows are never removed.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// Adds a new row; a serial that was ever used is a [`StoreError::Conflict`].
    fn reserve<'a>(&'a self, row: &'a LedgerRow) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Replaces state and body of a row whose state is still `from`; otherwise [`StoreError::Conflict`].
    fn advance<'a>(&'a self, row: &'a LedgerRow, from: CertificateState) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The row of a serial.
    fn get<'a>(&'a self, serial: &'a str) -> BoxFuture<'a, Result<Option<LedgerRow>, StoreError>>;

    /// Whether a key was ever certified or reserved: renewal demands a fresh one.
    fn knows_key<'a>(&'a self, spki_sha256: &'a [u8; 32]) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Every row, in the order of serials.
    fn list(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, StoreError>>;
}
