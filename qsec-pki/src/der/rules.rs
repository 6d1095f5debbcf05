use super::{Element, Malformed, Reader, tag};

/// Deepest nesting, elements. A certificate of ours has 9; section 4 of the zone's rules sets 24.
const MAX_NESTING: u8 = 24;

/// Checks that `bytes` are one element in which every element, at any depth, is in the one form that DER leaves it.
///
/// Whoever reads the structure afterwards checks what should be where; this checks what nobody would look at otherwise, such as
/// the value of an attribute of a name. What stands in an `OCTET STRING` is opaque here.
pub(crate) fn check_encoding(bytes: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    check_element(reader.element()?, 1)?;
    reader.end()
}

/// The bit of an identifier that says that elements are inside.
const CONSTRUCTED: u8 = 0x20;
/// The bits of an identifier that are zero for universal types.
const CLASS: u8 = 0xc0;

fn check_element(element: Element<'_>, depth: u8) -> Result<(), Malformed> {
    if depth > MAX_NESTING {
        return Err(Malformed("elements are nested too deep"));
    }
    if element.tag & CONSTRUCTED == 0 {
        return if element.tag & CLASS == 0 { check_primitive(element) } else { Ok(()) };
    }
    if element.tag & CLASS == 0 && !matches!(element.tag, tag::SEQUENCE | tag::SET) {
        return Err(Malformed("a string or number is in the constructed form"));
    }
    let mut inside = element.inside();
    let mut previous: &[u8] = &[];
    while !inside.is_empty() {
        let child = inside.element()?;
        if element.tag == tag::SET && child.whole < previous {
            return Err(Malformed("a set is not sorted"));
        }
        previous = child.whole;
        check_element(child, depth.saturating_add(1))?;
    }
    Ok(())
}

fn check_primitive(element: Element<'_>) -> Result<(), Malformed> {
    let (good, otherwise) = match (element.tag, element.body) {
        (tag::BOOLEAN, body) => (matches!(body, [0 | 0xff]), "a boolean is neither 00 nor FF"),
        (tag::INTEGER | tag::ENUMERATED, body) => (is_minimal(body), "an integer is longer than it need be"),
        (tag::BIT_STRING, body) => (is_bit_string(body), "a bit string has set bits behind its end"),
        (tag::NULL, body) => (body.is_empty(), "a null has content"),
        (tag::OID, body) => (is_oid(body), "an object identifier is not well-formed"),
        (tag::UTF8_STRING, body) => (std::str::from_utf8(body).is_ok(), "a UTF-8 string is none"),
        (tag::IA5_STRING, body) => (body.is_ascii(), "an ASCII string is none"),
        // End-of-contents belongs to the indefinite form, 0x10 and 0x11 are SEQUENCE and SET.
        (0 | 0x10 | 0x11, _) => (false, "a sequence is in the primitive form"),
        _ => (true, ""),
    };
    if good { Ok(()) } else { Err(Malformed(otherwise)) }
}

/// X.690 section 8.3.2: not nine equal bits in front.
fn is_minimal(body: &[u8]) -> bool {
    match body {
        [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => false,
        [_, ..] => true,
    }
}

/// X.690 sections 8.6.2 and 11.2.1.
fn is_bit_string(body: &[u8]) -> bool {
    match body {
        [0] => true,
        [unused @ 0..=7, .., last] => last.trailing_zeros() >= u32::from(*unused),
        _ => false,
    }
}

/// X.690 section 8.19.2: no component begins with 0x80, the last one ends.
fn is_oid(body: &[u8]) -> bool {
    let ends = body.last().is_some_and(|last| *last < 0x80);
    let mut begins = true;
    let padded = body.iter().any(|&byte| {
        let padding = begins && byte == 0x80;
        begins = byte < 0x80;
        padding
    });
    ends && !padded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Writer;
    use super::*;

    #[test]
    fn each_value_has_one_encoding() {
        let good: [&[u8]; 12] = [
            &[1, 1, 0],
            &[2, 1, 0],
            &[2, 2, 0, 0x80],
            &[2, 1, 0xff],
            &[3, 1, 0],
            &[3, 2, 3, 0xa8],
            &[5, 0],
            &[6, 3, 0x55, 0x1d, 0x0f],
            &[0x30, 0],
            &[0x31, 6, 2, 1, 1, 2, 1, 2],
            &[0x0c, 2, 0xc3, 0xa4],
            &[0x80, 1, 0x80],
        ];
        for bytes in good {
            check_encoding(bytes).unwrap_or_else(|malformed| panic!("{bytes:x?}: {malformed:?}"));
        }
        let bad: [&[u8]; 23] = [
            &[],
            &[1, 1, 1],
            &[1, 0],
            &[2, 0],
            &[2, 2, 0, 0x7f],
            &[2, 2, 0xff, 0x80],
            &[3, 0],
            &[3, 1, 1],
            &[3, 2, 8, 0],
            &[3, 2, 1, 1],
            &[5, 1, 0],
            &[6, 0],
            &[6, 2, 0x55, 0x80],
            &[6, 3, 0x55, 0x80, 0x01],
            &[0x30, 0x80, 0, 0],
            &[0x31, 6, 2, 1, 2, 2, 1, 1],
            &[0x0c, 1, 0xc3],
            &[0x16, 1, 0x80],
            &[0x24, 3, 4, 1, 0],
            &[0x10, 0],
            &[0, 0],
            &[0x30, 0x81, 0],
            &[0x30, 0, 0],
        ];
        for bytes in bad {
            assert!(check_encoding(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn nesting_ends_at_its_bound() {
        let nested = |depth: u8| {
            (0..depth).fold(Vec::new(), |inside, _| {
                let mut writer = Writer::new();
                writer.primitive(tag::SEQUENCE, &inside);
                writer.into_vec()
            })
        };
        assert!(check_encoding(&nested(MAX_NESTING)).is_ok());
        assert!(check_encoding(&nested(MAX_NESTING + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_encoding(&bytes);
        }

        #[test]
        fn every_truncation_is_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut writer = Writer::new();
            writer.sequence(|w| { w.primitive(tag::OCTET_STRING, &body); w.unsigned(&body); });
            let bytes = writer.into_vec();
            prop_assert!(check_encoding(&bytes).is_ok());
            for end in 0..bytes.len() {
                prop_assert!(check_encoding(&bytes[..end]).is_err());
            }
        }
    }
}
