//! The header of a message, as it is read. Nothing here writes one.

#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

use super::{MAX_DATA_KEY_BYTES, MAX_DATA_KEYS, MAX_FRAME_BYTES, MAX_HEADER_BYTES};
use crate::error::OpenError;
use crate::kms::KeyId;
use crate::stream::read_up_to;
use crate::tenant::{Purpose, TenantId};

pub(super) const VERSION: u8 = 2;
pub(super) const FRAMED: u8 = 2;
const ONE_BLOCK: u8 = 1;
pub(super) const TAG_BYTES: usize = 16;
/// The pair that holds the key of the signature; it is there if, and only if, the suite signs.
pub(super) const PUBLIC_KEY: &str = "aws-crypto-public-key";
/// The provider id of every data key that AWS KMS wrapped.
pub(super) const AWS_KMS: &str = "aws-kms";
/// The provider id of data keys under a tenant's key.
pub(super) const TENANT_NAMESPACE: &str = "qsec";
/// What follows the name in the info of a raw AES data key: tag length, IV length, IV.
pub(super) const RAW_AES_INFO_BYTES: usize = 20;

/// The suites that are read. Both commit to the key.
///
/// ```
/// use qsec_crypto::esdk::EsdkSuite;
///
/// assert_eq!((EsdkSuite::Committing.name(), EsdkSuite::Committing.is_signed()), ("0x0478", false));
/// assert_eq!((EsdkSuite::CommittingSigned.name(), EsdkSuite::CommittingSigned.is_signed()), ("0x0578", true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EsdkSuite {
    /// `0x0478`: AES-256-GCM, HKDF-SHA512, key commitment. Read and written.
    Committing,
    /// `0x0578`: the same, with an ECDSA P-384 signature over the message. Only read.
    CommittingSigned,
}

impl EsdkSuite {
    /// Its number as answers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Committing => "0x0478",
            Self::CommittingSigned => "0x0578",
        }
    }

    /// Whether a signature ends the message.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::CommittingSigned)
    }

    pub(super) fn bytes(self) -> [u8; 2] {
        match self {
            Self::Committing => [0x04, 0x78],
            Self::CommittingSigned => [0x05, 0x78],
        }
    }
}

/// How the body is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// In frames, each with its own tag.
    #[non_exhaustive]
    Framed {
        /// Plaintext bytes of every frame but the last.
        frame_length: u32,
    },
    /// In one block with one tag. Only read.
    OneBlock,
}

/// A data key as it stands in a message, wrapped: what the format calls an encrypted data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    pub(super) provider: String,
    pub(super) info: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
}

impl WrappedKey {
    /// Who wrapped it: the namespace of a raw AES key, or `aws-kms`.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Under which key: the name of a raw AES key, or the key's ARN.
    pub fn key(&self) -> Cow<'_, str> {
        let name = if self.provider == AWS_KMS { None } else { self.raw_aes_name() };
        String::from_utf8_lossy(name.unwrap_or(&self.info))
    }

    /// The wrapped key: what a KMS is given to unwrap.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    pub(super) fn raw_aes_name(&self) -> Option<&[u8]> {
        self.info.len().checked_sub(RAW_AES_INFO_BYTES).and_then(|length| self.info.get(..length))
    }
}

/// What the header of a message says. Until the message is opened these are claims.
///
/// ```
/// use qsec_crypto::esdk::{Content, RawAesKey, RawAesKeyring};
/// use qsec_crypto::{Context, Inspection, SecretKey, inspect};
///
/// let keyring = RawAesKeyring::new([RawAesKey::new("acme", "ours", SecretKey::generate()?)?])?;
/// let sealed = keyring.seal(b"hello", &Context::from([("table", "orders")]))?;
///
/// let Inspection::Esdk(header) = inspect(&sealed, None)? else { panic!("another format") };
/// assert_eq!(header.suite().name(), "0x0478");
/// assert!(header.context().eq([("table", "orders")]));
/// assert!(matches!(header.content(), Content::Framed { frame_length: 65_536, .. }));
/// assert_eq!((header.data_keys()[0].provider(), &*header.data_keys()[0].key()), ("acme", "ours"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageHeader {
    suite: EsdkSuite,
    pub(super) message_id: [u8; 32],
    context: BTreeMap<String, String>,
    /// The context as it stands in the message.
    pub(super) encoded_context: Vec<u8>,
    data_keys: Vec<WrappedKey>,
    content: Content,
    pub(super) commitment: [u8; 32],
    /// Every byte above the tag.
    pub(super) bytes: Vec<u8>,
    pub(super) tag: [u8; TAG_BYTES],
}

