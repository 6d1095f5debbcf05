//! Policies of a tenant: health data, residency, optional features, storage; and strangers at the door.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use qsec::audit::Actor;
use qsec::authz::section::{SectionAccess, Table};
use qsec::authz::{Action, Allowed, Policy, ResourceRef};
use qsec::crypto::kms::{FaultyKms, LocalKms, RootKey};
use qsec::crypto::{Context, KeyPolicy, MemoryStore, Secret};
use qsec::identity::{Presented, Principal, TokenDraft};
use qsec::{
    Deployment, Fault, FieldKind, Metadata, NewTenant, Setup, Storage, StorageKind, Target, Tenant, TenantPolicy,
};
use qsec_store::{SettingRow, SettingStore, Store};

use crate::{deployment, now, operator, recorded, session};

const POLICY: &str = r#"{"version":1,"tenants":{"acme":{"users":{"olivia":{"roles":["TenantAdmin"]},"ana":{}},
    "resources":{"q3":{"type":"App","owner":"ana"}}}}}"#;

async fn tenant(folder: &tempfile::TempDir) -> (Deployment, Tenant) {
    let home = folder.path().join("home");
    Deployment::create(&home, Setup::new().region("eu"), now()).await.unwrap();
    let deployment = Deployment::open(&home).await.unwrap();
    let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator(), now()).await.unwrap();
    acme.activate_policy(&Policy::parse(POLICY).unwrap(), &operator(), now()).await.unwrap();
    (deployment, acme)
}

async fn principal(tenant: &Tenant, user: &str) -> Principal {
    let token = session(tenant, user, now()).await;
    tenant.authenticate(&token, &Presented::bearer(), now()).await.unwrap()
}

async fn allowed(tenant: &Tenant) -> Allowed {
    tenant.decide(&principal(tenant, "ana").await, Action::Read, ResourceRef::id("q3"), now()).unwrap()
}

async fn set(tenant: &Tenant, policy: &TenantPolicy, by: &Actor) -> Result<(), &'static str> {
    tenant.set_tenant_policy(policy, by, now()).await.map_err(|error| error.code())
}

fn listed() -> TenantPolicy {
    TenantPolicy::new().feature("generative_ai", "https://ai.eu.example", "eu").unwrap()
}

fn metadata() -> Metadata {
    Metadata::new("q3").field("REGION", FieldKind::Text).field("SALES", FieldKind::Number)
}

fn context() -> Context {
    Context::from([("row", "17")])
}

#[tokio::test]
async fn health_data_is_sealed_under_a_customers_key_and_with_an_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let phi = async || acme.seal_phi(b"diagnosis", &context(), now()).await.map_err(|error| error.code());
    // Content that is marked, of a tenant that says it has none.
    assert_eq!(phi().await.unwrap_err(), "phi_requires_cmk");
    let labelled = TenantPolicy::new().keys(KeyPolicy::new().phi());
    assert_eq!(set(&acme, &labelled, &operator()).await, Err("phi_requires_cmk"));
    let kms = LocalKms::open(RootKey::from_bytes(&[9; 32]), MemoryStore::new()).unwrap();
    let key_id = kms.create_key(now()).await.unwrap();
    let kms = Arc::new(FaultyKms::over(kms).as_provider("aws"));
    acme.change_key_provider(kms, from_ref(&key_id), 0, &operator(), now()).await.unwrap();
    set(&acme, &labelled, &operator()).await.unwrap();
    assert_eq!(phi().await.unwrap_err(), "phi_requires_cmk");
    let refused = acme.seal(b"diagnosis", &context(), now()).await.unwrap_err();
    assert_eq!((refused.code(), refused.fault()), ("phi_requires_cmk", Fault::Refused));

    let agreed = labelled.clone().agreement("BAA-2026-17").unwrap();
    assert_eq!(set(&acme, &agreed, &Actor::user("olivia")).await, Err("operator_required"));
    set(&acme, &agreed, &operator()).await.unwrap();
    let sealed = phi().await.unwrap();
    assert_eq!(acme.open(&sealed, &context(), now()).await.unwrap(), b"diagnosis");
    // Stricter is whoever administers the tenant, and at once; what is sealed still opens.
    set(&acme, &labelled, &Actor::user("olivia")).await.unwrap();
    assert_eq!(phi().await.unwrap_err(), "phi_requires_cmk");
    assert_eq!(acme.open(&sealed, &context(), now()).await.unwrap(), b"diagnosis");
    let back = acme.revert_keys(0, &operator(), now()).await.unwrap_err();
    assert_eq!(back.code(), "phi_requires_cmk");
    deployment.clone().close(now()).await.unwrap();
    assert_eq!(recorded(&deployment, &["\"phi.refused\"", "phi_requires_cmk"]), 4);
    assert_eq!(recorded(&deployment, &["tenant.policy_changed", "[\"agreements\"]", "\"success\""]), 2);
    assert_eq!(recorded(&deployment, &["tenant.policy_changed", "operator_required", "olivia"]), 1);
    assert_eq!(
        recorded(&deployment, &["tenant.policy_changed", "\"subject\":\"tenant/acme\"", "\"to\":\"active\""]),
        6
    );
}

