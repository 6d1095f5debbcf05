use crate::certificate::view::{read_algorithm, read_name, read_spki};
use crate::der::{Malformed, Reader, Writer, check_encoding, oid, tag};
use crate::key::{KeyError, KeyRefusal, PrivateKey, PublicKey};
use crate::signature::SignatureAlgorithm;

/// Largest request, bytes (budget table of the zone's rules).
const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// Why a certificate request was refused.
///
/// ```
/// use qsec_pki::CertificateRequest;
///
/// assert_eq!(CertificateRequest::parse(b"").unwrap_err().code(), "csr_malformed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// More than 8 KiB.
    #[error("certificate request is larger than 8 KiB")]
    TooLarge,
    /// Not PKCS#10 version 1 in strict DER.
    #[error("certificate request is not PKCS#10 in strict DER: {reason}")]
    #[non_exhaustive]
    Malformed {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The key is of another kind than P-256 and P-384, or its point is not on the curve.
    #[error("certificate request asks for a key that is not an uncompressed point on P-256 or P-384")]
    KeyNotAllowed,
    /// Whoever made the request has not shown that the key is theirs.
    #[error("certificate request is not signed by the key that it asks for")]
    SignatureInvalid,
}

impl RequestError {
    /// The stable code: `csr_too_large`, `csr_malformed`, `key_not_allowed`, `csr_signature_invalid`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "csr_too_large",
            Self::Malformed { .. } => "csr_malformed",
            Self::KeyNotAllowed => "key_not_allowed",
            Self::SignatureInvalid => "csr_signature_invalid",
        }
    }
}

impl From<Malformed> for RequestError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed { reason: malformed.0 }
    }
}

impl From<KeyRefusal> for RequestError {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Malformed(malformed) => malformed.into(),
            KeyRefusal::NotAllowed => Self::KeyNotAllowed,
        }
    }
}

/// A certificate request (PKCS#10, RFC 2986): a public key, and the proof that whoever asks holds the private one. Nothing else.
///
/// A subject, attributes and requested extensions are not kept: only that they were there.
///
/// ```
/// use qsec_pki::{CertificateRequest, PrivateKey};
///
/// let key = PrivateKey::generate()?;
/// let request = CertificateRequest::parse(&key.request()?)?;
/// assert_eq!(request.public_key(), key.public_key());
/// assert!(request.extras().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    key: PublicKey,
    extras: Vec<&'static str>,
}

impl CertificateRequest {
    /// Reads a DER request and checks, in this order: size, encoding, key, signature.
    ///
    /// # Errors
    /// The first [`RequestError`].
    pub fn parse(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge);
        }
        let fields = Fields::read(der)?;
        let key = PublicKey::read(fields.spki)?;
        let proved = SignatureAlgorithm::from_encoded(fields.algorithm)
            .is_some_and(|algorithm| algorithm.verifies(&key, fields.info, fields.signature));
        if !proved {
            return Err(RequestError::SignatureInvalid);
        }
        Ok(Self { key, extras: fields.extras })
    }

    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// What else the request asked for, and did not get: `subject`, `extension_request`, `challenge_password`, `attribute`.
    pub fn extras(&self) -> &[&'static str] {
        &self.extras
    }
}

struct Fields<'a> {
    info: &'a [u8],
    spki: &'a [u8],
    extras: Vec<&'static str>,
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        check_encoding(der)?;
        let mut request = Reader::only(der, tag::SEQUENCE, "a request is no sequence")?;
        let info = request.expect(tag::SEQUENCE, "a request has no content")?;
        let algorithm = read_algorithm(&mut request)?;
        let signature = request.bytes_of_bits("a signature is no string of whole bytes")?;
        request.end()?;

        let mut fields = info.inside();
        if fields.small_integer("a version is no small number")? != 0 {
            return Err(Malformed("a request is not of version 1"));
        }
        let mut extras = Vec::new();
        if read_name(&mut fields)? != [tag::SEQUENCE, 0] {
            extras.push("subject");
        }
        let spki = read_spki(&mut fields)?;
        let attributes = fields.expect(tag::context_constructed(0), "a request has no attributes")?;
        fields.end()?;
        read_attributes(attributes.inside(), &mut extras)?;
        Ok(Self { info: info.whole, spki, extras, algorithm, signature })
    }
}

fn read_attributes(mut attributes: Reader<'_>, extras: &mut Vec<&'static str>) -> Result<(), Malformed> {
    let mut previous: &[u8] = &[];
    while !attributes.is_empty() {
        let attribute = attributes.expect(tag::SEQUENCE, "an attribute is no sequence")?;
        if attribute.whole < previous {
            return Err(Malformed("a set is not sorted"));
        }
        previous = attribute.whole;
        let mut fields = attribute.inside();
        let name = match fields.expect(tag::OID, "an attribute has no type")?.body {
            oid::EXTENSION_REQUEST => "extension_request",
            oid::CHALLENGE_PASSWORD => "challenge_password",
            _ => "attribute",
        };
        if fields.expect(tag::SET, "an attribute's values are no set")?.body.is_empty() {
            return Err(Malformed("an attribute has no value"));
        }
        fields.end()?;
        if !extras.contains(&name) {
            extras.push(name);
        }
    }
    Ok(())
}

impl PrivateKey {
    /// A certificate request for this key: no subject, no attributes. DER.
    ///
    /// # Errors
    /// [`KeyError::RandomnessUnavailable`] if the operating system gives no random bytes.
    pub fn request(&self) -> Result<Vec<u8>, KeyError> {
        let mut info = Writer::with_capacity(128);
        info.sequence(|info| {
            info.unsigned(&[0]);
            info.sequence(|_| {});
            info.encoded(self.public_key().spki_der());
            info.nested(tag::context_constructed(0), |_| {});
        });
        let info = info.into_vec();
        let signature = self.sign(&info)?;
        let mut request = Writer::with_capacity(256);
        request.sequence(|request| {
            request.encoded(&info);
            request.encoded(self.signature_algorithm().encoded());
            request.bits(&signature);
        });
        Ok(request.into_vec())
    }
}
