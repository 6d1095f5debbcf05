//! Which key: a tenant's in a deployment, or key files without one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use qsec::crypto::esdk::{KmsKeyring, RawAesKey, RawAesKeyring};
use qsec::crypto::{Inspection, Purpose, RawKey, SecretKey, TenantId, TenantKey, inspect};
use qsec::{Deployment, Tenant};
use zeroize::Zeroizing;

use super::Format;
use crate::failure::Failure;
use crate::kms::Access;
use crate::nouns::Session;
use crate::{files, home, moment};

/// The options that name a key.
#[derive(Debug, Args)]
pub(crate) struct KeyChoice {
    /// The tenant whose key it is
    #[arg(long, value_name = "ID", required_unless_present_any = ["raw_key", "raw_aes_key"])]
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
    /// For messages of the AWS Encryption SDK: a file with 32 bytes in hex or base64; repeat for several keys
    #[arg(long, value_name = "FILE", conflicts_with_all = ["raw_key", "tenant", "purpose"])]
    raw_aes_key: Vec<PathBuf>,
    /// The namespace of the n-th raw AES key
    #[arg(long, value_name = "NS", requires = "raw_aes_key")]
    key_namespace: Vec<String>,
    /// The name of the n-th raw AES key
    #[arg(long, value_name = "NAME", requires = "raw_aes_key")]
    key_name: Vec<String>,
    #[command(flatten)]
    access: Access,
}

/// Most bytes of a key file: the longest that is one, and some white space.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// What seals or opens.
#[derive(Debug)]
pub(crate) enum InHand {
    /// A version of a tenant's key, or a raw key in its place.
    Tenant(TenantKey),
    /// Keys of one's own for messages of the AWS Encryption SDK.
    RawAes(RawAesKeyring),
    /// A tenant's own keys in AWS KMS, for the same.
    Kms(CustomerKeys),
}

/// A tenant's own keys in AWS KMS: each message has a data key of its own under all of them.
#[derive(Debug)]
pub(crate) struct CustomerKeys {
    pub(crate) keyring: KmsKeyring,
    pub(crate) tenant: String,
    pub(crate) purpose: Purpose,
    /// When a data key is asked for.
    pub(crate) now: SystemTime,
}

/// A key at hand, and the deployment that it came from: open until the work is done, so that a refusal is recorded.
#[derive(Debug)]
pub(crate) struct KeyInHand {
    pub(crate) key: Arc<InHand>,
    deployment: Option<Deployment>,
}

impl KeyInHand {
    fn of_file(key: InHand) -> Self {
        Self { key: Arc::new(key), deployment: None }
    }

    /// The end of the work: the log is closed whatever the outcome.
    pub(crate) async fn close<T>(self, outcome: Result<T, Failure>, now: SystemTime) -> Result<T, Failure> {
        match self.deployment {
            Some(deployment) => home::close(deployment, outcome, now).await,
            None => outcome,
        }
    }
}

impl KeyChoice {
    /// A tenant's key is used, and its refusal recorded, at the time of the clock; a raw key knows no time.
    pub(crate) fn now(&self, session: &Session<'_>) -> Result<SystemTime, Failure> {
        let now = session.global.now;
        if self.is_raw() { Ok(moment::checking(now)) } else { moment::changing(now) }
    }

    fn is_raw(&self) -> bool {
        self.raw_key.is_some() || !self.raw_aes_key.is_empty()
    }

    /// Raw AES keys are for messages of the AWS Encryption SDK, and a raw tenant key is for everything else.
    pub(crate) fn fits(&self, format: Format) -> Result<(), Failure> {
        if !self.raw_aes_key.is_empty() && format != Format::Esdk {
            return Err(Failure::usage("`--raw-aes-key` is for `--format esdk`; the native formats take `--raw-key`"));
        }
        if self.raw_key.is_some() && format == Format::Esdk {
            return Err(Failure::usage("`--format esdk` takes `--raw-aes-key`, not `--raw-key`"));
        }
        Ok(())
    }