impl MessageHeader {
    /// How the message was sealed.
    pub fn suite(&self) -> EsdkSuite {
        self.suite
    }

    /// The number that makes the message one of its kind.
    pub fn message_id(&self) -> &[u8; 32] {
        &self.message_id
    }

    /// The pairs that the message carries, sorted by the bytes of their keys.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.context.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The data keys, in the order of the message: 1 to 8.
    pub fn data_keys(&self) -> &[WrappedKey] {
        &self.data_keys
    }

    /// The data keys that AWS KMS wrapped under the key with this ARN. The id is the caller's, never the message's: a
    /// forger would name a key of its own. Of a multi-region key (`mrk-`) the region may differ, and nothing else.
    pub fn kms_data_keys(&self, key_id: &KeyId) -> impl Iterator<Item = &WrappedKey> {
        self.data_keys.iter().filter(|data_key| {
            let named = std::str::from_utf8(&data_key.info).unwrap_or_default();
            data_key.provider == AWS_KMS && (named == key_id.as_str() || are_replicas(key_id.as_str(), named))
        })
    }

    /// The version of the tenant's key that a data key of the message names. `None` if none is under a key of this tenant
    /// and purpose.
    pub fn tenant_key_version(&self, tenant: &TenantId, purpose: &Purpose) -> Option<u32> {
        self.data_keys.iter().find_map(|data_key| data_key.tenant_key(tenant, purpose).map(|(version, _)| version))
    }

    /// How the body is cut.
    pub fn content(&self) -> Content {
        self.content
    }

    /// The length of the header without its tag.
    pub fn header_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The length of the header and its tag: where the body starts.
    pub(super) fn body_start(&self) -> usize {
        self.bytes.len().saturating_add(TAG_BYTES)
    }

    pub(super) fn pair(&self, key: &str) -> Option<&str> {
        self.context.get(key).map(String::as_str)
    }

    /// Reads a header, and nothing behind it.
    pub(crate) fn read(reader: &mut impl Read) -> Result<Self, OpenError> {
        let mut fields = Fields { reader, bytes: Vec::new() };
        let suite = fields.suite()?;
        let message_id = fields.array("a message id of 32 bytes")?;
        let encoded_context = fields.prefixed("the encryption context")?.to_vec();
        let context = decode_context(&encoded_context)?;
        if context.contains_key(PUBLIC_KEY) != suite.is_signed() {
            return Err(malformed(CONTEXT_AT, "a public key if, and only if, the suite signs,"));
        }
        let data_keys = fields.data_keys()?;
        let content = fields.content()?;
        let commitment = fields.array("a commitment of 32 bytes")?;
        let tag = fields.array("a header tag of 16 bytes")?;
        let mut bytes = fields.bytes;
        bytes.truncate(bytes.len().saturating_sub(TAG_BYTES));
        Ok(Self { suite, message_id, context, encoded_context, data_keys, content, commitment, bytes, tag })
    }
}

/// Where the pairs of the context start: after version, suite, message id and a length.
const CONTEXT_AT: usize = 37;

fn malformed(offset: usize, expected: &'static str) -> OpenError {
    OpenError::Malformed { offset: u64::try_from(offset).unwrap_or(u64::MAX), expected }
}

/// Takes the header apart as it comes in. Every length is held against its budget before there is room made for it.
struct Fields<'a, R> {
    reader: &'a mut R,
    /// All that was read.
    bytes: Vec<u8>,
}

