//! A refused token: one text for the caller, another for the operator.

use std::fmt;

use crate::jose::json::JsonFault;
use crate::token_type::TokenType;

/// Bytes of a claim that a rejection repeats for the operator.
const MAX_CLAIM_SEEN: usize = 128;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $message:literal;)+) => {
        /// Why a token was refused, for the audit event and the operator: the first check that failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }
        }
    };
}

reasons! {
    /// The token or its header is longer than permitted.
    TooLarge = "too_large", "the token is too large";
    /// Five segments: an encrypted token.
    JweNotSupported = "jwe_not_supported", "encrypted tokens are not supported";
    /// Not three segments, or the header or payload is empty.
    NotCompactJws = "not_compact_jws", "the token is not a compact JWS";
    /// A segment is not canonical base64url.
    Base64 = "base64", "a segment is not canonical base64url";
    /// Header or payload is not a JSON object by RFC 8259.
    NotJsonObject = "not_json_object", "header or payload is not a JSON object";
    /// A member name is repeated.
    DuplicateMember = "duplicate_member", "a member name is repeated";
    /// Containers are nested too deep.
    TooDeep = "too_deep", "header or payload is nested too deep";
    /// Too many values in one part.
    TooManyValues = "too_many_values", "header or payload has too many values";
    /// `crit` is there.
    CritNotSupported = "crit_not_supported", "critical header members are not supported";
    /// A forbidden header member is there, or there are too many members.
    HeaderNotAllowed = "header_not_allowed", "the header holds a member that is not allowed";
    /// `alg`, `kid` or `typ` is not a string.
    HeaderInvalid = "header_invalid", "a header member has the wrong type";
    /// `typ` is not that of this type of token.
    TypMismatch = "typ_mismatch", "the token is of another type";
    /// `alg` is absent or not in the policy.
    AlgNotAllowed = "alg_not_allowed", "the algorithm is not allowed";
    /// `iss` is not that of the policy.
    IssMismatch = "iss_mismatch", "the token is from another issuer";
    /// `kid` is empty, too long, or holds control characters.
    KidInvalid = "kid_invalid", "the key id is not valid";
    /// `kid` is absent, and no single key is meant.
    KidMissing = "kid_missing", "the token names no key";
    /// No key of the issuer is meant.
    UnknownKey = "unknown_key", "the key is not known";
    /// The key that is named cannot be used.
    KeyUnusable = "key_unusable", "the key cannot be used";
    /// The algorithm is not that of the key.
    AlgMismatch = "alg_mismatch", "the algorithm is not that of the key";
    /// The keys of the issuer are not at hand now.
    KeysUnavailable = "keys_unavailable", "the keys of the issuer are not available";
    /// The signature does not verify.
    SignatureInvalid = "signature_invalid", "the signature does not verify";
    /// A required claim is absent.
    ClaimMissing = "claim_missing", "a required claim is missing";
    /// A claim has the wrong JSON type.
    ClaimType = "claim_type", "a claim has the wrong type";
    /// The content of a claim is not permitted.
    ClaimInvalid = "claim_invalid", "a claim is not valid";
    /// A claim is there that this type must not have.
    ClaimForbidden = "claim_forbidden", "a claim is there that this type of token must not have";
    /// `aud` is not the audience.
    AudMismatch = "aud_mismatch", "the token is for another audience";
    /// `azp` is not the audience, or is absent beside several audiences.
    AzpMismatch = "azp_mismatch", "the token was issued to another party";
    /// `tenant_id` is not the tenant of the policy.
    TenantMismatch = "tenant_mismatch", "the token belongs to another tenant";
    /// `sub` is not what the type demands.
    SubjectMismatch = "subject_mismatch", "the subject is not that of the issuer";
    /// The end of its life has come.
    Expired = "expired", "the token has expired";
    /// Its life has not begun.
    NotYetValid = "not_yet_valid", "the token is not valid yet";
    /// It was issued, or the user logged in, in the future.
    IssuedInFuture = "issued_in_future", "the token was issued in the future";
    /// It lives longer than permitted.
    LifetimeTooLong = "lifetime_too_long", "the token lives too long";
    /// The login is longer ago than permitted.
    AuthTooOld = "auth_too_old", "the login is too long ago";
    /// `nonce` is not that of this login.
    NonceMismatch = "nonce_mismatch", "the nonce is not that of this login";
    /// The e-mail address is absent or not verified.
    EmailUnverified = "email_unverified", "the e-mail address is not verified";
    /// The policy demands a bound token.
    BindingRequired = "binding_required", "the token is not bound to a key";
    /// The token is bound, and the proof was not presented.
    BindingMissing = "binding_missing", "the proof of possession is missing";
    /// The `DPoP` proof is faulty.
    DpopInvalid = "dpop_invalid", "the DPoP proof is not valid";
    /// The proof is of another key.
    BindingMismatch = "binding_mismatch", "the proof of possession is of another key";
    /// The token is bound in a way that is not supported.
    BindingUnsupported = "binding_unsupported", "the way the token is bound is not supported";
    /// A required scope is not in the token.
    InsufficientScope = "insufficient_scope", "a required scope is missing";
    /// The tenant is not active.
    TenantInactive = "tenant_inactive", "the tenant is not active";
    /// The token was revoked.
    Revoked = "revoked", "the token was revoked";
    /// The token was used before.
    Replayed = "replayed", "the token was used before";
    /// A store that had to be asked cannot be reached.
    StoreUnavailable = "store_unavailable", "a store cannot be reached";
}

