//! Reading and writing key records so that whoever can write the database cannot change what they say.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use serde::de::DeserializeOwned;

use crate::context::push_prefixed;
use crate::keyring::capacity::Capacity;
use crate::keyring::error::KeyError;
use crate::keyring::record::{Binding, VersionRecord};
use crate::memory::MemoryStore;
use crate::secret::{RandomError, SecretKey};
use crate::store::{KeyRow, KeyStore, StoreError};
use crate::tenant::{Purpose, TenantId};

const LABEL: &[u8] = b"qsec/v1/key-record";

/// The name of the row that holds the binding.
const BINDING_ROW: &str = "binding";

/// Most bytes of a record, as the store's contract says.
const MAX_RECORD_BYTES: usize = 128 * 1024;

/// How often records are read that change while they are read.
const MAX_READS: u32 = 8;

/// Where key records are kept, and the key that authenticates them.
///
/// Every record carries `HMAC-SHA256` under that key over the tenant and the record. A record whose MAC is wrong, or whose
/// generation is lower than one seen before, is refused: who can write the database can neither point a tenant at a KMS
/// key of their own nor turn a disabled key back on. Clones share what they have seen, and the room for the 10,000 key
/// versions that their keyrings hold at most; use one for all keyrings of a process.
///
/// ```
/// use qsec_crypto::{KeyRecords, MemoryStore, SecretKey};
///
/// let mac_key = SecretKey::generate()?; // unwrapped from the internal KMS when the service starts
/// let records = KeyRecords::new(MemoryStore::new(), mac_key);
/// # Ok::<(), qsec_crypto::RandomError>(())
/// ```
#[derive(Clone)]
pub struct KeyRecords {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn KeyStore>,
    mac_key: SecretKey,
    /// The newest generation of each row that was read or written.
    seen: Mutex<HashMap<TenantId, Generations>>,
    capacity: Arc<Capacity>,
}

/// Of rows, by their names.
type Generations = HashMap<String, u64>;

/// The records of one tenant as of one instant, all of them authentic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) binding: Binding,
    pub(crate) versions: BTreeMap<(Purpose, u32), VersionRecord>,
}

impl KeyRecords {
    /// Records in this store, authenticated by this key. The key is a secret of the service and not in the store.
    pub fn new(store: impl KeyStore + 'static, mac_key: SecretKey) -> Self {
        Self::over(Arc::new(store), mac_key)
    }

    /// Records in a store that others use too.
    pub fn over(store: Arc<dyn KeyStore>, mac_key: SecretKey) -> Self {
        Self { shared: Arc::new(Shared { store, mac_key, seen: Mutex::default(), capacity: Arc::default() }) }
    }

    /// Records of this process alone: for tests and examples.
    ///
    /// # Errors
    /// [`RandomError`] if the kernel gives no key.
    pub fn in_memory() -> Result<Self, RandomError> {
        Ok(Self::new(MemoryStore::new(), SecretKey::generate()?))
    }

    /// The room for keys, for the keyrings over these records.
    pub(super) fn capacity(&self) -> &Arc<Capacity> {
        &self.shared.capacity
    }

