//! Least privilege: changes of the policy, access tables in force, who may see what, and what nobody needed.

use std::time::{Duration, SystemTime};

use qsec::authz::section::{NullRows, Options, SectionAccess, Table};
use qsec::authz::visibility::Visibility;
use qsec::authz::{Action, Edit, Grant, Holder, Obligation, Policy, ResourceRef, RuleText};
use qsec::identity::{Presented, Principal};
use qsec::{Deployment, Tenant};

use crate::{deployment, now, operator, recorded, session};

const POLICY: &str = r#"{"version":1,"tenants":{"acme":{
    "users":{"olivia":{"roles":["TenantAdmin"]},"ana":{},"ben":{"roles":["SharedSpaceCreator"]}},
    "spaces":{"sales":{"type":"managed","owner":"eve","members":{"user:ana":["consumer"],"user:ben":["consumer"]}}},
    "resources":{"q3":{"type":"App","owner":"eve","space":"sales"},"plan":{"type":"App","owner":"eve","space":"sales"}}}}}"#;

const DATA: &str = "REGION,SALES\nNORTH,10\nSOUTH,20\n";

fn later(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

fn app() -> ResourceRef {
    ResourceRef::id("q3")
}

fn norths() -> SectionAccess {
    SectionAccess::parse(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"]).unwrap()
}

async fn tenant(folder: &tempfile::TempDir) -> (Deployment, Tenant) {
    let deployment = deployment(&folder.path().join("home")).await;
    let acme = deployment.create_tenant(&qsec::NewTenant::new("acme"), &operator(), now()).await.unwrap();
    acme.activate_policy(&Policy::parse(POLICY).unwrap(), &operator(), now()).await.unwrap();
    (deployment, acme)
}

async fn principal(tenant: &Tenant, user: &str) -> Principal {
    let token = session(tenant, user, now()).await;
    tenant.authenticate(&token, &Presented::bearer(), now()).await.unwrap()
}

fn assign(role: &str, user: &str) -> Edit {
    Edit::AssignRole { role: role.into(), to: Holder::user(user) }
}

#[tokio::test]
async fn every_change_of_the_policy_is_recorded_by_its_name_and_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let olivia = principal(&acme, "olivia").await;
    let created = |name: &str| Edit::CreateUser { id: name.into(), directory: None, name: None };
    let rule = RuleText::new("all", "App_*", ["read"]).condition(r#"user.userId = "ana""#);
    let member = |group: &str| Edit::AddMember { group: group.into(), user: "zoe".into() };
    let space = Edit::CreateSpace { id: "hr".into(), space_type: "shared".into(), owner: "ben".into(), name: None };
    let to = Holder::user("zoe");
    let roles = Edit::SetSpaceRoles { space: "sales".into(), member: to, roles: vec!["consumer".into()] };
    let role = Edit::CreateRole { name: "Exporter".into(), permissions: vec!["apps.data:export".into()] };
    let default = Edit::SetUserDefault { permissions: vec!["apps.image:export".into()] };
    let changes = [
        ("user.created", created("zoe")),
        ("policy.activated", Edit::CreateGroup { name: "finance".into() }),
        ("group.member_added", member("finance")),
        ("role.created", role),
        ("role.assigned", assign("Exporter", "zoe")),
        ("space.role_assigned", roles),
        ("rule.created", Edit::CreateRule(rule)),
        ("rule.updated", Edit::DisableRule { name: "all".into() }),
        ("tenant.policy_changed", default),
        ("role.unassigned", Edit::UnassignRole { role: "Exporter".into(), from: Holder::user("zoe") }),
        ("policy.activated", Edit::DisableUser { id: "ana".into() }),
        ("policy.activated", Edit::EnableUser { id: "ana".into() }),
        ("user.deleted", Edit::DeleteUser { id: "ben".into() }),
    ];
    let mut version = 1;
    for (name, edit) in &changes {
        let before = recorded(&deployment, &[&format!(r#""type":"{name}""#)]);
        let (action, by) = (format!(r#""action":"{}""#, edit.name()), format!(r#""policy":"{version}""#));
        let decided = [r#""type":"decision.allowed""#, r#""actorid":"olivia""#, "role:TenantAdmin", &action, &by];
        version += 1;
        let made = acme.edit_policy(&olivia, edit, now()).await;
        assert_eq!(made.unwrap_or_else(|error| panic!("{name}: {error}")), version);
        assert_eq!(recorded(&deployment, &[&format!(r#""type":"{name}""#)]), before + 1, "{name}");
        assert_eq!(recorded(&deployment, &decided), 1, "{name}: which change, and by which right");
    }
    let given = [r#""type":"space.role_assigned""#, r#""subject":"user/zoe""#, r#""space":"sales""#, r#"["consumer"]"#];
    assert_eq!(recorded(&deployment, &given), 1);
    let zoe = principal(&acme, "zoe").await;
    assert!(acme.decide(&zoe, Action::Read, app(), now()).is_ok());
    let refused = acme.edit_policy(&principal(&acme, "ana").await, &space, now()).await.unwrap_err();
    assert_eq!(refused.code(), "no_grant");
}

#[tokio::test]
async fn refused_change_of_the_policy_is_recorded_once_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let (ana, olivia) = (principal(&acme, "ana").await, principal(&acme, "olivia").await);
    let grant = assign("TenantAdmin", "ana");
    assert_eq!(acme.edit_policy(&ana, &grant, now()).await.unwrap_err().code(), "no_grant");
    let last = Edit::UnassignRole { role: "TenantAdmin".into(), from: Holder::user("olivia") };
    let error = acme.edit_policy(&olivia, &last, now()).await.unwrap_err();
    assert_eq!((error.code(), error.fault()), ("last_administrator", qsec::Fault::Refused));
    let nobody = acme.edit_policy(&olivia, &assign("Steward", "nobody"), now()).await.unwrap_err();
    assert_eq!((nobody.code(), nobody.fault()), ("not_found", qsec::Fault::Refused));
    deployment.clone().close(now()).await.unwrap();
    let denied = r#""type":"decision.denied""#;
    assert_eq!(recorded(&deployment, &[denied, r#""actorid":"ana""#, "no_grant", "change_role"]), 1);
    assert_eq!(recorded(&deployment, &[denied, r#""actorid":"olivia""#, "last_administrator", "role.unassigned"]), 1);
    assert_eq!(recorded(&deployment, &[denied]), 2);
    assert_eq!(recorded(&deployment, &[r#""type":"role."#]), 0);
}

#[tokio::test]
async fn nobody_sees_rows_but_by_the_tables_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let (ana, ben) = (principal(&acme, "ana").await, principal(&acme, "ben").await);
    let data = Table::parse_csv(DATA).unwrap();
    let everything = SectionAccess::parse(["ACCESS,USERID\nUSER,*\n"]).unwrap();
    let open = everything.check_columns(data.columns()).unwrap();
    let allowed = acme.decide(&ana, Action::Read, app(), now()).unwrap();
    assert_eq!(acme.obligation(&allowed), None);
    assert_eq!(acme.reduce(&allowed, &open, &data, now()).unwrap().rows(), 2);
    assert_eq!(acme.read(&allowed, &data, now()).unwrap_err().code(), "not_active");

    let updated = acme.activate_section_access("q3", &norths(), data.columns(), &operator(), now()).await.unwrap();
    assert_eq!((updated.rows(), updated.previous()), (1, None));
    assert_eq!(acme.obligation(&allowed), Some(Obligation::Reduce { app: "q3" }));
    assert_eq!(acme.read(&allowed, &data, now()).unwrap().to_csv(), "REGION,SALES\nNORTH,10\n");
    // Other tables, and the same ones read more loosely, give no row that those in force do not.
    assert_eq!(acme.reduce(&allowed, &open, &data, now()).unwrap_err().code(), "obligation_unmet");
    let loose = Options::new().null_text("SOUTH").null_rows(NullRows::Show);
    let loose = SectionAccess::parse_with(["ACCESS,USERID,REGION\nUSER,ANA,NORTH\n"], loose).unwrap();
    let loose = loose.check_columns(data.columns()).unwrap();
    assert_eq!(acme.reduce(&allowed, &loose, &data, now()).unwrap().rows(), 1);
    let bens = acme.decide(&ben, Action::Read, app(), now()).unwrap();
    assert_eq!(acme.read(&bens, &data, now()).unwrap_err().code(), "not_listed");

    let unknown = SectionAccess::parse(["ACCESS,USERID,PLACE\nUSER,ANA,NORTH\n"]).unwrap();
    let error = acme.activate_section_access("q3", &unknown, data.columns(), &operator(), now()).await.unwrap_err();
    assert_eq!(error.code(), "unknown_reduction_field");
    assert_eq!(acme.read(&allowed, &data, now()).unwrap().rows(), 1);
    deployment.clone().close(now()).await.unwrap();
    let version = updated.version().unwrap().to_string();
    let name = r#""type":"section_access.updated""#;
    assert_eq!(recorded(&deployment, &[name, &version, r#""rows":1"#, r#""outcome":"success""#]), 1);
    assert_eq!(recorded(&deployment, &[name, r#""outcome":"failure""#, "unknown_reduction_field"]), 1);
    assert_eq!(recorded(&deployment, &["section_access.denied", "obligation_unmet", "ana"]), 1);
    assert_eq!(recorded(&deployment, &["section_access.denied", "not_listed", "ben"]), 1);
    assert_eq!(recorded(&deployment, &["section_access.reduced", r#""rows_kept":1"#]), 3);
}

#[tokio::test]
async fn app_whose_tables_are_not_loaded_again_gives_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let data = Table::parse_csv(DATA).unwrap();
    acme.activate_section_access("q3", &norths(), data.columns(), &operator(), now()).await.unwrap();
    drop(acme);
    deployment.close(now()).await.unwrap();

    let deployment = Deployment::open(folder.path().join("home")).await.unwrap();
    let acme = deployment.tenant("acme").await.unwrap();
    let ana = principal(&acme, "ana").await;
    let allowed = acme.decide(&ana, Action::Read, app(), now()).unwrap();
    assert_eq!(acme.obligation(&allowed), Some(Obligation::Reduce { app: "q3" }));
    assert_eq!(acme.read(&allowed, &data, now()).unwrap_err().code(), "obligation_unmet");
    let access = norths().check_columns(data.columns()).unwrap();
    assert_eq!(acme.reduce(&allowed, &access, &data, now()).unwrap_err().code(), "obligation_unmet");
    acme.activate_section_access("q3", &norths(), data.columns(), &operator(), now()).await.unwrap();
    assert_eq!(acme.read(&allowed, &data, now()).unwrap().rows(), 1);
    acme.withdraw_section_access("q3", &operator(), now()).await.unwrap();
    assert_eq!(acme.obligation(&allowed), None);
    let error = acme.withdraw_section_access("q3", &operator(), now()).await.unwrap_err();
    assert_eq!(error.code(), "not_found");
    assert_eq!(recorded(&deployment, &[r#""type":"section_access.updated""#, r#""rows":0"#]), 1);
}

#[tokio::test]
async fn visibility_and_who_may_say_what_decisions_say() {
    let folder = tempfile::tempdir().unwrap();
    let (_deployment, acme) = tenant(&folder).await;
    let (ana, olivia) = (principal(&acme, "ana").await, principal(&acme, "olivia").await);
    let apps = |who: &Principal| acme.visibility(who, Action::Read, Some("App"), now()).unwrap();
    assert!(matches!(apps(&olivia), Visibility::All));
    let Visibility::If(predicate) = apps(&ana) else { panic!("some apps") };
    let app = |space: &str| qsec::authz::Resource::new("App").id("x").owner("eve").space(space);
    assert_eq!(predicate.holds(&app("sales")), Some(true));
    let who = acme.who_may(Action::Read, ResourceRef::id("q3"), now()).await.unwrap();
    let users: Vec<_> = who.users().map(|(user, _)| user.to_owned()).collect();
    assert_eq!(users, ["ana", "ben", "eve", "olivia"]);
}

#[tokio::test]
async fn grants_that_the_log_does_not_need_are_unused() {
    let folder = tempfile::tempdir().unwrap();
    let (deployment, acme) = tenant(&folder).await;
    let (ana, olivia) = (principal(&acme, "ana").await, principal(&acme, "olivia").await);
    let unused = acme.unused_grants(now(), later(60), later(60)).await.unwrap_err();
    assert_eq!((unused.code(), unused.fault()), ("uses_not_recorded", qsec::Fault::Refused));
    drop(acme.decide(&ana, Action::Read, app(), now()).unwrap());
    acme.record_uses(true, &operator(), later(10)).await.unwrap();
    acme.record_uses(true, &operator(), later(20)).await.unwrap();
    drop(acme.decide(&ana, Action::Read, app(), later(11)).unwrap());
    acme.edit_policy(&olivia, &assign("Steward", "ben"), later(12)).await.unwrap();

    let unused = acme.unused_grants(now(), later(900), later(70)).await.unwrap();
    assert_eq!((unused.uses(), unused.dropped(), unused.period()), (2, 0, Duration::from_mins(1)));
    let grants: Vec<Grant> = unused.grants().iter().map(|unused| unused.grant().clone()).collect();
    let role = |role: &str| Grant::RoleAssignment { holder: Holder::user("ben"), role: role.into() };
    let space = Holder::user("ben");
    let membership = Grant::SpaceMembership { holder: space, space: "sales".into(), role: "consumer".into() };
    assert_eq!(grants, [role("SharedSpaceCreator"), role("Steward"), membership]);
    drop((acme, ana, olivia));
    deployment.clone().close(later(70)).await.unwrap();
    assert_eq!(recorded(&deployment, &[r#""type":"decision.allowed""#, r#""because":["space:consumer@sales"]"#]), 1);
    assert_eq!(recorded(&deployment, &["tenant.policy_changed", "record_uses_on"]), 1);
}