#[tokio::test]
async fn feature_is_off_until_an_administrator_turns_it_on_and_is_told_metadata_only() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let (ana, olivia) = (principal(&acme, "ana").await, principal(&acme, "olivia").await);
    let allowed = allowed(&acme).await;
    let ask = async |metadata: &Metadata| {
        let asked = acme.disclose("generative_ai", &allowed, metadata, now()).await;
        asked.map_err(|error| (error.code(), error.fault()))
    };
    let off = Err(("feature_off", Fault::Refused));
    assert_eq!(ask(&metadata()).await, off);
    // Listed by the operator, which is not on; and not listed cannot be turned on.
    let early = acme.enable_feature(&olivia, "generative_ai", now()).await.unwrap_err();
    assert_eq!(early.code(), "feature_off");
    assert_eq!(set(&acme, &listed(), &Actor::user("olivia")).await, Err("operator_required"));
    set(&acme, &listed(), &operator()).await.unwrap();
    assert_eq!(ask(&metadata()).await, off);
    let refused = acme.enable_feature(&ana, "generative_ai", now()).await.unwrap_err();
    assert_eq!((refused.code(), refused.fault()), ("no_grant", Fault::Refused));
    // What an administrator may, a token of theirs with narrow scopes may not.
    let draft = TokenDraft::access("olivia", "app").audience(acme.issuer()).scope("apps:read");
    let token = acme.issue_token(draft, &operator(), now()).await.unwrap();
    let narrow = acme.authenticate(token.token(), &Presented::bearer(), now()).await.unwrap();
    assert_eq!(acme.enable_feature(&narrow, "generative_ai", now()).await.unwrap_err().code(), "scope");
    acme.enable_feature(&olivia, "generative_ai", now()).await.unwrap();
    acme.enable_feature(&olivia, "generative_ai", now()).await.unwrap();

    let disclosure = ask(&metadata()).await.unwrap();
    assert_eq!((disclosure.endpoint(), disclosure.region()), ("https://ai.eu.example", "eu"));
    assert!(disclosure.body().contains("REGION"));
    let value = Metadata::new("q3").field("4,200 EUR\nfrom row 17", FieldKind::Text);
    assert_eq!(ask(&value).await, Err(("feature_data", Fault::Refused)));
    acme.disable_feature(&olivia, "generative_ai", now()).await.unwrap();
    assert_eq!(ask(&metadata()).await, off);
    deployment.clone().close(now()).await.unwrap();
    for (words, times) in [
        (&["\"feature.enabled\"", "olivia", "\"success\""][..], 1),
        (&["\"feature.disabled\"", "olivia", "\"success\""], 1),
        (&["\"feature.refused\"", "\"cause\":\"off\""], 4),
        (&["\"feature.refused\"", "\"cause\":\"data\"", "feature_data"], 1),
        (&["\"feature.metadata_sent\"", "[\"REGION\",\"SALES\"]", "\"region\":\"eu\""], 1),
        (&["\"decision.denied\"", "no_grant", "\"actorid\":\"ana\""], 1),
        (&["\"tenant.policy_changed\"", "[\"features\"]", "\"success\""], 3),
        (&["4,200 EUR"], 0),
    ] {
        assert_eq!(recorded(&deployment, words), times, "{words:?}");
    }
}

