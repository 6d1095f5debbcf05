use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};

use crate::admit::Admit;
use crate::certificate::Certificate;
use crate::name::DnsName;
use crate::rejection::{Reason, Rejection};
use crate::role::Role;
use crate::trust_zone::{ExpectedName, TrustZone};

/// Judges the other end inside a handshake, by the rules of the zone and by nothing else.
#[derive(Debug)]
pub(super) struct MemberVerifier {
    zone: TrustZone,
    peer: Role,
    admit: Admit,
    algorithms: WebPkiSupportedAlgorithms,
}

impl MemberVerifier {
    pub(super) fn new(zone: TrustZone, peer: Role, admit: Admit, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { zone, peer, admit, algorithms }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        expected: Option<&ExpectedName>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let chain: Vec<_> = [leaf].into_iter().chain(rest).collect();
        let now = UNIX_EPOCH.checked_add(Duration::from_secs(now.as_secs()));
        let now = now.ok_or_else(|| rustls::Error::General("the clock shows no instant".into()))?;
        self.zone.verify(&chain, self.peer, expected, &self.admit, now).map(|_| ()).map_err(refusal)
    }

    /// The handshake's own signature, by which the other end shows that it holds the leaf's key.
    fn verify_handshake(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let leaf = Certificate::parse(leaf).map_err(refusal)?;
        let key = SubjectPublicKeyInfoDer::from(leaf.public_key().spki_der());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    /// What keys of a zone sign with in TLS 1.3, where curve and hash go together.
    fn schemes() -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384]
    }
}

/// Our side gets the reason, the other an alert: `unsupported_certificate` for a leaf of another role, which every TLS library
/// answers by that name, and `certificate_unknown` for all else.
fn refusal(rejection: Rejection) -> rustls::Error {
    let purpose = [Reason::EkuMissing, Reason::EkuNotExact, Reason::EkuWrongRole];
    rustls::Error::InvalidCertificate(if purpose.contains(&rejection.reason()) {
        CertificateError::InvalidPurpose
    } else {
        CertificateError::Other(OtherError(Arc::new(rejection)))
    })
}

/// No configuration of ours offers TLS 1.2.
fn never() -> rustls::Error {
    rustls::Error::General("TLS 1.2 is not spoken inside a zone".into())
}

impl ServerCertVerifier for MemberVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let expected = match dialled {
            ServerName::DnsName(name) => {
                let name = DnsName::parse(name.as_ref()).map_err(|error| rustls::Error::General(error.to_string()))?;
                Some(ExpectedName::Dns(name))
            }
            ServerName::IpAddress(_) => None,
            _ => return Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)),
        };
        self.verify(leaf, rest, expected.as_ref(), now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(never())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_handshake(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for MemberVerifier {
    /// None: a stranger is not told which zone this is.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(leaf, rest, None, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(never())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_handshake(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}
