//! A security rule of a stranger: its condition is read or refused at a place in it, and what it grants is granted in every way of asking.

use qsec_authz::visibility::Visibility;
use qsec_authz::{Action, Lint, Policy, PolicyError, Request, Resource, ResourceRef, Subject};
use serde_json::json;

/// The first line is the filter, the others are the condition.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (filter, condition) = text.split_once('\n').unwrap_or(("*", text));
    match Policy::parse(&policy(filter, condition)) {
        Ok(policy) => agrees_with_itself(&policy),
        Err(PolicyError::BadRule(flaw)) => {
            let line = condition.split('\n').nth(flaw.line() - 1).expect("a line of the condition");
            assert!((1..=line.chars().count() + 1).contains(&flaw.column()), "column {} of `{line}`", flaw.column());
        }
        Err(_) => {}
    }
}

/// The rule as the second of two: the first grants what is asked for by `HasPrivilege`.
fn policy(filter: &str, condition: &str) -> String {
    let tenant = json!({
        "model": "enterprise",
        "users": {
            "ana": {"directory": "ACME", "roles": ["Reader", "RootAdmin"], "groups": ["finance"], "custom": {"Team": ["x", "y"]}},
            "bob": {"attributes": {"published": true}},
        },
        "resources": {
            "s": {"type": "Stream", "owner": "ana", "name": "Everyone"},
            "q3": {"type": "App", "owner": "bob", "stream": "s", "custom": {"Team": ["x"]}},
            "sheet": {"type": "App.Object", "owner": "ana", "app": "q3", "attributes": {"published": true, "objectType": "sheet"}},
        },
        "rules": [
            {"name": "streams", "filter": "Stream_*", "actions": ["read"], "condition": "user.group = \"finance\""},
            {"name": "fuzz", "filter": filter, "actions": 8191, "condition": condition},
        ],
    });
    json!({"version": 1, "tenants": {"t": tenant}}).to_string()
}

fn agrees_with_itself(policy: &Policy) {
    assert_eq!(Policy::parse_json(&policy.to_json()).expect("what we wrote"), *policy);
    let _ = Lint::of(policy);
    let snapshot = policy.compile().expect("it was checked when it was read");
    for subject in [Subject::user("ana"), Subject::user("bob"), Subject::anonymous()] {
        let every = Request::new("t", &subject, Action::Update, ResourceRef::id("")).on_everything();
        let visible = snapshot.filter(&every);
        for id in ["s", "q3", "sheet"] {
            let request = every.on(ResourceRef::id(id));
            assert_eq!(snapshot.decide(&request).is_allowed(), visible.contains(id), "`{id}`");
            let _ = snapshot.explain(&request);
        }
        let resource = Resource::new("App").owner("ana");
        let allowed = snapshot.decide(&every.on(resource.clone())).is_allowed();
        match snapshot.visibility(&every) {
            Visibility::All => assert!(allowed),
            Visibility::If(predicate) => assert!(predicate.holds(&resource).is_none_or(|holds| holds == allowed)),
            _ => assert!(!allowed),
        }
    }
}
