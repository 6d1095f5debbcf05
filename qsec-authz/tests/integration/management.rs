//! Changes of a policy: who may make them, how much they may give, and what attackers try.

use qsec_authz::{
    Action, Actor, AttributeValue, Context, Edit, Holder, ManageError, MemoryStore, Policy, PolicyChange, PolicyStore,
    Register, Request, Resource, ResourceRef, RuleText, StoreError, StoredPolicy, Subject,
};
use serde_json::{Value, json};

/// A tenant with an administrator, delegates who get their rights over users, groups, roles and rules from rules, and people.
fn acme() -> Value {
    json!({
        "roles": {"Author": ["apps"], "Spacer": ["admin.spaces"], "Spare": ["apps:read"]},
        "groups": {"admins": {"roles": ["TenantAdmin"]}, "authors": {"roles": ["Author"]}, "helpdesk": {}, "vip": {},
            "publishers": {}, "embedded": {"roles": ["EmbeddedAnalyticsUser"]}},
        "users": {
            "root": {"roles": ["TenantAdmin"]},
            "hank": {"groups": ["helpdesk"], "roles": ["Author"]},
            "mia": {"groups": ["helpdesk"], "custom": {"Team": "Sales"}},
            "ana": {}, "ben": {"groups": ["authors"]},
            "dora": {"status": "disabled", "roles": ["TenantAdmin"]},
            "dave": {"status": "disabled"},
            "embo": {"roles": ["EmbeddedAnalyticsUser", "Steward"]},
            "ann": {"roles": ["AnalyticsAdmin"]},
            "eve": {}, "pete": {}, "fay": {}, "guest": {"groups": ["Guests"]}},
        "spaces": {
            "sales": {"type": "managed", "owner": "eve", "members": {"user:fay": ["facilitator"], "user:pete": ["publisher"],
                "group:publishers": ["publisher"]}},
            "lab": {"type": "shared", "owner": "fay", "members": {"user:pete": ["producer"]}},
            "old": {"type": "shared", "owner": "dave", "members": {}}},
        "resources": {
            "q3": {"type": "App", "owner": "eve", "space": "sales", "custom": {"Team": "Sales"}},
            "draft": {"type": "App", "owner": "pete", "space": "lab"},
            "memo": {"type": "App", "owner": "ana"}},
        "rules": [
            {"name": "desk", "filter": "User_*,Group_*,Role_*,SystemRule_*,Space_*,Tenant_*",
             "actions": ["create", "read", "update", "delete", "change_role", "manage_members", "change_owner"],
             "condition": "user.group = \"helpdesk\""},
            {"name": "vips", "filter": "App_*", "actions": ["read", "export"], "condition": "user.group = \"vip\""},
            {"name": "stewards", "filter": "Glossary_*", "actions": ["read"], "condition": "user.roles = \"Spare\""},
            {"name": "team", "filter": "App_*", "actions": ["read"], "condition": "resource.@Team = user.@Team"},
            {"name": "locals", "filter": "Tag_*", "actions": ["read"], "condition": "!(user.group = \"Guests\")"},
            {"name": "service", "filter": "Tag_*", "actions": ["update"], "condition": "user.userDirectory = \"INTERNAL\""},
            {"name": "off", "filter": "*", "actions": ["read"], "disabled": true},
            {"name": "mine", "filter": "Stream_*", "actions": ["read", "update"], "condition": "user.userId = \"hank\""}]
    })
}

pub(crate) async fn stored(tenant: &str, value: &Value) -> MemoryStore {
    let text = json!({"version": 1, "tenants": {tenant: value}}).to_string();
    let entries = Policy::parse(&text).expect("policy").tenant(tenant).expect("tenant").entries().expect("entries");
    let store = MemoryStore::new();
    let changes: Vec<_> = entries.into_iter().map(PolicyChange::Put).collect();
    store.apply(tenant, 0, &changes).await.expect("stored");
    store
}

fn register() -> Register {
    let store = pollster::block_on(stored("acme", &acme()));
    pollster::block_on(Register::load(&store, "acme")).expect("register")
}

