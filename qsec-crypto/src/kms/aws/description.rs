//! What `DescribeKey` answers, in our words.

use std::time::SystemTime;

use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType, MultiRegionKey};

use super::arn::KeyArn;
use crate::kms::{KeyId, KmsKeyDescription, KmsKeyState};

/// The description of a key that was answered for.
pub(super) fn describe(key_id: &KeyId, arn: &KeyArn<'_>, metadata: &KeyMetadata) -> KmsKeyDescription {
    let described = KmsKeyDescription::new(key_id.clone(), state(metadata));
    let described = described.in_regions(regions(arn, metadata), metadata.multi_region().unwrap_or(false));
    let wraps = metadata.key_usage() == Some(&KeyUsageType::EncryptDecrypt)
        && metadata.key_spec() == Some(&KeySpec::SymmetricDefault);
    let described = if wraps { described } else { described.not_for_wrapping() };
    match deletion_date(metadata) {
        Some(date) => described.deleted_at(date),
        None => described,
    }
}

/// The state. One that is not known here is not taken for a usable one.
pub(super) fn state(metadata: &KeyMetadata) -> KmsKeyState {
    match metadata.key_state() {
        Some(KeyState::Enabled) => KmsKeyState::Enabled,
        Some(KeyState::Disabled) => KmsKeyState::Disabled,
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => KmsKeyState::PendingDeletion,
        Some(KeyState::PendingImport) => KmsKeyState::PendingImport,
        _ => KmsKeyState::Unavailable,
    }
}

/// When the key will be destroyed, if it waits for that and the day is set.
pub(super) fn deletion_date(metadata: &KeyMetadata) -> Option<SystemTime> {
    metadata.deletion_date().and_then(|date| SystemTime::try_from(*date).ok())
}

/// The regions, the primary first; of a key that is in one region, that one.
fn regions(arn: &KeyArn<'_>, metadata: &KeyMetadata) -> Vec<String> {
    let Some(multi) = metadata.multi_region_configuration() else { return vec![arn.region().to_owned()] };
    let keys = multi.primary_key().into_iter().chain(multi.replica_keys());
    keys.filter_map(MultiRegionKey::region).map(str::to_owned).collect()
}
