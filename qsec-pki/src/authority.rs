//! The authority of a zone: makes its root, and issues what the root vouches for.

mod error;
mod intermediate;
mod issue;
mod issued;
mod profile;
mod revocation;
mod root;
mod template;

use std::fmt;
use std::time::{Duration, SystemTime};

pub use error::{IssueError, OpenError};
pub use intermediate::{IntermediateProfile, PlannedIntermediate, PreparedIntermediate};
pub use issued::{Issued, Prepared};
pub use profile::LeafProfile;
pub use revocation::{IssuedCrl, PreparedCrl, RevocationReason, RevokedCertificate};
pub use root::{PlannedAuthority, PreparedRoot};

use crate::bundle::Bundle;
use crate::certificate::Certificate;
use crate::der::{Reader, check_encoding, tag};
use crate::key::{Curve, PrivateKey, PublicKey};
use crate::name::Zone;
use crate::rules;

/// How far `notBefore` lies behind `now`, seconds: clocks of a zone differ.
const BACKDATING: i64 = 300;
/// How long something prepared may wait for its signature.
const PREPARED_FOR: Duration = Duration::from_mins(1);
/// The common name of roots, before their number.
const ROOT_NAME: &str = "qsec root ";

/// Issues certificates for one zone, with its root or with an issuing intermediate.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{Authority, CertificateRequest, LeafProfile, PrivateKey, Zone};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
///
/// let node_key = PrivateKey::generate()?;                                    // on the node
/// let request = CertificateRequest::parse(&node_key.request()?)?;            // at the authority
/// let leaf = authority.issue(&request, &LeafProfile::server("svc/engine/node/n7"), now)?;
/// assert_eq!(leaf.id().as_str(), "spiffe://prod.internal/svc/engine/node/n7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Authority {
    zone: Zone,
    root: Certificate,
    intermediate: Option<Certificate>,
    bundle: Bundle,
    key: Option<PrivateKey>,
}

impl Authority {
    /// Makes a zone's first root, with a fresh key on P-256.
    ///
    /// # Errors
    /// `randomness_unavailable`, `time_out_of_range`.
    pub fn create(zone: Zone, now: SystemTime) -> Result<PlannedAuthority, IssueError> {
        Self::create_on(zone, Curve::P256, now)
    }

    /// The same with a key on a curve of choice.
    ///
    /// # Errors
    /// `randomness_unavailable`, `time_out_of_range`.
    pub fn create_on(zone: Zone, curve: Curve, now: SystemTime) -> Result<PlannedAuthority, IssueError> {
        Self::create_numbered(zone, curve, 1, now)
    }

    /// Makes the root that comes after this one, with a fresh key on the same curve: for rotation.
    ///
    /// # Errors
    /// `randomness_unavailable`, `time_out_of_range`.
    pub fn successor(&self, now: SystemTime) -> Result<PlannedAuthority, IssueError> {
        let number = self.root.subject().rsplit_once(ROOT_NAME).and_then(|(_, number)| number.parse::<u32>().ok());
        let next = number.unwrap_or(1).saturating_add(1);
        Self::create_numbered(self.zone.clone(), self.root.public_key().curve(), next, now)
    }

    fn create_numbered(zone: Zone, curve: Curve, number: u32, now: SystemTime) -> Result<PlannedAuthority, IssueError> {
        let key = PrivateKey::generate_on(curve)?;
        let prepared = PreparedRoot::new(zone, key.public_key(), number, now)?;
        let signature = key.sign(prepared.tbs())?;
        Ok(prepared.finish(&signature, now)?.with_key(key))
    }

    /// Prepares the `number`-th root of a zone for a key in a KMS.
    ///
    /// ```
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// use qsec_pki::{Authority, PublicKey, Zone};
    /// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
    /// # let key = qsec_pki::PrivateKey::generate()?;
    /// # let kms_spki = key.public_key().spki_der();
    /// # let kms = &key;
    /// let prepared = Authority::prepare_root(Zone::parse("prod.internal")?, &PublicKey::from_spki(kms_spki)?, 1, now)?;
    /// let signature = kms.sign(prepared.tbs())?;
    /// let authority = prepared.finish(&signature, now)?.commit();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `randomness_unavailable`, `time_out_of_range`.
    pub fn prepare_root(zone: Zone, key: &PublicKey, number: u32, now: SystemTime) -> Result<PreparedRoot, IssueError> {
        PreparedRoot::new(zone, key, number, now)
    }

    /// Opens the authority of a root that was made before.
    ///
    /// # Errors
    /// `root_unacceptable` if the certificate is no zone root, `issuer_key_mismatch` if the key is another's.
    pub fn open(root: &[u8], key: PrivateKey) -> Result<Self, OpenError> {
        let authority = Self::open_external(root, key.public_key())?;
        Ok(Self { key: Some(key), ..authority })
    }

    /// Opens the authority of a root whose key is in a KMS: it prepares and finishes, and cannot issue alone.
    ///
    /// # Errors
    /// `root_unacceptable` if the certificate is no zone root, `issuer_key_mismatch` if the key is another's.
    pub fn open_external(root: &[u8], key: &PublicKey) -> Result<Self, OpenError> {
        let (root, zone) = rules::root::check(root).map_err(OpenError::RootUnacceptable)?;
        if root.public_key() != key {
            return Err(OpenError::IssuerKeyMismatch);
        }
        Ok(Self::of(zone, root, None, None))
    }

    fn of(zone: Zone, root: Certificate, intermediate: Option<Certificate>, key: Option<PrivateKey>) -> Self {
        let bundle = Bundle::of(zone.clone(), root.clone());
        Self { zone, root, intermediate, bundle, key }
    }

    /// The zone.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The root.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The certificate that issues: the intermediate if there is one, otherwise the root.
    pub fn certificate(&self) -> &Certificate {
        self.intermediate.as_ref().unwrap_or(&self.root)
    }

    /// What a member must trust to accept what this authority issues.
    pub fn bundle(&self) -> Bundle {
        self.bundle.clone()
    }

    /// The key, to be wrapped and stored; `None` if it is in a KMS.
    pub fn key(&self) -> Option<&PrivateKey> {
        self.key.as_ref()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("zone", &self.zone)
            .field("certificate", self.certificate())
            .finish_non_exhaustive()
    }
}

/// Whether bytes are `ECDSA-Sig-Value` in strict DER: two positive integers (RFC 3279 section 2.2.3).
fn is_der_signature(signature: &[u8]) -> bool {
    let read = || {
        check_encoding(signature)?;
        let mut fields = Reader::only(signature, tag::SEQUENCE, "")?;
        let (r, s) = (fields.expect(tag::INTEGER, "")?.body, fields.expect(tag::INTEGER, "")?.body);
        fields.end()?;
        Ok::<_, crate::der::Malformed>([r, s].iter().all(|number| number.first().is_some_and(|first| *first < 0x80)))
    };
    read().unwrap_or(false)
}
