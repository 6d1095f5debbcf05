//! Key files: 32 bytes written as 64 hex digits or as base64.

#![deny(clippy::arithmetic_side_effects)]

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

use crate::secret::SecretKey;

/// Most bytes of a key file: 64 hex digits and generous white space at the end.
const MAX_KEY_FILE_BYTES: usize = 1024;

/// A key file cannot be used. The text of the file is in no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The text is neither 64 hex digits nor base64 of 32 bytes.
    #[error(
        "a key is 32 bytes as 64 hex digits or as base64 (43 or 44 characters), this text of {bytes} bytes is neither"
    )]
    NotAKey {
        /// Length of the text without the white space at its end.
        bytes: usize,
    },
    /// The file cannot be read.
    #[error("cannot read key file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than its owner may use the file.
    #[error("key file `{}` has mode {mode:04o}, its owner alone may read it: chmod 600", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl KeyFileError {
    /// The stable name of this error, `key_file_invalid`.
    pub fn code(&self) -> &'static str {
        "key_file_invalid"
    }
}

impl SecretKey {
    /// Reads a key written as 64 hex digits or as standard base64 with or without padding; white space may follow it.
    ///
    /// ```
    /// use qsec_crypto::SecretKey;
    ///
    /// let hex = SecretKey::parse(b"0707070707070707070707070707070707070707070707070707070707070707\n")?;
    /// let base64 = SecretKey::parse(b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")?;
    /// assert!(hex.ct_eq(&base64));
    /// # Ok::<(), qsec_crypto::KeyFileError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyFileError::NotAKey`] for any other text.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let text = text.trim_ascii_end();
        let refused = || KeyFileError::NotAKey { bytes: text.len() };
        match text.len() {
            64 => Self::filled_by(|key| decode_hex(text, key).ok_or_else(refused)),
            43 => decode_base64(&STANDARD_NO_PAD, text).ok_or_else(refused),
            44 => decode_base64(&STANDARD, text).ok_or_else(refused),
            _ => Err(refused()),
        }
    }
}

fn decode_hex(text: &[u8], key: &mut [u8; 32]) -> Option<()> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    for ([high, low], byte) in pairs.iter().zip(key) {
        let high = u8::try_from(char::from(*high).to_digit(16)?).ok()?;
        let low = u8::try_from(char::from(*low).to_digit(16)?).ok()?;
        *byte = (high << 4) | low;
    }
    Some(())
}

fn decode_base64(engine: &impl Engine, text: &[u8]) -> Option<SecretKey> {
    // The engine wants room for its own estimate, which is a byte more than the key.
    let mut bytes = Zeroizing::new([0; 36]);
    let length = engine.decode_slice(text, bytes.as_mut_slice()).ok()?;
    SecretKey::try_from_slice(bytes.get(..length)?)
}

/// Who may read a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner and nobody else.
    OwnerOnly,
    /// Whoever the operator lets: the caller warns.
    Any,
}

/// Reads a key from a file. The permissions are those of the file that was opened, so no one can swap it in between.
pub(crate) fn read(path: &Path, access: Access) -> Result<SecretKey, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if access == Access::OwnerOnly {
        owner_only(path, &file.metadata().map_err(unreadable)?)?;
    }
    // One allocation of the full size: a growing vector would leave copies behind.
    let mut text = Zeroizing::new(vec![0; MAX_KEY_FILE_BYTES]);
    let mut length = 0_usize;
    let mut file = file.take(u64::try_from(MAX_KEY_FILE_BYTES).unwrap_or(0));
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length = length.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    SecretKey::parse(text.get(..length).unwrap_or_default())
}

#[cfg(unix)]
fn owner_only(path: &Path, metadata: &Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = metadata.permissions().mode() & 0o7777;
    let others = mode & 0o077;
    if others == 0 { Ok(()) } else { Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn owner_only(_: &Path, _: &Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn hex_and_base64_name_the_same_key() {
        for text in [HEX, BASE64, BASE64.trim_end_matches('='), &format!("{HEX}\r\n \t"), &format!("{BASE64}\n")] {
            let key = SecretKey::parse(text.as_bytes()).unwrap();
            assert!(key.expose_secret().iter().copied().eq(0..32), "{text}");
        }
    }

    #[test]
    fn any_other_text_is_refused_without_being_shown() {
        let long = "0".repeat(66);
        let wrong_digit = HEX.replace("1F", "1G");
        let spaced = HEX.replacen("00", " 0", 1);
        let trailing_bits = BASE64.replace("8=", "9=");
        for text in
            ["", "00", HEX.trim_end_matches('F'), &long, &wrong_digit, &spaced, &trailing_bits, "é", &BASE64[1..]]
        {
            let error = SecretKey::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "key_file_invalid", "{text}");
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
        assert!(SecretKey::parse(format!(" {HEX}").as_bytes()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn file_that_others_can_read_is_refused_when_its_owner_alone_may() {
        use std::fs::{Permissions, set_permissions, write};
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        write(&path, HEX).unwrap();
        for mode in [0o640, 0o604, 0o610, 0o602, 0o644] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path, Access::OwnerOnly).unwrap_err();
            assert!(matches!(error, KeyFileError::OpenToOthers { mode: found, .. } if found == mode), "{error}");
            assert!(read(&path, Access::Any).is_ok());
        }
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(read(&path, Access::OwnerOnly).is_ok());
    }

    #[test]
    fn missing_and_endless_files_are_refused() {
        let error = read(Path::new("/nonexistent/k"), Access::Any).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            ("key_file_invalid", "cannot read key file `/nonexistent/k`".into())
        );
        if Path::new("/dev/zero").exists() {
            let error = read(Path::new("/dev/zero"), Access::Any).unwrap_err();
            assert!(matches!(error, KeyFileError::NotAKey { bytes: MAX_KEY_FILE_BYTES }), "{error}");
        }
    }
}
