//! The checking tools: used where the machine has the right version, installed under `target/tools` where it has not.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::report::Outcome;
use crate::workspace::Workspace;

struct CargoTool {
    name: &'static str,
    version: &'static str,
}

const DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2" };
const MACHETE: CargoTool = CargoTool { name: "cargo-machete", version: "0.9.2" };
const TYPOS_VERSION: &str = "1.52.0";

/// The folder in which cargo-deny looks for the database of its default address, below its `db-path`.
const ADVISORY_FOLDER: &str = "advisory-db-3157b0e258782691";

/// Bans, licences and sources of every crate in the lock, by `deny.toml`.
pub(crate) fn deny(workspace: &Workspace) -> Result<Outcome> {
    let deny = match install(workspace, &DENY) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::NotRun(format!("{error:#}"))),
    };
    let check = ["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    command::run(Command::new(deny).current_dir(&workspace.root).args(check))?;
    Ok(Outcome::Passed("bans, licences, sources".into()))
}

/// Known vulnerabilities, with the `RustSec` database given by `QSEC_ADVISORY_DB` (a git checkout) or fetched by
/// cargo-deny before. It comes from a git host alone, so a machine that reaches none is excused, in CI too.
pub(crate) fn advisories(workspace: &Workspace) -> Result<Outcome> {
    let Some(folder) = advisory_folder(workspace)? else {
        return Ok(Outcome::Excused(
            "no advisory database here: run `cargo deny fetch db` once, or name a checkout in QSEC_ADVISORY_DB".into(),
        ));
    };
    let deny = install(workspace, &DENY)?;
    let config = workspace.target.join("tools/deny-advisories.toml");
    fs::write(&config, with_database(&fs::read_to_string(workspace.root.join("deny.toml"))?, &folder)?)?;
    let mut check = Command::new(deny);
    check.current_dir(&workspace.root).arg("--config").arg(&config).args([
        "--locked",
        "--offline",
        "check",
        "advisories",
    ]);
    command::run(&mut check)?;
    let newest = command::output(Command::new("git").arg("-C").arg(folder.join(ADVISORY_FOLDER)).args([
        "log",
        "-1",
        "--format=%cs",
    ]))?;
    Ok(Outcome::Passed(format!("database of {}", newest.trim())))
}

/// Spelling, by `typos.toml`.
pub(crate) fn typos(workspace: &Workspace) -> Result<Outcome> {
    let typos = match install_typos(workspace) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::NotRun(format!("{error:#}"))),
    };
    command::run(Command::new(typos).current_dir(&workspace.root).args(["--config", "typos.toml"]))?;
    Ok(Outcome::Passed(String::new()))
}

/// Dependencies that are declared and not used.
pub(crate) fn machete(workspace: &Workspace) -> Result<Outcome> {
    let machete = match install(workspace, &MACHETE) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::NotRun(format!("{error:#}"))),
    };
    command::run(Command::new(machete).current_dir(&workspace.root).arg("--with-metadata"))?;
    Ok(Outcome::Passed(String::new()))
}

/// A debug build is enough: these tools work for seconds, and an optimised build of them takes minutes.
fn install(workspace: &Workspace, tool: &CargoTool) -> Result<PathBuf> {
    if let Some(found) = command::find_in_path(tool.name).filter(|program| has_version(program, tool.version)) {
        return Ok(found);
    }
    let tools = workspace.target.join("tools");
    let root = tools.join(format!("{}-{}", tool.name, tool.version));
    let program = root.join("bin").join(tool.name);
    if program.is_file() {
        return Ok(program);
    }
    fs::create_dir_all(&root)?;
    let build = tools.join("build");
    let package = format!("{}@{}", tool.name, tool.version);
    let mut cargo = command::cargo(workspace);
    cargo.args(["install", "--quiet", "--locked", "--debug", "--root"]).arg(&root).arg(&package);
    cargo.env("CARGO_TARGET_DIR", &build).env("CARGO_PROFILE_DEV_DEBUG", "false");
    command::run_aside(&mut cargo).with_context(|| format!("cannot install {package}"))?;
    fs::remove_dir_all(&build).ok();
    Ok(program)
}

fn has_version(program: &Path, version: &str) -> bool {
    let answer = command::output(Command::new(program).arg("--version"));
    answer.is_ok_and(|text| text.split_whitespace().any(|word| word == version))
}

