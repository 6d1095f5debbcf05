//! Two tenants of an analytics platform, protected from each other: the whole family in one story.
//!
//! `cargo run --release --example tenant_platform` needs no server. It makes a deployment in a folder under `target/`,
//! plays the story aloud on real figures, and fails if any answer is not the expected one.

#![expect(clippy::disallowed_methods, reason = "a program reads the clock, and its machines are threads")]

mod machines;
mod provider;
mod story;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qsec::audit::{Actor, MacKey, Verdict};
use qsec::authz::section::{CheckedAccess, SectionAccess, Table};
use qsec::authz::{Action, Policy, ResourceRef};
use qsec::crypto::Context;
use qsec::identity::oauth::{ClientRegistration, ClientType};
use qsec::identity::{Presented, Principal};
use qsec::pki::tls::Identity;
use qsec::pki::{Authority, CertificateRequest, LeafProfile, Zone};
use qsec::{Deployment, NewTenant, Setup, Tenant};

use crate::provider::IdentityProvider;
use crate::story::Story;

type Done<T = ()> = Result<T, Box<dyn Error>>;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// The two tenants as the platform's services hold them.
struct Platform {
    deployment: Deployment,
    acme: Tenant,
    globex: Tenant,
    operator: Actor,
    figures: Table,
}

#[tokio::main]
async fn main() -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tenant-platform");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut story = Story::default();
    let now = SystemTime::now();

    let platform = set_up(&mut story, &folder, now).await?;
    let people = sign_in(&mut story, &platform, now).await?;
    roles_and_rows(&mut story, &platform, &people, now)?;
    let sealed = sealed_files(&mut story, &platform, &folder, now).await?;
    the_other_tenant(&mut story, &platform, &people, &sealed, now).await?;
    a_key_disabled(&mut story, &platform, &sealed, now).await?;
    a_client_with_a_scope(&mut story, &platform, now).await?;
    machines_of_the_zone(&mut story, &platform, now).await?;
    a_tenant_deactivated(&mut story, &platform, &people, &sealed, now).await?;
    the_log(&mut story, platform, &folder, now).await?;
    story.end();
    Ok(())
}

async fn set_up(story: &mut Story, folder: &Path, now: SystemTime) -> Done<Platform> {
    story.chapter("A deployment, and two tenants with keys of their own");
    let home = folder.join("home");
    let setup = Setup::new().name("analytics.example").zone("prod.internal").audit_escrow(folder.join("escrow.key"));
    story.yes("a deployment in an empty folder", Deployment::create(&home, setup, now).await, |created| {
        format!("zone {}, root {}…", created.zone(), &created.root_spki_sha256()[..16])
    })?;
    let deployment = Deployment::open(&home).await?;
    story.no("a second process on the same folder", Deployment::open(&home).await, "deployment_busy")?;

    let operator = Actor::operator("op-1");
    let policy = Policy::parse(&fs::read_to_string(Path::new(DATA).join("policy.toml"))?)?;
    for id in ["acme", "globex"] {
        let made = deployment.create_tenant(&NewTenant::new(id), &operator, now).await;
        let tenant = story.yes(&format!("tenant {id}"), made, |tenant| format!("issuer {}", tenant.issuer()))?;
        let keys = tenant.describe_keys(now).await?;
        println!("        its key: {}", keys.key_ids.first().map_or("none", |key| key.as_str()));
        tenant.activate_policy(&policy, &operator, now).await?;
    }
    let (acme, globex) = (deployment.tenant("acme").await?, deployment.tenant("globex").await?);
    let figures = Table::parse_csv(fs::read(Path::new(DATA).join("gapminder.csv"))?)?;
    println!("        the data: {} rows of public figures by Gapminder", figures.rows());
    Ok(Platform { deployment, acme, globex, operator, figures })
}

