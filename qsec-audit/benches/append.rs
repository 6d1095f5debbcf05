//! Filled by the commit that adds the log.
fn main() {}
