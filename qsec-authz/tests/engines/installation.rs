//! Installing: what it stops at, what it closes, what it keeps.

use sqlx::AssertSqlSafe;

use crate::scene::{IDS, Scene};
use crate::server::run;

#[tokio::test]
async fn installing_stops_at_what_would_open_the_table() {
    const ROLES: &str = "the roles do not hold";
    const PRIVILEGES: &str = "privileges beside the view";
    let hostile = [
        ("CREATE POLICY open ON store.sales USING (true)", "other policies"),
        ("ALTER ROLE {owner} BYPASSRLS", ROLES),
        ("ALTER ROLE {reader} BYPASSRLS", ROLES),
        ("ALTER ROLE {reader} SUPERUSER", ROLES),
        ("ALTER ROLE {reader} REPLICATION", ROLES),
        ("ALTER ROLE {reader} CREATEROLE", ROLES),
        ("GRANT {owner} TO {reader}", ROLES),
        ("GRANT {loader} TO {reader}", ROLES),
        ("GRANT {loader} TO {owner}", ROLES),
        // Not inherited, and theirs with `SET ROLE`.
        ("CREATE ROLE {other} SUPERUSER; ALTER ROLE {reader} NOINHERIT; GRANT {other} TO {reader}", ROLES),
        ("CREATE ROLE {other} BYPASSRLS; GRANT {other} TO {reader}", ROLES),
        ("CREATE ROLE {other}; GRANT pg_execute_server_program TO {other}; GRANT {other} TO {reader}", ROLES),
        ("GRANT pg_read_server_files TO {reader}", ROLES),
        ("GRANT pg_read_all_data TO {reader}", PRIVILEGES),
        ("ALTER ROLE {reader} NOINHERIT; GRANT pg_write_all_data TO {reader}", PRIVILEGES),
        ("CREATE ROLE {other}; GRANT {other} TO {reader}; GRANT SELECT (cost) ON store.sales TO {other}", PRIVILEGES),
        ("CREATE ROLE {other}; GRANT {other} TO {reader}; GRANT REFERENCES (id) ON store.sales TO {other}", PRIVILEGES),
        ("CREATE ROLE {other}; GRANT {other} TO {reader}; GRANT TRIGGER ON store.sales TO {other}", PRIVILEGES),
        ("CREATE SCHEMA qsec_section AUTHORIZATION {reader}", "permission denied"),
        (
            "CREATE SCHEMA qsec_section AUTHORIZATION {reader}; GRANT ALL ON SCHEMA qsec_section TO {owner};
             CREATE TABLE qsec_section.grants (ticket bytea, data text, version text, valid_until timestamptz, fields jsonb, columns jsonb);
             ALTER TABLE qsec_section.grants OWNER TO {reader}; GRANT {reader} TO {owner}",
            "not the owner's alone",
        ),
    ];
    let Some(scene) = Scene::bare().await else { return };
    for (statement, why) in hostile {
        installing_stops(&scene, statement, why).await;
    }
    // Without any of them it does not stop.
    install_after(&scene, "").await.unwrap();
    scene.end().await;
}

/// Installing on the table stops, after a superuser ran the statement.
async fn installing_stops(scene: &Scene, statement: &str, why: &str) {
    let error = install_after(scene, statement).await.expect_err(statement);
    assert!(error.contains(why), "{error}: {statement}");
}

