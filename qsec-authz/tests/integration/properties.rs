//! What holds for every policy: checked on generated ones, against the naive evaluator and against itself.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use qsec_authz::{Action, Policy, Request, Snapshot};
use serde_json::{Map, Value, json};

use crate::naive::{self, ROLES};

pub(crate) const USERS: &[&str] = &["u0", "u1", "u2", "unlisted"];
pub(crate) const GROUPS: &[&str] = &["g0", "g1", "g2"];
const CUSTOM: &[&str] = &["C0", "C1"];
const SPACES: &[(&str, &str)] = &[("s-shared", "shared"), ("s-managed", "managed"), ("s-data", "data")];
const TYPES: &[&str] = &[
    "App",
    "App.Object",
    "DataConnection",
    "DataAsset",
    "DataProduct",
    "DataProject",
    "DataTask",
    "Automation",
    "MlExperiment",
    "MlDeployment",
    "User",
    "Group",
    "Role",
    "Tenant",
    "IdentityProvider",
    "OAuthClient",
    "Extension",
    "Theme",
    "TenantKey",
    "AuditEvent",
    "Conversation",
    "ApiKey",
    "CollaborationPlatform",
    "Glossary",
    "GlossaryTerm",
    "ReloadTask",
    "Stream",
];
const USER_PERMISSIONS: &[&str] = &[
    "apps.data:export",
    "apps.image:export",
    "apps",
    "automations",
    "spaces.shared",
    "spaces.managed",
    "spaces.data",
    "api-keys",
    "apps:read",
    "spaces.data:read",
];
const ADMIN_PERMISSIONS: &[&str] = &[
    "admin.apps",
    "admin.apps:read",
    "admin.apps:export",
    "admin.spaces",
    "admin.spaces:read",
    "admin.automations",
    "admin.automations:read",
];
const SCOPES: &[&str] = &[
    "user_default",
    "apps",
    "apps:read",
    "apps:export",
    "apps.data:export",
    "apps.image:export",
    "spaces.shared",
    "spaces.managed",
    "spaces.data",
    "spaces.shared:read",
    "spaces.managed:read",
    "spaces.data:read",
    "automations",
    "automations:read",
    "automations.shared",
    "api-keys",
    "admin_classic",
    "admin.apps",
    "admin.apps:read",
    "admin.apps:export",
    "admin.spaces",
    "admin.spaces:read",
    "admin.automations",
    "admin.automations:read",
    "idp:manage",
    "users:manage",
    "offline_access",
    "apps.data",
    "nonsense",
];

fn space_roles(space_type: &str) -> &'static [&'static str] {
    match space_type {
        "shared" => &["facilitator", "producer", "codeveloper", "consumer", "dataconsumer"],
        "managed" => {
            &["facilitator", "publisher", "contributor", "consumer", "basicconsumer", "dataconsumer", "operator"]
        }
        _ => &["facilitator", "producer", "publisher", "consumer", "dataconsumer", "operator", "datapreview"],
    }
}

fn some(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(words, 0..=most.min(words.len())).prop_shuffle()
}

fn roles() -> impl Strategy<Value = Vec<&'static str>> {
    (some(ROLES, 3), some(CUSTOM, 2), prop::bool::weighted(0.1)).prop_map(|(mut roles, custom, restricted)| {
        // The restrictive role ends most decisions early; keep it rare.
        roles.retain(|role| restricted || *role != "EmbeddedAnalyticsUser");
        roles.extend(custom);
        roles
    })
}

fn permissions() -> impl Strategy<Value = Vec<&'static str>> {
    (some(USER_PERMISSIONS, 4), some(ADMIN_PERMISSIONS, 2)).prop_map(|(user, admin)| [user, admin].concat())
}

fn owner() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.7, select(USERS))
}

fn space(space_type: &'static str) -> impl Strategy<Value = Value> {
    let members: Vec<String> = (USERS.iter().map(|user| format!("user:{user}")))
        .chain(GROUPS.iter().map(|group| format!("group:{group}")))
        .collect();
    let granted = prop::collection::btree_map(select(members), some(space_roles(space_type), 2), 0..4);
    (owner(), granted).prop_map(move |(owner, members)| {
        let mut space = json!({"type": space_type, "members": members});
        if let Some(owner) = owner {
            space["owner"] = json!(owner);
        }
        space
    })
}

