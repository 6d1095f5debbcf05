use std::time::{Duration, SystemTime};

use super::issued::Entry;
use super::template::{self, KeyUsage, Template};
use super::{Authority, BACKDATING, IssueError, OpenError, PREPARED_FOR, is_der_signature, profile};
use crate::certificate::Certificate;
use crate::der::time;
use crate::key::{PrivateKey, PublicKey};
use crate::ledger::{CertificateState, LedgerRow};
use crate::name::DnsName;
use crate::rules;
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

/// Life of an intermediate unless another is asked for, and the longest.
const MAX_TTL: Duration = Duration::from_hours(365 * 24);
/// Shortest life of an intermediate, seconds: as long as the longest leaf lives.
const MIN_TTL: u64 = 7 * 86_400;
/// Most suffixes of DNS names.
const MAX_SUFFIXES: usize = 16;

/// What an issuing intermediate may name, and for how long it may.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{Authority, CertificateRequest, IntermediateProfile, LeafProfile, PrivateKey, Zone};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// # let root = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// # let request = CertificateRequest::parse(&PrivateKey::generate()?.request()?)?;
/// let profile = IntermediateProfile::new(1).dns_suffixes(["prod.internal"]);
/// let issuing = root.intermediate(PrivateKey::generate()?, &profile, now)?.commit();
///
/// let leaf = issuing.issue(&request, &LeafProfile::server("svc/engine/node/n7").dns(["n7.prod.internal"]), now)?;
/// assert_eq!(leaf.chain().len(), 2);
/// let outside = LeafProfile::server("svc/engine/node/n7").dns(["n7.example"]);
/// assert_eq!(issuing.issue(&request, &outside, now).unwrap_err().code(), "name_not_in_zone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntermediateProfile {
    number: u32,
    dns_suffixes: Vec<String>,
    ttl: Duration,
    constrains_uri: bool,
}

impl IntermediateProfile {
    /// The `number`-th intermediate of its zone: it stands in its name. It may issue no DNS names, for one year.
    pub fn new(number: u32) -> Self {
        Self { number, dns_suffixes: Vec::new(), ttl: MAX_TTL, constrains_uri: false }
    }

    /// It may issue DNS names that are or end in one of these, 16 at most.
    #[must_use]
    pub fn dns_suffixes<N: Into<String>>(mut self, suffixes: impl IntoIterator<Item = N>) -> Self {
        self.dns_suffixes.extend(suffixes.into_iter().map(Into::into));
        self
    }

    /// With another life than a year: seven days at least.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Constrains URIs to the zone too. The rules of a zone do not need it, and widespread verifiers refuse such a chain.
    #[must_use]
    pub fn constrain_uri(mut self) -> Self {
        self.constrains_uri = true;
        self
    }
}

/// An intermediate that is ready to be signed by the root's key. Good for one minute, and for one signature.
#[derive(Debug)]
pub struct PreparedIntermediate {
    tbs: Vec<u8>,
    algorithm: SignatureAlgorithm,
    since: SystemTime,
}

impl PreparedIntermediate {
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

/// An intermediate that exists, and is not in force: to be recorded, and its key stored, before [`PlannedIntermediate::commit`].
#[derive(Debug)]
#[must_use = "a planned intermediate is not in force until it is committed"]
pub struct PlannedIntermediate {
    authority: Authority,
    entry: Entry,
}

impl PlannedIntermediate {
    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        self.authority.certificate()
    }

    /// The key, to be wrapped and stored; `None` if it is in a KMS.
    pub fn key(&self) -> Option<&PrivateKey> {
        self.authority.key()
    }

    /// The row of the ledger.
    pub fn ledger_row(&self) -> LedgerRow {
        self.entry.row(CertificateState::Issued, Some(self.certificate().der()))
    }

    /// Puts the intermediate in force.
    pub fn commit(self) -> Authority {
        self.authority
    }
}

impl Authority {
    /// Makes an issuing intermediate below this root, for a key that is here.
    ///
    /// # Errors
    /// `name_malformed`, `ttl_out_of_range`, `issuer_expiring`, `key_reused`, `signer_not_here`, `issuer_is_intermediate`.
    pub fn intermediate(
        &self,
        key: PrivateKey,
        profile: &IntermediateProfile,
        now: SystemTime,
    ) -> Result<PlannedIntermediate, IssueError> {
        let prepared = self.prepare_intermediate(key.public_key(), profile, now)?;
        let signature = self.key.as_ref().ok_or(IssueError::SignerNotHere)?.sign(&prepared.tbs)?;
        let mut planned = self.finish_intermediate(prepared, &signature, now)?;
        planned.authority.key = Some(key);
        Ok(planned)
    }

