//! `cargo xtask bench`: run the benches, then hold what was measured against the goals.

mod goals;
mod measured;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::Result;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::bench::goals::{Goal, Target};
use crate::bench::measured::Measured;
use crate::command;
use crate::workspace::Workspace;

/// What to run, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Only benches whose id contains this.
    filter: Option<String>,
    /// Stop each bench as soon as its result is steady: seconds in place of minutes, and a wider error.
    #[arg(long)]
    quick: bool,
    /// Run nothing: judge what earlier runs left in the target folder.
    #[arg(long)]
    report_only: bool,
    /// The same questions to other people's libraries too (`benches/peers`): their trees take a quarter of an hour to build.
    #[arg(long)]
    peers: bool,
}

/// A workspace with benches: what they must reach, where criterion leaves what they took, and where the table goes.
struct Suite {
    /// Below the root, and its target below ours.
    folder: &'static str,
    goals: &'static str,
    table: &'static str,
}

/// The family beside the raw primitives.
const FAMILY: Suite = Suite { folder: "", goals: "benches/goals.toml", table: "ratios.json" };

/// The family beside its peers.
const PEERS: Suite = Suite { folder: "benches/peers", goals: "benches/peers/goals.toml", table: "ratios-peers.json" };

/// One goal beside what was measured, as `ratios.json` lists it.
#[derive(Serialize, PartialEq, Debug)]
struct Line {
    name: String,
    ours: Option<f64>,
    reference: Option<f64>,
    unit: String,
    reference_name: Option<String>,
    ratio: Option<f64>,
    goal: String,
    /// None where it was not measured: a goal that nobody looked at is not met.
    met: Option<bool>,
}