impl From<JsonFault> for Reason {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::NotJsonObject => Self::NotJsonObject,
            JsonFault::DuplicateMember => Self::DuplicateMember,
            JsonFault::TooDeep => Self::TooDeep,
            JsonFault::TooManyValues => Self::TooManyValues,
        }
    }
}

impl Reason {
    /// Whether the text was a token at all, and whether asking again can help.
    pub fn class(self) -> RejectionClass {
        if self <= Self::TooManyValues {
            RejectionClass::Malformed
        } else if matches!(self, Self::KeysUnavailable | Self::StoreUnavailable) {
            RejectionClass::Unavailable
        } else {
            RejectionClass::Refused
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who has to do something about a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionClass {
    /// The text is not a compact JWS with two strict JSON objects.
    Malformed,
    /// A token that was not accepted.
    Refused,
    /// A dependency cannot be reached: the same token may be accepted later.
    Unavailable,
}

/// What the caller may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublicCode {
    /// The text is not a token.
    InvalidRequest,
    /// The token is not accepted.
    InvalidToken,
    /// The client assertion is not accepted.
    InvalidClient,
    /// The `DPoP` proof is not accepted.
    InvalidDpopProof,
    /// A scope is missing.
    InsufficientScope,
    /// Try again later.
    TemporarilyUnavailable,
    /// The tenant is not active.
    TenantInactive,
}

impl PublicCode {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InvalidClient => "invalid_client",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::InsufficientScope => "insufficient_scope",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::TenantInactive => "tenant_inactive",
        }
    }

    /// The status of the answer over HTTP.
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::InvalidToken | Self::InvalidClient | Self::InvalidDpopProof => 401,
            Self::InsufficientScope | Self::TenantInactive => 403,
            Self::TemporarilyUnavailable => 503,
        }
    }
}

impl fmt::Display for PublicCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a refused token said of itself, for the operator: cut to 128 bytes each, control characters replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimsSeen {
    pub(crate) iss: Option<String>,
    pub(crate) sub: Option<String>,
    pub(crate) jti: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) verified: bool,
}

impl ClaimsSeen {
    /// The issuer.
    pub fn iss(&self) -> Option<&str> {
        self.iss.as_deref()
    }

    /// The subject.
    pub fn sub(&self) -> Option<&str> {
        self.sub.as_deref()
    }

    /// The token's own id.
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }

    /// The key id.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether the signature had been verified when the token was refused. Otherwise anyone may have written this.
    pub fn verified(&self) -> bool {
        self.verified
    }
}

/// A claim as a log may show it.
pub(crate) fn cleaned(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_CLAIM_SEEN);
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A token that was not accepted.
///
/// [`Rejection::public`] is for the caller, everything else for the operator.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_identity::{Algorithm, KeySet, Presented, PublicCode, RejectionClass, TokenPolicy, Validator};
///
/// let policy = TokenPolicy::access("https://acme.example").audience("api").algorithms([Algorithm::Es256]);
/// let validator = Validator::new(policy, KeySet::parse(r#"{"keys":[]}"#)?)?;
/// let rejection = validator.validate("no token", &Presented::bearer(), SystemTime::UNIX_EPOCH).unwrap_err();
/// assert_eq!(rejection.public(), PublicCode::InvalidRequest);
/// assert_eq!(rejection.reason().as_str(), "not_compact_jws");
/// assert_eq!(rejection.class(), RejectionClass::Malformed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.message())]
pub struct Rejection {
    reason: Reason,
    public: PublicCode,
    claims_seen: Box<ClaimsSeen>,
    scope_needed: Box<str>,
}

impl Rejection {
    /// A rejection for a check that lies outside of the validator, such as the state of the tenant.
    pub fn new(reason: Reason) -> Self {
        Self::of(reason, TokenType::Access, ClaimsSeen::default(), false, String::new())
    }

