//! `decide`, `explain`, `filter`, `lint`, `diff`, `policy`: files, forms, refusals.

use serde_json::{Value, json};

use crate::support::Room;

const POLICY: &str = r#"{"version":1,"tenants":{"acme":{
  "roles":{"ReportAuthor":["apps"]},
  "groups":{"finance":{"roles":["ReportAuthor"]}},
  "users":{"ana":{"groups":["finance"]},"bob":{}},
  "spaces":{"sales":{"type":"managed","owner":"ana","members":{"group:viewers":["consumer"],"user:bob":["publisher"]}}},
  "resources":{"q3":{"type":"App","owner":"ana","space":"sales"},"memo":{"type":"App","owner":"bob"}}}}}"#;
const KIM: &str = r#"{"tenant":"acme","principal":{"user":"kim","groups":["viewers"],"scopes":["apps:read"]},"action":"read","resource":{"id":"q3"}}"#;
const BOB: &str = r#"{"tenant":"acme","principal":{"user":"bob"},"action":"read","resource":{"id":"q3"}}"#;
const PUBLISH: &str = r#"{"tenant":"acme","principal":{"user":"bob"},"action":"publish"}"#;

fn room() -> Room {
    let room = Room::new();
    room.write("policy.json", POLICY);
    room
}

fn ask(verb: &'static str) -> [&'static str; 5] {
    [verb, "--policy", "policy.json", "--request", "-"]
}

#[test]
fn the_documented_questions_have_the_documented_answers() {
    let room = room();
    let kim = room.feed_json(&ask("decide"), KIM).is(0);
    assert_eq!(
        kim.text(),
        "{\"decision\":\"allow\",\"code\":\"granted\",\"by\":[\"space:consumer@sales\"],\"missing\":[]}\n"
    );
    let bob = room.feed_json(&ask("explain"), BOB).is(1).answer();
    let missing = [
        "role:AnalyticsAdmin",
        "role:TenantAdmin",
        "space:basicconsumer@sales",
        "space:consumer@sales",
        "space:contributor@sales",
        "space:facilitator@sales",
        "space:operator@sales",
    ];
    assert_eq!(
        (&bob["decision"], &bob["code"], &bob["missing"]),
        (&json!("deny"), &json!("no_grant"), &json!(missing))
    );
    assert!(bob["rules"].is_object());
    assert_eq!(room.feed_json(&ask("filter"), PUBLISH).is(0).text(), "{\"allowed\":[\"memo\",\"q3\"]}\n");
    assert_eq!(room.json(&["lint", "--policy", "policy.json"]).is(0).text(), "{\"findings\":[]}\n");
    room.write("new.json", POLICY.replace("\"publisher\"", "\"consumer\""));
    let diff = room.json(&["diff", "policy.json", "new.json"]).is(1).answer();
    let gained =
        json!({"tenant":"acme","user":"bob","resource":"q3","action":"export_data","old":"deny","new":"allow"});
    assert!(diff["changes"].as_array().unwrap().contains(&gained), "{diff}");
    assert_eq!(room.json(&["diff", "policy.json", "policy.json"]).is(0).text(), "{\"changes\":[]}\n");
}

#[test]
fn people_get_the_same_in_words() {
    let room = room();
    assert_eq!(room.feed(&ask("decide"), KIM).is(0).text(), "allowed by space:consumer@sales\n");
    let explained = room.feed(&ask("explain"), BOB).is(1);
    assert!(explained.text().starts_with("denied: ") && explained.text().contains("\n  space:consumer@sales\n"));
    assert_eq!(room.feed(&ask("filter"), PUBLISH).is(0).text(), "memo\nq3\n");
    assert_eq!(room.run(&["lint", "--policy", "policy.json"]).is(0).text(), "no finding\n");
    room.write("new.json", POLICY.replace("\"publisher\"", "\"consumer\""));
    let diff = room.run(&["diff", "policy.json", "new.json"]).is(1);
    assert!(
        diff.text().lines().any(|line| line.split_whitespace().eq(["acme", "bob", "gains", "export_data", "q3"])),
        "{}",
        diff.text()
    );
}

