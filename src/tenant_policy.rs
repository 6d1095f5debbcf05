//! Policies of a tenant: where its data may be, whether it is health data, which optional features it has, where what it
//! loads is put.
//!
//! ```text
//! {"phi":true, "require_multi_region":false, "regions":["eu-central-1"],
//!  "agreements":["BAA-2026-17"],
//!  "features":{"generative_ai":{"endpoint":"https://ai.eu.example","region":"eu","on":false}},
//!  "storage":{"kind":"managed","target":"s3://landing/acme","region":"eu",
//!             "staging":{"target":"s3://acme-staging","region":"eu"}}}
//! ```
//! Whatever is left out is not there: no agreement, no feature, no storage.

use std::collections::{BTreeMap, BTreeSet};

use qsec_crypto::{KeyError, KeyPolicy};
use serde::{Deserialize, Serialize};

/// Most references to agreements: one for each hospital of a chain, and room.
pub const MAX_AGREEMENTS: usize = 64;
/// Most bytes of a reference to an agreement.
pub const MAX_REFERENCE_BYTES: usize = 128;
/// Most optional features.
pub const MAX_FEATURES: usize = 64;
/// Most bytes of a feature's name.
pub const MAX_FEATURE_BYTES: usize = 64;
/// Most bytes of an address: what an event of the log keeps whole.
pub const MAX_ADDRESS_BYTES: usize = 1_024;

/// Where a key that a customer owns does not reach, whatever the policy: data is not sealed under it there.
pub const OUTSIDE_CUSTOMER_KEY: [&str; 3] = ["data in motion", "devices", "gateways"];

/// What a tenant demands, and what it is allowed. The one that is new demands nothing of KMS keys and allows nothing.
///
/// ```
/// use qsec::TenantPolicy;
/// use qsec::crypto::KeyPolicy;
///
/// let policy = TenantPolicy::new()
///     .keys(KeyPolicy::new().phi())
///     .agreement("BAA-2026-17")?
///     .feature("generative_ai", "https://ai.eu.example", "eu")?;
/// assert!(!policy.features().any(|(_, feature)| feature.is_on()));
/// assert_eq!(TenantPolicy::parse(&policy.to_json())?, policy);
/// # Ok::<(), qsec::TenantPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPolicy {
    keys: KeyPolicy,
    rest: Rest,
}

/// What is not the keyring's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rest {
    agreements: BTreeSet<String>,
    features: BTreeMap<String, Feature>,
    storage: Option<Storage>,
}

/// The file, with what is the keyring's.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Form {
    phi: bool,
    require_multi_region: bool,
    regions: Option<Vec<String>>,
    agreements: BTreeSet<String>,
    features: BTreeMap<String, Feature>,
    storage: Option<StorageForm>,
}

/// Storage as it is written: the demand for a place of the customer's own is ours to make, with its own code.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StorageForm {
    kind: StorageKind,
    target: String,
    region: String,
    staging: Option<Target>,
}

impl TenantPolicy {
    /// Demands nothing of KMS keys, and allows nothing.
    #[expect(clippy::new_without_default, reason = "a policy that demands nothing is chosen in writing")]
    pub fn new() -> Self {
        Self { keys: KeyPolicy::new(), rest: Rest::default() }
    }

    /// What is demanded of KMS keys; its regions are those that storage may be in too.
    #[must_use]
    pub fn keys(self, keys: KeyPolicy) -> Self {
        Self { keys, ..self }
    }

    /// Records the reference of an agreement (a business associate agreement, 45 CFR 164.504(e)), without which no content
    /// that is health data is sealed.
    ///
    /// # Errors
    /// [`TenantPolicyError::Usage`] for a reference that is empty, longer than 128 bytes or has control characters, and for
    /// more than 64.
    pub fn agreement(mut self, reference: impl Into<String>) -> Result<Self, TenantPolicyError> {
        self.rest.agreements.insert(reference.into());
        self.checked()
    }

