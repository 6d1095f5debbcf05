//! Cedar and `qsec-authz` on generated tenants and questions: the same answer, whenever both can answer.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use qsec_authz::{Action, Context, Policy, Request, Resource, ResourceRef, Subject};
use qsec_cedar_oracle::Oracle;
use serde_json::{Value, json};

/// Tenants that are generated, and questions to each. Cedar takes its time to read a tenant.
const TENANTS: u32 = 100;
const QUESTIONS: usize = 100;

/// Names that would be conditions if a name could become a piece of a policy.
const USERS: [&str; 4] = ["ana", "o\"brien\" || true", "unlisted", "ünï\\n"];
const GROUPS: [&str; 3] = ["g0", "g1", "User::\"ana\""];
const ROLES: [&str; 17] = [
    "TenantAdmin",
    "AnalyticsAdmin",
    "AuditAdmin",
    "DataAdmin",
    "DataSpaceCreator",
    "SharedSpaceCreator",
    "ManagedSpaceCreator",
    "DataProductManager",
    "DataServicesContributor",
    "PrivateAnalyticsContentCreator",
    "AutomationCreator",
    "AutomlExperimentContributor",
    "AutomlDeploymentContributor",
    "CollaborationPlatformUser",
    "Developer",
    "Steward",
    "EmbeddedAnalyticsUser",
];
const PERMISSIONS: [&str; 15] = [
    "apps.data:export",
    "apps.image:export",
    "apps",
    "automations",
    "spaces.shared",
    "spaces.managed",
    "spaces.data",
    "api-keys",
    "admin.apps",
    "admin.apps:read",
    "admin.apps:export",
    "admin.spaces",
    "admin.spaces:read",
    "admin.automations",
    "admin.automations:read",
];
const SPACES: [(&str, &str, &[&str]); 3] = [
    ("s-shared", "shared", &["facilitator", "producer", "codeveloper", "consumer", "dataconsumer"]),
    (
        "s-managed",
        "managed",
        &["facilitator", "publisher", "contributor", "consumer", "basicconsumer", "dataconsumer", "operator"],
    ),
    (
        "s-data",
        "data",
        &["facilitator", "producer", "publisher", "consumer", "dataconsumer", "operator", "datapreview"],
    ),
];
const TYPES: [&str; 26] = [
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
];
const SCOPES: [&str; 12] = [
    "user_default",
    "apps",
    "apps:read",
    "apps.data:export",
    "spaces.managed:read",
    "spaces.shared",
    "automations.shared",
    "admin_classic",
    "admin.apps:read",
    "admin.spaces",
    "users:manage",
    "nonsense",
];

fn some(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(words, 0..=most.min(words.len()))
}

fn roles() -> impl Strategy<Value = Vec<&'static str>> {
    (some(&ROLES, 3), prop::bool::weighted(0.1), prop::bool::ANY).prop_map(|(mut roles, restricted, custom)| {
        // The restrictive role ends most decisions early; keep it rare.
        roles.retain(|role| restricted || *role != "EmbeddedAnalyticsUser");
        roles.extend(custom.then_some("Custom"));
        roles
    })
}

fn user() -> impl Strategy<Value = Value> {
    (roles(), some(&GROUPS, 2), prop::bool::weighted(0.1)).prop_map(|(roles, groups, disabled)| {
        json!({ "roles": roles, "groups": groups, "status": if disabled { "disabled" } else { "active" } })
    })
}

fn space(
    (id, kind, all): (&'static str, &'static str, &'static [&'static str]),
) -> impl Strategy<Value = (String, Value)> {
    let member =
        || prop::option::weighted(0.4, some(all, 3).prop_filter("a member has a role", |roles| !roles.is_empty()));
    let members = (member(), member(), member(), member());
    (members, prop::option::of(select(&USERS[..]))).prop_map(move |((a, b, c, d), owner)| {
        let names = ["user:ana", "user:unlisted", "group:g0", "group:User::\"ana\""];
        let members =
            names.into_iter().zip([a, b, c, d]).filter_map(|(name, roles)| Some((name.to_owned(), json!(roles?))));
        let mut space = json!({ "type": kind, "members": members.collect::<serde_json::Map<_, _>>() });
        if let Some(owner) = owner {
            space["owner"] = json!(owner);
        }
        (id.to_owned(), space)
    })
}

