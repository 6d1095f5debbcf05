//! What sealed bytes say without any key.

use std::io::Read;

use qsec::crypto::esdk::{Content, MessageHeader, WrappedKey};
use qsec::crypto::{Inspection, MAX_INSPECT_BYTES, NativeInspection};
use serde_json::{Map, Value, json};

use super::{Input, Inspect};
use crate::Exit;
use crate::failure::Failure;
use crate::files;
use crate::nouns::Session;
use crate::output::{facts, table};

/// What people must know of all of it.
const UNAUTHENTICATED: &str = "read without a key: nothing here is authenticated";

pub(crate) fn run(inspect: &Inspect, session: &Session<'_>) -> Result<Exit, Failure> {
    let mut input = Input::open(inspect.r#in.as_deref())?;
    let mut prefix = Vec::new();
    let most = u64::try_from(MAX_INSPECT_BYTES).unwrap_or(u64::MAX);
    let read = (&mut input.reader).take(most).read_to_end(&mut prefix);
    read.map_err(|error| files::unreadable(&input.name, &error))?;
    match qsec::crypto::inspect(&prefix, input.length)? {
        Inspection::Native(found) => session.output.answer(&native(&found), |_| native_text(&found))?,
        Inspection::Esdk(found) => session.output.answer(&message(&found), |_| message_text(&found))?,
        _ => return Err(Failure::misuse("unsupported_suite", "these bytes are of a format that is not known here")),
    }
    Ok(Exit::Yes)
}

fn native(found: &NativeInspection) -> Value {
    let mut object = Map::new();
    object.insert("format".into(), "native".into());
    object.insert("suite".into(), found.suite().name().into());
    object.insert("committing".into(), found.suite().is_committing().into());
    object.insert("key_version".into(), found.key_version().into());
    if let Some(bytes) = found.sealed_bytes() {
        object.insert("sealed_bytes".into(), bytes.into());
    }
    if let Some(bytes) = found.plaintext_bytes() {
        object.insert("plaintext_bytes".into(), bytes.into());
    }
    object.insert("authenticated".into(), false.into());
    Value::Object(object)
}

fn native_text(found: &NativeInspection) -> String {
    let mut rows = vec![
        ("format", "native".to_owned()),
        ("suite", found.suite().name().to_owned()),
        ("commits to key", if found.suite().is_committing() { "yes" } else { "no" }.to_owned()),
        ("key version", found.key_version().to_string()),
    ];
    if let Some(bytes) = found.plaintext_bytes() {
        rows.push(("plaintext", format!("{bytes} bytes")));
    }
    format!("{}\n{UNAUTHENTICATED}", facts(rows))
}

fn message(found: &MessageHeader) -> Value {
    let context: Map<String, Value> = found.context().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let data_key =
        |key: &WrappedKey| json!({"provider": key.provider(), "key": key.key(), "bytes": key.ciphertext().len()});
    let mut object = Map::new();
    object.insert("format".into(), "esdk".into());
    object.insert("version".into(), 2.into());
    object.insert("suite".into(), found.suite().name().into());
    object.insert("committing".into(), true.into());
    object.insert("signed".into(), found.suite().is_signed().into());
    object.insert("message_id".into(), hex(found.message_id()).into());
    object.insert("context".into(), context.into());
    object.insert("content".into(), content(found).into());
    if let Content::Framed { frame_length, .. } = found.content() {
        object.insert("frame_length".into(), frame_length.into());
    }
    object.insert("header_bytes".into(), found.header_bytes().into());
    object.insert("encrypted_data_keys".into(), found.data_keys().iter().map(data_key).collect());
    object.insert("authenticated".into(), false.into());
    Value::Object(object)
}

fn message_text(found: &MessageHeader) -> String {
    let context: Vec<String> = found.context().map(|(key, value)| format!("{key}={value}")).collect();
    let head = facts([
        ("format", "esdk, version 2".to_owned()),
        ("suite", found.suite().name().to_owned()),
        ("commits to key", "yes".to_owned()),
        ("signed", if found.suite().is_signed() { "yes" } else { "no" }.to_owned()),
        ("message", hex(found.message_id())),
        ("context", context.join(", ")),
        ("content", content(found).to_owned()),
    ]);
    let rows = found
        .data_keys()
        .iter()
        .map(|key| vec![key.provider().to_owned(), key.key().into_owned(), key.ciphertext().len().to_string()]);
    format!("{head}\n\n{}\n{UNAUTHENTICATED}", table(["PROVIDER", "KEY", "BYTES"], rows))
}

fn content(found: &MessageHeader) -> &'static str {
    match found.content() {
        Content::Framed { .. } => "framed",
        Content::OneBlock | _ => "one_block",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
