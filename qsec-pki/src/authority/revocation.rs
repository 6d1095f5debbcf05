use std::time::{Duration, SystemTime};

use super::template;
use super::{Authority, IssueError, PREPARED_FOR, is_der_signature};
use crate::der::{Writer, tag, time};
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

/// How long a list is good for, seconds. It is issued anew every eight hours and at each revocation.
const CRL_LIFETIME: i64 = 86_400;
/// How long a serial stays on the list after its certificate ended: clocks and caches lag.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_hours(7 * 24);

/// Why a certificate was revoked (RFC 5280 section 5.3.1). Holds and removals are not offered: a revoked serial stays revoked.
///
/// ```
/// use qsec_pki::RevocationReason;
///
/// assert_eq!(RevocationReason::parse("key_compromise"), Some(RevocationReason::KeyCompromise));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationReason {
    /// No reason is told.
    Unspecified,
    /// Somebody else has the key.
    KeyCompromise,
    /// Another certificate took its place.
    Superseded,
    /// Its holder is no more.
    Cessation,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Unspecified, Self::KeyCompromise, Self::Superseded, Self::Cessation];

    /// The name that programs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key_compromise",
            Self::Superseded => "superseded",
            Self::Cessation => "cessation",
        }
    }

    /// The reason of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// `CRLReason`; RFC 5280 section 5.3.1 says that an unspecified one is best left out.
    fn code(self) -> Option<u8> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(1),
            Self::Superseded => Some(4),
            Self::Cessation => Some(5),
        }
    }
}

/// One revoked certificate.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{RevocationReason, RevokedCertificate, Serial};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// let serial = Serial::parse("4f1c9a").unwrap();
/// let revoked = RevokedCertificate::new(serial, now, RevocationReason::Superseded, now + Duration::from_secs(86_400));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedCertificate {
    serial: Serial,
    revoked_at: SystemTime,
    reason: RevocationReason,
    not_after: SystemTime,
}

impl RevokedCertificate {
    /// A certificate of this serial that would end at `not_after`, revoked at an instant for a reason.
    pub fn new(serial: Serial, revoked_at: SystemTime, reason: RevocationReason, not_after: SystemTime) -> Self {
        Self { serial, revoked_at, reason, not_after }
    }

    fn is_kept(&self, now: SystemTime) -> bool {
        self.not_after.checked_add(KEPT_AFTER_EXPIRY).is_none_or(|end| now <= end)
    }
}

/// A revocation list that is ready to be signed. Good for one minute, and for one signature.
#[derive(Debug)]
pub struct PreparedCrl {
    tbs: Vec<u8>,
    algorithm: SignatureAlgorithm,
    since: SystemTime,
    issuer_key: [u8; 32],
    list: IssuedCrl,
}

impl PreparedCrl {
    /// The bytes to sign.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// Their digest, for a signer that takes digests.
    pub fn digest(&self) -> Vec<u8> {
        self.algorithm.digest(&self.tbs)
    }

    /// How to sign; the signature is DER.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

/// A revocation list that was issued.
///
/// [`Authority::issue_crl`] makes one; see there for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCrl {
    der: Vec<u8>,
    issuer_serial: Serial,
    number: u64,
    this_update: i64,
    entries: usize,
}

