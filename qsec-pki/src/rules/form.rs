//! Rows 2 to 10: sizes, and what each certificate must look like whoever it is.

use std::collections::BTreeSet;

use super::numbered;
use crate::bundle::Bundle;
use crate::certificate::extension::Value;
use crate::certificate::view::View;
use crate::key::{KeyRefusal, PublicKey};
use crate::rejection::{Position, Reason, Rejection};
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

/// Largest chain, bytes (budget table of the zone's rules).
pub(crate) const MAX_CHAIN_BYTES: usize = 64 * 1024;
/// Largest certificate, bytes.
pub(crate) const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Longest chain, certificates: leaf, intermediate, and room for the reason why a third is refused.
pub(crate) const MAX_CHAIN: usize = 3;

/// Rows 2 and 3: bytes and certificates are counted, copies of trusted roots are dropped.
pub(super) fn check_size<'a>(bundle: &Bundle, chain: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, Rejection> {
    let total = chain.iter().fold(0_usize, |total, certificate| total.saturating_add(certificate.len()));
    if total > MAX_CHAIN_BYTES {
        return Err(Rejection::new(Reason::TooLarge, Position::Certificate(0), "chain is larger than 64 KiB"));
    }
    let chain: Vec<_> =
        chain.iter().copied().filter(|der| bundle.roots().iter().all(|root| root.der() != *der)).collect();
    for (index, certificate) in chain.iter().enumerate() {
        check_certificate_size(certificate, Position::Certificate(index))?;
    }
    if chain.is_empty() {
        return Err(Rejection::new(Reason::ChainEmpty, Position::Certificate(0), "chain holds no leaf"));
    }
    if chain.len() > MAX_CHAIN {
        let at = Position::Certificate(MAX_CHAIN);
        return Err(Rejection::new(Reason::ChainTooLong, at, "chain holds more than three certificates besides roots"));
    }
    Ok(chain)
}

fn check_certificate_size(certificate: &[u8], at: Position) -> Result<(), Rejection> {
    if certificate.len() > MAX_CERTIFICATE_BYTES {
        return Err(Rejection::new(Reason::TooLarge, at, "certificate is larger than 16 KiB"));
    }
    Ok(())
}

/// Row 4: strict DER of every certificate.
pub(crate) fn read_chain<'a>(chain: &[&'a [u8]]) -> Result<Vec<View<'a>>, Rejection> {
    let read = |(index, certificate): (usize, &&'a [u8])| {
        let at = Position::Certificate(index);
        check_certificate_size(certificate, at)?;
        View::read(certificate).map_err(|malformed| {
            Rejection::new(Reason::Malformed, at, format!("certificate is not strict DER: {}", malformed.0))
        })
    };
    chain.iter().enumerate().map(read).collect()
}

/// The answer where a certificate that was read before cannot be read again; it is reachable by no input.
pub(crate) fn unreadable(index: usize) -> Rejection {
    Rejection::new(Reason::Malformed, Position::Certificate(index), "certificate cannot be read")
}

/// Rows 5 to 10, in order; the keys of row 10 are handed back.
pub(crate) fn check(views: &[View<'_>]) -> Result<Vec<PublicKey>, Rejection> {
    for (at, view) in numbered(views) {
        if view.version != [2] {
            return Err(Rejection::new(Reason::NotV3, at, "certificate is not of version 3"));
        }
    }
    for index in 0..views.len() {
        if let Some(view) = views.get(index) {
            serial(view, index)?;
        }
    }
    check_extensions(views)?;
    check_algorithms(views)?;
    numbered(views).map(|(at, view)| read_key(view, at)).collect()
}

/// Row 6.
pub(crate) fn serial(view: &View<'_>, index: usize) -> Result<Serial, Rejection> {
    Serial::from_integer(view.serial).ok_or_else(|| {
        let detail = "serial is not a positive number of at most 20 octets";
        Rejection::new(Reason::SerialInvalid, Position::Certificate(index), detail)
    })
}

/// Rows 7 and 8.
fn check_extensions(views: &[View<'_>]) -> Result<(), Rejection> {
    for (at, view) in numbered(views) {
        let distinct: BTreeSet<_> = view.extensions.iter().map(|extension| extension.oid).collect();
        if distinct.len() != view.extensions.len() {
            return Err(Rejection::new(Reason::DuplicateExtension, at, "an extension stands twice"));
        }
    }
    for (at, view) in numbered(views) {
        if view.extensions.iter().any(|extension| extension.critical && matches!(extension.value, Value::Unknown)) {
            return Err(Rejection::new(Reason::UnknownCriticalExtension, at, "a critical extension is not understood"));
        }
    }
    for (at, view) in numbered(views) {
        for extension in &view.extensions {
            let (name, critical) = match extension.value {
                Value::BasicConstraints(_) => ("basicConstraints", true),
                Value::KeyUsage(_) => ("keyUsage", true),
                Value::NameConstraints(_) => ("nameConstraints", true),
                Value::SubjectAltName(_) => ("subjectAltName", false),
                Value::ExtendedKeyUsage(_) => ("extendedKeyUsage", false),
                Value::SubjectKeyIdentifier(_) => ("subjectKeyIdentifier", false),
                Value::AuthorityKeyIdentifier(_) => ("authorityKeyIdentifier", false),
                Value::Unknown => continue,
            };
            if extension.critical != critical {
                let not = if critical { "not " } else { "" };
                return Err(Rejection::new(Reason::ExtensionCriticality, at, format!("`{name}` is {not}critical")));
            }
        }
    }
    Ok(())
}

/// Row 9.
fn check_algorithms(views: &[View<'_>]) -> Result<(), Rejection> {
    for (at, view) in numbered(views) {
        if view.inner_algorithm != view.outer_algorithm {
            return Err(Rejection::new(Reason::SignatureAlgorithmMismatch, at, "the two signature algorithms differ"));
        }
    }
    for (at, view) in numbered(views) {
        if SignatureAlgorithm::from_encoded(view.outer_algorithm).is_none() {
            let detail = "signature algorithm is not ECDSA with SHA-256 or SHA-384, without parameters";
            return Err(Rejection::new(Reason::SignatureAlgorithmNotAllowed, at, detail));
        }
    }
    Ok(())
}

/// Row 10.
fn read_key(view: &View<'_>, at: Position) -> Result<PublicKey, Rejection> {
    PublicKey::read(view.spki).map_err(|refusal| match refusal {
        KeyRefusal::Malformed(malformed) => {
            Rejection::new(Reason::Malformed, at, format!("key is not strict DER: {}", malformed.0))
        }
        KeyRefusal::NotAllowed => {
            Rejection::new(Reason::KeyNotAllowed, at, "key is not an uncompressed point on P-256 or P-384")
        }
    })
}