/// A resource, and whether it is in a space, in a stream, part of an app.
fn resource() -> impl Strategy<Value = Value> {
    let space = prop::option::weighted(0.6, select(SPACES));
    let app = prop::option::weighted(0.4, select(&["app-in", "app-out", "app-live"][..]));
    (select(TYPES), owner(), space, app, prop::bool::weighted(0.1)).prop_map(|(type_name, owner, space, app, live)| {
        let mut resource = json!({"type": type_name});
        if let Some(owner) = owner {
            resource["owner"] = json!(owner);
        }
        if let Some((space, _)) = space {
            resource["space"] = json!(space);
        }
        if let Some(app) = app {
            resource["app"] = json!(app);
        }
        if live {
            resource["stream"] = json!("stream");
        }
        resource
    })
}

prop_compose! {
    pub(crate) fn tenant()(
        status in prop_oneof![9 => Just(None), 1 => Just(Some("user_access_disabled")), 1 => Just(Some("deactivated"))],
        user_default in prop::option::of(some(USER_PERMISSIONS, 4)),
        custom in prop::array::uniform2(permissions()),
        groups in prop::array::uniform3(roles()),
        users in prop::array::uniform3((roles(), some(GROUPS, 2), prop::bool::weighted(0.05))),
        spaces in (space("shared"), space("managed"), space("data")),
        resources in prop::collection::vec(resource(), 6..14),
        app_space in select(SPACES),
    ) -> Value {
        let mut all = Map::new();
        for (number, resource) in resources.into_iter().enumerate() {
            all.insert(format!("r{number}"), resource);
        }
        all.insert("stream".into(), json!({"type": "Stream"}));
        all.insert("app-in".into(), json!({"type": "App", "owner": "u0", "space": app_space.0}));
        all.insert("app-out".into(), json!({"type": "App", "owner": "u0"}));
        all.insert("app-live".into(), json!({"type": "App", "owner": "u0", "stream": "stream"}));
        let mut tenant = json!({
            "roles": {"C0": custom[0], "C1": custom[1]},
            "groups": {"g0": {"roles": groups[0]}, "g1": {"roles": groups[1]}, "g2": {"roles": groups[2]}},
            "users": {},
            "spaces": {"s-shared": spaces.0, "s-managed": spaces.1, "s-data": spaces.2},
            "resources": all,
        });
        for (name, (roles, groups, disabled)) in USERS.iter().zip(&users) {
            tenant["users"][name] = json!({"roles": roles, "groups": groups});
            if *disabled {
                tenant["users"][name]["status"] = json!("disabled");
            }
        }
        if let Some(list) = user_default {
            tenant["user_default"] = json!(list);
        }
        if let Some(status) = status {
            tenant["status"] = json!(status);
        }
        tenant
    }
}

pub(crate) fn policy(tenant: &Value) -> Value {
    json!({"version": 1, "tenants": {"t": tenant}})
}

prop_compose! {
    pub(crate) fn request()(
        tenant in prop_oneof![20 => Just("t"), 1 => Just("other")],
        user in prop::option::weighted(0.95, select(USERS)),
        groups in some(GROUPS, 2),
        scopes in prop::option::weighted(0.4, some(SCOPES, 3)),
        action in select(Action::ALL),
        stored in prop::bool::weighted(0.7),
        number in 0..15_usize,
        space in select(SPACES),
        inline in resource(),
        inline_space in prop::option::weighted(0.2, select(&["shared", "managed", "data", "none"][..])),
        target in prop::option::of(select(&["s-shared", "s-managed", "s-data", "nowhere"][..])),
        context in select(&["hub", "admin", "embed", "api"][..]),
    ) -> Value {
        let mut principal = user.map_or(json!({"anonymous": true}), |user| json!({"user": user, "groups": groups}));
        if let (Some(scopes), Some(_)) = (scopes, user) {
            principal["scopes"] = json!(scopes);
        }
        let resource = match (stored, inline_space) {
            (true, Some(_)) => json!({"id": space.0}),
            (true, None) => json!({"id": format!("r{number}")}),
            (false, Some(space)) => json!({"type": "Space", "attributes": {"type": space}}),
            (false, None) => inline,
        };
        let mut request = json!({"tenant": tenant, "principal": principal, "action": action.as_str(), "resource": resource, "context": context});
        if let (Some(target), Action::Publish | Action::Republish | Action::ChangeSpace) = (target, action) {
            request["target"] = json!(target);
        }
        request
    }
}

