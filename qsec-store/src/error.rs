//! Why a store did not do what it was asked, and why it could not be opened.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use sqlx::error::ErrorKind;

/// Why a store did not do what it was asked.
///
/// ```
/// use qsec_store::{SettingRow, SettingStore, Store, StoreError};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = Store::in_memory().await?;
/// let late = SettingRow { name: "zone".to_owned(), generation: 2, body: b"{}".to_vec() };
/// let error = store.write(&late).await.err();
/// assert!(matches!(error, Some(StoreError::Conflict { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The record is not the one that the writer assumed: read again, decide again.
    #[error("could not {doing}: the record was changed by someone else meanwhile")]
    Conflict {
        /// What was being done.
        doing: &'static str,
    },
    /// A tenant of that id exists, or existed once.
    #[error("the tenant id `{id}` was used before")]
    IdUsed {
        /// The id.
        id: String,
    },
    /// The caller asked for a record that cannot exist: a name too long, a body too large. The same call never succeeds.
    #[error("could not {doing}: {what}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What is wrong with the record.
        what: String,
    },
    /// The database is away, full, read-only or too busy. The call can be repeated; a write may have happened.
    #[error("could not {doing}: {place} is unavailable")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Which database: the file, or host, port and database name.
        place: String,
        /// What the database or the network said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database holds something that the store cannot have written.
    #[error("could not {doing}: {what}")]
    Damaged {
        /// What was being done.
        doing: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl StoreError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::IdUsed { .. } => "id_used",
            Self::Refused { .. } => "record_refused",
            Self::Unavailable { .. } => "store_unavailable",
            Self::Damaged { .. } => "record_damaged",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Why a store could not be opened.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let error = qsec_store::Store::open_file("/no/such/folder/qsec.db").await.err().ok_or("opened")?;
/// assert_eq!(error.code(), "path_refused");
/// assert!(error.to_string().contains("/no/such/folder/qsec.db"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database URL is not one that the store takes. It is never repeated: it may hold a password.
    #[error("the database URL was refused: {what}")]
    Url {
        /// Which part, and why.
        what: String,
    },
    /// The file cannot be made or opened.
    #[error("could not open the database file `{}`", path.display())]
    Path {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A newer program wrote the database: this one would misread it.
    #[error("{place} has schema version {found}, this program knows {known}: use a newer program")]
    SchemaNewer {
        /// Which database.
        place: String,
        /// The version in the database.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The database belongs to something else, or is set up in a way that the store cannot use.
    #[error("{place} is not a store of qsec: {what}")]
    Foreign {
        /// Which database.
        place: String,
        /// What was found.
        what: String,
    },
    /// The file is no database, or a damaged one.
    #[error("{place} cannot be read: {what}")]
    Damaged {
        /// Which database.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The database is away, full, read-only, or does not let us in.
    #[error("{place} is unavailable")]
    Unavailable {
        /// Which database.
        place: String,
        /// What the database or the network said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url_refused",
            Self::Path { .. } => "path_refused",
            Self::SchemaNewer { .. } => "schema_newer",
            Self::Foreign { .. } => "not_a_store",
            Self::Damaged { .. } => "store_damaged",
            Self::Unavailable { .. } => "store_unavailable",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn from_store(place: &str, error: StoreError) -> Self {
        let place = place.to_owned();
        match error {
            StoreError::Damaged { what, .. } => Self::Damaged { place, what },
            StoreError::Unavailable { source, .. } => Self::Unavailable { place, source },
            StoreError::Conflict { .. } | StoreError::IdUsed { .. } | StoreError::Refused { .. } => {
                Self::Unavailable { place, source: Box::new(error) }
            }
        }
    }
}

/// What a database or the network said, as text.
///
/// A driver's own error is not kept: PostgreSQL's holds the refused row, and its `Debug` output prints it.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Fault {}

/// Sorts a driver's error by who has to do something about it.
pub(crate) fn judge(doing: &'static str, place: &str, error: &sqlx::Error) -> StoreError {
    if let Some(database) = error.as_database_error() {
        return judge_answer(doing, place, database);
    }
    let undecodable = matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
    );
    if undecodable {
        return StoreError::Damaged { doing, what: format!("{place} holds a value of another type: {error}") };
    }
    unavailable(doing, place, error.to_string())
}

pub(crate) fn unavailable(doing: &'static str, place: &str, said: String) -> StoreError {
    StoreError::Unavailable { doing, place: place.to_owned(), source: Box::new(Fault(said)) }
}

fn judge_answer(doing: &'static str, place: &str, error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let refused = || {
        let what = error.constraint().map_or_else(|| error.message().to_owned(), |name| format!("it breaks `{name}`"));
        StoreError::Refused { doing, what }
    };
    if matches!(error.kind(), ErrorKind::CheckViolation | ErrorKind::NotNullViolation) {
        return refused();
    }
    let code = error.code().unwrap_or_default();
    let said = format!("{} (code {code})", error.message());
    let (refuses, is_damage) = match error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        // The low byte is the primary result code: 18 too big; 11 corrupt, 26 not a database.
        Some(_) => match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(primary) => (primary == 18, matches!(primary, 11 | 26)),
            Err(_) => (false, false),
        },
        // PostgreSQL: class 22 is a value that cannot be; XX001 and XX002 are damaged pages and indexes.
        None => (code.starts_with("22"), matches!(&*code, "XX001" | "XX002")),
    };
    if refuses {
        return refused();
    }
    if is_damage {
        return StoreError::Damaged { doing, what: format!("{place} says: {said}") };
    }
    unavailable(doing, place, said)
}

/// Each domain crate has a `StoreError` of its own, with the same meaning: none of them knows this crate.
macro_rules! into_domain_error {
    ($($domain:ty),+) => {$(
        impl From<StoreError> for $domain {
            fn from(error: StoreError) -> Self {
                match error {
                    StoreError::Conflict { .. } | StoreError::IdUsed { .. } => Self::Conflict,
                    StoreError::Refused { .. } => Self::Refused { what: error.to_string() },
                    StoreError::Damaged { .. } => Self::Damaged { what: error.to_string() },
                    StoreError::Unavailable { .. } => Self::Unavailable(Box::new(error)),
                }
            }
        }
    )+};
}

into_domain_error!(
    qsec_crypto::StoreError,
    qsec_identity::store::StoreError,
    qsec_authz::store::StoreError,
    qsec_pki::ledger::StoreError,
    qsec_audit::head::StoreError
);
