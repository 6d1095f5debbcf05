//! The customer: a KMS, a key in two regions of it, and the verbs that only its owner has.

use std::sync::Arc;
use std::time::SystemTime;

use qsec::crypto::kms::{KeyId, Kms};

use crate::Done;
#[cfg(feature = "aws-kms")]
use crate::aws::Account;
use crate::own::CustomerKms;

/// Names the place of LocalStack: `cargo xtask testbed up kms` says where.
const LOCALSTACK: &str = "QSEC_TEST_KMS";

/// What the owner of a key does to it. The platform cannot.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Disable,
    Enable,
    ScheduleDeletion,
    CancelDeletion,
}

/// Where the customer's key is.
pub(crate) enum Customer {
    Own(Arc<CustomerKms>),
    #[cfg(feature = "aws-kms")]
    Aws(Account),
}

impl Customer {
    /// LocalStack, if there is one and this program can speak to it; else a KMS in this process. It says which.
    pub(crate) async fn find(now: SystemTime) -> Done<Self> {
        let url = std::env::var(LOCALSTACK).ok();
        #[cfg(feature = "aws-kms")]
        if let Some(url) = url {
            let account = Account::create(url)?;
            println!("The customer's KMS is AWS KMS, as LocalStack plays it at {}.", account.url());
            return Ok(Self::Aws(account));
        }
        #[cfg(not(feature = "aws-kms"))]
        if url.is_some() {
            println!("{LOCALSTACK} names a LocalStack, but this was built without `--features aws-kms`.");
        }
        println!("The customer's KMS is one in this process, with a root key of its own: no AWS is played here.");
        println!("With `--features aws-kms` and {LOCALSTACK}=http://… it is LocalStack.");
        Ok(Self::Own(Arc::new(CustomerKms::create(now).await?)))
    }

    /// The key in its primary region, and its replica.
    pub(crate) fn keys(&self) -> [KeyId; 2] {
        match self {
            Self::Own(kms) => kms.keys(),
            #[cfg(feature = "aws-kms")]
            Self::Aws(account) => account.keys(),
        }
    }

    /// As the platform reaches it.
    #[cfg_attr(
        not(feature = "aws-kms"),
        expect(clippy::unnecessary_wraps, reason = "AWS has endpoints that can be wrong")
    )]
    pub(crate) fn kms(&self) -> Done<Arc<dyn Kms>> {
        match self {
            Self::Own(kms) => {
                kms.set_primary_region_away(false);
                let kms: Arc<dyn Kms> = Arc::<CustomerKms>::clone(kms);
                Ok(kms)
            }
            #[cfg(feature = "aws-kms")]
            Self::Aws(account) => account.kms(false),
        }
    }

    /// As the platform reaches it when the primary region does not answer.
    pub(crate) fn kms_without_primary_region(&self) -> Done<Arc<dyn Kms>> {
        let kms = self.kms()?;
        match self {
            Self::Own(own) => {
                own.set_primary_region_away(true);
                Ok(kms)
            }
            #[cfg(feature = "aws-kms")]
            Self::Aws(account) => account.kms(true),
        }
    }

    /// How often it was asked, if it can tell.
    #[cfg_attr(not(feature = "aws-kms"), expect(clippy::unnecessary_wraps, reason = "AWS does not tell"))]
    pub(crate) fn calls(&self) -> Option<u64> {
        match self {
            Self::Own(kms) => Some(kms.calls()),
            #[cfg(feature = "aws-kms")]
            Self::Aws(_) => None,
        }
    }

    pub(crate) async fn does(&self, verb: Verb, key_id: &KeyId, now: SystemTime) -> Done {
        println!("   ·    the customer, in their own KMS: {verb:?} `{key_id}`");
        match self {
            Self::Own(kms) => kms.does(verb, key_id, now).await,
            #[cfg(feature = "aws-kms")]
            Self::Aws(account) => account.does(verb, key_id),
        }
    }
}