fn actor(user: &str) -> Actor {
    Actor::new(&Subject::user(user))
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn assign(role: &str, to: Holder) -> Edit {
    Edit::AssignRole { role: text(role), to }
}

fn unassign(role: &str, from: Holder) -> Edit {
    Edit::UnassignRole { role: text(role), from }
}

fn join(group: &str, user: &str) -> Edit {
    Edit::AddMember { group: text(group), user: text(user) }
}

fn leave(group: &str, user: &str) -> Edit {
    Edit::RemoveMember { group: text(group), user: text(user) }
}

fn member(space: &str, member: Holder, roles: &[&str]) -> Edit {
    Edit::SetSpaceRoles { space: text(space), member, roles: roles.iter().map(|role| text(role)).collect() }
}

fn role(name: &str, permissions: &[&str]) -> (String, Vec<String>) {
    (text(name), permissions.iter().map(|one| text(one)).collect())
}

fn create_role(name: &str, permissions: &[&str]) -> Edit {
    let (name, permissions) = role(name, permissions);
    Edit::CreateRole { name, permissions }
}

fn update_role(name: &str, permissions: &[&str]) -> Edit {
    let (name, permissions) = role(name, permissions);
    Edit::UpdateRole { name, permissions }
}

fn outcome(register: &Register, who: &str, edit: &Edit) -> &'static str {
    match register.plan(&actor(who), edit) {
        Ok(_) => "planned",
        Err(error) => error.code(),
    }
}

fn check(cases: impl IntoIterator<Item = (&'static str, Edit, &'static str)>) {
    let register = register();
    for (who, edit, expected) in cases {
        assert_eq!(outcome(&register, who, &edit), expected, "{who}: {edit:?}");
    }
}

#[test]
fn who_is_not_granted_the_change_does_not_make_it() {
    let user = || text("ana");
    let all = [
        Edit::CreateUser { id: text("new"), directory: None, name: None },
        Edit::DeleteUser { id: user() },
        Edit::DisableUser { id: user() },
        Edit::EnableUser { id: text("dave") },
        Edit::SetAttribute { user: user(), name: text("x"), value: Some("1".into()) },
        Edit::SetCustom { user: user(), name: text("x"), value: Some("1".into()) },
        Edit::CreateGroup { name: text("new") },
        Edit::DeleteGroup { name: text("vip") },
        join("vip", "ana"),
        leave("authors", "ben"),
        create_role("New", &[]),
        update_role("Author", &[]),
        Edit::DeleteRole { name: text("Spare") },
        assign("Steward", Holder::user("ana")),
        assign("Steward", Holder::group("vip")),
        unassign("Author", Holder::group("authors")),
        Edit::SetUserDefault { permissions: vec![] },
        Edit::SetPersona { persona: text("consumer"), groups: vec![text("vip")] },
        Edit::CreateSpace { id: text("new"), space_type: text("shared"), owner: user(), name: None },
        Edit::RenameSpace { id: text("sales"), name: None },
        Edit::DeleteSpace { id: text("old") },
        member("sales", Holder::user("ana"), &["consumer"]),
        Edit::ChangeSpaceOwner { space: text("sales"), owner: user() },
        Edit::CreateRule(RuleText::new("new", "App_*", ["read"])),
        Edit::UpdateRule(RuleText::new("vips", "App_*", ["read"])),
        Edit::DeleteRule { name: text("vips") },
        Edit::DisableRule { name: text("vips") },
        Edit::EnableRule { name: text("off") },
        Edit::CreateResource { id: text("new"), resource: Resource::new("App").space("sales") },
        Edit::DeleteResource { id: text("q3") },
        Edit::ChangeResourceOwner { id: text("q3"), owner: user() },
        Edit::ChangeResourceSpace { id: text("q3"), space: text("lab") },
    ];
    let register = register();
    for edit in &all {
        assert_eq!(outcome(&register, "ana", edit), "denied", "{edit:?}");
        let anonymous = register.plan(&Actor::new(&Subject::anonymous()), edit).unwrap_err();
        assert_eq!(anonymous.code(), "denied", "{edit:?}");
        // A token whose scopes admit nothing of administrators is no administrator.
        let scoped = Actor::new(&Subject::user("root").scopes(["apps:read"]));
        assert_eq!(register.plan(&scoped, edit).unwrap_err().code(), "denied", "{edit:?}");
    }
}

#[test]
fn who_is_not_granted_does_not_learn_what_exists() {
    check([
        ("ana", Edit::DeleteUser { id: text("nobody") }, "denied"),
        ("ana", Edit::DeleteRule { name: text("nothing") }, "denied"),
        ("ana", Edit::CreateGroup { name: text("vip") }, "denied"),
        ("root", Edit::DeleteUser { id: text("nobody") }, "not_found"),
        ("root", Edit::DeleteRule { name: text("nothing") }, "not_found"),
        ("root", Edit::CreateGroup { name: text("vip") }, "exists"),
    ]);
}

