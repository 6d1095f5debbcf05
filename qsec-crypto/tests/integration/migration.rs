//! Moving a tenant from one provider to another: what it costs, what it leaves, and that no crash leaves it nowhere.

use std::sync::Arc;
use std::time::Duration;

use qsec_crypto::kms::{Fault, FaultyKms, KeyId, Kms, LocalKms, RootKey};
use qsec_crypto::{
    Context, KeyError, KeyRecords, KeyRow, KeyStore, Keyring, MemoryStore, Migration, MigrationState, SecretKey,
};

use crate::world::{DAY, Memory, Mortal, at, data, tenant};

type Provider = Arc<FaultyKms<Arc<LocalKms>>>;

/// A tenant with some key versions at one provider, and another provider to go to.
struct Move {
    old: (Provider, KeyId),
    new: (Provider, KeyId),
    store: MemoryStore,
    sealed: Vec<Vec<u8>>,
}

fn provider(name: &'static str, root: u8) -> (Provider, KeyId) {
    let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[root; 32]), MemoryStore::new()).unwrap());
    let key_id = pollster::block_on(kms.create_key(at(0))).unwrap();
    (Arc::new(FaultyKms::over(kms).as_provider(name)), key_id)
}

impl Move {
    fn new(old: &'static str, new: &'static str, versions: u32) -> Self {
        let mut moving =
            Self { old: provider(old, 7), new: provider(new, 8), store: MemoryStore::new(), sealed: Vec::new() };
        let keys = moving.node();
        pollster::block_on(async {
            keys.create(std::slice::from_ref(&moving.old.1), &[data()], at(0)).await.unwrap();
            for version in 1..=versions {
                let key = keys.current(&data(), at(0)).await.unwrap();
                moving.sealed.push(key.seal(format!("version {version}").as_bytes(), &Context::empty()).unwrap());
                if version < versions {
                    keys.rotate(&data(), at(0)).await.unwrap();
                }
            }
        });
        moving.old.0.calls();
        moving
    }

    /// A node that knows both providers.
    fn node(&self) -> Keyring {
        self.node_over(self.store.clone())
    }

    fn node_over(&self, store: impl KeyStore + 'static) -> Keyring {
        let records = KeyRecords::new(store, SecretKey::copy_from(&[9; 32]));
        Keyring::new(tenant("acme"), self.old.0.clone(), records).with_kms(self.new.0.clone())
    }

    async fn plan(&self, keys: &Keyring, second: u64) -> Result<Migration, KeyError> {
        keys.change_provider(self.new.0.clone(), std::slice::from_ref(&self.new.1), 0, at(second)).await
    }

    async fn go(&self, keys: &Keyring, second: u64) -> Result<Migration, KeyError> {
        self.plan(keys, second).await?;
        keys.migrate(at(second)).await
    }

    /// Everything that was sealed opens, on a node that has just been started.
    async fn all_opens(&self, second: u64, what: &str) {
        let keys = self.node();
        for (sealed, version) in self.sealed.iter().zip(1..) {
            let key = keys.for_sealed(sealed, &data(), at(second)).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(key.open(sealed, &Context::empty()).unwrap(), format!("version {version}").as_bytes(), "{what}");
        }
        let key = keys.current(&data(), at(second)).await.unwrap();
        key.seal(b"new", &Context::empty()).unwrap();
    }

    /// The provider in use, and how many wrappings are under each.
    async fn at_rest(&self) -> (String, usize, usize) {
        let described = self.node().describe(at(0)).await.unwrap();
        let under = |provider: &str| {
            let wrappings = described.versions.iter().flat_map(|version| &version.wrappings);
            wrappings.filter(|wrapping| wrapping.provider == provider).count()
        };
        (described.provider.clone(), under(self.old.0.provider()), under(self.new.0.provider()))
    }
}

