//! `qsec decide`, `explain`, `filter`, `lint`, `diff`: answers of a policy file; no deployment is read.

use std::path::{Path, PathBuf};

use clap::Args;
use qsec::authz::{Decision, Policy, Request, Snapshot};

use super::Session;
use super::policy::MAX_POLICY_BYTES;
use crate::failure::Failure;
use crate::output::table;
use crate::{Exit, files};

/// Most bytes of a request.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;

/// A request held against a policy.
#[derive(Debug, Args)]
#[command(after_help = "Example: qsec decide --policy policy.json --request request.json")]
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
#[command(after_help = "Example: qsec lint --policy policy.json")]
pub(crate) struct Lint {
    /// The policy file, JSON or TOML
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

/// `qsec diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example: qsec diff old.json new.json")]
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
    session.output.answer(&decision, decision_text);
    Ok(exit(&decision))
}

pub(crate) fn explain(question: &Question, session: &Session<'_>) -> Result<Exit, Failure> {
    let (snapshot, request) = question.read(Request::parse)?;
    snapshot.check(&request)?;
    let explanation = snapshot.explain(&request);
    session.output.answer(&explanation, ToString::to_string);
    Ok(exit(&snapshot.decide(&request)))
}

pub(crate) fn filter(question: &Question, session: &Session<'_>) -> Result<Exit, Failure> {
    let (snapshot, request) = question.read(Request::parse_filter)?;
    let visible = snapshot.filter(&request);
    session.output.answer(&visible, |visible| visible.ids().collect::<Vec<_>>().join("\n"));
    Ok(Exit::Yes)
}

pub(crate) fn lint(lint: &Lint, session: &Session<'_>) -> Result<Exit, Failure> {
    let findings = qsec::authz::Lint::of(&policy(&lint.policy)?);
    session.output.answer(&findings, |findings| {
        let rows = findings
            .findings()
            .iter()
            .map(|finding| vec![finding.tenant().to_owned(), finding.code().to_owned(), finding.place().to_owned()]);
        if findings.is_empty() { "no finding".to_owned() } else { table(["TENANT", "FINDING", "WHERE"], rows) }
    });
    Ok(if findings.is_empty() { Exit::Yes } else { Exit::No })
}

pub(crate) fn diff(diff: &Diff, session: &Session<'_>) -> Result<Exit, Failure> {
    let changes = qsec::authz::Diff::between(&policy(&diff.old)?.compile()?, &policy(&diff.new)?.compile()?);
    session.output.answer(&changes, |changes| {
        let rows = changes.changes().iter().map(|change| {
            [change.tenant(), change.user(), change.resource(), change.action(), change.old(), change.new()]
                .map(ToOwned::to_owned)
                .to_vec()
        });
        if changes.is_empty() {
            "no difference".to_owned()
        } else {
            table(["TENANT", "USER", "RESOURCE", "ACTION", "OLD", "NEW"], rows)
        }
    });
    Ok(if changes.is_empty() { Exit::Yes } else { Exit::No })
}

impl Question {
    fn read<E: Into<qsec::Error>>(
        &self,
        parse: impl FnOnce(&str) -> Result<Request, E>,
    ) -> Result<(Snapshot, Request), Failure> {
        if files::is_dash(&self.policy) && files::is_dash(&self.request) {
            return Err(Failure::usage("only one of the policy and the request can be standard input"));
        }
        let snapshot = policy(&self.policy)?.compile()?;
        let request = parse(&files::read_text(&self.request, MAX_REQUEST_BYTES)?).map_err(Into::into)?;
        Ok((snapshot, request))
    }
}

fn policy(path: &Path) -> Result<Policy, Failure> {
    let text = files::read_text(path, MAX_POLICY_BYTES)?;
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
