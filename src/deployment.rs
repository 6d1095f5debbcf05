//! A deployment: one folder, one store, one zone, one log, many tenants.

mod setup;
pub(crate) mod tenants;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use qsec_audit::{
    Actor, Event, HeadStore, LogKeys, MacKey, Origin, Receipt, Report, SigningKey, VerifyOptions, catalogue,
};
use qsec_crypto::kms::{Kms, KmsError, LocalKms, RootKey};
use qsec_crypto::{KeyError, KeyRecords, Keyring, Secret};
use qsec_pki::{Authority, CertificateRequest, Issued, LeafProfile, PrivateKey, TrustZone};
use qsec_store::{SettingStore, Store};

use crate::clock::RuntimeTimer;
use crate::error::{Error, HomeError};
use crate::hex;
use crate::home::{Facts, Home, RootKeyPlace};
use crate::recorder::Recorder;
use crate::tenant::{Room, Tenant};
use crate::vault::{LogStateSealer, ServiceKey, ServicePurpose, Vault};

pub use setup::{Backup, Created, Setup};
pub(crate) use tenants::{RINGS, audit_id, signing_key_record};

/// What opens the internal KMS.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Unlock {
    /// `root.key` in the deployment's folder.
    #[default]
    Beside,
    /// A key file kept elsewhere: 32 bytes in hex or base64, mode 0600.
    KeyFile(std::path::PathBuf),
    /// A passphrase.
    Passphrase(Secret),
}

/// An open deployment. Cloning gives another handle to the same one.
///
/// Exactly one process works on a folder at a time: opening a second one is [`HomeError::Busy`].
///
/// ```
/// use qsec::{Deployment, Setup};
/// # use std::time::SystemTime;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let home = folder.path().join("home");
/// # let now = SystemTime::now();
/// let created = Deployment::create(&home, Setup::new(), now).await?;
/// println!("back up: {:?}", created.backup());
///
/// let deployment = Deployment::open(&home).await?;
/// assert!(deployment.tenants().await?.is_empty());
/// deployment.close(now).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Deployment {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) facts: Facts,
    pub(crate) store: Store,
    pub(crate) kms: Arc<LocalKms>,
    pub(crate) vault: Vault,
    pub(crate) token_keys: ServiceKey,
    /// One for all tenants: their keyrings share what they have seen, and the room for keys.
    key_records: KeyRecords,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) authority: Authority,
    pub(crate) zone: TrustZone,
    rooms: Mutex<Rooms>,
    /// Last, so that the folder is let go of when nothing works on it any more.
    pub(crate) home: Home,
}

/// The tenants that were asked for, and the KMSes that their keys may be bound to beside the internal one.
#[derive(Debug, Default)]
struct Rooms {
    by_id: HashMap<String, Arc<Room>>,
    kms: Vec<Arc<dyn Kms>>,
}

/// How the name of the authority's records begin in the store.
pub(crate) const AUTHORITY_KEY: &str = "authority/root-1/key";
pub(crate) const AUTHORITY_CERTIFICATE: &str = "authority/root-1/certificate";
pub(crate) const LOG_SIGNING_KEY: &str = "audit/signing-key";
pub(crate) const LOG_FIRST_KEY: &str = "audit/first-mac-key";

impl Deployment {
    /// Makes a deployment in a folder that is new or empty: root key, internal KMS, store, authority and zone, log.
    ///
    /// Interrupted, it leaves nothing that opens; made again it begins anew.
    ///
    /// # Errors
    /// [`HomeError::Exists`] if the folder is a deployment already, [`HomeError::Unwritable`] with the path if it cannot
    /// be written, and the errors of the rooms that are set up.
    pub async fn create(home: impl AsRef<Path>, setup: Setup, now: SystemTime) -> Result<Created, Error> {
        setup::create(home.as_ref(), setup, now).await
    }

    /// Opens a deployment whose root key lies beside it.
    ///
    /// # Errors
    /// [`HomeError::Missing`] if there is none, [`HomeError::Busy`] if another process works on it, and the errors of
    /// the rooms. A log that was tampered with does not keep it from opening: then all that must be recorded is refused.
    pub async fn open(home: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(home, Unlock::Beside).await
    }

