//! Sealing objects again under the newest version: no crash loses one, skips one, or leaves one in between.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use qsec_crypto::kms::Fault;
use qsec_crypto::reencryption::{
    Cursor, FileCursor, FileObjects, Object, Objects, Reencryption, ReencryptionError, Swap,
};
use qsec_crypto::{Context, Event, Keyring, Observer, Purpose};

use crate::world::{World, at, data};

/// Objects and a cursor in memory, which stop before or after the effect of any call, as a process does that is killed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Inner>>);

#[derive(Debug, Clone, Default)]
struct Inner {
    objects: BTreeMap<String, (Vec<u8>, Context)>,
    beside: BTreeMap<String, Vec<u8>>,
    cursor: Option<String>,
    /// Half calls that are left, if it will be killed.
    left: Option<u32>,
    half_calls: u32,
    saves: u32,
    /// Told to have changed at each swap.
    restless: bool,
}

impl Inner {
    fn tick(&mut self) -> io::Result<()> {
        self.half_calls += 1;
        match &mut self.left {
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Shelf {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The same rows for a process of its own.
    fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.inner().clone())))
    }

    /// One call, with its effect between its two halves.
    fn call<T>(&self, effect: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.inner();
        inner.tick()?;
        let done = effect(&mut inner)?;
        inner.tick()?;
        Ok(done)
    }

    pub(crate) fn put(&self, id: &str, sealed: Vec<u8>, context: Context) {
        self.inner().objects.insert(id.to_owned(), (sealed, context));
    }

    fn sealed(&self, id: &str) -> Vec<u8> {
        self.inner().objects[id].0.clone()
    }
}

struct Reading(Shelf, io::Cursor<Vec<u8>>);

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let cursor = &mut self.1;
        self.0.call(|_| cursor.read(out))
    }
}

struct Writing(Shelf, String);

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.inner();
        let alive = inner.tick().and_then(|()| inner.tick());
        // Killed while it writes, half of it is there.
        let written = if alive.is_ok() { bytes.len() } else { bytes.len() / 2 };
        inner.beside.get_mut(&self.1).unwrap().extend_from_slice(&bytes[..written]);
        alive.map(|()| written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Objects for Shelf {
    fn list(&mut self, after: Option<&str>, most: usize) -> io::Result<Vec<Object>> {
        self.call(|inner| {
            let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_owned()));
            let behind = inner.objects.range((start, Bound::Unbounded));
            // Pages are short here, so that there are several.
            Ok(behind.take(most.min(5)).map(|(id, (_, context))| Object::new(id, context.clone())).collect())
        })
    }

    fn read(&mut self, object: &Object) -> io::Result<Box<dyn Read + Send>> {
        let sealed = self.call(|inner| {
            let found = inner.objects.get(&object.id).filter(|(sealed, _)| !sealed.is_empty());
            found.map(|(sealed, _)| sealed.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
        })?;
        Ok(Box::new(Reading(self.clone(), io::Cursor::new(sealed))))
    }

    fn write_beside(&mut self, object: &Object) -> io::Result<Box<dyn Write + Send>> {
        self.call(|inner| {
            inner.beside.insert(object.id.clone(), Vec::new());
            Ok(())
        })?;
        Ok(Box::new(Writing(self.clone(), object.id.clone())))
    }

    fn swap(&mut self, object: &Object) -> io::Result<Swap> {
        self.call(|inner| {
            if inner.restless {
                return Ok(Swap::Changed);
            }
            let new = inner.beside.remove(&object.id).unwrap();
            inner.objects.get_mut(&object.id).unwrap().0 = new;
            Ok(Swap::Swapped)
        })
    }

    fn discard(&mut self, object: &Object) -> io::Result<()> {
        self.call(|inner| {
            inner.beside.remove(&object.id);
            Ok(())
        })
    }
}

impl Cursor for Shelf {
    fn load(&mut self) -> io::Result<Option<String>> {
        self.call(|inner| Ok(inner.cursor.clone()))
    }

    fn save(&mut self, text: &str) -> io::Result<()> {
        self.call(|inner| {
            inner.cursor = Some(text.to_owned());
            inner.saves += 1;
            Ok(())
        })
    }
}

fn context(id: &str) -> Context {
    Context::from([("object", id)])
}

fn plaintext(id: &str) -> Vec<u8> {
    id.as_bytes().repeat(if id.contains("long") { 8_000 } else { 1 })
}

