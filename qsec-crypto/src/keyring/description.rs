//! What there is to say about a tenant's keys.

use std::time::SystemTime;

use crate::keyring::migration::Migration;
use crate::keyring::policy::{KeyPolicy, KeyWarning, is_single_region};
use crate::keyring::record::{Binding, TenantKeyState, VersionRecord, VersionState, Wrapping, WrappingRole};
use crate::keyring::records::Snapshot;
use crate::keyring::{KeyError, Keyring};
use crate::kms::{KeyId, KmsKeyState};
use crate::stopped::StoppedBy;
use crate::tenant::{Purpose, TenantId};

/// A tenant's keys: their binding, the states that decide, and every version. Made by [`Keyring::describe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyringDescription {
    /// Whose keys they are.
    pub tenant: TenantId,
    /// The state that counts: of the tenant's own and those of the KMS keys, the one that wins.
    pub state: TenantKeyState,
    /// Who is in a state that stops the keys; empty if they can be used.
    pub by: Vec<StoppedBy>,
    /// The provider of the KMS keys.
    pub provider: String,
    /// The KMS keys: primary first, then replicas.
    pub key_ids: Vec<KeyId>,
    /// Where the KMS is reached, if not at its usual place.
    pub endpoint: Option<String>,
    /// When the keys were made.
    pub created: SystemTime,
    /// When they will be destroyed, if the tenant waits for that.
    pub deletion_date: Option<SystemTime>,
    /// What the KMS answers for each of its keys, in the order of `key_ids`.
    pub kms: Vec<KmsKeyAnswer>,
    /// The move to other KMS keys that is under way.
    pub migration: Option<Migration>,
    /// What the tenant demands of its KMS keys.
    pub policy: KeyPolicy,
    /// What is not as it should be, although the keys can be used.
    pub warnings: Vec<KeyWarning>,
    /// Every version of every purpose, by purpose and number.
    pub versions: Vec<VersionDescription>,
}

/// What a KMS answers when asked for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KmsKeyAnswer {
    /// The key.
    pub key_id: KeyId,
    /// Its state, or the code of the error.
    pub state: Result<KmsKeyState, &'static str>,
    /// When it will be destroyed, if it waits for that.
    pub deletion_date: Option<SystemTime>,
}

/// One key version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionDescription {
    /// What it is for.
    pub purpose: Purpose,
    /// Its number.
    pub version: u32,
    /// Its state.
    pub state: VersionState,
    /// When it was made.
    pub created: SystemTime,
    /// Under which KMS keys it is.
    pub wrappings: Vec<WrappingDescription>,
    /// Under which KMS keys of the binding it is not, because they did not answer when it was made.
    /// Filled by [`Keyring::rewrap`].
    pub missing: Vec<KeyId>,
}

/// A key version under one KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappingDescription {
    /// The provider of the KMS key.
    pub provider: String,
    /// The KMS key.
    pub key_id: KeyId,
    /// Where it stands in the order of use.
    pub role: WrappingRole,
    /// When it was last unwrapped and compared for the record.
    pub verified: SystemTime,
}

impl Keyring {
    /// What there is to say about the tenant's keys, asked of store and KMS now. A KMS that does not answer is described
    /// as such; the rest is there all the same.
    ///
    /// # Errors
    /// [`KeyError::TenantNotFound`], [`KeyError::RecordForged`], and [`KeyError::Store`] if the store fails.
    pub async fn describe(&self, now: SystemTime) -> Result<KeyringDescription, KeyError> {
        let records = self.core.load(now).await?;
        let (mut kms, mut warnings) = (Vec::new(), Vec::new());
        for key in records.binding.keys().iter() {
            let answer = self.core.describe_key(&key, now).await;
            if is_single_region(&key.key_id, answer.as_ref().ok()) {
                warnings.push(KeyWarning::SingleRegionKey { key_id: key.key_id.clone() });
            }
            let deletion_date = answer.as_ref().ok().and_then(crate::kms::KmsKeyDescription::deletion_date);
            let state = answer.map(|key| key.state()).map_err(|error| error.code());
            kms.push(KmsKeyAnswer { key_id: key.key_id, state, deletion_date });
        }
        Ok(describe(&records, kms, warnings))
    }
}

fn describe(records: &Snapshot, kms: Vec<KmsKeyAnswer>, warnings: Vec<KeyWarning>) -> KeyringDescription {
    let binding = &records.binding;
    let by_kms = kms.iter().map(|answer| state_of(answer.state)).max().unwrap_or(TenantKeyState::Active);
    let by = [(binding.state, StoppedBy::Tenant), (by_kms, StoppedBy::Kms)];
    KeyringDescription {
        tenant: binding.tenant.clone(),
        state: binding.state.max(by_kms),
        by: by.into_iter().filter_map(|(state, by)| state.stopped().map(|_| by)).collect(),
        provider: binding.provider.clone(),
        key_ids: binding.key_ids.clone(),
        endpoint: binding.endpoint.clone(),
        created: binding.created,
        deletion_date: binding.deletion_date.or_else(|| kms.iter().find_map(|answer| answer.deletion_date)),
        kms,
        migration: Migration::of(records),
        policy: binding.policy(),
        warnings,
        versions: describe_versions(records),
    }
}

pub(super) fn describe_versions(records: &Snapshot) -> Vec<VersionDescription> {
    let described = records.versions.values().map(|version| VersionDescription {
        purpose: version.purpose.clone(),
        version: version.version,
        state: version.state,
        created: version.created,
        wrappings: version.wrappings.iter().map(wrapping).collect(),
        missing: missing(version, &records.binding),
    });
    described.collect()
}

fn missing(version: &VersionRecord, binding: &Binding) -> Vec<KeyId> {
    if version.state == VersionState::Destroyed {
        return Vec::new();
    }
    let keys = binding.keys();
    keys.iter().filter(|key| version.wrapping(key).is_none()).map(|key| key.key_id).collect()
}

fn wrapping(wrapping: &Wrapping) -> WrappingDescription {
    WrappingDescription {
        provider: wrapping.provider.clone(),
        key_id: wrapping.key_id.clone(),
        role: wrapping.role,
        verified: wrapping.verified,
    }
}

/// What a KMS key's state makes of the tenant's key. One that waits for its material counts as disabled; one that is
/// unavailable may come back by itself, and is no state.
fn state_of(state: Result<KmsKeyState, &'static str>) -> TenantKeyState {
    match state {
        Ok(KmsKeyState::Enabled | KmsKeyState::Unavailable) | Err(_) => TenantKeyState::Active,
        Ok(KmsKeyState::Disabled | KmsKeyState::PendingImport) => TenantKeyState::Disabled,
        Ok(KmsKeyState::PendingDeletion) => TenantKeyState::PendingDeletion,
        Ok(KmsKeyState::Destroyed) => TenantKeyState::Destroyed,
    }
}
