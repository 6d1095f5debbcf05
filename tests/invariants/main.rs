//! What this family does not do. Each invariant is an absence, so no example can show it: these tests read the manifests
//! and the sources of the whole repository and look for the violation. Beside each stands a test that plants one, for a
//! scanner that finds nothing proves nothing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "syn's enums grow with the language and are never matched to the end"
)]

mod borders;
mod edges;
mod imports;
mod measures;
mod secrets;
mod shape;
mod signatures;
mod source;
