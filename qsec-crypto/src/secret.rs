//! Bytes that must not be seen: erased when they go, never copied by accident, never printed.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The kernel gave no random bytes. Nothing was sealed or created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kernel gave no random bytes")]
#[non_exhaustive]
pub struct RandomError;

impl RandomError {
    /// The stable name of this error, `internal`.
    pub fn code(&self) -> &'static str {
        "internal"
    }
}

/// A secret of any length: a passphrase, a PIN, a token, the plaintext that a KMS returned.
///
/// It lives on the heap, is erased when dropped, prints as `Secret(..)`, and is compared only in constant time.
///
/// ```
/// use qsec_crypto::Secret;
///
/// let pin = Secret::copy_from(b"1234");
/// assert_eq!(pin.expose_secret(), b"1234");
/// assert_eq!(format!("{pin:?}"), "Secret(..)");
/// ```
///
/// It has no `Clone`, no `==` and no `Display`:
///
/// ```compile_fail,E0599
/// let pin = qsec_crypto::Secret::copy_from(b"1234");
/// let copy = pin.clone();
/// ```
/// ```compile_fail,E0369
/// let (a, b) = (qsec_crypto::Secret::copy_from(b"1"), qsec_crypto::Secret::copy_from(b"1"));
/// assert!(a == b);
/// ```
/// ```compile_fail,E0277
/// println!("{}", qsec_crypto::Secret::copy_from(b"1234"));
/// ```
pub struct Secret {
    bytes: Box<[u8]>,
}

impl Secret {
    /// Copies bytes into a new secret. The source is the caller's to erase.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The bytes. The one place to look for when asking where a secret goes.
    pub fn expose_secret(&self) -> &[u8] {
        &self.bytes
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Compares in time that depends on the lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

/// A key of 32 bytes, kept as [`Secret`] keeps its bytes.
///
/// ```
/// use qsec_crypto::SecretKey;
///
/// let key = SecretKey::generate()?;
/// assert!(!key.ct_eq(&SecretKey::generate()?));
/// assert_eq!(format!("{key:?}"), "SecretKey(..)");
/// # Ok::<(), qsec_crypto::RandomError>(())
/// ```
///
/// It cannot be copied, compared with `==`, printed, taken for its bytes, or written into a document by accident:
///
/// ```compile_fail,E0599
/// let copy = qsec_crypto::SecretKey::copy_from(&[7; 32]).clone();
/// ```
/// ```compile_fail,E0369
/// let (a, b) = (qsec_crypto::SecretKey::copy_from(&[7; 32]), qsec_crypto::SecretKey::copy_from(&[7; 32]));
/// assert!(a == b);
/// ```
/// ```compile_fail,E0277
/// println!("{}", qsec_crypto::SecretKey::copy_from(&[7; 32]));
/// ```
/// ```compile_fail,E0614
/// let bytes = *qsec_crypto::SecretKey::copy_from(&[7; 32]);
/// ```
/// ```compile_fail,E0277
/// let text = serde_json::to_string(&qsec_crypto::SecretKey::copy_from(&[7; 32]));
/// ```
/// ```compile_fail,E0616
/// let bytes = &qsec_crypto::SecretKey::copy_from(&[7; 32]).page;
/// ```
pub struct SecretKey {
    /// Let go before the page is: fields are dropped in their order.
    #[cfg(feature = "locked-memory")]
    lock: Option<region::LockGuard>,
    page: Box<Page>,
}

/// A key in a page of its own where pages are locked, so that unlocking it cannot unlock another secret beside it.
#[cfg_attr(feature = "locked-memory", repr(align(4096)))]
struct Page([u8; 32]);

impl SecretKey {
    /// 32 bytes from the kernel.
    ///
    /// # Errors
    /// [`RandomError`] if the kernel gives none.
    pub fn generate() -> Result<Self, RandomError> {
        Self::filled_by(|bytes| SystemRandom::new().fill(bytes).map_err(|_| RandomError))
    }

    /// Copies a key. The source is the caller's to erase.
    pub fn copy_from(bytes: &[u8; 32]) -> Self {
        let mut key = Self::zeros();
        key.page.0.copy_from_slice(bytes);
        key
    }

    /// Copies a key from bytes that may have another length: then `None`.
    pub fn try_from_slice(bytes: &[u8]) -> Option<Self> {
        <&[u8; 32]>::try_from(bytes).ok().map(Self::copy_from)
    }

    /// Lets `fill` write the key where it will stay.
    pub(crate) fn filled_by<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self::zeros();
        fill(&mut key.page.0)?;
        Ok(key)
    }

    /// Where a key will be written: locked before there is anything to hide.
    fn zeros() -> Self {
        let page = Box::new(Page([0; 32]));
        Self {
            #[cfg(feature = "locked-memory")]
            lock: region::lock(&raw const *page, size_of::<Page>()).ok(),
            page,
        }
    }

    /// Whether its page is locked in memory, and so never swapped out. It is, unless the system refuses: processes may
    /// lock so many pages (`ulimit -l`), and a key takes one. A program that must not run without asks here.
    ///
    /// ```
    /// let key = qsec_crypto::SecretKey::generate()?;
    /// if !key.is_locked() {
    ///     eprintln!("keys may be swapped out: raise `ulimit -l`");
    /// }
    /// # Ok::<(), qsec_crypto::RandomError>(())
    /// ```
    #[cfg(feature = "locked-memory")]
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// The bytes. The one place to look for when asking where a key goes.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.page.0
    }

