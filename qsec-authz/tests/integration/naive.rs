//! A second evaluator, written from the tables of the documentation and from nothing else: texts and loops, no bits,
//! no indexes, no classes. It reads the policy and the request as JSON and answers as the program would.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::naive_rules::World;

/// `type[,type] | actions | roles`; `!` after a role: only on what one owns.
const SHARED: &str = "
Space | read | O F CD P V D
Space | update manage_members delete | O F
App | read export_data export_image | O F CD P V
App | create update delete duplicate export change_space publish reload | O F CD P
App | share change_owner | O F
App | edit_script | CD O! F! P!
App.Object | read | O F CD P V
App.Object | create update delete | O F CD P V!
App.Object | publish | O F CD P
DataConnection,DataAsset | read consume | O F CD P D
DataConnection,DataAsset | create | O F CD P
DataConnection,DataAsset | update delete | O F CD! P!
DataProduct | read consume | O F CD P V D
DataProduct | create update delete activate deactivate | O F CD P
Automation | read | O F CD P V
Automation | create update delete run stop | O F CD P";

const MANAGED: &str = "
Space | read | O F PB CT V RV D OP
Space | update manage_members delete | O F
App | publish republish | O PB
App | read | O F CT V RV OP
App | export_data export_image | O F CT V
App | reload | O F OP
App | update delete export change_owner change_space share | O F
App.Object | read | O F CT V RV OP
App.Object | create update delete | O! F! CT! V!
App.Object | publish | O! F! CT!
App.Object | approve | O F
DataConnection,DataAsset | read consume | O F D
DataConnection,DataAsset | create update delete | O F
DataProduct | read consume | O F V D
DataProduct | publish activate deactivate | O PB";

const DATA: &str = "
Space | read | O V DP D F OP P PB
Space | update manage_members | O F
Space | delete | O
DataProject,DataTask | read monitor | O V OP P
DataProject,DataTask | create update delete | O P
DataTask | run stop resume | O OP
DataTask | consume | O D
DataTask | view_data | O DP
DataConnection | read consume | O F P D
DataConnection | create update delete | O F
DataAsset | read | O V OP P D
DataAsset | create update delete | O P
DataAsset | consume | O D
DataAsset | view_data | O DP
DataProduct | read | O V P D
DataProduct | consume | O D
DataProduct | create update delete activate deactivate | O P
DataProduct | publish | O PB";

const LETTERS: &[(&str, &str)] = &[
    ("O", "owner"),
    ("F", "facilitator"),
    ("P", "producer"),
    ("CD", "codeveloper"),
    ("PB", "publisher"),
    ("CT", "contributor"),
    ("V", "consumer"),
    ("RV", "basicconsumer"),
    ("D", "dataconsumer"),
    ("OP", "operator"),
    ("DP", "datapreview"),
];

