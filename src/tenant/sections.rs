//! Access tables in force: whoever hands out an app's rows owes the reduction by them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_authz::section::{ActiveTables, OpenError, Reader, Reducible, SectionAccess, Updated};
use qsec_authz::{Allowed, Obligation};
use qsec_store::{SettingRow, SettingStore, Store};

use super::access::{actor, seen};
use super::{Tenant, setting};
use crate::error::Error;

/// The tables that are in force, and for which apps there must be some.
///
/// Tables are loaded with the data of their app, and not stored. That there are some is stored: after a start nobody sees
/// rows of such an app before it was loaded again.
#[derive(Debug)]
pub(super) struct Sections {
    tables: ActiveTables,
    owed: RwLock<HashMap<String, Owed>>,
}

/// Whether the rows of an app are owed a reduction, as the store has it.
#[derive(Debug, Clone, Copy)]
struct Owed {
    generation: u64,
    in_force: bool,
}

impl Sections {
    pub(super) fn new(tenant: &str) -> Self {
        Self { tables: ActiveTables::new(tenant), owed: RwLock::default() }
    }

    /// For which apps the store says that tables are in force: whatever stands there, unless it is nothing.
    pub(super) async fn load(&self, store: &Store) -> Result<(), Error> {
        let prefix = marker(self.tables.tenant(), "");
        let rows = SettingStore::list(store, &prefix).await?;
        let owed = rows.into_iter().filter_map(|row| {
            let app = row.name.strip_prefix(&prefix)?.to_owned();
            Some((app, Owed { generation: row.generation, in_force: !row.body.is_empty() }))
        });
        self.owed.write().unwrap_or_else(PoisonError::into_inner).extend(owed);
        Ok(())
    }

    fn owed(&self, app: &str) -> Option<Owed> {
        self.owed.read().unwrap_or_else(PoisonError::into_inner).get(app).copied()
    }

    pub(super) fn is_owed(&self, app: &str) -> bool {
        self.tables.is_active(app) || self.owed(app).is_some_and(|owed| owed.in_force)
    }

    /// Writes down that tables are in force for an app, or that none are: before it is so.
    async fn keep(&self, store: &Store, app: &str, version: Option<String>) -> Result<(), Error> {
        let generation = self.owed(app).map_or(0, |owed| owed.generation).saturating_add(1);
        let in_force = version.is_some();
        let body = version.unwrap_or_default().into_bytes();
        let row = SettingRow { name: marker(self.tables.tenant(), app), generation, body };
        SettingStore::write(store, &row).await?;
        let mut owed = self.owed.write().unwrap_or_else(PoisonError::into_inner);
        owed.insert(app.to_owned(), Owed { generation, in_force });
        Ok(())
    }
}

fn marker(tenant: &str, app: &str) -> String {
    setting(tenant, &format!("section-access/{app}"))
}

