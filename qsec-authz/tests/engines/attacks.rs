//! What a reader may try, and what comes out: the list of `section::row_security`, one by one, on a real server.

use std::process::Command;
use std::time::Duration;

use qsec_authz::section::row_security::{Roles, RowSecurity, Ticket};
use qsec_authz::section::{Identity, SectionAccess};
use sqlx::{AssertSqlSafe, Connection};

use crate::scene::{IDS, Reader, Scene};
use crate::server::{Database, run};

#[tokio::test]
async fn tickets_are_all_that_counts() {
    let Some(scene) = Scene::new().await else { return };
    scene.reader("ana").await.sees(IDS, &["1", "3"]).await;
    scene.reader("bob").await.sees(IDS, &["2"]).await;
    scene.reader("boss").await.sees(IDS, &["1", "2", "3", "4"]).await;

    let mut stranger = scene.stranger().await;
    stranger.sees(IDS, &[]).await;
    for guess in ["''", "NULL", "'ana'", "'ANA'", "repeat('0', 64)", "'\\x00'"] {
        stranger.ask(&format!("SELECT set_config('qsec.ticket', {guess}, true)")).await.unwrap();
        stranger.sees(IDS, &[]).await;
    }
    let ended = scene.ticket_for("ana", Duration::ZERO).await;
    stranger.enter(&ended).await;
    stranger.sees(IDS, &[]).await;
    let revoked = scene.ticket("ana").await;
    stranger.enter(&revoked).await;
    stranger.sees(IDS, &["1", "3"]).await;
    let revoke = RowSecurity::revoke(&revoked);
    let query = sqlx::query(AssertSqlSafe(revoke.sql().to_owned())).bind(&revoke.parameters()[0]);
    query.execute(&mut scene.database.session("loader").await).await.unwrap();
    stranger.sees(IDS, &[]).await;

    // The ticket ends with its transaction.
    let mut ana = scene.reader("ana").await;
    ana.run("COMMIT; BEGIN").await;
    ana.sees(IDS, &[]).await;
    ana.enter(&scene.ticket("ana").await).await;
    ana.run("RESET qsec.ticket").await;
    ana.sees(IDS, &[]).await;

    let mut loader = scene.database.session("loader").await;
    let all = scene.rows.revoke_all();
    sqlx::query(AssertSqlSafe(all.sql().to_owned())).bind(&all.parameters()[0]).execute(&mut loader).await.unwrap();
    run(&mut loader, &RowSecurity::sweep()).await;
    scene.end().await;
}

#[tokio::test]
async fn no_ticket_lasts_longer_than_readers_may() {
    let Some(scene) = Scene::new().await else { return };
    scene.ticket_for("ana", Duration::MAX).await;
    let mut loader = scene.database.session("loader").await;
    let late = "SELECT count(*) FROM qsec_section.grants WHERE valid_until > now() + interval '15 minutes 1 second'";
    assert_eq!(sqlx::query_scalar::<_, i64>(late).fetch_one(&mut loader).await.unwrap(), 0);
    scene.end().await;
}

