//! Who can write the database can do no harm but lose rows.

use std::sync::{Arc, Mutex};

use qsec_crypto::store::{BoxFuture, StoreError};
use qsec_crypto::{Context, KeyRecords, KeyRow, KeyStore, Keyring, MemoryStore, SecretKey, TenantId};

use crate::world::{Memory, World, at, data, tenant};

async fn rows(world: &World) -> Vec<KeyRow> {
    world.store.load(&tenant("acme")).await.unwrap()
}

/// Replaces all rows, as someone with the database in hand would.
async fn put(world: &World, rows: &[KeyRow]) {
    world.store.erase(&tenant("acme")).await.unwrap();
    for row in rows {
        for generation in 1..=row.generation {
            let row = KeyRow { generation, ..row.clone() };
            world.store.write(&tenant("acme"), &[row]).await.unwrap();
        }
    }
}

async fn is_forged(keys: &Keyring, what: &str) {
    keys.forget();
    let error = keys.current(&data(), at(1)).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("key_record_forged", false), "{what}: {error}");
    for answer in [keys.enable(at(1)).await, keys.destroy(at(1)).await, keys.describe(at(1)).await.map(|_| ())] {
        assert_eq!(answer.unwrap_err().code(), "key_record_forged", "{what}");
    }
}

#[test]
fn every_changed_byte_of_every_row_is_noticed() {
    let world = World::new();
    pollster::block_on(async {
        let good = rows(&world).await;
        for number in 0..good.len() {
            for at in 0..good[number].body.len() + 32 {
                let mut bad = good.clone();
                let row = &mut bad[number];
                let length = row.body.len();
                if at < length {
                    row.body[at] ^= 1;
                } else {
                    row.mac[at - length] ^= 1;
                }
                put(&world, &bad).await;
                let error = world.other_node().current(&data(), crate::world::at(1)).await.unwrap_err();
                assert_eq!(error.code(), "key_record_forged", "row {number}, byte {at}");
            }
        }
        put(&world, &good).await;
        assert!(world.other_node().current(&data(), at(1)).await.is_ok());
    });
}

#[test]
fn rows_that_are_missing_added_renamed_or_of_another_tenant_are_noticed() {
    let world = World::new();
    pollster::block_on(async {
        world.keys.rotate(&data(), at(0)).await.unwrap();
        let good = rows(&world).await;
        let names: Vec<&str> = good.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["binding", "data/1", "data/2"]);
        let [binding, first, second] = [0, 1, 2].map(|number| good[number].clone());
        let named = |row: &KeyRow, name: &str| KeyRow { name: name.to_owned(), ..row.clone() };
        for (what, rows) in [
            ("without binding", vec![first.clone(), second.clone()]),
            ("without the newest version", vec![binding.clone(), first.clone()]),
            ("without an old version", vec![binding.clone(), second.clone()]),
            ("a version twice", vec![binding.clone(), first.clone(), second.clone(), named(&second, "data/3")]),
            ("versions renamed", vec![binding.clone(), named(&second, "data/1"), named(&first, "data/2")]),
            ("binding as a version", vec![binding.clone(), first.clone(), named(&binding, "data/2")]),
            ("a version as binding", vec![named(&first, "binding"), first.clone(), second.clone()]),
        ] {
            put(&world, &rows).await;
            is_forged(&world.other_node(), what).await;
        }

        // Another tenant's rows are authentic, and not this tenant's.
        let other = Keyring::new(tenant("other"), world.kms.clone(), world.records.clone());
        other.create(&world.key_ids, &[data()], at(0)).await.unwrap();
        let of_other = world.store.load(&tenant("other")).await.unwrap();
        put(&world, &of_other).await;
        is_forged(&world.other_node(), "rows of another tenant").await;
    });
}

#[test]
fn an_old_row_put_back_is_noticed_by_who_has_seen_the_newer() {
    let world = World::new();
    pollster::block_on(async {
        let enabled = rows(&world).await;
        world.keys.disable(at(0)).await.unwrap();
        put(&world, &enabled).await;
        is_forged(&world.keys, "binding put back").await;
        // Sharing the records shares what was seen.
        let sibling = Keyring::new(tenant("acme"), world.kms.clone(), world.records.clone());
        is_forged(&sibling, "binding put back, another keyring").await;
    });
}

#[test]
fn records_under_another_mac_key_are_not_believed() {
    let world = World::new();
    pollster::block_on(async {
        let records = KeyRecords::new(world.store.clone(), SecretKey::copy_from(&[9; 32]));
        let keys = Keyring::new(tenant("acme"), world.kms.clone(), records);
        is_forged(&keys, "another MAC key").await;
    });
}

#[test]
fn of_two_nodes_that_rotate_at_once_one_is_told_and_nothing_is_mixed() {
    let world = World::new();
    pollster::block_on(async {
        let before = rows(&world).await;
        world.keys.rotate(&data(), at(0)).await.unwrap();
        // A writer that read before: the store refuses all of its rows.
        let late: Vec<KeyRow> =
            before.iter().map(|row| KeyRow { generation: row.generation + 1, ..row.clone() }).collect();
        assert!(world.store.write(&tenant("acme"), &late).await.is_err());
        assert_eq!(world.keys.current(&data(), at(0)).await.unwrap().version(), 2);
        assert_eq!(world.other_node().current(&data(), at(0)).await.unwrap().version(), 2);
    });
}