    /// Lists the private endpoint of an optional feature. The feature is off until an administrator turns it on.
    ///
    /// # Errors
    /// [`TenantPolicyError::Usage`] unless the name is `[a-z][a-z0-9_]*` of at most 64 bytes and the endpoint an `https`
    /// address without credentials, and for more than 64 features.
    pub fn feature(
        mut self,
        name: impl Into<String>,
        endpoint: impl Into<String>,
        region: impl Into<String>,
    ) -> Result<Self, TenantPolicyError> {
        let feature = Feature { endpoint: endpoint.into(), region: region.into(), on: false };
        self.rest.features.insert(name.into(), feature);
        self.checked()
    }

    /// Says where landing data goes, and where it is staged.
    #[must_use]
    pub fn storage(mut self, storage: Storage) -> Self {
        self.rest.storage = Some(storage);
        self
    }

    /// Reads a policy: the JSON of [`TenantPolicy::to_json`].
    ///
    /// # Errors
    /// [`TenantPolicyError::Malformed`] for what is no such JSON, [`TenantPolicyError::StorageNotConfigured`] for storage
    /// without a staging target, [`TenantPolicyError::Usage`] for a value out of bounds.
    pub fn parse(text: &str) -> Result<Self, TenantPolicyError> {
        let form: Form =
            serde_json::from_str(text).map_err(|error| TenantPolicyError::Malformed { what: error.to_string() })?;
        let mut keys = KeyPolicy::new();
        if form.phi {
            keys = keys.phi();
        }
        if form.require_multi_region {
            keys = keys.require_multi_region();
        }
        if let Some(regions) = form.regions {
            keys = keys.in_regions(regions).map_err(|error| usage(&error))?;
        }
        let storage = form.storage.map(StorageForm::whole).transpose()?;
        let rest = Rest { agreements: form.agreements, features: form.features, storage };
        Self { keys, rest }.checked()
    }

    /// The policy as JSON, on one line.
    pub fn to_json(&self) -> String {
        let Rest { agreements, features, storage } = self.rest.clone();
        let form = Form {
            phi: self.keys.is_phi(),
            require_multi_region: self.keys.is_multi_region_required(),
            regions: self.keys.regions().map(|regions| regions.iter().cloned().collect()),
            agreements,
            features,
            storage: storage.map(StorageForm::of),
        };
        // Names are texts and values are plain: that such a form cannot be written does not happen.
        serde_json::to_string(&form).unwrap_or_default()
    }

    /// What is demanded of KMS keys.
    pub fn key_policy(&self) -> &KeyPolicy {
        &self.keys
    }

    /// The references of agreements.
    pub fn agreements(&self) -> impl Iterator<Item = &str> {
        self.rest.agreements.iter().map(String::as_str)
    }

