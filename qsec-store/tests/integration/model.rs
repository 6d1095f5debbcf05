//! Any sequence of calls answers as the memory store of the crate that owns the trait does.

use proptest::prelude::*;
use qsec_crypto::{KeyRow, KeyStore, MemoryStore, StoreError, TenantId};
use qsec_store::Store;

#[derive(Debug, Clone)]
enum Call {
    Write(u8, Vec<(u8, u64)>),
    Erase(u8),
    Load(u8),
}

fn call() -> impl Strategy<Value = Call> {
    let rows = proptest::collection::btree_map(0..4_u8, 0..5_u64, 0..4).prop_map(|rows| rows.into_iter().collect());
    prop_oneof![
        6 => (0..3_u8, rows).prop_map(|(tenant, rows)| Call::Write(tenant, rows)),
        1 => (0..3_u8).prop_map(Call::Erase),
        2 => (0..3_u8).prop_map(Call::Load),
    ]
}

/// What a caller can tell apart.
async fn answer(store: &dyn KeyStore, call: &Call, step: u8) -> String {
    let tenant = |n: &u8| TenantId::new(["a", "ab", "é"][usize::from(*n)]).unwrap();
    let told = |result: Result<(), StoreError>| match result {
        Ok(()) => "done".to_owned(),
        Err(StoreError::Conflict) => "conflict".to_owned(),
        Err(error) => panic!("{error:?}"),
    };
    match call {
        Call::Write(n, rows) => {
            let row = |(name, generation): &(u8, u64)| KeyRow {
                name: format!("data/{name}"),
                generation: *generation,
                body: vec![step; 3],
                mac: [step; 32],
            };
            told(store.write(&tenant(n), &rows.iter().map(row).collect::<Vec<_>>()).await)
        }
        Call::Erase(n) => told(store.erase(&tenant(n)).await),
        Call::Load(n) => {
            let rows = store.load(&tenant(n)).await.unwrap();
            let seen: Vec<_> = rows.iter().map(|row| (&row.name, row.generation, &row.body, row.mac)).collect();
            format!("{seen:?}")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_behave_as_in_memory(calls in proptest::collection::vec(call(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, model) = (Store::in_memory().await.unwrap(), MemoryStore::new());
            for (step, call) in (0..).zip(calls.iter().chain([&Call::Load(0), &Call::Load(1), &Call::Load(2)])) {
                assert_eq!(answer(&store, call, step).await, answer(&model, call, step).await, "{call:?}");
            }
        });
    }
}
