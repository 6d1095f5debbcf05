//! Reverse queries: the predicate asked of a resource, executed by SQLite and by PostgreSQL, and as an Arrow mask says what a
//! decision says.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use qsec_authz::section::Dialect;
use qsec_authz::visibility::{Column, Columns, Predicate, Reach, SqlFilter, Unsaid, Visibility};
use qsec_authz::{Action, AttributeValue, Context, Request, Resource, ResourceRef, Snapshot, Subject};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::runtime::Runtime;

use crate::properties::{compiled, policy};
use crate::rules::{asked, ruled};
use crate::server::{self, Database};

/// Generated policies, each with a table of resources and three requesters.
const CASES: u32 = 350;
/// On PostgreSQL, where nobody waits for them.
const CASES_IN_CI: u32 = 1_000;

/// The columns of the table, each with the attribute that it holds.
const COLUMNS: &[&str] = &[
    "type",
    "id",
    "name",
    "owner",
    "space",
    "app",
    "stream",
    "peers",
    "team",
    "published",
    "level",
    "kind",
    "objectType",
];

fn column(name: &str) -> Column {
    match name {
        "type" => Column::Type,
        "id" => Column::Id,
        "name" => Column::Name,
        "owner" => Column::Owner,
        "space" => Column::Space,
        "app" => Column::App,
        "stream" => Column::Stream,
        "peers" => Column::link("Peers"),
        "team" => Column::custom("Team"),
        "kind" => Column::attribute("type"),
        other => Column::attribute(other),
    }
}

fn columns(unsaid: Unsaid) -> Columns {
    let all = COLUMNS.iter().fold(Columns::new(unsaid), |columns, name| columns.column(column(name), *name));
    all.absent(Column::attribute("approved"))
}

/// A row of the table: a resource with at most one value of each, and how a decision is asked about it.
#[derive(Debug, Clone)]
struct Entry {
    cells: Vec<Option<String>>,
    resource: Resource,
    asked: ResourceRef,
}

fn first(value: &Value) -> Option<String> {
    match value {
        Value::Array(all) => all.iter().find_map(first),
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Null | Value::Object(_) => None,
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

fn named<'v>(values: &'v Value, name: &str) -> &'v Value {
    let found = values.as_object().and_then(|all| all.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)));
    found.map_or(&Value::Null, |(_, value)| value)
}

fn entry(body: &Value, id: Option<&str>, type_name: &str, stored: bool) -> Entry {
    let mut resource = Resource::new(type_name);
    let mut cells = Vec::new();
    for name in COLUMNS {
        let cell = match *name {
            "type" => Some(type_name.to_owned()),
            "id" => id.map(str::to_owned),
            "peers" => first(named(&body["links"], "Peers")),
            "team" => first(named(&body["custom"], "team")),
            "kind" if stored && type_name == "Space" && body["attributes"].is_null() => first(&body["type"]),
            "kind" => first(named(&body["attributes"], "type")),
            "name" | "owner" | "space" | "app" | "stream" => first(&body[name]),
            other => first(named(&body["attributes"], other)),
        };
        if let Some(text) = cell.clone() {
            resource = match *name {
                "type" => resource,
                "id" => resource.id(text),
                "name" => resource.name(text),
                "owner" => resource.owner(text),
                "space" => resource.space(text),
                "app" => resource.app(text),
                "stream" => resource.stream(text),
                "peers" => resource.link("Peers", [text]),
                "team" => resource.custom("Team", text),
                "kind" => resource.attribute("type", text),
                other => resource.attribute(other, AttributeValue::from(text)),
            };
        }
        cells.push(cell);
    }
    let asked = match id {
        Some(id) if stored => ResourceRef::id(id),
        _ => resource.clone().into(),
    };
    Entry { cells, resource, asked }
}

/// At most one value of each attribute and link: what a table can hold.
fn single(tenant: &mut Value) {
    for resource in tenant["resources"].as_object_mut().unwrap().values_mut() {
        for part in ["custom", "attributes"] {
            for value in resource[part].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
                *value = json!(first(value));
            }
        }
        if let Some(peers) = resource["links"]["Peers"].as_array_mut() {
            peers.truncate(1);
        }
    }
}

