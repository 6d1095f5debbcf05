//! The JSON Schema of the policy file: made from the tables, committed, and true.
//!
//! It is judged by a validator of its own, small enough to be read beside the draft: it knows the words that the schema uses, and
//! panics at any other.

use proptest::prelude::*;
use qsec_authz::Policy;
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(&Policy::json_schema()).expect("JSON")
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

fn size(limit: &Value) -> usize {
    usize::try_from(limit.as_u64().expect("number")).expect("small")
}

/// The two patterns of the schema.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern {
        r"^(user|group):[\s\S]" => {
            ["user:", "group:"].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|id| !id.is_empty()))
        }
        "^[A-Za-z][A-Za-z0-9.]*$" => {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        }
        other => panic!("pattern {other}"),
    }
}

fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let words = schema.as_object().expect("a schema is an object");
    words.iter().all(|(word, says)| match word.as_str() {
        "$schema" | "title" | "description" | "$defs" | "examples" => true,
        "$ref" => {
            let name = says.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("local");
            accepts(root, root["$defs"].get(name).unwrap_or_else(|| panic!("no {name}")), value)
        }
        "type" => {
            let kinds = says.as_array().map_or_else(|| std::slice::from_ref(says), Vec::as_slice);
            kinds.iter().any(|kind| is_of(kind.as_str().expect("type"), value))
        }
        "const" => says == value,
        "enum" => says.as_array().expect("list").contains(value),
        "oneOf" => says.as_array().expect("list").iter().filter(|one| accepts(root, one, value)).count() == 1,
        "required" => value.as_object().is_none_or(|all| {
            says.as_array().expect("list").iter().all(|key| all.contains_key(key.as_str().expect("key")))
        }),
        "properties" => value.as_object().is_none_or(|all| {
            all.iter().all(|(key, value)| says.get(key).is_none_or(|schema| accepts(root, schema, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|all| {
            let known = |key: &String| schema["properties"].get(key).is_some();
            let mut others = all.iter().filter(|(key, _)| !known(key));
            others.all(|(_, value)| if says.is_boolean() { says == true } else { accepts(root, says, value) })
        }),
        "propertyNames" => value.as_object().is_none_or(|all| all.keys().all(|key| accepts(root, says, &json!(key)))),
        "items" => value.as_array().is_none_or(|all| all.iter().all(|value| accepts(root, says, value))),
        "minItems" => value.as_array().is_none_or(|all| all.len() >= size(says)),
        "maxItems" => value.as_array().is_none_or(|all| all.len() <= size(says)),
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= size(says)),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= size(says)),
        "minimum" => value.as_i64().is_none_or(|number| number >= says.as_i64().expect("number")),
        "maximum" => value.as_i64().is_none_or(|number| number <= says.as_i64().expect("number")),
        "pattern" => value.as_str().is_none_or(|text| fits(says.as_str().expect("pattern"), text)),
        other => panic!("the validator does not know `{other}`"),
    })
}

#[test]
fn committed_schema_is_the_one_of_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policy.schema.json");
    let made = Policy::json_schema();
    #[expect(clippy::disallowed_methods, reason = "a person asks for the file to be written")]
    if std::env::var("QSEC_WRITE_SCHEMA").is_ok() {
        std::fs::write(path, &made).expect("written");
    }
    let committed = std::fs::read_to_string(path).expect("policy.schema.json");
    assert!(
        committed == made,
        "policy.schema.json is old: run this test with QSEC_WRITE_SCHEMA=1 and read the difference"
    );
}

#[test]
fn schema_accepts_the_policies_of_the_worked_cases_and_refuses_malformed_ones() {
    let schema = schema();
    let mut read = 0;
    for text in [include_str!("../data/roles-and-spaces.json"), include_str!("../data/rules.json")] {
        let file: Value = serde_json::from_str(text).expect("cases");
        let named = file["policies"].as_object().expect("policies").values();
        let cases =
            file["cases"].as_array().expect("cases").iter().flat_map(|case| [&case["policy"], &case["against"]]);
        for policy in named.chain(cases).filter(|policy| policy.is_object()) {
            if Policy::parse(&policy.to_string()).is_ok() {
                assert!(accepts(&schema, &schema, policy), "{policy}");
                read += 1;
            }
        }
    }
    assert!(read > 10, "{read} policies");
    for ready in [include_str!("../../personas/cloud.json"), include_str!("../../personas/enterprise.json")] {
        assert!(accepts(&schema, &schema, &serde_json::from_str(ready).expect("JSON")));
    }
    let tenant = |tenant: Value| json!({"version": 1, "tenants": {"t": tenant}});
    let rule = |rule: Value| tenant(json!({"rules": [rule]}));
    for refused in [
        json!({"version": 2, "tenants": {}}),
        json!({"tenants": {}}),
        json!({"version": 1, "tenants": {"": {}}}),
        json!({"version": 1, "tenants": {}, "more": 1}),
        tenant(json!({"state": "active"})),
        tenant(json!({"status": "closed"})),
        tenant(json!({"roles": {"R": ["apps:write"]}})),
        tenant(json!({"users": {"ana": {"roles": "Steward"}}})),
        tenant(json!({"users": {"ana": {"custom": {"x": [["y"]]}}}})),
        tenant(json!({"users": {"ana": {"custom": {"x": 1.5}}}})),
        tenant(json!({"spaces": {"s": {}}})),
        tenant(json!({"spaces": {"s": {"type": "shared", "members": {"user:ana": ["publisher"]}}}})),
        tenant(json!({"spaces": {"s": {"type": "shared", "members": {"user:ana": ["owner"]}}}})),
        tenant(json!({"spaces": {"s": {"type": "shared", "members": {"ana": ["consumer"]}}}})),
        tenant(json!({"resources": {"r": {"type": "1App"}}})),
        tenant(json!({"resources": {"r": {"type": "App", "id": "r"}}})),
        tenant(json!({"personas": {"consumer": []}})),
        tenant(json!({"personas": {"boss": ["g"]}})),
        rule(json!({"name": "r", "filter": "*"})),
        rule(json!({"name": "r", "filter": "*", "actions": 0})),
        rule(json!({"name": "r", "filter": "*", "actions": []})),
        rule(json!({"name": "r", "filter": "*", "actions": 1, "context": "api"})),
    ] {
        assert!(!accepts(&schema, &schema, &refused), "{refused}");
        assert!(Policy::parse(&refused.to_string()).is_err(), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_of_the_schema(tenant in crate::written::tenant()) {
        let file = json!({"version": 1, "tenants": {"t": tenant}});
        let schema = schema();
        let policy = Policy::parse(&file.to_string()).expect("policy");
        prop_assert!(accepts(&schema, &schema, &file), "{}", file);
        let written: Value = serde_json::from_str(&policy.to_json()).expect("JSON");
        prop_assert!(accepts(&schema, &schema, &written), "{}", written);
    }
}
