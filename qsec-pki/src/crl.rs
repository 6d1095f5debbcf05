//! Revocation lists (RFC 5280 section 5): complete ones, signed by the issuer itself.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::certificate::extension::{Value, authority_key_identifier};
use crate::certificate::view::{read_algorithm, read_name};
use crate::der::{Element, Malformed, Reader, check_encoding, oid, tag, time};
use crate::key::PublicKey;
use crate::serial::{MAX_SERIAL, Serial};
use crate::signature::SignatureAlgorithm;

/// Largest list, bytes (budget table of the zone's rules).
const MAX_CRL_BYTES: usize = 64 * 1024 * 1024;
/// Most entries of a list.
const MAX_CRL_ENTRIES: usize = 2_000_000;

/// Revocation lists as they were given, read once. A bad one is kept: it refuses every path, whatever the others say.
///
/// ```
/// use qsec_pki::Crls;
///
/// let lists = Crls::read(&[b"not a list"]);
/// assert_eq!(lists.len(), 1);
/// ```
pub struct Crls {
    pub(crate) lists: Vec<Result<Crl, Malformed>>,
}

impl Crls {
    /// Reads DER lists. What is wrong with one is told by the verification that needs it.
    pub fn read<C: AsRef<[u8]>>(lists: &[C]) -> Self {
        Self { lists: lists.iter().map(|der| Crl::read(der.as_ref())).collect() }
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there is none, so that every path is refused.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }
}

impl fmt::Debug for Crls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crls").field("lists", &self.lists.len()).finish()
    }
}

/// A number, or a serial: big-endian, with leading zeros.
pub(crate) type Number = [u8; MAX_SERIAL];

/// One list.
pub(crate) struct Crl {
    pub(crate) issuer: Box<[u8]>,
    pub(crate) authority_key_identifier: Option<Box<[u8]>>,
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    pub(crate) number: Number,
    /// Sorted.
    revoked: Vec<Number>,
    algorithm: Option<SignatureAlgorithm>,
    signature: Box<[u8]>,
    tbs: Box<[u8]>,
    /// SHA-256 of the last key under which the signature verified: a list is long, and stays the same.
    verified_under: Mutex<Option<[u8; 32]>>,
}

impl Crl {
    fn read(der: &[u8]) -> Result<Self, Malformed> {
        if der.len() > MAX_CRL_BYTES {
            return Err(Malformed("list is larger than 64 MiB"));
        }
        check_encoding(der)?;
        let mut list = Reader::only(der, tag::SEQUENCE, "a list is no sequence")?;
        let tbs = list.expect(tag::SEQUENCE, "a list has no content")?;
        let outer_algorithm = read_algorithm(&mut list)?;
        let signature = list.bytes_of_bits("a signature is no string of whole bytes")?;
        list.end()?;

        let mut fields = tbs.inside();
        if fields.small_integer("a list is not of version 2")? != 1 {
            return Err(Malformed("a list is not of version 2"));
        }
        if read_algorithm(&mut fields)? != outer_algorithm {
            return Err(Malformed("the two signature algorithms differ"));
        }
        let issuer = read_name(&mut fields)?;
        let this_update = time::read(fields.element()?)?;
        let next_update = optional_time(&mut fields)?;
        let revoked = fields.optional(tag::SEQUENCE)?.map_or(Ok(Vec::new()), read_entries)?;
        let extensions = fields.expect(tag::context_constructed(0), "a list has no number")?;
        fields.end()?;
        let (number, authority_key_identifier) = read_extensions(extensions)?;
        Ok(Self {
            issuer: issuer.into(),
            authority_key_identifier: authority_key_identifier.map(Into::into),
            this_update,
            next_update,
            number,
            revoked,
            algorithm: SignatureAlgorithm::from_encoded(outer_algorithm),
            signature: signature.into(),
            tbs: tbs.whole.into(),
            verified_under: Mutex::new(None),
        })
    }

    /// Whether the list is signed by `key`.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let hash = key.spki_sha256();
        let mut verified_under = self.verified_under.lock().unwrap_or_else(PoisonError::into_inner);
        if *verified_under == Some(hash) {
            return true;
        }
        let signed = self.algorithm.is_some_and(|algorithm| algorithm.verifies(key, &self.tbs, &self.signature));
        if signed {
            *verified_under = Some(hash);
        }
        signed
    }

    pub(crate) fn revokes(&self, serial: &Serial) -> bool {
        self.revoked.binary_search(serial.octets()).is_ok()
    }
}