fn entries(tenant: &Value, others: &[Value]) -> Vec<Entry> {
    let spaces = tenant["spaces"].as_object().unwrap().iter().map(|(id, body)| entry(body, Some(id), "Space", true));
    let stored = tenant["resources"].as_object().unwrap().iter();
    let stored = stored.map(|(id, body)| entry(body, Some(id), body["type"].as_str().unwrap(), true));
    let described = others.iter().map(|request| &request["resource"]).filter(|body| !body["type"].is_null());
    let described = described.map(|body| entry(body, body["id"].as_str(), body["type"].as_str().unwrap(), false));
    spaces.chain(stored).chain(described).collect()
}

/// A database with one table of resources.
trait Engine {
    /// Puts other rows into the table.
    fn fill(&mut self, entries: &[Entry]);

    /// The numbers of the rows that the predicate selects.
    fn select(&mut self, predicate: &Predicate, unsaid: Unsaid) -> (Vec<usize>, Reach);
}

struct Sqlite {
    connection: SqliteConnection,
    runtime: Runtime,
}

impl Sqlite {
    fn in_memory() -> Self {
        let runtime = runtime();
        let connection = runtime.block_on(SqliteConnection::connect("sqlite::memory:")).unwrap();
        Self { connection, runtime }
    }
}

impl Engine for Sqlite {
    fn fill(&mut self, entries: &[Entry]) {
        // A column that ignores case: what is not said exactly would show.
        let columns: Vec<String> = COLUMNS.iter().map(|name| format!("`{name}` TEXT COLLATE NOCASE")).collect();
        let Self { connection, runtime } = self;
        runtime.block_on(async {
            sqlx::query("DROP TABLE IF EXISTS resources").execute(&mut *connection).await.unwrap();
            let text = format!("CREATE TABLE resources (number INTEGER, {})", columns.join(", "));
            sqlx::query(AssertSqlSafe(text)).execute(&mut *connection).await.unwrap();
            for (number, entry) in (0_i64..).zip(entries) {
                let places = vec!["?"; COLUMNS.len() + 1].join(", ");
                let text = format!("INSERT INTO resources VALUES ({places})");
                let mut insert = sqlx::query(AssertSqlSafe(text)).bind(number);
                for cell in &entry.cells {
                    insert = insert.bind(cell.clone());
                }
                insert.execute(&mut *connection).await.unwrap();
            }
        });
    }

    fn select(&mut self, predicate: &Predicate, unsaid: Unsaid) -> (Vec<usize>, Reach) {
        let (filter, text) = statement(predicate, Dialect::Sqlite, unsaid);
        let mut query = sqlx::query(AssertSqlSafe(text));
        for parameter in filter.parameters() {
            query = query.bind(parameter.clone());
        }
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection)).unwrap();
        (rows.iter().map(|row| usize::try_from(row.get::<i64, _>(0)).unwrap()).collect(), filter.reach())
    }
}

struct Postgres {
    connection: PgConnection,
    runtime: Runtime,
}

impl Postgres {
    async fn new_table(connection: &mut PgConnection) {
        // As in SQLite: columns that ignore case.
        let collation = "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
        server::run(connection, collation).await;
        let columns: Vec<String> = COLUMNS.iter().map(|name| format!("\"{name}\" text COLLATE nocase")).collect();
        server::run(connection, &format!("CREATE TEMP TABLE resources (number bigint, {})", columns.join(", "))).await;
    }
}

impl Engine for Postgres {
    fn fill(&mut self, entries: &[Entry]) {
        let width = COLUMNS.len();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width).map(|place| format!("${}", row * width + place)).collect();
            format!("({row}, {})", places.join(", "))
        };
        let rows: Vec<String> = (0..entries.len()).map(row).collect();
        let insert = format!("INSERT INTO resources VALUES {}", rows.join(", "));
        let insert = sqlx::query(AssertSqlSafe(insert)).persistent(false);
        let insert = entries.iter().flat_map(|entry| &entry.cells).fold(insert, sqlx::query::Query::bind);
        let Self { connection, runtime } = self;
        runtime.block_on(async {
            server::run(connection, "TRUNCATE resources").await;
            insert.execute(connection).await.unwrap();
        });
    }

    fn select(&mut self, predicate: &Predicate, unsaid: Unsaid) -> (Vec<usize>, Reach) {
        let (filter, text) = statement(predicate, Dialect::Postgres, unsaid);
        let query = sqlx::query(AssertSqlSafe(text)).persistent(false);
        let query = filter.parameters().iter().fold(query, sqlx::query::Query::bind);
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection)).unwrap();
        (rows.iter().map(|row| usize::try_from(row.get::<i64, _>(0)).unwrap()).collect(), filter.reach())
    }
}

