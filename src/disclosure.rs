//! What an optional feature is told: names and kinds of fields. There is no way to put a row into it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::tenant_policy::{Feature, TenantPolicyError};

/// Most fields that a feature is told of: wide tables have some hundreds.
const MAX_FIELDS: usize = 1_000;
/// Most bytes of a name: texts in the guise of names are longer.
const MAX_FIELD_BYTES: usize = 128;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldKind {
    /// Texts.
    Text,
    /// Numbers.
    Number,
    /// Dates and times.
    Time,
    /// True or false.
    Flag,
}

/// Metadata of an app or a table: what an optional feature may be told. It has no place for a value, and names that could
/// hold one are refused by [`Tenant::disclose`](crate::Tenant::disclose).
///
/// ```
/// use qsec::{FieldKind, Metadata};
///
/// let metadata = Metadata::new("q3").field("REGION", FieldKind::Text).field("SALES", FieldKind::Number);
/// assert_eq!(metadata.fields().collect::<Vec<_>>(), ["REGION", "SALES"]);
/// ```
///
/// ```compile_fail
/// use qsec::Metadata;
/// use qsec::authz::section::Table;
///
/// let rows = Table::parse_csv("REGION,SALES\nNORTH,10\n").unwrap();
/// Metadata::new("q3").rows(&rows);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    subject: String,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Field {
    name: String,
    kind: FieldKind,
}

impl Metadata {
    /// Metadata of the app or table of that name.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), fields: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, kind: FieldKind) -> Self {
        self.fields.push(Field { name: name.into(), kind });
        self
    }

    /// The names of the fields.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Whether it is what it says that it is. A name is not repeated in the error: it may be a value.
    pub(crate) fn check(&self) -> Result<(), TenantPolicyError> {
        let refused = |what: String| Err(TenantPolicyError::FeatureData { what });
        if self.fields.len() > MAX_FIELDS {
            return refused(format!("{} fields are more than {MAX_FIELDS}", self.fields.len()));
        }
        let mut names = self.fields().chain([self.subject.as_str()]);
        if !names.all(|name| (1..=MAX_FIELD_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)) {
            return refused(format!("a name has 1 to {MAX_FIELD_BYTES} bytes and no control characters"));
        }
        if self.fields().collect::<BTreeSet<_>>().len() < self.fields.len() {
            return refused("a name stands twice".to_owned());
        }
        Ok(())
    }
}

/// What may be sent to a feature, and where: only [`Tenant::disclose`](crate::Tenant::disclose) makes one, after the log
/// has it.
///
/// ```no_run
/// # async fn ask(acme: qsec::Tenant, allowed: qsec::authz::Allowed, metadata: qsec::Metadata) -> Result<(), qsec::Error> {
/// # let now = std::time::SystemTime::now();
/// let disclosure = acme.disclose("generative_ai", &allowed, &metadata, now).await?;
/// println!("POST {} {}", disclosure.endpoint(), disclosure.body());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it is recorded as sent"]
pub struct Disclosure {
    endpoint: String,
    region: String,
    body: String,
}

impl Disclosure {
    pub(crate) fn new(feature: &Feature, metadata: &Metadata) -> Self {
        // Texts and words: that they cannot be written does not happen.
        let body = serde_json::to_string(metadata).unwrap_or_default();
        Self { endpoint: feature.endpoint().to_owned(), region: feature.region().to_owned(), body }
    }

    /// The private endpoint that the operator listed.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its region, which is the tenant's.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The metadata, as JSON.
    pub fn body(&self) -> &str {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(names: impl IntoIterator<Item = impl Into<String>>) -> Metadata {
        names.into_iter().fold(Metadata::new("q3"), |metadata, name| metadata.field(name, FieldKind::Text))
    }

    #[test]
    fn names_that_could_be_values_are_no_metadata() {
        let code = |metadata: &Metadata| metadata.check().map_err(|error| error.code());
        assert_eq!(code(&metadata(["REGION", "SALES"])), Ok(()));
        assert_eq!(code(&metadata((0..MAX_FIELDS).map(|n| n.to_string()))), Ok(()));
        let refused = [
            metadata((0..=MAX_FIELDS).map(|n| n.to_string())),
            metadata(["x".repeat(MAX_FIELD_BYTES + 1)]),
            metadata([""]),
            metadata(["NORTH\n10"]),
            metadata(["SALES", "SALES"]),
            Metadata::new("a\nrow"),
        ];
        for metadata in refused {
            assert_eq!(code(&metadata), Err("feature_data"));
            assert!(!metadata.check().unwrap_err().to_string().contains("NORTH"));
        }
    }

    #[test]
    fn the_body_holds_names_and_kinds() {
        let policy = crate::TenantPolicy::new().feature("ai", "https://ai.example", "eu").unwrap();
        let told = Metadata::new("q3").field("SALES", FieldKind::Number);
        let disclosure = Disclosure::new(policy.listed("ai").unwrap(), &told);
        assert_eq!(disclosure.body(), r#"{"subject":"q3","fields":[{"name":"SALES","kind":"number"}]}"#);
    }
}
