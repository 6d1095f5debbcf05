//! What a tenant demands of the KMS keys that its keys are under.

use std::collections::BTreeSet;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::keyring::record::{KmsKey, KmsKeys};
use crate::keyring::{Core, KeyError, Keyring};
use crate::kms::{KeyId, KmsKeyDescription};

/// The provider whose keys are the deployment's own, and no customer's.
pub(super) const INTERNAL: &str = "internal";

/// Most regions of a policy: more than any cloud has.
const MAX_REGIONS: usize = 64;

/// Most bytes of a region's name.
const MAX_REGION_BYTES: usize = 64;

/// What a tenant demands of its KMS keys. It is kept in the authenticated record of the tenant's keys, and holds at every
/// moment: KMS keys that do not satisfy it are refused, and so is a policy that the KMS keys in use do not satisfy.
///
/// A region is that of an AWS key ARN, else those that the KMS states. KMS keys that have no region (of the internal KMS,
/// of a token, of a Vault) are where their operator put them, and are not judged by it.
///
/// ```
/// use qsec_crypto::KeyPolicy;
///
/// let policy = KeyPolicy::new().in_regions(["eu-central-1", "eu-west-1"])?.require_multi_region().phi();
/// assert!(policy.is_multi_region_required() && policy.is_phi());
/// # Ok::<(), qsec_crypto::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPolicy {
    require_multi_region: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regions: Option<BTreeSet<String>>,
    phi: bool,
}

impl KeyPolicy {
    /// Demands nothing: what holds where no policy was set.
    #[expect(clippy::new_without_default, reason = "a policy that demands nothing is chosen in writing")]
    pub fn new() -> Self {
        Self { require_multi_region: false, regions: None, phi: false }
    }

    /// Demands that a KMS key with a region is one key in several regions, so that the loss of one locks nobody out.
    #[must_use]
    pub fn require_multi_region(self) -> Self {
        Self { require_multi_region: true, ..self }
    }

    /// Demands that KMS keys are in these regions only.
    ///
    /// # Errors
    /// [`KeyError::Usage`] for no region, more than 64, or a name that is empty or longer than 64 bytes.
    pub fn in_regions(self, regions: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, KeyError> {
        let regions: BTreeSet<String> =
            regions.into_iter().map(Into::into).take(MAX_REGIONS.saturating_add(1)).collect();
        let right = (1..=MAX_REGIONS).contains(&regions.len())
            && regions.iter().all(|region| (1..=MAX_REGION_BYTES).contains(&region.len()));
        if !right {
            let what = format!("1 to {MAX_REGIONS} regions of 1 to {MAX_REGION_BYTES} bytes are needed");
            return Err(KeyError::Usage { what });
        }
        Ok(Self { regions: Some(regions), ..self })
    }

    /// Labels the tenant's data as protected health information, which demands a KMS other than the internal one.
    #[must_use]
    pub fn phi(self) -> Self {
        Self { phi: true, ..self }
    }

    /// Whether KMS keys of a single region are refused.
    pub fn is_multi_region_required(&self) -> bool {
        self.require_multi_region
    }

    /// The regions that KMS keys may be in; `None` if they may be anywhere.
    pub fn regions(&self) -> Option<&BTreeSet<String>> {
        self.regions.as_ref()
    }

    /// Whether the internal KMS is refused.
    pub fn is_phi(&self) -> bool {
        self.phi
    }

    /// Whether something is demanded that a KMS must be asked for.
    fn looks_at_regions(&self) -> bool {
        self.require_multi_region || self.regions.is_some()
    }
}

/// What is not as it should be with a tenant's keys, although they can be used.
///
/// ```
/// use qsec_crypto::{KeyWarning, kms::KeyId};
///
/// let warning = KeyWarning::SingleRegionKey { key_id: KeyId::new("arn:aws:kms:eu-west-1:111122223333:key/1234")? };
/// assert_eq!(warning.code(), "single_region_key");
/// # Ok::<(), qsec_crypto::kms::KeyIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyWarning {
    /// The KMS key is in one region: while that is down, nothing opens.
    SingleRegionKey {
        /// The KMS key.
        key_id: KeyId,
    },
}

