//! What installing stops at: whatever would open the table beside the view, or tell readers of rows that they must not know.

use super::install::{PATH, literal};
use super::{GRANTS_SCHEMA, Name, Roles, RowSecurity};

/// Predefined roles that read and write files of the server, and so its data.
const FILE_ROLES: &str = "'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'";

/// A block that raises `message` if `condition` is not false.
fn stop_if(condition: &str, message: &str) -> String {
    let block = format!(
        "BEGIN IF ({condition}) IS DISTINCT FROM FALSE THEN RAISE EXCEPTION USING MESSAGE = {}, \
         ERRCODE = 'invalid_authorization_specification'; END IF; END",
        literal(message)
    );
    format!("DO {}", literal(&block))
}

/// The table and all that inherits from it, as the query `family`: to stand behind `WITH`.
pub(super) fn family(table: &Name) -> String {
    let table = literal(&table.quoted());
    format!(
        "RECURSIVE family AS (SELECT CAST(pg_catalog.to_regclass({table}) AS pg_catalog.oid) AS oid \
         UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN family f ON i.inhparent = f.oid)"
    )
}

/// The roles `r` that a reader is or can become: `SET ROLE` asks for membership alone, not whether it is inherited.
fn reachable(rows: &RowSecurity) -> String {
    format!("pg_catalog.pg_has_role({}, r.oid, 'MEMBER')", literal(&rows.roles.reader))
}

/// The view reads as the owner, and readers as themselves: neither may pass over policies, nor be what is passed over to.
pub(super) fn roles(rows: &RowSecurity) -> String {
    let Roles { owner, loader, reader } = &rows.roles;
    let member = |of: &str, role: &str| format!("pg_catalog.pg_has_role({}, {}, 'MEMBER')", literal(of), literal(role));
    let passes = "r.rolsuper OR r.rolbypassrls OR r.rolreplication";
    let conditions = [
        // Without a transaction `SET LOCAL` does nothing, and half an installation could stay.
        format!("pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.<>) '{PATH}'"),
        format!("EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = {} AND ({passes}))", literal(owner)),
        // Before PostgreSQL 16 whoever creates roles also makes themselves members of any that is no superuser.
        format!(
            "EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE {} \
             AND ({passes} OR r.rolcreaterole OR r.rolname IN ({FILE_ROLES})))",
            reachable(rows)
        ),
        format!("current_user OPERATOR(pg_catalog.<>) {}", literal(owner)),
        member(reader, owner),
        member(reader, loader),
        // A policy for the loader is one for its members: the owner's view would show everything.
        member(owner, loader),
    ];
    stop_if(
        &conditions.join(" OR "),
        "the roles do not hold: the owner runs this in one transaction, neither owner nor reader passes over row-level security, \
         none is a member of a role that sees more",
    )
}

/// `IF NOT EXISTS` takes what is there, whoever made it: a reader's own table of grants would open everything.
pub(super) fn ownership(rows: &RowSecurity) -> String {
    let own = "pg_catalog.pg_get_userbyid";
    let owner = literal(&rows.roles.owner);
    let (schema, name) = (literal(&rows.table.schema), literal(&rows.table.name));
    let condition = format!(
        "(SELECT {own}(n.nspowner) FROM pg_catalog.pg_namespace n WHERE n.nspname = '{GRANTS_SCHEMA}') IS DISTINCT FROM {owner} \
         OR EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = '{GRANTS_SCHEMA}' AND {own}(c.relowner) <> {owner}) \
         OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid \
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = '{GRANTS_SCHEMA}' AND NOT g.tgisinternal) \
         OR NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = {schema} AND c.relname = {name} AND c.relkind IN ('r', 'p') AND {own}(c.relowner) = {owner}) \
         OR EXISTS (WITH {} SELECT 1 FROM family f JOIN pg_catalog.pg_policy p ON p.polrelid = f.oid \
            WHERE p.polname NOT IN ('qsec_read', 'qsec_load'))",
        family(&rows.table)
    );
    stop_if(&condition, "the schema of the grants, or the table, is not the owner's alone, or has other policies")
}

/// The rows of a table are also those of what it inherits from, where other policies and privileges count; and what inherits
/// from it has rows that are reached by its own name.
pub(super) fn inheritance(rows: &RowSecurity) -> String {
    let condition = format!(
        "EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = pg_catalog.to_regclass({})) \
         OR EXISTS (WITH {} SELECT 1 FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.oid \
            WHERE c.relkind NOT IN ('r', 'p') OR pg_catalog.pg_get_userbyid(c.relowner) <> {})",
        literal(&rows.table.quoted()),
        family(&rows.table),
        literal(&rows.roles.owner)
    );
    stop_if(&condition, "the table is part of another one, or has parts that are not tables of the owner")
}

