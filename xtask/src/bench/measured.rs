//! What criterion left behind: one folder a bench, in which `benchmark.json` holds the id and the throughput, and
//! `estimates.json` the times.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;

/// The results by id, such as `seal/1KiB/qsec`.
pub(super) type Measured = BTreeMap<String, Timing>;

/// One bench.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timing {
    /// The median of an iteration.
    pub(super) nanoseconds: f64,
    /// Bytes that an iteration handles.
    pub(super) bytes: Option<f64>,
    /// Elements that an iteration handles.
    pub(super) elements: Option<f64>,
}

/// Every result written since then; without benches there is no folder and no result.
pub(super) fn collect(folder: &Path, since: SystemTime) -> Result<Measured> {
    let mut measured = Measured::new();
    if folder.is_dir() {
        visit(folder, since, &mut measured)?;
    }
    Ok(measured)
}

fn visit(folder: &Path, since: SystemTime, measured: &mut Measured) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let estimates = path.join("estimates.json");
        // `new` is the run that just ended; `base` and others are earlier ones.
        if path.file_name().is_some_and(|name| name == "new") && estimates.is_file() {
            if fs::metadata(&estimates)?.modified()? >= since {
                let (id, timing) = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                measured.insert(id, timing);
            }
        } else {
            visit(&path, since, measured)?;
        }
    }
    Ok(())
}

fn read(folder: &Path) -> Result<(String, Timing)> {
    let json = |name: &str| -> Result<Value> { Ok(serde_json::from_str(&fs::read_to_string(folder.join(name))?)?) };
    let (bench, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    let id = bench.get("full_id").and_then(Value::as_str).context("no full_id")?;
    let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64).context("no median")?;
    let throughput = |kind: &str| bench.pointer(&format!("/throughput/{kind}")).and_then(Value::as_f64);
    let timing = Timing { nanoseconds: median, bytes: throughput("Bytes"), elements: throughput("Elements") };
    Ok((id.to_owned(), timing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn plant(folder: &Path, throughput: &str) {
        fs::create_dir_all(folder).unwrap();
        let bench = format!(r#"{{"full_id":"seal/1KiB/qsec","throughput":{throughput}}}"#);
        fs::write(folder.join("benchmark.json"), bench).unwrap();
        fs::write(folder.join("estimates.json"), r#"{"mean":{"point_estimate":9.0},"median":{"point_estimate":7.5}}"#)
            .unwrap();
    }

    #[test]
    fn the_median_is_found_under_the_id_and_not_under_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        plant(&folder.path().join("seal_1KiB/qsec/new"), r#"{"Bytes":1024}"#);
        plant(&folder.path().join("seal_1KiB/other/base"), "null");
        let measured = collect(folder.path(), SystemTime::UNIX_EPOCH).unwrap();
        let expected = Timing { nanoseconds: 7.5, bytes: Some(1024.0), elements: None };
        assert_eq!(measured, Measured::from([("seal/1KiB/qsec".to_owned(), expected)]));
    }

    #[test]
    fn an_earlier_run_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        plant(&folder.path().join("a/new"), "null");
        let later = SystemTime::now() + Duration::from_mins(1);
        assert!(collect(folder.path(), later).unwrap().is_empty());
        assert!(collect(&folder.path().join("absent"), later).unwrap().is_empty());
    }
}
