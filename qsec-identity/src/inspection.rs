//! A token taken apart without being believed.

use serde_json::json;

use crate::jose::json::{Object, Value};
use crate::jose::jws::{self, bare_type};
use crate::rejection::{ClaimsSeen, Rejection};
use crate::token_type::TokenType;
use crate::validator::split_token;

/// Header and claims of a token that was **not verified**: anyone may have written them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    header: String,
    claims: String,
    looks_like: Vec<TokenType>,
    bytes: usize,
    warnings: Vec<String>,
}

/// Takes a well-formed token apart. No key is needed, and nothing is verified.
///
/// ```
/// let seen = qsec_identity::inspect("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.")?;
/// assert_eq!(seen.claims_json(), r#"{"sub":"ada"}"#);
/// assert!(seen.warnings().iter().any(|warning| warning == "no jti"));
/// # Ok::<(), qsec_identity::Rejection>(())
/// ```
///
/// # Errors
/// [`Rejection`] of class malformed.
pub fn inspect(token: impl AsRef<[u8]>) -> Result<Inspection, Rejection> {
    let token = token.as_ref();
    let malformed = |reason| Rejection::of(reason, TokenType::Access, ClaimsSeen::default(), false, String::new());
    let segments = split_token(token).map_err(malformed)?;
    let (header, claims) = jws::objects(&segments.header, &segments.payload).map_err(malformed)?;
    Ok(Inspection {
        header: header.to_string(),
        claims: claims.to_string(),
        looks_like: looks_like(&header, &claims),
        bytes: token.len(),
        warnings: warnings(&header, &claims, segments.signature.is_empty()),
    })
}

impl Inspection {
    /// The header as compact JSON.
    pub fn header_json(&self) -> &str {
        &self.header
    }

    /// The claims as compact JSON, numbers as they were written.
    pub fn claims_json(&self) -> &str {
        &self.claims
    }

    /// The types of which the token has `typ` and every required claim.
    pub fn looks_like(&self) -> &[TokenType] {
        &self.looks_like
    }

    /// The length of the token.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything as one line of JSON: the answer of `token inspect`.
    pub fn to_json(&self) -> String {
        let types: Vec<&str> = self.looks_like.iter().map(|token_type| token_type.as_str()).collect();
        format!(
            r#"{{"verified":false,"header":{},"claims":{},"looks_like":{},"bytes":{},"warnings":{}}}"#,
            self.header,
            self.claims,
            json!(types),
            self.bytes,
            json!(self.warnings)
        )
    }

    /// What a reader should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn looks_like(header: &Object<'_>, claims: &Object<'_>) -> Vec<TokenType> {
    let typ = header.get("typ").map(|typ| typ.as_str().unwrap_or_default());
    let fits = |token_type: &TokenType| {
        let rules = token_type.rules();
        let same = |wanted: Option<&str>| match (wanted, typ) {
            (None, None) => true,
            (Some(wanted), Some(found)) => wanted.eq_ignore_ascii_case(bare_type(found)),
            (None, Some(_)) | (Some(_), None) => false,
        };
        rules.typ.iter().copied().any(same) && rules.required.iter().all(|name| claims.contains(name))
    };
    TokenType::ALL.into_iter().filter(fits).collect()
}

fn warnings(header: &Object<'_>, claims: &Object<'_>, unsigned: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |applies: bool, text: &str| {
        if applies {
            warnings.push(text.to_owned());
        }
    };
    let algorithm = header.get("alg").and_then(Value::as_str);
    warn(unsigned, "no signature");
    warn(algorithm.is_some_and(|name| name.eq_ignore_ascii_case("none")), "alg is none");
    warn(algorithm.is_none(), "no alg");
    warn(!header.contains("kid"), "no kid");
    for name in ["iss", "sub", "aud", "exp", "iat", "jti"] {
        warn(!claims.contains(name), &format!("no {name}"));
    }
    for name in ["exp", "iat", "nbf"] {
        let wrong = claims.get(name).is_some_and(|value| value.as_i64().is_none());
        warn(wrong, &format!("{name} is not an integer"));
    }
    for name in ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip"] {
        warn(header.contains(name), &format!("header has {name}, which is never accepted"));
    }
    warnings
}
