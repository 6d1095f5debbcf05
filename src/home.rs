//! The folder of a deployment: what lies in it, who may read it, and who works on it now.
//!
//! ```text
//! <home>/            0700
//!   deployment.json  what this deployment is; named so last, so that an interrupted set-up opens as nothing
//!   lock             held by the process that works on the deployment
//!   root.key         root key of the internal KMS, unless it is kept elsewhere
//!   store.sqlite     the store, unless it is on PostgreSQL
//!   audit/           the log
//! ```
//! Nothing in it names its own path: stopped, it can be moved or copied as a whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::HomeError;

const MARKER: &str = "deployment.json";
/// The first file of a set-up and its last rename: while it is there, what lies beside it is nobody's deployment.
const UNFINISHED: &str = "deployment.json.new";
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
    lock: File,
}

impl Home {
    /// Makes the folder, takes an empty one, or takes one that an interrupted set-up left and empties it. Any other folder
    /// is refused before anything in it, or its mode, is changed: a mistyped name must not cost a folder.
    pub(crate) fn begin(path: &Path) -> Result<Self, HomeError> {
        let unwritable = |source| HomeError::unwritable(path, source);
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(unwritable)?;
        let left = Self::left_by_a_set_up(path)?;
        // Whoever owns the folder could put back what was taken away; only its owner may change the mode.
        fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE)).map_err(unwritable)?;
        let home = Self::hold(path)?;
        home.is_ours()?;
        // Another set-up may have been faster between the look and the lock.
        if path.join(MARKER).exists() {
            return Err(HomeError::Exists { path: path.to_owned() });
        }
        home.write(UNFINISHED, b"")?;
        home.sweep(&left)?;
        Ok(home)
    }

    /// Takes the folder of a finished deployment.
    pub(crate) fn take(path: &Path) -> Result<(Self, Facts), HomeError> {
        read_facts(path)?;
        private(path, FOLDER_MODE)?;
        let home = Self::hold(path)?;
        let facts = read_facts(path)?;
        Ok((home, facts))
    }

    /// The last act of a set-up: from now on the folder is a deployment.
    pub(crate) fn finish(&self, facts: &Facts) -> Result<(), HomeError> {
        let target = self.path.join(MARKER);
        let text = serde_json::to_vec_pretty(facts)
            .map_err(|error| HomeError::Damaged { path: target.clone(), what: error.to_string() })?;
        self.write(UNFINISHED, &text)?;
        self.rename(UNFINISHED, &target)
    }

    /// Writes a file of mode 0600: whole, or not at all.
    pub(crate) fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let new = format!("{name}.new");
        let written = self.write(&new, bytes).and_then(|()| self.rename(&new, &self.path.join(name)));
        if written.is_err() {
            // What is half written has no use, and nobody to tell if it cannot be removed either.
            let _ = fs::remove_file(self.path.join(&new));
        }
        written
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
        let target = self.path.join(name);
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&target)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|source| HomeError::unwritable(&target, source))
    }

    fn rename(&self, name: &str, target: &Path) -> Result<(), HomeError> {
        let rename = || {
            fs::rename(self.path.join(name), target)?;
            File::open(&self.path)?.sync_all()
        };
        rename().map_err(|source| HomeError::unwritable(target, source))
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
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(HomeError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(HomeError::unwritable(&name, source)),
        }
    }

    /// The lock was opened by this process; a folder of somebody else's stays theirs, whatever its mode says.
    fn is_ours(&self) -> Result<(), HomeError> {
        let unreadable = |source| HomeError::unreadable(&self.path, source);
        let (folder, lock) = (fs::metadata(&self.path), self.lock.metadata());
        if folder.map_err(unreadable)?.uid() == lock.map_err(unreadable)?.uid() {
            return Ok(());
        }
        Err(HomeError::NotOurs { path: self.path.clone() })
    }

    /// What lies in the folder, if all of it is of a set-up that did not finish.
    fn left_by_a_set_up(path: &Path) -> Result<Vec<PathBuf>, HomeError> {
        let unreadable = |source| HomeError::unreadable(path, source);
        let mut left = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            if name == MARKER {
                return Err(HomeError::Exists { path: path.to_owned() });
            }
            if name != "lock" {
                left.push(path.join(name));
            }
        }
        let unfinished = left.contains(&path.join(UNFINISHED));
        let known = |found: &PathBuf| MADE_BY_A_SET_UP.iter().any(|name| *found == path.join(name));
        match left.iter().find(|found| !unfinished || !known(found)) {
            None => Ok(left),
            Some(foreign) => Err(HomeError::NotEmpty { path: foreign.clone() }),
        }
    }

    /// Removes what an interrupted set-up left, but the sign that it was one.
    fn sweep(&self, left: &[PathBuf]) -> Result<(), HomeError> {
        for path in left.iter().filter(|path| **path != self.path.join(UNFINISHED)) {
            let removed = if *path == self.audit() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.map_err(|source| HomeError::unwritable(path, source))?;
        }
        Ok(())
    }
}

/// Every name that a set-up makes before it is finished.
const MADE_BY_A_SET_UP: [&str; 8] = [
    "root.key",
    "root.key.new",
    "store.sqlite",
    "store.sqlite-wal",
    "store.sqlite-shm",
    "store.sqlite-journal",
    "audit",
    UNFINISHED,
];

/// Reads what a deployment is, without taking it.
pub(crate) fn read_facts(path: &Path) -> Result<Facts, HomeError> {
    let marker = path.join(MARKER);
    let size = match fs::metadata(&marker) {
        Ok(metadata) => metadata.len(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
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