pub(crate) fn compiled(policy: &Value) -> Snapshot {
    Policy::parse(&policy.to_string()).expect("policy").compile().expect("compiles")
}

pub(crate) fn decided(snapshot: &Snapshot, request: &Value) -> Value {
    let request = Request::parse(&request.to_string()).expect("request");
    snapshot.check(&request).expect("answerable");
    json!(snapshot.decide(&request))
}

fn allowed(snapshot: &Snapshot, request: &Value) -> bool {
    decided(snapshot, request)["decision"] == "allow"
}

/// Every action on every stored thing and a few new ones, by one principal.
pub(crate) fn all_rights(snapshot: &Snapshot, principal: &Value) -> Vec<(String, String)> {
    let mut rights = Vec::new();
    for action in Action::ALL {
        for context in ["hub", "embed"] {
            let request = json!({"tenant": "t", "principal": principal, "action": action.as_str(), "context": context});
            let request = Request::parse_filter(&request.to_string()).expect("request");
            rights.extend(snapshot.filter(&request).ids().map(|id| (format!("{action} {context}"), id.to_owned())));
        }
        for type_name in TYPES {
            let request = json!({"tenant": "t", "principal": principal, "action": action.as_str(), "resource": {"type": type_name}});
            if allowed(snapshot, &request) {
                rights.push((action.to_string(), (*type_name).to_owned()));
            }
        }
    }
    rights
}

