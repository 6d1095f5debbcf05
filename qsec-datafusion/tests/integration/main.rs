//! What comes out of a reduced table: the same rows as everywhere, and nothing else, whatever is asked.

mod attacks;
mod differential;
#[path = "../../../qsec-authz/tests/section/naive.rs"]
mod naive;
#[path = "../../../qsec-authz/tests/section/question.rs"]
mod question;
