//! Every example that a `--help` ends with works as typed.

use crate::contract::verbs;
use crate::support::Room;

const POLICY: &str = r#"{"version":1,"token_type":"access","issuer":"https://qsec.example/acme","audience":["https://api.acme.example"],"algorithms":["ES256"],"tenant":"acme"}"#;

/// A folder that has what the examples name.
fn prepared() -> Room {
    let room = Room::with_acme();
    room.write("access.json", POLICY);
    room.write("policy.json", r#"{"version":1,"tenants":{"acme":{"users":{"ana":{}}}}}"#);
    room.write("policy.toml", "version = 1\n[tenants.acme.users.ana]\n");
    room.write("demands.json", r#"{"regions":["eu-central-1"]}"#);
    room.write("old.json", r#"{"version":1,"tenants":{"acme":{}}}"#);
    room.write("new.json", r#"{"version":1,"tenants":{"acme":{"users":{"ana":{}}}}}"#);
    room.write("request.json", r#"{"tenant":"acme","principal":{"user":"ana"},"action":"read"}"#);
    room.write("access.csv", "ACCESS,USERID,REGION\nUSER,ANA,NORTH\n");
    room.write("data.csv", "Region,Sales\nNORTH,1\n");
    room.shell("qsec token issue --tenant acme --type access --subject ada --client-id spa --audience https://api.acme.example > t.jwt").is(0);
    room.shell("qsec jwks show --tenant acme | tee acme.jwks > foreign.jwks").is(0);
    room.shell(r#"printf '{"issuer":"https://backend.example","algorithms":["ES256"],"keys":%s}' "$(cat acme.jwks)" > backend.json"#).is(0);
    room
}

/// What must have happened before an example can work.
fn before(verb: &str) -> &'static str {
    match verb {
        "tenant create" => "mv qsec-home old && qsec init",
        "tenant enable-users" => "qsec tenant disable-users acme",
        "tenant reactivate" => "qsec tenant deactivate acme --confirm 'Acme Ltd'",
        "key enable" => "qsec key disable acme",
        "reencrypt" => "printf hello | qsec seal --tenant acme --out o; echo o > objects.txt; qsec key rotate acme",
        "key shred" => "qsec key rotate acme",
        "key cancel-deletion" => "qsec key schedule-deletion acme --days 7 --confirm acme",
        "open" | "inspect" => {
            "(umask 077; head -c 32 /dev/urandom | base64 > k); printf hello | qsec seal --raw-key k --context row=17 --out hello.sealed"
        }
        _ => "true",
    }
}

#[test]
fn each_example_works_as_typed() {
    let template = prepared();
    let mut failures = Vec::new();
    for verb in verbs() {
        let words: Vec<&str> = verb.iter().map(String::as_str).collect();
        let room = Room::new();
        room.shell(&format!("cp -a {}/. .", template.path("").display())).is(0);
        let help = room.run(&[&words[..], &["--help"]].concat()).is(0);
        let (_, example) = help.text().rsplit_once("Example:\n").unwrap();
        let client =
            room.json(&["client", "create", "--tenant", "acme", "--type", "m2m", "--name", "n"]).is(0).answer();
        // The one word of an example that nobody can know beforehand.
        let example = example.replace("c_7d", client["client_id"].as_str().unwrap());
        room.shell(before(&verb.join(" "))).is(0);
        let run = room.shell(&format!("set -e\n{example}"));
        // The two policies of the example differ, if the policies do: that answer is a no.
        let expected = i32::from(verb == ["diff"] && !run.stdout.is_empty() && run.text() != "no difference\n");
        if run.status != expected {
            failures.push(format!("{verb:?} exits {}: {example}{}", run.status, run.stderr));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_pipeline_of_the_contract_works_as_typed() {
    let room = Room::new();
    let line = "head -c 32 /dev/urandom | xxd -p -c 64 > k && chmod 600 k && \
                printf hello | qsec seal --raw-key k --context row=17 | qsec open --raw-key k --context row=17";
    let hex = "head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' > k && chmod 600 k && \
               printf hello | qsec seal --raw-key k --context row=17 | qsec open --raw-key k --context row=17";
    assert_eq!(
        room.shell(&format!("if command -v xxd > /dev/null; then {line}; else {hex}; fi")).is(0).stdout,
        b"hello"
    );
    let room = prepared();
    let verified = room
        .shell("printf '%s' \"$(cat t.jwt)\" | qsec --json token verify --policy access.json --jwks acme.jwks")
        .is(0);
    assert_eq!(verified.answer()["valid"], true);
    let proved = "qsec audit key --tenant acme > acme.vkey && \
                  qsec audit prove --tenant acme --index 1 --out e1.tlog-proof --entry-out e1.json && \
                  qsec audit verify --proof e1.tlog-proof --entry e1.json --key acme.vkey";
    assert!(room.shell(proved).is(0).text().contains("intact  qsec.example/n1/acme  entry 1 of "));
    assert_eq!(room.shell("qsec audit tail --tenant acme --type token. | head -1").is(0).text().lines().count(), 1);
}
