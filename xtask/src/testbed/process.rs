//! A process, known by its id and the moment it was started: an id alone is given to somebody else after its end.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

const MAX_WAIT_FOR_END: Duration = Duration::from_secs(30);

/// A process that we started.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// The kernel's id.
    pub(super) id: u32,
    /// When it was started, in clock ticks since boot (field 22 of `/proc/<id>/stat`).
    pub(super) started: u64,
}

impl Process {
    /// The process that has this id now.
    pub(super) fn find(id: u32) -> Result<Self> {
        let started = start_of(id).with_context(|| format!("no process {id} (Linux only: read from /proc)"))?;
        Ok(Self { id, started })
    }

    /// Whether the very process still lives.
    pub(super) fn is_alive(&self) -> bool {
        start_of(self.id) == Some(self.started)
    }

    /// Waits until the process is gone.
    pub(super) fn wait_for_end(&self) -> Result<()> {
        let begin = Instant::now();
        while self.is_alive() {
            if begin.elapsed() > MAX_WAIT_FOR_END {
                bail!("process {} still lives after {} s", self.id, MAX_WAIT_FOR_END.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn start_of(id: u32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The second field is the program's name in brackets, which may hold blanks and brackets: count from the last one.
/// A zombie (`Z`) has ended; only its parent has not asked yet.
fn started(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(started(stat), Some(4711));
        assert_eq!(started(&stat.replace(") S", ") Z")), None);
    }

    #[test]
    fn an_ended_process_is_not_alive() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::find(child.id()).unwrap();
        assert!(process.is_alive());
        child.kill().unwrap();
        process.wait_for_end().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
        assert!(Process::find(process.id).is_err());
    }
}
