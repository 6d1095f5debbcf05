//! Extensions of certificates (RFC 5280 section 4.2), as far as they decide something.

use crate::der::{Element, Malformed, Reader, check_encoding, oid, tag};

/// One extension, read.
#[derive(Debug, Clone)]
pub(crate) struct Extension<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) critical: bool,
    pub(crate) value: Value<'a>,
}

/// What an extension says; the value of one that is not known is opaque.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    BasicConstraints(BasicConstraints),
    KeyUsage(u16),
    ExtendedKeyUsage(Vec<&'a [u8]>),
    SubjectAltName(Vec<GeneralName<'a>>),
    NameConstraints(NameConstraints<'a>),
    SubjectKeyIdentifier(&'a [u8]),
    AuthorityKeyIdentifier(Option<&'a [u8]>),
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    /// Numbers above 255 are 255.
    pub(crate) path_len: Option<u8>,
}

/// Bits of `KeyUsage` as [`Value::KeyUsage`] holds them: the first bit is the highest.
pub(crate) mod usage {
    pub(crate) const DIGITAL_SIGNATURE: u16 = 0x8000;
    pub(crate) const KEY_CERT_SIGN: u16 = 0x0400;
    pub(crate) const CRL_SIGN: u16 = 0x0200;
}

#[derive(Debug, Clone, Default)]
pub(crate) struct NameConstraints<'a> {
    pub(crate) permitted: Vec<GeneralName<'a>>,
    pub(crate) excluded: Vec<GeneralName<'a>>,
}

/// A `GeneralName`: its form, and its content (of constructed forms still encoded).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GeneralName<'a> {
    pub(crate) form: Form,
    pub(crate) value: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Dns,
    Uri,
    IpAddress,
    /// otherName, rfc822Name, x400Address, directoryName, ediPartyName, registeredID.
    Other,
}

impl<'a> Extension<'a> {
    pub(super) fn read(extension: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = extension.sequence("an extension is no sequence")?;
        let oid = fields.expect(tag::OID, "an extension has no identifier")?.body;
        let critical = fields.default_false()?;
        let bytes = fields.expect(tag::OCTET_STRING, "an extension has no value")?.body;
        fields.end()?;
        Ok(Self { oid, critical, value: Value::read(oid, bytes)? })
    }
}

impl<'a> Value<'a> {
    fn read(oid: &[u8], bytes: &'a [u8]) -> Result<Self, Malformed> {
        let read = match oid {
            oid::BASIC_CONSTRAINTS => basic_constraints,
            oid::KEY_USAGE => key_usage,
            oid::EXTENDED_KEY_USAGE => extended_key_usage,
            oid::SUBJECT_ALT_NAME => subject_alt_name,
            oid::NAME_CONSTRAINTS => name_constraints,
            oid::SUBJECT_KEY_IDENTIFIER => subject_key_identifier,
            oid::AUTHORITY_KEY_IDENTIFIER => authority_key_identifier,
            _ => return Ok(Self::Unknown),
        };
        check_encoding(bytes)?;
        read(bytes)
    }
}

fn basic_constraints(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut fields = Reader::only(bytes, tag::SEQUENCE, "basic constraints are no sequence")?;
    let ca = fields.default_false()?;
    let path_len = match fields.optional(tag::INTEGER)?.map(|element| element.body) {
        None => None,
        Some([length @ 0..=0x7f] | [0, length]) => Some(*length),
        Some([first, ..]) if *first < 0x80 => Some(u8::MAX),
        Some(_) => return Err(Malformed("a path length is negative")),
    };
    fields.end()?;
    Ok(Value::BasicConstraints(BasicConstraints { ca, path_len }))
}

fn key_usage(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let element = reader.expect(tag::BIT_STRING, "a key usage is no bit string")?;
    reader.end()?;
    let (unused, bits) = match *element.body {
        [0] => return Ok(Value::KeyUsage(0)),
        [unused, first] => (unused, [first, 0]),
        [unused, first, second] => (unused, [first, second]),
        _ => return Err(Malformed("a key usage has bits that do not exist")),
    };
    // X.690 section 11.2.2: zero bits at the end of a named bit list are removed.
    let last = element.body.last().copied().unwrap_or_default();
    if last.trailing_zeros() != u32::from(unused) {
        return Err(Malformed("a key usage has zeros at its end"));
    }
    Ok(Value::KeyUsage(u16::from_be_bytes(bits)))
}

fn extended_key_usage(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut list = Reader::only(bytes, tag::SEQUENCE, "an extended key usage is no sequence")?;
    let mut purposes = Vec::new();
    while !list.is_empty() {
        purposes.push(list.expect(tag::OID, "a purpose is no identifier")?.body);
    }
    if purposes.is_empty() {
        Err(Malformed("an extended key usage is empty"))
    } else {
        Ok(Value::ExtendedKeyUsage(purposes))
    }
}

fn subject_alt_name(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut list = Reader::only(bytes, tag::SEQUENCE, "an alternative name is no sequence")?;
    let mut names = Vec::new();
    while !list.is_empty() {
        names.push(general_name(list.element()?)?);
    }
    if names.is_empty() { Err(Malformed("an alternative name is empty")) } else { Ok(Value::SubjectAltName(names)) }
}

fn general_name(element: Element<'_>) -> Result<GeneralName<'_>, Malformed> {
    let form = match element.tag {
        0x82 => Form::Dns,
        0x86 => Form::Uri,
        0x87 => Form::IpAddress,
        0xa0 | 0x81 | 0xa3 | 0xa4 | 0xa5 | 0x88 => Form::Other,
        _ => return Err(Malformed("a name is of no known form")),
    };
    let text = matches!(element.tag, 0x81 | 0x82 | 0x86);
    if text && !element.body.is_ascii() {
        return Err(Malformed("a name is not ASCII"));
    }
    Ok(GeneralName { form, value: element.body })
}

fn name_constraints(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut fields = Reader::only(bytes, tag::SEQUENCE, "name constraints are no sequence")?;
    if fields.is_empty() {
        return Err(Malformed("name constraints are empty"));
    }
    let permitted = fields.optional(tag::context_constructed(0))?.map_or(Ok(Vec::new()), subtrees)?;
    let excluded = fields.optional(tag::context_constructed(1))?.map_or(Ok(Vec::new()), subtrees)?;
    fields.end()?;
    Ok(Value::NameConstraints(NameConstraints { permitted, excluded }))
}

fn subtrees(element: Element<'_>) -> Result<Vec<GeneralName<'_>>, Malformed> {
    let mut list = element.inside();
    let mut names = Vec::new();
    while !list.is_empty() {
        let mut subtree = list.sequence("a constraint is no sequence")?;
        names.push(general_name(subtree.element()?)?);
        // Minimum 0 is a default, other distances are forbidden by RFC 5280 section 4.2.1.10.
        subtree.end().map_err(|_| Malformed("a constraint has a minimum or maximum"))?;
    }
    if names.is_empty() { Err(Malformed("a list of constraints is empty")) } else { Ok(names) }
}

fn subject_key_identifier(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let identifier = reader.expect(tag::OCTET_STRING, "a key identifier is no octet string")?.body;
    reader.end()?;
    Ok(Value::SubjectKeyIdentifier(identifier))
}

pub(crate) fn authority_key_identifier(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut fields = Reader::only(bytes, tag::SEQUENCE, "an authority key identifier is no sequence")?;
    let identifier = fields.optional(tag::context(0))?.map(|element| element.body);
    fields.optional(tag::context_constructed(1))?;
    fields.optional(tag::context(2))?;
    fields.end()?;
    Ok(Value::AuthorityKeyIdentifier(identifier))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reads(oid: &[u8], bytes: &[u8]) -> bool {
        Value::read(oid, bytes).is_ok()
    }

    #[test]
    fn basic_constraints_have_one_form() {
        let good: [&[u8]; 4] =
            [&[0x30, 0], &[0x30, 3, 1, 1, 0xff], &[0x30, 6, 1, 1, 0xff, 2, 1, 0], &[0x30, 3, 2, 1, 0]];
        assert!(good.iter().all(|bytes| reads(oid::BASIC_CONSTRAINTS, bytes)));
        let bad: [&[u8]; 6] = [
            &[],
            &[0x30, 3, 1, 1, 0],
            &[0x30, 3, 2, 1, 0xff],
            &[0x30, 3, 1, 1, 1],
            &[0x30, 0, 0],
            &[0x30, 6, 2, 1, 0, 1, 1, 0xff],
        ];
        assert!(!bad.iter().any(|bytes| reads(oid::BASIC_CONSTRAINTS, bytes)));
    }

    #[test]
    fn key_usage_has_no_zeros_at_its_end() {
        assert!(matches!(Value::read(oid::KEY_USAGE, &[3, 2, 7, 0x80]), Ok(Value::KeyUsage(usage::DIGITAL_SIGNATURE))));
        assert!(matches!(Value::read(oid::KEY_USAGE, &[3, 2, 1, 0x06]), Ok(Value::KeyUsage(0x0600))));
        assert!(matches!(Value::read(oid::KEY_USAGE, &[3, 3, 7, 0x80, 0x80]), Ok(Value::KeyUsage(0x8080))));
        let bad: [&[u8]; 6] = [
            &[3, 2, 0, 0x80],
            &[3, 2, 6, 0x80],
            &[3, 2, 1, 0],
            &[3, 3, 0, 0x80, 0],
            &[3, 4, 0, 1, 1, 1],
            &[4, 1, 0x80],
        ];
        assert!(!bad.iter().any(|bytes| reads(oid::KEY_USAGE, bytes)));
    }

    #[test]
    fn empty_lists_and_distances_are_refused() {
        for oid in [oid::EXTENDED_KEY_USAGE, oid::SUBJECT_ALT_NAME, oid::NAME_CONSTRAINTS] {
            assert!(!reads(oid, &[0x30, 0]));
        }
        assert!(reads(oid::NAME_CONSTRAINTS, &[0x30, 6, 0xa0, 4, 0x30, 2, 0x82, 0]));
        assert!(!reads(oid::NAME_CONSTRAINTS, &[0x30, 2, 0xa0, 0]));
        assert!(!reads(oid::NAME_CONSTRAINTS, &[0x30, 9, 0xa0, 7, 0x30, 5, 0x82, 0, 0x80, 1, 0]));
        assert!(!reads(oid::SUBJECT_ALT_NAME, &[0x30, 2, 0x89, 0]));
        assert!(!reads(oid::SUBJECT_ALT_NAME, &[0x30, 3, 0x82, 1, 0xff]));
    }

    proptest! {
        #[test]
        fn values_never_panic(kind in 0_usize..7, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let oids = [
                oid::BASIC_CONSTRAINTS, oid::KEY_USAGE, oid::EXTENDED_KEY_USAGE, oid::SUBJECT_ALT_NAME, oid::NAME_CONSTRAINTS,
                oid::SUBJECT_KEY_IDENTIFIER, oid::AUTHORITY_KEY_IDENTIFIER,
            ];
            let _ = Value::read(oids[kind], &bytes);
        }
    }
}
