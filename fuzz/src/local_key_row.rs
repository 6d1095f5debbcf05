//! A row of the internal KMS that we did not write is no key, whatever the store holds.

use std::time::SystemTime;

use qsec_crypto::kms::{KeyId, Kms, LocalKms, RootKey, WrappedRootKey};
use qsec_crypto::{LocalKeyRow, LocalKeyStore, MemoryStore};

pub fn check(body: &[u8]) {
    let store = MemoryStore::new();
    let row = LocalKeyRow { id: [1; 16], generation: 1, body: body.to_vec() };
    pollster::block_on(LocalKeyStore::write(&store, &row)).unwrap();
    let kms = LocalKms::open(RootKey::from_bytes(&[7; 32]), store).unwrap();
    let key_id = KeyId::new("local:01010101010101010101010101010101").unwrap();
    assert!(pollster::block_on(kms.describe(&key_id, SystemTime::UNIX_EPOCH)).is_err());

    // A root key that another KMS wrapped is a line of JSON too: what is read is written and read again as the same.
    let Ok(line) = std::str::from_utf8(body) else { return };
    if let Ok(wrapped) = WrappedRootKey::parse(line) {
        assert_eq!(WrappedRootKey::parse(&wrapped.to_string()).unwrap(), wrapped);
    }
}
