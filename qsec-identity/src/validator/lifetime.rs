//! Step H: when a token is valid.

use super::claims::Claims;
use crate::policy::TokenPolicy;
use crate::rejection::Reason;

/// `now` in Unix seconds. A token must not live longer than its issuer said, so `exp` has no leeway by default; a node
/// whose clock runs a little ahead must not break logins, so the other times have some.
pub(super) fn check(claims: &Claims<'_>, policy: &TokenPolicy, now: i64) -> Result<(), Reason> {
    let latest = now.saturating_add(policy.clock_skew);
    demand(now < claims.exp.saturating_add(policy.exp_leeway), Reason::Expired)?;
    demand(claims.nbf.is_none_or(|nbf| nbf <= latest), Reason::NotYetValid)?;
    demand(claims.iat <= latest, Reason::IssuedInFuture)?;
    demand(claims.exp > claims.iat, Reason::ClaimInvalid)?;
    let short = |since: i64| claims.exp.saturating_sub(since) <= policy.max_lifetime;
    demand(short(claims.iat) && claims.nbf.is_none_or(short), Reason::LifetimeTooLong)?;
    let Some(max_age) = policy.max_age else { return Ok(()) };
    let auth_time = claims.auth_time.ok_or(Reason::ClaimMissing)?;
    demand(auth_time <= latest, Reason::IssuedInFuture)?;
    demand(now.saturating_sub(auth_time) <= max_age, Reason::AuthTooOld)
}

fn demand(holds: bool, reason: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(reason) }
}
