//! Which modules this process has loaded: `C_Initialize` twice is an error, so they are loaded once and kept.
//!
//! This is the one state of the crate that belongs to the process and not to a value. It holds no key and no session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::kms::KmsError;

/// Each with the process that initialized it: a forked child must do so again (PKCS#11 2.40, section 5.4).
static LOADED: Mutex<BTreeMap<PathBuf, (u32, Pkcs11)>> = Mutex::new(BTreeMap::new());

/// The module at a path.
pub(super) fn load(path: &Path) -> Result<Pkcs11, KmsError> {
    let refused = |error: &dyn std::fmt::Display| KmsError::Usage {
        what: format!("`{}` cannot be used as a PKCS#11 module: {error}", path.display()),
    };
    // One file may have several names; it is one module all the same.
    let file = path.canonicalize().map_err(|error| refused(&error))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, module)) = loaded.get(&file).filter(|(process, _)| *process == process::id()) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(&file).map_err(|error| refused(&error))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Someone else in this process uses it too.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(refused(&error)),
    }
    loaded.insert(file, (process::id(), module.clone()));
    Ok(module)
}