    /// Opens a deployment whose root key is kept elsewhere.
    ///
    /// # Errors
    /// As [`Deployment::open`], and [`HomeError::RootKey`] if that key is not the deployment's.
    pub async fn open_with(home: impl AsRef<Path>, unlock: Unlock) -> Result<Self, Error> {
        let (home, facts) = Home::take(home.as_ref())?;
        // A passphrase costs a good part of a second and 64 MiB: the runtime's other tasks do not wait for it.
        let (home, facts, root) = off_runtime(move || {
            let root = root_key(&home, &facts, &unlock)?;
            Ok((home, facts, root))
        })
        .await?;
        let store = Store::open_file(home.store()).await?;
        let kms = Arc::new(LocalKms::open(root, store.clone())?);
        let now = crate::clock::now();
        let vault = Vault::new(Arc::clone(&kms), store.clone());
        let recorder =
            open_recorder(&home, &facts, &vault, &store, now).await.map_err(|error| of_root(error, &facts))?;
        let (authority, zone) = open_authority(&vault, &store, &recorder, now).await?;
        let token_keys = vault.sealing(ServicePurpose::TokenSigning, now).await?;
        let key_records = KeyRecords::new(store.clone(), vault.secret(ServicePurpose::KeyRecords, now).await?);
        let rooms = Mutex::default();
        let inner = Inner { facts, store, kms, vault, token_keys, key_records, recorder, authority, zone, rooms, home };
        let deployment = Self { inner: Arc::new(inner) };
        match deployment.finish_provisioning(now).await {
            // The log takes no events now: what was begun waits, and everything can still be looked at.
            Ok(()) | Err(Error::Log(_) | Error::Record(_)) => Ok(deployment),
            Err(error) => Err(error),
        }
    }

    /// Gives the deployment a KMS to which tenants' keys may be bound, or may move: by its provider and endpoint, in place
    /// of one that was given before. It is kept while the deployment is open and never stored, nor are its credentials.
    ///
    /// A tenant whose keys are bound to a KMS that was not given can be looked at; what needs its key is refused with
    /// `usage`, and says which provider is missing.
    pub fn add_kms(&self, kms: Arc<dyn Kms>) {
        let mut rooms = self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for room in rooms.by_id.values() {
            room.keyring().add_kms(Arc::clone(&kms));
        }
        rooms.kms.retain(|other| (other.provider(), other.endpoint()) != (kms.provider(), kms.endpoint()));
        rooms.kms.push(kms);
    }

    /// The deployment's name: the first part of its log's origin and of its tenants' issuers.
    pub fn name(&self) -> &str {
        &self.inner.facts.name
    }

    /// The trust zone, as every member sees it. Refused peers are recorded.
    pub fn zone(&self) -> &TrustZone {
        &self.inner.zone
    }

    /// The zone's root certificate, DER.
    pub fn root_certificate(&self) -> &[u8] {
        self.inner.authority.root().der()
    }

