use std::fmt;

use super::{NameError, Zone, quoted};

/// Longest SPIFFE ID, bytes. The SPIFFE specification allows 2,048; ours fit in one line of a log.
const MAX_ID: usize = 255;
/// Most segments of a path.
const MAX_SEGMENTS: usize = 8;
/// Longest segment, bytes: the last one is the leaf's `commonName` (RFC 5280 appendix A.1, `ub-common-name` 64).
const MAX_SEGMENT: usize = 64;

/// Who a member of a zone is: `spiffe://<zone>/svc/<service>/node/<node>`.
///
/// Compared byte for byte, never normalised: no port, user, query, fragment or percent sign can stand in it.
///
/// ```
/// use qsec_pki::SpiffeId;
///
/// let id = SpiffeId::parse("spiffe://prod.internal/svc/engine/node/n7")?;
/// assert_eq!((id.zone(), id.path()), ("prod.internal", "svc/engine/node/n7"));
/// assert!(SpiffeId::parse("spiffe://prod.internal/svc/../admin").is_err());
/// # Ok::<(), qsec_pki::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: String,
    /// Where the path begins, after the slash that ends the zone.
    path_at: usize,
}

impl SpiffeId {
    /// Takes an ID that is already in its one spelling.
    ///
    /// # Errors
    /// [`NameError::Id`] if it is not.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refuse = |reason| NameError::Id { text: quoted(text), reason };
        if text.len() > MAX_ID {
            return Err(refuse("an ID has at most 255 bytes"));
        }
        let rest = text.strip_prefix("spiffe://").ok_or_else(|| refuse("an ID begins with `spiffe://`"))?;
        let (zone, path) = rest.split_once('/').ok_or_else(|| refuse("an ID has a path"))?;
        if Zone::parse(zone).is_err() {
            return Err(refuse("its zone is not well-formed"));
        }
        check_path(path).map_err(refuse)?;
        Ok(Self { text: text.to_owned(), path_at: text.len() - path.len() })
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        self.text.get("spiffe://".len()..self.path_at.saturating_sub(1)).unwrap_or_default()
    }

    /// The path, without a leading slash.
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.text)
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.split('/').count() > MAX_SEGMENTS {
        return Err("a path has at most 8 segments");
    }
    path.split('/').try_for_each(|segment| {
        if segment.is_empty() || segment.len() > MAX_SEGMENT {
            return Err("a segment has 1 to 64 bytes");
        }
        if segment == "." || segment == ".." {
            return Err("`.` and `..` are no segments");
        }
        if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
            return Err("a segment holds letters, digits, `.`, `_` and `-` only");
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        for good in [
            "spiffe://z/a",
            "spiffe://prod.internal/svc/engine/node/N7",
            "spiffe://z/...",
            "spiffe://z/1/2/3/4/5/6/7/8",
        ] {
            assert_eq!(SpiffeId::parse(good).unwrap().as_str(), good);
        }
        let long_segment = format!("spiffe://z/{}", "a".repeat(65));
        let too_long =
            format!("spiffe://{}/{}", "z".repeat(63), std::array::from_fn::<_, 3, _>(|_| "b".repeat(61)).join("/"));
        assert_eq!(too_long.len(), 258);
        for bad in [
            "",
            "spiffe://",
            "spiffe://z",
            "spiffe://z/",
            "spiffe:///a",
            "SPIFFE://z/a",
            "spiffe://Z/a",
            "spiffe://z:1/a",
            "spiffe://u@z/a",
            "spiffe://z/a?q",
            "spiffe://z/a#f",
            "spiffe://z/%61",
            "spiffe://z//a",
            "spiffe://z/a/",
            "spiffe://z/.",
            "spiffe://z/a/../b",
            "spiffe://1.2.3.4/a",
            "spiffe://z/a b",
            "spiffe://z/ä",
            "spiffe://z/1/2/3/4/5/6/7/8/9",
            "https://z/a",
            " spiffe://z/a",
            "spiffe://z/a\0",
            &long_segment,
            &too_long,
        ] {
            assert_eq!(SpiffeId::parse(bad).unwrap_err().code(), "id_malformed", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(text in "spiffe://[a-z]{1,4}(\\.[a-z]{1,3})?(/[A-Za-z0-9._-]{1,6}){1,9}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                prop_assert_eq!(format!("spiffe://{}/{}", id.zone(), id.path()), text);
                prop_assert!(Zone::parse(id.zone()).unwrap().id(id.path()).unwrap() == id);
            }
        }

        #[test]
        fn parse_never_panics(text in "(spiffe://)?.{0,300}") {
            let _ = SpiffeId::parse(&text);
        }
    }
}