    /// Compares in constant time.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.page.0.as_slice().ct_eq(other.page.0.as_slice()).into()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.page.0.zeroize();
    }
}

impl ZeroizeOnDrop for SecretKey {}

/// Public bytes from the kernel: salts and identifiers.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_by_content_and_length() {
        let secret = Secret::copy_from(b"abc");
        assert!(secret.ct_eq(&Secret::copy_from(b"abc")));
        assert!(!secret.ct_eq(&Secret::copy_from(b"abd")));
        assert!(!secret.ct_eq(&Secret::copy_from(b"abcd")));
        assert_eq!((secret.len(), secret.is_empty()), (3, false));
    }

    #[test]
    fn a_key_has_32_bytes_and_no_other_length() {
        for length in [0, 1, 31, 33, 64] {
            assert!(SecretKey::try_from_slice(&vec![1; length]).is_none(), "{length}");
        }
        assert_eq!(SecretKey::try_from_slice(&[1; 32]).unwrap().expose_secret(), &[1; 32]);
    }

    #[cfg(all(feature = "locked-memory", target_os = "linux"))]
    #[test]
    fn a_key_has_a_locked_page_of_its_own() {
        let locked_kib = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let keys: Vec<SecretKey> = (0..8).map(|byte| SecretKey::copy_from(&[byte; 32])).collect();
        let pages: std::collections::BTreeSet<usize> =
            keys.iter().map(|key| key.expose_secret().as_ptr().addr() >> 12).collect();
        assert_eq!(pages.len(), keys.len());
        assert!(keys.iter().zip(0..).all(|(key, byte)| key.expose_secret() == &[byte; 32]));
        if keys.iter().all(SecretKey::is_locked) {
            // Other tests lock and unlock pages meanwhile; those of these keys are locked for as long as they live.
            assert!(locked_kib() >= 8 * 4);
        } else {
            println!("not run: locked memory: this process may lock too few pages");
        }
    }

    #[test]
    fn debug_shows_no_byte() {
        let shown = format!("{:?} {:?}", Secret::copy_from(&[0xAB; 4]), SecretKey::copy_from(&[0xAB; 32]));
        assert_eq!(shown, "Secret(..) SecretKey(..)");
    }
}
