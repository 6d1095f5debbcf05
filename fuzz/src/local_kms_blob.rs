//! The internal KMS unwraps what it wrapped, and nothing else.

use std::sync::LazyLock;
use std::time::SystemTime;

use qsec_crypto::kms::{KeyId, Kms, LocalKms, RootKey, WrappingContext};
use qsec_crypto::{MemoryStore, Purpose, SecretKey, TenantId};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

static KMS: LazyLock<(LocalKms, KeyId, WrappingContext, Vec<u8>)> = LazyLock::new(|| {
    let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
    let key_id = pollster::block_on(kms.create_key(NOW)).unwrap();
    let context = WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 3);
    let wrapped = pollster::block_on(kms.wrap(&key_id, &SecretKey::copy_from(&[1; 32]), &context, NOW)).unwrap();
    (kms, key_id, context, wrapped.into_blob())
});

/// The input as it is, and laid over a blob that unwraps: its first bytes must name the key to get any further.
pub fn check(input: &[u8]) {
    let (kms, key_id, context, blob) = &*KMS;
    let unwraps = |blob: &[u8]| pollster::block_on(kms.unwrap(key_id, blob, context, NOW)).is_ok();
    assert!(!unwraps(input));
    let mut changed = blob.clone();
    for (byte, mask) in changed.iter_mut().zip(input) {
        *byte ^= mask;
    }
    assert_eq!(unwraps(&changed), changed == *blob);
}
