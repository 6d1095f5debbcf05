//! What any [`KeyStore`] and [`LocalKeyStore`] must do, as suites that their authors run.
//!
//! Tenants and ids are random, so a suite can run again on a database that is in use. What it wrote is erased at the
//! end of each row that passes.

use crate::conformance::{Report, ensure};
use crate::join::join_all;
use crate::secret::random;
use crate::store::{KeyRow, KeyStore, LocalKeyRow, LocalKeyStore, StoreError};
use crate::tenant::TenantId;

/// How many writers race for one row.
const RACERS: u8 = 8;

/// The largest body that a store must keep, in bytes.
const LARGEST_BODY: usize = 128 * 1024;

type Check = Result<(), String>;

/// Checks a [`KeyStore`].
///
/// ```
/// use qsec_crypto::{MemoryStore, store::conformance};
///
/// let report = pollster::block_on(conformance::key_store(&MemoryStore::new()));
/// assert!(report.is_passed(), "{report}");
/// ```
pub async fn key_store(store: &dyn KeyStore) -> Report {
    let mut report = Report::default();
    report.record(1, "a tenant without rows loads as none", unknown_tenant(store).await);
    report.record(2, "rows come back byte for byte", exact_rows(store).await);
    report.record(3, "rows come in the byte order of their names", ordered_rows(store).await);
    report.record(4, "a write follows the stored generation or conflicts", generations(store).await);
    report.record(5, "a conflict in one row leaves every row as it was", all_or_none(store).await);
    report.record(6, "tenants of similar names do not share rows", tenants_apart(store).await);
    report.record(7, "an erased tenant has no rows and starts again", erased_tenant(store).await);
    report.record(8, "of racing writers exactly one wins", racing_writers(store).await);
    report.record(9, "a write of no rows changes nothing", empty_write(store).await);
    report
}

/// Checks a [`LocalKeyStore`].
///
/// ```
/// use qsec_crypto::{MemoryStore, store::conformance};
///
/// let report = pollster::block_on(conformance::local_key_store(&MemoryStore::new()));
/// assert!(report.is_passed(), "{report}");
/// ```
pub async fn local_key_store(store: &dyn LocalKeyStore) -> Report {
    let mut report = Report::default();
    report.record(1, "an unknown id loads as none", unknown_id(store).await);
    report.record(2, "a row comes back byte for byte", exact_local_row(store).await);
    report.record(3, "the list holds every row in the order of ids", listed_rows(store).await);
    report.record(4, "a write follows the stored generation or conflicts", local_generations(store).await);
    report.record(5, "an erased id is gone and starts again", erased_id(store).await);
    report.record(6, "of racing writers exactly one wins", racing_local_writers(store).await);
    report
}

async fn unknown_tenant(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    let rows = load(store, &tenant).await?;
    ensure(rows.is_empty(), || format!("got {} rows", rows.len()))?;
    store.erase(&tenant).await.map_err(|error| format!("erasing a tenant without rows: {error}"))
}

async fn exact_rows(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(LARGEST_BODY).collect();
    let rows = vec![
        KeyRow { name: "binding".to_owned(), generation: 1, body: b"{}".to_vec(), mac: [0; 32] },
        KeyRow { name: format!("{}/4294967295", "n".repeat(289)), generation: 1, body: every_byte, mac: [0xFF; 32] },
    ];
    write(store, &tenant, &rows).await?;
    let loaded = load(store, &tenant).await?;
    ensure(loaded == rows, || format!("wrote {rows:?}, loaded {loaded:?}"))?;
    erase(store, &tenant).await
}

async fn ordered_rows(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    // A database with a linguistic collation would order these otherwise.
    let mut names = ["é/1", "data/2", "data/10", "Z/1", "a/1", "binding", "data/1", "z/1", "a b/1", "a-b/1", "ab/1"];
    let rows: Vec<KeyRow> = names.iter().map(|name| row(name, 1)).collect();
    write(store, &tenant, &rows).await?;
    names.sort_unstable();
    let loaded: Vec<String> = load(store, &tenant).await?.into_iter().map(|row| row.name).collect();
    ensure(loaded == names, || format!("the order was {loaded:?}"))?;
    erase(store, &tenant).await
}

async fn generations(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    for first in [0, 2, 7] {
        conflicts(store, &tenant, &[row("binding", first)]).await?;
    }
    write(store, &tenant, &[row("binding", 1)]).await?;
    for not_second in [0, 1, 3] {
        conflicts(store, &tenant, &[row("binding", not_second)]).await?;
    }
    let second = KeyRow { body: b"second".to_vec(), mac: [2; 32], ..row("binding", 2) };
    write(store, &tenant, std::slice::from_ref(&second)).await?;
    let loaded = load(store, &tenant).await?;
    ensure(loaded == [second], || format!("loaded {loaded:?}"))?;
    erase(store, &tenant).await
}

