//! Policies that mean harm, or look like others: refused where they are wrong, and answered in bounded work.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use qsec_authz::visibility::{Column, Columns, Unsaid, Visibility};
use qsec_authz::{Action, Policy, Request, Resource, ResourceRef, Subject};
use serde_json::{Map, Value, json};

use crate::properties::{GROUPS, USERS, all_rights, assert_subset, compiled, policy};
use crate::rules::ruled;

fn code(text: &str) -> &'static str {
    Policy::parse(text).map_or_else(|error| error.code(), |_| "read")
}

fn refusal(tenant: &Value) -> String {
    Policy::parse(&policy(tenant).to_string()).expect_err("refused").to_string()
}

#[test]
fn ten_mebibytes_are_read_or_refused() {
    let long = "x".repeat(10 * 1024 * 1024);
    // Not JSON: as TOML it is too long.
    assert_eq!(code(&long), "bad_policy");
    assert_eq!(code(&"[".repeat(10 * 1024 * 1024)), "bad_policy");
    assert_eq!(code(&format!("{{{}", "\"a\":{".repeat(2 * 1024 * 1024))), "bad_policy");
    assert_eq!(code(&policy(&json!({"resources": {"a": {"type": "App", "name": long}}})).to_string()), "read");
    assert_eq!(code(&policy(&json!({"users": {long.as_str(): {}}})).to_string()), "bad_policy");
    assert_eq!(code(&format!("version = 1\n# {long}")), "bad_policy");
    let users: Map<String, Value> =
        (0..200_000).map(|n| (format!("user-{n}"), json!({"groups": ["a", "b"]}))).collect();
    let text = policy(&json!({"users": users})).to_string();
    assert!(text.len() > 6 * 1024 * 1024 && Policy::parse(&text).expect("many users").compile().is_ok());
}

#[test]
fn what_refers_in_circles_or_to_nothing_is_refused() {
    for (tenant, said) in [
        (json!({"groups": {"a": {"groups": ["b"]}, "b": {"groups": ["a"]}}}), "groups"),
        (json!({"groups": {"a": {"roles": ["a"]}}}), "`a`"),
        (json!({"users": {"u": {"roles": ["tenantadmin"]}}}), "tenantadmin"),
        (json!({"users": {"u": {"roles": ["\u{422}enantAdmin"]}}}), "\u{422}enantAdmin"),
        (json!({"resources": {"x": {"type": "App", "space": "x"}}}), "`x`"),
        (json!({"resources": {"x": {"type": "App", "app": "X"}}}), "`X`"),
    ] {
        assert!(refusal(&tenant).contains(said), "{}", refusal(&tenant));
    }
}