pub(crate) fn assert_subset(fewer: &[(String, String)], more: &[(String, String)]) -> Result<(), TestCaseError> {
    let lost: Vec<_> = fewer.iter().filter(|right| !more.contains(right)).collect();
    prop_assert!(lost.is_empty(), "only in the smaller set: {:?}", lost);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn snapshot_agrees_with_the_naive_evaluator(tenant in tenant(), requests in prop::collection::vec(request(), 64)) {
        let policy = policy(&tenant);
        let snapshot = compiled(&policy);
        for request in requests {
            prop_assert_eq!(decided(&snapshot, &request), naive::decide(&policy, &request), "{}\n{}", request, policy);
        }
    }

    #[test]
    fn policy_survives_writing_and_storing(tenant in tenant()) {
        let policy = Policy::parse(&policy(&tenant).to_string()).expect("policy");
        prop_assert_eq!(&Policy::parse(&policy.to_json()).expect("written"), &policy);
        let entries = policy.tenant("t").expect("tenant").entries().expect("entries");
        prop_assert!(entries.windows(2).all(|pair| (pair[0].kind, &pair[0].id) < (pair[1].kind, &pair[1].id)));
        prop_assert_eq!(&Policy::from_entries("t", &entries).expect("stored"), &policy);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn filter_agrees_with_decide(tenant in tenant(), request in request(), type_name in prop::option::of(select(TYPES))) {
        let snapshot = compiled(&policy(&tenant));
        let mut many = request.clone();
        many.as_object_mut().expect("object").remove("resource");
        if let Some(type_name) = type_name {
            many["type"] = json!(type_name);
        }
        let filter = Request::parse_filter(&many.to_string()).expect("request");
        let visible = snapshot.filter(&filter);
        let mut expected = Vec::new();
        let ids = tenant["spaces"].as_object().into_iter().chain(tenant["resources"].as_object()).flatten();
        for (id, thing) in ids {
            let is_space = tenant["spaces"].get(id).is_some();
            let found = if is_space { "Space" } else { thing["type"].as_str().expect("type") };
            let mut one = request.clone();
            one["resource"] = json!({"id": id});
            if type_name.is_none_or(|wanted| wanted == found) && allowed(&snapshot, &one) {
                expected.push(id.as_str());
            }
        }
        expected.sort_unstable();
        prop_assert_eq!(visible.ids().collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(visible.len(), expected.len());
        prop_assert!(expected.iter().all(|id| visible.contains(id)));
    }

    #[test]
    fn scope_never_adds_a_permission(tenant in tenant(), user in select(USERS), groups in some(GROUPS, 2), scopes in some(SCOPES, 6)) {
        let snapshot = compiled(&policy(&tenant));
        let free = all_rights(&snapshot, &json!({"user": user, "groups": groups}));
        let narrowed = all_rights(&snapshot, &json!({"user": user, "groups": groups, "scopes": scopes}));
        assert_subset(&narrowed, &free)?;
        let mut fewer = scopes.clone();
        fewer.pop();
        assert_subset(&all_rights(&snapshot, &json!({"user": user, "groups": groups, "scopes": fewer})), &narrowed)?;
    }

    #[test]
    fn group_or_role_never_takes_a_permission_away(tenant in tenant(), user in select(&USERS[..3]), groups in some(GROUPS, 2), role in select(ROLES)) {
        prop_assume!(role != "EmbeddedAnalyticsUser" && !tenant["groups"].to_string().contains("EmbeddedAnalyticsUser"));
        let before = all_rights(&compiled(&policy(&tenant)), &json!({"user": user, "groups": []}));
        assert_subset(&before, &all_rights(&compiled(&policy(&tenant)), &json!({"user": user, "groups": groups})))?;
        let mut richer = tenant.clone();
        richer["users"][user]["roles"].as_array_mut().expect("roles").push(json!(role));
        assert_subset(&before, &all_rights(&compiled(&policy(&richer)), &json!({"user": user, "groups": []})))?;
    }

    #[test]
    fn order_in_a_policy_changes_nothing(tenant in tenant(), user in select(USERS), groups in some(GROUPS, 2)) {
        let reversed = backwards(&policy(&tenant));
        let text = reversed_text(&reversed);
        let snapshot = Policy::parse(&text).expect("policy").compile().expect("compiles");
        let principal = json!({"user": user, "groups": groups});
        prop_assert_eq!(all_rights(&compiled(&policy(&tenant)), &principal), all_rights(&snapshot, &principal));
    }
}

/// Lists in reverse.
fn backwards(value: &Value) -> Value {
    if let Some(all) = value.as_array() {
        all.iter().rev().map(backwards).collect()
    } else if let Some(all) = value.as_object() {
        Value::Object(all.iter().map(|(key, one)| (key.clone(), backwards(one))).collect())
    } else {
        value.clone()
    }
}

/// JSON with the members of every object in reverse.
fn reversed_text(value: &Value) -> String {
    if let Some(all) = value.as_object() {
        let members: Vec<_> =
            all.iter().rev().map(|(key, one)| format!("{}:{}", json!(key), reversed_text(one))).collect();
        format!("{{{}}}", members.join(","))
    } else if let Some(all) = value.as_array() {
        format!("[{}]", all.iter().map(reversed_text).collect::<Vec<_>>().join(","))
    } else {
        value.to_string()
    }
}

/// Generated requests seldom meet a scope that nearly fits; here every scope meets every action, alone.
#[test]
fn each_scope_admits_what_its_line_says_and_nothing_else() {
    let mut roles: Vec<&str> = ROLES.iter().copied().filter(|role| *role != "EmbeddedAnalyticsUser").collect();
    roles.push("All");
    let permissions = [USER_PERMISSIONS, ADMIN_PERMISSIONS].concat();
    let members =
        |space_type| json!({"type": space_type, "owner": "u0", "members": {"user:u0": space_roles(space_type)}});
    let policy = policy(&json!({
        "roles": {"All": permissions},
        "users": {"u0": {"roles": roles}, "u1": {}},
        "spaces": {"s-shared": members("shared"), "s-managed": members("managed"), "s-data": members("data")},
    }));
    let snapshot = compiled(&policy);
    for type_name in ["App", "App.Object", "Space", "Automation", "ApiKey", "User", "IdentityProvider", "Glossary"] {
        for (space, space_type) in [("none", "none")].iter().chain(SPACES) {
            let resource = match (type_name, *space) {
                ("Space", "none") => json!({"type": "Space", "attributes": {"type": "data"}}),
                ("Space", space) => json!({"id": space}),
                (_, "none") => json!({"type": type_name, "owner": "u0"}),
                (_, space) => json!({"type": type_name, "owner": "u0", "space": space}),
            };
            for (action, scope) in Action::ALL.iter().flat_map(|action| SCOPES.iter().map(move |scope| (action, scope)))
            {
                let request = json!({"tenant": "t", "principal": {"user": "u0", "scopes": [scope]},
                    "action": action.as_str(), "resource": resource});
                let expected = naive::decide(&policy, &request);
                assert_eq!(decided(&snapshot, &request), expected, "{scope} {action} {type_name} {space_type}");
            }
        }
    }
}
