//! A resource as plain data: what is asked about, never what is allowed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bits::Bit;
use crate::document::{At, Value};
use crate::flaw::Fault;
use crate::tables::SpaceType;

/// Longest id, name of a role, group or attribute, in bytes: what every policy store keeps.
pub const MAX_NAME_BYTES: usize = crate::store::conformance::MAX_ID_BYTES;

/// Attribute names with a meaning of their own.
const RESERVED: [&str; 8] = ["id", "name", "resourcetype", "resourcefilter", "owner", "stream", "app", "space"];

/// The value of an attribute or custom property.
///
/// ```
/// use qsec_authz::AttributeValue;
/// assert_eq!(AttributeValue::from("sheet"), AttributeValue::Text("sheet".into()));
/// assert_eq!(AttributeValue::from(["a", "b"]), AttributeValue::List(vec!["a".into(), "b".into()]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum AttributeValue {
    /// No value: as if the attribute were missing.
    Null,
    /// A boolean; rules see the text `true` or `false`.
    Bool(bool),
    /// An integer; rules see its decimal text.
    Integer(i64),
    /// A text.
    Text(String),
    /// Several of those; a list in a list is refused.
    List(Vec<AttributeValue>),
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl<T: Into<AttributeValue>, const N: usize> From<[T; N]> for AttributeValue {
    fn from(values: [T; N]) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<AttributeValue>> From<Vec<T>> for AttributeValue {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

pub(crate) type Attributes = BTreeMap<String, AttributeValue>;

/// A resource that a caller describes: one that the policy does not list, such as one about to be created.
///
/// ```
/// use qsec_authz::Resource;
/// let app = Resource::new("App").owner("ana").space("sales").attribute("published", false);
/// assert_eq!(app.type_name(), "App");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) space: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) links: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: Attributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) custom: Attributes,
    /// It describes an entry of the policy, such as a user: its id is no id of a resource, and may be one by chance. Nobody owns
    /// it: who could create a user as its own content would have that of the usual rule for owners.
    #[serde(skip)]
    pub(crate) is_entry: bool,
}

impl Resource {
    /// A resource of a type: `[A-Za-z][A-Za-z0-9.]*`.
    pub fn new(type_name: impl Into<String>) -> Self {
        Self {
            id: None,
            type_name: type_name.into(),
            name: None,
            owner: None,
            space: None,
            app: None,
            stream: None,
            links: BTreeMap::new(),
            attributes: BTreeMap::new(),
            custom: BTreeMap::new(),
            is_entry: false,
        }
    }

    /// With an id, one that the policy does not have.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// With a name.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Owned by a user.
    #[must_use]
    pub fn owner(self, user: impl Into<String>) -> Self {
        Self { owner: Some(user.into()), ..self }
    }

    /// In a space of the policy.
    #[must_use]
    pub fn space(self, space: impl Into<String>) -> Self {
        Self { space: Some(space.into()), ..self }
    }

    /// Part of an app of the policy.
    #[must_use]
    pub fn app(self, app: impl Into<String>) -> Self {
        Self { app: Some(app.into()), ..self }
    }

    /// Published to a stream of the policy.
    #[must_use]
    pub fn stream(self, stream: impl Into<String>) -> Self {
        Self { stream: Some(stream.into()), ..self }
    }

    /// With links to resources of the policy.
    #[must_use]
    pub fn link<T: Into<String>>(mut self, name: impl Into<String>, ids: impl IntoIterator<Item = T>) -> Self {
        self.links.insert(name.into(), ids.into_iter().map(Into::into).collect());
        self
    }

    /// With an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// With a custom property.
    #[must_use]
    pub fn custom(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.custom.insert(name.into(), value.into());
        self
    }

    /// Its type.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Every id that it refers to, with the key under which it does.
    pub(crate) fn references(&self) -> impl Iterator<Item = (&str, &str)> {
        let single = [("app", &self.app), ("stream", &self.stream)];
        single
            .into_iter()
            .filter_map(|(key, id)| id.as_deref().map(|id| (key, id)))
            .chain(self.links.iter().flat_map(|(name, ids)| ids.iter().map(move |id| (name.as_str(), id.as_str()))))
    }

    /// The type of the space that this resource describes, if it is a `Space`.
    pub(crate) fn own_space_type(&self) -> Option<SpaceType> {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case("type"));
        match found {
            Some((_, AttributeValue::Text(text))) => SpaceType::named(text),
            _ => None,
        }
    }

    /// What makes it malformed whatever the policy says: the key, the name in it, and why.
    pub(crate) fn defect(&self) -> Option<Defect> {
        if !is_type_name(&self.type_name) {
            return Some(Defect::new("type", None, format!("`{}` is no resource type", self.type_name)));
        }
        if let Some(name) = self.links.keys().find(|name| reserved(name)) {
            return Some(Defect::new("links", Some(name), format!("a link may not be called `{name}`")));
        }
        attributes_defect(&self.attributes, &self.custom, self.links.keys())
    }
}

