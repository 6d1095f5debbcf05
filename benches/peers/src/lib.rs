//! qsec beside its peers: the same work in one run, compared before it is timed.
//!
//! Two benches: `seal` (bytes) and `decide` (access). What each peer is asked, and what it cannot express, is in the README.

#[cfg(feature = "decide")]
pub mod decide;
#[cfg(feature = "seal")]
pub mod seal;