#[tokio::test]
async fn what_protects_is_out_of_reach() {
    let Some(scene) = Scene::new().await else { return };
    let mut ana = scene.reader("ana").await;
    for (sql, why) in [
        ("SELECT region FROM store.sales", "permission denied"),
        ("TABLE qsec_section.grants", "permission denied"),
        ("SELECT qsec_section.listed('x', 'region')", "permission denied"),
        ("INSERT INTO shown.sales (region, id) VALUES ('NORTH', 2)", "cannot insert into view"),
        ("INSERT INTO store.sales VALUES ('NORTH', 2, '', 200)", "permission denied"),
        ("UPDATE shown.sales SET region = 'NORTH'", "cannot update view"),
        ("DELETE FROM shown.sales", "cannot delete from view"),
        ("TRUNCATE store.sales", "permission denied"),
        ("SELECT id::text FROM shown.sales FOR UPDATE", "permission denied"),
        ("LOCK TABLE store.sales IN ACCESS SHARE MODE", "permission denied"),
        ("COPY store.sales TO STDOUT", "permission denied"),
        ("COPY shown.sales TO STDOUT", "cannot copy from view"),
        ("ALTER TABLE store.sales NO FORCE ROW LEVEL SECURITY", "permission denied"),
        ("ALTER VIEW shown.sales RESET (security_barrier)", "must be owner"),
        ("DROP POLICY qsec_read ON store.sales", "permission denied"),
        ("CREATE TABLE shown.other (a int)", "permission denied"),
        // What a row is, where it lies, and samples of it.
        ("SELECT ctid::text FROM shown.sales", "does not exist"),
        ("SELECT id::text FROM shown.sales TABLESAMPLE SYSTEM (100)", "can only be applied to tables"),
        ("SELECT id::text FROM store.sales TABLESAMPLE SYSTEM (100)", "permission denied"),
        ("SELECT NULL::store.sales::text", "permission denied"),
        ("SELECT row(s.*)::store.sales::text FROM shown.sales s", "permission denied"),
        // What would be told of rows as they come, or derived from them.
        (
            "CREATE TRIGGER t BEFORE INSERT ON store.sales EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "permission denied",
        ),
        (
            "CREATE TRIGGER t INSTEAD OF INSERT ON shown.sales FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "permission denied",
        ),
        ("CREATE RULE r AS ON INSERT TO shown.sales DO INSTEAD NOTHING", "must be owner"),
        ("CREATE TEMP TABLE t (id int REFERENCES store.sales (id))", "permission denied"),
        ("CREATE TEMP TABLE t () INHERITS (store.sales)", "permission denied"),
        ("CREATE TEMP TABLE t (LIKE store.sales INCLUDING ALL)", "permission denied"),
        ("CREATE MATERIALIZED VIEW shown.kept AS SELECT * FROM shown.sales", "permission denied"),
        ("CREATE STATISTICS shown.s ON region, id FROM store.sales", "permission denied"),
        ("CREATE PUBLICATION p FOR TABLE store.sales", "permission denied"),
        ("SELECT pg_logical_slot_peek_changes('x', NULL, NULL)::text", "replication role"),
        // Files of the server.
        ("COPY (SELECT 1) TO PROGRAM 'true'", "pg_execute_server_program"),
        ("COPY (SELECT 1) TO '/tmp/copied'", "pg_write_server_files"),
        ("SELECT pg_read_file('postgresql.conf')", "permission denied"),
        ("SELECT lo_import('/etc/hostname')::text", "permission denied"),
    ] {
        ana.is_refused(sql, why).await;
    }
    for role in ["owner", "loader"] {
        ana.is_refused(&format!("SET ROLE {}", scene.database.role(role)), "permission denied").await;
        let authorization = format!("SET SESSION AUTHORIZATION {}", scene.database.role(role));
        ana.is_refused(&authorization, "permission denied").await;
    }
    ana.run("SET LOCAL row_security = off").await;
    ana.is_refused(IDS, "row-level security").await;
    scene.end().await;
}

