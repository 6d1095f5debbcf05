//! The goals, as `benches/goals.toml` lists them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::bench::measured;

/// One row: a bench of ours, what it is compared with, and where it must arrive.
#[derive(Debug)]
pub(super) struct Goal {
    /// What it is, in words.
    pub(super) name: String,
    /// The id of our bench.
    pub(super) ours: String,
    /// The id of the bench it is compared with, taken in the same run.
    pub(super) reference: Option<String>,
    /// In which unit both are stated.
    pub(super) unit: Unit,
    /// The limit.
    pub(super) target: Target,
}

/// A limit, in the goal's unit or as ours divided by the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

/// How a measured time is stated.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) enum Unit {
    /// Nanoseconds an iteration.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Microseconds an iteration.
    #[serde(rename = "us")]
    Microseconds,
    /// Milliseconds an iteration.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Nanoseconds an element of the bench's throughput: a row, an event.
    #[serde(rename = "ns/element")]
    NanosecondsPerElement,
    /// Microseconds an element of the bench's throughput.
    #[serde(rename = "us/element")]
    MicrosecondsPerElement,
    /// 10^9 bytes a second, by the bench's throughput.
    #[serde(rename = "GB/s")]
    GigabytesPerSecond,
    /// Elements a second by the bench's throughput, or iterations where it states none.
    #[serde(rename = "/s")]
    PerSecond,
}

impl Unit {
    /// The measured time in this unit; none where the bench states no throughput and the unit needs one.
    pub(super) fn of(self, timing: &measured::Timing) -> Option<f64> {
        let time = timing.nanoseconds;
        match self {
            Self::Nanoseconds => Some(time),
            Self::Microseconds => Some(time / 1e3),
            Self::Milliseconds => Some(time / 1e6),
            Self::NanosecondsPerElement => timing.elements.map(|elements| time / elements),
            Self::MicrosecondsPerElement => timing.elements.map(|elements| time / 1e3 / elements),
            // Bytes a nanosecond are 10^9 bytes a second.
            Self::GigabytesPerSecond => timing.bytes.map(|bytes| bytes / time),
            Self::PerSecond => Some(timing.elements.unwrap_or(1.0) * 1e9 / time),
        }
    }

    /// As it stands in the file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::NanosecondsPerElement => "ns/element",
            Self::MicrosecondsPerElement => "us/element",
            Self::GigabytesPerSecond => "GB/s",
            Self::PerSecond => "/s",
        }
    }
}

impl Goal {
    /// The limit in words.
    pub(super) fn text(&self) -> String {
        match self.target {
            Target::AtMost(limit) => format!("<= {limit} {}", self.unit.name()),
            Target::AtLeast(limit) => format!(">= {limit} {}", self.unit.name()),
            Target::RatioAtMost(limit) => format!("<= {limit} x reference"),
            Target::RatioAtLeast(limit) => format!(">= {limit} x reference"),
        }
    }
}

/// Reads the file.
pub(super) fn read(file: &Path) -> Result<Vec<Goal>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} is not a list of goals", file.display()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    goal: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    ours: String,
    reference: Option<String>,
    unit: Unit,
    at_most: Option<f64>,
    at_least: Option<f64>,
    ratio_at_most: Option<f64>,
    ratio_at_least: Option<f64>,
    source: String,
}

/// Each row has exactly one limit and says where it comes from.
pub(super) fn parse(text: &str) -> Result<Vec<Goal>> {
    let list: List = toml::from_str(text)?;
    list.goal.into_iter().map(goal).collect()
}

fn goal(row: Row) -> Result<Goal> {
    let targets = [
        row.at_most.map(Target::AtMost),
        row.at_least.map(Target::AtLeast),
        row.ratio_at_most.map(Target::RatioAtMost),
        row.ratio_at_least.map(Target::RatioAtLeast),
    ];
    let mut stated = targets.into_iter().flatten();
    let (Some(target), None) = (stated.next(), stated.next()) else {
        bail!("`{}` needs exactly one of at_most, at_least, ratio_at_most, ratio_at_least", row.name);
    };
    let compares = matches!(target, Target::RatioAtMost(_) | Target::RatioAtLeast(_));
    if compares && row.reference.is_none() {
        bail!("`{}` states a ratio and no reference", row.name);
    }
    if row.source.is_empty() {
        bail!("`{}` does not say where its goal comes from", row.name);
    }
    Ok(Goal { name: row.name, ours: row.ours, reference: row.reference, unit: row.unit, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goals_of_the_repository_can_be_read() {
        let goals = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/goals.toml")).unwrap();
        assert!(!goals.is_empty());
    }

    #[test]
    fn a_row_without_one_limit_is_refused() {
        let row = |limits: &str| parse(&format!("[[goal]]\nname='n'\nours='o'\nunit='us'\nsource='s'\n{limits}"));
        assert!(row("").is_err());
        assert!(row("at_most = 1.0\nat_least = 2.0").is_err());
        assert!(row("ratio_at_most = 1.0").is_err());
        assert!(row("at_most = 1.0\nlimit = 2").is_err());
        assert!(row("at_most = 1.0").is_ok());
    }

    #[test]
    fn rates_need_the_throughput_of_the_bench() {
        let plain = measured::Timing { nanoseconds: 2_000.0, bytes: None, elements: None };
        let full = measured::Timing { bytes: Some(8_000.0), elements: Some(4.0), ..plain };
        assert_eq!(Unit::GigabytesPerSecond.of(&full), Some(4.0));
        assert_eq!(Unit::GigabytesPerSecond.of(&plain), None);
        assert_eq!(Unit::NanosecondsPerElement.of(&full), Some(500.0));
        assert_eq!(Unit::NanosecondsPerElement.of(&plain), None);
        assert_eq!(Unit::PerSecond.of(&full), Some(2_000_000.0));
        assert_eq!(Unit::PerSecond.of(&plain), Some(500_000.0));
    }
}
