//! The forward-secure MAC: who takes the machine now cannot re-make what was committed before.

use std::fmt;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::meta::{hex, parse_hex};
use crate::merkle::Hash;
use crate::note::KeyError;

/// A key of the MAC chain. The first one leaves the machine: whoever keeps it can check every frame.
///
/// It is zeroized when it goes; it is neither shown nor copied.
///
/// ```
/// use qsec_audit::MacKey;
///
/// let key = MacKey::generate()?;
/// assert_eq!(format!("{key:?}"), "MacKey(..)");
/// let line = key.to_escrow_line();
/// assert_eq!(MacKey::parse_escrow_line(line.expose_secret()).map(|read| *read.expose_secret()), Some(*key.expose_secret()));
/// # Ok::<(), qsec_audit::KeyError>(())
/// ```
pub struct MacKey(Box<Zeroizing<[u8; 32]>>);

impl MacKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the kernel gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        SystemRandom::new().fill(key.0.as_mut_slice()).map_err(|_| KeyError::Random)?;
        Ok(key)
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut held = Box::new(Zeroizing::new([0; 32]));
        held.copy_from_slice(bytes);
        Self(held)
    }

    /// The bytes, to be sealed or kept elsewhere.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// One line of 64 hexadecimal digits, without newline.
    #[must_use]
    pub fn to_escrow_line(&self) -> EscrowLine {
        EscrowLine(Zeroizing::new(hex(self.0.as_slice())))
    }

    /// Reads an escrow line; a newline at its end is accepted.
    #[must_use]
    pub fn parse_escrow_line(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let bytes = Zeroizing::new(parse_hex(line.strip_suffix('\n').unwrap_or(line))?);
        Some(Self::from_bytes(&bytes))
    }

    /// `next(K) = HMAC-SHA256(K, "qsec-audit/next/v1\0")`.
    pub(crate) fn next(&self) -> Self {
        let tag = hmac::sign(&self.hmac(), b"qsec-audit/next/v1\0");
        let mut next = Self(Box::new(Zeroizing::new([0; 32])));
        next.0.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        next
    }

    pub(crate) fn copy(&self) -> Self {
        Self::from_bytes(&self.0)
    }

    pub(crate) fn mac(&self, log_id: &[u8; 16], commit: u64, chain: &Hash) -> Hash {
        let mut context = hmac::Context::with_key(&self.hmac());
        for part in [b"qsec-audit/mac/v1\0".as_slice(), log_id, &commit.to_be_bytes(), chain] {
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        mac
    }

    pub(crate) fn accepts(&self, log_id: &[u8; 16], commit: u64, chain: &Hash, mac: &Hash) -> bool {
        self.mac(log_id, commit, chain).ct_eq(mac).into()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice())
    }
}

/// The first key as a line of text, zeroized when it goes.
///
/// ```
/// use qsec_audit::MacKey;
///
/// let line = MacKey::from_bytes(&[0x42; 32]).to_escrow_line();
/// assert_eq!(line.expose_secret(), "42".repeat(32).as_bytes());
/// assert_eq!(format!("{line:?}"), "EscrowLine(..)");
/// ```
pub struct EscrowLine(Zeroizing<String>);

impl EscrowLine {
    /// The line, without newline: to be written to a file that leaves the machine.
    pub fn expose_secret(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for EscrowLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EscrowLine(..)")
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}
