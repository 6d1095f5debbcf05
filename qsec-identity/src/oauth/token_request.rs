//! A request to the token endpoint, taken apart: parameters once each, one way to authenticate.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::answer::{OAuthError, OAuthErrorCode};
use super::client::ClientAuth;
use crate::jose::json::{self, Limits, Value};

/// Bytes of a body.
const MAX_BODY: usize = 64 * 1024;
/// Parameters of a request.
const MAX_PARAMETERS: usize = 64;
/// Bytes of one parameter, decoded, and of the `Authorization` header.
const MAX_PARAMETER: usize = 8 * 1024;
/// A JSON body is one object of texts.
const LIMITS: Limits = Limits { depth: 2, values: MAX_PARAMETERS + 1 };

/// How the client says who it is. The secret is erased when the request goes.
pub(super) enum Credentials {
    Basic(Zeroizing<String>),
    Post(Zeroizing<String>),
    Assertion,
    None,
}

impl Credentials {
    pub(super) fn method(&self) -> ClientAuth {
        match self {
            Self::Basic(_) => ClientAuth::ClientSecretBasic,
            Self::Post(_) => ClientAuth::ClientSecretPost,
            Self::Assertion => ClientAuth::PrivateKeyJwt,
            Self::None => ClientAuth::None,
        }
    }

    pub(super) fn secret(&self) -> &str {
        match self {
            Self::Basic(secret) | Self::Post(secret) => secret,
            Self::Assertion | Self::None => "",
        }
    }
}

/// A well-formed request to the token endpoint. Nothing in it is believed yet.
///
/// ```
/// use qsec_identity::oauth::TokenRequest;
///
/// let headers: [(&str, &[u8]); 1] = [("content-type", b"application/x-www-form-urlencoded")];
/// let body = b"grant_type=client_credentials&client_id=c_1&client_secret=x&scope=apps%3Aread";
/// let request = TokenRequest::parse("POST", &headers, body)?;
/// assert_eq!(request.client_id(), Some("c_1"));
/// # Ok::<(), qsec_identity::oauth::OAuthError>(())
/// ```
pub struct TokenRequest {
    pub(super) credentials: Credentials,
    pub(super) proof: Option<String>,
    client_id: Option<String>,
    parameters: Vec<(String, Zeroizing<String>)>,
}

impl TokenRequest {
    /// Takes a request apart: its method, its headers as pairs, its body.
    ///
    /// # Errors
    /// [`OAuthError`] `invalid_request` for anything that is repeated, too large, malformed, or authenticates twice;
    /// `invalid_client` for an `Authorization` header that is not Basic.
    pub fn parse(method: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Result<Self, OAuthError> {
        if method != "POST" {
            return Err(invalid("method"));
        }
        if body.len() > MAX_BODY {
            return Err(invalid("body_too_large"));
        }
        let parameters = parameters(header(headers, "content-type")?, body)?;
        let authorization = header(headers, "authorization")?.map(basic).transpose()?;
        let proof = header(headers, "dpop")?.map(str::to_owned);
        let mut request = Self { credentials: Credentials::None, proof, client_id: None, parameters };
        request.authenticate(authorization)?;
        Ok(request)
    }

    fn authenticate(&mut self, authorization: Option<(String, Zeroizing<String>)>) -> Result<(), OAuthError> {
        self.client_id = self.parameter("client_id").map(str::to_owned);
        let secret = self.parameter("client_secret").map(|secret| Zeroizing::new(secret.to_owned()));
        let assertion = ["client_assertion", "client_assertion_type"].iter().any(|name| self.parameter(name).is_some());
        self.credentials = match (authorization, secret, assertion) {
            (Some((id, secret)), None, false) => {
                if self.client_id.as_ref().is_some_and(|other| *other != id) {
                    return Err(invalid("client_id_differs"));
                }
                self.client_id = Some(id);
                Credentials::Basic(secret)
            }
            (None, Some(secret), false) => Credentials::Post(secret),
            (None, None, true) => Credentials::Assertion,
            (None, None, false) => Credentials::None,
            (_, _, _) => return Err(invalid("authenticated_twice")),
        };
        Ok(())
    }

    /// The client that the request names: load it, and hand it to [`TokenEndpoint::decide`](super::TokenEndpoint::decide).
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("client_id", &self.client_id)
            .field("auth", &self.credentials.method())
            .finish_non_exhaustive()
    }
}

