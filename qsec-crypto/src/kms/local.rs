//! The internal KMS: versioned keys under a root key, in all key states.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::kms::{KeyId, Kms, KmsError, KmsKeyDescription, KmsKeyState, Unwrapped, Wrapped, WrappingContext};
use crate::secret::{SecretKey, random};
use crate::store::{BoxFuture, LocalKeyStore, StoreError};
use crate::timestamp;

mod record;
mod root_key;
mod roots;
mod rotation;
mod wrapped_root;
mod wrapping;

use record::{LocalKey, LocalState, Material, Sealing};
pub use root_key::{PassphraseParameters, RootKey, RootKeyError};
use roots::Roots;
pub use rotation::RootRotation;
pub use wrapped_root::WrappedRootKey;

/// Fewest days between the order to delete a key and its destruction: what AWS KMS allows at least.
pub const MIN_DELETION_DAYS: u32 = 7;

/// Most days between the order to delete a key and its destruction: what AWS KMS allows at most.
pub const MAX_DELETION_DAYS: u32 = 30;

/// Most material versions of one key: a rotation a day for eight months, and a row far below the store's 128 KiB.
const MAX_MATERIAL_VERSIONS: usize = 256;

/// What the ids of its keys begin with.
const ID_PREFIX: &str = "local:";

/// How often a row is read that changes while it is read.
const MAX_READS: u32 = 8;

/// The internal KMS. Each key has a random id and material versions; each is wrapped by the root key, which is never in
/// the store.
///
/// Give each tenant a key of its own: [`LocalKms::create_key`].
///
/// ```
/// use std::time::SystemTime;
/// use qsec_crypto::MemoryStore;
/// use qsec_crypto::kms::{LocalKms, RootKey};
///
/// # pollster::block_on(async {
/// # let now = SystemTime::UNIX_EPOCH;
/// let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?;
/// let key_id = kms.create_key(now).await?;
/// assert!(key_id.as_str().starts_with("local:"));
///
/// kms.disable(&key_id, now).await?;
/// assert_eq!(kms.rotate(&key_id, now).await.unwrap_err().code(), "key_disabled");
/// # Ok::<(), qsec_crypto::kms::KmsError>(())
/// # }).unwrap();
/// ```
pub struct LocalKms {
    roots: Roots,
    store: Arc<dyn LocalKeyStore>,
    /// The newest generation of each row that was seen: an older one has been put back by someone.
    seen: Mutex<HashMap<[u8; 16], u64>>,
}

impl LocalKms {
    /// Opens the internal KMS over a store.
    ///
    /// # Errors
    /// [`KmsError::Internal`], which no input causes.
    pub fn open(root: RootKey, store: impl LocalKeyStore + 'static) -> Result<Self, KmsError> {
        Self::over(root, Arc::new(store))
    }

    /// Opens the internal KMS over a store that others use too.
    ///
    /// # Errors
    /// [`KmsError::Internal`], which no input causes.
    pub fn over(root: RootKey, store: Arc<dyn LocalKeyStore>) -> Result<Self, KmsError> {
        let roots = Roots::new(Sealing::new(&root.into_key())?);
        Ok(Self { roots, store, seen: Mutex::default() })
    }

    /// Makes a key with one material version.
    ///
    /// # Errors
    /// [`KmsError::Store`] if the store fails.
    pub async fn create_key(&self, now: SystemTime) -> Result<KeyId, KmsError> {
        let id = random()?;
        let root = self.roots.first()?;
        let key = LocalKey {
            id,
            root: root.root_id().to_owned(),
            state: LocalState::Enabled,
            created: now,
            deletion_date: None,
            material: vec![new_material(&root, &id, 1, now)?],
            generation: 1,
        };
        self.write(&key).await?;
        key_id(&id)
    }

    /// Adds a material version, which new wrappings use; the old ones still unwrap. Answers its number.
    ///
    /// # Errors
    /// [`KmsError`] by the key's state, if it does not exist, or if the store fails.
    pub async fn rotate(&self, key_id: &KeyId, now: SystemTime) -> Result<u32, KmsError> {
        let mut key = self.load(key_id, now).await?;
        key.usable()?;
        if key.material.len() >= MAX_MATERIAL_VERSIONS {
            return Err(usage(format!("a key has at most {MAX_MATERIAL_VERSIONS} material versions")));
        }
        let newest = key.material.last().map_or(0, |material| material.version);
        let version = newest.checked_add(1).ok_or(KmsError::Internal { what: "material versions can be counted" })?;
        let material = new_material(self.roots.of(&key)?.as_ref(), &key.id, version, now)?;
        key.material.push(material);
        self.write_next(key).await?;
        Ok(version)
    }

