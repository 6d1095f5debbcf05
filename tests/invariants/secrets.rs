//! No secret can be copied, printed, compared or serialized by accident.

use std::collections::HashSet;

use syn::{Attribute, Fields, GenericArgument, Item, Path, PathArguments, Type};

use crate::source::{Finding, LIBRARIES, Source, expect_none, is_test_only, of_library};

/// Ends of the names of types that hold a secret.
const NAMES: [&str; 12] = [
    "Secret",
    "PrivateKey",
    "SigningKey",
    "RootKey",
    "MasterKey",
    "DataKey",
    "MacKey",
    "Passphrase",
    "Password",
    "Pin",
    "KeyMaterial",
    "SecretBytes",
];

/// Types whose content is erased when they go, so that whoever holds one holds a secret.
const ERASED: [&str; 1] = ["Zeroizing"];

/// What a secret does not derive.
const NOT_DERIVED: [&str; 12] = [
    "Clone",
    "Copy",
    "Debug",
    "PartialEq",
    "Eq",
    "PartialOrd",
    "Ord",
    "Hash",
    "Serialize",
    "Deserialize",
    "Default",
    "Display",
];

/// What a secret does not implement by hand either. A redacted `Debug` is fine, and `Deserialize` is a way in.
const NOT_IMPLEMENTED: [&str; 9] =
    ["Clone", "Copy", "PartialEq", "PartialOrd", "Hash", "Serialize", "Deref", "Display", "AsRef"];

/// Named like a secret, and none; with the reason.
const NO_SECRETS: &[(&str, &str)] =
    &[("WrappedRootKey", "what it holds is wrapped by another KMS: it is written down as it is")];

fn violations(source: &Source, secrets: &HashSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    scan(source, &source.file().items, secrets, &mut findings);
    findings
}

fn scan(source: &Source, items: &[Item], secrets: &HashSet<String>, findings: &mut Vec<Finding>) {
    for item in items.iter().filter(|item| !is_test_only(item)) {
        match item {
            Item::Struct(item) if secrets.contains(&item.ident.to_string()) => {
                findings.extend(derived(source, &item.ident.to_string(), &item.attrs));
            }
            Item::Enum(item) if secrets.contains(&item.ident.to_string()) => {
                findings.extend(derived(source, &item.ident.to_string(), &item.attrs));
            }
            Item::Impl(block) => {
                let name = named(&block.self_ty).filter(|name| secrets.contains(name));
                let implemented = block.trait_.as_ref().and_then(|(_, path, _)| last(path));
                if let (Some(name), Some(implemented)) = (name, implemented)
                    && NOT_IMPLEMENTED.contains(&implemented.as_str())
                {
                    findings.push(source.finding(block, format!("secret `{name}` implements `{implemented}`")));
                }
            }
            Item::Mod(module) => {
                scan(source, module.content.as_ref().map_or(&[], |(_, items)| items), secrets, findings);
            }
            _ => {}
        }
    }
}

fn derived(source: &Source, name: &str, attributes: &[Attribute]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let _ = attribute.parse_nested_meta(|meta| {
            if let Some(trait_name) = last(&meta.path).filter(|name| NOT_DERIVED.contains(&name.as_str())) {
                findings.push(source.finding(attribute, format!("secret `{name}` derives `{trait_name}`")));
            }
            Ok(())
        });
    }
    findings
}

/// The types of a crate that are secrets: by name, or because they hold bytes that are erased.
fn secrets(sources: &[Source]) -> HashSet<String> {
    fn collect(items: &[Item], names: &mut HashSet<String>) {
        for item in items.iter().filter(|item| !is_test_only(item)) {
            match item {
                Item::Struct(item) if is_secret(&item.ident.to_string(), &item.fields) => {
                    names.insert(item.ident.to_string());
                }
                Item::Enum(item) if item.variants.iter().any(|variant| holds_erased(&variant.fields)) => {
                    names.insert(item.ident.to_string());
                }
                Item::Mod(module) => collect(module.content.as_ref().map_or(&[], |(_, items)| items), names),
                _ => {}
            }
        }
    }
    let mut names = HashSet::new();
    for source in sources {
        collect(&source.file().items, &mut names);
    }
    names
}