#[tokio::test]
async fn queries_of_any_kind_stay_within_the_rows() {
    let Some(scene) = Scene::new().await else { return };
    let mut ana = scene.reader("ana").await;
    for (sql, expected) in [
        ("SELECT count(*)::text FROM shown.sales", &["2"][..]),
        ("SELECT sum(id)::text FROM shown.sales", &["4"]),
        ("SELECT (max(id) OVER ())::text FROM shown.sales", &["3", "3"]),
        ("SELECT b.id::text FROM shown.sales a RIGHT JOIN shown.sales b ON a.id <> b.id ORDER BY 1", &["1", "3"]),
        (
            "SELECT s.id::text FROM generate_series(1, 9) g JOIN LATERAL (SELECT * FROM shown.sales WHERE id = g) s ON true",
            &["1", "3"],
        ),
        ("SELECT (SELECT count(*) FROM shown.sales WHERE region = 'SOUTH')::text", &["0"]),
        ("SELECT EXISTS (SELECT FROM shown.sales WHERE id = 2)::text", &["false"]),
        (
            "SELECT id::text FROM shown.sales UNION ALL SELECT id::text FROM shown.sales WHERE true OR region = 'SOUTH' ORDER BY 1",
            &["1", "1", "3", "3"],
        ),
        (
            "WITH RECURSIVE r AS (SELECT id FROM shown.sales UNION SELECT r.id + 1 FROM r JOIN shown.sales s ON s.id = r.id + 1) SELECT id::text FROM r ORDER BY 1",
            &["1", "3"],
        ),
        // Hidden rows are not evaluated: neither fails.
        ("SELECT id::text FROM shown.sales WHERE 1 / (id - 2) < 9 AND 1 / (id - 4) < 9 ORDER BY 1", &["1", "3"]),
        ("SELECT id::text FROM shown.sales WHERE note::int > 0 ORDER BY 1", &["1", "3"]),
        // Omitted is NULL wherever it is looked at.
        ("SELECT id::text FROM shown.sales WHERE cost > 0", &[]),
        ("SELECT max(cost)::text FROM shown.sales", &["NULL"]),
        ("SELECT (cost::text || 'x')::int::text FROM shown.sales", &["NULL", "NULL"]),
        (
            "SELECT row_to_json(s)::text FROM shown.sales s WHERE id = 1",
            &["{\"region\":\"NORTH\",\"id\":1,\"note\":\"11\",\"cost\":null}"],
        ),
        (
            "SELECT query_to_xml('SELECT id FROM shown.sales WHERE id = 2', false, false, '')::text",
            &["<table xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n\n</table>\n"],
        ),
        ("SELECT xpath('//id/text()', table_to_xml('shown.sales', true, false, ''))::text", &["{1,3}"]),
        ("SELECT xpath('//id/text()', schema_to_xml('shown', true, false, ''))::text", &["{1,3}"]),
        ("SELECT s::text FROM shown.sales s WHERE id = 1", &["(NORTH,1,11,)"]),
        ("SELECT (s).note FROM (SELECT s FROM shown.sales s) rows ORDER BY 1", &["11", "33"]),
        ("SELECT (jsonb_populate_record(s, '{\"id\": 2}')).note FROM shown.sales s ORDER BY 1", &["11", "33"]),
        ("SELECT note FROM shown.sales WHERE note > '2' OR note IS NULL", &["33"]),
    ] {
        ana.sees(sql, expected).await;
    }
    let ids = ana.ask("SELECT id::text FROM shown.sales ORDER BY cost DESC, id").await.unwrap();
    assert_eq!(ids, ["1", "3"]);
    scene.reader("bob").await.sees("SELECT cost::text FROM shown.sales", &["200"]).await;
    scene.end().await;
}

#[tokio::test]
async fn a_function_that_tells_is_called_with_visible_values_alone() {
    let Some(scene) = Scene::new().await else { return };
    let mut superuser = scene.database.superuser().await;
    run(
        &mut superuser,
        &format!("GRANT TEMPORARY ON DATABASE {} TO {}", scene.database.name(), scene.database.role("reader")),
    )
    .await;
    let mut ana = scene.reader("ana").await;
    ana.run(
        "CREATE TEMP TABLE told (what text);
         CREATE FUNCTION pg_temp.tell(what text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
         $$ BEGIN INSERT INTO told VALUES (what); RETURN true; END $$",
    )
    .await;
    ana.ask("SELECT id::text FROM shown.sales WHERE pg_temp.tell(note) AND pg_temp.tell(region) AND pg_temp.tell(cost::text)").await.unwrap();
    ana.sees("SELECT DISTINCT what FROM told ORDER BY 1", &["11", "33", "NORTH", "NULL"]).await;
    let leakproof = "ALTER FUNCTION pg_temp.tell(text) LEAKPROOF";
    ana.is_refused(leakproof, "only superuser").await;
    // An operator that tells, and one that is called as a built-in one.
    ana.run(
        "CREATE FUNCTION pg_temp.same(a text, b text) RETURNS bool LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO told VALUES ('operator ' || a); RETURN true; END $$;
         CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.same);
         CREATE TEMP TABLE sales (id int); INSERT INTO sales VALUES (99);
         SET LOCAL search_path = pg_temp, shown, pg_catalog",
    )
    .await;
    ana.sees("SELECT id::text FROM shown.sales ORDER BY id", &["1", "3"]).await;
    ana.sees(
        &scene.rows.select(&Scene::reduction("ana")).replace("\"region\", \"id\", \"note\"", "id::text"),
        &["1", "3"],
    )
    .await;
    ana.sees("SELECT what FROM told WHERE what LIKE 'operator %'", &[]).await;
    ana.sees("SELECT id::text FROM sales", &["99"]).await;
    scene.end().await;
}