#[tokio::test]
async fn features_and_storage_lie_where_the_tenant_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let elsewhere = TenantPolicy::new().feature("generative_ai", "https://ai.us.example", "us").unwrap();
    assert_eq!(set(&acme, &elsewhere, &operator()).await, Err("region_not_allowed"));
    assert_eq!(acme.storage(now()).await.unwrap_err().code(), "storage_not_configured");
    let at = |region: &str| {
        let own = Target::new("s3://acme-staging", "eu").unwrap();
        Storage::new(StorageKind::Customer, Target::new("s3://acme-landing", region).unwrap(), own)
    };
    let stored = |region: &str| TenantPolicy::new().storage(at(region));
    assert_eq!(set(&acme, &stored("eu-central-1"), &operator()).await, Err("region_not_allowed"));
    let regions = KeyPolicy::new().in_regions(["eu-central-1"]).unwrap();
    set(&acme, &stored("eu-central-1").keys(regions.clone()), &operator()).await.unwrap();
    assert_eq!(acme.storage(now()).await.unwrap(), at("eu-central-1"));
    // Its credentials are under the tenant's key, for this target alone.
    assert_eq!(acme.storage_credentials(&operator(), now()).await.unwrap_err().code(), "not_found");
    let key = Secret::copy_from(b"MARK-key");
    acme.set_storage_credentials(&key, &operator(), now()).await.unwrap();
    assert!(acme.storage_credentials(&operator(), now()).await.unwrap().ct_eq(&key));
    let none = acme.set_storage_credentials(&Secret::copy_from(b""), &operator(), now()).await.unwrap_err();
    assert_eq!(none.code(), "usage");
    acme.disable_key(&operator(), now()).await.unwrap();
    assert_eq!(acme.storage_credentials(&operator(), now()).await.unwrap_err().code(), "key_disabled");
    acme.enable_key(&operator(), now()).await.unwrap();
    let moved = TenantPolicy::new().storage(Storage::new(
        StorageKind::Customer,
        Target::new("s3://elsewhere", "eu").unwrap(),
        Target::new("s3://acme-staging", "eu").unwrap(),
    ));
    set(&acme, &moved.keys(regions.clone()), &operator()).await.unwrap();
    assert_eq!(acme.storage_credentials(&operator(), now()).await.unwrap_err().code(), "not_opened");
    set(&acme, &stored("eu-central-1").keys(regions.clone()), &operator()).await.unwrap();
    // A region is not taken away from under what lies there.
    let narrower = KeyPolicy::new().in_regions(["eu-west-1"]).unwrap();
    let error = acme.set_key_policy(&narrower, &operator(), now()).await.unwrap_err();
    assert_eq!(error.code(), "region_not_allowed");
    assert_eq!(acme.key_policy(now()).await.unwrap(), regions);
    deployment.clone().close(now()).await.unwrap();
    assert_eq!(recorded(&deployment, &["\"residency.refused\"", "\"wanted\":\"us\"", "[\"eu\"]"]), 1);
    assert_eq!(recorded(&deployment, &["\"residency.refused\"", "[\"eu\",\"eu-west-1\"]"]), 1);
    assert_eq!(recorded(&deployment, &["\"storage.configured\"", "\"kind\":\"customer\"", "s3://acme-landing"]), 3);
    assert_eq!(recorded(&deployment, &["\"secret.accessed\"", "storage-credentials"]), 1);
    assert_eq!(recorded(&deployment, &["MARK-key"]), 0);
    assert_eq!(recorded(&deployment, &["\"tenant.request_refused\"", "\"surface\":\"storage\""]), 1);
}

