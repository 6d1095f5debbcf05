//! Section access in the engines that hold the data: the same rows from each, and attacks on the one that users may ask.

mod attacks;
#[cfg(feature = "arrow")]
mod differential;
#[path = "../section/naive.rs"]
mod naive;
#[path = "../section/question.rs"]
mod question;
mod server;
