//! Ours: a snapshot, and requests that are ready.

use std::collections::BTreeSet;

use qsec_authz::{Action, Policy, Request, ResourceRef, Snapshot, Subject, Visible};

use super::tenant::TENANT;
use super::{Engine, EngineError, Lister, Question, RuledTenant, Tenant};

/// `qsec-authz`, asked by `Snapshot::decide`, and for lists by `Snapshot::filter`.
#[derive(Debug)]
pub struct Qsec {
    snapshot: Snapshot,
    requests: Vec<Request>,
}

impl Qsec {
    /// Compiles the tenant's policy.
    ///
    /// # Errors
    /// A policy that does not compile, or a question about what the policy does not hold.
    pub fn new(tenant: &Tenant, questions: &[Question]) -> Result<Self, EngineError> {
        Self::asked(&tenant.policy()?, questions)
    }

    /// Compiles the policy of 57 rules.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn ruled(questions: &[Question]) -> Result<Self, EngineError> {
        Self::asked(&RuledTenant::policy()?, questions)
    }

    /// Compiles the tenant's policy, to be asked for lists.
    ///
    /// # Errors
    /// A policy that does not compile.
    pub fn listing(tenant: &Tenant, users: &[String]) -> Result<Self, EngineError> {
        let apps = ResourceRef::Any(Some("App".to_owned()));
        let request = |user| Request::new(TENANT, &Subject::user(user), Action::Read, apps.clone());
        Ok(Self { snapshot: tenant.policy()?.compile()?, requests: users.iter().map(request).collect() })
    }

    fn asked(policy: &Policy, questions: &[Question]) -> Result<Self, EngineError> {
        let snapshot = policy.compile()?;
        let requests: Vec<Request> = questions.iter().map(Question::request).collect();
        for request in &requests {
            snapshot.check(request)?;
        }
        Ok(Self { snapshot, requests })
    }
}

impl Engine for Qsec {
    const NAME: &'static str = "qsec-authz";

    fn allows(&mut self, question: usize) -> Result<bool, EngineError> {
        let request = self.requests.get(question).ok_or("no such question")?;
        Ok(self.snapshot.decide(request).is_allowed())
    }
}

impl Lister for Qsec {
    const NAME: &'static str = "qsec-authz";
    type List = Visible;

    fn list(&mut self, user: usize) -> Result<Visible, EngineError> {
        Ok(self.snapshot.filter(self.requests.get(user).ok_or("no such user")?))
    }

    fn ids(&self, list: &Visible) -> Result<BTreeSet<String>, EngineError> {
        Ok(list.ids().map(str::to_owned).collect())
    }
}
