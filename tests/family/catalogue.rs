//! What is recorded has a name of the catalogue, its class and its members, whatever is done.

use std::collections::{BTreeMap, BTreeSet};
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use qsec::audit::{Class, Tree, catalogue, tail};
use qsec::authz::section::{SectionAccess, Table};
use qsec::authz::{Action, Edit, Holder, Policy, Resource, ResourceRef, RuleText};
use qsec::crypto::kms::{FaultyKms, KeyId, LocalKms, RootKey};
use qsec::crypto::{Context, KeyPolicy, MemoryStore, Purpose};
use qsec::identity::oauth::{ClientRegistration, ClientType};
use qsec::identity::{Presented, Principal};
use qsec::{Deployment, FieldKind, Metadata, NewTenant, Setup, Storage, StorageKind, Target, Tenant, TenantPolicy};
use serde_json::Value;

use crate::{now, operator, session};

/// Recorded before they take effect, or not done.
const FAIL_CLOSED: [&str; 93] = [
    "api_key.created",
    "api_key.revoked",
    "app.deleted",
    "audit.entries.pruned",
    "audit.exported",
    "audit.log.closed",
    "audit.log.failed",
    "audit.log.opened",
    "audit.log.recovered",
    "audit.log.superseded",
    "audit.personal.erased",
    "audit.personal.erasure_finished",
    "audit.segment.removed",
    "audit.signing_key.rotated",
    "audit.verification_failed",
    "ca.created",
    "certificate.issued",
    "certificate.revoked",
    "clock.jumped",
    "deployment.configured",
    "deployment.created",
    "feature.disabled",
    "feature.enabled",
    "gateway.registered",
    "gateway.removed",
    "idp.created",
    "idp.deleted",
    "idp.recovery_used",
    "idp.updated",
    "key.created",
    "key.deletion_cancelled",
    "key.deletion_scheduled",
    "key.destroyed",
    "key.disabled",
    "key.enabled",
    "key.provider_change_aborted",
    "key.provider_change_finished",
    "key.provider_change_planned",
    "key.provider_changed",
    "key.rotated",
    "node.joined",
    "node.removed",
    "oauth.client.created",
    "oauth.client.deleted",
    "oauth.client.secret_created",
    "oauth.client.secret_deleted",
    "oauth.client.updated",
    "oauth.consent.withdrawn",
    "oauth.refresh_token.reused",
    "oauth.token.revoked",
    "policy.activated",
    "reencryption.started",
    "role.assigned",
    "role.created",
    "role.deleted",
    "role.unassigned",
    "role.updated",
    "rule.created",
    "rule.deleted",
    "rule.updated",
    "section_access.updated",
    "server_certificate.installed",
    "signing_key.activated",
    "signing_key.published",
    "signing_key.removed",
    "signing_key.retired",
    "signing_key.revoked",
    "space.deleted",
    "space.role_assigned",
    "space.role_removed",
    "storage.configured",
    "tenant.created",
    "tenant.deactivated",
    "tenant.held",
    "tenant.policy_changed",
    "tenant.protection_disabled",
    "tenant.protection_enabled",
    "tenant.purge_planned",
    "tenant.purge_rescheduled",
    "tenant.purge_started",
    "tenant.purge_step_finished",
    "tenant.purged",
    "tenant.reactivated",
    "tenant.released",
    "tenant.user_access_disabled",
    "tenant.user_access_enabled",
    "tls_policy.changed",
    "token.revoked",
    "trust_bundle.changed",
    "user.deleted",
    "user.impersonated",
    "user.invited",
    "user.linked",
];

/// Handed over before the answer.
const BLOCK: [&str; 55] = [
    "api_key.rejected",
    "app.exported",
    "app.opened",
    "app.reloaded",
    "audit.events.dropped",
    "audit.heads.recorded",
    "audit.read",
    "audit.sink.lagged",
    "certificate.refused",
    "certificate.renewed",
    "ciphertext.rejected",
    "configuration.refused",
    "crl.published",
    "decision.denied",
    "feature.metadata_sent",
    "feature.refused",
    "gateway.connected",
    "gateway.disconnected",
    "gateway.refused",
    "group.member_added",
    "group.member_removed",
    "idp.discovery_changed",
    "idp.keys_changed",
    "idp.unavailable",
    "key.failed_back",
    "key.failed_over",
    "key.rewrapped",
    "kms.denied",
    "kms.recovered",
    "kms.unavailable",
    "kms.wrong_key_returned",
    "login.failed",
    "login.succeeded",
    "node.join_refused",
    "oauth.authorization.refused",
    "oauth.consent.granted",
    "oauth.token.issued",
    "oauth.token.refreshed",
    "oauth.token.refused",
    "peer.rejected",
    "phi.refused",
    "reencryption.finished",
    "replay.detected",
    "residency.refused",
    "secret.accessed",
    "section_access.denied",
    "session.ended",
    "session.rejected",
    "session.started",
    "space.created",
    "task.refused",
    "tenant.key_lost",
    "tenant.key_regained",
    "token.rejected",
    "user.created",
];

