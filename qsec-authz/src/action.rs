//! What a principal may want to do: a closed set.

use std::fmt;

use crate::bits::{Bit, names};

names! {
    /// An action. The set is closed: a name that is not in it makes a request malformed.
    ///
    /// ```
    /// use qsec_authz::Action;
    /// assert_eq!(Action::parse("export_data"), Some(Action::ExportData));
    /// assert_eq!(Action::parse("peek"), None);
    /// assert_eq!(Action::ALL.len(), 29);
    /// ```
    #[non_exhaustive]
    pub enum Action {
        /// Make a new one.
        Create = 0 "create",
        /// See it, open it.
        Read = 1 "read",
        /// Change it.
        Update = 2 "update",
        /// Remove it.
        Delete = 3 "delete",
        /// Take the whole away as a file.
        Export = 4 "export",
        /// Make it visible to the audience of a stream or a space.
        Publish = 5 "publish",
        /// Give it to another owner.
        ChangeOwner = 6 "change_owner",
        /// Change roles.
        ChangeRole = 7 "change_role",
        /// Take data of it away.
        ExportData = 8 "export_data",
        /// Use it without a connection.
        AccessOffline = 9 "access_offline",
        /// Send it to other sites.
        Distribute = 10 "distribute",
        /// Copy it.
        Duplicate = 11 "duplicate",
        /// Make it part of the base content.
        Approve = 12 "approve",
        /// Put a data product into use; enable a key.
        Activate = 13 "activate",
        /// Move it to another space.
        ChangeSpace = 14 "change_space",
        /// Use its data in one's own content.
        Consume = 15 "consume",
        /// Take a data product out of use; disable a key.
        Deactivate = 16 "deactivate",
        /// Change the load script.
        EditScript = 17 "edit_script",
        /// Take a picture of it away.
        ExportImage = 18 "export_image",
        /// Change who is a member.
        ManageMembers = 19 "manage_members",
        /// Watch how it runs.
        Monitor = 20 "monitor",
        /// Load its data again.
        Reload = 21 "reload",
        /// Publish over an earlier publication.
        Republish = 22 "republish",
        /// Go on after a stop.
        Resume = 23 "resume",
        /// Start it.
        Run = 24 "run",
        /// Give others access.
        Share = 25 "share",
        /// Halt it.
        Stop = 26 "stop",
        /// Use a service.
        Use = 27 "use",
        /// See the rows.
        ViewData = 28 "view_data",
    }
}

impl Action {
    /// Every action.
    pub const ALL: &'static [Self] = <Self as Bit>::ALL;

    /// The action of that name, exactly.
    pub fn parse(name: &str) -> Option<Self> {
        Self::named(name)
    }

    /// Its name in requests and policies.
    pub fn as_str(self) -> &'static str {
        self.name()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_have_bits_of_their_own() {
        crate::bits::assert_counted::<Action>();
    }
}
