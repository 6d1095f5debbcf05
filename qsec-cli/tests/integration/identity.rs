//! `token`, `jwks`, `client`, `idp`.

use std::fs;

use serde_json::{Value, json};

use crate::support::Room;

const POLICY: &str = r#"{"version":1,"token_type":"access","issuer":"https://qsec.example/acme","audience":["https://api.acme.example"],"algorithms":["ES256"],"tenant":"acme"}"#;
const ISSUE: [&str; 13] = [
    "token",
    "issue",
    "--tenant",
    "acme",
    "--type",
    "access",
    "--subject",
    "ada",
    "--client-id",
    "spa",
    "--scope",
    "apps:read",
    "--audience=https://api.acme.example",
];
const VERIFY: [&str; 8] = ["token", "verify", "--policy", "access.json", "--jwks", "acme.jwks", "--in", "t.jwt"];

/// A room with a token, its key set and the policy that accepts it.
fn room() -> Room {
    let room = Room::with_acme();
    room.write("access.json", POLICY);
    fs::write(room.path("t.jwt"), room.run(&ISSUE).is(0).stdout).unwrap();
    fs::write(room.path("acme.jwks"), room.run(&["jwks", "show", "--tenant", "acme"]).is(0).stdout).unwrap();
    room
}

#[test]
fn an_issued_token_verifies_without_the_deployment() {
    let room = room();
    fs::remove_dir_all(room.path("qsec-home")).unwrap();
    let answer = room.json(&VERIFY).is(0).answer();
    let principal = &answer["principal"];
    let members = [
        "tenant",
        "kind",
        "subject",
        "issuer",
        "token_type",
        "client_id",
        "scopes",
        "groups",
        "name",
        "email",
        "email_verified",
        "actor",
        "binding",
        "jti",
        "issued_at",
        "expires_at",
    ];
    let mut seen: Vec<&str> = principal.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = members.to_vec();
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
    assert_eq!(
        (&answer["valid"], &principal["subject"], &principal["tenant"]),
        (&json!(true), &json!("ada"), &json!("acme"))
    );
    assert_eq!(
        (&principal["scopes"], &principal["groups"], &principal["name"]),
        (&json!(["apps:read"]), &json!([]), &Value::Null)
    );
    assert_eq!(
        (&principal["kind"], &principal["binding"], &answer["key"]["alg"]),
        (&json!("user"), &json!("none"), &json!("ES256"))
    );
    assert!(room.run(&VERIFY).is(0).text().contains("ada"));
    // The same token from a pipe, with one line end of either kind.
    for end in ["", "\n", "\r\n"] {
        let token = String::from_utf8(room.read("t.jwt")).unwrap().trim_end().to_owned() + end;
        room.feed_json(&VERIFY[..6], token).is(0);
    }
    for end in ["\n\n", " ", " \n", "\r"] {
        let token = String::from_utf8(room.read("t.jwt")).unwrap().trim_end().to_owned() + end;
        room.feed_json(&VERIFY[..6], token).fails(2, "token_malformed");
    }
}

#[test]
fn a_refusal_is_an_answer_with_its_reason() {
    let room = room();
    let refused = |arguments: &[&str], reason: &str| {
        let answer = room.json(arguments).is(1).answer();
        assert_eq!((&answer["valid"], &answer["reason"]), (&json!(false), &json!(reason)));
        assert!(answer["code"].is_string() && answer["message"].is_string());
    };
    refused(&[&["--now", "2126-01-01T00:00:00Z"], &VERIFY[..]].concat(), "expired");
    refused(&[&["--now", "1000000000"], &VERIFY[..]].concat(), "issued_in_future");
    room.write("access.json", POLICY.replace("api.acme", "api.globex"));
    refused(&VERIFY, "aud_mismatch");
    assert_eq!(room.run(&VERIFY).is(1).text(), "refused: aud_mismatch\n");
    room.write("access.json", POLICY.replace("\"tenant\":\"acme\"", "\"tenant\":\"globex\""));
    refused(&VERIFY, "tenant_mismatch");
    room.write("access.json", POLICY.replace("\"tenant\":\"acme\"", "\"required_scopes\":[\"apps:write\"]"));
    refused(&VERIFY, "insufficient_scope");
    room.write("access.json", POLICY.replace("\"tenant\":\"acme\"", "\"binding\":\"required\""));
    refused(&VERIFY, "binding_required");
    room.write("access.json", POLICY);
    let token = String::from_utf8(room.read("t.jwt")).unwrap();
    let (head, signature) = token.trim_end().rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    room.write("t.jwt", format!("{head}.{flipped}{}", &signature[1..]));
    refused(&VERIFY, "signature_invalid");
    room.write("acme.jwks", "{\"keys\":[]}");
    refused(&VERIFY, "unknown_key");
}

