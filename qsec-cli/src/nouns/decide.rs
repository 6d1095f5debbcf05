//! `qsec decide`, `explain`, `filter`, `lint`, `diff`: answers of a policy file; no deployment is read.

use std::path::{Path, PathBuf};

use clap::Args;
use qsec::authz::{Change, Decision, Explanation, Finding, Policy, Request, Snapshot};

use super::Session;
use crate::failure::Failure;
use crate::output::table;
use crate::{Exit, files};

/// Most bytes of a policy file.
const MAX_POLICY_BYTES: u64 = 64 * 1024 * 1024;
/// Most bytes of a request.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;

/// A request held against a policy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec filter --policy policy.json --request request.json")]
pub(crate) struct Question {
    /// The policy file, JSON or TOML
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The request, JSON
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
}

/// `qsec lint`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec lint --policy policy.json")]
pub(crate) struct Lint {
    /// The policy file, JSON or TOML
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

/// `qsec diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec diff old.json new.json")]
pub(crate) struct Diff {
    /// The policy as it is
    old: PathBuf,
    /// The policy as it is to be
    new: PathBuf,
}

pub(crate) fn decide(question: &Question, session: &Session<'_>) -> Result<Exit, Failure> {
    let (snapshot, request) = question.read(Request::parse)?;
    snapshot.check(&request)?;
    let decision = snapshot.decide(&request);
    session.output.answer(&decision, decision_text)?;
    Ok(exit(&decision))
}

pub(crate) fn explain(question: &Question, session: &Session<'_>) -> Result<Exit, Failure> {
    let (snapshot, request) = question.read(Request::parse)?;
    snapshot.check(&request)?;
    let explanation = snapshot.explain(&request);
    session.output.answer(&explanation, explanation_text)?;
    Ok(exit(explanation.decision()))
}

pub(crate) fn filter(question: &Question, session: &Session<'_>) -> Result<Exit, Failure> {
    let (snapshot, request) = question.read(Request::parse_filter)?;
    let visible = snapshot.filter(&request);
    session.output.answer(&visible, |visible| visible.ids().collect::<Vec<_>>().join("\n"))?;
    Ok(Exit::Yes)
}

pub(crate) fn lint(lint: &Lint, session: &Session<'_>) -> Result<Exit, Failure> {
    let findings = qsec::authz::Lint::of(&policy(&lint.policy)?);
    session.output.answer(&findings, |findings| {
        let row =
            |finding: &Finding| [finding.tenant(), finding.code(), finding.place()].map(ToOwned::to_owned).to_vec();
        if findings.is_empty() {
            return "no finding".to_owned();
        }
        table(["TENANT", "FINDING", "WHERE"], findings.findings().iter().map(row))
    })?;
    Ok(if findings.is_empty() { Exit::Yes } else { Exit::No })
}

pub(crate) fn diff(diff: &Diff, session: &Session<'_>) -> Result<Exit, Failure> {
    files::one_dash([diff.old.as_path(), &diff.new])?;
    let changes = qsec::authz::Diff::between(&policy(&diff.old)?, &policy(&diff.new)?)?;
    session.output.answer(&changes, |changes| {
        let row = |change: &Change| {
            let what = if change.is_gain() { "gains" } else { "loses" };
            [change.tenant(), change.user(), what, change.action(), change.resource()].map(ToOwned::to_owned).to_vec()
        };
        if changes.is_empty() {
            return "no difference".to_owned();
        }
        table(["TENANT", "USER", "", "ACTION", "RESOURCE"], changes.changes().iter().map(row))
    })?;
    Ok(if changes.is_empty() { Exit::Yes } else { Exit::No })
}

impl Question {
    fn read<E: Into<qsec::Error>>(
        &self,
        parse: impl FnOnce(&str) -> Result<Request, E>,
    ) -> Result<(Snapshot, Request), Failure> {
        files::one_dash([self.policy.as_path(), &self.request])?;
        let snapshot = policy(&self.policy)?.compile()?;
        let request = parse(&files::read_text(&self.request, MAX_REQUEST_BYTES, "bad_json")?).map_err(Into::into)?;
        Ok((snapshot, request))
    }
}

/// A policy file: TOML by its name, else JSON.
pub(crate) fn policy(path: &Path) -> Result<Policy, Failure> {
    let text = files::read_text(path, MAX_POLICY_BYTES, "bad_json")?;
    let toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    Ok(if toml { Policy::parse_toml(&text)? } else { Policy::parse_json(&text)? })
}

fn exit(decision: &Decision) -> Exit {
    if decision.is_allowed() { Exit::Yes } else { Exit::No }
}

fn decision_text(decision: &Decision) -> String {
    match decision {
        Decision::Allow(allowed) => format!("allowed by {}", allowed.by().join(", ")),
        Decision::Deny(denied) => format!("denied: {denied}"),
    }
}

fn explanation_text(explanation: &Explanation) -> String {
    let paragraph = |title: &str, lines: Vec<String>| {
        if lines.is_empty() { String::new() } else { format!("\n\n{title}\n  {}", lines.join("\n  ")) }
    };
    [
        decision_text(explanation.decision()),
        paragraph("any one of these would help", explanation.decision().missing()),
        paragraph("groups", explanation.groups().map(ToOwned::to_owned).collect()),
        paragraph("roles", explanation.roles().map(ToOwned::to_owned).collect()),
        paragraph("rules", explanation.rules().map(|(name, why)| format!("{name}: {why}")).collect()),
    ]
    .concat()
}