/// Three versions, and objects of every kind: what opens, and what does not.
fn library() -> (World, Shelf) {
    let (world, shelf) = (World::new(), Shelf::default());
    pollster::block_on(async {
        for version in 1..=3_u32 {
            let key = world.keys.current(&data(), at(0)).await.unwrap();
            for id in [format!("{version} long"), format!("{version} short"), format!("a{version}")] {
                shelf.put(&id, key.seal(&plaintext(&id), &context(&id)).unwrap(), context(&id));
            }
            let id = format!("{version} compact");
            shelf.put(&id, key.seal_compact_uncommitted(&plaintext(&id), &context(&id)).unwrap(), context(&id));
            if version == 1 {
                let mut flipped = key.seal(&plaintext("2 long flipped"), &context("x")).unwrap();
                let last = flipped.len() - 1;
                flipped[last] ^= 1;
                shelf.put("b flipped at its end", flipped, context("x"));
                shelf.put("c of another context", key.seal(b"c", &context("x")).unwrap(), context("y"));
                shelf.put("d plain", b"plain text".to_vec(), Context::empty());
                shelf.put("e gone", Vec::new(), Context::empty());
            }
            if version < 3 {
                world.keys.rotate(&data(), at(0)).await.unwrap();
            }
        }
    });
    world.keys.forget();
    world.kms.calls();
    world.observer.take();
    (world, shelf)
}

const FAILED: [&str; 4] = ["b flipped at its end", "c of another context", "d plain", "e gone"];
const OBJECTS: u64 = 16;

/// Each object is whole, under the version that it names and no other, with the context that it had.
async fn check(keys: &Keyring, shelf: &Shelf, original: &Shelf, what: &str) {
    let mut versions = Vec::new();
    for version in 1..=3 {
        versions.push(keys.version(&data(), version, at(0)).await.unwrap());
    }
    let ids: Vec<String> = original.inner().objects.keys().cloned().collect();
    assert_eq!(ids, shelf.inner().objects.keys().cloned().collect::<Vec<_>>(), "{what}: none is lost");
    for id in ids {
        let sealed = shelf.sealed(&id);
        if FAILED.contains(&id.as_str()) {
            assert_eq!(sealed, original.sealed(&id), "{what}: {id} is left as it is");
            continue;
        }
        let opening = versions.iter().filter_map(|key| key.open(&sealed, &context(&id)).ok()).collect::<Vec<_>>();
        assert_eq!(opening, [plaintext(&id)], "{what}: {id} opens under exactly one version");
        assert_eq!(sealed[1], original.sealed(&id)[1], "{what}: {id} keeps its suite");
    }
}

fn version_of(shelf: &Shelf, id: &str) -> u8 {
    shelf.sealed(id)[5]
}

pub(crate) async fn walk(keys: &Keyring, shelf: &mut Shelf) -> Result<Reencryption, ReencryptionError> {
    let mut cursor = shelf.clone();
    let mut work = Reencryption::plan(keys, &data(), &mut cursor, at(0)).await?;
    work.run(keys, shelf, &mut cursor, &mut |_| at(0)).await?;
    Ok(work)
}

#[test]
fn objects_move_to_the_newest_version_and_keep_suite_and_context() {
    let (world, mut shelf) = library();
    let original = shelf.copy();
    pollster::block_on(async {
        let work = walk(&world.keys, &mut shelf).await.unwrap();
        assert_eq!(world.kms.calls(), 3, "one for each version, none for an object");
        let progress = work.progress();
        assert_eq!((progress.done(), progress.already_newest(), progress.failed()), (8, 4, 4));
        assert_eq!((progress.seen(), progress.version(), progress.is_resumed()), (OBJECTS, 3, false));
        assert_eq!(progress.bytes(), 2 * (8_000 * 6 + 7 + 9 + 2));
        let failures: Vec<_> = progress.failures().iter().map(|failure| (&*failure.object, &*failure.code)).collect();
        let codes = ["not_opened", "not_opened", "malformed", "unreadable"];
        assert_eq!(failures, FAILED.into_iter().zip(codes).collect::<Vec<_>>());
        check(&world.keys, &shelf, &original, "done").await;
        let moved =
            original.inner().objects.keys().filter(|id| !FAILED.contains(&id.as_str())).cloned().collect::<Vec<_>>();
        assert!(moved.iter().all(|id| version_of(&shelf, id) == 3));
        assert!(shelf.inner().beside.is_empty());
        assert!(work.versions_without_objects(&world.keys, at(0)).await.unwrap().is_empty(), "of two it is not known");

        // Without those, version 2 has no objects left; version 1 has two that did not open.
        for id in &FAILED[2..] {
            shelf.inner().objects.remove(*id);
        }
        shelf.inner().cursor = None;
        let work = walk(&world.keys, &mut shelf).await.unwrap();
        assert_eq!((work.progress().done(), work.progress().already_newest()), (0, 12));
        assert_eq!(work.versions_without_objects(&world.keys, at(0)).await.unwrap(), [2]);
        world.keys.shred(&data(), 2, at(0)).await.unwrap();
        assert!(work.versions_without_objects(&world.keys, at(0)).await.unwrap().is_empty(), "shredded already");
        assert!(world.keys.version(&data(), 1, at(0)).await.is_ok(), "nothing is shredded by itself");
    });
}