#[test]
fn a_million_records_of_one_version_move_with_four_calls_and_none_is_rewritten() {
    // The move does not know how many records there are; these stand for all.
    for (old, new, calls_old, calls_new) in
        [("aws", "pkcs11", 1, 3), ("internal", "aws", 1, 3), ("aws", "internal", 1, 3)]
    {
        let moving = Move::new(old, new, 1);
        pollster::block_on(async {
            let keys = moving.node();
            let key = keys.current(&data(), at(0)).await.unwrap();
            let records: Vec<_> =
                (0..1_000_u32).map(|n| key.seal(&n.to_be_bytes(), &Context::empty()).unwrap()).collect();
            moving.old.0.calls();

            let done = moving.go(&keys, 1).await.unwrap();
            assert_eq!((moving.old.0.calls(), moving.new.0.calls()), (calls_old, calls_new), "{old} to {new}");
            assert_eq!(done.state, MigrationState::Done);
            let told = if old == "internal" { 3 } else { 4 };
            assert_eq!((done.versions_rewrapped, done.kms_calls, done.old_wrappings_removed), (1, told, 1));
            assert_eq!(moving.at_rest().await, (new.to_owned(), 0, 1));

            moving.old.0.fail(None, Fault::Unavailable);
            moving.new.0.calls();
            let keys = moving.node();
            for (sealed, n) in records.iter().zip(0_u32..) {
                let key = keys.for_sealed(sealed, &data(), at(2)).await.unwrap();
                assert_eq!(key.open(sealed, &Context::empty()).unwrap(), n.to_be_bytes());
            }
            assert_eq!(moving.new.0.calls(), 1);
        });
    }
}

#[test]
fn calls_grow_with_key_versions_and_with_nothing_else() {
    for versions in [1, 2, 5] {
        for (old, told) in [("aws", 1 + 3 * versions), ("internal", 1 + 2 * versions)] {
            let moving = Move::new(old, "vault", u32::try_from(versions).unwrap());
            pollster::block_on(async {
                let done = moving.go(&moving.node(), 1).await.unwrap();
                assert_eq!(done.kms_calls, told, "{versions} from {old}");
                assert_eq!(u64::from(moving.new.0.calls()), 1 + 2 * versions);
                moving.all_opens(2, "moved").await;
            });
        }
    }
}

#[test]
fn a_process_killed_after_any_write_leaves_what_opens_and_can_be_resumed_or_aborted() {
    for is_kept in [false, true] {
        let mut writes = 0;
        loop {
            let (resumed, aborted) = (killed(writes, is_kept, true), killed(writes, is_kept, false));
            assert_eq!(resumed, aborted);
            if !resumed {
                break;
            }
            writes += 1;
        }
        assert_eq!(writes, 8, "plan, three wrappings, verified, switched, cleaning, done");
    }
}

/// Kills a move of three versions after so many writes, and goes on in a fresh process. Whether it was killed at all.
fn killed(writes: u32, is_kept: bool, resume: bool) -> bool {
    let moving = Move::new("aws", "vault", 3);
    pollster::block_on(async {
        let what = format!("killed after {writes} writes, the next one kept {is_kept}, resume {resume}");
        let mortal = Mortal::new(&moving.store, writes).keeping_the_last(is_kept);
        let died = moving.go(&moving.node_over(mortal), 1).await;
        let Err(error) = died else { return false };
        assert_eq!(error.code(), "store_unavailable", "{what}");
        moving.all_opens(2, &what).await;

        let keys = moving.node();
        let state = keys.describe(at(2)).await.unwrap().migration.map(|migration| migration.state);
        if resume {
            let mut done = moving.plan(&keys, 2).await.unwrap();
            if done.state != MigrationState::Done {
                done = keys.migrate(at(2)).await.unwrap();
            }
            assert_eq!(done.state, MigrationState::Done, "{what}");
            assert_eq!(moving.at_rest().await, ("vault".to_owned(), 0, 3), "{what}");
        } else {
            match (state, keys.abort_migration(at(2)).await) {
                (Some(state), Ok(aborted)) if state < MigrationState::Switched => {
                    assert_eq!(aborted.state, MigrationState::Aborted);
                    assert_eq!(moving.at_rest().await, ("aws".to_owned(), 3, 0), "{what}");
                }
                (_, Err(error)) => assert_eq!(error.code(), "conflict", "{what}, {state:?}"),
                (state, Ok(_)) => panic!("{what}: aborted from {state:?}"),
            }
        }
        moving.all_opens(3, &what).await;
        true
    })
}

