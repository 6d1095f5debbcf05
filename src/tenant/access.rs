//! What a caller may do in the tenant, and which rows and columns are theirs.

use std::time::SystemTime;

use qsec_audit::{Actor, ActorType, Event, catalogue};
use qsec_authz::section::{CheckedAccess, Exclusion, Identity, Reducible, Reduction};
use qsec_authz::{Action, Allowed, Decision, Denied, Request, ResourceRef, Subject};
use qsec_identity::{Principal, PrincipalKind, Reason, Rejection};

use super::Tenant;
use crate::error::Error;
use crate::lifecycle::TenantRecord;

/// Users share the subjects of decisions with what is no user; no identity provider may speak in the name of such a one.
const CLIENT: &str = "client:";
const RESERVED: [&str; 3] = [CLIENT, "gateway:", "anonymous:"];

impl Tenant {
    /// Decides whether a caller may do something here. The yes is a value that only this can make.
    ///
    /// A principal is as old as its token: authenticate for each request, and keep no principal beyond it. One from before
    /// the tenant was deactivated is refused.
    ///
    /// # Errors
    /// [`Error::Denied`] says what was missing, [`Error::Token`] that the principal does not count any more, or that the
    /// tenant is closed to its members; the refusal is handed to the log before this returns.
    pub fn decide(
        &self,
        who: &Principal,
        action: Action,
        resource: impl Into<ResourceRef>,
        now: SystemTime,
    ) -> Result<Allowed, Error> {
        let record = self.pass_here("decide", now)?;
        let subject = self.vouch(&record, who, action, now)?;
        let request = Request::new(self.id(), &subject, action, resource);
        match self.room.policy.decide(&request) {
            Decision::Allow(allowed) => {
                self.note_use(&allowed, now)?;
                Ok(allowed)
            }
            Decision::Deny(denied) => Err(self.deny(denied, now)),
        }
    }

    /// Reduces data to what access tables show the subject of a decision.
    ///
    /// If tables are in force for the app ([`Tenant::activate_section_access`]), these must be they, and the data is reduced
    /// as [`Tenant::read`] does it: by the options with which they were activated.
    ///
    /// # Errors
    /// [`Error::Reduce`]: not listed, excluded, or data that does not fit the tables; [`Error::ObligationUnmet`] if others are
    /// in force. Recorded before this returns.
    pub fn reduce<D: Reducible>(
        &self,
        allowed: &Allowed,
        access: &CheckedAccess,
        data: &D,
        now: SystemTime,
    ) -> Result<D, Error> {
        self.pass_here("reduce", now)?;
        if allowed.tenant() != self.id() {
            return Err(self.other_tenant("decision", allowed.action(), now));
        }
        let app = allowed.app().or(allowed.resource_id()).unwrap_or_default();
        if self.obligation(allowed).is_some() {
            if self.is_in_force(app, access) {
                return self.read(allowed, data, now);
            }
            let error = Error::ObligationUnmet { app: app.to_owned(), what: "others were given" };
            return Err(self.not_reduced(error, app, actor(allowed.subject()), now));
        }
        let reduction = access.reduction(self.identity(allowed));
        let reduced = reduction.and_then(|reduction| Ok((reduction.apply(data)?, reduction)));
        match reduced {
            Ok((reduced, reduction)) => {
                let event = seen(&reduction, data.row_count(), reduced.row_count(), app, actor(allowed.subject()));
                self.note(event, now)?;
                Ok(reduced)
            }
            Err(error) => Err(self.not_reduced(error.into(), app, actor(allowed.subject()), now)),
        }
    }

    /// The subject of a caller who was proved in this tenant, and counts still.
    pub(super) fn vouch(
        &self,
        record: &TenantRecord,
        who: &Principal,
        action: Action,
        now: SystemTime,
    ) -> Result<Subject, Error> {
        if who.tenant() != Some(self.id()) {
            return Err(self.other_tenant("principal", action, now));
        }
        match self.objection(record, who) {
            Some(reason) => Err(self.reject(Rejection::new(reason), now)),
            None => Ok(subject_of(who)),
        }
    }

