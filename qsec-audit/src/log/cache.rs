//! The files of trees: checkpoints and full tiles. All of them follow from the log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::RecordError;
use super::writer::unavailable;
use crate::fs::{self, FileSystem};
use crate::name::Tree;

/// Files that are written and not synced yet, at most, before they are: 1,024.
const MAX_UNSYNCED: usize = 1_024;

/// Writes files of trees. What a crash takes of them is made anew from the log, so they are synced in bulk, and all of them before
/// the log says that it is closed.
#[derive(Debug, Default)]
pub(super) struct Cache {
    folders: BTreeSet<PathBuf>,
    unsynced: BTreeSet<PathBuf>,
}

impl Cache {
    pub(super) fn write(
        &mut self,
        files: &dyn FileSystem,
        dir: &Path,
        tree: &Tree,
        file: &str,
        bytes: &[u8],
    ) -> Result<(), RecordError> {
        let path = self.path(files, dir, tree, file)?;
        fs::place(files, &path, bytes).map_err(|error| unavailable(&path, error))?;
        self.unsynced.insert(path);
        if self.unsynced.len() >= MAX_UNSYNCED { self.sync(files) } else { Ok(()) }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self, files: &dyn FileSystem) -> Result<(), RecordError> {
        let mut folders = BTreeSet::new();
        for path in &self.unsynced {
            files.open(path).and_then(|mut file| file.sync()).map_err(|error| unavailable(path, error))?;
            folders.extend(path.ancestors().skip(1).take_while(|folder| self.folders.contains(*folder)));
        }
        for folder in folders {
            files.sync_folder(folder).map_err(|error| unavailable(folder, error))?;
        }
        self.unsynced.clear();
        Ok(())
    }

    /// Where a file below `trees/<tree>/` is; the folders on the way are made.
    fn path(&mut self, files: &dyn FileSystem, dir: &Path, tree: &Tree, file: &str) -> Result<PathBuf, RecordError> {
        let mut path = dir.join("trees");
        self.folders.insert(path.clone());
        for part in std::iter::once(tree.name()).chain(file.split('/')) {
            if !self.folders.contains(&path) {
                files.create_folder(&path).map_err(|error| unavailable(&path, error))?;
                self.folders.insert(path.clone());
            }
            path.push(part);
        }
        Ok(path)
    }
}