#[test]
fn a_crash_before_or_after_any_call_leaves_each_object_whole_and_the_next_walk_ends() {
    let (world, template) = library();
    let mut points = 0_u32;
    let (mut resumed, mut drifted) = (0, 0);
    for left in 0.. {
        let what = format!("killed after {left} half calls");
        let mut shelf = template.copy();
        shelf.inner().left = Some(left);
        let finished = pollster::block_on(async {
            if walk(&world.other_node(), &mut shelf).await.is_ok() {
                return true;
            }
            let keys = world.other_node();
            shelf.inner().left = None;
            check(&keys, &shelf, &template, &what).await;
            let work = walk(&keys, &mut shelf).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            let progress = work.progress();
            resumed += u32::from(progress.is_resumed());
            drifted += u32::from(progress.done() != 8);
            assert_eq!((progress.seen(), progress.failed()), (OBJECTS, 4), "{what}: none is skipped or seen twice");
            // An object that was swapped and not counted yet is found where it should be.
            assert!([(8, 4), (7, 5)].contains(&(progress.done(), progress.already_newest())), "{what}: {progress:?}");
            check(&keys, &shelf, &template, &what).await;
            let all_newest = template
                .inner()
                .objects
                .keys()
                .filter(|id| !FAILED.contains(&id.as_str()))
                .all(|id| version_of(&shelf, id) == 3);
            assert!(all_newest, "{what}");
            assert!(shelf.inner().beside.is_empty(), "{what}: nothing is left beside");
            false
        });
        points += 1;
        if finished {
            break;
        }
    }
    assert!(points > 200, "{points} points");
    assert!(resumed > 100 && drifted >= 8, "{resumed} resumed, {drifted} found an object that was swapped already");
}

#[test]
fn a_walk_that_is_killed_again_and_again_ends_all_the_same() {
    let (world, template) = library();
    for every in [64, 80, 97] {
        let mut shelf = template.copy();
        let mut kills = 0;
        pollster::block_on(async {
            loop {
                shelf.inner().left = Some(every);
                if walk(&world.other_node(), &mut shelf).await.is_ok() {
                    break;
                }
                kills += 1;
                assert!(kills < 100, "it comes further each time");
                shelf.inner().left = None;
                check(&world.keys, &shelf, &template, &format!("kill {kills} after {every}")).await;
            }
            shelf.inner().left = None;
            let work = walk(&world.keys, &mut shelf).await.unwrap();
            assert_eq!((work.progress().seen(), work.progress().failed()), (OBJECTS, 4), "{every}");
        });
        assert!(kills > 1, "{every}");
    }
}

