//! A snapshot that follows changes answers as one that is compiled from the policy as it is.

use proptest::prelude::*;
use qsec_authz::{Action, Policy, Request, Snapshot, Subject};
use serde_json::{Value, json};

use crate::properties::{GROUPS, USERS, policy, tenant};
use crate::rules::{asked, ruled};

/// A part of another policy that is put in place of the own, or taken away.
#[derive(Debug, Clone)]
struct Change {
    what: usize,
    number: usize,
    takes: bool,
}

const KINDS: usize = 16;

fn change() -> impl Strategy<Value = Change> {
    // One user's or space's entry is what changes most.
    (prop_oneof![2 => 0..3_usize, 3 => 0..KINDS], 0..16_usize, prop::bool::weighted(0.25))
        .prop_map(|(what, number, takes)| Change { what, number, takes })
}

/// Puts the value at the path in place, or takes it away.
fn put(tenant: &mut Value, section: &str, name: &str, value: &Value) {
    if value.is_null() {
        tenant[section].as_object_mut().unwrap().remove(name);
    } else {
        tenant[section][name] = value.clone();
    }
}

fn apply(tenant: &mut Value, donor: &Value, change: &Change) {
    let Change { what, number, takes } = *change;
    let of = |section: &str, name: &str| if takes { Value::Null } else { donor[section][name].clone() };
    let user = USERS[number % USERS.len()];
    let group = GROUPS[number % GROUPS.len()];
    let space = ["s-shared", "s-managed", "s-data"][number % 3];
    let resource = format!("r{number}");
    let rules = tenant["rules"].as_array().cloned().unwrap_or_default();
    match what {
        0 => put(tenant, "users", user, &of("users", user)),
        1 => put(tenant, "groups", group, &of("groups", group)),
        2 => {
            tenant["spaces"][space]["members"] = if takes { json!({}) } else { of("spaces", space)["members"].clone() }
        }
        3 => tenant["spaces"][space]["owner"] = json!(if takes { "somebody" } else { user }),
        4 => tenant["spaces"][space]["name"] = json!(format!("renamed {number}")),
        5 => put(tenant, "spaces", space, &of("spaces", space)),
        6 => put(tenant, "resources", &resource, &of("resources", &resource)),
        7 => tenant["resources"]["app-in"]["space"] = json!(space),
        8 => tenant["resources"]["app-in"]["owner"] = json!(format!("owner {}", number % 3)),
        9 => tenant["rules"] = if takes { json!([]) } else { donor["rules"].clone() },
        10 if !rules.is_empty() => tenant["rules"][number % rules.len()]["disabled"] = json!(takes),
        11 => {
            let mut all = rules;
            all.extend(donor["rules"].as_array().into_iter().flatten().take(1).cloned());
            all.iter_mut().enumerate().for_each(|(number, rule)| rule["name"] = json!(format!("rule {number}")));
            tenant["rules"] = json!(all);
        }
        12 => {
            for key in ["personas", "status", "user_default"] {
                match donor.get(key).filter(|_| !takes) {
                    Some(value) => tenant[key] = value.clone(),
                    None => drop(tenant.as_object_mut().unwrap().remove(key)),
                }
            }
        }
        13 => tenant["roles"]["C0"] = donor["roles"]["C1"].clone(),
        14 => tenant["model"] = json!(if takes { "enterprise" } else { "cloud" }),
        _ => {
            tenant["users"]["new"] =
                json!({"groups": [group, "unheard of"], "roles": ["C1"], "custom": {"Team": "blue"}});
        }
    }
}

/// All that is said about the requests.
fn answers(snapshot: &Snapshot, requests: &[Value]) -> Vec<Value> {
    let of = |request: &Value| {
        let one = Request::parse(&request.to_string()).unwrap();
        let mut many = request.clone();
        many.as_object_mut().unwrap().remove("resource");
        let many = Request::parse_filter(&many.to_string()).unwrap();
        let groups = snapshot.groups_of("t", one.subject());
        json!([
            snapshot.check(&one).is_ok(),
            snapshot.decide(&one),
            snapshot.explain(&one),
            snapshot.filter(&many),
            snapshot.is_administrator("t", one.subject()),
            groups
        ])
    };
    requests.iter().map(of).collect()
}

/// Follows the changes that leave a policy; how many did.
fn follow(mut tenant: Value, donor: &Value, changes: &[Change], requests: &[Value]) -> Result<usize, TestCaseError> {
    let mut before = Policy::parse(&policy(&tenant).to_string()).unwrap();
    let mut snapshot = before.compile().unwrap();
    let mut followed = 0;
    for change in changes {
        let mut changed = tenant.clone();
        apply(&mut changed, donor, change);
        let Ok(after) = Policy::parse(&policy(&changed).to_string()) else { continue };
        followed += usize::from(after != before);
        snapshot = snapshot.with(&before, &after);
        let compiled = after.compile().unwrap();
        prop_assert_eq!(answers(&snapshot, requests), answers(&compiled, requests), "{:?}\n{}", change, changed);
        for request in requests.iter().take(2) {
            let mut many = request.clone();
            many.as_object_mut().unwrap().remove("resource");
            let many = Request::parse_filter(&many.to_string()).unwrap();
            let said = |snapshot: &Snapshot| format!("{:?}", snapshot.visibility(&many));
            prop_assert_eq!(said(&snapshot), said(&compiled), "{:?}\n{}", change, changed);
        }
        (before, tenant) = (after, changed);
    }
    Ok(followed)
}

#[test]
fn snapshot_that_follows_changes_answers_as_a_compiled_one() {
    let changes = || prop::collection::vec(change(), 1..10);
    let requests = || prop::collection::vec(asked(), 8);
    let strategy = (prop_oneof![ruled(), tenant()], ruled(), changes(), requests());
    let config = ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let followed = std::cell::Cell::new(0);
    let outcome = runner.run(&strategy, |(tenant, donor, changes, requests)| {
        followed.set(followed.get() + follow(tenant, &donor, &changes, &requests)?);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{} changes followed", followed.get());
    assert!(followed.get() >= 300, "{}", followed.get());
}

#[test]
fn tenants_come_and_go() {
    let parse = |tenants: Value| Policy::parse(&json!({"version": 1, "tenants": tenants}).to_string()).unwrap();
    let steward = json!({"users": {"ana": {"roles": ["TenantAdmin"]}}});
    let (before, after) =
        (parse(json!({"one": steward, "two": steward})), parse(json!({"two": steward, "three": steward})));
    let snapshot = before.compile().unwrap().with(&before, &after);
    let knows = |tenant: &str| snapshot.is_administrator(tenant, &Subject::user("ana"));
    assert_eq!([knows("one"), knows("two"), knows("three")], [false, true, true]);
    let request = Request::new("one", &Subject::user("ana"), Action::Create, qsec_authz::Resource::new("ApiKey"));
    assert_eq!(json!(snapshot.decide(&request))["code"], "tenant_unknown");
}
