//! A tenant that is made up, and questions about it: the same on every machine.

use std::collections::BTreeMap;

use qsec_authz::{Action, Policy, PolicyError, Request, ResourceRef, Subject};
use serde_json::{Map, Value, json};

/// The one tenant of each policy.
pub(super) const TENANT: &str = "acme";

/// The questions of a set.
pub(super) const QUESTIONS: usize = 256;

/// What may be done with an app: most often, reading.
const APP_ACTIONS: [Action; 11] = [
    Action::Read,
    Action::Read,
    Action::Read,
    Action::ExportData,
    Action::ExportData,
    Action::Update,
    Action::Delete,
    Action::Export,
    Action::Publish,
    Action::Reload,
    Action::Share,
];

/// What the second set asks, about anything.
const CEILING_ACTIONS: [Action; 9] = [
    Action::Read,
    Action::Read,
    Action::Read,
    Action::ExportData,
    Action::ExportData,
    Action::Update,
    Action::ChangeOwner,
    Action::Publish,
    Action::Activate,
];

/// The ceilings that tokens of the second set have.
const CEILINGS: [Option<&[&str]>; 6] = [
    None,
    None,
    Some(&["user_default"]),
    Some(&["apps:read"]),
    Some(&["apps", "apps.data:export", "admin_classic"]),
    Some(&["spaces.shared", "admin.apps:read"]),
];

/// How much a tenant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Size {
    /// The name under which times are reported.
    pub name: &'static str,
    /// Users, of two groups each.
    pub users: usize,
    /// Spaces, half of them shared and half managed; and as many groups.
    pub spaces: usize,
    /// Apps, data assets and data products.
    pub resources: usize,
}

impl Size {
    /// 20 users, 5 spaces, 50 resources.
    pub const SMALL: Self = Self { name: "small", users: 20, spaces: 5, resources: 50 };
    /// 1,000 users, 100 spaces, 5,000 resources.
    pub const LARGE: Self = Self { name: "large", users: 1_000, spaces: 100, resources: 5_000 };
}

/// A question: may this user do this to that?
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Question {
    /// Who asks.
    pub user: String,
    /// What for.
    pub action: Action,
    /// About which resource.
    pub resource: String,
    /// The scopes of the token, if it has a ceiling.
    pub scopes: Option<&'static [&'static str]>,
}

impl Question {
    pub(super) fn request(&self) -> Request {
        let subject = Subject::user(&*self.user);
        let subject = match self.scopes {
            Some(scopes) => subject.scopes(scopes.iter().copied()),
            None => subject,
        };
        Request::new(TENANT, &subject, self.action, ResourceRef::id(&*self.resource))
    }
}

/// A space: what kind it is of, who owns it, and which roles each member has. Members are written `user:ID` and `group:NAME`.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) kind: &'static str,
    pub(super) owner: String,
    pub(super) members: BTreeMap<String, Vec<&'static str>>,
}

/// A tenant that is made up.
#[derive(Debug)]
pub struct Tenant {
    size: Size,
}

impl Tenant {
    /// A tenant of this size.
    pub const fn new(size: Size) -> Self {
        Self { size }
    }

    /// Questions that every engine can answer: spaces, groups and roles in spaces, no administrator, no ceiling.
    pub fn common_questions(&self) -> Vec<Question> {
        let mut dice = Dice(7);
        let mut questions = Vec::with_capacity(QUESTIONS);
        while questions.len() < QUESTIONS {
            let (user, resource) = self.pair(&mut dice, !questions.len().is_multiple_of(4));
            let actions: &[Action] = match self.type_of(resource) {
                "App" => &APP_ACTIONS,
                "DataAsset" => &[Action::Read, Action::Consume],
                _ => continue,
            };
            if !is_administrator(user) {
                questions.push(question(user, dice.one_of(actions), resource, None));
            }
        }
        questions
    }

    /// Questions of what else Cedar can be told: tenant roles, capabilities, and scopes as a ceiling.
    pub fn ceiling_questions(&self) -> Vec<Question> {
        let mut dice = Dice(11);
        let mut ask = |number: usize| {
            let (user, resource) = self.pair(&mut dice, !number.is_multiple_of(4));
            question(user, dice.one_of(&CEILING_ACTIONS), resource, dice.one_of(&CEILINGS))
        };
        (0..QUESTIONS).map(&mut ask).collect()
    }

    /// Two who ask for a list of the apps that they may read: no administrators.
    pub fn list_users(&self) -> Vec<String> {
        (0..self.size.users).filter(|user| !is_administrator(*user)).step_by(self.size.users / 2).map(user_id).collect()
    }

