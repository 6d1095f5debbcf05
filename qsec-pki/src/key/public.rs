use std::fmt;

use ring::digest;

use super::{KeyError, field};
use crate::der::{Element, Malformed, Reader, Writer, oid, tag};

/// A curve that keys of a zone lie on.
///
/// ```
/// use qsec_pki::{Curve, PrivateKey};
///
/// assert_eq!(PrivateKey::generate()?.public_key().curve(), Curve::P256);
/// # Ok::<(), qsec_pki::KeyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// NIST P-384, secp384r1.
    P384,
}

impl Curve {
    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => oid::P256,
            Self::P384 => oid::P384,
        }
    }
}

/// A public key: the subject public key info, one encoding per key.
///
/// ```
/// use qsec_pki::{PrivateKey, PublicKey};
///
/// let key = PrivateKey::generate()?;
/// assert_eq!(&PublicKey::from_spki(key.public_key().spki_der())?, key.public_key());
/// # Ok::<(), qsec_pki::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    curve: Curve,
    spki: Box<[u8]>,
    point_at: usize,
}

/// Why a subject public key info is none of ours: the encoding, or what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyRefusal {
    Malformed(Malformed),
    NotAllowed,
}

impl From<Malformed> for KeyRefusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl PublicKey {
    /// Reads a DER `SubjectPublicKeyInfo`: named curve, uncompressed point, on the curve.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is not strict DER, [`KeyError::NotAllowed`] if it is another kind of key.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        Self::read(der).map_err(|refusal| match refusal {
            KeyRefusal::Malformed(_) => KeyError::Malformed,
            KeyRefusal::NotAllowed => KeyError::NotAllowed,
        })
    }

    pub(crate) fn read(spki: &[u8]) -> Result<Self, KeyRefusal> {
        crate::der::check_encoding(spki)?;
        let mut fields = Reader::only(spki, tag::SEQUENCE, "a key is no sequence")?;
        let mut algorithm = fields.sequence("a key has no algorithm")?;
        let point = fields.bytes_of_bits("a key is no string of whole bytes")?;
        fields.end()?;
        let kind = algorithm.expect(tag::OID, "an algorithm has no identifier")?;
        let curve = match (kind.body, algorithm.element().map_err(|_| KeyRefusal::NotAllowed)?) {
            (oid::EC_PUBLIC_KEY, Element { tag: tag::OID, body: oid::P256, .. }) => Curve::P256,
            (oid::EC_PUBLIC_KEY, Element { tag: tag::OID, body: oid::P384, .. }) => Curve::P384,
            _ => return Err(KeyRefusal::NotAllowed),
        };
        algorithm.end()?;
        if !is_on_curve(curve, point) {
            return Err(KeyRefusal::NotAllowed);
        }
        Ok(Self { curve, spki: spki.into(), point_at: spki.len().saturating_sub(point.len()) })
    }

    /// The key of a point that is known to lie on the curve.
    pub(super) fn of_point(curve: Curve, point: &[u8]) -> Self {
        let mut writer = Writer::with_capacity(128);
        writer.sequence(|spki| {
            spki.sequence(|algorithm| {
                algorithm.oid(oid::EC_PUBLIC_KEY);
                algorithm.oid(curve.oid());
            });
            spki.bits(point);
        });
        let spki = writer.into_vec().into_boxed_slice();
        let point_at = spki.len().saturating_sub(point.len());
        Self { curve, spki, point_at }
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The DER `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 over the DER `SubjectPublicKeyInfo`: what a ledger and a pin name the key by.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// The uncompressed point, which is the content of the `subjectPublicKey` bit string.
    pub(crate) fn point(&self) -> &[u8] {
        self.spki.get(self.point_at..).unwrap_or_default()
    }

    /// The leftmost 160 bits of SHA-256 over the subjectPublicKey bits (RFC 7093 section 2, method 1).
    pub(crate) fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        identifier.iter_mut().zip(sha256(self.point())).for_each(|(to, from)| *to = from);
        identifier
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("curve", &self.curve).finish_non_exhaustive()
    }
}

fn is_on_curve(curve: Curve, point: &[u8]) -> bool {
    let Some((4, coordinates)) = point.split_first() else { return false };
    match (curve, coordinates.split_at_checked(coordinates.len() / 2)) {
        (Curve::P256, Some((x, y))) => field::P256.has_point(x, y),
        (Curve::P384, Some((x, y))) => field::P384.has_point(x, y),
        (_, None) => false,
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;

    #[test]
    fn other_keys_are_not_allowed() {
        let good = PrivateKey::generate().unwrap().public_key().spki_der().to_vec();
        assert_eq!(good.len(), 91);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            PublicKey::from_spki(&bytes).unwrap_err()
        };
        assert_eq!(changed(8, 0x02), KeyError::NotAllowed, "algorithm");
        assert_eq!(changed(22, 0x06), KeyError::NotAllowed, "curve");
        assert_eq!(changed(26, 0x02), KeyError::NotAllowed, "compressed");
        assert_eq!(changed(90, good[90] ^ 1), KeyError::NotAllowed, "off the curve");
        assert_eq!(changed(25, 1), KeyError::Malformed, "unused bits");
        for end in 0..good.len() {
            assert_eq!(PublicKey::from_spki(&good[..end]).unwrap_err(), KeyError::Malformed);
        }
    }

    #[test]
    fn algorithm_without_parameters_is_not_allowed() {
        // RSA keys have NULL, Ed25519 keys nothing.
        let ed25519 =
            hex::decode("302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(PublicKey::from_spki(&ed25519.unwrap()).unwrap_err(), KeyError::NotAllowed);
    }
}