    /// Why a principal that was proved does not count here and now.
    pub(super) fn objection(&self, record: &TenantRecord, who: &Principal) -> Option<Reason> {
        let is_user = who.kind() == PrincipalKind::User;
        if is_user && is_reserved(who.subject()) {
            return Some(Reason::SubjectMismatch);
        }
        let border = if is_user { record.users_revoked_before() } else { record.revoked_before() };
        if border.is_some_and(|border| who.issued_at() < border) {
            return Some(Reason::Revoked);
        }
        let closed = record.is_closed_to_members() && is_user && !self.is_administrator(&subject_of(who));
        closed.then_some(Reason::TenantInactive)
    }

    /// Groups of the token and of the policy both count, as they do for roles.
    pub(super) fn identity(&self, allowed: &Allowed) -> Identity {
        let subject = allowed.subject();
        let groups = self.room.policy.snapshot().groups_of(self.id(), subject);
        let identity = Identity::new().groups(groups);
        match subject.user_id() {
            Some(user) => identity.id(user),
            None => identity,
        }
    }

    /// Whoever mixes tenants up has a defect or an intent; the log of the tenant that was asked has it either way.
    pub(super) fn other_tenant(&self, what: &'static str, action: Action, now: SystemTime) -> Error {
        let event = catalogue::DecisionDenied::new().action(action.as_str()).by(Actor::anonymous());
        self.refuse(event, Error::OtherTenant { what }, now)
    }

    pub(super) fn deny(&self, denied: Denied, now: SystemTime) -> Error {
        let resource = match denied.request().resource() {
            ResourceRef::Id(id) => id.as_str(),
            ResourceRef::Inline(resource) => resource.type_name(),
            ResourceRef::Any(kind) => kind.as_deref().unwrap_or("any"),
            _ => "unknown",
        };
        let event = catalogue::DecisionDenied::new()
            .action(denied.action().as_str())
            .resource(resource)
            .missing(denied.missing())
            .policy(self.room.policy.version().unwrap_or_default().to_string())
            .by(actor(denied.subject()))
            .subject(format!("resource/{resource}"));
        self.refuse(event, denied.into(), now)
    }

    pub(super) fn not_reduced(&self, error: Error, app: &str, actor: Actor, now: SystemTime) -> Error {
        let event = catalogue::SectionAccessDenied::new().app(app).cause(error.code()).by(actor);
        self.refuse(event.subject(format!("app/{app}")), error, now)
    }
}

/// A principal is proved; a subject is plain data. This is the only way from the one to the other.
pub(super) fn subject_of(who: &Principal) -> Subject {
    let subject = match who.kind() {
        PrincipalKind::User => Subject::user(who.subject()),
        PrincipalKind::Client => Subject::user(format!("{CLIENT}{}", who.subject())),
        PrincipalKind::Gateway => Subject::user(format!("gateway:{}", who.subject())),
        _ => Subject::anonymous(),
    };
    let subject = subject.groups(who.groups());
    // No ceiling and the empty ceiling are opposites: the first is a signed-in browser, the second admits nothing.
    match who.scopes() {
        Some(scopes) => subject.scopes(scopes),
        None => subject,
    }
}

/// Whether a user's id would be read as something that is no user.
pub(super) fn is_reserved(user: &str) -> bool {
    RESERVED.iter().any(|prefix| user.starts_with(prefix))
}

/// The subject of a decision as the log names it.
pub(super) fn actor(subject: &Subject) -> Actor {
    match subject.user_id() {
        None => Actor::anonymous(),
        Some(id) => id.strip_prefix(CLIENT).map_or_else(|| Actor::user(id), Actor::client),
    }
}

/// And back: the subject's id of one whom the log names.
pub(super) fn subject_id(kind: &str, id: &str) -> String {
    if kind == ActorType::Client.as_str() { format!("{CLIENT}{id}") } else { id.to_owned() }
}

pub(super) fn seen(reduction: &Reduction, all: usize, kept: usize, app: &str, actor: Actor) -> Event {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    catalogue::SectionAccessReduced::new()
        .app(app)
        .rows_kept(count(kept))
        .rows_all(count(all))
        .fields_omitted(count(reduction.omitted().len()))
        .strict(reduction.exclusion() == Exclusion::Strict)
        .by(actor)
        .subject(format!("app/{app}"))
}
