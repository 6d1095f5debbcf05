//! Who can see what, and who has more than their work needs: three questions that no list of roles answers.
//!
//! `cargo run --release --example who_can_see_what` needs no server. It asks a policy from both ends, has a real SQLite select
//! what a person may see, compares each row with the decision itself, and fails if any answer is not the expected one.

use std::error::Error;
use std::time::{Duration, SystemTime};

use qsec::authz::section::Dialect;
use qsec::authz::visibility::{Column, Columns, Predicate, Unsaid, Visibility};
use qsec::authz::{Action, Period, Policy, Request, ResourceRef, Snapshot, Subject, Unused, Use, WhoMay};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// A tenant with two teams, one space that both look at, and one rule.
const POLICY: &str = r#"
    version = 1
    [tenants.acme.groups.platform]
    roles = ["TenantAdmin"]
    [tenants.acme.groups.sales]
    [tenants.acme.groups.finance]

    [tenants.acme.users.ana]                # sales
    groups = ["sales"]
    [tenants.acme.users.ben]                # finance, and steward of a glossary that nobody opens
    groups = ["finance"]
    roles = ["Steward"]
    [tenants.acme.users.root]
    groups = ["platform"]

    [tenants.acme.spaces.board]
    type = "managed"
    owner = "root"
    members = { "group:finance" = ["consumer"], "user:ana" = ["consumer"] }
    [tenants.acme.spaces.pipeline]
    type = "shared"
    owner = "root"
    members = { "group:sales" = ["producer"] }

    [tenants.acme.resources.q3]
    type = "App"
    owner = "root"
    space = "board"
    [tenants.acme.resources.forecast]
    type = "App"
    owner = "ana"
    space = "pipeline"
    [tenants.acme.resources.notes]
    type = "App"
    owner = "ben"
    [tenants.acme.resources.handbook]
    type = "App"
    owner = "root"
    custom = { Audience = "all" }

    [[tenants.acme.rules]]
    name = "handbook"
    filter = "App_*"
    actions = ["read"]
    condition = 'resource.@Audience = "all" and !user.IsAnonymous()'
"#;

/// The same apps as a catalogue keeps them: id, owner, space, audience.
const APPS: [(&str, &str, Option<&str>, Option<&str>); 4] = [
    ("q3", "root", Some("board"), None),
    ("forecast", "ana", Some("pipeline"), None),
    ("notes", "ben", None, None),
    ("handbook", "root", None, Some("all")),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let policy = Policy::parse(POLICY)?;
    let snapshot = policy.compile()?;
    let mut answers = Answers::default();

    println!("1. What may each of them see? The answer is a condition, and the database evaluates it");
    let mut catalogue = catalogue().await?;
    for (who, expected) in [
        (Subject::user("ana"), &["forecast", "handbook", "q3"][..]),
        (Subject::user("ben"), &["handbook", "notes", "q3"]),
        (Subject::user("root"), &["forecast", "handbook", "notes", "q3"]),
        (Subject::anonymous(), &[]),
    ] {
        visible(&snapshot, &mut catalogue, &who, expected, &mut answers).await?;
    }

    println!("\n2. Who may read each app? Groups are named once, as groups");
    for (app, groups, users) in [
        ("q3", &["finance", "platform"][..], &["ana", "root"][..]),
        ("forecast", &["platform", "sales"], &["root"]),
        ("notes", &["platform"], &["ben"]),
        ("handbook", &["platform"], &["root"]),
    ] {
        readers(&policy, app, (groups, users), &mut answers)?;
    }

    println!("\n3. A quarter later: what did nobody need?");
    unused(&policy, &mut answers)?;

    println!("\nAll {} answers were the expected ones.", answers.0);
    Ok(())
}

/// Counts the answers; one that was not expected ends the program.
#[derive(Default)]
struct Answers(u32);

impl Answers {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, answer: &T, expected: &T) -> Done {
        if answer != expected {
            return Err(format!("{what}: {answer:?}, and not {expected:?}").into());
        }
        self.0 += 1;
        Ok(())
    }
}

fn asked(who: &Subject, app: &str) -> Request {
    Request::new("acme", who, Action::Read, ResourceRef::id(app))
}