#[tokio::test]
async fn policies_are_kept_and_one_that_was_forged_allows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let olivia = principal(&acme, "olivia").await;
    set(&acme, &listed(), &operator()).await.unwrap();
    let store = Store::open_file(folder.path().join("home/store.sqlite")).await.unwrap();
    let off = SettingStore::get(&store, "tenant/acme/policy").await.unwrap().unwrap();
    acme.enable_feature(&olivia, "generative_ai", now()).await.unwrap();
    let kept = acme.tenant_policy(now()).await.unwrap();
    drop((acme, olivia));
    deployment.close(now()).await.unwrap();

    let open = async || {
        let deployment = Deployment::open(folder.path().join("home")).await.unwrap();
        let acme = deployment.tenant("acme").await.unwrap();
        (deployment, acme)
    };
    let (deployment, acme) = open().await;
    assert_eq!(acme.tenant_policy(now()).await.unwrap(), kept);
    drop(acme);
    deployment.close(now()).await.unwrap();
    // What was true once is not true under the number of what came later.
    let mut on = SettingStore::get(&store, "tenant/acme/policy").await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&on.body).contains("generative_ai"));
    on.generation += 1;
    let old = SettingRow { body: off.body, generation: on.generation, name: on.name };
    SettingStore::write(&store, &old).await.unwrap();
    let (_deployment, acme) = open().await;
    let allowed = allowed(&acme).await;
    assert_eq!(acme.tenant_policy(now()).await.unwrap_err().code(), "not_opened");
    assert_eq!(acme.disclose("generative_ai", &allowed, &metadata(), now()).await.unwrap_err().code(), "not_opened");
    assert_eq!(acme.seal(b"x", &context(), now()).await.unwrap_err().code(), "not_opened");
}

#[tokio::test]
async fn what_a_purge_removes_is_what_the_facade_keeps_of_a_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let (_deployment, acme) = tenant(&folder).await;
    set(&acme, &listed(), &operator()).await.unwrap();
    acme.record_uses(true, &operator(), now()).await.unwrap();
    let data = Table::parse_csv("REGION\nNORTH\n").unwrap();
    let tables = SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"]).unwrap();
    acme.activate_section_access("q3", &tables, data.columns(), &operator(), now()).await.unwrap();
    let store = Store::open_file(folder.path().join("home/store.sqlite")).await.unwrap();
    assert!(store.records_left("acme").await.unwrap().contains(&("setting".to_owned(), 3)));
    store.remove_records("acme").await.unwrap();
    let left = store.records_left("acme").await.unwrap();
    assert!(left.iter().all(|(table, _)| table == "key"), "{left:?}");
    let named = SettingStore::list(&store, "").await.unwrap();
    assert!(named.iter().all(|row| !row.name.contains("acme")), "{named:?}");
}

#[tokio::test]
async fn a_stranger_does_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = crate::acme(&deployment).await;
    let token = session(&acme, "ana", now()).await;
    let at = |seconds| now() + Duration::from_secs(seconds);
    let knock = async |second| {
        let error = acme.authenticate(&format!("{token}x"), &Presented::bearer(), at(second)).await.unwrap_err();
        assert_eq!(error.code(), "invalid_request");
    };
    let rejected = "\"type\":\"token.rejected\"";
    for second in 0..40 {
        knock(second).await;
    }
    // What is known stays an event each, and the minute that is over is told with the next event of whatever kind.
    let ana = acme.authenticate(&token, &Presented::bearer(), at(50)).await.unwrap();
    for _ in 0..15 {
        acme.decide(&ana, Action::Read, ResourceRef::id("q3"), at(55)).unwrap_err();
    }
    acme.record_uses(true, &operator(), at(59)).await.unwrap();
    assert_eq!(recorded(&deployment, &[rejected]), 10);
    acme.record_uses(false, &operator(), at(60)).await.unwrap();
    let sum = [rejected, "\"count\":30", "\"reason\":\"repeated\"", "\"actortype\":\"anonymous\""];
    assert_eq!(recorded(&deployment, &sum), 1);
    for _ in 0..12 {
        knock(70).await;
    }
    // Closed before the minute is over: counted all the same.
    deployment.clone().close(at(71)).await.unwrap();
    assert_eq!(recorded(&deployment, &[rejected]), 22);
    assert_eq!(recorded(&deployment, &[rejected, "\"count\":2"]), 1);
    assert_eq!(recorded(&deployment, &["\"type\":\"decision.denied\"", "\"actorid\":\"ana\""]), 15);
}
