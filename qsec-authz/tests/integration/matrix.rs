//! The matrix of roles, resources and actions, as a text that a person has reviewed: `tests/data/matrix/roles.txt`.
//!
//! It is computed from decisions, not from tables. A change of a right is a change of that file, and shows in a review.
//! To write it anew, run the test with `QSEC_WRITE_MATRIX=1` and read the difference.

use std::fmt::Write as _;

use qsec_authz::{Action, Policy, Request, Resource, Snapshot, Subject};
use serde_json::{Value, json};

use crate::naive::ROLES;

const TYPES: &[&str] = &[
    "Space",
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
    "Anything",
];
const SPACE_ROLES: &[&str] = &[
    "owner",
    "facilitator",
    "producer",
    "codeveloper",
    "publisher",
    "contributor",
    "consumer",
    "basicconsumer",
    "dataconsumer",
    "operator",
    "datapreview",
];
const PERMISSIONS: &[&str] = &[
    "apps.data:export",
    "apps.image:export",
    "apps",
    "automations",
    "spaces.shared",
    "spaces.managed",
    "spaces.data",
    "api-keys",
    "apps:read",
    "apps:export",
    "automations:read",
    "automations.shared",
    "spaces.shared:read",
    "spaces.managed:read",
    "spaces.data:read",
    "admin.apps",
    "admin.apps:read",
    "admin.apps:export",
    "admin.spaces",
    "admin.spaces:read",
    "admin.automations",
    "admin.automations:read",
];

/// A tenant where each role and permission has one holder, who also has every capability. Resources of a type stand in
/// each space, once owned by a holder and once by another.
fn tenant() -> Value {
    let able = json!(["DataServicesContributor", "DataProductManager", "Capable"]);
    let mut tenant = json!({"roles": {"Capable": ["apps.data:export"]}, "user_default": [], "users": {}, "spaces": {}});
    for role in ROLES {
        tenant["users"][format!("role:{role}")] = json!({"roles": [role]});
    }
    for (number, permission) in PERMISSIONS.iter().enumerate() {
        let role = format!("P{number}");
        tenant["roles"][&role] = json!([permission]);
        tenant["users"][format!("permission:{permission}")] = json!({"roles": [role]});
    }
    for space_type in ["shared", "managed", "data"] {
        let owner = format!("{space_type}:owner");
        tenant["users"][&owner] = json!({"roles": able});
        tenant["spaces"][space_type] = json!({"type": space_type, "owner": owner, "members": {}});
        for role in &SPACE_ROLES[1..] {
            let user = format!("{space_type}:{role}");
            let mut with = tenant.clone();
            with["spaces"][space_type]["members"][format!("user:{user}")] = json!([role]);
            if Policy::parse(&json!({"version": 1, "tenants": {"t": with}}).to_string()).is_ok() {
                with["users"][&user] = json!({"roles": able});
                tenant = with;
            }
        }
    }
    tenant["users"]["nobody"] = json!({"roles": able});
    tenant
}

fn resource(type_name: &str, place: &str, owner: &str) -> Resource {
    let resource = Resource::new(type_name).owner(owner);
    match (type_name, place) {
        ("Space", place) => resource.attribute("type", place),
        (_, "none") => resource,
        (_, space) => resource.space(space),
    }
}

/// What a user may do in a place: actions, with `!` where only on its own.
fn may(snapshot: &Snapshot, user: &str, type_name: &str, place: &str) -> Vec<String> {
    let subject = Subject::user(user);
    let asked = |action: Action, owner: &str| {
        // Members act on the space that has them, everybody else on a described one.
        let stored = type_name == "Space" && user.starts_with(&format!("{place}:"));
        let request = if stored {
            Request::new("t", &subject, action, qsec_authz::ResourceRef::id(place))
        } else {
            Request::new("t", &subject, action, resource(type_name, place, owner))
        };
        snapshot.decide(&request.context(qsec_authz::Context::Api)).is_allowed()
    };
    let mut words = Vec::new();
    for action in Action::ALL {
        match (asked(*action, "another"), asked(*action, user)) {
            (true, true) => words.push(action.to_string()),
            (false, true) => words.push(format!("{action}!")),
            (false, false) => {}
            (true, false) => panic!("{user} may {action} {type_name} of others and not its own"),
        }
    }
    words
}