#[test]
fn toml_is_recognised_by_name() {
    let room = room();
    room.write("policy.toml", "version = 1\n[tenants.acme.users.ana]\nroles = [\"TenantAdmin\"]\n");
    room.json(&["lint", "--policy", "policy.toml"]).is(0);
    room.write("wrong.json", "version = 1\n");
    room.json(&["lint", "--policy", "wrong.json"]).fails(2, "bad_json");
    room.write("wrong.toml", POLICY);
    room.json(&["lint", "--policy", "wrong.toml"]).fails(2, "bad_json");
}

#[test]
fn what_is_wrong_with_a_policy_is_said_with_its_place() {
    let room = room();
    room.write("policy.json", "{\"version\":1,\n \"tenants\":{\"acme\":{\"userz\":{}}}}");
    let error = room.feed_json(&ask("decide"), BOB).fails(2, "bad_policy");
    assert_eq!(error["line"], 2, "{error}");
    assert!(error["column"].is_u64() && error["message"].as_str().unwrap().contains("userz"), "{error}");
    for (text, code) in [
        ("", "bad_json"),
        ("[]", "bad_policy"),
        ("{", "bad_json"),
        (r#"{"version":2,"tenants":{}}"#, "bad_policy"),
        (r#"{"version":1,"version":1,"tenants":{}}"#, "bad_policy"),
    ] {
        room.write("policy.json", text);
        room.json(&["lint", "--policy", "policy.json"]).fails(2, code);
    }
    room.json(&["lint", "--policy", "missing.json"]).fails(2, "file_unreadable");
}

#[test]
fn what_is_wrong_with_a_request_is_an_error_and_an_unknown_name_an_answer() {
    let room = room();
    for (request, code) in [
        ("", "bad_json"),
        ("{}", "bad_request"),
        ("[]", "bad_request"),
        (&KIM.replace("read\",", "fly\","), "bad_request"),
    ] {
        room.feed_json(&ask("decide"), request).fails(2, code);
        room.feed_json(&ask("explain"), request).fails(2, code);
    }
    let stored = KIM.replace("{\"id\":\"q3\"}", "{\"id\":\"q3\",\"type\":\"App\"}");
    room.feed_json(&ask("decide"), stored).fails(2, "bad_request");
    room.feed_json(&ask("filter"), KIM).fails(2, "bad_request");
    let unknown = [("acme", "tenant_unknown"), ("q3", "resource_unknown")];
    for (name, code) in unknown {
        let answer = room.feed_json(&ask("decide"), KIM.replace(name, "nothing")).is(1).answer();
        assert_eq!((&answer["decision"], &answer["code"]), (&json!("deny"), &json!(code)));
    }
}

#[test]
fn activate_puts_one_tenant_of_a_file_in_force() {
    let room = Room::with_acme();
    room.write("policy.json", POLICY);
    let activate = ["policy", "activate", "--tenant", "acme", "--policy", "policy.json"];
    let first = room.json(&activate).is(0).answer();
    assert_eq!(first["tenant"], "acme");
    let second = room.json(&activate).is(0).answer();
    assert!(second["version"].as_u64() >= first["version"].as_u64(), "{first} {second}");
    room.write("policy.json", r#"{"version":1,"tenants":{"globex":{}}}"#);
    room.json(&activate).is(1).error();
    room.write("policy.json", r#"{"version":1,"tenants":{"acme":{"users":7}}}"#);
    room.json(&activate).fails(2, "bad_policy");
    let events = room.run(&["audit", "tail", "--tenant", "acme", "--type", "policy."]).is(0);
    assert!(events.text().lines().count() >= 2, "{}", events.text());
    assert!(events.text().lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["actorid"] == "cli"));
}
