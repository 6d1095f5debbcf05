//! One access table, one meaning: who sees which rows and columns, read from CSV, from Parquet and from a database.
//!
//! `cargo run --release -p section_access` needs no server: it plays the story aloud on real figures, leaves what each user
//! may see in a folder under `target/`, and fails if any answer is not the expected one. If `QSEC_TEST_POSTGRES_OWNER` is
//! the URL of a superuser of a throw-away PostgreSQL, it makes a database of its own there, asks the same of row-level
//! security, and removes it again.

#![expect(clippy::disallowed_methods, reason = "a program reads the clock and its environment")]

mod columns;
mod database;
#[path = "../../tenant_platform/story.rs"]
mod story;

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use qsec::authz::section::{
    AccessError, ActiveTables, Identity, MAX_READER_AGE, OpenError, Reader, ReduceError, SectionAccess, Stale, Table,
};
use qsec::authz::{Action, Allowed, Decision, Policy, Request, ResourceRef, Snapshot, Subject};

use crate::story::{Coded, Story};

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data");

/// The app whose data the figures are.
const APP: &str = "figures";

/// A user, and how many rows and columns of the figures they must see.
type Expected = (&'static str, usize, usize);

/// By `access-acme.csv`: all; Europe without income; Africa and Asia.
const FIRST: [Expected; 3] = [("olivia", 568, 6), ("ana", 120, 5), ("ben", 340, 6)];
/// By `access-acme-next.csv`: ana has Oceania too, ben has lost Africa.
const NEXT: [Expected; 3] = [("olivia", 568, 6), ("ana", 128, 5), ("ben", 132, 6)];

/// Users who have opened the figures, in the order of [`FIRST`].
type Readers = [(&'static str, Reader); 3];

/// What the platform holds.
struct Platform {
    policy: Snapshot,
    figures: Table,
    active: ActiveTables,
}

#[tokio::main]
async fn main() -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/section-access");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut story = Story::default();
    let now = SystemTime::now();

    let platform = load(&mut story)?;
    let readers = open(&mut story, &platform, now)?;
    hostile_readers(&mut story, &platform, now)?;
    csv(&mut story, &platform.figures, &readers, &folder, now)?;
    columns::tell(&mut story, &platform.figures, &readers, &folder, now)?;
    let replaced = replace(&mut story, &platform, &readers[1].1, now)?;
    match std::env::var("QSEC_TEST_POSTGRES_OWNER") {
        Ok(url) => database::tell(&mut story, &url, &platform.figures, [&readers, &replaced], now).await?,
        Err(_) => println!("\n   not run: PostgreSQL: QSEC_TEST_POSTGRES_OWNER is not set"),
    }
    story.end();
    Ok(())
}

fn load(story: &mut Story) -> Done<Platform> {
    story.chapter("Data is loaded with its access table; a typing error does not open it");
    let policy = Policy::parse(&fs::read_to_string(Path::new(DATA).join("policy.toml"))?)?.compile()?;
    let figures = prepared(&Table::parse_csv(fs::read(Path::new(DATA).join("gapminder.csv"))?)?)?;
    let active = ActiveTables::new("acme");
    let text = access_text("access-acme.csv")?;

    let prepare = |text: &str| active.prepare(APP, &SectionAccess::parse([text])?, figures.columns());
    story.no(
        "`GdpPerCapta` is to be left out",
        prepare(&text.replace("GdpPerCapita", "GdpPerCapta")),
        "unknown_omit_field",
    )?;
    story.no(
        "rows are to be reduced by `CONTINENTS`",
        prepare(&text.replace("CONTINENT", "CONTINENTS")),
        "unknown_reduction_field",
    )?;
    story.holds("nothing is in force yet", !active.is_active(APP), "so nobody can open the data")?;
    let activation = story.yes("the access table as it is", prepare(&text), |activation| {
        format!("{} rows; recorded first, then put in force", activation.updated().rows())
    })?;
    let updated = activation.commit();
    story.holds(
        "it is in force",
        active.version(APP) == updated.version(),
        "its version is the digest of the table",
    )?;
    Ok(Platform { policy, figures, active })
}

/// What a load script does: continents in upper case, as access tables are read, for databases compare texts as they are.
fn prepared(figures: &Table) -> Done<Table> {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let mut text = figures.columns().map(quoted).collect::<Vec<_>>().join(",");
    for row in 0..figures.rows() {
        let cells = figures.columns().enumerate().map(|(column, name)| {
            let cell = figures.cell(row, column).unwrap_or_default();
            if name == "Continent" { quoted(&cell.to_uppercase()) } else { quoted(cell) }
        });
        text.push('\n');
        text.push_str(&cells.collect::<Vec<_>>().join(","));
    }
    Ok(Table::parse_csv(text)?)
}

fn access_text(file: &str) -> std::io::Result<String> {
    fs::read_to_string(Path::new(DATA).join(file))
}

/// May the user open the app at all? Roles and spaces say so, and the yes is a value that only they can make.
fn allowed(policy: &Snapshot, user: &str, app: &str) -> Result<Allowed, qsec::Error> {
    let subject = Subject::user(user).groups(["analysts"]);
    match policy.decide(&Request::new("acme", &subject, Action::Read, ResourceRef::id(app))) {
        Decision::Allow(allowed) => Ok(allowed),
        Decision::Deny(denied) => Err(denied.into()),
    }
}

fn identity(user: &str) -> Identity {
    Identity::user(user).group("analysts")
}

fn open(story: &mut Story, platform: &Platform, now: SystemTime) -> Done<Readers> {
    story.chapter("Users open the app: may they, and by which rows of the access table?");
    let Platform { policy, active, .. } = platform;
    let mut open = |user| -> Done<_> {
        let opened = active.open(&allowed(policy, user, APP)?, APP, identity(user), now);
        let reader = story.yes(&format!("{user} opens the figures"), opened, |reader| {
            let Ok(reduction) = reader.reduction(now) else { return String::new() };
            format!("as {}, {} columns", reduction.level().as_str(), reduction.columns().count())
        })?;
        Ok((user, reader))
    };
    Ok([open("olivia")?, open("ana")?, open("ben")?])
}

fn hostile_readers(story: &mut Story, platform: &Platform, now: SystemTime) -> Done {
    story.chapter("Others try");
    let Platform { policy, active, figures } = platform;
    story.no("ana opens an app that is not there", allowed(policy, "ana", "budget"), "resource_unknown")?;
    let zoe = active.open(&allowed(policy, "zoe", APP)?, APP, identity("zoe"), now);
    story.no("zoe, an analyst whom no row lists, opens the figures", zoe, "not_listed")?;
    let ana = allowed(policy, "ana", APP)?;
    let as_olivia = active.open(&ana, APP, identity("olivia"), now);
    story.no("ana, allowed, says that she is olivia", as_olivia, "allowed_mismatch")?;
    story.no(
        "ana's yes for the figures opens the budget",
        active.open(&ana, "budget", identity("ana"), now),
        "allowed_mismatch",
    )?;
    let elsewhere = ActiveTables::new("globex").open(&ana, APP, identity("ana"), now);
    story.no("ana's yes at acme opens globex's figures", elsewhere, "allowed_mismatch")?;

    let reader = active.open(&ana, APP, identity("ana"), now)?;
    let disguised = Table::parse_csv(figures.to_csv().replacen("GdpPerCapita", "Income", 1))?;
    let answer = reader.reduction(now)?.apply(&disguised);
    story.no("the column that ana must not see, under another name", answer, "schema_changed")?;
    Ok(())
}

fn csv(story: &mut Story, figures: &Table, readers: &Readers, folder: &Path, now: SystemTime) -> Done {
    story.chapter("CSV in, CSV out, a row at a time");
    let whole = folder.join("figures.csv");
    fs::write(&whole, figures.to_csv())?;
    for ((user, reader), expected) in readers.iter().zip(FIRST) {
        let (reduction, file) = (reader.reduction(now)?, folder.join(format!("{user}.csv")));
        let written = reduction.apply_csv(File::open(&whole)?, File::create(&file)?)?;
        let mine = Table::parse_csv(fs::read(&file)?)?;
        let seen = (*user, mine.rows(), mine.columns().count());
        let shape = format!("{} of {} rows, {} of 6 columns", written.rows, figures.rows(), seen.2);
        story.holds(&format!("{user} sees what the table says"), seen == expected, shape)?;
        story.holds("in memory it is the same", mine == reduction.apply(figures)?, "cell by cell")?;
    }
    Ok(())
}

/// Puts the next access table in force. `ana` opened the data before.
fn replace(story: &mut Story, platform: &Platform, ana: &Reader, now: SystemTime) -> Done<Readers> {
    story.chapter("The access table is replaced");
    let Platform { policy, figures, active } = platform;
    let text = access_text("access-acme-next.csv")?;
    let malformed = text.replace("USER,ben", "VIEWER,ben");
    story.no("a table with an unknown word in ACCESS", SectionAccess::parse([malformed]), "bad_access_value")?;
    story.holds("the version is the old one", active.version(APP) == Some(ana.version()), "nothing has changed")?;
    active.prepare(APP, &SectionAccess::parse([text])?, figures.columns())?.commit();

    let mut open = |(user, rows, columns): Expected| -> Done<_> {
        let reader = active.open(&allowed(policy, user, APP)?, APP, identity(user), now)?;
        let mine = reader.reduction(now)?.apply(figures)?;
        let seen = (mine.rows(), mine.columns().count());
        story.holds(
            &format!("{user} opens again"),
            seen == (rows, columns),
            format!("{rows} rows, {columns} columns"),
        )?;
        Ok((user, reader))
    };
    let [olivia, mine, ben] = NEXT;
    let replaced = [open(olivia)?, open(mine)?, open(ben)?];

    let before = ana.reduction(now)?.apply(figures)?.rows();
    story.holds(
        "ana, who opened before, keeps her rows",
        before == FIRST[1].1,
        format!("{before} rows, of the old version"),
    )?;
    let differ = ana.cache_key() != replaced[1].1.cache_key();
    story.holds("a cache tells the two apart", differ, "its key holds the version")?;
    story.no("ana goes on for a quarter of an hour", ana.reduction(now + MAX_READER_AGE), "stale")?;
    Ok(replaced)
}

impl Coded for AccessError {
    fn code(&self) -> &str {
        self.code()
    }
}

impl Coded for ReduceError {
    fn code(&self) -> &str {
        self.code()
    }
}

impl Coded for OpenError {
    fn code(&self) -> &str {
        self.code()
    }
}

impl Coded for Stale {
    fn code(&self) -> &str {
        self.code()
    }
}
