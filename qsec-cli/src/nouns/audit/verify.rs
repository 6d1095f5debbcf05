//! `qsec audit verify`

use std::path::{Path, PathBuf};

use clap::Args;
use qsec::audit::{Finding, InclusionProof, MacKey, Report, Severity, Tree, Verdict, VerifierKey};
use serde_json::{Map, Value, json};

use super::MAX_FILE_BYTES;
use crate::failure::Failure;
use crate::nouns::Session;
use crate::output::facts;
use crate::{Exit, files, home, moment};

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

impl Verify {
    pub(super) async fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        let now = moment::checking(session.global.now);
        if let (Some(proof), Some(entry), Some(key)) = (&self.proof, &self.entry, &self.key) {
            return proof_of_entry(proof, entry, key, session);
        }
        let escrow = self.escrow.as_deref().map(read_escrow).transpose()?;
        let deployment = home::open(session.global).await?;
        let outcome = async { Ok::<_, Failure>(deployment.verify_log(escrow, now).await?) }.await;
        let report = home::close(deployment, outcome, now).await?;
        session.output.answer(&report_object(&report), |_| report_text(&report))?;
        Ok(if report.verdict() == Verdict::Intact { Exit::Yes } else { Exit::No })
    }
}

fn read_escrow(path: &Path) -> Result<MacKey, Failure> {
    let line = zeroize::Zeroizing::new(files::read(path, MAX_FILE_BYTES, "key_file_invalid")?);
    MacKey::parse_escrow_line(&line)
        .ok_or_else(|| Failure::misuse("key_file_invalid", format!("`{}` holds no escrow line", path.display())))
}

fn read_keys(path: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let invalid = |what: String| Failure::misuse("key_file_invalid", format!("`{}`: {what}", path.display()));
    let text = files::read_text(path, MAX_FILE_BYTES, "key_file_invalid")?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys: Vec<_> = lines
        .map(|line| VerifierKey::parse(line).map_err(|error| invalid(error.to_string())))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(invalid("there is no key in it".to_owned())) } else { Ok(keys) }
}

/// A proof is verified by whoever has the entry and the key: no deployment is opened or made.
fn proof_of_entry(proof: &Path, entry: &Path, key: &Path, session: &Session<'_>) -> Result<Exit, Failure> {
    files::one_dash([proof, entry, key])?;
    let keys = read_keys(key)?;
    let entry = files::read(entry, MAX_FILE_BYTES, "file_unreadable")?;
    let text = files::read(proof, MAX_FILE_BYTES, "file_unreadable")?;
    let verified = std::str::from_utf8(&text)
        .map_err(|_| ("proof_malformed", "the proof is not text".to_owned()))
        .and_then(|text| InclusionProof::parse(text).map_err(|error| (error.code(), error.to_string())))
        .and_then(|proof| {
            let checkpoint = proof.verify(&entry, &keys).map_err(|error| (error.code(), error.to_string()))?;
            Ok((proof.index(), checkpoint))
        });
    match verified {
        Ok((index, checkpoint)) => {
            let (origin, size) = (checkpoint.origin(), checkpoint.size());
            let answer = json!({
                "verdict": "intact", "origin": origin, "tree_size": size, "index": index,
                "checked": ["checkpoint", "inclusion"], "findings": [],
            });
            session.output.answer(&answer, |_| format!("intact  {origin}  entry {index} of {size}"))?;
            Ok(Exit::Yes)
        }
        Err((code, detail)) => {
            let finding = json!({"code": code, "severity": "tampered", "detail": detail});
            let answer = json!({"verdict": "tampered", "checked": ["checkpoint", "inclusion"], "findings": [finding]});
            session.output.answer(&answer, |_| format!("tampered  {code}: {detail}"))?;
            Ok(Exit::No)
        }
    }
}

fn report_object(report: &Report) -> Value {
    let mut object = json!({
        "verdict": report.verdict().as_str(), "trees": report.trees(), "segments": report.segments(),
        "commits": report.commits(), "events": report.events(),
    });
    if let Some(members) = object.as_object_mut() {
        if let Some(time) = report.last_commit_time() {
            members.insert("last_commit_time".to_owned(), moment::rfc3339(time).into());
        }
        members.insert("checked".to_owned(), json!(report.checked()));
        members.insert("findings".to_owned(), report.findings().iter().map(finding).collect());
    }
    object
}

fn finding(finding: &Finding) -> Value {
    let tenant = finding.tree().and_then(Tree::tenant_id);
    let known = [
        ("code", Some(finding.code().into())),
        ("severity", Some(severity(finding).into())),
        ("detail", Some(finding.detail().into())),
        ("file", finding.file().map(Value::from)),
        ("offset", finding.offset().map(Value::from)),
        ("tenant", tenant.map(|tenant| tenant.as_str().into())),
        ("index", finding.index().map(Value::from)),
        ("commit", finding.commit().map(Value::from)),
    ];
    let members = known.into_iter().filter_map(|(name, value): (_, Option<Value>)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Note => "note",
        // A severity that this program does not know is no reason to call a log intact.
        Severity::Tampered | _ => "tampered",
    }
}

fn report_text(report: &Report) -> String {
    let mut rows = vec![
        ("verdict", report.verdict().as_str().to_owned()),
        ("trees", report.trees().to_string()),
        ("segments", report.segments().to_string()),
        ("commits", report.commits().to_string()),
        ("events", report.events().to_string()),
        ("checked", report.checked().join(", ")),
    ];
    rows.extend(report.findings().iter().map(|finding| (severity(finding), finding.to_string())));
    facts(rows)
}
