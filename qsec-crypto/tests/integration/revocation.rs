//! When a stop takes effect: here at once, elsewhere within the bounds that are promised.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use qsec_crypto::kms::{Fault, KeyId, Kms, KmsError, KmsKeyDescription, Unwrapped, Wrapped, WrappingContext};
use qsec_crypto::store::{BoxFuture, StoreError};
use qsec_crypto::{
    Context, KeyError, KeyRecords, KeyRow, KeyStore, Keyring, MemoryStore, SecretKey, Stopped, StoppedBy, StoppedState,
    TenantId,
};

use crate::world::{World, at, data, tenant};

async fn code(keys: &Keyring, seconds: u64) -> Result<(), &'static str> {
    keys.current(&data(), at(seconds)).await.map(|_| ()).map_err(|error| error.code())
}

#[test]
fn disabled_key_does_not_open_nor_seal_also_where_it_is_out_already() {
    let world = World::new();
    pollster::block_on(async {
        let out = world.keys.current(&data(), at(0)).await.unwrap();
        let sealed = out.seal(b"x", &Context::empty()).unwrap();
        world.keys.disable(at(0)).await.unwrap();
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");
        assert_eq!(out.open(&sealed, &Context::empty()).unwrap_err().code(), "key_disabled");
        let error = world.keys.current(&data(), at(0)).await.unwrap_err();
        let KeyError::Stopped(stopped) = error else { panic!("{error}") };
        assert_eq!((stopped.state, stopped.by), (StoppedState::Disabled, StoppedBy::Tenant));
        assert_eq!(world.kms.calls(), 1, "a locked tenant costs no call");

        world.keys.enable(at(1)).await.unwrap();
        let again = world.keys.current(&data(), at(1)).await.unwrap();
        assert_eq!(again.open(&sealed, &Context::empty()).unwrap(), b"x");
        assert!(out.open(&sealed, &Context::empty()).is_err(), "what was stopped stays stopped");
    });
}

#[test]
fn stop_of_another_node_holds_within_5_seconds_or_at_once_when_told() {
    let world = World::new();
    pollster::block_on(async {
        let other = world.other_node();
        assert_eq!(code(&other, 0).await, Ok(()));
        let out = other.current(&data(), at(0)).await.unwrap();
        world.keys.disable(at(1)).await.unwrap();
        assert_eq!(code(&other, 4).await, Ok(()));
        assert_eq!(code(&other, 5).await, Err("key_disabled"));
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");

        world.keys.enable(at(6)).await.unwrap();
        other.forget();
        assert_eq!(code(&other, 6).await, Ok(()));
        world.keys.disable(at(7)).await.unwrap();
        other.forget();
        assert_eq!(code(&other, 7).await, Err("key_disabled"));
    });
}

#[test]
fn a_version_made_on_another_node_opens_here_within_a_second() {
    let world = World::new();
    pollster::block_on(async {
        let other = world.other_node();
        assert_eq!(code(&other, 0).await, Ok(()));
        world.keys.rotate(&data(), at(0)).await.unwrap();
        let sealed = world.keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
        let early = other.for_sealed(&sealed, &data(), at(0)).await.unwrap_err();
        assert_eq!(early.code(), "key_version_not_found", "whoever asks for nothing does not cost a read each time");
        assert!(other.for_sealed(&sealed, &data(), at(1)).await.is_ok());
    });
}

#[test]
fn rotation_of_another_node_retires_what_is_out_here() {
    let world = World::new();
    pollster::block_on(async {
        let other = world.other_node();
        let out = other.current(&data(), at(0)).await.unwrap();
        world.keys.rotate(&data(), at(1)).await.unwrap();
        assert_eq!(other.current(&data(), at(5)).await.unwrap().version(), 2);
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "usage");
    });
}

