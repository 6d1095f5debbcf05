//! Unused grants: what is reported can go, and no use that was seen is denied afterwards.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use qsec_authz::{Action, Context, Grant, Holder, Period, Policy, Request, ResourceRef, Subject, Unused, Use};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);

fn at(day: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * day
}

fn policy(tenant: &Value) -> Policy {
    Policy::parse(&json!({"version": 1, "tenants": {"t": tenant}}).to_string()).expect("policy")
}

fn tenant() -> Value {
    json!({
        "roles": {"Author": ["apps", "apps.data:export", "admin.apps:read"], "Reader": []},
        "groups": {"finance": {"roles": ["Author"]}, "makers": {"roles": ["Steward"]}},
        "users": {"ana": {"roles": ["Developer", "Reader"], "groups": ["finance"]}, "ben": {"roles": ["Steward"]},
            "embo": {"roles": ["EmbeddedAnalyticsUser"]}},
        "user_default": [],
        "spaces": {"sales": {"type": "managed", "owner": "eve",
            "members": {"group:finance": ["consumer", "operator"], "user:ben": ["publisher"]}}},
        "resources": {"q3": {"type": "App", "space": "sales"}, "words": {"type": "Glossary"}, "tag": {"type": "Tag"}},
        "rules": [
            {"name": "reads", "filter": "Tag_*", "actions": ["read"], "condition": "user.roles = \"Reader\""},
            {"name": "through", "filter": "App_*", "actions": ["share"], "condition": "resource.HasPrivilege(\"reload\")"},
            {"name": "spare", "filter": "App_*", "actions": ["read", "update"], "condition": "user.group = \"none\""},
            {"name": "off", "filter": "*", "actions": ["read"], "disabled": true}]
    })
}

fn unused(uses: &[Use]) -> Vec<Grant> {
    let found = Unused::of(&policy(&tenant()), "t", Period::new(at(0), at(90)), uses.iter().cloned());
    found.grants().iter().map(|one| one.grant().clone()).collect()
}

fn role(holder: Holder, role: &str) -> Grant {
    Grant::RoleAssignment { holder, role: role.into() }
}

fn space(holder: Holder, role: &str) -> Grant {
    Grant::SpaceMembership { holder, space: "sales".into(), role: role.into() }
}

fn permission(permission: &str) -> Grant {
    Grant::RolePermission { role: "Author".into(), permission: permission.into() }
}

fn rule(name: &str) -> Grant {
    Grant::Rule { rule: name.into() }
}

fn seen(user: &str, action: Action, resource: &str, by: &str) -> Use {
    Use::new(at(1), user, action, resource, [by])
}

#[test]
fn without_uses_everything_is_unused_but_what_restricts() {
    let finance = || Holder::group("finance");
    assert_eq!(
        unused(&[]),
        [
            role(Holder::user("ana"), "Developer"),
            role(Holder::user("ana"), "Reader"),
            role(Holder::user("ben"), "Steward"),
            role(finance(), "Author"),
            role(Holder::group("makers"), "Steward"),
            space(Holder::user("ben"), "publisher"),
            space(finance(), "consumer"),
            space(finance(), "operator"),
            permission("admin.apps:read"),
            permission("apps"),
            permission("apps.data:export"),
            rule("reads"),
            rule("spare"),
            rule("through"),
        ]
    );
}

#[test]
fn use_keeps_what_granted_it() {
    let left = unused(&[seen("ana", Action::Read, "q3", "space:consumer@sales")]);
    assert!(!left.contains(&space(Holder::group("finance"), "consumer")));
    assert!(left.contains(&space(Holder::group("finance"), "operator")));
    assert!(left.contains(&role(Holder::group("finance"), "Author")));
}

#[test]
fn role_by_a_group_of_the_token_keeps_every_group_that_has_it() {
    let left = unused(&[seen("kim", Action::Update, "words", "role:Steward")]);
    assert!(!left.contains(&role(Holder::group("makers"), "Steward")));
    // Ben has it himself, and did not use it.
    assert!(left.contains(&role(Holder::user("ben"), "Steward")));
}

