//! `tenant`: the lifecycle as far as this version goes.

use serde_json::{Value, json};

use crate::support::Room;

#[test]
fn a_tenant_is_active_when_create_answers() {
    let room = Room::with_acme();
    let shown = room.json(&["tenant", "show", "acme"]).is(0).answer();
    let tenant = &shown["tenant"];
    let members: Vec<&String> = tenant.as_object().unwrap().keys().collect();
    assert_eq!(members, ["id", "name", "state", "version", "region", "issuer", "flags", "outside_customer_key"]);
    assert_eq!((&tenant["name"], &tenant["state"]), (&json!("Acme Ltd"), &json!("active")));
    assert_eq!(tenant["issuer"], "https://qsec.example/acme");
    let flags = json!({"legal_hold": [], "deactivation_protected": false, "key_available": true, "export_gate": false});
    assert_eq!(tenant["flags"], flags);
    assert!(room.run(&["tenant", "show", "acme"]).is(0).text().contains("Acme Ltd"));
}

#[test]
fn ids_have_one_form_and_are_never_given_twice() {
    let room = Room::with_acme();
    for wrong in ["", "Acme", "-acme", "a_b", "a.b", "ä", &"a".repeat(64), "a b", "../a"] {
        assert_eq!(
            room.run(&["--json", "tenant", "create", "--", wrong]).fails(2, "usage")["code"],
            "usage",
            "{wrong}"
        );
    }
    room.json(&["tenant", "create", "acme"]).fails(1, "id_used");
    room.json(&["tenant", "create", &"a".repeat(63)]).is(0);
    room.json(&["tenant", "create", "0-9", "--region", "local", "--issuer", "https://id.example/x"]).is(0);
    let shown = room.json(&["tenant", "show", "0-9"]).is(0).answer();
    assert_eq!(
        (&shown["tenant"]["region"], &shown["tenant"]["issuer"]),
        (&json!("local"), &json!("https://id.example/x"))
    );
    room.json(&["tenant", "create", "far", "--region", "elsewhere"]).fails(1, "region_unknown");
    room.json(&["tenant", "show", "nobody"]).fails(1, "tenant_not_found");
}

#[test]
fn list_shows_those_in_a_state() {
    let room = Room::with_acme();
    room.json(&["tenant", "create", "globex"]).is(0);
    room.json(&["tenant", "disable-users", "globex"]).is(0);
    let ids = |arguments: &[&str]| -> Vec<Value> {
        let answer = room.json(&[&["tenant", "list"], arguments].concat()).is(0).answer();
        answer["tenants"].as_array().unwrap().iter().map(|tenant| tenant["id"].clone()).collect()
    };
    assert_eq!(ids(&[]), ["acme", "globex"]);
    assert_eq!(ids(&["--state", "active"]), ["acme"]);
    assert_eq!(ids(&["--state", "user_access_disabled"]), ["globex"]);
    assert!(ids(&["--state", "deactivated", "--all"]).is_empty());
    room.json(&["tenant", "list", "--state", "happy"]).fails(2, "usage");
}