/// Who signed in where, as their tokens prove it, and one token to misuse later.
struct People {
    ana: Principal,
    ben: Principal,
    gina: Principal,
    ana_token: String,
}

async fn sign_in(story: &mut Story, platform: &Platform, now: SystemTime) -> Done<People> {
    story.chapter("Users sign in through their own tenant's identity provider");
    let Platform { acme, globex, operator, .. } = platform;
    let at_acme = IdentityProvider::new("https://login.acme.example")?;
    let at_globex = IdentityProvider::new("https://id.globex.example")?;
    acme.add_provider(&at_acme.configuration(), operator, now).await?;
    globex.add_provider(&at_globex.configuration(), operator, now).await?;

    let login = at_acme.token("ana", &["analysts"], now)?;
    let session = story.yes("ana, at acme", acme.sign_in(&login, now).await, |signed_in| {
        format!("through {}, for {} minutes", signed_in.provider(), 20)
    })?;
    let ana_token = session.session().token().to_owned();
    let ana = acme.authenticate(&ana_token, &Presented::bearer(), now).await?;
    story.no("the same login token once more", acme.sign_in(&login, now).await, "invalid_token")?;

    let ben = acme.sign_in(&at_acme.token("ben", &["analysts"], now)?, now).await?;
    let ben = acme.authenticate(ben.session().token(), &Presented::bearer(), now).await?;
    let gina =
        story.yes("gina, at globex", globex.sign_in(&at_globex.token("gina", &[], now)?, now).await, |signed_in| {
            format!("through {}", signed_in.provider())
        })?;
    let gina = globex.authenticate(gina.session().token(), &Presented::bearer(), now).await?;

    let foreign = at_globex.token("ana", &["analysts"], now)?;
    story.no("ana at acme, vouched for by globex's provider", acme.sign_in(&foreign, now).await, "invalid_token")?;
    Ok(People { ana, ben, gina, ana_token })
}

fn access(file: &str, table: &Table) -> Done<CheckedAccess> {
    let text = fs::read_to_string(Path::new(DATA).join(file))?;
    let options = qsec::authz::section::Options::new().data_case(qsec::authz::section::DataCase::Upper);
    Ok(SectionAccess::parse_with([text], options)?.check_columns(table.columns())?)
}

fn roles_and_rows(story: &mut Story, platform: &Platform, people: &People, now: SystemTime) -> Done {
    story.chapter("Roles and spaces decide; section access shows each only what is theirs");
    let Platform { acme, globex, figures, .. } = platform;
    let app = || ResourceRef::id("figures");
    let by = |allowed: &qsec::authz::Allowed| format!("by {}", allowed.by().join(", "));

    let ana = story.yes("ana reads the app", acme.decide(&people.ana, Action::Read, app(), now), by)?;
    story.no("ana changes it", acme.decide(&people.ana, Action::Update, app(), now), "no_grant")?;
    story.yes("ben changes it", acme.decide(&people.ben, Action::Update, app(), now), by)?;
    let ben = acme.decide(&people.ben, Action::Read, app(), now)?;
    let gina = globex.decide(&people.gina, Action::Read, ResourceRef::id("outlook"), now)?;
    story.no(
        "gina reads an app of acme's",
        globex.decide(&people.gina, Action::Read, app(), now),
        "resource_unknown",
    )?;

    let acme_access = access("access-acme.csv", figures)?;
    let globex_access = access("access-globex.csv", figures)?;
    let shape = |table: &Table| {
        let columns: Vec<_> = table.columns().collect();
        format!("{} of {} rows; columns {}", table.rows(), figures.rows(), columns.join(", "))
    };
    let hers =
        story.yes("the rows of ana: Europe, without income", acme.reduce(&ana, &acme_access, figures, now), shape)?;
    story.holds("no row of hers lies elsewhere", only(&hers, "Continent", &["Europe"]), "every continent is Europe")?;
    let his = story.yes("the rows of ben: Africa and Asia", acme.reduce(&ben, &acme_access, figures, now), shape)?;
    story.holds(
        "no row of his lies elsewhere",
        only(&his, "Continent", &["Africa", "Asia"]),
        "Africa and Asia only",
    )?;
    let ginas = globex.reduce(&gina, &globex_access, figures, now);
    story.yes("the rows of gina: the Americas, since 2002", ginas, shape)?;
    let swapped = acme.reduce(&gina, &acme_access, figures, now);
    story.no("a decision of globex's for acme's rows", swapped, "tenant_mismatch")?;
    Ok(())
}

