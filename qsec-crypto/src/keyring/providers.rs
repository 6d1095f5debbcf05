//! The KMSes that a keyring can reach.

use std::sync::{Arc, PoisonError, RwLock};

use crate::kms::{Kms, KmsError};

/// By provider and endpoint. More than one while a tenant moves from one to another.
#[derive(Debug, Default)]
pub(super) struct Providers {
    known: RwLock<Vec<Arc<dyn Kms>>>,
}

impl Providers {
    pub(super) fn new(kms: Arc<dyn Kms>) -> Self {
        Self { known: RwLock::new(vec![kms]) }
    }

    /// Adds a KMS, in place of one at the same endpoint of the same provider.
    pub(super) fn add(&self, kms: Arc<dyn Kms>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| !is_at(other.as_ref(), kms.provider(), kms.endpoint()));
        known.push(kms);
    }

    /// The KMS of a provider at an endpoint.
    pub(super) fn find(&self, provider: &str, endpoint: Option<&str>) -> Result<Arc<dyn Kms>, KmsError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|kms| is_at(kms.as_ref(), provider, endpoint));
        found.map(Arc::clone).ok_or_else(|| {
            let place = endpoint.map(|endpoint| format!(" at `{endpoint}`")).unwrap_or_default();
            let known: Vec<String> = known.iter().map(|kms| format!("`{}`", kms.provider())).collect();
            let known = known.join(", ");
            KmsError::Usage { what: format!("the tenant's keys are bound to `{provider}`{place}, not to {known}") }
        })
    }
}

fn is_at(kms: &dyn Kms, provider: &str, endpoint: Option<&str>) -> bool {
    (kms.provider(), kms.endpoint()) == (provider, endpoint)
}