    pub(crate) fn of(
        reason: Reason,
        token_type: TokenType,
        claims_seen: ClaimsSeen,
        with_proof: bool,
        scope_needed: String,
    ) -> Self {
        let public = match (reason, reason.class()) {
            (_, RejectionClass::Malformed) => PublicCode::InvalidRequest,
            (_, RejectionClass::Unavailable) => PublicCode::TemporarilyUnavailable,
            (Reason::TenantInactive, _) => PublicCode::TenantInactive,
            _ if token_type == TokenType::ClientAssertion => PublicCode::InvalidClient,
            (Reason::DpopInvalid, _) => PublicCode::InvalidDpopProof,
            (Reason::BindingMismatch, _) if with_proof => PublicCode::InvalidDpopProof,
            (Reason::InsufficientScope, _) => PublicCode::InsufficientScope,
            (_, RejectionClass::Refused) => PublicCode::InvalidToken,
        };
        Self { reason, public, claims_seen: Box::new(claims_seen), scope_needed: scope_needed.into() }
    }

    /// What the caller may learn.
    pub fn public(&self) -> PublicCode {
        self.public
    }

    /// The check that failed, for the audit event.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Malformed, refused, or a dependency that is away.
    pub fn class(&self) -> RejectionClass {
        self.reason.class()
    }

    /// What the token said of itself.
    pub fn claims_seen(&self) -> &ClaimsSeen {
        &self.claims_seen
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1), where the answer has one. Nothing of
    /// the token is in it.
    pub fn www_authenticate(&self) -> Option<String> {
        match self.public {
            PublicCode::InvalidRequest => Some("Bearer error=\"invalid_request\"".to_owned()),
            PublicCode::InvalidToken => {
                Some("Bearer error=\"invalid_token\", error_description=\"the token is not accepted\"".to_owned())
            }
            PublicCode::InvalidDpopProof => Some("DPoP error=\"invalid_dpop_proof\", algs=\"ES256 EdDSA\"".to_owned()),
            PublicCode::InsufficientScope => {
                Some(format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", self.scope_needed))
            }
            PublicCode::InvalidClient => Some("Basic realm=\"oauth\"".to_owned()),
            PublicCode::TemporarilyUnavailable | PublicCode::TenantInactive => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct_snake_case_words() {
        let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(
            codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        );
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn public_code_tells_less_than_the_reason() {
        let public = |reason, token_type, proof| {
            Rejection::of(reason, token_type, ClaimsSeen::default(), proof, String::new()).public().as_str()
        };
        for reason in Reason::ALL {
            let expected = match reason.as_str() {
                "too_large" | "jwe_not_supported" | "not_compact_jws" | "base64" | "not_json_object"
                | "duplicate_member" | "too_deep" | "too_many_values" => "invalid_request",
                "keys_unavailable" | "store_unavailable" => "temporarily_unavailable",
                "tenant_inactive" => "tenant_inactive",
                "insufficient_scope" => "insufficient_scope",
                "dpop_invalid" => "invalid_dpop_proof",
                _ => "invalid_token",
            };
            assert_eq!(public(*reason, TokenType::Access, false), expected, "{reason}");
        }
        assert_eq!(public(Reason::BindingMismatch, TokenType::Access, true), "invalid_dpop_proof");
        assert_eq!(public(Reason::Expired, TokenType::ClientAssertion, false), "invalid_client");
        assert_eq!(public(Reason::Base64, TokenType::ClientAssertion, false), "invalid_request");
    }

    #[test]
    fn every_public_code_has_the_status_of_its_rfc() {
        let status = |reason| Rejection::new(reason).public().http_status();
        assert_eq!(status(Reason::Base64), 400);
        assert_eq!(status(Reason::Expired), 401);
        assert_eq!(status(Reason::InsufficientScope), 403);
        assert_eq!(status(Reason::KeysUnavailable), 503);
        assert_eq!(status(Reason::TenantInactive), 403);
    }

    #[test]
    fn claims_for_the_operator_are_cut_at_a_character_and_cleaned() {
        assert_eq!(cleaned("a\nb\u{7f}\u{85}c"), "a\u{fffd}b\u{fffd}\u{fffd}c");
        assert_eq!(cleaned(&"é".repeat(100)).len(), 128);
        assert_eq!(cleaned(&format!("a{}", "é".repeat(100))).len(), 127);
    }

    #[test]
    fn challenge_names_the_scope_that_is_needed_and_nothing_of_the_token() {
        let seen = ClaimsSeen { sub: Some("ada".to_owned()), ..ClaimsSeen::default() };
        let rejection =
            Rejection::of(Reason::InsufficientScope, TokenType::Access, seen, false, "apps:read".to_owned());
        assert_eq!(rejection.www_authenticate().unwrap(), "Bearer error=\"insufficient_scope\", scope=\"apps:read\"");
        assert!(!rejection.to_string().contains("ada"));
    }
}