    /// The key for new bytes of a format.
    pub(crate) async fn to_seal(
        &self,
        format: Format,
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<KeyInHand, Failure> {
        if let Some(keyring) = self.raw_aes(session)? {
            return Ok(KeyInHand::of_file(InHand::RawAes(keyring)));
        }
        if let Some(raw) = self.raw(session)? {
            return Ok(KeyInHand::of_file(InHand::Tenant(raw.at_version(self.key_version.unwrap_or(0))?)));
        }
        self.of_tenant(session, now, async |tenant, purpose| {
            if format == Format::Esdk
                && let Some(keys) = self.in_kms(tenant, purpose, now).await?
            {
                return Ok(InHand::Kms(keys));
            }
            Ok(InHand::Tenant(tenant.sealing_key(purpose, now).await?))
        })
        .await
    }

    /// The key for bytes that begin so.
    pub(crate) async fn to_open(
        &self,
        prefix: &[u8],
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<KeyInHand, Failure> {
        if let Some(keyring) = self.raw_aes(session)? {
            return Ok(KeyInHand::of_file(InHand::RawAes(keyring)));
        }
        if let Some(raw) = self.raw(session)? {
            let key = match self.key_version {
                Some(version) => raw.at_version(version)?,
                None => raw.for_sealed(prefix)?,
            };
            return Ok(KeyInHand::of_file(InHand::Tenant(key)));
        }
        self.of_tenant(session, now, async |tenant, purpose| {
            if is_of_kms(prefix, tenant.id(), purpose)
                && let Some(keys) = self.in_kms(tenant, purpose, now).await?
            {
                return Ok(InHand::Kms(keys));
            }
            Ok(InHand::Tenant(tenant.opening_key(prefix, purpose, now).await?))
        })
        .await
    }

    /// The tenant's own keys, if they are in AWS KMS.
    async fn in_kms(
        &self,
        tenant: &Tenant,
        purpose: &Purpose,
        now: SystemTime,
    ) -> Result<Option<CustomerKeys>, Failure> {
        let binding = tenant.key_binding(now).await?;
        if binding.provider != "aws" {
            return Ok(None);
        }
        let kms = self.access.aws(binding.endpoint.as_deref())?;
        let keyring = tenant.kms_keyring(kms, purpose, now).await?;
        Ok(Some(CustomerKeys { keyring, tenant: tenant.id().to_owned(), purpose: purpose.clone(), now }))
    }

    async fn of_tenant(
        &self,
        session: &Session<'_>,
        now: SystemTime,
        key: impl AsyncFnOnce(&Tenant, &Purpose) -> Result<InHand, Failure>,
    ) -> Result<KeyInHand, Failure> {
        let purpose = self.purpose()?;
        let deployment = home::open(session.global).await?;
        let outcome = async {
            let tenant = deployment.tenant(self.tenant.as_deref().unwrap_or_default()).await?;
            self.access.reach(&deployment, &tenant, now).await?;
            key(&tenant, &purpose).await
        }
        .await;
        match outcome {
            Ok(key) => Ok(KeyInHand { key: Arc::new(key), deployment: Some(deployment) }),
            Err(failure) => home::close(deployment, Err(failure), now).await,
        }
    }

    fn raw(&self, session: &Session<'_>) -> Result<Option<RawKey>, Failure> {
        let Some(path) = &self.raw_key else { return Ok(None) };
        let mut raw = RawKey::from_file(path).map_err(|error| Failure::misuse(error.code(), error.to_string()))?;
        warn_of_readers(path, session);
        if let Some(tenant) = &self.tenant {
            raw = raw.for_tenant(TenantId::new(tenant.as_str()).map_err(|error| Failure::usage(error.to_string()))?);
        }
        if self.purpose.is_some() {
            raw = raw.for_purpose(self.purpose()?);
        }
        Ok(Some(raw))
    }

    /// The n-th file goes with the n-th namespace and the n-th name.
    fn raw_aes(&self, session: &Session<'_>) -> Result<Option<RawAesKeyring>, Failure> {
        let files = &self.raw_aes_key;
        if files.is_empty() {
            return Ok(None);
        }
        if files.len() != self.key_namespace.len() || files.len() != self.key_name.len() {
            return Err(Failure::usage("each `--raw-aes-key` needs a `--key-namespace` and a `--key-name`"));
        }
        let named = files.iter().zip(&self.key_namespace).zip(&self.key_name);
        let keys = named.map(|((file, namespace), name)| {
            let text = files::read(file, MAX_KEY_FILE_BYTES, "key_file_invalid")
                .map_err(|failure| Failure::misuse("key_file_invalid", failure.message()))?;
            let invalid = |why: String| Failure::misuse("key_file_invalid", format!("`{}`: {why}", file.display()));
            let key = SecretKey::parse(&Zeroizing::new(text)).map_err(|error| invalid(error.to_string()))?;
            warn_of_readers(file, session);
            RawAesKey::new(namespace, name, key).map_err(|error| Failure::usage(error.to_string()))
        });
        Ok(Some(RawAesKeyring::new(keys.collect::<Result<Vec<_>, _>>()?)?))
    }

    fn purpose(&self) -> Result<Purpose, Failure> {
        match &self.purpose {
            Some(purpose) => Purpose::new(purpose.as_str()).map_err(|error| Failure::usage(error.to_string())),
            None => Ok(Purpose::data()),
        }
    }
}

/// Whether a message of the AWS Encryption SDK has no data key under a tenant key of this tenant and purpose.
fn is_of_kms(header: &[u8], tenant: &str, purpose: &Purpose) -> bool {
    let Ok(Inspection::Esdk(message)) = inspect(header, None) else { return false };
    TenantId::new(tenant).is_ok_and(|tenant| message.tenant_key_version(&tenant, purpose).is_none())
}

fn warn_of_readers(path: &Path, session: &Session<'_>) {
    if files::others_can_read(path) {
        let message = format!("`{}` can be read by others; `chmod 600` it", path.display());
        session.output.warning("key_file_permissions", &message);
    }
}