#[test]
fn inputs_are_judged_in_their_order() {
    let room = room();
    for name in ["access.json", "acme.jwks", "cert.pem", "t.jwt"] {
        room.write(name, "nonsense");
    }
    let with_certificate = [&VERIFY[..], &["--client-cert", "cert.pem"]].concat();
    room.json(&[&with_certificate[..], &["--htm", "GET"]].concat()).fails(2, "usage");
    room.json(&with_certificate).fails(2, "policy_invalid");
    room.write("access.json", POLICY);
    room.json(&with_certificate).fails(2, "keyset_invalid");
    room.write("acme.jwks", "{\"keys\":[]}");
    room.json(&with_certificate).fails(2, "client_cert_invalid");
    let malformed = room.json(&VERIFY).fails(2, "token_malformed");
    assert_eq!(malformed["reason"], "not_compact_jws");
    room.json(&["token", "verify", "--policy", "none", "--jwks", "none", "--in", "none"]).fails(2, "file_unreadable");
}

#[test]
fn files_of_more_than_256_kib_are_refused() {
    let room = room();
    room.write("access.json", " ".repeat(256 * 1024) + POLICY);
    room.json(&VERIFY).fails(2, "policy_invalid");
    room.write("access.json", POLICY);
    room.write("acme.jwks", " ".repeat(256 * 1024) + "{\"keys\":[]}");
    room.json(&VERIFY).fails(2, "keyset_invalid");
}

#[test]
fn a_faulty_proof_is_a_refusal_and_no_error() {
    let room = room();
    for proof in [b"nonsense".as_slice(), b"", &[0xff, 0xfe], b"a.b.c"] {
        room.write("proof", proof);
        let arguments =
            [&VERIFY[..], &["--dpop", "proof", "--htm", "GET", "--htu", "https://api.acme.example/"]].concat();
        let run = room.json(&arguments);
        // An unbound token needs no proof; whatever is made of one, it is no malformed input.
        assert!(run.status == 0 || (run.status == 1 && run.answer()["code"] == "invalid_dpop_proof"), "{}", run.stderr);
    }
}

#[test]
fn inspect_shows_without_believing() {
    let room = room();
    let answer = room.json(&["token", "inspect", "--in", "t.jwt"]).is(0).answer();
    assert_eq!((&answer["verified"], &answer["header"]["typ"]), (&json!(false), &json!("at+jwt")));
    assert_eq!((&answer["claims"]["sub"], &answer["looks_like"]), (&json!("ada"), &json!(["access"])));
    let text = room.run(&["token", "inspect", "--in", "t.jwt"]).is(0);
    let token = String::from_utf8(room.read("t.jwt")).unwrap();
    let signature = token.trim_end().rsplit('.').next().unwrap();
    assert!(!text.text().contains(signature) && !answer.to_string().contains(signature));
    assert!(text.text().contains("Z)") && text.text().ends_with("not verified: anyone can have written this\n"));
    let hostile = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJcdTAwMWJbMzFtcmVkIn0.";
    assert!(!room.feed(&["token", "inspect"], hostile).is(0).text().contains('\u{1b}'));
    for wrong in ["", "a.b", "a.b.c", "....", "eyJhbGciOiJub25lIn0.W10."] {
        room.feed_json(&["token", "inspect"], wrong).fails(2, "token_malformed");
    }
}

