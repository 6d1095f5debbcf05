//! How a command reaches the KMS that a tenant's keys are bound to: with credentials that are never stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use qsec::crypto::Secret;
use qsec::crypto::kms::Kms;
use qsec::crypto::kms::aws::{AwsCredentials, AwsKms};
use qsec::crypto::kms::pkcs11::Pkcs11Kms;
use qsec::crypto::kms::vault::{VaultKms, VaultRoots};
use qsec::{Deployment, Tenant};
use zeroize::Zeroizing;

use crate::Exit;
use crate::failure::Failure;
use crate::files;
use crate::nouns::Session;

/// Most bytes of a PIN file, and of a file of credentials.
const MAX_CREDENTIALS_BYTES: u64 = 64 * 1024;

/// The variables that hold credentials for AWS: the only ones whose names are fixed.
const AWS_VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// The options by which the KMS of a tenant is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access to a tenant's own KMS")]
pub(crate) struct Access {
    /// Credentials for AWS from there, in place of `AWS_ACCESS_KEY_ID` and the variables beside it
    #[arg(long, value_name = "FILE")]
    aws_credentials_file: Option<PathBuf>,
    /// The profile in that file (default: default)
    #[arg(long, value_name = "NAME", requires = "aws_credentials_file")]
    aws_profile: Option<String>,
    /// The library of a PKCS#11 token
    #[arg(long, value_name = "SO", requires = "token_label", requires = "pin_file")]
    module: Option<PathBuf>,
    /// The label of the token
    #[arg(long, value_name = "LABEL", requires = "module")]
    token_label: Option<String>,
    /// The PIN of the token's user
    #[arg(long, value_name = "FILE", requires = "module")]
    pin_file: Option<PathBuf>,
    /// The token for a vault
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificates of a vault's own authorities, as PEM (default: the public ones)
    #[arg(long, value_name = "FILE", requires = "token_file")]
    vault_roots: Option<PathBuf>,
}

impl Access {
    /// Gives the deployment the KMS that the tenant's keys are bound to, and the one that they are moving to.
    pub(crate) async fn reach(&self, deployment: &Deployment, tenant: &Tenant, now: SystemTime) -> Result<(), Failure> {
        let binding = tenant.key_binding(now).await?;
        let target = binding.migration.map(|moving| (moving.provider, moving.endpoint));
        for (provider, endpoint) in [(binding.provider, binding.endpoint)].into_iter().chain(target) {
            match provider.as_str() {
                "aws" => deployment.add_kms(self.aws(endpoint.as_deref())?),
                "pkcs11" => deployment.add_kms(self.pkcs11().await?),
                "vault" => deployment.add_kms(self.vault(endpoint.as_deref().unwrap_or_default())?),
                // The deployment's own is there; what is not known here is named by the keyring.
                _ => {}
            }
        }
        Ok(())
    }

    /// The same for what can be said without the KMS: who has no way to it is told so, and the rest is said.
    pub(crate) async fn reach_if_possible(
        &self,
        deployment: &Deployment,
        tenant: &Tenant,
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<(), Failure> {
        // Records that cannot be read or were forged are no matter of the KMS.
        tenant.key_binding(now).await?;
        if let Err(failure) = self.reach(deployment, tenant, now).await {
            session.output.warning(failure.code(), failure.message());
        }
        Ok(())
    }

    /// AWS KMS, at its usual place or at this one.
    pub(crate) fn aws(&self, endpoint: Option<&str>) -> Result<Arc<AwsKms>, Failure> {
        let credentials = match &self.aws_credentials_file {
            Some(file) => of_file(file, self.aws_profile.as_deref().unwrap_or("default"))?,
            None => of_environment()?,
        };
        let kms = AwsKms::new(credentials);
        Ok(match endpoint {
            Some(url) => Arc::new(kms.with_endpoint(url)?),
            None => Arc::new(kms),
        })
    }

    /// The token.
    pub(crate) async fn pkcs11(&self) -> Result<Arc<dyn Kms>, Failure> {
        let (Some(module), Some(label), Some(pin)) = (&self.module, &self.token_label, &self.pin_file) else {
            let message = "the keys are on a PKCS#11 token: `--module`, `--token-label` and `--pin-file` reach it";
            return Err(Failure::usage(message));
        };
        let text = Zeroizing::new(files::read(pin, MAX_CREDENTIALS_BYTES, "key_file_invalid")?);
        let pin = Secret::copy_from(text.trim_ascii_end());
        Ok(Arc::new(Pkcs11Kms::open(module, label, pin).await?))
    }
}

impl Access {
    /// A vault, by its address, or as a binding names it: with the place of its transit engine.
    pub(crate) fn vault(&self, address: &str) -> Result<Arc<dyn Kms>, Failure> {
        let Some(file) = &self.token_file else {
            return Err(Failure::usage("the keys are in a vault: `--token-file` reaches it"));
        };
        let text = Zeroizing::new(files::read(file, MAX_CREDENTIALS_BYTES, "key_file_invalid")?);
        let roots = match &self.vault_roots {
            Some(pem) => VaultRoots::Pem(files::read(pem, MAX_CREDENTIALS_BYTES, "key_file_invalid")?),
            None => VaultRoots::WebPki,
        };
        let (address, mount) = address.split_once("/v1/").unwrap_or((address, "transit"));
        let kms = VaultKms::connect(address, Secret::copy_from(text.trim_ascii_end()), &roots)?;
        Ok(Arc::new(kms.with_mount(mount)?))
    }
}

#[expect(clippy::disallowed_methods, reason = "the program reads the environment")]
fn of_environment() -> Result<AwsCredentials, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
    let [id, secret, token] = AWS_VARIABLES.map(variable);
    credentials(id, secret, token).ok_or_else(|| {
        denied(&format!("there are no credentials for AWS: looked at {}", AWS_VARIABLES.map(quoted).join(", ")))
    })
}

/// A profile of a file as the tools of AWS write it: `[name]`, then `key = value` in lines.
fn of_file(file: &Path, profile: &str) -> Result<AwsCredentials, Failure> {
    let text = Zeroizing::new(files::read_text(file, MAX_CREDENTIALS_BYTES, "key_file_invalid")?);
    let header = format!("[{profile}]");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with('[')).collect();
    let value = |name: &str| {
        let found = lines.iter().filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
            .map(|text| Zeroizing::new(text.to_owned()))
    };
    let names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
    let [id, secret, token] = names.map(value);
    credentials(id, secret, token).ok_or_else(|| {
        let (file, names) = (file.display(), names.map(quoted).join(", "));
        denied(&format!("there are no credentials for AWS: looked at {names} of the profile `{profile}` in `{file}`"))
    })
}

type Text = Option<Zeroizing<String>>;

fn credentials(id: Text, secret: Text, token: Text) -> Option<AwsCredentials> {
    let found = AwsCredentials::new(id?.as_str(), Secret::copy_from(secret?.as_bytes()));
    Some(match token {
        Some(token) => found.with_session_token(Secret::copy_from(token.as_bytes())),
        None => found,
    })
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn denied(message: &str) -> Failure {
    Failure::new(Exit::No, "kms_access_denied", message)
}
