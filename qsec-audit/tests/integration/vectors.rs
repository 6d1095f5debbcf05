//! Where other people's vectors are.

use std::path::{Path, PathBuf};

/// The folder of a suite. Not found, it says so, and fails where everything must run.
#[expect(clippy::disallowed_methods, reason = "a test reads where its data is from the environment")]
pub(crate) fn folder(suite: &str) -> Option<PathBuf> {
    let root = std::env::var_os("QSEC_VECTORS").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"));
    let folder = root.join(suite);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: {suite}: vectors not found");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "vectors of {suite} must be there");
    None
}
