//! Opening: nothing appears before all of it verified, unless the caller asked for a stream.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use qsec::crypto::{Context, OpenError, TenantKey};
use serde_json::json;

use super::range::ByteRange;
use super::{Input, Open, Reader, progress};
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::nouns::Session;
use crate::{Exit, moment};

/// The longest header by which a key is chosen.
const HEADER_BYTES: u64 = 6;

pub(crate) async fn run(open: Open, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let context = open.binding.context()?;
    let mut input = Input::open(open.r#in.as_deref())?;
    let mut header = Vec::new();
    let read = (&mut input.reader).take(HEADER_BYTES).read_to_end(&mut header);
    read.map_err(|error| files::unreadable(&input.name, &error))?;
    let held = open.binding.key.to_open(&header, session, now).await?;
    let job = Job { key: held.key.clone(), context, header, name: input.name.clone() };
    let outcome = job.run(&open, input, session);
    let written = held.close(outcome, now).await?;
    let summary = json!({
        "format": "native", "tenant": job.key.tenant().as_str(), "purpose": job.key.purpose().as_str(),
        "key_version": job.key.version(), "plaintext_bytes": written,
    });
    session.output.summary(open.out.is_some(), &summary, |_| format!("{written} bytes opened"));
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
        match (&open.range, open.out.as_deref().filter(|out| !files::is_dash(out))) {
            (Some(range), out) => self.range(input, *range, out),
            (None, Some(out)) => self.to_file(input, out, session),
            (None, None) if open.stream => self.stream(input),
            (None, None) => self.verified_first(input, open.spool_dir.as_deref()),
        }
    }

    /// To a file: one pass under a temporary name, which becomes the file when the end has verified.
    fn to_file(&self, input: Input, out: &Path, session: &Session<'_>) -> Result<u64, Failure> {
        let mut sink = Sink::open(Some(out), Existing::Replace)?;
        let bar = progress(session.output, input.length, "opening");
        let rest = Cursor::new(self.header.clone()).chain(bar.wrap_read(input.reader));
        let written = self.pour(rest, &mut sink).map_err(|stopped| stopped.failure)?;
        sink.finish()?;
        bar.finish_and_clear();
        Ok(written)
    }

    /// To standard output: a file is read twice, standard input is kept as ciphertext until it verified.
    fn verified_first(&self, input: Input, spool_dir: Option<&Path>) -> Result<u64, Failure> {
        let mut file = match input.reader {
            Reader::File(file) if input.length.is_some() => file,
            mut reader => self.spool(&mut reader, spool_dir)?,
        };
        let rewind = |file: &mut File| file.rewind().map_err(|error| files::unreadable(&self.name, &error));
        rewind(&mut file)?;
        self.pour(&mut file, &mut io::sink()).map_err(|stopped| stopped.failure)?;
        rewind(&mut file)?;
        let mut stdout = io::stdout().lock();
        self.pour(&mut file, &mut stdout).map_err(|stopped| stopped.changed_between_passes())
    }

    /// As it verifies, in one pass.
    fn stream(&self, input: Input) -> Result<u64, Failure> {
        let rest = Cursor::new(self.header.clone()).chain(input.reader);
        self.pour(rest, &mut io::stdout().lock()).map_err(Stopped::with_prefix)
    }

    /// Only some bytes of a file: the chunks that hold them.
    fn range(&self, input: Input, range: ByteRange, out: Option<&Path>) -> Result<u64, Failure> {
        let Reader::File(file) = input.reader else {
            return Err(Failure::usage("`--range` needs a file that can be read from the middle"));
        };
        let mut opener = self.key.seekable(file, &self.context)?;
        let (start, count) = range.within(opener.plaintext_len()?);
        let mut plain = Vec::new();
        let read = opener.seek(SeekFrom::Start(start)).and_then(|_| opener.take(count).read_to_end(&mut plain));
        let plain = zeroize::Zeroizing::new(plain);
        read.map_err(|error| read_failure(error, &self.name))?;
        let mut sink = Sink::open(out, Existing::Replace)?;
        sink.write_all(&plain).map_err(|error| files::unwritable(out.unwrap_or(Path::new("-")), &error))?;
        sink.finish()?;
        Ok(u64::try_from(plain.len()).unwrap_or(u64::MAX))
    }

    fn spool(&self, reader: &mut Reader, dir: Option<&Path>) -> Result<File, Failure> {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let spool = || {
            let mut file = tempfile::tempfile_in(&dir)?;
            file.write_all(&self.header)?;
            io::copy(reader, &mut file)?;
            Ok(file)
        };
        spool().map_err(|error| files::unwritable(&dir, &error))
    }

    /// Opens to the end, chunk by chunk.
    fn pour(&self, sealed: impl Read, to: &mut impl Write) -> Result<u64, Stopped> {
        let stopped = |prefix_bytes, failure| Stopped { prefix_bytes, failure };
        let mut written = 0_u64;
        let mut opener = self.key.opener(sealed, &self.context).map_err(|error| stopped(0, self.failure(error)))?;
        loop {
            let chunk = match opener.next_chunk() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(stopped(written, self.failure(error))),
            };
            if let Err(error) = to.write_all(chunk) {
                return Err(stopped(written, files::unwritable(Path::new("-"), &error)));
            }
            written = written.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        }
        to.flush().map_err(|error| stopped(written, files::unwritable(Path::new("-"), &error)))?;
        Ok(written)
    }

    fn failure(&self, error: OpenError) -> Failure {
        match error {
            OpenError::Read(error) => files::unreadable(&self.name, &error),
            other => other.into(),
        }
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
            return failure;
        }
        let message = "the input changed while it was read; a prefix went out and must be thrown away";
        Failure::new(Exit::No, "not_opened", message).with("prefix_bytes", prefix_bytes)
    }
}

fn read_failure(error: io::Error, name: &Path) -> Failure {
    match error.downcast::<OpenError>() {
        Ok(OpenError::Read(error)) => files::unreadable(name, &error),
        Ok(other) => other.into(),
        Err(error) => files::unreadable(name, &error),
    }
}
