//! The statements that put row-level security in force.
//!
//! What is kept by the database names operators and functions with their schema, and the statements set `search_path`: they mean
//! the same whoever runs them.

use super::super::options::{EmptyRows, NullRows};
use super::{Column, GRANTS_SCHEMA, Guesses, Roles, RowSecurity, checks, quoted};

/// Where the statements look names up: nobody but a superuser makes anything there.
pub(super) const PATH: &str = "pg_catalog, pg_temp";

pub(super) fn statements(rows: &RowSecurity) -> Vec<String> {
    let mut statements = vec![format!("SET LOCAL search_path = {PATH}"), checks::roles(rows)];
    statements.extend(grants(&rows.roles));
    statements.extend([checks::ownership(rows), checks::inheritance(rows)]);
    statements.extend(checks::types(rows));
    statements.extend(functions(&rows.roles));
    statements.extend(table(rows));
    statements.push(parts(rows));
    statements.extend(view(rows));
    statements.extend([checks::privileges(rows), checks::views(rows)]);
    statements.extend([checks::foreign_keys(rows), checks::creation(rows)]);
    statements
}

/// A text of SQL that is a literal whatever `standard_conforming_strings` says. It holds no U+0000: names were checked.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
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

/// Look-ups of what the ticket of the transaction stands for. They run as the owner, for readers cannot see the grants, and give
/// nothing but what is the ticket's own.
fn functions(roles: &Roles) -> Vec<String> {
    // A missing setting is NULL, and one that ended with its transaction is empty: neither is the hash of a ticket.
    // By the clock, and not by when the statement began: a block of statements goes on for as long as its author likes.
    let grant = "FROM qsec_section.grants g \
                 WHERE g.ticket = sha256(convert_to(current_setting('qsec.ticket', true), 'UTF8')) \
                 AND g.data = $1 AND g.valid_until > clock_timestamp()";
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

/// Partitions and children have privileges of their own. By their own names only the loader reaches them; by the table's name
/// its policies count.
fn parts(rows: &RowSecurity) -> String {
    let Roles { loader, reader, .. } = &rows.roles;
    let (loader, reader) = (quoted(loader), quoted(reader));
    let all = [
        "ALTER TABLE %s ENABLE ROW LEVEL SECURITY".to_owned(),
        "ALTER TABLE %s FORCE ROW LEVEL SECURITY".to_owned(),
        format!("REVOKE ALL ON TABLE %s FROM PUBLIC, {}", reader.replace('%', "%%")),
        "DROP POLICY IF EXISTS qsec_read ON %s".to_owned(),
        "DROP POLICY IF EXISTS qsec_load ON %s".to_owned(),
        format!(
            "CREATE POLICY qsec_load ON %s FOR ALL TO {} USING (TRUE) WITH CHECK (TRUE)",
            loader.replace('%', "%%")
        ),
    ];
    let run = |sql: &String| format!("EXECUTE pg_catalog.format({}, part);", literal(sql));
    let block = format!(
        "DECLARE part pg_catalog.regclass; BEGIN FOR part IN WITH {} SELECT oid FROM family \
         WHERE oid <> pg_catalog.to_regclass({}) LOOP {} END LOOP; END",
        checks::family(&rows.table),
        literal(&rows.table.quoted()),
        all.iter().map(run).collect::<Vec<_>>().join(" ")
    );
    format!("DO {}", literal(&block))
}

fn view(rows: &RowSecurity) -> Vec<String> {
    let (view, reader) = (rows.view.quoted(), quoted(&rows.roles.reader));
    vec![
        format!("DROP VIEW IF EXISTS {view}"),
        format!("CREATE VIEW {view} WITH (security_barrier = true) AS {}", shown(rows)),
        // Default privileges may have given more.
        format!("REVOKE ALL ON TABLE {view} FROM PUBLIC, {reader}"),
        format!("GRANT SELECT ON TABLE {view} TO {reader}"),
        format!("GRANT USAGE ON SCHEMA {} TO {reader}", quoted(&rows.view.schema)),
    ]
}

/// What readers see. The view is a barrier: what they write in their queries sees no row before the policy has passed it. It lets
/// comparisons through that are marked leakproof, and an index then finds hidden rows by guessed values, which plans and
/// counters tell. Nothing goes through `OFFSET`.
fn shown(rows: &RowSecurity) -> String {
    let is_opaque = rows.guesses == Guesses::Hidden;
    let key = literal(&rows.key);
    let column = |Column { name, omittable, .. }: &Column| {
        let (name, quoted) = (literal(name), quoted(name));
        // Also a column that nobody has to do without: the planner knows statistics of a column, and none of what comes of it.
        if *omittable || is_opaque {
            format!("CASE WHEN (SELECT {GRANTS_SCHEMA}.shows({key}, {name})) THEN data.{quoted} END AS {quoted}")
        } else {
            format!("data.{quoted}")
        }
    };
    let columns: Vec<String> = rows.columns.iter().map(column).collect();
    let names: Vec<String> = rows.columns.iter().map(|column| quoted(&column.name)).collect();
    let table = rows.table.quoted();
    let data = if is_opaque { format!("(SELECT {} FROM {table} OFFSET 0)", names.join(", ")) } else { table };
    format!("SELECT {} FROM {data} AS data", columns.join(", "))
}