fn resource() -> impl Strategy<Value = Value> {
    let place = prop::option::of(select(&SPACES[..]));
    let rest = (prop::option::of(select(&USERS[..])), prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    (select(&TYPES[..]), place, rest).prop_map(|(type_name, place, (owner, streamed, in_app))| {
        let mut resource = json!({ "type": type_name });
        for (key, value) in [
            ("space", place.map(|(id, ..)| id)),
            ("owner", owner),
            ("stream", streamed.then_some("stream")),
            ("app", (in_app && type_name == "App.Object").then_some("the-app")),
        ] {
            if let Some(value) = value {
                resource[key] = json!(value);
            }
        }
        resource
    })
}

fn tenant() -> impl Strategy<Value = Value> {
    let people = (user(), user(), user());
    let spaces = (space(SPACES[0]), space(SPACES[1]), space(SPACES[2]));
    let shape = (
        select(&["active", "active", "active", "active", "user_access_disabled", "deactivated"][..]),
        roles(),
        prop::option::of(some(&PERMISSIONS[..8], 4)),
        some(&PERMISSIONS, 4),
    );
    (people, spaces, prop::collection::vec(resource(), 12), shape).prop_map(|(people, spaces, resources, shape)| {
        let (status, group_roles, user_default, custom) = shape;
        let mut things: serde_json::Map<String, Value> =
            resources.into_iter().enumerate().map(|(n, resource)| (format!("r{n}"), resource)).collect();
        things.insert("stream".into(), json!({ "type": "Stream" }));
        things.insert("the-app".into(), json!({ "type": "App", "owner": "ana", "space": "s-managed" }));
        let mut tenant = json!({
            "status": status,
            "roles": { "Custom": custom },
            "groups": { "g0": { "roles": group_roles }, "g1": {} },
            "users": { USERS[0]: people.0, USERS[1]: people.1, USERS[3]: people.2 },
            "spaces": { (spaces.0.0): spaces.0.1, (spaces.1.0): spaces.1.1, (spaces.2.0): spaces.2.1 },
            "resources": things,
        });
        if let Some(list) = user_default {
            tenant["user_default"] = json!(list);
        }
        json!({ "version": 1, "tenants": { "acme": tenant } })
    })
}

fn subject() -> impl Strategy<Value = Subject> {
    let who = prop_oneof![9 => select(&USERS[..]).prop_map(Some), 1 => Just(None)];
    (who, some(&GROUPS, 2), prop::option::weighted(0.4, some(&SCOPES, 3))).prop_map(|(who, groups, scopes)| {
        let subject = who.map_or_else(Subject::anonymous, Subject::user).groups(groups);
        match scopes {
            Some(scopes) => subject.scopes(scopes),
            None => subject,
        }
    })
}

fn question() -> impl Strategy<Value = Request> {
    let stored = prop_oneof![
        (0..12_u8).prop_map(|n| ResourceRef::id(format!("r{n}"))),
        select(&["s-shared", "s-managed", "s-data", "the-app"][..]).prop_map(ResourceRef::id),
    ];
    let described = (select(&TYPES[..]), prop::option::of(select(&USERS[..])), prop::option::of(select(&SPACES[..])));
    let described = described.prop_map(|(type_name, owner, place)| {
        let mut resource = Resource::new(type_name);
        if let Some(owner) = owner {
            resource = resource.owner(owner);
        }
        if let Some((space, ..)) = place {
            resource = resource.space(space);
        }
        ResourceRef::from(resource)
    });
    let new_space = select(&["shared", "managed", "data"][..])
        .prop_map(|kind| ResourceRef::from(Resource::new("Space").attribute("type", kind)));
    let about = prop_oneof![6 => stored, 3 => described, 1 => new_space];
    let from = select(&[Context::Hub, Context::Hub, Context::Admin, Context::Embed, Context::Api][..]);
    (subject(), select(Action::ALL), about, from)
        .prop_map(|(subject, action, about, from)| Request::new("acme", &subject, action, about).context(from))
}

#[test]
fn cedar_gives_the_same_answer() {
    let mut runner = TestRunner::new(Config {
        cases: TENANTS,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    });
    let strategy = (tenant(), prop::collection::vec(question(), QUESTIONS));
    let (asked, allowed, outside) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    let add = |counter: &Cell<u32>, more: bool| counter.set(counter.get() + u32::from(more));
    let ran = runner.run(&strategy, |(tenant, questions)| {
        let policy = Policy::parse_json(&tenant.to_string()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let snapshot = policy.compile().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let tenant = policy.tenant("acme").ok_or_else(|| TestCaseError::fail("no tenant"))?;
        let oracle = Oracle::new(tenant).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for question in questions {
            let ours = snapshot.decide(&question);
            let theirs = oracle.allows(&question).map_err(|error| TestCaseError::fail(error.to_string()))?;
            if let Some(theirs) = theirs {
                prop_assert_eq!(ours.is_allowed(), theirs, "{:?}: {} {:?}", question, ours.code(), ours.by());
                add(&asked, true);
                add(&allowed, theirs);
            } else {
                // Nothing that Cedar is not asked may be something that is granted here.
                prop_assert!(!ours.is_allowed(), "{:?}", question);
                add(&outside, true);
            }
        }
        Ok(())
    });
    let (asked, allowed, outside) = (asked.get(), allowed.get(), outside.get());
    println!("asked {asked} questions, {allowed} allowed; {outside} more were outside of the export");
    assert!(ran.is_ok(), "{}", ran.unwrap_err());
    assert!(allowed > asked / 50, "an oracle that refuses everything proves nothing");
}

/// The export and its schema are read by Cedar, whatever the tenant's status and model.
#[test]
fn every_status_and_model_is_read() {
    for status in ["active", "user_access_disabled", "deactivated", "purged"] {
        for model in ["cloud", "enterprise"] {
            let policy = json!({ "version": 1, "tenants": { "acme": { "status": status, "model": model } } });
            let policy = Policy::parse_json(&policy.to_string()).unwrap();
            let oracle = Oracle::new(policy.tenant("acme").unwrap()).unwrap();
            assert_eq!(oracle.policies() > 10, model == "cloud");
        }
    }
}

/// A rule is left out and named: Cedar refuses what only it grants.
#[test]
fn what_only_a_rule_grants_is_refused_and_the_rule_is_named() {
    let policy = r#"{"version":1,"tenants":{"acme":{"resources":{"q3":{"type":"App"}},
        "rules":[{"name":"all","filter":"App_*","actions":["read"],"condition":"!user.IsAnonymous()"}]}}}"#;
    let policy = Policy::parse_json(policy).unwrap();
    let question = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("q3"));
    assert!(policy.compile().unwrap().decide(&question).is_allowed());
    let tenant = policy.tenant("acme").unwrap();
    assert_eq!(Oracle::new(tenant).unwrap().allows(&question).unwrap(), Some(false));
    assert!(qsec_authz::cedar::CedarExport::of(tenant).rules_left_out().eq(["all"]));
}