#[test]
fn a_deactivated_tenant_refuses_its_services_and_keeps_its_records() {
    let room = Room::with_acme();
    room.feed(&["seal", "--tenant", "acme", "--out", "sealed"], "x").is(0);
    room.json(&["tenant", "deactivate", "acme", "--confirm", "acme"]).fails(2, "confirm_mismatch");
    let answer = room.json(&["tenant", "deactivate", "acme", "--days", "10", "--confirm", "Acme Ltd"]).is(0).answer();
    let tenant = &answer["tenant"];
    assert_eq!((&tenant["state"], &tenant["days"]), (&json!("deactivated"), &json!(10)));
    assert!(tenant["deactivated_at"].as_str().unwrap() < tenant["purge_at"].as_str().unwrap());
    room.write("idp.json", "{}");
    room.write("p.json", r#"{"version":1,"tenants":{"acme":{}}}"#);
    let refused: [&[&str]; 6] = [
        &["seal", "--tenant", "acme"],
        &["open", "--tenant", "acme", "--in", "sealed"],
        &["token", "issue", "--tenant", "acme", "--type", "access", "--subject", "a", "--audience", "b"],
        &["client", "create", "--tenant", "acme", "--type", "m2m", "--name", "n"],
        &["idp", "add", "jwt", "--tenant", "acme", "--config", "idp.json"],
        &["policy", "activate", "--tenant", "acme", "--policy", "p.json"],
    ];
    for arguments in refused {
        room.json(arguments).fails(1, "tenant_inactive");
    }
    for arguments in [&["tenant", "show", "acme"][..], &["key", "list", "acme"], &["audit", "key", "--tenant", "acme"]]
    {
        room.json(arguments).is(0);
    }
    room.json(&["audit", "tail", "--tenant", "acme"]).is(0);
    room.json(&["key", "disable", "acme"]).is(0);
    room.json(&["key", "enable", "acme"]).is(0);
    assert_eq!(room.json(&["tenant", "reactivate", "acme"]).is(0).answer()["tenant"]["state"], "active");
    assert_eq!(room.run(&["open", "--tenant", "acme", "--in", "sealed"]).is(0).stdout, b"x");
}

#[test]
fn what_the_table_of_transitions_does_not_have_is_refused() {
    let room = Room::with_acme();
    room.json(&["tenant", "enable-users", "acme"]).fails(1, "transition_not_allowed");
    room.json(&["tenant", "reactivate", "acme"]).fails(1, "transition_not_allowed");
    room.json(&["tenant", "disable-users", "acme"]).is(0);
    // A tenant whose users are out still works for its administrators.
    room.feed(&["seal", "--tenant", "acme"], "x").is(0);
    room.json(&["tenant", "enable-users", "acme"]).is(0);
}

#[test]
fn protection_stops_a_deactivation_and_the_one_who_took_it_off() {
    let room = Room::with_acme();
    let protected = room.json(&["tenant", "protect", "acme"]).is(0).answer();
    assert_eq!(protected["tenant"]["flags"]["deactivation_protected"], true);
    let deactivate = ["tenant", "deactivate", "acme", "--confirm", "Acme Ltd"];
    room.json(&deactivate).fails(1, "deactivation_protected");
    room.json(&["tenant", "unprotect", "acme"]).is(0);
    room.json(&deactivate).fails(1, "same_actor");
}

#[test]
fn a_change_can_be_bound_to_a_version() {
    let room = Room::with_acme();
    let version = room.json(&["tenant", "show", "acme"]).is(0).answer()["tenant"]["version"].as_u64().unwrap();
    let stale = (version - 1).to_string();
    room.json(&["tenant", "disable-users", "acme", "--if-version", &stale]).fails(1, "tenant_changed");
    room.json(&["tenant", "disable-users", "acme", "--if-version", &version.to_string()]).is(0);
    room.json(&["tenant", "enable-users", "acme", "--if-version", &version.to_string()]).fails(1, "tenant_changed");
}

#[test]
fn policies_are_shown_set_and_recorded_and_phi_demands_a_customers_key() {
    let room = Room::with_acme();
    let nothing = json!({
        "tenant": "acme", "phi": false, "require_multi_region": false, "regions": null,
        "agreements": [], "features": {}, "storage": null,
    });
    assert_eq!(room.json(&["tenant", "policy", "acme"]).is(0).answer(), nothing);
    let set = ["tenant", "policy", "acme", "--set", "policy.json"];
    // Keys of the deployment's own KMS have no region; for PHI they will not do.
    room.write("policy.json", "{\"regions\":[\"eu-west-1\",\"eu-central-1\"],\"require_multi_region\":true}");
    let mut demands = nothing;
    demands["regions"] = json!(["eu-central-1", "eu-west-1"]);
    demands["require_multi_region"] = json!(true);
    assert_eq!(room.json(&set).is(0).answer(), demands);
    room.write("policy.json", "{\"phi\":true}");
    room.json(&set).fails(1, "phi_requires_cmk");
    assert_eq!(room.json(&["tenant", "policy", "acme"]).is(0).answer(), demands);
    assert!(room.run(&["tenant", "policy", "acme"]).is(0).text().contains("eu-central-1, eu-west-1"));
    for (wrong, code) in [("no json", "malformed"), ("{\"phy\":true}", "malformed"), ("{\"regions\":[]}", "usage")] {
        room.write("policy.json", wrong);
        room.json(&set).fails(2, code);
    }
    let log = room.run(&["audit", "tail", "--tenant", "acme", "--type", "tenant.policy_changed"]).is(0);
    let changed = "\"changed\":[\"regions\",\"require_multi_region\"]";
    assert_eq!(log.text().matches(changed).count(), 1, "{}", log.text());
    assert_eq!(log.text().matches("phi_requires_cmk").count(), 1, "{}", log.text());
}

#[test]
fn agreements_features_and_storage_are_set_by_a_file_and_lie_in_the_tenants_region() {
    let room = Room::with_acme();
    let region = room.json(&["tenant", "show", "acme"]).is(0).answer()["tenant"]["region"].as_str().unwrap().to_owned();
    let policy = |region: &str| {
        json!({
            "phi": false, "require_multi_region": false, "regions": null, "agreements": ["BAA-2026-17"],
            "features": {"generative_ai": {"endpoint": "https://ai.example", "region": region, "on": true}},
            "storage": {
                "kind": "customer", "target": "s3://acme-landing", "region": region,
                "staging": {"target": "s3://acme-staging", "region": region},
            },
        })
    };
    let set = ["tenant", "policy", "acme", "--set", "policy.json"];
    room.write("policy.json", policy("mars").to_string());
    room.json(&set).fails(1, "region_not_allowed");
    let mut wanted = policy(&region);
    room.write("policy.json", wanted.to_string());
    wanted["tenant"] = json!("acme");
    assert_eq!(room.json(&set).is(0).answer(), wanted);
    let shown = room.run(&["tenant", "policy", "acme"]).is(0);
    for words in ["BAA-2026-17", "generative_ai, on: https://ai.example", "the customer's: s3://acme-landing"] {
        assert!(shown.text().contains(words), "{}", shown.text());
    }
    let mut unstaged = policy(&region);
    unstaged["storage"].as_object_mut().unwrap().remove("staging");
    room.write("policy.json", unstaged.to_string());
    room.json(&set).fails(1, "storage_not_configured");
    let mut open = policy(&region);
    open["features"]["generative_ai"]["endpoint"] = json!("https://me:secret@ai.example");
    room.write("policy.json", open.to_string());
    let refused = room.json(&set).fails(2, "usage");
    assert!(!refused["message"].as_str().unwrap().contains("secret"), "{refused}");
    let log = room.run(&["audit", "tail", "--tenant", "acme"]).is(0);
    for (name, times) in [("feature.enabled", 1), ("storage.configured", 1), ("residency.refused", 1)] {
        assert_eq!(log.text().matches(&format!("\"type\":\"{name}\"")).count(), times, "{name}");
    }
}

#[test]
fn show_says_where_a_customers_key_does_not_reach() {
    let room = Room::with_acme();
    let shown = room.json(&["tenant", "show", "acme"]).is(0).answer();
    assert_eq!(shown["tenant"]["outside_customer_key"], json!(["data in motion", "devices", "gateways"]));
    assert!(room.run(&["tenant", "show", "acme"]).is(0).text().contains("data in motion, devices, gateways"));
}
