//! The official AWS Encryption SDK for Python, and with it a second implementation of Cobblestone-256: a Python
//! environment that the tests run programs of. Nothing listens.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Component, Running};
use crate::{command, tools};

/// Together with what they depend on, these versions have been seen to work.
const PACKAGES: [&str; 2] = ["aws-encryption-sdk[MPL]==4.0.7", "cryptography==50.0.2"];

pub(super) struct Esdk;

impl Component for Esdk {
    fn name(&self) -> &'static str {
        "esdk"
    }

    fn start(&self, home: &Path) -> Result<Running> {
        tools::make_python_environment(home)?;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["--quiet", "--disable-pip-version-check", "install"]).args(PACKAGES);
        command::run_aside(&mut pip).context("cannot install the AWS Encryption SDK")?;
        let python = home.join("bin/python");
        let version = "import aws_encryption_sdk; print(aws_encryption_sdk.__version__)";
        let version = command::output(Command::new(&python).args(["-c", version]))?;
        Ok(Running {
            process: None,
            home: home.to_path_buf(),
            detail: format!("AWS Encryption SDK {} for Python", version.trim()),
            exports: BTreeMap::from([("QSEC_TEST_ESDK_PYTHON".into(), python.to_string_lossy().into_owned())]),
        })
    }

    fn stop(&self, running: &Running) -> Result<()> {
        bail!("nothing of {} runs, so there is nothing to stop", running.home.display())
    }
}
