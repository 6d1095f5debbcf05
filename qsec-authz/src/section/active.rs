//! Which access tables are in force for the data of a tenant's apps, and who reads by them.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use thiserror::Error;

use super::access::{SectionAccess, Version};
use super::checked::CheckedAccess;
use super::error::{AccessError, ReduceError};
use super::identity::{Identity, IdentityColumn};
use super::options::Options;
use super::reduction::Reduction;
use super::texts::normalise;
use crate::decision::Allowed;

/// How long a reader keeps the access tables that it began with: then it opens the data again.
pub const MAX_READER_AGE: Duration = Duration::from_mins(15);

/// The access tables that are in force for the apps of one tenant.
///
/// Tables are loaded with the data, checked against its columns, recorded, and then put in force at once for whoever
/// opens the data from then on. Tables in error change nothing. Readers that began before keep theirs until they open again,
/// [`MAX_READER_AGE`] at most.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_authz::section::{ActiveTables, Identity, SectionAccess, Table};
/// use qsec_authz::{Action, Decision, Policy, Request, ResourceRef, Subject};
///
/// # let policy = Policy::parse(r#"{"version":1,"tenants":{"acme":{
/// #     "spaces":{"sales":{"type":"managed","owner":"eve","members":{"user:ana":["consumer"]}}},
/// #     "resources":{"q3":{"type":"App","owner":"eve","space":"sales"}}}}}"#)?.compile()?;
/// let data = Table::parse_csv("REGION,SALES\nNORTH,1\nSOUTH,2\n")?;
/// let active = ActiveTables::new("acme");
/// let tables = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?;
/// let activation = active.prepare("q3", &tables, data.columns())?;
/// assert_eq!((activation.updated().rows(), active.is_active("q3")), (1, false)); // record this, then:
/// activation.commit();
///
/// let now = SystemTime::now();
/// let ana = Subject::user("ana");
/// let Decision::Allow(allowed) = policy.decide(&Request::new("acme", &ana, Action::Read, ResourceRef::id("q3"))) else {
///     panic!("denied");
/// };
/// let reader = active.open(&allowed, "q3", Identity::user("ana"), now)?;
/// assert_eq!(reader.reduction(now)?.apply(&data)?.to_csv(), "REGION,SALES\nNORTH,1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ActiveTables {
    tenant: Box<str>,
    apps: ArcSwap<HashMap<Box<str>, CheckedAccess>>,
}

impl ActiveTables {
    /// No tables are in force for any app of `tenant`.
    pub fn new(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into().into(), apps: ArcSwap::default() }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Whether the data of an app must be reduced before anybody sees it.
    pub fn is_active(&self, app: &str) -> bool {
        self.apps.load().contains_key(app)
    }

    /// The version that is in force for the data of an app.
    pub fn version(&self, app: &str) -> Option<Version> {
        self.apps.load().get(app).map(CheckedAccess::version)
    }

    /// Checks tables against the columns of an app's data. They are in force once [`Activation::commit`] was called, after
    /// what [`Activation::updated`] says was recorded.
    ///
    /// Of two activations of one app, the one that commits last is in force: whoever loads an app does so once at a time.
    ///
    /// # Errors
    /// As [`SectionAccess::check_columns`]; what is in force stays in force.
    pub fn prepare(
        &self,
        app: impl Into<String>,
        access: &SectionAccess,
        columns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Activation<'_>, AccessError> {
        let checked = access.check_columns(columns)?;
        let app = app.into();
        let (version, previous) = (Some(checked.version()), self.version(&app));
        let updated = Updated { app, rows: access.row_count(), version, previous };
        Ok(Activation { tables: self, next: Some(checked), updated })
    }