#[test]
fn an_abort_killed_after_any_write_can_be_repeated_or_turned_into_the_move() {
    for writes in 0.. {
        let moving = Move::new("aws", "vault", 3);
        let finished = pollster::block_on(async {
            let keys = moving.node();
            moving.plan(&keys, 1).await.unwrap();
            for _ in 0..3 {
                keys.advance_migration(at(1)).await.unwrap();
            }
            let mortal = Mortal::new(&moving.store, writes);
            if moving.node_over(mortal).abort_migration(at(2)).await.is_ok() {
                return true;
            }
            moving.all_opens(2, "abort killed").await;
            if writes % 2 == 0 {
                moving.node().abort_migration(at(3)).await.unwrap();
                assert_eq!(moving.at_rest().await, ("aws".to_owned(), 3, 0));
            } else {
                moving.go(&moving.node(), 3).await.unwrap();
                assert_eq!(moving.at_rest().await, ("vault".to_owned(), 0, 3));
            }
            false
        });
        if finished {
            assert!(writes > 1);
            break;
        }
    }
}

#[test]
fn a_kms_that_fails_at_any_call_leaves_a_move_that_is_resumed_without_repeating_what_was_checked() {
    for calls in 0..7 {
        let moving = Move::new("aws", "vault", 3);
        pollster::block_on(async {
            let keys = moving.node();
            moving.new.0.fail_after(calls, Fault::Unavailable);
            let error = moving.go(&keys, 1).await.unwrap_err();
            assert_eq!(error.code(), "kms_unavailable");
            moving.all_opens(1, "unavailable").await;
            moving.new.0.heal();
            moving.new.0.calls();
            let done = moving.go(&keys, 2).await.unwrap();
            assert_eq!((done.state, done.versions_rewrapped), (MigrationState::Done, 3));
            let expected = if calls == 0 { 7 } else { 6 - (calls - 1) / 2 * 2 };
            assert_eq!(moving.new.0.calls(), expected, "after {calls} calls");
        });
    }
}

#[test]
fn a_kms_that_refuses_leaves_the_tenant_where_it_was() {
    for (refuses, fault, code) in [
        ("old", Fault::Disabled, "key_disabled"),
        ("old", Fault::Denied, "kms_access_denied"),
        ("old", Fault::OtherPlaintext, "kms_wrong_key"),
        ("new", Fault::Disabled, "key_disabled"),
        ("new", Fault::OtherWrapped, "kms_wrong_key"),
        ("new", Fault::OtherPlaintext, "kms_wrong_key"),
        ("new", Fault::OtherKeyId, "kms_wrong_key"),
    ] {
        for after in [0, 1, 2] {
            let moving = Move::new("aws", "vault", 2);
            pollster::block_on(async {
                let keys = moving.node();
                let refusing = if refuses == "old" { &moving.old.0 } else { &moving.new.0 };
                moving.plan(&keys, 1).await.unwrap();
                refusing.fail_after(after, fault);
                let ended = keys.migrate(at(1)).await;
                refusing.heal();
                match ended {
                    // The old KMS is asked twice only, for two versions.
                    Ok(done) => assert_eq!((refuses, after, done.state), ("old", 2, MigrationState::Done)),
                    Err(error) => {
                        assert_eq!(error.code(), code, "{refuses} {fault:?} {after}");
                        assert_eq!(moving.at_rest().await, ("aws".to_owned(), 2, 0), "{refuses} {fault:?} {after}");
                        assert!(keys.describe(at(2)).await.unwrap().migration.is_none());
                    }
                }
                moving.all_opens(2, "refused").await;
            });
        }
    }
}

