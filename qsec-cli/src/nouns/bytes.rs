//! `qsec seal`, `qsec open`, `qsec inspect`

mod compact;
mod inspecting;
mod key;
mod opening;
mod range;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use qsec::SystemClock;
use qsec::crypto::esdk::{EsdkSealer, EsdkSuite, FrameLength};
use qsec::crypto::{Context, SealError, Sealer, Suite};
use serde_json::{Map, Value};

use super::Session;
use crate::Exit;
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::output::Output;

pub(crate) use self::inspecting::run as inspect;
pub(crate) use self::opening::run as open;
use key::{InHand, KeyChoice};

/// Bytes moved at once: large against a system call, small against memory.
const BUFFER_BYTES: usize = 256 * 1024;
/// Work that is shown with a bar: below it the bar would only flicker.
const SHOW_PROGRESS_BYTES: u64 = 64 * 1024 * 1024;

/// Which key, and what the bytes are bound to.
#[derive(Debug, Args)]
pub(crate) struct Binding {
    #[command(flatten)]
    pub(crate) key: KeyChoice,
    /// A pair that the bytes are bound to, `key=value`; repeat for several
    #[arg(long, value_name = "K=V")]
    pub(crate) context: Vec<String>,
}

/// `qsec seal`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  (umask 077; head -c 32 /dev/urandom | base64 > k)\n  printf hello | qsec seal --raw-key k --context row=17 --out hello.sealed"
)]
pub(crate) struct Seal {
    #[command(flatten)]
    binding: Binding,
    /// The format
    #[arg(long, default_value = "native")]
    format: Format,
    /// Plaintext bytes of a frame, with `--format esdk` (default: 65536)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    frame_length: Option<u32>,
    /// Read from there (default: standard input)
    #[arg(long, value_name = "FILE")]
    r#in: Option<PathBuf>,
    /// Write there (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace an existing output
    #[arg(long)]
    force: bool,
}

/// `qsec open`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec open --raw-key k --context row=17 --in hello.sealed")]
pub(crate) struct Open {
    #[command(flatten)]
    pub(crate) binding: Binding,
    /// Insist on this format
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Read from there (default: standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) r#in: Option<PathBuf>,
    /// Write there (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Give out each chunk as it verifies; on failure the reader must throw away what it got
    #[arg(long)]
    pub(crate) stream: bool,
    /// Open only these bytes of a file: START-END (END included), START-, or -N for the last N
    #[arg(long, value_name = "A-B", requires = "in", conflicts_with = "stream", allow_hyphen_values = true)]
    pub(crate) range: Option<range::ByteRange>,
    /// Where standard input is spooled, as ciphertext, until it verified (default: the system's temporary folder)
    #[arg(long, value_name = "DIR")]
    pub(crate) spool_dir: Option<PathBuf>,
}

/// `qsec inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec inspect --in hello.sealed")]
pub(crate) struct Inspect {
    /// Read from there (default: standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) r#in: Option<PathBuf>,
}

/// A sealed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Committing, streaming, seekable
    Native,
    /// For database fields, up to 1 MiB: 46 bytes more than the plaintext, and not committing to its key
    CompactUncommitted,
    /// A message that the AWS Encryption SDK opens
    Esdk,
}

impl Format {
    /// The suite in which it is written.
    fn suite(self) -> &'static str {
        match self {
            Self::Native => Suite::Cobblestone256.name(),
            Self::CompactUncommitted => Suite::Xaes256Gcm.name(),
            Self::Esdk => EsdkSuite::Committing.name(),
        }
    }
}

impl Binding {
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        let mut pairs = Vec::new();
        for text in &self.context {
            match text.split_once('=') {
                Some(pair) => pairs.push(pair),
                None => return Err(Failure::misuse("context_invalid", format!("`{text}` is not `key=value`"))),
            }
        }
        Context::new(pairs).map_err(|error| Failure::misuse(error.code(), error.to_string()))
    }
}

pub(crate) async fn seal(seal: Seal, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = seal.binding.key.now(session)?;
    let context = seal.binding.context()?;
    seal.binding.key.fits(seal.format)?;
    if seal.frame_length.is_some() && seal.format != Format::Esdk {
        return Err(Failure::usage("`--frame-length` is for `--format esdk`"));
    }
    let existing = if seal.force { Existing::Replace } else { Existing::Keep };
    // The output is looked at first: a refused name must not cost the reading of a large input.
    let sink = Sink::open(seal.out.as_deref(), existing)?;
    let held = seal.binding.key.to_seal(seal.format, session, now).await?;
    let key = Arc::clone(&held.key);
    let outcome = Box::pin(seal_into(&seal, sink, &key, &context, session.output)).await;
    let (plaintext_bytes, sealed_bytes) = held.close(outcome, now).await?;
    let mut summary = named(seal.format, seal.format.suite(), &key);
    summary.insert("plaintext_bytes".into(), plaintext_bytes.into());
    summary.insert("sealed_bytes".into(), sealed_bytes.into());
    let to_file = is_named(seal.out.as_deref());
    session.output.summary(to_file, &summary, |_| format!("{plaintext_bytes} bytes sealed into {sealed_bytes}"))?;
    Ok(Exit::Yes)
}

