//! Whatever people do to a policy who are no administrators, in whatever order and together: nobody ends up with more than
//! administrators had given to all of them.
//!
//! The bound is a person who does not exist: `pool` has every role, group, membership and property that any of them had at the
//! beginning, and owns what any of them owned. What somebody may in the end, `pool` could in the beginning. Decisions say so, not
//! the comparison that is tested here.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use qsec_authz::{
    Action, Actor, AttributeValue, Context, Edit, Holder, Policy, Register, Request, Resource, ResourceRef, RuleText,
    Snapshot, Subject,
};
use serde_json::{Value, json};

use crate::management::stored;

const USERS: [&str; 5] = ["u0", "u1", "u2", "u3", "u4"];
const GROUPS: [&str; 5] = ["desk", "g1", "g2", "g3", "admins"];
const ROLES: [&str; 10] = [
    "Author",
    "Lead",
    "Boss",
    "Steward",
    "Developer",
    "DataServicesContributor",
    "DataProductManager",
    "SharedSpaceCreator",
    "AnalyticsAdmin",
    "TenantAdmin",
];
const SPACES: [&str; 3] = ["m", "s", "d"];
const THINGS: [&str; 3] = ["q3", "draft", "memo"];
const SPACE_ROLES: [&str; 7] =
    ["consumer", "facilitator", "producer", "publisher", "operator", "contributor", "dataconsumer"];
const PERMISSIONS: [&str; 6] = ["apps", "automations", "admin.apps", "spaces.shared", "apps.data:export", "api-keys"];

/// Choices, one after the other.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    fn of(&mut self, list: &[&str]) -> String {
        list[self.below(list.len())].to_owned()
    }

    fn some(&mut self, list: &[&str], most: usize) -> Vec<String> {
        (0..self.below(most + 1)).map(|_| self.of(list)).collect()
    }
}

/// A tenant where the desk may change users, groups, roles, spaces, rules and the tenant itself, and holds what it happens to.
fn world(dice: &mut Dice<'_>) -> Value {
    let mut tenant = json!({
        "user_default": dice.some(&["apps.data:export", "apps"], 2),
        "roles": {"Author": ["apps", "spaces.shared"], "Boss": dice.some(&PERMISSIONS, 3), "Lead": []},
        "groups": {"desk": {"roles": dice.some(&ROLES[..3], 1)}, "g1": {"roles": dice.some(&ROLES[..9], 1)},
            "g2": {"roles": dice.some(&ROLES[..9], 1)}, "g3": {}, "admins": {"roles": ["TenantAdmin"]}},
        "users": {"root": {"roles": ["TenantAdmin"], "groups": ["admins"]}},
        "spaces": {}, "resources": {
            "q3": {"type": "App", "space": "m", "custom": {"Team": "Sales"}},
            "draft": {"type": "App", "space": "s", "custom": {"Team": "Finance"}},
            "memo": {"type": "App"}},
        "rules": [
            {"name": "desk", "filter": "User_*,Group_*,Role_*,SystemRule_*,Space_*,Tenant_*,App_*",
             "actions": ["create", "update", "delete", "change_role", "manage_members", "change_owner"],
             "condition": "user.group = \"desk\""},
            {"name": "lead", "filter": "Stream_*", "actions": ["read", "update"], "condition": "user.roles = \"Lead\""},
            {"name": "team", "filter": "App_*", "actions": ["read", "export"], "condition": "resource.@Team = user.@Team"},
            {"name": "readers", "filter": "App_*", "actions": ["duplicate"],
             "condition": "user.group = \"g3\" and resource.HasPrivilege(\"read\")"}]});
    for user in USERS {
        let groups = dice.some(&GROUPS[..4], 2);
        let groups = if user == "u0" { [groups, vec!["desk".into()]].concat() } else { groups };
        tenant["users"][user] = json!({"roles": dice.some(&ROLES[..9], 2), "groups": groups});
        if dice.below(2) == 0 {
            tenant["users"][user]["custom"] = json!({"Team": dice.of(&["Sales", "Finance"])});
        }
        if user == "u4" && dice.below(2) == 0 {
            tenant["users"][user]["status"] = json!("disabled");
        }
    }
    for (space, kind) in SPACES.iter().zip(["managed", "shared", "data"]) {
        tenant["spaces"][space] = json!({"type": kind, "owner": dice.of(&USERS[..4]), "members": {}});
        for member in ["user:u0", "user:u1", "user:u2", "group:g1", "group:g2"] {
            let mut with = tenant.clone();
            with["spaces"][space]["members"][member] = json!(dice.some(&SPACE_ROLES, 2));
            if Policy::parse(&json!({"version": 1, "tenants": {"t": with}}).to_string()).is_ok() {
                tenant = with;
            }
        }
    }
    for thing in THINGS {
        tenant["resources"][thing]["owner"] = json!(dice.of(&USERS[..4]));
    }
    tenant
}