    /// Loads a tenant's records and believes them only if all are authentic, none is missing and none is old.
    ///
    /// What is read beside a write is older than what was seen when the answer came, and not older than what was seen
    /// when it was asked for. That is no forgery: it is read again.
    pub(crate) async fn load(&self, tenant: &TenantId) -> Result<Option<Snapshot>, KeyError> {
        for _ in 0..MAX_READS {
            let before = self.seen(tenant);
            let rows = self.shared.store.load(tenant).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            let snapshot = self.read(tenant, &rows)?;
            if let Some(row) = rows.iter().find(|row| before.get(&row.name).is_some_and(|seen| row.generation < *seen))
            {
                return Err(forged(tenant, &row.name));
            }
            if self.saw(tenant, &rows) {
                return Ok(Some(snapshot));
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The records that these rows are, if all are authentic and none is missing.
    fn read(&self, tenant: &TenantId, rows: &[KeyRow]) -> Result<Snapshot, KeyError> {
        let mut binding = None;
        let mut versions = BTreeMap::new();
        for row in rows {
            let unique = if row.name == BINDING_ROW {
                let record: Binding = self.believe(tenant, row)?;
                record.tenant == *tenant && record.generation == row.generation && binding.replace(record).is_none()
            } else {
                let record: VersionRecord = self.believe(tenant, row)?;
                let place = (record.purpose.clone(), record.version);
                record.tenant == *tenant
                    && record.generation == row.generation
                    && row.name == version_row(&record.purpose, record.version)
                    && versions.insert(place, record).is_none()
            };
            if !unique {
                return Err(forged(tenant, &row.name));
            }
        }
        let binding = binding.ok_or_else(|| forged(tenant, BINDING_ROW))?;
        complete(&binding, &versions)?;
        Ok(Snapshot { binding, versions })
    }

    /// Writes records, all or none. Each generation is one more than what was read.
    pub(crate) async fn write(
        &self,
        tenant: &TenantId,
        binding: Option<&Binding>,
        versions: &[VersionRecord],
    ) -> Result<(), KeyError> {
        let mut rows = Vec::new();
        if let Some(binding) = binding {
            rows.push(self.row(tenant, BINDING_ROW.to_owned(), binding.generation, json(binding)?)?);
        }
        for version in versions {
            let name = version_row(&version.purpose, version.version);
            rows.push(self.row(tenant, name, version.generation, json(version)?)?);
        }
        self.shared.store.write(tenant, &rows).await?;
        // Another writer may have been seen since. This write took effect all the same.
        self.saw(tenant, &rows);
        Ok(())
    }

    fn row(&self, tenant: &TenantId, name: String, generation: u64, body: Vec<u8>) -> Result<KeyRow, KeyError> {
        if body.len() > MAX_RECORD_BYTES {
            return Err(KeyError::Internal { what: "a record fits its row" });
        }
        let tag = hmac::sign(&self.mac_key(), &authenticated(tenant, &body));
        let mac = tag.as_ref().try_into().map_err(|_| KeyError::Internal { what: "a MAC has 32 bytes" })?;
        Ok(KeyRow { name, generation, body, mac })
    }

    /// A row's record. The MAC comes first: nothing of an unauthentic row is interpreted.
    fn believe<T: DeserializeOwned>(&self, tenant: &TenantId, row: &KeyRow) -> Result<T, KeyError> {
        let authentic = row.body.len() <= MAX_RECORD_BYTES
            && hmac::verify(&self.mac_key(), &authenticated(tenant, &row.body), &row.mac).is_ok();
        if !authentic {
            return Err(forged(tenant, &row.name));
        }
        // An authentic record that does not read as what its row is called was written for another row.
        serde_json::from_slice(&row.body).map_err(|_| forged(tenant, &row.name))
    }

    /// The newest generations that were seen so far.
    fn seen(&self, tenant: &TenantId) -> Generations {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(tenant).cloned().unwrap_or_default()
    }

    /// Remembers the generations of rows, and answers whether none of them is older than one that was seen.
    fn saw(&self, tenant: &TenantId, rows: &[KeyRow]) -> bool {
        let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = seen.entry(tenant.clone()).or_default();
        let mut are_newest = true;
        for row in rows {
            let newest = of_tenant.entry(row.name.clone()).or_default();
            are_newest &= row.generation >= *newest;
            *newest = row.generation.max(*newest);
        }
        are_newest
    }

    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.shared.mac_key.expose_secret())
    }
}

impl fmt::Debug for KeyRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecords").field("store", &self.shared.store).finish_non_exhaustive()
    }
}

/// Whether every version that the binding counts is there, and no other.
fn complete(binding: &Binding, versions: &BTreeMap<(Purpose, u32), VersionRecord>) -> Result<(), KeyError> {
    let counted = |(purpose, version): &(Purpose, u32)| {
        binding.newest(purpose).is_some_and(|newest| (1..=newest).contains(version))
    };
    if let Some((purpose, version)) = versions.keys().find(|place| !counted(place)) {
        return Err(forged(&binding.tenant, &version_row(purpose, *version)));
    }
    let expected = binding.purposes.iter().map(|record| u64::from(record.newest)).fold(0, u64::saturating_add);
    if u64::try_from(versions.len()) == Ok(expected) { Ok(()) } else { Err(forged(&binding.tenant, BINDING_ROW)) }
}

/// `label || lp(tenant) || record`.
fn authenticated(tenant: &TenantId, body: &[u8]) -> Vec<u8> {
    let mut bytes = LABEL.to_vec();
    push_prefixed(&mut bytes, tenant.as_str());
    bytes.extend_from_slice(body);
    bytes
}

fn version_row(purpose: &Purpose, version: u32) -> String {
    format!("{purpose}/{version}")
}

fn json(record: &impl serde::Serialize) -> Result<Vec<u8>, KeyError> {
    serde_json::to_vec(record).map_err(|_| KeyError::Usage { what: "a time beyond year 9999".to_owned() })
}

fn forged(tenant: &TenantId, row: &str) -> KeyError {
    KeyError::RecordForged { tenant: tenant.clone(), row: row.to_owned() }
}