impl IssuedCrl {
    /// The list.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial of the certificate that issued it.
    pub fn issuer_serial(&self) -> &Serial {
        &self.issuer_serial
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// From when it is good.
    pub fn this_update(&self) -> SystemTime {
        time::instant(self.this_update)
    }

    /// Until when it is good.
    pub fn next_update(&self) -> SystemTime {
        time::instant(self.this_update.saturating_add(CRL_LIFETIME))
    }

    /// How many serials are on it.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

impl Authority {
    /// Issues the revocation list of this issuer: what it ever revoked, minus what ended more than seven days ago.
    ///
    /// `number` is the one after that of the last list: members refuse a lower one than they saw.
    ///
    /// ```
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// use qsec_pki::{Authority, RevocationReason, RevokedCertificate};
    /// # use qsec_pki::{CertificateRequest, LeafProfile, PrivateKey, Zone};
    ///
    /// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
    /// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
    /// # let request = CertificateRequest::parse(&PrivateKey::generate()?.request()?)?;
    /// # let leaf = authority.issue(&request, &LeafProfile::server("svc/engine/node/n7"), now)?;
    /// let revoked = RevokedCertificate::new(*leaf.serial(), now, RevocationReason::KeyCompromise, leaf.not_after());
    /// let list = authority.issue_crl(1, &[revoked], now)?;
    /// assert_eq!((list.number(), list.entries()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `signer_not_here`, `time_out_of_range`, `randomness_unavailable`.
    pub fn issue_crl(
        &self,
        number: u64,
        revoked: &[RevokedCertificate],
        now: SystemTime,
    ) -> Result<IssuedCrl, IssueError> {
        let prepared = self.prepare_crl(number, revoked, now)?;
        let signature = self.key.as_ref().ok_or(IssueError::SignerNotHere)?.sign(&prepared.tbs)?;
        self.finish_crl(prepared, &signature, now)
    }

    /// First half, for a key in a KMS.
    ///
    /// # Errors
    /// `time_out_of_range`.
    pub fn prepare_crl(
        &self,
        number: u64,
        revoked: &[RevokedCertificate],
        now: SystemTime,
    ) -> Result<PreparedCrl, IssueError> {
        let issuer = self.certificate();
        let this_update = time::floor(now).ok_or(IssueError::TimeOutOfRange)?;
        let mut kept: Vec<_> = revoked.iter().filter(|certificate| certificate.is_kept(now)).collect();
        kept.sort_by_key(|certificate| certificate.serial);
        kept.dedup_by_key(|certificate| certificate.serial);
        let entries = kept.iter().map(|certificate| entry(certificate)).collect::<Option<Vec<_>>>();
        let entries = entries.ok_or(IssueError::TimeOutOfRange)?;
        let encode = |seconds| time::encode(seconds).ok_or(IssueError::TimeOutOfRange);
        let times = [encode(this_update)?, encode(this_update.saturating_add(CRL_LIFETIME))?];
        let algorithm = SignatureAlgorithm::of_curve(issuer.public_key().curve());

        let mut writer = Writer::new();
        writer.sequence(|tbs| {
            tbs.unsigned(&[1]);
            tbs.encoded(algorithm.encoded());
            tbs.encoded(issuer.subject_der());
            for (tag, text) in &times {
                tbs.primitive(*tag, text.as_bytes());
            }
            // RFC 5280 section 5.1.2.6: without entries the list of them MUST be absent.
            if !entries.is_empty() {
                tbs.sequence(|list| list.encoded(&entries.concat()));
            }
            tbs.nested(tag::context_constructed(0), |explicit| {
                explicit.sequence(|list| {
                    template::authority_key_identifier(list, issuer.key_identifier().unwrap_or_default());
                    template::crl_number(list, number);
                });
            });
        });
        let list =
            IssuedCrl { der: Vec::new(), issuer_serial: *issuer.serial(), number, this_update, entries: entries.len() };
        Ok(PreparedCrl { tbs: writer.into_vec(), algorithm, since: now, issuer_key: issuer.spki_sha256(), list })
    }

    /// Second half: takes the signature, DER, and verifies it under the issuer's key.
    ///
    /// # Errors
    /// `signature_invalid`, `prepared_stale`, `issuer_key_mismatch` if another authority prepared it.
    pub fn finish_crl(
        &self,
        prepared: PreparedCrl,
        signature: &[u8],
        now: SystemTime,
    ) -> Result<IssuedCrl, IssueError> {
        let PreparedCrl { tbs, algorithm, since, issuer_key, list } = prepared;
        let key = self.certificate().public_key();
        if issuer_key != key.spki_sha256() {
            return Err(IssueError::PreparedElsewhere);
        }
        if now.duration_since(since).is_ok_and(|since| since > PREPARED_FOR) {
            return Err(IssueError::PreparedStale);
        }
        if !is_der_signature(signature) || !algorithm.verifies(key, &tbs, signature) {
            return Err(IssueError::SignatureInvalid);
        }
        Ok(IssuedCrl { der: template::signed(&tbs, algorithm, signature), ..list })
    }
}

/// One entry; `None` if its time cannot be written.
fn entry(revoked: &RevokedCertificate) -> Option<Vec<u8>> {
    let (tag, text) = time::encode(time::floor(revoked.revoked_at)?)?;
    let mut writer = Writer::with_capacity(64);
    writer.sequence(|entry| {
        entry.unsigned(revoked.serial.octets());
        entry.primitive(tag, text.as_bytes());
        if let Some(code) = revoked.reason.code() {
            entry.sequence(|list| template::reason_code(list, code));
        }
    });
    Some(writer.into_vec())
}