async fn visible(
    snapshot: &Snapshot,
    catalogue: &mut SqliteConnection,
    who: &Subject,
    expected: &[&str],
    answers: &mut Answers,
) -> Done {
    let name = who.user_id().unwrap_or("whoever is not signed in");
    let seen = match snapshot.visibility(&asked(who, "").on_any("App")) {
        Visibility::None => {
            println!("   {name}: nothing, and no query is sent");
            Vec::new()
        }
        Visibility::All => {
            println!("   {name}: everything");
            APPS.map(|(id, ..)| id.to_owned()).to_vec()
        }
        Visibility::If(predicate) => selected(catalogue, &predicate, name).await?,
        _ => return Err("an answer that this program does not know".into()),
    };
    let mut sorted = seen.clone();
    sorted.sort();
    answers.expect(name, &sorted, &expected.iter().map(ToString::to_string).collect())?;
    // The database says what the decision says, row by row.
    for (id, ..) in APPS {
        let allowed = snapshot.decide(&asked(who, id)).is_allowed();
        answers.expect(&format!("{name} on {id}"), &seen.iter().any(|one| one == id), &allowed)?;
    }
    println!("        sees {}", if sorted.is_empty() { "nothing".to_owned() } else { sorted.join(", ") });
    Ok(())
}

/// Has SQLite select by the predicate: parameters are bound, and columns are compared byte by byte.
async fn selected(catalogue: &mut SqliteConnection, predicate: &Predicate, name: &str) -> Done<Vec<String>> {
    // Whatever the table could not say would be refused, not guessed.
    let columns = Columns::new(Unsaid::Refuse).constant(Column::Type, "App").absent(Column::App).absent(Column::Stream);
    let columns = columns.column(Column::Id, "id").column(Column::Owner, "owner").column(Column::Space, "space");
    let columns = columns.column(Column::custom("Audience"), "audience");
    let filter = predicate.to_sql(Dialect::Sqlite, &columns)?;
    println!("   {name}: WHERE {}", filter.predicate());
    println!("        with {:?}", filter.parameters());
    let mut query = sqlx::query(AssertSqlSafe(format!("SELECT id FROM apps WHERE {}", filter.predicate())));
    for parameter in filter.parameters() {
        query = query.bind(parameter);
    }
    Ok(query.fetch_all(catalogue).await?.iter().map(|row| row.get(0)).collect())
}

async fn catalogue() -> Done<SqliteConnection> {
    let mut database = SqliteConnection::connect("sqlite::memory:").await?;
    sqlx::query("CREATE TABLE apps (id TEXT, owner TEXT, space TEXT, audience TEXT)").execute(&mut database).await?;
    for (id, owner, space, audience) in APPS {
        let row = sqlx::query("INSERT INTO apps VALUES (?, ?, ?, ?)").bind(id).bind(owner).bind(space).bind(audience);
        row.execute(&mut database).await?;
    }
    Ok(database)
}

fn readers(policy: &Policy, app: &str, expected: (&[&str], &[&str]), answers: &mut Answers) -> Done {
    let who = WhoMay::of(policy, &asked(&Subject::anonymous(), app))?;
    println!("   {app}:");
    if let Some(by) = who.everyone() {
        println!("        everybody who is signed in, by {}", by.join(", "));
    }
    for (group, by) in who.groups() {
        println!("        the group {group}, by {}", by.join(", "));
    }
    for (user, by) in who.users() {
        println!("        {user}, by {}", by.join(", "));
    }
    answers.expect("groups", &who.groups().map(|(group, _)| group).collect::<Vec<_>>(), &expected.0.to_vec())?;
    answers.expect("users", &who.users().map(|(user, _)| user).collect::<Vec<_>>(), &expected.1.to_vec())?;
    answers.expect("anonymous", &who.anonymous().is_some(), &false)
}

/// The uses would come from the audit log: `Tenant::unused_grants` reads them there.
fn unused(policy: &Policy, answers: &mut Answers) -> Done {
    let from = SystemTime::UNIX_EPOCH;
    let quarter = Period::new(from, from + Duration::from_hours(90 * 24));
    let uses = [
        Use::new(from, "ana", Action::Read, "q3", ["space:consumer@board"]),
        Use::new(from, "ana", Action::Update, "forecast", ["space:producer@pipeline"]),
        Use::new(from, "root", Action::Delete, "notes", ["role:TenantAdmin"]),
    ];
    let unused = Unused::of(policy, "acme", quarter, uses);
    for grant in unused.grants() {
        println!("   {:?}", grant.grant());
        for (what, actions) in grant.lost() {
            println!("        would be lost: {} on {what}", actions.join(", "));
        }
    }
    let days = unused.period().as_secs() / 86_400;
    println!("   looked at {} uses in {days} days, {} dropped", unused.uses(), unused.dropped());
    answers.expect("unused grants", &unused.grants().len(), &3)
}
