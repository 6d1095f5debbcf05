//! The records of a tenant's keys: the binding, and one for each key version.
//!
//! A record is canonical JSON: members in the order of these structs, no white space, times in UTC to the second, bytes
//! in base64 without padding. Numbers that bound what is read stand beside what they bound.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::keyring::policy::KeyPolicy;
use crate::kms::{KeyId, MAX_BLOB_BYTES};
use crate::stopped::{Stopped, StoppedBy, StoppedState};
use crate::tenant::{Purpose, TenantId};
use crate::timestamp;

/// Most wrappings of one key version, and most KMS keys of a binding: one for each region in use, and room to move.
pub(crate) const MAX_WRAPPINGS: usize = 8;

/// The state of a tenant's key as a whole.
///
/// ```
/// assert_eq!(qsec_crypto::TenantKeyState::PendingDeletion.name(), "pending_deletion");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantKeyState {
    /// Seals and opens.
    Active,
    /// Locked until it is enabled.
    Disabled,
    /// Locked, and to be destroyed when the wait is over.
    PendingDeletion,
    /// Gone for good.
    Destroyed,
}

impl TenantKeyState {
    /// The state as records and answers write it.
    pub fn name(self) -> &'static str {
        self.stopped().map_or("active", StoppedState::name)
    }

    /// The stop that this state is, if it is one.
    pub(crate) fn stopped(self) -> Option<StoppedState> {
        match self {
            Self::Active => None,
            Self::Disabled => Some(StoppedState::Disabled),
            Self::PendingDeletion => Some(StoppedState::PendingDeletion),
            Self::Destroyed => Some(StoppedState::Destroyed),
        }
    }
}

/// The state of one key version.
///
/// ```
/// assert_eq!(qsec_crypto::VersionState::Retired.name(), "retired");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VersionState {
    /// Seals and opens; one for each purpose.
    Active,
    /// Opens.
    Retired,
    /// Gone for good.
    Destroyed,
}

impl VersionState {
    /// The state as records and answers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }
}

/// Where a wrapping stands in the order of use.
///
/// ```
/// assert_eq!(qsec_crypto::WrappingRole::Primary.name(), "primary");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WrappingRole {
    /// Asked first.
    Primary,
    /// Asked when those before it are unavailable.
    Replica,
}

impl WrappingRole {
    /// The role as records and answers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// One KMS key: where it is and how it is called there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KmsKey {
    pub(crate) provider: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) key_id: KeyId,
}

/// KMS keys of one provider in their order of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KmsKeys {
    pub(crate) provider: String,
    /// The first is primary, the others are replicas in their order.
    #[serde(with = "key_ids")]
    pub(crate) key_ids: Vec<KeyId>,
    pub(crate) endpoint: Option<String>,
}

impl KmsKeys {
    /// Each key, in the order of use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = KmsKey> {
        self.key_ids.iter().map(|key_id| self.key(key_id))
    }

    pub(crate) fn key(&self, key_id: &KeyId) -> KmsKey {
        KmsKey { provider: self.provider.clone(), endpoint: self.endpoint.clone(), key_id: key_id.clone() }
    }

    /// Where a key stands in the order; `None` if it is not one of them.
    pub(crate) fn role(&self, key: &KmsKey) -> Option<WrappingRole> {
        let place = self.iter().position(|own| own == *key)?;
        Some(if place == 0 { WrappingRole::Primary } else { WrappingRole::Replica })
    }
}

/// Which KMS keys a tenant's keys are under, and the tenant's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    #[serde(with = "tenant")]
    pub(crate) tenant: TenantId,
    pub(crate) state: TenantKeyState,
    pub(crate) provider: String,
    /// The first is primary, the others are replicas in their order.
    #[serde(with = "key_ids")]
    pub(crate) key_ids: Vec<KeyId>,
    pub(crate) endpoint: Option<String>,
    #[serde(with = "time")]
    pub(crate) created: SystemTime,
    #[serde(with = "optional_time")]
    pub(crate) deletion_date: Option<SystemTime>,
    /// How many versions each purpose has. So a version cannot be taken away without the binding saying so.
    pub(crate) purposes: Vec<PurposeRecord>,
    /// The move to other KMS keys that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) migration: Option<MigrationRecord>,
    /// What the tenant demands of its KMS keys; nothing, if there is none. That cannot be forged: it is authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<KeyPolicy>,
    pub(crate) generation: u64,
}

/// How far a move to other KMS keys has come.
///
/// ```
/// assert_eq!(qsec_crypto::MigrationState::Switched.name(), "switched");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MigrationState {
    /// The new KMS keys are recorded; nothing is wrapped yet.
    Planned,
    /// Some versions are under the new KMS keys as well.
    Wrapping,
    /// All are.
    Verified,
    /// The new KMS keys are in use; the wrappings under the old ones are kept.
    Switched,
    /// The wrappings under the old KMS keys are being deleted.
    Cleaning,
    /// It is over, and the new KMS keys are the only ones.
    Done,
    /// It was called off, and the old KMS keys are the only ones.
    Aborted,
}

