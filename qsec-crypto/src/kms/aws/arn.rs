//! The ARN of a key, and the region that it tells.

#![deny(clippy::arithmetic_side_effects)]

use crate::kms::{KeyId, KmsError};

/// Most bytes of a region's name; the longest of today, `us-isob-east-1` and its like, have less than half of it.
const MAX_REGION_BYTES: usize = 32;

/// Digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// A key ARN that was looked at: `arn:aws:kms:eu-central-1:111122223333:key/…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyArn<'a> {
    region: &'a str,
}

impl<'a> KeyArn<'a> {
    /// Takes an ARN apart. The region becomes a part of the host that is called, so nothing else may stand in its place.
    pub(super) fn parse(key_id: &'a KeyId) -> Result<Self, KmsError> {
        let mut parts = key_id.as_str().splitn(6, ':');
        let [arn, partition, service, region, account, resource] = [(); 6].map(|()| parts.next().unwrap_or_default());
        let key = resource.strip_prefix("key/").unwrap_or_default();
        let is_key = arn == "arn"
            && partition.starts_with("aws")
            && is_made_of(partition, |byte| byte.is_ascii_lowercase() || byte == b'-')
            && service == "kms"
            && is_region(region)
            && account.len() == ACCOUNT_DIGITS
            && is_made_of(account, |byte| byte.is_ascii_digit())
            && is_made_of(key, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_key { Ok(Self { region }) } else { Err(not_an_arn(key_id)) }
    }

    /// Where the key is.
    pub(super) fn region(&self) -> &'a str {
        self.region
    }
}

/// Whether this may be the name of a region.
pub(super) fn check_region(region: &str) -> Result<(), KmsError> {
    if is_region(region) {
        return Ok(());
    }
    let shown: String = region.chars().filter(|character| !character.is_control()).take(MAX_REGION_BYTES).collect();
    Err(KmsError::Usage { what: format!("`{shown}` is not the name of an AWS region") })
}

fn is_region(text: &str) -> bool {
    text.len() <= MAX_REGION_BYTES
        && is_made_of(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn not_an_arn(key_id: &KeyId) -> KmsError {
    let what = format!("`{key_id}` is not the ARN of a key in AWS KMS; an alias is resolved when it is configured");
    KmsError::Usage { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: &str) -> Result<String, &'static str> {
        let key_id = KeyId::new(id).unwrap();
        KeyArn::parse(&key_id).map(|arn| arn.region().to_owned()).map_err(|error| error.code())
    }

    #[test]
    fn the_region_is_that_of_the_arn() {
        for (id, expected) in [
            ("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "eu-central-1"),
            ("arn:aws:kms:us-east-1:000000000000:key/mrk-1234abcd", "us-east-1"),
            ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1", "us-gov-west-1"),
            ("arn:aws-cn:kms:cn-north-1:111122223333:key/1", "cn-north-1"),
        ] {
            assert_eq!(region(id), Ok(expected.to_owned()));
        }
    }

    /// A region goes into the name of the host that is sent signed requests.
    #[test]
    fn what_is_no_key_arn_is_refused() {
        for id in [
            "alias/acme",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-central-1:111122223333:alias/acme",
            "arn:aws:kms:eu-central-1:111122223333:key/",
            "arn:aws:kms:eu-central-1:111122223333:key/a/b",
            "arn:aws:kms:eu-central-1:111122223333:key/a:b",
            "arn:aws:kms:eu-central-1:11112222333:key/a",
            "arn:aws:kms::111122223333:key/a",
            "arn:aws:kms:evil.example/:111122223333:key/a",
            "arn:aws:kms:EU-central-1:111122223333:key/a",
            "arn:aws:kms:a234567890123456789012345678901234:111122223333:key/a",
            "arn:aws:s3:eu-central-1:111122223333:key/a",
            "arn:evil:kms:eu-central-1:111122223333:key/a",
            "urn:aws:kms:eu-central-1:111122223333:key/a",
            "arn:aws:kms",
            "local:000102030405060708090a0b0c0d0e0f",
        ] {
            assert_eq!(region(id), Err("usage"), "{id}");
        }
        assert_eq!(check_region("eu central").unwrap_err().code(), "usage");
    }
}