fn statement(predicate: &Predicate, dialect: Dialect, unsaid: Unsaid) -> (SqlFilter, String) {
    let filter = predicate.to_sql(dialect, &columns(unsaid)).unwrap();
    let text = format!("SELECT number FROM resources WHERE {} ORDER BY number", filter.predicate());
    (filter, text)
}

#[cfg(feature = "arrow")]
fn masked(entries: &[Entry], predicate: &Predicate, unsaid: Unsaid) -> (Vec<usize>, Reach) {
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    let array = |index: usize| {
        let cells: StringArray = entries.iter().map(|entry| entry.cells[index].as_deref()).collect();
        std::sync::Arc::new(cells) as ArrayRef
    };
    let arrays = COLUMNS.iter().enumerate().map(|(index, name)| (*name, array(index), true));
    let batch = RecordBatch::try_from_iter_with_nullable(arrays).unwrap();
    let mask = predicate.mask(&batch, &columns(unsaid)).unwrap();
    (mask.rows().values().set_indices().collect(), mask.reach())
}

/// Asks of each resource by itself, decided and by the predicate.
fn check(snapshot: &Snapshot, request: &Request, entries: &[Entry]) -> Result<Visibility, TestCaseError> {
    let wanted = |entry: &Entry| {
        let ResourceRef::Any(Some(name)) = request.resource() else { return true };
        entry.resource.type_name() == name
    };
    let expected = |entry: &Entry| snapshot.decide(&request.on(entry.asked.clone())).is_allowed();
    let visibility = snapshot.visibility(request);
    match &visibility {
        Visibility::All => {
            for entry in entries.iter().filter(|entry| wanted(entry)) {
                prop_assert!(expected(entry), "all, but not {:?}", entry);
            }
        }
        Visibility::None => {
            for entry in entries.iter().filter(|entry| wanted(entry)) {
                prop_assert!(!expected(entry), "none, but {:?}", entry);
            }
        }
        Visibility::If(predicate) => {
            for entry in entries {
                let held = predicate.holds(&entry.resource);
                prop_assert!(held.is_some() || !predicate.is_exact());
                if let Some(held) = held {
                    let expected = wanted(entry) && expected(entry);
                    prop_assert_eq!(held, expected, "{:?}\n{:?}\n{:?}", request, entry, predicate);
                }
            }
        }
        other => panic!("{other:?}"),
    }
    Ok(visibility)
}

#[test]
fn predicate_in_sqlite_and_mask_say_what_decisions_say() {
    let mut sqlite = Sqlite::in_memory();
    agree(&mut sqlite, CASES);
    agree_on_letters_and_patterns(&mut sqlite);
}

#[test]
fn predicate_in_postgres_says_what_decisions_say() {
    let runtime = runtime();
    let Some(database) = runtime.block_on(Database::fresh()) else { return };
    let mut connection = runtime.block_on(database.superuser());
    runtime.block_on(Postgres::new_table(&mut connection));
    let mut postgres = Postgres { connection, runtime };
    agree(&mut postgres, if server::is_ci() { CASES_IN_CI } else { CASES });
    agree_on_letters_and_patterns(&mut postgres);
    drop(postgres.connection);
    postgres.runtime.block_on(database.end());
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What was asked in all cases.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    rows: usize,
    all: usize,
    none: usize,
    predicates: usize,
    exact: usize,
}