impl MigrationState {
    /// The state as records and answers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Wrapping => "wrapping",
            Self::Verified => "verified",
            Self::Switched => "switched",
            Self::Cleaning => "cleaning",
            Self::Done => "done",
            Self::Aborted => "aborted",
        }
    }

    pub(crate) fn is_before_switch(self) -> bool {
        self < Self::Switched
    }
}

/// The move of a tenant's keys to other KMS keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrationRecord {
    pub(crate) state: MigrationState,
    /// Before the switch the KMS keys that the tenant moves to, after it those that it came from.
    pub(crate) other: KmsKeys,
    /// When the old KMS last said yes.
    #[serde(with = "optional_time")]
    pub(crate) asked: Option<SystemTime>,
    pub(crate) keep_old_days: u32,
    /// Until when the old wrappings are kept.
    #[serde(with = "optional_time")]
    pub(crate) keep_old_until: Option<SystemTime>,
    pub(crate) versions_rewrapped: u32,
    pub(crate) kms_calls: u64,
    /// What was planned; 0 in the record of a move that was begun before this was written down.
    #[serde(default)]
    pub(crate) kms_calls_at_most: u64,
    pub(crate) old_wrappings_removed: u64,
}

/// One purpose, and its newest version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurposeRecord {
    #[serde(with = "purpose")]
    pub(crate) purpose: Purpose,
    pub(crate) newest: u32,
}

/// One version of a tenant's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionRecord {
    #[serde(with = "tenant")]
    pub(crate) tenant: TenantId,
    #[serde(with = "purpose")]
    pub(crate) purpose: Purpose,
    pub(crate) version: u32,
    pub(crate) state: VersionState,
    #[serde(with = "time")]
    pub(crate) created: SystemTime,
    #[serde(with = "bytes")]
    pub(crate) key_check: Vec<u8>,
    pub(crate) wrappings: Vec<Wrapping>,
    pub(crate) generation: u64,
}

/// A key version under one KMS key. It was unwrapped again, and compared, before it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapping {
    pub(crate) id: String,
    pub(crate) provider: String,
    #[serde(with = "key_id")]
    pub(crate) key_id: KeyId,
    /// Where the provider is reached, if not at its usual place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    pub(crate) role: WrappingRole,
    #[serde(with = "bytes")]
    pub(crate) blob: Vec<u8>,
    #[serde(with = "time")]
    pub(crate) verified: SystemTime,
}

impl Wrapping {
    /// The KMS key it is under.
    pub(crate) fn key(&self) -> KmsKey {
        KmsKey { provider: self.provider.clone(), endpoint: self.endpoint.clone(), key_id: self.key_id.clone() }
    }
}

impl VersionRecord {
    /// Its wrapping under a KMS key.
    pub(crate) fn wrapping(&self, key: &KmsKey) -> Option<&Wrapping> {
        self.wrappings.iter().find(|wrapping| wrapping.key() == *key)
    }
}

impl Binding {
    /// The binding of a tenant that has just got its keys.
    pub(crate) fn new(
        tenant: TenantId,
        keys: KmsKeys,
        purposes: &[Purpose],
        policy: &KeyPolicy,
        created: SystemTime,
    ) -> Self {
        let mut binding = Self {
            tenant,
            state: TenantKeyState::Active,
            provider: keys.provider,
            key_ids: keys.key_ids,
            endpoint: keys.endpoint,
            created,
            deletion_date: None,
            purposes: purposes.iter().map(|purpose| PurposeRecord { purpose: purpose.clone(), newest: 1 }).collect(),
            migration: None,
            policy: None,
            generation: 1,
        };
        binding.set_policy(policy);
        binding
    }

    /// What the tenant demands of its KMS keys.
    pub(crate) fn policy(&self) -> KeyPolicy {
        self.policy.clone().unwrap_or_default()
    }

    /// A policy that demands nothing is written as none, as it was before there were policies.
    pub(crate) fn set_policy(&mut self, policy: &KeyPolicy) {
        self.policy = Some(policy.clone()).filter(|policy| *policy != KeyPolicy::new());
    }

    /// Whether the tenant's data must not be under the internal KMS.
    pub(crate) fn is_phi(&self) -> bool {
        self.policy.as_ref().is_some_and(KeyPolicy::is_phi)
    }

    /// The KMS keys that are in use.
    pub(crate) fn keys(&self) -> KmsKeys {
        KmsKeys { provider: self.provider.clone(), key_ids: self.key_ids.clone(), endpoint: self.endpoint.clone() }
    }

