//! Whose rows a session shows: tickets, transactions, roles, and what users of one role do to each other.

use std::time::Duration;

use qsec_authz::section::row_security::{RowSecurity, Ticket};
use sqlx::{AssertSqlSafe, Connection};

use crate::scene::{IDS, Reader, Scene};
use crate::server::run;

#[tokio::test]
async fn a_ticket_that_is_shown_outside_a_transaction_is_shown_to_nothing() {
    let Some(scene) = Scene::new().await else { return };
    let mut reader = scene.stranger().await;
    reader.run("ROLLBACK").await;
    reader.enter(&scene.ticket("ana").await).await;
    reader.run("BEGIN").await;
    reader.sees(IDS, &[]).await;
    scene.end().await;
}

/// A limit: a setting of the session is there until the session is cleaned.
#[tokio::test]
async fn a_ticket_that_is_set_for_the_session_is_there_until_it_is_cleaned() {
    let Some(scene) = Scene::new().await else { return };
    let (ana, bob) = (scene.ticket("ana").await, scene.ticket("bob").await);
    let mut reader = scene.stranger().await;
    reader.run(&format!("SELECT set_config('qsec.ticket', '{}', false); COMMIT; BEGIN", ana.expose_secret())).await;
    reader.sees(IDS, &["1", "3"]).await;
    // Whoever shows their own is not mistaken for her.
    reader.enter(&bob).await;
    reader.sees(IDS, &["2"]).await;
    for statement in ["COMMIT", "DISCARD ALL", "BEGIN"] {
        reader.run(statement).await;
    }
    reader.sees(IDS, &[]).await;
    scene.end().await;
}

#[tokio::test]
async fn statements_that_are_prepared_by_one_user_show_another_their_own() {
    let Some(scene) = Scene::new().await else { return };
    let mut reader = scene.reader("ana").await;
    reader.run("PREPARE ids (int) AS SELECT id::text FROM shown.sales WHERE id < $1 ORDER BY id").await;
    // Six times: from then on the server may keep one plan for all parameters.
    for _ in 0..6 {
        reader.sees("EXECUTE ids (9)", &["1", "3"]).await;
    }
    reader.run("COMMIT; BEGIN").await;
    reader.sees("EXECUTE ids (9)", &[]).await;
    reader.enter(&scene.ticket("bob").await).await;
    reader.sees("EXECUTE ids (9)", &["2"]).await;
    reader.run("ROLLBACK; BEGIN").await;
    reader.sees("EXECUTE ids (9)", &[]).await;
    scene.end().await;
}

#[tokio::test]
async fn a_ticket_ends_while_a_block_of_statements_goes_on() {
    let Some(scene) = Scene::new().await else { return };
    let mut reader = scene.stranger().await;
    reader.run("CREATE TEMP TABLE seen (ids bigint) ON COMMIT DROP").await;
    reader.enter(&scene.ticket_for("ana", Duration::from_secs(3)).await).await;
    reader.sees(IDS, &["1", "3"]).await;
    reader.run("DO $$ BEGIN PERFORM pg_sleep(3.1); INSERT INTO seen SELECT count(*) FROM shown.sales; END $$").await;
    reader.sees("SELECT ids::text FROM seen", &["0"]).await;
    scene.end().await;
}

/// A limit: such a transaction goes on seeing all as it was when it began, and what its ticket stood for.
#[tokio::test]
async fn a_revoked_ticket_is_seen_by_a_transaction_of_repeatable_reads_until_it_ends() {
    let Some(scene) = Scene::new().await else { return };
    let ticket = scene.ticket_for("ana", Duration::from_secs(3)).await;
    let mut reader = scene.stranger().await;
    reader.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await;
    reader.enter(&ticket).await;
    reader.sees(IDS, &["1", "3"]).await;
    revoke(&scene, &ticket).await;
    reader.sees(IDS, &["1", "3"]).await;
    reader.run("SELECT pg_sleep(3.1)").await;
    reader.sees(IDS, &[]).await;
    scene.end().await;
}

async fn revoke(scene: &Scene, ticket: &Ticket) {
    let revoke = RowSecurity::revoke(ticket);
    let query = sqlx::query(AssertSqlSafe(revoke.sql().to_owned())).bind(&revoke.parameters()[0]);
    query.execute(&mut scene.database.session("loader").await).await.unwrap();
}

/// A limit: a session that was opened by another role can go back to it.
#[tokio::test]
async fn a_session_that_only_took_the_role_of_the_reader_goes_back_to_more() {
    let Some(scene) = Scene::new().await else { return };
    let taken = scene.named("SET ROLE {reader}");
    for back in ["RESET ROLE", "SET ROLE NONE"] {
        let mut session = scene.database.superuser().await;
        run(&mut session, &format!("{taken}; BEGIN")).await;
        let mut switched = Reader { session };
        switched.is_refused("SELECT id::text FROM store.sales", "permission denied").await;
        switched.run(back).await;
        switched.sees("SELECT count(*)::text FROM store.sales", &["4"]).await;
    }
    // One that was opened as the reader has nowhere to go back to.
    let mut ana = scene.reader("ana").await;
    ana.run("RESET ROLE; RESET SESSION AUTHORIZATION").await;
    ana.is_refused("SELECT id::text FROM store.sales", "permission denied").await;
    ana.sees(IDS, &["1", "3"]).await;
    scene.end().await;
}

/// A limit: a role may change itself, and so all who share it. Users who log in by roles of their own, members of the reader,
/// change themselves alone.
#[tokio::test]
async fn settings_of_a_shared_role_are_for_all_who_share_it() {
    let Some(scene) = Scene::new().await else { return };
    let ana = scene.ticket("ana").await;
    let mut reader = scene.stranger().await;
    let ticket = format!("ALTER ROLE CURRENT_USER SET qsec.ticket = '{}'", ana.expose_secret());
    reader.is_refused(&ticket, "permission denied").await;
    reader.run("ALTER ROLE CURRENT_USER PASSWORD 'for-this-test'").await;
    reader.run("ALTER ROLE CURRENT_USER SET standard_conforming_strings = off; COMMIT").await;
    scene.stranger().await.sees("SHOW standard_conforming_strings", &["off"]).await;

    scene
        .as_role("superuser", "ALTER ROLE {reader} RESET ALL; CREATE ROLE {other} LOGIN PASSWORD 'for-this-test'")
        .await;
    scene.as_role("superuser", "GRANT {reader} TO {other}").await;
    let mut session = scene.database.session("other").await;
    run(&mut session, "BEGIN").await;
    let mut other = Reader { session };
    other.sees(IDS, &[]).await;
    other.enter(&ana).await;
    other.sees(IDS, &["1", "3"]).await;
    other
        .is_refused(&scene.named("ALTER ROLE {reader} SET standard_conforming_strings = off"), "permission denied")
        .await;
    other.is_refused(&scene.named("ALTER ROLE {reader} PASSWORD 'x'"), "permission denied").await;
    scene.end().await;
}

/// A limit: sessions of one role may end each other.
#[tokio::test]
async fn users_of_a_shared_role_can_end_the_sessions_of_others() {
    let Some(scene) = Scene::new().await else { return };
    let mut bob = scene.reader("bob").await;
    let backend = bob.ask("SELECT pg_backend_pid()::text").await.unwrap().remove(0);
    let mut ana = scene.reader("ana").await;
    ana.sees(&format!("SELECT pg_terminate_backend({backend}, 5000)::text"), &["true"]).await;
    assert!(bob.session.ping().await.is_err());
    scene.end().await;
}