fn only(table: &Table, column: &str, values: &[&str]) -> bool {
    let Some(column) = table.columns().position(|name| name == column) else { return false };
    (0..table.rows()).all(|row| table.cell(row, column).is_some_and(|cell| values.contains(&cell)))
}

/// A file sealed for acme, and what it was sealed with.
struct Sealed {
    path: PathBuf,
    bytes: Vec<u8>,
    context: Context,
}

async fn sealed_files(story: &mut Story, platform: &Platform, folder: &Path, now: SystemTime) -> Done<Sealed> {
    story.chapter("Files are sealed under the tenant's key, bound to where they belong");
    let context = Context::from([("app", "figures"), ("kind", "extract")]);
    let plain = fs::read(Path::new(DATA).join("gapminder.csv"))?;
    let bytes = story.yes("seal the extract", platform.acme.seal(&plain, &context, now).await, |sealed| {
        format!("{} bytes became {}", plain.len(), sealed.len())
    })?;
    let path = folder.join("figures.sealed");
    fs::write(&path, &bytes)?;
    let opened = platform.acme.open(&fs::read(&path)?, &context, now).await;
    story.yes("open it again", opened.map(|opened| opened == plain), |same| format!("the same bytes: {same}"))?;
    let moved = Context::from([("app", "budget"), ("kind", "extract")]);
    story.no("open it as if it were another app's", platform.acme.open(&bytes, &moved, now).await, "not_opened")?;
    let mut damaged = bytes.clone();
    if let Some(byte) = damaged.last_mut() {
        *byte ^= 1;
    }
    story.no("open it with one bit changed", platform.acme.open(&damaged, &context, now).await, "not_opened")?;
    Ok(Sealed { path, bytes, context })
}

async fn the_other_tenant(
    story: &mut Story,
    platform: &Platform,
    people: &People,
    sealed: &Sealed,
    now: SystemTime,
) -> Done {
    story.chapter("The other tenant gets nothing");
    let globex = &platform.globex;
    let token = globex.authenticate(&people.ana_token, &Presented::bearer(), now).await;
    story.no("acme's token at globex", token, "invalid_token")?;
    let decided = globex.decide(&people.ana, Action::Read, ResourceRef::id("outlook"), now);
    story.no("acme's principal in a decision of globex's", decided, "tenant_mismatch")?;
    story.no("acme's file with globex's key", globex.open(&sealed.bytes, &sealed.context, now).await, "not_opened")?;
    Ok(())
}

async fn a_key_disabled(story: &mut Story, platform: &Platform, sealed: &Sealed, now: SystemTime) -> Done {
    story.chapter("A key disabled: the data is unreadable at once, and nothing is lost");
    let Platform { acme, operator, .. } = platform;
    story.yes("disable acme's key", acme.disable_key(operator, now).await, |()| {
        "recorded before it happened".to_owned()
    })?;
    story.no("open the file", acme.open(&sealed.bytes, &sealed.context, now).await, "key_disabled")?;
    story.no("seal another one", acme.seal(b"more", &sealed.context, now).await, "key_disabled")?;
    acme.enable_key(operator, now).await?;
    let opened = acme.open(&fs::read(&sealed.path)?, &sealed.context, now).await;
    story.yes("enable it, and open the file", opened, |plain| format!("{} bytes", plain.len()))?;
    Ok(())
}

