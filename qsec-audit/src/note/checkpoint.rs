//! Checkpoints: a tree's size and root, signed.

use super::{KeyError, Note, NoteError, SigningKey, VerifierKey, encode_base64, parse_hash, parse_size};
use crate::merkle::Hash;

/// What a log has committed to: the size and the root of one tree.
///
/// ```
/// use qsec_audit::{Checkpoint, SigningKey};
///
/// let key = SigningKey::generate()?;
/// let note = Checkpoint::new("qsec.example/n1/acme", 2, [7; 32]).sign(&key)?;
/// let checkpoint = Checkpoint::verify(&note, &[key.verifier_key("qsec.example/n1/acme")])?;
/// assert_eq!(checkpoint.size(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// A checkpoint of that tree at that size.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_owned(), size, root }
    }

    /// Reads a signed checkpoint and verifies it with the given keys.
    ///
    /// # Errors
    /// [`NoteError`]: malformed, a known key's signature fails, no given key signed, or the signing key has another name than the
    /// origin.
    pub fn verify(note: &str, keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let parsed = Note::parse(note)?;
        let checkpoint = Self::parse_text(parsed.text)?;
        let signers = parsed.verify(keys)?;
        match signers.iter().find(|key| key.name() != checkpoint.origin) {
            Some(other) => Err(NoteError::WrongOrigin { found: checkpoint.origin, wanted: other.name().to_owned() }),
            None => Ok(checkpoint),
        }
    }

    /// Reads a checkpoint whose bytes are vouched for by something else than its signature.
    pub(crate) fn parse_unverified(note: &str) -> Result<Self, NoteError> {
        Self::parse_text(Note::parse(note)?.text)
    }

    fn parse_text(text: &str) -> Result<Self, NoteError> {
        use NoteError::Malformed;
        let mut lines = text.strip_suffix('\n').ok_or(Malformed("no text"))?.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(Malformed("no origin"))?;
        let size = lines.next().and_then(parse_size).ok_or(Malformed("the size is not a canonical decimal number"))?;
        let root = lines.next().and_then(parse_hash).ok_or(Malformed("the root is not a hash in canonical base64"))?;
        if lines.any(str::is_empty) {
            return Err(Malformed("an extension line is empty"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The origin: which tree.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over these leaves.
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// The text that is signed.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, encode_base64(&self.root))
    }

    /// Signs the checkpoint under the name of its origin; the answer is the whole note.
    ///
    /// # Errors
    /// [`KeyError`] if the key cannot sign.
    pub fn sign(&self, key: &SigningKey) -> Result<String, KeyError> {
        let body = self.body();
        let signature = key.sign(&self.origin, &body)?;
        Ok(format!("{body}\n{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "qsec.example/n1/acme";

    fn key() -> SigningKey {
        let seed: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        SigningKey::from_seed(&seed).unwrap()
    }

    fn note() -> String {
        Checkpoint::new(ORIGIN, 2, [7; 32]).sign(&key()).unwrap()
    }

    fn code(note: &str) -> &'static str {
        Checkpoint::verify(note, &[key().verifier_key(ORIGIN)]).unwrap_err().code()
    }

    #[test]
    fn every_flipped_bit_of_a_note_is_noticed() {
        let (note, keys) = (note(), [key().verifier_key(ORIGIN)]);
        Checkpoint::verify(&note, &keys).unwrap();
        for at in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(Checkpoint::verify(&text, &keys).is_err(), "bit {at}: {text}");
            }
        }
    }

    #[test]
    fn note_is_read_strictly() {
        let good = note();
        for (bad, why) in [
            (good.replace("\n2\n", "\n02\n"), "leading zero"),
            (good.replace("\n2\n", "\n+2\n"), "sign"),
            (good.replace("\n2\n", "\n9223372036854775808\n"), "2^63"),
            (good.replace('\n', "\r\n"), "carriage return"),
            (good.replace("\n\n", "\n"), "no empty line"),
            (good.trim_end().to_owned(), "no last newline"),
            (format!("{good}\n"), "one newline more"),
            (good.replace("BwcHBwc=", "BwcHBwd="), "base64 with loose bits"),
            (good.replace("BwcHBwc=", "BwcHBwc"), "base64 without padding"),
            (format!("{good}— x AAAAAA==\n"), "signature without bytes"),
            (format!("{good}- x AAAAAAAA\n"), "hyphen for a dash"),
            (format!("{good}{}", "— x AAAAAAAA\n".repeat(MAX)), "too many signatures"),
        ] {
            assert_eq!(code(&bad), "checkpoint_malformed", "{why}");
        }
    }

    const MAX: usize = super::super::MAX_SIGNATURES;

    #[test]
    fn unknown_keys_are_ignored_and_extension_lines_accepted() {
        let keys = [key().verifier_key(ORIGIN)];
        let witnessed = format!("{}— witness.example/w1 AAAAAAAA\n", note());
        assert_eq!(Checkpoint::verify(&witnessed, &keys).unwrap().size(), 2);
        let body = format!("{}extension 1\n", Checkpoint::new(ORIGIN, 2, [7; 32]).body());
        let extended = format!("{body}\n{}", key().sign(ORIGIN, &body).unwrap());
        assert_eq!(Checkpoint::verify(&extended, &keys).unwrap().size(), 2);
    }

    #[test]
    fn failing_signature_of_a_known_key_rejects_even_beside_a_good_one() {
        let other = SigningKey::from_seed(&[9; 32]).unwrap();
        let bad = other.sign(ORIGIN, "another text\n").unwrap();
        let keys = [key().verifier_key(ORIGIN), other.verifier_key(ORIGIN)];
        let error = Checkpoint::verify(&format!("{}{bad}", note()), &keys).unwrap_err();
        assert_eq!(error.code(), "checkpoint_bad_signature");
    }

    #[test]
    fn key_of_another_name_or_origin_does_not_verify() {
        assert_eq!(Checkpoint::verify(&note(), &[]).unwrap_err().code(), "checkpoint_unknown_key");
        let body = Checkpoint::new("qsec.example/n1/other", 2, [7; 32]).body();
        let crossed = format!("{body}\n{}", key().sign(ORIGIN, &body).unwrap());
        assert_eq!(code(&crossed), "wrong_origin");
    }
}
