//! The account a component runs under: our own, or, for root, one without privileges.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// Who runs the component's programs.
pub(super) struct Account {
    /// User and group to change to; none where we are not root.
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Our own account, or `nobody` where ours is root (PostgreSQL refuses to run as root).
    pub(super) fn unprivileged() -> Result<Self> {
        if command::output(Command::new("id").arg("-u"))?.trim() != "0" {
            return Ok(Self { ids: None });
        }
        let passwd = fs::read_to_string("/etc/passwd")?;
        Ok(Self { ids: Some(ids_of("nobody", &passwd).context("there is no account `nobody`")?) })
    }

    /// A command of this account, in a folder that it can read, with no groups of ours.
    pub(super) fn command(&self, program: impl AsRef<Path>, folder: &Path) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(folder).env("HOME", folder);
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }

    /// A folder of this account alone. Where the account cannot pass the folders above the wanted place, which is so
    /// when root cloned the repository into its own home, it is made in the system's temporary folder.
    pub(super) fn make_home(&self, wanted: &Path) -> Result<PathBuf> {
        if let Some(parent) = wanted.parent() {
            fs::create_dir_all(parent)?;
        }
        self.make_folder(wanted)?;
        if self.can_enter(wanted) {
            return Ok(wanted.to_path_buf());
        }
        fs::remove_dir(wanted)?;
        // `mktemp` makes the folder itself, under a name nobody knows before: no link can have been put there.
        let made = command::output(Command::new("mktemp").args(["--directory", "--tmpdir", "qsec-testbed.XXXXXXXX"]))?;
        let home = PathBuf::from(made.trim_end());
        self.own(&home)?;
        Ok(home)
    }

    /// Gives a file or folder of ours to the account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.ids else { return Ok(()) };
        chown(path, Some(user), Some(group)).with_context(|| format!("cannot give {} away", path.display()))
    }

    fn make_folder(&self, folder: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        self.own(folder)
    }

    /// Asked of the kernel and not of mode bits, which say nothing about access lists and mounts.
    fn can_enter(&self, folder: &Path) -> bool {
        command::output(&mut self.command("true", folder)).is_ok()
    }
}

/// User and group of a name in the text of `/etc/passwd`.
fn ids_of(name: &str, passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn ids_are_read_from_the_line_of_the_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        assert_eq!(ids_of("nobody", passwd), Some((65534, 65533)));
        assert_eq!(ids_of("body", passwd), None);
    }

    #[test]
    fn a_home_that_the_account_cannot_reach_is_made_elsewhere() {
        let account = Account::unprivileged().unwrap();
        if account.ids.is_none() {
            return; // our own account passes our own folders: there is no second case to see
        }
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let wanted = closed.path().join("component");
        let home = account.make_home(&wanted).unwrap();
        assert_ne!(home, wanted);
        assert!(account.can_enter(&home) && !wanted.exists());
        fs::remove_dir_all(home).unwrap();

        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(account.make_home(&wanted).unwrap(), wanted);
    }
}
