//! Who may: the list, expanded, is what decisions say of each user.

use proptest::prelude::*;
use qsec_authz::{Action, Decision, Obligation, Policy, Request, Resource, ResourceRef, Subject, WhoMay};
use serde_json::json;

use crate::properties::{GROUPS, USERS, compiled, policy};
use crate::rules::{asked, ruled};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn expanded_list_is_what_decisions_say(tenant in ruled(), requests in prop::collection::vec(asked(), 4)) {
        let document = policy(&tenant);
        let (snapshot, parsed) = (compiled(&document), Policy::parse(&document.to_string()).expect("policy"));
        for request in requests {
            let mut request = request;
            request["principal"].as_object_mut().expect("principal").remove("scopes");
            let request = Request::parse(&request.to_string()).expect("request");
            let who = WhoMay::of(&parsed, &request).expect("compiles");
            let may = |subject: &Subject| {
                let mut asked = Request::new(request.tenant(), subject, request.action(), request.resource().clone())
                    .context(request.from_context());
                if let Some(target) = request.target_space() {
                    asked = asked.target(target);
                }
                if request.tenant() == "t" && snapshot.check(&request).is_ok() && has_environment(&request) {
                    asked = asked.environment("IP", ["::1", "10.0.0.1"]);
                }
                snapshot.decide(&asked)
            };
            let anonymous = may(&Subject::anonymous());
            prop_assert_eq!(who.anonymous().map(<[String]>::to_vec), anonymous.is_allowed().then(|| anonymous.by()));
            prop_assert_eq!(who.everyone().is_some(), may(&Subject::user("somebody else")).is_allowed());
            for group in GROUPS {
                let everyone = who.everyone().is_some() && !who.except_groups().any(|name| name == *group);
                let listed = everyone || who.groups().any(|(name, _)| name == *group);
                prop_assert_eq!(listed, may(&Subject::user("somebody else").groups([*group])).is_allowed(), "{}", group);
            }
            // Of users that the policy does not name, only what everyone may is said.
            for user in &USERS[..3] {
                let mut groups = tenant["users"][user]["groups"].as_array().into_iter().flatten();
                let by_group = groups.any(|group| who.groups().any(|(name, _)| name == group));
                let named = who.users().any(|(id, _)| id == *user);
                let listed = named || ((who.everyone().is_some() || by_group) && !who.except().any(|id| id == *user));
                prop_assert_eq!(listed, may(&Subject::user(*user)).is_allowed(), "{} {:?}", user, who);
            }
        }
    }
}

/// Whether the request was generated with an environment: its debug output is the only way to see it from outside.
fn has_environment(request: &Request) -> bool {
    format!("{request:?}").contains("10.0.0.1")
}

#[test]
fn right_that_only_a_group_gives_is_named_once() {
    let document = json!({"version": 1, "tenants": {"t": {
        "users": {"u0": {"groups": ["g"]}, "u1": {"groups": ["g"]}, "u2": {"groups": ["g"]}},
        "spaces": {"s": {"type": "shared", "members": {"group:g": ["consumer"], "user:u1": ["producer"]}}},
        "resources": {"a": {"type": "App", "space": "s", "owner": "u9"}}}}});
    let policy = Policy::parse(&document.to_string()).expect("policy");
    let request = |action| Request::new("t", &Subject::anonymous(), action, ResourceRef::id("a"));
    let who = WhoMay::of(&policy, &request(Action::Read)).expect("compiles");
    assert_eq!(
        json!(who),
        json!({"groups": {"g": ["space:consumer@s"]}, "users": {"u1": ["space:producer@s"]}, "except": [], "except_groups": []})
    );
    let elsewhere = Request::new("nowhere", &Subject::anonymous(), Action::Read, ResourceRef::id("a"));
    assert_eq!(WhoMay::of(&policy, &elsewhere).expect("compiles"), WhoMay::default());
}