#[tokio::test]
async fn error_messages_quote_visible_values_alone() {
    let Some(scene) = Scene::new().await else { return };
    let mut bob = scene.reader("bob").await;
    bob.is_refused("SELECT id::text FROM shown.sales WHERE note::int > 0", "\"secret two\"").await;
    let mut ana = scene.reader("ana").await;
    for sql in [
        "SELECT id::text FROM shown.sales WHERE region::int > 0",
        "SELECT id::text FROM shown.sales ORDER BY region::date",
    ] {
        ana.is_refused(sql, "\"NORTH\"").await;
    }
    scene.end().await;
}

#[tokio::test]
async fn prepared_statements_and_cursors_show_the_rows_of_the_ticket_they_run_under() {
    let Some(scene) = Scene::new().await else { return };
    let (ana, bob) = (scene.ticket("ana").await, scene.ticket("bob").await);
    let mut reader = scene.stranger().await;
    reader.enter(&ana).await;
    reader.run("PREPARE ids AS SELECT id::text FROM shown.sales ORDER BY id; SET LOCAL plan_cache_mode = force_generic_plan").await;
    reader.sees("EXECUTE ids", &["1", "3"]).await;
    reader.enter(&bob).await;
    reader.sees("EXECUTE ids", &["2"]).await;
    reader.run("RESET qsec.ticket").await;
    reader.sees("EXECUTE ids", &[]).await;

    reader.enter(&ana).await;
    reader.run("DECLARE c CURSOR FOR SELECT id::text FROM shown.sales ORDER BY id").await;
    reader.sees("FETCH 1 FROM c", &["1"]).await;
    reader.enter(&bob).await;
    reader.sees("FETCH ALL FROM c", &["3"]).await;

    // A limit: it outlasts the transaction, until the session is cleaned.
    reader.enter(&ana).await;
    reader.run("DECLARE held CURSOR WITH HOLD FOR SELECT id::text FROM shown.sales ORDER BY id; COMMIT; BEGIN").await;
    reader.sees("FETCH ALL FROM held", &["1", "3"]).await;
    for statement in ["COMMIT", "DISCARD ALL", "BEGIN"] {
        reader.run(statement).await;
    }
    reader.is_refused("FETCH ALL FROM held", "does not exist").await;
    scene.end().await;
}

#[tokio::test]
async fn a_savepoint_goes_back_to_the_ticket_that_was_shown_before() {
    let Some(scene) = Scene::new().await else { return };
    let mut reader = scene.reader("ana").await;
    reader.run("SAVEPOINT before").await;
    reader.enter(&scene.ticket("bob").await).await;
    reader.sees(IDS, &["2"]).await;
    reader.run("ROLLBACK TO SAVEPOINT before").await;
    reader.sees(IDS, &["1", "3"]).await;
    scene.end().await;
}

#[tokio::test]
async fn views_over_the_view_show_the_rows_of_the_ticket() {
    let Some(scene) = Scene::new().await else { return };
    let made = "CREATE SCHEMA made AUTHORIZATION {loader}; GRANT USAGE ON SCHEMA made TO {reader};
         GRANT USAGE ON SCHEMA shown TO {loader}; GRANT SELECT ON shown.sales TO {loader}";
    scene.as_role("superuser", made).await;
    let views = "CREATE VIEW made.again AS SELECT * FROM shown.sales;
         CREATE VIEW made.invoked WITH (security_invoker) AS SELECT * FROM shown.sales;
         GRANT SELECT ON made.again, made.invoked TO {reader}";
    scene.as_role("loader", views).await;
    let mut reader = scene.reader("ana").await;
    reader.run("CREATE TEMP VIEW mine AS SELECT * FROM shown.sales").await;
    for view in ["made.again", "made.invoked", "mine"] {
        reader.sees(&format!("SELECT id::text FROM {view} ORDER BY id"), &["1", "3"]).await;
    }
    reader.enter(&scene.ticket("bob").await).await;
    for view in ["made.again", "made.invoked", "mine"] {
        reader.sees(&format!("SELECT id::text FROM {view}"), &["2"]).await;
    }
    scene.end().await;
}