fn invalid(reason: &'static str) -> OAuthError {
    OAuthError::new(OAuthErrorCode::InvalidRequest, reason)
}

/// The only header of that name. Two of one name are two texts of which two readers choose differently.
fn header<'a>(headers: &[(&str, &'a [u8])], name: &str) -> Result<Option<&'a str>, OAuthError> {
    let mut found = headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) if value.len() <= MAX_PARAMETER => {
            std::str::from_utf8(value).map(Some).map_err(|_| invalid("header_not_text"))
        }
        (Some(_), None) => Err(invalid("header_too_large")),
        (Some(_), Some(_)) => Err(invalid("header_repeated")),
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn basic(value: &str) -> Result<(String, Zeroizing<String>), OAuthError> {
    let refused = |reason| OAuthError::new(OAuthErrorCode::InvalidClient, reason).challenging(true);
    let encoded = match value.split_once(' ') {
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => encoded.trim_matches(' '),
        Some(_) | None => return Err(refused("authorization_not_basic")),
    };
    let octets = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| refused("basic_malformed"))?);
    let text = std::str::from_utf8(&octets).map_err(|_| refused("basic_malformed"))?;
    let (id, secret) = text.split_once(':').ok_or_else(|| refused("basic_malformed"))?;
    match (form_decode(id), form_decode(secret)) {
        (Some(id), Some(secret)) => Ok((id.to_string(), secret)),
        (_, _) => Err(refused("basic_malformed")),
    }
}

