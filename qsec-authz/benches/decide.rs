//! How long a decision takes, on a tenant of 10,000 users, 1,000 spaces and 5,000 resources.
//!
//! `decide/hashmap` is the yardstick of the same run: one look-up of (user, action) in a standard hash map, with the
//! answer already computed.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use qsec_authz::{Action, Policy, Request, Resource, ResourceRef, Snapshot, Subject};
use serde_json::{Map, json};

const USERS: usize = 10_000;
const SPACES: usize = 1_000;
const RESOURCES: usize = 5_000;

fn large() -> Policy {
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
    Policy::parse(&json!({"version": 1, "tenants": {"acme": tenant}}).to_string()).expect("policy")
}

fn small() -> Snapshot {
    let text = r#"{"version":1,"tenants":{"acme":{"users":{"user-1":{"groups":["group-1"]}},
        "spaces":{"space-1":{"type":"managed","members":{"group:group-1":["consumer"]}}},
        "resources":{"app-1":{"type":"App","space":"space-1"}}}}}"#;
    Policy::parse(text).expect("policy").compile().expect("compiles")
}

fn decisions(criterion: &mut Criterion) {
    let policy = large();
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
    let policy = large();
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
    group.bench_function("parse_10000_users", |bencher| bencher.iter(|| Policy::parse(black_box(&text))));
    group.finish();
}

criterion_group!(benches, decisions, lists);
criterion_main!(benches);