/// A limit: what was kept of a user's rows is there for all who may read it.
#[tokio::test]
async fn a_materialized_view_keeps_the_rows_of_the_ticket_under_which_it_is_refreshed() {
    let Some(scene) = Scene::new().await else { return };
    let kept = "CREATE MATERIALIZED VIEW shown.kept AS SELECT id::text FROM shown.sales; GRANT SELECT ON shown.kept TO {reader}";
    scene.as_role("owner", kept).await;
    let mut stranger = scene.stranger().await;
    stranger.sees("TABLE shown.kept", &[]).await;
    stranger.is_refused("REFRESH MATERIALIZED VIEW shown.kept", "must be owner").await;
    let ticket = scene.ticket("ana").await;
    let refresh = format!(
        "BEGIN; SELECT set_config('qsec.ticket', '{}', true); REFRESH MATERIALIZED VIEW shown.kept; COMMIT",
        ticket.expose_secret()
    );
    stranger.run("COMMIT; BEGIN").await;
    scene.as_role("owner", &refresh).await;
    stranger.sees("TABLE shown.kept", &["1", "3"]).await;
    scene.end().await;
}

#[tokio::test]
async fn a_copy_of_a_query_is_of_the_rows_of_the_ticket() {
    let Some(scene) = Scene::new().await else { return };
    let show = format!("SELECT set_config('qsec.ticket', '{}', true)", scene.ticket("ana").await.expose_secret());
    let copy = "COPY (SELECT id, cost FROM shown.sales ORDER BY id) TO STDOUT";
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &scene.database.url("reader")]);
    match psql.args(["-c", "BEGIN", "-c", &show, "-c", copy]).output() {
        Ok(copied) => {
            let (out, error) = (String::from_utf8_lossy(&copied.stdout), String::from_utf8_lossy(&copied.stderr));
            assert!(copied.status.success(), "{error}");
            assert_eq!(out.lines().skip(1).collect::<Vec<_>>(), ["1\t\\N", "3\t\\N"]);
        }
        Err(error) => println!("not run: psql: {error}"),
    }
    scene.end().await;
}

#[tokio::test]
async fn a_dump_by_the_reader_stops() {
    let Some(scene) = Scene::new().await else { return };
    let dump = Command::new("pg_dump").arg("--data-only").arg(scene.database.url("reader")).output();
    match dump {
        Ok(dump) => {
            let (out, error) = (String::from_utf8_lossy(&dump.stdout), String::from_utf8_lossy(&dump.stderr));
            assert!(!dump.status.success() && error.contains("permission denied"), "{error}");
            assert!(!out.contains("NORTH") && !out.contains("secret"), "{out}");
        }
        Err(error) => println!("not run: pg_dump: {error}"),
    }
    scene.end().await;
}

#[tokio::test]
async fn nobody_but_the_loader_sees_or_changes_the_table() {
    let Some(scene) = Scene::new().await else { return };
    let mut owner = scene.database.session("owner").await;
    let count = "SELECT count(*) FROM store.sales";
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut owner).await.unwrap(), 0);
    let write = "INSERT INTO store.sales VALUES ('EAST', 9, '', 9)";
    let error = sqlx::raw_sql(write).execute(&mut owner).await.unwrap_err().to_string();
    assert!(error.contains("row-level security policy"), "{error}");
    let mut loader = scene.database.session("loader").await;
    run(&mut loader, write).await;
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut loader).await.unwrap(), 5);
    scene.end().await;
}

/// Limits: they are documented, and these tests say when they change.
#[tokio::test]
async fn numbers_of_hidden_rows_and_statements_of_the_role_are_seen() {
    let Some(scene) = Scene::new().await else { return };
    let mut ana = scene.reader("ana").await;
    let plan = ana.ask("EXPLAIN (ANALYZE, TIMING off) SELECT id FROM shown.sales").await.unwrap().join("\n");
    assert!(plan.contains("Rows Removed by Filter: 2"), "{plan}");
    assert!(!plan.contains("NORTH") && !plan.contains("SOUTH") && !plan.contains("secret"), "{plan}");
    ana.sees("SELECT reltuples::text FROM pg_class WHERE relname = 'sales' AND relkind = 'r'", &["4"]).await;

    let mut other = scene.reader("bob").await;
    other.sees("SELECT 'bob was here'", &["bob was here"]).await;
    let seen = ana.ask("SELECT query FROM pg_stat_activity WHERE usename = current_user").await.unwrap().join("\n");
    assert!(seen.contains("bob was here"), "{seen}");
    // The ticket is a parameter, and in no statement.
    let ticket = scene.ticket("bob").await;
    let mut third = scene.stranger().await;
    third.enter(&ticket).await;
    let seen = ana.ask("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()").await.unwrap().join("\n");
    assert!(!seen.contains(ticket.expose_secret()), "{seen}");
    scene.end().await;
}

