//! A test harness with one named test for each case of a file: it prints and filters as the standard one does.
//!
//! Names come from data, so `#[test]` cannot make them. Taken are a filter (any number, part of a name), `--exact`, `--list`,
//! `--skip FILTER` and `--ignored`; other options are accepted and have no effect, so that runners may pass theirs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// One case: its name, and what runs it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) run: Box<dyn Fn() -> Result<(), String>>,
}

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        /// Options of the standard harness that are followed by a value.
        const WITH_VALUE: [&str; 5] = ["--test-threads", "--format", "--color", "--logfile", "-Z"];
        let mut parsed = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored = true,
                "--exact" => parsed.exact = true,
                "--skip" => parsed.skip.extend(arguments.next()),
                option if WITH_VALUE.contains(&option) => drop(arguments.next()),
                option if option.starts_with('-') => {}
                _ => parsed.filters.push(argument),
            }
        }
        parsed
    }

    fn select(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        // No case is ignored, so a runner that asks for the ignored ones gets none.
        !self.ignored && (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }
}

/// Runs the cases that the command line selects: exit code 101 if one fails, as the standard harness does.
pub(crate) fn run(cases: &[Case]) -> ExitCode {
    assert!(!cases.is_empty(), "a file without cases proves nothing");
    let arguments = Arguments::parse(std::env::args().skip(1));
    let selected: Vec<&Case> = cases.iter().filter(|case| arguments.select(&case.name)).collect();
    let filtered = cases.len() - selected.len();
    if arguments.list {
        for case in &selected {
            println!("{}: test", case.name);
        }
        println!("\n{} tests, 0 benchmarks", selected.len());
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", selected.len());
    let mut failures = Vec::new();
    for case in &selected {
        let outcome = catch_unwind(AssertUnwindSafe(|| (case.run)())).unwrap_or_else(|_| Err("panicked".to_owned()));
        println!("test {} ... {}", case.name, if outcome.is_ok() { "ok" } else { "FAILED" });
        if let Err(why) = outcome {
            failures.push((&case.name, why));
        }
    }
    for (name, why) in &failures {
        println!("\n---- {name} ----\n{why}");
    }
    let passed = selected.len() - failures.len();
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {filtered} filtered out\n",
        failures.len()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}
