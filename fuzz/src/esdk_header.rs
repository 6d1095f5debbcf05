//! A header of the AWS Encryption SDK is read or refused; what is read lies within what was given, and within the limits.

use qsec_crypto::esdk::{MAX_DATA_KEY_BYTES, MAX_DATA_KEYS, MAX_HEADER_BYTES, UnopenedMessage};
use qsec_crypto::kms::KeyId;
use qsec_crypto::{Inspection, Purpose, TenantId, inspect};

pub fn check(sealed: &[u8]) {
    let read = UnopenedMessage::read(sealed);
    let inspected = inspect(sealed, None);
    let Ok(message) = read else { return };
    let header = message.header();
    assert!(header.header_bytes() <= sealed.len() && header.header_bytes() <= MAX_HEADER_BYTES);
    assert!((1..=MAX_DATA_KEYS).contains(&header.data_keys().len()));
    let keys: Vec<&str> = header.context().map(|(key, _)| key).collect();
    assert!(keys.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()), "keys are sorted and differ");
    for data_key in header.data_keys() {
        assert!(data_key.ciphertext().len() <= MAX_DATA_KEY_BYTES);
        let _ = (data_key.provider(), data_key.key());
    }
    if let (Ok(acme), Ok(arn)) = (TenantId::new("acme"), KeyId::new("arn:aws:kms:eu-central-1:111122223333:key/mrk-12"))
    {
        let _ = header.tenant_key_version(&acme, &Purpose::data());
        assert!(header.kms_data_keys(&arn).count() <= MAX_DATA_KEYS);
    }
    let Ok(Inspection::Esdk(inspected)) = inspected else { panic!("it is read and cannot be inspected") };
    assert!(inspected.context().eq(header.context()) && inspected.message_id() == header.message_id());
}
