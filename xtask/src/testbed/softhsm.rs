//! A PKCS#11 token in software: SoftHSM, a library that keeps its token in a folder. Nothing listens, nothing runs.
//!
//! Where the system has none, Debian's packages are unpacked beside the token: nothing is installed into the system, and
//! no root is needed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Component, Running};
use crate::{command, tools};

/// Program and library; what both need (OpenSSL, the C++ library) every Debian has.
const PACKAGES: [&str; 2] = ["softhsm2", "libsofthsm2"];

const TOKEN_LABEL: &str = "qsec-test";

pub(super) struct SoftHsm;

impl Component for SoftHsm {
    fn name(&self) -> &'static str {
        "hsm"
    }

    fn start(&self, home: &Path) -> Result<Running> {
        make_private_folder(home)?;
        let installed = SoftHsm2::of_the_system().map_or_else(|| SoftHsm2::unpacked(home), Ok)?;
        let config = write_config(home)?;
        let pin_file = home.join("pin");
        let (pin, officer_pin) = (tools::random_hex()?, tools::random_hex()?);
        write_private(&pin_file, &pin)?;
        let mut init = installed.command(&config);
        init.args(["--init-token", "--free", "--label", TOKEN_LABEL, "--so-pin", &officer_pin, "--pin", &pin]);
        if command::output(&mut init).is_err() {
            // The line of a failed command would show both PINs.
            bail!("{} cannot make a token in {}", installed.program.display(), home.display());
        }
        let version = command::output(installed.command(&config).arg("--version"))?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Running {
            process: None,
            home: home.to_path_buf(),
            detail: format!("SoftHSM {}, token `{TOKEN_LABEL}`", version.trim()),
            exports: BTreeMap::from([
                ("SOFTHSM2_CONF".into(), text(&config)),
                ("QSEC_TEST_PKCS11_MODULE".into(), text(&installed.module)),
                ("QSEC_TEST_PKCS11_TOKEN".into(), TOKEN_LABEL.into()),
                ("QSEC_TEST_PKCS11_PIN_FILE".into(), text(&pin_file)),
            ]),
        })
    }

    fn stop(&self, running: &Running) -> Result<()> {
        bail!("nothing of {} runs, so there is nothing to stop", running.home.display())
    }
}

struct SoftHsm2 {
    program: PathBuf,
    module: PathBuf,
}

impl SoftHsm2 {
    /// The one that is installed, if it is whole.
    fn of_the_system() -> Option<Self> {
        Some(Self { program: command::find_in_path("softhsm2-util")?, module: find_module(Path::new("/usr/lib"))? })
    }

    fn unpacked(home: &Path) -> Result<Self> {
        let (packages, root) = (home.join("packages"), home.join("root"));
        tools::unpack_debian_packages(&PACKAGES, &packages, &root)?;
        let program = root.join("usr/bin/softhsm2-util");
        let module = find_module(&root.join("usr/lib")).context("the package holds no `libsofthsm2.so`")?;
        Ok(Self { program, module })
    }

    fn command(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env("SOFTHSM2_CONF", config).arg("--module").arg(&self.module);
        command
    }
}

/// Debian keeps it in the folder of the architecture, and links it from `softhsm/`.
fn find_module(libraries: &Path) -> Option<PathBuf> {
    let below = fs::read_dir(libraries).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = std::iter::once(libraries.to_path_buf()).chain(below);
    folders.map(|folder| folder.join("softhsm/libsofthsm2.so")).find_map(|module| module.canonicalize().ok())
}

fn write_config(home: &Path) -> Result<PathBuf> {
    let tokens = home.join("tokens");
    make_private_folder(&tokens)?;
    let config = home.join("softhsm2.conf");
    let tokens = tokens.display();
    let text = format!(
        "directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    );
    fs::write(&config, text)?;
    Ok(config)
}

fn make_private_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn write_private(file: &Path, text: &str) -> Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_below_the_folder_of_the_architecture() {
        let libraries = tempfile::tempdir().unwrap();
        assert_eq!(find_module(libraries.path()), None);
        let folder = libraries.path().join("x86_64-linux-gnu/softhsm");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("libsofthsm2.so"), "").unwrap();
        assert_eq!(find_module(libraries.path()), folder.join("libsofthsm2.so").canonicalize().ok());
    }

    #[test]
    fn the_pin_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pin");
        write_private(&file, "987654").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_private(&file, "other").is_err(), "a PIN is not replaced");
    }
}
