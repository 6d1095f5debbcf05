//! A policy file that is accepted is written again as an equal one, in JSON and in TOML, and what it lists is what it decides.

use qsec_authz::{Action, Lint, Policy, PolicyError, Request, ResourceRef, Subject};

/// What of a policy is decided: the time of one input stays bounded.
const MAX_TENANTS: usize = 4;
const MAX_IDS: usize = 16;

/// Reads a policy in either form, writes it, and asks what it compiles to.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let policy = match Policy::parse(text) {
        Ok(policy) => policy,
        Err(error) => return lies_within(&error, text),
    };
    assert_eq!(Policy::parse_json(&policy.to_json()).expect("what we wrote"), policy);
    if let Ok(toml) = policy.to_toml() {
        assert_eq!(Policy::parse_toml(&toml).expect("what we wrote"), policy);
    }
    let _ = Lint::of(&policy);
    let snapshot = policy.compile().expect("it was checked when it was read");
    for tenant in policy.tenants().take(MAX_TENANTS) {
        for subject in [Subject::user("ana"), Subject::user("u").groups(["g"]), Subject::anonymous()] {
            let every = Request::new(tenant.id(), &subject, Action::Read, ResourceRef::id("")).on_everything();
            for id in snapshot.filter(&every).ids().take(MAX_IDS) {
                assert!(snapshot.decide(&every.on(ResourceRef::id(id))).is_allowed(), "`{id}` is listed and not allowed");
            }
        }
    }
}

/// What is wrong is a place in the text.
fn lies_within(error: &PolicyError, text: &str) {
    if let Some(position) = error.flaw().and_then(|flaw| flaw.position()) {
        assert!(position.offset() <= text.len() && position.line() > 0 && position.column() > 0);
    }
}