/// Exit status 1 where a goal that was measured is missed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let suite = if options.peers { PEERS } else { FAMILY };
    let goals = goals::read(&workspace.root.join(suite.goals))?;
    let since = if options.report_only { SystemTime::UNIX_EPOCH } else { SystemTime::now() };
    if !options.report_only {
        if options.peers { run_peers(workspace, options)? } else { run_benches(workspace, options)? }
    }
    let measured = measured::collect(&workspace.target.join(suite.folder).join("criterion"), since)?;
    let asked = |goal: &&Goal| options.filter.as_ref().is_none_or(|filter| goal.ours.contains(filter.as_str()));
    let lines: Vec<Line> = goals.iter().filter(asked).map(|goal| judge(goal, &measured)).collect();

    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder)?;
    let written = folder.join(suite.table);
    fs::write(&written, serde_json::to_string_pretty(&lines)? + "\n")?;
    println!("\n{}", table(&lines));
    println!("{}", summary(&lines));
    println!("written: {}", written.display());
    Ok(if lines.iter().any(|line| line.met == Some(false)) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Names each bench target: `cargo bench` alone would also start the unit tests, which do not know our arguments. And
/// names the packages that have one: an optimised build of the others takes minutes for nothing.
fn run_benches(workspace: &Workspace, options: &Options) -> Result<()> {
    let targets = bench_targets(&workspace.metadata(&["--no-deps"])?);
    if targets.is_empty() {
        println!("there are no benches");
        return Ok(());
    }
    let packages: BTreeSet<&str> = targets.iter().map(|(package, _)| package.as_str()).collect();
    let mut bench = command::cargo(workspace);
    // Not every feature: another back end would then seal in the place of the one that is shipped.
    bench.args(["bench", "--features", "qsec-crypto/esdk,qsec-authz/arrow", "--locked"]);
    for package in packages {
        bench.args(["--package", package]);
    }
    for (_, target) in &targets {
        bench.args(["--bench", target]);
    }
    measure(&mut bench, options)
}

/// With every feature: each peer is one.
fn run_peers(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut bench = command::cargo(workspace);
    bench
        .current_dir(workspace.root.join(PEERS.folder))
        .env("CARGO_TARGET_DIR", workspace.target.join(PEERS.folder))
        .args(["bench", "--benches", "--all-features", "--locked"]);
    measure(&mut bench, options)
}

/// The last arguments are criterion's.
fn measure(bench: &mut Command, options: &Options) -> Result<()> {
    bench.args(["--", "--noplot"]);
    if options.quick {
        bench.arg("--quick");
    }
    bench.args(&options.filter);
    command::run(bench)
}

/// Package and name of each bench.
fn bench_targets(metadata: &Value) -> BTreeSet<(String, String)> {
    let list = |value: &Value, member: &str| value.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = BTreeSet::new();
    for package in list(metadata, "packages") {
        let benches = list(&package, "targets")
            .into_iter()
            .filter(|target| list(target, "kind").iter().any(|kind| kind == "bench"));
        found.extend(benches.map(|target| (name(&package), name(&target))));
    }
    found
}

fn judge(goal: &Goal, measured: &Measured) -> Line {
    let value = |id: &str| measured.get(id).and_then(|result| goal.unit.of(result));
    let ours = value(&goal.ours);
    let reference = goal.reference.as_deref().and_then(value);
    let ratio = ours.zip(reference).map(|(ours, reference)| ours / reference);
    let met = match goal.target {
        Target::AtMost(limit) => ours.map(|ours| ours <= limit),
        Target::AtLeast(limit) => ours.map(|ours| ours >= limit),
        Target::RatioAtMost(limit) => ratio.map(|ratio| ratio <= limit),
        Target::RatioAtLeast(limit) => ratio.map(|ratio| ratio >= limit),
    };
    Line {
        name: goal.name.clone(),
        ours,
        reference,
        unit: goal.unit.name().to_owned(),
        reference_name: goal.reference.clone(),
        ratio,
        goal: goal.text(),
        met,
    }
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["bench", "ours", "reference", "unit", "ratio", "goal", "met"]);
    let number = |value: Option<f64>| value.map_or_else(String::new, significant);
    for line in lines {
        let met = line.met.map_or("missing", |met| if met { "yes" } else { "NO" });
        let (ours, reference, ratio) = (number(line.ours), number(line.reference), number(line.ratio));
        table.add_row([&line.name, &ours, &reference, &line.unit, &ratio, &line.goal, met]);
    }
    for column in [1, 2, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn summary(lines: &[Line]) -> String {
    let of = |met: Option<bool>| lines.iter().filter(|line| line.met == met).count();
    format!("{} goals met, {} missed, {} not measured", of(Some(true)), of(Some(false)), of(None))
}

/// Three digits that mean something.
fn significant(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else if value.abs() >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measured::Timing;
    use serde_json::json;

    fn goal(target: &str) -> Goal {
        let text =
            format!("[[goal]]\nname = 'n'\nours = 'a/qsec'\nreference = 'a/ring'\nunit = 'us'\n{target}\nsource = 's'");
        goals::parse(&text).unwrap().remove(0)
    }

    fn measured() -> Measured {
        let time = |nanoseconds| Timing { nanoseconds, bytes: None, elements: None };
        Measured::from([("a/qsec".to_owned(), time(2_200.0)), ("a/ring".to_owned(), time(2_000.0))])
    }

    #[test]
    fn a_goal_is_met_at_its_limit_and_missed_above_it() {
        assert_eq!(judge(&goal("at_most = 2.2"), &measured()).met, Some(true));
        assert_eq!(judge(&goal("at_most = 2.1"), &measured()).met, Some(false));
        assert_eq!(judge(&goal("ratio_at_most = 1.11"), &measured()).met, Some(true));
        assert_eq!(judge(&goal("ratio_at_most = 1.09"), &measured()).met, Some(false));
        assert_eq!(judge(&goal("ratio_at_least = 1.2"), &measured()).met, Some(false));
    }

    #[test]
    fn what_was_not_measured_is_missing_and_not_met() {
        let mut measured = measured();
        measured.remove("a/ring");
        let line = judge(&goal("ratio_at_most = 1.11"), &measured);
        assert_eq!((line.met, line.ratio), (None, None));
        assert!(line.ours.is_some());
        assert_eq!(summary(&[line]), "0 goals met, 0 missed, 1 not measured");
    }

    #[test]
    fn only_bench_targets_are_named() {
        let metadata = json!({"packages": [
            {"name": "qsec-crypto", "targets": [{"kind": ["lib"], "name": "qsec_crypto"}, {"kind": ["bench"], "name": "seal"}]},
            {"name": "qsec-audit", "targets": [{"kind": ["bench"], "name": "append"}, {"kind": ["test"], "name": "integration"}]},
        ]});
        let expected = [("qsec-audit", "append"), ("qsec-crypto", "seal")];
        assert_eq!(
            bench_targets(&metadata),
            expected.map(|(package, name)| (package.to_owned(), name.to_owned())).into()
        );
    }
}
