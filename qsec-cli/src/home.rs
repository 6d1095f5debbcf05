//! The deployment that a command works on.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use qsec::{Deployment, HomeError, Unlock};

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
#[expect(clippy::disallowed_methods, reason = "patience is measured, not decided")]
pub(crate) async fn open(global: &Global) -> Result<Deployment, Failure> {
    let folder = folder(global);
    let started = Instant::now();
    loop {
        match Deployment::open_with(&folder, unlock(global)?).await {
            Err(qsec::Error::Home(HomeError::Busy { .. })) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
            Ok(deployment) => return Ok(deployment),
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
    match (&global.root_key, &global.passphrase_file) {
        (Some(path), _) => Ok(Unlock::KeyFile(path.clone())),
        (None, Some(path)) => {
            let text = zeroize::Zeroizing::new(files::read(path, MAX_PASSPHRASE_BYTES)?);
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            Ok(Unlock::Passphrase(qsec::crypto::Secret::copy_from(line.strip_suffix(b"\r").unwrap_or(line))))
        }
        (None, None) => Ok(Unlock::Beside),
    }
}
