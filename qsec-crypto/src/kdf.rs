//! The key hierarchy below a tenant key version: HKDF-Expand-SHA512 (RFC 5869 section 2.3) under fixed labels.
//!
//! Extract is left out, as in C2SP: every key that comes in is uniform already. Messages of the AWS Encryption SDK are the
//! exception, for their format demands it.

#[cfg(feature = "esdk")]
use ring::hkdf::Salt;
use ring::hkdf::{HKDF_SHA512, KeyType, Prk};

use crate::context::push_prefixed;
use crate::secret::SecretKey;
use crate::tenant::{Purpose, TenantId};

const RECORD_LABEL: &[u8] = b"qsec/v1/record";
#[cfg(feature = "esdk")]
const ESDK_WRAP_LABEL: &[u8] = b"qsec/v1/esdk-wrap";
const KEY_CHECK_LABEL: &[u8] = b"qsec/v1/key-check";

/// Our own invariant broke: a length that the primitive does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// A key that others are derived from, ready for HKDF-Expand-SHA512.
///
/// It keeps ring's HMAC state rather than the key, which saves a quarter of the hashing of a short message.
pub(crate) struct ExpandKey {
    prk: Prk,
}

impl ExpandKey {
    pub(crate) fn new(key: &SecretKey) -> Self {
        Self { prk: Prk::new_less_safe(HKDF_SHA512, key.expose_secret()) }
    }

    /// The key that HKDF-Extract makes of another.
    #[cfg(feature = "esdk")]
    pub(crate) fn extract(salt: &[u8], key: &SecretKey) -> Self {
        Self { prk: Salt::new(HKDF_SHA512, salt).extract(key.expose_secret()) }
    }

    pub(crate) fn expand(&self, info: &[&[u8]], out: &mut [u8]) -> Result<(), Broken> {
        self.prk.expand(info, Length(out.len())).and_then(|okm| okm.fill(out)).map_err(|_| Broken)
    }
}

impl Drop for ExpandKey {
    /// Ring does not erase the state, which is as good as the key; another key's state is put in its place. That the
    /// place is looked at afterwards keeps the compiler from leaving the write out.
    fn drop(&mut self) {
        self.prk = Prk::new_less_safe(HKDF_SHA512, &[0; 32]);
        std::hint::black_box(&self.prk);
    }
}

/// HKDF-Expand-SHA512 of a 32-byte key that is used once.
pub(crate) fn expand(key: &SecretKey, info: &[&[u8]], out: &mut [u8]) -> Result<(), Broken> {
    ExpandKey::new(key).expand(info, out)
}

/// A 32-byte key below another.
pub(crate) fn subkey(key: &SecretKey, info: &[&[u8]]) -> Result<SecretKey, Broken> {
    SecretKey::filled_by(|out| expand(key, info, out))
}

/// The record key `K` of one suite. The suite is in the label, so one `K` never serves two algorithms.
pub(crate) fn record_key(tenant_key: &ExpandKey, suite: u8) -> Result<SecretKey, Broken> {
    SecretKey::filled_by(|out| tenant_key.expand(&[RECORD_LABEL, &[suite]], out))
}

/// The interchange key `WK`, which wraps one data key and no second one: its salt is fresh for each message.
#[cfg(feature = "esdk")]
pub(crate) fn esdk_wrapping_key(tenant_key: &ExpandKey, salt: &[u8; 16]) -> Result<SecretKey, Broken> {
    SecretKey::filled_by(|out| tenant_key.expand(&[ESDK_WRAP_LABEL, salt], out))
}

/// The key check: tells that an unwrapped key is the one that was wrapped, and nothing else about it.
pub(crate) fn key_check(
    key: &SecretKey,
    tenant: &TenantId,
    purpose: &Purpose,
    version: u32,
) -> Result<[u8; 32], Broken> {
    let mut check = [0; 32];
    expand(key, &[KEY_CHECK_LABEL, &encode_names(tenant, purpose), &version.to_be_bytes()], &mut check)?;
    Ok(check)
}

/// `lp(tenant) || lp(purpose)`.
pub(crate) fn encode_names(tenant: &TenantId, purpose: &Purpose) -> Vec<u8> {
    let mut names = Vec::with_capacity(4 + tenant.as_str().len() + purpose.as_str().len());
    push_prefixed(&mut names, tenant.as_str());
    push_prefixed(&mut names, purpose.as_str());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant_key() -> SecretKey {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
        SecretKey::copy_from(&bytes)
    }

    #[test]
    fn record_keys_are_those_of_the_worked_example() {
        let of_suite = |suite| hex::encode(record_key(&ExpandKey::new(&tenant_key()), suite).unwrap().expose_secret());
        assert_eq!(of_suite(1), "41cc8ce7a1213dfbc47de1bbfe9949654a2f484da9eea15b9771e047c41a9c20");
        assert_eq!(of_suite(2), "e2c5ed36ab0f03b20462e6e0d1574b80638a1cb6978b3ead55b75d102e709bdd");
    }

    #[cfg(feature = "esdk")]
    #[test]
    fn interchange_key_is_that_of_the_worked_example() {
        let salt = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let key = esdk_wrapping_key(&ExpandKey::new(&tenant_key()), &salt).unwrap();
        assert_eq!(
            hex::encode(key.expose_secret()),
            "960c67f1fb4c88f6312fde2913aa588e379424e3c5a4b08b03401a3c41673fa5"
        );
    }

    #[test]
    fn key_check_is_that_of_the_worked_example_and_binds_each_name() {
        let acme = TenantId::new("acme").unwrap();
        let check = |tenant: &str, purpose: &str, version| {
            let (tenant, purpose) = (TenantId::new(tenant).unwrap(), Purpose::new(purpose).unwrap());
            hex::encode(key_check(&tenant_key(), &tenant, &purpose, version).unwrap())
        };
        let expected = "7675cc7c6199a9034072189e1eb083f75db04655483c76e34e8e5af16333a66b";
        assert_eq!(hex::encode(key_check(&tenant_key(), &acme, &Purpose::data(), 3).unwrap()), expected);
        for (tenant, purpose, version) in
            [("acmf", "data", 3), ("acme", "file", 3), ("acme", "data", 4), ("acmed", "ata", 3)]
        {
            assert_ne!(check(tenant, purpose, version), expected);
        }
    }
}
