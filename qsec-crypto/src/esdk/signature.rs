//! The signature at the end of a message of suite `0x0578`.

#![deny(clippy::arithmetic_side_effects)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p384::AffinePoint;
use p384::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use ring::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};

use super::body;
use super::header::{MessageHeader, PUBLIC_KEY};
use crate::refusal::Refusal;

/// Bytes of a compressed point on P-384.
const POINT_BYTES: usize = 49;

/// The body of a signed message: what is between the header and the signature, if that verifies over both and nothing
/// follows it.
pub(super) fn verified_body<'a>(header: &MessageHeader, message: &'a [u8]) -> Result<&'a [u8], Refusal> {
    let (_, body) = message.split_at_checked(header.body_start()).ok_or(Refusal::Broken)?;
    let (body, footer) = body.split_at_checked(body::end(header.content(), body)?).ok_or(Refusal::Broken)?;
    let (length, signature) = footer.split_first_chunk().ok_or(Refusal::End)?;
    if usize::from(u16::from_be_bytes(*length)) != signature.len() {
        return Err(Refusal::End);
    }
    let signed = message.get(..header.body_start().saturating_add(body.len())).ok_or(Refusal::Broken)?;
    let point = public_key(header).ok_or(Refusal::Signature)?;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point).verify(signed, signature).map_err(|_| Refusal::Signature)?;
    Ok(body)
}

/// The key, as a point with both coordinates: ring takes no compressed one.
fn public_key(header: &MessageHeader) -> Option<impl AsRef<[u8]> + use<>> {
    let compressed = STANDARD.decode(header.pair(PUBLIC_KEY)?).ok().filter(|point| point.len() == POINT_BYTES)?;
    Some(AffinePoint::from_sec1_bytes(&compressed).ok()?.to_uncompressed_point())
}