    /// What stops the tenant's key, by its own state.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        let state = self.state.stopped()?;
        Some(Stopped { deletion_date: self.deletion_date, ..Stopped::new(state, StoppedBy::Tenant) })
    }

    pub(crate) fn newest(&self, purpose: &Purpose) -> Option<u32> {
        self.purposes.iter().find(|record| record.purpose == *purpose).map(|record| record.newest)
    }

    /// Whether its wait is over.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        self.state == TenantKeyState::PendingDeletion && self.deletion_date.is_some_and(|date| date <= now)
    }
}

mod time {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SystemTime, de, timestamp};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        timestamp::encode(*time).ok_or_else(|| serde::ser::Error::custom("a time beyond year 9999"))?.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        timestamp::parse(&String::deserialize(from)?).ok_or_else(|| de::Error::custom("not a time"))
    }
}

mod optional_time {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SystemTime, time};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Time(#[serde(with = "time")] SystemTime);

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the member")]
    pub(super) fn serialize<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Time>::deserialize(from)?.map(|Time(time)| time))
    }
}

mod bytes {
    use super::{Deserialize, Deserializer, Engine, MAX_BLOB_BYTES, STANDARD_NO_PAD, Serialize, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        STANDARD_NO_PAD.encode(bytes).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let bytes = STANDARD_NO_PAD.decode(String::deserialize(from)?).map_err(de::Error::custom)?;
        if bytes.len() > MAX_BLOB_BYTES { Err(de::Error::custom("too long")) } else { Ok(bytes) }
    }
}

/// A name as a string, through its checked constructor.
macro_rules! name_as_text {
    ($module:ident, $name:ident) => {
        mod $module {
            use super::{Deserialize, Deserializer, Serialize, Serializer, de, $name};

            pub(super) fn serialize<S: Serializer>(name: &$name, to: S) -> Result<S::Ok, S::Error> {
                name.as_str().serialize(to)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                $name::new(String::deserialize(from)?).map_err(de::Error::custom)
            }
        }
    };
}

name_as_text!(tenant, TenantId);
name_as_text!(purpose, Purpose);
name_as_text!(key_id, KeyId);

mod key_ids {
    use super::{Deserialize, Deserializer, KeyId, Serializer, de};

    pub(super) fn serialize<S: Serializer>(ids: &[KeyId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(KeyId::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<KeyId>, D::Error> {
        Vec::<String>::deserialize(from)?.into_iter().map(|id| KeyId::new(id).map_err(de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn record() -> VersionRecord {
        let time = UNIX_EPOCH + Duration::from_hours(525_960);
        VersionRecord {
            tenant: TenantId::new("acme").unwrap(),
            purpose: Purpose::data(),
            version: 3,
            state: VersionState::Active,
            created: time,
            key_check: vec![0x76, 0x75, 0xCC, 0x7C, 0x61],
            wrappings: vec![Wrapping {
                id: "w1".to_owned(),
                provider: "aws".to_owned(),
                key_id: KeyId::new("arn:aws:kms:eu-central-1:111122223333:key/mrk-1").unwrap(),
                endpoint: None,
                role: WrappingRole::Primary,
                blob: vec![1, 2, 3, 4],
                verified: time,
            }],
            generation: 7,
        }
    }

    const JSON: &str = "{\"tenant\":\"acme\",\"purpose\":\"data\",\"version\":3,\"state\":\"active\",\
        \"created\":\"2030-01-01T00:00:00Z\",\"key_check\":\"dnXMfGE\",\"wrappings\":[{\"id\":\"w1\",\"provider\":\"aws\",\
        \"key_id\":\"arn:aws:kms:eu-central-1:111122223333:key/mrk-1\",\"role\":\"primary\",\"blob\":\"AQIDBA\",\
        \"verified\":\"2030-01-01T00:00:00Z\"}],\"generation\":7}";

    #[test]
    fn a_version_record_is_the_json_of_the_format() {
        assert_eq!(serde_json::to_string(&record()).unwrap(), JSON);
        assert_eq!(serde_json::from_str::<VersionRecord>(JSON).unwrap(), record());
    }

    #[test]
    fn a_record_with_anything_unknown_repeated_or_impossible_is_refused() {
        for (from, to) in [
            ("{\"tenant\"", "{\"x\":1,\"tenant\""),
            ("{\"tenant\"", "{\"tenant\":\"acme\",\"tenant\""),
            ("\"role\"", "\"x\":1,\"role\""),
            ("\"acme\"", "\"\""),
            ("\"active\"", "\"Active\""),
            ("2030-01-01T00:00:00Z", "2030-01-01"),
            ("dnXMfGE", "dnXMfGE="),
            ("dnXMfGE", "dnXMfGF"),
            ("\"version\":3", "\"version\":-3"),
            ("\"version\":3", "\"version\":4294967296"),
            (",\"generation\":7", ""),
        ] {
            let json = JSON.replacen(from, to, 1);
            assert!(serde_json::from_str::<VersionRecord>(&json).is_err(), "{json}");
        }
    }
}
