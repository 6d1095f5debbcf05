//! The record context: which record these bytes belong to, bound into the key that seals them and stored nowhere.

#![deny(clippy::arithmetic_side_effects)]

use std::fmt;

/// Most pairs of a context: room for every column of a key, and a count that fits the format's 2 bytes many times over.
pub const MAX_CONTEXT_PAIRS: usize = 64;

/// Most bytes of the whole binding (header, tenant, purpose and context): what is bound must also fit the encryption
/// context of a KMS, which AWS limits to 8,192 bytes.
pub const MAX_CONTEXT_BYTES: usize = 8_192;

/// The pairs given cannot be a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// A key has no bytes.
    #[error("a context key is empty")]
    EmptyKey,
    /// A key is given twice.
    #[error("context key `{key}` is given twice")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A key is not the caller's to use in a message of the AWS Encryption SDK.
    #[error("context key `{key}` is reserved, as all that begin `qsec:` or `aws-crypto-`")]
    ReservedKey {
        /// The key.
        key: String,
    },
    /// There are more than [`MAX_CONTEXT_PAIRS`] pairs.
    #[error("a context has at most {MAX_CONTEXT_PAIRS} pairs")]
    TooManyPairs,
    /// Header, tenant, purpose and context together are longer than [`MAX_CONTEXT_BYTES`].
    #[error("tenant, purpose and context take {bytes} bytes, at most {MAX_CONTEXT_BYTES} are bound")]
    TooLong {
        /// The bytes that they take.
        bytes: usize,
    },
}

impl ContextError {
    /// The stable name of this error, `context_invalid`.
    pub fn code(&self) -> &'static str {
        "context_invalid"
    }
}

/// Names the record that sealed bytes belong to, as pairs of text in any order.
///
/// Bytes sealed under one context open under exactly the same pairs and no others, so a ciphertext cannot be moved to
/// another row, column or table. Text is compared byte by byte; it is not normalised.
///
/// ```
/// use qsec_crypto::Context;
///
/// let context = Context::from([("table", "orders"), ("row", "17")]);
/// assert_eq!(context, Context::new([("row", "17"), ("table", "orders")])?);
/// # Ok::<(), qsec_crypto::ContextError>(())
/// ```
///
/// An array that is no context is told of where it is used: `seal` and `open` answer with the [`ContextError`], and
/// [`Context::check`] shows it before. [`Context::new`] tells at once, and is the right one for text from outside.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// `u16(n)` and the sorted pairs, each text after its 2-byte length.
    encoded: Result<Vec<u8>, ContextError>,
}

impl Context {
    /// The context of no pairs.
    pub fn empty() -> Self {
        Self { encoded: Ok(vec![0, 0]) }
    }

    /// Takes pairs of a key and a value.
    ///
    /// # Errors
    /// [`ContextError`] if a key is empty or given twice, or if there is too much of them.
    pub fn new<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ContextError> {
        encode(pairs).map(|encoded| Self { encoded: Ok(encoded) })
    }

    /// Whether `seal` and `open` will take this context (its length beside tenant and purpose is seen only there).
    ///
    /// # Errors
    /// The [`ContextError`] that [`Context::new`] would have answered.
    pub fn check(&self) -> Result<(), ContextError> {
        self.encoded().map(|_| ())
    }

    pub(crate) fn encoded(&self) -> Result<&[u8], ContextError> {
        self.encoded.as_deref().map_err(Clone::clone)
    }
}

impl<K: AsRef<str>, V: AsRef<str>, const N: usize> From<[(K, V); N]> for Context {
    fn from(pairs: [(K, V); N]) -> Self {
        Self { encoded: encode(pairs) }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.encoded {
            Ok(encoded) => f.debug_struct("Context").field("bytes", &encoded.len()).finish_non_exhaustive(),
            Err(error) => f.debug_tuple("Context").field(error).finish(),
        }
    }
}

