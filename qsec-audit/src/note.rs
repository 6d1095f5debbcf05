//! Signed notes (C2SP signed-note) and checkpoints (C2SP tlog-checkpoint), with Ed25519 (RFC 8032).
#![deny(clippy::arithmetic_side_effects)]

mod checkpoint;
mod key;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use checkpoint::Checkpoint;
pub use key::{KeyError, SigningKey, VerifierKey};

/// Most signature lines of a note that are read: 64.
pub(crate) const MAX_SIGNATURES: usize = 64;
/// Longest line of a note: 8 KiB.
pub(crate) const MAX_LINE: usize = 8 * 1024;
/// Longest note that is read: all its signature lines at their longest, and as much again for its text.
pub(crate) const MAX_NOTE: usize = 2 * MAX_SIGNATURES * MAX_LINE;

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It does not follow the format, strictly read.
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    /// The signature of a known key does not fit, even if that of another one does.
    #[error("the signature of `{0}` does not fit the note")]
    BadSignature(String),
    /// None of the given keys signed.
    #[error("no given key signed the note")]
    UnknownKey,
    /// The checkpoint is of another origin than the key that signed it, or than the one asked for.
    #[error("the checkpoint is of `{found}`, not of `{wanted}`")]
    WrongOrigin {
        /// The origin it names.
        found: String,
        /// The origin it must have.
        wanted: String,
    },
}

impl NoteError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "checkpoint_malformed",
            Self::BadSignature(_) => "checkpoint_bad_signature",
            Self::UnknownKey => "checkpoint_unknown_key",
            Self::WrongOrigin { .. } => "wrong_origin",
        }
    }
}

/// One line `— name base64(key id || signature)`.
#[derive(Debug)]
struct Signature<'a> {
    name: &'a str,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

/// A note taken apart, nothing verified.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    text: &'a str,
    signatures: Vec<Signature<'a>>,
}

impl<'a> Note<'a> {
    pub(crate) fn parse(note: &'a str) -> Result<Self, NoteError> {
        use NoteError::Malformed;
        if note.len() > MAX_NOTE {
            return Err(Malformed("longer than a note can be"));
        }
        // "A note MUST be valid UTF-8 and MUST NOT contain ASCII control characters other than newline" (C2SP signed-note).
        if note.bytes().any(|byte| (byte < 0x20 && byte != b'\n') || byte == 0x7f) {
            return Err(Malformed("a control character"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(Malformed("no empty line before the signatures"))?;
        let end = text.len().checked_add(1).ok_or(Malformed("longer than a note can be"))?;
        let text = note.get(..end).ok_or(Malformed("no text"))?;
        let lines = signatures.strip_suffix('\n').ok_or(Malformed("no newline at the end"))?;
        let signatures = lines.split('\n').take(MAX_SIGNATURES.saturating_add(1)).map(Signature::parse);
        let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(Malformed("too many signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// "Signatures by unknown keys are ignored"; one of a known key that fails rejects the note.
    fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<VerifierKey>, NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let known = keys.iter().filter(|key| key.name() == signature.name && key.id() == signature.key_id);
            for key in known {
                if !key.accepts(self.text.as_bytes(), &signature.bytes) {
                    return Err(NoteError::BadSignature(signature.name.to_owned()));
                }
                signers.push(key.clone());
            }
        }
        if signers.is_empty() { Err(NoteError::UnknownKey) } else { Ok(signers) }
    }
}

impl<'a> Signature<'a> {
    fn parse(line: &'a str) -> Result<Self, NoteError> {
        use NoteError::Malformed;
        if line.len() > MAX_LINE {
            return Err(Malformed("a signature line is too long"));
        }
        let (name, encoded) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or(Malformed("a signature line is not `— name base64`"))?;
        if !is_key_name(name) {
            return Err(Malformed("a key name is empty, or has a space or a plus"));
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| Malformed("a signature is not canonical base64"))?;
        let (key_id, bytes) = bytes.split_first_chunk::<4>().ok_or(Malformed("a signature is too short"))?;
        if bytes.is_empty() {
            return Err(Malformed("a signature is too short"));
        }
        Ok(Self { name, key_id: *key_id, bytes: bytes.to_vec() })
    }
}

/// "Key names MUST be non-empty and not contain any Unicode spaces or plus characters" (C2SP signed-note).
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

/// A 32-byte hash as canonical padded base64.
pub(crate) fn parse_hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != 44 {
        return None;
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A decimal size below 2^63, without sign or leading zero.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok().filter(|size| *size < 1 << 63) } else { None }
}

pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
