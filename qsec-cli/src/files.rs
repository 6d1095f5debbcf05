//! Input and output by name: `-` is standard input or output, a file appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Reads a named file, or standard input for `-`, up to `most` bytes; more of them are refused as `too_long`.
pub(crate) fn read(path: &Path, most: u64, too_long: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut take = |input: &mut dyn Read| input.take(most.saturating_add(1)).read_to_end(&mut bytes);
    let taken = if is_dash(path) {
        take(&mut io::stdin().lock())
    } else {
        File::open(path).and_then(|mut file| take(&mut file))
    };
    taken.map_err(|error| unreadable(path, &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(Failure::misuse(too_long, format!("`{}` has more than {most} bytes", path.display())));
    }
    Ok(bytes)
}

/// The same as text; what is too long, or not UTF-8, is refused as `malformed`.
pub(crate) fn read_text(path: &Path, most: u64, malformed: &str) -> Result<String, Failure> {
    String::from_utf8(read(path, most, malformed)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::misuse(malformed, format!("`{}` is not UTF-8: its byte {at} is not", path.display()))
    })
}

pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard input can be one thing only.
pub(crate) fn one_dash<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    if paths.into_iter().filter(|path| is_dash(path)).count() > 1 {
        return Err(Failure::usage("only one option can be `-`, standard input"));
    }
    Ok(())
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::misuse("file_unreadable", format!("`{}` cannot be read: {error}", path.display()))
}

pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::misuse("file_unwritable", format!("`{}` cannot be written: {error}", path.display()))
}

pub(crate) fn exists(path: &Path) -> Failure {
    Failure::misuse("file_exists", format!("`{}` is there already; nothing was written", path.display()))
}

/// What may stand under the name of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is replaced.
    Replace,
    /// It is kept and the command refused.
    Keep,
}

/// An output: standard output, or a file of mode 0600 under a temporary name until [`Sink::finish`].
///
/// Dropped before that, the temporary file goes: a command that fails leaves no half-written output.
#[derive(Debug)]
pub(crate) struct Sink {
    to: To,
    name: PathBuf,
    broken: Option<io::Error>,
}

#[derive(Debug)]
enum To {
    Stdout(BufWriter<io::Stdout>),
    /// A pipe, a terminal, a device: there is nothing to put in its place.
    Device(BufWriter<File>),
    File(BufWriter<NamedTempFile>, Existing),
}

impl Sink {
    pub(crate) fn open(target: Option<&Path>, existing: Existing) -> Result<Self, Failure> {
        let Some(target) = target.filter(|target| !is_dash(target)) else {
            let to = To::Stdout(BufWriter::new(io::stdout()));
            return Ok(Self { to, name: "-".into(), broken: None });
        };
        let failed = |error| unwritable(target, &error);
        let to = match fs::metadata(target) {
            Ok(there) if !there.is_file() => {
                To::Device(BufWriter::new(File::options().write(true).open(target).map_err(failed)?))
            }
            Ok(_) if existing == Existing::Keep => return Err(exists(target)),
            Ok(_) | Err(_) => To::File(BufWriter::new(beside(target).map_err(failed)?), existing),
        };
        Ok(Self { to, name: target.to_owned(), broken: None })
    }

    /// Whether nothing shows before [`Sink::finish`].
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.to, To::File(..))
    }

    /// The failure of a write to this output, if one failed: a library that wrote through it may name it otherwise.
    pub(crate) fn broken(&self) -> Option<Failure> {
        self.broken.as_ref().map(|error| self.unwritable(error))
    }

    pub(crate) fn unwritable(&self, error: &io::Error) -> Failure {
        unwritable(&self.name, error)
    }

    /// All at once, and done.
    pub(crate) fn put(mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes).map_err(|error| self.unwritable(&error))?;
        self.finish()
    }

    /// Everything is written: the file gets its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush().map_err(|error| self.unwritable(&error))?;
        let To::File(file, existing) = self.to else { return Ok(()) };
        let name = self.name;
        let failed = |error| unwritable(&name, &error);
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        let kept = match existing {
            Existing::Replace => file.persist(&name),
            Existing::Keep => file.persist_noclobber(&name),
        };
        match kept {
            Ok(_) => Ok(()),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&name)),
            Err(refused) => Err(failed(refused.error)),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.to {
            To::Stdout(stdout) => stdout,
            To::Device(device) => device,
            To::File(file, _) => file,
        }
    }

    fn noted<T>(&mut self, written: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.broken = Some(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error));
        }
        written
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer().write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer().flush();
        self.noted(flushed)
    }
}

/// A new file of mode 0600 in the same folder, so that it can be renamed.
fn beside(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".qsec-").suffix(".part").tempfile_in(folder)
}

/// Whether somebody else could read a file that holds a secret.
pub(crate) fn others_can_read(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}
