//! Opening files: what is made, what is refused, and what the refusals say.

use std::error::Error;
use std::fs;

use qsec_store::{OpenError, SettingRow, SettingStore, Store};
use sqlx::{Connection as _, SqliteConnection};

/// The message of an error and of everything below it.
fn whole(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn run(path: &std::path::Path, script: &'static str) {
    let mut session = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    sqlx::raw_sql(script).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn new_file_and_its_side_files_are_readable_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_file(folder.path().join("qsec.db")).await.unwrap();
    SettingStore::write(&store, &SettingRow { name: "a".to_owned(), generation: 1, body: vec![1] }).await.unwrap();
    let mut names = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["qsec.db", "qsec.db-shm", "qsec.db-wal"]);
}

#[tokio::test]
async fn rows_survive_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    let row = SettingRow { name: "zone".to_owned(), generation: 1, body: b"prod".to_vec() };
    let store = Store::open_file(&path).await.unwrap();
    SettingStore::write(&store, &row).await.unwrap();
    store.close().await;
    let store = Store::open_file(&path).await.unwrap();
    assert_eq!(SettingStore::get(&store, "zone").await.unwrap(), Some(row));
}

#[tokio::test]
async fn no_name_of_a_file_is_special() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x", "a?mode=memory", "a#b", "a%41", "with blank", "é", "'; DROP TABLE x; --"] {
        let path = folder.path().join(name);
        let row = SettingRow { name: name.to_owned(), generation: 1, body: vec![] };
        let store = Store::open_file(&path).await.unwrap();
        SettingStore::write(&store, &row).await.unwrap();
        store.close().await;
        assert!(fs::metadata(&path).unwrap().len() > 4096, "{name}");
        let store = Store::open_file(&path).await.unwrap();
        assert_eq!(SettingStore::get(&store, name).await.unwrap(), Some(row));
        assert_eq!(SettingStore::list(&store, "").await.unwrap().len(), 1);
        store.close().await;
    }
    // SQLite may still be removing the companions of the last one.
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let databases = files.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    assert_eq!(databases.count(), 8, "and no other file appeared");
}

#[tokio::test]
async fn name_that_means_memory_to_sqlite_is_a_file_in_the_working_folder() {
    struct Removed(&'static str);
    impl Drop for Removed {
        fn drop(&mut self) {
            drop(fs::remove_file(self.0));
        }
    }
    let file = Removed(":memory:");
    Store::open_file(file.0).await.unwrap().close().await;
    assert!(fs::metadata(file.0).unwrap().len() > 4096);
}

#[tokio::test]
async fn many_processes_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(Store::open_file(path.clone()))).collect();
    for store in opening {
        store.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    let mut paths = vec![folder.path().join("missing/qsec.db"), folder.path().join("file/qsec.db")];
    if cfg!(target_os = "linux") {
        // The kernel's own folder takes no files, not even from root.
        paths.push("/sys/qsec.db".into());
    }
    for path in paths {
        let error = Store::open_file(&path).await.unwrap_err();
        assert!(matches!(error, OpenError::Path { .. }), "{error:?}");
        assert_eq!(error.code(), "path_refused");
        assert!(!error.is_retryable());
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn schema_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    Store::open_file(&path).await.unwrap().close().await;
    run(&path, "INSERT INTO qsec_schema (version) VALUES (99)").await;
    let before = fs::read(&path).unwrap();
    let error = Store::open_file(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::SchemaNewer { found: 99, known: 1, .. }), "{error:?}");
    assert_eq!(error.code(), "schema_newer");
    assert!(error.to_string().contains("schema version 99, this program knows 1"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn file_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = ["CREATE TABLE notes (text TEXT)", "PRAGMA application_id = 42; CREATE TABLE notes (text TEXT)"];
    for (n, script) in scripts.into_iter().enumerate() {
        let path = folder.path().join(format!("{n}.db"));
        run(&path, script).await;
        let before = fs::read(&path).unwrap();
        let error = Store::open_file(&path).await.unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert_eq!(error.code(), "not_a_store");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    let text = b"Dear diary, ".repeat(1000);
    fs::write(&path, &text).unwrap();
    let error = Store::open_file(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert_eq!(error.code(), "store_damaged");
    assert!(whole(&error).contains("not a database"), "{}", whole(&error));
    assert_eq!(fs::read(&path).unwrap(), text);
}

#[tokio::test]
async fn folder_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open_file(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Path { .. }), "{error:?}");
}

#[tokio::test]
async fn closed_store_is_unavailable_and_says_what_was_being_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qsec.db");
    let store = Store::open_file(&path).await.unwrap();
    store.close().await;
    let error = SettingStore::get(&store, "zone").await.unwrap_err();
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("could not read a setting") && text.contains(path.to_str().unwrap()), "{text}");
}
