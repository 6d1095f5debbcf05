//! One usable key version: seals and opens, and never waits.

use std::fmt;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cobblestone::layout::{MAX_MESSAGE_BYTES, PREFIX_BYTES, SALT_BYTES};
use crate::cobblestone::{self, Binding, MessageKey, SealRefusal};
use crate::context::{Context, ContextError, MAX_CONTEXT_BYTES};
use crate::error::{OpenError, SealError};
use crate::header::{HEADER_BYTES, Header, Suite};
use crate::kdf::{self, Broken, ExpandKey};
use crate::observer::{Event, Observer};
use crate::opener::Opener;
use crate::refusal::{Refusal, Reporter};
use crate::sealer::Sealer;
use crate::secret::{SecretKey, random};
use crate::seek::SeekOpener;
use crate::stopped::Stopped;
use crate::stream::{Lifetime, Opening, Sealing, read_up_to};
use crate::tenant::{Purpose, TenantId};
use crate::xaes::{MAX_COMPACT_BYTES, XAES_NONCE_BYTES, XaesKey};

/// One version of a tenant's key, ready to use: from [`Keyring::current`](crate::Keyring::current), or from a
/// [`RawKey`](crate::RawKey).
///
/// Ask the keyring for it when there is something to seal or open; do not keep it. What is kept is stopped all the same
/// as soon as this node learns that the tenant's key is disabled, pending deletion or destroyed, or that its KMS denies it:
/// then every new call fails. A stream that runs goes on to its end, or for 15 minutes if it has a [`Clock`](crate::Clock).
///
/// ```
/// use qsec_crypto::{Context, RawKey, SecretKey};
///
/// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
/// let context = Context::from([("table", "orders"), ("row", "17")]);
///
/// let sealed = key.seal(b"4,200 EUR", &context)?;
/// assert_eq!(key.open(&sealed, &context)?, b"4,200 EUR");
/// assert!(key.open(&sealed, &Context::from([("table", "orders"), ("row", "18")])).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// There is no opening without a context, no key without a version, no tenant that is mere text, and nobody outside the
/// keyring makes one up:
///
/// ```compile_fail,E0061
/// # let key = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap().at_version(0).unwrap();
/// let opened = key.open(b"sealed");
/// ```
/// ```compile_fail,E0599
/// # let raw = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap();
/// let sealed = raw.seal(b"plain", &qsec_crypto::Context::empty());
/// ```
/// ```compile_fail,E0308
/// # let raw = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap();
/// let key = raw.for_tenant("acme");
/// ```
/// ```compile_fail,E0308
/// # let raw = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap();
/// let key = raw.for_tenant(qsec_crypto::Purpose::data());           // what it is for is not whose it is
/// ```
/// ```compile_fail,E0308
/// # let key = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap().at_version(0).unwrap();
/// let sealed = key.seal(&qsec_crypto::Context::empty(), b"plain");  // swapped
/// ```
/// ```compile_fail,E0369
/// # let key = qsec_crypto::RawKey::parse(&[b'7'; 64]).unwrap().at_version(0).unwrap();
/// assert!(key == key.clone());
/// ```
#[derive(Clone)]
pub struct TenantKey {
    name: Arc<KeyName>,
    keys: Arc<RecordKeys>,
    lock: Arc<Lock>,
    observer: Arc<dyn Observer>,
}

/// Which key it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyName {
    pub(crate) tenant: TenantId,
    pub(crate) purpose: Purpose,
    pub(crate) version: u32,
}

/// What is derived once from a tenant key version and then used for every message.
struct RecordKeys {
    /// `lp(tenant) || lp(purpose)`: the middle of every binding.
    names: Vec<u8>,
    /// The key itself, ready for what is derived from it in each message.
    #[cfg(feature = "esdk")]
    tenant_key: ExpandKey,
    cobblestone: ExpandKey,
    xaes: XaesKey,
}

/// Stops the handles of a key that are out already.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    stopped: OnceLock<Stopped>,
    retired: AtomicBool,
}

