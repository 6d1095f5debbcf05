//! Which key: a tenant's in a deployment, or a raw key file without one.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use qsec::crypto::{Purpose, RawKey, TenantId, TenantKey};
use qsec::{Deployment, Tenant};

use crate::failure::Failure;
use crate::nouns::Session;
use crate::{Exit, files, home};

/// The options that name a key.
#[derive(Debug, Args)]
pub(crate) struct KeyChoice {
    /// The tenant whose key it is
    #[arg(long, value_name = "ID", required_unless_present = "raw_key")]
    tenant: Option<String>,
    /// What the key is for (default: data)
    #[arg(long, value_name = "P")]
    purpose: Option<String>,
    /// A file with 32 bytes in hex or base64: no deployment is needed, and none is read
    #[arg(long, value_name = "FILE")]
    raw_key: Option<PathBuf>,
    /// The version in the header of bytes sealed under a raw key (default: 0)
    #[arg(long, value_name = "N", requires = "raw_key")]
    key_version: Option<u32>,
}

/// A key at hand, and the deployment that it came from: open until the work is done, so that a refusal is recorded.
#[derive(Debug)]
pub(crate) struct KeyInHand {
    pub(crate) key: TenantKey,
    deployment: Option<Deployment>,
}

impl KeyInHand {
    /// The end of the work: the log is closed whatever the outcome.
    pub(crate) async fn close<T>(self, outcome: Result<T, Failure>, now: SystemTime) -> Result<T, Failure> {
        match self.deployment {
            Some(deployment) => home::close(deployment, outcome, now).await,
            None => outcome,
        }
    }
}

impl KeyChoice {
    pub(crate) async fn to_seal(&self, session: &Session<'_>, now: SystemTime) -> Result<KeyInHand, Failure> {
        if let Some(raw) = self.raw(session)? {
            return Ok(KeyInHand { key: raw.at_version(self.key_version.unwrap_or(0))?, deployment: None });
        }
        self.of_tenant(session, now, async |tenant, purpose| tenant.sealing_key(purpose, now).await).await
    }

    /// The key for bytes that begin so.
    pub(crate) async fn to_open(
        &self,
        prefix: &[u8],
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<KeyInHand, Failure> {
        if let Some(raw) = self.raw(session)? {
            let key = match self.key_version {
                Some(version) => raw.at_version(version)?,
                None => raw.for_sealed(prefix)?,
            };
            return Ok(KeyInHand { key, deployment: None });
        }
        self.of_tenant(session, now, async |tenant, purpose| tenant.opening_key(prefix, purpose, now).await).await
    }

    async fn of_tenant(
        &self,
        session: &Session<'_>,
        now: SystemTime,
        key: impl AsyncFnOnce(&Tenant, &Purpose) -> Result<TenantKey, qsec::Error>,
    ) -> Result<KeyInHand, Failure> {
        let purpose = self.purpose()?;
        let deployment = home::open(session.global).await?;
        let outcome = async {
            let tenant = deployment.tenant(self.tenant.as_deref().unwrap_or_default()).await?;
            Ok::<_, Failure>(key(&tenant, &purpose).await?)
        }
        .await;
        match outcome {
            Ok(key) => Ok(KeyInHand { key, deployment: Some(deployment) }),
            Err(failure) => home::close(deployment, Err(failure), now).await,
        }
    }

    fn raw(&self, session: &Session<'_>) -> Result<Option<RawKey>, Failure> {
        let Some(path) = &self.raw_key else { return Ok(None) };
        let mut raw =
            RawKey::from_file(path).map_err(|error| Failure::new(Exit::Misuse, error.code(), error.to_string()))?;
        if files::others_can_read(path) {
            let message = format!("`{}` can be read by others; `chmod 600` it", path.display());
            session.output.warning("key_file_permissions", &message);
        }
        if let Some(tenant) = &self.tenant {
            raw = raw.for_tenant(TenantId::new(tenant.as_str()).map_err(|error| Failure::usage(error.to_string()))?);
        }
        if self.purpose.is_some() {
            raw = raw.for_purpose(self.purpose()?);
        }
        Ok(Some(raw))
    }

    fn purpose(&self) -> Result<Purpose, Failure> {
        match &self.purpose {
            Some(purpose) => Purpose::new(purpose.as_str()).map_err(|error| Failure::usage(error.to_string())),
            None => Ok(Purpose::data()),
        }
    }
}