pub(crate) const ROLES: &[&str] = &[
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

const ADMINS: &[&str] = &["TenantAdmin", "AnalyticsAdmin", "AuditAdmin", "DataAdmin"];

const PERSONAL_TYPES: &[&str] =
    &["App", "App.Object", "DataConnection", "DataAsset", "Automation", "MlExperiment", "MlDeployment"];

/// Where a resource is, in words: a space type, `personal`, or nothing.
#[derive(Clone)]
pub(crate) struct Situation {
    pub(crate) type_name: String,
    pub(crate) place: String,
    pub(crate) space: Option<String>,
    pub(crate) own: bool,
    pub(crate) action: String,
}

fn any(text: &str, word: &str) -> bool {
    text.split_whitespace().any(|one| one == word)
}

fn role_grants(role: &str, s: &Situation) -> bool {
    let (t, a, place) = (s.type_name.as_str(), s.action.as_str(), s.place.as_str());
    let own_personal = a == "create" && s.own && place == "personal";
    let manage = any("read update delete manage_members change_owner", a);
    match role {
        "TenantAdmin" => match t {
            "Space" => manage,
            "App" => any("read delete change_owner change_space", a) || (a == "export" && place == "personal"),
            "User" | "Group" | "Role" | "Tenant" | "IdentityProvider" | "OAuthClient" | "Extension" | "Theme" => true,
            "TenantKey" => any("read update activate deactivate delete", a),
            "AuditEvent" => a == "read",
            "ApiKey" => any("read delete", a),
            "Automation" | "DataProject" | "DataTask" => any("read delete change_owner", a),
            _ => false,
        },
        "AnalyticsAdmin" => match t {
            "Space" => any("shared managed", place) && manage,
            "App" => any("shared managed", place) && any("read delete change_owner change_space", a),
            "Extension" | "Theme" => true,
            _ => false,
        },
        "AuditAdmin" => any("AuditEvent Conversation", t) && a == "read",
        "DataAdmin" => t == "Space" && place == "data" && manage,
        "DataSpaceCreator" => t == "Space" && place == "data" && a == "create",
        "SharedSpaceCreator" => t == "Space" && place == "shared" && a == "create",
        "ManagedSpaceCreator" => t == "Space" && place == "managed" && a == "create",
        "PrivateAnalyticsContentCreator" => any("App App.Object DataConnection DataAsset", t) && own_personal,
        "AutomationCreator" => t == "Automation" && own_personal,
        "AutomlExperimentContributor" => t == "MlExperiment" && own_personal,
        "AutomlDeploymentContributor" => t == "MlDeployment" && own_personal,
        "CollaborationPlatformUser" => t == "CollaborationPlatform" && a == "use",
        "Developer" => t == "ApiKey" && s.own && any("create read delete", a),
        "Steward" => match t {
            "Glossary" => any("create read update delete", a),
            "GlossaryTerm" => any("create read update delete approve", a),
            _ => false,
        },
        _ => false,
    }
}

fn permission_grants(permission: &str, s: &Situation) -> bool {
    let (t, a) = (s.type_name.as_str(), s.action.as_str());
    let own_personal = a == "create" && s.own && s.place == "personal";
    match permission {
        "apps" => t == "App" && own_personal,
        "automations" => t == "Automation" && own_personal,
        "spaces.shared" | "spaces.managed" | "spaces.data" => {
            t == "Space" && a == "create" && permission == format!("spaces.{}", s.place)
        }
        "api-keys" => t == "ApiKey" && s.own && any("create read delete", a),
        "admin.apps" => t == "App" && any("read export delete change_owner change_space", a),
        "admin.apps:read" => t == "App" && a == "read",
        "admin.apps:export" => t == "App" && a == "export",
        "admin.spaces" => t == "Space" && any("read update delete manage_members change_owner", a),
        "admin.spaces:read" => t == "Space" && a == "read",
        "admin.automations" => t == "Automation" && any("read update delete change_owner", a),
        "admin.automations:read" => t == "Automation" && a == "read",
        _ => false,
    }
}

fn space_roles_granting(s: &Situation) -> Vec<&'static str> {
    let table = match s.place.as_str() {
        "shared" => SHARED,
        "managed" => MANAGED,
        "data" => DATA,
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split(" | ").collect();
        if cells[0].split(',').any(|one| one == s.type_name) && any(cells[1], &s.action) {
            for letter in cells[2].split_whitespace() {
                let only_own = letter.ends_with('!');
                let name = LETTERS.iter().find(|(short, _)| *short == letter.trim_end_matches('!')).unwrap().1;
                if !only_own || s.own {
                    found.push(name);
                }
            }
        }
    }
    found
}

fn capability(s: &Situation) -> Option<&'static str> {
    match (s.type_name.as_str(), s.action.as_str()) {
        ("DataProject" | "DataTask", action) if action != "consume" => Some("role:DataServicesContributor"),
        ("DataProduct", "create" | "update" | "delete" | "activate" | "deactivate" | "publish") => {
            Some("role:DataProductManager")
        }
        ("App", "export_data") => Some("permission:apps.data:export"),
        ("App", "export_image") => Some("permission:apps.image:export"),
        _ => None,
    }
}

