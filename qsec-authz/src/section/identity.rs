//! Who asks.

use super::texts::{TextId, Texts, normalise};

/// What is known of the user who asks: plain data, already authenticated by whoever builds it.
///
/// Values are compared in upper case, without blanks at both ends. A blank value is no value: it matches nothing but `*`.
///
/// ```
/// use qsec_authz::section::Identity;
///
/// let ana = Identity::user("ACME\\ana").email("ana@acme.example").groups(["sales", "north"]);
/// assert!(!ana.is_empty());
/// assert!(Identity::new().group(" ").is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    user: Option<String>,
    email: Option<String>,
    name: Option<String>,
    ntname: Option<String>,
    groups: Vec<String>,
}

impl Identity {
    /// An identity without any value: it is refused as `no_user` until it gets one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The user with this id, with its directory if it has one: `DIRECTORY\USER`. Compared with `USERID`.
    pub fn user(id: impl Into<String>) -> Self {
        Self { user: Some(id.into()), ..Self::default() }
    }

    /// Adds the user's id to an identity that began without one.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        Self { user: Some(id.into()), ..self }
    }

    /// Adds the e-mail address. Compared with `USER.EMAIL`.
    #[must_use]
    pub fn email(self, email: impl Into<String>) -> Self {
        Self { email: Some(email.into()), ..self }
    }

    /// Adds the display name. Compared with `USER.NAME`.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Adds the Windows name. Compared with `NTNAME`.
    #[must_use]
    pub fn ntname(self, ntname: impl Into<String>) -> Self {
        Self { ntname: Some(ntname.into()), ..self }
    }

    /// Adds one group. Compared with `GROUP`, which any one of the groups satisfies.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Adds groups.
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.groups.extend(groups.into_iter().map(Into::into));
        self
    }

    /// True if there is no value, or only blank ones.
    pub fn is_empty(&self) -> bool {
        IdentityColumn::ALL.iter().all(|&column| self.values(column).all(|value| normalise(value).is_empty()))
    }

    pub(super) fn values(&self, column: IdentityColumn) -> impl Iterator<Item = &str> {
        let (single, groups) = match column {
            IdentityColumn::User => (&self.user, [].as_slice()),
            IdentityColumn::Email => (&self.email, [].as_slice()),
            IdentityColumn::Name => (&self.name, [].as_slice()),
            IdentityColumn::NtName => (&self.ntname, [].as_slice()),
            IdentityColumn::Group => (&None, self.groups.as_slice()),
        };
        single.iter().chain(groups).map(String::as_str)
    }
}

impl From<&Identity> for Identity {
    fn from(identity: &Identity) -> Self {
        identity.clone()
    }
}

/// A column of an access table that says whom a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdentityColumn {
    User,
    Email,
    Name,
    NtName,
    Group,
}

impl IdentityColumn {
    pub(super) const ALL: [Self; 5] = [Self::User, Self::Email, Self::Name, Self::NtName, Self::Group];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "USERID",
            Self::Email => "USER.EMAIL",
            Self::Name => "USER.NAME",
            Self::NtName => "NTNAME",
            Self::Group => "GROUP",
        }
    }
}

/// An identity in the numbers of one set of access tables.
#[derive(Debug)]
pub(super) struct Presented {
    known: [Vec<TextId>; 5],
}

impl Presented {
    pub(super) fn new(identity: &Identity, texts: &Texts) -> Self {
        Self {
            known: IdentityColumn::ALL
                .map(|column| identity.values(column).filter_map(|value| texts.find(&normalise(value))).collect()),
        }
    }

    /// Whether `cell` in an identity column is for this user.
    pub(super) fn matches(&self, column: IdentityColumn, cell: TextId) -> bool {
        match cell {
            // A forgotten cell must not open.
            TextId::BLANK => false,
            TextId::STAR => true,
            _ => {
                let mut known = IdentityColumn::ALL.iter().zip(&self.known);
                known.any(|(&own, values)| own == column && values.contains(&cell))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_cell_matches_nobody_not_even_a_blank_user() {
        let presented = Presented::new(&Identity::user("  "), &Texts::new());
        assert!(!presented.matches(IdentityColumn::User, TextId::BLANK));
        assert!(presented.matches(IdentityColumn::User, TextId::STAR));
    }

    #[test]
    fn a_value_counts_only_for_its_own_column() {
        let mut texts = Texts::new();
        let ana = texts.intern("ANA").unwrap();
        let presented = Presented::new(&Identity::new().group("ana"), &texts);
        assert!(presented.matches(IdentityColumn::Group, ana));
        assert!(!presented.matches(IdentityColumn::User, ana));
    }

    #[test]
    fn an_identity_of_blanks_is_empty() {
        assert!(Identity::new().is_empty());
        assert!(Identity::user("\t").groups(["", " "]).is_empty());
        assert!(!Identity::new().ntname("x").is_empty());
    }
}