/// The same tenant with somebody who has what all active users but the administrator have.
fn with_pool(tenant: &Value) -> Snapshot {
    let mut pooled = tenant.clone();
    let (mut roles, mut groups, mut teams) = (Vec::new(), Vec::new(), Vec::new());
    let active: Vec<_> = USERS.iter().filter(|user| tenant["users"][**user]["status"].is_null()).collect();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for user in &active {
        let user = &tenant["users"][**user];
        roles.extend(list(&user["roles"]));
        groups.extend(list(&user["groups"]));
        teams.extend(user["custom"]["Team"].as_str().map(str::to_owned));
    }
    pooled["users"]["pool"] = json!({"roles": roles, "groups": groups, "custom": {"Team": teams}});
    for space in SPACES {
        let members = &tenant["spaces"][space]["members"];
        let held: Vec<Value> = active.iter().flat_map(|user| list(&members[format!("user:{user}")])).collect();
        pooled["spaces"][space]["members"]["user:pool"] = json!(held);
        pooled["spaces"][space]["owner"] = json!("pool");
    }
    for thing in THINGS {
        pooled["resources"][thing]["owner"] = json!("pool");
    }
    let text = json!({"version": 1, "tenants": {"t": pooled}}).to_string();
    Policy::parse(&text).expect("pool").compile().expect("compiles")
}

fn holder(dice: &mut Dice<'_>) -> Holder {
    if dice.below(3) == 0 { Holder::group(dice.of(&GROUPS)) } else { Holder::user(dice.of(&USERS)) }
}

fn edit(dice: &mut Dice<'_>) -> Edit {
    match dice.below(24) {
        0 | 1 => Edit::AssignRole { role: dice.of(&ROLES), to: holder(dice) },
        2 => Edit::UnassignRole { role: dice.of(&ROLES), from: holder(dice) },
        3..=5 => Edit::AddMember { group: dice.of(&GROUPS), user: dice.of(&USERS) },
        6 => Edit::RemoveMember { group: dice.of(&GROUPS), user: dice.of(&USERS) },
        7 => Edit::UpdateRole { name: dice.of(&ROLES[..3]), permissions: dice.some(&PERMISSIONS, 3) },
        8 => Edit::SetUserDefault { permissions: dice.some(&PERMISSIONS, 2) },
        9..=12 => {
            Edit::SetSpaceRoles { space: dice.of(&SPACES), member: holder(dice), roles: dice.some(&SPACE_ROLES, 2) }
        }
        13 => Edit::ChangeSpaceOwner { space: dice.of(&SPACES), owner: dice.of(&USERS) },
        14 => Edit::EnableUser { id: dice.of(&USERS) },
        15 => Edit::DisableUser { id: dice.of(&USERS) },
        16 => Edit::DeleteUser { id: dice.of(&USERS) },
        17 => {
            let value = AttributeValue::from(dice.of(&["Sales", "Finance"]));
            Edit::SetCustom { user: dice.of(&USERS), name: "Team".into(), value: Some(value) }
        }
        18 => {
            let rule =
                RuleText::new("new", dice.of(&["Stream_*", "Stream_1", "App_*", "*"]), [dice.of(&["read", "update"])]);
            let condition = ["", "user.group = \"g1\"", "user.userId = \"u1\""][dice.below(3)];
            Edit::CreateRule(if condition.is_empty() { rule } else { rule.condition(condition) })
        }
        19 => Edit::UpdateRule(
            RuleText::new(
                dice.of(&["team", "new", "lead", "readers"]),
                dice.of(&["App_*", "Stream_*", "App_q3"]),
                ["read"],
            )
            .condition("resource.@Team = user.@Team"),
        ),
        20 => Edit::DeleteRule { name: dice.of(&["team", "new", "lead", "readers"]) },
        21 => Edit::ChangeResourceOwner { id: dice.of(&THINGS), owner: dice.of(&USERS) },
        22 => Edit::CreateRole { name: "New".into(), permissions: dice.some(&PERMISSIONS, 2) },
        _ => Edit::DeleteGroup { name: dice.of(&GROUPS) },
    }
}

