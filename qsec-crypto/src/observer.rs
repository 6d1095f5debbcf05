//! What happens inside, told to whoever records it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::keyring::region;
use crate::kms::{KeyId, KmsError};
use crate::tenant::{Purpose, TenantId};

/// Is told of what happens to keys, and of every refusal with its exact reason.
///
/// It is called from the thread that does the work and must be quick. It learns no secret and no plaintext. `()` is the
/// observer that does nothing.
///
/// ```
/// use qsec_crypto::{Event, Observer};
///
/// #[derive(Debug)]
/// struct Print;
///
/// impl Observer for Print {
///     fn observe(&self, event: &Event<'_>) {
///         println!("{} {:?}", event.name, event.fields());
///     }
/// }
/// ```
pub trait Observer: Send + Sync + fmt::Debug {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);
}

impl Observer for () {
    fn observe(&self, _: &Event<'_>) {}
}

/// One thing that happened.
///
/// Members that a kind of event does not have are `None`.
///
/// ```
/// use qsec_crypto::{Event, TenantId};
///
/// let acme = TenantId::new("acme")?;
/// let event = Event::new("key.disabled").tenant(&acme).cause("tenant");
/// assert_eq!(event.fields(), [("tenant", "acme".to_owned()), ("cause", "tenant".to_owned())]);
/// # Ok::<(), qsec_crypto::NameError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// Dotted, subject first, past tense: `key.disabled`.
    pub name: &'static str,
    /// Whose key.
    pub tenant: Option<&'a TenantId>,
    /// What the key is for.
    pub purpose: Option<&'a Purpose>,
    /// Which version of it.
    pub version: Option<u32>,
    /// The KMS key that was asked.
    pub key_id: Option<&'a KeyId>,
    /// What was done: `wrap`, `unwrap`, `describe`.
    pub operation: Option<&'static str>,
    /// How it ended: `ok`, or the code of the error.
    pub outcome: Option<&'static str>,
    /// Why, or by whom.
    pub cause: Option<&'static str>,
    /// When the key will be destroyed.
    pub deletion_date: Option<SystemTime>,
    /// How many there are of what the event is about: objects that were looked at, keys that were dropped.
    pub records: Option<u64>,
    /// How many bytes of plaintext were sealed again.
    pub bytes: Option<u64>,
    /// Whether it goes on where it was cut off.
    pub resumed: Option<bool>,
    /// The region that was asked before, if the KMS key's name tells it.
    pub from_region: Option<&'a str>,
    /// The region that is asked from now on, if the KMS key's name tells it.
    pub to_region: Option<&'a str>,
    /// How long the KMS took, if the keyring's [`Timer`](crate::Timer) tells that.
    pub took: Option<Duration>,
    /// What the KMS itself called its error, if that is none that is known here.
    pub unknown_error: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// An event that says no more than its name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            tenant: None,
            purpose: None,
            version: None,
            key_id: None,
            operation: None,
            outcome: None,
            cause: None,
            deletion_date: None,
            records: None,
            bytes: None,
            resumed: None,
            from_region: None,
            to_region: None,
            took: None,
            unknown_error: None,
        }
    }

    /// Whose key.
    #[must_use]
    pub fn tenant(self, tenant: &'a TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Which version of which key.
    #[must_use]
    pub fn version(self, purpose: &'a Purpose, version: u32) -> Self {
        Self { purpose: Some(purpose), version: Some(version), ..self }
    }

    /// A call of a KMS and how it ended.
    #[must_use]
    pub fn call(self, operation: &'static str, key_id: &'a KeyId, outcome: &'static str) -> Self {
        Self { operation: Some(operation), key_id: Some(key_id), outcome: Some(outcome), ..self }
    }

    /// Why, or by whom.
    #[must_use]
    pub fn cause(self, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// When the key will be destroyed.
    #[must_use]
    pub fn deletion_date(self, date: SystemTime) -> Self {
        Self { deletion_date: Some(date), ..self }
    }

    /// A call of a KMS and how it ended, by its error if it failed.
    pub(crate) fn called(self, operation: &'static str, key_id: &'a KeyId, error: Option<&'a KmsError>) -> Self {
        let outcome = error.map_or("ok", KmsError::code);
        Self { unknown_error: error.and_then(KmsError::unknown), ..self.call(operation, key_id, outcome) }
    }

    /// From which KMS key to which it goes.
    pub(crate) fn regions(self, from: Option<&'a KeyId>, to: Option<&'a KeyId>) -> Self {
        Self { from_region: from.and_then(region), to_region: to.and_then(region), ..self }
    }

    /// The members that are there, as names and text, for a recorder that does not know this kind of event.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let fields = [
            ("tenant", self.tenant.map(ToString::to_string)),
            ("purpose", self.purpose.map(ToString::to_string)),
            ("version", self.version.map(|version| version.to_string())),
            ("key_id", self.key_id.map(ToString::to_string)),
            ("operation", self.operation.map(str::to_owned)),
            ("outcome", self.outcome.map(str::to_owned)),
            ("cause", self.cause.map(str::to_owned)),
            ("deletion_date", self.deletion_date.and_then(crate::timestamp::encode)),
            ("records", self.records.map(|records| records.to_string())),
            ("bytes", self.bytes.map(|bytes| bytes.to_string())),
            ("resumed", self.resumed.map(|resumed| resumed.to_string())),
            ("from_region", self.from_region.map(str::to_owned)),
            ("to_region", self.to_region.map(str::to_owned)),
            ("took_ms", self.took.map(|took| took.as_millis().to_string())),
            ("unknown_error", self.unknown_error.map(str::to_owned)),
        ];
        fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }
}
