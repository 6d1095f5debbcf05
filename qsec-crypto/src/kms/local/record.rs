//! The row of one key of the internal KMS: what it says, and how the root key keeps it.
//!
//! The row is canonical JSON: members in the order of [`Body`], no white space. The material is sealed by a key derived
//! from the root, and the whole row carries a MAC by another: who can write the database can neither read a key nor
//! turn a disabled one back on.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cobblestone;
use crate::kdf::{ExpandKey, expand, subkey};
use crate::kms::KmsError;
use crate::secret::{SecretKey, random};
use crate::store::{LocalKeyRow, StoreError};
use crate::timestamp;

const MATERIAL_LABEL: &[u8] = b"qsec/v1/local-root/material";
const RECORD_LABEL: &[u8] = b"qsec/v1/local-root/record";
const ROOT_ID_LABEL: &[u8] = b"qsec/v1/local-root/id";

/// Most bytes of a row, as the store's contract says.
const MAX_ROW_BYTES: usize = 128 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LocalState {
    Enabled,
    Disabled,
    PendingDeletion,
    Destroyed,
}

/// One key of the internal KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalKey {
    pub(super) id: [u8; 16],
    /// The id of the root that its row is under.
    pub(super) root: String,
    pub(super) state: LocalState,
    pub(super) created: SystemTime,
    pub(super) deletion_date: Option<SystemTime>,
    /// From version 1 upwards; empty once destroyed.
    pub(super) material: Vec<Material>,
    pub(super) generation: u64,
}

/// One version of a key's material, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) version: u32,
    pub(super) created: SystemTime,
    pub(super) blob: Vec<u8>,
}

impl LocalKey {
    /// Whether it may wrap and unwrap.
    pub(super) fn usable(&self) -> Result<(), KmsError> {
        match self.state {
            LocalState::Enabled => Ok(()),
            LocalState::Disabled => Err(KmsError::KeyDisabled { key_id: super::key_id(&self.id)? }),
            LocalState::PendingDeletion | LocalState::Destroyed => self.not_on_its_way_out(),
        }
    }

    /// Whether its state may be changed other than by calling its deletion off.
    pub(super) fn not_on_its_way_out(&self) -> Result<(), KmsError> {
        let key_id = super::key_id(&self.id)?;
        match self.state {
            LocalState::Enabled | LocalState::Disabled => Ok(()),
            LocalState::PendingDeletion => {
                Err(KmsError::KeyPendingDeletion { key_id, deletion_date: self.deletion_date })
            }
            LocalState::Destroyed => Err(KmsError::KeyDestroyed { key_id }),
        }
    }

    /// Whether its wait is over.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.state == LocalState::PendingDeletion && self.deletion_date.is_some_and(|date| date <= now)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    id: String,
    state: LocalState,
    created: String,
    deletion_date: Option<String>,
    root: String,
    material: Vec<MaterialBody>,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaterialBody {
    version: u32,
    created: String,
    blob: String,
}

/// What the root key is for: one derived key for material, one for rows, and an id that tells roots apart.
pub(super) struct Sealing {
    material_key: ExpandKey,
    record_key: SecretKey,
    root_id: String,
}

impl Sealing {
    pub(super) fn new(root: &SecretKey) -> Result<Self, KmsError> {
        let mut root_id = [0; 16];
        expand(root, &[ROOT_ID_LABEL], &mut root_id)?;
        Ok(Self {
            material_key: ExpandKey::new(&subkey(root, &[MATERIAL_LABEL])?),
            record_key: subkey(root, &[RECORD_LABEL])?,
            root_id: STANDARD_NO_PAD.encode(root_id),
        })
    }

    pub(super) fn seal_material(&self, id: &[u8; 16], version: u32, key: &SecretKey) -> Result<Vec<u8>, KmsError> {
        let binding = [MATERIAL_LABEL, &id[..], &version.to_be_bytes()];
        cobblestone::seal(&self.material_key, &random()?, &[], &binding, key.expose_secret())
            .map_err(|_| KmsError::Internal { what: "material can be sealed" })
    }

