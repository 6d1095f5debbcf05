//! What came with a token: the connection's certificate, a `DPoP` proof.

use std::fmt;

use crate::hash::sha256;

/// The proofs of possession that were presented with a token.
///
/// The certificate comes from the TLS layer or from a trusted bridge, never from a header that a client can set.
///
/// ```
/// use qsec_identity::Presented;
///
/// let nothing = Presented::bearer();
/// let certificate = Presented::bearer().client_certificate(b"DER of the connection's certificate");
/// let proof = Presented::bearer().dpop("eyJ...", "GET", "https://api.acme.example/apps");
/// # let _ = (nothing, certificate, proof);
/// ```
#[derive(Clone, Default)]
pub struct Presented {
    pub(crate) certificate: Option<[u8; 32]>,
    pub(crate) proof: Option<Proof>,
}

/// A `DPoP` proof and the request that it came with.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(crate) jws: String,
    pub(crate) method: String,
    pub(crate) url: String,
}

impl Presented {
    /// The token alone.
    pub fn bearer() -> Self {
        Self::default()
    }

    /// The client certificate of the connection, as DER.
    #[must_use]
    pub fn client_certificate(mut self, der: &[u8]) -> Self {
        self.certificate = Some(thumbprint(der));
        self
    }

    /// A `DPoP` proof (RFC 9449), with the method and the URL of the request.
    #[must_use]
    pub fn dpop(mut self, proof: impl Into<String>, method: impl Into<String>, url: impl Into<String>) -> Self {
        self.proof = Some(Proof { jws: proof.into(), method: method.into(), url: url.into() });
        self
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("client_certificate", &self.certificate.is_some())
            .field("dpop", &self.proof.is_some())
            .finish_non_exhaustive()
    }
}

/// RFC 8705 section 3.1: the SHA-256 of the DER certificate.
pub(crate) fn thumbprint(der: &[u8]) -> [u8; 32] {
    sha256(&[der])
}
