//! A token of a stranger is refused with a reason; no signature of ours can be in the input.

use std::time::{Duration, SystemTime};

use qsec_identity::{Algorithm, KeySet, Presented, TokenPolicy, Validator, inspect};

/// The public key of RFC 7515, appendix A.3: tokens of the corpus may name it, none is signed with it for our audience.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","use":"sig",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

pub fn check(input: &[u8]) {
    let Ok(token) = std::str::from_utf8(input) else { return };
    let _ = inspect(token);
    let keys = KeySet::parse(KEYS).expect("the key set is fixed");
    let policy =
        TokenPolicy::access("https://issuer.example").audience("fuzz").tenant("acme").algorithms([Algorithm::Es256]);
    let validator = Validator::new(policy, keys).expect("the policy is fixed");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    assert!(validator.validate(token, &Presented::bearer(), now).is_err());
}
