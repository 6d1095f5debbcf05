use std::borrow::Cow;
use std::fmt;

/// Which certificate or list of the input a [`Rejection`] is about.
///
/// ```
/// use qsec_pki::Position;
///
/// assert_eq!(Position::Crl(0).to_string(), "crl:0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Position {
    /// A certificate of the chain, counted from the leaf; copies of trusted roots are not counted.
    Certificate(usize),
    /// A trusted root.
    Root,
    /// A revocation list, in the order in which they were given.
    Crl(usize),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(index) => write!(f, "{index}"),
            Self::Root => f.write_str("root"),
            Self::Crl(index) => write!(f, "crl:{index}"),
        }
    }
}

/// Why a certificate, a chain or a bundle was refused: the first rule that it breaks.
///
/// The code and the message are for the operator. Whoever presented the chain gets a bare TLS alert.
///
/// ```
/// use qsec_pki::{Bundle, Position};
///
/// let rejection = Bundle::new(&[b"no certificate"]).unwrap_err();
/// assert_eq!((rejection.code(), rejection.at()), ("root_unacceptable", Position::Root));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    reason: Reason,
    at: Position,
    detail: Cow<'static, str>,
}

impl Rejection {
    pub(crate) fn new(reason: Reason, at: Position, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, at, detail: detail.into() }
    }

    /// The same, told of a root: whatever is wrong with it, a root is not acceptable.
    pub(crate) fn of_root(self) -> Self {
        Self { reason: Reason::RootUnacceptable, at: Position::Root, detail: self.detail }
    }

    /// The rule, to match on.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The stable code of the rule, such as `eku_wrong_role`.
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// What was refused.
    pub fn at(&self) -> Position {
        self.at
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $code:literal,)+) => {
        /// The rules of acceptance, by the rejection that breaking one brings, in the order in which they are checked.
        ///
        /// ```
        /// use qsec_pki::Reason;
        ///
        /// assert_eq!(Reason::EkuMissing.code(), "eku_missing");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }
    };
}

reasons! {
    /// A trusted root is not of the shape of a zone root, or the roots are of two zones.
    RootUnacceptable => "root_unacceptable",
    /// A certificate or the chain has too many bytes.
    TooLarge => "too_large",
    /// There is no certificate besides copies of roots.
    ChainEmpty => "chain_empty",
    /// There are more than three certificates.
    ChainTooLong => "chain_too_long",
    /// A certificate is not strict DER.
    Malformed => "malformed",
    /// A certificate is not of version 3.
    NotV3 => "not_v3",
    /// A serial is zero, negative or longer than 20 octets.
    SerialInvalid => "serial_invalid",
    /// An extension stands twice.
    DuplicateExtension => "duplicate_extension",
    /// A critical extension is unknown.
    UnknownCriticalExtension => "unknown_critical_extension",
    /// A known extension is critical where it must not be, or not critical where it must be.
    ExtensionCriticality => "extension_criticality",
    /// The two signature algorithms of a certificate differ.
    SignatureAlgorithmMismatch => "signature_algorithm_mismatch",
    /// A signature algorithm is none of ECDSA with SHA-256 and SHA-384.
    SignatureAlgorithmNotAllowed => "signature_algorithm_not_allowed",
    /// A key is not a point on P-256 or P-384.
    KeyNotAllowed => "key_not_allowed",
    /// The leaf is an authority.
    LeafIsCa => "leaf_is_ca",
    /// The leaf constrains names.
    LeafHasNameConstraints => "leaf_has_name_constraints",
    /// The leaf's key usage is not exactly digital signature.
    LeafKeyUsage => "leaf_key_usage",
    /// The leaf has no extended key usage.
    EkuMissing => "eku_missing",
    /// The leaf has extended key usages besides those that are allowed here.
    EkuNotExact => "eku_not_exact",
    /// The leaf is for the other role.
    EkuWrongRole => "eku_wrong_role",
    /// The leaf has no subject alternative name.
    SanMissing => "san_missing",
    /// The leaf has names besides URI and DNS.
    SanTypeNotAllowed => "san_type_not_allowed",
    /// The leaf has no URI, or several.
    UriNotExactlyOne => "uri_not_exactly_one",
    /// The leaf's URI is no SPIFFE ID.
    SpiffeIdMalformed => "spiffe_id_malformed",
    /// A DNS name of the leaf is not well-formed, or there are too many.
    DnsNameMalformed => "dns_name_malformed",
    /// The leaf is of another zone.
    WrongZone => "wrong_zone",
    /// A certificate was not issued by the next one.
    ChainNotLinear => "chain_not_linear",
    /// The chain does not lead to a trusted root.
    UntrustedRoot => "untrusted_root",
    /// An authority key identifier is not the subject key identifier of the issuer.
    KeyIdentifierMismatch => "key_identifier_mismatch",
    /// An issuer is no authority.
    IssuerNotCa => "issuer_not_ca",
    /// An issuer may not sign certificates.
    IssuerKeyUsage => "issuer_key_usage",
    /// An intermediate is not of the zone, or not for the leaf's purpose.
    IntermediateProfile => "intermediate_profile",
    /// There are more intermediates than an authority allows below it.
    PathLengthExceeded => "path_length_exceeded",
    /// A signature does not verify.
    SignatureInvalid => "signature_invalid",
    /// A certificate is not valid yet.
    NotYetValid => "not_yet_valid",
    /// A certificate is not valid any more.
    Expired => "expired",
    /// The leaf lives longer than seven days.
    ValidityTooLong => "validity_too_long",
    /// A certificate is valid for longer than its issuer.
    OutlivesIssuer => "outlives_issuer",
    /// A name is outside what an intermediate may name.
    NameConstraintViolated => "name_constraint_violated",
    /// An intermediate constrains a form of name that is not evaluated.
    NameConstraintUnsupported => "name_constraint_unsupported",
    /// A revocation list is no strict DER, no version 2, or says what is not understood.
    CrlMalformed => "crl_malformed",
    /// An issuer has no revocation list where one is needed.
    CrlMissing => "crl_missing",
    /// A revocation list is of nobody in the path.
    CrlWrongIssuer => "crl_wrong_issuer",
    /// An issuer may not sign revocation lists.
    CrlIssuerKeyUsage => "crl_issuer_key_usage",
    /// The signature of a revocation list does not verify.
    CrlSignatureInvalid => "crl_signature_invalid",
    /// A revocation list is of the future.
    CrlNotYetValid => "crl_not_yet_valid",
    /// A revocation list is too old, or does not say when it will be.
    CrlExpired => "crl_expired",
    /// A newer revocation list was seen before.
    CrlRolledBack => "crl_rolled_back",
    /// A certificate was revoked.
    Revoked => "revoked",
    /// The peer is not the one that was expected.
    NameMismatch => "name_mismatch",
    /// The peer is of the zone, and not admitted here.
    PeerNotAuthorised => "peer_not_authorised",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_snake_case() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(
            codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        );
    }
}
