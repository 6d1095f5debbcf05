//! When a token is valid: each border on both sides.

use std::time::Duration;

use proptest::prelude::*;
use qsec_identity::{Reason, TokenPolicy, TokenType, Validator};
use serde_json::{Value, json};

use crate::workshop::{self, NOW, Signer, at, judge_claims, policy, presented};

fn timed(policy: TokenPolicy, times: &Value) -> Result<(), Reason> {
    judge_claims(TokenType::Access, policy, |claims| {
        for (name, value) in times.as_object().unwrap() {
            claims[name] = value.clone();
        }
    })
    .map(|_| ())
}

fn access() -> TokenPolicy {
    policy(TokenType::Access)
}

#[test]
fn exp_has_no_leeway_unless_given() {
    assert_eq!(timed(access(), &json!({"exp": NOW + 1})), Ok(()));
    assert_eq!(timed(access(), &json!({"exp": NOW, "iat": NOW - 5})), Err(Reason::Expired));
    let lenient = || access().exp_leeway(Duration::from_mins(1));
    assert_eq!(timed(lenient(), &json!({"exp": NOW - 59, "iat": NOW - 90})), Ok(()));
    assert_eq!(timed(lenient(), &json!({"exp": NOW - 60, "iat": NOW - 90})), Err(Reason::Expired));
}

#[test]
fn nbf_and_iat_may_lie_30_seconds_ahead() {
    for (name, reason) in [("nbf", Reason::NotYetValid), ("iat", Reason::IssuedInFuture)] {
        assert_eq!(timed(access(), &json!({name: NOW + 30, "exp": NOW + 90})), Ok(()));
        assert_eq!(timed(access(), &json!({name: NOW + 31, "exp": NOW + 90})), Err(reason));
        let strict = access().clock_skew(Duration::ZERO);
        assert_eq!(timed(strict, &json!({name: NOW + 1, "exp": NOW + 90})), Err(reason));
    }
}

#[test]
fn order_of_the_time_checks_is_fixed() {
    let all_wrong = json!({"exp": NOW, "nbf": NOW + 99, "iat": NOW + 99});
    assert_eq!(timed(access(), &all_wrong), Err(Reason::Expired));
    assert_eq!(timed(access(), &json!({"exp": NOW + 9, "nbf": NOW + 99, "iat": NOW + 99})), Err(Reason::NotYetValid));
    assert_eq!(timed(access(), &json!({"exp": NOW + 9, "iat": NOW + 99})), Err(Reason::IssuedInFuture));
    assert_eq!(timed(access(), &json!({"exp": NOW + 9, "iat": NOW + 9})), Err(Reason::ClaimInvalid));
}

#[test]
fn life_is_measured_from_iat_and_from_nbf() {
    let short = || access().max_lifetime(Duration::from_secs(100));
    assert_eq!(timed(short(), &json!({"exp": NOW + 100})), Ok(()));
    assert_eq!(timed(short(), &json!({"exp": NOW + 101})), Err(Reason::LifetimeTooLong));
    assert_eq!(timed(short(), &json!({"exp": NOW + 50, "nbf": NOW - 51})), Err(Reason::LifetimeTooLong));
}

#[test]
fn login_must_be_recent_where_the_policy_asks() {
    let recent = || access().max_age(Duration::from_mins(1));
    assert_eq!(timed(recent(), &json!({"auth_time": NOW - 60})), Ok(()));
    assert_eq!(timed(recent(), &json!({"auth_time": NOW - 61})), Err(Reason::AuthTooOld));
    assert_eq!(timed(recent(), &json!({"auth_time": NOW + 31})), Err(Reason::IssuedInFuture));
    assert_eq!(timed(recent(), &json!({})), Err(Reason::ClaimMissing));
    assert_eq!(timed(access(), &json!({"auth_time": "ignored"})), Ok(()));
}

#[test]
fn numeric_dates_are_integers_of_this_era() {
    for wrong in [json!(1.5), json!(1e9), json!("1700000000"), json!(true), json!(null)] {
        assert_eq!(timed(access(), &json!({"exp": wrong.clone()})), Err(Reason::ClaimType), "{wrong}");
    }
    for wrong in [json!(-1), json!(253_402_300_800_i64)] {
        assert_eq!(timed(access(), &json!({"exp": wrong.clone()})), Err(Reason::ClaimInvalid), "{wrong}");
    }
    let signer = Signer::new(qsec_identity::Algorithm::Es256);
    let payload = workshop::default_claims(TokenType::Access).to_string();
    let huge = payload.replace(&(NOW + 250).to_string(), "99999999999999999999");
    let token = signer.jws(&workshop::header(&signer, TokenType::Access).to_string(), &huge);
    assert_eq!(workshop::judge(&signer, access(), &token), Err(Reason::ClaimType));
}

#[test]
fn tokens_from_before_a_revocation_and_listed_ones_are_refused() {
    assert_eq!(timed(access().revoked_before(at(NOW)), &json!({})), Ok(()));
    assert_eq!(timed(access().revoked_before(at(NOW + 1)), &json!({})), Err(Reason::Revoked));
    assert_eq!(timed(access().revoked_jti(["j-1"]), &json!({})), Err(Reason::Revoked));
    assert_eq!(timed(access().revoked_jti(["j-2"]), &json!({})), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whoever_is_accepted_lives_now_and_not_too_long(exp in NOW - 100..NOW + 30_000, iat in NOW - 22_000..NOW + 100, clock in NOW - 200..NOW + 200) {
        let signer = Signer::new(qsec_identity::Algorithm::EdDsa);
        let mut claims = workshop::default_claims(TokenType::Access);
        claims["exp"] = json!(exp);
        claims["iat"] = json!(iat);
        let validator = Validator::new(access(), signer.keys()).unwrap();
        let accepted = validator.validate(signer.token(TokenType::Access, &claims), &presented(), at(clock)).is_ok();
        prop_assert_eq!(accepted, clock < exp && iat <= clock + 30 && iat < exp && exp - iat <= 21_600);
    }
}