    /// Prepares that no tables are in force for an app any more, so that everybody who may open it sees all of its data;
    /// nothing if there are none.
    pub fn prepare_withdrawal(&self, app: impl Into<String>) -> Option<Activation<'_>> {
        let app = app.into();
        let previous = Some(self.version(&app)?);
        Some(Activation { tables: self, next: None, updated: Updated { app, rows: 0, version: None, previous } })
    }

    /// Opens the data of an app for the subject of a decision.
    ///
    /// `app` is what the decision is about: [`Allowed::app`], or the resource itself if it is part of no app.
    ///
    /// # Errors
    /// [`OpenError::Mismatch`] if the decision was about another tenant or app, or the identity is not its subject's;
    /// [`OpenError::NotActive`] if no tables are in force; [`OpenError::Reduce`] as [`CheckedAccess::reduction`].
    pub fn open(
        &self,
        allowed: &Allowed,
        app: &str,
        identity: impl Into<Identity>,
        now: SystemTime,
    ) -> Result<Reader, OpenError> {
        let identity = identity.into();
        self.check(allowed, app, &identity)?;
        let access = self.apps.load().get(app).cloned().ok_or(OpenError::NotActive)?;
        let key = CacheKey::new(&self.tenant, app, &access, &identity);
        let reduction = access.reduction(identity)?;
        Ok(Reader { reduction, key, opened: now })
    }

    /// A yes for one thing is no yes for another.
    fn check(&self, allowed: &Allowed, app: &str, identity: &Identity) -> Result<(), OpenError> {
        if allowed.tenant() != self.tenant() {
            return Err(OpenError::Mismatch { what: "tenant" });
        }
        if allowed.app().or(allowed.resource_id()) != Some(app) {
            return Err(OpenError::Mismatch { what: "app" });
        }
        let subject = allowed.subject().user_id().map(normalise);
        // With its directory or without: `DIRECTORY\USER` is of `USER`.
        let is_theirs = |id: String| {
            let name = id.rsplit_once('\\').map_or(id.as_str(), |(_, name)| name);
            subject.as_ref().is_some_and(|subject| *subject == id || subject == name)
        };
        if identity.values(IdentityColumn::User).map(normalise).all(is_theirs) {
            Ok(())
        } else {
            Err(OpenError::Mismatch { what: "user" })
        }
    }
}

/// Tables that are ready to be put in force. Dropped, nothing has changed.
#[derive(Debug)]
#[must_use = "nothing is in force before `commit`"]
pub struct Activation<'t> {
    tables: &'t ActiveTables,
    next: Option<CheckedAccess>,
    updated: Updated,
}

impl Activation<'_> {
    /// What to record before [`Activation::commit`]: the facts of the event `section_access.updated`.
    pub fn updated(&self) -> &Updated {
        &self.updated
    }

    /// Puts the tables in force, at once for everybody who opens the data from now on.
    pub fn commit(self) -> Updated {
        let app: Box<str> = self.updated.app.as_str().into();
        self.tables.apps.rcu(|apps| {
            let mut apps = HashMap::clone(apps);
            match &self.next {
                Some(next) => apps.insert(app.clone(), next.clone()),
                None => apps.remove(&app),
            };
            apps
        });
        self.updated
    }
}

/// What changes when access tables are put in force, or withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    app: String,
    rows: usize,
    version: Option<Version>,
    previous: Option<Version>,
}

impl Updated {
    /// The app.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Rows of all access tables together.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The version that is in force then; nothing if none is.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The version that was in force when this was prepared.
    pub fn previous(&self) -> Option<Version> {
        self.previous
    }
}

/// Somebody who was allowed to open data, and their reduction of it. Only [`ActiveTables::open`] makes it, and it cannot be
/// copied.
///
/// ```compile_fail
/// fn twice(reader: qsec_authz::section::Reader) -> (qsec_authz::section::Reader, qsec_authz::section::Reader) {
///     (reader.clone(), reader)
/// }
/// ```
#[derive(Debug)]
pub struct Reader {
    reduction: Reduction,
    key: CacheKey,
    opened: SystemTime,
}

impl Reader {
    /// The reduction, as long as the reader need not open again.
    ///
    /// # Errors
    /// [`Stale`] [`MAX_READER_AGE`] after it was opened, or before that.
    pub fn reduction(&self, now: SystemTime) -> Result<&Reduction, Stale> {
        let age = now.duration_since(self.opened).map_err(|_| Stale)?;
        if age < MAX_READER_AGE { Ok(&self.reduction) } else { Err(Stale) }
    }

    /// The app.
    pub fn app(&self) -> &str {
        &self.key.app
    }

    /// The version of the access tables, which is the one that was in force when this was opened.
    pub fn version(&self) -> Version {
        self.key.version
    }

    /// What a cache of the reduced data is keyed by.
    pub fn cache_key(&self) -> &CacheKey {
        &self.key
    }
}