#[test]
fn everyone_is_named_as_such_and_those_left_out_too() {
    let document = r#"{"version":1,"tenants":{"t":{"model":"enterprise",
        "users":{"ana":{},"bob":{"status":"disabled"},"guest":{"groups":["guests"]}},
        "resources":{"x":{"type":"Extension"}},
        "rules":[{"name":"all","filter":"Extension_*","actions":["read"],"condition":"!(user.group = \"Guests\")"},
                 {"name":"auditors","filter":"*","actions":["update"],"condition":"user.group = \"Auditors\""}]}}}"#;
    let policy = Policy::parse(document).expect("policy");
    let who = |action| {
        WhoMay::of(&policy, &Request::new("t", &Subject::anonymous(), action, ResourceRef::id("x"))).expect("compiles")
    };
    let readers = who(Action::Read);
    assert_eq!(readers.anonymous(), Some(&["rule:all".to_owned()][..]));
    assert_eq!(readers.everyone(), Some(&["rule:all".to_owned()][..]));
    assert!(readers.except_groups().eq(["guests"]));
    assert!(readers.except().eq(["bob", "guest"]) && readers.users().next().is_none());
    assert!(who(Action::Update).groups().eq([("auditors", &["rule:auditors".to_owned()][..])]));
}

#[test]
fn reduction_is_owed_for_an_app_and_what_is_part_of_it_however_deep() {
    let document = r#"{"version":1,"tenants":{"t":{"users":{"ana":{"roles":["PrivateAnalyticsContentCreator"]}},"resources":{
        "app":{"type":"App","owner":"ana"},
        "sheet":{"type":"App.Object","owner":"ana","app":"app"},
        "chart":{"type":"App.Object","owner":"ana","app":"sheet"},
        "label":{"type":"App.Object","owner":"ana","app":"chart"},
        "data":{"type":"DataAsset","owner":"ana","app":"app"},
        "other":{"type":"DataAsset","owner":"ana"},
        "hen":{"type":"App.Object","owner":"ana","app":"egg"},
        "egg":{"type":"App.Object","owner":"ana","app":"hen"},
        "chick":{"type":"App.Object","owner":"ana","app":"egg"}},
        "rules":[{"name":"own","filter":"App.Object_*","actions":["read"],"condition":"resource.owner = user"}]}}}"#;
    let snapshot = Policy::parse(document).expect("policy").compile().expect("compiles");
    let app = |action, resource: ResourceRef| match snapshot.decide(&Request::new(
        "t",
        &Subject::user("ana"),
        action,
        resource,
    )) {
        Decision::Allow(allowed) => {
            assert_eq!(allowed.obligation(|_| false), None);
            allowed.obligation(|_| true).map(|owed| match owed {
                Obligation::Reduce { app } => app.to_owned(),
                other => panic!("{other:?}"),
            })
        }
        Decision::Deny(denied) => panic!("{denied}"),
    };
    for part in ["app", "sheet", "chart", "label", "data"] {
        assert_eq!(app(Action::Read, ResourceRef::id(part)).as_deref(), Some("app"), "{part}");
    }
    // What goes round in a circle leads to no app.
    for (part, above) in [("hen", "egg"), ("egg", "hen"), ("chick", "egg")] {
        assert_eq!(app(Action::Read, ResourceRef::id(part)).as_deref(), Some(above), "{part}");
    }
    // Data that is part of no app stands for itself.
    assert_eq!(app(Action::Read, ResourceRef::id("other")).as_deref(), Some("other"));
    for part in ["app", "chart"] {
        let new = Resource::new("App.Object").app(part).owner("ana");
        assert_eq!(app(Action::Create, new.into()).as_deref(), Some("app"), "{part}");
    }
    assert_eq!(app(Action::Create, Resource::new("App").id("new").into()).as_deref(), Some("new"));
    assert_eq!(app(Action::Create, Resource::new("App").into()), None);
}
