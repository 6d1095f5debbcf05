//! A question: may this subject do this to that?

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::Action;
use crate::bits::{Bit, Set};
use crate::flaw::{Fault, Flaw};
use crate::resource::{AttributeValue, Resource};
use crate::tables::Scope;

pub(crate) mod read;

/// Longest request in JSON, in bytes: one resource with its attributes, and the groups of a token.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Why a request is not one. A tenant or resource that does not exist is an answer, not an error.
///
/// ```
/// use qsec_authz::Request;
/// let text = r#"{"tenant":"acme","principal":{"user":"ana"},"action":"raed","resource":{"id":"q3"}}"#;
/// let error = Request::parse(text).unwrap_err();
/// assert_eq!(error.code(), "bad_request");
/// assert_eq!(error.flaw().hint(), Some("did you mean `read`?"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The text is no JSON.
    #[error("not a readable text: {0}")]
    BadJson(Flaw),
    /// The text is JSON, and no request; or the request refers to something that the policy lacks.
    #[error("malformed request: {0}")]
    BadRequest(Flaw),
}

impl RequestError {
    pub(crate) fn new(fault: Fault, text: Option<&str>) -> Self {
        if fault.syntax { Self::BadJson(fault.locate(text)) } else { Self::BadRequest(fault.locate(text)) }
    }

    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad_json",
            Self::BadRequest(_) => "bad_request",
        }
    }

    /// What is wrong where.
    pub fn flaw(&self) -> &Flaw {
        match self {
            Self::BadJson(flaw) | Self::BadRequest(flaw) => flaw,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Identity {
    user: Option<String>,
    groups: Vec<String>,
    ceiling: Option<Set<Scope>>,
}

/// Who asks: plain data, which proves nothing. Whoever builds it has authenticated the user.
///
/// ```
/// use qsec_authz::Subject;
/// let ana = Subject::user("ana").groups(["finance"]).scopes(["apps:read"]);
/// assert_eq!(ana.user_id(), Some("ana"));
/// assert_eq!(Subject::anonymous().user_id(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Arc<Identity>);

impl Subject {
    /// A user, without groups of a token and without a ceiling. Without an id it is nobody in particular: an identity that somebody
    /// forgot to fill in is not signed in.
    pub fn user(id: impl Into<String>) -> Self {
        Self(Arc::new(Identity { user: Some(id.into()).filter(|id| !id.is_empty()), ..Identity::default() }))
    }

    /// Nobody in particular: only rules can grant.
    pub fn anonymous() -> Self {
        Self(Arc::new(Identity::default()))
    }

    /// With the groups of the token, in place of earlier ones; those of the policy are added when a decision is made.
    /// Anonymous has no groups.
    #[must_use]
    pub fn groups<T: Into<String>>(mut self, groups: impl IntoIterator<Item = T>) -> Self {
        let identity = Arc::make_mut(&mut self.0);
        if identity.user.is_some() {
            identity.groups = groups.into_iter().map(Into::into).collect();
            identity.groups.sort_unstable();
            identity.groups.dedup();
        }
        self
    }

    /// With the scopes of the token: a ceiling over whatever is granted, in place of an earlier one. No scope at all
    /// admits nothing; unknown scopes admit nothing.
    #[must_use]
    pub fn scopes<T: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        let admitting = scopes.into_iter().filter_map(|scope| Scope::named(scope.as_ref())).collect();
        Arc::make_mut(&mut self.0).ceiling = Some(admitting);
        self
    }

    /// The user's id; `None` for anonymous.
    pub fn user_id(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    /// The groups of the token, sorted.
    pub fn token_groups(&self) -> &[String] {
        &self.0.groups
    }

    pub(crate) fn ceiling(&self) -> Option<Set<Scope>> {
        self.0.ceiling
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Context {
    /// The portal where people work.
    #[default]
    Hub,
    /// The console of administrators.
    Admin,
    /// Content shown inside another page.
    Embed,
    /// A program.
    Api,
}

const CONTEXTS: &[(&str, Context)] =
    &[("hub", Context::Hub), ("admin", Context::Admin), ("embed", Context::Embed), ("api", Context::Api)];

impl Context {
    /// Its name in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Admin => "admin",
            Self::Embed => "embed",
            Self::Api => "api",
        }
    }
}

/// What is asked about.
///
/// ```
/// use qsec_authz::{Resource, ResourceRef};
/// let stored = ResourceRef::id("q3");
/// let described: ResourceRef = Resource::new("App").space("sales").into();
/// assert_ne!(stored, described);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceRef {
    /// A resource or space that the policy has.
    Id(String),
    /// A resource that the policy does not have.
    Inline(Box<Resource>),
    /// All that the policy has, of one type or of every type: for [`crate::Snapshot::filter`] alone.
    Any(Option<String>),
}

impl ResourceRef {
    /// A resource or space that the policy has.
    pub fn id(id: impl Into<String>) -> Self {
        Self::Id(id.into())
    }
}

impl From<Resource> for ResourceRef {
    fn from(resource: Resource) -> Self {
        Self::Inline(Box::new(resource))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    tenant: String,
    subject: Subject,
    action: Action,
    resource: ResourceRef,
    target: Option<String>,
    context: Context,
    environment: BTreeMap<String, AttributeValue>,
}

/// A question to a policy. Cloning it is cheap.
///
/// ```
/// use qsec_authz::{Action, Context, Request, ResourceRef, Subject};
/// let ana = Subject::user("ana");
/// let request = Request::new("acme", &ana, Action::Publish, ResourceRef::id("q3")).target("sales").context(Context::Api);
/// assert_eq!(request.target_space(), Some("sales"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Arc<Question>);

impl Request {
    /// May this subject of that tenant do this to that? In the context `hub`, until told otherwise.
    pub fn new(tenant: impl Into<String>, subject: &Subject, action: Action, resource: impl Into<ResourceRef>) -> Self {
        Self(Arc::new(Question {
            tenant: tenant.into(),
            subject: subject.clone(),
            action,
            resource: resource.into(),
            target: None,
            context: Context::Hub,
            environment: BTreeMap::new(),
        }))
    }

    /// Reads a request in JSON that asks about one resource, for `decide` and `explain`.
    ///
    /// # Errors
    /// [`RequestError::BadJson`] if the text is no JSON, [`RequestError::BadRequest`] if it is no such request.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        read::request(text, true)
    }

    /// Reads a request in JSON that asks about all resources, or all of a type, for `filter`.
    ///
    /// # Errors
    /// As [`Request::parse`].
    pub fn parse_filter(text: &str) -> Result<Self, RequestError> {
        read::request(text, false)
    }

    /// In another context.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        Arc::make_mut(&mut self.0).context = context;
        self
    }

    /// Into a space: with `publish`, `republish` and `change_space`.
    #[must_use]
    pub fn target(mut self, space: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).target = Some(space.into());
        self
    }

    /// With a value of the requester's environment, which rules can read.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        Arc::make_mut(&mut self.0).environment.insert(name.into(), value.into());
        self
    }

    /// The same about every resource of a type.
    #[must_use]
    pub fn on_any(&self, type_name: impl Into<String>) -> Self {
        self.on(ResourceRef::Any(Some(type_name.into())))
    }

    /// The same about every resource and space.
    #[must_use]
    pub fn on_everything(&self) -> Self {
        self.on(ResourceRef::Any(None))
    }

    /// The same about another resource.
    #[must_use]
    pub fn on(&self, resource: impl Into<ResourceRef>) -> Self {
        let mut other = self.clone();
        Arc::make_mut(&mut other.0).resource = resource.into();
        other
    }

    /// The same, asked by another subject.
    pub(crate) fn by(&self, subject: &Subject) -> Self {
        let mut other = self.clone();
        Arc::make_mut(&mut other.0).subject = subject.clone();
        other
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    /// Who asks.
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// What is to be done.
    pub fn action(&self) -> Action {
        self.0.action
    }

    /// To what.
    pub fn resource(&self) -> &ResourceRef {
        &self.0.resource
    }

    /// Into which space.
    pub fn target_space(&self) -> Option<&str> {
        self.0.target.as_deref()
    }

    /// The requester's environment.
    pub(crate) fn variables(&self) -> &BTreeMap<String, AttributeValue> {
        &self.0.environment
    }

    /// From where.
    pub fn from_context(&self) -> Context {
        self.0.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_takes_no_groups() {
        assert_eq!(Subject::anonymous().groups(["a"]), Subject::anonymous());
    }

    #[test]
    fn user_without_an_id_is_not_signed_in() {
        assert_eq!(Subject::user("").groups(["a"]), Subject::anonymous());
    }

    #[test]
    fn order_and_repetition_of_groups_mean_nothing() {
        assert_eq!(Subject::user("u").groups(["b", "a", "b"]), Subject::user("u").groups(["a", "b"]));
    }

    #[test]
    fn changing_a_clone_leaves_the_original() {
        let request = Request::new("t", &Subject::user("u"), Action::Read, ResourceRef::id("r"));
        assert_eq!(request.clone().context(Context::Admin).from_context(), Context::Admin);
        assert_eq!(request.from_context(), Context::Hub);
    }
}