fn scope_admits(scope: &str, admin: bool, s: &Situation) -> bool {
    let (t, a) = (s.type_name.as_str(), s.action.as_str());
    if admin {
        return match scope {
            "admin_classic" => true,
            "admin.apps" => t == "App",
            "admin.apps:read" => t == "App" && a == "read",
            "admin.apps:export" => t == "App" && a == "export",
            "admin.spaces" => t == "Space",
            "admin.spaces:read" => t == "Space" && a == "read",
            "admin.automations" => t == "Automation",
            "admin.automations:read" => t == "Automation" && a == "read",
            "idp:manage" => t == "IdentityProvider",
            "users:manage" => t == "User",
            _ => false,
        };
    }
    match scope {
        "user_default" => true,
        "apps" => any("App App.Object", t),
        "apps:read" => any("App App.Object", t) && a == "read",
        "apps:export" => t == "App" && a == "export",
        "apps.data:export" => t == "App" && any("export_data export_image", a),
        "apps.image:export" => t == "App" && a == "export_image",
        "automations" => t == "Automation",
        "automations:read" => t == "Automation" && a == "read",
        "automations.shared" => t == "Automation" && s.place == "shared",
        "api-keys" => t == "ApiKey",
        _ => {
            t == "Space"
                && (scope == format!("spaces.{}", s.place)
                    || (a == "read" && scope == format!("spaces.{}:read", s.place)))
        }
    }
}

fn narrowest(admin: bool, s: &Situation) -> String {
    let (t, a) = (s.type_name.as_str(), s.action.as_str());
    let prefix = if admin { "admin." } else { "" };
    let read = if a == "read" { ":read" } else { "" };
    match t {
        "App" if a == "export" => format!("{prefix}apps:export"),
        "App" if !admin && a == "export_data" => "apps.data:export".into(),
        "App" if !admin && a == "export_image" => "apps.image:export".into(),
        "App" => format!("{prefix}apps{read}"),
        "App.Object" if !admin => format!("apps{read}"),
        "Automation" => format!("{prefix}automations{read}"),
        "Space" if admin => format!("admin.spaces{read}"),
        "Space" if any("shared managed data", &s.place) => format!("spaces.{}{read}", s.place),
        "ApiKey" if !admin => "api-keys".into(),
        _ if admin => "admin_classic".into(),
        _ => "user_default".into(),
    }
}

pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_array().map(|all| all.iter().map(|one| one.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
}

fn deny(code: &str, missing: impl IntoIterator<Item = String>) -> Value {
    let missing: BTreeSet<String> = missing.into_iter().collect();
    json!({"decision": "deny", "code": code, "by": [], "missing": missing})
}

/// What a principal has.
pub(crate) struct Who {
    pub(crate) user: Option<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) roles: BTreeSet<String>,
    default: Vec<String>,
    scopes: Option<Vec<String>>,
}

pub(crate) fn who(tenant: &Value, principal: &Value) -> Who {
    let user = principal["user"].as_str().map(str::to_owned);
    let mut groups: BTreeSet<String> = texts(&principal["groups"]).into_iter().collect();
    let mut roles = BTreeSet::new();
    let mut default = Vec::new();
    if let Some(user) = &user {
        groups.extend(texts(&tenant["users"][user]["groups"]));
        roles.extend(texts(&tenant["users"][user]["roles"]));
        for group in &groups {
            roles.extend(texts(&tenant["groups"][group]["roles"]));
        }
        default = vec!["apps.data:export".to_owned(), "apps.image:export".to_owned()];
        if !tenant["user_default"].is_null() {
            default = texts(&tenant["user_default"]);
        }
    }
    let scopes = principal["scopes"].is_array().then(|| texts(&principal["scopes"]));
    Who { user, groups, roles, default, scopes }
}

