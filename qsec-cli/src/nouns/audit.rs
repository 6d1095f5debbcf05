//! `qsec audit`

mod append;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use qsec::Deployment;
use qsec::audit::{Finding, InclusionProof, MacKey, Report, Tree, Verdict, VerifierKey, catalogue};
use serde_json::{Map, Value, json};

use super::Session;
use crate::failure::Failure;
use crate::files::{self, Existing, Sink};
use crate::output::{facts, table};
use crate::{Exit, home, moment};

/// Most bytes of a proof, a key file or an entry: all are bounded by the log's own limits.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Verbs on the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Record events, one draft a line
    #[command(
        after_help = "Example: echo '{\"type\":\"app.opened\",\"subject\":\"app/a-1\",\"data\":{\"app\":\"a-1\"}}' | qsec audit append --tenant acme"
    )]
    Append(append::Append),
    /// Verify the deployment's log, or a proof without any deployment
    #[command(after_help = "Example: qsec audit verify")]
    Verify(Verify),
    /// Prove that an event is in a tenant's log
    #[command(after_help = "Example: qsec audit prove --tenant acme --index 1 --out e1.tlog-proof --entry-out e1.json")]
    Prove(Prove),
    /// Print the key that verifies a tenant's proofs
    #[command(after_help = "Example: qsec audit key --tenant acme > acme.vkey")]
    Key {
        /// The tenant's id
        #[arg(long, value_name = "ID")]
        tenant: String,
    },
    /// Print events, one a line, as they are stored
    #[command(after_help = "Example: qsec audit tail --tenant acme --type app.")]
    Tail(Tail),
    /// Print the catalogue of events
    #[command(after_help = "Example: qsec --json audit schema key.disabled")]
    Schema {
        /// Only this type
        r#type: Option<String>,
    },
}

/// `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Check the log's MAC chain with its first key, kept elsewhere since `init`
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    escrow: Option<PathBuf>,
    /// A proof, verified without any deployment
    #[arg(long, value_name = "FILE", requires = "entry", requires = "key")]
    proof: Option<PathBuf>,
    /// The exact bytes of the event that the proof is about
    #[arg(long, value_name = "FILE", requires = "proof")]
    entry: Option<PathBuf>,
    /// Verifier keys, one a line
    #[arg(long, value_name = "FILE", requires = "proof")]
    key: Option<PathBuf>,
}

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

/// `audit tail`.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The tenant's id (default: the deployment's own tree)
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Begin with this index
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// Only types that begin so
    #[arg(long, value_name = "PREFIX")]
    r#type: Option<String>,
}

pub(crate) async fn run(verb: Audit, session: &Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Audit::Append(append) => append::run(append, session).await,
        Audit::Verify(verify) => verify.run(session).await,
        Audit::Prove(prove) => prove.run(session).await,
        Audit::Key { tenant } => key(&tenant, session).await,
        Audit::Tail(tail) => tail.run(session),
        Audit::Schema { r#type } => schema(r#type.as_deref(), session),
    }
}

impl Verify {
    async fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let now = moment::checking(session.global.now);
        if let (Some(proof), Some(entry), Some(key)) = (&self.proof, &self.entry, &self.key) {
            return proof_of_entry(proof, entry, key, session);
        }
        let escrow = self.escrow.as_deref().map(read_escrow).transpose()?;
        let deployment = home::open(session.global).await?;
        let outcome = async { Ok::<_, Failure>(deployment.verify_log(escrow, now).await?) }.await;
        let report = home::close(deployment, outcome, now).await?;
        session.output.answer(&report_object(&report), |_| report_text(&report));
        Ok(if report.verdict() == Verdict::Intact { Exit::Yes } else { Exit::No })
    }
}

fn read_escrow(path: &std::path::Path) -> Result<MacKey, Failure> {
    let line = zeroize::Zeroizing::new(files::read(path, MAX_FILE_BYTES)?);
    MacKey::parse_escrow_line(&line).map_err(|_| {
        Failure::new(Exit::Misuse, "key_file_invalid", format!("`{}` holds no escrow line", path.display()))
    })
}

/// A proof is verified by whoever has the entry and the key: no deployment is opened or made.
fn proof_of_entry(
    proof: &std::path::Path,
    entry: &std::path::Path,
    key: &std::path::Path,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let keys: Vec<VerifierKey> = files::read_text(key, MAX_FILE_BYTES)?
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            VerifierKey::parse(line).map_err(|error| Failure::new(Exit::Misuse, "key_file_invalid", error.to_string()))
        })
        .collect::<Result<_, _>>()?;
    let entry = files::read(entry, MAX_FILE_BYTES)?;
    let text = files::read(proof, MAX_FILE_BYTES)?;
    let verified = std::str::from_utf8(&text)
        .map_err(|_| ("proof_malformed", "the proof is not text".to_owned()))
        .and_then(|text| InclusionProof::parse(text).map_err(|error| (error.code(), error.to_string())))
        .and_then(|proof| {
            let checkpoint = proof.verify(&entry, &keys).map_err(|error| (error.code(), error.to_string()))?;
            Ok((proof.index(), checkpoint))
        });
    match verified {
        Ok((index, checkpoint)) => {
            let answer = json!({
                "verdict": "intact", "origin": checkpoint.origin(), "tree_size": checkpoint.size(),
                "index": index, "checked": ["checkpoint", "inclusion"], "findings": [],
            });
            let (origin, size) = (checkpoint.origin(), checkpoint.size());
            session.output.answer(&answer, |_| format!("intact  {origin}  entry {index} of {size}"));
            Ok(Exit::Yes)
        }
        Err((code, detail)) => {
            let finding = json!({"code": code, "severity": "tampered", "detail": detail});
            session.output.answer(&json!({"verdict": "tampered", "findings": [finding]}), |_| {
                format!("tampered  {code}: {detail}")
            });
            Ok(Exit::No)
        }
    }
}