impl<R: Read> Fields<'_, R> {
    fn take(&mut self, length: usize, expected: &'static str) -> Result<&[u8], OpenError> {
        let start = self.bytes.len();
        let end = start.saturating_add(length);
        if end > MAX_HEADER_BYTES {
            return Err(OpenError::budget("bytes of header", MAX_HEADER_BYTES));
        }
        self.bytes.resize(end, 0);
        let field = self.bytes.get_mut(start..).ok_or(OpenError::Internal)?;
        let read = read_up_to(self.reader, field).map_err(OpenError::Read)?;
        if read < length {
            return Err(malformed(start.saturating_add(read), expected));
        }
        Ok(field)
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], OpenError> {
        self.take(N, expected)?.try_into().map_err(|_| OpenError::Internal)
    }

    fn length(&mut self, expected: &'static str) -> Result<usize, OpenError> {
        Ok(u16::from_be_bytes(self.array(expected)?).into())
    }

    fn prefixed(&mut self, expected: &'static str) -> Result<&[u8], OpenError> {
        let length = self.length(expected)?;
        self.take(length, expected)
    }

    fn suite(&mut self) -> Result<EsdkSuite, OpenError> {
        match self.array("a message of the AWS Encryption SDK")? {
            [VERSION] => {}
            [1] => return Err(OpenError::UnsupportedSuite { suite: "AWS Encryption SDK message 1" }),
            [_] => return Err(malformed(0, "02, the first byte of a message,")),
        }
        match self.array("a suite of 2 bytes")? {
            [0x04, 0x78] => Ok(EsdkSuite::Committing),
            [0x05, 0x78] => Ok(EsdkSuite::CommittingSigned),
            _ => Err(OpenError::UnsupportedSuite { suite: "another AWS Encryption SDK suite than 0x0478 and 0x0578" }),
        }
    }

    fn data_keys(&mut self) -> Result<Vec<WrappedKey>, OpenError> {
        let at = self.bytes.len();
        let count = self.length("the number of data keys")?;
        if count == 0 {
            return Err(malformed(at, "at least one data key"));
        }
        if count > MAX_DATA_KEYS {
            return Err(OpenError::budget("data keys", MAX_DATA_KEYS));
        }
        (0..count).map(|_| self.data_key()).collect()
    }

    fn data_key(&mut self) -> Result<WrappedKey, OpenError> {
        let at = self.bytes.len();
        let provider = self.prefixed("a provider id")?.to_vec();
        let provider = String::from_utf8(provider).map_err(|_| malformed(at, "a provider id in UTF-8"))?;
        let info = self.prefixed("provider info")?.to_vec();
        let length = self.length("an encrypted data key")?;
        if length > MAX_DATA_KEY_BYTES {
            return Err(OpenError::budget("bytes of an encrypted data key", MAX_DATA_KEY_BYTES));
        }
        let ciphertext = self.take(length, "an encrypted data key")?.to_vec();
        Ok(WrappedKey { provider, info, ciphertext })
    }

    fn content(&mut self) -> Result<Content, OpenError> {
        let at = self.bytes.len();
        let kind: [u8; 1] = self.array("a content type")?;
        let frame_length = u32::from_be_bytes(self.array("a frame length of 4 bytes")?);
        match (kind, frame_length) {
            ([ONE_BLOCK], 0) => Ok(Content::OneBlock),
            ([FRAMED], 1..=MAX_FRAME_BYTES) => Ok(Content::Framed { frame_length }),
            ([FRAMED], 1..) => Err(OpenError::budget("bytes in a frame", MAX_FRAME_BYTES)),
            _ => Err(malformed(at, "content type 02 with a frame length, or 01 with 0,")),
        }
    }
}