    pub(super) fn open_material(&self, id: &[u8; 16], material: &Material) -> Result<SecretKey, KmsError> {
        let binding = [MATERIAL_LABEL, &id[..], &material.version.to_be_bytes()];
        let opened = cobblestone::open(&self.material_key, &binding, &material.blob).map(Zeroizing::new);
        let key = opened.ok().and_then(|key| SecretKey::try_from_slice(&key));
        // The row's MAC has verified, so this material was sealed by us, in another place.
        key.ok_or(KmsError::Internal { what: "material in an authentic row opens" })
    }

    /// Tells roots apart.
    pub(super) fn root_id(&self) -> &str {
        &self.root_id
    }

    pub(super) fn encode(&self, key: &LocalKey) -> Result<LocalKeyRow, KmsError> {
        let mut body = unsigned_body(key)?;
        let mac = hmac::sign(&self.mac_key(), &json(&body)?);
        body.mac = Some(STANDARD_NO_PAD.encode(mac));
        Ok(LocalKeyRow { id: key.id, generation: key.generation, body: json(&body)? })
    }

    /// Believes a row only if its MAC is right and it is spelled as we spell it.
    fn verify(&self, row: &LocalKeyRow, mut body: Body) -> Result<LocalKey, KmsError> {
        let key_id = super::key_id(&row.id)?;
        let mac = body.mac.take().and_then(|mac| STANDARD_NO_PAD.decode(mac).ok()).unwrap_or_default();
        let forged = || KmsError::RecordForged { key_id: key_id.clone() };
        hmac::verify(&self.mac_key(), &json(&body)?, &mac).map_err(|_| forged())?;
        let key = read(&body).ok_or_else(|| damaged("the record does not hold a key"))?;
        if (key.id, key.generation) == (row.id, row.generation) { Ok(key) } else { Err(forged()) }
    }

    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.record_key.expose_secret())
    }
}

fn unsigned_body(key: &LocalKey) -> Result<Body, KmsError> {
    let time = |time| timestamp::encode(time).ok_or(KmsError::Usage { what: "a time beyond year 9999".to_owned() });
    let material = key.material.iter().map(|material| {
        let blob = STANDARD_NO_PAD.encode(&material.blob);
        Ok(MaterialBody { version: material.version, created: time(material.created)?, blob })
    });
    Ok(Body {
        id: format!("{:032x}", u128::from_be_bytes(key.id)),
        state: key.state,
        created: time(key.created)?,
        deletion_date: key.deletion_date.map(time).transpose()?,
        root: key.root.clone(),
        material: material.collect::<Result<_, KmsError>>()?,
        generation: key.generation,
        mac: None,
    })
}

/// Reads a row under the root that it names, if that is known.
pub(super) fn parse(row: &LocalKeyRow, root: impl FnOnce(&str) -> Option<Arc<Sealing>>) -> Result<LocalKey, KmsError> {
    if row.body.len() > MAX_ROW_BYTES {
        return Err(damaged("the row is too long"));
    }
    let body: Body = serde_json::from_slice(&row.body).map_err(|_| damaged("the row is no record"))?;
    match root(&body.root) {
        Some(root) => root.verify(row, body),
        None => Err(KmsError::WrongRootKey { key_id: super::key_id(&row.id)? }),
    }
}

fn damaged(what: &str) -> KmsError {
    KmsError::Store(StoreError::Damaged { what: format!("internal KMS key: {what}") })
}

fn json(body: &Body) -> Result<Vec<u8>, KmsError> {
    serde_json::to_vec(body).map_err(|_| KmsError::Internal { what: "a record can be written as JSON" })
}