#[test]
fn nobody_grants_a_role_that_holds_more_than_they_hold() {
    let me = || Holder::user("hank");
    check([
        ("hank", assign("TenantAdmin", me()), "exceeds"),
        ("hank", assign("TenantAdmin", Holder::user("ana")), "exceeds"),
        ("hank", assign("DataAdmin", me()), "exceeds"),
        ("hank", assign("Steward", Holder::group("helpdesk")), "exceeds"),
        ("hank", assign("Spacer", me()), "exceeds"),
        ("hank", assign("DataServicesContributor", me()), "exceeds"),
        // What it holds itself it may give: `Author` is the creation of own apps.
        ("hank", assign("Author", Holder::user("ana")), "planned"),
        // A built-in role that holds more than `Author` is more.
        ("hank", assign("PrivateAnalyticsContentCreator", Holder::user("ana")), "exceeds"),
        ("mia", assign("Author", Holder::user("ana")), "exceeds"),
        ("root", assign("DataServicesContributor", Holder::user("ana")), "planned"),
        ("root", assign("TenantAdmin", Holder::user("ana")), "planned"),
    ]);
}

#[test]
fn nobody_grants_more_by_way_of_a_group() {
    check([
        ("hank", join("admins", "hank"), "exceeds"),
        ("hank", join("publishers", "hank"), "exceeds"),
        ("hank", join("authors", "ana"), "planned"),
        ("mia", join("authors", "mia"), "exceeds"),
        // The group has no role; a rule reads its name.
        ("hank", join("vip", "hank"), "exceeds"),
        ("root", join("vip", "hank"), "planned"),
        ("hank", join("helpdesk", "ana"), "planned"),
    ]);
}

#[test]
fn nobody_grants_more_by_way_of_a_custom_role() {
    check([
        ("hank", update_role("Author", &["apps", "admin.apps"]), "exceeds"),
        ("hank", update_role("Author", &["apps", "spaces.shared"]), "exceeds"),
        ("hank", create_role("New", &["admin.spaces:read"]), "exceeds"),
        ("hank", create_role("New", &["apps", "apps:read"]), "planned"),
        ("hank", update_role("Author", &[]), "planned"),
        ("hank", Edit::SetUserDefault { permissions: vec![text("apps"), text("apps.data:export")] }, "planned"),
        ("mia", Edit::SetUserDefault { permissions: vec![text("apps")] }, "exceeds"),
        // The role is empty, but a rule reads its name.
        ("hank", assign("Spare", Holder::user("hank")), "exceeds"),
    ]);
}

#[test]
fn nobody_grants_more_in_a_space() {
    let ana = || Holder::user("ana");
    check([
        // Can manage cannot publish, and makes no publisher.
        ("fay", member("sales", Holder::user("fay"), &["facilitator", "publisher"]), "exceeds"),
        ("fay", member("sales", ana(), &["publisher"]), "exceeds"),
        ("fay", member("sales", ana(), &["consumer"]), "planned"),
        ("fay", member("sales", ana(), &["facilitator"]), "planned"),
        ("fay", member("sales", Holder::group("vip"), &["operator"]), "planned"),
        ("eve", member("sales", ana(), &["publisher"]), "planned"),
        // What is taken away needs only the right to manage members.
        ("fay", member("sales", Holder::user("pete"), &[]), "planned"),
        ("ann", member("sales", Holder::user("pete"), &[]), "planned"),
        ("ann", member("sales", Holder::user("ann"), &["publisher"]), "exceeds"),
        ("ann", member("sales", Holder::user("ann"), &["consumer"]), "exceeds"),
        ("ann", Edit::ChangeSpaceOwner { space: text("sales"), owner: text("ann") }, "exceeds"),
        ("hank", member("sales", Holder::user("hank"), &["consumer"]), "exceeds"),
        ("hank", Edit::ChangeSpaceOwner { space: text("sales"), owner: text("hank") }, "exceeds"),
        ("root", Edit::ChangeSpaceOwner { space: text("sales"), owner: text("ana") }, "planned"),
        ("root", member("sales", ana(), &["consumer", "no"]), "refused"),
        ("root", member("lab", ana(), &["publisher"]), "refused"),
    ]);
}

