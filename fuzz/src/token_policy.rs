//! A token policy is read or refused by the name of a member.

use qsec_identity::TokenPolicy;

pub fn check(json: &[u8]) {
    let _ = TokenPolicy::parse(json);
}
