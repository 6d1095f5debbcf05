//! Policies that are none: each rule that makes one malformed, found where it is broken.

use qsec_authz::{Action, EntryKind, Flaw, Policy, PolicyEntry, Request, Resource, ResourceRef, Snapshot, Subject};

/// Where a tenant's text is refused, as `code path`.
fn refused(tenant: &str) -> String {
    let text = format!(r#"{{"version":1,"tenants":{{"t":{tenant}}}}}"#);
    let error = Policy::parse(&text).expect_err(tenant);
    let flaw = error.flaw().expect("a flaw");
    let position = flaw.position().expect("a position");
    assert!(text.is_char_boundary(position.offset()), "{tenant}");
    format!("{} {}", error.code(), flaw.path())
}

#[test]
fn malformed_policies_are_refused_where_they_are_wrong() {
    for (tenant, path) in [
        ("[]", "tenants.t"),
        (r#"{"user":{}}"#, "tenants.t.user"),
        (r#"{"status":"gone"}"#, "tenants.t.status"),
        (r#"{"model":"desktop"}"#, "tenants.t.model"),
        (r#"{"user_default":["apps","sheets"]}"#, "tenants.t.user_default[1]"),
        (r#"{"user_default":["admin.apps"]}"#, "tenants.t.user_default[0]"),
        (r#"{"user_default":["user_default"]}"#, "tenants.t.user_default[0]"),
        (r#"{"roles":{"R":["offline_access"]}}"#, "tenants.t.roles.R[0]"),
        (r#"{"roles":{"Steward":["apps"]}}"#, "tenants.t.roles.Steward"),
        (r#"{"roles":{"":["apps"]}}"#, "tenants.t.roles.\"\""),
        (r#"{"users":{"u":{"roles":["Nobody"]}}}"#, "tenants.t.users.u.roles[0]"),
        (r#"{"users":{"u":{"roles":["tenantadmin"]}}}"#, "tenants.t.users.u.roles[0]"),
        (r#"{"users":{"u":{"status":"gone"}}}"#, "tenants.t.users.u.status"),
        (r#"{"users":{"u":{"email":"x"}}}"#, "tenants.t.users.u.email"),
        (r#"{"users":{"u":{"groups":[1]}}}"#, "tenants.t.users.u.groups[0]"),
        (r#"{"users":{"u":{"custom":{"A":"1","a":"2"}}}}"#, "tenants.t.users.u.custom.a"),
        (r#"{"users":{"u":{"custom":{"A":{"b":1}}}}}"#, "tenants.t.users.u.custom.A"),
        (r#"{"users":{"u":{"custom":{"A":1.5}}}}"#, "tenants.t.users.u.custom.A"),
        (r#"{"users":{"u":{"custom":{"A":[["x"]]}}}}"#, "tenants.t.users.u.custom.A"),
        (r#"{"groups":{"g":{"roles":["Nobody"]}}}"#, "tenants.t.groups.g.roles[0]"),
        (r#"{"groups":{"g":{"members":[]}}}"#, "tenants.t.groups.g.members"),
        (r#"{"spaces":{"s":{}}}"#, "tenants.t.spaces.s"),
        (r#"{"spaces":{"s":{"type":"personal"}}}"#, "tenants.t.spaces.s.type"),
        (
            r#"{"spaces":{"s":{"type":"shared","members":{"user:b":["publisher"]}}}}"#,
            "tenants.t.spaces.s.members.user:b[0]",
        ),
        (r#"{"spaces":{"s":{"type":"data","members":{"user:b":["owner"]}}}}"#, "tenants.t.spaces.s.members.user:b[0]"),
        (r#"{"spaces":{"s":{"type":"data","members":{"user:b":["viewer"]}}}}"#, "tenants.t.spaces.s.members.user:b[0]"),
        (r#"{"spaces":{"s":{"type":"data","members":{"b":["consumer"]}}}}"#, "tenants.t.spaces.s.members.b"),
        (r#"{"spaces":{"s":{"type":"data","members":{"user:":["consumer"]}}}}"#, "tenants.t.spaces.s.members.user:"),
        (r#"{"spaces":{"s":{"type":"data"}},"resources":{"s":{"type":"App"}}}"#, "tenants.t.spaces.s"),
        (r#"{"resources":{"a":{}}}"#, "tenants.t.resources.a"),
        (r#"{"resources":{"a":{"id":"a","type":"App"}}}"#, "tenants.t.resources.a.id"),
        (r#"{"resources":{"a":{"type":"App_x"}}}"#, "tenants.t.resources.a.type"),
        (r#"{"resources":{"a":{"type":"App","space":"s"}}}"#, "tenants.t.resources.a.space"),
        (r#"{"resources":{"a":{"type":"App","space":"b"},"b":{"type":"App"}}}"#, "tenants.t.resources.a.space"),
        (r#"{"resources":{"a":{"type":"App.Object","app":"b"}}}"#, "tenants.t.resources.a.app"),
        (r#"{"resources":{"a":{"type":"App","stream":"b"}}}"#, "tenants.t.resources.a.stream"),
        (r#"{"resources":{"a":{"type":"App","links":{"L":["b"]}}}}"#, "tenants.t.resources.a.links.L"),
        (r#"{"resources":{"a":{"type":"App","links":{"Owner":[]}}}}"#, "tenants.t.resources.a.links.Owner"),
        (r#"{"resources":{"a":{"type":"App","attributes":{"Space":"b"}}}}"#, "tenants.t.resources.a.attributes.Space"),
        (
            r#"{"resources":{"a":{"type":"App","links":{"L":[]},"attributes":{"l":"b"}}}}"#,
            "tenants.t.resources.a.attributes.l",
        ),
        (r#"{"rules":[{"filter":"*","actions":["read"]}]}"#, "tenants.t.rules[0]"),
        (r#"{"rules":[{"name":"r","filter":"*","actions":true}]}"#, "tenants.t.rules[0].actions"),
        (r#"{"rules":[{"name":"r","filter":"*","actions":1,"when":""}]}"#, "tenants.t.rules[0].when"),
        (
            r#"{"rules":[{"name":"r","filter":"*","actions":1},{"name":"r","filter":"*","actions":1}]}"#,
            "tenants.t.rules[1].name",
        ),
        (
            r#"{"personas":{"consumer":["g"]},"rules":[{"name":"persona:consumer:2","filter":"*","actions":1}]}"#,
            "tenants.t.rules[0].name",
        ),
        (r#"{"personas":{"reader":["g"]}}"#, "tenants.t.personas.reader"),
        (r#"{"personas":{"consumer":[]}}"#, "tenants.t.personas.consumer"),
    ] {
        assert_eq!(refused(tenant), format!("bad_policy {path}"), "{tenant}");
    }
}

#[test]
fn file_without_its_frame_is_refused() {
    for (text, code) in [
        ("", "bad_policy"),
        ("{}", "bad_policy"),
        (r#"{"version":1}"#, "bad_policy"),
        (r#"{"version":2,"tenants":{}}"#, "bad_policy"),
        (r#"{"version":"1","tenants":{}}"#, "bad_policy"),
        (r#"{"version":1,"tenants":[]}"#, "bad_policy"),
        (r#"{"version":1,"tenants":{},"extra":1}"#, "bad_policy"),
        (r#"{"version":1,"tenants":{"t":{},"t":{}}}"#, "bad_policy"),
        (r#"{"version":1,"tenants":{}} x"#, "bad_json"),
        ("version = ", "bad_json"),
        ("version = 1\nversion = 1\n[tenants]", "bad_json"),
        ("not a policy", "bad_json"),
    ] {
        assert_eq!(Policy::parse(text).expect_err(text).code(), code, "{text}");
    }
}

#[test]
fn error_points_at_line_column_and_says_what_helps() {
    let text = "version = 1\n[tenants.acme.spaces.sales]\ntype = \"managed\"\nmembers.\"user:bob\" = [\"consmer\"]\n";
    let error = Policy::parse(text).expect_err("a misspelt role");
    assert_eq!(
        error.to_string(),
        "malformed policy: unknown space role `consmer`, line 4 column 23, \
         at `tenants.acme.spaces.sales.members.user:bob[0]`: did you mean `consumer`?"
    );
    assert_eq!(text.find("\"consmer\""), error.flaw().and_then(Flaw::position).map(|at| at.offset()));
}

#[test]
fn json_and_toml_say_the_same() {
    let toml = r#"
version = 1
[tenants.acme]
user_default = ["apps"]
roles.Author = ["apps", "spaces.shared"]
groups.finance.roles = ["Author"]
users.ana = { groups = ["finance"], custom = { Level = 3, Tags = ["a", true] } }
[tenants.acme.spaces.sales]
type = "managed"
members = { "group:finance" = ["consumer"] }
[tenants.acme.resources.q3]
type = "App"
space = "sales"
"#;
    let json = r#"{"version":1,"tenants":{"acme":{"user_default":["apps"],"roles":{"Author":["apps","spaces.shared"]},
        "groups":{"finance":{"roles":["Author"]}},
        "users":{"ana":{"groups":["finance"],"custom":{"Level":3,"Tags":["a",true]}}},
        "spaces":{"sales":{"type":"managed","members":{"group:finance":["consumer"]}}},
        "resources":{"q3":{"type":"App","space":"sales"}}}}}"#;
    assert_eq!(Policy::parse(toml).expect("TOML"), Policy::parse(json).expect("JSON"));
}

const FULL: &str = r#"{"version":1,"tenants":{"t":{"status":"deactivated","model":"enterprise","user_default":[],
    "roles":{"R":["apps"]},"groups":{"g":{"roles":["Anything"]}},
    "users":{"u":{"status":"disabled","directory":"D","name":"N","roles":["X"],"groups":["g"],
        "attributes":{"a":null,"b":[1,"x",false]},"custom":{"c":""}}},
    "spaces":{"s":{"type":"data","owner":"o","name":"S","members":{"user:u":["consumer"],"group:g":["operator"]}}},
    "resources":{"a":{"type":"App","name":"A","owner":"u","space":"s"},
        "b":{"type":"App.Object","app":"a","stream":"a","links":{"L":["a","s"]},"attributes":{"x":true},"custom":{"y":-1}}},
    "rules":[{"name":"z","filter":"*","actions":["read"],"condition":"true","context":"hub","disabled":true},
        {"name":"a","filter":"App_*","actions":8191,"context":2}],
    "personas":{"developer":["devs"]}}}}"#;

#[test]
fn nothing_is_lost_when_a_policy_is_written_or_stored() {
    let policy = Policy::parse(FULL).expect("policy");
    let written: serde_json::Value = serde_json::from_str(&policy.to_json()).expect("JSON");
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(FULL).expect("JSON"));
    let entries = policy.tenant("t").expect("tenant").entries().expect("entries");
    assert_eq!(Policy::from_entries("t", &entries).expect("entries are a policy"), policy);
    let rules: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::Rule).map(|entry| &*entry.id).collect();
    assert_eq!(rules, ["0000000000", "0000000001"]);
}

#[test]
fn entries_that_make_no_policy_are_refused() {
    let entry = |kind, id: &str, body: &str| PolicyEntry { kind, id: id.into(), body: body.into() };
    for (entries, path) in [
        (vec![entry(EntryKind::User, "u", "{"), entry(EntryKind::Group, "g", "{}")], "tenants.t.users.u"),
        (vec![entry(EntryKind::User, "u", "{}"), entry(EntryKind::User, "u", "{}")], "tenants.t.users.u"),
        (vec![entry(EntryKind::Tenant, "x", "{}")], "tenants.t"),
        (vec![entry(EntryKind::Tenant, "", r#"{"users":{}}"#)], "tenants.t"),
        (vec![entry(EntryKind::Tenant, "", "[]")], "tenants.t"),
        (vec![entry(EntryKind::Rule, "1", "{}")], "tenants.t.rules.1"),
        (vec![entry(EntryKind::User, "u", r#"{"roles":["Nobody"]}"#)], "tenants.t.users.u.roles[0]"),
        (vec![entry(EntryKind::User, "", "{}")], "tenants.t.users.\"\""),
    ] {
        let error = Policy::from_entries("t", &entries).expect_err(path);
        assert_eq!(error.flaw().expect("a flaw").path(), path);
    }
    assert!(Policy::from_entries("t", &[]).is_ok());
}

#[test]
fn space_with_too_many_members_for_one_entry_is_refused_when_stored() {
    let members: Vec<String> = (0..50_000).map(|n| format!(r#""user:member-{n:08}":["consumer"]"#)).collect();
    let text = format!(
        r#"{{"version":1,"tenants":{{"t":{{"spaces":{{"s":{{"type":"data","members":{{{}}}}}}}}}}}}}"#,
        members.join(",")
    );
    let error = Policy::parse(&text).expect("policy").tenant("t").expect("tenant").entries().expect_err("too long");
    assert_eq!((error.code(), error.flaw().expect("a flaw").path()), ("bad_policy", "tenants.t.spaces.s"));
}

#[test]
fn policy_longer_than_the_bound_is_refused_unread() {
    let text = " ".repeat(qsec_authz::MAX_TOML_BYTES + 1);
    assert_eq!(Policy::parse_toml(&text).expect_err("too long").code(), "bad_policy");
    let text = " ".repeat(qsec_authz::MAX_POLICY_BYTES + 1);
    assert_eq!(Policy::parse_json(&text).expect_err("too long").code(), "bad_policy");
    let text = " ".repeat(qsec_authz::MAX_REQUEST_BYTES + 1);
    assert_eq!(Request::parse(&text).expect_err("too long").code(), "bad_request");
}

fn acme() -> Snapshot {
    let text = r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["PrivateAnalyticsContentCreator"]}},
        "spaces":{"sales":{"type":"shared","owner":"eve","members":{"user:ana":["producer"]}}},
        "resources":{"q3":{"type":"App","owner":"eve","space":"sales"},"loop":{"type":"App.Object","app":"loop","owner":"ana"},
            "false":{"type":"Space","owner":"ana","space":"sales","attributes":{"type":"shared"}}}}}}"#;
    Policy::parse(text).expect("policy").compile().expect("compiles")
}

#[test]
fn described_resource_that_hangs_in_the_air_is_malformed_and_denied() {
    let snapshot = acme();
    for (resource, path) in [
        (Resource::new("App").id("q3"), "resource.id"),
        (Resource::new("App").id("sales"), "resource.id"),
        (Resource::new("App").space("elsewhere"), "resource.space"),
        (Resource::new("App").space("q3"), "resource.space"),
        (Resource::new("App.Object").app("gone"), "resource.app"),
        (Resource::new("App").stream("gone"), "resource.stream"),
        (Resource::new("App").link("L", ["gone"]), "resource.L"),
        (Resource::new("no type"), "resource.type"),
        (Resource::new("App").attribute("owner", "ana"), "resource.attributes.owner"),
    ] {
        let request = Request::new("acme", &Subject::user("ana"), Action::Create, resource);
        assert_eq!(snapshot.check(&request).expect_err(path).flaw().path(), path);
        assert_eq!(snapshot.decide(&request).code(), "bad_request");
        let nobody = Request::new("nobody", request.subject(), request.action(), request.resource().clone());
        assert!(snapshot.check(&nobody).is_ok());
    }
}

#[test]
fn target_with_another_action_is_malformed_and_denied() {
    let snapshot = acme();
    let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("q3")).target("sales");
    assert_eq!(snapshot.check(&request).expect_err("no target").flaw().path(), "target");
    assert_eq!(snapshot.decide(&request).code(), "bad_request");
    assert!(snapshot.filter(&request).is_empty());
}

#[test]
fn question_about_everything_is_no_question_for_decide() {
    let snapshot = acme();
    let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("q3")).on_everything();
    assert_eq!(snapshot.decide(&request).code(), "bad_request");
}

#[test]
fn object_that_is_its_own_app_is_nobodys_personal_content() {
    let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("loop"));
    assert_eq!(acme().decide(&request).code(), "no_grant");
}

#[test]
fn resource_that_calls_itself_a_space_has_no_members_and_is_no_target() {
    let snapshot = acme();
    let ana = Subject::user("ana");
    let delete = Request::new("acme", &ana, Action::Delete, ResourceRef::id("false"));
    assert_eq!(snapshot.decide(&delete).code(), "no_grant");
    let publish = Request::new("acme", &ana, Action::Publish, ResourceRef::id("q3")).target("false");
    assert_eq!(snapshot.decide(&publish).code(), "resource_unknown");
}

#[test]
fn user_access_disabled_lets_administrators_in() {
    let text = r#"{"version":1,"tenants":{"t":{"status":"user_access_disabled","roles":{"Boss":["admin.spaces"]},
        "groups":{"admins":{"roles":["TenantAdmin"]}},"users":{"ann":{"roles":["AnalyticsAdmin"]},"bob":{"roles":["Boss"]}},
        "spaces":{"s":{"type":"shared","owner":"bob"}}}}}"#;
    let snapshot = Policy::parse(text).expect("policy").compile().expect("compiles");
    let code =
        |subject: Subject| snapshot.decide(&Request::new("t", &subject, Action::Read, ResourceRef::id("s"))).code();
    assert_eq!(code(Subject::user("ann")), "granted");
    assert_eq!(code(Subject::user("zoe").groups(["admins"])), "granted");
    assert_eq!(code(Subject::user("bob")), "tenant_inactive");
    assert_eq!(code(Subject::anonymous()), "tenant_inactive");
}

#[test]
fn enterprise_tenant_grants_nothing_without_rules() {
    let text = r#"{"version":1,"tenants":{"t":{"model":"enterprise","users":{"root":{"roles":["RootAdmin","TenantAdmin","EmbeddedAnalyticsUser"]}},
        "resources":{"a":{"type":"App","owner":"root"}}}}}"#;
    let snapshot = Policy::parse(text).expect("policy").compile().expect("compiles");
    let decision = snapshot.decide(&Request::new("t", &Subject::user("root"), Action::Read, ResourceRef::id("a")));
    assert_eq!((decision.code(), decision.missing()), ("no_grant", Vec::new()));
}

#[test]
fn evidence_says_what_was_allowed() {
    let snapshot = acme();
    let ana = Subject::user("ana");
    let request = Request::new("acme", &ana, Action::Update, ResourceRef::id("q3"));
    let qsec_authz::Decision::Allow(allowed) = snapshot.decide(&request) else { panic!("denied") };
    assert_eq!((allowed.tenant(), allowed.subject(), allowed.action()), ("acme", &ana, Action::Update));
    assert_eq!((allowed.resource_id(), allowed.resource_type()), (Some("q3"), "App"));
    assert_eq!(allowed.by(), ["space:producer@sales"]);
    let new = Request::new("acme", &ana, Action::Create, Resource::new("App"));
    let qsec_authz::Decision::Allow(allowed) = snapshot.decide(&new) else { panic!("denied") };
    assert_eq!((allowed.resource_id(), allowed.resource_type()), (None, "App"));
}

#[test]
fn denial_reads_as_a_sentence() {
    let request = Request::new("acme", &Subject::anonymous(), Action::Read, ResourceRef::id("q3"));
    let qsec_authz::Decision::Deny(denied) = acme().decide(&request) else { panic!("allowed") };
    assert_eq!(denied.to_string(), "anonymous may not read `q3` in tenant `acme`: nothing grants it");
}
