//! The statements that put row-level security in force.
//!
//! What is kept by the database names operators and functions with their schema, and the statements set `search_path`: they mean
//! the same whoever runs them.

use super::super::options::{EmptyRows, NullRows};
use super::{Column, GRANTS_SCHEMA, Roles, RowSecurity, quoted};

/// Where the statements look names up: nobody but a superuser makes anything there.
const PATH: &str = "pg_catalog, pg_temp";

pub(super) fn statements(rows: &RowSecurity) -> Vec<String> {
    let mut statements = vec![format!("SET LOCAL search_path = {PATH}"), check_roles(rows)];
    statements.extend(grants(&rows.roles));
    statements.push(check_ownership(rows));
    statements.extend(functions(&rows.roles));
    statements.extend(table(rows));
    statements.extend(view(rows));
    statements.push(check_privileges(rows));
    statements
}

/// A text of SQL that is a literal whatever `standard_conforming_strings` says. It holds no U+0000: names were checked.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A block that raises `message` if `condition` is not false.
fn stop_if(condition: &str, message: &str) -> String {
    let block = format!(
        "BEGIN IF ({condition}) IS DISTINCT FROM FALSE THEN RAISE EXCEPTION USING MESSAGE = {}, \
         ERRCODE = 'invalid_authorization_specification'; END IF; END",
        literal(message)
    );
    format!("DO {}", literal(&block))
}