#[test]
fn a_lock_or_an_absent_kms_stops_the_walk_and_fails_no_object() {
    for (fault, code, retryable) in [
        (Fault::Disabled, "key_disabled", false),
        (Fault::Unavailable, "kms_unavailable", true),
        (Fault::Denied, "kms_access_denied", false),
    ] {
        let (world, mut shelf) = library();
        pollster::block_on(async {
            let mut cursor = shelf.clone();
            let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
            assert!(!work.advance(&world.keys, &mut shelf, &mut cursor, 3, at(0)).await.unwrap());
            world.kms.fail(None, fault);
            let error = loop {
                // Every object is asked for beyond the revocation bound.
                match work.advance(&world.keys, &mut shelf, &mut cursor, 1, at(100)).await {
                    Ok(finished) => assert!(!finished),
                    Err(error) => break error,
                }
            };
            assert_eq!((error.code(), error.is_retryable()), (code, retryable));
            assert_eq!((work.progress().failed(), work.progress().seen()), (0, 3));
            world.kms.heal();
            work.run(&world.keys, &mut shelf, &mut cursor, &mut |_| at(200)).await.unwrap();
            assert_eq!((work.progress().done(), work.progress().failed()), (8, 4), "the same work goes on");
        });
    }
    let (world, mut shelf) = library();
    pollster::block_on(async {
        let mut cursor = shelf.clone();
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        world.keys.disable(at(0)).await.unwrap();
        let error = work.advance(&world.keys, &mut shelf, &mut cursor, 1, at(0)).await.unwrap_err();
        assert_eq!(error.code(), "key_disabled", "the tenant's own lock");
        let planned = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await;
        assert_eq!(planned.unwrap_err().code(), "key_disabled");
    });
}

#[test]
fn objects_under_a_shredded_version_are_left_and_listed() {
    let (world, mut shelf) = library();
    pollster::block_on(async {
        world.keys.shred(&data(), 1, at(0)).await.unwrap();
        let work = walk(&world.keys, &mut shelf).await.unwrap();
        assert_eq!((work.progress().done(), work.progress().failed()), (4, 8));
        let destroyed = work.progress().failures().iter().filter(|failure| failure.code == "key_destroyed");
        assert_eq!(destroyed.count(), 6);
    });
}

#[test]
fn a_rotation_on_the_way_is_followed_and_a_new_walk_begins_again() {
    let (world, mut shelf) = library();
    pollster::block_on(async {
        let mut cursor = shelf.clone();
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        assert!(!work.advance(&world.keys, &mut shelf, &mut cursor, 8, at(0)).await.unwrap());
        world.keys.rotate(&data(), at(0)).await.unwrap();
        work.run(&world.keys, &mut shelf, &mut cursor, &mut |_| at(0)).await.unwrap();
        let versions = [version_of(&shelf, "1 long"), version_of(&shelf, "a1"), version_of(&shelf, "a3")];
        assert_eq!(versions, [3, 4, 4]);
        let offered = work.versions_without_objects(&world.keys, at(0)).await.unwrap();
        assert!(!offered.contains(&3), "objects were left under it");

        let again = walk(&world.keys, &mut shelf).await.unwrap();
        assert_eq!((again.progress().version(), again.progress().is_resumed()), (4, false));
        assert_eq!((version_of(&shelf, "1 long"), again.progress().seen()), (4, OBJECTS));
        let finished = walk(&world.keys, &mut shelf).await.unwrap();
        assert!(finished.progress().is_resumed() && finished.is_finished(), "finished stays finished");
    });
}

#[test]
fn an_object_that_another_node_sealed_under_a_newer_version_is_not_sealed_under_an_older_one() {
    let (world, mut shelf) = library();
    pollster::block_on(async {
        let mut cursor = shelf.clone();
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        let other = world.other_node();
        other.rotate(&data(), at(0)).await.unwrap();
        let newer = other.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
        shelf.put("0 newer", newer.clone(), Context::empty());
        // Within 5 s this node may not have heard of it; it reads the records again when it meets the version.
        work.run(&world.keys, &mut shelf, &mut cursor, &mut |_| at(3)).await.unwrap();
        assert_eq!(shelf.sealed("0 newer"), newer);
        assert_eq!((work.progress().done(), work.progress().failed()), (12, 4), "and all others are under it as well");
        assert_eq!(version_of(&shelf, "a3"), 4);
    });
}

#[test]
fn an_object_that_changes_all_the_time_is_left_and_listed() {
    let (world, mut shelf) = library();
    shelf.inner().restless = true;
    pollster::block_on(async {
        let original = shelf.copy();
        let work = walk(&world.keys, &mut shelf).await.unwrap();
        let changed = work.progress().failures().iter().filter(|failure| failure.code == "changed");
        assert_eq!((changed.count(), work.progress().done()), (8, 0));
        check(&world.keys, &shelf, &original, "restless").await;
        assert!(shelf.inner().beside.is_empty());
    });
}

/// Remembers what a recorder would be told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Telling>>);

