//! `qsec audit append`: events of the platform's own services, one draft a line.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use qsec::Deployment;
use qsec::audit::{Draft, Event, Receipt};
use serde_json::{Value, json};

use super::Session;
use crate::failure::Failure;
use crate::files;
use crate::nouns::bytes::Input;
use crate::nouns::operator;
use crate::{Exit, home, moment};

/// Most bytes of a line.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// `audit append`.
#[derive(Debug, Args)]
pub(crate) struct Append {
    /// The tenant whose tree takes the events
    #[arg(long, value_name = "ID", required_unless_present = "deployment")]
    tenant: Option<String>,
    /// The deployment's own tree takes them
    #[arg(long, conflicts_with = "tenant")]
    deployment: bool,
    /// One receipt a line, as soon as that event is durable
    #[arg(long)]
    receipts: bool,
    /// Read from there (default: standard input)
    #[arg(long, value_name = "FILE")]
    r#in: Option<PathBuf>,
}

pub(crate) async fn run(append: Append, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let input = Input::open(append.r#in.as_deref())?;
    let deployment = home::open(session.global).await?;
    let outcome = append.lines(&deployment, input, session, now).await;
    let receipts = home::close(deployment, outcome, now).await?;
    if !append.receipts {
        let size = receipts.last().map_or(0, |receipt| receipt.index().saturating_add(1));
        let objects: Vec<_> = receipts.iter().map(object).collect();
        let answer = json!({"appended": receipts.len(), "tree_size": size, "receipts": objects});
        session.output.answer(&answer, |_| format!("{} events recorded, the tree has {size}", receipts.len()));
    }
    Ok(Exit::Yes)
}

impl Append {
    async fn lines(
        &self,
        deployment: &Deployment,
        input: Input,
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<Vec<Receipt>, Failure> {
        let tenant = match &self.tenant {
            Some(id) => Some(deployment.tenant(id).await?),
            None => None,
        };
        let mut reader = BufReader::new(input.reader);
        let mut receipts = Vec::new();
        let mut number = 0_u64;
        while let Some(line) = next_line(&mut reader, &input.name)? {
            number = number.saturating_add(1);
            if line.is_empty() {
                continue;
            }
            let event = read_draft(&line, number)?;
            let receipt = match &tenant {
                Some(tenant) => tenant.write_event(event, now).await?,
                None => deployment.write_event(event, now).await?,
            };
            if self.receipts {
                let mut stdout = std::io::stdout().lock();
                // Whoever reads the line may rely on it: the event is on disk.
                let _ = writeln!(stdout, "{}", object(&receipt)).and_then(|()| stdout.flush());
            }
            receipts.push(receipt);
        }
        let _ = session;
        Ok(receipts)
    }
}

fn next_line(reader: &mut impl BufRead, name: &std::path::Path) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(2);
    let read = std::io::Read::take(&mut *reader, limit).read_until(b'\n', &mut line);
    match read.map_err(|error| files::unreadable(name, &error))? {
        0 => Ok(None),
        _ => {
            let trimmed = line.strip_suffix(b"\n").unwrap_or(&line);
            if trimmed.len() > MAX_LINE_BYTES {
                return Err(Failure::usage(format!("a line has more than {MAX_LINE_BYTES} bytes")));
            }
            String::from_utf8(trimmed.to_vec()).map(Some).map_err(|_| Failure::usage("a line is not UTF-8"))
        }
    }
}

fn read_draft(line: &str, number: u64) -> Result<Event, Failure> {
    Draft::parse_line(line, operator()).map_err(|error| {
        Failure::new(Exit::Misuse, error.code(), format!("line {number}: {error}")).with("line", number)
    })
}

fn object(receipt: &Receipt) -> Value {
    json!({
        "id": receipt.id().to_string(), "tenant": receipt.tree().tenant_id().map(|id| id.as_str()),
        "index": receipt.index(), "commit": receipt.commit(),
    })
}