#[test]
fn a_lock_that_the_old_owner_sets_holds_until_the_switch_however_much_is_remembered() {
    let moving = Move::new("aws", "vault", 2);
    pollster::block_on(async {
        let keys = moving.node();
        let out = keys.current(&data(), at(0)).await.unwrap();
        moving.old.0.fail(None, Fault::Disabled);
        let error = moving.go(&keys, 1).await.unwrap_err();
        assert_eq!(error.code(), "key_disabled", "the key that is remembered does not carry the tenant out");
        assert_eq!(out.seal(b"x", &Context::empty()).unwrap_err().code(), "key_disabled");
        moving.old.0.heal();

        // All is wrapped and checked; before the switch a minute passes, and the owner thinks again.
        for (second, fault, code) in [(100, None, "ok"), (200, Some(Fault::Disabled), "key_disabled")] {
            let moving = Move::new("aws", "vault", 2);
            let keys = moving.node();
            moving.plan(&keys, second).await.unwrap();
            while keys.advance_migration(at(second)).await.unwrap().state != MigrationState::Verified {}
            moving.old.0.calls();
            if let Some(fault) = fault {
                moving.old.0.fail(None, fault);
            }
            let ended = keys.migrate(at(second + 60)).await;
            assert_eq!(ended.map_or_else(|error| error.code(), |_| "ok"), code);
            assert_eq!(moving.old.0.calls(), 1, "asked once more");
        }
    });
}

#[test]
fn one_move_at_a_time_and_the_same_again_resumes_it() {
    let moving = Move::new("aws", "vault", 2);
    let (third, third_key) = provider("pkcs11", 6);
    pollster::block_on(async {
        let keys = moving.node();
        assert_eq!(keys.migrate(at(1)).await.unwrap_err().code(), "conflict");
        assert_eq!(keys.abort_migration(at(1)).await.unwrap_err().code(), "conflict");
        let planned = moving.plan(&keys, 1).await.unwrap();
        assert_eq!((planned.state, planned.provider.as_str(), planned.versions), (MigrationState::Planned, "vault", 2));
        let elsewhere = keys.change_provider(third.clone(), std::slice::from_ref(&third_key), 0, at(1)).await;
        assert_eq!(elsewhere.unwrap_err().code(), "migration_in_progress");
        assert_eq!(keys.rewrap(&[], &[], at(1)).await.unwrap_err().code(), "migration_in_progress");
        keys.advance_migration(at(1)).await.unwrap();
        let again = moving.plan(&keys, 1).await.unwrap();
        assert_eq!((again.state, again.versions_rewrapped), (MigrationState::Wrapping, 1));
        assert_eq!(keys.migrate(at(1)).await.unwrap().state, MigrationState::Done);

        let there = moving.plan(&keys, 2).await.unwrap();
        assert_eq!((there.state, there.versions_rewrapped, there.kms_calls), (MigrationState::Done, 0, 0));
        let back = keys.change_provider(moving.old.0.clone(), std::slice::from_ref(&moving.old.1), 0, at(3)).await;
        assert_eq!(back.unwrap().provider, "aws");
        assert_eq!(keys.migrate(at(3)).await.unwrap().versions_rewrapped, 2);
        moving.all_opens(4, "there and back").await;
    });
}

#[test]
fn what_cannot_be_planned_changes_nothing() {
    let moving = Move::new("aws", "vault", 1);
    pollster::block_on(async {
        let keys = moving.node();
        let new = || moving.new.0.clone();
        let many: Vec<_> = (0..8).map(|n| KeyId::new(format!("k{n}")).unwrap()).collect();
        for (key_ids, days) in [(&[][..], 0), (&[moving.new.1.clone(), moving.new.1.clone()][..], 0), (&many[..], 0)] {
            assert_eq!(keys.change_provider(new(), key_ids, days, at(1)).await.unwrap_err().code(), "usage");
        }
        let key_ids = std::slice::from_ref(&moving.new.1);
        assert_eq!(keys.change_provider(new(), key_ids, 31, at(1)).await.unwrap_err().code(), "usage");
        let unknown = KeyId::new("local:ffffffffffffffffffffffffffffffff").unwrap();
        assert_eq!(keys.change_provider(new(), &[unknown], 0, at(1)).await.unwrap_err().code(), "key_not_found");
        for (fault, code) in [(Fault::Unavailable, "kms_unavailable"), (Fault::Denied, "kms_access_denied")] {
            moving.new.0.fail(None, fault);
            assert_eq!(keys.change_provider(new(), key_ids, 0, at(1)).await.unwrap_err().code(), code);
            moving.new.0.heal();
        }
        keys.disable(at(2)).await.unwrap();
        assert_eq!(
            moving.plan(&keys, 2).await.unwrap_err().code(),
            "key_disabled",
            "no way around the tenant's own lock"
        );
        keys.enable(at(2)).await.unwrap();
        assert!(keys.describe(at(2)).await.unwrap().migration.is_none());
    });
}

