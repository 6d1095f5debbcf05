//! Claims: what must be there, of which type, with which content, for whom.

use qsec_identity::{Algorithm, PrincipalKind, Reason, TokenType};
use serde_json::{Value, json};

use crate::workshop::{self, AUDIENCE, ISSUER, Signer, judge, judge_claims, judge_with, judge_without, policy};

const REQUIRED: [(TokenType, &[&str]); 7] = [
    (TokenType::Access, &["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "tenant_id"]),
    (TokenType::Id, &["iss", "sub", "aud", "exp", "iat"]),
    (
        TokenType::JwtIdp,
        &["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "name", "email", "email_verified", "subType"],
    ),
    (TokenType::Txn, &["iss", "sub", "aud", "exp", "iat", "txn", "scope", "req_wl", "tenant_id"]),
    (TokenType::ClientAssertion, &["iss", "sub", "aud", "exp", "iat", "jti"]),
    (TokenType::Session, &["iss", "sub", "aud", "exp", "iat", "jti", "sid", "tenant_id", "auth_time"]),
    (TokenType::Gateway, &["iss", "sub", "aud", "exp", "iat", "jti", "tenant_id", "cnf"]),
];

#[test]
fn every_required_claim_is_missed_and_null_is_a_wrong_type() {
    for (token_type, names) in REQUIRED {
        for name in names {
            assert_eq!(judge_without(token_type, name), Err(Reason::ClaimMissing), "{token_type} {name}");
            assert_eq!(judge_with(token_type, name, json!(null)), Err(Reason::ClaimType), "{token_type} {name}");
        }
    }
}

#[test]
fn claims_that_are_read_have_their_type_and_content() {
    use TokenType::{Access, Gateway, Id, JwtIdp, Session, Txn};
    let long = "x".repeat(257);
    for (token_type, name, value, reason) in [
        (Access, "iss", json!(7), Reason::ClaimType),
        (Access, "iss", json!("https://acme.example/"), Reason::IssMismatch),
        (Access, "sub", json!([]), Reason::ClaimType),
        (Access, "sub", json!(""), Reason::ClaimInvalid),
        (Access, "sub", json!(long), Reason::ClaimInvalid),
        (Access, "sub", json!("a\u{0}b"), Reason::ClaimInvalid),
        (Access, "sub", json!("a\u{7f}"), Reason::ClaimInvalid),
        (Access, "jti", json!(7), Reason::ClaimType),
        (Access, "scope", json!(["a"]), Reason::ClaimType),
        (Access, "scope", json!("a  b"), Reason::ClaimInvalid),
        (Access, "scope", json!(" a"), Reason::ClaimInvalid),
        (Access, "scope", json!("a\"b"), Reason::ClaimInvalid),
        (Access, "scope", json!("é"), Reason::ClaimInvalid),
        (Access, "groups", json!("finance"), Reason::ClaimType),
        (Access, "groups", json!([1]), Reason::ClaimType),
        (Access, "groups", json!(vec!["g"; 1001]), Reason::ClaimInvalid),
        (Access, "subType", json!("robot"), Reason::ClaimInvalid),
        (Access, "act", json!("x"), Reason::ClaimType),
        (Access, "act", json!({}), Reason::ClaimInvalid),
        (Access, "act", json!({"sub": 1}), Reason::ClaimType),
        (Access, "tenant_id", json!("t-beta"), Reason::TenantMismatch),
        (Id, "tenant_id", json!("t-beta"), Reason::TenantMismatch),
        (Id, "email_verified", json!("true"), Reason::ClaimType),
        (Id, "events", json!({}), Reason::ClaimForbidden),
        (Id, "subType", json!("user"), Reason::ClaimForbidden),
        (Id, "sub", json!(ISSUER), Reason::ClaimForbidden),
        (JwtIdp, "subType", json!("client"), Reason::ClaimInvalid),
        (JwtIdp, "name", json!("n".repeat(1025)), Reason::ClaimInvalid),
        (JwtIdp, "email", json!("e".repeat(321)), Reason::ClaimInvalid),
        (Txn, "req_wl", json!([]), Reason::ClaimInvalid),
        (Txn, "req_wl", json!(vec!["w"; 9]), Reason::ClaimInvalid),
        (Txn, "txn", json!(1), Reason::ClaimType),
        (Session, "sid", json!(1), Reason::ClaimType),
        (Session, "auth_time", json!("x"), Reason::ClaimType),
        (Gateway, "cnf", json!("x"), Reason::ClaimType),
        (Gateway, "cnf", json!({"jkt": "short"}), Reason::ClaimInvalid),
        (TokenType::ClientAssertion, "sub", json!("another"), Reason::SubjectMismatch),
    ] {
        assert_eq!(judge_with(token_type, name, value.clone()), Err(reason), "{token_type} {name} {value}");
    }
}

#[test]
fn claims_that_the_type_does_not_read_are_ignored_and_not_copied() {
    let principal = judge_claims(TokenType::Access, policy(TokenType::Access), |claims| {
        claims["email"] = json!(7);
        claims["name"] = json!("Ada");
        claims["nonce"] = json!([]);
        claims["sid"] = json!({});
    })
    .unwrap();
    assert_eq!((principal.name(), principal.email(), principal.session_id()), (None, None, None));
}

#[test]
fn worst_of_several_faults_is_told_in_the_order_of_the_checks() {
    let fault = |change: fn(&mut Value)| judge_claims(TokenType::Access, policy(TokenType::Access), change);
    assert_eq!(
        fault(|claims| {
            claims["sub"] = json!("");
            claims["groups"] = json!(1);
            claims.as_object_mut().unwrap().remove("jti");
        }),
        Err(Reason::ClaimMissing)
    );
    assert_eq!(
        fault(|claims| {
            claims["sub"] = json!("");
            claims["groups"] = json!(1);
        }),
        Err(Reason::ClaimType)
    );
}

#[test]
fn audience_is_one_of_any_or_all_of_them_by_type() {
    use TokenType::{Access, ClientAssertion, Id, Session};
    let two = json!([AUDIENCE, "other"]);
    let nine: Vec<&str> = vec![AUDIENCE; 9];
    for (token_type, audience, expected) in [
        (Access, two.clone(), Ok(())),
        (Session, two.clone(), Err(Reason::AudMismatch)),
        (ClientAssertion, json!([AUDIENCE]), Ok(())),
        (ClientAssertion, json!([AUDIENCE, AUDIENCE]), Err(Reason::AudMismatch)),
        (Id, json!([AUDIENCE, AUDIENCE]), Err(Reason::AzpMismatch)),
        (Access, json!([]), Err(Reason::AudMismatch)),
        (Access, json!("other"), Err(Reason::AudMismatch)),
        (Access, json!(format!("{AUDIENCE}/")), Err(Reason::AudMismatch)),
        (Access, json!({}), Err(Reason::ClaimType)),
        (Access, json!([1]), Err(Reason::ClaimType)),
        (Access, json!(nine), Err(Reason::ClaimInvalid)),
        (Access, json!(["", AUDIENCE]), Err(Reason::ClaimInvalid)),
    ] {
        let answer = judge_with(token_type, "aud", audience.clone()).map(|_| ());
        assert_eq!(answer, expected, "{token_type} {audience}");
    }
}

#[test]
fn authorized_party_must_be_the_audience() {
    let id = |azp: &str, audience: Value| {
        judge_claims(TokenType::Id, policy(TokenType::Id), |claims| {
            claims["azp"] = json!(azp);
            claims["aud"] = audience;
        })
    };
    assert_eq!(id(AUDIENCE, json!([AUDIENCE, AUDIENCE])).unwrap().client_id(), Some(AUDIENCE));
    assert_eq!(id("other", json!(AUDIENCE)), Err(Reason::AzpMismatch));
}

#[test]
fn absent_scope_is_the_empty_ceiling_for_every_type_but_session() {
    for (token_type, _) in REQUIRED {
        let scopes = if token_type == TokenType::Txn {
            judge_with(token_type, "scope", json!("")).unwrap().scopes().map(<[String]>::to_vec)
        } else {
            judge_without(token_type, "scope").unwrap().scopes().map(<[String]>::to_vec)
        };
        let expected = if token_type == TokenType::Session { None } else { Some(Vec::new()) };
        assert_eq!(scopes, expected, "{token_type}");
    }
    let empty = judge_with(TokenType::Session, "scope", json!("")).unwrap();
    assert_eq!(empty.scopes(), Some(&[][..]));
}

#[test]
fn scopes_keep_their_order_and_lose_their_repeats() {
    let principal = judge_with(TokenType::Access, "scope", json!("b a b c a")).unwrap();
    assert_eq!(principal.scopes().unwrap(), ["b", "a", "c"]);
    let many: Vec<String> = (0..65).map(|n| format!("s{n}")).collect();
    assert!(judge_with(TokenType::Access, "scope", json!(many[..64].join(" "))).is_ok());
    assert_eq!(judge_with(TokenType::Access, "scope", json!(many.join(" "))), Err(Reason::ClaimInvalid));
}

#[test]
fn required_scopes_must_all_be_there() {
    let demanding = |scopes: &[&str]| {
        judge_claims(TokenType::Access, policy(TokenType::Access).require_scopes(scopes.iter().copied()), |_| ())
    };
    assert!(demanding(&["apps:read"]).is_ok());
    assert_eq!(demanding(&["apps:read", "apps:write"]), Err(Reason::InsufficientScope));
    assert_eq!(demanding(&["Apps:read"]), Err(Reason::InsufficientScope));
}

#[test]
fn kind_follows_the_type_then_subtype_then_the_client() {
    let kind =
        |token_type, change: fn(&mut Value)| judge_claims(token_type, policy(token_type), change).unwrap().kind();
    assert_eq!(kind(TokenType::Access, |_| ()), PrincipalKind::User);
    assert_eq!(kind(TokenType::Access, |claims| claims["subType"] = json!("client")), PrincipalKind::Client);
    let as_client = |claims: &mut Value| {
        claims.as_object_mut().unwrap().remove("subType");
        claims["client_id"] = json!("ada");
    };
    assert_eq!(kind(TokenType::Access, as_client), PrincipalKind::Client);
    assert_eq!(kind(TokenType::Id, |_| ()), PrincipalKind::User);
    assert_eq!(kind(TokenType::ClientAssertion, |_| ()), PrincipalKind::Client);
    assert_eq!(kind(TokenType::Gateway, |_| ()), PrincipalKind::Gateway);
    assert_eq!(kind(TokenType::Session, |_| ()), PrincipalKind::User);
}

#[test]
fn only_the_outermost_actor_is_told_and_at_most_four_are_read() {
    let chain = |depth: usize| {
        (0..depth).fold(json!(null), |inner, n| {
            if inner.is_null() {
                json!({"sub": format!("a{n}")})
            } else {
                json!({"sub": format!("a{n}"), "act": inner})
            }
        })
    };
    assert_eq!(judge_with(TokenType::Access, "act", chain(4)).unwrap().actor(), Some("a3"));
    assert_eq!(judge_with(TokenType::Access, "act", chain(5)), Err(Reason::ClaimInvalid));
}

#[test]
fn subject_and_groups_may_come_from_other_claims() {
    let custom = policy(TokenType::Id).subject_claim("oid").groups_claim("roles");
    let principal = judge_claims(TokenType::Id, custom.clone(), |claims| {
        claims["oid"] = json!("O-1");
        claims["roles"] = json!(["b", "a", "b"]);
        claims["groups"] = json!("ignored");
    })
    .unwrap();
    assert_eq!((principal.subject(), principal.groups()), ("O-1", &["b".to_owned(), "a".to_owned()][..]));
    assert_eq!(judge_claims(TokenType::Id, custom, |_| ()), Err(Reason::ClaimMissing));
}

#[test]
fn nonce_and_verified_email_serve_the_login() {
    let login = policy(TokenType::Id).nonce("n-1").require_verified_email();
    let with = |nonce: Value, email: Value, verified: Value| {
        judge_claims(TokenType::Id, login.clone(), |claims| {
            for (name, value) in [("nonce", nonce), ("email", email), ("email_verified", verified)] {
                if !value.is_null() {
                    claims[name] = value;
                }
            }
        })
        .map(|_| ())
    };
    assert_eq!(with(json!("n-1"), json!("a@b"), json!(true)), Ok(()));
    assert_eq!(with(json!("n-2"), json!("a@b"), json!(true)), Err(Reason::NonceMismatch));
    assert_eq!(with(json!(null), json!("a@b"), json!(true)), Err(Reason::NonceMismatch));
    assert_eq!(with(json!("n-1"), json!("a@b"), json!(false)), Err(Reason::EmailUnverified));
    assert_eq!(with(json!("n-1"), json!(null), json!(true)), Err(Reason::EmailUnverified));
}

#[test]
fn header_may_not_bring_a_key_and_the_algorithm_belongs_to_the_key() {
    let signer = Signer::new(Algorithm::Es256);
    let claims = workshop::default_claims(TokenType::Access);
    let with = |name: &str, value: Value| {
        let mut header = workshop::header(&signer, TokenType::Access);
        header[name] = value;
        judge(&signer, policy(TokenType::Access), &signer.token_with(&header, &claims)).map(|_| ())
    };
    assert_eq!(with("jwk", signer.jwk()), Err(Reason::HeaderNotAllowed));
    assert_eq!(with("jku", json!("https://evil.example/keys")), Err(Reason::HeaderNotAllowed));
    assert_eq!(with("crit", json!([])), Err(Reason::CritNotSupported));
    assert_eq!(with("alg", json!("none")), Err(Reason::AlgNotAllowed));
    assert_eq!(with("alg", json!("HS256")), Err(Reason::AlgNotAllowed));
    assert_eq!(with("alg", json!("EdDSA")), Err(Reason::AlgMismatch));
    assert_eq!(with("kid", json!("../../etc/passwd")), Err(Reason::UnknownKey));
    assert_eq!(with("typ", json!("JWT")), Err(Reason::TypMismatch));
    assert_eq!(with("x5t", json!("ignored")), Ok(()));
    let unsigned = format!(
        "{}.{}.",
        workshop::base64url(workshop::header(&signer, TokenType::Access).to_string()),
        workshop::base64url(claims.to_string())
    );
    assert_eq!(judge(&signer, policy(TokenType::Access), &unsigned), Err(Reason::SignatureInvalid));
}

#[test]
fn public_key_as_hmac_secret_does_not_pass() {
    let signer = Signer::new(Algorithm::Es256);
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": signer.kid()}).to_string();
    let input = format!(
        "{}.{}",
        workshop::base64url(header),
        workshop::base64url(workshop::default_claims(TokenType::Access).to_string())
    );
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.jwk().to_string().as_bytes());
    let token = format!("{input}.{}", workshop::base64url(ring::hmac::sign(&secret, input.as_bytes())));
    assert_eq!(judge(&signer, policy(TokenType::Access), &token), Err(Reason::AlgNotAllowed));
    let careless =
        qsec_identity::TokenPolicy::access(ISSUER).audience(AUDIENCE).algorithms([Algorithm::Hs256]).danger_symmetric();
    assert_eq!(judge(&signer, careless, &token), Err(Reason::AlgMismatch));
}

#[test]
fn ed25519_spelling_of_the_token_must_be_in_the_list() {
    let signer = Signer::new(Algorithm::EdDsa);
    let claims = workshop::default_claims(TokenType::Access);
    let mut header = workshop::header(&signer, TokenType::Access);
    header["alg"] = json!("Ed25519");
    let token = signer.token_with(&header, &claims);
    assert_eq!(judge(&signer, policy(TokenType::Access), &token), Err(Reason::AlgNotAllowed));
    let principal = judge(&signer, policy(TokenType::Access).algorithms([Algorithm::Ed25519]), &token).unwrap();
    assert_eq!(principal.algorithm(), Algorithm::Ed25519);
}

#[test]
fn entries_of_a_rejection_are_for_the_operator_and_marked_unverified() {
    let signer = Signer::new(Algorithm::Es256);
    let mut claims = workshop::default_claims(TokenType::Access);
    claims["iss"] = json!("https://evil.example\n");
    claims["sub"] = json!("s".repeat(300));
    let validator = qsec_identity::Validator::new(policy(TokenType::Access), signer.keys()).unwrap();
    let refuse = |claims: &Value| {
        validator
            .validate(signer.token(TokenType::Access, claims), &workshop::presented(), workshop::now())
            .unwrap_err()
    };
    let rejection = refuse(&claims);
    assert_eq!(rejection.claims_seen().iss(), Some("https://evil.example\u{fffd}"));
    assert_eq!(rejection.claims_seen().sub().map(str::len), Some(128));
    assert!(!rejection.claims_seen().verified());
    let mut expired = workshop::default_claims(TokenType::Access);
    expired["exp"] = json!(workshop::NOW);
    expired["iat"] = json!(workshop::NOW - 1);
    assert!(refuse(&expired).claims_seen().verified());
}