/// Installs after a superuser ran the statement, and takes both back.
async fn install_after(scene: &Scene, statement: &str) -> Result<(), String> {
    let mut session = scene.database.superuser().await;
    run(&mut session, &scene.named(&format!("BEGIN; {statement}; SET LOCAL ROLE {{owner}}"))).await;
    let install = scene.rows.install().join(";\n");
    let installed = sqlx::raw_sql(AssertSqlSafe(install)).execute(&mut session).await;
    run(&mut session, "ROLLBACK").await;
    installed.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn installing_stops_where_readers_could_plant_what_others_run() {
    let Some(scene) = Scene::bare().await else { return };
    for statement in [
        "GRANT CREATE ON SCHEMA shown TO {reader}",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "CREATE SCHEMA {reader} AUTHORIZATION {reader}",
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {reader}', current_database()); END $$",
        "CREATE ROLE {other}; GRANT {other} TO {reader}; ALTER SCHEMA shown OWNER TO {other}; GRANT ALL ON SCHEMA shown TO {owner}",
    ] {
        installing_stops(&scene, statement, "creates what other users may run").await;
    }
    scene.end().await;
}

#[tokio::test]
async fn installing_stops_at_foreign_keys_that_readers_could_probe_by() {
    let Some(scene) = Scene::bare().await else { return };
    for statement in [
        "CREATE TABLE store.orders (sale int REFERENCES store.sales (id)); GRANT INSERT ON store.orders TO {reader}",
        "CREATE TABLE store.orders (sale int REFERENCES store.sales (id)); GRANT UPDATE (sale) ON store.orders TO PUBLIC",
        "CREATE TABLE store.notes (note text PRIMARY KEY); INSERT INTO store.notes SELECT note FROM store.sales;
         ALTER TABLE store.sales ADD FOREIGN KEY (note) REFERENCES store.notes ON DELETE CASCADE;
         GRANT DELETE ON store.notes TO {reader}",
    ] {
        installing_stops(&scene, statement, "a foreign key ties to this one").await;
    }
    // Whoever only reads there finds out nothing about this table.
    let read =
        "CREATE TABLE store.orders (sale int REFERENCES store.sales (id)); GRANT SELECT ON store.orders TO {reader}";
    scene.as_role("superuser", read).await;
    scene.install().await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn installing_stops_at_other_views_of_the_table_that_readers_have() {
    let Some(scene) = Scene::bare().await else { return };
    for statement in [
        // As the owner: the rows are reduced, and the omitted columns are there.
        "CREATE VIEW shown.plain AS SELECT * FROM store.sales; ALTER VIEW shown.plain OWNER TO {owner}; GRANT SELECT ON shown.plain TO {reader}",
        "CREATE VIEW store.below AS SELECT * FROM store.sales; CREATE VIEW shown.above AS SELECT cost FROM store.below;
         GRANT SELECT (cost) ON shown.above TO PUBLIC",
        "CREATE MATERIALIZED VIEW shown.kept AS SELECT * FROM store.sales; GRANT SELECT ON shown.kept TO {reader}",
    ] {
        installing_stops(&scene, statement, "other views of the table").await;
    }
    // Views that readers do not have are no matter, nor is the one that installing made.
    scene.as_role("superuser", "CREATE VIEW store.below AS SELECT * FROM store.sales").await;
    scene.install().await.unwrap();
    scene.install().await.unwrap();
    scene.reader("ana").await.sees(IDS, &["1", "3"]).await;
    scene.end().await;
}

#[tokio::test]
async fn installing_stops_at_tables_that_are_part_of_others() {
    const PART: &str = "part of another one";
    let Some(scene) = Scene::bare().await else { return };
    for statement in [
        "CREATE TABLE store.everything (region text, id int, note text, cost int); GRANT SELECT ON store.everything TO {reader};
         ALTER TABLE store.sales INHERIT store.everything",
        "CREATE TABLE store.child () INHERITS (store.sales); ALTER TABLE store.child OWNER TO {loader}",
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE FOREIGN TABLE store.child () INHERITS (store.sales) SERVER s; ALTER FOREIGN TABLE store.child OWNER TO {owner}",
    ] {
        installing_stops(&scene, statement, PART).await;
    }
    let policy = "CREATE TABLE store.child () INHERITS (store.sales); ALTER TABLE store.child OWNER TO {owner};
         CREATE POLICY open ON store.child USING (true)";
    installing_stops(&scene, policy, "other policies").await;
    scene.end().await;
}

#[tokio::test]
async fn partitions_and_children_are_reached_by_the_name_of_the_table_alone() {
    let partitioned = "CREATE TABLE store.sales (region text, id int, note text, cost int) PARTITION BY LIST (region);
         CREATE TABLE store.\"north %s\" PARTITION OF store.sales FOR VALUES IN ('NORTH');
         CREATE TABLE store.rest PARTITION OF store.sales DEFAULT PARTITION BY LIST (region);
         CREATE TABLE store.south PARTITION OF store.rest FOR VALUES IN ('SOUTH');
         CREATE TABLE store.other PARTITION OF store.rest DEFAULT";
    let inherited = "CREATE TABLE store.sales (region text, id int, note text, cost int);
         CREATE TABLE store.\"north %s\" () INHERITS (store.sales);
         CREATE TABLE store.rest () INHERITS (store.\"north %s\"); CREATE TABLE store.south () INHERITS (store.rest);
         INSERT INTO store.south VALUES ('WEST', 5, '', 500)";
    for (create, in_south) in [(partitioned, "SOUTH"), (inherited, "WEST")] {
        let granted =
            "GRANT USAGE ON SCHEMA store TO {reader}; GRANT ALL ON ALL TABLES IN SCHEMA store TO PUBLIC, {reader}";
        let Some(scene) = Scene::over(&format!("{create}; {granted}")).await else { return };
        scene.stranger().await.sees("SELECT region FROM store.south", &[in_south]).await;
        scene.install().await.unwrap();
        let mut ana = scene.reader("ana").await;
        ana.sees(IDS, &["1", "3"]).await;
        for part in ["store.sales", "store.south", "store.rest", "store.\"north %s\""] {
            ana.is_refused(&format!("SELECT id::text FROM {part}"), "permission denied").await;
        }
        // The loader goes on loading, also by the names of the parts.
        scene.as_role("superuser", "GRANT ALL ON store.south TO {loader}").await;
        scene.as_role("loader", "INSERT INTO store.south VALUES ('SOUTH', 6, '', 600)").await;
        scene.reader("bob").await.sees(IDS, &["2", "6"]).await;
        scene.end().await;
    }
}

#[tokio::test]
async fn installing_twice_keeps_tickets_and_without_a_transaction_stops() {
    let Some(scene) = Scene::new().await else { return };
    let ticket = scene.ticket("ana").await;
    scene.install().await.unwrap();
    let mut reader = scene.stranger().await;
    reader.enter(&ticket).await;
    reader.sees(IDS, &["1", "3"]).await;
    let mut owner = scene.database.session("owner").await;
    let statements = scene.rows.install();
    sqlx::raw_sql(AssertSqlSafe(statements[0].clone())).execute(&mut owner).await.unwrap();
    let error = sqlx::raw_sql(AssertSqlSafe(statements[1].clone())).execute(&mut owner).await.unwrap_err().to_string();
    assert!(error.contains("in one transaction"), "{error}");
    scene.end().await;
}

/// A limit: what is attached later has the privileges that it comes with.
#[tokio::test]
async fn a_partition_that_is_attached_later_is_closed_by_installing_again() {
    let create = "CREATE TABLE store.sales (region text, id int, note text, cost int) PARTITION BY LIST (region);
         CREATE TABLE store.rest PARTITION OF store.sales DEFAULT; GRANT USAGE ON SCHEMA store TO {reader}";
    let Some(scene) = Scene::over(create).await else { return };
    scene.install().await.unwrap();
    let attach = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader};
         CREATE TABLE store.west PARTITION OF store.sales FOR VALUES IN ('WEST')";
    scene.as_role("owner", attach).await;
    scene.as_role("loader", "INSERT INTO store.sales VALUES ('WEST', 5, '', 500)").await;
    let mut ana = scene.reader("ana").await;
    ana.sees(IDS, &["1", "3"]).await;
    ana.sees("SELECT id::text FROM store.west", &["5"]).await;
    ana.run("COMMIT").await;
    scene.install().await.unwrap();
    ana.run("BEGIN").await;
    ana.is_refused("SELECT id::text FROM store.west", "permission denied").await;
    scene.end().await;
}

#[tokio::test]
async fn columns_that_reduce_have_one_text_whatever_readers_set() {
    let Some(scene) = Scene::bare().await else { return };
    scene.as_role("owner", "CREATE DOMAIN store.half AS float8").await;
    for (kind, cells) in [
        // Listed as `01/02/2024`, and a hidden day reads so under another `DateStyle`.
        ("date", "date '2024-02-01'"),
        ("timestamptz", "timestamptz '2024-02-01'"),
        // 1.3 reads as `1` where `extra_float_digits` is -15.
        ("double precision", "1.3"),
        ("real", "1.3"),
        ("money", "1"),
        ("interval", "interval '1 day'"),
        ("bytea", "'A'"),
        ("json", "'{}'"),
        ("text[]", "'{}'"),
        ("regclass", "'pg_class'"),
        ("store.half", "1.5"),
    ] {
        scene.as_role("owner", &format!("ALTER TABLE store.sales ALTER region TYPE {kind} USING {cells}")).await;
        let error = scene.install().await.expect_err(kind);
        assert!(error.contains("depends on settings that readers choose"), "{error}: {kind}");
    }
    scene.end().await;
}

#[tokio::test]
async fn strings_enumerations_exact_numbers_and_uuids_reduce() {
    for kind in ["varchar(9)", "char(9)", "name", "store.direction", "store.code"] {
        let Some(scene) = Scene::bare().await else { return };
        let types =
            "CREATE TYPE store.direction AS ENUM ('NORTH', 'SOUTH', 'north'); CREATE DOMAIN store.code AS varchar(9)";
        let change = format!("{types}; ALTER TABLE store.sales ALTER region TYPE {kind} USING region::{kind}");
        scene.as_role("owner", &change).await;
        scene.install().await.unwrap();
        scene.reader("ana").await.sees(IDS, &["1", "3"]).await;
        scene.end().await;
    }
    for (kind, cells) in [("int", "id"), ("numeric", "id"), ("bool", "true"), ("uuid", "md5('')::uuid")] {
        let Some(scene) = Scene::bare().await else { return };
        scene.as_role("owner", &format!("ALTER TABLE store.sales ALTER region TYPE {kind} USING {cells}")).await;
        scene.install().await.unwrap();
        scene.reader("ana").await.sees(IDS, &[]).await;
        scene.end().await;
    }
}

/// A limit: what `char(n)` pads is no part of its text. Blanks that were written are, elsewhere.
#[tokio::test]
async fn padding_of_char_is_not_compared_and_blanks_of_text_are() {
    for (kind, ids) in [("char(9)", &["1", "3", "7"][..]), ("varchar(9)", &["1", "3"]), ("text", &["1", "3"])] {
        let Some(scene) = Scene::bare().await else { return };
        scene.as_role("owner", &format!("ALTER TABLE store.sales ALTER region TYPE {kind}")).await;
        scene.install().await.unwrap();
        scene.as_role("loader", "INSERT INTO store.sales VALUES ('NORTH  ', 7, '', 700)").await;
        scene.reader("ana").await.sees(IDS, ids).await;
        scene.end().await;
    }
}