    /// Locks a key until it is enabled.
    ///
    /// # Errors
    /// [`KmsError`] if it is to be deleted, is destroyed or does not exist, or if the store fails.
    pub async fn disable(&self, key_id: &KeyId, now: SystemTime) -> Result<(), KmsError> {
        self.switch(key_id, LocalState::Disabled, now).await
    }

    /// Unlocks a disabled key.
    ///
    /// # Errors
    /// [`KmsError`] if it is to be deleted, is destroyed or does not exist, or if the store fails.
    pub async fn enable(&self, key_id: &KeyId, now: SystemTime) -> Result<(), KmsError> {
        self.switch(key_id, LocalState::Enabled, now).await
    }

    /// Locks a key at once and destroys it after 7 to 30 days. Answers when.
    ///
    /// # Errors
    /// [`KmsError::Usage`] for other numbers of days; [`KmsError`] if it is to be deleted already, is destroyed or does
    /// not exist, or if the store fails.
    pub async fn schedule_deletion(&self, key_id: &KeyId, days: u32, now: SystemTime) -> Result<SystemTime, KmsError> {
        let date = deletion_date(days, now).ok_or_else(|| {
            usage(format!("a key is deleted after {MIN_DELETION_DAYS} to {MAX_DELETION_DAYS} days, not {days}"))
        })?;
        let mut key = self.load(key_id, now).await?;
        key.not_on_its_way_out()?;
        (key.state, key.deletion_date) = (LocalState::PendingDeletion, Some(date));
        self.write_next(key).await?;
        Ok(date)
    }

    /// Calls a deletion off. The key is disabled afterwards: opening again is a second, deliberate act.
    ///
    /// # Errors
    /// [`KmsError::Usage`] if no deletion is scheduled; [`KmsError`] if it is destroyed or does not exist, or if the
    /// store fails.
    pub async fn cancel_deletion(&self, key_id: &KeyId, now: SystemTime) -> Result<(), KmsError> {
        let mut key = self.load(key_id, now).await?;
        match key.state {
            LocalState::PendingDeletion => {}
            LocalState::Destroyed => return Err(KmsError::KeyDestroyed { key_id: key_id.clone() }),
            LocalState::Enabled | LocalState::Disabled => {
                return Err(usage(format!("`{key_id}` is not to be deleted")));
            }
        }
        (key.state, key.deletion_date) = (LocalState::Disabled, None);
        self.write_next(key).await
    }

    /// Destroys a key's material now and for good. What it wrapped opens no more.
    ///
    /// It cannot reach backups: what is in them is useless without the root key of that day.
    ///
    /// # Errors
    /// [`KmsError`] if it does not exist, or if the store fails. A key that is destroyed already is no error.
    pub async fn destroy(&self, key_id: &KeyId, now: SystemTime) -> Result<(), KmsError> {
        let key = self.load(key_id, now).await?;
        if key.state == LocalState::Destroyed { Ok(()) } else { self.destroy_material(key).await.map(|_| ()) }
    }

    /// Destroys every key whose wait is over, and answers which. A key whose wait is over is refused also before.
    ///
    /// # Errors
    /// [`KmsError`] if the store fails, or holds a row that it cannot have written.
    pub async fn destroy_due(&self, now: SystemTime) -> Result<Vec<KeyId>, KmsError> {
        let mut destroyed = Vec::new();
        for row in self.store.list().await? {
            let key = self.roots.parse(&row)?;
            if key.is_due(now) {
                destroyed.push(key_id(&key.id)?);
                self.destroy_material(key).await?;
            }
        }
        Ok(destroyed)
    }

    async fn switch(&self, key_id: &KeyId, state: LocalState, now: SystemTime) -> Result<(), KmsError> {
        let mut key = self.load(key_id, now).await?;
        key.not_on_its_way_out()?;
        if key.state == state {
            return Ok(());
        }
        key.state = state;
        self.write_next(key).await
    }

