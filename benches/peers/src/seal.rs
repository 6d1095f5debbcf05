//! The same bytes to whoever seals them: `qsec-crypto` in two formats, ring alone, kms-aead, Tink; and, each behind a feature
//! of its name, the AWS Encryption SDK and Asherah.
//!
//! Each has its keys, and the plaintext in the type that it takes, before anything is timed. What is timed is one
//! [`seal`](Sealer::seal) or one [`open`](Sealer::open) with associated data, and the allocation of what comes out.

#[cfg(feature = "asherah")]
mod asherah;
#[cfg(feature = "aws-esdk")]
mod aws_esdk;
mod kms_aead;
mod qsec;
mod ring;
mod tink;

use ::ring::rand::{SecureRandom, SystemRandom};

#[cfg(feature = "asherah")]
pub use self::asherah::Asherah;
#[cfg(feature = "aws-esdk")]
pub use self::aws_esdk::AwsEsdk;
pub use self::kms_aead::KmsAead;
pub use self::qsec::{Esdk, Native};
pub use self::ring::Ring;
pub use self::tink::Tink;

/// What the bytes belong to: each peer authenticates it in the form that it takes.
const CONTEXT: [(&str, &str); 2] = [("table", "orders"), ("row", "17")];

/// The same for those who take bytes.
const ASSOCIATED_DATA: &str = "table=orders,row=17";

/// Whose the wrapping key of an AWS Encryption SDK message is, and which: the same for us and for the SDK.
const ESDK_NAMESPACE: &str = "peers";
const ESDK_NAME: &str = "key";

/// How such a message begins: format 2, suite 0x0478.
#[cfg(feature = "aws-esdk")]
const ESDK_START: [u8; 3] = [0x02, 0x04, 0x78];

/// Whatever a peer has to say against what it was given.
pub type SealerError = Box<dyn std::error::Error>;

/// Somebody who seals and opens, with its keys in memory.
pub trait Sealer {
    /// The name under which its times are reported.
    const NAME: &'static str;

    /// A plaintext, in the type that it takes.
    type Plaintext;

    /// What it makes of it.
    type Sealed: Clone;

    /// Bytes as a plaintext.
    fn plaintext(bytes: &[u8]) -> Self::Plaintext;

    /// A plaintext as bytes.
    fn bytes(plaintext: &Self::Plaintext) -> &[u8];

    /// Flips a bit of the last byte of what is authenticated.
    fn damage(sealed: &mut Self::Sealed);

    /// Seals.
    ///
    /// # Errors
    /// Whatever the peer reports.
    fn seal(&self, plaintext: &Self::Plaintext) -> Result<Self::Sealed, SealerError>;

    /// Opens.
    ///
    /// # Errors
    /// Whatever the peer reports: first of all, that somebody changed what was sealed.
    fn open(&self, sealed: Self::Sealed) -> Result<Self::Plaintext, SealerError>;
}

/// Seals and opens once, and opens what was changed.
///
/// # Errors
/// Bytes that come back different, and changed ones that come back at all.
pub fn check<S: Sealer>(sealer: &S, bytes: &[u8]) -> Result<(), SealerError> {
    let mut sealed = sealer.seal(&S::plaintext(bytes))?;
    if S::bytes(&sealer.open(sealed.clone())?) != bytes {
        return Err(format!("{} opens other bytes than it sealed", S::NAME).into());
    }
    S::damage(&mut sealed);
    if sealer.open(sealed).is_ok() {
        return Err(format!("{} opens what was changed", S::NAME).into());
    }
    Ok(())
}

/// Has each of two that write the same format open what the other sealed.
///
/// # Errors
/// Bytes that come back different, a message that is not of format 2 and suite 0x0478, or two of different lengths: then the
/// two did not do the same work.
#[cfg(feature = "aws-esdk")]
pub fn exchange(ours: &Esdk, theirs: &AwsEsdk, bytes: &[u8]) -> Result<(), SealerError> {
    let (mine, yours) = (ours.seal(&bytes.to_vec())?, theirs.seal(&bytes.to_vec())?);
    if !mine.starts_with(&ESDK_START) || !yours.starts_with(&ESDK_START) || mine.len() != yours.len() {
        return Err(format!("two messages that are not alike, of {} and {} bytes", mine.len(), yours.len()).into());
    }
    if theirs.open(mine)? != bytes || ours.open(yours)? != bytes {
        return Err("opened are other bytes than were sealed".into());
    }
    Ok(())
}

/// A key of this run.
///
/// # Errors
/// No random bytes.
pub fn random_key() -> Result<[u8; 32], SealerError> {
    let mut key = [0; 32];
    SystemRandom::new().fill(&mut key).map_err(|_| "no random bytes")?;
    Ok(key)
}

/// Flips a bit of the last byte.
fn flip_last(sealed: &mut [u8]) {
    if let Some(last) = sealed.last_mut() {
        *last ^= 1;
    }
}
