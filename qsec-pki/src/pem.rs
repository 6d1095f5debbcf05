//! PEM: the text form in which certificates travel in files (RFC 7468, strict).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The label of certificates.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The label of certificate requests.
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";
/// The label of revocation lists.
pub const CRL: &str = "X509 CRL";
/// The label of PKCS#8 private keys that are not encrypted.
pub const PRIVATE_KEY: &str = "PRIVATE KEY";

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Characters of base64 on a line (RFC 7468 section 2).
const LINE: usize = 64;

/// Why a text is not PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
#[non_exhaustive]
pub struct PemError {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl PemError {
    /// The stable code: `pem_malformed`.
    pub fn code(&self) -> &'static str {
        "pem_malformed"
    }
}

/// The contents of every block with this label, in order; text between blocks and blocks with other labels are passed over.
///
/// ```
/// use qsec_pki::pem;
///
/// let text = format!("for people\n{}", pem::encode(pem::CERTIFICATE, b"bytes"));
/// assert_eq!(pem::parse(pem::CERTIFICATE, text.as_bytes())?, [b"bytes"]);
/// # Ok::<(), pem::PemError>(())
/// ```
///
/// # Errors
/// A [`PemError`] where a block does not end, ends with another label, or holds base64 that is not canonical, whatever its label.
pub fn parse(label: &str, text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    while let Some((number, line)) = lines.next() {
        let Some(block) = marker(line, BEGIN) else { continue };
        let content = read_block(&mut lines, block, number)?;
        if block == label.as_bytes() {
            found.push(content);
        }
    }
    Ok(found)
}

fn read_block<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
    label: &[u8],
    begun: usize,
) -> Result<Vec<u8>, PemError> {
    let mut base64 = zeroize::Zeroizing::new(Vec::new());
    for (line, text) in lines {
        if let Some(ended) = marker(text, END) {
            if ended != label {
                return Err(PemError { line, reason: "a block ends with another label than it began with" });
            }
            return STANDARD
                .decode(&*base64)
                .map_err(|_| PemError { line, reason: "a block holds base64 that is not canonical" });
        }
        base64.extend_from_slice(text.trim_ascii_end());
    }
    Err(PemError { line: begun, reason: "a block does not end" })
}

/// The label of a line such as `-----BEGIN CERTIFICATE-----`.
fn marker<'a>(line: &'a [u8], kind: &str) -> Option<&'a [u8]> {
    line.trim_ascii_end().strip_prefix(kind.as_bytes())?.strip_suffix(DASHES.as_bytes())
}

/// One block.
///
/// ```
/// use qsec_pki::pem;
///
/// let text = pem::encode(pem::CRL, &[0; 3]);
/// assert_eq!(text, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
/// ```
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = String::with_capacity(base64.len().saturating_add(base64.len() / LINE).saturating_add(100));
    text.extend([BEGIN, label, DASHES, "\n"]);
    for (index, character) in base64.chars().enumerate() {
        if index > 0 && index % LINE == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.extend([if base64.is_empty() { "" } else { "\n" }, END, label, DASHES, "\n"]);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_armour_is_refused_where_it_breaks() {
        let good = encode(CERTIFICATE, &[7; 100]);
        assert_eq!(parse(CERTIFICATE, good.replace('\n', "\r\n").as_bytes()).unwrap(), [[7; 100]]);
        assert_eq!(parse(CRL, good.as_bytes()).unwrap(), Vec::<Vec<u8>>::new());
        for (from, to, line) in [
            ("-----END CERTIFICATE-----", "-----END CRL-----", 5),
            ("-----END CERTIFICATE-----", "", 1),
            ("BwcH\n", "BwcH====\n", 5),
            ("BwcH\n", "Bw cH\n", 5),
            ("BwcH\n", "Bwc*\n", 5),
            ("-----END", "BwcH-----END", 1),
        ] {
            let broken = good.replacen(from, to, 1);
            assert_ne!(broken, good, "{from} does not occur");
            assert_eq!(parse(CERTIFICATE, broken.as_bytes()).unwrap_err().line, line, "{from} -> {to}");
        }
        assert!(
            parse(CERTIFICATE, b"-----BEGIN CERTIFICATE-----\nAAB=\n-----END CERTIFICATE-----").is_err(),
            "set bits behind the end"
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4)) {
            let text = blocks.iter().fold(String::new(), |text, block| text + "note\n" + &encode(CERTIFICATE, block));
            prop_assert_eq!(parse(CERTIFICATE, text.as_bytes()).unwrap(), blocks);
        }

        #[test]
        fn parse_never_panics(text in "(-----(BEGIN|END) [AB]-----\r?\n|[A-Za-z0-9+/=]{0,6}\n|.){0,12}") {
            let _ = parse("A", text.as_bytes());
        }
    }
}
