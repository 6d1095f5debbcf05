//! Names that stand in origins, folders and records: tenants, trees, origin prefixes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest tenant id: 63 bytes, a DNS label (RFC 1035 section 2.3.4).
pub(crate) const MAX_TENANT_ID: usize = 63;
/// Longest origin prefix: 128 bytes, so that an origin fits a line of any tool.
pub(crate) const MAX_ORIGIN: usize = 128;

/// Why a text is not the name it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("`{0}` is not a tenant id")]
    TenantId(String),
    /// Empty, longer than 128 bytes, with a scheme, or with a byte that an origin cannot have.
    #[error("`{0}` is not an origin prefix")]
    Origin(String),
}

impl NameError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TenantId(_) => "tenant_id_malformed",
            Self::Origin(_) => "origin_malformed",
        }
    }
}

/// The id of a tenant: `[a-z0-9][a-z0-9-]{0,62}`.
///
/// ```
/// use qsec_audit::TenantId;
///
/// assert_eq!(TenantId::parse("acme")?.as_str(), "acme");
/// assert!(TenantId::parse("_deployment").is_err());
/// # Ok::<(), qsec_audit::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Takes a text that is a tenant id.
    ///
    /// # Errors
    /// [`NameError::TenantId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_tenant_id(text) { Ok(Self(text.into())) } else { Err(NameError::TenantId(shorten(text))) }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn is_tenant_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= MAX_TENANT_ID
        && text.bytes().next().is_some_and(allowed)
        && text.bytes().all(|byte| allowed(byte) || byte == b'-')
}

impl FromStr for TenantId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose history: the deployment's own, or one tenant's.
///
/// ```
/// use qsec_audit::Tree;
///
/// assert_eq!(Tree::tenant("acme")?.to_string(), "acme");
/// assert_eq!(Tree::Deployment.to_string(), "_deployment");
/// # Ok::<(), qsec_audit::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a tree is the deployment's or a tenant's; there is no third owner")]
pub enum Tree {
    /// The deployment's own tree.
    Deployment,
    /// The tree of one tenant.
    Tenant(TenantId),
}

/// What the deployment's tree is called in origins and folders; no tenant id begins with `_`.
pub(crate) const DEPLOYMENT: &str = "_deployment";

impl Tree {
    /// The tree of the tenant with that id.
    ///
    /// # Errors
    /// [`NameError::TenantId`] if the text is no tenant id.
    pub fn tenant(id: &str) -> Result<Self, NameError> {
        TenantId::parse(id).map(Self::Tenant)
    }

    /// The tenant, unless it is the deployment's tree.
    pub fn tenant_id(&self) -> Option<&TenantId> {
        if let Self::Tenant(id) = self { Some(id) } else { None }
    }

    /// The origin of this tree's checkpoints: `<origin prefix>/<tenant id>`.
    #[must_use]
    pub fn origin(&self, prefix: &Origin) -> String {
        format!("{prefix}/{self}")
    }

    pub(crate) fn name(&self) -> &str {
        self.tenant_id().map_or(DEPLOYMENT, TenantId::as_str)
    }

    /// The tenant id as it stands in a record: empty for the deployment.
    pub(crate) fn record_id(&self) -> &str {
        self.tenant_id().map_or("", TenantId::as_str)
    }

    /// The tree whose folder or last origin part has that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name == DEPLOYMENT { Some(Self::Deployment) } else { Self::tenant(name).ok() }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<TenantId> for Tree {
    fn from(id: TenantId) -> Self {
        Self::Tenant(id)
    }
}

/// The origin prefix of a node's log: `<deployment>/<node>`, no scheme, no space, no `+`.
///
/// ```
/// use qsec_audit::{Origin, Tree};
///
/// let origin = Origin::parse("qsec.example/n1")?;
/// assert_eq!(Tree::tenant("acme")?.origin(&origin), "qsec.example/n1/acme");
/// # Ok::<(), qsec_audit::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Takes a text that is an origin prefix.
    ///
    /// # Errors
    /// [`NameError::Origin`] if it is empty, too long, or has a byte outside `[A-Za-z0-9._/-]`, an empty part, or a scheme.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
        let parts = text.split('/').all(|part| !part.is_empty());
        if text.len() <= MAX_ORIGIN && parts && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Origin(shorten(text)))
        }
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an error shows of a text that may be long and hostile.
pub(crate) fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    text.chars().take(SHOWN).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_ids_are_dns_like_labels() {
        for good in ["a", "0", "acme-eu", &"a".repeat(63)] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a/b", "..", "é", &"a".repeat(64), "_deployment"] {
            assert_eq!(TenantId::parse(bad).unwrap_err().code(), "tenant_id_malformed", "{bad}");
        }
    }

    #[test]
    fn origins_have_no_scheme_space_or_plus() {
        assert!(Origin::parse("qsec.example/n1").is_ok());
        for bad in ["", "https://x", "a b", "a+b", "/a", "a/", "a//b", "a\n", &"a".repeat(129)] {
            assert_eq!(Origin::parse(bad).unwrap_err().code(), "origin_malformed", "{bad}");
        }
    }
}