impl KeyWarning {
    /// The stable name of this warning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SingleRegionKey { .. } => "single_region_key",
        }
    }
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SingleRegionKey { key_id } => {
                write!(f, "KMS key `{key_id}` is in one region only: while that is down, nothing opens")
            }
        }
    }
}

impl Keyring {
    /// The tenant's policy; [`KeyPolicy::new`] if none was set.
    ///
    /// # Errors
    /// [`KeyError::TenantNotFound`], [`KeyError::RecordForged`], and [`KeyError::Store`] if the store fails.
    pub async fn policy(&self, now: SystemTime) -> Result<KeyPolicy, KeyError> {
        Ok(self.core.load(now).await?.binding.policy())
    }

    /// Sets the tenant's policy in place of the one before. The KMS keys in use must satisfy it, and those that the tenant
    /// is moving to: move first, then demand. PHI is labelled when the last wrapping under the internal KMS is gone.
    ///
    /// # Errors
    /// [`KeyError::PhiRequiresCmk`], [`KeyError::RegionNotAllowed`] and [`KeyError::MultiRegionRequired`] if they do not;
    /// [`KeyError::Stopped`] by the state of the tenant's key; [`KeyError::Kms`] if a KMS does not tell where its key is;
    /// [`KeyError::Store`] if the store fails.
    pub async fn set_policy(&self, policy: &KeyPolicy, now: SystemTime) -> Result<(), KeyError> {
        let mut records = self.core.unlocked(now).await?;
        self.core.obeys(policy, &records.binding.keys(), now).await?;
        match &records.binding.migration {
            Some(migration) if migration.state.is_before_switch() => {
                self.core.obeys(policy, &migration.other, now).await?;
            }
            // While old wrappings are kept, the internal KMS could still open what is labelled.
            Some(migration) => self.core.may_be_at(policy, &migration.other.provider)?,
            None => {}
        }
        if records.binding.policy() != *policy {
            records.binding.set_policy(policy);
            self.core.write_step(&mut records, Vec::new()).await?;
        }
        self.core.observer.observe(&self.core.event("key.policy_changed").cause("tenant"));
        Ok(())
    }
}

impl Core {
    /// Whether KMS keys satisfy a policy. A KMS is asked only for what the name of its key does not say.
    pub(super) async fn obeys(&self, policy: &KeyPolicy, keys: &KmsKeys, now: SystemTime) -> Result<(), KeyError> {
        self.may_be_at(policy, &keys.provider)?;
        if policy.looks_at_regions() {
            for key in keys.iter() {
                let described = match Arn::parse(&key.key_id) {
                    Some(_) => None,
                    None if key.provider == INTERNAL => continue,
                    None => Some(self.describe_key(&key, now).await?),
                };
                judge(policy, &key, described.as_ref())?;
            }
        }
        Ok(())
    }

    /// Whether a policy lets the tenant be at a provider at all.
    pub(super) fn may_be_at(&self, policy: &KeyPolicy, provider: &str) -> Result<(), KeyError> {
        if policy.phi && provider == INTERNAL {
            return Err(KeyError::PhiRequiresCmk { tenant: self.tenant.clone() });
        }
        Ok(())
    }
}

/// Whether a KMS key is where, and what, a policy demands.
pub(super) fn judge(policy: &KeyPolicy, key: &KmsKey, described: Option<&KmsKeyDescription>) -> Result<(), KeyError> {
    let key_id = &key.key_id;
    if let Some(allowed) = &policy.regions {
        let stated = described.map(KmsKeyDescription::regions).unwrap_or_default();
        let outside = match Arn::parse(key_id) {
            Some(arn) => Some(arn.region).filter(|region| !allowed.contains(*region)),
            None => stated.iter().map(String::as_str).find(|region| !allowed.contains(*region)),
        };
        if let Some(region) = outside {
            return Err(KeyError::RegionNotAllowed { key_id: key_id.clone(), region: region.to_owned() });
        }
    }
    if policy.require_multi_region && is_single_region(key_id, described) {
        return Err(KeyError::MultiRegionRequired { key_id: key_id.clone() });
    }
    Ok(())
}

/// Whether a KMS key exists in one region only. One without any region does not.
pub(super) fn is_single_region(key_id: &KeyId, described: Option<&KmsKeyDescription>) -> bool {
    match (Arn::parse(key_id), described) {
        (Some(arn), _) => !arn.is_multi_region,
        (None, Some(described)) => !described.regions().is_empty() && !described.is_multi_region(),
        (None, None) => false,
    }
}