#[test]
fn nobody_grants_more_by_a_rule() {
    let rule = |name: &str, filter: &str, actions: &[&str]| RuleText::new(name, filter, actions.iter().copied());
    check([
        ("hank", Edit::CreateRule(rule("all", "*", &["read"])), "exceeds"),
        ("hank", Edit::CreateRule(rule("me", "App_q3", &["read"]).condition("user.userId = \"hank\"")), "exceeds"),
        // `mine` gives hank read and update of streams, whatever they are: he may pass that on, and no more.
        ("hank", Edit::CreateRule(rule("on", "Stream_*", &["read"])), "planned"),
        ("hank", Edit::CreateRule(rule("on", "Stream_1,Stream_2", &["update"]).context("hub")), "planned"),
        ("hank", Edit::CreateRule(rule("on", "Stream*", &["read"])), "exceeds"),
        ("hank", Edit::CreateRule(rule("on", "Stream_*", &["read", "delete"])), "exceeds"),
        ("mia", Edit::CreateRule(rule("on", "Stream_*", &["read"])), "exceeds"),
        // A rule that exists, made wider in each way.
        ("hank", Edit::UpdateRule(rule("vips", "App*", &["read"]).condition("user.group = \"vip\"")), "exceeds"),
        ("hank", Edit::UpdateRule(rule("vips", "App_*", &["delete"]).condition("user.group = \"vip\"")), "exceeds"),
        ("hank", Edit::UpdateRule(rule("vips", "App_*", &["read"]).condition("user.group = \"helpdesk\"")), "exceeds"),
        ("hank", Edit::UpdateRule(rule("vips", "App_*", &["read"])), "exceeds"),
        ("hank", Edit::EnableRule { name: text("off") }, "exceeds"),
        // Narrower, or gone.
        ("hank", Edit::UpdateRule(rule("vips", "App_q*", &["read"]).condition("user.group = \"vip\"")), "planned"),
        ("hank", Edit::DisableRule { name: text("vips") }, "planned"),
        ("hank", Edit::DeleteRule { name: text("vips") }, "planned"),
        ("hank", Edit::SetPersona { persona: text("developer"), groups: vec![text("helpdesk")] }, "exceeds"),
        ("root", Edit::SetPersona { persona: text("developer"), groups: vec![text("helpdesk")] }, "planned"),
        ("root", Edit::CreateRule(rule("all", "*", &["read"])), "planned"),
        ("root", Edit::CreateRule(rule("bad", "App_*", &["read"]).condition("maybe")), "bad_rule"),
    ]);
}

#[test]
fn nobody_turns_a_rule_true_by_what_it_reads() {
    let team = |user: &str, value: &str| Edit::SetCustom {
        user: text(user),
        name: text("Team"),
        value: Some(AttributeValue::from(value)),
    };
    check([
        ("hank", team("hank", "Sales"), "exceeds"),
        ("hank", team("ana", "Sales"), "exceeds"),
        // Who is of the team may name others of it.
        ("mia", team("ana", "Sales"), "planned"),
        ("mia", team("mia", "Finance"), "exceeds"),
        ("hank", Edit::SetCustom { user: text("mia"), name: text("Team"), value: None }, "planned"),
        // No rule reads this one.
        ("hank", Edit::SetAttribute { user: text("ana"), name: text("floor"), value: Some("3".into()) }, "planned"),
        ("hank", Edit::CreateUser { id: text("sa"), directory: Some(text("INTERNAL")), name: None }, "exceeds"),
        ("hank", Edit::CreateUser { id: text("sa"), directory: Some(text("ACME")), name: None }, "planned"),
        // To leave `Guests` is to gain what guests have not; hank is none himself, and has it.
        ("hank", leave("Guests", "guest"), "planned"),
    ]);
}

#[test]
fn only_who_holds_it_all_wakes_a_user_or_lifts_a_restriction() {
    check([
        ("hank", Edit::EnableUser { id: text("dora") }, "exceeds"),
        // Deleted, a disabled user would be an unknown one, and those may act.
        ("hank", Edit::DeleteUser { id: text("dave") }, "exceeds"),
        ("hank", Edit::EnableUser { id: text("dave") }, "exceeds"),
        ("hank", unassign("EmbeddedAnalyticsUser", Holder::user("embo")), "exceeds"),
        ("hank", unassign("EmbeddedAnalyticsUser", Holder::group("embedded")), "exceeds"),
        ("hank", Edit::DeleteGroup { name: text("embedded") }, "exceeds"),
        ("hank", Edit::DeleteUser { id: text("embo") }, "exceeds"),
        ("root", unassign("EmbeddedAnalyticsUser", Holder::user("embo")), "planned"),
        ("root", Edit::EnableUser { id: text("dora") }, "planned"),
        ("hank", Edit::DisableUser { id: text("ana") }, "planned"),
    ]);
}

fn register_of(change: impl FnOnce(&mut Value)) -> Register {
    let mut tenant = acme();
    change(&mut tenant);
    let store = pollster::block_on(stored("acme", &tenant));
    pollster::block_on(Register::load(&store, "acme")).expect("register")
}