/// The Python wheel holds the program itself: two seconds in place of the 215 crates of its source.
fn install_typos(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(found) = command::find_in_path("typos").filter(|program| has_version(program, TYPOS_VERSION)) {
        return Ok(found);
    }
    let environment = workspace.target.join(format!("tools/typos-{TYPOS_VERSION}"));
    let program = environment.join("bin/typos");
    if program.is_file() {
        return Ok(program);
    }
    make_python_environment(&environment)?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["--quiet", "--disable-pip-version-check", "install"]).arg(format!("typos=={TYPOS_VERSION}"));
    command::run_aside(&mut pip).context("cannot install the wheel of typos")?;
    Ok(program)
}

/// A Python environment in a folder that does not exist yet.
pub(crate) fn make_python_environment(folder: &Path) -> Result<()> {
    let make = || command::run_aside(Command::new("python3").args(["-m", "venv"]).arg(folder));
    if make().is_ok() {
        return Ok(());
    }
    // Debian ships Python without the module that makes environments.
    install_debian_package("python3-venv")?;
    make().context("cannot make a Python environment")
}

/// Installs a Debian package, as root and where there is `apt-get`.
pub(crate) fn install_debian_package(package: &str) -> Result<()> {
    if command::find_in_path("apt-get").is_none() {
        bail!("{package} is missing, and there is no apt-get to install it with");
    }
    if command::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("{package} is missing, and installing it needs root: apt-get install {package}");
    }
    let apt = |arguments: &[&str]| {
        command::run_aside(
            Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet=2").args(arguments),
        )
    };
    apt(&["update"])?;
    apt(&["install", "--yes", "--no-install-recommends", package]).with_context(|| format!("cannot install {package}"))
}

/// Downloads Debian packages and unpacks them into a folder: nothing is installed, and no root is needed.
pub(crate) fn unpack_debian_packages(packages: &[&str], downloads: &Path, root: &Path) -> Result<()> {
    if command::find_in_path("apt-get").is_none() {
        bail!("{} are missing, and there is no apt-get to fetch them with", packages.join(" and "));
    }
    fs::create_dir_all(downloads)?;
    let download = || {
        let mut apt = Command::new("apt-get");
        command::run_aside(apt.current_dir(downloads).args(["--quiet=2", "download"]).args(packages))
    };
    if download().is_err() {
        // The lists of packages may be older than the archive; only root may renew them.
        command::run_aside(Command::new("apt-get").args(["--quiet=2", "update"])).ok();
        download().with_context(|| format!("cannot fetch {}", packages.join(" and ")))?;
    }
    for package in fs::read_dir(downloads)? {
        command::run_aside(Command::new("dpkg").arg("--extract").arg(package?.path()).arg(root))?;
    }
    Ok(())
}

/// 16 bytes from the kernel, in hexadecimal.
pub(crate) fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The `db-path` to use, or none where there is no database.
fn advisory_folder(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if let Some(checkout) = env::var_os("QSEC_ADVISORY_DB") {
        let folder = workspace.target.join("tools/advisory-dbs");
        let copy = folder.join(ADVISORY_FOLDER);
        fs::create_dir_all(&folder)?;
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        command::run(Command::new("git").args(["clone", "--quiet"]).arg(checkout).arg(copy))?;
        return Ok(Some(folder));
    }
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    Ok(home.map(|home| home.join("advisory-dbs")).filter(|folder| folder.join(ADVISORY_FOLDER).is_dir()))
}

/// `deny.toml` with the place of the database.
fn with_database(config: &str, folder: &Path) -> Result<String> {
    let heading = "[advisories]\n";
    let path = serde_json::to_string(&folder.to_string_lossy())?;
    if !config.contains(heading) {
        bail!("deny.toml has no section [advisories]");
    }
    Ok(config.replacen(heading, &format!("{heading}db-path = {path}\n"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_named_in_its_section() {
        let config = with_database("[graph]\n[advisories]\nignore = []\n", Path::new("/a b")).unwrap();
        assert_eq!(config, "[graph]\n[advisories]\ndb-path = \"/a b\"\nignore = []\n");
        assert!(with_database("[graph]\n", Path::new("/a")).is_err());
    }

    #[test]
    fn random_text_is_long_and_not_repeated() {
        let (one, other) = (random_hex().unwrap(), random_hex().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }

    #[test]
    fn another_version_of_a_tool_is_not_taken() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("cargo-deny");
        fs::write(&program, "#!/bin/sh\necho cargo-deny 0.20.2\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(has_version(&program, "0.20.2"));
        assert!(!has_version(&program, "0.20"));
        assert!(!has_version(&folder.path().join("absent"), "0.20.2"));
    }
}