/// Counted where there is no room.
const COUNTED_DROP: [&str; 7] = [
    "decision.allowed",
    "key.cache_dropped",
    "key.used",
    "section_access.reduced",
    "sheet.opened",
    "tenant.request_refused",
    "token.issued",
];

const POLICY: &str = r#"{"version":1,"tenants":{"acme":{
    "users":{"olivia":{"roles":["TenantAdmin","SharedSpaceCreator"]},"ana":{},"ben":{}},
    "spaces":{"sales":{"type":"managed","owner":"ana","members":{"user:ana":["consumer"]}}},
    "resources":{"q3":{"type":"App","owner":"ana","space":"sales"}}}}}"#;

/// Members that any event may have beside its own: what did not fit, and who is named in a sealed part.
const OF_EVERY_EVENT: [&str; 3] = ["cut", "personal", "personal_unsealed"];

fn classes() -> BTreeMap<&'static str, Class> {
    let lists =
        [(&FAIL_CLOSED[..], Class::FailClosed), (&BLOCK[..], Class::Block), (&COUNTED_DROP[..], Class::CountedDrop)];
    lists.into_iter().flat_map(|(names, class)| names.iter().map(move |name| (*name, class))).collect()
}

#[test]
fn the_catalogue_is_the_one_that_was_agreed() {
    let known: BTreeMap<&str, Class> = catalogue::all().map(|known| (known.name(), known.class())).collect();
    assert_eq!(known, classes());
    assert_eq!(known.len(), FAIL_CLOSED.len() + BLOCK.len() + COUNTED_DROP.len());
}

/// Every leaf of a tree.
fn leaves(deployment: &Deployment, tree: &Tree) -> Vec<Value> {
    let entries = tail(deployment.log_folder(), tree, 0);
    entries.map(|entry| serde_json::from_str(entry.unwrap().text()).unwrap()).collect()
}

fn faults(leaf: &Value) -> Vec<String> {
    let name = leaf["type"].as_str().unwrap();
    let Some(known) = catalogue::find(name) else { return vec![format!("{name} is not in the catalogue")] };
    let mut faults = Vec::new();
    if !classes().contains_key(name) {
        faults.push(format!("{name} is not in the list"));
    }
    if leaf["dataschema"] != format!("urn:qsec:event:{name}:1") {
        faults.push(format!("{name} has the schema {}", leaf["dataschema"]));
    }
    for (member, value) in leaf["data"].as_object().unwrap() {
        let is_known = known.fields().iter().any(|field| field.name() == member);
        if !is_known && !OF_EVERY_EVENT.contains(&member.as_str()) {
            faults.push(format!("{name} has no member `{member}`: {value}"));
        }
    }
    if leaf["outcome"] != "success" && !leaf["reason"].is_string() {
        faults.push(format!("{name} has no reason"));
    }
    faults
}

async fn customer() -> (Arc<FaultyKms<LocalKms>>, KeyId) {
    let kms = LocalKms::open(RootKey::from_bytes(&[9; 32]), MemoryStore::new()).unwrap();
    let key_id = kms.create_key(now()).await.unwrap();
    (Arc::new(FaultyKms::over(kms).as_provider("aws")), key_id)
}

async fn principal(tenant: &Tenant, user: &str) -> Principal {
    let token = session(tenant, user, now()).await;
    tenant.authenticate(&token, &Presented::bearer(), now()).await.unwrap()
}