    /// Every feature that the operator listed, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, &Feature)> {
        self.rest.features.iter().map(|(name, feature)| (name.as_str(), feature))
    }

    /// Where what is loaded goes, if that was said.
    pub fn configured_storage(&self) -> Option<&Storage> {
        self.rest.storage.as_ref()
    }

    pub(crate) fn of(keys: KeyPolicy, rest: Rest) -> Self {
        Self { keys, rest }
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    /// The feature of that name.
    pub(crate) fn listed(&self, name: &str) -> Option<&Feature> {
        self.rest.features.get(name)
    }

    /// The same policy with a listed feature on or off; `None` if it is not listed.
    pub(crate) fn switched(&self, name: &str, on: bool) -> Option<Self> {
        let mut switched = self.clone();
        switched.rest.features.get_mut(name)?.on = on;
        Some(switched)
    }

    /// Whether content that is health data may be sealed, as far as papers go.
    pub(crate) fn has_agreement(&self) -> bool {
        !self.rest.agreements.is_empty()
    }

    /// What this policy says otherwise than one before, by the names of its members.
    pub(crate) fn changes(&self, before: &Self) -> Vec<&'static str> {
        let (old, new) = (&before.keys, &self.keys);
        let (was, is) = (&before.rest, &self.rest);
        let members = [
            ("agreements", was.agreements != is.agreements),
            ("features", was.features != is.features),
            ("phi", old.is_phi() != new.is_phi()),
            ("regions", old.regions() != new.regions()),
            ("require_multi_region", old.is_multi_region_required() != new.is_multi_region_required()),
            ("storage", was.storage != is.storage),
        ];
        members.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Whether this policy allows anything that the one before did not.
    pub(crate) fn is_looser_than(&self, before: &Self) -> bool {
        let (old, new) = (&before.keys, &self.keys);
        let regions = match (old.regions(), new.regions()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => !new.is_subset(old),
        };
        let keys = (old.is_phi() && !new.is_phi())
            || (old.is_multi_region_required() && !new.is_multi_region_required())
            || regions;
        let (was, is) = (&before.rest, &self.rest);
        let features = is.features.iter().any(|(name, feature)| {
            was.features.get(name).is_none_or(|old| !feature.is_at(old) || (feature.on && !old.on))
        });
        let storage = is.storage.is_some() && is.storage != was.storage;
        keys || features || storage || !is.agreements.is_subset(&was.agreements)
    }

    /// The features that are on here and not before, and the other way round.
    pub(crate) fn switches<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, bool)> {
        let is_on = |policy: &Self, name: &str| policy.listed(name).is_some_and(Feature::is_on);
        let gone = before.features().filter(|(name, _)| self.listed(name).is_none());
        self.features()
            .chain(gone)
            .map(move |(name, _)| (name, is_on(before, name), is_on(self, name)))
            .filter(|(_, was, is)| was != is)
            .map(|(name, _, is)| (name, is))
    }

    /// The regions that something of the tenant's may be in, its own among them.
    pub(crate) fn allowed_regions<'a>(&'a self, own: &'a str) -> BTreeSet<&'a str> {
        self.keys.regions().into_iter().flatten().map(String::as_str).chain([own]).collect()
    }

    /// The first region in this policy that a tenant of a region may not have: features are in its own, storage in those
    /// allowed.
    pub(crate) fn region_outside(&self, own: &str) -> Option<&str> {
        let allowed = self.allowed_regions(own);
        let features = self.features().map(|(_, feature)| feature.region()).filter(|region| *region != own);
        let storage = self.rest.storage.iter().flat_map(|storage| [&storage.landing, &storage.staging]);
        let storage = storage.map(|target| target.region.as_str()).filter(|region| !allowed.contains(region));
        features.chain(storage).next()
    }

    fn checked(self) -> Result<Self, TenantPolicyError> {
        let Rest { agreements, features, storage } = &self.rest;
        let is_reference = |reference: &String| is_short(reference, MAX_REFERENCE_BYTES);
        if agreements.len() > MAX_AGREEMENTS || !agreements.iter().all(is_reference) {
            let what = format!("at most {MAX_AGREEMENTS} references of 1 to {MAX_REFERENCE_BYTES} bytes are kept");
            return Err(TenantPolicyError::Usage { what });
        }
        if features.len() > MAX_FEATURES || !features.keys().all(|name| is_feature(name)) {
            let what = format!("at most {MAX_FEATURES} features with names like `generative_ai` are listed");
            return Err(TenantPolicyError::Usage { what });
        }
        for feature in features.values() {
            check_address(&feature.endpoint)?;
            check_region(&feature.region)?;
            if !feature.endpoint.starts_with("https://") {
                let what = format!("the endpoint `{}` is not reached by https", feature.endpoint);
                return Err(TenantPolicyError::Usage { what });
            }
        }
        if let Some(storage) = storage {
            storage.landing.check()?;
            storage.staging.check()?;
        }
        Ok(self)
    }
}

