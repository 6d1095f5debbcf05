//! How a deployment is made: every secret once, the marker last.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qsec_audit::{Actor, Log, LogKeys, MacKey, SigningKey, catalogue};
use qsec_crypto::kms::{LocalKms, PassphraseParameters, RootKey};
use qsec_crypto::{Secret, SecretKey};
use qsec_pki::{Authority, Zone};
use qsec_store::{SettingRow, SettingStore, Store};

use super::{AUTHORITY_CERTIFICATE, AUTHORITY_KEY, LOG_FIRST_KEY, LOG_SIGNING_KEY, Unlock, off_runtime, origin};
use crate::error::{Error, HomeError};
use crate::hex;
use crate::home::{Facts, Home, RootKeyPlace};
use crate::recorder::Recorder;
use crate::vault::{LogStateSealer, ServicePurpose, Vault};

/// What a new deployment is to be. Everything has a default.
///
/// ```
/// use qsec::Setup;
///
/// let setup = Setup::new().name("qsec.example").region("eu").zone("prod.internal");
/// ```
#[derive(Debug, Default)]
pub struct Setup {
    name: Option<String>,
    region: Option<String>,
    zone: Option<String>,
    escrow: Option<PathBuf>,
    unlock: Unlock,
}

impl Setup {
    /// Everything by default: a random name and zone, region `local`, the root key beside the deployment.
    pub fn new() -> Self {
        Self::default()
    }

    /// The deployment's name, a host name by custom: it begins the issuers of its tenants and the origin of its log.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The region in which it runs.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The name of its trust zone. Two deployments must not share one.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Writes the first key of the log's MAC chain to that file, outside the home, and keeps no copy.
    #[must_use]
    pub fn audit_escrow(mut self, file: impl Into<PathBuf>) -> Self {
        self.escrow = Some(file.into());
        self
    }

    /// Where the root key of the internal KMS comes from.
    #[must_use]
    pub fn unlock(mut self, unlock: Unlock) -> Self {
        self.unlock = unlock;
        self
    }
}

/// Something that must be kept elsewhere, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The file or folder.
    pub path: PathBuf,
    /// What is lost without it.
    pub why: &'static str,
}

/// What a set-up made.
///
/// ```no_run
/// # async fn show(created: qsec::Created) {
/// println!("zone {}, root {}", created.zone(), created.root_spki_sha256());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Created {
    facts: Facts,
    home: PathBuf,
    backup: Vec<Backup>,
}

