//! The same questions to authorization engines: `qsec-authz`, Cedar, casbin, regorus.
//!
//! An engine is given the tenant and the questions before anything is timed, each in the form that it likes best. What is
//! timed is one answer after another: [`Engine::allows`].

mod casbin;
mod cedar;
mod grants;
mod qsec;
mod rego;
mod rules;
mod tenant;

use std::collections::BTreeSet;

pub use self::casbin::{Casbin, CasbinRules};
pub use self::cedar::{Cedar, CedarList};
pub use self::qsec::Qsec;
pub use self::rego::{RegoInterpreter, RegoMachine};
pub use self::rules::RuledTenant;
pub use self::tenant::{Question, Size, Tenant};

/// Whatever an engine has to say against what it was given.
pub type EngineError = Box<dyn std::error::Error>;

/// An engine that holds a tenant and a list of questions.
pub trait Engine {
    /// The name under which its times are reported.
    const NAME: &'static str;

    /// The answer to a question, by its place in the list.
    ///
    /// # Errors
    /// Whatever the engine reports, and a question that is not in the list. An error is no refusal.
    fn allows(&mut self, question: usize) -> Result<bool, EngineError>;
}

/// An engine that holds a tenant and a list of users, and says which apps each may read.
pub trait Lister {
    /// The name under which its times are reported.
    const NAME: &'static str;

    /// A list, as the engine gives it.
    type List;

    /// The apps that a user may read, the user by its place in the list of users.
    ///
    /// # Errors
    /// Whatever the engine reports, and a user that is not in the list.
    fn list(&mut self, user: usize) -> Result<Self::List, EngineError>;

    /// The ids in a list: to compare, not to be timed.
    ///
    /// # Errors
    /// A list that is not one of ids.
    fn ids(&self, list: &Self::List) -> Result<BTreeSet<String>, EngineError>;
}

/// The lists of an engine for so many users of those that it was given.
///
/// # Errors
/// A list that it does not give.
pub fn lists<L: Lister>(lister: &mut L, users: usize) -> Result<Vec<BTreeSet<String>>, EngineError> {
    let one = |user| {
        let list = lister.list(user)?;
        lister.ids(&list)
    };
    (0..users).map(one).collect()
}

/// Asks an engine everything, and compares with the answers that are known; how many were allowed.
///
/// # Errors
/// The first question that is answered differently, or not at all.
pub fn compare<E: Engine>(engine: &mut E, questions: &[Question], answers: &[bool]) -> Result<usize, EngineError> {
    if questions.len() != answers.len() {
        return Err(format!("{} questions, {} answers", questions.len(), answers.len()).into());
    }
    for (number, (question, answer)) in questions.iter().zip(answers).enumerate() {
        let theirs = engine.allows(number)?;
        if theirs != *answer {
            return Err(format!("{} answers {theirs} to {question:?}, qsec {answer}", E::NAME).into());
        }
    }
    Ok(answers.iter().filter(|answer| **answer).count())
}

/// The answers of an engine to everything that it was given.
///
/// # Errors
/// A question that is not answered.
pub fn answers<E: Engine>(engine: &mut E, questions: &[Question]) -> Result<Vec<bool>, EngineError> {
    (0..questions.len()).map(|number| engine.allows(number)).collect()
}
