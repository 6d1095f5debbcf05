//! Certificates, requests and PEM of a stranger.

use qsec_pki::{Bundle, Certificate, CertificateRequest, pem};

pub fn check(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::parse(bytes) {
        // Strict DER has one spelling: what was read is what came.
        assert_eq!(certificate.der(), bytes);
    }
    let _ = CertificateRequest::parse(bytes);
    let _ = Bundle::new(&[bytes]);
    if let Ok(documents) = pem::parse(pem::CERTIFICATE, bytes) {
        for document in documents {
            let text = pem::encode(pem::CERTIFICATE, &document);
            assert!(pem::parse(pem::CERTIFICATE, text.as_bytes()).is_ok());
        }
    }
}