const PLACES: &[&str] = &["none", "shared", "managed", "data"];

const HEAD: &str = "\
# holder | type, place | actions; `!`: only what the holder owns
# Places: in no space, or in a space of that type; `anywhere`: in all four.
# What `nobody` in particular has is left out of the other rows.
# Computed from decisions. To review a change: read each line that differs as a sentence, `a consumer may read an app in a managed
# space`, and look it up in the documentation of the role; a right that nobody asked for is a defect, even if all tests pass. Then
# write the file anew with QSEC_WRITE_MATRIX=1 and commit it with the change that caused it.
";

/// The rows of a holder and a type: places, and the actions beyond those that everybody has.
fn rows(snapshot: &Snapshot, user: &str, type_name: &str) -> Vec<(String, String)> {
    let beyond = |place: &str| {
        let all = may(snapshot, user, type_name, place);
        let common = may(snapshot, "nobody", type_name, place);
        let new = all.iter().filter(|word| user == "nobody" || !common.contains(word)).cloned().collect::<Vec<_>>();
        if all.len() == Action::ALL.len() && !all.iter().any(|word| word.ends_with('!')) {
            "every action".to_owned()
        } else {
            new.join(" ")
        }
    };
    let found: Vec<(String, String)> = PLACES.iter().map(|place| ((*place).to_owned(), beyond(place))).collect();
    if found.iter().all(|(_, actions)| *actions == found[0].1) {
        return vec![("anywhere".to_owned(), found[0].1.clone())]
            .into_iter()
            .filter(|(_, new)| !new.is_empty())
            .collect();
    }
    found.into_iter().filter(|(_, actions)| !actions.is_empty()).collect()
}

fn matrix() -> String {
    let tenant = tenant();
    let policy = json!({"version": 1, "tenants": {"t": tenant}});
    let snapshot = Policy::parse(&policy.to_string()).expect("policy").compile().expect("compiles");
    let mut text = String::from(HEAD);
    let mut holders: Vec<String> = tenant["users"].as_object().expect("users").keys().cloned().collect();
    holders.sort_by_key(|user| (user.contains(':'), user.clone()));
    for user in &holders {
        for type_name in TYPES {
            for (places, actions) in rows(&snapshot, user, type_name) {
                writeln!(text, "{user} | {type_name}, {places} | {actions}").expect("text");
            }
        }
    }
    let granted = |action: &str| text.split([' ', '\n']).any(|word| word.trim_end_matches('!') == action);
    let unused: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).filter(|action| !granted(action)).collect();
    writeln!(text, "# actions that only `every action` and rules grant: {}", unused.join(" ")).expect("text");
    let rows = |holder: &str| text.lines().any(|line| line.split(" | ").next() == Some(holder));
    let bare: Vec<_> = holders.iter().filter(|holder| !rows(holder)).cloned().collect();
    writeln!(text, "# holders without a row: {}", bare.join(" ")).expect("text");
    let typed = |kind: &str| text.lines().any(|line| line.contains(&format!(" | {kind}, ")));
    let bare: Vec<_> = TYPES.iter().filter(|kind| !typed(kind)).copied().collect();
    writeln!(text, "# types without a row: {}", bare.join(" ")).expect("text");
    writeln!(text, "# {} actions", Action::ALL.len()).expect("text");
    text
}

/// Compares with the reviewed text of that name.
pub(crate) fn assert_reviewed(name: &str, computed: &str) {
    let path = format!("{}/tests/data/matrix/{name}", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "a person asks for the file to be written")]
    let write = std::env::var("QSEC_WRITE_MATRIX").is_ok();
    if write {
        std::fs::write(&path, computed).expect("written");
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (number, (is, was)) in computed.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(is, was, "{name}, line {}", number + 1);
    }
    assert_eq!(computed.lines().count(), reviewed.lines().count(), "{name}");
}

#[test]
fn matrix_is_the_reviewed_one() {
    assert_reviewed("roles.txt", &matrix());
}

/// An action that nothing names in the matrix would pass unseen.
#[test]
fn every_action_is_in_the_matrix() {
    let text = matrix();
    for action in Action::ALL {
        let word = action.as_str();
        assert!(text.split([' ', '\n']).any(|one| one.trim_end_matches('!') == word), "{word} has no row");
    }
}
