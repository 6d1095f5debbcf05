//! Section access in the engines that hold the data: the same rows from each, and attacks on the one that users may ask.

mod attacks;
#[cfg(feature = "arrow")]
mod differential;
mod installation;
#[cfg(feature = "arrow")]
#[path = "../section/naive.rs"]
mod naive;
mod probes;
#[cfg(feature = "arrow")]
#[path = "../section/question.rs"]
mod question;
mod scene;
mod server;
mod sessions;