/// An event's name and members.
type Telling = (String, Vec<(&'static str, String)>);

impl Observer for Told {
    fn observe(&self, event: &Event<'_>) {
        if event.name.starts_with("reencryption") {
            self.0.lock().unwrap().push((event.name.to_owned(), event.fields()));
        }
    }
}

#[test]
fn events_tell_the_start_each_ten_thousand_and_the_end() {
    let world = World::new();
    let told = Arc::new(Told::default());
    let mut shelf = Shelf::default();
    pollster::block_on(async {
        let keys = world.other_node().with_observer(told.clone());
        let key = keys.current(&data(), at(0)).await.unwrap();
        let old = key.seal(b"12345", &Context::empty()).unwrap();
        keys.rotate(&data(), at(0)).await.unwrap();
        let new = keys.current(&data(), at(0)).await.unwrap().seal(b"x", &Context::empty()).unwrap();
        for n in 0..20_001 {
            let sealed = if n == 7 { &old } else { &new };
            shelf.put(&format!("{n:05}"), sealed.clone(), Context::empty());
        }
        let mut cursor = shelf.clone();
        let mut work = Reencryption::plan(&keys, &data(), &mut cursor, at(0)).await.unwrap();
        assert!(told.0.lock().unwrap().is_empty(), "a plan starts nothing");
        assert!(!work.advance(&keys, &mut shelf, &mut cursor, 15_000, at(0)).await.unwrap());
        let mut work = Reencryption::plan(&keys, &data(), &mut cursor, at(0)).await.unwrap();
        let mut paced = 0_u64;
        let pace = &mut |progress: &qsec_crypto::reencryption::Progress| {
            assert_eq!(progress.seen(), 15_000 + paced);
            paced += 1;
            at(0)
        };
        work.run(&keys, &mut shelf, &mut cursor, pace).await.unwrap();
        assert_eq!(paced, 5_002, "before each object, and at the end");
    });
    let expected = |records: u64, bytes: u64, resumed: bool| {
        [("tenant", "acme".to_owned()), ("purpose", "data".to_owned()), ("version", "2".to_owned())]
            .into_iter()
            .chain([("records", records.to_string()), ("bytes", bytes.to_string()), ("resumed", resumed.to_string())])
            .collect::<Vec<_>>()
    };
    let events = told.0.lock().unwrap();
    let expected = [
        ("reencryption.started", expected(0, 0, false)),
        ("reencryption.progressed", expected(10_000, 5, false)),
        ("reencryption.started", expected(15_000, 5, true)),
        ("reencryption.progressed", expected(20_000, 5, true)),
        ("reencryption.finished", expected(20_001, 5, true)),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(name, fields)| (name.to_owned(), fields)).collect();
    assert_eq!(*events, expected);
    let saves = shelf.inner().saves;
    assert!(saves < 20_001 / 64 + 10, "what was not changed costs no save each: {saves}");
}

#[test]
fn a_cursor_that_is_not_of_these_objects_is_refused() {
    let (world, mut shelf) = library();
    pollster::block_on(async {
        let plan = async |text: &str| {
            shelf.inner().cursor = Some(text.to_owned());
            let planned = Reencryption::plan(&world.keys, &data(), &mut shelf.clone(), at(0)).await;
            planned.map(|_| ()).map_err(|error| (error.code(), error.is_retryable()))
        };
        assert_eq!(plan("x").await, Err(("cursor_invalid", false)));
        let other = Purpose::new("other").unwrap();
        world.keys.add_purpose(&other, at(0)).await.unwrap();
        shelf.inner().cursor = None;
        let mut cursor = shelf.clone();
        let mut work = Reencryption::plan(&world.keys, &other, &mut cursor, at(0)).await.unwrap();
        work.advance(&world.keys, &mut Shelf::default(), &mut cursor, 1, at(0)).await.unwrap();
        let text = shelf.inner().cursor.clone().unwrap();
        assert_eq!(plan(&text).await, Err(("cursor_invalid", false)), "of another purpose");

        shelf.inner().left = Some(0);
        let planned = Reencryption::plan(&world.keys, &data(), &mut shelf.clone(), at(0)).await;
        assert_eq!(
            planned.map(|_| ()).map_err(|error| (error.code(), error.is_retryable())),
            Err(("cursor_unavailable", true))
        );
        shelf.inner().left = None;
        shelf.inner().cursor = None;
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        let stranger = Keyring::new(crate::world::tenant("solo"), world.kms.clone(), world.records.clone());
        stranger.create(&world.key_ids, &[data()], at(0)).await.unwrap();
        let error = work.advance(&stranger, &mut shelf, &mut cursor, 1, at(0)).await.unwrap_err();
        assert_eq!(error.code(), "usage", "the keyring of another tenant");
        shelf.inner().left = Some(0);
        let error = work.advance(&world.keys, &mut shelf, &mut cursor, 1, at(0)).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("objects_unavailable", true));
    });
}

/// Files of a folder, sealed under version 1 of two.
fn folder(names: &[&str]) -> (World, tempfile::TempDir, Vec<(PathBuf, Context)>) {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let key = pollster::block_on(world.keys.current(&data(), at(0))).unwrap();
    let files = names.iter().map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, key.seal(&plaintext(name), &context(name)).unwrap()).unwrap();
        (path, context(name))
    });
    let files = files.collect();
    pollster::block_on(world.keys.rotate(&data(), at(0))).unwrap();
    (world, folder, files)
}

