//! `qsec audit prove`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::nouns::Session;
use crate::nouns::bytes::is_named;
use crate::{Exit, home, moment};

/// `audit prove`.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The tenant's id
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// The event's index in the tenant's tree
    #[arg(long, value_name = "N")]
    index: u64,
    /// Write the proof there (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the exact bytes of the event there
    #[arg(long, value_name = "FILE")]
    entry_out: Option<PathBuf>,
}

impl Prove {
    pub(super) async fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        // A round is made first, and that is recorded.
        let now = moment::changing(session.global.now)?;
        let entry_sink = match self.entry_out.as_deref() {
            Some(path) if files::is_dash(path) => {
                return Err(Failure::usage("`--entry-out` is a file: standard output is the proof's"));
            }
            path => path.map(|path| Sink::open(Some(path), Existing::Replace)).transpose()?,
        };
        let proof_sink = Sink::open(self.out.as_deref(), Existing::Replace)?;
        let deployment = home::open(session.global).await?;
        let outcome = async {
            let tenant = deployment.tenant_for_operator(&self.tenant).await?;
            Ok::<_, Failure>(tenant.prove_index(self.index, now).await?)
        }
        .await;
        let proven = home::close(deployment, outcome, now).await?;
        if let Some(sink) = entry_sink {
            sink.put(proven.entry())?;
        }
        proof_sink.put(proven.proof().encode().as_bytes())?;
        let (tenant, index) = (&self.tenant, self.index);
        let summary = json!({"tenant": tenant, "index": index});
        let text = |_: &_| format!("event {index} of `{tenant}` is proved");
        session.output.summary(is_named(self.out.as_deref()), &summary, text)?;
        Ok(Exit::Yes)
    }
}
