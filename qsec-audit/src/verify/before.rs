//! What is read of a log folder before its segments.
//!
//! A process that appends puts everything into the write-ahead log first, and writes state, tiles and checkpoints after. Who reads
//! in the opposite order never sees a file that knows more than the log, however much is appended meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::fs::FileSystem;

/// Deepest folder below the log's: `trees/<tenant>/tile/<L>/x001/…`; a tile number of 2^63 leaves has six groups.
const MAX_FOLDER_DEPTH: usize = 12;

pub(super) const STATE: &str = "mac.state";

/// The files of a folder as they were before the first segment was read.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) state: Option<Vec<u8>>,
    /// The checkpoint files of trees, by their names relative to the folder.
    pub(super) checkpoints: BTreeMap<String, Vec<u8>>,
    /// All files, relative; an empty folder stands as its name with a slash.
    pub(super) files: BTreeSet<String>,
}

impl Before {
    pub(super) fn read(fs: &dyn FileSystem, dir: &Path) -> io::Result<Self> {
        let mut before = Self { state: read_optional(fs, &dir.join(STATE))?, ..Self::default() };
        before.collect(fs, dir, "", 0)?;
        for file in before.files.iter().filter(|file| file.starts_with("trees/") && file.ends_with("/checkpoint")) {
            if let Some(bytes) = read_optional(fs, &dir.join(file))? {
                before.checkpoints.insert(file.clone(), bytes);
            }
        }
        // Segments are listed last: one that begins now holds nothing that the files above know.
        let wal = dir.join("wal");
        if before.files.contains("wal/") {
            before.files.remove("wal/");
            before.collect(fs, &wal, "wal/", 1)?;
        }
        Ok(before)
    }

    fn collect(&mut self, fs: &dyn FileSystem, dir: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        let entries = fs.list(dir)?;
        if entries.is_empty() || depth > MAX_FOLDER_DEPTH {
            self.files.insert(prefix.to_owned());
            return Ok(());
        }
        for entry in entries {
            let name = format!("{prefix}{}", entry.name);
            if !entry.folder {
                self.files.insert(name);
            } else if name == "wal" {
                self.files.insert("wal/".to_owned());
            } else {
                self.collect(fs, &dir.join(&entry.name), &format!("{name}/"), depth.saturating_add(1))?;
            }
        }
        Ok(())
    }
}

/// A file that may not be there.
pub(super) fn read_optional(fs: &dyn FileSystem, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
