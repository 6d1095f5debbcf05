//! Optional features: off until an administrator turns them on, and told metadata only.

use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_authz::{Action, Allowed, Context, Decision, Request, Resource};
use qsec_identity::Principal;

use super::Tenant;
use super::access::actor;
use crate::disclosure::{Disclosure, Metadata};
use crate::error::Error;
use crate::tenant_policy::TenantPolicyError;

impl Tenant {
    /// Turns an optional feature on, for who may update the tenant. The operator has listed its endpoint before.
    ///
    /// # Errors
    /// [`Error::Denied`] says what was missing; [`Error::TenantPolicy`] with `feature_off` if the operator did not list it;
    /// [`Error::Token`] if the principal does not count any more. A refusal is handed to the log before this returns.
    pub async fn enable_feature(&self, who: &Principal, feature: &str, now: SystemTime) -> Result<(), Error> {
        self.switch_feature(who, feature, true, now).await
    }

    /// Turns it off again: from then on it is told nothing.
    ///
    /// # Errors
    /// As [`Tenant::enable_feature`].
    pub async fn disable_feature(&self, who: &Principal, feature: &str, now: SystemTime) -> Result<(), Error> {
        self.switch_feature(who, feature, false, now).await
    }

    /// Says what may be sent to an optional feature for somebody's decision, and where to. Which fields it is told, the log
    /// has before this returns.
    ///
    /// Which fields somebody may see is not asked here: give those of the data as it was reduced for them.
    ///
    /// # Errors
    /// [`Error::TenantPolicy`] with `feature_off` unless an administrator turned it on, `feature_data` for names that could
    /// be values, `region_not_allowed` if it is not in the tenant's region; recorded before this returns.
    pub async fn disclose(
        &self,
        feature: &str,
        allowed: &Allowed,
        metadata: &Metadata,
        now: SystemTime,
    ) -> Result<Disclosure, Error> {
        let record = self.pass("feature", now).await?;
        if allowed.tenant() != self.id() {
            return Err(self.other_tenant("decision", allowed.action(), now));
        }
        let by = actor(allowed.subject());
        let policies = self.policies(now).await?;
        let Some(listed) = policies.policy.listed(feature).filter(|listed| listed.is_on()) else {
            let off = TenantPolicyError::FeatureOff { feature: feature.to_owned() };
            return Err(self.refuse_feature(feature, off, by, now));
        };
        if listed.region() != record.region() {
            let allowed = record.region().to_owned();
            let elsewhere = TenantPolicyError::RegionNotAllowed { region: listed.region().to_owned(), allowed };
            return Err(self.refuse_feature(feature, elsewhere, by, now));
        }
        if let Err(error) = metadata.check() {
            return Err(self.refuse_feature(feature, error, by, now));
        }
        let disclosure = Disclosure::new(listed, metadata);
        let event = catalogue::FeatureMetadataSent::new()
            .feature(feature)
            .region(disclosure.region())
            .fields(metadata.fields())
            .bytes(i64::try_from(disclosure.body().len()).unwrap_or(i64::MAX))
            .by(by);
        self.note(event.subject(format!("feature/{feature}")), now)?;
        Ok(disclosure)
    }

    async fn switch_feature(&self, who: &Principal, feature: &str, on: bool, now: SystemTime) -> Result<(), Error> {
        let record = self.pass("policy", now).await?;
        let subject = self.vouch(&record, who, Action::Update, now)?;
        let by = actor(&subject);
        // Decided like any change of the tenant, so that a token with narrow scopes does not do what its user may.
        let question = Request::new(self.id(), &subject, Action::Update, Resource::new("Tenant").name(self.id()));
        if let Decision::Deny(denied) = self.room.policy.decide(&question.context(Context::Admin)) {
            return Err(self.deny(denied, now));
        }
        let _alone = self.room.changes.lock().await;
        let before = self.policies_alone(now).await?;
        let Some(next) = before.policy.switched(feature, on) else {
            let off = TenantPolicyError::FeatureOff { feature: feature.to_owned() };
            return Err(self.refuse_feature(feature, off, by, now));
        };
        self.store_policy(&record, &before, &next, &by, now).await
    }

    fn refuse_feature(&self, feature: &str, error: TenantPolicyError, by: Actor, now: SystemTime) -> Error {
        let cause = if let TenantPolicyError::FeatureData { .. } = &error {
            catalogue::FeatureCause::Data
        } else if let TenantPolicyError::RegionNotAllowed { .. } = &error {
            catalogue::FeatureCause::Region
        } else {
            catalogue::FeatureCause::Off
        };
        let event = catalogue::FeatureRefused::new().feature(feature).cause(cause).by(by);
        self.refuse(event.subject(format!("feature/{feature}")), error.into(), now)
    }
}
