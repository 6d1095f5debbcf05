//! Messages of the AWS Encryption SDK, format 2, for exchange with those who use it.
//!
//! Written is suite `0x0478` (AES-256-GCM, HKDF-SHA512, key commitment), in frames. Read are `0x0478` and `0x0578` (the
//! same with an ECDSA P-384 signature), in frames or as one block. Every other suite and format 1 are refused by name:
//! they do not commit to their key. Data keys are wrapped under raw AES keys, or (with feature `aws-kms`) by keys of AWS
//! KMS; for any other way to call a KMS they are held and handed out.
//!
//! ```
//! use qsec_crypto::esdk::{RawAesKey, RawAesKeyring};
//! use qsec_crypto::{Context, SecretKey};
//!
//! let ours = RawAesKey::new("acme", "ours", SecretKey::generate()?)?;
//! let theirs = RawAesKey::new("partner", "2030", SecretKey::generate()?)?;
//! let keyring = RawAesKeyring::new([ours, theirs])?;              // either key opens it
//!
//! let sealed = keyring.seal(b"4,200 EUR", &Context::from([("table", "orders"), ("row", "17")]))?;
//! let opened = keyring.open(&sealed, &Context::from([("table", "orders")]))?;
//! assert_eq!(opened, b"4,200 EUR");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What differs from native sealed bytes
//!
//! - The **context** stands in the message for everyone to read. A reader names the pairs it demands; the message may
//!   hold more. Keys that begin `qsec:` or `aws-crypto-` are not the caller's. A message of a tenant
//!   ([`TenantKey::seal_esdk`](crate::TenantKey::seal_esdk)) always holds `qsec:tenant` and `qsec:purpose`, and its reader
//!   always demands them.
//! - The **end** is the end: bytes after the last frame, or after the signature, are refused. The official SDK for Python
//!   ignores them.
//! - A **signed** message is read whole and its signature verified before a byte leaves; so is one block.
//!
//! # A header is never rewritten
//!
//! The message id and the data key fix the key of the message, and the header's tag uses nonce 0 under it. A second
//! header with the same id and data key, for another set of readers, would repeat a nonce of GCM and give away its
//! authentication key. Therefore nothing here takes a header and returns another: [`DataKey`] is consumed by the one
//! message that it seals, under an id drawn there, and a [`MessageHeader`] that was read cannot be written. To change who
//! can open a message, seal it again.
//!
//! ```compile_fail,E0382
//! # use qsec_crypto::esdk::{DataKey, FrameLength, MessageContext};
//! # use qsec_crypto::Context;
//! let key = DataKey::generate(MessageContext::new(&Context::empty()).unwrap()).unwrap();
//! let one = key.seal(b"one", FrameLength::default());
//! let two = key.seal(b"two", FrameLength::default());
//! ```

mod body;
mod context;
mod data_key;
mod header;
#[cfg(feature = "aws-kms")]
mod kms_keyring;
mod message;
mod opener;
mod raw_aes;
mod sealer;
mod signature;
mod tenant;

pub use context::MessageContext;
pub use data_key::DataKey;
pub use header::{Content, EsdkSuite, MessageHeader, WrappedKey};
#[cfg(feature = "aws-kms")]
pub use kms_keyring::{KmsKeyring, KmsMessageError};
pub use message::UnopenedMessage;
pub use opener::EsdkOpener;
pub use raw_aes::{RawAesKey, RawAesKeyError, RawAesKeyring};
pub use sealer::{EsdkSealer, FrameLength, FrameLengthError};

/// Most bytes of a header that is read, 256 KiB: 8 data keys with the longest names that their lengths can say need more,
/// and no one writes such.
pub const MAX_HEADER_BYTES: usize = 256 << 10;

/// Most encrypted data keys of a message, 8: each may cost its reader a call of a KMS, and the format allows 65,535.
pub const MAX_DATA_KEYS: usize = 8;

/// Most bytes of one encrypted data key: AWS KMS answers with at most 6,144.
pub const MAX_DATA_KEY_BYTES: usize = 8_192;

/// Most bytes of the namespace or name of a raw AES key: 8 data keys of this length fit a header.
pub const MAX_KEY_NAME_BYTES: usize = 8_192;

/// Most plaintext bytes of a frame that is read, 32 MiB: a frame is held whole before it verifies.
pub const MAX_FRAME_BYTES: u32 = 32 << 20;

/// Most plaintext bytes of a frame that is written, 16 MiB.
pub const MAX_WRITTEN_FRAME_BYTES: u32 = 16 << 20;

/// Most plaintext bytes of a message in one block, 64 MiB: it is held whole before it verifies.
pub const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// Most bytes of a signed message that is read as a stream, 64 MiB: it is held whole before its signature verifies.
pub const MAX_SIGNED_BYTES: usize = 64 << 20;
