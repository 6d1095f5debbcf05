//! Second opinions: other people's readers and verifiers on what we issue, and what they make on us.
#![expect(clippy::disallowed_methods, reason = "`CI` says whether a missing tool is a failure")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use qsec_pki::{
    Admit, Certificate, CertificateRequest, IntermediateProfile, LeafProfile, PrivateKey, RevocationReason,
    RevokedCertificate, Role, Serial, TrustZone, pem,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::forge::{NOW, at, authority, issue};

fn profile(role: Role) -> LeafProfile {
    LeafProfile::of(role, "svc/engine/node/n7").dns(["n7.svc.zone-a.internal", "n7.zone-a.internal"])
}

#[test]
fn webpki_agrees_on_our_leaves() {
    let authority = authority(at(NOW));
    let root = CertificateDer::from(authority.root().der());
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(NOW).unwrap()));
    for role in Role::ALL {
        let (chain, _) = issue(&authority, &profile(role), at(NOW));
        let leaf = CertificateDer::from(chain[0].as_slice());
        let leaf = EndEntityCert::try_from(&leaf).unwrap();
        for (asked, usage) in [(Role::Server, KeyUsage::server_auth()), (Role::Client, KeyUsage::client_auth())] {
            let algorithms = [webpki::ring::ECDSA_P256_SHA256];
            let outcome = leaf.verify_for_usage(&algorithms, &anchors, &[], now, usage, None, None);
            assert_eq!(outcome.is_ok(), role == asked || role == Role::Peer, "{role} as {asked}");
        }
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from("n7.zone-a.internal").unwrap()).unwrap();
        assert!(leaf.verify_is_valid_for_subject_name(&ServerName::try_from("n8.zone-a.internal").unwrap()).is_err());
    }
}

#[test]
fn x509_parser_reads_the_profiles_of_the_specification() {
    let authority = authority(at(NOW));
    let (chain, key) = issue(&authority, &profile(Role::Server), at(NOW));
    let (rest, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(rest.is_empty());
    let (_, root) = X509Certificate::from_der(authority.root().der()).unwrap();
    assert_eq!((leaf.version().0, root.version().0), (2, 2));
    assert_eq!(leaf.subject().to_string(), "O=zone-a.internal, CN=n7");
    assert_eq!(leaf.issuer().as_raw(), root.subject().as_raw());
    assert_eq!(leaf.public_key().raw, key.public_key().spki_der());
    assert_eq!(
        (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp()),
        (NOW - 300, NOW + 86_400)
    );

    let shape = |certificate: &X509Certificate<'_>| -> Vec<(String, bool)> {
        certificate.extensions().iter().map(|extension| (extension.oid.to_id_string(), extension.critical)).collect()
    };
    let due = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
        list.iter().map(|(oid, critical)| ((*oid).to_owned(), *critical)).collect()
    };
    assert_eq!(
        shape(&leaf),
        due(&[
            ("2.5.29.19", true),
            ("2.5.29.15", true),
            ("2.5.29.37", false),
            ("2.5.29.17", false),
            ("2.5.29.14", false),
            ("2.5.29.35", false)
        ])
    );
    assert_eq!(
        shape(&root),
        due(&[("2.5.29.19", true), ("2.5.29.15", true), ("2.5.29.17", false), ("2.5.29.14", false)])
    );

    let constraints = root.basic_constraints().unwrap().unwrap().value;
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(1)));
    assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert_eq!((usage.flags, root.key_usage().unwrap().unwrap().value.flags), (1, 0b110_0000));
    let eku = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(eku.server_auth && !eku.client_auth && !eku.any && eku.other.is_empty());
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(
        *names,
        [
            GeneralName::URI("spiffe://zone-a.internal/svc/engine/node/n7"),
            GeneralName::DNSName("n7.svc.zone-a.internal"),
            GeneralName::DNSName("n7.zone-a.internal"),
        ]
    );
    let identifiers: Vec<_> = [&leaf, &root]
        .iter()
        .flat_map(|certificate| certificate.extensions())
        .filter_map(|extension| {
            if let ParsedExtension::SubjectKeyIdentifier(identifier) = extension.parsed_extension() {
                Some(identifier.0.to_vec())
            } else if let ParsedExtension::AuthorityKeyIdentifier(identifier) = extension.parsed_extension() {
                Some(identifier.key_identifier.as_ref().unwrap().0.to_vec())
            } else {
                None
            }
        })
        .collect();
    let own = crate::forge::ski(&key);
    let issuers = crate::forge::ski(authority.key().unwrap());
    assert_eq!(identifiers, [own, issuers.clone(), issuers]);
}

/// Runs OpenSSL in a folder; `None` if there is none, which is a failure where `CI` is `true`.
fn openssl(folder: &Path, arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("openssl").current_dir(folder).args(arguments).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) => {
            println!("not run: openssl: {error}");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "OpenSSL is missing");
            None
        }
    }
}