impl Prove {
    async fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let now = moment::changing(session.global.now)?;
        let deployment = home::open(session.global).await?;
        let outcome = async {
            let tenant = deployment.tenant_for_operator(&self.tenant).await?;
            Ok::<_, Failure>(tenant.prove_index(self.index, now).await?)
        }
        .await;
        let proven = home::close(deployment, outcome, now).await?;
        write(self.entry_out.as_deref(), proven.entry())?;
        let mut sink = Sink::open(self.out.as_deref(), Existing::Replace)?;
        std::io::Write::write_all(&mut sink, proven.proof().encode().as_bytes())
            .map_err(|error| files::unwritable("-".as_ref(), &error))?;
        let to_file = sink.is_file();
        sink.finish()?;
        let summary = json!({"tenant": self.tenant, "index": self.index});
        session.output.summary(to_file, &summary, |_| format!("event {} of `{}` is proved", self.index, self.tenant));
        Ok(Exit::Yes)
    }
}

fn write(path: Option<&std::path::Path>, bytes: &[u8]) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let mut sink = Sink::open(Some(path), Existing::Replace)?;
    std::io::Write::write_all(&mut sink, bytes).map_err(|error| files::unwritable(path, &error))?;
    sink.finish()
}

async fn key(tenant: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let deployment = home::open(session.global).await?;
    let outcome = key_of(&deployment, tenant, now).await;
    let key = home::close(deployment, outcome, now).await?;
    session.output.answer(&json!({"vkey": key}), |_| key.clone());
    Ok(Exit::Yes)
}

async fn key_of(deployment: &Deployment, tenant: &str, now: SystemTime) -> Result<String, Failure> {
    Ok(deployment.tenant_for_operator(tenant).await?.verifier_key(now).await?.to_string())
}

impl Tail {
    /// Reads the folder alone: a log can be followed while a deployment is at work, and after it ended.
    fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let tree = match &self.tenant {
            Some(tenant) => Tree::tenant(tenant).map_err(|error| Failure::usage(error.to_string()))?,
            None => Tree::Deployment,
        };
        let folder = qsec::log_folder_of(&home::folder(session.global))?;
        let unreadable = |error: qsec::audit::ReadLogError| Failure::new(Exit::No, error.code(), error.to_string());
        let mut stdout = std::io::stdout().lock();
        for leaf in qsec::audit::tail(folder, &tree, self.from).map_err(unreadable)? {
            let leaf = leaf.map_err(unreadable)?;
            if self.r#type.as_deref().is_none_or(|prefix| leaf.event_type().starts_with(prefix)) {
                let line = [leaf.bytes(), b"\n"].concat();
                if std::io::Write::write_all(&mut stdout, &line).is_err() {
                    break; // whoever read has seen enough
                }
            }
        }
        Ok(Exit::Yes)
    }
}

fn schema(name: Option<&str>, session: &Session<'_>) -> Result<Exit, Failure> {
    let object = |kind: &'static catalogue::EventType| {
        let (class_uid, activity_id) = kind.ocsf();
        json!({
            "type": kind.name(), "version": kind.version(), "class": kind.class().as_str(),
            "ocsf": {"class_uid": class_uid, "activity_id": activity_id}, "alias": kind.alias(), "personal": kind.personal(),
            "schema": serde_json::from_str::<Value>(&kind.schema()).unwrap_or(Value::Null),
        })
    };
    if let Some(name) = name {
        let kind = catalogue::find(name)
            .ok_or_else(|| Failure::new(Exit::No, "no_such_type", format!("the catalogue has no type `{name}`")))?;
        session.output.answer(&object(kind), |answer| serde_json::to_string_pretty(answer).unwrap_or_default());
        return Ok(Exit::Yes);
    }
    let answer = json!({"types": catalogue::all().map(object).collect::<Vec<_>>()});
    session.output.answer(&answer, |_| {
        let rows = catalogue::all().map(|kind| vec![kind.name().to_owned(), kind.class().as_str().to_owned()]);
        table(["TYPE", "CLASS"], rows)
    });
    Ok(Exit::Yes)
}

fn report_object(report: &Report) -> Value {
    json!({
        "verdict": report.verdict().as_str(), "trees": report.trees(), "segments": report.segments(),
        "commits": report.commits(), "events": report.events(), "last_commit_time": report.last_commit_time().map(moment::rfc3339),
        "checked": report.checked(), "findings": report.findings().iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let mut object = Map::new();
    object.insert("code".into(), finding.code().into());
    object.insert("severity".into(), finding.severity().as_str().into());
    object.insert("detail".into(), finding.detail().into());
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.into(), value);
        }
    };
    add("file", finding.file().map(Value::from));
    add("offset", finding.offset().map(Value::from));
    add("tenant", finding.tenant().map(Value::from));
    add("index", finding.index().map(Value::from));
    add("commit", finding.commit().map(Value::from));
    Value::Object(object)
}

fn report_text(report: &Report) -> String {
    let mut text = facts([
        ("verdict", report.verdict().as_str().to_owned()),
        ("trees", report.trees().to_string()),
        ("segments", report.segments().to_string()),
        ("commits", report.commits().to_string()),
        ("events", report.events().to_string()),
        ("checked", report.checked().join(", ")),
    ]);
    for finding in report.findings() {
        text.push_str(&format!("\n{}  {finding}", finding.severity().as_str()));
    }
    text
}
