//! Certificates: as bytes, as fields, as something that was checked for its form.

pub(crate) mod extension;
pub(crate) mod view;

use std::fmt;
use std::time::SystemTime;

use self::extension::Form;
use self::view::View;
use crate::der::{Reader, oid, tag, time};
use crate::key::PublicKey;
use crate::name::{DnsName, SpiffeId, quoted};
use crate::rejection::Rejection;
use crate::role::Role;
use crate::rules::form;
use crate::serial::Serial;

/// A certificate of sound form: strict DER, version 3, known critical extensions, an allowed algorithm and key.
///
/// Nothing is said about who signed it: only a [`TrustZone`](crate::TrustZone) says that.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{Authority, Certificate, Zone};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// let root = Certificate::parse(authority.root().der())?;
/// assert_eq!(root.subject(), "O=prod.internal, CN=qsec root 1");
/// assert!(root.is_ca());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Box<[u8]>,
    serial: Serial,
    subject_der: Box<[u8]>,
    subject: String,
    issuer: String,
    not_before: i64,
    not_after: i64,
    key: PublicKey,
    key_identifier: Option<Box<[u8]>>,
    path_len: Option<u8>,
    ca: bool,
    uris: Vec<String>,
    dns: Vec<DnsName>,
    role: Option<Role>,
}

impl Certificate {
    /// Reads a DER certificate and checks its form: rows 2 and 4 to 10 of the zone's rules.
    ///
    /// # Errors
    /// A [`Rejection`] with the first of those rows that it breaks, at position 0.
    pub fn parse(der: &[u8]) -> Result<Self, Rejection> {
        let views = form::read_chain(&[der])?;
        let keys = form::check(&views)?;
        match (views.as_slice(), keys.as_slice()) {
            ([view], [key]) => Ok(Self::of(view, key.clone(), form::serial(view, 0)?)),
            _ => Err(form::unreadable(0)),
        }
    }

    pub(crate) fn of(view: &View<'_>, key: PublicKey, serial: Serial) -> Self {
        let constraints = view.basic_constraints();
        Self {
            der: view.der.into(),
            serial,
            subject_der: view.subject.into(),
            subject: printed_name(view.subject),
            issuer: printed_name(view.issuer),
            not_before: view.not_before,
            not_after: view.not_after,
            key,
            key_identifier: view.subject_key_identifier().map(Into::into),
            path_len: constraints.and_then(|constraints| constraints.path_len),
            ca: constraints.is_some_and(|constraints| constraints.ca),
            uris: texts(view, Form::Uri),
            dns: texts(view, Form::Dns).iter().filter_map(|name| DnsName::parse(name).ok()).collect(),
            role: view.extended_key_usage().and_then(role_of_purposes),
        }
    }

    /// The bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The subject's name, for people: no decision reads it.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer's name, for people.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The first instant of validity.
    pub fn not_before(&self) -> SystemTime {
        time::instant(self.not_before)
    }

    /// The last second of validity.
    pub fn not_after(&self) -> SystemTime {
        time::instant(self.not_after)
    }

    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 over the subject public key info.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.key.spki_sha256()
    }

    /// The SPIFFE ID, if there is exactly one URI and it is one.
    pub fn spiffe_id(&self) -> Option<SpiffeId> {
        match self.uris.as_slice() {
            [uri] => SpiffeId::parse(uri).ok(),
            _ => None,
        }
    }

    /// The DNS names that are well-formed.
    pub fn dns(&self) -> &[DnsName] {
        &self.dns
    }

    /// The role that its extended key usage names, if it is exactly one of ours.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Whether it says that it is an authority.
    pub fn is_ca(&self) -> bool {
        self.ca
    }

    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    pub(crate) fn key_identifier(&self) -> Option<&[u8]> {
        self.key_identifier.as_deref()
    }

    pub(crate) fn path_len(&self) -> Option<u8> {
        self.path_len
    }

    /// First and last second of validity, Unix seconds.
    pub(crate) fn validity(&self) -> (i64, i64) {
        (self.not_before, self.not_after)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.serial)
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn texts(view: &View<'_>, form: Form) -> Vec<String> {
    let names = view.names().unwrap_or_default().iter().filter(|name| name.form == form);
    names.filter_map(|name| std::str::from_utf8(name.value).ok().map(str::to_owned)).collect()
}

/// The role of exactly these purposes, each at most once.
pub(crate) fn role_of_purposes(purposes: &[&[u8]]) -> Option<Role> {
    match *purposes {
        [oid::SERVER_AUTH] => Some(Role::Server),
        [oid::CLIENT_AUTH] => Some(Role::Client),
        [oid::SERVER_AUTH, oid::CLIENT_AUTH] | [oid::CLIENT_AUTH, oid::SERVER_AUTH] => Some(Role::Peer),
        _ => None,
    }
}

/// `O=…, CN=…`, for people. What is not understood is left out.
fn printed_name(name: &[u8]) -> String {
    let mut parts = Vec::new();
    let Ok(mut sets) = Reader::only(name, tag::SEQUENCE, "") else { return String::new() };
    while let Ok(set) = sets.element() {
        let mut attributes = set.inside();
        while let Ok(mut attribute) = attributes.sequence("") {
            let (Ok(kind), Ok(value)) = (attribute.element(), attribute.element()) else { continue };
            let label = match kind.body {
                oid::COMMON_NAME => "CN",
                oid::ORGANIZATION => "O",
                _ => "?",
            };
            parts.push(format!("{label}={}", quoted(&String::from_utf8_lossy(value.body))));
        }
    }
    parts.join(", ")
}