fn read(body: &Body) -> Option<LocalKey> {
    let material = body.material.iter().map(|material| {
        let blob = STANDARD_NO_PAD.decode(&material.blob).ok()?;
        Some(Material { version: material.version, created: timestamp::parse(&material.created)?, blob })
    });
    let deletion_date = match &body.deletion_date {
        Some(date) => Some(timestamp::parse(date)?),
        None => None,
    };
    Some(LocalKey {
        id: u128::from_str_radix(&body.id, 16).ok()?.to_be_bytes(),
        root: body.root.clone(),
        state: body.state,
        created: timestamp::parse(&body.created)?,
        deletion_date,
        material: material.collect::<Option<_>>()?,
        generation: body.generation,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn sealing() -> Sealing {
        Sealing::new(&SecretKey::copy_from(&[7; 32])).unwrap()
    }

    fn parse(row: &LocalKeyRow) -> Result<LocalKey, KmsError> {
        let known = sealing();
        super::parse(row, |root| (root == known.root_id).then(|| Arc::new(known)))
    }

    fn key() -> LocalKey {
        let blob = sealing().seal_material(&[1; 16], 1, &SecretKey::copy_from(&[9; 32])).unwrap();
        LocalKey {
            id: [1; 16],
            root: sealing().root_id,
            state: LocalState::PendingDeletion,
            created: UNIX_EPOCH,
            deletion_date: Some(UNIX_EPOCH + Duration::from_hours(168)),
            material: vec![Material { version: 1, created: UNIX_EPOCH, blob }],
            generation: 3,
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let key = key();
        let row = sealing().encode(&key).unwrap();
        let text = std::str::from_utf8(&row.body).unwrap();
        let start = "{\"id\":\"01010101010101010101010101010101\",\"state\":\"pending_deletion\",\
                     \"created\":\"1970-01-01T00:00:00Z\",\"deletion_date\":\"1970-01-08T00:00:00Z\",\"root\":\"";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(parse(&row).unwrap(), key);
        assert_eq!(sealing().open_material(&[1; 16], &key.material[0]).unwrap().expose_secret(), &[9; 32]);
    }

    #[test]
    fn a_row_that_was_touched_is_refused() {
        let row = sealing().encode(&key()).unwrap();
        let text = String::from_utf8(row.body.clone()).unwrap();
        for (from, to) in [
            ("pending_deletion", "enabled"),
            ("1970-01-08", "1970-01-09"),
            ("\"generation\":3", "\"generation\":4"),
            ("\"version\":1", "\"version\":2"),
            ("{\"id\":\"01", "{\"id\":\"02"),
        ] {
            assert!(text.contains(from));
            let touched = LocalKeyRow { body: text.replace(from, to).into_bytes(), ..row.clone() };
            let error = parse(&touched).unwrap_err();
            assert_eq!(error.code(), "key_record_forged", "{from} to {to}: {error}");
        }
        for touched in [LocalKeyRow { id: [2; 16], ..row.clone() }, LocalKeyRow { generation: 2, ..row.clone() }] {
            assert_eq!(parse(&touched).unwrap_err().code(), "key_record_forged");
        }
        for at in 0..row.body.len() {
            let mut body = row.body.clone();
            body[at] ^= 1;
            assert!(parse(&LocalKeyRow { body, ..row.clone() }).is_err(), "byte {at}");
        }
    }

    #[test]
    fn rows_of_another_root_key_are_told_apart_from_forged_ones() {
        let other = Sealing::new(&SecretKey::copy_from(&[8; 32])).unwrap();
        let row = other.encode(&LocalKey { root: other.root_id.clone(), ..key() }).unwrap();
        let error = parse(&row).unwrap_err();
        assert!(matches!(error, KmsError::WrongRootKey { .. }), "{error}");
    }

    #[test]
    fn material_does_not_open_in_another_place() {
        let [material] = key().material.try_into().unwrap();
        assert!(sealing().open_material(&[2; 16], &material).is_err());
        assert!(sealing().open_material(&[1; 16], &Material { version: 2, ..material }).is_err());
    }
}
