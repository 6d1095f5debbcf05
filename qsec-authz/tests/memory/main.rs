//! How much memory a snapshot holds: counted by the allocator, so in a program of its own.

use peak_alloc::PeakAlloc;
use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const USERS: usize = 100_000;
const GROUPS: usize = 10_000;
const SPACES: usize = 1_000;
const RESOURCES: usize = 10_000;
const MIB: usize = 1 << 20;

fn named<T>(prefix: &str, count: usize, body: impl Fn(usize) -> T) -> Map<String, Value>
where
    Value: From<T>,
{
    (0..count).map(|number| (format!("{prefix}-{number}"), Value::from(body(number)))).collect()
}

/// Each user in three groups, each group in a space, and a rule that asks who is in which team.
fn policy(change: impl Fn(&mut Value)) -> Policy {
    let group = |number: usize| format!("group-{}", number % GROUPS);
    let mut tenant = json!({
        "users": named("0a1b2c3d4e5f60718293a4b5-user", USERS, |user| json!({"roles": ["Steward"], "name": format!("User Number {user}"),
            "groups": [group(user), group(user * 7 + 1), group(user * 31 + 2)], "custom": {"Team": format!("team-{}", user % 97)}})),
        "groups": named("group", GROUPS, |_| json!({"roles": ["PrivateAnalyticsContentCreator"]})),
        "spaces": named("space", SPACES, |space| {
            let members: Map<String, Value> =
                (0..10).map(|one| (format!("group:{}", group(space * 10 + one)), json!(["consumer"]))).collect();
            json!({"type": "managed", "owner": "0a1b2c3d4e5f60718293a4b5-user-1", "members": members})
        }),
        "resources": named("app", RESOURCES, |app| json!({"type": "App", "space": format!("space-{}", app % SPACES)})),
        "rules": [{"name": "team", "filter": "App_*", "actions": ["update"], "condition": "user.@Team = resource.@Team"},
            {"name": "own", "filter": "App_*", "actions": ["delete"], "condition": "user.group = \"group-7\""}],
    });
    change(&mut tenant);
    Policy::parse(&json!({"version": 1, "tenants": {"acme": tenant}}).to_string()).unwrap()
}

/// What an answer holds, and the most that making it held, beyond what was held before.
fn held<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let answer = work();
    let (after, peak) = (ALLOCATOR.current_usage(), ALLOCATOR.peak_usage());
    (answer, after.saturating_sub(before), peak.saturating_sub(before))
}

#[test]
fn a_snapshot_of_100_000_users_holds_less_than_100_mib_and_a_changed_one_little_more() {
    let before = policy(|_| ());
    let after = policy(|tenant| tenant["users"]["0a1b2c3d4e5f60718293a4b5-user-77"]["roles"] = json!(["Developer"]));
    let (snapshot, whole, peak) = held(|| before.compile().unwrap());
    let (changed, more, more_peak) = held(|| snapshot.with(&before, &after));
    println!(
        "{USERS} users, {GROUPS} groups, {SPACES} spaces, {RESOURCES} resources: {} KiB held, {} KiB at most while compiling",
        whole >> 10,
        peak >> 10
    );
    println!("after one assignment: {} KiB more held, {} KiB at most while changing", more >> 10, more_peak >> 10);
    assert!(whole <= 100 * MIB, "{whole} bytes");
    assert!(more <= MIB && more_peak <= 2 * MIB, "{more} bytes, {more_peak} at most");
    let user = Subject::user("0a1b2c3d4e5f60718293a4b5-user-77");
    let key = Request::new("acme", &user, Action::Create, qsec_authz::Resource::new("ApiKey"));
    let app = Request::new("acme", &user, Action::Read, ResourceRef::id("app-7"));
    assert!(!snapshot.decide(&key).is_allowed() && changed.decide(&key).is_allowed());
    assert_eq!(snapshot.decide(&app).is_allowed(), changed.decide(&app).is_allowed());
}
