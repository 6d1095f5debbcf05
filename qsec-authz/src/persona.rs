//! The usual kinds of people, and policies to begin with.

use std::fmt;

use crate::bits::{Bit, names};
use crate::policy::Model;

names! {
    /// A kind of people: what they may do is ready, who they are is a group's to say.
    ///
    /// In a tenant of [`Model::Enterprise`] a persona is a set of rules for its groups ([`crate::Edit::SetPersona`], `personas` in a
    /// policy). In one of [`Model::Cloud`] its group is given [`Persona::space_roles`]. A policy that has all four of them is
    /// [`Persona::starter`].
    ///
    /// ```
    /// use qsec_authz::{Action, Model, Persona, Policy, Request, ResourceRef, Subject};
    /// let policy = Policy::parse(Persona::starter(Model::Cloud))?.compile()?;
    /// let may = |group: &str, action| {
    ///     let someone = Subject::user("ana").groups([group]);
    ///     policy.decide(&Request::new("example", &someone, action, ResourceRef::id("published"))).is_allowed()
    /// };
    /// assert!(may(Persona::Consumer.group(), Action::Read) && !may(Persona::Consumer.group(), Action::Update));
    /// assert!(may(Persona::TeamAdmin.group(), Action::ManageMembers));
    /// # Ok::<(), qsec_authz::PolicyError>(())
    /// ```
    #[non_exhaustive]
    pub enum Persona {
        /// Reads what is published, and keeps bookmarks.
        Consumer = 0 "consumer",
        /// A consumer who makes sheets and stories in what is published.
        Contributor = 1 "contributor",
        /// Makes apps, alone and with the team, and publishes them.
        Developer = 2 "developer",
        /// Runs what a team publishes.
        TeamAdmin = 3 "team_admin",
    }
}

impl Persona {
    /// Every persona.
    pub const ALL: &'static [Self] = <Self as Bit>::ALL;

    /// The persona of that name, exactly.
    pub fn parse(name: &str) -> Option<Self> {
        Self::named(name)
    }

    /// Its name in policies.
    pub fn as_str(self) -> &'static str {
        self.name()
    }

    /// The group that has it in the starters.
    pub fn group(self) -> &'static str {
        match self {
            Self::Consumer => "Consumers",
            Self::Contributor => "Contributors",
            Self::Developer => "Developers",
            Self::TeamAdmin => "Team Administrators",
        }
    }

    /// Its roles in spaces, by the type of the space.
    ///
    /// ```
    /// assert_eq!(qsec_authz::Persona::Consumer.space_roles(), [("managed", "consumer")]);
    /// ```
    pub fn space_roles(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Consumer => &[("managed", "consumer")],
            Self::Contributor => &[("managed", "contributor")],
            Self::Developer => &[("managed", "publisher"), ("shared", "codeveloper")],
            Self::TeamAdmin => &[("managed", "facilitator"), ("managed", "operator")],
        }
    }

    /// A policy to begin with, in JSON: all personas, each with its [`Persona::group`], in the tenant `example`.
    pub fn starter(model: Model) -> &'static str {
        match model {
            Model::Cloud => include_str!("../personas/cloud.json"),
            Model::Enterprise => include_str!("../personas/enterprise.json"),
        }
    }
}

impl fmt::Display for Persona {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::{Member, Policy};

    #[test]
    fn personas_have_bits_of_their_own() {
        crate::bits::assert_counted::<Persona>();
    }

    #[test]
    fn starters_give_each_persona_what_it_says() {
        let cloud = Policy::parse(Persona::starter(Model::Cloud)).unwrap();
        let enterprise = Policy::parse(Persona::starter(Model::Enterprise)).unwrap();
        let spaces = &cloud.tenant("example").unwrap().spaces;
        let groups = &enterprise.tenant("example").unwrap().settings.personas;
        assert_eq!(groups.len(), Persona::ALL.len());
        for persona in Persona::ALL {
            assert_eq!(groups[persona.as_str()], [persona.group()], "{persona}");
            let member = Member::Group(persona.group().to_owned());
            let given = spaces.values().filter_map(|space| Some((space.kind.name(), space.members.get(&member)?)));
            let given: BTreeSet<_> =
                given.flat_map(|(kind, roles)| roles.0.iter().map(move |role| (kind, role.name()))).collect();
            assert_eq!(given, persona.space_roles().iter().copied().collect(), "{persona}");
        }
    }
}
