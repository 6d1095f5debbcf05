//! Opening: nothing appears before all of it verified, unless the caller asked for a stream.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use qsec::crypto::{Context, OpenError, TenantKey, inspect};
use serde_json::json;

use super::compact::{self, is_compact};
use super::range::ByteRange;
use super::{BUFFER_BYTES, Format, Input, Open, Reader, is_named, progress};
use crate::Exit;
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::nouns::Session;

/// The longest header by which a key is chosen.
const HEADER_BYTES: u64 = 6;

pub(crate) async fn run(open: Open, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = open.binding.key.now(session)?;
    let context = open.binding.context()?;
    let mut input = Input::open(open.r#in.as_deref())?;
    let mut header = Vec::new();
    let read = (&mut input.reader).take(HEADER_BYTES).read_to_end(&mut header);
    read.map_err(|error| files::unreadable(&input.name, &error))?;
    let insists = open.format.is_some_and(|format| (format == Format::CompactUncommitted) != is_compact(&header));
    if insists && inspect(&header, None).is_ok() {
        return Err(Failure::misuse("unsupported_suite", "these bytes are not of the format that `--format` names"));
    }
    let held = open.binding.key.to_open(&header, session, now).await?;
    let job = Job { key: held.key.clone(), context, header, name: input.name.clone() };
    let outcome = job.run(&open, input, session);
    let written = held.close(outcome, now).await?;
    let summary = json!({
        "format": "native", "tenant": job.key.tenant().as_str(), "purpose": job.key.purpose().as_str(),
        "key_version": job.key.version(), "plaintext_bytes": written,
    });
    session.output.summary(is_named(open.out.as_deref()), &summary, |_| format!("{written} bytes opened"))?;
    Ok(Exit::Yes)
}

/// One opening: the key, what the bytes are bound to, and the header that was read to choose the key.
struct Job {
    key: TenantKey,
    context: Context,
    header: Vec<u8>,
    name: std::path::PathBuf,
}

impl Job {
    fn run(&self, open: &Open, input: Input, session: &Session<'_>) -> Result<u64, Failure> {
        let mut sink = Sink::open(open.out.as_deref(), Existing::Replace)?;
        let written = match open.range {
            None if is_compact(&self.header) => {
                let plain = compact::open(&self.header, input, &self.key, &self.context)?;
                sink.write_all(&plain).map_err(|error| sink.unwritable(&error))?;
                Ok(u64::try_from(plain.len()).unwrap_or(u64::MAX))
            }
            Some(range) => self.range(input, range, &mut sink),
            None if sink.is_file() => self.to_file(input, &mut sink, session),
            None if open.stream => self.stream(input, &mut sink),
            None => self.verified_first(input, &mut sink, open.spool_dir.as_deref()),
        }?;
        sink.finish()?;
        Ok(written)
    }

    /// To a file: one pass under a temporary name, which becomes the file when the end has verified.
    fn to_file(&self, input: Input, sink: &mut Sink, session: &Session<'_>) -> Result<u64, Failure> {
        let bar = progress(session.output, input.length, "opening");
        let sealed = Cursor::new(self.header.clone()).chain(bar.wrap_read(input.reader));
        let written = self.pour(sealed, sink).map_err(|stopped| stopped.failure)?;
        bar.finish_and_clear();
        Ok(written)
    }

    /// To a pipe: a file is read twice, standard input is kept as ciphertext until it verified.
    fn verified_first(&self, input: Input, sink: &mut Sink, spool_dir: Option<&Path>) -> Result<u64, Failure> {
        let mut file = match input.reader {
            Reader::File(file) if input.length.is_some() => file,
            mut reader @ (Reader::File(_) | Reader::Stdin(_)) => self.spool(&mut reader, spool_dir)?,
        };
        let rewind = |file: &mut File| file.rewind().map_err(|error| files::unreadable(&self.name, &error));
        rewind(&mut file)?;
        self.pour(&mut file, &mut io::sink()).map_err(|stopped| stopped.failure)?;
        rewind(&mut file)?;
        self.pour(&mut file, sink).map_err(Stopped::changed_between_passes)
    }

    /// As it verifies, in one pass.
    fn stream(&self, input: Input, sink: &mut Sink) -> Result<u64, Failure> {
        let sealed = Cursor::new(self.header.clone()).chain(input.reader);
        self.pour(sealed, sink).map_err(Stopped::with_prefix)
    }

    /// Only some bytes of a file: the chunks that hold them. Each verifies by itself, so that to a pipe they are all opened
    /// once before the first byte goes out.
    fn range(&self, input: Input, range: ByteRange, sink: &mut Sink) -> Result<u64, Failure> {
        let Reader::File(file) = input.reader else {
            return Err(Failure::usage("`--range` needs a file that can be read from the middle"));
        };
        let mut opener = self.key.seekable(file, &self.context).map_err(|error| self.failure(error))?;
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
    fn pour(&self, sealed: impl Read, to: &mut impl Outlet) -> Result<u64, Stopped> {
        let stopped = |prefix_bytes, failure| Stopped { prefix_bytes, failure };
        let mut written = 0_u64;
        let mut opener = self.key.opener(sealed, &self.context).map_err(|error| stopped(0, self.failure(error)))?;
        loop {
            let chunk = match opener.next_chunk() {
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

    fn failure(&self, error: OpenError) -> Failure {
        match error {
            OpenError::Read(error) => files::unreadable(&self.name, &error),
            other @ (OpenError::NotOpened | _) => other.into(),
        }
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
