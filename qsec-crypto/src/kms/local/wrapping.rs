//! The bytes of a tenant key wrapped by the internal KMS.
//!
//! `F5 10 || key id(16) || u32 material version || salt(24) || commitment(32) || chunk(48)`: a Cobblestone-256 message
//! under the key material, bound to `"qsec/v1/local-kms" || key id || u32 material version || wrapping context`.

#![deny(clippy::arithmetic_side_effects)]

use crate::cobblestone;
use crate::header::{LOCAL_KMS_SUITE, MAGIC};
use crate::kdf::ExpandKey;
use crate::kms::KmsError;
use crate::secret::{Secret, SecretKey};

use zeroize::Zeroizing;

const LABEL: &[u8] = b"qsec/v1/local-kms";

/// Bytes before the message: magic, suite, key id, material version.
const NAMES_BYTES: usize = 22;

/// Bytes of the whole: 22, then salt, commitment, and one chunk of a 32-byte key.
const WRAPPING_BYTES: usize = 126;

/// Which key and material version a wrapping names. `None` if the bytes cannot be a wrapping.
pub(super) fn names(blob: &[u8]) -> Option<([u8; 16], u32)> {
    if blob.len() != WRAPPING_BYTES {
        return None;
    }
    let [MAGIC, LOCAL_KMS_SUITE, names @ ..] = blob else { return None };
    let (id, rest) = names.split_first_chunk()?;
    Some((*id, u32::from_be_bytes(*rest.first_chunk()?)))
}

pub(super) fn wrap(
    material: &SecretKey,
    salt: &[u8; 24],
    id: &[u8; 16],
    version: u32,
    key: &SecretKey,
    context: &[u8],
) -> Result<Vec<u8>, KmsError> {
    let names = [&id[..], &version.to_be_bytes()].concat();
    let header = [&[MAGIC, LOCAL_KMS_SUITE], &names[..]].concat();
    cobblestone::seal(&ExpandKey::new(material), salt, &header, &[LABEL, &names, context], key.expose_secret())
        .map_err(|_| KmsError::Internal { what: "a key can be wrapped" })
}

pub(super) fn unwrap(material: &SecretKey, blob: &[u8], context: &[u8]) -> Option<Secret> {
    let (header, message) = blob.split_at_checked(NAMES_BYTES)?;
    let names = header.get(2..)?;
    let key = Zeroizing::new(cobblestone::open(&ExpandKey::new(material), &[LABEL, names, context], message).ok()?);
    Some(Secret::copy_from(&key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::WrappingContext;
    use crate::tenant::{Purpose, TenantId};

    #[test]
    fn a_wrapping_is_that_of_the_worked_example() {
        let tenant_key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let salt = std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap());
        let id = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let context = WrappingContext::new(TenantId::new("acme").unwrap(), Purpose::data(), 3).encode();
        let material = SecretKey::copy_from(&[7; 32]);

        let blob = wrap(&material, &salt, &id, 1, &SecretKey::copy_from(&tenant_key), &context).unwrap();
        assert_eq!(
            hex::encode(&blob),
            "f510000102030405060708090a0b0c0d0e0f00000001404142434445464748494a4b4c4d4e4f5051525354555657\
             462a5a1060d6c1f4f503ad62a71013af4a558a56a896ab7427e59808412c85bb\
             6279315a24fb25300cd003618a1abc4aa58b9d9782e27c38bd6e77075611143472460584a21f328fca7db7a7f02d3a6d"
        );
        assert_eq!(names(&blob), Some((id, 1)));
        assert_eq!(unwrap(&material, &blob, &context).unwrap().expose_secret(), tenant_key);
        assert!(unwrap(&SecretKey::copy_from(&[8; 32]), &blob, &context).is_none());
    }

    #[test]
    fn a_wrapping_has_126_bytes_and_its_own_first_two() {
        let mut blob = vec![0; WRAPPING_BYTES];
        (blob[0], blob[1]) = (MAGIC, LOCAL_KMS_SUITE);
        assert!(names(&blob).is_some());
        assert!(names(&blob[..125]).is_none());
        assert!(names(&[&blob[..], &[0]].concat()).is_none());
        blob[1] = 1;
        assert!(names(&blob).is_none(), "sealed bytes are no wrapping");
    }
}
