//! Every valid token of every type and tenant against every policy of every other type and tenant: none is accepted.

use qsec_identity::{Algorithm, Issuer, KeySet, Reason, TokenDraft, TokenPolicy, TokenType, Validator};

use crate::workshop::{self, AUDIENCE, ISSUER, Signer, claims, now, presented};

const TENANTS: [&str; 3] = ["t-acme", "t-beta", "t-gamma"];

struct Corner {
    token_type: TokenType,
    tenant: &'static str,
    issuer: String,
    audience: String,
}

impl Corner {
    fn policy(&self) -> TokenPolicy {
        TokenPolicy::new(self.token_type, self.issuer.as_str())
            .audience(self.audience.as_str())
            .algorithms([Algorithm::Es256])
            .tenant(self.tenant)
    }

    fn token(&self, signer: &Signer) -> String {
        signer.token(self.token_type, &claims(self.token_type, &self.issuer, &self.audience, self.tenant))
    }
}

fn corners(issuer: impl Fn(&str) -> String, audience: impl Fn(TokenType) -> String) -> Vec<Corner> {
    let types = TokenType::ALL.into_iter();
    let each = types.flat_map(|token_type| TENANTS.map(|tenant| (token_type, tenant)));
    each.map(|(token_type, tenant)| Corner {
        token_type,
        tenant,
        issuer: issuer(tenant),
        audience: audience(token_type),
    })
    .collect()
}

/// Accepted pairs other than a token with its own policy; panics when a token does not pass its own.
fn foreign_accepts(corners: &[Corner], signers: &[(&'static str, Signer)]) -> Vec<String> {
    let signer = |tenant: &str| &signers.iter().find(|(owner, _)| *owner == tenant).unwrap().1;
    let mut accepted = Vec::new();
    for of_policy in corners {
        let keys = signer(of_policy.tenant).keys();
        let validator = Validator::new(of_policy.policy(), keys).unwrap();
        for of_token in corners {
            let token = of_token.token(signer(of_token.tenant));
            let own = of_policy.token_type == of_token.token_type && of_policy.tenant == of_token.tenant;
            let answer = validator.validate(&token, &presented(), now());
            match (own, answer) {
                (true, answer) => assert!(answer.is_ok(), "{} {:?}", of_token.token_type, answer),
                (false, Ok(_)) => accepted.push(format!(
                    "{} of {} by {} of {}",
                    of_token.token_type, of_token.tenant, of_policy.token_type, of_policy.tenant
                )),
                (false, Err(_)) => {}
            }
        }
    }
    accepted
}

#[test]
fn no_token_passes_the_policy_of_another_type_or_tenant() {
    let signers: Vec<(&str, Signer)> = TENANTS.map(|tenant| (tenant, Signer::new(Algorithm::Es256))).into();
    let corners = corners(|tenant| format!("https://{tenant}.example"), |token_type| format!("aud-{token_type}"));
    assert_eq!(foreign_accepts(&corners, &signers), Vec::<String>::new());
}

#[test]
fn types_stay_apart_even_under_one_issuer_key_and_audience() {
    let signer = Signer::new(Algorithm::Es256);
    for of_policy in TokenType::ALL {
        let policy = TokenPolicy::new(of_policy, ISSUER).audience(AUDIENCE).algorithms([Algorithm::Es256]);
        let validator = Validator::new(policy, signer.keys()).unwrap();
        for of_token in TokenType::ALL {
            let token = signer.token(of_token, &workshop::default_claims(of_token));
            let answer = validator.validate(&token, &presented(), now());
            assert_eq!(answer.is_ok(), of_policy == of_token, "{of_token} by {of_policy}: {answer:?}");
        }
    }
}

#[test]
fn tenants_stay_apart_even_under_one_issuer_key_and_audience() {
    let signer = Signer::new(Algorithm::Es256);
    for token_type in [TokenType::Access, TokenType::Txn, TokenType::Session, TokenType::Gateway] {
        let token = signer.token(token_type, &claims(token_type, ISSUER, AUDIENCE, "t-beta"));
        let answer = workshop::judge(&signer, workshop::policy(token_type), &token);
        assert_eq!(answer, Err(Reason::TenantMismatch), "{token_type}");
    }
}

#[test]
fn logout_token_is_not_a_login() {
    let signer = Signer::new(Algorithm::Es256);
    let mut claims = workshop::default_claims(TokenType::Id);
    claims["events"] = serde_json::json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let token = signer.token(TokenType::Id, &claims);
    assert_eq!(workshop::judge(&signer, workshop::policy(TokenType::Id), &token), Err(Reason::ClaimForbidden));
}

#[test]
fn what_the_issuer_issues_the_validator_accepts_for_that_type_alone() {
    let signer = Signer::new(Algorithm::EdDsa);
    let issuer = Issuer::new(ISSUER).unwrap();
    let issued_types = [TokenType::Access, TokenType::Id, TokenType::Txn, TokenType::Session, TokenType::Gateway];
    for token_type in issued_types {
        let mut draft = TokenDraft::new(token_type, "ada").audience(AUDIENCE).tenant("t-acme").scope("apps:read");
        if token_type == TokenType::Gateway {
            draft = draft.bind_certificate(workshop::CERTIFICATE);
        }
        if token_type == TokenType::Access {
            draft = draft.client_id("spa");
        }
        let issued = issuer.issue(&draft, signer.key(), now()).unwrap();
        for of_policy in TokenType::ALL {
            let answer = workshop::judge(&signer, workshop::policy(of_policy), issued.token());
            assert_eq!(answer.is_ok(), of_policy == token_type, "{token_type} by {of_policy}: {answer:?}");
        }
    }
}

#[test]
fn key_set_of_another_issuer_verifies_nothing() {
    let (ours, theirs) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let forged = theirs.token_with(
        &serde_json::json!({"alg": "ES256", "typ": "at+jwt", "kid": ours.kid()}),
        &workshop::default_claims(TokenType::Access),
    );
    assert_eq!(workshop::judge(&ours, workshop::policy(TokenType::Access), &forged), Err(Reason::SignatureInvalid));
    let own_kid = theirs.token(TokenType::Access, &workshop::default_claims(TokenType::Access));
    assert_eq!(workshop::judge(&ours, workshop::policy(TokenType::Access), &own_kid), Err(Reason::UnknownKey));
    let empty = Validator::new(workshop::policy(TokenType::Access), KeySet::parse(r#"{"keys":[]}"#).unwrap()).unwrap();
    assert_eq!(empty.validate(&own_kid, &presented(), now()).unwrap_err().reason(), Reason::UnknownKey);
}
