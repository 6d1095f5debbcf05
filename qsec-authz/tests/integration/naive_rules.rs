//! Security rules once more, from their documentation alone: texts, lists and recursion; no index, no memory, no compilation.

use std::collections::BTreeSet;

use qsec_authz::Action;
use serde_json::{Value, json};

use crate::naive::{self, Who, texts};

/// The key of the resource that the request describes.
const NEW: &str = "\0";

/// What rules see.
pub(crate) struct World<'a> {
    tenant: &'a Value,
    who: &'a Who,
    request: &'a Value,
    target: Option<&'a str>,
}

#[derive(Clone, PartialEq, Debug)]
enum Item {
    Text(String),
    User(String),
    Resource(String),
    Environment,
}

struct Failed;

type Outcome = Result<bool, Failed>;

/// Words of a condition: names, signs, and texts with their quote in front.
fn words(condition: &str) -> Vec<String> {
    let mut found = Vec::new();
    let characters: Vec<char> = condition.chars().collect();
    let mut at = 0;
    while at < characters.len() {
        let start = at;
        let c = characters[at];
        at += 1;
        if c.is_whitespace() {
            continue;
        }
        if c == '"' {
            let mut text = String::from('"');
            while characters[at] != '"' {
                at += usize::from(characters[at] == '\\' && "\"\\".contains(characters[at + 1]));
                text.push(characters[at]);
                at += 1;
            }
            at += 1;
            found.push(text);
            continue;
        }
        let same = |c: char| c.is_alphanumeric() || c == '_';
        let sign = |c: char| "!=&|".contains(c);
        let run: fn(char) -> bool = if same(c) { |c| c.is_alphanumeric() || c == '_' } else { |c| "=&|".contains(c) };
        if same(c) || sign(c) {
            while at < characters.len() && run(characters[at]) {
                at += 1;
            }
        }
        found.push(characters[start..at].iter().collect());
    }
    found
}

fn folded(text: &str) -> String {
    text.to_lowercase()
}

