//! What comes out beside the rows: plans, counters, statistics, sizes, errors of constraints. Each probe is also shown to work
//! where nothing stops it.

use std::fmt::Write as _;

use qsec_authz::section::row_security::Guesses;

use crate::scene::{IDS, Reader, Scene};
use crate::server::run;

/// Conditions of one kind: the first is true of a hidden row, the second of none.
const GUESSES: [[&str; 2]; 7] = [
    ["id = 2", "id = 7"],
    ["note = 'secret two'", "note = 'secret ten'"],
    ["region = 'SOUTH'", "region = 'SOUTX'"],
    ["id BETWEEN 4 AND 5", "id BETWEEN 8 AND 9"],
    ["note LIKE 'secret t%'", "note LIKE 'secret x%'"],
    ["region = ANY (ARRAY['SOUTH', 'x'])", "region = ANY (ARRAY['SOUTX', 'x'])"],
    ["note IN (SELECT 'secret two' UNION SELECT 'x')", "note IN (SELECT 'secret ten' UNION SELECT 'x')"],
];

/// A view of the table that is a barrier and nothing else, and indexes that guesses find hidden rows by.
async fn plain_barrier(scene: &Scene) {
    let view = "CREATE VIEW shown.plain WITH (security_barrier) AS SELECT region, id, note FROM store.sales;
         GRANT SELECT ON shown.plain TO {reader};
         CREATE INDEX ON store.sales (note COLLATE \"C\"); CREATE INDEX ON store.sales (note); CREATE INDEX ON store.sales (region)";
    scene.as_role("owner", view).await;
    // So many that estimates of what the policy passes are not all of one row.
    let more = "INSERT INTO store.sales SELECT 'SOUTH', n, 'note ' || n FROM generate_series(1000, 20999) n";
    scene.as_role("loader", more).await;
    scene.as_role("superuser", "ANALYZE store.sales").await;
}

/// The plan for a condition without the conditions in it, in a session that takes any index.
async fn told(reader: &mut Reader, explain: &str, view: &str, condition: &str) -> String {
    reader.run("SET LOCAL enable_seqscan = off").await;
    let plan = reader.ask(&format!("EXPLAIN ({explain}) SELECT id FROM {view} WHERE {condition}")).await.unwrap();
    let without = |line: &String| line.split_inclusive("Filter:").next().map(str::to_owned);
    let quotes = |line: &&String| line.contains(" Cond:") || line.contains(" Key:");
    plan.iter().filter(|line| !quotes(line)).filter_map(without).collect::<Vec<_>>().join("\n")
}

async fn guesses_differ(reader: &mut Reader, explain: &str, view: &str) -> Vec<bool> {
    let mut differ = Vec::new();
    for [hidden, nowhere] in GUESSES {
        let one = told(reader, explain, view, hidden).await;
        let other = told(reader, explain, view, nowhere).await;
        differ.push(one != other);
    }
    differ
}

#[tokio::test]
async fn plans_do_not_tell_which_values_are_hidden() {
    let Some(scene) = Scene::new().await else { return };
    plain_barrier(&scene).await;
    let mut ana = scene.reader("ana").await;
    let run = "ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off";
    assert_eq!(guesses_differ(&mut ana, run, "shown.sales").await, [false; 7]);
    assert_eq!(guesses_differ(&mut ana, "COSTS on", "shown.sales").await, [false; 7]);
    // Where nothing stops it, an index finds the hidden row, and statistics know the value.
    assert_eq!(guesses_differ(&mut ana, run, "shown.plain").await[..4], [true; 4]);
    assert_eq!(guesses_differ(&mut ana, "COSTS on", "shown.plain").await[2..3], [true]);
    scene.end().await;
}

#[tokio::test]
async fn guesses_that_may_be_told_are_served_by_indexes_and_show_no_row() {
    let Some(mut scene) = Scene::new().await else { return };
    plain_barrier(&scene).await;
    scene.rows = scene.rows.guesses(Guesses::Told);
    let mut boss = scene.reader("boss").await;
    let plan = "EXPLAIN (COSTS off) SELECT id FROM shown.sales WHERE id = 2";
    let by_index = |plan: Vec<String>| plan.iter().any(|line| line.contains("Index Cond: (id = 2)"));
    assert!(!by_index(boss.ask(plan).await.unwrap()));
    drop(boss);
    scene.as_role("owner", "DROP VIEW shown.plain").await;
    scene.install().await.unwrap();
    let mut ana = scene.reader("ana").await;
    assert!(by_index(ana.ask(plan).await.unwrap()));
    let run = "ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off";
    assert_eq!(guesses_differ(&mut ana, run, "shown.sales").await[..4], [true; 4], "as the documentation says");
    ana.sees(IDS, &["1", "3"]).await;
    for [hidden, _] in GUESSES {
        ana.sees(&format!("SELECT id::text FROM shown.sales WHERE {hidden}"), &[]).await;
    }
    ana.sees("SELECT count(cost)::text FROM shown.sales", &["0"]).await;
    ana.sees("SELECT id::text FROM shown.sales WHERE cost = 100", &[]).await;
    scene.end().await;
}

#[tokio::test]
async fn counters_of_the_transaction_do_not_tell_which_values_are_hidden() {
    let Some(scene) = Scene::new().await else { return };
    plain_barrier(&scene).await;
    let mut ana = scene.reader("ana").await;
    ana.run("SET LOCAL enable_seqscan = off").await;
    let mut counts = Vec::new();
    for view in ["shown.sales", "shown.plain"] {
        for condition in GUESSES[0] {
            let before = counted(&mut ana).await;
            ana.sees(&format!("SELECT id::text FROM {view} WHERE {condition}"), &[]).await;
            counts.push(counted(&mut ana).await - before);
        }
    }
    assert_eq!(counts[0], counts[1]);
    assert_ne!(counts[2], counts[3], "where nothing stops it");
    scene.end().await;
}

/// Rows of the table that this transaction has fetched.
async fn counted(reader: &mut Reader) -> i64 {
    let sql = "SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::text FROM pg_stat_xact_user_tables \
               WHERE schemaname = 'store' AND relname = 'sales'";
    reader.ask(sql).await.unwrap()[0].parse().unwrap()
}

/// A function of the reader's that tells what it is called with, here also as an operator whose selectivity is estimated.
const TELLS: &str = "CREATE TEMP TABLE told (what text);
     CREATE FUNCTION pg_temp.tell(what text, other text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
     $$ BEGIN INSERT INTO told VALUES (what); RETURN true; END $$;
     CREATE OPERATOR pg_temp.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.tell, RESTRICT = eqsel, JOIN = eqjoinsel)";

#[tokio::test]
async fn an_operator_that_tells_is_shown_no_statistics_by_the_planner() {
    let Some(scene) = Scene::new().await else { return };
    let open = "CREATE TABLE store.open AS SELECT * FROM (VALUES ('secret'), ('secret')) v (note); ANALYZE store.open;
         GRANT USAGE ON SCHEMA store TO {reader}; GRANT SELECT ON store.open TO {reader}";
    scene.as_role("owner", open).await;
    let many = "INSERT INTO store.sales SELECT 'SOUTH', n, 'secret' FROM generate_series(1000, 1300) n";
    scene.as_role("loader", many).await;
    scene.as_role("superuser", "ANALYZE store.sales").await;
    let mut ana = scene.reader("ana").await;
    ana.run(TELLS).await;
    for column in ["note", "region"] {
        ana.ask(&format!("EXPLAIN SELECT 1 FROM shown.sales WHERE {column} OPERATOR(pg_temp.===) 'x'")).await.unwrap();
    }
    ana.ask("EXPLAIN SELECT 1 FROM shown.sales a JOIN shown.sales b ON a.note OPERATOR(pg_temp.===) b.note")
        .await
        .unwrap();
    ana.sees("SELECT what FROM told", &[]).await;
    // Where readers may read, the planner asks the operator about the commonest values.
    ana.ask("EXPLAIN SELECT 1 FROM store.open WHERE note OPERATOR(pg_temp.===) 'x'").await.unwrap();
    ana.sees("SELECT DISTINCT what FROM told", &["secret"]).await;
    scene.end().await;
}

#[tokio::test]
async fn what_readers_ask_stands_above_the_policy_in_the_plan() {
    let Some(scene) = Scene::new().await else { return };
    let mut ana = scene.reader("ana").await;
    ana.run(
        "CREATE FUNCTION pg_temp.tell(what text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
         $$ BEGIN IF what LIKE 'secret%' THEN RAISE EXCEPTION '%', what; END IF; RETURN true; END $$",
    )
    .await;
    let asked = "SELECT id::text FROM shown.sales WHERE pg_temp.tell(note) ORDER BY id";
    above(&mut ana, asked).await;
    ana.sees(asked, &["1", "3"]).await;
    // Also what a superuser calls leakproof by mistake, which a barrier alone lets through.
    let function =
        ana.ask("SELECT format('%I.tell(text)', nspname) FROM pg_namespace WHERE oid = pg_my_temp_schema()").await;
    let function = function.unwrap().remove(0);
    ana.run("CREATE TEMP TABLE keep AS SELECT 1; COMMIT; BEGIN").await;
    scene.as_role("superuser", &format!("ALTER FUNCTION {function} LEAKPROOF")).await;
    ana.enter(&scene.ticket("ana").await).await;
    above(&mut ana, asked).await;
    ana.sees(asked, &["1", "3"]).await;
    ana.run("COMMIT").await;
    plain_barrier(&scene).await;
    ana.run("BEGIN").await;
    ana.enter(&scene.ticket("ana").await).await;
    ana.is_refused("SELECT id::text FROM shown.plain WHERE pg_temp.tell(note)", "secret").await;
    scene.end().await;
}

/// The condition of the reader is that of a node outside the scan of the table, whose own condition is the policy's alone.
async fn above(reader: &mut Reader, asked: &str) {
    let plan = reader.ask(&format!("EXPLAIN (COSTS off) {asked}")).await.unwrap().join("\n");
    let (outside, scan) = plan.split_once("Seq Scan on sales").expect(&plan);
    assert!(outside.contains("Subquery Scan on data") && outside.contains("tell"), "{plan}");
    assert!(scan.contains("Filter: ($") && !scan.contains("tell"), "{plan}");
}

#[tokio::test]
async fn statistics_of_columns_are_out_of_reach() {
    let Some(scene) = Scene::new().await else { return };
    let statistics = "CREATE STATISTICS store.both (mcv, ndistinct, dependencies) ON region, note FROM store.sales";
    scene.as_role("owner", statistics).await;
    scene.as_role("superuser", "ANALYZE store.sales").await;
    let mut ana = scene.reader("ana").await;
    for view in ["pg_stats", "pg_stats_ext"] {
        ana.sees(&format!("SELECT 'there' FROM {view} WHERE schemaname = 'store'"), &[]).await;
    }
    for table in ["pg_statistic", "pg_statistic_ext_data"] {
        ana.is_refused(&format!("SELECT 1 FROM {table}"), "permission denied").await;
    }
    scene.end().await;
}

/// Limits: numbers of rows of the whole table.
#[tokio::test]
async fn sizes_and_numbers_of_rows_are_seen() {
    let Some(scene) = Scene::new().await else { return };
    scene.as_role("superuser", "ANALYZE store.sales").await;
    let mut ana = scene.reader("ana").await;
    let table = "FROM pg_class WHERE relname = 'sales' AND relkind = 'r'";
    ana.sees(&format!("SELECT reltuples::text {table}"), &["4"]).await;
    ana.sees(&format!("SELECT (pg_relation_size(oid) > 0)::text {table}"), &["true"]).await;
    let live = "SELECT (n_live_tup >= 4)::text FROM pg_stat_user_tables WHERE relname = 'sales'";
    ana.sees(live, &["true"]).await;
    // By its name, which they may not look up, there is not even that.
    ana.is_refused("SELECT pg_relation_size('store.sales')::text", "permission denied").await;
    scene.end().await;
}

#[tokio::test]
async fn a_privilege_to_write_that_is_given_later_still_probes_no_key() {
    let Some(scene) = Scene::new().await else { return };
    let later =
        "GRANT USAGE ON SCHEMA store TO {reader}; GRANT INSERT, UPDATE, DELETE ON store.sales, shown.sales TO {reader}";
    scene.as_role("owner", later).await;
    let mut ana = scene.reader("ana").await;
    for row in ["('NORTH', 2, '', 1)", "('NORTH', 9, '', 200)", "('NORTH', 9, '', 9)"] {
        for conflict in ["", "ON CONFLICT DO NOTHING"] {
            let insert = format!("INSERT INTO store.sales VALUES {row} {conflict}");
            ana.is_refused(&insert, "violates row-level security policy").await;
        }
    }
    ana.is_refused("INSERT INTO shown.sales (id) VALUES (2) RETURNING id::text", "cannot insert into view").await;
    let mut writes = String::new();
    for write in ["UPDATE store.sales SET id = 2", "DELETE FROM store.sales"] {
        write!(writes, "{write};").unwrap();
        ana.is_refused(&format!("{write} RETURNING id::text"), "permission denied").await;
    }
    run(&mut ana.session, &writes).await;
    scene.reader("boss").await.sees(IDS, &["1", "2", "3", "4"]).await;
    scene.end().await;
}

/// A limit: a foreign key is checked on all rows. Installing stops where readers may write beside one; later nobody watches.
#[tokio::test]
async fn a_table_that_refers_to_this_one_and_is_opened_later_tells_which_keys_there_are() {
    let Some(scene) = Scene::new().await else { return };
    let later = "CREATE TABLE store.orders (sale int REFERENCES store.sales (id));
         GRANT USAGE ON SCHEMA store TO {reader}; GRANT INSERT ON store.orders TO {reader}";
    scene.as_role("owner", later).await;
    let mut ana = scene.reader("ana").await;
    ana.sees("INSERT INTO store.orders VALUES (2) RETURNING 'there'", &["there"]).await;
    ana.is_refused("INSERT INTO store.orders VALUES (7) RETURNING 'there'", "violates foreign key constraint").await;
    scene.end().await;
}