#[test]
fn nobody_wakes_a_user_whom_a_rule_names() {
    let register = register_of(|tenant| {
        tenant["users"]["sven"] = json!({"status": "disabled"});
        tenant["users"]["sa_old"] = json!({"status": "disabled"});
        let rule = |name: &str, condition: &str| json!({"name": name, "filter": "*", "actions": ["read"], "condition": condition});
        let rules = tenant["rules"].as_array_mut().expect("rules");
        rules.push(rule("svens", r#"user.userId = "SVEN""#));
        rules.push(rule("services", r#"user.userId like "sa_*""#));
        tenant["users"]["plain"] = json!({"status": "disabled"});
    });
    for user in ["sven", "sa_old"] {
        assert_eq!(outcome(&register, "hank", &Edit::EnableUser { id: text(user) }), "exceeds", "{user}");
        assert_eq!(outcome(&register, "hank", &Edit::DeleteUser { id: text(user) }), "exceeds", "{user}");
        assert_eq!(outcome(&register, "root", &Edit::EnableUser { id: text(user) }), "planned", "{user}");
    }
    assert_eq!(outcome(&register, "hank", &Edit::EnableUser { id: text("plain") }), "planned");
}

/// Rules follow links: who owns an app, and how a library is called, tells on what leads there.
#[test]
fn nobody_raises_themselves_by_what_others_lead_to() {
    let register = |filter: &str, context: &str, condition: &str| {
        register_of(|tenant| {
            tenant["resources"]["sheet"] = json!({"type": "App.Object", "app": "q3"});
            tenant["resources"]["chart"] = json!({"type": "Chart", "links": {"Sheet": ["sheet"]}});
            tenant["resources"]["shown"] = json!({"type": "Chart", "stream": "lab"});
            let rule = json!({"name": "new", "filter": filter, "actions": ["read"], "context": context, "condition": condition});
            tenant["rules"].as_array_mut().expect("rules").push(rule);
        })
    };
    // At the console of administrators, where rules of the hub say nothing.
    let fay = Actor::new(&Subject::user("fay")).environment("os", "tux");
    let take = Edit::ChangeResourceOwner { id: text("q3"), owner: text("fay") };
    let on = |os: &str| format!(r#"resource.Sheet.app.owner = user and user.environment.os = "{os}""#);
    for (filter, context, condition, expected) in [
        ("Nothing_*", "both", "resource.Sheet.app.owner = user", "planned"),
        ("Chart_*", "both", "resource.Sheet.app.owner = user", "exceeds"),
        ("Chart_*", "hub", "resource.Sheet.app.owner = user", "exceeds"),
        ("Chart_*", "hub", &on("tux"), "exceeds"),
        ("Chart_*", "hub", &on("gnu"), "planned"),
    ] {
        let planned = register(filter, context, condition).plan(&fay, &take);
        assert_eq!(
            planned.map_or_else(|error| error.code(), |_| "planned"),
            expected,
            "{filter} {context} {condition}"
        );
    }
    let named = register("Chart_*", "hub", r#"resource.stream.name = "Public""#);
    let rename = |name: &str| Edit::RenameSpace { id: text("lab"), name: Some(text(name)) };
    assert_eq!(outcome(&named, "fay", &rename("Public")), "exceeds");
    assert_eq!(outcome(&named, "fay", &rename("Private")), "planned");
}

#[test]
fn last_administrator_stays() {
    // A group holds the role too, but nobody of the policy is in it, and who is by a token is not known here.
    let last = |edit: Edit| ("root", edit, "last_administrator");
    check([
        last(unassign("TenantAdmin", Holder::user("root"))),
        last(Edit::DisableUser { id: text("root") }),
        last(Edit::DeleteUser { id: text("root") }),
        last(assign("EmbeddedAnalyticsUser", Holder::user("root"))),
        last(join("embedded", "root")),
        ("root", unassign("TenantAdmin", Holder::group("admins")), "planned"),
        // The desk may remove roles; that one it may not.
        ("hank", unassign("TenantAdmin", Holder::user("root")), "last_administrator"),
        ("hank", Edit::DisableUser { id: text("root") }, "last_administrator"),
    ]);
    let mut only_groups = acme();
    only_groups["users"]["root"] = json!({});
    let subject = Subject::user("outside").groups(["admins"]);
    let store = pollster::block_on(stored("acme", &only_groups));
    let register = pollster::block_on(Register::load(&store, "acme")).expect("register");
    let code =
        |edit: &Edit| register.plan(&Actor::new(&subject), edit).map_or_else(|error| error.code(), |_| "planned");
    assert_eq!(code(&unassign("TenantAdmin", Holder::group("admins"))), "last_administrator");
    assert_eq!(code(&Edit::DeleteGroup { name: text("admins") }), "last_administrator");
    assert_eq!(code(&assign("EmbeddedAnalyticsUser", Holder::group("admins"))), "last_administrator");
    assert_eq!(code(&assign("TenantAdmin", Holder::user("ana"))), "planned");
}

#[test]
fn token_that_holds_back_administrators_rights_grants_less() {
    let register = register();
    let plan = |scopes: &[&str], edit: &Edit| {
        let subject = Subject::user("root").scopes(scopes.iter().copied());
        register.plan(&Actor::new(&subject), edit).map_or_else(|error| error.code(), |_| "planned")
    };
    let steward = assign("Steward", Holder::user("ana"));
    assert_eq!(plan(&["admin_classic"], &steward), "planned");
    // The recovery session may change users, and is no administrator of all else.
    assert_eq!(plan(&["users:manage"], &steward), "exceeds");
    assert_eq!(plan(&["users:manage"], &Edit::DisableUser { id: text("ana") }), "planned");
    assert_eq!(plan(&["user_default"], &steward), "denied");
    // What rules read is not passed on by a token that would not let rules through.
    let team = Edit::SetCustom { user: text("ana"), name: text("Team"), value: Some("Sales".into()) };
    assert_eq!(plan(&["users:manage"], &team), "exceeds");
    assert_eq!(plan(&["admin_classic"], &team), "planned");
    assert_eq!(plan(&["admin.spaces"], &member("sales", Holder::user("root"), &["consumer"])), "exceeds");
}

#[test]
fn content_changes_hands_but_nobody_raises_themselves() {
    let owner = |id: &str, owner: &str| Edit::ChangeResourceOwner { id: text(id), owner: text(owner) };
    let space = |id: &str, space: &str| Edit::ChangeResourceSpace { id: text(id), space: text(space) };
    check([
        // The owner of a shared space hands an app to a producer, and does not take it to edit its script.
        ("fay", owner("draft", "ana"), "planned"),
        ("fay", owner("draft", "fay"), "exceeds"),
        ("pete", owner("draft", "ana"), "denied"),
        ("ana", owner("memo", "ben"), "denied"),
        ("root", owner("memo", "ben"), "planned"),
        ("pete", space("draft", "sales"), "denied"),
        ("root", space("memo", "nowhere"), "denied"),
        ("ana", space("memo", "lab"), "denied"),
        ("fay", Edit::CreateResource { id: text("new"), resource: Resource::new("App").space("lab") }, "planned"),
        ("fay", Edit::CreateResource { id: text("draft"), resource: Resource::new("App").space("lab") }, "denied"),
        ("root", Edit::DeleteSpace { id: text("lab") }, "in_use"),
        ("root", Edit::DeleteSpace { id: text("old") }, "planned"),
    ]);
}

#[test]
fn resource_without_an_owner_is_its_creators() {
    let register = register();
    let edit = Edit::CreateResource { id: text("new"), resource: Resource::new("App").space("lab") };
    let plan = register.plan(&actor("fay"), &edit).expect("planned");
    let script = Request::new("acme", &Subject::user("fay"), Action::EditScript, ResourceRef::id("new"));
    assert_eq!(plan.next().snapshot().decide(&script).by(), ["space:owner@lab"]);
}

/// The ids of users and groups are no ids of resources: a space of the same name hides nobody.
#[test]
fn group_named_like_a_space_can_be_changed() {
    let mut tenant = acme();
    tenant["groups"]["sales"] = json!({});
    let store = pollster::block_on(stored("acme", &tenant));
    let register = pollster::block_on(Register::load(&store, "acme")).expect("register");
    assert_eq!(outcome(&register, "root", &assign("Steward", Holder::group("sales"))), "planned");
    assert_eq!(outcome(&register, "root", &join("sales", "ana")), "planned");
}

#[test]
fn administrator_of_one_tenant_is_nobody_in_another() {
    let store = pollster::block_on(async {
        let store = stored("acme", &acme()).await;
        let other = json!({"users": {"boss": {"roles": ["TenantAdmin"]}, "ana": {}}});
        let text = json!({"version": 1, "tenants": {"other": other}}).to_string();
        let entries =
            Policy::parse(&text).expect("policy").tenant("other").expect("tenant").entries().expect("entries");
        let changes: Vec<_> = entries.into_iter().map(PolicyChange::Put).collect();
        store.apply("other", 0, &changes).await.expect("stored");
        store
    });
    let other = pollster::block_on(Register::load(&store, "other")).expect("register");
    let mine = register();
    let edit = assign("Steward", Holder::user("ana"));
    assert_eq!(outcome(&other, "root", &edit), "denied");
    assert_eq!(outcome(&mine, "boss", &edit), "denied");
    // A deputy that plans in its own tenant commits to its own tenant, whatever the ids say.
    let plan = other.plan(&actor("boss"), &edit).expect("planned");
    assert_eq!(plan.event().tenant(), "other");
    pollster::block_on(plan.commit(&store)).expect("committed");
    assert_eq!(pollster::block_on(store.version("acme")).expect("version"), 1);
    assert_eq!(pollster::block_on(store.version("other")).expect("version"), 2);
    // Names of another tenant are names of nobody here.
    assert_eq!(outcome(&other, "boss", &member("sales", Holder::user("ana"), &["consumer"])), "denied");
    assert_eq!(outcome(&other, "boss", &assign("Author", Holder::user("ana"))), "not_found");
}

#[test]
fn later_of_two_writers_is_told() {
    pollster::block_on(async {
        let store = stored("acme", &acme()).await;
        let register = Register::load(&store, "acme").await.expect("register");
        // While one demotes hank, hank gives away what he holds: whoever is later decides again.
        let demote = register.plan(&actor("root"), &leave("helpdesk", "hank")).expect("planned");
        let give = register.plan(&actor("hank"), &assign("Author", Holder::user("ana"))).expect("planned");
        let after = demote.commit(&store).await.expect("committed");
        let lost = give.commit(&store).await.unwrap_err();
        assert_eq!((lost.code(), lost.is_retryable()), ("conflict", true));
        assert!(matches!(lost, ManageError::Store(StoreError::Conflict)));
        assert_eq!(store.load("acme").await.expect("stored").version, 2);
        assert_eq!(outcome(&after, "hank", &assign("Author", Holder::user("ana"))), "denied");
    });
}

/// One change is one version, one event and one snapshot; what is stored is what the plan showed.
#[test]
fn what_is_committed_is_what_was_planned() {
    pollster::block_on(async {
        let store = stored("acme", &acme()).await;
        let mut register = Register::load(&store, "acme").await.expect("register");
        let edits = [
            Edit::CreateUser { id: text("new"), directory: None, name: Some(text("New")) },
            assign("Steward", Holder::user("new")),
            join("vip", "new"),
            Edit::DeleteRule { name: text("team") },
            Edit::CreateRule(RuleText::new("last", "App_*", ["read"]).condition("user.group = \"new\"")),
            Edit::EnableRule { name: text("off") },
            Edit::DeleteGroup { name: text("publishers") },
            Edit::CreateSpace { id: text("s"), space_type: text("data"), owner: text("new"), name: None },
            member("s", Holder::user("ana"), &["consumer"]),
            Edit::DeleteUser { id: text("new") },
            Edit::SetPersona { persona: text("consumer"), groups: vec![text("vip")] },
        ];
        // Nobody has the role that creates data spaces yet.
        register = register
            .plan(&actor("root"), &assign("DataSpaceCreator", Holder::user("root")))
            .unwrap()
            .commit(&store)
            .await
            .unwrap();
        for (number, edit) in (3..).zip(&edits) {
            let plan = register.plan(&actor("root"), edit).unwrap_or_else(|error| panic!("{edit:?}: {error}"));
            let event = plan.event().clone();
            assert_eq!((event.name(), event.actor(), event.tenant()), (edit.name(), "root", "acme"));
            assert_eq!((event.previous(), event.version(), plan.expected()), (number - 1, number, number - 1));
            assert!(!event.by().is_empty(), "{edit:?}");
            register = plan.commit(&store).await.expect("committed");
            let stored = store.load("acme").await.expect("stored");
            assert_eq!(stored.version, number);
            assert_eq!(&Policy::from_stored("acme", &stored).expect("policy"), register.policy(), "{edit:?}");
            let again = outcome(&register, "root", edit);
            let expected = match edit.name() {
                "user.created" | "rule.created" | "space.created" => "exists",
                "user.deleted" | "rule.deleted" | "group.deleted" => "not_found",
                _ => "unchanged",
            };
            assert_eq!(again, expected, "again: {edit:?}");
        }
        let rules: Vec<String> =
            serde_json::from_str::<Value>(&register.policy().to_json()).unwrap()["tenants"]["acme"]["rules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|rule| rule["name"].as_str().unwrap().to_owned())
                .collect();
        assert_eq!(rules.last().map(String::as_str), Some("last"), "a new rule comes after the others: {rules:?}");
    });
}

#[test]
fn policy_that_could_not_be_read_again_is_not_stored() {
    check([
        ("root", Edit::CreateUser { id: String::new(), directory: None, name: None }, "bad_policy"),
        ("root", Edit::CreateUser { id: "x".repeat(301), directory: None, name: None }, "bad_policy"),
        ("root", Edit::SetAttribute { user: text("ana"), name: text("owner"), value: Some("x".into()) }, "bad_policy"),
        ("root", Edit::DeleteRole { name: text("Author") }, "in_use"),
        ("root", Edit::DeleteRole { name: text("Spare") }, "planned"),
        ("root", create_role("Steward", &[]), "exists"),
        ("root", create_role("New", &["apps:write"]), "refused"),
        ("root", assign("Nothing", Holder::user("ana")), "not_found"),
        ("root", Edit::SetUserDefault { permissions: vec![text("admin.apps")] }, "bad_policy"),
    ]);
}

/// The rules of a fresh installation: `RootAdmin` holds everything by its rule, the others what theirs say.
#[test]
fn enterprise_tenant_is_managed_by_its_rules() {
    let cases: Value = serde_json::from_str(include_str!("../data/rules.json")).expect("cases");
    let mut tenant = cases["policies"]["defaults"]["tenants"]["acme"].clone();
    for (user, role) in [("chief", "RootAdmin"), ("content", "ContentAdmin"), ("sam", "SecurityAdmin")] {
        tenant["users"][user] = json!({"roles": [role]});
    }
    tenant["users"]["zoe"] = json!({});
    let store = pollster::block_on(stored("acme", &tenant));
    let register = pollster::block_on(Register::load(&store, "acme")).expect("register");
    let app_rule = RuleText::new("one app", "App_1234-abcd", ["read"]).condition("user.userId = \"zoe\"");
    for (who, edit, expected) in [
        ("chief", assign("RootAdmin", Holder::user("zoe")), "planned"),
        ("chief", Edit::CreateRule(RuleText::new("all", "*", ["read", "update"])), "planned"),
        // An action without a bit is not in the sum 8191.
        ("chief", Edit::CreateRule(RuleText::new("all", "*", ["reload"])), "exceeds"),
        ("content", assign("RootAdmin", Holder::user("content")), "denied"),
        // It may edit rules for one app, and still gives only what it holds itself.
        ("content", Edit::CreateRule(app_rule.clone()), "exceeds"),
        ("content", Edit::CreateRule(RuleText::new("all", "*", ["read"])), "denied"),
        ("sam", assign("RootAdmin", Holder::user("sam")), "denied"),
        ("zoe", Edit::CreateUser { id: text("sa_x"), directory: Some(text("INTERNAL")), name: None }, "denied"),
        ("chief", Edit::CreateUser { id: text("sa_x"), directory: Some(text("INTERNAL")), name: None }, "planned"),
    ] {
        assert_eq!(outcome(&register, who, &edit), expected, "{who}: {edit:?}");
    }
    // The rule about rules looks at the filter as it was and as it will be.
    let register = register.plan(&actor("chief"), &Edit::CreateRule(app_rule)).expect("planned").next().clone();
    let wider = Edit::UpdateRule(RuleText::new("one app", "*", ["read"]).condition("user.userId = \"zoe\""));
    assert_eq!(outcome(&register, "content", &wider), "denied");
    assert_eq!(outcome(&register, "content", &Edit::DeleteRule { name: text("one app") }), "planned");
    assert_eq!(outcome(&register, "content", &Edit::DeleteRule { name: text("RootAdmin") }), "denied");
}

#[test]
fn rule_that_waits_for_a_loss_needs_who_holds_it() {
    let mut tenant = acme();
    let rules = tenant["rules"].as_array_mut().expect("rules");
    rules.push(json!({"name": "waits", "filter": "App_*", "actions": ["delete"],
        "condition": "!resource.HasPrivilege(\"publish\")"}));
    let store = pollster::block_on(stored("acme", &tenant));
    let register = pollster::block_on(Register::load(&store, "acme")).expect("register");
    assert_eq!(outcome(&register, "hank", &Edit::DeleteRule { name: text("vips") }), "exceeds");
    assert_eq!(outcome(&register, "root", &Edit::DeleteRule { name: text("vips") }), "planned");
}

#[test]
fn context_and_environment_of_the_actor_count() {
    let mut tenant = acme();
    tenant["rules"][0]["condition"] = json!("user.group = \"helpdesk\" and user.environment.ip like \"10.*\"");
    tenant["rules"][0]["context"] = json!("admin");
    let store = pollster::block_on(stored("acme", &tenant));
    let register = pollster::block_on(Register::load(&store, "acme")).expect("register");
    let edit = assign("Author", Holder::user("ana"));
    let inside = actor("hank").environment("ip", "10.1.1.1");
    assert!(register.plan(&inside, &edit).is_ok());
    assert_eq!(register.plan(&actor("hank"), &edit).unwrap_err().code(), "denied");
    assert_eq!(register.plan(&inside.context(Context::Api), &edit).unwrap_err().code(), "denied");
}

#[test]
fn damaged_store_is_an_error() {
    let entries =
        vec![qsec_authz::PolicyEntry { kind: qsec_authz::EntryKind::User, id: text("ana"), body: text("no") }];
    let error = Register::from_stored("acme", StoredPolicy { version: 1, entries }).unwrap_err();
    assert_eq!(error.code(), "bad_json");
}
