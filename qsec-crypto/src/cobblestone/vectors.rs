//! Wycheproof's vectors for C2SP chunked encryption, through all three readers.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use ring::digest::{SHA512, digest};
use serde_json::Value;

use super::layout::PREFIX_BYTES;
use super::{Binding, MessageKey, open};
use crate::kdf::ExpandKey;
use crate::opener::Opener;
use crate::refusal::Refusal;
use crate::secret::SecretKey;
use crate::seek::SeekOpener;
use crate::stream::{Lifetime, Opening};

const FILE: &str = "wycheproof/c2sp_chunked_encryption_aes_256_gcm.json";

/// Vectors that are not run, by their flag, and why.
const EXCEPTIONS: [(&str, &str); 1] =
    [("InvalidKeySize", "a key of another length than 32 bytes cannot be given: the type has no other")];

#[test]
fn wycheproof_chunked_encryption_aes_256_gcm() {
    let Some(file) = vectors(FILE) else { return };
    let file: Value = serde_json::from_slice(&file).unwrap();
    let tests: Vec<&Value> =
        file["testGroups"].as_array().unwrap().iter().flat_map(|group| group["tests"].as_array().unwrap()).collect();
    assert_eq!(file["numberOfTests"], tests.len());

    let (mut run, mut excepted) = (0, 0);
    for test in tests {
        let vector = Vector::parse(test);
        if let Some(key) = SecretKey::try_from_slice(&vector.key) {
            vector.run(&ExpandKey::new(&key));
            run += 1;
        } else {
            assert!(EXCEPTIONS.iter().any(|(flag, _)| vector.has(flag)), "vector {} has no key", vector.id);
            excepted += 1;
        }
    }
    println!("run: {FILE}: {run} vectors, {excepted} excepted");
    assert!(run >= 30 && excepted == 2);
}

/// A folder of vectors beside the repository, or named in `QSEC_VECTORS`.
pub(crate) fn vectors(file: &str) -> Option<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "tests find their vectors and their strictness in the environment")]
    let (folder, ci) = (std::env::var_os("QSEC_VECTORS"), std::env::var("CI"));
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let found = std::fs::read(folder.map_or_else(beside, PathBuf::from).join(file)).ok();
    if found.is_none() {
        println!("not run: {file}: vectors not found");
        assert_ne!(ci.as_deref(), Ok("true"), "vectors must be there in CI");
    }
    found
}

struct Vector {
    id: u64,
    key: Vec<u8>,
    context: Vec<u8>,
    message: Vec<u8>,
    base: Option<Vec<u8>>,
    is_valid: bool,
    flags: Vec<String>,
    /// Length and SHA-512 of the plaintext, or of the longest prefix that a stream may give out.
    prefix: (usize, Vec<u8>),
}

impl Vector {
    fn parse(test: &Value) -> Self {
        let bytes = |name: &str| test[name].as_str().map(|text| hex::decode(text).unwrap());
        let compressed = bytes("ct").unwrap();
        let nothing = || digest(&SHA512, b"").as_ref().to_vec();
        Self {
            id: test["tcId"].as_u64().unwrap(),
            key: bytes("key").unwrap(),
            context: bytes("ctx").unwrap(),
            message: miniz_oxide::inflate::decompress_to_vec_zlib(&compressed).unwrap(),
            base: bytes("baseNonce"),
            is_valid: test["result"] == "valid",
            flags: test["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned()).collect(),
            prefix: (
                test["msgLength"].as_u64().map_or(0, |length| usize::try_from(length).unwrap()),
                bytes("msgSha512").unwrap_or_else(nothing),
            ),
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|has| has == flag)
    }

    fn run(&self, key: &ExpandKey) {
        let binding: Binding<'_> = [&self.context, b"", b""];
        match open(key, &binding, &self.message) {
            Ok(plaintext) => {
                assert!(self.is_valid, "vector {} opens", self.id);
                self.is_prefix(&plaintext);
            }
            Err(refusal) => {
                assert!(!self.is_valid, "vector {} does not open: {refusal:?}", self.id);
                let before_chunks = matches!(refusal, Refusal::Prefix | Refusal::Commitment);
                assert_eq!(before_chunks, self.has("HeaderFailure"), "vector {}: {refusal:?}", self.id);
            }
        }
        let Some(prefix) = self.message.first_chunk::<PREFIX_BYTES>() else { return };
        let Ok(message_key) = MessageKey::check(key, prefix, &binding) else { return };
        assert_eq!(self.base.as_deref(), Some(&message_key.base[..]), "vector {}", self.id);
        self.run_stream(message_key);
        self.run_seek(MessageKey::check(key, prefix, &binding).unwrap());
    }

    fn run_stream(&self, key: MessageKey) {
        let mut opener =
            Opener::start(&self.message[PREFIX_BYTES..], Opening::new(key, Lifetime::unlimited(Arc::new(()))));
        let mut plaintext = Vec::new();
        let end = opener.read_to_end(&mut plaintext);
        assert_eq!(end.is_ok(), self.is_valid, "vector {}", self.id);
        self.is_prefix(&plaintext);
        for _ in 0..3 {
            assert_eq!(opener.next_chunk().is_ok(), self.is_valid, "vector {} must keep failing", self.id);
        }
    }

    /// Wycheproof says of each vector whether seeking from the end may succeed.
    fn run_seek(&self, key: MessageKey) {
        let sealed = [&[0; 6], &self.message[..]].concat();
        let length = sealed.len() as u64;
        let end = SeekOpener::start(Cursor::new(sealed), key, length, Lifetime::unlimited(Arc::new(())))
            .map(|mut opener| opener.seek(SeekFrom::End(0)).is_ok());
        let expected = self.is_valid || self.has("ValidFinalChunk");
        assert_eq!(end.unwrap_or(false), expected, "vector {}", self.id);
    }

    fn is_prefix(&self, plaintext: &[u8]) {
        let (length, hash) = &self.prefix;
        assert_eq!(plaintext.len(), *length, "vector {}", self.id);
        assert_eq!(digest(&SHA512, plaintext).as_ref(), hash, "vector {}", self.id);
    }
}
