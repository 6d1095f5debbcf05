//! The family together, through the facade: what no room can show alone.

mod catalogue;
mod moves;
mod policies;
mod privileges;
mod replays;
mod strangers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use qsec::audit::{Actor, Tree};
use qsec::authz::Policy;
use qsec::crypto::Secret;
use qsec::identity::{Presented, TokenDraft, TokenType};
use qsec::{Deployment, NewTenant, Setup, Tenant, Unlock};

const POLICY: &str = r#"{"version":1,"tenants":{"acme":{"users":{"olivia":{"roles":["TenantAdmin"]},"ana":{}}}}}"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn operator() -> Actor {
    Actor::operator("op-1")
}

async fn deployment(home: &Path) -> Deployment {
    Deployment::create(home, Setup::new(), now()).await.unwrap();
    Deployment::open(home).await.unwrap()
}

async fn acme(deployment: &Deployment) -> Tenant {
    let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator(), now()).await.unwrap();
    acme.activate_policy(&Policy::parse(POLICY).unwrap(), &operator(), now()).await.unwrap();
    acme
}

async fn session(tenant: &Tenant, user: &str, at: SystemTime) -> String {
    let draft = TokenDraft::new(TokenType::Session, user).audience(tenant.issuer());
    tenant.issue_token(draft, &operator(), at).await.unwrap().token().to_owned()
}

async fn code(tenant: &Tenant, token: &str, at: SystemTime) -> &'static str {
    tenant.authenticate(token, &Presented::bearer(), at).await.map_or_else(|error| error.code(), |_| "ok")
}

fn recorded(deployment: &Deployment, words: &[&str]) -> usize {
    let entries = qsec::audit::tail(deployment.log_folder(), &Tree::tenant("acme").unwrap(), 0);
    entries.filter(|entry| words.iter().all(|word| entry.as_ref().unwrap().text().contains(word))).count()
}

#[tokio::test]
async fn foreign_folder_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.path().join("root.key"), "somebody's").unwrap();
    let error = Deployment::create(folder.path(), Setup::new(), now()).await.unwrap_err();
    assert_eq!(error.code(), "folder_not_empty");
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn wrong_passphrase_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let unlock = |text: &[u8]| Unlock::Passphrase(Secret::copy_from(text));
    Deployment::create(&home, Setup::new().unlock(unlock(b"right")), now()).await.unwrap();
    let error = Deployment::open_with(&home, unlock(b"wrong")).await.unwrap_err();
    assert_eq!(error.code(), "key_file_invalid", "{error}");
    assert!(Deployment::open_with(&home, unlock(b"right")).await.is_ok());
}

#[tokio::test]
async fn session_from_before_a_deactivation_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = acme(&deployment).await;
    let before = session(&acme, "ana", now()).await;
    assert_eq!(code(&acme, &before, now()).await, "ok");
    deployment.deactivate("acme", 30, "acme", &operator(), now()).await.unwrap();
    assert_eq!(code(&acme, &before, now()).await, "tenant_inactive");
    deployment.reactivate("acme", &operator(), now()).await.unwrap();
    assert_eq!(code(&acme, &before, now()).await, "invalid_token");
    let after = session(&acme, "ana", now()).await;
    assert_eq!(code(&acme, &after, now()).await, "ok");
}

#[tokio::test]
async fn closed_tenant_lets_in_its_administrators_alone() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = acme(&deployment).await;
    let (ana, olivia) = (session(&acme, "ana", now()).await, session(&acme, "olivia", now()).await);
    deployment.disable_users("acme", &operator(), now()).await.unwrap();
    assert_eq!(code(&acme, &ana, now()).await, "tenant_inactive");
    assert_eq!(code(&acme, &olivia, now()).await, "ok");
}

#[tokio::test]
async fn refused_transition_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("home")).await;
    acme(&deployment).await;
    let error = deployment.reactivate("acme", &operator(), now()).await.unwrap_err();
    assert_eq!(error.code(), "transition_not_allowed");
    assert_eq!(recorded(&deployment, &["tenant.reactivated", "transition_not_allowed"]), 1);
}

#[tokio::test]
async fn log_that_was_tampered_with_is_read_and_refuses_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let first = deployment(&home).await;
    acme(&first).await;
    first.close(now()).await.unwrap();
    let segment = home.join("audit/wal/00000000000000000000.qwal");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).unwrap();

    let second = Deployment::open(&home).await.unwrap();
    let version = second.tenant_record("acme").await.unwrap().version();
    let error = second.disable_users("acme", &operator(), now()).await.unwrap_err();
    assert_eq!(error.code(), "audit_tampered");
    let error = second.create_tenant(&NewTenant::new("globex"), &operator(), now()).await.unwrap_err();
    assert_eq!(error.code(), "audit_tampered");
    let records = second.tenants().await.unwrap();
    assert_eq!(records.iter().map(|record| (record.id(), record.version())).collect::<Vec<_>>(), [("acme", version)]);
}

#[tokio::test]
async fn deployment_that_was_dropped_without_being_closed_opens_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let first = deployment(&home).await;
    drop(acme(&first).await);
    drop(first);
    let second = Deployment::open(&home).await.unwrap();
    second.disable_users("acme", &operator(), now()).await.unwrap();
}