fn encode<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Vec<u8>, ContextError> {
    let mut pairs: Vec<(K, V)> = pairs.into_iter().take(MAX_CONTEXT_PAIRS.saturating_add(1)).collect();
    if pairs.len() > MAX_CONTEXT_PAIRS {
        return Err(ContextError::TooManyPairs);
    }
    pairs.sort_unstable_by(|(a, _), (b, _)| a.as_ref().as_bytes().cmp(b.as_ref().as_bytes()));
    if pairs.first().is_some_and(|(key, _)| key.as_ref().is_empty()) {
        return Err(ContextError::EmptyKey);
    }
    let repeated = pairs.iter().zip(pairs.iter().skip(1)).find(|((a, _), (b, _))| a.as_ref() == b.as_ref());
    if let Some(((key, _), _)) = repeated {
        return Err(ContextError::RepeatedKey { key: key.as_ref().to_owned() });
    }
    let bytes = pairs.iter().fold(2_usize, |sum, (key, value)| {
        sum.saturating_add(4).saturating_add(key.as_ref().len()).saturating_add(value.as_ref().len())
    });
    if bytes > MAX_CONTEXT_BYTES {
        return Err(ContextError::TooLong { bytes });
    }
    let mut encoded = Vec::with_capacity(bytes);
    encoded.extend(u16::try_from(pairs.len()).unwrap_or(u16::MAX).to_be_bytes());
    for (key, value) in &pairs {
        push_prefixed(&mut encoded, key.as_ref());
        push_prefixed(&mut encoded, value.as_ref());
    }
    Ok(encoded)
}

/// The pairs of what [`encode`] has encoded, in their order. No bytes are no pairs.
#[cfg(feature = "esdk")]
pub(crate) fn pairs(encoded: &[u8]) -> impl Iterator<Item = (&str, &str)> + Clone {
    let mut rest = encoded.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let mut text = || {
            let (length, after) = rest.split_first_chunk()?;
            let (text, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            rest = after;
            std::str::from_utf8(text).ok()
        };
        Some((text()?, text()?))
    })
}

/// Appends a 2-byte length and the text, which every caller has checked to be shorter than that can say.
pub(crate) fn push_prefixed(encoded: &mut Vec<u8>, text: &str) {
    debug_assert!(u16::try_from(text.len()).is_ok(), "names have 255 bytes, contexts 8,192");
    encoded.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    encoded.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_by_the_bytes_of_their_keys() {
        let context = Context::from([("table", "orders"), ("row", "17")]);
        assert_eq!(hex::encode(context.encoded().unwrap()), "00020003726f770002313700057461626c6500066f7264657273");
        let context = Context::from([("é", ""), ("z", ""), ("Z", "")]);
        assert_eq!(hex::encode(context.encoded().unwrap()), "000300015a000000017a00000002c3a90000");
    }

    #[test]
    fn moving_a_byte_between_key_and_value_makes_another_context() {
        assert_ne!(Context::from([("a", "bc")]), Context::from([("ab", "c")]));
        assert_ne!(Context::from([("a", "b"), ("c", "d")]), Context::from([("a", "bc"), ("d", "")]));
        assert_ne!(Context::empty(), Context::from([("a", "")]));
        assert_eq!(Context::empty(), Context::from([("", ""); 0]));
    }

    #[test]
    fn what_is_no_context_is_refused_by_new_and_kept_by_from() {
        assert_eq!(Context::new([("", "x")]), Err(ContextError::EmptyKey));
        assert_eq!(Context::new([("a", "1"), ("a", "2")]), Err(ContextError::RepeatedKey { key: "a".to_owned() }));
        let many = |count: usize| (0..count).map(|i| (format!("k{i}"), ""));
        assert!(Context::new(many(64)).is_ok());
        assert_eq!(Context::new(many(65)), Err(ContextError::TooManyPairs));
        assert!(Context::new([("k", "x".repeat(8_185))]).is_ok());
        assert_eq!(Context::new([("k", "x".repeat(8_186))]), Err(ContextError::TooLong { bytes: 8_193 }));

        let deferred = Context::from([("", "x")]).check().unwrap_err();
        assert_eq!((deferred.code(), deferred), ("context_invalid", ContextError::EmptyKey));
    }
}
