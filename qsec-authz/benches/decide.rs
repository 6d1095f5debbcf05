//! How long a decision takes, on a tenant of 10,000 users, 1,000 spaces and 5,000 resources.
//!
//! `decide/hashmap` is the yardstick of the same run: one look-up of (user, action) in a standard hash map, with the
//! answer already computed.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use qsec_authz::{Action, Policy, Request, Resource, ResourceRef, Snapshot, Subject};
use serde_json::{Map, Value, json};

const USERS: usize = 10_000;
const SPACES: usize = 1_000;
const RESOURCES: usize = 5_000;

fn large() -> Value {
    let mut users = Map::new();
    for user in 0..USERS {
        let group = format!("group-{}", user % 100);
        users.insert(format!("user-{user}"), json!({"roles": ["PrivateAnalyticsContentCreator"], "groups": [group]}));
    }
    let mut spaces = Map::new();
    for space in 0..SPACES {
        let members = json!({format!("group:group-{}", space % 100): ["consumer"], format!("user:user-{}", space * 7 % USERS): ["contributor"]});
        spaces.insert(
            format!("space-{space}"),
            json!({"type": "managed", "owner": format!("user-{space}"), "members": members}),
        );
    }
    let mut resources = Map::new();
    for resource in 0..RESOURCES {
        let space = format!("space-{}", resource % SPACES);
        let owner = format!("user-{}", resource * 3 % USERS);
        resources.insert(format!("app-{resource}"), json!({"type": "App", "owner": owner, "space": space}));
    }
    let tenant = json!({"users": users, "spaces": spaces, "resources": resources});
    json!({"version": 1, "tenants": {"acme": tenant}})
}

fn parse(policy: &Value) -> Policy {
    Policy::parse(&policy.to_string()).expect("policy")
}

fn small() -> Snapshot {
    let text = r#"{"version":1,"tenants":{"acme":{"users":{"user-1":{"groups":["group-1"]}},
        "spaces":{"space-1":{"type":"managed","members":{"group:group-1":["consumer"]}}},
        "resources":{"app-1":{"type":"App","space":"space-1"}}}}}"#;
    Policy::parse(text).expect("policy").compile().expect("compiles")
}

fn decisions(criterion: &mut Criterion) {
    let policy = parse(&large());
    let snapshot = policy.compile().expect("compiles");
    let user = Subject::user("user-9901");
    let read = Request::new("acme", &user, Action::Read, ResourceRef::id("app-1"));
    let denied = Request::new("acme", &user, Action::Read, ResourceRef::id("app-2"));
    let token = Subject::user("stranger").groups(["group-1", "elsewhere"]).scopes(["apps:read"]);
    let by_token = Request::new("acme", &token, Action::Read, ResourceRef::id("app-1"));
    let creating = Request::new("acme", &user, Action::Create, Resource::new("App"));
    assert!(snapshot.decide(&read).is_allowed() && !snapshot.decide(&denied).is_allowed());
    assert!(snapshot.decide(&by_token).is_allowed() && snapshot.decide(&creating).is_allowed());

    let answers: HashMap<(String, Action), bool> = (0..USERS)
        .flat_map(|n| Action::ALL.iter().map(move |action| ((format!("user-{n}"), *action), n % 2 == 0)))
        .collect();
    let key = ("user-9901".to_owned(), Action::Read);

    let mut group = criterion.benchmark_group("decide");
    group.bench_function("hashmap", |bencher| bencher.iter(|| answers.get(black_box(&key))));
    group.bench_function("role", |bencher| bencher.iter(|| snapshot.decide(black_box(&read))));
    group.bench_function("denied", |bencher| bencher.iter(|| snapshot.decide(black_box(&denied))));
    group.bench_function("token", |bencher| bencher.iter(|| snapshot.decide(black_box(&by_token))));
    group.bench_function("inline", |bencher| bencher.iter(|| snapshot.decide(black_box(&creating))));
    let small = small();
    let first = Request::new("acme", &Subject::user("user-1"), Action::Read, ResourceRef::id("app-1"));
    assert!(small.decide(&first).is_allowed());
    group.bench_function("role_small_policy", |bencher| bencher.iter(|| small.decide(black_box(&first))));
    group.bench_function("request_and_role", |bencher| {
        bencher.iter(|| {
            let request = Request::new("acme", black_box(&user), Action::Read, ResourceRef::id("app-1"));
            snapshot.decide(&request)
        });
    });
    group.finish();
}

fn lists(criterion: &mut Criterion) {
    let policy = parse(&large());
    let snapshot = policy.compile().expect("compiles");
    let apps = Request::new("acme", &Subject::user("user-9901"), Action::Read, ResourceRef::id("")).on_any("App");
    assert_eq!(snapshot.filter(&apps).len(), 50);
    let mut group = criterion.benchmark_group("filter");
    group.bench_function("5000_resources", |bencher| bencher.iter(|| snapshot.filter(black_box(&apps))));
    group.finish();
    let text = policy.to_json();
    let mut group = criterion.benchmark_group("policy");
    group.sample_size(20);
    group.bench_function("compile_10000_users", |bencher| bencher.iter(|| policy.compile()));
    // One user gets one role more: the new snapshot from the old one.
    let mut assigned = large();
    assigned["tenants"]["acme"]["users"]["user-9901"]["roles"] = json!(["PrivateAnalyticsContentCreator", "Developer"]);
    let assigned = parse(&assigned);
    group.bench_function("assign_10000_users", |bencher| bencher.iter(|| snapshot.with(&policy, black_box(&assigned))));
    group.bench_function("parse_10000_users", |bencher| bencher.iter(|| Policy::parse(black_box(&text))));
    group.finish();
}