fn parameters(content_type: Option<&str>, body: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, OAuthError> {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let parameters = if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        form(body)?
    } else if media_type.eq_ignore_ascii_case("application/json") {
        json_texts(body)?
    } else {
        return Err(invalid("content_type"));
    };
    if parameters.len() > MAX_PARAMETERS {
        return Err(invalid("too_many_parameters"));
    }
    if parameters.iter().any(|(name, value)| name.len().max(value.len()) > MAX_PARAMETER) {
        return Err(invalid("parameter_too_large"));
    }
    let mut names: Vec<&String> = parameters.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(invalid("parameter_repeated"));
    }
    // RFC 6749 section 3.2: a parameter without a value is treated as if it was omitted.
    Ok(parameters.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

fn form(body: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, OAuthError> {
    let body = std::str::from_utf8(body).map_err(|_| invalid("body_not_text"))?;
    let pairs = body.split('&').filter(|pair| !pair.is_empty()).take(MAX_PARAMETERS.saturating_add(1));
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((form_decode(name)?.to_string(), form_decode(value)?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("form_malformed"))
}

fn json_texts(body: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, OAuthError> {
    let object = json::parse_object(body, LIMITS).map_err(|_| invalid("json_malformed"))?;
    let text = |(name, value): (&str, &Value<'_>)| Some((name.to_owned(), Zeroizing::new(value.as_str()?.to_owned())));
    object.iter().map(text).collect::<Option<_>>().ok_or_else(|| invalid("json_not_texts"))
}

/// `application/x-www-form-urlencoded`, strict: `%` is followed by two hexadecimal digits, and the result is UTF-8
/// without control characters.
fn form_decode(text: &str) -> Option<Zeroizing<String>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => decoded.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            other => decoded.push(*other),
        }
    }
    let text = std::str::from_utf8(&decoded).ok().filter(|text| !text.bytes().any(|b| b.is_ascii_control()))?;
    Some(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: (&str, &[u8]) = ("Content-Type", b"application/x-www-form-urlencoded; charset=UTF-8");

    fn reason(headers: &[(&str, &[u8])], body: &str) -> &'static str {
        TokenRequest::parse("POST", headers, body.as_bytes()).map_or_else(|error| error.reason(), |_| "")
    }

    fn basic_header(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn parameters_are_decoded_and_come_once() {
        let request = TokenRequest::parse("POST", &[FORM], b"scope=a%20b+c&client_id=c%5F1&x=").unwrap();
        assert_eq!((request.parameter("scope"), request.client_id()), (Some("a b c"), Some("c_1")));
        assert_eq!(request.parameter("x"), None);
        assert_eq!(reason(&[FORM], "a=1&b=2&a=3"), "parameter_repeated");
        assert_eq!(reason(&[FORM], "a=1&%61=2"), "parameter_repeated");
        assert_eq!(reason(&[FORM], "a=&a="), "parameter_repeated");
        for malformed in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "a=%00", "a=%0a"] {
            assert_eq!(reason(&[FORM], malformed), "form_malformed", "{malformed}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(reason(&[FORM], &"a".repeat(MAX_BODY + 1)), "body_too_large");
        assert_eq!(reason(&[FORM], &format!("a={}", "b".repeat(MAX_PARAMETER + 1))), "parameter_too_large");
        let many = |n: usize| (0..n).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(reason(&[FORM], &many(64)), "");
        assert_eq!(reason(&[FORM], &many(65)), "too_many_parameters");
    }

    #[test]
    fn body_is_a_form_or_one_strict_json_object_of_texts() {
        let json: (&str, &[u8]) = ("content-type", b"application/json");
        let body = r#"{"grant_type":"client_credentials","client_id":"c_1","client_secret":"s"}"#;
        assert_eq!(TokenRequest::parse("POST", &[json], body.as_bytes()).unwrap().client_id(), Some("c_1"));
        assert_eq!(reason(&[json], r#"{"a":"1","a":"2"}"#), "json_malformed");
        assert_eq!(reason(&[json], r#"{"a":1}"#), "json_not_texts");
        assert_eq!(reason(&[], "a=1"), "content_type");
        assert_eq!(reason(&[("content-type", b"text/plain")], "a=1"), "content_type");
        assert_eq!(reason(&[FORM, FORM], "a=1"), "header_repeated");
        assert_eq!(TokenRequest::parse("GET", &[FORM], b"").unwrap_err().reason(), "method");
    }

    #[test]
    fn client_authenticates_in_one_way() {
        let authorization = basic_header("c%5F1:s%3A+x");
        let basic = ("Authorization", authorization.as_slice());
        let request = TokenRequest::parse("POST", &[FORM, basic], b"client_id=c_1").unwrap();
        assert_eq!((request.client_id(), request.credentials.secret()), (Some("c_1"), "s: x"));
        assert_eq!(reason(&[FORM, basic], "client_secret=s"), "authenticated_twice");
        assert_eq!(reason(&[FORM, basic], "client_assertion=s"), "authenticated_twice");
        assert_eq!(reason(&[FORM], "client_secret=s&client_assertion=s"), "authenticated_twice");
        assert_eq!(reason(&[FORM, basic], "client_id=c_2"), "client_id_differs");
        assert_eq!(reason(&[FORM, basic, basic], ""), "header_repeated");
    }

    #[test]
    fn authorization_that_is_not_basic_is_answered_with_a_challenge() {
        for value in ["Bearer x", "Basic", "Basic ???", "DPoP x", "Basic YWJj", "Basic 8J+Y"] {
            let error = TokenRequest::parse("POST", &[FORM, ("Authorization", value.as_bytes())], b"").unwrap_err();
            assert_eq!(error.code(), OAuthErrorCode::InvalidClient, "{value}");
            assert!(error.response().header("WWW-Authenticate").is_some_and(|value| value.starts_with("Basic ")));
        }
    }

    #[test]
    fn debug_form_hides_the_secret() {
        let request = TokenRequest::parse("POST", &[FORM], b"client_id=c_1&client_secret=hidden").unwrap();
        assert!(!format!("{request:?}").contains("hidden"));
    }
}