impl Counted {
    fn add(&mut self, rows: usize, visibility: &Visibility) {
        self.rows += rows;
        match visibility {
            Visibility::All => self.all += 1,
            Visibility::None => self.none += 1,
            Visibility::If(_) => self.predicates += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// Asks decisions, predicates, the database and masks the same.
fn agree(engine: &mut dyn Engine, cases: u32) {
    let engine = std::cell::RefCell::new(engine);
    let counted = std::cell::Cell::new(Counted::default());
    let strategy = (
        ruled(),
        prop::collection::vec(asked(), 12),
        prop::option::of(select(&["App", "App.Object", "Space", "DataConnection", "Stream", "Odd"][..])),
        subsequence(&[0_usize, 1, 2, 3, 4, 5], 3),
        prop::option::of(select(&["read", "update", "create", "publish"][..])),
    );
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&strategy, |(mut tenant, requests, type_name, chosen, action)| {
        single(&mut tenant);
        let snapshot = compiled(&policy(&tenant));
        let entries: Vec<Entry> = entries(&tenant, &requests);
        engine.borrow_mut().fill(&entries);
        for number in chosen {
            let mut request = requests[number].clone();
            request.as_object_mut().unwrap().remove("resource");
            if let Some(type_name) = type_name {
                request["type"] = json!(type_name);
            }
            if let Some(action) = action.filter(|_| request["target"].is_null()) {
                request["action"] = json!(action);
            }
            let request = Request::parse_filter(&request.to_string()).unwrap();
            let visibility = check(&snapshot, &request, &entries)?;
            let mut counts = counted.get();
            counts.add(entries.len(), &visibility);
            if let Visibility::If(predicate) = visibility {
                let right = allowed(&snapshot, &request, &entries);
                counts.exact +=
                    usize::from(pushed(*engine.borrow_mut(), &entries, &predicate, &right)? == Reach::Exact);
            }
            counted.set(counts);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let counts = counted.get();
    println!("{counts:?}");
    let cases = usize::try_from(cases).unwrap();
    assert!(
        counts.rows >= 28 * cases && counts.predicates * 2 > cases && counts.all > 0 && counts.none > 0,
        "{counts:?}"
    );
    assert!(counts.exact * 2 > counts.predicates, "{counts:?}");
}

/// The numbers of the rows that decisions allow, one by one.
fn allowed(snapshot: &Snapshot, request: &Request, entries: &[Entry]) -> Vec<usize> {
    let wanted = |entry: &Entry| {
        let ResourceRef::Any(Some(name)) = request.resource() else { return true };
        entry.resource.type_name() == name
    };
    let allowed = |entry: &Entry| snapshot.decide(&request.on(entry.asked.clone())).is_allowed();
    (0..entries.len()).filter(|number| wanted(&entries[*number]) && allowed(&entries[*number])).collect()
}

/// Asks the database and the mask, with what cannot be said hidden and shown. What SQL reaches of it where that is hidden.
fn pushed(
    engine: &mut dyn Engine,
    entries: &[Entry],
    predicate: &Predicate,
    right: &[usize],
) -> Result<Reach, TestCaseError> {
    let mut reach = Reach::Exact;
    for unsaid in [Unsaid::Show, Unsaid::Hide] {
        let found = engine.select(predicate, unsaid);
        compare(right, &found, unsaid)?;
        #[cfg(feature = "arrow")]
        compare(right, &masked(entries, predicate, unsaid), unsaid)?;
        #[cfg(not(feature = "arrow"))]
        let _ = entries;
        reach = found.1;
    }
    Ok(reach)
}

/// Lower case beyond ASCII, and characters that mean something in patterns of SQL.
fn agree_on_letters_and_patterns(engine: &mut dyn Engine) {
    const CONSTANTS: &[&str] =
        &["kiel", "İ", "i\u{307}", "É", "straße", "ДОМ", "ας", "a%b_c!d", "100%", "_", "!", "[a]", "?"];
    const NAMES: &[&str] = &[
        "kiel",
        "KIEL",
        "\u{212A}iel",
        "KİEL",
        "İ",
        "i\u{307}",
        "i",
        "é",
        "É",
        "E\u{301}",
        "straße",
        "STRAẞE",
        "STRASSE",
        "дом",
        "ДОМ",
        "ΑΣ",
        "ας",
        "ασ",
        "a%b_c!d",
        "A%B_C!D",
        "axxb_c!d",
        "a%bxc!d",
        "100%",
        "1000",
        "_",
        "x",
        "!",
        "!!",
        "[a]",
        "a",
        "?",
        "\\",
        "a\nkiel",
        "",
    ];
    let entry = |name: Option<&str>| {
        let resource = name.map_or(Resource::new("App"), |name| Resource::new("App").name(name));
        let cell = |column: &&str| match *column {
            "type" => Some("App".to_owned()),
            "name" => name.map(str::to_owned),
            _ => None,
        };
        Entry { cells: COLUMNS.iter().map(cell).collect(), asked: resource.clone().into(), resource }
    };
    let entries: Vec<Entry> = NAMES.iter().map(|name| entry(Some(name))).chain([entry(None)]).collect();
    engine.fill(&entries);
    let request = Request::new("t", &Subject::user("ana"), Action::Read, ResourceRef::id("")).on_any("App");
    let mut exact = 0;
    for constant in CONSTANTS {
        for test in ["= \"{}\"", "== \"{}\"", "!= \"{}\"", "!== \"{}\"", "like \"{}\"", "like \"*{}\"", "like \"*{}*\""]
        {
            let test = format!("resource.name {}", test.replace("{}", constant));
            for condition in [format!("!({test})"), test] {
                let snapshot = compiled(&enterprise(&condition));
                let Visibility::If(predicate) = snapshot.visibility(&request) else { panic!("{condition}") };
                let right = allowed(&snapshot, &request, &entries);
                let reach = pushed(engine, &entries, &predicate, &right);
                exact += usize::from(reach.unwrap_or_else(|error| panic!("{condition}: {error}")) == Reach::Exact);
            }
        }
    }
    assert!(exact > 100, "{exact}");
}

fn compare(right: &[usize], (found, reach): &(Vec<usize>, Reach), unsaid: Unsaid) -> Result<(), TestCaseError> {
    match reach {
        Reach::Exact => prop_assert_eq!(found, right),
        Reach::Narrower => prop_assert!(unsaid == Unsaid::Hide && found.iter().all(|row| right.contains(row))),
        Reach::Wider => prop_assert!(unsaid == Unsaid::Show && right.iter().all(|row| found.contains(row))),
        other => panic!("{other:?}"),
    }
    Ok(())
}

fn visible(document: &Value, user: &str, type_name: &str) -> Visibility {
    let request = Request::new("t", &Subject::user(user), Action::Read, ResourceRef::id("")).on_any(type_name);
    compiled(document).visibility(&request)
}

fn predicate(document: &Value, user: &str, type_name: &str) -> Predicate {
    let Visibility::If(predicate) = visible(document, user, type_name) else { panic!("all or nothing") };
    predicate
}

fn enterprise(condition: &str) -> Value {
    json!({"version": 1, "tenants": {"t": {"model": "enterprise",
        "users": {"ana": {"custom": {"Team": "Blue"}}, "bob": {"custom": {"Team": "blue"}}},
        "resources": {"live": {"type": "Stream", "custom": {"Team": "BLUE"}}, "old": {"type": "Stream"}},
        "rules": [{"name": "r", "filter": "App_*", "actions": ["read"], "condition": condition}]}}})
}

#[test]
fn predicate_of_postgres_compares_by_bytes_and_binds() {
    let all = |condition: &str| {
        let sql = predicate(&enterprise(condition), "ana", "App").to_sql(
            Dialect::Postgres,
            &Columns::new(Unsaid::Refuse)
                .constant(Column::Type, "App")
                .column(Column::Stream, "stream\"id")
                .column(Column::custom("team"), "team")
                .column(Column::Owner, "owner"),
        );
        sql.map(|sql| (sql.predicate().to_owned(), sql.parameters().to_vec()))
    };
    assert_eq!(
        all("resource.stream.@Team = user.@Team"),
        Ok((r#"CAST("stream""id" AS text) COLLATE "C" IN ($1)"#.to_owned(), vec!["live".to_owned()]))
    );
    assert_eq!(
        all("!(resource.@Team == user.@Team)"),
        Ok((
            r#"(CAST("team" AS text) COLLATE "C" IS NULL OR CAST("team" AS text) COLLATE "C" NOT IN ($1))"#.to_owned(),
            vec!["Blue".to_owned()]
        ))
    );
    assert_eq!(
        all("resource.owner.@Team = user.@Team").map(|(_, parameters)| parameters),
        Ok(vec!["ana".to_owned(), "bob".to_owned()])
    );
    assert_eq!(
        all("resource.@Team like \"a_%!*b*\""),
        Ok((
            r#"(CAST("team" AS text) COLLATE "C" <> '' AND lower(CAST("team" AS text) COLLATE "C") LIKE $1 ESCAPE '!')"#.to_owned(),
            vec!["a!_!%!!%b%".to_owned()]
        ))
    );
}

#[test]
fn what_a_database_cannot_say_is_refused_or_narrower_or_to_be_decided_again() {
    for (condition, code) in [
        (r#"resource.name matches "a.c""#, "inexpressible"),
        (r#"!(resource.name matches "a.c")"#, "inexpressible"),
        ("resource.name = resource.@Team", "inexpressible"),
        (r#"resource.name = "ΑΣ""#, "inexpressible"),
        (r#"resource.nowhere = "1""#, "missing_column"),
        ("resource.nowhere.Empty()", "missing_column"),
    ] {
        let predicate = predicate(&enterprise(condition), "ana", "App");
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let say = |unsaid| predicate.to_sql(dialect, &columns(unsaid));
            assert_eq!(say(Unsaid::Refuse).map_err(|error| error.code()), Err(code), "{condition}");
            let (hidden, shown) = (say(Unsaid::Hide).unwrap(), say(Unsaid::Show).unwrap());
            assert_eq!((hidden.reach(), shown.reach()), (Reach::Narrower, Reach::Wider), "{condition}");
            assert!(shown.reach().must_recheck() && !hidden.reach().must_recheck());
        }
    }
}

/// SQLite's patterns end at a NUL, in the text too: what follows it could be what a rule hides by.
#[test]
fn text_with_a_nul_is_not_shown_by_a_pattern() {
    let mut sqlite = Sqlite::in_memory();
    let tenant = json!({"resources": {
        "a": {"type": "App", "custom": {"Team": "open\u{0}secret"}},
        "b": {"type": "App", "custom": {"Team": "open"}},
        "c": {"type": "App", "custom": {"Team": "secret"}}}, "spaces": {}});
    let entries = entries(&tenant, &[]);
    sqlite.fill(&entries);
    for (condition, shown) in [
        (r#"!(resource.@Team like "*secret*")"#, vec![1]),
        (r#"resource.@Team like "open*""#, vec![1]),
        (r#"resource.@Team like "o*n""#, vec![1]),
        (r#"resource.@Team = "open""#, vec![1]),
    ] {
        let predicate = predicate(&enterprise(condition), "ana", "App");
        assert_eq!(sqlite.select(&predicate, Unsaid::Refuse).0, shown, "{condition}");
    }
}

/// Whoever owns both ends of a link, and has a token for less, asks of one the other, and comes back: that fails. A predicate, which
/// is of all rows, and a list, which remembers what it found on its way, must not forget where they came from.
#[test]
fn question_that_comes_back_to_its_row_fails_for_that_row_alone() {
    let app = |peer: &str| json!({"type": "App", "owner": "u0", "links": {"Peers": [peer]}});
    let draft = |peer: &str| json!({"type": "App", "owner": "u1", "links": {"Peers": [peer]}});
    for condition in [r#"resource.Peers.HasPrivilege("update")"#, r#"!resource.Peers.HasPrivilege("update")"#] {
        let tenant = json!({
            "users": {"u0": {"roles": ["Developer"]}, "u1": {}}, "spaces": {},
            "resources": {"a": app("draft"), "alone": app("alone"), "b": app("draft"), "c": app("b"), "d": app("c"), "draft": draft("b"), "e": app("e2"),
                "e2": app("e"), "outer": draft("c")},
            "rules": [{"name": "r", "filter": "*", "actions": 516, "condition": condition}]});
        let snapshot = compiled(&json!({"version": 1, "tenants": {"t": tenant}}));
        let entries = entries(&tenant, &[]);
        for (action, context) in
            [(Action::Update, Context::Admin), (Action::Update, Context::Hub), (Action::Read, Context::Admin)]
        {
            for scope in ["admin.apps", "apps:read"] {
                let subject = Subject::user("u0").scopes([scope]);
                let request = Request::new("t", &subject, action, ResourceRef::id("")).context(context).on_any("App");
                let visibility = check(&snapshot, &request, &entries).unwrap();
                assert!(!matches!(&visibility, Visibility::If(predicate) if !predicate.is_exact()), "{visibility:?}");
                let listed = snapshot.filter(&request);
                let one_by_one =
                    entries.iter().filter(|one| snapshot.decide(&request.on(one.asked.clone())).is_allowed());
                let one_by_one: Vec<&str> = one_by_one.filter_map(|one| one.cells[1].as_deref()).collect();
                assert_eq!(listed.ids().collect::<Vec<_>>(), one_by_one, "{condition} {request:?}");
            }
        }
    }
}

#[test]
fn names_and_dialects_that_cannot_be_are_refused() {
    let predicate = predicate(&enterprise("resource.owner = user"), "ana", "App");
    let say = |dialect, name: &str| {
        let columns = Columns::new(Unsaid::Show).constant(Column::Type, "App").column(Column::Owner, name);
        predicate.to_sql(dialect, &columns).map_err(|error| error.code())
    };
    assert_eq!(say(Dialect::Postgres, &"x".repeat(64)), Err("bad_identifier"));
    assert_eq!(say(Dialect::Sqlite, ""), Err("bad_identifier"));
    assert_eq!(say(Dialect::Snowflake, "owner"), Err("unsupported_dialect"));
    assert!(say(Dialect::Sqlite, "a`b").unwrap().predicate().contains("`a``b`"));
}

#[test]
fn more_parameters_than_a_statement_takes_are_refused() {
    let mut policy = enterprise("true");
    let rule = |number: usize| {
        let texts: Vec<String> = (0..1_000).map(|n| format!("\"{number}-{n}\"")).collect();
        json!({"name": format!("r{number}"), "filter": "App_*", "actions": ["read"],
            "condition": format!("resource.@Team == {{{}}}", texts.join(","))})
    };
    policy["tenants"]["t"]["rules"] = (0..33).map(rule).collect();
    let predicate = predicate(&policy, "ana", "App");
    assert_eq!(
        predicate.to_sql(Dialect::Sqlite, &columns(Unsaid::Show)).map_err(|error| error.code()),
        Err("too_many_parameters")
    );
    assert_eq!(predicate.to_sql(Dialect::Postgres, &columns(Unsaid::Show)).unwrap().parameters().len(), 33_001);
}

#[test]
fn closed_tenants_and_disabled_users_see_nothing() {
    let mut policy = enterprise("true");
    assert!(matches!(visible(&policy, "ana", "App"), Visibility::All));
    assert!(matches!(visible(&policy, "ana", "Stream"), Visibility::None));
    policy["tenants"]["t"]["users"]["ana"]["status"] = json!("disabled");
    assert!(matches!(visible(&policy, "ana", "App"), Visibility::None));
    policy["tenants"]["t"]["status"] = json!("deactivated");
    assert!(matches!(visible(&policy, "bob", "App"), Visibility::None));
}

#[cfg(feature = "arrow")]
#[test]
fn columns_without_texts_are_refused() {
    use arrow_array::types::Int8Type;
    use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Int64Array, RecordBatch};
    let predicate = predicate(&enterprise(r#"resource.published = "true" or resource.level = "low""#), "ana", "App");
    let mask = |level: ArrayRef| {
        let published: ArrayRef = std::sync::Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
        let batch = RecordBatch::try_from_iter([("published", published), ("level", level)]).unwrap();
        let columns = Columns::new(Unsaid::Refuse).constant(Column::Type, "App");
        let columns = columns.column(Column::attribute("Published"), "published");
        let mask = predicate.mask(&batch, &columns.column(Column::attribute("level"), "level"));
        mask.map(|mask| mask.rows().values().iter().collect::<Vec<_>>()).map_err(|error| error.code())
    };
    let keys: DictionaryArray<Int8Type> = [Some("LOW"), Some("low"), None].into_iter().collect();
    assert_eq!(mask(std::sync::Arc::new(keys)), Ok(vec![true, true, false]));
    assert_eq!(mask(std::sync::Arc::new(Int64Array::from(vec![1, 2, 3]))), Err("unsupported_type"));
}