    /// Issues a leaf for a certificate request. Only its key is taken; identity and role come from the profile. A refusal
    /// is recorded before this returns.
    ///
    /// # Errors
    /// [`Error::CertificateRequest`] for a request that is malformed or proves nothing, [`Error::Certificate`] for a
    /// profile out of bounds or a key that was certified before, [`Error::Record`] if it could not be recorded.
    pub async fn issue(
        &self,
        request: &[u8],
        profile: &LeafProfile,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Issued, Error> {
        let issued = match self.certify(request, profile, now).await {
            Ok(issued) => issued,
            Err(error) => {
                let event = catalogue::CertificateRefused::new().check(error.code()).by(actor.clone());
                self.inner.recorder.hand_over(event.denied(error.code()), None, now)?;
                return Err(error);
            }
        };
        let event = catalogue::CertificateIssued::new()
            .serial(issued.serial().to_string())
            .digest(hex::sha256(issued.certificate().der()))
            .spiffe(issued.id().as_str())
            .role(certificate_role(profile.role()))
            .not_after(issued.not_after())
            .by(actor.clone())
            .subject(format!("certificate/{}", issued.serial()));
        // The leaf leaves this function only when the log has it.
        self.inner.recorder.durable(event, now).await?;
        Ok(issued)
    }

    async fn certify(&self, request: &[u8], profile: &LeafProfile, now: SystemTime) -> Result<Issued, Error> {
        let request = CertificateRequest::parse(request)?;
        Ok(self.inner.authority.issue_recorded(&self.inner.store, &request, profile, now).await?)
    }

    /// Verifies the whole log against what the store remembers of it, and with the escrowed key if it is given.
    ///
    /// # Errors
    /// [`Error::Verify`] if a file cannot be read. Findings are not errors: they are in the report.
    pub async fn verify_log(&self, escrow: Option<MacKey>, now: SystemTime) -> Result<Report, Error> {
        self.verify_folder(self.log_folder(), escrow, now).await
    }

    /// Verifies a copy of the log, wherever it lies, as [`Deployment::verify_log`] does.
    ///
    /// # Errors
    /// [`Error::Verify`] if a file cannot be read.
    pub async fn verify_folder(
        &self,
        folder: impl AsRef<Path>,
        escrow: Option<MacKey>,
        now: SystemTime,
    ) -> Result<Report, Error> {
        let inner = &self.inner;
        let mut options = VerifyOptions::new(now).signed_by(&open_signing_key(&inner.vault, &inner.store, now).await?);
        if let Some(head) = HeadStore::load(&inner.store, &inner.facts.origin).await? {
            options = options.head(head);
        }
        let first = match escrow {
            None if !inner.facts.escrowed => Some(open_first_key(&inner.vault, &inner.store, now).await?),
            given => given,
        };
        if let Some(first) = first {
            options = options.escrow(first);
        }
        let folder = folder.as_ref().to_owned();
        off_runtime(move || Ok(qsec_audit::verify(folder, &options)?)).await
    }

    /// Records an event of the platform's own in the deployment's tree, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Record`] if the log does not take it, [`Error::Log`] if it does not open.
    pub async fn write_event(&self, event: Event, now: SystemTime) -> Result<Receipt, Error> {
        self.inner.recorder.durable(event, now).await
    }

    /// The folder of the log: its bytes can be read, copied and verified by anyone.
    pub fn log_folder(&self) -> &Path {
        self.inner.recorder.dir()
    }

    /// Ends the log in order and lets go of the folder once the last handle is gone. Other handles record nothing any
    /// more, so nothing that must be recorded can be done with them.
    ///
    /// A deployment that is dropped without this loses nothing that was recorded; the next opening says that it was not
    /// closed.
    ///
    /// # Errors
    /// [`Error::Record`] if the last events could not be brought to disk, [`Error::Store`] if the log's head could not
    /// be kept.
    pub async fn close(self, now: SystemTime) -> Result<(), Error> {
        let closed = self.inner.recorder.close(now).await;
        self.inner.store.close().await;
        closed
    }

    pub(crate) fn room(&self, id: &str) -> Option<Arc<Room>> {
        self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    pub(crate) fn keep_room(&self, id: &str, room: Room) -> Arc<Room> {
        let mut rooms = self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let Rooms { by_id, kms } = &mut *rooms;
        let room = by_id.entry(id.to_owned()).or_insert_with(|| {
            for known in kms.iter() {
                room.keyring().add_kms(Arc::clone(known));
            }
            Arc::new(room)
        });
        Arc::clone(room)
    }

    /// A tenant's keyring: its rows authenticated by the deployment's own key, its events recorded.
    pub(crate) fn keyring(&self, id: &str) -> Result<Keyring, Error> {
        let inner = &self.inner;
        let tenant = qsec_crypto::TenantId::new(id).map_err(|error| Error::internal(error.to_string()))?;
        let observer: Arc<dyn qsec_crypto::Observer> = Arc::<Recorder>::clone(&inner.recorder);
        let keyring = Keyring::new(tenant, Arc::<LocalKms>::clone(&inner.kms), inner.key_records.clone());
        Ok(keyring.with_observer(observer).with_timer(Arc::new(RuntimeTimer)))
    }

    pub(crate) fn handle(&self, room: Arc<Room>) -> Tenant {
        Tenant::new(self.clone(), room)
    }
}

/// Work that computes long or waits for the disk.
pub(crate) async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(error.to_string()))?
}

/// The first keys that are opened tell whether the root key is the right one.
fn of_root(error: Error, facts: &Facts) -> Error {
    let Error::Key(KeyError::Kms(KmsError::WrongRootKey { .. })) = error else { return error };
    let what = match facts.root_key {
        RootKeyPlace::Passphrase(_) => "the passphrase is not this deployment's",
        RootKeyPlace::Beside | RootKeyPlace::File => "it is another deployment's",
    };
    HomeError::RootKey { what: what.to_owned() }.into()
}