#[test]
fn what_stands_twice_is_refused() {
    for tenant in [
        r#""users":{"a":{},"a":{}}"#,
        r#""users":{},"users":{}"#,
        r#""users":{"a":{},"\u0061":{"roles":["TenantAdmin"]}}"#,
        r#""spaces":{"a":{"type":"shared"}},"resources":{"a":{"type":"App"}}"#,
        r#""resources":{"a":{"type":"App","custom":{"Team":"x","TEAM":"y"}}}"#,
        r#""resources":{"a":{"type":"App","attributes":{"x":1},"links":{"X":[]}}}"#,
    ] {
        let text = format!(r#"{{"version":1,"tenants":{{"t":{{{tenant}}}}}}}"#);
        assert!(Policy::parse(&text).is_err(), "{tenant}");
    }
    let rule = json!({"name": "r", "filter": "*", "actions": ["read"]});
    assert!(refusal(&json!({"rules": [rule, rule]})).contains("`r`"));
}

#[test]
fn names_that_look_alike_are_different() {
    // Latin, Cyrillic, full width, composed and decomposed: no two are the same user, group or resource.
    let alike = ["ana", "Ana", "\u{430}na", "\u{ff41}na", "a\u{301}na", "\u{e1}na", "ana ", "ana\u{200b}"];
    let users: Map<String, Value> = alike.iter().map(|id| ((*id).to_owned(), json!({}))).collect();
    let resources: Map<String, Value> =
        alike.iter().map(|id| ((*id).to_owned(), json!({"type": "App", "owner": id}))).collect();
    let snapshot = compiled(&policy(&json!({"users": users, "resources": resources})));
    for user in alike {
        for id in alike {
            let request = Request::new("t", &Subject::user(user), Action::Read, ResourceRef::id(id));
            assert_eq!(snapshot.decide(&request).is_allowed(), user == id, "{user} {id}");
        }
        let own = Request::new("t", &Subject::user(user), Action::Read, ResourceRef::id("")).on_everything();
        assert!(snapshot.filter(&own).ids().eq([user]));
    }
    assert!(
        !snapshot.decide(&Request::new("T", &Subject::user("ana"), Action::Read, ResourceRef::id("ana"))).is_allowed()
    );
}

#[test]
fn questions_that_lead_to_all_questions_leave_something_unsaid() {
    let every = Action::ALL.iter().map(|action| format!("resource.HasPrivilege(\"{action}\")"));
    let condition = format!("!({}) or resource.@Team = user.@Team", every.collect::<Vec<_>>().join(" or "));
    let actions: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let rule = json!({"name": "r", "filter": "App_*", "actions": actions, "condition": condition});
    let tenant = json!({"model": "enterprise", "users": {"u": {"custom": {"Team": "x"}}}, "rules": [rule]});
    let snapshot = compiled(&policy(&tenant));
    let request = Request::new("t", &Subject::user("u"), Action::Read, ResourceRef::id("")).on_any("App");
    if let Visibility::If(predicate) = snapshot.visibility(&request) {
        let columns = Columns::new(Unsaid::Hide).constant(Column::Type, "App").column(Column::custom("Team"), "team");
        let sql = predicate.to_sql(qsec_authz::section::Dialect::Sqlite, &columns);
        assert!(sql.is_ok() || sql.is_err_and(|error| error.code() == "too_many_parameters"));
    }
}

/// Each part of an `or` that can fail is true only if none before it failed: written out, that is the square of their number.
#[test]
fn long_sequence_of_questions_is_left_unsaid() {
    let snapshot = |parts: usize| {
        let asked: Vec<String> = (0..parts).map(|n| format!("resource.l{n}.HasPrivilege(\"read\")")).collect();
        let rule = json!({"name": "r", "filter": "App_*", "actions": ["read"], "condition": asked.join(" or ")});
        let open = json!({"name": "open", "filter": "Library_*", "actions": ["read"]});
        compiled(&policy(
            &json!({"model": "enterprise", "rules": [rule, open], "resources": {"lib": {"type": "Library"}}}),
        ))
    };
    let request = Request::new("t", &Subject::user("u"), Action::Read, ResourceRef::id("")).on_any("App");
    for (parts, exact) in [(100, true), (2_000, false)] {
        let Visibility::If(predicate) = snapshot(parts).visibility(&request) else { panic!("some") };
        assert_eq!(predicate.is_exact(), exact, "{parts}");
        assert_eq!(predicate.holds(&Resource::new("App").link("l1", ["lib"])), Some(true));
    }
}

/// A decision has so many steps, and so has each answer that a predicate is made of; all of them together have more, but not enough.
#[test]
fn answers_that_take_too_long_are_those_of_decisions_until_there_are_too_many() {
    let name = "b".repeat(64 * 1024);
    let snapshot = |libraries: usize| {
        let libraries = (0..libraries).map(|n| (format!("lib-{n}"), json!({"type": "Library", "name": name})));
        let slow = r#"resource.name matches "a{1000}" or resource.name like "b*""#;
        let rules = json!([
            {"name": "slow", "filter": "Library_*", "actions": ["read"], "condition": slow},
            {"name": "r", "filter": "App_*", "actions": ["read"], "condition": "resource.l.HasPrivilege(\"read\") or resource.@Team = \"x\""}]);
        let resources: Map<String, Value> = libraries.collect();
        compiled(&policy(&json!({"model": "enterprise", "rules": rules, "resources": resources})))
    };
    let user = Subject::user("u");
    let request = Request::new("t", &user, Action::Read, ResourceRef::id("")).on_any("App");
    let app = || Resource::new("App").link("l", ["lib-1"]).custom("Team", "y");
    let few = snapshot(20);
    assert!(!few.decide(&request.on(app())).is_allowed());
    let Visibility::If(predicate) = few.visibility(&request) else { panic!("some") };
    assert!(predicate.is_exact());
    assert_eq!(predicate.holds(&app()), Some(false));
    let Visibility::If(predicate) = snapshot(100).visibility(&request) else { panic!("some") };
    assert!(!predicate.is_exact());
    assert_eq!(predicate.holds(&app()), None);
}

#[test]
fn text_that_no_decision_matches_is_not_matched_by_a_predicate() {
    let rule = json!({"name": "r", "filter": "App_*", "actions": ["read"], "condition": r#"resource.name matches ".*a.{1000}""#});
    let snapshot = compiled(&policy(&json!({"model": "enterprise", "rules": [rule]})));
    let request = Request::new("t", &Subject::user("u"), Action::Read, ResourceRef::id("")).on_any("App");
    let Visibility::If(predicate) = snapshot.visibility(&request) else { panic!("some") };
    for (length, said) in [(1_001, Some(true)), (1_000, Some(false)), (1024 * 1024, None)] {
        let app = Resource::new("App").name("a".repeat(length));
        assert_eq!(predicate.holds(&app), said, "{length}");
        assert_eq!(snapshot.decide(&request.on(app)).is_allowed(), said == Some(true), "{length}");
    }
}

#[test]
fn links_to_more_than_can_be_listed_are_left_unsaid() {
    let resources: Map<String, Value> = (0..24_000)
        .map(|n| (format!("app-{n}"), json!({"type": "App", "custom": {"Team": if n % 2 == 0 { "x" } else { "y" }}})))
        .collect();
    let rule = json!({"name": "r", "filter": "App.Object_*", "actions": ["read"], "condition": "resource.app.@Team = user.@Team"});
    let users = json!({"u": {"custom": {"Team": "x"}}});
    let tenant = json!({"model": "enterprise", "users": users, "resources": resources, "rules": [rule]});
    let request = Request::new("t", &Subject::user("u"), Action::Read, ResourceRef::id("")).on_any("App.Object");
    let Visibility::If(predicate) = compiled(&policy(&tenant)).visibility(&request) else { panic!("some") };
    assert!(!predicate.is_exact());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn list_of_scopes_never_adds_what_rules_grant(tenant in ruled(), user in select(USERS), groups in subsequence(GROUPS, 0..3)) {
        let snapshot = compiled(&policy(&tenant));
        let free = all_rights(&snapshot, &json!({"user": user, "groups": groups}));
        for scopes in [&[][..], &["apps:read"], &["user_default", "admin_classic"]] {
            let narrowed = json!({"user": user, "groups": groups, "scopes": scopes});
            assert_subset(&all_rights(&snapshot, &narrowed), &free)?;
        }
    }

    #[test]
    fn removing_a_group_never_adds(mut tenant in ruled(), user in select(&USERS[..3]), gone in select(GROUPS)) {
        // A rule may ask who is *not* in a group, and one role is there to take away.
        let negative = tenant["rules"].as_array().expect("rules").iter().any(|rule| {
            let condition = rule["condition"].as_str().unwrap_or_default();
            condition.contains('!') || condition.contains("not ") || condition.contains("Empty")
        });
        prop_assume!(!negative && !tenant.to_string().contains("EmbeddedAnalyticsUser") && tenant["status"].is_null());
        tenant["personas"] = json!({});
        let principal = json!({"user": user, "groups": []});
        let with = all_rights(&compiled(&policy(&tenant)), &principal);
        for user in tenant["users"].as_object_mut().expect("users").values_mut() {
            user["groups"].as_array_mut().expect("groups").retain(|group| group != gone);
        }
        assert_subset(&all_rights(&compiled(&policy(&tenant)), &principal), &with)?;
    }
}
