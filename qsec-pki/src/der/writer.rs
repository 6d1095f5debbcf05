use super::tag;

/// Writes elements into one buffer; lengths are put in when what they measure is complete.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.out
    }

    /// An element that is already encoded.
    pub(crate) fn encoded(&mut self, element: &[u8]) {
        self.out.extend_from_slice(element);
    }

    pub(crate) fn primitive(&mut self, tag: u8, body: &[u8]) {
        self.out.push(tag);
        push_length(&mut self.out, body.len());
        self.out.extend_from_slice(body);
    }

    /// An element whose content `write` writes.
    pub(crate) fn nested(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        self.out.push(tag);
        let start = self.out.len();
        write(self);
        let mut length = Vec::with_capacity(4);
        push_length(&mut length, self.out.len().saturating_sub(start));
        self.out.splice(start..start, length);
    }

    pub(crate) fn sequence(&mut self, write: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, write);
    }

    pub(crate) fn oid(&mut self, body: &[u8]) {
        self.primitive(tag::OID, body);
    }

    pub(crate) fn boolean_true(&mut self) {
        self.primitive(tag::BOOLEAN, &[0xff]);
    }

    /// A non-negative integer, given as big-endian bytes with or without leading zeros.
    pub(crate) fn unsigned(&mut self, magnitude: &[u8]) {
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        let digits = magnitude.get(zeros..).unwrap_or_default();
        self.nested(tag::INTEGER, |w| {
            if digits.first().is_none_or(|first| *first >= 0x80) {
                w.out.push(0);
            }
            w.out.extend_from_slice(digits);
        });
    }

    /// A bit string of whole bytes.
    pub(crate) fn bits(&mut self, bytes: &[u8]) {
        self.nested(tag::BIT_STRING, |w| {
            w.out.push(0);
            w.out.extend_from_slice(bytes);
        });
    }

    /// A named bit list (X.690 section 11.2.2): bit 0 is the highest of the byte, zeros at the end are cut.
    pub(crate) fn named_bits(&mut self, bits: u8) {
        let unused = u8::try_from(bits.trailing_zeros().min(7)).unwrap_or(0);
        let body: &[u8] = if bits == 0 { &[0] } else { &[unused, bits] };
        self.primitive(tag::BIT_STRING, body);
    }
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
        return;
    }
    let bytes = length.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
    out.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Reader, check_encoding};
    use super::*;

    #[test]
    fn numbers_and_bits_are_minimal() {
        let written = |write: fn(&mut Writer)| {
            let mut writer = Writer::new();
            write(&mut writer);
            writer.into_vec()
        };
        assert_eq!(written(|w| w.unsigned(&[])), [2, 1, 0]);
        assert_eq!(written(|w| w.unsigned(&[0, 0, 0x80])), [2, 2, 0, 0x80]);
        assert_eq!(written(|w| w.unsigned(&[0, 0x7f])), [2, 1, 0x7f]);
        assert_eq!(written(|w| w.named_bits(0b1000_0000)), [3, 2, 7, 0x80]);
        assert_eq!(written(|w| w.named_bits(0b0000_0110)), [3, 2, 1, 6]);
        assert_eq!(written(|w| w.named_bits(0)), [3, 1, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..5)) {
            let mut writer = Writer::new();
            writer.sequence(|w| for body in &bodies { w.primitive(tag::OCTET_STRING, body); });
            let bytes = writer.into_vec();
            prop_assert!(check_encoding(&bytes).is_ok());
            let mut reader = Reader::only(&bytes, tag::SEQUENCE, "").unwrap();
            for body in &bodies {
                prop_assert_eq!(reader.expect(tag::OCTET_STRING, "").unwrap().body, body.as_slice());
            }
            prop_assert!(reader.end().is_ok());
        }
    }
}