pub(crate) fn space_type(tenant: &Value, space: &str) -> String {
    tenant["spaces"][space]["type"].as_str().unwrap().to_owned()
}

pub(crate) fn situation(tenant: &Value, request: &Value, who: &Who) -> Option<Situation> {
    let action = request["action"].as_str().unwrap().to_owned();
    let asked = &request["resource"];
    let owner_is = |owner: Option<&str>| match (&who.user, owner) {
        (None, _) => false,
        (Some(_), None) => action == "create",
        (Some(user), Some(owner)) => user == owner,
    };
    let resource = if asked["type"].is_null() {
        let id = asked["id"].as_str().unwrap();
        if let Value::Object(space) = &tenant["spaces"][id] {
            let own = owner_is(space.get("owner").and_then(Value::as_str));
            let place = space_type(tenant, id);
            return Some(Situation { type_name: "Space".into(), place, space: Some(id.into()), own, action });
        }
        &tenant["resources"][id]
    } else {
        asked
    };
    let type_name = resource["type"].as_str()?.to_owned();
    let own = owner_is(resource["owner"].as_str());
    if type_name == "Space" {
        let place = resource["attributes"]["type"].as_str().unwrap_or("").to_owned();
        return Some(Situation { type_name, place, space: None, own, action });
    }
    let app = resource["app"].as_str().map_or(&Value::Null, |app| &tenant["resources"][app]);
    let space = match (resource["space"].as_str(), type_name.as_str()) {
        (Some(space), _) => Some(space),
        (None, "App.Object") => app["space"].as_str(),
        (None, _) => None,
    };
    let nowhere = [resource, app].iter().all(|one| one["space"].is_null() && one["stream"].is_null());
    let place = match space {
        Some(space) => space_type(tenant, space),
        None if nowhere && PERSONAL_TYPES.contains(&type_name.as_str()) => "personal".into(),
        None => String::new(),
    };
    Some(Situation { type_name, place, space: space.map(str::to_owned), own, action })
}

/// Grants as (source, is an administrator's), without rules.
pub(crate) fn grants(tenant: &Value, who: &Who, s: &Situation) -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    if tenant["model"] == "enterprise" {
        return found;
    }
    for role in &who.roles {
        if role_grants(role, s) {
            found.insert((format!("role:{role}"), ADMINS.contains(&role.as_str())));
        }
        for permission in texts(&tenant["roles"][role]) {
            if permission_grants(&permission, s) {
                found.insert((format!("role:{role}"), permission.starts_with("admin.")));
            }
        }
    }
    if who.default.iter().any(|permission| permission_grants(permission, s)) {
        found.insert(("default".into(), false));
    }
    let personal = "read update delete export export_data export_image duplicate change_space reload edit_script publish share consume run stop";
    if s.own && s.place == "personal" && any(personal, &s.action) {
        found.insert(("personal".into(), false));
    }
    if let (Some(space), Some(user)) = (&s.space, &who.user) {
        let entry = &tenant["spaces"][space];
        let mut held = Vec::new();
        if entry["owner"] == json!(user) {
            held.push("owner".to_owned());
        }
        held.extend(texts(&entry["members"][format!("user:{user}")]));
        for group in &who.groups {
            held.extend(texts(&entry["members"][format!("group:{group}")]));
        }
        let granting = space_roles_granting(s);
        let useful = held.iter().filter(|role| granting.contains(&role.as_str()));
        found.extend(useful.map(|role| (format!("space:{role}@{space}"), false)));
    }
    found
}

