//! Who may do this to that?

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::policy::{Member, Policy, PolicyError, Tenant};
use crate::request::{Request, Subject};
use crate::snapshot::Snapshot;

/// Everybody who is granted an action on a resource, and by what: users and groups of the policy, a right that a group gives being
/// named once, as the group's. Users whom the policy names nowhere, but a rule matches by their id, are not listed.
///
/// ```
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject, WhoMay};
/// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{
///     "users":{"ana":{"groups":["finance"]},"bob":{},"eve":{"groups":["finance"],"status":"disabled"}},
///     "spaces":{"sales":{"type":"managed","owner":"bob","members":{"group:finance":["consumer"]}}},
///     "resources":{"q3":{"type":"App","space":"sales"}}}}}"#)?;
/// let who = WhoMay::of(&policy, &Request::new("acme", &Subject::anonymous(), Action::Read, ResourceRef::id("q3")))?;
/// assert!(who.anonymous().is_none() && who.everyone().is_none());
/// assert!(who.groups().eq([("finance", &["space:consumer@sales".to_owned()][..])]));
/// assert!(who.users().eq([("bob", &["space:owner@sales".to_owned()][..])]));
/// assert!(who.except().eq(["eve"]));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WhoMay {
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    everyone: Option<Vec<String>>,
    groups: BTreeMap<String, Vec<String>>,
    users: BTreeMap<String, Vec<String>>,
    except: BTreeSet<String>,
    except_groups: BTreeSet<String>,
}

impl WhoMay {
    /// Asks a policy. Who asks in the request, and with which scopes, is not looked at; its tenant, action, resource, target,
    /// context and environment are.
    ///
    /// # Errors
    /// The policy does not compile.
    pub fn of(policy: &Policy, request: &Request) -> Result<Self, PolicyError> {
        let Some(tenant) = policy.tenant(request.tenant()) else { return Ok(Self::default()) };
        let everything = policy.compile()?;
        let mut alone = tenant.clone();
        alone.users.values_mut().for_each(|user| user.groups.clear());
        let alone = Policy { tenants: BTreeMap::from([(request.tenant().to_owned(), alone)]) };
        Ok(Asking { tenant, everything, alone: alone.compile()?, request }.answer())
    }

    /// What grants it to those who are not signed in.
    pub fn anonymous(&self) -> Option<&[String]> {
        self.anonymous.as_deref()
    }

    /// What grants it to everybody who is signed in, apart from [`WhoMay::except`] and [`WhoMay::except_groups`].
    pub fn everyone(&self) -> Option<&[String]> {
        self.everyone.as_deref()
    }

    /// Groups that are granted it, with what grants it beyond what everyone has. A group that only a rule names is written in lower
    /// case, as the rule compares it.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.groups.iter().map(|(name, by)| (name.as_str(), by.as_slice()))
    }

    /// Users who are granted it by themselves, or by several things together of which no single group is granted it.
    pub fn users(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.users.iter().map(|(id, by)| (id.as_str(), by.as_slice()))
    }

    /// Groups whose members may not though everyone may: a role restricts them, or a rule leaves them out.
    pub fn except_groups(&self) -> impl Iterator<Item = &str> {
        self.except_groups.iter().map(String::as_str)
    }

    /// Users who may not, though everyone or one of their groups may: disabled ones, restricted ones, those whom a rule leaves out.
    pub fn except(&self) -> impl Iterator<Item = &str> {
        self.except.iter().map(String::as_str)
    }
}

struct Asking<'a> {
    tenant: &'a Tenant,
    everything: Snapshot,
    /// The same policy, its users being in no group.
    alone: Snapshot,
    request: &'a Request,
}

impl Asking<'_> {
    fn answer(&self) -> WhoMay {
        let everyone = self.by(&self.everything, &Subject::user(self.stranger()));
        let common: BTreeSet<&String> = everyone.iter().flatten().collect();
        let beyond = |by: Vec<String>| -> Vec<String> { by.into_iter().filter(|one| !common.contains(one)).collect() };
        let mut who = WhoMay { anonymous: self.by(&self.everything, &Subject::anonymous()), ..WhoMay::default() };
        for group in self.groups() {
            let member = Subject::user(self.stranger()).groups([group.as_str()]);
            let Some(by) = self.by(&self.everything, &member) else {
                who.except_groups.extend(everyone.is_some().then_some(group));
                continue;
            };
            let by = beyond(by);
            if !by.is_empty() {
                who.groups.insert(group, by);
            }
        }
        for user in self.users() {
            let subject = Subject::user(user);
            let by_group = self.groups_of(user).any(|group| who.groups.contains_key(group));
            match self.by(&self.everything, &subject) {
                None if everyone.is_some() || by_group => drop(who.except.insert(user.to_owned())),
                None => {}
                Some(by) => {
                    let own = beyond(self.by(&self.alone, &subject).unwrap_or_default());
                    let together = if by_group { Vec::new() } else { beyond(by) };
                    let by = if own.is_empty() { together } else { own };
                    if !by.is_empty() {
                        who.users.insert(user.to_owned(), by);
                    }
                }
            }
        }
        who.everyone = everyone;
        who
    }

    fn by(&self, snapshot: &Snapshot, subject: &Subject) -> Option<Vec<String>> {
        let decision = snapshot.decide(&self.request.by(subject));
        decision.is_allowed().then(|| decision.by())
    }

    /// An id that the policy names nowhere.
    fn stranger(&self) -> String {
        let mut id = "\u{1}".to_owned();
        while self.users().any(|user| user == id) {
            id.push('\u{1}');
        }
        id
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        let tenant = self.everything.tenants.get(self.request.tenant());
        tenant.into_iter().flat_map(|tenant| tenant.users.keys()).map(|id| &**id)
    }

    fn groups_of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.tenant.users.get(user).into_iter().flat_map(|user| &user.groups).map(String::as_str)
    }

    /// All groups that the policy names: given to users, listed, members of spaces, or asked for by rules.
    fn groups(&self) -> BTreeSet<String> {
        let tenant = self.tenant;
        let members = tenant.spaces.values().flat_map(|space| space.members.keys());
        let members = members.filter_map(|member| if let Member::Group(name) = member { Some(name) } else { None });
        let given = tenant.users.values().flat_map(|user| &user.groups);
        let mut all: BTreeSet<String> = tenant.groups.keys().chain(given).chain(members).cloned().collect();
        all.extend(tenant.settings.personas.values().flatten().cloned());
        let known: BTreeSet<String> = all.iter().map(|name| name.to_lowercase()).collect();
        let rules = self.everything.tenants.get(self.request.tenant()).and_then(|tenant| tenant.rules.as_ref());
        all.extend(
            rules
                .into_iter()
                .flat_map(|rules| rules.named_groups())
                .filter(|name| !known.contains(*name))
                .map(str::to_owned),
        );
        all
    }
}
