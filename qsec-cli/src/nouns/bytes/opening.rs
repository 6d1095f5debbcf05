//! Opening: nothing appears before all of it verified, unless the caller asked for a stream.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use qsec::SystemClock;
use qsec::crypto::esdk::{Content, EsdkOpener, MessageHeader, UnopenedMessage};
use qsec::crypto::{Context, OpenError, Opener, TenantKey, inspect};

use super::compact::{self, is_compact};
use super::key::InHand;
use super::range::ByteRange;
use super::{BUFFER_BYTES, Format, Input, Open, Reader, is_named, named, progress};
use crate::Exit;
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::nouns::Session;

/// The native header, by which a key is chosen.
const HEADER_BYTES: u64 = 6;
/// How messages of the AWS Encryption SDK begin: the second version of their format.
const MESSAGE_VERSION: u8 = 2;

pub(crate) async fn run(open: Open, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = open.binding.key.now(session)?;
    let context = open.binding.context()?;
    open.format.map_or(Ok(()), |format| open.binding.key.fits(format))?;
    let mut input = Input::open(open.r#in.as_deref())?;
    let (header, format, suite) = recognise(&open, &mut input)?;
    let held = open.binding.key.to_open(&header, session, now).await?;
    let key = Arc::clone(&held.key);
    let job = Job { key: Arc::clone(&key), context, header, name: input.name.clone() };
    let outcome = Box::pin(job.run(&open, input, session)).await;
    let written = held.close(outcome, now).await?;
    let mut summary = named(format, suite, &key);
    summary.insert("plaintext_bytes".into(), written.into());
    session.output.summary(is_named(open.out.as_deref()), &summary, |_| format!("{written} bytes opened"))?;
    Ok(Exit::Yes)
}

/// Reads the header, and no more, and says of what format and suite it is. What the options do not admit is refused here.
fn recognise(open: &Open, input: &mut Input) -> Result<(Vec<u8>, Format, &'static str), Failure> {
    let mut header = Vec::new();
    let read = (&mut input.reader).take(HEADER_BYTES).read_to_end(&mut header);
    read.map_err(|error| files::unreadable(&input.name, &error))?;
    let format = match header.first() {
        Some(&MESSAGE_VERSION) => Format::Esdk,
        _ if is_compact(&header) => Format::CompactUncommitted,
        _ => Format::Native,
    };
    let is_sealed = format == Format::Esdk || inspect(&header, None).is_ok();
    if is_sealed && open.format.is_some_and(|wanted| wanted != format) {
        return Err(Failure::misuse("unsupported_suite", "these bytes are not of the format that `--format` names"));
    }
    if is_sealed {
        open.binding.key.fits(format)?;
    }
    if format != Format::Esdk {
        return Ok((header, format, format.suite()));
    }
    let message = read_header(&mut header, input)?;
    admits(open, &message)?;
    Ok((header, format, message.suite().name()))
}

/// The rest of a message's header, behind what was read of it already.
fn read_header(header: &mut Vec<u8>, input: &mut Input) -> Result<MessageHeader, Failure> {
    let begun = std::mem::take(header);
    let mut kept = Kept { inner: begun.as_slice().chain(&mut input.reader), bytes: header };
    let name = &input.name;
    let message = UnopenedMessage::read(&mut kept).map_err(|error| opening_failure(error, name))?;
    Ok(message.header().clone())
}

/// A part of a message cannot be had, and nothing of a message that only verifies as a whole can be given out early.
fn admits(open: &Open, message: &MessageHeader) -> Result<(), Failure> {
    if open.range.is_some() {
        return Err(Failure::usage("`--range` is for the native format"));
    }
    if open.stream && (message.suite().is_signed() || message.content() == Content::OneBlock) {
        return Err(Failure::usage("a signed message, or one block, verifies as a whole: it cannot be streamed"));
    }
    Ok(())
}

/// Keeps what is read through it.
struct Kept<'a, R> {
    inner: R,
    bytes: &'a mut Vec<u8>,
}

impl<R: Read> Read for Kept<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// One opening: the key, what the bytes are bound to, and the header that was read to choose the key.
struct Job {
    key: Arc<InHand>,
    context: Context,
    header: Vec<u8>,
    name: std::path::PathBuf,
}