fn glob(pattern: &[char], text: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some('*'), _) => glob(&pattern[1..], text) || (!text.is_empty() && glob(pattern, &text[1..])),
        (Some(p), Some(t)) => p == t && glob(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn like(pattern: &str, text: &str) -> bool {
    glob(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// The bits of actions, in their order.
const BITS: &str = "create read update delete export publish change_owner change_role export_data access_offline distribute duplicate approve";

fn has_action(actions: &Value, action: &str) -> bool {
    let plain = |name: &str| folded(name).replace([' ', '_'], "");
    match actions.as_i64() {
        Some(sum) => BITS.split(' ').position(|one| one == action).is_some_and(|bit| sum >> bit & 1 == 1),
        None => texts(actions).iter().any(|name| plain(name) == plain(action)),
    }
}

/// The rules of the personas that a tenant has, then its own.
pub(crate) fn rules(tenant: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let published = r#"((resource.resourcetype = "App" and resource.stream.HasPrivilege("read")) or (resource.resourcetype = "App.Object" and resource.published = "true" and resource.app.stream.HasPrivilege("read")))"#;
    let own = "resource.IsOwned() and resource.owner = user";
    let team = "resource.@Team = user.@Team";
    for (persona, number, filter, actions, condition) in [
        ("consumer", 1, "App*", "read", published.to_owned()),
        (
            "consumer",
            2,
            "App.Object_*",
            "create read update delete",
            format!(
                r#"{own} and resource.objectType = "bookmark" and !(resource.published = "true") and resource.app.HasPrivilege("read")"#
            ),
        ),
        ("contributor", 1, "App*", "read", published.to_owned()),
        (
            "contributor",
            2,
            "App.Object_*",
            "create read update delete publish",
            format!(
                r#"{own} and resource.objectType = {{"sheet", "story", "bookmark"}} and !(resource.approved = "true") and resource.app.HasPrivilege("read")"#
            ),
        ),
        (
            "developer",
            1,
            "App_*",
            "create read update delete duplicate export",
            format!("{own} and resource.stream.Empty()"),
        ),
        ("developer", 2, "App_*", "read update duplicate", format!("resource.stream.Empty() and {team}")),
        (
            "developer",
            3,
            "App.Object_*",
            "create read update delete publish",
            r#"resource.app.stream.Empty() and resource.app.HasPrivilege("update")"#.to_owned(),
        ),
        ("developer", 4, "DataConnection_*", "create read", r#"!(resource.type = "folder")"#.to_owned()),
        ("team_admin", 1, "App_*", "read update publish change_owner delete", team.to_owned()),
        ("team_admin", 2, "App.Object_*", "read approve publish", "resource.app.@Team = user.@Team".to_owned()),
        ("team_admin", 3, "ReloadTask_*", "create read update delete", "resource.app.@Team = user.@Team".to_owned()),
        ("team_admin", 4, "Stream_*", "read publish", team.to_owned()),
    ] {
        let groups = texts(&tenant["personas"][persona]);
        if !groups.is_empty() {
            let group = groups.iter().map(|group| format!("\"{group}\"")).collect::<Vec<_>>().join(",");
            all.push(json!({"name": format!("persona:{persona}:{number}"), "filter": filter,
                "actions": actions.split(' ').collect::<Vec<_>>(),
                "condition": format!("user.group = {{{group}}} and ({condition})")}));
        }
    }
    all.extend(tenant["rules"].as_array().into_iter().flatten().cloned());
    all
}

impl<'a> World<'a> {
    pub(crate) fn new(tenant: &'a Value, who: &'a Who, request: &'a Value, target: Option<&'a str>) -> Self {
        Self { tenant, who, request, target }
    }

    fn root(&self) -> String {
        let asked = &self.request["resource"];
        if asked["type"].is_null() { asked["id"].as_str().unwrap().to_owned() } else { NEW.to_owned() }
    }

    /// The names of the rules that grant an action on what is asked about.
    pub(crate) fn granting(&self, action: &str) -> Vec<String> {
        let reasons = self.reasons(action);
        reasons.into_iter().filter(|(_, why)| *why == "match").map(|(name, _)| name).collect()
    }

    /// Each rule and why it does not grant, or `match`.
    pub(crate) fn reasons(&self, action: &str) -> Vec<(String, &'static str)> {
        let root = self.root();
        let stack = vec![(root.clone(), action.to_owned())];
        let mut found = Vec::new();
        for rule in rules(self.tenant) {
            let why = match self.stops(&rule, &root, action) {
                Some(why) => why,
                None => match self.condition(&rule, &root, action, &stack) {
                    Ok(true) => "match",
                    Ok(false) => "condition",
                    Err(Failed) => "error",
                },
            };
            found.push((rule["name"].as_str().unwrap().to_owned(), why));
        }
        found
    }

    fn stops(&self, rule: &Value, key: &str, action: &str) -> Option<&'static str> {
        let console = self.request["context"] == "admin";
        let written = format!("{}_{}", self.type_of(key), self.id_of(key).unwrap_or_default());
        let context = rule["context"].as_str().unwrap_or("both");
        let mut patterns = rule["filter"].as_str().unwrap().split(',').map(str::trim);
        if rule["disabled"] == true {
            Some("disabled")
        } else if (context == "admin" && !console) || (context == "hub" && console) {
            Some("context")
        } else if !patterns
            .any(|one| like(&if one.contains(['_', '*']) { one.to_owned() } else { format!("{one}_*") }, &written))
        {
            Some("filter")
        } else if !has_action(&rule["actions"], action) {
            Some("action")
        } else {
            None
        }
    }

    fn condition(&self, rule: &Value, key: &str, action: &str, stack: &[(String, String)]) -> Outcome {
        let words = words(rule["condition"].as_str().unwrap_or(""));
        if words.is_empty() {
            return Ok(true);
        }
        let mut reader = Reader { world: self, words: &words, at: 0, key, action, stack };
        let outcome = reader.any(true)?;
        assert_eq!(reader.at, words.len(), "{rule}");
        Ok(outcome)
    }

    /// All grants, asked by a rule.
    fn privilege(&self, key: &str, action: &str, stack: &[(String, String)]) -> Outcome {
        let question = (key.to_owned(), action.to_owned());
        if stack.contains(&question) || stack.len() > 16 {
            return Err(Failed);
        }
        let resource = if key == NEW { self.request["resource"].clone() } else { json!({"id": key}) };
        let request = json!({"action": action, "resource": resource});
        let mut situation = naive::situation(self.tenant, &request, self.who).unwrap();
        if let Some(target) = self.target.filter(|_| key == self.root()) {
            situation.own = self.owner(key, key, action).is_some() && self.owner(key, key, action) == self.who.user;
            situation.place = naive::space_type(self.tenant, target);
            situation.space = Some(target.to_owned());
        }
        if !naive::grants(self.tenant, self.who, &situation).is_empty() {
            return Ok(true);
        }
        let stack = [stack, &[question]].concat();
        let mut failed = false;
        for rule in rules(self.tenant) {
            if self.stops(&rule, key, action).is_none() {
                match self.condition(&rule, key, action, &stack) {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(Failed) => failed = true,
                }
            }
        }
        if failed { Err(Failed) } else { Ok(false) }
    }

    fn body(&self, key: &str) -> &Value {
        if key == NEW {
            return &self.request["resource"];
        }
        let space = &self.tenant["spaces"][key];
        if space.is_null() { &self.tenant["resources"][key] } else { space }
    }

    fn type_of(&self, key: &str) -> String {
        if key != NEW && !self.tenant["spaces"][key].is_null() {
            return "Space".to_owned();
        }
        self.body(key)["type"].as_str().unwrap().to_owned()
    }

    fn id_of(&self, key: &str) -> Option<String> {
        if key == NEW { self.body(key)["id"].as_str().map(str::to_owned) } else { Some(key.to_owned()) }
    }

    fn owner(&self, key: &str, root: &str, action: &str) -> Option<String> {
        let owner = self.body(key)["owner"].as_str().map(str::to_owned);
        let moving = self.target.is_some() && key == self.root();
        let implied = action == "create" && key == root && !moving;
        owner.or_else(|| if implied { self.who.user.clone() } else { None })
    }

    fn space(&self, key: &str) -> Option<String> {
        if self.target.is_some() && key == self.root() {
            return self.target.map(str::to_owned);
        }
        let resource = if key == NEW { self.request["resource"].clone() } else { json!({"id": key}) };
        naive::situation(self.tenant, &json!({"action": "read", "resource": resource}), self.who)?.space
    }

    /// One step of a path.
    fn step(&self, item: &Item, segment: &str, root: &str, action: &str) -> Vec<Item> {
        let name = folded(segment);
        let text = |value: Option<String>| value.into_iter().map(Item::Text).collect::<Vec<_>>();
        match item {
            Item::Text(_) => Vec::new(),
            Item::Environment => named(&self.request["environment"], &name),
            Item::User(id) => {
                let user = &self.tenant["users"][id];
                let requester = self.who.user.as_ref() == Some(id);
                let known = naive::who(self.tenant, &json!({"user": id}));
                let who = if requester { self.who } else { &known };
                let all = |names: &BTreeSet<String>| names.iter().cloned().map(Item::Text).collect();
                match name.as_str() {
                    "userid" => text(Some(id.clone())),
                    "userdirectory" => text(user["directory"].as_str().map(str::to_owned)),
                    "name" => text(user["name"].as_str().map(str::to_owned)),
                    "group" => all(&who.groups),
                    "role" | "roles" => all(&who.roles),
                    "environment" if requester => vec![Item::Environment],
                    _ => match name.strip_prefix('@') {
                        Some(name) => named(&user["custom"], name),
                        None => named(&user["attributes"], &name),
                    },
                }
            }
            Item::Resource(key) => {
                let body = self.body(key);
                let link =
                    |id: &Value| id.as_str().map(|id| Item::Resource(id.to_owned())).into_iter().collect::<Vec<_>>();
                match name.as_str() {
                    "id" => text(self.id_of(key)),
                    "name" => text(body["name"].as_str().map(str::to_owned)),
                    "resourcetype" => text(Some(self.type_of(key))),
                    "resourcefilter" => {
                        text(Some(format!("{}_{}", self.type_of(key), self.id_of(key).unwrap_or_default())))
                    }
                    "space" => text(self.space(key)),
                    "owner" => self.owner(key, root, action).map(Item::User).into_iter().collect(),
                    "app" | "stream" => link(&body[&name]),
                    "type" if self.type_of(key) == "Space" && body["attributes"].is_null() && key != NEW => {
                        text(body["type"].as_str().map(str::to_owned))
                    }
                    _ if name.starts_with('@') => named(&body["custom"], &name[1..]),
                    _ => {
                        let links = body["links"].as_object().into_iter().flatten();
                        let linked = links.filter(|(one, _)| folded(one) == name).flat_map(|(_, ids)| texts(ids));
                        linked.map(Item::Resource).chain(named(&body["attributes"], &name)).collect()
                    }
                }
            }
        }
    }

    fn text(&self, item: &Item) -> Option<String> {
        match item {
            Item::Text(text) => Some(text.clone()),
            Item::Environment => None,
            Item::Resource(key) => self.id_of(key),
            Item::User(id) => Some(match self.tenant["users"][id]["directory"].as_str() {
                Some(directory) => format!("{directory}\\{id}"),
                None => id.clone(),
            }),
        }
    }
}

fn named(values: &Value, name: &str) -> Vec<Item> {
    fn collect(value: &Value, found: &mut Vec<Item>) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| collect(one, found)),
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => found.push(Item::Text(text.clone())),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => found.push(Item::Text(value.to_string())),
        }
    }
    let mut found = Vec::new();
    for (_, value) in values.as_object().into_iter().flatten().filter(|(one, _)| folded(one) == name) {
        collect(value, &mut found);
    }
    found
}

