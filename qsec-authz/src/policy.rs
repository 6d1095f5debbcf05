//! The policy: what a file or a store says, checked as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::bits::{Bit, Set};
use crate::document::{self, Node};
use crate::flaw::{Fault, Flaw, RuleFlaw};
use crate::resource::{AttributeValue, Attributes, Resource};
use crate::rule::ReadRule;
use crate::snapshot::Snapshot;
use crate::store::{EntryKind, PolicyEntry, StoredPolicy};
use crate::tables::{Permission, SpaceRole, SpaceType};

mod entries;
mod read;

/// Longest policy in JSON, in bytes: 300,000 users of 200 bytes each; more belongs into a store.
pub const MAX_POLICY_BYTES: usize = 64 * 1024 * 1024;
/// Longest policy in TOML, in bytes. People write TOML by hand, and its parser builds a tree of its own beside ours.
pub const MAX_TOML_BYTES: usize = 8 * 1024 * 1024;

/// Why a policy is not one.
///
/// ```
/// use qsec_authz::Policy;
/// assert_eq!(Policy::parse("{").unwrap_err().code(), "bad_json");
/// assert_eq!(Policy::parse(r#"{"version":2,"tenants":{}}"#).unwrap_err().code(), "bad_policy");
/// let rule = r#"{"version":1,"tenants":{"t":{"rules":[{"name":"r","filter":"*","actions":1,"condition":"maybe"}]}}}"#;
/// assert_eq!(Policy::parse(rule).unwrap_err().code(), "bad_rule");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is neither JSON nor TOML.
    #[error("not a readable text: {0}")]
    BadJson(Flaw),
    /// The text is well-formed, and no policy.
    #[error("malformed policy: {0}")]
    BadPolicy(Flaw),
    /// A security rule is malformed, a disabled one too. Half a policy is never used.
    #[error("malformed rule: {0}")]
    BadRule(RuleFlaw),
}

impl PolicyError {
    fn new(fault: Fault, text: Option<&str>) -> Self {
        if let Some(flaw) = fault.rule {
            return Self::BadRule(*flaw);
        }
        if fault.syntax { Self::BadJson(fault.locate(text)) } else { Self::BadPolicy(fault.locate(text)) }
    }

    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad_json",
            Self::BadPolicy(_) => "bad_policy",
            Self::BadRule(_) => "bad_rule",
        }
    }

    /// What is wrong where; of a malformed rule, match the error itself.
    pub fn flaw(&self) -> Option<&Flaw> {
        match self {
            Self::BadJson(flaw) | Self::BadPolicy(flaw) => Some(flaw),
            Self::BadRule(_) => None,
        }
    }
}

/// The policies of one or more tenants, as data. [`Policy::compile`] makes it decide.
///
/// ```
/// use qsec_authz::Policy;
/// let policy = Policy::parse("version = 1\n[tenants.acme.users.ana]\nroles = [\"TenantAdmin\"]\n")?;
/// assert_eq!(policy, Policy::parse(&policy.to_json())?);
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) tenants: BTreeMap<String, Tenant>,
}