/// An optional feature of a tenant: the private endpoint that the operator listed for it, and whether it is on.
///
/// ```
/// let policy = qsec::TenantPolicy::new().feature("generative_ai", "https://ai.eu.example", "eu")?;
/// let (name, feature) = policy.features().next().ok_or("no feature")?;
/// assert_eq!((name, feature.endpoint(), feature.is_on()), ("generative_ai", "https://ai.eu.example", false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    endpoint: String,
    region: String,
    #[serde(default)]
    on: bool,
}

impl Feature {
    /// Where it is asked.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The region of the endpoint.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether an administrator turned it on.
    pub fn is_on(&self) -> bool {
        self.on
    }

    fn is_at(&self, other: &Self) -> bool {
        (&self.endpoint, &self.region) == (&other.endpoint, &other.region)
    }
}

/// Whose storage landing data goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StorageKind {
    /// The platform's.
    Managed,
    /// The customer's.
    Customer,
}

/// Where landing data goes, and where it is staged: the latter is always a place of the customer's.
///
/// ```
/// use qsec::{Storage, StorageKind, Target};
///
/// let storage = Storage::new(
///     StorageKind::Managed,
///     Target::new("s3://landing/acme", "eu")?,
///     Target::new("s3://acme-staging", "eu")?,
/// );
/// assert_eq!(storage.staging().address(), "s3://acme-staging");
/// assert!(Target::new("s3://key:secret@acme", "eu").is_err());
/// # Ok::<(), qsec::TenantPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    kind: StorageKind,
    landing: Target,
    staging: Target,
}

impl Storage {
    /// Storage of a kind, with the customer's place for staging.
    pub fn new(kind: StorageKind, landing: Target, staging: Target) -> Self {
        Self { kind, landing, staging }
    }

    /// Whose it is.
    pub fn kind(&self) -> StorageKind {
        self.kind
    }

    /// Where landing data goes, and nowhere else.
    pub fn landing(&self) -> &Target {
        &self.landing
    }

    /// Where it is staged.
    pub fn staging(&self) -> &Target {
        &self.staging
    }
}

impl StorageForm {
    fn of(storage: Storage) -> Self {
        let Storage { kind, landing, staging } = storage;
        Self { kind, target: landing.target, region: landing.region, staging: Some(staging) }
    }

    fn whole(self) -> Result<Storage, TenantPolicyError> {
        let staging = self.staging.ok_or(TenantPolicyError::StorageNotConfigured)?;
        Ok(Storage { kind: self.kind, landing: Target { target: self.target, region: self.region }, staging })
    }
}

/// An address of storage, and its region. It holds no credentials: addresses are in the log.
///
/// ```
/// let target = qsec::Target::new("s3://acme-landing", "eu")?;
/// assert_eq!((target.address(), target.region()), ("s3://acme-landing", "eu"));
/// # Ok::<(), qsec::TenantPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    target: String,
    region: String,
}

impl Target {
    /// An address such as `s3://bucket/prefix` in a region.
    ///
    /// # Errors
    /// [`TenantPolicyError::Usage`] for what is no address of at most 1,024 bytes without credentials, or no region.
    pub fn new(address: impl Into<String>, region: impl Into<String>) -> Result<Self, TenantPolicyError> {
        let target = Self { target: address.into(), region: region.into() };
        target.check()?;
        Ok(target)
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.target
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    fn check(&self) -> Result<(), TenantPolicyError> {
        check_address(&self.target)?;
        check_region(&self.region)
    }
}

/// Why a policy of a tenant was not set, or something is not done because of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantPolicyError {
    /// It is no such JSON.
    #[error("the policy of a tenant cannot be read: {what}")]
    Malformed {
        /// What is wrong, and where.
        what: String,
    },
    /// A value is out of bounds.
    #[error("{what}")]
    Usage {
        /// Which, and what is allowed.
        what: String,
    },
    /// Health data is sealed only for a tenant whose policy says that it has some: that is what demands a customer's key.
    #[error("the tenant's policy does not say that it has health data")]
    NotPhi,
    /// Health data is sealed only while the reference of an agreement is recorded.
    #[error("no agreement on health data is recorded for the tenant")]
    NoAgreement,
    /// Not in a region that is allowed.
    #[error("the region `{region}` is not one of `{allowed}`")]
    RegionNotAllowed {
        /// The region that was wanted.
        region: String,
        /// Those that are allowed.
        allowed: String,
    },
    /// The feature was not turned on, or the operator did not list it.
    #[error("the feature `{feature}` is off")]
    FeatureOff {
        /// The feature.
        feature: String,
    },
    /// A feature is told names of fields and their kinds, within bounds, and nothing else.
    #[error("a feature is told metadata only: {what}")]
    FeatureData {
        /// What is none.
        what: String,
    },
    /// Nobody said where landing data goes, or where it is staged.
    #[error("landing data has no configured target, with a staging target of the customer's")]
    StorageNotConfigured,
    /// What allows more is the operator's to say.
    #[error("the change allows more than before, which only the operator may do")]
    OperatorRequired,
}