/// The region of a KMS key, if its name says it.
pub(crate) fn region(key_id: &KeyId) -> Option<&str> {
    Arn::parse(key_id).map(|arn| arn.region)
}

/// What the ARN of a key of AWS KMS says: `arn:<partition>:kms:<region>:<account>:key/<id>`. The ids of multi-region keys
/// begin with `mrk-`, and no others do (AWS KMS Developer Guide, "Multi-Region keys").
struct Arn<'a> {
    region: &'a str,
    is_multi_region: bool,
}

impl<'a> Arn<'a> {
    fn parse(key_id: &'a KeyId) -> Option<Self> {
        let mut parts = key_id.as_str().splitn(6, ':');
        let [scheme, _partition, service, region, _account, resource] = std::array::from_fn(|_| parts.next());
        let key = resource?.strip_prefix("key/")?;
        let is_key = scheme? == "arn" && service? == "kms" && !region?.is_empty();
        is_key.then_some(Self { region: region?, is_multi_region: key.starts_with("mrk-") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::KmsKeyState;

    fn key(id: &str) -> KmsKey {
        KmsKey { provider: "aws".to_owned(), endpoint: None, key_id: KeyId::new(id).unwrap() }
    }

    #[test]
    fn an_arn_tells_its_region_and_whether_it_has_several() {
        for (id, told, multi) in [
            ("arn:aws:kms:eu-central-1:111122223333:key/mrk-1234", Some("eu-central-1"), true),
            ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234", Some("us-gov-west-1"), false),
            ("arn:aws:kms:eu-central-1:111122223333:alias/mrk-1", None, false),
            ("arn:aws:s3:eu-central-1:111122223333:key/mrk-1", None, false),
            ("arn:aws:kms::111122223333:key/mrk-1", None, false),
            ("mrk-1234", None, false),
        ] {
            let id = KeyId::new(id).unwrap();
            assert_eq!(region(&id), told, "{id}");
            assert_eq!(Arn::parse(&id).is_some_and(|arn| arn.is_multi_region), multi, "{id}");
        }
    }

    #[test]
    fn a_policy_judges_by_the_name_and_else_by_what_the_kms_states() {
        let eu = KeyPolicy::new().in_regions(["eu-central-1"]).unwrap();
        let multi = KeyPolicy::new().require_multi_region();
        let stated = |regions: &[&str], multi| {
            KmsKeyDescription::new(KeyId::new("k").unwrap(), KmsKeyState::Enabled)
                .in_regions(regions.iter().copied(), multi)
        };
        let code = |policy, id, described: Option<&KmsKeyDescription>| {
            judge(policy, &key(id), described).map_or_else(|error| error.code(), |()| "ok")
        };
        let (inside, outside) = ("arn:aws:kms:eu-central-1:1:key/mrk-1", "arn:aws:kms:us-east-1:1:key/1");
        assert_eq!((code(&eu, inside, None), code(&multi, inside, None)), ("ok", "ok"));
        assert_eq!(
            (code(&eu, outside, None), code(&multi, outside, None)),
            ("region_not_allowed", "multi_region_required")
        );
        for (regions, is_multi, by_region, by_multi) in [
            (&[][..], false, "ok", "ok"),
            (&["eu-central-1"][..], false, "ok", "multi_region_required"),
            (&["eu-central-1", "us-east-1"][..], true, "region_not_allowed", "ok"),
        ] {
            let described = stated(regions, is_multi);
            assert_eq!(code(&eu, "k", Some(&described)), by_region, "{regions:?}");
            assert_eq!(code(&multi, "k", Some(&described)), by_multi, "{regions:?}");
        }
    }

    #[test]
    fn regions_of_a_policy_are_named_and_not_too_many() {
        assert_eq!(KeyPolicy::new().in_regions([""]).unwrap_err().code(), "usage");
        assert_eq!(KeyPolicy::new().in_regions(["x".repeat(65)]).unwrap_err().code(), "usage");
        assert_eq!(KeyPolicy::new().in_regions(Vec::<String>::new()).unwrap_err().code(), "usage");
        assert_eq!(KeyPolicy::new().in_regions((0..65).map(|n| n.to_string())).unwrap_err().code(), "usage");
    }
}
