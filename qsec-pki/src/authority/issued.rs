use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::certificate::Certificate;
use crate::der::time;
use crate::ledger::{CertificateState, LedgerRow};
use crate::name::{DnsName, SpiffeId};
use crate::pem;
use crate::role::Role;
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

/// What a certificate is of: what the ledger keeps besides the bytes.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) role: Option<Role>,
    pub(super) dns: Vec<DnsName>,
    pub(super) serial: Serial,
    pub(super) issuer_serial: Serial,
    pub(super) spki_sha256: [u8; 32],
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Entry {
    pub(super) fn row(&self, state: CertificateState, certificate: Option<&[u8]>) -> LedgerRow {
        LedgerRow {
            serial: self.serial.to_string(),
            spki_sha256: self.spki_sha256,
            state,
            not_after: u64::try_from(self.not_after).unwrap_or(0),
            body: self.body(certificate).into_bytes(),
        }
    }

    /// JSON. Every text in it is a name in its one spelling, or hex: none holds a character that JSON escapes.
    fn body(&self, certificate: Option<&[u8]>) -> String {
        let dns: Vec<_> = self.dns.iter().map(|name| format!("\"{name}\"")).collect();
        let role = self.role.map_or_else(String::new, |role| format!(r#","role":"{role}""#));
        let certificate =
            certificate.map_or_else(String::new, |der| format!(r#","certificate":"{}""#, STANDARD.encode(der)));
        format!(
            r#"{{"kind":"{}","id":"{}"{role},"dns":[{}],"issuer_serial":"{}","not_before":{}{certificate}}}"#,
            self.kind,
            self.id,
            dns.join(","),
            self.issuer_serial,
            self.not_before,
        )
    }
}

/// A leaf that is ready to be signed, its serial reserved. Good for one minute, and for one signature.
///
/// ```compile_fail
/// fn twice(prepared: qsec_pki::Prepared) -> (qsec_pki::Prepared, qsec_pki::Prepared) {
///     (prepared.clone(), prepared)
/// }
/// ```
///
/// [`Authority::prepare`](crate::Authority::prepare) makes one; see there for an example.
pub struct Prepared {
    pub(super) tbs: Vec<u8>,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) entry: Entry,
    pub(super) id: SpiffeId,
    pub(super) role: Role,
    pub(super) extras: Vec<&'static str>,
    pub(super) since: SystemTime,
    pub(super) issuer_key: [u8; 32],
}

impl Prepared {
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

    /// The serial.
    pub fn serial(&self) -> &Serial {
        &self.entry.serial
    }

    /// The row to reserve before anything is signed.
    pub fn ledger_row(&self) -> LedgerRow {
        self.entry.row(CertificateState::Prepared, None)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// A leaf that was issued, and what to record of it.
///
/// [`Authority::issue`](crate::Authority::issue) makes one; see there for an example.
#[derive(Debug, Clone)]
pub struct Issued {
    pub(super) certificate: Certificate,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) entry: Entry,
    pub(super) id: SpiffeId,
    pub(super) role: Role,
    pub(super) extras: Vec<&'static str>,
}

impl Issued {
    /// The leaf.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The leaf and the intermediate if there is one, without the root: what its holder presents. DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem::encode(pem::CERTIFICATE, der)).collect()
    }

    /// The serial.
    pub fn serial(&self) -> &Serial {
        &self.entry.serial
    }

    /// Who it is for.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// In which role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its DNS names.
    pub fn dns(&self) -> &[DnsName] {
        &self.entry.dns
    }

    /// The first second of validity.
    pub fn not_before(&self) -> SystemTime {
        time::instant(self.entry.not_before)
    }

    /// The last second of validity.
    pub fn not_after(&self) -> SystemTime {
        time::instant(self.entry.not_after)
    }

    /// The serial of the certificate that issued it.
    pub fn issuer_serial(&self) -> &Serial {
        &self.entry.issuer_serial
    }

    /// SHA-256 over its subject public key info.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.entry.spki_sha256
    }

    /// What the request asked for besides a certificate for its key, and did not get.
    pub fn csr_extras_ignored(&self) -> &[&'static str] {
        &self.extras
    }

    /// The row of the ledger: the reserved one advances to it.
    pub fn ledger_row(&self) -> LedgerRow {
        self.entry.row(CertificateState::Issued, Some(self.certificate.der()))
    }
}
