//! What one tenant is to another, and what the disk is to whoever reads it: nothing.

use std::fs;
use std::path::Path;

use qsec::authz::{Action, Policy, ResourceRef};
use qsec::crypto::{Context, Secret};
use qsec::identity::Presented;
use qsec::identity::oauth::{ClientRegistration, ClientType};
use qsec::{Deployment, NewTenant, Setup, Unlock};

use crate::{acme, code, deployment, now, operator, session};

const GLOBEX: &str =
    r#"{"version":1,"tenants":{"globex":{"users":{"ana":{}},"resources":{"a":{"type":"App","owner":"ana"}}}}}"#;

#[tokio::test]
async fn nothing_of_one_tenant_works_at_another() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = acme(&deployment).await;
    let globex = deployment.create_tenant(&NewTenant::new("globex"), &operator(), now()).await.unwrap();
    globex.activate_policy(&Policy::parse(GLOBEX).unwrap(), &operator(), now()).await.unwrap();

    let token = session(&acme, "ana", now()).await;
    assert_eq!(code(&globex, &token, now()).await, "invalid_token");
    let principal = acme.authenticate(&token, &Presented::bearer(), now()).await.unwrap();
    let decided = globex.decide(&principal, Action::Read, ResourceRef::id("a"), now());
    assert_eq!(decided.unwrap_err().code(), "tenant_mismatch");

    let context = Context::from([("row", "1")]);
    let sealed = acme.seal(b"acme's", &context, now()).await.unwrap();
    assert_eq!(globex.open(&sealed, &context, now()).await.unwrap_err().code(), "not_opened");

    let registration = ClientRegistration::new(ClientType::M2m, "job").scope("apps:read");
    let (client, _) = acme.create_client(registration, &operator(), now()).await.unwrap();
    assert_eq!(globex.client(client.id()).await.unwrap_err().code(), "client_not_found");

    acme.disable_key(&operator(), now()).await.unwrap();
    globex.seal(b"globex's", &context, now()).await.unwrap();
}

#[tokio::test]
async fn no_secret_reaches_the_disk_an_error_or_a_debug_text() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let unlock = || Unlock::Passphrase(Secret::copy_from(b"MARK-passphrase"));
    Deployment::create(&home, Setup::new().unlock(unlock()), now()).await.unwrap();
    let deployment = Deployment::open_with(&home, unlock()).await.unwrap();
    let acme = acme(&deployment).await;
    let token = session(&acme, "ana", now()).await;
    let registration = ClientRegistration::new(ClientType::M2m, "job").scope("apps:read");
    let (client, secret) = acme.create_client(registration, &operator(), now()).await.unwrap();
    let secret = secret.unwrap();
    acme.seal(b"MARK-plaintext", &Context::from([("row", "MARK-context")]), now()).await.unwrap();
    let refused = acme.authenticate(&format!("{token}x"), &Presented::bearer(), now()).await.unwrap_err();

    let marks = ["MARK-passphrase", "MARK-plaintext", "MARK-context", secret.expose_secret(), &token];
    let texts = [
        format!("{deployment:?}"),
        format!("{acme:?}"),
        format!("{client:?}{secret:?}"),
        format!("{refused:?}{refused}"),
    ];
    for mark in marks {
        assert!(texts.iter().all(|text| !text.contains(mark)), "a debug or error text holds a secret");
    }
    deployment.close(now()).await.unwrap();
    for mark in marks {
        assert!(!holds(&home, mark.as_bytes()), "the disk holds a secret");
    }
    // The search finds what is there.
    assert!(holds(&home, client.id().as_bytes()));
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { holds(&path, bytes) } else { contains(&fs::read(&path).unwrap(), bytes) }
    })
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn moved_deployment_opens_and_a_copy_without_its_root_key_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (home, moved) = (folder.path().join("home"), folder.path().join("moved"));
    let first = deployment(&home).await;
    let context = Context::from([("row", "1")]);
    let sealed = acme(&first).await.seal(b"text", &context, now()).await.unwrap();
    first.close(now()).await.unwrap();
    fs::rename(&home, &moved).unwrap();

    let second = Deployment::open(&moved).await.unwrap();
    let acme = second.tenant("acme").await.unwrap();
    assert_eq!(acme.open(&sealed, &context, now()).await.unwrap(), b"text");
    drop(acme);
    second.close(now()).await.unwrap();

    fs::remove_file(moved.join("root.key")).unwrap();
    let error = Deployment::open(&moved).await.unwrap_err();
    assert_eq!(error.code(), "key_file_invalid", "{error}");
}