/// What is asked of everybody: the tenant's own things, and new ones, which the asker owns.
fn questions(user: &str) -> Vec<ResourceRef> {
    let things = SPACES.iter().chain(&THINGS).map(|id| ResourceRef::id(*id));
    let bare = ["App", "Automation", "ApiKey", "Glossary", "User", "Group", "Role", "Tenant", "Stream", "AuditEvent"];
    let bare = bare.iter().map(|kind| Resource::new(*kind).owner(user).into());
    let spaces =
        ["shared", "managed", "data"].iter().map(|kind| Resource::new("Space").attribute("type", *kind).into());
    let inside = ["App", "App.Object", "DataTask", "DataProduct", "DataConnection"];
    let inside = inside.iter().flat_map(|kind| SPACES.map(|space| Resource::new(*kind).space(space).into()));
    things.chain(bare).chain(spaces).chain(inside).collect()
}

fn assert_bounded(after: &Snapshot, pool: &Snapshot, history: &[(String, Edit)]) {
    for user in USERS {
        for (theirs, bound) in questions(user).into_iter().zip(questions("pool")) {
            for action in Action::ALL {
                let ask = |who: &str, what: &ResourceRef| {
                    Request::new("t", &Subject::user(who), *action, what.clone()).context(Context::Api)
                };
                let gained = after.decide(&ask(user, &theirs));
                let bounded = !gained.is_allowed() || pool.decide(&ask("pool", &bound)).is_allowed();
                assert!(bounded, "{user} may {action} {theirs:?} by {:?}, after {history:#?}", gained.by());
            }
        }
    }
}

#[test]
fn no_sequence_of_changes_gives_more_than_administrators_gave() {
    let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config { cases: 120, ..Config::default() });
    let bytes = (prop::collection::vec(any::<u8>(), 96), prop::collection::vec(any::<[u8; 10]>(), 1..24));
    let verdict = runner.run(&bytes, |(seed, steps)| {
        let tenant = world(&mut Dice(seed.iter()));
        let pool = with_pool(&tenant);
        let store = pollster::block_on(stored("t", &tenant));
        let mut register = pollster::block_on(Register::load(&store, "t")).expect("register");
        let mut history = Vec::new();
        for step in &steps {
            let mut dice = Dice(step.iter());
            // The desk tries more often than the others.
            let who = if dice.below(2) == 0 { "u0".to_owned() } else { dice.of(&USERS) };
            let edit = edit(&mut dice);
            match register.plan(&Actor::new(&Subject::user(&who)).context(Context::Api), &edit) {
                Ok(plan) => {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    register = plan.next().clone();
                    history.push((who, edit));
                }
                Err(error) if error.code() == "exceeds" => {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        }
        assert_bounded(register.snapshot(), &pool, &history);
        Ok(())
    });
    verdict.unwrap_or_else(|error| panic!("{error}"));
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused: the test says little");
}
