//! The JWS core (RFC 7515): header, key, signature. The payload stays octets.

use super::algorithm::Algorithm;
use super::base64url;
use super::json::{self, Limits, Object, Value};
use super::key::VerifyingKey;
use super::key_set::KeySet;
use crate::rejection::Reason;

/// Bytes of a token: the header field that carries it is bounded at this size by common servers.
pub(crate) const MAX_TOKEN_BYTES: usize = 16_384;
/// Bytes of a decoded header: ours have 80, with a certificate thumbprint 150.
pub(crate) const MAX_HEADER_BYTES: usize = 4096;
/// Members of a header.
const MAX_HEADER_MEMBERS: usize = 16;

/// Members that would make the token choose its own key, hide its content or change what was signed. They are refused
/// whatever they say: fetching or parsing them is the attack (RFC 8725 section 3.10).
const FORBIDDEN: [&str; 16] =
    ["jwk", "jku", "x5u", "x5c", "b64", "cty", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "crit"];

/// A compact JWS, taken apart and decoded, nothing checked.
#[derive(Debug)]
pub(crate) struct Segments<'a> {
    pub(crate) signing_input: &'a [u8],
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Segments<'a> {
    pub(crate) fn split(token: &'a [u8], max: usize) -> Result<Self, Reason> {
        if token.len() > max {
            return Err(Reason::TooLarge);
        }
        let mut parts = token.split(|octet| *octet == b'.');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        let [header, payload, signature] = match parts {
            [Some(header), Some(payload), Some(signature), None, ..] => [header, payload, signature],
            [_, _, _, _, Some(_), None] => return Err(Reason::JweNotSupported),
            [..] => return Err(Reason::NotCompactJws),
        };
        if header.is_empty() {
            return Err(Reason::NotCompactJws);
        }
        if header.len() > MAX_HEADER_BYTES.div_ceil(3).saturating_mul(4) {
            return Err(Reason::TooLarge);
        }
        let signed = header.len().saturating_add(payload.len()).saturating_add(1);
        let decode = |part| base64url::decode(part).ok_or(Reason::Base64);
        let header = decode(header)?;
        if header.len() > MAX_HEADER_BYTES {
            return Err(Reason::TooLarge);
        }
        Ok(Self {
            signing_input: token.get(..signed).unwrap_or_default(),
            header,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

/// What the header may say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Values of `typ`, `None` for absent; an empty list: any.
    pub(crate) typ: &'a [Option<&'a str>],
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) kid_required: bool,
    /// The one forbidden member that a `DPoP` proof carries.
    pub(crate) own_key: bool,
}

/// A header that passed its checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<&'a str>,
}

impl<'a> Header<'a> {
    pub(crate) fn check(members: &'a Object<'_>, expected: Expected<'_>) -> Result<Self, Reason> {
        if members.contains("crit") {
            return Err(Reason::CritNotSupported);
        }
        let forbidden = |name: &&str| members.contains(name) && !(expected.own_key && *name == "jwk");
        if FORBIDDEN.iter().any(forbidden) || members.len() > MAX_HEADER_MEMBERS {
            return Err(Reason::HeaderNotAllowed);
        }
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Reason::HeaderInvalid),
        };
        let (name, kid, typ) = (text("alg")?, text("kid")?, text("typ")?);
        if !expected.typ.is_empty() && !expected.typ.iter().any(|wanted| same_type(*wanted, typ)) {
            return Err(Reason::TypMismatch);
        }
        let algorithm = name.and_then(Algorithm::parse).filter(|algorithm| expected.algorithms.contains(algorithm));
        Ok(Self { algorithm: algorithm.ok_or(Reason::AlgNotAllowed)?, kid })
    }
}

/// RFC 7515 section 4.1.9: media types, of which `application/` may be left out.
fn same_type(wanted: Option<&str>, found: Option<&str>) -> bool {
    match (wanted, found) {
        (None, None) => true,
        (Some(wanted), Some(found)) => bare_type(wanted).eq_ignore_ascii_case(bare_type(found)),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The type without one leading `application/`.
pub(crate) fn bare_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        Some(_) | None => typ,
    }
}

/// Reads both parts as strict JSON objects. Of several faults the gravest is reported, whichever part it is in.
pub(crate) fn objects<'a>(header: &'a [u8], payload: &'a [u8]) -> Result<(Object<'a>, Object<'a>), Reason> {
    match (json::parse_object(header, Limits::TOKEN), json::parse_object(payload, Limits::TOKEN)) {
        (Ok(header), Ok(payload)) => Ok((header, payload)),
        (Err(header), Err(payload)) => Err(header.fault.min(payload.fault).into()),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error.fault.into()),
    }
}

