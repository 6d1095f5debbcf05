//! AES-256-GCM, in place and with the tag apart, by one of several implementations.
//!
//! Which one is chosen when the crate is built: `aws-lc-rs` if that feature is on, else `aes-gcm` if that one is, else
//! ring. It shows in no signature and in no byte: the tests of this module seal the same messages with all that are
//! compiled, and compare. Everything else stays with ring: derivation, digests, signatures, randomness.

#![deny(clippy::arithmetic_side_effects)]

use crate::kdf::Broken;

#[cfg(feature = "aws-lc-rs")]
pub(crate) mod aws_lc;
#[cfg(all(test, feature = "aws-lc-rs", feature = "aes-gcm"))]
mod equality;
#[cfg(any(
    not(any(feature = "aws-lc-rs", feature = "aes-gcm")),
    all(test, feature = "aws-lc-rs", feature = "aes-gcm")
))]
pub(crate) mod in_ring;
#[cfg(all(feature = "aes-gcm", any(test, not(feature = "aws-lc-rs"))))]
pub(crate) mod portable;

/// The implementation that this build uses.
#[cfg(feature = "aws-lc-rs")]
pub(crate) type Chosen = aws_lc::Key;
#[cfg(all(feature = "aes-gcm", not(feature = "aws-lc-rs")))]
pub(crate) type Chosen = portable::Key;
#[cfg(not(any(feature = "aws-lc-rs", feature = "aes-gcm")))]
pub(crate) type Chosen = in_ring::Key;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;

/// The tag is not that of this text, nonce and associated data under this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongTag;

/// A key of AES-256-GCM. That no nonce comes twice under it is the caller's to keep.
pub(crate) trait Aead: Sized + Send + Sync {
    fn new(key: &[u8; 32]) -> Result<Self, Broken>;

    /// Encrypts the text in place and returns its tag.
    fn seal(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_BYTES], Broken>;

    /// Decrypts the text in place, if the tag is right. If it is wrong, what is left in `text` must not be looked at.
    fn open(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], text: &mut [u8], tag: [u8; TAG_BYTES])
    -> Result<(), WrongTag>;
}
