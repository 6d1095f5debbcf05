//! Input and output by name: `-` is standard input or output, a file appears whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Exit;
use crate::failure::Failure;

/// Reads a named file, or standard input for `-`, up to `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = |input: &mut dyn Read, bytes: &mut Vec<u8>| input.take(most.saturating_add(1)).read_to_end(bytes);
    if is_dash(path) {
        read(&mut io::stdin().lock(), &mut bytes).map_err(|error| unreadable(path, &error))?;
    } else {
        let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
        read(&mut file, &mut bytes).map_err(|error| unreadable(path, &error))?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        let message = format!("`{}` has more than {most} bytes", path.display());
        return Err(Failure::new(Exit::Misuse, "file_unreadable", message));
    }
    Ok(bytes)
}

/// The same as text.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| Failure::new(Exit::Misuse, "file_unreadable", format!("`{}` is not UTF-8", path.display())))
}

pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Misuse, "file_unreadable", format!("`{}` cannot be read: {error}", path.display()))
}

pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Misuse, "file_unwritable", format!("`{}` cannot be written: {error}", path.display()))
}

pub(crate) fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Misuse, "file_exists", format!("`{}` is there already; nothing was written", path.display()))
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
}

#[derive(Debug)]
enum To {
    Stdout(io::Stdout),
    File { file: File, temporary: PathBuf, target: PathBuf, existing: Existing, finished: bool },
}

impl Sink {
    pub(crate) fn open(target: Option<&Path>, existing: Existing) -> Result<Self, Failure> {
        let Some(target) = target.filter(|target| !is_dash(target)) else {
            return Ok(Self { to: To::Stdout(io::stdout()) });
        };
        if existing == Existing::Keep && target.exists() {
            return Err(exists(target));
        }
        let mut name = target.file_name().ok_or_else(|| Failure::usage("`--out` names no file"))?.to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = target.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| unwritable(target, &error))?;
        Ok(Self { to: To::File { file, temporary, target: target.to_owned(), existing, finished: false } })
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.to, To::File { .. })
    }

    /// Everything is written: the file gets its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        match &mut self.to {
            To::Stdout(stdout) => stdout.flush().map_err(|error| unwritable(Path::new("-"), &error)),
            To::File { file, temporary, target, existing, finished } => {
                file.sync_all().map_err(|error| unwritable(target, &error))?;
                if *existing == Existing::Keep && target.exists() {
                    return Err(exists(target));
                }
                fs::rename(temporary, &*target).map_err(|error| unwritable(target, &error))?;
                *finished = true;
                Ok(())
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Stdout(stdout) => stdout.write(bytes),
            To::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Stdout(stdout) => stdout.flush(),
            To::File { file, .. } => file.flush(),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let To::File { temporary, finished: false, .. } = &self.to {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Whether somebody else could read a file that holds a secret.
pub(crate) fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}