#[test]
fn stop_at_the_kms_holds_within_the_revocation_bound() {
    // Beyond 240 s the refresh ahead may see the stop sooner.
    for bound in [0, 1, 60, 240] {
        let world = World::new();
        let keys = Keyring::new(tenant("acme"), world.kms.clone(), world.records.clone());
        let keys = keys.with_revocation_bound(Duration::from_secs(bound)).unwrap();
        pollster::block_on(async {
            assert_eq!(code(&keys, 0).await, Ok(()));
            let out = keys.current(&data(), at(0)).await.unwrap();
            world.local.disable(&world.key_ids[0], at(0)).await.unwrap();
            if bound > 0 {
                assert_eq!(code(&keys, bound - 1).await, Ok(()), "bound {bound}");
            }
            let error = keys.current(&data(), at(bound)).await.unwrap_err();
            let KeyError::Stopped(Stopped { state, by, key_id, .. }) = error else { panic!("{error}") };
            assert_eq!((state, by), (StoppedState::Disabled, StoppedBy::Kms), "bound {bound}");
            assert_eq!(key_id.as_ref(), Some(&world.key_ids[0]));
            assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");

            world.local.enable(&world.key_ids[0], at(bound)).await.unwrap();
            if bound > 0 {
                assert_eq!(code(&keys, bound + 4).await, Err("key_disabled"), "a no is repeated for 5 s");
            }
            assert_eq!(code(&keys, bound + 5).await, Ok(()), "enabling restores");
        });
    }
}

#[test]
fn bound_beyond_300_seconds_is_refused() {
    let world = World::new();
    let keys = Keyring::new(tenant("acme"), world.kms.clone(), world.records.clone());
    assert_eq!(keys.with_revocation_bound(Duration::from_millis(300_001)).unwrap_err().code(), "usage");
}

#[test]
fn enabling_one_of_tenant_and_kms_does_not_enable_the_other() {
    let world = World::new();
    pollster::block_on(async {
        world.keys.disable(at(0)).await.unwrap();
        world.local.disable(&world.key_ids[0], at(0)).await.unwrap();
        let by = |error| {
            let KeyError::Stopped(stopped) = error else { panic!("{error}") };
            stopped.by
        };
        assert_eq!(by(world.keys.current(&data(), at(0)).await.unwrap_err()), StoppedBy::Tenant);
        world.keys.enable(at(0)).await.unwrap();
        assert_eq!(by(world.keys.current(&data(), at(0)).await.unwrap_err()), StoppedBy::Kms);
        world.local.enable(&world.key_ids[0], at(0)).await.unwrap();
        assert_eq!(code(&world.keys, 5).await, Ok(()));
    });
}

#[test]
fn a_clock_that_goes_back_never_lengthens_a_life() {
    let world = World::new();
    pollster::block_on(async {
        assert_eq!(code(&world.keys, 1_000).await, Ok(()));
        world.local.disable(&world.key_ids[0], at(1_000)).await.unwrap();
        assert_eq!(code(&world.keys, 1_050).await, Ok(()));
        assert_eq!(code(&world.keys, 900).await, Err("key_disabled"), "the cache did not survive the step back");
        world.local.enable(&world.key_ids[0], at(900)).await.unwrap();
        assert_eq!(code(&world.keys, 905).await, Ok(()));

        // A clock far ahead, once, must not keep a key alive until the others are there.
        assert_eq!(code(&world.keys, 1_000_000).await, Ok(()));
        world.local.disable(&world.key_ids[0], at(906)).await.unwrap();
        assert_eq!(code(&world.keys, 906).await, Err("key_disabled"));
    });
}

/// Disables the tenant while an unwrap is under way, after the KMS has said yes.
#[derive(Debug)]
struct DisablesMidway {
    kms: Arc<dyn Kms>,
    admin: Keyring,
    node: OnceLock<Arc<Keyring>>,
}

impl Kms for DisablesMidway {
    fn provider(&self) -> &'static str {
        self.kms.provider()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        self.kms.wrap(key_id, key, context, now)
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        Box::pin(async move {
            let unwrapped = self.kms.unwrap(key_id, blob, context, now).await;
            self.admin.disable(now).await.unwrap();
            self.node.get().unwrap().forget();
            unwrapped
        })
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        self.kms.describe(key_id, now)
    }
}

#[test]
fn a_load_that_returns_after_a_stop_is_discarded() {
    let world = World::new();
    let kms = Arc::new(DisablesMidway { kms: world.kms.clone(), admin: world.other_node(), node: OnceLock::default() });
    let node = Arc::new(Keyring::new(tenant("acme"), kms.clone(), world.records.clone()));
    kms.node.set(node.clone()).unwrap();
    pollster::block_on(async {
        assert_eq!(code(&node, 0).await, Err("key_disabled"));
        assert_eq!(world.kms.calls(), 1);
    });
}