#[test]
fn openssl_verifies_our_leaves_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let authority = authority(at(NOW));
    write("root.pem", &pem::encode(pem::CERTIFICATE, authority.root().der()));
    let attime = NOW.to_string();
    for (role, server, client) in [(Role::Server, true, false), (Role::Client, false, true), (Role::Peer, true, true)] {
        let (chain, _) = issue(&authority, &profile(role), at(NOW));
        write("leaf.pem", &pem::encode(pem::CERTIFICATE, &chain[0]));
        for (purpose, due) in [("sslserver", server), ("sslclient", client)] {
            let arguments =
                ["verify", "-x509_strict", "-attime", &attime, "-purpose", purpose, "-CAfile", "root.pem", "leaf.pem"];
            let Some((good, text)) = openssl(folder.path(), &arguments) else { return };
            assert_eq!(good, due, "{role} as {purpose}: {text}");
        }
    }
    let (_, text) = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]).unwrap();
    for due in [
        "Version: 3 (0x2)",
        "Issuer: O = zone-a.internal, CN = qsec root 1",
        "Subject: O = zone-a.internal, CN = n7",
        "URI:spiffe://zone-a.internal/svc/engine/node/n7, DNS:n7.svc.zone-a.internal",
        "CA:FALSE",
        "Digital Signature",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "Jul  2 10:00:00 2026 GMT",
        "ecdsa-with-SHA256",
    ] {
        assert!(text.contains(due), "`{due}` is not in {text}");
    }
    let (_, text) = openssl(folder.path(), &["x509", "-in", "root.pem", "-noout", "-text"]).unwrap();
    assert!(text.contains("CA:TRUE, pathlen:1") && text.contains("Certificate Sign, CRL Sign"), "{text}");
}

#[test]
fn openssl_makes_requests_that_we_take_and_takes_ours() {
    let folder = tempfile::tempdir().unwrap();
    let make = [
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "n.key",
        "-subj",
        "/CN=evil",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-outform",
        "DER",
        "-out",
        "n.csr",
    ];
    let Some((made, text)) = openssl(folder.path(), &make) else { return };
    assert!(made, "{text}");
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let request = CertificateRequest::parse(&read("n.csr")).unwrap();
    assert_eq!(request.extras(), ["subject", "extension_request"]);
    let key = PrivateKey::from_pem(&read("n.key")).unwrap();
    assert_eq!(key.public_key(), request.public_key());
    let authority = authority(at(NOW));
    let issued = authority.issue(&request, &profile(Role::Server), at(NOW)).unwrap();
    let zone = TrustZone::new(authority.bundle());
    zone.verify(issued.chain(), Role::Server, None, &Admit::all_members(), at(NOW)).unwrap();

    std::fs::write(folder.path().join("ours.csr"), PrivateKey::generate().unwrap().request().unwrap()).unwrap();
    let (good, text) =
        openssl(folder.path(), &["req", "-inform", "DER", "-in", "ours.csr", "-verify", "-noout"]).unwrap();
    assert!(good && text.contains("verify OK"), "{text}");

    for (kind, option) in
        [("rsa", "rsa_keygen_bits:2048"), ("ec", "ec_paramgen_curve:secp256k1"), ("ec", "ec_paramgen_curve:P-521")]
    {
        let make = [
            "req", "-new", "-newkey", kind, "-pkeyopt", option, "-nodes", "-keyout", "x.key", "-subj", "/", "-outform",
            "DER", "-out", "x.csr",
        ];
        let (made, text) = openssl(folder.path(), &make).unwrap();
        assert!(made, "{text}");
        assert_eq!(CertificateRequest::parse(&read("x.csr")).unwrap_err().code(), "key_not_allowed", "{option}");
    }
}

#[test]
fn openssl_and_webpki_follow_our_intermediates_and_lists() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let root = authority(at(NOW));
    let profiles = [IntermediateProfile::new(1).dns_suffixes(["zone-a.internal"]), IntermediateProfile::new(2)];
    let names = [vec!["n7.zone-a.internal"], vec![]];
    for (profile, names) in profiles.iter().zip(names) {
        let issuing = root.intermediate(PrivateKey::generate().unwrap(), profile, at(NOW)).unwrap().commit();
        let (chain, _) = issue(&issuing, &LeafProfile::server("svc/engine/node/n7").dns(names), at(NOW));
        let anchor = CertificateDer::from(root.root().der());
        let leaf = CertificateDer::from(chain[0].as_slice());
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(NOW).unwrap()));
        EndEntityCert::try_from(&leaf)
            .unwrap()
            .verify_for_usage(
                &[webpki::ring::ECDSA_P256_SHA256],
                &[anchor_from_trusted_cert(&anchor).unwrap()],
                &[CertificateDer::from(chain[1].as_slice())],
                now,
                KeyUsage::server_auth(),
                None,
                None,
            )
            .unwrap();

        let (revoked, kept) = (Certificate::parse(&chain[0]).unwrap(), Serial::parse("01").unwrap());
        let list = |serial| {
            let entry = RevokedCertificate::new(serial, at(NOW), RevocationReason::Superseded, at(NOW + 86_400));
            let lists = [issuing.issue_crl(1, &[entry], at(NOW)).unwrap(), root.issue_crl(1, &[], at(NOW)).unwrap()];
            lists.map(|list| pem::encode(pem::CRL, list.der())).concat()
        };
        write("root.pem", &pem::encode(pem::CERTIFICATE, root.root().der()));
        write("chain.pem", &pem::encode(pem::CERTIFICATE, &chain[1]));
        write("leaf.pem", &pem::encode(pem::CERTIFICATE, &chain[0]));
        write("good.crl", &list(kept));
        write("revoked.crl", &list(*revoked.serial()));
        let attime = NOW.to_string();
        let verify = |list| {
            openssl(
                folder.path(),
                &[
                    "verify",
                    "-x509_strict",
                    "-attime",
                    &attime,
                    "-purpose",
                    "sslserver",
                    "-crl_check_all",
                    "-CRLfile",
                    list,
                    "-CAfile",
                    "root.pem",
                    "-untrusted",
                    "chain.pem",
                    "leaf.pem",
                ],
            )
        };
        let Some((good, text)) = verify("good.crl") else { return };
        assert!(good, "{text}");
        let (good, text) = verify("revoked.crl").unwrap();
        assert!(!good && text.contains("certificate revoked"), "{text}");
    }
}