    /// Overwrites the material in the row, then removes the row from the file, then leaves a stone that says so.
    async fn destroy_material(&self, mut key: LocalKey) -> Result<LocalKey, KmsError> {
        (key.state, key.deletion_date, key.material) = (LocalState::Destroyed, None, Vec::new());
        key.generation = next(key.generation)?;
        self.write(&key).await?;
        self.store.erase(&key.id).await?;
        key.generation = 1;
        self.write(&key).await?;
        Ok(key)
    }

    async fn load(&self, key_id: &KeyId, now: SystemTime) -> Result<LocalKey, KmsError> {
        let not_found = || KmsError::KeyNotFound { key_id: key_id.clone() };
        let id = parse_id(key_id).ok_or_else(not_found)?;
        for read in 0..MAX_READS {
            // Before the store is asked: what it answers is at least as new, whoever writes meanwhile.
            let before = self.seen(&id);
            let row = self.store.load(&id).await?.ok_or_else(not_found)?;
            if row.id != id {
                return Err(StoreError::Damaged { what: format!("asked for `{key_id}`, got another row") }.into());
            }
            let key = match self.roots.parse(&row) {
                // Its root may have been given up since the row was read, because it was moved to another.
                Err(KmsError::WrongRootKey { .. }) if read == 0 => continue,
                parsed => parsed?,
            };
            if self.is_newest(&key, before)? {
                // The wait is over: whoever comes first destroys, so that a clock that goes back cannot bring the key to
                // life.
                return if key.is_due(now) { self.destroy_material(key).await } else { Ok(key) };
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The newest generation of a key that was seen so far.
    fn seen(&self, id: &[u8; 16]) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(id).copied().unwrap_or_default()
    }

    /// Whether no newer row of this key was seen, also while this one was read. One of a lower generation than was seen
    /// `before` it was asked for has been put back by someone who can write the database.
    fn is_newest(&self, key: &LocalKey, before: u64) -> Result<bool, KmsError> {
        if key.state != LocalState::Destroyed && key.generation < before {
            return Err(KmsError::RecordForged { key_id: key_id(&key.id)? });
        }
        Ok(self.saw(key))
    }

    /// Remembers the generation of a key, and answers whether none newer was seen.
    fn saw(&self, key: &LocalKey) -> bool {
        // The stone of a destroyed key starts at 1 again, and is the last of it: no living row comes after.
        let generation = if key.state == LocalState::Destroyed { u64::MAX } else { key.generation };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = seen.entry(key.id).or_default();
        *newest = generation.max(*newest);
        *newest == generation
    }

    async fn write_next(&self, mut key: LocalKey) -> Result<(), KmsError> {
        key.generation = next(key.generation)?;
        self.write(&key).await
    }

    async fn write(&self, key: &LocalKey) -> Result<(), KmsError> {
        let row = self.roots.of(key)?.encode(key)?;
        self.store.write(&row).await?;
        self.saw(key);
        Ok(())
    }

    async fn unwrap_bound_to(
        &self,
        key_id: &KeyId,
        blob: &[u8],
        context: &[u8],
        now: SystemTime,
    ) -> Result<Unwrapped, KmsError> {
        let key = self.load(key_id, now).await?;
        key.usable()?;
        let rejected = || KmsError::Rejected { key_id: key_id.clone() };
        let (id, version) = wrapping::names(blob).ok_or_else(rejected)?;
        if id != key.id {
            return Err(KmsError::WrongKey { key_id: key_id.clone() });
        }
        let material = key.material.iter().find(|material| material.version == version).ok_or_else(rejected)?;
        let material_key = self.roots.of(&key)?.open_material(&key.id, material)?;
        let secret = wrapping::unwrap(&material_key, blob, context).ok_or_else(rejected)?;
        Ok(Unwrapped::new(key_id.clone(), secret))
    }
}

impl Kms for LocalKms {
    fn provider(&self) -> &'static str {
        "internal"
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let local = self.load(key_id, now).await?;
            local.usable()?;
            let newest = local.material.last().ok_or(KmsError::Internal { what: "an enabled key has material" })?;
            let material_key = self.roots.of(&local)?.open_material(&local.id, newest)?;
            let blob = wrapping::wrap(&material_key, &random()?, &local.id, newest.version, key, &context.encode())?;
            Ok(Wrapped::new(key_id.clone(), blob))
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move { self.unwrap_bound_to(key_id, blob, &context.encode(), now).await })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        Box::pin(async move {
            let key = self.load(key_id, now).await?;
            let state = match key.state {
                LocalState::Enabled => KmsKeyState::Enabled,
                LocalState::Disabled => KmsKeyState::Disabled,
                LocalState::PendingDeletion => KmsKeyState::PendingDeletion,
                LocalState::Destroyed => KmsKeyState::Destroyed,
            };
            let description = KmsKeyDescription::new(key_id.clone(), state);
            Ok(match key.deletion_date {
                Some(date) => description.deleted_at(date),
                None => description,
            })
        })
    }
}