fn root_key(home: &Home, facts: &Facts, unlock: &Unlock) -> Result<RootKey, Error> {
    let wrong = |what: &str| HomeError::RootKey { what: what.to_owned() };
    let read = |path: &Path| RootKey::from_file(path).map_err(|error| HomeError::RootKey { what: error.to_string() });
    Ok(match (&facts.root_key, unlock) {
        (RootKeyPlace::Beside, Unlock::Beside) => read(&home.root_key())?,
        (RootKeyPlace::File | RootKeyPlace::Beside, Unlock::KeyFile(path)) => read(path)?,
        (RootKeyPlace::Passphrase(parameters), Unlock::Passphrase(passphrase)) => {
            let parameters = qsec_crypto::kms::PassphraseParameters::parse(parameters)
                .map_err(|error| HomeError::RootKey { what: error.to_string() })?;
            RootKey::from_passphrase(passphrase, &parameters)
                .map_err(|error| HomeError::RootKey { what: error.to_string() })?
        }
        (RootKeyPlace::File, _) => return Err(wrong("it is kept in a file; name it with `--root-key`").into()),
        (RootKeyPlace::Passphrase(_), _) => {
            return Err(wrong("it comes from a passphrase; name its file with `--passphrase-file`").into());
        }
        (RootKeyPlace::Beside, Unlock::Passphrase(_)) => return Err(wrong("it lies beside the deployment").into()),
    })
}

async fn open_recorder(
    home: &Home,
    facts: &Facts,
    vault: &Vault,
    store: &Store,
    now: SystemTime,
) -> Result<Arc<Recorder>, Error> {
    let signing = open_signing_key(vault, store, now).await?;
    let sealer = LogStateSealer(vault.sealing(ServicePurpose::AuditState, now).await?);
    let head = HeadStore::load(store, &facts.origin).await?;
    let keys = LogKeys::new(signing, Arc::new(sealer));
    Ok(Arc::new(Recorder::new(home.audit(), keys, store.clone(), head)))
}

async fn open_signing_key(vault: &Vault, store: &Store, now: SystemTime) -> Result<SigningKey, Error> {
    let sealed = vault.sealing(ServicePurpose::AuditSign, now).await?;
    let seed = sealed.recall(store, LOG_SIGNING_KEY).await?;
    let seed: &[u8; 32] =
        seed.as_slice().try_into().map_err(|_| Error::internal("the log's key has another length"))?;
    SigningKey::from_seed(seed).map_err(|error| Error::internal(error.to_string()))
}

async fn open_first_key(vault: &Vault, store: &Store, now: SystemTime) -> Result<MacKey, Error> {
    let sealed = vault.sealing(ServicePurpose::AuditEscrow, now).await?;
    let key = sealed.recall(store, LOG_FIRST_KEY).await?;
    let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| Error::internal("the MAC key has another length"))?;
    Ok(MacKey::from_bytes(key))
}

async fn open_authority(
    vault: &Vault,
    store: &Store,
    recorder: &Arc<Recorder>,
    now: SystemTime,
) -> Result<(Authority, TrustZone), Error> {
    let missing = || Error::internal("the authority's certificate is missing from the store");
    let sealed = vault.sealing(ServicePurpose::Authority, now).await?;
    let key = sealed.recall(store, AUTHORITY_KEY).await?;
    let key = PrivateKey::from_pkcs8(&key).map_err(|error| Error::internal(error.to_string()))?;
    let certificate = SettingStore::get(store, AUTHORITY_CERTIFICATE).await?.ok_or_else(missing)?;
    let authority = Authority::open(&certificate.body, key).map_err(|error| Error::internal(error.to_string()))?;
    let observer: Arc<dyn qsec_pki::Observer> = Arc::<Recorder>::clone(recorder);
    let zone = TrustZone::new(authority.bundle()).observer(observer);
    Ok((authority, zone))
}

fn certificate_role(role: qsec_pki::Role) -> catalogue::CertificateRole {
    match role {
        qsec_pki::Role::Server => catalogue::CertificateRole::Server,
        qsec_pki::Role::Client => catalogue::CertificateRole::Client,
        qsec_pki::Role::Peer | _ => catalogue::CertificateRole::Peer,
    }
}

/// The folder of a deployment's log, without opening the deployment: reading it takes no lock.
///
/// # Errors
/// [`HomeError::Missing`] if the folder holds no deployment.
pub fn log_folder_of(home: impl AsRef<Path>) -> Result<std::path::PathBuf, Error> {
    crate::home::read_facts(home.as_ref())?;
    Ok(home.as_ref().join("audit"))
}

/// Origins are made of the deployment's name and the node's.
pub(crate) fn origin(name: &str) -> Result<Origin, Error> {
    Origin::parse(&format!("{name}/n1")).map_err(|error| Error::Malformed { what: error.to_string() })
}