impl Lock {
    pub(crate) fn stop(&self, stopped: Stopped) {
        // The first reason stays: later ones cannot make the handle usable again.
        let _ = self.stopped.set(stopped);
    }

    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.get()
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl TenantKey {
    pub(crate) fn new(
        name: KeyName,
        tenant_key: &SecretKey,
        lock: Arc<Lock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Broken> {
        let names = kdf::encode_names(&name.tenant, &name.purpose);
        let tenant_key = ExpandKey::new(tenant_key);
        let cobblestone = ExpandKey::new(&kdf::record_key(&tenant_key, Suite::Cobblestone256.byte())?);
        let xaes = XaesKey::new(&kdf::record_key(&tenant_key, Suite::Xaes256Gcm.byte())?);
        let keys = RecordKeys {
            names,
            #[cfg(feature = "esdk")]
            tenant_key,
            cobblestone,
            xaes,
        };
        Ok(Self { name: Arc::new(name), keys: Arc::new(keys), lock, observer })
    }

    /// Whose key it is.
    pub fn tenant(&self) -> &TenantId {
        &self.name.tenant
    }

    /// What it is for.
    pub fn purpose(&self) -> &Purpose {
        &self.name.purpose
    }

    /// Which version it is; 0 for a raw key without a version.
    pub fn version(&self) -> u32 {
        self.name.version
    }

    /// Seals bytes, bound to this key's tenant and purpose and to the context. The answer is 78 bytes longer, and 16
    /// more for each full 16 KiB.
    ///
    /// # Errors
    /// [`SealError::Stopped`] and [`SealError::Retired`] if this key must not seal (any more);
    /// [`SealError::Context`] if the context is none; [`SealError::MessageTooLong`] beyond 64 TiB.
    pub fn seal(&self, plaintext: &[u8], context: &Context) -> Result<Vec<u8>, SealError> {
        self.seal_with(&random()?, plaintext, context)
    }

    fn seal_with(&self, salt: &[u8; SALT_BYTES], plaintext: &[u8], context: &Context) -> Result<Vec<u8>, SealError> {
        self.may_seal()?;
        let header = self.header(Suite::Cobblestone256);
        let binding = self.binding(&header, context)?;
        Ok(cobblestone::seal(&self.keys.cobblestone, salt, &header, &binding, plaintext)?)
    }

    /// Seals at most 1 MiB (1,048,576 bytes) into the compact format: 46 bytes longer, for fields of a database.
    ///
    /// It does **not commit** to the key: who knows two keys can make one ciphertext that opens under both, to two
    /// plaintexts. Use it only where one party holds the keys and no reader tries several of them on one ciphertext;
    /// qsec never does. [`Self::open`] recognises it; streams do not.
    ///
    /// ```
    /// use qsec_crypto::{Context, RawKey, SecretKey};
    ///
    /// let key = RawKey::new(SecretKey::generate()?).at_version(0)?;
    /// let context = Context::from([("table", "orders"), ("row", "17"), ("column", "amount")]);
    /// let sealed = key.seal_compact_uncommitted(b"4,200 EUR", &context)?;
    /// assert_eq!(sealed.len(), 9 + 46);
    /// assert_eq!(key.open(&sealed, &context)?, b"4,200 EUR");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::seal`], but [`SealError::TooLargeForCompact`] beyond 1 MiB.
    pub fn seal_compact_uncommitted(&self, plaintext: &[u8], context: &Context) -> Result<Vec<u8>, SealError> {
        self.seal_compact_with(&random()?, plaintext, context)
    }

    fn seal_compact_with(
        &self,
        nonce: &[u8; XAES_NONCE_BYTES],
        plaintext: &[u8],
        context: &Context,
    ) -> Result<Vec<u8>, SealError> {
        self.may_seal()?;
        if plaintext.len() > MAX_COMPACT_BYTES {
            return Err(SealError::TooLargeForCompact { limit: u64::try_from(MAX_COMPACT_BYTES).unwrap_or(u64::MAX) });
        }
        let header = self.header(Suite::Xaes256Gcm);
        let binding = self.binding(&header, context)?.concat();
        Ok(self.keys.xaes.seal(nonce, &header, &binding, plaintext)?)
    }

    /// Seals a stream in constant memory. The writer is given the header at once; wrap a file in a `BufWriter` only if
    /// it is slow for writes of 16 KiB.
    ///
    /// # Errors
    /// As [`Self::seal`]; [`SealError::Write`] if the writer fails.
    pub fn sealer<W: Write>(&self, writer: W, context: &Context) -> Result<Sealer<W>, SealError> {
        let (key, prefix) = self.begin(context)?;
        Sealer::start(writer, Sealing::new(key, self.lifetime()), &[&prefix])
    }

    /// The key of a new message, and what stands before its chunks: header, salt and commitment.
    pub(crate) fn begin(&self, context: &Context) -> Result<(MessageKey, Vec<u8>), SealError> {
        self.may_seal()?;
        let (header, salt) = (self.header(Suite::Cobblestone256), random()?);
        let (key, commitment) = MessageKey::derive(&self.keys.cobblestone, &salt, &self.binding(&header, context)?)?;
        Ok((key, [&header[..], &salt, &commitment].concat()))
    }

    /// Opens sealed bytes of either native format.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] if key, tenant, purpose, context or any bit is not what was sealed;
    /// [`OpenError::Malformed`] and [`OpenError::UnsupportedSuite`] if they are no native sealed bytes;
    /// [`OpenError::Stopped`] if this key must not open any more; [`OpenError::Context`] if the context is none.
    pub fn open(&self, sealed: &[u8], context: &Context) -> Result<Vec<u8>, OpenError> {
        let header = self.may_open(sealed)?;
        let (suite, header) = (header.suite, header.encode());
        let binding = self.binding(&header, context)?;
        let message = sealed.get(HEADER_BYTES..).unwrap_or_default();
        let opened = match suite {
            Suite::Cobblestone256 => cobblestone::open(&self.keys.cobblestone, &binding, message),
            Suite::Xaes256Gcm => self.keys.xaes.open(&binding.concat(), message),
        };
        opened.map_err(|refusal| self.reporter().refused(refusal))
    }

    /// Opens a stream in constant memory: each chunk is given out when it has verified. The header and the commitment
    /// are read and checked at once.
    ///
    /// # Errors
    /// As [`Self::open`]; [`OpenError::UnsupportedSuite`] for the compact format, which has no chunks;
    /// [`OpenError::Read`] if the reader fails.
    pub fn opener<R: Read>(&self, mut reader: R, context: &Context) -> Result<Opener<R>, OpenError> {
        let key = self.read_prefix(&mut reader, context)?;
        Ok(Opener::start(reader, Opening::new(key, self.lifetime())))
    }

    /// Opens parts of sealed bytes that fill a whole reader, such as a file.
    ///
    /// # Errors
    /// As [`Self::opener`].
    pub fn seekable<R: Read + Seek>(&self, mut reader: R, context: &Context) -> Result<SeekOpener<R>, OpenError> {
        let sealed = reader.seek(SeekFrom::End(0)).map_err(OpenError::Read)?;
        reader.seek(SeekFrom::Start(0)).map_err(OpenError::Read)?;
        let key = self.read_prefix(&mut reader, context)?;
        SeekOpener::start(reader, key, sealed, self.lifetime()).map_err(|refusal| self.reporter().refused(refusal))
    }

    /// Reads what stands before the chunks, and gives their key if it is right.
    pub(crate) fn read_prefix(&self, reader: &mut impl Read, context: &Context) -> Result<MessageKey, OpenError> {
        let mut header = [0; HEADER_BYTES];
        let read = read_up_to(reader, &mut header).map_err(OpenError::Read)?;
        let header = self.may_open(header.get(..read).unwrap_or_default())?;
        if header.suite != Suite::Cobblestone256 {
            return Err(OpenError::UnsupportedSuite { suite: header.suite.name() });
        }
        let header = header.encode();
        let binding = self.binding(&header, context)?;
        let mut prefix = [0; PREFIX_BYTES];
        if read_up_to(reader, &mut prefix).map_err(OpenError::Read)? < PREFIX_BYTES {
            return Err(self.reporter().refused(Refusal::Prefix));
        }
        MessageKey::check(&self.keys.cobblestone, &prefix, &binding).map_err(|refusal| self.reporter().refused(refusal))
    }

    fn header(&self, suite: Suite) -> [u8; HEADER_BYTES] {
        Header { suite, version: self.name.version }.encode()
    }

    fn binding<'a>(
        &'a self,
        header: &'a [u8; HEADER_BYTES],
        context: &'a Context,
    ) -> Result<Binding<'a>, ContextError> {
        let pairs = context.encoded()?;
        let bytes = [header.len(), self.keys.names.len(), pairs.len()].into_iter().fold(0, usize::saturating_add);
        if bytes > MAX_CONTEXT_BYTES {
            return Err(ContextError::TooLong { bytes });
        }
        Ok([header, &self.keys.names, pairs])
    }

