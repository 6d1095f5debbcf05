//! Keys that a customer owns: in AWS KMS as LocalStack plays it, and on a PKCS#11 token in software.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use qsec::crypto::Secret;
use qsec::crypto::kms::pkcs11::Pkcs11Kms;
use serde_json::{Value, json};

use crate::support::{Room, Run, protect};

const OPEN: [&str; 7] = ["open", "--tenant", "acme", "--context", "row=17", "--in", "sealed"];
const AWS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234";

/// A variable of the testbed; `None` where there is none, which is said: in CI that is a failure.
#[expect(clippy::disallowed_methods, reason = "tests are told by variables what they find")]
fn testbed(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    if found.is_none() {
        println!("not run: {variable} is not set");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "in CI everything runs");
    }
    found
}

fn acme_with_sealed() -> Room {
    let room = Room::with_acme();
    room.feed(&["seal", "--tenant", "acme", "--context", "row=17", "--out", "sealed"], "hello").is(0);
    room
}

/// With credentials in the environment, as an emulator takes them.
fn with_credentials(room: &Room, arguments: &[&str]) -> Run {
    let mut command = room.command(&[&["--json"], arguments].concat());
    command.env(AWS[0], "AKIDEXAMPLE").env(AWS[1], "secret").env_remove(AWS[2]);
    Run::of(command.output().unwrap(), &arguments.join(" "))
}

/// Without any: the variables of whoever runs the tests are none of ours.
fn without_credentials(room: &Room, arguments: &[&str]) -> Run {
    let mut command = room.command(&[&["--json"], arguments].concat());
    for name in AWS {
        command.env_remove(name);
    }
    Run::of(command.output().unwrap(), &arguments.join(" "))
}