/// Chunks or frames, as they verify.
enum Parts<R: Read> {
    Native(Box<Opener<R>>),
    Message(Box<EsdkOpener<R>>),
}

impl<R: Read> Parts<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, OpenError> {
        match self {
            Self::Native(opener) => opener.next_chunk(),
            Self::Message(opener) => opener.next_frame(),
        }
    }
}

impl Job {
    async fn run(&self, open: &Open, input: Input, session: &Session<'_>) -> Result<u64, Failure> {
        let mut sink = Sink::open(open.out.as_deref(), Existing::Replace)?;
        let written = match open.range {
            None if is_compact(&self.header) => {
                let plain = compact::open(&self.header, input, self.tenant_key()?, &self.context)?;
                sink.write_all(&plain).map_err(|error| sink.unwritable(&error))?;
                Ok(u64::try_from(plain.len()).unwrap_or(u64::MAX))
            }
            Some(range) => self.range(input, range, &mut sink),
            None if sink.is_file() => self.to_file(input, &mut sink, session).await,
            None if open.stream => self.stream(input, &mut sink).await,
            None => self.verified_first(input, &mut sink, open.spool_dir.as_deref()).await,
        }?;
        sink.finish()?;
        Ok(written)
    }

    /// To a file: one pass under a temporary name, which becomes the file when the end has verified.
    async fn to_file(&self, input: Input, sink: &mut Sink, session: &Session<'_>) -> Result<u64, Failure> {
        let bar = progress(session.output, input.length, "opening");
        let sealed = Cursor::new(self.header.clone()).chain(bar.wrap_read(input.reader));
        let written = self.pour(sealed, sink).await.map_err(|stopped| stopped.failure)?;
        bar.finish_and_clear();
        Ok(written)
    }

    /// To a pipe: a file is read twice, standard input is kept as ciphertext until it verified.
    async fn verified_first(&self, input: Input, sink: &mut Sink, spool_dir: Option<&Path>) -> Result<u64, Failure> {
        let mut file = match input.reader {
            Reader::File(file) if input.length.is_some() => file,
            mut reader @ (Reader::File(_) | Reader::Stdin(_)) => self.spool(&mut reader, spool_dir)?,
        };
        let rewind = |file: &mut File| file.rewind().map_err(|error| files::unreadable(&self.name, &error));
        rewind(&mut file)?;
        self.pour(&mut file, &mut io::sink()).await.map_err(|stopped| stopped.failure)?;
        rewind(&mut file)?;
        self.pour(&mut file, sink).await.map_err(Stopped::changed_between_passes)
    }

    /// As it verifies, in one pass.
    async fn stream(&self, input: Input, sink: &mut Sink) -> Result<u64, Failure> {
        let sealed = Cursor::new(self.header.clone()).chain(input.reader);
        self.pour(sealed, sink).await.map_err(Stopped::with_prefix)
    }

    /// Only some bytes of a file: the chunks that hold them. Each verifies by itself, so that to a pipe they are all opened
    /// once before the first byte goes out.
    fn range(&self, input: Input, range: ByteRange, sink: &mut Sink) -> Result<u64, Failure> {
        let Reader::File(file) = input.reader else {
            return Err(Failure::usage("`--range` needs a file that can be read from the middle"));
        };
        let opener = self.tenant_key()?.seekable(file, &self.context);
        let mut opener = opener.map_err(|error| self.failure(error))?.with_clock(Arc::new(SystemClock));
        let length = opener.plaintext_len().map_err(|error| self.failure(error))?;
        let (start, count) = range.within(length);
        let mut pass = |to: &mut dyn Write, on_write: &dyn Fn(&io::Error) -> Failure| {
            opener.seek(SeekFrom::Start(start)).map_err(|error| read_failure(error, &self.name))?;
            let mut part = (&mut opener).take(count);
            let mut buffer = zeroize::Zeroizing::new(vec![0; BUFFER_BYTES]);
            loop {
                let read = part.read(&mut buffer).map_err(|error| read_failure(error, &self.name))?;
                if read == 0 {
                    return Ok(());
                }
                to.write_all(buffer.get(..read).unwrap_or_default()).map_err(|error| on_write(&error))?;
            }
        };
        let unwritable = |error: &io::Error| files::unwritable(Path::new("-"), error);
        if !sink.is_file() {
            pass(&mut io::sink(), &unwritable)?;
        }
        pass(sink, &unwritable).map_err(|failure| sink.broken().unwrap_or(failure))?;
        Ok(count)
    }