#[test]
fn export_keeps_its_capability() {
    let left = unused(&[seen("ana", Action::ExportData, "q3", "space:consumer@sales")]);
    assert!(!left.contains(&permission("apps.data:export")));
    assert!(!left.contains(&role(Holder::group("finance"), "Author")));
    assert!(left.contains(&permission("apps")));
}

#[test]
fn permission_is_used_by_the_action_that_it_grants() {
    let left = unused(&[seen("ana", Action::Create, "new", "role:Author")]);
    assert!(!left.contains(&permission("apps")));
    assert!(left.contains(&permission("admin.apps:read")));
}

#[test]
fn rule_keeps_the_roles_that_it_reads_and_the_rights_that_it_asks_for() {
    let left = unused(&[seen("ana", Action::Read, "tag", "rule:reads")]);
    assert!(!left.contains(&rule("reads")) && !left.contains(&role(Holder::user("ana"), "Reader")));
    assert!(left.contains(&rule("through")));
    let left = unused(&[seen("ana", Action::Share, "q3", "rule:through")]);
    assert!(!left.contains(&rule("through")));
    assert!(!left.contains(&space(Holder::group("finance"), "operator")), "the operator reloads, and shares by that");
    assert!(left.contains(&rule("reads")));
}

#[test]
fn report_says_what_would_be_lost_how_long_it_looked_and_what_it_missed() {
    let period = Period::new(at(0), at(30)).dropped(7);
    let uses =
        [seen("ana", Action::Read, "q3", "space:consumer@sales"), Use::new(at(30), "ana", Action::Read, "q3", ["x"])];
    let found = Unused::of(&policy(&tenant()), "t", period, uses);
    assert_eq!((found.period(), found.uses(), found.dropped()), (DAY * 30, 1, 7));
    assert!(!period.is_complete() && Period::new(at(0), at(1)).is_complete());
    let lost = |grant: &Grant| {
        let found = found.grants().iter().find(|one| one.grant() == grant).expect("reported");
        found.lost().map(|(on, actions)| format!("{on}: {}", actions.join(" "))).collect::<Vec<_>>()
    };
    assert_eq!(
        lost(&space(Holder::user("ben"), "publisher")),
        ["App: publish republish", "DataProduct: publish activate deactivate", "Space: read"]
    );
    assert_eq!(lost(&role(Holder::user("ana"), "Developer")), ["ApiKey: create read delete"]);
    assert_eq!(lost(&rule("spare")), ["App_*: read update"]);
    assert_eq!(lost(&permission("apps")), ["App: create"]);
    let json = serde_json::to_value(&found).expect("json");
    assert_eq!(
        json["unused"][0],
        json!({"grant": "role_assignment", "holder": "user:ana", "role": "Developer",
        "lost": {"ApiKey": ["create", "read", "delete"]}})
    );
    assert_eq!((&json["seconds"], &json["uses"], &json["dropped"]), (&json!(2_592_000), &json!(1), &json!(7)));
}

#[test]
fn tenant_that_is_not_there_has_no_grants() {
    let found = Unused::of(&policy(&tenant()), "other", Period::new(at(1), at(0)), []);
    assert!(found.grants().is_empty() && found.period().is_zero());
}

/// Takes away all that is reported, at once.
fn without(tenant: &Value, unused: &Unused) -> Value {
    let mut left = tenant.clone();
    let drop = |list: &mut Value, name: &str| {
        list.as_array_mut().expect("list").retain(|one| one != name && one["name"] != name);
    };
    let entry = |holder: &Holder| match holder {
        Holder::User(id) => ("users", id.clone()),
        Holder::Group(name) => ("groups", name.clone()),
        other => panic!("{other}"),
    };
    for one in unused.grants() {
        match one.grant() {
            Grant::RoleAssignment { holder, role } => {
                let (section, id) = entry(holder);
                drop(&mut left[section][id]["roles"], role);
            }
            Grant::SpaceMembership { holder, space, role } => {
                drop(&mut left["spaces"][space]["members"][holder.to_string()], role);
            }
            Grant::RolePermission { role, permission } => drop(&mut left["roles"][role], permission),
            Grant::Rule { rule } => drop(&mut left["rules"], rule),
            other => panic!("{other:?}"),
        }
    }
    left
}

