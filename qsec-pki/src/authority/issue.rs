use std::time::SystemTime;

use super::issued::Entry;
use super::template::{self, KeyUsage, Template};
use super::{Authority, BACKDATING, IssueError, Issued, LeafProfile, PREPARED_FOR, Prepared, is_der_signature};
use crate::certificate::Certificate;
use crate::der::time;
use crate::ledger::{CertificateState, Ledger};
use crate::rejection::{Reason, Rejection};
use crate::request::CertificateRequest;
use crate::role::Role;
use crate::rules::{self, Signatures, Terms};
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

impl Authority {
    /// Issues a leaf for the key of a request. What else the request asks for is ignored.
    ///
    /// The key's past is not looked up: [`Authority::issue_recorded`] does that.
    ///
    /// # Errors
    /// `id_malformed`, `name_malformed`, `name_not_in_zone`, `ttl_out_of_range`, `issuer_expiring`, `issuer_not_yet_valid`, `key_reused` if it is the
    /// authority's own key, `signer_not_here`, `randomness_unavailable`, `time_out_of_range`.
    pub fn issue(
        &self,
        request: &CertificateRequest,
        profile: &LeafProfile,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let prepared = self.prepare(request, profile, now)?;
        let signature = self.sign(&prepared)?;
        // The key stands beside us and was compared with the certificate at open: its signature is not computed a second time.
        self.complete(prepared, &signature, Signatures::KnownGood { root: self.root.spki_sha256() }, now)
    }

    /// Issues a leaf, and keeps the ledger: a key that was ever certified is refused, the serial is reserved before it is signed.
    ///
    /// ```
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// use qsec_pki::{Authority, CertificateRequest, LeafProfile, MemoryLedger, PrivateKey, Zone};
    ///
    /// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
    /// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
    /// let (ledger, profile) = (MemoryLedger::new(), LeafProfile::client("svc/proxy/node/n1"));
    /// let request = CertificateRequest::parse(&PrivateKey::generate()?.request()?)?;
    ///
    /// pollster::block_on(authority.issue_recorded(&ledger, &request, &profile, now))?;
    /// let again = pollster::block_on(authority.issue_recorded(&ledger, &request, &profile, now)).unwrap_err();
    /// assert_eq!(again.code(), "key_reused");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Authority::issue`], `key_reused`, `serial_spent`, `store_unavailable`. A serial that was reserved stays spent.
    pub async fn issue_recorded(
        &self,
        ledger: &dyn Ledger,
        request: &CertificateRequest,
        profile: &LeafProfile,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        if self.key.is_none() {
            return Err(IssueError::SignerNotHere);
        }
        let prepared = self.prepare_recorded(ledger, request, profile, now).await?;
        let signature = self.sign(&prepared)?;
        let issued =
            self.complete(prepared, &signature, Signatures::KnownGood { root: self.root.spki_sha256() }, now)?;
        ledger.advance(&issued.ledger_row(), CertificateState::Prepared).await?;
        Ok(issued)
    }

    /// First half of issuing with a key in a KMS: makes the bytes to sign. Reserve its [row](Prepared::ledger_row) before signing.
    ///
    /// ```
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// use qsec_pki::{Authority, CertificateRequest, LeafProfile, PrivateKey, Zone};
    /// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
    /// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
    /// # let kms = authority.key().unwrap();
    /// # let request = CertificateRequest::parse(&PrivateKey::generate()?.request()?)?;
    /// let prepared = authority.prepare(&request, &LeafProfile::server("svc/engine/node/n7"), now)?;
    /// let signature = kms.sign(prepared.tbs())?;
    /// let leaf = authority.finish(prepared, &signature, now)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Authority::issue`] that concern profile, key and instant.
    pub fn prepare(
        &self,
        request: &CertificateRequest,
        profile: &LeafProfile,
        now: SystemTime,
    ) -> Result<Prepared, IssueError> {
        let subject = profile.subject(&self.zone)?;
        let key = request.public_key();
        let issuer = self.certificate();
        if [self.root.public_key(), issuer.public_key()].contains(&key) {
            return Err(IssueError::KeyReused);
        }
        let seconds = time::floor(now).ok_or(IssueError::TimeOutOfRange)?;
        let (not_before, not_after) = (seconds.saturating_sub(BACKDATING), seconds.saturating_add(subject.ttl));
        if not_after > issuer.validity().1 {
            return Err(IssueError::IssuerExpiring);
        }
        if seconds < issuer.validity().0 {
            return Err(IssueError::IssuerNotYetValid);
        }
        let serial = Serial::generate().ok_or(IssueError::RandomnessUnavailable)?;
        let node = subject.id.path().rsplit('/').next().unwrap_or_default();
        let algorithm = SignatureAlgorithm::of_curve(issuer.public_key().curve());
        let name = template::name(self.zone.as_str(), node);
        let template = Template {
            serial: &serial,
            algorithm,
            issuer: issuer.subject_der(),
            not_before,
            not_after,
            subject: &name,
            key,
        };
        let tbs = template.to_be_signed(|list| {
            template::basic_constraints(list, None);
            template::key_usage(list, KeyUsage::DigitalSignature);
            template::extended_key_usage(list, subject.role);
            template::subject_alt_name(list, subject.id.as_str(), &subject.dns);
            template::subject_key_identifier(list, key);
            template::authority_key_identifier(list, issuer.key_identifier().unwrap_or_default());
        });
        Ok(Prepared {
            tbs: tbs.ok_or(IssueError::TimeOutOfRange)?,
            algorithm,
            entry: Entry {
                kind: "leaf",
                id: subject.id.to_string(),
                role: Some(subject.role),
                dns: subject.dns,
                serial,
                issuer_serial: *issuer.serial(),
                spki_sha256: key.spki_sha256(),
                not_before,
                not_after,
            },
            id: subject.id,
            role: subject.role,
            extras: request.extras().to_vec(),
            since: now,
            issuer_key: issuer.spki_sha256(),
        })
    }