fn is_secret(name: &str, fields: &Fields) -> bool {
    let excepted = NO_SECRETS.iter().any(|(each, _)| *each == name);
    !excepted && (NAMES.iter().any(|end| name.ends_with(end)) || holds_erased(fields))
}

fn holds_erased(fields: &Fields) -> bool {
    fields.iter().any(|field| is_erased(&field.ty))
}

/// Through what owns it alone; behind an `Arc` a clone copies nothing.
fn is_erased(ty: &Type) -> bool {
    match ty {
        Type::Array(array) => is_erased(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().any(is_erased),
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| {
            let name = segment.ident.to_string();
            let inner = ["Option", "Box", "Vec"].contains(&name.as_str());
            ERASED.contains(&name.as_str()) || inner && arguments(&segment.arguments).any(is_erased)
        }),
        _ => false,
    }
}

fn arguments(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let list = match arguments {
        PathArguments::AngleBracketed(list) => Some(&list.args),
        PathArguments::None | PathArguments::Parenthesized(_) => None,
    };
    list.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn named(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    last(&path.path)
}

fn last(path: &Path) -> Option<String> {
    path.segments.last().map(|segment| segment.ident.to_string())
}

#[test]
fn no_secret_can_be_copied_printed_or_compared() {
    let mut findings = Vec::new();
    for package in LIBRARIES.into_iter().chain(["qsec-cli"]) {
        let sources = of_library(package);
        let secrets = secrets(&sources);
        findings.extend(sources.iter().flat_map(|source| violations(source, &secrets)));
    }
    expect_none("a secret has no Clone, derived Debug, comparison or serialization", findings);
}

#[test]
fn every_exception_is_a_type_that_exists() {
    let text: String = LIBRARIES.iter().flat_map(|package| of_library(package)).map(|source| source.text).collect();
    for (name, reason) in NO_SECRETS {
        assert!(text.contains(&format!("struct {name}")), "there is no `{name}` any more ({reason})");
    }
}

#[cfg(test)]
fn planted(text: &str) -> usize {
    let sources = [Source::new("planted.rs", text)];
    violations(&sources[0], &secrets(&sources)).len()
}

#[test]
fn a_planted_copy_is_found() {
    for text in [
        "#[derive(Clone)] pub struct RootKey([u8; 32]);",
        "#[derive(Debug)] struct ClientSecret { bytes: Vec<u8> }",
        "#[derive(serde::Serialize)] struct Passphrase(String);",
        "#[derive(std::clone::Clone)] struct Inner { key: Zeroizing<Vec<u8>> }",
        "#[derive(Debug)] struct Inner { key: Option<Box<Zeroizing<[u8; 32]>>> }",
        "#[derive(PartialEq, Eq)] enum Held { Key(zeroize::Zeroizing<[u8; 32]>), None }",
        "struct RootKey; impl Clone for RootKey { fn clone(&self) -> Self { RootKey } }",
        "struct RootKey; impl std::ops::Deref for RootKey { type Target = [u8]; }",
        "mod inner { struct TokenSecret; impl core::fmt::Display for TokenSecret {} }",
    ] {
        assert!(planted(text) > 0, "{text}");
    }
}

#[test]
fn redacted_output_and_public_types_are_fine() {
    for text in [
        "struct RootKey; impl std::fmt::Debug for RootKey {} impl Drop for RootKey {}",
        "#[derive(Clone, Debug)] pub struct KeyId(String);",
        "#[derive(Debug)] pub enum SecretError { Empty }",
        "#[derive(Clone)] struct Shared { key: Arc<Zeroizing<[u8; 32]>> }",
        "#[cfg(test)] #[derive(Clone)] struct TestSecret;",
    ] {
        assert_eq!(planted(text), 0, "{text}");
    }
}
