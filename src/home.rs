//! The folder of a deployment: what lies in it, who may read it, and who works on it now.
//!
//! ```text
//! <home>/            0700
//!   deployment.json  what this deployment is; written last, so that an interrupted set-up opens as nothing
//!   lock             held by the process that works on the deployment
//!   root.key         root key of the internal KMS, unless it is kept elsewhere
//!   store.sqlite     the store, unless it is on PostgreSQL
//!   audit/           the log
//! ```
//! Nothing in it names its own path: stopped, it can be moved or copied as a whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::HomeError;

const MARKER: &str = "deployment.json";
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Most bytes of `deployment.json`: it holds a dozen short names.
const MAX_MARKER_BYTES: u64 = 64 * 1024;

/// Where the root key of the internal KMS is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RootKeyPlace {
    /// `root.key` in the folder: whoever copies the folder has everything.
    Beside,
    /// A file that the operator names at each opening.
    File,
    /// A passphrase; what follows are the parameters of its derivation.
    Passphrase(String),
}

/// What a deployment is: public facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) origin: String,
    pub(crate) root_key: RootKeyPlace,
    pub(crate) root_spki_sha256: String,
    pub(crate) escrowed: bool,
}

/// A deployment's folder, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Makes the folder, or takes one that an interrupted set-up left, and empties it.
    pub(crate) fn begin(path: &Path) -> Result<Self, HomeError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(|source| HomeError::unwritable(path, source))?;
        fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE))
            .map_err(|source| HomeError::unwritable(path, source))?;
        let home = Self::hold(path)?;
        if home.path.join(MARKER).exists() {
            return Err(HomeError::Exists { path: path.to_owned() });
        }
        home.sweep()?;
        Ok(home)
    }

    /// Takes the folder of a finished deployment.
    pub(crate) fn take(path: &Path) -> Result<(Self, Facts), HomeError> {
        if !path.join(MARKER).is_file() {
            return Err(HomeError::Missing { path: path.to_owned() });
        }
        private(path, FOLDER_MODE)?;
        let home = Self::hold(path)?;
        let facts = read_facts(path)?;
        Ok((home, facts))
    }

    /// The last act of a set-up: from now on the folder is a deployment.
    pub(crate) fn finish(&self, facts: &Facts) -> Result<(), HomeError> {
        let text = serde_json::to_vec_pretty(facts)
            .map_err(|error| HomeError::Damaged { path: self.path.join(MARKER), what: error.to_string() })?;
        self.write_private(MARKER, &text)
    }

    /// Writes a file of mode 0600: whole, or not at all.
    pub(crate) fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let target = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &target)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&new);
            HomeError::unwritable(&target, source)
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root_key(&self) -> PathBuf {
        self.path.join("root.key")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store.sqlite")
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    fn hold(path: &Path) -> Result<Self, HomeError> {
        let name = path.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&name)
            .map_err(|source| HomeError::unwritable(&name, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(HomeError::unwritable(&name, source)),
        }
    }

    /// Removes what an interrupted set-up left. Only names that a set-up makes: a mistyped `--home` must not cost a folder.
    fn sweep(&self) -> Result<(), HomeError> {
        let ours = [
            "root.key",
            "root.key.new",
            "store.sqlite",
            "store.sqlite-journal",
            "store.sqlite-wal",
            "store.sqlite-shm",
            "deployment.json.new",
        ];
        for entry in fs::read_dir(&self.path).map_err(|source| HomeError::unreadable(&self.path, source))? {
            let entry = entry.map_err(|source| HomeError::unreadable(&self.path, source))?;
            let path = entry.path();
            let name = entry.file_name();
            let removed = match name.to_str() {
                Some("lock") => Ok(()),
                Some("audit") => fs::remove_dir_all(&path),
                Some(name) if ours.contains(&name) => fs::remove_file(&path),
                _ => {
                    return Err(HomeError::Damaged { path, what: "a new deployment needs an empty folder".to_owned() });
                }
            };
            removed.map_err(|source| HomeError::unwritable(&path, source))?;
        }
        Ok(())
    }
}

/// Reads what a deployment is, without taking it.
pub(crate) fn read_facts(path: &Path) -> Result<Facts, HomeError> {
    let marker = path.join(MARKER);
    let size = match fs::metadata(&marker) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(HomeError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(HomeError::unreadable(&marker, source)),
    };
    let damaged = |what: String| HomeError::Damaged { path: marker.clone(), what };
    if size > MAX_MARKER_BYTES {
        return Err(damaged(format!("it has {size} bytes")));
    }
    let text = fs::read(&marker).map_err(|source| HomeError::unreadable(&marker, source))?;
    let facts: Facts = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if facts.version == 1 { Ok(facts) } else { Err(damaged(format!("version {} is not known here", facts.version))) }
}

/// Refuses what others can read or write.
pub(crate) fn private(path: &Path, mode: u32) -> Result<(), HomeError> {
    let found = fs::metadata(path).map_err(|source| HomeError::unreadable(path, source))?.permissions().mode() & 0o777;
    if found & !mode == 0 { Ok(()) } else { Err(HomeError::Permissions { path: path.to_owned(), mode }) }
}