#[test]
fn access_that_the_kms_denies_stops_what_is_out_already() {
    let world = World::new();
    pollster::block_on(async {
        let out = world.keys.current(&data(), at(0)).await.unwrap();
        let sealed = out.seal(b"x", &Context::empty()).unwrap();
        world.kms.fail(None, Fault::Denied);
        assert_eq!(code(&world.keys, 60).await, Err("kms_access_denied"));
        let error = out.seal(b"x", &Context::empty()).unwrap_err();
        assert_eq!(error.code(), "kms_access_denied");
        let told = format!("KMS key `{}` is denied to us; its owner can grant it again", world.key_ids[0]);
        assert_eq!(error.to_string(), told);
        assert_eq!(out.open(&sealed, &Context::empty()).unwrap_err().code(), "kms_access_denied");
        world.kms.heal();
        let again = world.keys.current(&data(), at(65)).await.unwrap();
        assert_eq!(again.open(&sealed, &Context::empty()).unwrap(), b"x");
    });
}

#[test]
fn whatever_reads_the_stop_of_another_node_stops_what_is_out_here() {
    let world = World::new();
    pollster::block_on(async {
        let other = world.other_node();
        let out = other.current(&data(), at(0)).await.unwrap();
        world.keys.disable(at(1)).await.unwrap();
        other.describe(at(1)).await.unwrap();
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");
    });
}

#[test]
fn of_several_stops_the_one_that_nobody_can_undo_is_told() {
    let world = World::new();
    pollster::block_on(async {
        let sealed = world.keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
        world.keys.rotate(&data(), at(0)).await.unwrap();
        world.keys.shred(&data(), 1, at(0)).await.unwrap();
        world.keys.disable(at(0)).await.unwrap();
        let code = async |keys: &Keyring| keys.for_sealed(&sealed, &data(), at(1)).await.unwrap_err().code();
        assert_eq!(code(&world.keys).await, "key_destroyed");
        assert_eq!(world.keys.current(&data(), at(1)).await.unwrap_err().code(), "key_disabled");
        world.keys.schedule_deletion(7, at(1)).await.unwrap();
        assert_eq!(code(&world.other_node()).await, "key_destroyed");
    });
}

/// Drops what the keyring knows while each unwrap is under way.
#[derive(Debug)]
struct Forgets(Arc<dyn Kms>, OnceLock<Arc<Keyring>>);

impl Kms for Forgets {
    fn provider(&self) -> &'static str {
        self.0.provider()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        self.0.wrap(key_id, key, context, now)
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        self.1.get().unwrap().forget();
        self.0.unwrap(key_id, blob, context, now)
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        self.0.describe(key_id, now)
    }
}

#[test]
fn a_load_that_is_always_overtaken_ends_and_can_be_tried_again() {
    let world = World::new();
    let kms = Arc::new(Forgets(world.kms.clone(), OnceLock::default()));
    let node = Arc::new(Keyring::new(tenant("acme"), kms.clone(), world.records.clone()));
    kms.1.set(node.clone()).unwrap();
    let error = pollster::block_on(node.current(&data(), at(0))).unwrap_err();
    assert_eq!((error.code(), error.is_retryable(), world.kms.calls()), ("conflict", true, 3));
}

/// Counts how often it is read.
#[derive(Debug)]
struct Counting(MemoryStore, AtomicU32);

impl KeyStore for Counting {
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        KeyStore::load(&self.0, tenant)
    }

    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        KeyStore::write(&self.0, tenant, rows)
    }

    fn erase<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>> {
        KeyStore::erase(&self.0, tenant)
    }
}

#[test]
fn who_asks_for_a_stopped_key_costs_a_read_every_5_seconds_and_no_more() {
    let world = World::new();
    let store = Arc::new(Counting(world.store.clone(), AtomicU32::new(0)));
    let records = KeyRecords::over(store.clone(), SecretKey::copy_from(&[8; 32]));
    let node = Keyring::new(tenant("acme"), world.kms.clone(), records);
    let reads = || store.1.swap(0, Ordering::Relaxed);
    pollster::block_on(async {
        world.keys.disable(at(0)).await.unwrap();
        for second in 1..6 {
            assert_eq!(code(&node, second).await, Err("key_disabled"));
        }
        assert_eq!(reads(), 1);
        world.keys.enable(at(6)).await.unwrap();
        assert_eq!(code(&node, 6).await, Ok(()), "and is told of the change as soon");
        assert_eq!(reads(), 1);
        node.disable(at(7)).await.unwrap();
        node.enable(at(7)).await.unwrap();
        assert_eq!(code(&node, 7).await, Ok(()), "its own change is known at once");
    });
}
