//! The borders of a re-encryption: where the objects are, and where it keeps its place.

use std::io::{self, Read, Write};

use crate::context::Context;

/// Most bytes of an object's id: the longest path of a file on Linux, and four times the longest key of an S3 object.
pub const MAX_OBJECT_ID_BYTES: usize = 4_096;

/// One sealed object: how it is called, and the context that it was sealed with.
///
/// ```
/// use qsec_crypto::{Context, reencryption::Object};
///
/// let object = Object::new("orders/17", Context::from([("table", "orders"), ("row", "17")]));
/// assert_eq!(object.id, "orders/17");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// Unique among the objects; 1 to 4,096 bytes.
    pub id: String,
    /// What it was sealed with, and will be sealed with again.
    pub context: Context,
}

impl Object {
    /// An object of this id, sealed with this context.
    pub fn new(id: impl Into<String>, context: Context) -> Self {
        Self { id: id.into(), context }
    }
}

/// How a swap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Swap {
    /// What was written beside is the object now.
    Swapped,
    /// Someone changed the object after it was read: it stays as it is, and is looked at again.
    Changed,
}

/// The caller's objects.
///
/// Calls block; objects of any size pass through in constant memory. The methods are called for one object at a time, in
/// this order: `read`, then `write_beside` and `swap` or `discard`.
///
/// # Contract
/// - `list` MUST give every object once, in an order that does not change between calls, and MUST fail if it does not
///   know the object to go on after. Objects that are made while it runs may be left out: they are sealed under the
///   newest key.
/// - What `write_beside` is given MUST NOT be seen as the object before `swap`, and MUST replace what an earlier call left
///   there.
/// - `swap` MUST make what was written durable first and then put it in place in one act: whoever reads, also after a
///   crash at any point, finds the object whole, as it was or as it is now. It SHOULD answer [`Swap::Changed`] if the
///   object was changed since `read`; a store that cannot tell must not be written to meanwhile.
/// - An error of kind [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied),
///   [`IsADirectory`](io::ErrorKind::IsADirectory) or [`InvalidData`](io::ErrorKind::InvalidData) from `read` says that
///   this object cannot be read, and lists it as failed. Every other error stops the re-encryption, to be taken up later.
pub trait Objects: Send {
    /// The next objects after this one, at most so many; from the start if there is none. Empty: there are no more.
    ///
    /// # Errors
    /// If they cannot be listed; of kind [`InvalidInput`](io::ErrorKind::InvalidInput) if the one that they should come
    /// after is not among them: the cursor is then refused.
    fn list(&mut self, after: Option<&str>, most: usize) -> io::Result<Vec<Object>>;

    /// The sealed bytes of an object.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&mut self, object: &Object) -> io::Result<Box<dyn Read + Send>>;

    /// A place for the object's new sealed bytes, beside the old ones.
    ///
    /// # Errors
    /// If there is none.
    fn write_beside(&mut self, object: &Object) -> io::Result<Box<dyn Write + Send>>;

    /// Puts what was written beside in the object's place.
    ///
    /// # Errors
    /// If that cannot be done; the object is then as it was or as it is now, and nothing in between.
    fn swap(&mut self, object: &Object) -> io::Result<Swap>;

    /// Removes what was written beside. Nothing there is no error.
    ///
    /// # Errors
    /// If it cannot be removed.
    fn discard(&mut self, object: &Object) -> io::Result<()>;
}

/// Where a re-encryption keeps its place: one text, replaced after each object.
///
/// # Contract
/// - `load` MUST give a text that was saved, whole, or none. An older one than the last is harmless: objects behind it are
///   found to be under the newest key.
/// - Who can write it can make a re-encryption pass objects over; keep it where the objects are kept.
pub trait Cursor: Send {
    /// What was last saved, if anything was.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&mut self) -> io::Result<Option<String>>;

    /// Saves in place of what was saved before.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save(&mut self, text: &str) -> io::Result<()>;
}
