//! The policy as a file.

use super::{PolicyError, TokenPolicy};
use crate::jose::Algorithm;
use crate::jose::json::Value;
use crate::members::{self, Members, entries, text, texts};
use crate::token_type::TokenType;

const MEMBERS: [&str; 21] = [
    "version",
    "token_type",
    "issuer",
    "audience",
    "algorithms",
    "tenant",
    "kid",
    "clock_skew_s",
    "exp_leeway_s",
    "max_lifetime_s",
    "max_age_s",
    "nonce",
    "binding",
    "required_scopes",
    "require_claims",
    "require_verified_email",
    "groups_claim",
    "subject_claim",
    "revoked_before",
    "revoked_jti",
    "danger",
];

pub(super) fn parse(text_of_file: &[u8]) -> Result<TokenPolicy, PolicyError> {
    let object = members::parse(text_of_file)?;
    let members = Members(&object);
    members.known(&MEMBERS)?;
    if members.required("version", Value::as_i64, "an integer")? != 1 {
        return Err(PolicyError::new("version", "is not 1"));
    }
    let token_type = members.required("token_type", |value| TokenType::parse(value.as_str()?), "a token type")?;
    let mut policy = TokenPolicy::new(token_type, members.required("issuer", text, "a string")?);
    policy.audience = members.required("audience", texts, "an array of strings")?;
    policy.algorithms = members.required("algorithms", algorithms, "an array of algorithm names")?;
    read_options(members, &mut policy)?;
    policy.check()?;
    in_place(members, token_type)?;
    Ok(policy)
}

fn read_options(members: Members<'_, '_>, policy: &mut TokenPolicy) -> Result<(), PolicyError> {
    const CHOICE: &str = "`required` or `optional`";
    let rules = policy.token_type.rules();
    policy.tenant = members.text("tenant")?;
    if let Some(required) = members.optional("kid", required_or_optional, CHOICE)? {
        policy.kid_required = required || rules.kid_always_required;
    }
    if let Some(required) = members.optional("binding", required_or_optional, CHOICE)? {
        policy.binding_required = required || rules.binding_always_required;
    }
    for (name, target) in [
        ("clock_skew_s", &mut policy.clock_skew),
        ("exp_leeway_s", &mut policy.exp_leeway),
        ("max_lifetime_s", &mut policy.max_lifetime),
    ] {
        *target = members.integer(name)?.unwrap_or(*target);
    }
    policy.max_age = members.integer("max_age_s")?;
    policy.nonce = members.text("nonce")?;
    policy.required_scopes = members.texts("required_scopes")?;
    policy.required_claims = members.texts("require_claims")?;
    policy.verified_email = members.boolean("require_verified_email")?.unwrap_or(false);
    policy.groups_claim = members.text("groups_claim")?;
    policy.subject_claim = members.text("subject_claim")?;
    policy.revoked_before = members.integer("revoked_before")?;
    policy.revoked_jti = members.texts("revoked_jti")?;
    read_danger(members, policy)
}

fn read_danger(members: Members<'_, '_>, policy: &mut TokenPolicy) -> Result<(), PolicyError> {
    let Some(danger) = members.0.get("danger") else { return Ok(()) };
    let Value::Object(danger) = danger else { return Err(PolicyError::new("danger", "is not an object")) };
    let danger = Members(danger);
    danger.known(&["typ", "symmetric"])?;
    policy.typ = danger.optional("typ", types, "an array of strings and nulls")?;
    policy.symmetric = danger.boolean("symmetric")?.unwrap_or(false);
    Ok(())
}

/// A member that says what is the default anyway is out of place as well.
fn in_place(members: Members<'_, '_>, token_type: TokenType) -> Result<(), PolicyError> {
    let rules = token_type.rules();
    let places = [("required_scopes", rules.reads_scope), ("require_verified_email", rules.reads_profile)];
    match places.into_iter().find(|(name, used)| members.0.contains(name) && !used) {
        Some((name, _)) => Err(PolicyError::unused(name, token_type)),
        None => Ok(()),
    }
}

fn algorithms(value: &Value<'_>) -> Option<Vec<Algorithm>> {
    entries(value, |name| name.as_str().and_then(Algorithm::parse))
}

fn types(value: &Value<'_>) -> Option<Vec<Option<String>>> {
    entries(value, |typ| if *typ == Value::Null { Some(None) } else { text(typ).map(Some) })
}