impl Policy {
    /// Reads a policy: JSON if its first character is `{`, else TOML.
    ///
    /// # Errors
    /// [`PolicyError::BadJson`] if the text is neither, [`PolicyError::BadPolicy`] if it is no policy,
    /// [`PolicyError::BadRule`] if a security rule of it is malformed.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.trim_start().starts_with('{') { Self::parse_json(text) } else { Self::parse_toml(text) }
    }

    /// Reads a policy in JSON.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn parse_json(text: &str) -> Result<Self, PolicyError> {
        Self::read(text, MAX_POLICY_BYTES, document::parse_json)
    }

    /// Reads a policy in TOML.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn parse_toml(text: &str) -> Result<Self, PolicyError> {
        Self::read(text, MAX_TOML_BYTES, document::parse_toml)
    }

    fn read(text: &str, limit: usize, parse: fn(&str) -> Result<Node, Fault>) -> Result<Self, PolicyError> {
        if text.len() > limit {
            return Err(PolicyError::new(Fault::refused(format!("longer than {limit} bytes"), limit), Some(text)));
        }
        parse(text).and_then(|node| read::policy(&node)).map_err(|fault| PolicyError::new(fault, Some(text)))
    }

    /// The policy of one tenant, from the entries of a store.
    ///
    /// # Errors
    /// As [`Policy::parse`]; the flaw names the entry by its path.
    pub fn from_entries(tenant: &str, entries: &[PolicyEntry]) -> Result<Self, PolicyError> {
        entries::policy(tenant, entries).map_err(|fault| PolicyError::new(fault, None))
    }

    /// The same, with the version that the store gave it, so that [`crate::LivePolicy::merge`] can tell old from new.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn from_stored(tenant: &str, stored: &StoredPolicy) -> Result<Self, PolicyError> {
        let mut policy = Self::from_entries(tenant, &stored.entries)?;
        for tenant in policy.tenants.values_mut() {
            tenant.version = stored.version;
        }
        Ok(policy)
    }

    /// The tenants, in the order of their ids.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.values()
    }

    /// One tenant.
    pub fn tenant(&self, id: &str) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    /// The policy file again, as JSON.
    pub fn to_json(&self) -> String {
        entries::json(self)
    }

    /// The policy file again, as TOML.
    ///
    /// ```
    /// use qsec_authz::Policy;
    /// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["Steward"]}}}}}"#)?;
    /// assert_eq!(Policy::parse_toml(&policy.to_toml()?)?, policy);
    /// # Ok::<(), qsec_authz::PolicyError>(())
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::BadPolicy`] if TOML cannot say it: it has no `null`, which an attribute may be in JSON.
    pub fn to_toml(&self) -> Result<String, PolicyError> {
        let refused = |error: toml::ser::Error| Fault::value(format!("not to be said in TOML: {error}"), String::new());
        let said = entries::nulls(self).map_or(Ok(()), |path| Err(Fault::value("TOML has no `null`", path)));
        said.and_then(|()| toml::to_string(self).map_err(refused)).map_err(|fault| PolicyError::new(fault, None))
    }

    /// Makes the immutable snapshot that decides.
    ///
    /// # Errors
    /// None as yet: what a policy says was checked when it was read.
    pub fn compile(&self) -> Result<Snapshot, PolicyError> {
        Ok(Snapshot::compile(self))
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct File<'a> {
            version: u8,
            tenants: &'a BTreeMap<String, Tenant>,
        }
        File { version: 1, tenants: &self.tenants }.serialize(serializer)
    }
}

/// Whether a tenant answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TenantStatus {
    /// It does.
    #[default]
    Active,
    /// Only to holders of an administrator role.
    UserAccessDisabled,
    /// To nobody.
    Deactivated,
    /// To nobody, for good.
    Purged,
}

impl Serialize for TenantStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(word(STATUSES, self))
    }
}

pub(crate) const STATUSES: &[(&str, TenantStatus)] = &[
    ("active", TenantStatus::Active),
    ("user_access_disabled", TenantStatus::UserAccessDisabled),
    ("deactivated", TenantStatus::Deactivated),
    ("purged", TenantStatus::Purged),
];

/// Which layers grant in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Model {
    /// Roles, permissions, personal content, spaces and rules.
    #[default]
    Cloud,
    /// Security rules alone; role names are free texts that rules read.
    Enterprise,
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(word(MODELS, self))
    }
}

pub(crate) const MODELS: &[(&str, Model)] = &[("cloud", Model::Cloud), ("enterprise", Model::Enterprise)];

/// The policy of one tenant, as data.
///
/// ```
/// use qsec_authz::{Policy, TenantStatus};
/// let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{}}}}}"#)?;
/// let acme = policy.tenant("acme").unwrap();
/// assert_eq!(acme.status(), TenantStatus::Active);
/// assert_eq!(Policy::from_entries("acme", &acme.entries()?)?, policy);
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tenant {
    #[serde(skip)]
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) version: u64,
    #[serde(flatten)]
    pub(crate) settings: Settings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) roles: BTreeMap<String, Permissions>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) groups: BTreeMap<String, Group>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) users: BTreeMap<String, User>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) spaces: BTreeMap<String, Space>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) resources: BTreeMap<String, Resource>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<Rule>,
}

impl Tenant {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it answers.
    pub fn status(&self) -> TenantStatus {
        self.settings.status
    }

    /// Which layers grant.
    pub fn model(&self) -> Model {
        self.settings.model
    }

    /// The entries that a store keeps, in the order of kind and id. [`Policy::from_entries`] reads them back.
    ///
    /// # Errors
    /// [`PolicyError::BadPolicy`] if an entry is longer than stores keep: a space with some 30,000 members.
    pub fn entries(&self) -> Result<Vec<PolicyEntry>, PolicyError> {
        entries::entries(self).map_err(|fault| PolicyError::new(fault, None))
    }

    /// The body of one entry, a rule by its name; `None` if there is no such entry.
    pub(crate) fn entry_body(&self, kind: EntryKind, id: &str) -> Option<String> {
        entries::body_of(self, kind, id)
    }
}

/// A tenant's own settings: the body of its first entry.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Settings {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) status: TenantStatus,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) model: Model,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_default: Option<Permissions>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) personas: BTreeMap<String, Vec<String>>,
}

/// A list of permissions; order and repetition mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions(pub(crate) Set<Permission>);

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Bit::name))
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Group {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) roles: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct User {
    #[serde(serialize_with = "user_status_name", skip_serializing_if = "is_default", rename = "status")]
    pub(crate) disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) roles: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) groups: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: Attributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) custom: Attributes,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Space {
    #[serde(rename = "type", serialize_with = "bit_name")]
    pub(crate) kind: SpaceType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) members: BTreeMap<Member, SpaceRoles>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Member {
    Group(String),
    User(String),
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Group(name) => serializer.collect_str(&format_args!("group:{name}")),
            Self::User(id) => serializer.collect_str(&format_args!("user:{id}")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpaceRoles(pub(crate) Set<SpaceRole>);

impl Serialize for SpaceRoles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Bit::name))
    }
}

/// A security rule as written, and what was read in it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) filter: String,
    pub(crate) actions: RuleActions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<AttributeValue>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) disabled: bool,
    /// Shared, because a policy is cloned and conditions can be large.
    #[serde(skip)]
    pub(crate) read: Arc<ReadRule>,
}

/// What was read follows from what was written.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, filter, actions, condition, context, disabled, read: _ } = self;
        (name, filter, actions, condition) == (&other.name, &other.filter, &other.actions, &other.condition)
            && (context, disabled) == (&other.context, &other.disabled)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum RuleActions {
    Names(Vec<String>),
    Bits(i64),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn bit_name<T: Bit, S: Serializer>(one: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(one.name())
}

fn word<T: PartialEq>(known: &[(&'static str, T)], value: &T) -> &'static str {
    known.iter().find(|(_, one)| one == value).map_or("", |(name, _)| *name)
}

pub(crate) const USER_STATUSES: &[(&str, bool)] = &[("active", false), ("disabled", true)];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn user_status_name<S: Serializer>(disabled: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(word(USER_STATUSES, disabled))
}