async fn a_client_with_a_scope(story: &mut Story, platform: &Platform, now: SystemTime) -> Done {
    story.chapter("An OAuth client: its scope narrows what its roles permit");
    let Platform { acme, operator, .. } = platform;
    let registration = ClientRegistration::new(ClientType::M2m, "nightly report").scope("apps").scope("apps:read");
    let (client, secret) = acme.create_client(registration, operator, now).await?;
    let secret = secret.ok_or("a machine client has a secret")?;
    grant_producer(acme, client.id(), operator, now).await?;

    let basic = STANDARD.encode(format!("{}:{}", client.id(), secret.expose_secret()));
    let authorization = format!("Basic {basic}");
    let headers: [(&str, &[u8]); 2] =
        [("authorization", authorization.as_bytes()), ("content-type", b"application/x-www-form-urlencoded")];
    let mut tokens = Vec::new();
    for scope in ["apps", "apps%3Aread"] {
        let body = format!("grant_type=client_credentials&scope={scope}");
        let answer = acme.token_endpoint("POST", &headers, body.as_bytes(), now).await?;
        let answer: serde_json::Value = serde_json::from_str(answer.body())?;
        tokens.push(answer["access_token"].as_str().ok_or("no token")?.to_owned());
    }
    let wide = acme.authenticate(&tokens[0], &Presented::bearer(), now).await?;
    let narrow = acme.authenticate(&tokens[1], &Presented::bearer(), now).await?;
    let app = || ResourceRef::id("figures");
    let by = |allowed: &qsec::authz::Allowed| format!("by {}", allowed.by().join(", "));
    story.yes("with scope `apps` the client changes the app", acme.decide(&wide, Action::Update, app(), now), by)?;
    story.yes("with scope `apps:read` it reads it", acme.decide(&narrow, Action::Read, app(), now), by)?;
    story.no("with scope `apps:read` it changes it", acme.decide(&narrow, Action::Update, app(), now), "scope")?;
    let greedy = b"grant_type=client_credentials&scope=admin_classic";
    let answer = acme.token_endpoint("POST", &headers, greedy, now).await?;
    story.holds("a scope that was never registered is refused", answer.status() == 400, answer.body())?;
    Ok(())
}

/// The policy file with one line more: the client may edit in the space.
async fn grant_producer(acme: &Tenant, client: &str, operator: &Actor, now: SystemTime) -> Done {
    let text = fs::read_to_string(Path::new(DATA).join("policy.toml"))?;
    let member = format!("\"user:client:{client}\" = [\"producer\"], \"user:ben\"");
    acme.activate_policy(&Policy::parse(&text.replace("\"user:ben\"", &member))?, operator, now).await?;
    Ok(())
}

async fn machines_of_the_zone(story: &mut Story, platform: &Platform, now: SystemTime) -> Done {
    story.chapter("Two services talk over mutual TLS in the zone; a stranger is refused");
    let Platform { deployment, operator, .. } = platform;
    let (engine_key, request) = machines::key_and_request()?;
    let profile = LeafProfile::server("svc/engine/node/n1").dns(["engine.prod.internal"]);
    let issued = deployment.issue(&request, &profile, operator, now).await;
    let engine = story.yes("a leaf for the engine", issued, |leaf| format!("{} for 24 hours", leaf.id()))?;
    let engine = Identity::new(engine.chain(), &engine_key)?;
    let (proxy_key, request) = machines::key_and_request()?;
    let proxy = deployment.issue(&request, &LeafProfile::client("svc/proxy/node/n1"), operator, now).await?;
    let proxy = Identity::new(proxy.chain(), &proxy_key)?;

    let zone = deployment.zone();
    let talked = machines::talk(zone, &engine, zone, &proxy, now);
    story.yes("the proxy asks the engine", talked, |talk| {
        format!("the engine saw {} and said `{}`", talk.peer.id(), talk.answer)
    })?;

    // A stranger with a root of its own, of the same name, and a leaf that looks the same.
    let foreign = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
    let (stranger_key, request) = machines::key_and_request()?;
    let request = CertificateRequest::parse(&request)?;
    let leaf = foreign.issue(&request, &LeafProfile::client("svc/proxy/node/n1"), now)?;
    let stranger = Identity::new(leaf.chain(), &stranger_key)?;
    let refused = machines::talk(zone, &engine, zone, &stranger, now);
    let why = refused.as_ref().err().map_or_else(String::new, ToString::to_string);
    story.holds("a stranger with the same names is refused", refused.is_err(), why)?;
    let backwards = machines::talk(zone, &proxy, zone, &engine, now);
    let why = backwards.as_ref().err().map_or_else(String::new, ToString::to_string);
    story.holds("a client's leaf cannot serve", backwards.is_err(), why)?;
    Ok(())
}