async fn all_or_none(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    let before = vec![row("binding", 1), row("data/1", 1)];
    write(store, &tenant, &before).await?;
    conflicts(store, &tenant, &[row("binding", 2), row("data/2", 1), row("data/1", 1)]).await?;
    conflicts(store, &tenant, &[row("data/1", 3), row("binding", 2)]).await?;
    let loaded = load(store, &tenant).await?;
    ensure(loaded == before, || format!("loaded {loaded:?}"))?;
    erase(store, &tenant).await
}

async fn tenants_apart(store: &dyn KeyStore) -> Check {
    let unique = format!("qsec-{:032x}", u128::from_be_bytes(random().map_err(|error| error.to_string())?));
    let names = [
        format!("{unique}-acme"),
        format!("{unique}-Acme"),
        format!("{unique}-acme "),
        format!("{unique}-acm%"),
        format!("{unique}-acm_"),
        format!("{unique}-ácme"),
        format!("{unique}-a\u{301}cme"),
        format!("{unique}-{}", "x".repeat(255 - unique.len() - 1)),
    ];
    let tenants: Result<Vec<_>, _> = names.into_iter().map(TenantId::new).collect();
    let tenants = tenants.map_err(|error| error.to_string())?;
    for tenant in &tenants {
        write(store, tenant, &[own_row(tenant)]).await?;
    }
    for tenant in &tenants {
        let loaded = load(store, tenant).await?;
        ensure(loaded == [own_row(tenant)], || format!("tenant `{tenant}` loads {loaded:?}"))?;
        erase(store, tenant).await?;
    }
    Ok(())
}

async fn erased_tenant(store: &dyn KeyStore) -> Check {
    let (erased, kept) = (tenant()?, tenant()?);
    write(store, &erased, &[row("binding", 1), row("data/1", 1)]).await?;
    write(store, &kept, &[own_row(&kept)]).await?;
    erase(store, &erased).await?;
    let (of_erased, of_kept) = (load(store, &erased).await?, load(store, &kept).await?);
    ensure(of_erased.is_empty(), || format!("the erased tenant loads {of_erased:?}"))?;
    ensure(of_kept == [own_row(&kept)], || format!("another tenant loads {of_kept:?}"))?;
    conflicts(store, &erased, &[row("binding", 2)]).await?;
    write(store, &erased, &[row("binding", 1)]).await?;
    erase(store, &erased).await?;
    erase(store, &kept).await
}

async fn racing_writers(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    write(store, &tenant, &[row("binding", 1), row("data/1", 1)]).await?;
    let rows: Vec<[KeyRow; 2]> = (0..RACERS)
        .map(|racer| ["binding", "data/1"].map(|name| KeyRow { body: vec![racer], ..row(name, 2) }))
        .collect();
    let answers = join_all(rows.iter().map(|rows| store.write(&tenant, rows)).collect()).await;
    one_winner(&answers)?;
    let loaded = load(store, &tenant).await?;
    ensure(rows.iter().any(|rows| loaded == rows), || format!("the rows of two writers were mixed: {loaded:?}"))?;
    erase(store, &tenant).await
}

async fn empty_write(store: &dyn KeyStore) -> Check {
    let tenant = tenant()?;
    write(store, &tenant, &[]).await?;
    let loaded = load(store, &tenant).await?;
    ensure(loaded.is_empty(), || format!("loaded {loaded:?}"))
}

async fn unknown_id(store: &dyn LocalKeyStore) -> Check {
    let id = id()?;
    let loaded = load_local(store, &id).await?;
    ensure(loaded.is_none(), || format!("loaded {loaded:?}"))?;
    store.erase(&id).await.map_err(|error| format!("erasing an unknown id: {error}"))
}

async fn exact_local_row(store: &dyn LocalKeyStore) -> Check {
    let every_byte = (0..=u8::MAX).cycle().take(LARGEST_BODY).collect();
    let row = LocalKeyRow { id: id()?, generation: 1, body: every_byte };
    write_local(store, &row).await?;
    let loaded = load_local(store, &row.id).await?;
    ensure(loaded.as_ref() == Some(&row), || format!("wrote {row:?}, loaded {loaded:?}"))?;
    erase_local(store, &row.id).await
}

async fn listed_rows(store: &dyn LocalKeyStore) -> Check {
    let mut ids = [id()?, id()?, id()?];
    for id in &ids {
        write_local(store, &local_row(id, 1)).await?;
    }
    ids.sort_unstable();
    let listed = store.list().await.map_err(|error| format!("listing: {error}"))?;
    ensure(listed.is_sorted_by_key(|row| row.id), || "the list is not in the order of ids".to_owned())?;
    let ours: Vec<LocalKeyRow> = listed.into_iter().filter(|row| ids.contains(&row.id)).collect();
    ensure(ours == ids.map(|id| local_row(&id, 1)), || format!("listed {ours:?}"))?;
    for id in &ids {
        erase_local(store, id).await?;
    }
    Ok(())
}