/// Format, suite and key, as summaries begin.
fn named(format: Format, suite: &str, key: &InHand) -> Map<String, Value> {
    let mut summary = Map::new();
    summary.insert("format".into(), if format == Format::Esdk { "esdk" } else { "native" }.into());
    summary.insert("suite".into(), suite.into());
    summary.insert("committing".into(), (format != Format::CompactUncommitted).into());
    match key {
        InHand::Tenant(key) => {
            summary.insert("tenant".into(), key.tenant().as_str().into());
            summary.insert("purpose".into(), key.purpose().as_str().into());
            summary.insert("key_version".into(), key.version().into());
        }
        InHand::Kms(keys) => {
            summary.insert("tenant".into(), keys.tenant.as_str().into());
            summary.insert("purpose".into(), keys.purpose.as_str().into());
        }
        InHand::RawAes(_) => {}
    }
    summary
}

/// Plaintext and sealed length of what was sealed.
async fn seal_into(
    seal: &Seal,
    sink: Sink,
    key: &InHand,
    context: &Context,
    output: Output,
) -> Result<(u64, u64), Failure> {
    if let (Format::CompactUncommitted, InHand::Tenant(key)) = (seal.format, key) {
        return compact::seal(seal, sink, key, context);
    }
    let mut input = Input::open(seal.r#in.as_deref())?;
    let mut counted = Counted { inner: sink, bytes: 0 };
    let outcome = seal_through(seal, &mut input, key, context, &mut counted, output).await;
    let Counted { inner: sink, bytes: sealed_bytes } = counted;
    match outcome {
        Ok(plaintext_bytes) => sink.finish().map(|()| (plaintext_bytes, sealed_bytes)),
        Err(failure) => Err(sink.broken().unwrap_or(failure)),
    }
}

/// The length of what was sealed. A write that failed is the sealer's error here; the sink knows better.
async fn seal_through(
    seal: &Seal,
    input: &mut Input,
    key: &InHand,
    context: &Context,
    to: &mut Counted<Sink>,
    output: Output,
) -> Result<u64, Failure> {
    let frame = seal.frame_length.map_or_else(|| Ok(FrameLength::default()), FrameLength::new);
    let frame = frame.map_err(|error| Failure::usage(error.to_string()))?;
    let clock = Arc::new(SystemClock);
    match (seal.format, key) {
        (_, InHand::Kms(keys)) => {
            let sealer = keys.keyring.sealer(to, context, frame, keys.now).await?;
            pour(input, sealer.with_clock(clock), EsdkSealer::finish, output)
        }
        (_, InHand::RawAes(keys)) => pour(input, keys.sealer(to, context, frame)?, EsdkSealer::finish, output),
        (Format::Esdk, InHand::Tenant(key)) => {
            pour(input, key.esdk_sealer(to, context, frame)?.with_clock(clock), EsdkSealer::finish, output)
        }
        (_, InHand::Tenant(key)) => pour(input, key.sealer(to, context)?.with_clock(clock), Sealer::finish, output),
    }
}

/// Through a sealer of whatever format, to its end.
fn pour<S: Write, W>(
    input: &mut Input,
    mut sealer: S,
    finish: impl FnOnce(S) -> Result<W, SealError>,
    output: Output,
) -> Result<u64, Failure> {
    let bar = progress(output, input.length, "sealing");
    let plaintext_bytes = pump(input, &mut sealer, &bar)?;
    finish(sealer)?;
    bar.finish_and_clear();
    Ok(plaintext_bytes)
}

/// Whether the data went to a named file, and standard output is free for the summary.
pub(crate) fn is_named(out: Option<&Path>) -> bool {
    out.is_some_and(|out| !files::is_dash(out))
}

/// An input by name, and its length if that is known.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) reader: Reader,
    pub(crate) length: Option<u64>,
    pub(crate) name: PathBuf,
}

#[derive(Debug)]
pub(crate) enum Reader {
    Stdin(std::io::Stdin),
    File(std::fs::File),
}

impl Input {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| !files::is_dash(path)) else {
            return Ok(Self { reader: Reader::Stdin(std::io::stdin()), length: None, name: "-".into() });
        };
        let open = || {
            let file = std::fs::File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata.is_file().then_some(metadata.len())))
        };
        let (file, length) = open().map_err(|error| files::unreadable(path, &error))?;
        Ok(Self { reader: Reader::File(file), length, name: path.to_owned() })
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Stdin(stdin) => stdin.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

/// Counts what passes.
#[derive(Debug)]
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Moves plaintext into a sealer in constant memory.
fn pump(input: &mut Input, into: &mut impl Write, bar: &ProgressBar) -> Result<u64, Failure> {
    let mut buffer = zeroize::Zeroizing::new(vec![0; BUFFER_BYTES]);
    let mut total = 0_u64;
    loop {
        let read = match input.reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(files::unreadable(&input.name, &error)),
        };
        let part = buffer.get(..read).unwrap_or_default();
        into.write_all(part).map_err(|error| files::unwritable(Path::new("-"), &error))?;
        total = total.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        bar.set_position(total);
    }
}

pub(crate) fn progress(output: Output, length: Option<u64>, verb: &'static str) -> ProgressBar {
    if !output.shows_progress() || length.is_some_and(|length| length < SHOW_PROGRESS_BYTES) {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(verb)
}
