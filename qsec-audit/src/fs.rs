//! The few things a log asks of a file system, so that each of them can be made to fail.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A file that grows.
pub(crate) trait Growing: Send + Debug {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Writes bytes that are already there once more, so that the next sync covers them.
    fn rewrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

/// Held for as long as the log is open.
pub(crate) trait Held: Send + Sync + Debug {}

impl Held for File {}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) folder: bool,
}

pub(crate) trait FileSystem: Send + Sync + Debug {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Reads a file in place of what the buffer holds: pages that were touched once need not be touched again.
    fn read_into(&self, path: &Path, bytes: &mut Vec<u8>) -> io::Result<()>;
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// Entries in the order of their names.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    fn is_writable_by_others(&self, path: &Path) -> io::Result<bool>;
    /// Makes a folder with mode 0700; one that is there is no error.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a file with mode 0600, empty.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Growing>>;
    fn open(&self, path: &Path) -> io::Result<Box<dyn Growing>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// `None` if another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>>;
}

/// What the name of a file ends with until it is renamed into place.
pub(crate) const UNFINISHED: &str = ".new";

/// Replaces a file as a whole, durably: whoever reads sees the old bytes or the new ones.
pub(crate) fn replace(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    rename_into(fs, path, bytes, true)?;
    path.parent().map_or(Ok(()), |folder| fs.sync_folder(folder))
}

/// As [`replace`], without a sync: after a crash of the machine it may be the old file, the new one, or a part of it.
pub(crate) fn place(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    rename_into(fs, path, bytes, false)
}

fn rename_into(fs: &dyn FileSystem, path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    let unfinished = Path::new(&name);
    let mut file = fs.create(unfinished)?;
    file.append(bytes)?;
    if sync {
        file.sync()?;
    }
    drop(file);
    fs.rename(unfinished, path)
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Disk;

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}

#[derive(Debug)]
struct DiskFile(File);

impl Growing for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn rewrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(unix)]
        return self.0.write_all_at(bytes, offset);
        #[cfg(not(unix))]
        {
            use std::io::{Seek as _, SeekFrom};
            self.0.seek(SeekFrom::Start(offset))?;
            self.0.write_all(bytes)
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl FileSystem for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_into(&self, path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.clear();
        File::open(path)?.read_to_end(bytes).map(drop)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        std::fs::metadata(path).map(|metadata| metadata.len())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = std::fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                // One that went since, renamed into its place by who appends, is a file of that name.
                let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                Ok(Entry { name, folder })
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable();
        Ok(entries)
    }

    fn is_writable_by_others(&self, path: &Path) -> io::Result<bool> {
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        return Ok(metadata.permissions().mode() & 0o022 != 0);
        #[cfg(not(unix))]
        Ok(metadata.permissions().readonly() && false)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        builder.mode(0o700);
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Growing>> {
        Ok(Box::new(DiskFile(options().create(true).truncate(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Growing>> {
        use std::io::{Seek as _, SeekFrom};
        let mut file = options().open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        let file = options().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