async fn local_generations(store: &dyn LocalKeyStore) -> Check {
    let id = id()?;
    for first in [0, 2, 7] {
        conflicted(store.write(&local_row(&id, first)).await, first)?;
    }
    write_local(store, &local_row(&id, 1)).await?;
    for not_second in [0, 1, 3] {
        conflicted(store.write(&local_row(&id, not_second)).await, not_second)?;
    }
    let second = LocalKeyRow { body: b"second".to_vec(), ..local_row(&id, 2) };
    write_local(store, &second).await?;
    let loaded = load_local(store, &id).await?;
    ensure(loaded == Some(second), || format!("loaded {loaded:?}"))?;
    erase_local(store, &id).await
}

async fn erased_id(store: &dyn LocalKeyStore) -> Check {
    let (erased, kept) = (id()?, id()?);
    write_local(store, &local_row(&erased, 1)).await?;
    write_local(store, &local_row(&kept, 1)).await?;
    erase_local(store, &erased).await?;
    let (of_erased, of_kept) = (load_local(store, &erased).await?, load_local(store, &kept).await?);
    ensure(of_erased.is_none(), || "the erased id still has a row".to_owned())?;
    ensure(of_kept == Some(local_row(&kept, 1)), || "another id lost its row".to_owned())?;
    conflicted(store.write(&local_row(&erased, 2)).await, 2)?;
    write_local(store, &local_row(&erased, 1)).await?;
    erase_local(store, &erased).await?;
    erase_local(store, &kept).await
}

async fn racing_local_writers(store: &dyn LocalKeyStore) -> Check {
    let id = id()?;
    write_local(store, &local_row(&id, 1)).await?;
    let rows: Vec<LocalKeyRow> =
        (0..RACERS).map(|racer| LocalKeyRow { body: vec![racer], ..local_row(&id, 2) }).collect();
    let answers = join_all(rows.iter().map(|row| store.write(row)).collect()).await;
    one_winner(&answers)?;
    let loaded = load_local(store, &id).await?;
    ensure(rows.iter().any(|row| loaded.as_ref() == Some(row)), || format!("loaded {loaded:?}"))?;
    erase_local(store, &id).await
}

fn one_winner(answers: &[Result<(), StoreError>]) -> Check {
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    ensure(won == 1, || format!("{won} of {RACERS} writers won: {answers:?}"))?;
    let lost = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Conflict))).count();
    ensure(lost == usize::from(RACERS - 1), || format!("a loser was not told of the conflict: {answers:?}"))
}

fn row(name: &str, generation: u64) -> KeyRow {
    KeyRow { name: name.to_owned(), generation, body: b"{\"a\":1}".to_vec(), mac: [7; 32] }
}

fn own_row(tenant: &TenantId) -> KeyRow {
    KeyRow { body: tenant.as_str().as_bytes().to_vec(), ..row("binding", 1) }
}

fn local_row(id: &[u8; 16], generation: u64) -> LocalKeyRow {
    LocalKeyRow { id: *id, generation, body: id.to_vec() }
}

fn tenant() -> Result<TenantId, String> {
    let unique = u128::from_be_bytes(random().map_err(|error| error.to_string())?);
    TenantId::new(format!("qsec-conformance-{unique:032x}")).map_err(|error| error.to_string())
}

fn id() -> Result<[u8; 16], String> {
    random().map_err(|error| error.to_string())
}

async fn load(store: &dyn KeyStore, tenant: &TenantId) -> Result<Vec<KeyRow>, String> {
    store.load(tenant).await.map_err(|error| format!("loading: {error}"))
}

async fn write(store: &dyn KeyStore, tenant: &TenantId, rows: &[KeyRow]) -> Check {
    store.write(tenant, rows).await.map_err(|error| format!("writing {rows:?}: {error}"))
}

async fn erase(store: &dyn KeyStore, tenant: &TenantId) -> Check {
    store.erase(tenant).await.map_err(|error| format!("erasing: {error}"))
}

async fn conflicts(store: &dyn KeyStore, tenant: &TenantId, rows: &[KeyRow]) -> Check {
    match store.write(tenant, rows).await {
        Err(StoreError::Conflict) => Ok(()),
        other => Err(format!("writing {rows:?} answered {other:?}, not a conflict")),
    }
}

async fn load_local(store: &dyn LocalKeyStore, id: &[u8; 16]) -> Result<Option<LocalKeyRow>, String> {
    store.load(id).await.map_err(|error| format!("loading: {error}"))
}

async fn write_local(store: &dyn LocalKeyStore, row: &LocalKeyRow) -> Check {
    store.write(row).await.map_err(|error| format!("writing {row:?}: {error}"))
}

async fn erase_local(store: &dyn LocalKeyStore, id: &[u8; 16]) -> Check {
    store.erase(id).await.map_err(|error| format!("erasing: {error}"))
}

fn conflicted(answer: Result<(), StoreError>, generation: u64) -> Check {
    match answer {
        Err(StoreError::Conflict) => Ok(()),
        other => Err(format!("writing generation {generation} answered {other:?}, not a conflict")),
    }
}