    fn spool(&self, reader: &mut Reader, dir: Option<&Path>) -> Result<File, Failure> {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let mut spool = || {
            let mut file = tempfile::tempfile_in(&dir)?;
            file.write_all(&self.header)?;
            io::copy(reader, &mut file)?;
            Ok(file)
        };
        spool().map_err(|error| files::unwritable(&dir, &error))
    }

    /// Opens to the end, chunk by chunk.
    async fn pour(&self, sealed: impl Read, to: &mut impl Outlet) -> Result<u64, Stopped> {
        let stopped = |prefix_bytes, failure| Stopped { prefix_bytes, failure };
        let mut written = 0_u64;
        let mut parts = self.parts(sealed).await.map_err(|failure| stopped(0, failure))?;
        loop {
            let chunk = match parts.next() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(stopped(written, self.failure(error))),
            };
            // Flushed, so that what was counted did go out.
            if let Err(error) = to.write_all(chunk).and_then(|()| to.flush()) {
                return Err(stopped(written, to.unwritable(&error)));
            }
            written = written.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        }
        Ok(written)
    }

    async fn parts<R: Read>(&self, sealed: R) -> Result<Parts<R>, Failure> {
        let is_message = self.header.first() == Some(&MESSAGE_VERSION);
        let failure = |error| self.failure(error);
        let (context, clock) = (&self.context, Arc::new(SystemClock));
        Ok(match &*self.key {
            InHand::Kms(keys) => {
                let opener = keys.keyring.opener(sealed, context, keys.now).await?;
                Parts::Message(Box::new(opener.with_clock(clock)))
            }
            InHand::RawAes(keys) => Parts::Message(Box::new(keys.opener(sealed, context).map_err(failure)?)),
            InHand::Tenant(key) if is_message => {
                let opener = key.esdk_opener(sealed, context).map_err(failure)?;
                Parts::Message(Box::new(opener.with_clock(clock)))
            }
            InHand::Tenant(key) => {
                Parts::Native(Box::new(key.opener(sealed, context).map_err(failure)?.with_clock(clock)))
            }
        })
    }

    /// For what only native bytes can do; the options were held against the header before.
    fn tenant_key(&self) -> Result<&TenantKey, Failure> {
        match &*self.key {
            InHand::Tenant(key) => Ok(key),
            InHand::RawAes(_) | InHand::Kms(_) => {
                Err(Failure::usage("the native formats take `--raw-key`, or a tenant"))
            }
        }
    }

    fn failure(&self, error: OpenError) -> Failure {
        opening_failure(error, &self.name)
    }
}

fn opening_failure(error: OpenError, name: &Path) -> Failure {
    match error {
        OpenError::Read(error) => files::unreadable(name, &error),
        other @ (OpenError::NotOpened | _) => other.into(),
    }
}

/// What opened bytes go to: an output, or nothing where they are only verified.
trait Outlet: Write {
    fn unwritable(&self, error: &io::Error) -> Failure;
}

impl Outlet for Sink {
    fn unwritable(&self, error: &io::Error) -> Failure {
        Self::unwritable(self, error)
    }
}

impl Outlet for io::Sink {
    fn unwritable(&self, error: &io::Error) -> Failure {
        Failure::internal(error.to_string())
    }
}

/// Where an opening stopped.
struct Stopped {
    prefix_bytes: u64,
    failure: Failure,
}

impl Stopped {
    /// The reader of a stream must throw away what it got: so it is told how much that is.
    fn with_prefix(self) -> Failure {
        self.failure.with("prefix_bytes", self.prefix_bytes)
    }

    fn changed_between_passes(self) -> Failure {
        let Self { prefix_bytes, failure } = self;
        if failure.code() != "not_opened" {
            return failure.with("prefix_bytes", prefix_bytes);
        }
        let message = "the input changed while it was read; a prefix went out and must be thrown away";
        Failure::new(Exit::No, "not_opened", message).with("prefix_bytes", prefix_bytes)
    }
}

fn read_failure(error: io::Error, name: &Path) -> Failure {
    match error.downcast::<OpenError>() {
        Ok(OpenError::Read(error)) | Err(error) => files::unreadable(name, &error),
        Ok(other) => other.into(),
    }
}