    /// First half, for a root or an intermediate whose key is in a KMS.
    ///
    /// # Errors
    /// Those of [`Authority::intermediate`].
    pub fn prepare_intermediate(
        &self,
        key: &PublicKey,
        profile: &IntermediateProfile,
        now: SystemTime,
    ) -> Result<PreparedIntermediate, IssueError> {
        if self.intermediate.is_some() {
            return Err(IssueError::IssuerIsIntermediate);
        }
        if key == self.root.public_key() {
            return Err(IssueError::KeyReused);
        }
        if profile.dns_suffixes.len() > MAX_SUFFIXES {
            return Err(IssueError::TooManyNames { count: profile.dns_suffixes.len() });
        }
        let suffixes = profile.dns_suffixes.iter().map(|name| DnsName::parse(name)).collect::<Result<Vec<_>, _>>()?;
        let ttl = profile::check_ttl(profile.ttl, MIN_TTL, MAX_TTL.as_secs())?;
        let seconds = time::floor(now).ok_or(IssueError::TimeOutOfRange)?;
        let not_after = seconds.saturating_add(ttl);
        if not_after > self.root.validity().1 {
            return Err(IssueError::IssuerExpiring);
        }
        if seconds < self.root.validity().0 {
            return Err(IssueError::IssuerNotYetValid);
        }
        let serial = Serial::generate().ok_or(IssueError::RandomnessUnavailable)?;
        let algorithm = SignatureAlgorithm::of_curve(self.root.public_key().curve());
        let name = template::name(self.zone.as_str(), &format!("qsec issuing {}", profile.number));
        let template = Template {
            serial: &serial,
            algorithm,
            issuer: self.root.subject_der(),
            not_before: seconds.saturating_sub(BACKDATING),
            not_after,
            subject: &name,
            key,
        };
        let uri = self.zone.uri();
        let host = profile.constrains_uri.then(|| self.zone.as_str());
        let tbs = template.to_be_signed(|list| {
            template::basic_constraints(list, Some(0));
            template::key_usage(list, KeyUsage::CertSignAndCrlSign);
            template::extended_key_usage(list, crate::Role::Peer);
            template::subject_alt_name(list, &uri, &[]);
            template::name_constraints(list, &suffixes, host);
            template::subject_key_identifier(list, key);
            template::authority_key_identifier(list, self.root.key_identifier().unwrap_or_default());
        });
        Ok(PreparedIntermediate { tbs: tbs.ok_or(IssueError::TimeOutOfRange)?, algorithm, since: now })
    }

    /// Second half: takes the signature, DER, and judges the intermediate by the rules of the zone.
    ///
    /// # Errors
    /// `signature_invalid`, `prepared_stale`.
    pub fn finish_intermediate(
        &self,
        prepared: PreparedIntermediate,
        signature: &[u8],
        now: SystemTime,
    ) -> Result<PlannedIntermediate, IssueError> {
        let PreparedIntermediate { tbs, algorithm, since } = prepared;
        if now.duration_since(since).is_ok_and(|since| since > PREPARED_FOR) {
            return Err(IssueError::PreparedStale);
        }
        if !is_der_signature(signature) || !algorithm.verifies(self.root.public_key(), &tbs, signature) {
            return Err(IssueError::SignatureInvalid);
        }
        let der = template::signed(&tbs, algorithm, signature);
        let certificate = rules::check_intermediate(&der, &self.bundle).map_err(IssueError::Invariant)?;
        let (not_before, not_after) = certificate.validity();
        let entry = Entry {
            kind: "intermediate",
            id: self.zone.uri(),
            role: None,
            dns: Vec::new(),
            serial: *certificate.serial(),
            issuer_serial: *self.root.serial(),
            spki_sha256: certificate.spki_sha256(),
            not_before,
            not_after,
        };
        let authority = Self::of(self.zone.clone(), self.root.clone(), Some(certificate), None);
        Ok(PlannedIntermediate { authority, entry })
    }

    /// Opens the authority of an intermediate that was made before.
    ///
    /// # Errors
    /// `root_unacceptable`, `intermediate_unacceptable`, `issuer_key_mismatch`.
    pub fn open_intermediate(root: &[u8], intermediate: &[u8], key: PrivateKey) -> Result<Self, OpenError> {
        let authority = Self::open_intermediate_external(root, intermediate, key.public_key())?;
        Ok(Self { key: Some(key), ..authority })
    }

    /// Opens the authority of an intermediate whose key is in a KMS.
    ///
    /// # Errors
    /// `root_unacceptable`, `intermediate_unacceptable`, `issuer_key_mismatch`.
    pub fn open_intermediate_external(root: &[u8], intermediate: &[u8], key: &PublicKey) -> Result<Self, OpenError> {
        let (root, zone) = rules::root::check(root).map_err(OpenError::RootUnacceptable)?;
        let bundle = crate::Bundle::of(zone.clone(), root.clone());
        let certificate =
            rules::check_intermediate(intermediate, &bundle).map_err(OpenError::IntermediateUnacceptable)?;
        if certificate.public_key() != key {
            return Err(OpenError::IssuerKeyMismatch);
        }
        Ok(Self::of(zone, root, Some(certificate), None))
    }
}