/// Tells reduced data apart: two readers with equal keys see the same rows and columns of the same data.
///
/// It holds the tenant, the app, the [`Version`] and [`Options`] of the access tables, the columns of the data, and the user's values of
/// every identity column that the tables use. The data's own version is the caller's to add.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    tenant: Box<str>,
    app: Box<str>,
    version: Version,
    options: Options,
    columns: Vec<Box<str>>,
    identity: Vec<(&'static str, BTreeSet<String>)>,
}

impl CacheKey {
    fn new(tenant: &str, app: &str, access: &CheckedAccess, identity: &Identity) -> Self {
        let tables = access.tables();
        let used: Vec<&str> = tables.identity_columns().collect();
        let columns = IdentityColumn::ALL.into_iter().filter(|column| used.contains(&column.name()));
        let identity = columns.map(|column| (column.name(), identity.values(column).map(normalise).collect()));
        Self {
            tenant: tenant.into(),
            app: app.into(),
            version: access.version(),
            options: access.options().clone(),
            columns: access.columns().map(Box::from).collect(),
            identity: identity.collect(),
        }
    }
}

/// A reader is too old, or the clock went back: open the data again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the data must be opened again")]
#[non_exhaustive]
pub struct Stale;

impl Stale {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        "stale"
    }
}

/// Why the data of an app was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No access tables are in force for the app.
    #[error("no access tables are in force")]
    NotActive,
    /// The decision is about something else than what is opened: misuse by the caller.
    #[error("the decision is about another {what}")]
    Mismatch {
        /// `tenant`, `app` or `user`.
        what: &'static str,
    },
    /// The user is refused, or the access tables cannot be evaluated.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
}

