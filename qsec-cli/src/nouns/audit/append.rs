//! `qsec audit append`: events of the platform's own services, one draft a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use qsec::audit::{Receipt, Tree};
use qsec::{Deployment, Tenant};
use serde_json::{Value, json};

use super::draft;
use crate::failure::Failure;
use crate::nouns::Session;
use crate::nouns::bytes::Input;
use crate::{Exit, files, home, moment};

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
    /// Print one receipt a line, as soon as that event is durable
    #[arg(long)]
    receipts: bool,
    /// Read from there (default: standard input)
    #[arg(long, value_name = "FILE")]
    r#in: Option<PathBuf>,
}

impl Append {
    pub(super) async fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let now = moment::changing(session.global.now)?;
        let input = Input::open(self.r#in.as_deref())?;
        let deployment = home::open(session.global).await?;
        let outcome = self.record(&deployment, input).await;
        let (receipts, tree_size) = home::close(deployment, outcome, now).await?;
        if !self.receipts {
            let objects: Vec<_> = receipts.iter().map(object).collect();
            let answer = json!({"appended": receipts.len(), "tree_size": tree_size, "receipts": objects});
            let text = format!("{} events recorded, the tree has {tree_size}", receipts.len());
            session.output.answer(&answer, |_| text)?;
        }
        Ok(Exit::Yes)
    }

    async fn record(&self, deployment: &Deployment, input: Input) -> Result<(Vec<Receipt>, u64), Failure> {
        let tenant = match &self.tenant {
            Some(id) => Some(deployment.tenant(id).await?),
            None => None,
        };
        let mut reader = BufReader::new(input.reader);
        let mut receipts = Vec::new();
        for number in 1_u64.. {
            let placed = |failure: Failure| failure.at_line(number, receipts.len());
            let Some(line) = next_line(&mut reader, &input.name).map_err(placed)? else { break };
            // The pipe may have been open for hours: each event has its own time.
            let now = moment::changing(None)?;
            let event = draft::read(&line, now).map_err(placed)?;
            let receipt = write(deployment, tenant.as_ref(), event, now).await.map_err(placed)?;
            if self.receipts {
                say(&receipt)?;
            }
            receipts.push(receipt);
        }
        let tree_size = match receipts.last() {
            Some(receipt) => receipt.index().saturating_add(1),
            None => self.tree_size(deployment)?,
        };
        Ok((receipts, tree_size))
    }

    /// The size of a tree to which nothing was added.
    fn tree_size(&self, deployment: &Deployment) -> Result<u64, Failure> {
        let tree = match &self.tenant {
            Some(tenant) => Tree::tenant(tenant).map_err(|error| Failure::usage(error.to_string()))?,
            None => Tree::Deployment,
        };
        let mut size = 0;
        for leaf in qsec::audit::tail(deployment.log_folder(), &tree, 0) {
            size = leaf.map_err(|error| super::unreadable(&error))?.index().saturating_add(1);
        }
        Ok(size)
    }
}

async fn write(
    deployment: &Deployment,
    tenant: Option<&Tenant>,
    event: qsec::audit::Event,
    now: SystemTime,
) -> Result<Receipt, Failure> {
    Ok(match tenant {
        Some(tenant) => tenant.write_event(event, now).await?,
        None => deployment.write_event(event, now).await?,
    })
}

/// Whoever reads the line may rely on it: the event is on disk.
fn say(receipt: &Receipt) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let said = writeln!(stdout, "{}", object(receipt)).and_then(|()| stdout.flush());
    said.map_err(|error| files::unwritable(Path::new("-"), &error))
}

fn next_line(reader: &mut impl BufRead, name: &Path) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(2);
    let read = Read::take(&mut *reader, limit).read_until(b'\n', &mut line);
    if read.map_err(|error| files::unreadable(name, &error))? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    if line.len() > MAX_LINE_BYTES {
        return Err(Failure::misuse("draft_malformed", format!("it has more than {MAX_LINE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(line).map_err(|_| Failure::misuse("draft_malformed", "it is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

fn object(receipt: &Receipt) -> Value {
    json!({
        "id": receipt.id().to_string(), "tenant": receipt.tree().tenant_id().map(qsec::audit::TenantId::as_str),
        "index": receipt.index(), "commit": receipt.commit(),
    })
}