/// Steps D and E: the one key, one attempt.
pub(crate) fn verify<'k>(
    segments: &Segments<'_>,
    header: Header<'_>,
    keys: &'k KeySet,
    expected: Expected<'_>,
) -> Result<&'k VerifyingKey, Reason> {
    let (key, algorithm) = keys.select(header.kid, expected.kid_required, header.algorithm, expected.algorithms)?;
    if key.verify(algorithm, segments.signing_input, &segments.signature) {
        Ok(key)
    } else {
        Err(Reason::SignatureInvalid)
    }
}

/// The key in the header of a `DPoP` proof.
pub(crate) fn own_key(members: &Object<'_>) -> Option<VerifyingKey> {
    match members.get("jwk")? {
        Value::Object(jwk) => VerifyingKey::from_object(jwk).ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(token: &str) -> Result<Segments<'_>, Reason> {
        Segments::split(token.as_bytes(), MAX_TOKEN_BYTES)
    }

    fn check(header: &str) -> Result<Algorithm, Reason> {
        let members = json::parse_object(header.as_bytes(), Limits::TOKEN).unwrap();
        let typ = [Some("at+jwt")];
        let expected = Expected { typ: &typ, algorithms: &[Algorithm::Es256], kid_required: true, own_key: false };
        Header::check(&members, expected).map(|header| header.algorithm)
    }

    #[test]
    fn compact_form_has_three_segments() {
        for token in ["", "e30", "e30.e30", "e30.e30.AA.AA", "e30.e30.AA.AA.AA.AA", ".e30.AA"] {
            assert_eq!(split(token).unwrap_err(), Reason::NotCompactJws, "{token}");
        }
        assert_eq!(split("e30.AA.AA.AA.AA").unwrap_err(), Reason::JweNotSupported);
        assert_eq!(split("e30.e30.A").unwrap_err(), Reason::Base64);
        assert_eq!(split("e30=.e30.AA").unwrap_err(), Reason::Base64);
        assert_eq!(split("e30.e30.AA").unwrap().signing_input, b"e30.e30");
        assert!(split("e30.e30.").unwrap().signature.is_empty());
    }

    #[test]
    fn sizes_are_bounded_before_anything_is_decoded() {
        let token = format!("e30.e30.{}", "A".repeat(MAX_TOKEN_BYTES - 8));
        assert!(split(&token).is_ok());
        assert_eq!(split(&format!("{token}A")).unwrap_err(), Reason::TooLarge);
        let header = |bytes: usize| format!("{}.e30.AA", base64url::encode(vec![b' '; bytes]));
        assert!(split(&header(MAX_HEADER_BYTES)).is_ok());
        assert_eq!(split(&header(MAX_HEADER_BYTES + 1)).unwrap_err(), Reason::TooLarge);
    }

    #[test]
    fn forbidden_members_are_refused_whatever_they_say() {
        for name in FORBIDDEN {
            let reason = if name == "crit" { Reason::CritNotSupported } else { Reason::HeaderNotAllowed };
            for value in ["null", "[]", "\"x\"", "{}"] {
                let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","{name}":{value}}}"#);
                assert_eq!(check(&header), Err(reason), "{header}");
            }
        }
        assert_eq!(check(r#"{"alg":"ES256","typ":"at+jwt","x5t":"AA","x5t#S256":7,"other":{}}"#), Ok(Algorithm::Es256));
    }

    #[test]
    fn header_has_at_most_16_members() {
        let header = |extra: usize| {
            let more = (0..extra).fold(String::new(), |more, n| more + &format!(",\"m{n}\":0"));
            format!(r#"{{"alg":"ES256","typ":"at+jwt"{more}}}"#)
        };
        assert_eq!(check(&header(14)), Ok(Algorithm::Es256));
        assert_eq!(check(&header(15)), Err(Reason::HeaderNotAllowed));
    }

    #[test]
    fn type_is_compared_without_case_and_without_one_application_prefix() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert_eq!(check(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#)), Ok(Algorithm::Es256), "{typ}");
        }
        for typ in ["jwt", "", "at+jwt ", "application/application/at+jwt", "text/at+jwt"] {
            assert_eq!(check(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#)), Err(Reason::TypMismatch), "{typ}");
        }
        assert_eq!(check(r#"{"alg":"ES256"}"#), Err(Reason::TypMismatch));
    }

    #[test]
    fn members_that_are_read_must_be_strings() {
        for header in [
            r#"{"alg":1,"typ":"at+jwt"}"#,
            r#"{"alg":"ES256","typ":null}"#,
            r#"{"alg":"ES256","typ":"at+jwt","kid":1}"#,
        ] {
            assert_eq!(check(header), Err(Reason::HeaderInvalid), "{header}");
        }
        for alg in ["none", "None", "es256", "ES384", "HS256", ""] {
            assert_eq!(check(&format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#)), Err(Reason::AlgNotAllowed), "{alg}");
        }
        assert_eq!(check(r#"{"typ":"at+jwt"}"#), Err(Reason::AlgNotAllowed));
    }
}