impl OpenError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotActive => "not_active",
            Self::Mismatch { .. } => "allowed_mismatch",
            Self::Reduce(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Decision, Policy, Request, ResourceRef, Subject};

    const COLUMNS: [&str; 2] = ["REGION", "SALES"];
    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn tables(rows: &str) -> SectionAccess {
        SectionAccess::parse([format!("ACCESS,USERID,REGION\n{rows}")]).unwrap()
    }

    fn allowed(tenant: &str, app: &str) -> Allowed {
        let tenants = r#"{"resources":{"q3":{"type":"App","owner":"ana"},"q4":{"type":"App","owner":"ana"},
            "data":{"type":"DataAsset","owner":"ana"},"sheet":{"type":"App.Object","owner":"ana","app":"q3"},
            "chart":{"type":"App.Object","owner":"ana","app":"sheet"},
            "stranger":{"type":"App.Object","owner":"ana","app":"q4"}}}"#;
        let policy = format!(r#"{{"version":1,"tenants":{{"acme":{tenants},"globex":{tenants}}}}}"#);
        let snapshot = Policy::parse(&policy).unwrap().compile().unwrap();
        let request = Request::new(tenant, &Subject::user("ana"), Action::Read, ResourceRef::id(app));
        match snapshot.decide(&request) {
            Decision::Allow(allowed) => allowed,
            Decision::Deny(denied) => panic!("{denied}"),
        }
    }

    fn active() -> ActiveTables {
        let active = ActiveTables::new("acme");
        active.prepare("q3", &tables("USER,ANA,NORTH\n"), COLUMNS).unwrap().commit();
        active
    }

    fn values(reader: &Reader) -> Vec<String> {
        let reduction = reader.reduction(START).unwrap();
        reduction.fields()[0].values().sorted().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn tables_are_in_force_from_the_commit_and_readers_keep_theirs() {
        let active = active();
        let before = active.open(&allowed("acme", "q3"), "q3", Identity::user("ana"), START).unwrap();
        let next = active.prepare("q3", &tables("USER,ANA,SOUTH\nUSER,BOB,NORTH\n"), COLUMNS).unwrap();
        assert_eq!(active.version("q3"), Some(before.version()));
        let updated = next.commit();
        assert_eq!((updated.app(), updated.rows(), updated.previous()), ("q3", 2, Some(before.version())));
        assert_eq!(active.version("q3"), updated.version());

        let after = active.open(&allowed("acme", "q3"), "q3", Identity::user("ana"), START).unwrap();
        assert_eq!((values(&before), values(&after)), (vec!["NORTH".to_owned()], vec!["SOUTH".to_owned()]));
        assert_eq!((after.app(), Some(after.version())), ("q3", updated.version()));
        assert_ne!(before.cache_key(), after.cache_key());
        assert_eq!(after.reduction(START).unwrap().version(), after.version());
    }

    #[test]
    fn tables_in_error_and_dropped_activations_change_nothing() {
        let active = active();
        let version = active.version("q3");
        assert_eq!(
            active.prepare("q3", &tables("USER,ANA,SOUTH\n"), ["SALES"]).unwrap_err().code(),
            "unknown_reduction_field"
        );
        drop(active.prepare("q3", &tables("USER,ANA,SOUTH\n"), COLUMNS).unwrap());
        assert_eq!(active.version("q3"), version);
    }

    #[test]
    fn a_reader_opens_again_after_a_quarter_of_an_hour_and_when_the_clock_went_back() {
        let reader =
            active().open(&allowed("acme", "q3"), "q3", Identity::user("ana"), START + MAX_READER_AGE).unwrap();
        assert!(reader.reduction(START + MAX_READER_AGE * 2 - Duration::from_nanos(1)).is_ok());
        assert_eq!(reader.reduction(START + MAX_READER_AGE * 2).unwrap_err().code(), "stale");
        assert_eq!(reader.reduction(START).unwrap_err(), Stale);
    }

    #[test]
    fn a_yes_for_something_else_opens_nothing() {
        let active = active();
        let open = |tenant, app, user: &str| {
            active
                .open(&allowed(tenant, app), "q3", Identity::user(user), START)
                .map(drop)
                .map_err(|error| (error.code(), error.to_string()))
        };
        let mismatch = |what: &str| Err(("allowed_mismatch", format!("the decision is about another {what}")));
        assert_eq!(open("globex", "q3", "ana"), mismatch("tenant"));
        assert_eq!(open("acme", "q4", "ana"), mismatch("app"));
        assert_eq!(open("acme", "stranger", "ana"), mismatch("app"));
        assert_eq!(open("acme", "data", "ana"), mismatch("app"));
        assert_eq!(open("acme", "chart", "ana"), Ok(()));
        assert_eq!(open("acme", "q3", "bob"), mismatch("user"));
        assert_eq!(open("acme", "q3", "x\\bob"), mismatch("user"));
        assert_eq!(open("acme", "q3", " Ana"), Ok(()));
        assert_eq!(open("acme", "q3", "x\\ana").unwrap_err().0, "not_listed");
        let q4 = active.open(&allowed("acme", "q4"), "q4", Identity::user("ana"), START).unwrap_err();
        assert_eq!(q4.code(), "not_active");
    }

    #[test]
    fn withdrawn_tables_are_in_force_no_more() {
        let active = active();
        assert!(active.prepare_withdrawal("q4").is_none());
        let updated = active.prepare_withdrawal("q3").unwrap().commit();
        assert_eq!((updated.version(), updated.rows(), active.is_active("q3")), (None, 0, false));
    }

    #[test]
    fn the_cache_key_holds_what_the_tables_use_and_nothing_else() {
        let active = active();
        let key = |identity: Identity| {
            active.open(&allowed("acme", "q3"), "q3", identity, START).unwrap().cache_key().clone()
        };
        let ana = key(Identity::user("ana"));
        assert_eq!(ana, key(Identity::user(" ANA ").group("sales").email("ana@x")));
        active
            .prepare("q3", &SectionAccess::parse(["ACCESS,USERID,GROUP,REGION\nUSER,ANA,*,NORTH\n"]).unwrap(), COLUMNS)
            .unwrap()
            .commit();
        assert_ne!(key(Identity::user("ana")), key(Identity::user("ana").group("sales")));
        assert_eq!(key(Identity::user("ana").groups(["b", "a"])), key(Identity::user("ana").groups(["A", "B"])));
        let narrower = SectionAccess::parse(["ACCESS,USERID,GROUP,REGION\nUSER,ANA,*,NORTH\n"]).unwrap();
        let before = key(Identity::user("ana"));
        active.prepare("q3", &narrower, ["REGION"]).unwrap().commit();
        assert_ne!(before, key(Identity::user("ana")));
    }
}
