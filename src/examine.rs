//! A deployment looked over end to end: what is well, what is not, and what to do about it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use qsec_audit::Severity;
use qsec_crypto::TenantKeyState;

use crate::clock::rfc3339;
use crate::deployment::Deployment;
use crate::error::Error;
use crate::home::{self, RootKeyPlace};
use crate::lifecycle::TenantState;

/// A clock that is behind what the store has seen by more than this is wrong.
const MAX_CLOCK_LAG: Duration = Duration::from_mins(1);

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// It does not work, or does not protect.
    Fail,
}

impl CheckState {
    /// The name in answers: stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
///
/// ```no_run
/// # async fn show(deployment: qsec::Deployment, now: std::time::SystemTime) -> Result<(), qsec::Error> {
/// for check in deployment.examine(now).await? {
///     println!("{:4} {}: {}", check.state().as_str(), check.name(), check.detail());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    name: String,
    state: CheckState,
    detail: String,
    fix: Option<String>,
}

impl Check {
    /// What was looked at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it came out.
    pub fn state(&self) -> CheckState {
        self.state
    }

    /// What was found.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What to do, if there is something to do.
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), state: CheckState::Ok, detail: detail.into(), fix: None }
    }

    fn found(state: CheckState, name: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), state, detail: detail.into(), fix: Some(fix.into()) }
    }
}

impl Deployment {
    /// Looks over the deployment: folder, root key, certificate, tenants' keys, log, clock. Changes nothing.
    ///
    /// # Errors
    /// Only what keeps it from looking: the store is away, a file cannot be read. What it finds is in the answer.
    pub async fn examine(&self, now: SystemTime) -> Result<Vec<Check>, Error> {
        let home = &self.inner.home;
        let mut checks = vec![permissions("folder", home.path(), 0o700), self.root_key_check(), who(home.path())];
        checks.push(self.certificate_check(now));
        for record in self.tenants().await? {
            if record.state() == TenantState::Provisioning {
                checks.push(Check::found(
                    CheckState::Fail,
                    format!("tenant {}", record.id()),
                    "was not made to its end",
                    "open the deployment again once the log and the store are well: that finishes it",
                ));
            } else if record.state() != TenantState::Purged {
                checks.extend(self.key_checks(record.id(), now).await);
            }
        }
        checks.push(self.clock_check(now).await?);
        checks.push(self.log_check(now).await?);
        Ok(checks)
    }

    fn root_key_check(&self) -> Check {
        match self.inner.facts.root_key {
            RootKeyPlace::Beside => match home::private(&self.inner.home.root_key(), 0o600) {
                Ok(()) => Check::found(
                    CheckState::Warn,
                    "root key",
                    "lies beside the deployment: whoever copies the folder has everything",
                    "keep it elsewhere: `--root-key` or `--passphrase-file` when a deployment is made",
                ),
                Err(error) => Check::found(CheckState::Fail, "root key", error.to_string(), "chmod 600"),
            },
            RootKeyPlace::File => Check::ok("root key", "is kept in a file elsewhere"),
            RootKeyPlace::Passphrase(_) => Check::ok("root key", "comes from a passphrase"),
        }
    }

    fn certificate_check(&self, now: SystemTime) -> Check {
        let root = self.inner.authority.root();
        let (from, until) = (root.not_before(), root.not_after());
        let name = "root certificate";
        let left = until.duration_since(now).unwrap_or_default();
        let life = until.duration_since(from).unwrap_or_default();
        if now < from || left.is_zero() {
            let detail = format!("is valid from {} to {}", rfc3339(from), rfc3339(until));
            return Check::found(CheckState::Fail, name, detail, "check the clock; a root that ended must be replaced");
        }
        // The last fifth of its life is the time to plan the next one.
        if left < life / 5 {
            let detail = format!("ends at {}", rfc3339(until));
            return Check::found(CheckState::Warn, name, detail, "plan its replacement");
        }
        Check::ok(name, format!("is valid until {}", rfc3339(until)))
    }

    async fn key_checks(&self, id: &str, now: SystemTime) -> Vec<Check> {
        let name = format!("key of {id}");
        let described = match self.tenant_in_any_state(id).await {
            Ok(tenant) => tenant.describe_keys(now).await,
            Err(error) => Err(error),
        };
        let keys = match described {
            Ok(keys) => keys,
            Err(error) => {
                let fix = format!("`qsec key list {id}`");
                return vec![Check::found(CheckState::Fail, name, error.to_string(), fix)];
            }
        };
        let is_asked = keys.kms.iter().any(|answer| answer.state.is_ok());
        let found = if keys.state != TenantKeyState::Active {
            let fix =
                format!("`qsec key list {id}` says by whom; `qsec key enable {id}` opens it if that was the tenant");
            Check::found(CheckState::Warn, name, format!("is {}", keys.state.name()), fix)
        } else if is_asked {
            Check::ok(name, format!("{} versions", keys.versions.len()))
        } else {
            let detail = format!("is in `{}`, which was not reached", keys.provider);
            let fix = format!("`qsec key list {id}`, with the options that reach it");
            Check::found(CheckState::Warn, name, detail, fix)
        };
        let warnings = keys.warnings.iter().map(|warning| {
            let fix = "move the tenant to a key in several regions: `qsec key provider`";
            Check::found(CheckState::Warn, format!("{} of {id}", warning.code()), warning.to_string(), fix)
        });
        std::iter::once(found).chain(warnings).collect()
    }

    async fn clock_check(&self, now: SystemTime) -> Result<Check, Error> {
        let latest = self.tenants().await?.iter().map(|record| record.body.last_time.time()).max();
        let lag = latest.and_then(|latest| latest.duration_since(now).ok()).unwrap_or_default();
        if lag > MAX_CLOCK_LAG {
            let detail = format!("is {} s behind what the store has seen", lag.as_secs());
            return Ok(Check::found(
                CheckState::Fail,
                "clock",
                detail,
                "set the clock before anything is purged or issued",
            ));
        }
        Ok(Check::ok("clock", format!("says {}", rfc3339(now))))
    }

    async fn log_check(&self, now: SystemTime) -> Result<Check, Error> {
        let report = self.verify_log(None, now).await?;
        Ok(match report.findings().iter().find(|finding| finding.severity() == Severity::Tampered) {
            Some(finding) => Check::found(
                CheckState::Fail,
                "audit log",
                format!("was tampered with: {finding}"),
                "keep the folder as evidence; `qsec audit verify` lists every finding",
            ),
            None => Check::ok("audit log", format!("{} events, intact", report.events())),
        })
    }
}

fn permissions(name: &str, path: &Path, mode: u32) -> Check {
    match home::private(path, mode) {
        Ok(()) => Check::ok(name, "only its owner can read it"),
        Err(error) => Check::found(CheckState::Fail, name, error.to_string(), format!("chmod {mode:o}")),
    }
}

/// The owner of the folder is whoever the program runs as: asked of the file system, for there is no other safe way.
fn who(path: &Path) -> Check {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.uid() == 0 => Check::found(
            CheckState::Warn,
            "account",
            "the deployment belongs to root",
            "run it under an account of its own",
        ),
        Ok(_) => Check::ok("account", "is not root"),
        Err(error) => Check::found(CheckState::Fail, "account", error.to_string(), "make the folder readable"),
    }
}