fn weigh(tenant: &Value, who: &Who, s: &Situation, rules: &[String], console: bool) -> Result<BTreeSet<String>, Value> {
    let mut found = grants(tenant, who, s);
    found.extend(rules.iter().map(|name| (format!("rule:{name}"), console)));
    if found.is_empty() {
        let mut missing = Vec::new();
        if who.user.is_some() && tenant["model"] != "enterprise" {
            missing.extend(ROLES.iter().filter(|role| role_grants(role, s)).map(|role| format!("role:{role}")));
            if let Some(space) = &s.space {
                let others = space_roles_granting(s).into_iter().filter(|role| *role != "owner");
                missing.extend(others.map(|role| format!("space:{role}@{space}")));
            }
        }
        return Err(deny("no_grant", missing));
    }
    let held = |needed: &str| match needed.split_once(':').unwrap() {
        ("role", role) => who.roles.contains(role),
        (_, permission) => {
            let mut all = who.default.clone();
            who.roles.iter().for_each(|role| all.extend(texts(&tenant["roles"][role])));
            all.iter().any(|one| one == permission)
                || (permission == "apps.image:export" && all.iter().any(|one| one == "apps.data:export"))
        }
    };
    let lacking = capability(s).filter(|needed| !held(needed));
    let passes = |source: &str, admin: bool| lacking.is_none() || admin || source.starts_with("rule:");
    let able: BTreeSet<_> = found.into_iter().filter(|(source, admin)| passes(source, *admin)).collect();
    if able.is_empty() {
        return Err(deny("capability", lacking.map(str::to_owned)));
    }
    let admitted = |admin: bool| match &who.scopes {
        None => true,
        Some(scopes) => scopes.iter().any(|scope| scope_admits(scope, admin, s)),
    };
    let left: BTreeSet<String> =
        able.iter().filter(|(_, admin)| admitted(*admin)).map(|(source, _)| source.clone()).collect();
    if left.is_empty() {
        return Err(deny("scope", able.iter().map(|(_, admin)| narrowest(*admin, s))));
    }
    Ok(left)
}

/// The decision on a well-formed request.
pub(crate) fn decide(policy: &Value, request: &Value) -> Value {
    let tenant = &policy["tenants"][request["tenant"].as_str().unwrap()];
    if tenant.is_null() {
        return deny("tenant_unknown", []);
    }
    let who = who(tenant, &request["principal"]);
    let cloud = tenant["model"] != "enterprise";
    let inactive = match tenant["status"].as_str() {
        None | Some("active") => false,
        Some("user_access_disabled") => !cloud || !who.roles.iter().any(|role| ADMINS.contains(&role.as_str())),
        Some(_) => true,
    };
    if inactive {
        return deny("tenant_inactive", []);
    }
    if who.user.as_ref().is_some_and(|user| tenant["users"][user]["status"] == "disabled") {
        return deny("user_disabled", []);
    }
    let target = request["target"].as_str();
    if target.is_some_and(|target| tenant["spaces"][target].is_null()) {
        return deny("resource_unknown", []);
    }
    let Some(source) = situation(tenant, request, &who) else { return deny("resource_unknown", []) };
    let context = request["context"].as_str().unwrap_or("hub");
    if cloud
        && who.roles.contains("EmbeddedAnalyticsUser")
        && (any("hub admin", context) || source.type_name == "ApiKey")
    {
        return deny("restricted", []);
    }
    let console = context == "admin";
    let rules = World::new(tenant, &who, request, None).granting(&source.action);
    let mut by = match weigh(tenant, &who, &source, &rules, console) {
        Ok(by) => by,
        Err(answer) => return answer,
    };
    if let Some(target) = target {
        let action = if source.action == "change_space" { "create".to_owned() } else { source.action.clone() };
        let there = Situation { place: space_type(tenant, target), space: Some(target.into()), action, ..source };
        let rules = World::new(tenant, &who, request, Some(target)).granting(&there.action);
        match weigh(tenant, &who, &there, &rules, console) {
            Ok(more) => by.extend(more),
            Err(answer) => return answer,
        }
    }
    json!({"decision": "allow", "code": "granted", "by": by, "missing": []})
}
