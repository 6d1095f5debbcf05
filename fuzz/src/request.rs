//! A request of a stranger is answered or refused, with one answer however it is asked.

use std::sync::LazyLock;

use qsec_authz::visibility::Visibility;
use qsec_authz::{Policy, Request, ResourceRef, Snapshot};

/// Tenants of both models: `acme` decides by roles and spaces, `rules` by security rules.
const POLICY: &str = r#"{"version":1,"tenants":{
    "acme":{
        "roles":{"Author":["apps","spaces.shared"]},
        "groups":{"finance":{"roles":["Author"]}},
        "users":{"root":{"roles":["TenantAdmin"]},"ana":{"groups":["finance"]},"bob":{},"off":{"status":"disabled"}},
        "spaces":{"sh":{"type":"shared","owner":"ana","members":{"user:bob":["consumer"]}},
            "mg":{"type":"managed","owner":"root","members":{"user:ana":["publisher"],"group:finance":["consumer"]}}},
        "resources":{"q3":{"type":"App","owner":"ana","space":"sh"},"sheet":{"type":"App.Object","app":"q3","owner":"bob"},
            "own":{"type":"App","owner":"bob"}}},
    "rules":{
        "model":"enterprise",
        "users":{"ana":{"directory":"ACME","roles":["Reader"],"custom":{"Team":["x","y"]}},"bob":{}},
        "resources":{"s":{"type":"Stream","owner":"ana"},"q3":{"type":"App","owner":"bob","stream":"s","custom":{"Team":["x"]}},
            "sheet":{"type":"App.Object","app":"q3","owner":"ana","attributes":{"published":true}}},
        "rules":[
            {"name":"team","filter":"App_*","actions":["read","update"],"condition":"user.@Team = resource.@Team"},
            {"name":"owner","filter":"*","actions":8191,"condition":"resource.IsOwned() and resource.owner = user"},
            {"name":"object","filter":"App.Object_*","actions":["read"],"condition":"resource.app.HasPrivilege(\"read\")"},
            {"name":"office","filter":"Stream_*","actions":["read"],"condition":"user.environment.ip like \"10.*\" or resource.name matches \"q[0-9]+\""}]}}}"#;

static SNAPSHOT: LazyLock<Snapshot> =
    LazyLock::new(|| Policy::parse(POLICY).and_then(|policy| policy.compile()).expect("the policy is fixed"));

/// Reads a request about one resource and about many, and decides both.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Request::parse(text) {
        Ok(request) => asks_about_one(&request),
        Err(error) => {
            let position = error.flaw().position();
            assert!(position.is_none_or(|position| position.offset() <= text.len()));
        }
    }
    if let Ok(request) = Request::parse_filter(text) {
        asks_about_many(&request);
    }
}

fn asks_about_one(request: &Request) {
    let decision = SNAPSHOT.decide(request);
    assert_eq!(SNAPSHOT.explain(request).decision().code(), decision.code());
    // What is malformed for the policy is denied.
    assert!(!decision.is_allowed() || SNAPSHOT.check(request).is_ok());
    if let ResourceRef::Inline(resource) = request.resource()
        && let Visibility::If(predicate) = SNAPSHOT.visibility(request)
    {
        let _ = predicate.holds(resource);
    }
}

fn asks_about_many(request: &Request) {
    let visible = SNAPSHOT.filter(request);
    for id in ["q3", "sheet", "own", "s", "sh", "mg"] {
        let allowed = SNAPSHOT.decide(&request.on(ResourceRef::id(id))).is_allowed();
        assert!(allowed || !visible.contains(id), "`{id}` is listed and not allowed");
    }
}
