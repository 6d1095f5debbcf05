use std::time::SystemTime;

use super::issued::Entry;
use super::template::{self, KeyUsage, Template};
use super::{Authority, BACKDATING, IssueError, PREPARED_FOR, is_der_signature};
use crate::certificate::Certificate;
use crate::der::time;
use crate::key::{PrivateKey, PublicKey};
use crate::ledger::{CertificateState, LedgerRow};
use crate::name::Zone;
use crate::rules::root;
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

/// Life of a root, seconds: ten years of 365 days.
const ROOT_LIFETIME: i64 = 10 * 365 * 86_400;
/// Intermediates that may stand below a root, one above the other.
const ROOT_PATH_LEN: u8 = 1;

/// A root that is ready to be signed by a key in a KMS. Good for one minute, and for one signature.
///
/// [`Authority::prepare_root`] makes one; see there for an example.
#[derive(Debug)]
pub struct PreparedRoot {
    zone: Zone,
    key: PublicKey,
    tbs: Vec<u8>,
    prepared_at: SystemTime,
}

impl PreparedRoot {
    pub(super) fn new(zone: Zone, key: &PublicKey, number: u32, now: SystemTime) -> Result<Self, IssueError> {
        let serial = Serial::generate().ok_or(IssueError::RandomnessUnavailable)?;
        let seconds = time::floor(now).ok_or(IssueError::TimeOutOfRange)?;
        let name = template::name(zone.as_str(), &format!("{}{number}", super::ROOT_NAME));
        let template = Template {
            serial: &serial,
            algorithm: SignatureAlgorithm::of_curve(key.curve()),
            issuer: &name,
            not_before: seconds.saturating_sub(BACKDATING),
            not_after: seconds.saturating_add(ROOT_LIFETIME),
            subject: &name,
            key,
        };
        let uri = zone.uri();
        let tbs = template.to_be_signed(|list| {
            template::basic_constraints(list, Some(ROOT_PATH_LEN));
            template::key_usage(list, KeyUsage::CertSignAndCrlSign);
            template::subject_alt_name(list, &uri, &[]);
            template::subject_key_identifier(list, key);
        });
        Ok(Self { zone, key: key.clone(), tbs: tbs.ok_or(IssueError::TimeOutOfRange)?, prepared_at: now })
    }

    /// The bytes to sign.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// Their digest, for a signer that takes digests.
    pub fn digest(&self) -> Vec<u8> {
        self.algorithm().digest(&self.tbs)
    }

    /// How to sign; the signature is DER.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::of_curve(self.key.curve())
    }

    /// Takes the signature, and checks the whole root by row 1 of the zone's rules.
    ///
    /// # Errors
    /// `signature_invalid`, `prepared_stale`.
    pub fn finish(self, signature: &[u8], now: SystemTime) -> Result<PlannedAuthority, IssueError> {
        if now.duration_since(self.prepared_at).is_ok_and(|since| since > PREPARED_FOR) {
            return Err(IssueError::PreparedStale);
        }
        let algorithm = self.algorithm();
        if !is_der_signature(signature) || !algorithm.verifies(&self.key, &self.tbs, signature) {
            return Err(IssueError::SignatureInvalid);
        }
        let der = template::signed(&self.tbs, algorithm, signature);
        let (root, _) = root::check(&der).map_err(IssueError::Invariant)?;
        Ok(PlannedAuthority { zone: self.zone, root, key: None })
    }
}

/// A root that exists, and is not in force: to be recorded, and its key stored, before [`PlannedAuthority::commit`].
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{Authority, Zone};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// let planned = Authority::create(Zone::parse("prod.internal")?, now)?;
/// let (row, key) = (planned.ledger_row(), planned.key());   // record the one, wrap and store the other, then:
/// assert_eq!(row.serial, planned.certificate().serial().to_string());
/// let authority = planned.commit();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a planned authority is not in force until it is committed"]
pub struct PlannedAuthority {
    zone: Zone,
    root: Certificate,
    key: Option<PrivateKey>,
}

impl PlannedAuthority {
    pub(super) fn with_key(self, key: PrivateKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The root.
    pub fn certificate(&self) -> &Certificate {
        &self.root
    }

    /// The key, to be wrapped and stored; `None` if it is in a KMS.
    pub fn key(&self) -> Option<&PrivateKey> {
        self.key.as_ref()
    }

    /// The row of the ledger.
    pub fn ledger_row(&self) -> LedgerRow {
        let (not_before, not_after) = self.root.validity();
        let entry = Entry {
            kind: "root",
            id: self.zone.uri(),
            role: None,
            dns: Vec::new(),
            serial: *self.root.serial(),
            issuer_serial: *self.root.serial(),
            spki_sha256: self.root.spki_sha256(),
            not_before,
            not_after,
        };
        entry.row(CertificateState::Issued, Some(self.root.der()))
    }

    /// Puts the authority in force.
    pub fn commit(self) -> Authority {
        Authority::of(self.zone, self.root, None, self.key)
    }
}