    /// The policy, as `qsec-authz` reads it.
    ///
    /// # Errors
    /// What the reader finds.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        let users: Map<String, Value> = (0..self.size.users).map(|n| (user_id(n), self.user(n))).collect();
        let spaces: Map<String, Value> = self
            .spaces()
            .map(|(id, space)| (id, json!({"type": space.kind, "owner": space.owner, "members": space.members})))
            .collect();
        let resources: Map<String, Value> = (0..self.size.resources)
            .map(|n| {
                let (owner, space) = (user_id(n * 3 % self.size.users), self.space_of(n));
                (resource_id(n), json!({"type": self.type_of(n), "owner": owner, "space": space}))
            })
            .collect();
        let tenant = json!({"users": users, "spaces": spaces, "resources": resources});
        Policy::parse_json(&json!({"version": 1, "tenants": {TENANT: tenant}}).to_string())
    }

    pub(super) fn user_ids(&self) -> impl Iterator<Item = (String, [String; 2])> {
        (0..self.size.users).map(|n| (user_id(n), self.groups_of(n).map(|group| format!("group:group-{group}"))))
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = (String, &'static str, String)> {
        (0..self.size.resources).map(|n| (resource_id(n), self.type_of(n), self.space_of(n)))
    }

    /// The apps, and the space of each.
    pub(super) fn apps(&self) -> impl Iterator<Item = (String, String)> {
        self.resources().filter(|(_, type_name, _)| *type_name == "App").map(|(id, _, space)| (id, space))
    }

    pub(super) fn spaces(&self) -> impl Iterator<Item = (String, Space)> {
        (0..self.size.spaces).map(|n| {
            let (kind, of_users) = match n % 2 {
                0 => ("shared", ["codeveloper", "dataconsumer", "producer"]),
                _ => ("managed", ["publisher", "operator", "basicconsumer"]),
            };
            let (group, other) = (n % self.size.spaces, (n * 3 + 1) % self.size.spaces);
            let mut members: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
            let mut join = |member: String, role| members.entry(member).or_default().push(role);
            join(format!("group:group-{group}"), "consumer");
            join(format!("group:group-{other}"), if n % 2 == 0 { "producer" } else { "contributor" });
            for (place, role) in (1..).zip(of_users.into_iter().chain(["facilitator"])) {
                join(format!("user:{}", user_id((n * 7 + place * 2 + 1) % self.size.users)), role);
            }
            (space_id(n), Space { kind, owner: user_id((n * 11 + 1) % self.size.users), members })
        })
    }

    fn user(&self, n: usize) -> Value {
        let groups = self.groups_of(n).map(|group| format!("group-{group}"));
        let mut roles = Vec::new();
        if is_administrator(n) {
            roles.push("TenantAdmin");
        }
        if n.is_multiple_of(3) {
            roles.push("DataProductManager");
        }
        json!({"roles": roles, "groups": groups})
    }

    /// Never the same group twice, or the policy would be refused.
    const fn groups_of(&self, n: usize) -> [usize; 2] {
        [n % self.size.spaces, (n + 1 + n / self.size.spaces % (self.size.spaces - 1)) % self.size.spaces]
    }

    fn type_of(&self, resource: usize) -> &'static str {
        // In strides that no number of spaces divides, so that each space holds each type.
        match resource / self.size.spaces % 5 {
            0..=2 => "App",
            3 => "DataAsset",
            _ => "DataProduct",
        }
    }

    fn space_of(&self, resource: usize) -> String {
        space_id(resource % self.size.spaces)
    }

    /// A user, or one that the policy does not know, and a resource: any, or one of a space that a group of the user is a member of.
    fn pair(&self, dice: &mut Dice, related: bool) -> (usize, usize) {
        let (user, resource) = (dice.below(self.size.users + 1), dice.below(self.size.resources));
        let [group, _] = self.groups_of(user);
        let there = resource - resource % self.size.spaces + group;
        (user, if related && there < self.size.resources { there } else { resource })
    }
}

/// One in ten.
const fn is_administrator(user: usize) -> bool {
    user % 10 == 3
}

fn question(user: usize, action: Action, resource: usize, scopes: Option<&'static [&'static str]>) -> Question {
    Question { user: user_id(user), action, resource: resource_id(resource), scopes }
}

pub(super) fn user_id(n: usize) -> String {
    format!("user-{n}")
}

fn space_id(n: usize) -> String {
    format!("space-{n}")
}

pub(super) fn resource_id(n: usize) -> String {
    format!("resource-{n}")
}

/// Numbers that look random and are the same in every run: Knuth's linear congruential generator.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
