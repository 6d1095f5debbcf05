//! What was erased is in no file of the database any more.

use std::fs;
use std::path::Path;

use qsec_crypto::{KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, TenantId};
use qsec_store::{SettingRow, SettingStore, Store};
use sqlx::{Connection as _, SqliteConnection};

/// Stands for wrapped material. The rows hold it over and over, so that it is in small and in large records.
const MARK: &[u8] = b"WRAPPED-MATERIAL";

/// How often the mark occurs in the files of a folder.
fn marks(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .map(|bytes| bytes.windows(MARK.len()).filter(|window| *window == MARK).count())
        .sum()
}

fn body(copies: usize) -> Vec<u8> {
    MARK.repeat(copies)
}

/// Rows of other tenants around, so that pages are shared, split and merged.
async fn fill(store: &dyn KeyStore, tenant: &TenantId, neighbour: &TenantId) {
    for (n, copies) in [1, 3, 20, 200, 4000, 1, 60, 8000].into_iter().enumerate() {
        let name = format!("data/{n}");
        let other = KeyRow { name: name.clone(), generation: 1, body: vec![b'.'; 700 * (n + 1)], mac: [1; 32] };
        store.write(neighbour, &[other]).await.unwrap();
        for generation in 1..=4 {
            let copies = copies + usize::try_from(generation).unwrap();
            let row = KeyRow { name: name.clone(), generation, body: body(copies), mac: [2; 32] };
            store.write(tenant, &[row]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn erased_keys_of_a_tenant_are_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_file(folder.path().join("qsec.db")).await.unwrap();
    let (acme, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
    fill(&store, &acme, &other).await;
    assert!(marks(folder.path()) > 10_000, "the search finds what is there");

    KeyStore::erase(&store, &acme).await.unwrap();
    assert_eq!(marks(folder.path()), 0, "while the store is open");
    assert!(KeyStore::load(&store, &acme).await.unwrap().is_empty());
    assert_eq!(KeyStore::load(&store, &other).await.unwrap().len(), 8, "the neighbour keeps its keys");
    store.close().await;
    assert_eq!(marks(folder.path()), 0, "after it was closed");
}

#[tokio::test]
async fn erased_keys_of_the_internal_kms_are_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_file(folder.path().join("qsec.db")).await.unwrap();
    for n in 0..40_u8 {
        for generation in 1..=3_u64 {
            let body = if n % 2 == 0 { body(usize::from(n) * 7 + 1) } else { vec![b'.'; 400] };
            LocalKeyStore::write(&store, &LocalKeyRow { id: [n; 16], generation, body }).await.unwrap();
        }
    }
    assert!(marks(folder.path()) > 1_000, "the search finds what is there");
    for n in (0..40_u8).step_by(2) {
        LocalKeyStore::erase(&store, &[n; 16]).await.unwrap();
        assert_eq!(LocalKeyStore::load(&store, &[n; 16]).await.unwrap(), None);
    }
    assert_eq!(marks(folder.path()), 0);
    assert_eq!(LocalKeyStore::list(&store).await.unwrap().len(), 20);
}

#[tokio::test]
async fn wrapped_material_is_overwritten_before_its_row_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    let store = Store::open_file(&path).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let row = KeyRow { name: "data/1".to_owned(), generation: 1, body: body(100), mac: [2; 32] };
    KeyStore::write(&store, &acme, &[row]).await.unwrap();
    LocalKeyStore::write(&store, &LocalKeyRow { id: [1; 16], generation: 1, body: body(8192) }).await.unwrap();
    // Writes down what a row holds when it is deleted.
    let spy = "CREATE TABLE seen (body BLOB, mac BLOB);
               CREATE TRIGGER key BEFORE DELETE ON qsec_key BEGIN INSERT INTO seen VALUES (OLD.body, OLD.mac); END;
               CREATE TRIGGER local BEFORE DELETE ON qsec_local_key BEGIN INSERT INTO seen VALUES (OLD.body, x''); END";
    let mut session = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql(spy).execute(&mut session).await.unwrap();
    KeyStore::erase(&store, &acme).await.unwrap();
    LocalKeyStore::erase(&store, &[1; 16]).await.unwrap();
    let seen: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT body, mac FROM seen ORDER BY length(body)").fetch_all(&mut session).await.unwrap();
    let zeros = |copies| vec![0; MARK.len() * copies];
    assert_eq!(seen, [(zeros(100), vec![0; 32]), (zeros(8192), vec![])]);
}

#[tokio::test]
async fn compacting_leaves_no_replaced_bytes_and_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_file(folder.path().join("qsec.db")).await.unwrap();
    for (generation, body) in [(1, body(5000)), (2, b"short".to_vec())] {
        let row = SettingRow { name: "service".to_owned(), generation, body };
        SettingStore::write(&store, &row).await.unwrap();
    }
    assert!(marks(folder.path()) > 0, "the write-ahead log still has them");
    store.compact().await.unwrap();
    assert_eq!(marks(folder.path()), 0);
    assert_eq!(SettingStore::get(&store, "service").await.unwrap().unwrap().body, b"short");
}
