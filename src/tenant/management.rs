//! Changes of the policy by somebody of the tenant: decided, recorded, stored, in force.

use std::time::SystemTime;

use qsec_audit::catalogue::{self, Shape};
use qsec_audit::{Actor, Draft, Event, Value};
use qsec_authz::{Action, AttributeValue, Edit, ManageError, PolicyEvent, Register, Subject};
use qsec_identity::Principal;

use super::Tenant;
use super::access::actor;
use super::policy::digest;
use crate::error::Error;
use crate::lifecycle::TenantRecord;

impl Tenant {
    /// Makes one change of the policy for a caller who is granted it, and answers the version that it made.
    ///
    /// The change is decided on the policy as it is stored, in the context `admin`; its event is on disk before it is
    /// stored, and it is stored only if nobody else changed the policy meanwhile. What it needs, and that nobody grants
    /// more than they hold, is said in [`qsec_authz::management`].
    ///
    /// ```
    /// # use qsec::{Deployment, NewTenant, Setup};
    /// # use qsec::audit::Actor;
    /// # use qsec::authz::{Edit, Holder, Policy};
    /// # use qsec::identity::{Presented, TokenDraft, TokenType};
    /// # use std::time::SystemTime;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let home = folder.path().join("home");
    /// # let (now, operator) = (SystemTime::now(), Actor::operator("op-1"));
    /// # Deployment::create(&home, Setup::new(), now).await?;
    /// # let deployment = Deployment::open(&home).await?;
    /// # let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator, now).await?;
    /// let policy = r#"{"version":1,"tenants":{"acme":{"users":{"olivia":{"roles":["TenantAdmin"]},"ana":{}}}}}"#;
    /// acme.activate_policy(&Policy::parse(policy)?, &operator, now).await?;
    /// # let draft = |user: &str| TokenDraft::new(TokenType::Session, user).audience(acme.issuer());
    /// # let olivia = acme.issue_token(draft("olivia"), &operator, now).await?;
    /// # let ana = acme.issue_token(draft("ana"), &operator, now).await?;
    /// let olivia = acme.authenticate(olivia.token(), &Presented::bearer(), now).await?;
    /// let ana = acme.authenticate(ana.token(), &Presented::bearer(), now).await?;
    ///
    /// let edit = Edit::AssignRole { role: "Steward".into(), to: Holder::user("ana") };
    /// assert_eq!(acme.edit_policy(&ana, &edit, now).await.unwrap_err().code(), "no_grant");
    /// assert_eq!(acme.edit_policy(&olivia, &edit, now).await?, 2);
    /// # deployment.close(now).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Denied`] if the change is not granted, [`Error::Manage`] if it gives more than the caller holds, would leave
    /// the tenant without an administrator, or is no change of this policy; [`Error::Store`] with the code `conflict` if
    /// somebody else was faster. A refusal is handed to the log before this returns.
    pub async fn edit_policy(&self, who: &Principal, edit: &Edit, now: SystemTime) -> Result<u64, Error> {
        let record = self.pass("policy", now).await?;
        let subject = self.vouch(&record, who, Action::Update, now)?;
        let _alone = self.room.changes.lock().await;
        let store = &self.deployment.inner.store;
        let register = Register::load(store, self.id()).await?;
        let plan = match register.plan(&qsec_authz::Actor::new(&subject), edit) {
            Ok(plan) => plan,
            Err(error) => return Err(self.not_changed(error, edit, &subject, register.version(), now)),
        };
        let change = plan.event();
        let event = event_of(change, [&register, plan.next()], &record, actor(&subject));
        self.note(allowed(change, actor(&subject)), now)?;
        let commit = async { Ok(plan.commit(store).await?) };
        let register = self.carry_out(event, now, commit).await?;
        self.room.policy.replace(register.version(), register.snapshot());
        Ok(register.version())
    }

    /// What a rule forbids is in the log before the caller knows; what is no change at all is the caller's mistake.
    fn not_changed(&self, error: ManageError, edit: &Edit, subject: &Subject, version: u64, now: SystemTime) -> Error {
        if let ManageError::Denied(denied) = error {
            return self.deny(*denied, now);
        }
        let missing = if let ManageError::Exceeds { what } = &error { what.clone() } else { Vec::new() };
        if missing.is_empty() && !matches!(error, ManageError::LastAdministrator { .. }) {
            return error.into();
        }
        let event = catalogue::DecisionDenied::new()
            .action(edit.name())
            .missing(missing)
            .policy(version.to_string())
            .by(actor(subject));
        self.refuse(event, error.into(), now)
    }
}

/// By which right a change is made, and which one it is.
fn allowed(change: &PolicyEvent, actor: Actor) -> Event {
    catalogue::DecisionAllowed::new()
        .action(change.name())
        .resource(change.subject())
        .policy(change.previous().to_string())
        .because(change.by())
        .by(actor)
        .subject(change.subject())
}

/// A change as the catalogue names it, with the members that it knows. Of a change that has no type of its own it is the
/// policy in force that is recorded, from which digest to which.
fn event_of(change: &PolicyEvent, [before, after]: [&Register; 2], record: &TenantRecord, actor: Actor) -> Event {
    let subject = match (change.data().get("to"), change.data().get("member")) {
        // What was acted upon is whoever has the role now, or has not; the space is among the members.
        (Some(AttributeValue::Text(kind)), Some(AttributeValue::Text(id))) => format!("{kind}/{id}"),
        _ => change.subject().to_owned(),
    };
    let Some(known) = catalogue::find(change.name()) else {
        return catalogue::PolicyActivated::new()
            .digest(digest(after.policy()))
            .previous(digest(before.policy()))
            .by(actor)
            .subject(subject);
    };
    let members = change.data().iter().filter_map(|(name, value)| {
        let field = known.fields().iter().find(|field| field.name() == *name)?;
        let value = value_of(value);
        let is_single = field.shape() == Shape::Texts && value.as_text().is_some();
        Some((*name, if is_single { Value::List(vec![value]) } else { value }))
    });
    let event = Draft::with_data(change.name(), members.collect()).by(actor).subject(subject);
    if known.name() != catalogue::TenantPolicyChanged::TYPE.name() {
        return event;
    }
    let (state, version) = (record.state().as_str(), i64::try_from(record.version()).unwrap_or(i64::MAX));
    event.data("from", state).data("to", state).data("version", version)
}

fn value_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::Integer(number) => Value::Integer(*number),
        AttributeValue::Text(text) => Value::Text(text.clone()),
        AttributeValue::List(items) => Value::List(items.iter().map(value_of).collect()),
        AttributeValue::Null | _ => Value::Null,
    }
}
