//! `cargo xtask test` and `cargo xtask check`: the steps, and how each is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::report::{Outcome, Report};
use crate::testbed::Session;
use crate::workspace::Workspace;
use crate::{command, msrv, tools};

/// What clippy, the tests and the documents have in common: with one choice of packages and features nothing is built
/// twice.
const EVERYTHING: [&str; 3] = ["--workspace", "--all-features", "--locked"];

/// The program that a reader runs first; twice, for its second run finds what the first one left.
const FIRST_EXAMPLE: &str = "tenant_platform";

/// The others, with every feature: in the profile of the tests, for they need not be fast.
const EXAMPLES: [&str; 3] = ["seal_files", "bring_your_own_key", "who_can_see_what"];

/// The one that is a package of its own, for the trees it brings.
const EXAMPLE_PACKAGE: &str = "section_access";

/// Packages whose trees must not unify with ours, each with a lock of its own, and what is asked of them.
const OWN_WORKSPACES: [(&str, Asked); 2] = [("tests/cedar", Asked::Tests), ("qsec-datafusion", Asked::Tests)];

/// What is asked of a workspace of its own.
#[derive(Clone, Copy)]
enum Asked {
    /// That its tests pass.
    Tests,
}

/// Everything that must hold before a change lands.
pub(crate) fn all(workspace: &Workspace) -> ExitCode {
    let mut report = Report::new(in_ci());
    report.step("format", || format(workspace));
    report.step("minimum Rust version", || msrv::check(workspace));
    report.step("spelling", || tools::typos(workspace));
    report.step("dependencies: deny", || tools::deny(workspace));
    report.step("dependencies: advisories", || tools::advisories(workspace));
    report.step("dependencies: unused", || tools::machete(workspace));
    report.step("lints", || lints(workspace));
    report.step("documents", || documents(workspace));

    let mut session = Session::new(workspace);
    for name in Session::names() {
        report.step(&format!("testbed: {name}"), || {
            Ok(session.up(name).map_or_else(|error| Outcome::NotRun(format!("{error:#}")), Outcome::Passed))
        });
    }
    let exports = session.exports.clone();
    report.step("invariants", || tests(workspace, &["--test", "invariants"], &exports));
    report.step("tests", || tests(workspace, &["--lib", "--bins", "--tests", "--examples"], &exports));
    // With every feature on, AWS-LC seals: what is shipped by default is ring.
    report.step("tests: default back end", || default_back_end(workspace));
    report.step("documentation tests", || tests(workspace, &["--doc"], &exports));
    report.step("examples", || examples(workspace, &exports));
    report.step("testbed: down", || Ok(Outcome::Passed(format!("stopped {}", session.down()?))));

    for (folder, asked) in OWN_WORKSPACES {
        report.step(folder, || own_workspace(workspace, folder, asked));
    }
    report.step("fuzz targets", || fuzz_targets(workspace));
    report.finish()
}

/// The quick loop.
pub(crate) fn quick(workspace: &Workspace) -> ExitCode {
    let mut report = Report::new(in_ci());
    report.step("format", || format(workspace));
    report.step("lints", || lints(workspace));
    // Tests against components, programs and generated worlds take minutes: they are for `test`.
    report.step("unit tests", || tests(workspace, &["--lib", "--bins"], &BTreeMap::new()));
    report.finish()
}

fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    command::run(command::cargo(workspace).args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed(String::new()))
}

fn lints(workspace: &Workspace) -> Result<Outcome> {
    let mut clippy = command::cargo(workspace);
    clippy.arg("clippy").args(EVERYTHING).args(["--all-targets", "--", "-D", "warnings"]);
    command::run(&mut clippy)?;
    Ok(Outcome::Passed(String::new()))
}

fn documents(workspace: &Workspace) -> Result<Outcome> {
    let mut doc = command::cargo(workspace);
    // The libraries: the program is called as the facade is, and its pages would be written over those.
    doc.env("RUSTDOCFLAGS", "-D warnings").arg("doc").args(EVERYTHING).args(["--no-deps", "--lib"]);
    command::run(&mut doc)?;
    Ok(Outcome::Passed(String::new()))
}

/// Passing tests show their output too: see [`run_tests`].
fn tests(workspace: &Workspace, targets: &[&str], exports: &BTreeMap<String, String>) -> Result<Outcome> {
    let mut test = command::cargo(workspace);
    test.envs(exports)
        .arg("test")
        .args(EVERYTHING)
        .args(["--no-fail-fast"])
        .args(targets)
        .args(["--", "--show-output"]);
    run_tests(&mut test)
}

/// A suite that lacks what it needs prints `not run: …`, and that is a result.
fn run_tests(test: &mut Command) -> Result<Outcome> {
    let mut tally = Tally::default();
    let ended = command::run_lines(test, |line| tally.read(line));
    for missing in &tally.not_run {
        println!("    not run: {missing}");
    }
    ended?;
    tally.outcome(in_ci())
}

/// Suites that need what this command cannot install, by how their reason begins: they are named, and do not fail CI.
/// A Vault is in no registry that packages come from; its provider is tested against a double of its HTTP interface.
const CANNOT_BE_HAD: [&str; 1] = ["vault: QSEC_TEST_VAULT"];

/// What the lines of a test run say.
#[derive(Default)]
struct Tally {
    passed: u64,
    ignored: u64,
    /// Each reason once: a suite of many tests gives it in each.
    not_run: BTreeSet<String>,
}