/// Keys rise, so none is there twice and each context has one encoding.
fn decode_context(encoded: &[u8]) -> Result<BTreeMap<String, String>, OpenError> {
    let mut context = BTreeMap::new();
    if encoded.is_empty() {
        return Ok(context);
    }
    let at = |rest: &[u8]| encoded.len().saturating_sub(rest.len()).saturating_add(CONTEXT_AT);
    let (count, mut rest) =
        encoded.split_first_chunk().ok_or_else(|| malformed(CONTEXT_AT, "the number of context pairs"))?;
    let count = u16::from_be_bytes(*count);
    for _ in 0..count {
        let key_at = at(rest);
        let mut text = || {
            let text = take_prefixed(&mut rest).and_then(|text| std::str::from_utf8(text).ok());
            text.ok_or_else(|| malformed(key_at, "a context pair in UTF-8")).map(str::to_owned)
        };
        let (key, value) = (text()?, text()?);
        if context.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(malformed(key_at, "a context key after the one before, in the order of their bytes,"));
        }
        context.insert(key, value);
    }
    if count == 0 || !rest.is_empty() {
        return Err(malformed(at(rest), "as many context pairs as the header says"));
    }
    Ok(context)
}

fn take_prefixed<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    Some(text)
}

/// Whether two texts are ARNs of one multi-region key: `arn:partition:kms:region:account:key/mrk-…`, equal but for the
/// region.
fn are_replicas(one: &str, other: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (one.splitn(6, ':').collect(), other.splitn(6, ':').collect());
    match (one.as_slice(), other.as_slice()) {
        ([a, b, c, _, d, key], other @ [e, f, g, _, h, _]) => {
            key.starts_with("key/mrk-") && [a, b, c, d] == [e, f, g, h] && other.last() == Some(key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(context: &[u8], middle: &[u8], end: &[u8]) -> Vec<u8> {
        let context_length = u16::try_from(context.len()).unwrap().to_be_bytes();
        [&[2, 4, 0x78], &[9; 32][..], &context_length, context, middle, end, &[0; 48]].concat()
    }

    const KEYS: &[u8] = b"\0\x01\0\x01p\0\x01i\0\x01c";
    const FRAMES: &[u8] = &[2, 0, 0, 0x10, 0];

    fn read(bytes: &[u8]) -> Result<MessageHeader, OpenError> {
        MessageHeader::read(&mut &bytes[..])
    }

    fn refused_at(bytes: &[u8]) -> u64 {
        match read(bytes) {
            Err(OpenError::Malformed { offset, .. }) => offset,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_header_without_pairs_has_no_count() {
        let header = read(&header(b"", KEYS, FRAMES)).unwrap();
        assert_eq!((header.context().count(), header.header_bytes()), (0, 85));
        assert_eq!((header.data_keys()[0].key(), header.data_keys()[0].ciphertext()), ("i".into(), &b"c"[..]));
    }

    #[test]
    fn contexts_have_one_encoding() {
        for (context, offset) in [
            (&b"\0\0"[..], 39),
            (b"\0", 37),
            (b"\0\x01", 39),
            (b"\0\x01\0\x01a\0\x01", 39),
            (b"\0\x01\0\x01a\0\x01b!", 45),
            (b"\0\x02\0\x01a\0\0\0\x01a\0\0", 44),
            (b"\0\x02\0\x01b\0\0\0\x01a\0\0", 44),
            (b"\0\x01\0\x01\xff\0\0", 39),
        ] {
            assert_eq!(refused_at(&header(context, KEYS, FRAMES)), offset, "{context:?}");
        }
        let sorted = read(&header(b"\0\x02\0\x01a\0\x01x\0\x02aa\0\0", KEYS, FRAMES)).unwrap();
        assert!(sorted.context().eq([("a", "x"), ("aa", "")]));
    }

    #[test]
    fn a_public_key_belongs_to_a_signature_and_a_signature_to_a_public_key() {
        let context = [b"\0\x01\0\x15aws-crypto-public-key".as_slice(), b"\0\x01x"].concat();
        assert_eq!(refused_at(&header(&context, KEYS, FRAMES)), 37);
        let mut signed = header(&context, KEYS, FRAMES);
        signed[1] = 5;
        assert!(read(&signed).unwrap().suite().is_signed());
        let mut unkeyed = header(b"", KEYS, FRAMES);
        unkeyed[1] = 5;
        assert_eq!(refused_at(&unkeyed), 37);
    }

    #[test]
    fn every_cut_is_malformed_where_it_is() {
        let whole = header(b"\0\x01\0\x01a\0\x01x", KEYS, FRAMES);
        assert!(read(&whole).is_ok());
        for length in 0..whole.len() {
            assert_eq!(refused_at(&whole[..length]), length as u64);
        }
    }

    #[test]
    fn only_the_two_committing_suites_are_read() {
        for suite in [0x0014_u16, 0x0046, 0x0078, 0x0114, 0x0178, 0x0214, 0x0346, 0x0378, 0x0578 + 0x100, 0, 0xFFFF] {
            let mut bytes = header(b"", KEYS, FRAMES);
            bytes[1..3].copy_from_slice(&suite.to_be_bytes());
            assert_eq!(read(&bytes).unwrap_err().code(), "unsupported_suite", "{suite:04x}");
        }
        assert_eq!(read(&[1, 0x80]).unwrap_err().code(), "unsupported_suite");
        assert_eq!(refused_at(b"\xf5\x01\0\0\0\x03"), 0);
        assert_eq!(refused_at(b"plain text"), 0);
    }

    #[test]
    fn what_is_announced_is_held_against_its_budget_before_it_is_read() {
        let budget = |middle: &[u8], end: &[u8]| match read(&header(b"", middle, end)) {
            Err(OpenError::BudgetExceeded { what, limit }) => (what, limit),
            other => panic!("{other:?}"),
        };
        assert_eq!(budget(b"\xff\xff", b""), ("data keys", 8));
        assert_eq!(budget(b"\0\x09", b""), ("data keys", 8));
        assert_eq!(budget(b"\0\x01\0\0\0\0\x20\x01", b""), ("bytes of an encrypted data key", 8_192));
        let large = [b"\0\x08".as_slice(), &[[0xff, 0xff].as_slice(), &vec![b'p'; 65_535], &[0; 4]].concat().repeat(8)];
        assert_eq!(budget(&large.concat(), b""), ("bytes of header", 262_144));
        assert_eq!(budget(KEYS, &[2, 2, 0, 0, 1]), ("bytes in a frame", 33_554_432));
        assert_eq!(budget(KEYS, &[2, 0xFF, 0xFF, 0xFF, 0xFF]), ("bytes in a frame", 33_554_432));
    }

    #[test]
    fn content_is_frames_of_a_length_or_one_block_of_none() {
        assert_eq!(read(&header(b"", KEYS, &[1, 0, 0, 0, 0])).unwrap().content(), Content::OneBlock);
        let largest = read(&header(b"", KEYS, &[2, 2, 0, 0, 0])).unwrap().content();
        assert_eq!(largest, Content::Framed { frame_length: 32 << 20 });
        for end in [[1, 0, 0, 0, 1], [2, 0, 0, 0, 0], [0, 0, 0, 16, 0], [3, 0, 0, 16, 0]] {
            assert_eq!(refused_at(&header(b"", KEYS, &end)), 35 + 2 + 11);
        }
        assert_eq!(refused_at(&header(b"", b"\0\0", FRAMES)), 37);
    }

    #[test]
    fn only_the_region_of_a_multi_region_key_may_differ() {
        let mrk = "arn:aws:kms:eu-central-1:111122223333:key/mrk-12";
        assert!(are_replicas(mrk, "arn:aws:kms:us-east-1:111122223333:key/mrk-12"));
        for other in [
            "arn:aws:kms:us-east-1:111122223333:key/mrk-13",
            "arn:aws:kms:us-east-1:111122223334:key/mrk-12",
            "arn:aws-cn:kms:us-east-1:111122223333:key/mrk-12",
            "arn:aws:kms:us-east-1:111122223333:alias/mrk-12",
            "arn:aws:kms:us-east-1:111122223333:key/mrk-12:x",
            "mrk-12",
        ] {
            assert!(!are_replicas(mrk, other) && !are_replicas(other, mrk), "{other}");
        }
        let single = "arn:aws:kms:eu-central-1:111122223333:key/12";
        assert!(!are_replicas(single, "arn:aws:kms:us-east-1:111122223333:key/12"));
    }
}