/// What makes a resource or user malformed in itself.
#[derive(Debug)]
pub(crate) struct Defect {
    pub(crate) key: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) message: String,
}

impl Defect {
    fn new(key: &'static str, name: Option<&str>, message: String) -> Self {
        Self { key, name: name.map(str::to_owned), message }
    }

    /// The same as a fault, at its place under `at`.
    pub(crate) fn fault(self, at: &At<'_>) -> Fault {
        let Some(under) = at.get(self.key) else { return at.fault(self.message) };
        match self.name.as_deref().and_then(|name| under.get(name).map(|found| found.key_fault(&*self.message))) {
            Some(fault) => fault,
            None => under.fault(self.message),
        }
    }
}

fn reserved(name: &str) -> bool {
    RESERVED.contains(&name.to_lowercase().as_str())
}

/// `[A-Za-z][A-Za-z0-9.]*`
pub(crate) fn is_type_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// Names are unique without case, and an attribute hides nothing that rules reach by another way.
pub(crate) fn attributes_defect<'a>(
    attributes: &Attributes,
    custom: &Attributes,
    links: impl Iterator<Item = &'a String>,
) -> Option<Defect> {
    let mut linked = BTreeMap::new();
    for link in links {
        if linked.insert(link.to_lowercase(), link).is_some() {
            return Some(Defect::new("links", Some(link), format!("`{link}` stands twice but for case")));
        }
    }
    for (key, values) in [("attributes", attributes), ("custom", custom)] {
        let mut seen = BTreeMap::new();
        for (name, value) in values {
            let folded = name.to_lowercase();
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                return Some(Defect::new(key, Some(name), format!("a name has 1 to {MAX_NAME_BYTES} bytes")));
            }
            if key == "attributes" && (reserved(name) || linked.contains_key(&folded)) {
                return Some(Defect::new(key, Some(name), format!("an attribute may not be called `{name}`")));
            }
            if let AttributeValue::List(values) = value
                && values.iter().any(|value| matches!(value, AttributeValue::List(_)))
            {
                return Some(Defect::new(key, Some(name), "a list in a list is no attribute value".to_owned()));
            }
            if seen.insert(folded, name).is_some() {
                return Some(Defect::new(key, Some(name), format!("`{name}` stands twice but for case")));
            }
        }
    }
    None
}

const KEYS: [&str; 9] = ["type", "name", "owner", "space", "app", "stream", "links", "attributes", "custom"];

/// Reads a resource; `with_id` says whether it may carry its id, as an inline one does.
pub(crate) fn read(at: &At<'_>, with_id: bool) -> Result<Resource, Fault> {
    let mut known = KEYS.to_vec();
    if with_id {
        known.push("id");
    }
    at.only(&known)?;
    let resource = Resource {
        id: optional_name(at, "id")?,
        type_name: at.need("type")?.text()?.to_owned(),
        name: optional_text(at, "name")?,
        owner: optional_name(at, "owner")?,
        space: optional_name(at, "space")?,
        app: optional_name(at, "app")?,
        stream: optional_name(at, "stream")?,
        links: read_links(at)?,
        attributes: read_attributes(at, "attributes")?,
        custom: read_attributes(at, "custom")?,
        is_entry: false,
    };
    match resource.defect() {
        Some(defect) => Err(defect.fault(at)),
        None => Ok(resource),
    }
}

