//! Asherah: envelope encryption with a key for each partition, which a metastore keeps and a key service wraps.

use std::fmt;
use std::sync::Arc;

use asherah::aead::AES256GCM;
use asherah::kms::StaticKMS;
use asherah::metastore::InMemoryMetastore;
use asherah::{Config, DataRowRecord, Session, SessionFactory};

use super::{Sealer, SealerError, flip_last, random_key};

/// Asherah, with its metastore and its key service in memory and one session that is held: the keys of the system and of
/// the partition are cached, with their schedules, as its defaults have it.
pub struct Asherah {
    session: Session<AES256GCM, StaticKMS<AES256GCM>, InMemoryMetastore>,
}

impl fmt::Debug for Asherah {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Asherah").finish_non_exhaustive()
    }
}

impl Asherah {
    /// A session under a master key of this run.
    ///
    /// # Errors
    /// No random bytes.
    pub fn new() -> Result<Self, SealerError> {
        let crypto = Arc::new(AES256GCM::new());
        let kms = Arc::new(StaticKMS::new(Arc::clone(&crypto), random_key()?.to_vec())?);
        let metastore = Arc::new(InMemoryMetastore::new());
        let factory = SessionFactory::new(Config::new("service", "product"), metastore, kms, crypto);
        Ok(Self { session: factory.get_session("acme") })
    }
}

impl Sealer for Asherah {
    const NAME: &'static str = "asherah";
    type Plaintext = Vec<u8>;
    type Sealed = DataRowRecord;

    fn plaintext(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn bytes(plaintext: &Vec<u8>) -> &[u8] {
        plaintext
    }

    fn damage(sealed: &mut DataRowRecord) {
        flip_last(&mut sealed.data);
    }

    fn seal(&self, plaintext: &Vec<u8>) -> Result<DataRowRecord, SealerError> {
        Ok(self.session.encrypt(plaintext)?)
    }

    fn open(&self, sealed: DataRowRecord) -> Result<Vec<u8>, SealerError> {
        Ok(self.session.decrypt(sealed)?)
    }
}