/// A reader chooses the text of a date, of a float: by `DateStyle`, `TimeZone`, `extra_float_digits` a hidden value would read as
/// one that is listed. What reduces is a string, an enumeration, a boolean, an exact number or a UUID: one value, one text.
pub(super) fn types(rows: &RowSecurity) -> Option<String> {
    let names: Vec<String> =
        rows.columns.iter().filter(|column| column.reduces).map(|one| literal(&one.name)).collect();
    if names.is_empty() {
        return None;
    }
    let condition = format!(
        "EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = pg_catalog.to_regclass({}) AND a.attname IN ({}) AND t.typcategory NOT IN ('S', 'E', 'B') \
         AND COALESCE(NULLIF(t.typbasetype, 0), t.oid) <> ALL \
         (CAST('{{int2, int4, int8, numeric, uuid}}' AS pg_catalog.regtype[])))",
        literal(&rows.table.quoted()),
        names.join(", ")
    );
    Some(stop_if(&condition, "a column that reduces is of a type whose text depends on settings that readers choose"))
}

/// Privileges come by other roles too, such as `pg_read_all_data`: readers would see the omitted columns of their rows.
pub(super) fn privileges(rows: &RowSecurity) -> String {
    let condition = format!(
        "EXISTS (WITH {} SELECT 1 FROM (SELECT oid FROM family UNION ALL \
            SELECT CAST('{GRANTS_SCHEMA}.grants' AS pg_catalog.regclass)) t, pg_catalog.pg_roles r WHERE {} \
         AND (has_table_privilege(r.oid, t.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES') \
            OR has_any_column_privilege(r.oid, t.oid, 'SELECT, INSERT, UPDATE, REFERENCES')))",
        family(&rows.table),
        reachable(rows)
    );
    stop_if(&condition, "the reader has privileges beside the view")
}

/// Views that are there already read as their owners: all rows, or the omitted columns of the visible ones.
pub(super) fn views(rows: &RowSecurity) -> String {
    let condition = format!(
        "EXISTS (WITH {}, derived AS (SELECT oid FROM family UNION SELECT w.ev_class FROM derived v \
            JOIN pg_catalog.pg_depend d ON d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = v.oid \
            JOIN pg_catalog.pg_rewrite w ON d.classid = CAST('pg_rewrite' AS regclass) AND d.objid = w.oid \
            WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend s WHERE s.classid = d.classid AND s.objid = d.objid \
               AND s.refclassid = CAST('pg_proc' AS regclass) \
               AND s.refobjid = pg_catalog.to_regprocedure('{GRANTS_SCHEMA}.shows(text, text)'))) \
         SELECT 1 FROM derived v, pg_catalog.pg_roles r WHERE v.oid NOT IN (SELECT oid FROM family) AND {} \
         AND (has_table_privilege(r.oid, v.oid, 'SELECT') OR has_any_column_privilege(r.oid, v.oid, 'SELECT')))",
        family(&rows.table),
        reachable(rows)
    );
    stop_if(&condition, "the reader has other views of the table")
}

/// Foreign keys are checked on all rows: whoever writes on one side finds out what is on the other, and `ON DELETE CASCADE`
/// deletes it.
pub(super) fn foreign_keys(rows: &RowSecurity) -> String {
    let writes = |table: &str, of_table: &str, of_column: &str| {
        format!(
            "(has_table_privilege(r.oid, {table}, '{of_table}') OR has_any_column_privilege(r.oid, {table}, '{of_column}'))"
        )
    };
    let condition = format!(
        "EXISTS (WITH {} SELECT 1 FROM pg_catalog.pg_constraint k, pg_catalog.pg_roles r WHERE k.contype = 'f' AND {} \
         AND (k.confrelid IN (SELECT oid FROM family) AND {} OR k.conrelid IN (SELECT oid FROM family) AND {}))",
        family(&rows.table),
        reachable(rows),
        writes("k.conrelid", "INSERT, UPDATE", "INSERT, UPDATE"),
        writes("k.confrelid", "UPDATE, DELETE", "UPDATE")
    );
    stop_if(&condition, "the reader writes a table that a foreign key ties to this one")
}

/// What one user makes runs in the sessions of others, who are the same role: a function that their statements call by
/// mistake reads what they read.
pub(super) fn creation(rows: &RowSecurity) -> String {
    let condition = format!(
        "EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE {} \
         AND (has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE') \
            OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n \
               WHERE n.nspname !~ '^pg_' AND has_schema_privilege(r.oid, n.oid, 'CREATE'))))",
        reachable(rows)
    );
    stop_if(&condition, "the reader creates what other users may run: revoke CREATE on the database and its schemas")
}