#[test]
fn files_are_sealed_beside_and_renamed_over_and_nothing_else_is_left() {
    let names = ["one", "two long", &"n".repeat(255)];
    let (world, folder, files) = folder(&names);
    pollster::block_on(async {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&files[0].0, PermissionsExt::from_mode(0o640)).unwrap();
        }
        let mut listed = files.clone();
        listed.push((folder.path().join("missing"), Context::empty()));
        listed.push((folder.path().to_owned(), Context::empty()));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&files[0].0, folder.path().join("link")).unwrap();
            listed.push((folder.path().join("link"), files[0].1.clone()));
        }
        let mut objects = FileObjects::new(listed.clone()).unwrap();
        let mut cursor = FileCursor::new(folder.path().join("cursor"));
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        work.run(&world.keys, &mut objects, &mut cursor, &mut |_| at(0)).await.unwrap();
        let unreadable = u64::try_from(listed.len() - files.len()).unwrap();
        assert_eq!((work.progress().done(), work.progress().failed()), (3, unreadable));
        for ((path, context), name) in files.iter().zip(names) {
            let sealed = std::fs::read(path).unwrap();
            assert_eq!(sealed[5], 2, "{name}");
            let key = world.keys.for_sealed(&sealed, &data(), at(0)).await.unwrap();
            assert_eq!(key.open(&sealed, context).unwrap(), plaintext(name));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |place: usize| std::fs::metadata(&files[place].0).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(0), 0o640, "the mode is kept");
            assert!(std::fs::symlink_metadata(folder.path().join("link")).unwrap().is_symlink());
        }
        let hidden = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        let hidden: Vec<_> = hidden.filter(|file| file.file_name().to_string_lossy().starts_with(".qsec-")).collect();
        assert!(hidden.is_empty(), "{hidden:?}");

        // A rerun knows that all is done; a list without the last one is not the list that the cursor is of.
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        assert!(work.is_finished() && work.advance(&world.keys, &mut objects, &mut cursor, 1, at(0)).await.unwrap());
        assert_eq!(work.progress().done(), 3);
        assert!(objects.list(Some("elsewhere"), 1).is_err());
    });
}

#[test]
fn paths_that_cannot_be_ids_are_refused() {
    let twice = [("a", ()), ("b", ()), ("a", ())].map(|(path, ())| (PathBuf::from(path), Context::empty()));
    let long = [(PathBuf::from("x".repeat(4_097)), Context::empty())];
    let empty = [(PathBuf::new(), Context::empty())];
    for error in [FileObjects::new(twice), FileObjects::new(long), FileObjects::new(empty)] {
        assert_eq!(error.unwrap_err().code(), "usage");
    }
    let none = FileObjects::new([]).unwrap();
    assert!(none.is_empty());
}

/// Files that someone writes to while they are sealed again, so many times.
struct Written(FileObjects, u32);

impl Objects for Written {
    fn list(&mut self, after: Option<&str>, most: usize) -> io::Result<Vec<Object>> {
        self.0.list(after, most)
    }

    fn read(&mut self, object: &Object) -> io::Result<Box<dyn Read + Send>> {
        self.0.read(object)
    }

    fn write_beside(&mut self, object: &Object) -> io::Result<Box<dyn Write + Send>> {
        if let Some(left) = self.1.checked_sub(1) {
            self.1 = left;
            let sealed = std::fs::read(&object.id)?;
            std::fs::write(format!("{}.other", object.id), &sealed)?;
            std::fs::rename(format!("{}.other", object.id), &object.id)?;
        }
        self.0.write_beside(object)
    }

