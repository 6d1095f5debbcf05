//! `qsec audit schema`

use qsec::audit::catalogue::{self, Activity, EventType};
use serde_json::{Value, json};

use crate::Exit;
use crate::failure::Failure;
use crate::nouns::Session;
use crate::output::table;

pub(super) fn run(name: Option<&str>, session: &Session<'_>) -> Result<Exit, Failure> {
    if let Some(name) = name {
        let missing = || Failure::new(Exit::No, "no_such_type", format!("the catalogue has no type `{name}`"));
        let answer = object(catalogue::find(name).ok_or_else(missing)?)?;
        session.output.answer(&answer, |answer| serde_json::to_string_pretty(answer).unwrap_or_default())?;
        return Ok(Exit::Yes);
    }
    let types: Vec<Value> = catalogue::all().map(object).collect::<Result<_, _>>()?;
    session.output.answer(&json!({"types": types}), |_| {
        let rows = catalogue::all().map(|kind| vec![kind.name().to_owned(), kind.class().as_str().to_owned()]);
        table(["TYPE", "CLASS"], rows)
    })?;
    Ok(Exit::Yes)
}

fn object(kind: &EventType) -> Result<Value, Failure> {
    let schema: Value = serde_json::from_str(&kind.schema()).map_err(|error| Failure::internal(error.to_string()))?;
    let ocsf = kind.ocsf();
    // Of a refused action, the activity is that of its verb: the type alone does not say which.
    let activity = if let Activity::Code(code) = ocsf.activity() { Some(code) } else { None };
    Ok(json!({
        "type": kind.name(), "version": kind.version(), "class": kind.class().as_str(),
        "ocsf": {"class_uid": ocsf.class_uid(), "activity_id": activity}, "alias": kind.alias(),
        "personal": kind.personal(), "schema": schema,
    }))
}