/// The view reads as the owner, and readers as themselves: neither may pass over policies, nor be what is passed over to.
fn check_roles(rows: &RowSecurity) -> String {
    let Roles { owner, loader, reader } = &rows.roles;
    let member = |of: &str, role: &str| format!("pg_catalog.pg_has_role({}, {}, 'MEMBER')", literal(of), literal(role));
    let powerful = format!(
        "EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname IN ({}, {}) \
         AND (r.rolsuper OR r.rolbypassrls OR r.rolreplication))",
        literal(owner),
        literal(reader)
    );
    let conditions = [
        // Without a transaction `SET LOCAL` does nothing, and half an installation could stay.
        format!("pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.<>) '{PATH}'"),
        powerful,
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

fn grants(roles: &Roles) -> Vec<String> {
    let (loader, reader) = (quoted(&roles.loader), quoted(&roles.reader));
    vec![
        format!("CREATE SCHEMA IF NOT EXISTS {GRANTS_SCHEMA}"),
        format!(
            "CREATE TABLE IF NOT EXISTS {GRANTS_SCHEMA}.grants (ticket pg_catalog.bytea NOT NULL, \
             data pg_catalog.text NOT NULL, version pg_catalog.text NOT NULL, \
             valid_until timestamp with time zone NOT NULL, fields pg_catalog.jsonb NOT NULL, \
             columns pg_catalog.jsonb NOT NULL, PRIMARY KEY (ticket, data))"
        ),
        format!("REVOKE ALL ON SCHEMA {GRANTS_SCHEMA} FROM PUBLIC"),
        // Default privileges of the database may have given more.
        format!("REVOKE ALL ON TABLE {GRANTS_SCHEMA}.grants FROM PUBLIC, {loader}, {reader}"),
        format!("GRANT USAGE ON SCHEMA {GRANTS_SCHEMA} TO {loader}"),
        format!("GRANT SELECT, INSERT, DELETE ON TABLE {GRANTS_SCHEMA}.grants TO {loader}"),
    ]
}

/// `IF NOT EXISTS` takes what is there, whoever made it: a reader's own table of grants would open everything.
fn check_ownership(rows: &RowSecurity) -> String {
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
         OR EXISTS (SELECT 1 FROM pg_catalog.pg_policies p WHERE p.schemaname = {schema} AND p.tablename = {name} \
            AND p.policyname NOT IN ('qsec_read', 'qsec_load'))"
    );
    stop_if(&condition, "the schema of the grants, or the table, is not the owner's alone, or has other policies")
}

/// Look-ups of what the ticket of the transaction stands for. They run as the owner, for readers cannot see the grants, and give
/// nothing but what is the ticket's own.
fn functions(roles: &Roles) -> Vec<String> {
    // A missing setting is NULL, and one that ended with its transaction is empty: neither is the hash of a ticket.
    let grant = "FROM qsec_section.grants g \
                 WHERE g.ticket = sha256(convert_to(current_setting('qsec.ticket', true), 'UTF8')) \
                 AND g.data = $1 AND g.valid_until > statement_timestamp()";
    let state = format!(
        "SELECT CASE jsonb_typeof(g.fields -> $2) WHEN 'null' THEN 'free' WHEN 'array' \
         THEN CASE WHEN jsonb_array_length(g.fields -> $2) > 0 THEN 'some' END END {grant}"
    );
    let listed = format!(
        "SELECT jsonb_array_elements_text(CASE jsonb_typeof(g.fields -> $2) WHEN 'array' THEN g.fields -> $2 END) {grant}"
    );
    let admits = format!("SELECT count(*) = 1 {grant}");
    let shows = format!("SELECT g.columns ? $2 {grant}");
    let one = [
        ("admits", "data text", "boolean", admits),
        ("state", "data text, field text", "text", state),
        ("listed", "data text, field text", "SETOF text", listed),
        ("shows", "data text, field text", "boolean", shows),
    ];
    let mut statements = Vec::new();
    for (name, arguments, result, body) in one {
        let arguments = arguments.replace("text", "pg_catalog.text");
        let result = result.replace("text", "pg_catalog.text").replace("boolean", "pg_catalog.bool");
        let signature = format!("{GRANTS_SCHEMA}.{name}({arguments})");
        statements.push(format!(
            "CREATE OR REPLACE FUNCTION {signature} RETURNS {result} LANGUAGE sql STABLE SECURITY DEFINER \
             SET search_path = pg_catalog, pg_temp AS {}",
            literal(&body)
        ));
        statements.push(format!("REVOKE ALL ON FUNCTION {signature} FROM PUBLIC"));
        statements.push(format!("GRANT EXECUTE ON FUNCTION {signature} TO {}", quoted(&roles.reader)));
    }
    statements
}

fn table(rows: &RowSecurity) -> Vec<String> {
    let Roles { owner, loader, reader } = &rows.roles;
    let (table, loader) = (rows.table.quoted(), quoted(loader));
    vec![
        format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
        // The owner is bound too: the view reads as the owner.
        format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
        format!("REVOKE ALL ON TABLE {table} FROM PUBLIC, {}", quoted(reader)),
        format!("DROP POLICY IF EXISTS qsec_read ON {table}"),
        format!("DROP POLICY IF EXISTS qsec_load ON {table}"),
        format!(
            "CREATE POLICY qsec_read ON {table} FOR SELECT TO {}, {} USING ({})",
            quoted(owner),
            quoted(reader),
            condition(rows)
        ),
        format!("CREATE POLICY qsec_load ON {table} FOR ALL TO {loader} USING (TRUE) WITH CHECK (TRUE)"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {table} TO {loader}"),
    ]
}

/// What a visible row satisfies. Sub-queries that name no column are answered once for a query.
fn condition(rows: &RowSecurity) -> String {
    let key = literal(&rows.key);
    let fields = rows.columns.iter().filter(|column| column.reduces).map(|column| field(rows, column));
    let admits = format!("(SELECT {GRANTS_SCHEMA}.admits({key}))");
    std::iter::once(admits).chain(fields).collect::<Vec<_>>().join(" AND ")
}

fn field(rows: &RowSecurity, column: &Column) -> String {
    let (key, name, column) = (literal(&rows.key), literal(&column.name), quoted(&column.name));
    let state = format!("(SELECT {GRANTS_SCHEMA}.state({key}, {name})) OPERATOR(pg_catalog.=)");
    // As a text, byte by byte, whatever the column's type and collation are.
    let text = format!("CAST({column} AS pg_catalog.text) COLLATE pg_catalog.\"C\"");
    let mut shown = vec![format!("{text} OPERATOR(pg_catalog.=) ANY (SELECT {GRANTS_SCHEMA}.listed({key}, {name}))")];
    if rows.null_rows == NullRows::Show {
        shown.push(format!("{column} IS NULL"));
    }
    if rows.empty_rows == EmptyRows::Show {
        shown.push(format!("{text} OPERATOR(pg_catalog.=) ''"));
    }
    format!("({state} 'free' OR {state} 'some' AND ({}))", shown.join(" OR "))
}

/// Privileges come by other roles too, such as `pg_read_all_data`: readers would see the omitted columns of their rows.
fn check_privileges(rows: &RowSecurity) -> String {
    let reader = literal(&rows.roles.reader);
    let tables = [literal(&rows.table.quoted()), format!("'{GRANTS_SCHEMA}.grants'")];
    let privileged = tables.iter().map(|table| {
        format!(
            "has_table_privilege({reader}, {table}, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES') \
             OR has_any_column_privilege({reader}, {table}, 'SELECT, INSERT, UPDATE, REFERENCES')"
        )
    });
    stop_if(&privileged.collect::<Vec<_>>().join(" OR "), "the reader has privileges beside the view")
}

fn view(rows: &RowSecurity) -> Vec<String> {
    let (view, reader, key) = (rows.view.quoted(), quoted(&rows.roles.reader), literal(&rows.key));
    let column = |column: &Column| {
        let (name, quoted) = (literal(&column.name), quoted(&column.name));
        if column.omittable {
            format!("CASE WHEN (SELECT {GRANTS_SCHEMA}.shows({key}, {name})) THEN data.{quoted} END AS {quoted}")
        } else {
            format!("data.{quoted}")
        }
    };
    let columns: Vec<String> = rows.columns.iter().map(column).collect();
    vec![
        format!("DROP VIEW IF EXISTS {view}"),
        // A barrier: what readers write in their queries sees no row before the policy has passed it.
        format!(
            "CREATE VIEW {view} WITH (security_barrier = true) AS SELECT {} FROM {} AS data",
            columns.join(", "),
            rows.table.quoted()
        ),
        // A plain view can be written through; default privileges may have given that.
        format!("REVOKE ALL ON TABLE {view} FROM PUBLIC, {reader}"),
        format!("GRANT SELECT ON TABLE {view} TO {reader}"),
        format!("GRANT USAGE ON SCHEMA {} TO {reader}", quoted(&rows.view.schema)),
    ]
}