#[test]
fn old_wrappings_are_kept_for_as_long_as_asked_and_lead_back() {
    let moving = Move::new("aws", "vault", 2);
    pollster::block_on(async {
        let keys = moving.node();
        let key_ids = std::slice::from_ref(&moving.new.1);
        keys.change_provider(moving.new.0.clone(), key_ids, 7, at(0)).await.unwrap();
        let switched = keys.migrate(at(0)).await.unwrap();
        assert_eq!((switched.state, switched.keep_old_until), (MigrationState::Switched, Some(at(7 * DAY))));
        assert_eq!(moving.at_rest().await, ("vault".to_owned(), 2, 2));
        assert_eq!(keys.abort_migration(at(1)).await.unwrap_err().code(), "conflict");
        keys.rotate(&data(), at(1)).await.unwrap();

        // Back within the week: only what was made since is wrapped.
        let back = keys.change_provider(moving.old.0.clone(), std::slice::from_ref(&moving.old.1), 0, at(DAY)).await;
        assert_eq!(back.unwrap().provider, "aws");
        assert_eq!(keys.migrate(at(DAY)).await.unwrap().versions_rewrapped, 1);
        assert_eq!(moving.at_rest().await, ("aws".to_owned(), 3, 0));

        keys.change_provider(moving.new.0.clone(), key_ids, 30, at(2 * DAY)).await.unwrap();
        keys.migrate(at(2 * DAY)).await.unwrap();
        assert_eq!(keys.migrate(at(32 * DAY - 1)).await.unwrap().state, MigrationState::Switched);
        assert_eq!(keys.migrate(at(32 * DAY)).await.unwrap().state, MigrationState::Done);
        assert_eq!(moving.at_rest().await, ("vault".to_owned(), 0, 3));
    });
}

