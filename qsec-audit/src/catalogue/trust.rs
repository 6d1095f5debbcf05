//! Certificates and the trust zone.

use super::table::{activity, catalogue, member, option, setter, shape};

catalogue! {
    CaCreated = "ca.created" FailClosed, severity 1, ocsf 3004:1, alias(), "certificates: own root per deployment",
        { serial: text, digest: text, not_after: time } personal();
    CertificateIssued = "certificate.issued" FailClosed, severity 1, ocsf 3004:1, alias(), "certificates: client and server certificates",
        { serial: text, digest: text, spiffe: text, role: CertificateRole, not_after: time } personal();
    CertificateRenewed = "certificate.renewed" Block, severity 1, ocsf 3004:3, alias(), "certificates: client and server certificates",
        { serial: text, digest: text, spiffe: text, role: CertificateRole, not_after: time } personal();
    CertificateRefused = "certificate.refused" Block, severity 2, ocsf 3004:1, alias(), "certificates: client and server certificates",
        { check: text } personal();
    CertificateRevoked = "certificate.revoked" FailClosed, severity 2, ocsf 3004:4, alias(), "certificates: revocation",
        { serial: text, cause: text } personal();
    CrlPublished = "crl.published" Block, severity 1, ocsf 3004:3, alias(), "certificates: revocation",
        { number: int, entries: int } personal();
    TrustBundleChanged = "trust_bundle.changed" FailClosed, severity 1, ocsf 3004:3, alias(), "certificates: only this root is accepted",
        { roots: texts, previous: text } personal();
    PeerRejected = "peer.rejected" Block, severity 2, ocsf 4001:5, alias(), "certificates: nobody else can talk in the zone",
        { serial: text, check: text, zone: text, count: int, first: time, last: time } personal("address");
    NodeJoined = "node.joined" FailClosed, severity 1, ocsf 3004:6, alias(), "certificates: a server joins",
        { node: text, serial: text } personal();
    NodeRemoved = "node.removed" FailClosed, severity 1, ocsf 3004:7, alias(), "certificates: a server joins",
        { node: text, serial: text } personal();
    NodeJoinRefused = "node.join_refused" Block, severity 2, ocsf 3004:6, alias(), "certificates: the secret goes out of band",
        { check: text, count: int, first: time, last: time } personal();
    ServerCertificateInstalled = "server_certificate.installed" FailClosed, severity 1, ocsf 3004:1, alias(), "certificates: external certificate for clients",
        { serial: text, issuer: text, digest: text } personal();
    TlsPolicyChanged = "tls_policy.changed" FailClosed, severity 1, ocsf 3004:3, alias(), "hardening: protocols, ciphers, headers",
        { changed: texts, grade: text } personal();
    SecretAccessed = "secret.accessed" Block, severity 1, ocsf 3004:2, alias(), "certificates: secrets in the database are encrypted",
        { secret: text, purpose: text } personal();
}
