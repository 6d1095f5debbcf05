//! Streams over the traits of `futures-io`, for whatever runtime the caller has.
//!
//! They seal and open the same chunks as [`Sealer`](crate::Sealer) and [`Opener`](crate::Opener); sealing a chunk takes
//! some microseconds and is done where the task runs.

#![deny(clippy::arithmetic_side_effects)]

mod opener;
mod sealer;

pub use opener::AsyncOpener;
pub use sealer::AsyncSealer;