    fn swap(&mut self, object: &Object) -> io::Result<Swap> {
        self.0.swap(object)
    }

    fn discard(&mut self, object: &Object) -> io::Result<()> {
        self.0.discard(object)
    }
}

#[test]
fn a_file_that_is_written_to_meanwhile_is_looked_at_again_and_never_overwritten() {
    for (writes, done, failed) in [(1, 1, 0), (2, 1, 0), (3, 0, 1)] {
        let (world, folder, files) = folder(&["one"]);
        pollster::block_on(async {
            let mut objects = Written(FileObjects::new(files.clone()).unwrap(), writes);
            let mut cursor = FileCursor::new(folder.path().join("cursor"));
            let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
            work.run(&world.keys, &mut objects, &mut cursor, &mut |_| at(0)).await.unwrap();
            assert_eq!((work.progress().done(), work.progress().failed()), (done, failed), "{writes} writes");
            let sealed = std::fs::read(&files[0].0).unwrap();
            let key = world.keys.for_sealed(&sealed, &data(), at(0)).await.unwrap();
            assert_eq!(key.open(&sealed, &files[0].1).unwrap(), b"one");
        });
    }
}

#[test]
fn a_file_left_beside_by_a_crash_is_replaced_and_a_link_put_there_is_not_written_through() {
    let (world, folder, files) = folder(&["one"]);
    pollster::block_on(async {
        let mut objects = FileObjects::new(files.clone()).unwrap();
        let object = objects.list(None, 1).unwrap().remove(0);
        objects.write_beside(&object).unwrap().write_all(b"torn").unwrap();
        let beside = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        let beside = beside.map(|file| file.path()).find(|path| *path != files[0].0).unwrap();
        #[cfg(unix)]
        {
            let victim = folder.path().join("victim");
            std::fs::write(&victim, b"mine").unwrap();
            std::fs::remove_file(&beside).unwrap();
            std::os::unix::fs::symlink(&victim, &beside).unwrap();
        }
        let mut cursor = FileCursor::new(folder.path().join("cursor"));
        let mut work = Reencryption::plan(&world.keys, &data(), &mut cursor, at(0)).await.unwrap();
        work.run(&world.keys, &mut objects, &mut cursor, &mut |_| at(0)).await.unwrap();
        assert_eq!(work.progress().done(), 1);
        assert!(!beside.exists());
        #[cfg(unix)]
        assert_eq!(std::fs::read(folder.path().join("victim")).unwrap(), b"mine");
    });
}

#[test]
fn a_running_walk_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (world, mut shelf) = library();
    let mut cursor = shelf.clone();
    pollster::block_on(async {
        let mut work = is_send(Reencryption::plan(&world.keys, &data(), &mut cursor, at(0))).await.unwrap();
        is_send(work.advance(&world.keys, &mut shelf, &mut cursor, 1, at(0))).await.unwrap();
        is_send(work.run(&world.keys, &mut shelf, &mut cursor, &mut |_| at(0))).await.unwrap();
    });
}

#[cfg(unix)]
#[test]
fn a_link_put_in_the_place_of_what_was_written_beside_is_neither_changed_nor_renamed() {
    use std::os::unix::fs::PermissionsExt;

    let (_world, folder, files) = folder(&["one"]);
    std::fs::set_permissions(&files[0].0, PermissionsExt::from_mode(0o644)).unwrap();
    let before = std::fs::read(&files[0].0).unwrap();
    let mut objects = FileObjects::new(files.clone()).unwrap();
    let object = objects.list(None, 1).unwrap().remove(0);
    assert!(objects.swap(&object).is_err(), "nothing was written");
    objects.read(&object).unwrap();
    objects.write_beside(&object).unwrap().write_all(b"sealed").unwrap();
    let beside = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok).map(|file| file.path());
    let beside = beside.into_iter().find(|path| *path != files[0].0).unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, b"mine").unwrap();
    std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::remove_file(&beside).unwrap();
    std::os::unix::fs::symlink(&victim, &beside).unwrap();
    assert_eq!(objects.swap(&object).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((std::fs::read(&files[0].0).unwrap(), std::fs::read(&victim).unwrap()), (before, b"mine".to_vec()));
}