impl Tenant {
    /// Puts access tables in force for an app, as its data is loaded: recorded first, and from then on nobody sees rows of
    /// it but as these tables leave them.
    ///
    /// The tables themselves are not stored, only that there are some: after the deployment was opened again, no rows of
    /// the app are handed out before its tables were loaded again.
    ///
    /// # Errors
    /// [`Error::Access`] if the tables do not fit the columns of the data: recorded, and what was in force stays so.
    /// [`Error::Record`] and [`Error::Store`] likewise change nothing.
    pub async fn activate_section_access(
        &self,
        app: &str,
        tables: &SectionAccess,
        columns: impl IntoIterator<Item = impl AsRef<str>>,
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Updated, Error> {
        self.pass("section_access", now).await?;
        let _alone = self.room.changes.lock().await;
        let sections = &self.room.sections;
        let event = || catalogue::SectionAccessUpdated::new().app(app);
        let activation = match sections.tables.prepare(app, tables, columns) {
            Ok(activation) => activation,
            Err(error) => {
                let event = event().digest(tables.version().to_string()).by(actor.clone());
                self.note(event.subject(format!("app/{app}")).failed(error.code()), now)?;
                return Err(error.into());
            }
        };
        let updated = activation.updated();
        let version = updated.version().map(|version| version.to_string());
        let rows = i64::try_from(updated.rows()).unwrap_or(i64::MAX);
        let event = event().rows(rows).digest(version.clone().unwrap_or_default()).by(actor.clone());
        let effect = async {
            sections.keep(&self.deployment.inner.store, app, version).await?;
            Ok(activation.commit())
        };
        self.carry_out(event.subject(format!("app/{app}")), now, effect).await
    }

    /// Ends section access for an app: from then on, whoever may open it sees all of its data.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no tables are in force for it; [`Error::Record`] and [`Error::Store`] change nothing.
    pub async fn withdraw_section_access(&self, app: &str, actor: &Actor, now: SystemTime) -> Result<(), Error> {
        self.pass("section_access", now).await?;
        let _alone = self.room.changes.lock().await;
        let sections = &self.room.sections;
        if !sections.is_owed(app) {
            return Err(Error::NotFound { noun: "access table in force for", id: app.to_owned() });
        }
        let event = catalogue::SectionAccessUpdated::new().app(app).rows(0).by(actor.clone());
        let effect = async {
            sections.keep(&self.deployment.inner.store, app, None).await?;
            // None are there if they were not loaded since the deployment was opened.
            if let Some(withdrawal) = sections.tables.prepare_withdrawal(app) {
                withdrawal.commit();
            }
            Ok(())
        };
        self.carry_out(event.subject(format!("app/{app}")), now, effect).await
    }

    /// What is owed before rows are handed out for a decision: [`Obligation::Reduce`] if access tables are in force for
    /// the app that it is about, here or in the store.
    pub fn obligation<'a>(&self, allowed: &'a Allowed) -> Option<Obligation<'a>> {
        allowed.obligation(|app| self.room.sections.is_owed(app))
    }

    /// Opens the data of an app for the subject of a decision, by the access tables in force: for whoever reduces in parts,
    /// in a database, or keeps what was reduced.
    ///
    /// # Errors
    /// [`Error::Reduce`] if the user is not listed, [`Error::ObligationUnmet`] if tables are in force and not loaded,
    /// [`Error::OpenData`] if none are; recorded before this returns.
    pub fn open_data(&self, allowed: &Allowed, now: SystemTime) -> Result<Reader, Error> {
        self.pass_here("open_data", now)?;
        if allowed.tenant() != self.id() {
            return Err(self.other_tenant("decision", allowed.action(), now));
        }
        let app = allowed.app().or(allowed.resource_id()).unwrap_or_default();
        let opened = self.room.sections.tables.open(allowed, app, self.identity(allowed), now);
        opened.map_err(|error| {
            let error = if matches!(error, OpenError::NotActive) && self.room.sections.is_owed(app) {
                Error::ObligationUnmet { app: app.to_owned(), what: "they are not loaded" }
            } else {
                error.into()
            };
            self.not_reduced(error, app, actor(allowed.subject()), now)
        })
    }

    /// Reduces data to what the access tables in force show the subject of a decision.
    ///
    /// ```
    /// # use qsec::{Deployment, NewTenant, Setup};
    /// # use qsec::audit::Actor;
    /// # use qsec::identity::{Presented, TokenDraft, TokenType};
    /// # use std::time::SystemTime;
    /// use qsec::authz::section::{SectionAccess, Table};
    /// use qsec::authz::{Action, Policy, ResourceRef};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let home = folder.path().join("home");
    /// # let (now, operator) = (SystemTime::now(), Actor::operator("op-1"));
    /// # Deployment::create(&home, Setup::new(), now).await?;
    /// # let deployment = Deployment::open(&home).await?;
    /// # let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator, now).await?;
    /// # let policy = r#"{"version":1,"tenants":{"acme":{"users":{"ana":{}},"resources":{"q3":{"type":"App","owner":"ana"}}}}}"#;
    /// # acme.activate_policy(&Policy::parse(policy)?, &operator, now).await?;
    /// # let draft = TokenDraft::new(TokenType::Session, "ana").audience(acme.issuer());
    /// # let token = acme.issue_token(draft, &operator, now).await?;
    /// # let ana = acme.authenticate(token.token(), &Presented::bearer(), now).await?;
    /// let data = Table::parse_csv("REGION,SALES\nNORTH,10\nSOUTH,20\n")?;
    /// let tables = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"])?;
    /// acme.activate_section_access("q3", &tables, data.columns(), &operator, now).await?;
    ///
    /// let allowed = acme.decide(&ana, Action::Read, ResourceRef::id("q3"), now)?;
    /// assert!(acme.obligation(&allowed).is_some());
    /// assert_eq!(acme.read(&allowed, &data, now)?.to_csv(), "REGION,SALES\nNORTH,10\n");
    /// # deployment.close(now).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Tenant::open_data`], and [`Error::Reduce`] for data that does not fit the tables; recorded before this returns.
    pub fn read<D: Reducible>(&self, allowed: &Allowed, data: &D, now: SystemTime) -> Result<D, Error> {
        let reader = self.open_data(allowed, now)?;
        let reduction = reader.reduction(now).map_err(|stale| Error::internal(stale.to_string()))?;
        let (app, actor) = (reader.app(), actor(allowed.subject()));
        match reduction.apply(data) {
            Ok(reduced) => {
                self.note(seen(reduction, data.row_count(), reduced.row_count(), app, actor), now)?;
                Ok(reduced)
            }
            Err(error) => Err(self.not_reduced(error.into(), app, actor, now)),
        }
    }
}

impl Tenant {
    /// Tables that somebody hands in are good for an app that has none in force, or if they are those in force.
    pub(super) fn is_in_force(&self, app: &str, access: &qsec_authz::section::CheckedAccess) -> bool {
        self.room.sections.tables.version(app) == Some(access.version())
    }
}
