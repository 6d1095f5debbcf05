//! What may this principal see? All, nothing, or what a predicate over the resource says.
//!
//! A decision is about one resource, and [`crate::Snapshot::filter`] about those that the policy lists. A catalogue with a million
//! rows of its own asks the other way round: [`crate::Snapshot::visibility`] works out all that concerns the requester, and leaves
//! a [`Predicate`] over the attributes of a resource, for a `WHERE` clause ([`Predicate::to_sql`]) or a record batch
//! (`Predicate::mask`).
//!
//! ```
//! use qsec_authz::section::Dialect;
//! use qsec_authz::visibility::{Column, Columns, Unsaid, Visibility};
//! use qsec_authz::{Action, Policy, Request, Resource, ResourceRef, Subject};
//!
//! let snapshot = Policy::parse(r#"
//!     version = 1
//!     [tenants.acme]
//!     model = "enterprise"
//!     [[tenants.acme.rules]]
//!     name = "teams"
//!     filter = "App_*"
//!     actions = ["read"]
//!     condition = 'resource.@Team = user.group and !(resource.locked = "true")'
//! "#)?.compile()?;
//! let ana = Subject::user("ana").groups(["finance", "sales"]);
//! let apps = Request::new("acme", &ana, Action::Read, ResourceRef::id("")).on_any("App");
//! let Visibility::If(predicate) = snapshot.visibility(&apps) else { panic!("some of them") };
//!
//! assert_eq!(predicate.holds(&Resource::new("App").custom("Team", "Sales")), Some(true));
//! assert_eq!(predicate.holds(&Resource::new("App").custom("Team", "HR")), Some(false));
//!
//! let columns = Columns::new(Unsaid::Refuse)
//!     .constant(Column::Type, "App")
//!     .column(Column::custom("Team"), "team")
//!     .absent(Column::attribute("locked"));
//! let sql = predicate.to_sql(Dialect::Postgres, &columns).unwrap();
//! assert_eq!(sql.predicate(), r#"lower(replace(CAST("team" AS text) COLLATE "C", chr(304), chr(105) || chr(775))) IN ($1, $2)"#);
//! assert_eq!(sql.parameters(), ["finance", "sales"]);
//! # Ok::<(), qsec_authz::PolicyError>(())
//! ```
//!
//! What follows a link (`resource.app.stream.HasPrivilege("read")`, `resource.owner.@Team`) ends at things that the policy lists: it
//! becomes a list of ids. What is left, and no database can say, is [`Unsaid`]: refused unless the caller chooses to lose rows or
//! to decide them again. Nothing is ever shown in silence.

use std::sync::Arc;

use crate::request::Request;
use crate::resource::Resource;
use crate::section::Dialect;
use crate::snapshot::Snapshot;
use crate::snapshot::principal::Principal;

#[cfg(feature = "arrow")]
mod arrow;
mod build;
mod columns;
mod expression;
mod fold;
mod rules;
mod sql;

#[cfg(feature = "arrow")]
pub use arrow::Mask;
pub use columns::{Column, Columns, PushError, Reach, Unsaid};
use expression::Expression;
pub use sql::SqlFilter;

/// Which of the resources that were asked about may be seen.
///
/// ```
/// use qsec_authz::visibility::Visibility;
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{"users":{"ana":{"roles":["TenantAdmin"]}}}}}"#)?.compile()?;
/// let apps = |user: &Subject| Request::new("acme", user, Action::Read, ResourceRef::id("")).on_any("App");
/// assert!(matches!(snapshot.visibility(&apps(&Subject::user("ana"))), Visibility::All));
/// assert!(matches!(snapshot.visibility(&apps(&Subject::user("bob"))), Visibility::If(_))); // his own
/// assert!(matches!(snapshot.visibility(&apps(&Subject::anonymous())), Visibility::None));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Visibility {
    /// Every one.
    All,
    /// None.
    None,
    /// Those for which the predicate holds.
    If(Predicate),
}

/// A predicate over a resource: the policy, as far as it matters to one requester and one action.
///
/// It is as old as the snapshot that made it: keep it no longer than a decision may be kept.
///
/// ```
/// # use qsec_authz::visibility::Visibility;
/// # use qsec_authz::{Action, Policy, Request, Resource, ResourceRef, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("")).on_everything();
/// let Visibility::If(predicate) = snapshot.visibility(&request) else { panic!("her own") };
/// assert_eq!(predicate.holds(&Resource::new("App").owner("ana")), Some(true));
/// assert_eq!(predicate.holds(&Resource::new("App").owner("bob")), Some(false));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate(Arc<Expression>);

impl Snapshot {
    /// Which resources may the subject of a request see, or do whatever its action is? Of the type that [`Request::on_any`] names; of
    /// every type, if the request names a single resource or none. A request that cannot be answered sees none.
    pub fn visibility(&self, request: &Request) -> Visibility {
        let Some(tenant) = self.tenants.get(request.tenant()) else { return Visibility::None };
        let principal = Principal::new(tenant, request.subject());
        if tenant.admit(&principal).is_err() {
            return Visibility::None;
        }
        let expression = build::Builder::new(tenant, &principal, request).build();
        if let Expression::Always(everything) = expression {
            return if everything { Visibility::All } else { Visibility::None };
        }
        Visibility::If(Predicate(Arc::new(expression)))
    }
}

impl Predicate {
    /// Whether it holds for a resource; `None` where the resource alone does not tell, and a decision must; and for a text so long that
    /// a decision has not the steps to match it with a pattern.
    ///
    /// Of a resource that the policy lists, it must be told what the policy says; see [`Columns`].
    #[must_use]
    pub fn holds(&self, resource: &Resource) -> Option<bool> {
        self.0.holds(resource)
    }

    /// Whether it says of every resource whether it may be seen: if not, some rule compares two attributes of the resource, or more
    /// things count than can be listed.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.0.is_exact()
    }

    /// Says the predicate in SQL. PostgreSQL and SQLite. What is compared with a pattern and holds U+0000, which patterns of SQLite do
    /// not see past, is hidden there.
    ///
    /// # Errors
    /// With [`Unsaid::Refuse`], [`PushError::MissingColumn`] and [`PushError::Inexpressible`] for what cannot be said of the table;
    /// whatever was chosen, [`PushError::BadIdentifier`], [`PushError::TooManyParameters`] and
    /// [`PushError::UnsupportedDialect`].
    pub fn to_sql(&self, dialect: Dialect, columns: &Columns) -> Result<SqlFilter, PushError> {
        SqlFilter::new(&self.0, dialect, columns)
    }
}