    pub(crate) fn may_seal(&self) -> Result<(), SealError> {
        let refused = match self.lock.stopped.get() {
            Some(stopped) => SealError::Stopped(stopped.clone()),
            None if self.lock.retired.load(Ordering::Acquire) => SealError::Retired { version: self.name.version },
            None => return Ok(()),
        };
        let KeyName { tenant, purpose, version } = &*self.name;
        self.observer
            .observe(&Event::new("seal.refused").tenant(tenant).version(purpose, *version).cause(refused.code()));
        Err(refused)
    }

    /// Whether this key may open, and these bytes are for it. The version is compared before any cryptography: the
    /// reader named one key, and no other is ever tried.
    fn may_open(&self, sealed: &[u8]) -> Result<Header, OpenError> {
        self.is_not_stopped()?;
        let header = Header::parse(sealed)?;
        if header.version != self.name.version {
            return Err(self.reporter().refused(Refusal::KeyVersion));
        }
        Ok(header)
    }

    pub(crate) fn is_not_stopped(&self) -> Result<(), OpenError> {
        if let Some(stopped) = self.lock.stopped.get() {
            let KeyName { tenant, purpose, version } = &*self.name;
            let event = Event::new("open.refused").tenant(tenant).version(purpose, *version).cause(stopped.code());
            self.observer.observe(&event);
            return Err(stopped.clone().into());
        }
        Ok(())
    }

