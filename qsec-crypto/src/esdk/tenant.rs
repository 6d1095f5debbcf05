//! Messages of a tenant: the data key is wrapped under a key derived from the tenant's.

use std::io::{Read, Write};

use super::header::{MessageHeader, TENANT_NAMESPACE, WrappedKey};
use super::{DataKey, EsdkOpener, EsdkSealer, FrameLength, MessageContext, RawAesKey, UnopenedMessage, message};
use crate::TenantKey;
use crate::context::{Context, ContextError};
use crate::error::{OpenError, SealError};
use crate::kdf::Broken;
use crate::refusal::Refusal;
use crate::secret::{SecretKey, random};
use crate::tenant::{Purpose, TenantId};

/// Bytes of the salt of a wrapping key, which is thereby one message's own.
pub(super) const SALT_BYTES: usize = 16;

impl TenantKey {
    /// Seals bytes as a message of the AWS Encryption SDK, in frames of 64 KiB. The message carries the context, tenant
    /// and purpose for everyone to read.
    ///
    /// ```
    /// use qsec_crypto::{Context, RawKey, SecretKey, TenantId};
    ///
    /// let raw = RawKey::new(SecretKey::generate()?).for_tenant(TenantId::new("acme")?);
    /// let sealed = raw.at_version(3)?.seal_esdk(b"4,200 EUR", &Context::from([("table", "orders")]))?;
    /// assert_eq!(raw.at_version(3)?.open_esdk(&sealed, &Context::empty())?, b"4,200 EUR");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`TenantKey::seal`]; [`SealError::Context`] also for a reserved key; [`SealError::MessageTooLong`] beyond
    /// 2³² − 1 frames.
    pub fn seal_esdk(&self, plaintext: &[u8], context: &Context) -> Result<Vec<u8>, SealError> {
        self.esdk_data_key(context)?.seal(plaintext, FrameLength::default())
    }

    /// Seals a stream as a message of the AWS Encryption SDK, in frames of this length.
    ///
    /// # Errors
    /// As [`Self::seal_esdk`]; [`SealError::Write`] if the writer fails.
    pub fn esdk_sealer<W: Write>(
        &self,
        writer: W,
        context: &Context,
        frame_length: FrameLength,
    ) -> Result<EsdkSealer<W>, SealError> {
        self.esdk_data_key(context)?.sealer_for(writer, frame_length, self.lifetime())
    }

    /// Opens a message of the AWS Encryption SDK that was sealed under this version of this tenant's key and purpose, and
    /// holds at least the pairs of this context. [`MessageHeader::tenant_key_version`] tells the version.
    ///
    /// # Errors
    /// As [`TenantKey::open`]; [`OpenError::BudgetExceeded`] by what the header says; [`OpenError::Context`] also for a
    /// reserved key.
    pub fn open_esdk(&self, sealed: &[u8], context: &Context) -> Result<Vec<u8>, OpenError> {
        self.is_not_stopped()?;
        let context = self.message_context(context)?;
        message::open(sealed, &context, &self.reporter(), |header| self.unwrap(header))
    }

    /// Opens such a message as a stream.
    ///
    /// # Errors
    /// As [`Self::open_esdk`]; [`OpenError::Read`] if the reader fails.
    pub fn esdk_opener<R: Read>(&self, reader: R, context: &Context) -> Result<EsdkOpener<R>, OpenError> {
        self.is_not_stopped()?;
        let context = self.message_context(context)?;
        let message = UnopenedMessage::read(reader)?;
        let data_key = self.unwrap(message.header()).map_err(|refusal| self.reporter().refused(refusal))?;
        message.open_for(&data_key, &context, self.lifetime())
    }

    fn esdk_data_key(&self, context: &Context) -> Result<DataKey, SealError> {
        self.may_seal()?;
        let mut data_key = DataKey::generate(self.message_context(context)?)?;
        data_key.wrap(&self.wrapping_key(random()?)?)?;
        Ok(data_key)
    }

    fn message_context(&self, context: &Context) -> Result<MessageContext, ContextError> {
        MessageContext::of_tenant(self.tenant(), self.purpose(), context)
    }

    fn wrapping_key(&self, salt: [u8; SALT_BYTES]) -> Result<RawAesKey, Broken> {
        let mut name = name_prefix(self.tenant(), self.purpose());
        name.push_str(&self.version().to_string());
        name.push('/');
        name.extend(
            salt.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)),
        );
        Ok(RawAesKey::of_tenant(TENANT_NAMESPACE, name, self.esdk_wrapping_key(&salt)?))
    }

    fn unwrap(&self, header: &MessageHeader) -> Result<SecretKey, Refusal> {
        for data_key in header.data_keys() {
            let named = data_key.tenant_key(self.tenant(), self.purpose());
            if let Some((version, salt)) = named
                && version == self.version()
                && let Some(data_key) = self.wrapping_key(salt)?.unwrap(data_key, &header.encoded_context)?
            {
                return Ok(data_key);
            }
        }
        Err(Refusal::DataKey)
    }
}

impl WrappedKey {
    /// The version and the salt, if it is wrapped under a key of this tenant and purpose, in the one way of writing it.
    pub(super) fn tenant_key(&self, tenant: &TenantId, purpose: &Purpose) -> Option<(u32, [u8; SALT_BYTES])> {
        if self.provider != TENANT_NAMESPACE {
            return None;
        }
        let name = std::str::from_utf8(self.raw_aes_name()?).ok()?;
        let (version, salt) = name.strip_prefix(&name_prefix(tenant, purpose))?.split_once('/')?;
        let number: u32 = version.parse().ok()?;
        let (digits, []) = salt.as_bytes().as_chunks::<2>() else { return None };
        let mut bytes = [0; SALT_BYTES];
        if number.to_string() != version || digits.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
            *byte = (digit(*high)? << 4) | digit(*low)?;
        }
        Some((number, bytes))
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character ^ b'0'),
        b'a'..=b'f' => character.checked_sub(b'a' - 10),
        _ => None,
    }
}

fn name_prefix(tenant: &TenantId, purpose: &Purpose) -> String {
    format!("{tenant}/{purpose}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(provider: &str, name: &str) -> Option<(u32, [u8; 16])> {
        let info = [name.as_bytes(), &[0; 20]].concat();
        let data_key = WrappedKey { provider: provider.to_owned(), info, ciphertext: vec![0; 48] };
        data_key.tenant_key(&TenantId::new("acme").unwrap(), &Purpose::data())
    }

    #[test]
    fn a_name_has_one_way_of_writing() {
        let salt = "000102030405060708090a0b0c0d0e0f";
        let expected = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(named("qsec", &format!("acme/data/3/{salt}")), Some((3, expected)));
        assert_eq!(named("qsec", &format!("acme/data/4294967295/{salt}")), Some((u32::MAX, expected)));
        for name in [
            format!("acme/data/03/{salt}"),
            format!("acme/data/+3/{salt}"),
            format!("acme/data/4294967296/{salt}"),
            format!("acme/data//{salt}"),
            format!("acme/data/3/{}", salt.to_uppercase()),
            format!("acme/data/3/{salt}00"),
            format!("acme/data/3/{}", &salt[2..]),
            format!("acme/data/3/{}", &salt[1..]),
            format!("acme/files/3/{salt}"),
            format!("acmf/data/3/{salt}"),
            format!("/acme/data/3/{salt}"),
        ] {
            assert_eq!(named("qsec", &name), None, "{name}");
        }
        assert_eq!(named("other", &format!("acme/data/3/{salt}")), None);
    }
}
