use super::{Malformed, tag};

const CUT_SHORT: Malformed = Malformed("an element is cut short");

/// One element: identifier, content, and both with the length between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) body: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads what is inside a constructed element.
    pub(crate) fn inside(self) -> Reader<'a> {
        Reader { rest: self.body }
    }
}

/// Reads elements one after the other. What is left must be asked for with [`Reader::end`].
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads bytes that hold exactly one element of this kind.
    pub(crate) fn only(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Reader<'a>, Malformed> {
        let mut reader = Self::new(bytes);
        let inside = reader.expect(tag, what)?.inside();
        reader.end()?;
        Ok(inside)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes are left over")) }
    }

    /// The next element, whatever it is.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, Malformed> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(CUT_SHORT)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed("no structure of X.509 has a tag of several bytes"));
        }
        let (length, after_length) = read_length(after_tag)?;
        let (body, rest) = after_length.split_at_checked(length).ok_or(CUT_SHORT)?;
        let whole = self.rest.get(..self.rest.len().saturating_sub(rest.len())).ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(Element { tag, body, whole })
    }

    /// The next element, which must be of this kind.
    pub(crate) fn expect(&mut self, tag: u8, what: &'static str) -> Result<Element<'a>, Malformed> {
        let element = self.element()?;
        if element.tag == tag { Ok(element) } else { Err(Malformed(what)) }
    }

    /// The next element if it is of this kind; otherwise nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) { self.element().map(Some) } else { Ok(None) }
    }

    pub(crate) fn sequence(&mut self, what: &'static str) -> Result<Reader<'a>, Malformed> {
        Ok(self.expect(tag::SEQUENCE, what)?.inside())
    }

    /// `BOOLEAN DEFAULT FALSE`: absent is false, and an encoded false is refused (X.690 section 11.5).
    pub(crate) fn default_false(&mut self) -> Result<bool, Malformed> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some(Element { body: [0xff], .. }) => Ok(true),
            Some(Element { body: [0x00], .. }) => Err(Malformed("a default value is encoded")),
            Some(_) => Err(Malformed("a boolean is neither 00 nor FF")),
        }
    }

    /// A non-negative integer below 256.
    pub(crate) fn small_integer(&mut self, what: &'static str) -> Result<u8, Malformed> {
        match *self.expect(tag::INTEGER, what)?.body {
            [value @ 0..=0x7f] | [0, value @ 0x80..=0xff] => Ok(value),
            _ => Err(Malformed(what)),
        }
    }

    /// The content of a `BIT STRING` of whole bytes.
    pub(crate) fn bytes_of_bits(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        match self.expect(tag::BIT_STRING, what)?.body {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed(what)),
        }
    }
}

/// The definite form, in as few bytes as possible (X.690 section 10.1); four bytes hold the largest input that any caller takes.
fn read_length(bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let (&first, rest) = bytes.split_first().ok_or(CUT_SHORT)?;
    let count = match first {
        0..=0x7f => return Ok((usize::from(first), rest)),
        0x80 => return Err(Malformed("a length is indefinite")),
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return Err(Malformed("a length has more than four bytes")),
    };
    let (digits, rest) = rest.split_at_checked(count).ok_or(CUT_SHORT)?;
    let length = digits.iter().fold(0_u32, |length, &digit| (length << 8) | u32::from(digit));
    if digits.first() == Some(&0) || length < 0x80 {
        return Err(Malformed("a length is longer than it need be"));
    }
    Ok((usize::try_from(length).map_err(|_| CUT_SHORT)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form() {
        assert_eq!(read_length(&[0x7f, 9]).unwrap(), (0x7f, &[9][..]));
        assert_eq!(read_length(&[0x81, 0x80]).unwrap().0, 0x80);
        assert_eq!(read_length(&[0x82, 0x01, 0x00]).unwrap().0, 0x100);
        assert_eq!(read_length(&[0x84, 0xff, 0xff, 0xff, 0xff]).unwrap().0, 0xffff_ffff);
        for bad in [
            &[][..],
            &[0x80],
            &[0x81],
            &[0x81, 0x7f],
            &[0x82, 0x00, 0x80],
            &[0x82, 0x01],
            &[0x83, 0, 1, 0],
            &[0x85, 1, 0, 0, 0, 0],
            &[0xff],
        ] {
            assert!(read_length(bad).is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn boolean_default_is_never_encoded() {
        assert!(!Reader::new(&[]).default_false().unwrap());
        assert!(Reader::new(&[1, 1, 0xff]).default_false().unwrap());
        for bad in [&[1, 1, 0][..], &[1, 1, 1], &[1, 0], &[1, 2, 0xff, 0xff]] {
            assert!(Reader::new(bad).default_false().is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn left_over_bytes_are_refused() {
        assert!(Reader::only(&[0x30, 0, 0], tag::SEQUENCE, "").is_err());
        assert!(Reader::only(&[0x30, 0], tag::SEQUENCE, "").unwrap().is_empty());
        assert!(Reader::only(&[0x31, 0], tag::SEQUENCE, "").is_err());
        assert!(Reader::new(&[0x1f, 0x81, 0x00, 0x00]).element().is_err());
    }
}