    /// [`Authority::prepare`], and keeps the ledger: a key that was ever certified is refused, the serial is reserved.
    ///
    /// # Errors
    /// Those of [`Authority::prepare`], `key_reused`, `serial_spent`, `store_unavailable`.
    pub async fn prepare_recorded(
        &self,
        ledger: &dyn Ledger,
        request: &CertificateRequest,
        profile: &LeafProfile,
        now: SystemTime,
    ) -> Result<Prepared, IssueError> {
        let prepared = self.prepare(request, profile, now)?;
        if ledger.knows_key(&prepared.entry.spki_sha256).await? {
            return Err(IssueError::KeyReused);
        }
        ledger.reserve(&prepared.ledger_row()).await?;
        Ok(prepared)
    }

    /// Second half: takes the signature, DER, verifies it, and the whole certificate by the rules of the zone.
    ///
    /// # Errors
    /// `signature_invalid`, `prepared_stale`, `issuer_key_mismatch` if another authority prepared it, `name_not_in_zone`.
    pub fn finish(&self, prepared: Prepared, signature: &[u8], now: SystemTime) -> Result<Issued, IssueError> {
        if prepared.issuer_key != self.certificate().spki_sha256() {
            return Err(IssueError::PreparedElsewhere);
        }
        if now.duration_since(prepared.since).is_ok_and(|since| since > PREPARED_FOR) {
            return Err(IssueError::PreparedStale);
        }
        if !is_der_signature(signature) {
            return Err(IssueError::SignatureInvalid);
        }
        self.complete(prepared, signature, Signatures::Check, now)
    }

    /// [`Authority::finish`], and keeps the ledger: the reserved row becomes an issued one.
    ///
    /// # Errors
    /// Those of [`Authority::finish`], `serial_spent` if the row is not a prepared one any more, `store_unavailable`.
    pub async fn finish_recorded(
        &self,
        ledger: &dyn Ledger,
        prepared: Prepared,
        signature: &[u8],
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let issued = self.finish(prepared, signature, now)?;
        ledger.advance(&issued.ledger_row(), CertificateState::Prepared).await?;
        Ok(issued)
    }

    fn sign(&self, prepared: &Prepared) -> Result<Vec<u8>, IssueError> {
        let key = self.key.as_ref().ok_or(IssueError::SignerNotHere)?;
        Ok(key.sign(&prepared.tbs)?)
    }

    /// Puts the certificate together and judges it as any member would.
    fn complete(
        &self,
        prepared: Prepared,
        signature: &[u8],
        signatures: Signatures,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let der = template::signed(&prepared.tbs, prepared.algorithm, signature);
        let intermediate = self.intermediate.as_ref().map(Certificate::der);
        let chain: Vec<&[u8]> = [der.as_slice()].into_iter().chain(intermediate).collect();
        let asked = if prepared.role == Role::Peer { Role::Server } else { prepared.role };
        let terms = Terms { bundle: &self.bundle, role: asked, peer_leaves: true };
        let path = rules::judge(terms, &chain, signatures, now).map_err(refusal)?;
        let (Some(view), Some(key)) = (path.views.first(), path.keys.first()) else {
            return Err(IssueError::Invariant(rules::form::unreadable(0)));
        };
        Ok(Issued {
            certificate: Certificate::of(view, key.clone(), path.serial),
            chain: chain.iter().map(|der| der.to_vec()).collect(),
            entry: prepared.entry,
            id: prepared.id,
            role: prepared.role,
            extras: prepared.extras,
        })
    }
}

/// What the signer did, what a name did, or what we did.
fn refusal(rejection: Rejection) -> IssueError {
    let reason = rejection.reason();
    if reason == Reason::SignatureInvalid {
        IssueError::SignatureInvalid
    } else if matches!(reason, Reason::NameConstraintViolated | Reason::IntermediateProfile) {
        IssueError::NameNotInZone(rejection)
    } else {
        IssueError::Invariant(rejection)
    }
}
