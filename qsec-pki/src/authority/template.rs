//! The bytes of certificates and lists, field by field. Nothing here is ever taken from someone else's structure but a key.

use crate::der::{Writer, oid, tag, time};
use crate::key::PublicKey;
use crate::serial::Serial;
use crate::signature::SignatureAlgorithm;

/// Room for a leaf with some names, bytes.
const USUAL_CERTIFICATE: usize = 1_024;

/// What every certificate has, besides its extensions.
pub(super) struct Template<'a> {
    pub(super) serial: &'a Serial,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) issuer: &'a [u8],
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) subject: &'a [u8],
    pub(super) key: &'a PublicKey,
}

impl Template<'_> {
    /// The bytes to sign; `None` if a time cannot be written.
    pub(super) fn to_be_signed(&self, extensions: impl FnOnce(&mut Writer)) -> Option<Vec<u8>> {
        let (not_before, not_after) = (time::encode(self.not_before)?, time::encode(self.not_after)?);
        let mut writer = Writer::with_capacity(USUAL_CERTIFICATE);
        writer.sequence(|tbs| {
            tbs.nested(tag::context_constructed(0), |version| version.unsigned(&[2]));
            tbs.unsigned(self.serial.octets());
            tbs.encoded(self.algorithm.encoded());
            tbs.encoded(self.issuer);
            tbs.sequence(|validity| {
                for (tag, text) in [&not_before, &not_after] {
                    validity.primitive(*tag, text.as_bytes());
                }
            });
            tbs.encoded(self.subject);
            tbs.encoded(self.key.spki_der());
            tbs.nested(tag::context_constructed(3), |explicit| explicit.sequence(extensions));
        });
        Some(writer.into_vec())
    }
}

/// `SIGNED{…}`: what was signed, how, and the signature.
pub(super) fn signed(to_be_signed: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(to_be_signed.len().saturating_add(128));
    writer.sequence(|whole| {
        whole.encoded(to_be_signed);
        whole.encoded(algorithm.encoded());
        whole.bits(signature);
    });
    writer.into_vec()
}

/// `O=<zone>, CN=<common name>`.
pub(super) fn name(organization: &str, common_name: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.sequence(|name| {
        for (kind, value) in [(oid::ORGANIZATION, organization), (oid::COMMON_NAME, common_name)] {
            name.nested(tag::SET, |set| {
                set.sequence(|attribute| {
                    attribute.oid(kind);
                    attribute.primitive(tag::UTF8_STRING, value.as_bytes());
                });
            });
        }
    });
    writer.into_vec()
}

fn extension(list: &mut Writer, oid: &[u8], critical: bool, value: impl FnOnce(&mut Writer)) {
    list.sequence(|extension| {
        extension.oid(oid);
        if critical {
            extension.boolean_true();
        }
        extension.nested(tag::OCTET_STRING, value);
    });
}

/// Critical; `None` is a leaf, `Some` an authority with its path length.
pub(super) fn basic_constraints(list: &mut Writer, path_len: Option<u8>) {
    extension(list, oid::BASIC_CONSTRAINTS, true, |value| {
        value.sequence(|constraints| {
            if let Some(path_len) = path_len {
                constraints.boolean_true();
                constraints.unsigned(&[path_len]);
            }
        });
    });
}

/// Key usages that we write.
#[derive(Clone, Copy)]
pub(super) enum KeyUsage {
    DigitalSignature,
    CertSignAndCrlSign,
}

/// Critical.
pub(super) fn key_usage(list: &mut Writer, usage: KeyUsage) {
    let bits = match usage {
        KeyUsage::DigitalSignature => 0x80,
        KeyUsage::CertSignAndCrlSign => 0x06,
    };
    extension(list, oid::KEY_USAGE, true, |value| value.named_bits(bits));
}

pub(super) fn extended_key_usage(list: &mut Writer, role: crate::Role) {
    extension(list, oid::EXTENDED_KEY_USAGE, false, |value| {
        value.sequence(|purposes| {
            if role.serves() {
                purposes.oid(oid::SERVER_AUTH);
            }
            if role.calls() {
                purposes.oid(oid::CLIENT_AUTH);
            }
        });
    });
}

/// One URI, then DNS names.
pub(super) fn subject_alt_name(list: &mut Writer, uri: &str, dns: &[crate::DnsName]) {
    extension(list, oid::SUBJECT_ALT_NAME, false, |value| {
        value.sequence(|names| {
            names.primitive(tag::context(6), uri.as_bytes());
            for name in dns {
                names.primitive(tag::context(2), name.as_str().as_bytes());
            }
        });
    });
}

pub(super) fn subject_key_identifier(list: &mut Writer, key: &PublicKey) {
    extension(list, oid::SUBJECT_KEY_IDENTIFIER, false, |value| {
        value.primitive(tag::OCTET_STRING, &key.key_identifier());
    });
}

pub(super) fn authority_key_identifier(list: &mut Writer, issuer: &[u8]) {
    extension(list, oid::AUTHORITY_KEY_IDENTIFIER, false, |value| {
        value.sequence(|fields| fields.primitive(tag::context(0), issuer));
    });
}

/// Critical: DNS names below these suffixes or, if there are none, no DNS name; no address; URIs of `host` if there is one.
pub(super) fn name_constraints(list: &mut Writer, suffixes: &[crate::DnsName], host: Option<&str>) {
    let subtree = |list: &mut Writer, tag: u8, value: &[u8]| list.sequence(|subtree| subtree.primitive(tag, value));
    let (uri, dns, address) = (tag::context(6), tag::context(2), tag::context(7));
    extension(list, oid::NAME_CONSTRAINTS, true, |value| {
        value.sequence(|constraints| {
            if !suffixes.is_empty() || host.is_some() {
                constraints.nested(tag::context_constructed(0), |permitted| {
                    for suffix in suffixes {
                        subtree(permitted, dns, suffix.as_str().as_bytes());
                    }
                    if let Some(host) = host {
                        subtree(permitted, uri, host.as_bytes());
                    }
                });
            }
            constraints.nested(tag::context_constructed(1), |excluded| {
                if suffixes.is_empty() {
                    subtree(excluded, dns, b"");
                }
                // An address and a mask, of version 4 and of version 6: all of them.
                subtree(excluded, address, &[0; 8]);
                subtree(excluded, address, &[0; 32]);
            });
        });
    });
}

pub(super) fn crl_number(list: &mut Writer, number: u64) {
    extension(list, oid::CRL_NUMBER, false, |value| value.unsigned(&number.to_be_bytes()));
}

pub(super) fn reason_code(list: &mut Writer, code: u8) {
    extension(list, oid::REASON_CODE, false, |value| value.primitive(tag::ENUMERATED, &[code]));
}