#[test]
fn versions_made_on_the_way_get_both_wrappings_or_are_caught_up_with() {
    for steps in 0..5 {
        for reachable in [true, false] {
            let moving = Move::new("aws", "vault", 2);
            pollster::block_on(async {
                let keys = moving.node();
                moving.plan(&keys, 1).await.unwrap();
                for _ in 0..steps {
                    keys.advance_migration(at(1)).await.unwrap();
                }
                if !reachable && steps < 4 {
                    moving.new.0.fail(None, Fault::Unavailable);
                }
                keys.rotate(&data(), at(1)).await.unwrap();
                moving.new.0.heal();
                let sealed = keys.current(&data(), at(1)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
                assert_eq!(keys.migrate(at(1)).await.unwrap().state, MigrationState::Done);
                assert_eq!(moving.at_rest().await, ("vault".to_owned(), 0, 3), "after {steps} steps, {reachable}");
                let key = moving.node().for_sealed(&sealed, &data(), at(2)).await.unwrap();
                assert_eq!(key.open(&sealed, &Context::empty()).unwrap(), b"x");
                moving.all_opens(2, "rotated on the way").await;
            });
        }
    }
}

#[test]
fn of_two_nodes_that_take_a_step_at_once_one_is_told_and_the_move_ends() {
    let moving = Move::new("aws", "vault", 3);
    let (one, two) = (moving.node(), moving.node());
    pollster::block_on(async {
        moving.plan(&one, 1).await.unwrap();
        let rows = moving.store.load(&tenant("acme")).await.unwrap();
        one.advance_migration(at(1)).await.unwrap();
        // What the other node would write, had it read before.
        let late: Vec<_> = rows.iter().map(|row| KeyRow { generation: row.generation + 1, ..row.clone() }).collect();
        assert!(moving.store.write(&tenant("acme"), &late).await.is_err());
        two.advance_migration(at(1)).await.unwrap();
        assert_eq!(one.migrate(at(1)).await.unwrap().versions_rewrapped, 3);
    });
}

#[test]
fn a_node_that_does_not_know_the_new_provider_says_so_and_calls_nothing_off() {
    let moving = Move::new("aws", "vault", 1);
    pollster::block_on(async {
        moving.plan(&moving.node(), 1).await.unwrap();
        let records = KeyRecords::new(moving.store.clone(), SecretKey::copy_from(&[9; 32]));
        let other = Keyring::new(tenant("acme"), moving.old.0.clone(), records);
        assert_eq!(other.migrate(at(1)).await.unwrap_err().code(), "usage");
        assert!(other.current(&data(), at(1)).await.is_ok(), "it goes on with the old one");
        moving.node().migrate(at(1)).await.unwrap();
        other.forget();
        assert_eq!(other.current(&data(), at(1)).await.unwrap_err().code(), "usage");
    });
}

#[test]
fn events_tell_the_move_and_its_end() {
    let moving = Move::new("aws", "vault", 1);
    let observer = Arc::new(Memory::default());
    let keys = moving.node().with_observer(observer.clone());
    pollster::block_on(async {
        moving.go(&keys, 1).await.unwrap();
        let (third, third_key) = provider("pkcs11", 6);
        keys.change_provider(third, &[third_key], 0, at(2)).await.unwrap();
        keys.abort_migration(at(2)).await.unwrap();
    });
    let told: Vec<_> = observer.take().into_iter().filter(|event| event.starts_with("migration")).collect();
    let finished = ["migration.planned", "migration.switched", "migration.finished"];
    assert_eq!(told, [&finished[..], &["migration.planned", "migration.aborted"]].concat());
}

#[test]
fn keys_seal_and_open_at_every_step() {
    let moving = Move::new("aws", "vault", 3);
    pollster::block_on(async {
        let keys = moving.node().with_revocation_bound(Duration::ZERO).unwrap();
        moving.plan(&keys, 1).await.unwrap();
        loop {
            moving.all_opens(1, "on the way").await;
            let step = keys.advance_migration(at(1)).await.unwrap();
            assert!(keys.current(&data(), at(1)).await.is_ok(), "{:?}", step.state);
            if step.state == MigrationState::Done {
                break;
            }
        }
        moving.all_opens(1, "there").await;
    });
}

#[test]
fn a_plan_tells_the_calls_that_the_move_then_takes() {
    for (old, versions) in [("aws", 1), ("aws", 4), ("internal", 1), ("internal", 4)] {
        let moving = Move::new(old, "vault", versions);
        pollster::block_on(async {
            let keys = moving.node();
            let planned = moving.plan(&keys, 1).await.unwrap();
            assert_eq!((planned.kms_calls, moving.new.0.calls()), (1, 1), "the target is described, and nothing else");
            let per_version = if old == "internal" { 2 } else { 3 };
            assert_eq!(planned.kms_calls_at_most, 1 + per_version * u64::from(versions), "{old}, {versions}");
            let done = keys.migrate(at(1)).await.unwrap();
            assert_eq!(
                (done.kms_calls, done.kms_calls_at_most),
                (planned.kms_calls_at_most, planned.kms_calls_at_most)
            );
        });
    }
}

#[test]
fn old_wrappings_are_deleted_by_the_housekeeper_when_their_days_are_over_and_not_before() {
    let moving = Move::new("aws", "vault", 2);
    pollster::block_on(async {
        let keys = moving.node();
        assert_eq!(keys.clean_due(at(0)).await.unwrap(), None, "nothing moves");
        let key_ids = std::slice::from_ref(&moving.new.1);
        keys.change_provider(moving.new.0.clone(), key_ids, 7, at(0)).await.unwrap();
        assert_eq!(keys.clean_due(at(30 * DAY)).await.unwrap(), None, "what has not switched is not due, ever");
        keys.migrate(at(0)).await.unwrap();
        assert_eq!(keys.clean_due(at(7 * DAY - 1)).await.unwrap(), None);
        assert_eq!(moving.at_rest().await, ("vault".to_owned(), 2, 2));
        // It is due also while the tenant is locked, and needs no KMS.
        keys.disable(at(7 * DAY)).await.unwrap();
        moving.old.0.fail(None, Fault::Unavailable);
        moving.new.0.fail(None, Fault::Unavailable);
        let cleaned = keys.clean_due(at(7 * DAY)).await.unwrap().unwrap();
        assert_eq!((cleaned.state, cleaned.old_wrappings_removed), (MigrationState::Done, 2));
        moving.new.0.heal();
        assert_eq!(moving.at_rest().await, ("vault".to_owned(), 0, 2));
        assert_eq!(keys.clean_due(at(8 * DAY)).await.unwrap(), None);
        keys.enable(at(8 * DAY)).await.unwrap();
        moving.all_opens(8 * DAY, "cleaned").await;
    });
}

/// The crash table of a move, row by row: what was left behind, and what a fresh node does with it.
#[test]
fn each_crash_point_of_the_table_leaves_what_it_says_and_a_fresh_node_goes_on() {
    use MigrationState::{Cleaning, Planned, Switched, Verified, Wrapping};
    // Writes of a move of three versions: plan, three wrappings, verified, switched, one cleaning, done.
    for (point, writes, state, (old, new), (calls_old, calls_new)) in [
        ("after planned", 1, Planned, (3, 0), (3, 6)),
        ("between wrap call and store", 1, Planned, (3, 0), (3, 6)),
        ("after some versions", 2, Wrapping, (3, 1), (2, 4)),
        ("after all versions", 4, Wrapping, (3, 3), (1, 0)),
        ("between verified and switched", 5, Verified, (3, 3), (1, 0)),
        ("after switched, before cleaning", 6, Switched, (3, 3), (0, 0)),
        ("during cleaning", 7, Cleaning, (0, 3), (0, 0)),
    ] {
        let moving = Move::new("aws", "vault", 3);
        pollster::block_on(async {
            let dying = moving.node_over(Mortal::new(&moving.store, writes));
            if point == "after planned" {
                moving.plan(&dying, 1).await.unwrap();
            } else {
                let error = moving.go(&dying, 1).await.unwrap_err();
                assert_eq!(error.code(), "store_unavailable", "{point}");
            }
            let left = moving.node().describe(at(2)).await.unwrap().migration.unwrap();
            let (provider, under_old, under_new) = moving.at_rest().await;
            assert_eq!((left.state, under_old, under_new), (state, old, new), "{point}");
            assert_eq!(provider, if state < Switched { "aws" } else { "vault" }, "{point}");
            moving.all_opens(2, point).await;

            // Long after: the old key is asked again before the switch, and never after it.
            moving.old.0.calls();
            moving.new.0.calls();
            let done = moving.node().migrate(at(1_000)).await.unwrap();
            assert_eq!((done.state, done.versions_rewrapped), (MigrationState::Done, 3), "{point}");
            assert_eq!((moving.old.0.calls(), moving.new.0.calls()), (calls_old, calls_new), "{point}");
            assert_eq!(moving.at_rest().await, ("vault".to_owned(), 0, 3), "{point}");
            moving.old.0.fail(None, Fault::Unavailable);
            moving.all_opens(1_000, point).await;
        });
    }
}

#[test]
fn a_switch_that_is_resumed_asks_the_old_owner_who_may_have_said_no_meanwhile() {
    let moving = Move::new("aws", "vault", 1);
    pollster::block_on(async {
        let dying = moving.node_over(Mortal::new(&moving.store, 3));
        moving.go(&dying, 1).await.unwrap_err();
        moving.old.0.fail(None, Fault::Disabled);
        let keys = moving.node();
        assert_eq!(keys.migrate(at(1_000)).await.unwrap_err().code(), "key_disabled");
        assert_eq!(moving.at_rest().await, ("aws".to_owned(), 1, 0), "called off: there is no way around the lock");
        assert_eq!(keys.current(&data(), at(1_000)).await.unwrap_err().code(), "key_disabled");
        moving.old.0.heal();
        moving.all_opens(1_010, "the owner relents").await;
    });
}

#[test]
fn a_target_that_cannot_be_used_does_not_take_the_place_of_the_kms_in_use() {
    let moving = Move::new("aws", "vault", 1);
    pollster::block_on(async {
        let keys = moving.node();
        // Another KMS of the provider that the keys are at, and of the same place.
        let (stranger, key_id) = provider("aws", 6);
        stranger.fail(None, Fault::Unavailable);
        let refused = keys.change_provider(stranger, &[key_id], 0, at(1)).await.unwrap_err();
        assert_eq!(refused.code(), "kms_unavailable");
        keys.forget();
        assert!(keys.current(&data(), at(2)).await.is_ok());
    });
}