#[test]
fn issuing_keeps_its_bounds() {
    let room = room();
    let answer = room.json(&ISSUE).is(0).answer();
    let members: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(members, ["token", "jti", "kid", "alg", "expires_at"]);
    let ttl = room.json(&[&ISSUE[..], &["--ttl", "60"]].concat()).is(0).answer();
    assert!(ttl["expires_at"].as_u64() < answer["expires_at"].as_u64());
    room.json(&[&ISSUE[..], &["--ttl", "99999999"]].concat()).fails(2, "ttl_out_of_range");
    room.write("claims.json", r#"{"sub":"root"}"#);
    room.json(&[&ISSUE[..], &["--claims", "claims.json"]].concat()).fails(2, "claim_reserved");
    room.write("claims.json", r#"{"region":"eu"}"#);
    let with_claim = room.run(&[&ISSUE[..], &["--claims", "claims.json"]].concat()).is(0);
    let seen = room.feed_json(&["token", "inspect"], with_claim.stdout).is(0).answer();
    assert_eq!(seen["claims"]["region"], "eu");
    let gateway = ["token", "issue", "--tenant", "acme", "--type", "gateway", "--subject", "g", "--audience", "a"];
    room.json(&gateway).fails(2, "binding_required");
    room.json(&["token", "issue", "--tenant", "nobody", "--type", "access", "--subject", "s", "--audience", "a"])
        .fails(1, "tenant_not_found");
    let events = room.run(&["audit", "tail", "--tenant", "acme", "--type", "token.issued"]).is(0);
    assert!(events.text().contains(answer["jti"].as_str().unwrap()));
    assert!(!events.text().contains(answer["token"].as_str().unwrap()));
}

#[test]
fn a_bound_token_is_proved_by_its_certificate() {
    let room = room();
    room.write("cert.der", [&[0x30, 0x03], b"abc".as_slice()].concat());
    room.write("other.der", [&[0x30, 0x03], b"abd".as_slice()].concat());
    room.write("cert.pem", "-----BEGIN CERTIFICATE-----\nMANhYmM=\n-----END CERTIFICATE-----\n");
    fs::write(room.path("t.jwt"), room.run(&[&ISSUE[..], &["--bind-cert", "cert.pem"]].concat()).is(0).stdout).unwrap();
    let with = |name| room.json(&[&VERIFY[..], &["--client-cert", name]].concat());
    assert_eq!(with("cert.der").is(0).answer()["principal"]["binding"], "mtls");
    assert_eq!(with("cert.pem").is(0).answer()["principal"]["binding"], "mtls");
    assert_eq!(with("other.der").is(1).answer()["reason"], "binding_mismatch");
    assert_eq!(room.json(&VERIFY).is(1).answer()["reason"], "binding_missing");
    room.write("long.der", [&[0x30, 0x03], b"abcd".as_slice()].concat());
    with("long.der").fails(2, "client_cert_invalid");
}

#[test]
fn key_sets_hold_no_private_member_and_foreign_ones_are_checked() {
    let room = room();
    let set = room.json(&["jwks", "show", "--tenant", "acme"]).is(0).answer();
    assert_eq!(set, serde_json::from_slice::<Value>(&room.read("acme.jwks")).unwrap());
    for key in set["keys"].as_array().unwrap() {
        assert!(["d", "p", "q", "k", "dp", "dq", "qi"].iter().all(|member| key.get(member).is_none()), "{key}");
    }
    let good = room.json(&["jwks", "check", "acme.jwks"]).is(0).answer();
    assert_eq!((&good["usable"][0]["alg"], &good["unusable"]), (&json!("ES256"), &json!([])));
    room.write("bad.jwks", r#"{"keys":[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}]}"#);
    let bad = room.json(&["jwks", "check", "bad.jwks"]).is(1).answer();
    assert_eq!((&bad["usable"], &bad["unusable"][0]["kid"]), (&json!([]), &json!("r")));
    assert!(bad["unusable"][0]["why"].is_string());
    room.write("bad.jwks", "{}");
    room.json(&["jwks", "check", "bad.jwks"]).fails(2, "keyset_invalid");
    room.json(&["jwks", "show", "--tenant", "nobody"]).fails(1, "tenant_not_found");
}

#[test]
fn a_clients_secret_is_shown_once() {
    let room = Room::with_acme();
    let create = ["client", "create", "--tenant", "acme", "--type", "m2m", "--name", "robot", "--scope", "apps:read"];
    let made = room.json(&create).is(0).answer();
    let (id, secret) = (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    for arguments in [
        &["client", "show", id][..],
        &["client", "list"],
        &["client", "list", "--tenant", "acme"],
        &["client", "disable", id],
        &["client", "enable", id],
    ] {
        for run in [room.json(arguments).is(0), room.run(arguments).is(0)] {
            assert!(!run.text().contains(secret) && run.text().contains(id), "{arguments:?}");
        }
    }
    let shown = room.json(&["client", "show", id]).is(0).answer();
    assert!(secret.ends_with(shown["secrets"][0]["hint"].as_str().unwrap()), "{shown}");
    assert!(shown.get("client_secret").is_none());
    assert!(!room.run(&create).is(0).text().contains("secret  made and not shown: ``"));
    let text = room.run(&[&create[..], &["--show-secret"]].concat()).is(0);
    let told = text.text().lines().last().unwrap().strip_prefix("secret  ").unwrap().to_owned();
    assert!(told.len() > 30 && !room.run(&create).is(0).text().contains(&told));
    let log = room.run(&["audit", "tail", "--tenant", "acme"]).is(0);
    assert!(!log.text().contains(secret) && !log.text().contains(&told));
    room.json(&["client", "show", "c_0"]).fails(1, "client_not_found");
    room.json(&["client", "show", "c_0", "--tenant", "acme"]).fails(1, "client_not_found");
    room.json(&["tenant", "create", "globex"]).is(0);
    room.json(&["client", "show", id, "--tenant", "globex"]).fails(1, "client_not_found");
}

#[test]
fn impossible_clients_are_refused_by_the_rules_name() {
    let room = Room::with_acme();
    let spa = room
        .json(&[
            "client",
            "create",
            "--tenant",
            "acme",
            "--type",
            "spa",
            "--name",
            "portal",
            "--redirect-uri",
            "https://portal.example/cb",
            "--scope",
            "apps:read",
        ])
        .is(0)
        .answer();
    assert_eq!(
        (&spa["type"], &spa["auth"], &spa["pkce"], &spa["client_secret"]),
        (&json!("spa"), &json!("none"), &json!("S256"), &Value::Null)
    );
    assert_eq!(spa["redirect_uris"], json!(["https://portal.example/cb"]));
    let create = |more: &[&str]| room.json(&[&["client", "create", "--tenant", "acme", "--name", "n"], more].concat());
    create(&["--type", "spa", "--auth", "client_secret_basic"]).fails(2, "spa_has_no_secret");
    create(&["--type", "m2m-impersonation"]).fails(2, "impersonation_needs_trusted");
    create(&["--type", "web", "--redirect-uri", "http://evil.example/#x"]).fails(2, "redirect_uri_invalid");
    create(&["--type", "m2m", "--scope", "everything"]).fails(2, "scope_unknown");
    create(&["--type", "robot"]).fails(2, "usage");
    create(&["--type", "web", "--auth", "smile"]).fails(2, "usage");
}

#[test]
fn a_jwt_provider_is_added_and_listed() {
    let room = room();
    let keys: Value = serde_json::from_slice(&room.read("acme.jwks")).unwrap();
    let config = json!({"name": "backend", "issuer": "https://backend.example", "keys": keys, "algorithms": ["ES256"]});
    room.write("backend.json", config.to_string());
    let add = ["idp", "add", "jwt", "--tenant", "acme", "--config", "backend.json"];
    let added = room.json(&add).is(0).answer();
    assert_eq!((&added["kind"], &added["issuer"]), (&json!("jwt"), &json!("https://backend.example")));
    assert_eq!((&added["state"], &added["keys"]), (&json!("active"), &json!([keys["keys"][0]["kid"]])));
    let listed = room.json(&["idp", "list", "--tenant", "acme"]).is(0).answer();
    assert_eq!(listed["providers"], json!([added]));
    room.json(&add).fails(1, "issuer_taken");
    room.write("backend.json", r#"{"issuer":"https://b.example","surprise":1}"#);
    room.json(&add).is(2).error();
    room.write("backend.json", [0xff]);
    room.json(&add).fails(2, "provider_invalid");
    room.json(&["idp", "add", "horoscope", "--tenant", "acme", "--config", "backend.json"]).fails(2, "usage");
}