    /// The interchange key `WK` of one message.
    #[cfg(feature = "esdk")]
    pub(crate) fn esdk_wrapping_key(&self, salt: &[u8; 16]) -> Result<SecretKey, Broken> {
        kdf::esdk_wrapping_key(&self.keys.tenant_key, salt)
    }

    /// How long a stream under this key may run.
    pub(crate) fn lifetime(&self) -> Lifetime {
        Lifetime::of_key(Arc::clone(&self.lock), self.reporter())
    }

    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { name: Some(Arc::clone(&self.name)), observer: Arc::clone(&self.observer) }
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantKey")
            .field("tenant", &self.name.tenant)
            .field("purpose", &self.name.purpose)
            .field("version", &self.name.version)
            .finish_non_exhaustive()
    }
}

impl From<SealRefusal> for SealError {
    fn from(refusal: SealRefusal) -> Self {
        match refusal {
            SealRefusal::TooLong => Self::MessageTooLong { limit: MAX_MESSAGE_BYTES },
            SealRefusal::Broken => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::stopped::{StoppedBy, StoppedState};

    fn key(tenant: &str, purpose: &str, version: u32) -> TenantKey {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
        let name = KeyName { tenant: TenantId::new(tenant).unwrap(), purpose: Purpose::new(purpose).unwrap(), version };
        TenantKey::new(name, &SecretKey::copy_from(&bytes), Arc::default(), Arc::new(())).unwrap()
    }

    fn salt() -> [u8; 24] {
        std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap())
    }

    #[test]
    fn sealed_bytes_are_those_of_the_worked_examples() {
        let key = key("acme", "data", 3);
        let context = Context::from([("table", "orders"), ("row", "17")]);
        let binding = key.binding(&key.header(Suite::Cobblestone256), &context).map(|binding| binding.concat());
        assert_eq!(
            hex::encode(binding.unwrap()),
            "f50100000003000461636d65000464617461\
             00020003726f770002313700057461626c6500066f7264657273"
        );
        assert_eq!(
            hex::encode(key.seal_with(&salt(), b"hello", &context).unwrap()),
            "f50100000003404142434445464748494a4b4c4d4e4f5051525354555657\
             79b7e44c771a976910d40a0dab00ad6a51ddc4adbba64664e69753dc6094a011\
             be0113ccc7682d4bb78a6e604f741fdb3246ddfda8"
        );
        assert_eq!(
            hex::encode(key.seal_with(&salt(), b"", &Context::empty()).unwrap()),
            "f50100000003404142434445464748494a4b4c4d4e4f5051525354555657\
             94068e7f3af0c871531f7be9ca64860b909c7b511857e809e861ed555083ba6a\
             af9d1f56853250a6f5240caa09460a25"
        );
        let sealed = key.seal_with(&salt(), &vec![0; 16_385], &Context::empty()).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &sealed);
        assert_eq!(sealed.len(), 16_479);
        assert_eq!(hex::encode(digest), "5ea5ad7a23ec2589b121551d4c27d27cbc5d222671f28b7d1cf13272ebc3dd61");
    }