impl Tally {
    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.ignored += count(counts, "ignored");
        } else if let Some(reason) = line.trim_start().strip_prefix("not run: ") {
            self.not_run.insert(reason.trim_end().to_owned());
        }
    }

    fn outcome(&self, strict: bool) -> Result<Outcome> {
        if self.passed == 0 {
            bail!("not one test ran");
        }
        let excused = |reason: &str| CANNOT_BE_HAD.iter().any(|known| reason.starts_with(known));
        let reasons: Vec<&str> = self.not_run.iter().map(String::as_str).filter(|reason| !excused(reason)).collect();
        if strict && !reasons.is_empty() {
            bail!("{} suites were not run: {}", reasons.len(), reasons.join("; "));
        }
        let mut notes = vec![format!("{} tests", self.passed)];
        if self.ignored > 0 {
            notes.push(format!("{} ignored", self.ignored));
        }
        notes.extend(self.not_run.iter().map(|reason| format!("not run: {reason}")));
        Ok(Outcome::Passed(notes.join(", ")))
    }
}

/// The number before a word: `12` in `ok. 12 passed; 0 failed`.
fn count(counts: &str, word: &str) -> u64 {
    let words: Vec<&str> = counts.split([' ', ';']).collect();
    let before = words.iter().position(|each| *each == word).and_then(|position| position.checked_sub(1));
    before.and_then(|position| words.get(position)).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn default_back_end(workspace: &Workspace) -> Result<Outcome> {
    let mut test = command::cargo(workspace);
    test.args(["test", "-p", "qsec-crypto", "--features", "esdk", "--locked", "--lib", "--test", "integration"]);
    run_tests(test.args(["--", "--show-output"]))
}

fn own_workspace(workspace: &Workspace, folder: &str, asked: Asked) -> Result<Outcome> {
    let manifest = workspace.root.join(folder).join("Cargo.toml");
    let cargo = |arguments: &[&str]| {
        let mut cargo = command::cargo(workspace);
        cargo
            .env("CARGO_TARGET_DIR", workspace.target.join(folder))
            .args(arguments)
            .arg("--manifest-path")
            .arg(&manifest);
        cargo
    };
    command::run(cargo(&["fmt"]).args(["--", "--check"]))?;
    command::run(cargo(&["clippy", "--all-targets", "--locked"]).args(["--", "-D", "warnings"]))?;
    match asked {
        Asked::Tests => run_tests(cargo(&["test", "--locked"]).args(["--", "--show-output"])),
    }
}

/// That they build; they are run by `cargo fuzz`, which needs a nightly compiler.
fn fuzz_targets(workspace: &Workspace) -> Result<Outcome> {
    let manifest = workspace.root.join("fuzz/Cargo.toml");
    let mut check = command::cargo(workspace);
    // Without the default features libFuzzer is not linked, and no C++ compiler needed.
    check.args(["check", "--bins", "--no-default-features", "--manifest-path"]).arg(&manifest);
    check.env("CARGO_TARGET_DIR", workspace.target.join("fuzz"));
    command::run(&mut check)?;
    // What was found once, and what reaches far, is asked again.
    let mut replay = command::cargo(workspace);
    replay.args(["test", "--lib", "--no-default-features", "--locked", "--manifest-path"]).arg(&manifest);
    replay.env("CARGO_TARGET_DIR", workspace.target.join("fuzz"));
    run_tests(&mut replay)
}

fn examples(workspace: &Workspace, exports: &BTreeMap<String, String>) -> Result<Outcome> {
    for _ in 0..2 {
        command::run(command::cargo(workspace).args(["run", "--release", "--locked", "--example", FIRST_EXAMPLE]))?;
    }
    for example in EXAMPLES {
        let mut run = command::cargo(workspace);
        command::run(run.envs(exports).args(["run", "--all-features", "--locked", "--example", example]))?;
    }
    command::run(command::cargo(workspace).envs(exports).args(["run", "--locked", "--package", EXAMPLE_PACKAGE]))?;
    Ok(Outcome::Passed(format!("{FIRST_EXAMPLE} twice, {}, {EXAMPLE_PACKAGE}", EXAMPLES.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str =
        "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.02s";

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let mut tally = Tally::default();
        tally.read(RESULT);
        tally.read("test a::b ... ok");
        tally.read(RESULT);
        assert_eq!((tally.passed, tally.ignored), (24, 6));
        assert!(matches!(tally.outcome(true), Ok(Outcome::Passed(note)) if note == "24 tests, 6 ignored"));
    }

    #[test]
    fn a_suite_that_was_not_run_is_named_and_fails_in_ci() {
        let mut tally = Tally::default();
        tally.read(RESULT);
        tally.read("not run: wycheproof: vectors not found");
        assert!(matches!(tally.outcome(false), Ok(Outcome::Passed(note)) if note.contains("wycheproof")));
        assert!(tally.outcome(true).is_err_and(|error| error.to_string().contains("wycheproof")));
    }

    #[test]
    fn what_cannot_be_had_is_named_and_does_not_fail_ci() {
        let mut tally = Tally::default();
        tally.read(RESULT);
        tally.read("not run: vault: QSEC_TEST_VAULT and QSEC_TEST_VAULT_TOKEN are not set");
        assert!(matches!(tally.outcome(true), Ok(Outcome::Passed(note)) if note.contains("not run: vault")));
    }

    #[test]
    fn a_run_without_a_single_test_is_a_failure() {
        assert!(Tally::default().outcome(false).is_err());
    }
}
