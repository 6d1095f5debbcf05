//! Where the repository is, and what cargo knows about it.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The folders every command works with, both absolute.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder; everything that the commands make lives below it.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was built from.
    pub(crate) fn locate() -> Result<Self> {
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the package has no parent folder")?.to_path_buf();
        let mut workspace = Self { target: root.join("target"), root };
        let metadata = workspace.metadata(&["--no-deps"])?;
        if let Some(target) = metadata.get("target_directory").and_then(Value::as_str) {
            workspace.target = PathBuf::from(target);
        }
        Ok(workspace)
    }

    /// The answer of `cargo metadata`, with further arguments.
    pub(crate) fn metadata(&self, arguments: &[&str]) -> Result<Value> {
        let mut metadata = command::cargo(self);
        metadata.args(["metadata", "--format-version", "1", "--locked"]).args(arguments);
        serde_json::from_str(&command::output(&mut metadata)?).context("the answer of `cargo metadata` is not JSON")
    }
}
