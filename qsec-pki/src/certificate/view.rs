//! A certificate as it stands in its bytes: read by the rules of DER, judged by nobody yet.

use super::extension::{BasicConstraints, Extension, GeneralName, NameConstraints, Value};
use crate::der::{Malformed, Reader, check_encoding, tag, time};

/// The fields of a certificate. Reading one is row 4 of the zone's rules; all other rules ask this.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    pub(crate) der: &'a [u8],
    /// What is signed.
    pub(crate) tbs: &'a [u8],
    /// The number in the version field: 2 means version 3.
    pub(crate) version: &'a [u8],
    pub(crate) serial: &'a [u8],
    pub(crate) inner_algorithm: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) subject: &'a [u8],
    pub(crate) spki: &'a [u8],
    pub(crate) extensions: Vec<Extension<'a>>,
    pub(crate) outer_algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> View<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        check_encoding(der)?;
        let mut certificate = Reader::only(der, tag::SEQUENCE, "a certificate is no sequence")?;
        let tbs = certificate.expect(tag::SEQUENCE, "a certificate has no content")?;
        let outer_algorithm = read_algorithm(&mut certificate)?;
        let signature = certificate.bytes_of_bits("a signature is no string of whole bytes")?;
        certificate.end()?;

        let mut fields = tbs.inside();
        let version = read_version(&mut fields)?;
        let serial = fields.expect(tag::INTEGER, "a certificate has no serial")?.body;
        let inner_algorithm = read_algorithm(&mut fields)?;
        let issuer = read_name(&mut fields)?;
        let mut validity = fields.sequence("a certificate has no validity")?;
        let (not_before, not_after) = (time::read(validity.element()?)?, time::read(validity.element()?)?);
        validity.end()?;
        let subject = read_name(&mut fields)?;
        let spki = read_spki(&mut fields)?;
        // Unique identifiers say nothing that anyone asks; they may stand there (RFC 5280 section 4.1.2.8).
        fields.optional(tag::context(1))?;
        fields.optional(tag::context(2))?;
        let extensions = read_extensions(&mut fields)?;
        fields.end()?;
        Ok(Self {
            der,
            tbs: tbs.whole,
            version,
            serial,
            inner_algorithm,
            issuer,
            not_before,
            not_after,
            subject,
            spki,
            extensions,
            outer_algorithm,
            signature,
        })
    }

    fn find<T>(&self, read: impl Fn(&Value<'a>) -> Option<T>) -> Option<T> {
        self.extensions.iter().find_map(|extension| read(&extension.value))
    }

    pub(crate) fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.find(|value| if let Value::BasicConstraints(constraints) = value { Some(*constraints) } else { None })
    }

    pub(crate) fn key_usage(&self) -> Option<u16> {
        self.find(|value| if let Value::KeyUsage(bits) = value { Some(*bits) } else { None })
    }

    pub(crate) fn extended_key_usage(&self) -> Option<&[&'a [u8]]> {
        self.extensions
            .iter()
            .find_map(|e| if let Value::ExtendedKeyUsage(oids) = &e.value { Some(oids.as_slice()) } else { None })
    }

    pub(crate) fn names(&self) -> Option<&[GeneralName<'a>]> {
        self.extensions
            .iter()
            .find_map(|e| if let Value::SubjectAltName(names) = &e.value { Some(names.as_slice()) } else { None })
    }

    pub(crate) fn name_constraints(&self) -> Option<&NameConstraints<'a>> {
        self.extensions.iter().find_map(|e| if let Value::NameConstraints(all) = &e.value { Some(all) } else { None })
    }

    pub(crate) fn subject_key_identifier(&self) -> Option<&'a [u8]> {
        self.find(|value| if let Value::SubjectKeyIdentifier(identifier) = value { Some(*identifier) } else { None })
    }

    pub(crate) fn authority_key_identifier(&self) -> Option<&'a [u8]> {
        self.find(|value| if let Value::AuthorityKeyIdentifier(identifier) = value { *identifier } else { None })
    }
}

/// `[0] EXPLICIT INTEGER DEFAULT v1`.
fn read_version<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let Some(explicit) = fields.optional(tag::context_constructed(0))? else { return Ok(&[0]) };
    let mut inside = explicit.inside();
    let version = inside.expect(tag::INTEGER, "a version is no number")?.body;
    inside.end()?;
    if version == [0] { Err(Malformed("a default value is encoded")) } else { Ok(version) }
}

/// `AlgorithmIdentifier`: an identifier and at most one parameter. The whole element.
pub(crate) fn read_algorithm<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let algorithm = fields.expect(tag::SEQUENCE, "an algorithm is no sequence")?;
    let mut inside = algorithm.inside();
    inside.expect(tag::OID, "an algorithm has no identifier")?;
    if !inside.is_empty() {
        inside.element()?;
    }
    inside.end()?;
    Ok(algorithm.whole)
}

/// `Name`: a sequence of non-empty sets of attributes. The whole element.
pub(crate) fn read_name<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let name = fields.expect(tag::SEQUENCE, "a name is no sequence")?;
    let mut sets = name.inside();
    while !sets.is_empty() {
        let mut set = sets.expect(tag::SET, "a part of a name is no set")?.inside();
        if set.is_empty() {
            return Err(Malformed("a part of a name is empty"));
        }
        while !set.is_empty() {
            let mut attribute = set.sequence("an attribute is no sequence")?;
            attribute.expect(tag::OID, "an attribute has no type")?;
            attribute.element()?;
            attribute.end()?;
        }
    }
    Ok(name.whole)
}

/// `SubjectPublicKeyInfo`: an algorithm and a bit string. The whole element.
pub(crate) fn read_spki<'a>(fields: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let spki = fields.expect(tag::SEQUENCE, "a key is no sequence")?;
    let mut inside = spki.inside();
    read_algorithm(&mut inside)?;
    inside.bytes_of_bits("a key is no string of whole bytes")?;
    inside.end()?;
    Ok(spki.whole)
}

fn read_extensions<'a>(fields: &mut Reader<'a>) -> Result<Vec<Extension<'a>>, Malformed> {
    let Some(explicit) = fields.optional(tag::context_constructed(3))? else { return Ok(Vec::new()) };
    let mut inside = explicit.inside();
    let mut list = inside.sequence("extensions are no sequence")?;
    inside.end()?;
    let mut extensions = Vec::with_capacity(8);
    while !list.is_empty() {
        extensions.push(Extension::read(&mut list)?);
    }
    if extensions.is_empty() { Err(Malformed("extensions are empty")) } else { Ok(extensions) }
}