/// Reads and evaluates at once; what is not `live` is read only.
struct Reader<'a> {
    world: &'a World<'a>,
    words: &'a [String],
    at: usize,
    key: &'a str,
    action: &'a str,
    stack: &'a [(String, String)],
}

impl Reader<'_> {
    fn peek(&self) -> String {
        self.words
            .get(self.at)
            .map(|word| if word.starts_with('"') { word.clone() } else { folded(word) })
            .unwrap_or_default()
    }

    fn take(&mut self) -> String {
        self.at += 1;
        self.words[self.at - 1].clone()
    }

    fn any(&mut self, live: bool) -> Outcome {
        let mut outcome = self.all(live)?;
        while ["or", "||"].contains(&self.peek().as_str()) {
            self.take();
            outcome |= self.all(live && !outcome)?;
        }
        Ok(outcome)
    }

    fn all(&mut self, live: bool) -> Outcome {
        let mut outcome = self.not(live)?;
        while ["and", "&&"].contains(&self.peek().as_str()) {
            self.take();
            outcome &= self.not(live && outcome)?;
        }
        Ok(outcome)
    }

    fn not(&mut self, live: bool) -> Outcome {
        if ["not", "!"].contains(&self.peek().as_str()) {
            self.take();
            return Ok(!self.not(live)? && live);
        }
        self.primary(live)
    }

    fn primary(&mut self, live: bool) -> Outcome {
        match self.peek().as_str() {
            "(" => {
                self.take();
                let outcome = self.any(live)?;
                self.take();
                return Ok(outcome && live);
            }
            "true" | "false" => return Ok(folded(&self.take()) == "true" && live),
            _ => {}
        }
        let (left, call) = self.operand();
        if let Some(function) = call {
            let argument = if self.peek() == ")" { String::new() } else { self.take()[1..].to_owned() };
            self.take();
            if !live {
                return Ok(false);
            }
            return self.call(&left, &function, &argument);
        }
        let operator = folded(&self.take());
        let (right, _) = self.operand();
        Ok(live && self.compare(&left, &operator, &right))
    }

    /// Values; or those before a function, and the function.
    fn operand(&mut self) -> (Vec<Item>, Option<String>) {
        let word = self.take();
        if let Some(text) = word.strip_prefix('"') {
            return (vec![Item::Text(text.to_owned())], None);
        }
        let mut items = Vec::new();
        if word == "{" {
            while self.peek() != "}" {
                let word = self.take();
                items.extend(word.strip_prefix('"').map(|text| Item::Text(text.to_owned())));
            }
            self.take();
            return (items, None);
        }
        if folded(&word) == "resource" {
            items.push(Item::Resource(self.key.to_owned()));
        } else {
            items.extend(self.world.who.user.clone().map(Item::User));
        }
        let anonymous = items.is_empty();
        while self.peek() == "." {
            self.take();
            let mut name = self.take();
            if name == "@" {
                name = format!("@{}", self.take());
            }
            if self.peek() == "(" {
                self.take();
                return (items, Some(folded(&name)));
            }
            if anonymous && folded(&name) == "environment" {
                items = vec![Item::Environment];
                continue;
            }
            items = items.iter().flat_map(|item| self.world.step(item, &name, self.key, self.action)).collect();
        }
        (items, None)
    }

    fn call(&self, items: &[Item], function: &str, argument: &str) -> Outcome {
        let resources = items.iter().filter_map(|item| if let Item::Resource(key) = item { Some(key) } else { None });
        match function {
            "isanonymous" => Ok(self.world.who.user.is_none()),
            "empty" => Ok(items.is_empty()),
            "isowned" => Ok(resources.into_iter().any(|key| self.world.owner(key, self.key, self.action).is_some())),
            _ => {
                let action = Action::ALL.iter().find(|action| has_action(&json!([argument]), action.as_str())).unwrap();
                let mut failed = false;
                for key in resources {
                    match self.world.privilege(key, action.as_str(), self.stack) {
                        Ok(true) => return Ok(true),
                        Ok(false) => {}
                        Err(Failed) => failed = true,
                    }
                }
                if failed { Err(Failed) } else { Ok(false) }
            }
        }
    }

    fn compare(&self, left: &[Item], operator: &str, right: &[Item]) -> bool {
        let entity = |item: &Item| !matches!(item, Item::Text(_));
        left.iter().any(|one| {
            right.iter().any(|two| {
                let (Some(l), Some(r)) = (self.world.text(one), self.world.text(two)) else {
                    return entity(one) && entity(two) && (one == two) == operator.starts_with('=');
                };
                let identical = entity(one) && entity(two);
                match operator {
                    "=" | "==" | "!=" | "!==" => {
                        let strict = operator == "==" || operator == "!==";
                        let equal = if identical {
                            one == two
                        } else if strict {
                            l == r
                        } else {
                            folded(&l) == folded(&r)
                        };
                        equal == operator.starts_with('=')
                    }
                    _ => like(&folded(&r), &folded(&l)),
                }
            })
        })
    }
}
