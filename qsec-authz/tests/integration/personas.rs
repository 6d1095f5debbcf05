//! The ready policies of `personas/`, and what each persona may by them: `tests/data/matrix/personas-*.txt`, reviewed by a person.

use std::fmt::Write as _;

use qsec_authz::{Action, Lint, Policy, Request, Resource, ResourceRef, Snapshot, Subject};
use serde_json::{Value, json};

use crate::matrix::assert_reviewed;

const PERSONAS: [(&str, &str); 4] = [
    ("consumer", "Consumers"),
    ("contributor", "Contributors"),
    ("developer", "Developers"),
    ("team_admin", "Team Administrators"),
];
const CLOUD: &str = include_str!("../../personas/cloud.json");
const ENTERPRISE: &str = include_str!("../../personas/enterprise.json");

const HEAD: &str = "\
# persona | resource | actions. `far` is of another team.
# Computed from decisions on the policy of `personas/`. To review a change: read each line that differs as a sentence, `a consumer
# may read an app of another team`, and ask whether the documentation of the persona says so; a right that nobody asked for is a
# defect, even if all tests pass. Then write the file anew with QSEC_WRITE_MATRIX=1 and commit it with the change that caused it.
";

/// The policy with a person of each persona, who is of the team Sales.
fn with_people(text: &str, resources: Value) -> Snapshot {
    let mut policy: Value = serde_json::from_str(text).expect("json");
    let tenant = &mut policy["tenants"]["example"];
    for (persona, group) in PERSONAS {
        tenant["users"][persona] = json!({"groups": [group], "custom": {"Team": "Sales"}});
    }
    tenant["resources"] = resources;
    Policy::parse(&policy.to_string()).expect("policy").compile().expect("compiles")
}

fn matrix(snapshot: &Snapshot, rows: &[(&str, Vec<(String, ResourceRef)>)]) -> String {
    let mut text = String::from(HEAD);
    for (persona, resources) in rows {
        for (name, resource) in resources {
            let may = |action: &&Action| {
                let request = Request::new("example", &Subject::user(*persona), **action, resource.clone());
                assert_eq!(snapshot.check(&request).map_err(|error| error.to_string()), Ok(()), "{name}");
                snapshot.decide(&request).is_allowed()
            };
            let actions: Vec<_> = Action::ALL.iter().filter(may).map(|action| action.as_str()).collect();
            let actions = if actions.is_empty() { "nothing".to_owned() } else { actions.join(" ") };
            writeln!(text, "{persona} | {name} | {actions}").expect("text");
        }
    }
    text
}

#[test]
fn personas_of_a_cloud_tenant_are_the_reviewed_ones() {
    let snapshot = with_people(CLOUD, json!({}));
    let types = ["App", "App.Object", "DataConnection", "DataAsset", "DataProduct", "Automation"];
    let rows = PERSONAS.map(|(persona, _)| {
        let mut resources = Vec::new();
        for space in ["workshop", "published"] {
            resources.push((format!("the space {space}"), ResourceRef::id(space)));
            for kind in types {
                for (whose, owner) in [("another's", "another"), ("own", persona)] {
                    let resource = Resource::new(kind).space(space).owner(owner);
                    resources.push((format!("{whose} {kind} in {space}"), resource.into()));
                }
            }
        }
        for kind in types {
            resources.push((format!("own {kind} in no space"), Resource::new(kind).owner(persona).into()));
            resources.push((format!("another's {kind} in no space"), Resource::new(kind).owner("another").into()));
        }
        for kind in ["User", "Group", "Role", "ApiKey", "TenantKey", "AuditEvent"] {
            resources.push((format!("any {kind}"), Resource::new(kind).into()));
        }
        (persona, resources)
    });
    assert_reviewed("personas-cloud.txt", &matrix(&snapshot, &rows));
}

#[test]
fn personas_of_an_enterprise_tenant_are_the_reviewed_ones() {
    let team = |name: &str| json!({"Team": name});
    let snapshot = with_people(
        ENTERPRISE,
        json!({
            "stream": {"type": "Stream", "custom": team("Sales")}, "far stream": {"type": "Stream", "custom": team("Finance")},
            "app": {"type": "App", "stream": "stream", "custom": team("Sales"), "owner": "another"},
            "far app": {"type": "App", "stream": "far stream", "custom": team("Finance"), "owner": "another"},
            "draft": {"type": "App", "custom": team("Sales"), "owner": "another"},
            "far draft": {"type": "App", "custom": team("Finance"), "owner": "another"}}),
    );
    let rows = PERSONAS.map(|(persona, _)| {
        let mut resources: Vec<(String, ResourceRef)> =
            ["stream", "far stream", "app", "far app", "draft", "far draft"]
                .map(|id| (id.to_owned(), ResourceRef::id(id)))
                .into();
        let own = Resource::new("App").owner(persona);
        resources.push(("own draft".to_owned(), own.clone().into()));
        resources.push(("own app in the stream".to_owned(), own.stream("stream").into()));
        for app in ["app", "far app", "draft", "far draft"] {
            for kind in ["sheet", "bookmark"] {
                for (whose, owner) in [("own", persona), ("another's", "another")] {
                    let object = Resource::new("App.Object").app(app).owner(owner).attribute("objectType", kind);
                    resources.push((format!("{whose} {kind} of {app}"), object.clone().into()));
                    let published = object.attribute("published", true);
                    resources.push((format!("{whose} published {kind} of {app}"), published.clone().into()));
                    let approved = published.attribute("approved", true);
                    resources.push((format!("{whose} approved {kind} of {app}"), approved.into()));
                }
            }
            resources.push((format!("task of {app}"), Resource::new("ReloadTask").app(app).into()));
        }
        for kind in ["folder", "database"] {
            let connection = Resource::new("DataConnection").attribute("type", kind);
            resources.push((format!("connection to a {kind}"), connection.into()));
        }
        for kind in ["User", "SystemRule", "Tag"] {
            resources.push((format!("any {kind}"), Resource::new(kind).into()));
        }
        (persona, resources)
    });
    assert_reviewed("personas-enterprise.txt", &matrix(&snapshot, &rows));
}

#[test]
fn ready_policies_have_nothing_that_lint_finds() {
    for text in [CLOUD, ENTERPRISE] {
        let lint = Lint::of(&Policy::parse(text).expect("policy"));
        assert!(lint.is_empty(), "{lint:?}");
    }
}
