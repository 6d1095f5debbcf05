//! Checking a log folder from its bytes alone.

mod before;
mod cover;
mod finding;
mod report;
pub(crate) mod scan;
mod trees;

pub(crate) use cover::{Quarantined, quarantine_name};
pub use finding::{Finding, Severity, Verdict};
pub use report::{Report, VerifyError, VerifyOptions, verify};
pub(crate) use trees::heads_root as scan_root;