/// 57 rules in the shape of the product's own: a test of type, one of role or group, often one of the resource or of another
/// right. The default rules are read from the worked cases; others of their shape fill up.
fn defaults() -> Policy {
    let cases: Value = serde_json::from_str(include_str!("../tests/data/rules.json")).expect("cases");
    let mut policy = cases["policies"]["defaults"].clone();
    let rules = policy["tenants"]["acme"]["rules"].as_array_mut().expect("rules");
    for (number, type_name) in
        (0..).zip(["App", "App.Object", "Stream", "DataConnection", "ReloadTask", "Tag"].iter().cycle())
    {
        if rules.len() == 57 {
            break;
        }
        let condition = match number % 3 {
            0 => format!(r#"user.roles = "Role-{number}""#),
            1 => format!(r#"user.group = "group-{number}" and resource.@Team = user.@Team"#),
            _ => format!(r#"resource.type = "kind-{number}" and resource.app.HasPrivilege("read")"#),
        };
        rules.push(json!({"name": format!("rule {number}"), "filter": format!("{type_name}_*"),
            "actions": ["read", "update", "delete"], "condition": condition}));
    }
    let groups: Vec<String> = (0..10).map(|n| format!("group-{}", n * 3 + 1)).collect();
    policy["tenants"]["acme"]["users"]["bob"]["groups"] = json!(groups);
    Policy::parse(&policy.to_string()).expect("policy")
}

/// Rules of the same types and actions: so many teams with a rule for their apps and one for what their lead may do. The same
/// few apply to Ana, however many there are.
fn many(teams: usize) -> Policy {
    let mut rules = Vec::new();
    for team in 0..teams {
        rules.push(json!({"name": format!("team {team}"), "filter": "App_*", "actions": ["read", "update"],
            "condition": format!(r#"user.group = "team-{team}" and resource.@Team = "team-{team}" and !(resource.locked = "true")"#)}));
        rules.push(json!({"name": format!("lead {team}"), "filter": "App*", "actions": 15,
            "condition": format!(r#"(user.roles = "lead-{team}" or user.userId = "boss-{team}") and resource.@Team = "team-{team}""#)}));
    }
    let groups: Vec<String> = (0..10).map(|n| format!("team-{}", n * 5)).collect();
    let tenant = json!({"model": "enterprise", "users": {"ana": {"groups": groups, "roles": ["lead-7"]}}, "rules": rules, "resources": {
        "mine": {"type": "App", "custom": {"Team": "team-25"}}, "theirs": {"type": "App", "custom": {"Team": "team-1"}}}});
    Policy::parse(&json!({"version": 1, "tenants": {"acme": tenant}}).to_string()).expect("policy")
}

fn rules(criterion: &mut Criterion) {
    let ask = |snapshot: &Snapshot, user: &str, resource: &str, by: &[&str]| {
        let request = Request::new("acme", &Subject::user(user), Action::Read, ResourceRef::id(resource));
        assert_eq!(snapshot.decide(&request).by(), by);
        request
    };
    let (defaults, hundred, many) = (defaults(), many(50), many(5_000));
    let few = defaults.compile().expect("compiles");
    let hundred = hundred.compile().expect("compiles");
    let lots = many.compile().expect("compiles");
    // Bob reads a sheet because its app's stream may be read; the draft is looked at by every rule that could grant it.
    let sheet = ask(&few, "bob", "pubsheet", &["rule:Stream"]);
    let draft = ask(&few, "bob", "draft", &[]);
    let mine = ask(&lots, "ana", "mine", &["rule:team 25"]);
    assert_eq!(hundred.decide(&mine).by(), lots.decide(&mine).by());
    let theirs = ask(&lots, "ana", "theirs", &[]);
    let mut group = criterion.benchmark_group("decide");
    group.bench_function("rules57", |bencher| bencher.iter(|| few.decide(black_box(&sheet))));
    group.bench_function("rules57_denied", |bencher| bencher.iter(|| few.decide(black_box(&draft))));
    group.bench_function("rules100", |bencher| bencher.iter(|| hundred.decide(black_box(&mine))));
    group.bench_function("rules10000", |bencher| bencher.iter(|| lots.decide(black_box(&mine))));
    group.bench_function("rules10000_denied", |bencher| bencher.iter(|| lots.decide(black_box(&theirs))));
    group.finish();
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(20);
    group.bench_function("rules10000", |bencher| bencher.iter(|| many.compile()));
    let text = many.to_json();
    group.bench_function("parse_rules10000", |bencher| bencher.iter(|| Policy::parse(black_box(&text))));
    group.finish();
}

criterion_group!(benches, decisions, lists, rules);
criterion_main!(benches);