    #[test]
    fn compact_bytes_are_those_of_the_worked_example() {
        let context = Context::from([("table", "orders"), ("row", "17")]);
        let sealed = key("acme", "data", 3).seal_compact_with(&salt(), b"hello", &context).unwrap();
        assert_eq!(
            hex::encode(sealed),
            "f50200000003404142434445464748494a4b4c4d4e4f5051525354555657\
             5a232b422ec55f992eeb70b7233b64890c4dda10e3"
        );
    }

    #[test]
    fn bytes_open_under_their_tenant_purpose_version_and_context_only() {
        let context = Context::from([("row", "17")]);
        let sealed = key("acme", "data", 3).seal(b"hello", &context).unwrap();
        assert_eq!(key("acme", "data", 3).open(&sealed, &context).unwrap(), b"hello");
        for other in [key("acmf", "data", 3), key("acme", "date", 3), key("acme", "data", 4), key("acmed", "ata", 3)] {
            assert!(matches!(other.open(&sealed, &context), Err(OpenError::NotOpened)), "{other:?}");
        }
        for other in [
            Context::empty(),
            Context::from([("row", "18")]),
            Context::from([("Row", "17")]),
            Context::from([("row1", "7")]),
            Context::from([("row", "17"), ("a", "")]),
        ] {
            assert!(matches!(key("acme", "data", 3).open(&sealed, &other), Err(OpenError::NotOpened)), "{other:?}");
        }
    }

    #[test]
    fn a_binding_of_8192_bytes_is_the_longest() {
        let key = key("acme", "data", 3);
        // 6 header, 6 + 6 names, 2 count, 4 lengths, 1 key.
        let context = |bytes: usize| Context::from([("k".to_owned(), "x".repeat(bytes - 25))]);
        assert!(key.seal(b"", &context(8_192)).is_ok());
        let error = key.seal(b"", &context(8_193)).unwrap_err();
        assert!(matches!(error, SealError::Context(ContextError::TooLong { bytes: 8_193 })), "{error}");
        let sealed = key.seal(b"", &Context::empty()).unwrap();
        assert_eq!(key.open(&sealed, &context(8_193)).unwrap_err().code(), "context_invalid");
    }

    #[test]
    fn a_stopped_key_refuses_every_new_call_and_a_retired_one_only_seals() {
        let key = key("acme", "data", 3);
        let sealed = key.seal(b"x", &Context::empty()).unwrap();
        let mut running = key.opener(sealed.as_slice(), &Context::empty()).unwrap();

        key.lock.retire();
        assert_eq!(key.seal(b"x", &Context::empty()).unwrap_err().code(), "usage");
        assert!(key.sealer(io::sink(), &Context::empty()).is_err());
        assert!(key.open(&sealed, &Context::empty()).is_ok());

        key.lock.stop(Stopped::new(StoppedState::Disabled, StoppedBy::Tenant));
        key.lock.stop(Stopped::new(StoppedState::Destroyed, StoppedBy::Kms));
        let codes = [
            key.seal(b"x", &Context::empty()).unwrap_err().code(),
            key.seal_compact_uncommitted(b"x", &Context::empty()).unwrap_err().code(),
            key.sealer(io::sink(), &Context::empty()).unwrap_err().code(),
            key.clone().open(&sealed, &Context::empty()).unwrap_err().code(),
            key.opener(sealed.as_slice(), &Context::empty()).unwrap_err().code(),
            key.seekable(io::Cursor::new(&sealed), &Context::empty()).unwrap_err().code(),
        ];
        assert_eq!(codes, ["key_disabled"; 6]);
        assert_eq!(running.next_chunk().unwrap(), Some(&b"x"[..]), "a stream that runs goes on to its end");
    }

    #[test]
    fn debug_shows_names_and_no_key() {
        let shown = format!("{:?}", key("acme", "data", 3));
        assert_eq!(shown, "TenantKey { tenant: TenantId(\"acme\"), purpose: Purpose(\"data\"), version: 3, .. }");
    }
}