impl super::conformance::Factory for LocalKms {
    fn kms(&self) -> &dyn Kms {
        self
    }

    fn fresh_key(&self, now: SystemTime) -> BoxFuture<'_, Result<KeyId, KmsError>> {
        Box::pin(self.create_key(now))
    }

    fn unknown_key(&self) -> Option<KeyId> {
        KeyId::new("local:ffffffffffffffffffffffffffffffff").ok()
    }

    fn disable<'a>(&'a self, key_id: &'a KeyId, now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.disable(key_id, now)))
    }

    fn enable<'a>(&'a self, key_id: &'a KeyId, now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.enable(key_id, now)))
    }

    fn schedule_deletion<'a>(
        &'a self,
        key_id: &'a KeyId,
        days: u32,
        now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(async move { self.schedule_deletion(key_id, days, now).await.map(|_| ()) }))
    }

    fn cancel_deletion<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.cancel_deletion(key_id, now)))
    }

    fn destroy<'a>(&'a self, key_id: &'a KeyId, now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(self.destroy(key_id, now)))
    }

    fn rotate<'a>(&'a self, key_id: &'a KeyId, now: SystemTime) -> Option<BoxFuture<'a, Result<(), KmsError>>> {
        Some(Box::pin(async move { self.rotate(key_id, now).await.map(|_| ()) }))
    }

    fn material_version(&self, blob: &[u8]) -> Option<u32> {
        wrapping::names(blob).map(|(_, version)| version)
    }

    fn unwrap_pairs<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        pairs: &'a [(&'a str, &'a str)],
        now: SystemTime,
    ) -> Option<BoxFuture<'a, Result<Unwrapped, KmsError>>> {
        Some(Box::pin(
            async move { self.unwrap_bound_to(key_id, blob, &WrappingContext::encode_pairs(pairs), now).await },
        ))
    }
}

impl fmt::Debug for LocalKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKms").field("store", &self.store).finish_non_exhaustive()
    }
}

fn new_material(root: &Sealing, id: &[u8; 16], version: u32, now: SystemTime) -> Result<Material, KmsError> {
    let blob = root.seal_material(id, version, &SecretKey::generate()?)?;
    Ok(Material { version, created: now, blob })
}

fn key_id(id: &[u8; 16]) -> Result<KeyId, KmsError> {
    let id = format!("{ID_PREFIX}{:032x}", u128::from_be_bytes(*id));
    KeyId::new(id).map_err(|_| KmsError::Internal { what: "our key ids are short" })
}

/// Reads `local:` and 32 lower-case hex digits: one spelling, so that one key has one id.
fn parse_id(id: &KeyId) -> Option<[u8; 16]> {
    let hex = id.as_str().strip_prefix(ID_PREFIX)?;
    let spelled = hex.len() == 32 && hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    spelled.then(|| u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes))?
}

/// When a key is destroyed that is ordered deleted now. `None` if that many days are not allowed.
pub(crate) fn deletion_date(days: u32, now: SystemTime) -> Option<SystemTime> {
    if !(MIN_DELETION_DAYS..=MAX_DELETION_DAYS).contains(&days) {
        return None;
    }
    let wait = Duration::from_hours(24).checked_mul(days)?;
    now.checked_add(wait).map(timestamp::round_up)
}

fn next(generation: u64) -> Result<u64, KmsError> {
    generation.checked_add(1).ok_or(KmsError::Internal { what: "generations can be counted" })
}

fn usage(what: String) -> KmsError {
    KmsError::Usage { what }
}
