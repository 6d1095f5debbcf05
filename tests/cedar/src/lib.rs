//! Cedar, asked what `qsec-authz` decides.
//!
//! The policies are those that `qsec_authz::cedar` writes. They are validated against the schema in Cedar's strict mode, and
//! each question is put to Cedar's own engine.

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Schema, ValidationMode, Validator,
};
use qsec_authz::Tenant;
use qsec_authz::cedar::{CedarExport, CedarRequest};

/// Whatever Cedar has to say against what it was given.
pub type Unreadable = Box<dyn std::error::Error>;

/// A tenant in Cedar's hands.
pub struct Oracle {
    export: CedarExport,
    policies: PolicySet,
    schema: Schema,
    entities: Entities,
}

impl Oracle {
    /// Reads and validates the export of a tenant.
    ///
    /// # Errors
    /// Whatever Cedar finds: text that it cannot read, a policy that does not type-check.
    pub fn new(tenant: &Tenant) -> Result<Self, Unreadable> {
        let export = CedarExport::of(tenant);
        let (schema, _) = Schema::from_cedarschema_str(&CedarExport::schema())?;
        let policies: PolicySet = export.policies().parse()?;
        let validated = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !validated.validation_passed() {
            return Err(validated.to_string().into());
        }
        let entities = Entities::from_json_str(&export.entities(), Some(&schema))?;
        Ok(Self { export, policies, schema, entities })
    }

    /// How many policies there are.
    pub fn policies(&self) -> usize {
        self.policies.policies().count()
    }

    /// Whether Cedar allows it; `None` if the question is outside of what both can answer.
    ///
    /// # Errors
    /// Whatever Cedar finds in the question, and an error of any policy: a policy that fails is skipped by Cedar, which would
    /// pass for a refusal.
    pub fn allows(&self, question: &qsec_authz::Request) -> Result<Option<bool>, Unreadable> {
        let Some(question) = self.export.request(question) else { return Ok(None) };
        let entities = self.with_those_of(&question)?;
        let (principal, action): (EntityUid, EntityUid) = (question.principal().parse()?, question.action().parse()?);
        let context = Context::from_json_str(question.context(), Some((&self.schema, &action)))?;
        let request = Request::new(principal, action, question.resource().parse()?, context, Some(&self.schema))?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string().into());
        }
        Ok(Some(response.decision() == Decision::Allow))
    }

    /// The tenant's entities with the two of the question in their place.
    fn with_those_of(&self, question: &CedarRequest) -> Result<Entities, Unreadable> {
        let asked = Entities::from_json_str(question.entities(), Some(&self.schema))?;
        Ok(self.entities.clone().upsert_entities(asked, Some(&self.schema))?)
    }
}
