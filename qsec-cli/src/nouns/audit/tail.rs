//! `qsec audit tail`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use qsec::audit::Tree;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::unreadable;
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::nouns::Session;
use crate::{Exit, home};

/// How often a log that is followed is looked at: it is read from its beginning each time.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// Most bytes of a cursor file: a tenant's id and a number.
const MAX_CURSOR_BYTES: u64 = 4096;
/// Lines after which the cursor is written while many are printed.
const CURSOR_EVERY: u64 = 1000;

/// `audit tail`.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The tenant's id (default: the deployment's own tree)
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Begin with this index
    #[arg(long, value_name = "INDEX", conflicts_with = "cursor")]
    from: Option<u64>,
    /// Wait for more until standard output is closed
    #[arg(long)]
    follow: bool,
    /// Only types that begin so
    #[arg(long, value_name = "PREFIX")]
    r#type: Option<String>,
    /// Begin where this file says, and keep the position in it: each line comes at least once
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
}

/// What a cursor file holds: which tree, and the index of the first leaf that was not printed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    tenant: Option<String>,
    next: u64,
}

impl Tail {
    /// Reads the folder alone: a log can be read while a deployment is at work, and after it ended.
    pub(super) async fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let tree = match &self.tenant {
            Some(tenant) => Tree::tenant(tenant).map_err(|error| Failure::usage(error.to_string()))?,
            None => Tree::Deployment,
        };
        let mut next = match &self.cursor {
            Some(path) => self.read_cursor(path)?,
            None => self.from.unwrap_or(0),
        };
        let folder = qsec::log_folder_of(home::folder(session.global))?;
        self.tenant_exists(&folder, &tree)?;
        loop {
            let open = self.print(&folder, &tree, &mut next)?;
            if !(self.follow && open) {
                return Ok(Exit::Yes);
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }

    /// Each tenant's tree begins with its own creation: an empty one is nobody's.
    fn tenant_exists(&self, folder: &Path, tree: &Tree) -> Result<(), Failure> {
        let Some(tenant) = &self.tenant else { return Ok(()) };
        match qsec::audit::tail(folder, tree, 0).next() {
            Some(first) => first.map(drop).map_err(|error| unreadable(&error)),
            None => Err(Failure::new(Exit::No, "tenant_not_found", format!("there is no tenant `{tenant}`"))),
        }
    }

    /// Prints what is there from `next` on; `false` if nobody reads any more.
    fn print(&self, folder: &Path, tree: &Tree, next: &mut u64) -> Result<bool, Failure> {
        let mut stdout = io::stdout().lock();
        let begun = *next;
        let mut open = true;
        for leaf in qsec::audit::tail(folder, tree, *next) {
            let leaf = leaf.map_err(|error| unreadable(&error))?;
            if !leaf.is_erased() && self.is_wanted(leaf.text()) {
                match writeln!(stdout, "{}", leaf.text()) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        open = false;
                        break;
                    }
                    Err(error) => return Err(files::unwritable(Path::new("-"), &error)),
                }
            }
            *next = leaf.index().saturating_add(1);
            if next.is_multiple_of(CURSOR_EVERY) {
                self.keep_cursor(&mut stdout, *next)?;
            }
        }
        if *next != begun {
            self.keep_cursor(&mut stdout, *next)?;
        }
        Ok(open)
    }

    fn is_wanted(&self, event: &str) -> bool {
        let Some(prefix) = &self.r#type else { return true };
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        event.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with(prefix.as_str()))
    }

    fn read_cursor(&self, path: &Path) -> Result<u64, Failure> {
        if !path.exists() {
            return Ok(0);
        }
        let wrong = |what: &str| Failure::misuse("cursor_invalid", format!("`{}`: {what}", path.display()));
        let text = files::read(path, MAX_CURSOR_BYTES, "cursor_invalid")?;
        let cursor: Cursor = serde_json::from_slice(&text).map_err(|_| wrong("it is no cursor of this program"))?;
        if cursor.tenant == self.tenant { Ok(cursor.next) } else { Err(wrong("it is another tenant's position")) }
    }

    /// After the lines, never before: whoever reads them sees each at least once.
    fn keep_cursor(&self, lines: &mut impl Write, next: u64) -> Result<(), Failure> {
        let Some(path) = &self.cursor else { return Ok(()) };
        lines.flush().map_err(|error| files::unwritable(Path::new("-"), &error))?;
        let cursor = Cursor { tenant: self.tenant.clone(), next };
        let text = serde_json::to_vec(&cursor).map_err(|error| Failure::internal(error.to_string()))?;
        Sink::open(Some(path), Existing::Replace)?.put(&text)
    }
}