impl TenantPolicyError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Usage { .. } => "usage",
            Self::NotPhi | Self::NoAgreement => "phi_requires_cmk",
            Self::RegionNotAllowed { .. } => "region_not_allowed",
            Self::FeatureOff { .. } => "feature_off",
            Self::FeatureData { .. } => "feature_data",
            Self::StorageNotConfigured => "storage_not_configured",
            Self::OperatorRequired => "operator_required",
        }
    }
}

fn usage(error: &KeyError) -> TenantPolicyError {
    TenantPolicyError::Usage { what: error.to_string() }
}

fn is_short(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_feature(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= MAX_FEATURE_BYTES
}

fn check_region(region: &str) -> Result<(), TenantPolicyError> {
    crate::lifecycle::check_region(region).map_err(|error| TenantPolicyError::Usage { what: error.to_string() })
}

/// An address goes into the log: what could carry a password or a signature, before an `@` or after a `?`, is refused, and
/// not repeated.
fn check_address(address: &str) -> Result<(), TenantPolicyError> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'?' | b'#' | b'\\');
    let is_address = address.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !rest.is_empty()
    });
    if is_address && address.len() <= MAX_ADDRESS_BYTES && address.bytes().all(is_plain) {
        return Ok(());
    }
    let what = format!("an address is `scheme://…` of at most {MAX_ADDRESS_BYTES} bytes, without credentials");
    Err(TenantPolicyError::Usage { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"phi":true,"require_multi_region":false,"regions":["eu-central-1"],"agreements":["BAA-1"],
        "features":{"generative_ai":{"endpoint":"https://ai.example","region":"eu","on":true}},
        "storage":{"kind":"managed","target":"s3://landing","region":"eu","staging":{"target":"s3://own","region":"eu"}}}"#;

    fn whole() -> TenantPolicy {
        TenantPolicy::parse(WHOLE).unwrap()
    }

    fn with(from: &str, to: &str) -> TenantPolicy {
        assert!(WHOLE.contains(from));
        TenantPolicy::parse(&WHOLE.replace(from, to)).unwrap()
    }

    #[test]
    fn what_is_left_out_is_not_there() {
        let nothing = TenantPolicy::parse("{}").unwrap();
        assert_eq!(nothing, TenantPolicy::new());
        assert!(!nothing.has_agreement() && nothing.configured_storage().is_none());
        assert_eq!(nothing.features().count(), 0);
        let unsaid = with(r#","on":true"#, "");
        assert!(!unsaid.listed("generative_ai").unwrap().is_on());
    }

    #[test]
    fn a_policy_is_read_as_it_was_written() {
        assert_eq!(TenantPolicy::parse(&whole().to_json()).unwrap(), whole());
        assert_eq!(TenantPolicy::parse(&TenantPolicy::new().to_json()).unwrap(), TenantPolicy::new());
    }

    #[test]
    fn what_cannot_be_right_is_refused_and_no_credential_repeated() {
        let code = |from: &str, to: &str| {
            assert!(WHOLE.contains(from), "{from}");
            let error = TenantPolicy::parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
            assert!(!error.to_string().contains("MARK"), "{error}");
            error.code()
        };
        for (from, to, wanted) in [
            ("\"phi\"", "\"phy\"", "malformed"),
            ("\"managed\"", "\"rented\"", "malformed"),
            (r#","staging":{"target":"s3://own","region":"eu"}"#, "", "storage_not_configured"),
            ("BAA-1", "", "usage"),
            ("generative_ai", "Generative", "usage"),
            ("https://ai", "http://ai", "usage"),
            ("https://ai", "https://me:MARK@ai", "usage"),
            ("s3://landing", "s3://landing?sig=MARK", "usage"),
            ("s3://landing", "landing", "usage"),
            ("s3://own", "s3://o wn", "usage"),
            ("[\"eu-central-1\"]", "[]", "usage"),
            (r#""region":"eu","on""#, r#""region":"","on""#, "usage"),
        ] {
            assert_eq!(code(from, to), wanted, "{from} -> {to}");
        }
        let references = (0..=MAX_AGREEMENTS).map(|n| n.to_string());
        let full = references.into_iter().try_fold(TenantPolicy::new(), TenantPolicy::agreement);
        assert_eq!(full.unwrap_err().code(), "usage");
        let mut names = (0..=MAX_FEATURES).map(|n| format!("f{n}"));
        let full = names.try_fold(TenantPolicy::new(), |policy, name| policy.feature(name, "https://x", "eu"));
        assert_eq!(full.unwrap_err().code(), "usage");
    }

    #[test]
    fn looser_is_whatever_allows_more_and_stricter_the_way_back() {
        let more = [
            ("\"phi\":true", "\"phi\":false"),
            ("[\"eu-central-1\"]", "null"),
            ("[\"eu-central-1\"]", "[\"eu-central-1\",\"us-east-1\"]"),
            ("[\"BAA-1\"]", "[\"BAA-1\",\"BAA-2\"]"),
        ];
        for (from, to) in more {
            let (before, after) = (whole(), with(from, to));
            assert!(after.is_looser_than(&before), "{to}");
            assert!(!before.is_looser_than(&after), "{from}");
            assert_eq!(after.changes(&before).len(), 1);
        }
        let off = with("\"on\":true", "\"on\":false");
        assert!(whole().is_looser_than(&off) && !off.is_looser_than(&whole()));
        assert_eq!(whole().switches(&off).collect::<Vec<_>>(), [("generative_ai", true)]);
        // Another place is neither: it is the operator's to say.
        for (from, to) in [("ai.example", "ai.other"), ("s3://landing", "s3://other"), ("s3://own", "s3://other")] {
            assert!(with(from, to).is_looser_than(&whole()), "{to}");
        }
        let unlisted = TenantPolicy::new();
        assert_eq!(unlisted.switches(&whole()).collect::<Vec<_>>(), [("generative_ai", false)]);
        let multi = TenantPolicy::new().keys(KeyPolicy::new().require_multi_region());
        assert!(TenantPolicy::new().is_looser_than(&multi) && !multi.is_looser_than(&TenantPolicy::new()));
        assert!(!whole().is_looser_than(&whole()) && whole().changes(&whole()).is_empty());
    }

    #[test]
    fn features_are_in_the_tenants_region_and_storage_in_those_allowed() {
        assert_eq!(whole().region_outside("eu"), None);
        assert_eq!(whole().region_outside("us"), Some("eu"));
        assert_eq!(
            with("s3://own\",\"region\":\"eu\"", "s3://own\",\"region\":\"mars\"").region_outside("eu"),
            Some("mars")
        );
        let there = with("s3://own\",\"region\":\"eu\"", "s3://own\",\"region\":\"eu-central-1\"");
        assert_eq!(there.region_outside("eu"), None);
        assert_eq!(with("\"eu\",\"on\"", "\"eu-central-1\",\"on\"").region_outside("eu"), Some("eu-central-1"));
    }
}