/// Limits: whoever sees more, and passes it on.
#[tokio::test]
async fn what_the_loader_makes_for_readers_shows_what_the_loader_sees() {
    let Some(scene) = Scene::new().await else { return };
    let (loader, reader) = (scene.database.role("loader"), scene.database.role("reader"));
    run(&mut scene.database.superuser().await, &format!("CREATE SCHEMA AUTHORIZATION {loader}")).await;
    let made = format!(
        "CREATE VIEW {loader}.all_sales AS SELECT * FROM store.sales;
         CREATE FUNCTION {loader}.total() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM store.sales';
         GRANT USAGE ON SCHEMA {loader} TO {reader}; GRANT SELECT ON {loader}.all_sales TO {reader}"
    );
    run(&mut scene.database.session("loader").await, &made).await;
    let mut stranger = scene.stranger().await;
    stranger.sees(&format!("SELECT count(*)::text FROM {loader}.all_sales"), &["4"]).await;
    stranger.sees(&format!("SELECT {loader}.total()::text"), &["4"]).await;
    scene.end().await;
}

#[tokio::test]
async fn names_cannot_break_out_of_their_quotes() {
    let Some(database) = Database::fresh().await else { return };
    let hostile = r#"a"b'c\d$$e;--"#;
    let quoted = format!("\"{}\"", hostile.replace('"', "\"\""));
    let access =
        format!("ACCESS,USERID,\"{0}\",OMIT\nUSER,ANA,\"it's \\ \"\"x\"\"\",V*\n", hostile.replace('"', "\"\""));
    let access = SectionAccess::parse([access]).unwrap().check_columns([hostile, "V'\\"]).unwrap();
    let roles = Roles::new(database.role("owner"), database.role("loader"), database.role("reader")).unwrap();
    let rows = RowSecurity::new(&access, [hostile, hostile], [hostile, "view'\\"], &roles).unwrap();
    let mut owner = database.session("owner").await;
    let table = format!(
        "SET standard_conforming_strings = off; CREATE SCHEMA {quoted}; GRANT USAGE ON SCHEMA {quoted} TO {};
         CREATE TABLE {quoted}.{quoted} ({quoted} text, \"V'\\\" text)",
        database.role("loader")
    );
    run(&mut owner, &table).await;
    run(&mut owner, &format!("BEGIN;\n{};\nCOMMIT", rows.install().join(";\n"))).await;
    let mut loader = database.session("loader").await;
    let insert = format!("INSERT INTO {quoted}.{quoted} VALUES ($1, 'v'), ('other', 'v')");
    sqlx::query(AssertSqlSafe(insert)).bind("IT'S \\ \"X\"").execute(&mut loader).await.unwrap();
    let (ticket, reduction) = (Ticket::generate().unwrap(), access.reduction(Identity::user("ana")).unwrap());
    let grant = rows.grant(&reduction, &ticket, Duration::from_mins(1)).unwrap();
    let query = sqlx::query(AssertSqlSafe(grant.sql().to_owned()));
    grant.parameters().iter().fold(query, sqlx::query::Query::bind).execute(&mut loader).await.unwrap();
    let mut reader = Reader { session: database.session("reader").await };
    reader.run("BEGIN").await;
    reader.enter(&ticket).await;
    reader.sees(&rows.select(&reduction), &["IT'S \\ \"X\""]).await;
    let view = format!("SELECT count(\"V'\\\")::text FROM {quoted}.\"view'\\\"");
    reader.sees(&view, &["0"]).await;
    loader.close().await.unwrap();
    database.end().await;
}