/// Every kind of change of a policy, the ones that have no type of their own among them.
async fn edits(acme: &Tenant, olivia: &Principal) {
    let user = |id: &str| Edit::CreateUser { id: id.into(), directory: None, name: None };
    let rule = || RuleText::new("all", "App_*", ["read"]).condition(r#"user.userId = "ana""#);
    let zoe = || Holder::user("zoe");
    let space =
        |id: &str| Edit::CreateSpace { id: id.into(), space_type: "shared".into(), owner: "olivia".into(), name: None };
    let roles = |roles: &[&str]| Edit::SetSpaceRoles {
        space: "sales".into(),
        member: zoe(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let app = Resource::new("App").owner("olivia").space("hr");
    let all = [
        user("zoe"),
        Edit::SetAttribute { user: "zoe".into(), name: "city".into(), value: Some("Lund".into()) },
        Edit::DisableUser { id: "zoe".into() },
        Edit::EnableUser { id: "zoe".into() },
        Edit::CreateGroup { name: "finance".into() },
        Edit::AddMember { group: "finance".into(), user: "zoe".into() },
        Edit::RemoveMember { group: "finance".into(), user: "zoe".into() },
        Edit::DeleteGroup { name: "finance".into() },
        Edit::CreateRole { name: "Exporter".into(), permissions: vec!["apps.data:export".into()] },
        Edit::UpdateRole { name: "Exporter".into(), permissions: vec!["apps.image:export".into()] },
        Edit::AssignRole { role: "Exporter".into(), to: zoe() },
        Edit::UnassignRole { role: "Exporter".into(), from: zoe() },
        Edit::DeleteRole { name: "Exporter".into() },
        Edit::SetUserDefault { permissions: vec!["apps.image:export".into()] },
        space("hr"),
        Edit::RenameSpace { id: "hr".into(), name: Some("People".into()) },
        Edit::CreateResource { id: "memo".into(), resource: app },
        Edit::DeleteResource { id: "memo".into() },
        Edit::ChangeSpaceOwner { space: "hr".into(), owner: "ben".into() },
        Edit::DeleteSpace { id: "hr".into() },
        roles(&["consumer"]),
        roles(&[]),
        Edit::CreateRule(rule()),
        Edit::DisableRule { name: "all".into() },
        Edit::EnableRule { name: "all".into() },
        Edit::DeleteRule { name: "all".into() },
        Edit::DeleteUser { id: "zoe".into() },
    ];
    for edit in &all {
        acme.edit_policy(olivia, edit, now()).await.unwrap_or_else(|error| panic!("{}: {error}", edit.name()));
    }
    acme.edit_policy(&principal(acme, "ben").await, &user("eve"), now()).await.unwrap_err();
}

async fn policies(acme: &Tenant, olivia: &Principal) {
    let target = |address| Target::new(address, "local").unwrap();
    let storage = Storage::new(StorageKind::Managed, target("s3://landing"), target("s3://own"));
    let policy = TenantPolicy::new().storage(storage).feature("ai", "https://ai.example", "local").unwrap();
    acme.storage(now()).await.unwrap_err();
    acme.set_tenant_policy(&policy, &qsec::audit::Actor::user("ana"), now()).await.unwrap_err();
    acme.set_tenant_policy(&policy, &operator(), now()).await.unwrap();
    let elsewhere = policy.clone().feature("other", "https://ai.example", "mars").unwrap();
    acme.set_tenant_policy(&elsewhere, &operator(), now()).await.unwrap_err();
    acme.set_key_policy(&KeyPolicy::new().phi(), &operator(), now()).await.unwrap_err();
    acme.seal_phi(b"x", &Context::empty(), now()).await.unwrap_err();
    acme.enable_feature(&principal(acme, "ana").await, "ai", now()).await.unwrap_err();
    acme.enable_feature(olivia, "ai", now()).await.unwrap();
    let allowed = acme.decide(&principal(acme, "ana").await, Action::Read, ResourceRef::id("q3"), now()).unwrap();
    let metadata = Metadata::new("q3").field("REGION", FieldKind::Text);
    drop(acme.disclose("ai", &allowed, &metadata, now()).await.unwrap());
    acme.disable_feature(olivia, "ai", now()).await.unwrap();
    acme.disclose("ai", &allowed, &metadata, now()).await.unwrap_err();
}

async fn keys(acme: &Tenant) {
    let context = Context::from([("row", "1")]);
    let (actor, data) = (operator(), Purpose::data());
    let sealed = acme.seal(b"x", &context, now()).await.unwrap();
    let mut damaged = acme.seal(b"x", &context, now()).await.unwrap();
    damaged.iter_mut().skip(2).take(4).for_each(|byte| *byte = 0xff);
    acme.open(&damaged, &context, now()).await.unwrap_err();
    acme.rotate_key(&data, &actor, now()).await.unwrap();
    acme.disable_key(&actor, now()).await.unwrap();
    acme.open(&sealed, &context, now()).await.unwrap_err();
    acme.rotate_key(&data, &actor, now()).await.unwrap_err();
    acme.enable_key(&actor, now()).await.unwrap();
    acme.schedule_key_deletion(7, &actor, now()).await.unwrap();
    acme.cancel_key_deletion(&actor, now()).await.unwrap();
    acme.enable_key(&actor, now()).await.unwrap();
    let (kms, key_id) = customer().await;
    acme.change_key_provider(kms, from_ref(&key_id), 0, &actor, now()).await.unwrap();
    acme.rewrap_keys(&[], &[], &actor, now()).await.unwrap();
    acme.abort_key_migration(&actor, now()).await.unwrap_err();
    acme.revert_keys(0, &actor, now()).await.unwrap();
    acme.shred_key(&data, 1, &actor, now()).await.unwrap();
    acme.shred_key(&data, 2, &actor, now()).await.unwrap_err();
}

async fn rows(acme: &Tenant) {
    let data = Table::parse_csv("REGION\nNORTH\nSOUTH\n").unwrap();
    let tables = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"]).unwrap();
    let wrong = SectionAccess::parse(["ACCESS,USERID,PLACE\nUSER,ANA,NORTH\n"]).unwrap();
    let actor = operator();
    acme.activate_section_access("q3", &tables, data.columns(), &actor, now()).await.unwrap();
    acme.activate_section_access("q3", &wrong, data.columns(), &actor, now()).await.unwrap_err();
    acme.record_uses(true, &actor, now()).await.unwrap();
    let allowed = acme.decide(&principal(acme, "ana").await, Action::Read, ResourceRef::id("q3"), now()).unwrap();
    acme.read(&allowed, &data, now()).unwrap();
    let open = SectionAccess::parse(["ACCESS,USERID\nUSER,*\n"]).unwrap().check_columns(data.columns()).unwrap();
    acme.reduce(&allowed, &open, &data, now()).unwrap_err();
    acme.withdraw_section_access("q3", &actor, now()).await.unwrap();
    acme.record_uses(false, &actor, now()).await.unwrap();
}

async fn callers(acme: &Tenant) {
    let token = session(acme, "ana", now()).await;
    for _ in 0..12 {
        acme.authenticate(&format!("{token}x"), &Presented::bearer(), now()).await.unwrap_err();
    }
    acme.sign_in("nobody's", now()).await.unwrap_err();
    let registration = ClientRegistration::new(ClientType::M2m, "job").scope("apps:read");
    let (client, _) = acme.create_client(registration, &operator(), now()).await.unwrap();
    acme.disable_client(client.id(), &operator(), now()).await.unwrap();
    acme.enable_client(client.id(), &operator(), now()).await.unwrap();
    acme.token_endpoint("POST", &[], b"", now()).await.unwrap();
    let ana = principal(acme, "ana").await;
    acme.decide(&ana, Action::Delete, ResourceRef::id("nothing"), now()).unwrap_err();
}

async fn lifecycle(deployment: &Deployment, acme: &Tenant) {
    let actor = operator();
    deployment.create_tenant(&NewTenant::new("acme"), &actor, now()).await.unwrap_err();
    deployment.disable_users("acme", &actor, now()).await.unwrap();
    deployment.enable_users("acme", &actor, now()).await.unwrap();
    deployment.protect("acme", &actor, now()).await.unwrap();
    deployment.deactivate("acme", 30, "acme", &actor, now()).await.unwrap_err();
    let other = qsec::audit::Actor::operator("op-2");
    deployment.unprotect("acme", &other, now()).await.unwrap();
    deployment.deactivate("acme", 30, "acme", &actor, now()).await.unwrap();
    acme.seal(b"x", &Context::empty(), now()).await.unwrap_err();
    deployment.deactivate("acme", 20, "acme", &actor, now()).await.unwrap();
    deployment.reactivate("acme", &actor, now()).await.unwrap();
}

#[tokio::test]
async fn whatever_is_done_is_recorded_in_the_words_of_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    Deployment::create(&home, Setup::new().region("local"), now()).await.unwrap();
    let deployment = Deployment::open(&home).await.unwrap();
    let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator(), now()).await.unwrap();
    acme.activate_policy(&Policy::parse(POLICY).unwrap(), &operator(), now()).await.unwrap();
    let olivia = principal(&acme, "olivia").await;
    edits(&acme, &olivia).await;
    policies(&acme, &olivia).await;
    Box::pin(keys(&acme)).await;
    rows(&acme).await;
    callers(&acme).await;
    lifecycle(&deployment, &acme).await;
    deployment.issue(b"no request", &leaf(), &operator(), now()).await.unwrap_err();
    deployment.clone().close(now() + Duration::from_mins(2)).await.unwrap();

    let mut all = leaves(&deployment, &Tree::tenant("acme").unwrap());
    all.extend(leaves(&deployment, &Tree::Deployment));
    let faults: BTreeSet<String> = all.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let seen: BTreeSet<&str> = all.iter().map(|leaf| leaf["type"].as_str().unwrap()).collect();
    assert!(seen.len() >= 60, "the scenario records {} types: {seen:?}", seen.len());
    // The reservation of the id, and the tenant that is there.
    let created = all.iter().filter(|leaf| leaf["type"] == "tenant.created" && leaf["outcome"] == "success");
    let to: Vec<&str> =
        created.filter(|leaf| leaf["tenantid"] == "acme").map(|leaf| leaf["data"]["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["provisioning", "active"]);
}

fn leaf() -> qsec::pki::LeafProfile {
    qsec::pki::LeafProfile::server("svc/engine/node/n7")
}