fn read_links(at: &At<'_>) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut links = BTreeMap::new();
    if let Some(table) = at.get("links") {
        for (name, ids) in table.members()? {
            links.insert(name_of(name, &ids)?, names(&ids)?);
        }
    }
    Ok(links)
}

/// The values under `attributes` or `custom`.
pub(crate) fn read_attributes(at: &At<'_>, key: &str) -> Result<Attributes, Fault> {
    let mut attributes = Attributes::new();
    if let Some(table) = at.get(key) {
        for (name, value) in table.members()? {
            attributes.insert(name.to_owned(), read_value(&value)?);
        }
    }
    Ok(attributes)
}

/// A value of an attribute, or of the environment of a request.
pub(crate) fn read_value(at: &At<'_>) -> Result<AttributeValue, Fault> {
    Ok(match at.value() {
        Value::Null => AttributeValue::Null,
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Integer(value) => AttributeValue::Integer(*value),
        Value::Text(text) => AttributeValue::Text(text.clone()),
        Value::List(_) => {
            AttributeValue::List(at.list()?.map(|element| read_value(&element)).collect::<Result<_, _>>()?)
        }
        Value::Number | Value::Datetime | Value::Table(_) => {
            return Err(at.fault("expected a text, boolean, integer or a list of those"));
        }
    })
}

/// A key that is an id or a name.
pub(crate) fn name_of(name: &str, at: &At<'_>) -> Result<String, Fault> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(at.key_fault(format!("a name has 1 to {MAX_NAME_BYTES} bytes, this one {}", name.len())));
    }
    Ok(name.to_owned())
}

/// A value that is an id or a name.
pub(crate) fn name_in(at: &At<'_>) -> Result<String, Fault> {
    let name = at.text()?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(at.fault(format!("a name has 1 to {MAX_NAME_BYTES} bytes, this one {}", name.len())));
    }
    Ok(name.to_owned())
}

/// A list of ids or names.
pub(crate) fn names(at: &At<'_>) -> Result<Vec<String>, Fault> {
    at.list()?.map(|element| name_in(&element)).collect()
}

/// An id or name that may be absent.
pub(crate) fn optional_name(at: &At<'_>, key: &str) -> Result<Option<String>, Fault> {
    at.get(key).map(|found| name_in(&found)).transpose()
}

/// A text that may be absent.
pub(crate) fn optional_text(at: &At<'_>, key: &str) -> Result<Option<String>, Fault> {
    at.get(key).map(|found| found.text().map(str::to_owned)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_are_letters_digits_and_dots() {
        for good in ["App", "App.Object", "a", "A1."] {
            assert!(is_type_name(good), "{good}");
        }
        for bad in ["", "1App", ".App", "App_x", "Äpp", "App x", &"A".repeat(301)] {
            assert!(!is_type_name(bad), "{bad}");
        }
    }

    #[test]
    fn attribute_that_hides_a_link_is_a_defect() {
        assert!(Resource::new("App").attribute("x", "1").defect().is_none());
        assert!(Resource::new("App").attribute("Owner", "ana").defect().is_some());
        assert!(Resource::new("App").link("Library", ["l"]).attribute("library", "1").defect().is_some());
        assert!(Resource::new("App").link("App", ["l"]).defect().is_some());
        assert!(Resource::new("App").attribute("x", "1").attribute("X", "2").defect().is_some());
        assert!(Resource::new("App").attribute("x", [vec!["1"]]).defect().is_some());
        assert!(Resource::new("App").custom("owner", "1").defect().is_none());
        assert!(Resource::new("no type").defect().is_some());
    }
}