async fn a_tenant_deactivated(
    story: &mut Story,
    platform: &Platform,
    people: &People,
    sealed: &Sealed,
    now: SystemTime,
) -> Done {
    story.chapter("A tenant deactivated: everything of it is refused, nothing of it is lost");
    let Platform { deployment, acme, operator, .. } = platform;
    story.yes(
        "deactivate acme for 30 days",
        deployment.deactivate("acme", 30, "acme", operator, now).await,
        |record| {
            let days = record.deactivation().map_or(0, |(_, days, _)| days);
            format!("{}, to be purged in {days} days at the earliest", record.state().as_str())
        },
    )?;
    let token = acme.authenticate(&people.ana_token, &Presented::bearer(), now).await;
    story.no("ana's session", token, "tenant_inactive")?;
    let decided = acme.decide(&people.ana, Action::Read, ResourceRef::id("figures"), now);
    story.no("a decision", decided, "tenant_inactive")?;
    story.no("the sealed file", acme.open(&sealed.bytes, &sealed.context, now).await, "tenant_inactive")?;
    story.no("a new handle", deployment.tenant("acme").await, "tenant_inactive")?;
    deployment.reactivate("acme", operator, now).await?;
    let opened = acme.open(&sealed.bytes, &sealed.context, now).await;
    story.yes("reactivate it, and open the file", opened, |plain| format!("{} bytes", plain.len()))?;
    Ok(())
}

async fn the_log(story: &mut Story, platform: Platform, folder: &Path, now: SystemTime) -> Done {
    story.chapter("What happened can be proved, and one changed byte is found");
    let Platform { deployment, acme, globex, .. } = platform;
    let later = now + Duration::from_secs(2);
    let log = deployment.log_folder().to_owned();
    drop((acme, globex));
    let home = folder.join("home");
    deployment.close(later).await?;

    let deployment = Deployment::open(&home).await?;
    let report = deployment.verify_log(Some(escrow(folder)?), later).await;
    story.yes("verify the log", report, |report| {
        format!("{} events in {} trees, {} commits", report.events(), report.trees(), report.commits())
    })?;
    let copy = folder.join("copy");
    copy_folder(&log, &copy)?;
    let segment = copy.join("wal/00000000000000000000.qwal");
    let mut bytes = fs::read(&segment)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x01;
    fs::write(&segment, &bytes)?;
    let report = deployment.verify_folder(&copy, Some(escrow(folder)?), later).await?;
    let first = report.findings().first().map_or_else(String::new, ToString::to_string);
    story.holds("one byte of a copy changed: the change is found", report.verdict() == Verdict::Tampered, first)?;
    deployment.close(later).await?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Done {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The first key of the log's MAC chain, as it was taken away when the deployment was made.
fn escrow(folder: &Path) -> Done<MacKey> {
    MacKey::parse_escrow_line(&fs::read(folder.join("escrow.key"))?).ok_or_else(|| "no escrow line".into())
}