#[test]
fn without_credentials_it_is_said_where_they_were_looked_for() {
    let room = acme_with_sealed();
    let to_aws = ["key", "provider", "acme", "--to", "aws", "--key-id", ARN];
    let error = without_credentials(&room, &to_aws).fails(1, "kms_access_denied");
    for name in AWS {
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    }
    room.write("credentials", "[other]\naws_access_key_id = AKID\naws_secret_access_key = s3cret\n");
    let of_file = [&to_aws[..], &["--aws-credentials-file", "credentials"]].concat();
    let error = without_credentials(&room, &of_file).fails(1, "kms_access_denied");
    assert!(error["message"].as_str().unwrap().contains("`default`"), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let missing = [&to_aws[..], &["--aws-credentials-file", "nowhere"]].concat();
    without_credentials(&room, &missing).fails(2, "file_unreadable");
    without_credentials(&room, &[&to_aws[..], &["--aws-profile", "other"]].concat()).fails(2, "usage");
    assert_eq!(room.json(&["key", "provider", "acme"]).is(0).answer()["provider"], "internal");
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}

#[test]
fn options_that_do_not_fit_the_provider_are_refused() {
    let room = acme_with_sealed();
    let to = |more: &[&str]| with_credentials(&room, &[&["key", "provider", "acme", "--to"], more].concat());
    to(&["aws"]).fails(2, "usage");
    to(&["pkcs11", "--key-id", "label"]).fails(2, "usage");
    to(&["pkcs11", "--key-id", "label", "--module", "m.so"]).fails(2, "usage");
    to(&["internal", "--key-id", "local:00"]).fails(2, "usage");
    to(&["internal", "--endpoint", "https://kms.example"]).fails(2, "usage");
    to(&["aws", "--key-id", "alias/acme"]).fails(2, "usage");
    for wrong in ["http://kms.example", "kms.example", "https://kms.example/path"] {
        to(&["aws", "--key-id", ARN, "--endpoint", wrong]).fails(2, "usage");
    }
    to(&["vault", "--key-id", "acme"]).fails(2, "usage");
    to(&["vault", "--key-id", "acme", "--endpoint", "https://vault.example"]).fails(2, "usage");
    room.write("token", "hvs.example");
    for wrong in ["http://vault.example", "vault.example", "https://a:b@vault.example"] {
        to(&["vault", "--key-id", "acme", "--endpoint", wrong, "--token-file", "token"]).fails(2, "usage");
    }
    room.json(&["key", "provider", "acme", "--key-id", ARN]).fails(2, "usage");
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}

#[test]
fn kms_that_cannot_be_reached_leaves_a_move_to_go_on_with_or_none() {
    let room = acme_with_sealed();
    // Nothing listens there.
    let to_aws = ["key", "provider", "acme", "--to", "aws", "--key-id", ARN, "--endpoint", "http://127.0.0.1:1"];
    with_credentials(&room, &to_aws).fails(3, "kms_unavailable");
    let shown = room.json(&["key", "provider", "acme"]).is(0).answer();
    assert_eq!((&shown["provider"], &shown["migration"]), (&json!("internal"), &Value::Null));
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}

/// What a customer does in their own account.
struct Owner {
    address: SocketAddr,
    url: String,
}

impl Owner {
    fn find() -> Option<Self> {
        let url = testbed("QSEC_TEST_KMS")?;
        Some(Self { address: url.trim_start_matches("http://").parse().unwrap(), url })
    }

    fn ask(&self, action: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut server = TcpStream::connect(self.address).unwrap();
        write!(
            server,
            "POST / HTTP/1.1\r\nHost: {}\r\nX-Amz-Target: TrentService.{action}\r\nConnection: close\r\n\
             Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=owner/20300101/eu-central-1/kms/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{body}",
            self.address,
            body.len(),
        )
        .unwrap();
        let mut answer = String::new();
        server.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{action}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }

    fn create_key(&self) -> String {
        self.ask("CreateKey", &json!({}))["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }
}

#[test]
fn customer_in_aws_holds_the_switch() {
    let Some(owner) = Owner::find() else { return };
    let room = acme_with_sealed();
    let before = room.read("sealed");
    let arn = owner.create_key();
    let to_aws = ["key", "provider", "acme", "--to", "aws", "--key-id", &arn, "--endpoint", &owner.url];
    let moved = with_credentials(&room, &to_aws).is(0).answer();
    assert_eq!(
        (&moved["provider"], &moved["state"], &moved["versions_rewrapped"], &moved["kms_calls"]),
        (&json!("aws"), &json!("done"), &json!(1), &json!(3))
    );
    assert_eq!(with_credentials(&room, &to_aws).is(0).answer()["versions_rewrapped"], 0);
    assert_eq!((with_credentials(&room, &OPEN).is(0).stdout, room.read("sealed")), (b"hello".to_vec(), before));
    let keys = with_credentials(&room, &["key", "list", "acme"]).is(0).answer();
    assert_eq!((&keys["provider"], &keys["key_ids"]), (&json!("aws"), &json!([arn])));
    // Without credentials nothing opens.
    without_credentials(&room, &OPEN).fails(1, "kms_access_denied");
    without_credentials(&room, &["rewrap", "--tenant", "acme"]).fails(1, "kms_access_denied");
    locks_wait_for_nobodys_credentials(&room, &arn);

    owner.ask("DisableKey", &json!({ "KeyId": arn }));
    let stopped = with_credentials(&room, &OPEN).fails(1, "key_disabled");
    assert_eq!((&stopped["by"], &stopped["key_id"]), (&json!("kms"), &json!(arn)));
    with_credentials(&room, &["key", "provider", "acme", "--to", "internal"]).fails(1, "key_disabled");
    owner.ask("EnableKey", &json!({ "KeyId": arn }));
    assert_eq!(with_credentials(&room, &OPEN).is(0).stdout, b"hello");
    assert_eq!(with_credentials(&room, &["rewrap", "--tenant", "acme"]).is(0).answer()["versions_rewrapped"], 1);

    let back = with_credentials(&room, &["key", "provider", "acme", "--to", "internal"]).is(0).answer();
    assert_eq!((&back["provider"], &back["state"]), (&json!("internal"), &json!("done")));
    owner.ask("ScheduleKeyDeletion", &json!({ "KeyId": arn, "PendingWindowInDays": 7 }));
    assert_eq!(without_credentials(&room, &OPEN).is(0).status, 0);
    let log = room.run(&["audit", "tail", "--tenant", "acme", "--type", "key."]).is(0);
    // The way back that the owner refused was planned, and called off; and there was nothing to abort.
    for (name, times) in [
        ("key.provider_change_planned", 3),
        ("key.provider_change_aborted", 2),
        ("key.provider_changed", 2),
        ("key.provider_change_finished", 2),
    ] {
        assert_eq!(log.text().matches(&format!("\"type\":\"{name}\"")).count(), times, "{name}: {}", log.text());
    }
}

/// What shows a tenant's key, and what locks it, works without the credentials of the lock's owner.
fn locks_wait_for_nobodys_credentials(room: &Room, arn: &str) {
    for show in ["list", "provider"] {
        let shown = without_credentials(room, &["key", show, "acme"]).is(0);
        assert_eq!((&shown.answer()["provider"], &shown.answer()["key_ids"]), (&json!("aws"), &json!([arn])));
        assert!(shown.stderr.contains("\"code\":\"kms_access_denied\""), "{}", shown.stderr);
        assert!(shown.stderr.contains("\"code\":\"single_region_key\""), "{}", shown.stderr);
    }
    let shown = without_credentials(room, &["tenant", "show", "acme"]).is(0).answer();
    assert_eq!(shown["tenant"]["flags"]["key_available"], false);
    for (verb, state) in [
        (&["key", "disable", "acme"][..], "disabled"),
        (&["key", "enable", "acme"], "active"),
        (&["key", "schedule-deletion", "acme", "--days", "7", "--confirm", "acme"], "pending_deletion"),
        (&["key", "cancel-deletion", "acme"], "disabled"),
    ] {
        assert_eq!(without_credentials(room, verb).is(0).answer()["state"], state, "{verb:?}");
    }
    // The tenant's own lock, whoever asks; with credentials too.
    with_credentials(room, &OPEN).fails(1, "key_disabled");
    assert_eq!(without_credentials(room, &["key", "enable", "acme"]).is(0).answer()["state"], "active");
    without_credentials(room, &["key", "provider", "acme", "--abort"]).fails(1, "conflict");
}

#[test]
fn keys_move_to_a_token_and_back() {
    let Some(module) = testbed("QSEC_TEST_PKCS11_MODULE") else { return };
    let (label, pin) = (testbed("QSEC_TEST_PKCS11_TOKEN").unwrap(), testbed("QSEC_TEST_PKCS11_PIN_FILE").unwrap());
    let token = ["--module", &module, "--token-label", &label, "--pin-file", &pin];
    let room = acme_with_sealed();
    let unknown =
        [&["key", "provider", "acme", "--to", "pkcs11", "--key-id", "no key is called so"], &token[..]].concat();
    room.json(&unknown).fails(1, "key_not_found");
    room.write("wrong", "0000");
    protect(&room.path("wrong"), 0o600);
    let denied = ["--module", &module, "--token-label", "no token is called so", "--pin-file", "wrong"];
    room.json(&[&["key", "provider", "acme", "--to", "pkcs11", "--key-id", "x"], &denied[..]].concat()).is(3).error();
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let secret = Secret::copy_from(std::fs::read(&pin).unwrap().trim_ascii_end());
    let owner = runtime.block_on(Pkcs11Kms::open(&module, &label, secret)).unwrap();
    let key = runtime.block_on(owner.create_key(&format!("qsec-cli {}", std::process::id()))).unwrap();
    let to_token = [&["key", "provider", "acme", "--to", "pkcs11", "--key-id", key.as_str()], &token[..]].concat();
    let moved = room.json(&to_token).is(0).answer();
    assert_eq!((&moved["provider"], &moved["state"]), (&json!("pkcs11"), &json!("done")));
    room.json(&OPEN).fails(2, "usage");
    let open = [&OPEN[..], &token].concat();
    assert_eq!(room.run(&open).is(0).stdout, b"hello");
    let rotated = room.json(&[&["key", "rotate", "acme"], &token[..]].concat()).is(0).answer();
    assert_eq!(rotated["version"], 2);
    let back = [&["key", "provider", "acme", "--to", "internal"], &token[..]].concat();
    assert_eq!(room.json(&back).is(0).answer()["versions_rewrapped"], 2);
    runtime.block_on(owner.destroy(&key)).unwrap();
    assert_eq!(room.run(&OPEN).is(0).stdout, b"hello");
}

/// A tenant whose keys are under a customer's key in AWS, and that key.
fn acme_in_aws(owner: &Owner) -> (Room, String) {
    let room = acme_with_sealed();
    let arn = owner.create_key();
    let to_aws = ["key", "provider", "acme", "--to", "aws", "--key-id", &arn, "--endpoint", &owner.url];
    with_credentials(&room, &to_aws).is(0);
    (room, arn)
}

#[test]
fn message_for_the_customers_own_sdk_is_under_the_customers_key() {
    let Some(owner) = Owner::find() else { return };
    let (room, arn) = acme_in_aws(&owner);
    room.write("plain", "hello");
    let context = ["--context", "row=17"];
    let seal = [&["seal", "--tenant", "acme", "--format", "esdk", "--in", "plain", "--out", "message"], &context[..]];
    let sealed = with_credentials(&room, &seal.concat()).is(0).answer();
    assert_eq!((&sealed["format"], &sealed["tenant"]), (&json!("esdk"), &json!("acme")));
    assert_eq!(sealed.get("key_version"), None);
    let seen = room.json(&["inspect", "--in", "message"]).is(0).answer();
    let data_keys = seen["encrypted_data_keys"].as_array().unwrap();
    assert_eq!((data_keys.len(), &data_keys[0]["provider"], &data_keys[0]["key"]), (1, &json!("aws-kms"), &json!(arn)));
    let told = [&seen["context"]["qsec:tenant"], &seen["context"]["qsec:purpose"], &seen["context"]["row"]];
    assert_eq!(told, [&json!("acme"), &json!("data"), &json!("17")]);

    let open = [&["open", "--tenant", "acme", "--in", "message"], &context[..]].concat();
    for how in [&[][..], &["--stream"], &["--format", "esdk"]] {
        assert_eq!(with_credentials(&room, &[&open[..], how].concat()).is(0).stdout, b"hello", "{how:?}");
    }
    let other = ["open", "--tenant", "acme", "--in", "message", "--context", "row=18"];
    with_credentials(&room, &other).fails(1, "not_opened");
    without_credentials(&room, &open).fails(1, "kms_access_denied");
    room.json(&["tenant", "create", "globex"]).is(0);
    room.json(&["open", "--tenant", "globex", "--in", "message"]).fails(1, "not_opened");

    owner.ask("DisableKey", &json!({ "KeyId": arn }));
    assert_eq!(with_credentials(&room, &open).fails(1, "key_disabled")["by"], "kms");
    owner.ask("EnableKey", &json!({ "KeyId": arn }));
    room.json(&["key", "disable", "acme"]).is(0);
    for refused in [&open, &[&seal.concat()[..], &["--force"]].concat()] {
        assert_eq!(with_credentials(&room, refused).fails(1, "key_disabled")["by"], "tenant");
    }
    room.json(&["key", "enable", "acme"]).is(0);
    assert_eq!(with_credentials(&room, &open).is(0).stdout, b"hello");
}

#[test]
fn region_is_drilled_alone_and_policy_holds_against_the_keys_in_use() {
    let Some(owner) = Owner::find() else { return };
    let (room, arn) = acme_in_aws(&owner);
    let drill = ["doctor", "--tenant", "acme", "--region", "eu-central-1"];
    let checks = with_credentials(&room, &drill).is(0).answer()["checks"].clone();
    assert_eq!((checks.as_array().unwrap().len(), &checks[0]["state"]), (1, &json!("ok")), "{checks}");
    with_credentials(&room, &["doctor", "--tenant", "acme", "--region", "us-east-1"]).fails(2, "usage");
    without_credentials(&room, &drill).fails(1, "kms_access_denied");
    owner.ask("DisableKey", &json!({ "KeyId": arn }));
    let refused = with_credentials(&room, &drill).is(1).answer()["checks"].clone();
    assert_eq!(refused[0]["state"], "fail");
    assert!(refused[0]["detail"].as_str().unwrap().ends_with("key_disabled"), "{refused}");
    owner.ask("EnableKey", &json!({ "KeyId": arn }));
    room.json(&["doctor", "--tenant", "acme"]).fails(2, "usage");
    // Without a way to the KMS the rest is looked over all the same.
    let all = without_credentials(&room, &["doctor"]).is(0).answer()["checks"].clone();
    for name in ["key of acme", "single_region_key of acme"] {
        let check = all.as_array().unwrap().iter().find(|check| check["name"] == name);
        assert_eq!(check.map(|check| &check["state"]), Some(&json!("warn")), "{name}: {all}");
    }
    let set = ["tenant", "policy", "acme", "--set", "policy.json"];
    for (policy, code) in [
        ("{\"regions\":[\"us-east-1\"]}", "region_not_allowed"),
        ("{\"require_multi_region\":true}", "multi_region_required"),
    ] {
        room.write("policy.json", policy);
        without_credentials(&room, &set).fails(1, code);
    }
    room.write("policy.json", "{\"phi\":true,\"regions\":[\"eu-central-1\"]}");
    assert_eq!(without_credentials(&room, &set).is(0).answer()["phi"], true);
    with_credentials(&room, &["key", "provider", "acme", "--to", "internal"]).fails(1, "phi_requires_cmk");
    assert_eq!(with_credentials(&room, &OPEN).is(0).stdout, b"hello");
}

#[test]
fn move_can_seal_the_objects_again_under_a_version_made_for_it() {
    let Some(owner) = Owner::find() else { return };
    let room = acme_with_sealed();
    let arn = owner.create_key();
    room.write("objects.txt", "sealed\nmissing\n");
    room.write("contexts.jsonl", "{\"path\":\"sealed\",\"context\":{\"row\":\"17\"}}\n");
    let to_aws = ["key", "provider", "acme", "--to", "aws", "--key-id", &arn, "--endpoint", &owner.url];
    let walk = ["--reencrypt", "--objects", "objects.txt", "--cursor", "re.cursor", "--context-from", "contexts.jsonl"];
    for half in [&walk[..3], &walk[1..]] {
        with_credentials(&room, &[&to_aws[..], half].concat()).fails(2, "usage");
    }
    let whole = [&to_aws[..], &walk].concat();
    let done = with_credentials(&room, &whole).is(1).answer();
    assert_eq!(
        (&done["state"], &done["versions_rewrapped"], &done["kms_calls"]),
        (&json!("done"), &json!(2), &json!(5))
    );
    assert_eq!((&done["records_rewritten"], &done["done"], &done["failed_total"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(done["failed"][0]["object"], "missing");
    assert_eq!(room.json(&["inspect", "--in", "sealed"]).is(0).answer()["key_version"], 2);
    assert_eq!(with_credentials(&room, &OPEN).is(0).stdout, b"hello");
    // Said again it goes on where it was, and makes no further version.
    with_credentials(&room, &whole).is(1);
    let versions = with_credentials(&room, &["key", "list", "acme"]).is(0).answer()["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 2, "{versions}");
}