#[test]
fn a_record_is_the_json_of_the_format() {
    let world = World::new();
    pollster::block_on(async {
        let rows = rows(&world).await;
        let texts: Vec<&str> = rows.iter().map(|row| std::str::from_utf8(&row.body).unwrap()).collect();
        let [primary, replica] = [0, 1].map(|number| world.key_ids[number].as_str());
        let binding = format!(
            "{{\"tenant\":\"acme\",\"state\":\"active\",\"provider\":\"internal\",\"key_ids\":[\"{primary}\",\"{replica}\"],\
             \"endpoint\":null,\"created\":\"2030-01-01T00:00:00Z\",\"deletion_date\":null,\
             \"purposes\":[{{\"purpose\":\"data\",\"newest\":1}}],\"generation\":1}}"
        );
        assert_eq!(texts[0], binding);
        let version = "{\"tenant\":\"acme\",\"purpose\":\"data\",\"version\":1,\"state\":\"active\",\
                       \"created\":\"2030-01-01T00:00:00Z\",\"key_check\":\"";
        assert!(texts[1].starts_with(version), "{}", texts[1]);

        let lp = [b"qsec/v1/key-record\0\x04acme", rows[0].body.as_slice()].concat();
        let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[8; 32]), &lp);
        assert_eq!(mac.as_ref(), rows[0].mac);
    });
}

/// A store that is slow to answer: meanwhile somebody else changes what was read, or written.
#[derive(Debug)]
struct Slow {
    store: MemoryStore,
    /// Disables the tenant after rows were read, before they arrive.
    at_load: Mutex<Option<Keyring>>,
    /// Enables it again after rows were written, before that is known.
    at_write: Mutex<Option<Keyring>>,
}

impl Slow {
    fn take(keyring: &Mutex<Option<Keyring>>) -> Option<Keyring> {
        keyring.lock().unwrap().take()
    }
}

impl KeyStore for Slow {
    fn load<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async move {
            let rows = self.store.load(tenant).await;
            if let Some(other) = Self::take(&self.at_load) {
                other.disable(at(0)).await.unwrap();
            }
            rows
        })
    }

    fn write<'a>(&'a self, tenant: &'a TenantId, rows: &'a [KeyRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.store.write(tenant, rows).await?;
            if let Some(other) = Self::take(&self.at_write) {
                other.enable(at(0)).await.unwrap();
            }
            Ok(())
        })
    }

    fn erase<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.erase(tenant)
    }
}

/// The world's tenant over a slow store, and a maker of further keyrings that share what was seen.
fn slow(world: &World) -> (Arc<Slow>, impl Fn() -> Keyring) {
    let store = Slow { store: world.store.clone(), at_load: Mutex::default(), at_write: Mutex::default() };
    let store = Arc::new(store);
    let records = KeyRecords::over(store.clone(), SecretKey::copy_from(&[8; 32]));
    let kms = world.kms.clone();
    (store, move || Keyring::new(tenant("acme"), kms.clone(), records.clone()))
}

#[test]
fn a_row_read_beside_a_write_is_read_again_and_not_taken_for_one_put_back() {
    let world = World::new();
    let (store, keyring) = slow(&world);
    pollster::block_on(async {
        let (keys, observer) = (keyring(), Arc::new(Memory::default()));
        let keys = keys.with_observer(observer.clone());
        *store.at_load.lock().unwrap() = Some(keyring());
        assert_eq!(keys.current(&data(), at(0)).await.unwrap_err().code(), "key_disabled");
        assert_eq!(observer.take(), Vec::<String>::new(), "no alarm");
        keys.enable(at(1)).await.unwrap();
        assert!(keys.current(&data(), at(1)).await.is_ok());
    });
}

#[test]
fn a_stop_that_was_written_holds_here_also_when_somebody_changes_the_record_at_once() {
    let world = World::new();
    let (store, keyring) = slow(&world);
    pollster::block_on(async {
        let keys = keyring();
        let out = keys.current(&data(), at(0)).await.unwrap();
        *store.at_write.lock().unwrap() = Some(keyring());
        keys.disable(at(0)).await.unwrap();
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");
        assert!(keys.current(&data(), at(0)).await.is_ok(), "enabled since");
    });
}

#[test]
fn whatever_meets_a_forged_record_raises_the_alarm() {
    let world = World::new();
    pollster::block_on(async {
        let mut bad = rows(&world).await;
        bad[0].mac[0] ^= 1;
        put(&world, &bad).await;
        world.keys.forget();
        world.observer.take();
        let codes = [
            world.keys.current(&data(), at(1)).await.map(|_| ()),
            world.keys.binding(at(1)).await.map(|_| ()),
            world.keys.create(&world.key_ids, &[data()], at(1)).await,
        ];
        assert!(codes.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code() == "key_record_forged")));
        assert_eq!(world.observer.take(), ["key.record_forged key_record_forged"; 3]);
    });
}
