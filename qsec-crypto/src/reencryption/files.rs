//! Objects that are files, and a cursor that is one.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ring::digest::{SHA256, digest};

use crate::context::Context;
use crate::reencryption::error::ReencryptionError;
use crate::reencryption::objects::{Cursor, MAX_OBJECT_ID_BYTES, Object, Objects, Swap};

/// Most bytes of a cursor file that are read.
const MAX_CURSOR_FILE_BYTES: u64 = 16 << 20;

/// Sealed files, in the order of a list. Ids are paths.
///
/// A file is sealed again to a new one beside it, of a name that begins with `.qsec-`, which takes its owner and mode, is
/// made durable and then renamed over it. A file that was written to after it was read is left, and looked at again: its
/// length, time of change and identity are compared just before the rename. What is written between these two is lost, so
/// a program that writes should do so by renaming, and rest while this runs if no write may be lost.
///
/// Symbolic links and whatever is no file are not followed: they fail. Of several hard links only the listed one changes.
///
/// ```
/// use std::path::PathBuf;
/// use qsec_crypto::{Context, reencryption::FileObjects};
///
/// let listed = [("orders/17.sealed", "17"), ("orders/18.sealed", "18")];
/// let objects = FileObjects::new(listed.map(|(path, row)| (PathBuf::from(path), Context::from([("row", row)]))))?;
/// assert_eq!(objects.len(), 2);
/// # Ok::<(), qsec_crypto::reencryption::ReencryptionError>(())
/// ```
#[derive(Debug)]
pub struct FileObjects {
    objects: Vec<Object>,
    places: HashMap<String, usize>,
    /// The file that was read last, as it was then.
    read: Option<(String, Stamp)>,
    /// The file that was written beside it. By its handle, for its name may come to mean another file.
    written: Option<(String, File)>,
}

/// What changes when a file is written to or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    file: (u64, u64),
}

impl FileObjects {
    /// These files, each with the context that it was sealed with.
    ///
    /// # Errors
    /// [`ReencryptionError::Usage`] for a path that is not UTF-8, is longer than 4,096 bytes or empty, or is given twice.
    pub fn new(files: impl IntoIterator<Item = (PathBuf, Context)>) -> Result<Self, ReencryptionError> {
        let (mut objects, mut places) = (Vec::new(), HashMap::new());
        for (path, context) in files {
            let usage = |what: &str| ReencryptionError::Usage { what: format!("path `{}` {what}", path.display()) };
            let id = path.to_str().ok_or_else(|| usage("is not UTF-8"))?.to_owned();
            if !(1..=MAX_OBJECT_ID_BYTES).contains(&id.len()) {
                return Err(usage("is empty or too long"));
            }
            if places.insert(id.clone(), objects.len()).is_some() {
                return Err(usage("is given twice"));
            }
            objects.push(Object::new(id, context));
        }
        Ok(Self { objects, places, read: None, written: None })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl Objects for FileObjects {
    fn list(&mut self, after: Option<&str>, most: usize) -> io::Result<Vec<Object>> {
        let unknown = |after| {
            let what = format!("`{after}`, where the cursor stands, is not in the list");
            io::Error::new(io::ErrorKind::InvalidInput, what)
        };
        let first = match after {
            None => 0,
            Some(after) => self.places.get(after).ok_or_else(|| unknown(after))?.saturating_add(1),
        };
        Ok(self.objects.iter().skip(first).take(most).cloned().collect())
    }

    fn read(&mut self, object: &Object) -> io::Result<Box<dyn Read + Send>> {
        let path = Path::new(&object.id);
        let named = Stamp::of(&regular(path)?);
        let file = File::open(path)?;
        // Between the two looks the name may have come to mean another file.
        if Stamp::of(&file.metadata()?) != named {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is replaced while it is opened"));
        }
        self.read = Some((object.id.clone(), named));
        Ok(Box::new(file))
    }

    fn write_beside(&mut self, object: &Object) -> io::Result<Box<dyn Write + Send>> {
        let beside = beside(Path::new(&object.id))?;
        remove(&beside)?;
        let mut options = OpenOptions::new();
        // Never an existing file: a link that someone put there would be written through.
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(beside)?;
        self.written = Some((object.id.clone(), file.try_clone()?));
        Ok(Box::new(file))
    }

    fn swap(&mut self, object: &Object) -> io::Result<Swap> {
        let path = Path::new(&object.id);
        let beside = beside(path)?;
        let written = self.written.take().filter(|(id, _)| *id == object.id);
        let (_, new) =
            written.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nothing was written beside it"))?;
        let old = match regular(path) {
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Swap::Changed),
            Err(error) => return Err(error),
        };
        let as_read = self.read.take().filter(|(id, _)| *id == object.id);
        if as_read.is_none_or(|(_, stamp)| stamp != Stamp::of(&old)) {
            return Ok(Swap::Changed);
        }
        take_after(&new, &old)?;
        new.sync_all()?;
        // Who may write to the folder could have put another file, or a link, in its place.
        if Stamp::of(&fs::symlink_metadata(&beside)?) != Stamp::of(&new.metadata()?) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what was written beside it is replaced"));
        }
        fs::rename(&beside, path)?;
        sync_folder(path)?;
        Ok(Swap::Swapped)
    }

    fn discard(&mut self, object: &Object) -> io::Result<()> {
        self.written = None;
        remove(&beside(Path::new(&object.id))?)
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.len(),
            modified: file.modified().ok(),
            #[cfg(unix)]
            file: {
                use std::os::unix::fs::MetadataExt;
                (file.dev(), file.ino())
            },
        }
    }
}

/// A file, and no link to one.
fn regular(path: &Path) -> io::Result<Metadata> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"))
}

/// The name beside a file: of a fixed length, so that it is legal wherever the file's own is.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no file name"))?;
    let hash = digest(&SHA256, name.as_encoded_bytes());
    let short = hash.as_ref().first_chunk().copied().map_or(0, u128::from_be_bytes);
    Ok(path.with_file_name(format!(".qsec-{short:032x}.new")))
}

/// Gives a new file the owner and the mode of the one whose place it takes.
fn take_after(new: &File, old: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let now = new.metadata()?;
        if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
            fchown(new, Some(old.uid()), Some(old.gid()))?;
        }
    }
    new.set_permissions(old.permissions())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A rename is durable when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A cursor in a file: replaced as a whole, so that a crash leaves the old one or the new one.
///
/// ```
/// use qsec_crypto::reencryption::{Cursor, FileCursor};
///
/// # let folder = tempfile::tempdir()?;
/// let mut cursor = FileCursor::new(folder.path().join("orders.cursor"));
/// assert_eq!(cursor.load()?, None);
/// cursor.save("here")?;
/// assert_eq!(cursor.load()?.as_deref(), Some("here"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileCursor {
    path: PathBuf,
}

impl FileCursor {
    /// The cursor in this file, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Cursor for FileCursor {
    fn load(&mut self) -> io::Result<Option<String>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_CURSOR_FILE_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    fn save(&mut self, text: &str) -> io::Result<()> {
        let beside = beside(&self.path)?;
        remove(&beside)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        // Renamed without this, a crash of the machine could leave an empty file of that name.
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}