impl Created {
    /// The deployment's name.
    pub fn deployment(&self) -> &str {
        &self.facts.name
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The trust zone's name.
    pub fn zone(&self) -> &str {
        &self.facts.zone
    }

    /// SHA-256 of the root's public key information, lowercase hex: what a joining node pins.
    pub fn root_spki_sha256(&self) -> &str {
        &self.facts.root_spki_sha256
    }

    /// The origin prefix of this node's log.
    pub fn origin(&self) -> &str {
        &self.facts.origin
    }

    /// What to keep elsewhere.
    pub fn backup(&self) -> &[Backup] {
        &self.backup
    }
}

pub(super) async fn create(path: &Path, setup: Setup, now: SystemTime) -> Result<Created, Error> {
    let name = setup.name.clone().map_or_else(random_name, Ok)?;
    let origin = origin(&name)?;
    let zone = zone(setup.zone.as_deref())?;
    let region = setup.region.clone().unwrap_or_else(|| "local".to_owned());
    crate::lifecycle::check_region(&region)?;
    let home = Home::begin(path)?;
    if let Some(file) = &setup.escrow {
        check_escrow(&home, file)?;
    }
    let (home, setup, root_place, root) = off_runtime(move || {
        let (place, root) = root_key(&home, &setup.unlock)?;
        Ok((home, setup, place, root))
    })
    .await?;
    let store = Store::open_file(home.store()).await?;
    let kms = Arc::new(LocalKms::open(root, store.clone())?);
    let vault = Vault::new(kms, store.clone());
    for purpose in ServicePurpose::ALL {
        vault.create(purpose, now).await?;
    }
    let first = MacKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
    let recorder = make_log(&home, &vault, &store, &first, &origin, now).await?;
    let root_spki_sha256 = make_authority(&vault, &store, &recorder, zone.clone(), now).await?;
    let facts = Facts {
        version: 1,
        name,
        region,
        zone: zone.as_str().to_owned(),
        origin: origin.to_string(),
        root_key: root_place,
        root_spki_sha256,
        escrowed: setup.escrow.is_some(),
    };
    let event = catalogue::DeploymentCreated::new().by(Actor::operator("setup"));
    recorder.durable(event.subject(format!("deployment/{}", facts.name)), now).await?;
    recorder.close(now).await?;
    if let Some(file) = &setup.escrow {
        write_escrow(file, &first)?;
    } else {
        let sealing = vault.sealing(ServicePurpose::AuditEscrow, now).await?;
        sealing.keep(&store, LOG_FIRST_KEY, first.expose_secret()).await?;
    }
    store.close().await;
    home.finish(&facts)?;
    let backup = backups(&home, &facts, &setup);
    Ok(Created { facts, home: path.to_owned(), backup })
}

fn random_name() -> Result<String, Error> {
    let random = SecretKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
    let (tail, _) = random.expose_secret().split_at(5);
    Ok(format!("qsec-{}", hex::lower(tail)))
}

fn zone(name: Option<&str>) -> Result<Zone, Error> {
    let zone = match name {
        Some(name) => Zone::parse(name),
        None => Zone::generate(),
    };
    zone.map_err(|error| Error::Malformed { what: error.to_string() })
}

fn root_key(home: &Home, unlock: &Unlock) -> Result<(RootKeyPlace, RootKey), Error> {
    let refused = |what: String| Error::from(HomeError::RootKey { what });
    match unlock {
        Unlock::Beside => {
            let key = SecretKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
            let text = zeroize::Zeroizing::new(STANDARD.encode(key.expose_secret()));
            home.write_private("root.key", text.as_bytes())?;
            Ok((RootKeyPlace::Beside, RootKey::new(key)))
        }
        Unlock::KeyFile(path) => {
            let key = RootKey::from_file(path).map_err(|error| refused(error.to_string()))?;
            Ok((RootKeyPlace::File, key))
        }
        Unlock::Passphrase(passphrase) => {
            let parameters = PassphraseParameters::generate().map_err(|error| refused(error.to_string()))?;
            let key = from_passphrase(passphrase, &parameters)?;
            Ok((RootKeyPlace::Passphrase(parameters.to_string()), key))
        }
    }
}

fn from_passphrase(passphrase: &Secret, parameters: &PassphraseParameters) -> Result<RootKey, Error> {
    let refused = |what: String| Error::from(HomeError::RootKey { what });
    RootKey::from_passphrase(passphrase, parameters).map_err(|error| refused(error.to_string()))
}

async fn make_log(
    home: &Home,
    vault: &Vault,
    store: &Store,
    first: &MacKey,
    origin: &qsec_audit::Origin,
    now: SystemTime,
) -> Result<Arc<Recorder>, Error> {
    let seed = SecretKey::generate().map_err(|_| Error::internal("the kernel gave no randomness"))?;
    vault.sealing(ServicePurpose::AuditSign, now).await?.keep(store, LOG_SIGNING_KEY, seed.expose_secret()).await?;
    let sealer = LogStateSealer(vault.sealing(ServicePurpose::AuditState, now).await?);
    let signing = SigningKey::from_seed(seed.expose_secret()).map_err(|error| Error::internal(error.to_string()))?;
    let keys = LogKeys::new(signing, Arc::new(sealer));
    let log = Log::create(home.audit(), origin, keys, first, now).map_err(Arc::new)?;
    Ok(Arc::new(Recorder::over(home.audit(), log, store.clone())?))
}

/// The escrow holds the key from which every MAC of the log can be checked; kept inside the home it would prove nothing.
/// Looked at before anything is made, so that a name that cannot be written costs nothing.
fn check_escrow(home: &Home, file: &Path) -> Result<(), Error> {
    if std::fs::symlink_metadata(file).is_ok() {
        return Err(HomeError::FileExists { path: file.to_owned() }.into());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = |path: &Path| path.canonicalize().map_err(|source| HomeError::unwritable(file, source));
    if place(folder)?.starts_with(place(home.path())?) {
        let what = format!("the escrow `{}` must lie outside the deployment's folder", file.display());
        return Err(Error::Malformed { what });
    }
    Ok(())
}

/// Among the last acts of a set-up: interrupted before, it can be made again with the same name.
fn write_escrow(file: &Path, first: &MacKey) -> Result<(), HomeError> {
    let line = first.to_escrow_line();
    let write = || {
        let mut escrow = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        escrow.write_all(line.expose_secret())?;
        escrow.sync_all()
    };
    write().map_err(|source| HomeError::unwritable(file, source))
}

/// Two-phase: the root is planned, sealed and recorded; only then is it in force.
async fn make_authority(
    vault: &Vault,
    store: &Store,
    recorder: &Arc<Recorder>,
    zone: Zone,
    now: SystemTime,
) -> Result<String, Error> {
    let planned = Authority::create(zone, now)?;
    let key = planned.key().ok_or_else(|| Error::internal("a new authority has no key"))?;
    vault.sealing(ServicePurpose::Authority, now).await?.keep(store, AUTHORITY_KEY, key.expose_secret()).await?;
    let certificate = planned.certificate();
    let row = SettingRow { name: AUTHORITY_CERTIFICATE.to_owned(), generation: 1, body: certificate.der().to_vec() };
    SettingStore::write(store, &row).await?;
    let event = catalogue::CaCreated::new()
        .serial(certificate.serial().to_string())
        .digest(hex::sha256(certificate.der()))
        .not_after(certificate.not_after())
        .by(Actor::operator("setup"))
        .subject(format!("certificate/{}", certificate.serial()));
    recorder.durable(event, now).await?;
    let spki = certificate.spki_sha256();
    planned.commit();
    Ok(hex::lower(&spki))
}

fn backups(home: &Home, facts: &Facts, setup: &Setup) -> Vec<Backup> {
    let mut backup = vec![Backup { path: home.path().to_owned(), why: "every tenant's keys, wrapped, and the log" }];
    match (&facts.root_key, &setup.unlock) {
        (RootKeyPlace::Beside, _) => backup.push(Backup {
            path: home.root_key(),
            why: "opens every key of the internal KMS: whoever copies the folder has everything",
        }),
        (_, Unlock::KeyFile(path)) => {
            backup.push(Backup { path: path.clone(), why: "without this root key no tenant's data opens again" });
        }
        _ => {}
    }
    if let Some(file) = &setup.escrow {
        backup.push(Backup { path: file.clone(), why: "checks the log's MAC chain; keep it on another machine" });
    }
    backup
}
