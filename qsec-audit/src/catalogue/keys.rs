//! Keys and KMS.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    KeyCreated = "key.created" FailClosed, severity 1, ocsf 3004:1, alias(), "tenant encryption: unique keys per tenant",
        { version: int, provider: Provider, kms_key: text, purpose: text } personal();
    KeyRotated = "key.rotated" FailClosed, severity 1, ocsf 3004:3, alias(), "tenant encryption: rotation keeps old data readable",
        { version: int, provider: Provider, kms_key: text, from_version: int } personal();
    KeyDisabled = "key.disabled" FailClosed, severity 2, ocsf 3004:9, alias(), "tenant encryption: disabling stops encryption and decryption",
        { version: int, provider: Provider, kms_key: text, by_source as "by": KeyAuthority } personal();
    KeyEnabled = "key.enabled" FailClosed, severity 1, ocsf 3004:8, alias(), "tenant encryption: re-enabling restores access",
        { version: int, provider: Provider, kms_key: text, by_source as "by": KeyAuthority } personal();
    KeyDeletionScheduled = "key.deletion_scheduled" FailClosed, severity 3, ocsf 3004:11, alias(), "tenant encryption: scheduling deletion locks the tenant at once",
        { version: int, provider: Provider, kms_key: text, by_source as "by": KeyAuthority, days: int, due: time } personal();
    KeyDeletionCancelled = "key.deletion_cancelled" FailClosed, severity 1, ocsf 3004:10, alias(), "tenant encryption: deletion can be cancelled while waiting",
        { version: int, provider: Provider, kms_key: text, by_source as "by": KeyAuthority } personal();
    KeyDestroyed = "key.destroyed" FailClosed, severity 3, ocsf 3004:4, alias(), "tenant encryption: destruction ends access for good",
        { version: int, provider: Provider, kms_key: text, by_source as "by": KeyAuthority } personal();
    KeyProviderChangePlanned = "key.provider_change_planned" FailClosed, severity 1, ocsf 3004:3, alias(), "tenant encryption: change of provider, and back",
        { version: int, provider: Provider, kms_key: text, to_provider: Provider, to_kms_key: text, versions: int } personal();
    KeyProviderChanged = "key.provider_changed" FailClosed, severity 1, ocsf 3004:5, alias(), "tenant encryption: change of provider",
        { version: int, provider: Provider, kms_key: text, to_provider: Provider, kms_calls: int, took_ms: int } personal();
    KeyProviderChangeFinished = "key.provider_change_finished" FailClosed, severity 1, ocsf 3004:5, alias(), "tenant encryption: change of provider",
        { version: int, provider: Provider, kms_key: text, kms_calls: int, old_wrappings_removed: int } personal();
    KeyProviderChangeAborted = "key.provider_change_aborted" FailClosed, severity 1, ocsf 3004:3, alias(), "tenant encryption: change of provider",
        { version: int, provider: Provider, kms_key: text, kms_calls: int, old_wrappings_removed: int } personal();
    KeyFailedOver = "key.failed_over" Block, severity 3, ocsf 3004:3, alias(), "tenant encryption: a back-up region in an outage",
        { version: int, provider: Provider, kms_key: text, from_region: text, to_region: text } personal();
    KeyFailedBack = "key.failed_back" Block, severity 1, ocsf 3004:3, alias(), "tenant encryption: a back-up region in an outage",
        { version: int, provider: Provider, kms_key: text, from_region: text, to_region: text } personal();
    KmsWrongKeyReturned = "kms.wrong_key_returned" Block, severity 5, ocsf 2004:1, alias(), "tenant encryption: alarm",
        { version: int, provider: Provider, kms_key: text, operation: text, asked: text, got: text } personal();
    KeyRewrapped = "key.rewrapped" Block, severity 1, ocsf 3004:3, alias(), "tenant encryption: multi-region keys for recovery",
        { version: int, provider: Provider, kms_key: text, region: text } personal();
    KeyUsed = "key.used" CountedDrop, severity 1, ocsf 6005:99, alias(), "tenant encryption: monitoring of key usage",
        { version: int, provider: Provider, kms_key: text, wraps: int, unwraps: int, refused: int } personal();
    KeyCacheDropped = "key.cache_dropped" CountedDrop, severity 1, ocsf 3004:3, alias(), "tenant encryption: control of the key acts on us",
        { version: int, provider: Provider, kms_key: text, entries: int, cause: text } personal();
    KmsUnavailable = "kms.unavailable" Block, severity 3, ocsf 6008:1, alias(), "tenant encryption: data is unavailable while the KMS is",
        { version: int, provider: Provider, kms_key: text, error: text, since: time, breaker: flag } personal();
    KmsRecovered = "kms.recovered" Block, severity 1, ocsf 6008:99, alias(), "tenant encryption: data is available again",
        { version: int, provider: Provider, kms_key: text, down_ms: int } personal();
    KmsDenied = "kms.denied" Block, severity 2, ocsf 6003:2, alias(), "tenant encryption: key policy controls access",
        { version: int, provider: Provider, kms_key: text, operation: text } personal();
    CiphertextRejected = "ciphertext.rejected" Block, severity 2, ocsf 6005:10, alias(), "tenant encryption: authenticated encryption at rest",
        { version: int, provider: Provider, kms_key: text, purpose: text, format: text, count: int, first: time, last: time } personal();
    ReencryptionStarted = "reencryption.started" FailClosed, severity 1, ocsf 3004:3, alias(), "tenant encryption: complete re-encryption",
        { version: int, provider: Provider, kms_key: text, records: int, bytes: int, resumed: flag } personal();
    ReencryptionFinished = "reencryption.finished" Block, severity 1, ocsf 3004:3, alias(), "tenant encryption: complete re-encryption",
        { version: int, provider: Provider, kms_key: text, records: int, bytes: int, resumed: flag } personal();
}