fn required_or_optional(value: &Value<'_>) -> Option<bool> {
    match value.as_str()? {
        "required" => Some(true),
        "optional" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(token_type: &str, more: &str) -> Result<TokenPolicy, PolicyError> {
        TokenPolicy::parse(format!(
            r#"{{"version":1,"token_type":"{token_type}","issuer":"i","audience":["a"],"algorithms":["ES256"]{more}}}"#
        ))
    }

    fn member(token_type: &str, more: &str) -> String {
        let error = policy(token_type, more).unwrap_err();
        assert_eq!(error.code(), "policy_invalid");
        error.member().to_owned()
    }

    #[test]
    fn defaults_are_those_of_the_type() {
        let access = policy("access", "").unwrap();
        assert_eq!((access.clock_skew, access.exp_leeway, access.max_lifetime), (30, 0, 21_600));
        assert!(access.kid_required && !access.binding_required);
        assert!(policy("gateway", r#","binding":"optional""#).unwrap().binding_required);
        assert!(policy("jwt_idp", r#","kid":"optional""#).unwrap().kid_required);
        assert!(!policy("access", r#","kid":"optional""#).unwrap().kid_required);
    }

    #[test]
    fn every_member_is_demanded_known_and_of_its_type() {
        for required in ["version", "token_type", "issuer", "audience", "algorithms"] {
            let text = r#"{"version":1,"token_type":"access","issuer":"i","audience":["a"],"algorithms":["ES256"]}"#;
            let without = text.replace(&format!("\"{required}\""), "\"x\"");
            assert!(TokenPolicy::parse(without).is_err(), "{required}");
        }
        assert_eq!(member("access", r#","Tenant":"t""#), "Tenant");
        for name in MEMBERS.iter().skip(5) {
            for wrong in ["{\"a\":1}", "[7]", "1.5", "null", "\"\\u0000\""] {
                assert!(policy("id", &format!(",\"{name}\":{wrong}")).is_err(), "{name} {wrong}");
            }
        }
        assert_eq!(member("logout", ""), "token_type");
    }

    #[test]
    fn values_are_in_range() {
        for (name, good, bad) in [
            ("clock_skew_s", [0, 300], [-1, 301]),
            ("exp_leeway_s", [0, 60], [-1, 61]),
            ("max_lifetime_s", [1, 86_400], [0, 86_401]),
            ("max_age_s", [0, 31_536_000], [-1, 31_536_001]),
        ] {
            for value in good {
                assert!(policy("access", &format!(",\"{name}\":{value}")).is_ok(), "{name} {value}");
            }
            for value in bad {
                assert_eq!(member("access", &format!(",\"{name}\":{value}")), name);
            }
        }
        assert_eq!(member("txn", ",\"max_lifetime_s\":301"), "max_lifetime_s");
    }

    #[test]
    fn lists_have_no_empty_and_no_repeated_entries() {
        for (name, entries) in [
            ("required_scopes", "[\"\"]"),
            ("required_scopes", "[\"a b\"]"),
            ("required_scopes", "[\"a\",\"a\"]"),
            ("require_claims", "[\"\"]"),
            ("revoked_jti", "[\"x\",\"x\"]"),
        ] {
            assert_eq!(member("access", &format!(",\"{name}\":{entries}")), name);
        }
        let with = |audience: &str, algorithms: &str| {
            TokenPolicy::parse(format!(
                r#"{{"version":1,"token_type":"access","issuer":"i","audience":{audience},"algorithms":{algorithms}}}"#
            ))
        };
        for audience in ["[]", "\"a\"", "[\"\"]", "[\"a\",\"a\"]", "[1]", r#"["1","2","3","4","5","6","7","8","9"]"#] {
            assert_eq!(with(audience, "[\"ES256\"]").unwrap_err().member(), "audience", "{audience}");
        }
        for algorithms in
            ["[]", "[\"none\"]", "[\"es256\"]", "[\"ES256\",\"ES256\"]", "[\"ES256\",\"HS256\"]", "[\"HS256\"]"]
        {
            assert_eq!(with("[\"a\"]", algorithms).unwrap_err().member(), "algorithms", "{algorithms}");
        }
    }

    #[test]
    fn members_that_the_type_does_not_use_are_refused() {
        for (token_type, more, name) in [
            ("access", r#","nonce":"n""#, "nonce"),
            ("txn", r#","max_age_s":1"#, "max_age_s"),
            ("client_assertion", r#","max_age_s":1"#, "max_age_s"),
            ("access", r#","subject_claim":"oid""#, "subject_claim"),
            ("session", r#","require_verified_email":true"#, "require_verified_email"),
            ("session", r#","require_verified_email":false"#, "require_verified_email"),
            ("txn", r#","groups_claim":"roles""#, "groups_claim"),
            ("id", r#","required_scopes":["a"]"#, "required_scopes"),
        ] {
            assert_eq!(member(token_type, more), name, "{token_type}");
        }
        assert!(
            policy("id", r#","nonce":"n","max_age_s":1,"subject_claim":"oid","require_verified_email":true"#).is_ok()
        );
    }

    #[test]
    fn danger_is_an_object_with_two_known_members() {
        let parsed = policy("access", r#","danger":{"typ":["JWT",null],"symmetric":false}"#).unwrap();
        assert_eq!(parsed.typ, Some(vec![Some("JWT".to_owned()), None]));
        for danger in
            ["[]", r#"{"x":1}"#, r#"{"typ":[]}"#, r#"{"typ":["a","a"]}"#, r#"{"typ":"a"}"#, r#"{"symmetric":1}"#]
        {
            assert!(policy("access", &format!(",\"danger\":{danger}")).is_err(), "{danger}");
        }
        let symmetric = r#"{"version":1,"token_type":"access","issuer":"i","audience":["a"],"algorithms":["HS256"],"danger":{"symmetric":true}}"#;
        assert!(TokenPolicy::parse(symmetric).is_ok());
    }
}