/// `nextUpdate` is optional in the syntax; the rules demand it.
fn optional_time(fields: &mut Reader<'_>) -> Result<Option<i64>, Malformed> {
    for tag in [tag::UTC_TIME, tag::GENERALIZED_TIME] {
        if let Some(element) = fields.optional(tag)? {
            return time::read(element).map(Some);
        }
    }
    Ok(None)
}

fn read_entries(element: Element<'_>) -> Result<Vec<Number>, Malformed> {
    let mut entries = element.inside();
    if entries.is_empty() {
        return Err(Malformed("a list of no entries is encoded"));
    }
    let mut serials = Vec::new();
    while !entries.is_empty() {
        if serials.len() == MAX_CRL_ENTRIES {
            return Err(Malformed("a list has more than 2,000,000 entries"));
        }
        let mut entry = entries.sequence("an entry is no sequence")?;
        let serial = entry.expect(tag::INTEGER, "an entry has no serial")?.body;
        serials.push(
            *Serial::from_integer(serial).ok_or(Malformed("an entry's serial is not positive and short"))?.octets(),
        );
        time::read(entry.element()?)?;
        if let Some(extensions) = entry.optional(tag::SEQUENCE)? {
            check_entry_extensions(extensions)?;
        }
        entry.end()?;
    }
    serials.sort_unstable();
    Ok(serials)
}

/// Identifier, criticality, value.
type Extension<'a> = (&'a [u8], bool, &'a [u8]);

/// Each extension; none stands twice.
fn extensions(mut list: Reader<'_>) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut all: Vec<Extension<'_>> = Vec::new();
    while !list.is_empty() {
        let mut extension = list.sequence("an extension is no sequence")?;
        let oid = extension.expect(tag::OID, "an extension has no identifier")?.body;
        let critical = extension.default_false()?;
        let value = extension.expect(tag::OCTET_STRING, "an extension has no value")?.body;
        extension.end()?;
        if all.len() == MAX_EXTENSIONS {
            return Err(Malformed("there are too many extensions"));
        }
        if all.iter().any(|(seen, ..)| *seen == oid) {
            return Err(Malformed("an extension stands twice"));
        }
        all.push((oid, critical, value));
    }
    if all.is_empty() { Err(Malformed("extensions are empty")) } else { Ok(all) }
}

/// Most extensions of a list or of an entry: RFC 5280 knows nine and four.
const MAX_EXTENSIONS: usize = 16;

fn check_entry_extensions(list: Element<'_>) -> Result<(), Malformed> {
    for (oid, critical, value) in extensions(list.inside())? {
        if oid == oid::REASON_CODE {
            check_encoding(value)?;
            Reader::new(value).expect(tag::ENUMERATED, "a reason is no number")?;
        } else if critical {
            return Err(Malformed("a critical extension of an entry is not understood"));
        }
    }
    Ok(())
}

fn read_extensions(explicit: Element<'_>) -> Result<(Number, Option<&[u8]>), Malformed> {
    let mut inside = explicit.inside();
    let list = inside.sequence("extensions are no sequence")?;
    inside.end()?;
    let (mut number, mut identifier) = (None, None);
    for (oid, critical, value) in extensions(list)? {
        match oid {
            oid::CRL_NUMBER => number = Some(read_number(value)?),
            oid::AUTHORITY_KEY_IDENTIFIER => {
                check_encoding(value)?;
                if let Value::AuthorityKeyIdentifier(found) = authority_key_identifier(value)? {
                    identifier = found;
                }
            }
            // Says that the list covers a part only; RFC 5280 section 5.2.5 has it critical, so does section 5.2.4 for deltas.
            oid::ISSUING_DISTRIBUTION_POINT | oid::DELTA_CRL_INDICATOR => {
                return Err(Malformed("a list covers a part only"));
            }
            _ if critical => return Err(Malformed("a critical extension is not understood")),
            _ => {}
        }
    }
    Ok((number.ok_or(Malformed("a list has no number"))?, identifier))
}

/// At most 20 octets (RFC 5280 section 5.2.3), not negative.
fn read_number(value: &[u8]) -> Result<Number, Malformed> {
    check_encoding(value)?;
    let mut reader = Reader::new(value);
    let content = reader.expect(tag::INTEGER, "a list's number is none")?.body;
    reader.end()?;
    if content == [0] {
        return Ok([0; MAX_SERIAL]);
    }
    Serial::from_integer(content)
        .map(|number| *number.octets())
        .ok_or(Malformed("a list's number is negative or too long"))
}
