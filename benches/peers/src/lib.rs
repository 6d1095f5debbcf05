//! qsec beside its peers: the same work in one run, checked before it is timed.
//!
//! What each peer is asked is in the README.

#[cfg(feature = "seal")]
pub mod seal;
