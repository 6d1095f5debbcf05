//! The deployment that a command works on.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use qsec::crypto::Secret;
use qsec::{Deployment, HomeError, Unlock};
use zeroize::Zeroizing;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::files;

/// How long a command waits for another one on the same deployment.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// Most bytes of a passphrase file.
const MAX_PASSPHRASE_BYTES: u64 = 4096;

/// The folder: `--home`, else `QSEC_HOME`, else `./qsec-home`.
pub(crate) fn folder(global: &Global) -> PathBuf {
    global.home.clone().unwrap_or_else(|| PathBuf::from("qsec-home"))
}

/// Opens the deployment, waiting for another command if there is one.
pub(crate) async fn open(global: &Global) -> Result<Deployment, Failure> {
    Ok(try_open(global).await??)
}

/// The same; the inner error is why the folder's deployment did not open.
#[expect(clippy::disallowed_methods, reason = "patience is measured, not decided")]
pub(crate) async fn try_open(global: &Global) -> Result<Result<Deployment, qsec::Error>, Failure> {
    let folder = folder(global);
    let key = Key::read(global)?;
    let started = Instant::now();
    loop {
        match Deployment::open_with(&folder, key.unlock()).await {
            Err(qsec::Error::Home(HomeError::Busy { .. })) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return Ok(outcome),
        }
    }
}

/// Ends the log in order, whatever the command's outcome was: its refusal is an event too.
pub(crate) async fn close<T>(
    deployment: Deployment,
    outcome: Result<T, Failure>,
    now: SystemTime,
) -> Result<T, Failure> {
    let closed = deployment.close(now).await;
    let outcome = outcome?;
    closed?;
    Ok(outcome)
}

/// What opens the internal KMS: the options of `init`, and of every command where the key is not beside.
pub(crate) fn unlock(global: &Global) -> Result<Unlock, Failure> {
    Ok(Key::read(global)?.unlock())
}

/// Read once: a passphrase that comes through a pipe cannot be read again while another command is waited for.
enum Key {
    Beside,
    File(PathBuf),
    Passphrase(Zeroizing<Vec<u8>>),
}

impl Key {
    fn read(global: &Global) -> Result<Self, Failure> {
        Ok(match (&global.root_key, &global.passphrase_file) {
            (Some(path), _) => Self::File(path.clone()),
            (None, Some(path)) => {
                let mut text = Zeroizing::new(files::read(path, MAX_PASSPHRASE_BYTES, "key_file_invalid")?);
                let line =
                    text.strip_suffix(b"\n").map_or(text.as_slice(), |line| line.strip_suffix(b"\r").unwrap_or(line));
                let length = line.len();
                text.truncate(length);
                if text.is_empty() {
                    let message = format!("the passphrase in `{}` is empty", path.display());
                    return Err(Failure::misuse("key_file_invalid", message));
                }
                Self::Passphrase(text)
            }
            (None, None) => Self::Beside,
        })
    }

    fn unlock(&self) -> Unlock {
        match self {
            Self::Beside => Unlock::Beside,
            Self::File(path) => Unlock::KeyFile(path.clone()),
            Self::Passphrase(text) => Unlock::Passphrase(Secret::copy_from(text)),
        }
    }
}
