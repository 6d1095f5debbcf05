//! How much memory a snapshot holds: counted by the allocator, so in a program of its own.

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;
use qsec_authz::{Action, Policy, Request, Resource, ResourceRef, Subject};
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One test at a time, for they share the allocator.
static TURN: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

fn named<T>(prefix: &str, count: usize, body: impl Fn(usize) -> T) -> Map<String, Value>
where
    Value: From<T>,
{
    (0..count).map(|number| (format!("{prefix}-{number}"), Value::from(body(number)))).collect()
}

/// So many users, a tenth as many groups and resources, a hundredth as many spaces. Each user is in three groups, each group in a
/// space, and a rule asks who is in which team.
fn policy(users: usize, change: impl Fn(&mut Value)) -> Policy {
    let (groups, spaces) = (users / 10, users / 100);
    let group = |number: usize| format!("group-{}", number % groups);
    let mut tenant = json!({
        "users": named("0a1b2c3d4e5f60718293a4b5-user", users, |user| json!({"roles": ["Steward"], "name": format!("User Number {user}"),
            "groups": [group(user), group(user * 7 + 1), group(user * 31 + 2)], "custom": {"Team": format!("team-{}", user % 97)}})),
        "groups": named("group", groups, |_| json!({"roles": ["PrivateAnalyticsContentCreator"]})),
        "spaces": named("space", spaces, |space| {
            let members: Map<String, Value> =
                (0..10).map(|one| (format!("group:{}", group(space * 10 + one)), json!(["consumer"]))).collect();
            json!({"type": "managed", "owner": "0a1b2c3d4e5f60718293a4b5-user-1", "members": members})
        }),
        "resources": named("app", groups, |app| json!({"type": "App", "space": format!("space-{}", app % spaces)})),
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
fn a_snapshot_of_100_000_users_holds_less_than_100_mib() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let policy = policy(100_000, |_| ());
    let (snapshot, whole, peak) = held(|| policy.compile().unwrap());
    println!("100,000 users: {} KiB held, {} KiB at most while compiling", whole >> 10, peak >> 10);
    assert!(whole <= 100 * MIB && peak <= 150 * MIB, "{whole} bytes, {peak} at most");
    let request = |user: &str| Request::new("acme", &Subject::user(user), Action::Read, ResourceRef::id("app-7"));
    assert!(snapshot.decide(&request("0a1b2c3d4e5f60718293a4b5-user-70")).is_allowed());
    assert!(!snapshot.decide(&request("nobody")).is_allowed());
}

#[test]
fn a_snapshot_after_one_assignment_shares_all_but_a_little() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = policy(10_000, |_| ());
    let user = "0a1b2c3d4e5f60718293a4b5-user-77";
    let after = policy(10_000, |tenant| tenant["users"][user]["roles"] = json!(["Developer"]));
    let (snapshot, whole, _) = held(|| before.compile().unwrap());
    let (changed, more, peak) = held(|| snapshot.with(&before, &after));
    println!(
        "10,000 users: {} KiB held, {} KiB more after one assignment, {} KiB at most",
        whole >> 10,
        more >> 10,
        peak >> 10
    );
    assert!(more <= whole / 50 && peak <= whole / 25, "{more} bytes, {peak} at most, beside {whole}");
    let key = Request::new("acme", &Subject::user(user), Action::Create, Resource::new("ApiKey"));
    assert!(!snapshot.decide(&key).is_allowed() && changed.decide(&key).is_allowed());
}
