//! A policy that is written and read again is the same policy: as JSON, as TOML, and as the entries of a store.

use proptest::prelude::*;
use qsec_authz::Policy;
use serde_json::{Map, Value, json};

/// Names that writers and readers of text get wrong.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,6}",
        1 => prop::sample::select(vec![
            "a.b", "a b", "\"q\"", "back\\slash", "tab\there", "line\nbreak", "é", "e\u{301}", "\u{1F511}", "'", "#", "=", "[x]",
            "true", "1979-05-27", "__proto__", "\u{7f}", "-1", "nan",
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        name().prop_map(Value::from),
        Just(json!("")),
    ];
    prop_oneof![one.clone(), prop::collection::vec(one, 0..4).prop_map(Value::from)]
}

fn table(values: impl Strategy<Value = Value>, most: usize) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(name(), values, 0..most).prop_map(|all| all.into_iter().collect())
}

/// Attributes whose names a policy accepts.
fn attributes() -> impl Strategy<Value = Map<String, Value>> {
    table(value(), 4).prop_map(|all| all.into_iter().map(|(name, value)| (format!("x{name}"), value)).collect())
}

fn user() -> impl Strategy<Value = Value> {
    (
        any::<bool>(),
        prop::option::of(name()),
        prop::option::of(name()),
        any::<bool>(),
        prop::collection::vec(name(), 0..3),
        attributes(),
        attributes(),
    )
        .prop_map(|(disabled, directory, title, role, groups, attributes, custom)| {
            let mut user = json!({"groups": groups, "attributes": attributes, "custom": custom});
            if disabled {
                user["status"] = json!("disabled");
            }
            if role {
                user["roles"] = json!(["Author", "Steward"]);
            }
            if let Some(directory) = directory {
                user["directory"] = json!(directory);
            }
            if let Some(title) = title {
                user["name"] = json!(title);
            }
            user
        })
}

fn rules() -> impl Strategy<Value = Value> {
    let conditions = vec![
        json!(null),
        json!("true"),
        json!("user.group = \"a \\\"b\\\"\"\n and true"),
        json!("user.@Team = resource.@Team"),
    ];
    let actions = vec![json!(3), json!(["read"]), json!(["read", "Change owner", "reload"])];
    let contexts = vec![json!(null), json!("hub"), json!(2), json!("both")];
    let rule = (
        prop::sample::select(conditions),
        prop::sample::select(actions),
        prop::sample::select(contexts),
        any::<bool>(),
    );
    prop::collection::vec(rule, 0..4).prop_map(|rules| {
        let written = (0..).zip(rules).map(|(number, (condition, actions, context, disabled))| {
            let mut rule = json!({"name": format!("r {}", 9 - number), "filter": "App_*, Stream", "actions": actions, "disabled": disabled});
            for (key, value) in [("condition", condition), ("context", context)] {
                if !value.is_null() {
                    rule[key] = value;
                }
            }
            rule
        });
        written.collect()
    })
}

pub(crate) fn tenant() -> impl Strategy<Value = Value> {
    (table(user(), 5), rules(), attributes(), prop::option::of(name()), any::<[bool; 4]>()).prop_map(
        |(users, rules, attributes, title, [closed, personas, default, members])| {
            let mut tenant = json!({
                "roles": {"Author": ["apps:read", "apps"]}, "groups": {"a.b": {"roles": ["Author"]}, "empty": {}},
                "users": users, "rules": rules,
                "spaces": {"the space": {"type": "data", "members": {}}},
                "resources": {"app": {"type": "App", "attributes": attributes, "links": {"library": ["the space", "app"]}},
                    "object": {"type": "App.Object", "app": "app", "space": "the space", "stream": "app", "owner": "ana"}}});
            if let Some(title) = title {
                tenant["spaces"]["the space"]["name"] = json!(title);
            }
            if closed {
                tenant["status"] = json!("user_access_disabled");
            }
            if personas {
                tenant["personas"] = json!({"consumer": ["z", "a"]});
            }
            if default {
                tenant["user_default"] = json!([]);
            }
            if members {
                tenant["spaces"]["the space"]["members"] = json!({"user:a:b": ["consumer", "operator"], "group:a.b": []});
            }
            tenant
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn policy_is_written_back_without_loss(tenants in table(tenant(), 3)) {
        let policy = Policy::parse(&json!({"version": 1, "tenants": tenants}).to_string()).expect("policy");
        prop_assert_eq!(&Policy::parse_json(&policy.to_json()).expect("JSON"), &policy);
        let toml = policy.to_toml().expect("TOML");
        prop_assert_eq!(&Policy::parse_toml(&toml).unwrap_or_else(|error| panic!("{error}\n{toml}")), &policy);
        // Written twice, the same bytes: a change of a policy is a change of its text, and nothing else is.
        let again = Policy::parse_toml(&toml).expect("TOML").to_json();
        prop_assert_eq!(again, policy.to_json());
        for tenant in policy.tenants() {
            let read = Policy::from_entries(tenant.id(), &tenant.entries().expect("entries")).expect("policy");
            prop_assert_eq!(read.tenant(tenant.id()), Some(tenant));
        }
    }

    #[test]
    fn unknown_key_is_refused_wherever_it_stands(tenant in tenant(), key in "[a-z]{3,8}_[a-z]{3,8}", place in any::<prop::sample::Index>()) {
        let mut places = vec![String::new(), "/tenants/t".into(), "/tenants/t/groups/empty".into(), "/tenants/t/spaces/the space".into(),
            "/tenants/t/resources/app".into()];
        places.extend((0..tenant["rules"].as_array().map_or(0, Vec::len)).map(|n| format!("/tenants/t/rules/{n}")));
        prop_assume!(key != "user_default");
        let mut file = json!({"version": 1, "tenants": {"t": tenant}});
        let at = place.get(&places);
        file.pointer_mut(at).expect("place")[&key] = json!([]);
        let refused = Policy::parse_json(&file.to_string()).expect_err("an unknown key");
        prop_assert_eq!(refused.code(), "bad_policy");
        let toml = toml::to_string(&file).expect("TOML");
        let refused = Policy::parse_toml(&toml).expect_err("an unknown key");
        prop_assert!(refused.to_string().contains(&key), "{}", refused);
    }
}

#[test]
fn toml_cannot_say_null() {
    let text = r#"{"version":1,"tenants":{"t":{"users":{"ana":{"custom":{"x":["a",null]}}}}}}"#;
    let error = Policy::parse(text).expect("policy").to_toml().unwrap_err();
    assert_eq!(error.code(), "bad_policy");
    assert_eq!(error.flaw().map(qsec_authz::Flaw::path), Some("tenants.t.users.ana.custom.x"));
}
