//! Step J: is the presenter the one that the token was issued to?

use std::time::SystemTime;

use subtle::ConstantTimeEq;

use super::claims::Claims;
use super::dpop;
use crate::policy::TokenPolicy;
use crate::presented::Presented;
use crate::principal::Binding;
use crate::rejection::Reason;
use crate::replay::ReplayKey;

/// What was proved.
#[derive(Debug)]
pub(super) struct Proved {
    pub(super) binding: Binding,
    pub(super) replay_keys: Vec<ReplayKey>,
}

/// A token with `cnf` is never accepted without the matching proof, whatever the policy says: the issuer meant it.
pub(super) fn check(
    claims: &Claims<'_>,
    policy: &TokenPolicy,
    presented: &Presented,
    token: &[u8],
    now: SystemTime,
) -> Result<Proved, Reason> {
    let Some(confirmation) = claims.confirmation else {
        if policy.binding_required {
            return Err(Reason::BindingRequired);
        }
        // A certificate with an unbound token is ordinary mutual TLS; a proof with one is a mistake or an attempt.
        return if presented.proof.is_some() {
            Err(Reason::BindingMismatch)
        } else {
            Ok(Proved { binding: Binding::None, replay_keys: Vec::new() })
        };
    };
    let missing = (confirmation.jkt.is_some() && presented.proof.is_none())
        || (confirmation.certificate.is_some() && presented.certificate.is_none());
    if missing {
        return Err(Reason::BindingMissing);
    }
    let mut replay_keys = Vec::new();
    let proof = presented.proof.as_ref().map(|proof| dpop::check(proof, token, policy, now)).transpose()?;
    match (confirmation.jkt, proof) {
        (Some(jkt), Some(proof)) => {
            if !bool::from(proof.thumbprint.as_bytes().ct_eq(jkt.as_bytes())) {
                return Err(Reason::BindingMismatch);
            }
            let tenant = policy.tenant.as_deref().or(claims.tenant_id).unwrap_or_default();
            replay_keys.push(proof.replay_key(tenant));
        }
        (None, None) => {}
        (None, Some(_)) => return Err(Reason::BindingMismatch),
        (Some(_), None) => return Err(Reason::BindingMissing),
    }
    if let Some(expected) = confirmation.certificate {
        let same = presented.certificate.is_some_and(|found| bool::from(found.ct_eq(&expected)));
        if !same {
            return Err(Reason::BindingMismatch);
        }
    }
    if confirmation.unsupported {
        return Err(Reason::BindingUnsupported);
    }
    let binding = match (confirmation.jkt, confirmation.certificate) {
        (Some(_), Some(_)) => Binding::DpopAndMtls,
        (Some(_), None) => Binding::Dpop,
        (None, Some(_)) => Binding::Mtls,
        (None, None) => return Err(Reason::BindingUnsupported),
    };
    Ok(Proved { binding, replay_keys })
}
