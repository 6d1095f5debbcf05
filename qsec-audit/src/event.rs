//! Events: who did what to whom, how it ended, and nothing about people but their ids.

mod actor;
mod draft;
mod id;
pub(crate) mod leaf;
mod line;
mod prepare;

use std::time::SystemTime;

pub use actor::{Actor, ActorType, AuthType, Class, Outcome};
pub use draft::{Draft, SchemaError};
pub use id::EventId;
pub(crate) use id::Ids;
pub use line::DraftError;
#[cfg(test)]
pub(crate) use prepare::is_event_name;
pub(crate) use prepare::{Prepared, encode_time};

use crate::catalogue::EventType;
use crate::name::TenantId;
use crate::value::{Object, Value};

/// Longest leaf: 16 KiB.
pub(crate) const MAX_LEAF: usize = 16_384;
/// Longest string in `data`: 1,024 bytes.
pub(crate) const MAX_TEXT: usize = 1_024;
/// Longest id or member name: 128 bytes.
pub(crate) const MAX_ID: usize = 128;
/// Longest reason: 64 bytes.
pub(crate) const MAX_REASON: usize = 64;
/// Most items of a list: 64.
pub(crate) const MAX_ITEMS: usize = 64;
/// Deepest nesting of `data`, itself counted: 4.
pub(crate) const MAX_DEPTH: usize = 4;

/// What the event is: a row of the catalogue, or a name of its own.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Known(&'static EventType),
    Named(String),
}

impl Kind {
    pub(crate) fn of(name: &str) -> Self {
        crate::catalogue::find(name).map_or_else(|| Self::Named(name.to_owned()), Self::Known)
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Known(known) => known.name(),
            Self::Named(name) => name,
        }
    }
}

/// An event that is about to be recorded: members of its envelope are added one by one.
///
/// Made by `by` of a catalogue type, or by [`Draft::by`].
///
/// ```
/// use qsec_audit::catalogue::AppOpened;
/// use qsec_audit::{Actor, AuthType, TenantId};
///
/// let event = AppOpened::new()
///     .app("a-1")
///     .by(Actor::user("u-7"))
///     .tenant(TenantId::parse("acme")?)
///     .subject("app/a-1")
///     .authtype(AuthType::Session);
/// assert_eq!(event.name(), "app.opened");
/// # Ok::<(), qsec_audit::NameError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "an event is recorded by `Log::record`"]
pub struct Event {
    pub(crate) kind: Kind,
    pub(crate) actor: Actor,
    pub(crate) data: Object,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) id: Option<EventId>,
    pub(crate) time: Option<SystemTime>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) on_behalf_of: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) authtype: Option<AuthType>,
    pub(crate) trace: Option<String>,
    /// Only how many; without a vault the values end here.
    pub(crate) personal: usize,
}

impl Event {
    pub(crate) const fn new(kind: Kind, data: Object, actor: Actor) -> Self {
        Self {
            kind,
            actor,
            data,
            tenant: None,
            id: None,
            time: None,
            outcome: Outcome::Success,
            reason: None,
            subject: None,
            on_behalf_of: None,
            client: None,
            session: None,
            authtype: None,
            trace: None,
            personal: 0,
        }
    }

    /// The name of its type.
    pub fn name(&self) -> &str {
        self.kind.name()
    }

    /// How it must be delivered; events outside the catalogue block.
    pub const fn class(&self) -> Class {
        match &self.kind {
            Kind::Known(known) => known.class(),
            Kind::Named(_) => Class::Block,
        }
    }

    /// The same event for another tree: it gets an id of its own when it is recorded.
    ///
    /// [`Log::record`](crate::Log::record) does this itself for `tenant.*` events of a tenant, which stand in the deployment's tree
    /// too: recording a second one of those by hand makes three leaves.
    ///
    /// ```
    /// use qsec_audit::{Actor, Draft};
    ///
    /// let event = Draft::new("house.moved").data("to", "n2").by(Actor::system());
    /// assert_eq!(event.clone_for_tree().name(), event.name());
    /// ```
    pub fn clone_for_tree(&self) -> Self {
        Self { id: None, tenant: None, ..self.clone() }
    }

    /// Whose event it is; without it, it belongs to the deployment.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The thing acted upon: `<noun>/<id>`.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The user whose rights were used; the actor stays the real one.
    pub fn on_behalf_of(mut self, user: impl Into<String>) -> Self {
        self.on_behalf_of = Some(user.into());
        self
    }

    /// The OAuth client.
    pub fn client(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// The session.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// How the actor was authenticated.
    pub const fn authtype(mut self, authtype: AuthType) -> Self {
        self.authtype = Some(authtype);
        self
    }

    /// The W3C trace context, `traceparent`.
    pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
        self.trace = Some(traceparent.into());
        self
    }

    /// It was tried and did not work; `reason` is a stable `snake_case` code.
    pub fn failed(self, reason: impl Into<String>) -> Self {
        self.ended(Outcome::Failure, reason)
    }

    /// A rule said no; `reason` is a stable `snake_case` code.
    pub fn denied(self, reason: impl Into<String>) -> Self {
        self.ended(Outcome::Denied, reason)
    }

    fn ended(mut self, outcome: Outcome, reason: impl Into<String>) -> Self {
        self.outcome = outcome;
        self.reason = Some(reason.into());
        self
    }

    /// The id of an earlier attempt, so that a retry is recorded once.
    pub const fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// When it happened, if not now; an event of the future is not recorded.
    pub const fn at(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Adds a member to `data`: for fields that a newer catalogue knows.
    pub fn data(mut self, name: impl Into<std::borrow::Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.data.insert(name, value);
        self
    }

    /// Personal fields of one person, by internal id.
    ///
    /// They are never in the leaf. Until a vault seals them, the leaf says how many persons were left out
    /// (`data.personal_unsealed`), and the values are dropped here.
    pub fn personal(mut self, subject: impl Into<String>, fields: Object) -> Self {
        drop((subject.into(), fields));
        self.personal = self.personal.saturating_add(1);
        self
    }
}