/// A random tenant, who asks, and what they did of all that they may.
fn tenants() -> impl Strategy<Value = Value> {
    let some = |names: &'static [&'static str]| prop::collection::vec(prop::sample::select(names), 0..3);
    let roles = || {
        some(&[
            "TenantAdmin",
            "AnalyticsAdmin",
            "Steward",
            "DataServicesContributor",
            "DataProductManager",
            "Author",
            "Lead",
        ])
    };
    let members = || some(&["consumer", "facilitator", "publisher", "operator", "dataconsumer"]);
    let data = || some(&["consumer", "producer", "operator", "publisher", "datapreview"]);
    let permissions = some(&["apps.data:export", "apps.image:export", "admin.apps", "admin.spaces:read", "apps"]);
    let condition = || {
        prop::sample::select(vec![
            "user.roles = \"Lead\"",
            "user.group = \"g\"",
            "resource.HasPrivilege(\"read\")",
            "resource.HasPrivilege(\"reload\") and !user.roles.Empty()",
            "resource.owner.roles = \"Author\"",
            "user.roles = \"Lead\" or resource.HasPrivilege(\"update\")",
        ])
    };
    let actions = || prop::sample::subsequence(vec!["read", "update", "share", "export_data", "reload"], 1..3);
    let rules = prop::collection::vec((condition(), actions(), prop::sample::select(vec!["App_*", "*"])), 0..4);
    (roles(), roles(), roles(), members(), members(), data(), permissions, rules, any::<bool>()).prop_map(
        |(ana, ben, group, one, two, data, permissions, rules, enterprise)| {
            let rules: Vec<Value> = (0..)
                .zip(rules)
                .map(|(n, (condition, actions, filter))| {
                    json!({"name": format!("r{n}"), "filter": filter, "actions": actions, "condition": condition})
                })
                .collect();
            json!({"model": if enterprise { "enterprise" } else { "cloud" },
                "roles": {"Author": permissions, "Lead": []}, "user_default": [],
                "groups": {"g": {"roles": group}, "token": {"roles": ["Steward", "Author"]}},
                "users": {"ana": {"roles": ana, "groups": ["g"]}, "ben": {"roles": ben}},
                "spaces": {"m": {"type": "managed", "owner": "ben", "members": {"user:ana": one, "group:g": two, "group:token": ["consumer"]}},
                    "d": {"type": "data", "members": {"user:ana": data, "group:g": ["consumer"]}}},
                "resources": {"app": {"type": "App", "space": "m", "owner": "ben"}, "task": {"type": "DataTask", "space": "d"},
                    "product": {"type": "DataProduct", "space": "d"}, "words": {"type": "Glossary"},
                    "own": {"type": "App", "owner": "ana"}},
                "rules": rules})
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_unused_can_go(tenant in tenants(), picks in prop::collection::vec(any::<u16>(), 0..12)) {
        let before = policy(&tenant).compile().expect("compiles");
        let subjects = [Subject::user("ana"), Subject::user("ben"), Subject::user("kim").groups(["token"])];
        let mut requests = Vec::new();
        for subject in &subjects {
            for id in ["app", "task", "product", "words", "own", "m", "d"] {
                for action in Action::ALL {
                    requests.push(Request::new("t", subject, *action, ResourceRef::id(id)).context(Context::Api));
                }
            }
        }
        let allowed: Vec<_> = requests.into_iter().filter(|request| before.decide(request).is_allowed()).collect();
        let chosen: Vec<_> = picks.iter().filter_map(|pick| allowed.get(usize::from(*pick) % allowed.len().max(1))).collect();
        let uses = chosen.iter().map(|request| {
            let ResourceRef::Id(id) = request.resource() else { panic!("stored") };
            Use::new(at(1), request.subject().user_id().unwrap(), request.action(), id, before.decide(request).by())
        });
        let unused = Unused::of(&policy(&tenant), "t", Period::new(at(0), at(2)), uses);
        let after = policy(&without(&tenant, &unused)).compile().expect("compiles");
        for request in chosen {
            prop_assert!(after.decide(request).is_allowed(), "{request:?} without {:#?}", unused.grants());
        }
    }
}
