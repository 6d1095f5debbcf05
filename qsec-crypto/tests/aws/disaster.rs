//! A multi-region key, and a region that goes.

use std::sync::Arc;

use qsec_crypto::kms::KeyId;
use qsec_crypto::{Context, KeyRecords, Keyring, Purpose};

use crate::fault::{Answer, Server};
use crate::localstack::LocalStack;
use crate::world::{Memory, REGION, acme, at, kms_at, run};

/// A tenant under a key of two regions, each region behind a server of its own.
struct World {
    localstack: LocalStack,
    regions: [Server; 2],
    key_ids: [KeyId; 2],
    observer: Arc<Memory>,
    keys: Keyring,
    sealed: Vec<u8>,
}

impl World {
    async fn new(localstack: LocalStack) -> Self {
        let regions = [Server::before(localstack.address), Server::before(localstack.address)];
        let key_ids = localstack.create_multi_region_key([REGION, "us-east-1"]);
        let kms = kms_at(&localstack.url).with_region_endpoint(REGION, &regions[0].url()).unwrap();
        let kms = Arc::new(kms.with_region_endpoint("us-east-1", &regions[1].url()).unwrap());
        let observer = Arc::new(Memory::default());
        let keys = Keyring::new(acme(), kms, KeyRecords::in_memory().unwrap()).with_observer(observer.clone());
        keys.create(&key_ids, &[Purpose::data()], at(0)).await.unwrap();
        let sealed =
            keys.current(&Purpose::data(), at(0)).await.unwrap().seal(b"4,200 EUR", &Context::empty()).unwrap();
        let _ = regions.each_ref().map(Server::actions);
        observer.take();
        Self { localstack, regions, key_ids, observer, keys, sealed }
    }

    /// Opens as a node does that remembers no key, and says what each region was asked.
    async fn open(&self, seconds: u64) -> (Result<(), &'static str>, [Vec<String>; 2]) {
        self.keys.forget();
        let key = self.keys.for_sealed(&self.sealed, &Purpose::data(), at(seconds)).await;
        let opened = key.map_err(|error| error.code()).map(|key| {
            assert_eq!(key.open(&self.sealed, &Context::empty()).unwrap(), b"4,200 EUR");
        });
        (opened, self.regions.each_ref().map(Server::actions))
    }

    fn events(&self) -> Vec<String> {
        let mut events = self.observer.take();
        events.retain(|event| event.starts_with("key.fail"));
        events
    }
}

fn decrypts(number: usize) -> Vec<String> {
    vec!["Decrypt".to_owned(); number]
}

#[test]
fn a_key_opens_with_its_first_region_down_and_goes_back_when_it_is_up() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let world = World::new(localstack).await;
        assert_eq!(world.open(10).await, (Ok(()), [decrypts(1), decrypts(0)]));
        assert!(world.events().is_empty());

        world.regions[0].always(Answer::Close);
        assert_eq!(world.open(20).await, (Ok(()), [decrypts(1), decrypts(1)]));
        assert_eq!(world.events(), ["key.failover kms_unavailable"]);
        // It is remembered: the region that is down is spared.
        assert_eq!(world.open(25).await, (Ok(()), [decrypts(0), decrypts(1)]));
        assert!(world.events().is_empty());

        world.regions[0].always(Answer::Forward);
        assert_eq!(world.open(60).await, (Ok(()), [decrypts(1), decrypts(0)]));
        assert_eq!(world.events(), ["key.failback ok"]);
    });
}

#[test]
fn a_throttled_region_is_failed_over_too() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let world = World::new(localstack).await;
        world.regions[0].always(Answer::error(400, "ThrottlingException"));
        assert_eq!(world.open(10).await, (Ok(()), [decrypts(1), decrypts(1)]));
        assert_eq!(world.events(), ["key.failover kms_throttled"]);
    });
}

/// A customer who disables the primary has said no, and the replica must not answer yes.
#[test]
fn a_disabled_primary_is_not_failed_over() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let world = World::new(localstack).await;
        world.localstack.tell("DisableKey", &world.key_ids[0]).unwrap();
        assert_eq!(world.open(10).await, (Err("key_disabled"), [decrypts(1), decrypts(0)]));
        assert!(world.events().is_empty());

        world.localstack.tell("EnableKey", &world.key_ids[0]).unwrap();
        assert_eq!(world.open(20).await, (Ok(()), [decrypts(1), decrypts(0)]));
    });
}

#[test]
fn a_primary_that_denies_or_is_gone_is_not_failed_over() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let world = World::new(localstack).await;
        for (seconds, code, expected) in
            [(10, "AccessDeniedException", "kms_access_denied"), (100, "NotFoundException", "key_not_found")]
        {
            world.regions[0].always(Answer::error(400, code));
            assert_eq!(world.open(seconds).await, (Err(expected), [decrypts(1), decrypts(0)]));
        }
        assert!(world.events().is_empty());
    });
}

#[test]
fn both_regions_down_is_unavailable() {
    let Some(localstack) = LocalStack::find() else { return };
    run(async {
        let world = World::new(localstack).await;
        world.regions.iter().for_each(|region| region.always(Answer::Close));
        assert_eq!(world.open(10).await, (Err("kms_unavailable"), [decrypts(1), decrypts(1)]));
    });
}
