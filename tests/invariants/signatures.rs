//! No type of another crate stands in a public signature, but where that crate is the point of the module.
//!
//! A caller who has to name `ring` or `sqlx` is bound to our version of it, and a change of back end breaks them.

use std::collections::HashSet;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Fields, ImplItem, Item, ItemImpl, Path, Signature, TraitItem, Type, Visibility};

use crate::imports::Imports;
use crate::source::{Finding, LIBRARIES, Source, expect_none, is_test_only, of_library};

/// A crate whose types are its own affair.
struct Foreign {
    /// As it is written in Rust; one that ends in `_` stands for all that begin so.
    name: &'static str,
    /// Files, or folders with `/` at the end, in which its types are the interface.
    integration: &'static [&'static str],
}

const TLS: &[&str] = &["qsec-pki/src/tls.rs", "qsec-pki/src/tls/"];
const ARROW: &[&str] =
    &["qsec-authz/src/section/arrow.rs", "qsec-authz/src/section/arrow/", "qsec-authz/src/visibility/arrow.rs"];
const HTTP: &[&str] = &["src/http.rs", "src/http/"];

const FOREIGN: &[Foreign] = &[
    Foreign { name: "ring", integration: &[] },
    Foreign { name: "aes", integration: &[] },
    Foreign { name: "aes_gcm", integration: &[] },
    Foreign { name: "aws_lc_rs", integration: &[] },
    Foreign { name: "aws_sdk_kms", integration: &[] },
    Foreign { name: "aws_smithy_", integration: &[] },
    Foreign { name: "rcgen", integration: &[] },
    Foreign { name: "x509_parser", integration: &[] },
    Foreign { name: "jsonwebtoken", integration: &[] },
    Foreign { name: "serde_json", integration: &["src/http.rs", "src/http/"] },
    Foreign { name: "base64", integration: &[] },
    Foreign { name: "jiff", integration: &[] },
    Foreign { name: "uuid", integration: &[] },
    Foreign { name: "toml", integration: &[] },
    Foreign { name: "csv", integration: &[] },
    Foreign { name: "sqlx", integration: &[] },
    Foreign { name: "rustls", integration: TLS },
    Foreign { name: "rustls_pki_types", integration: TLS },
    Foreign { name: "webpki", integration: TLS },
    Foreign { name: "tokio_rustls", integration: TLS },
    Foreign { name: "arrow_", integration: ARROW },
    Foreign { name: "http", integration: HTTP },
    Foreign { name: "tower", integration: HTTP },
    Foreign { name: "axum", integration: HTTP },
];

fn foreign(name: &str) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|each| name == each.name || each.name.ends_with('_') && name.starts_with(each.name))
}

/// Foreign names in the public signatures of a file.
fn violations(source: &Source, public: &HashSet<String>) -> Vec<Finding> {
    let mut scan = Scan { source, imports: Imports::of(source), public, findings: Vec::new() };
    scan.items(&source.file().items);
    scan.findings
}

struct Scan<'a> {
    source: &'a Source,
    imports: Imports,
    /// Names of the public types of the crate.
    public: &'a HashSet<String>,
    findings: Vec<Finding>,
}

impl Scan<'_> {
    fn items(&mut self, items: &[Item]) {
        items.iter().filter(|item| !is_test_only(item)).for_each(|item| self.item(item));
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Mod(module) => self.items(module.content.as_ref().map_or(&[], |(_, items)| items)),
            Item::Impl(block) => self.implementation(block),
            Item::Fn(function) if is_public(&function.vis) => self.signature(&function.sig),
            Item::Const(item) if is_public(&item.vis) => self.visit_type(&item.ty),
            Item::Static(item) if is_public(&item.vis) => self.visit_type(&item.ty),
            Item::Type(item) if is_public(&item.vis) => {
                self.visit_generics(&item.generics);
                self.visit_type(&item.ty);
            }
            Item::Struct(item) if is_public(&item.vis) => {
                self.visit_generics(&item.generics);
                self.fields(&item.fields, false);
            }
            Item::Enum(item) if is_public(&item.vis) => {
                self.visit_generics(&item.generics);
                item.variants.iter().for_each(|variant| self.fields(&variant.fields, true));
            }
            Item::Trait(item) if is_public(&item.vis) => {
                self.visit_generics(&item.generics);
                item.supertraits.iter().for_each(|bound| self.visit_type_param_bound(bound));
                item.items.iter().for_each(|member| self.trait_member(member));
            }
            Item::Use(item) => self.import(item),
            _ => {}
        }
    }

    fn signature(&mut self, signature: &Signature) {
        self.visit_signature(signature);
    }

    fn fields(&mut self, fields: &Fields, all: bool) {
        fields.iter().filter(|field| all || is_public(&field.vis)).for_each(|field| self.visit_type(&field.ty));
    }

    fn trait_member(&mut self, member: &TraitItem) {
        match member {
            TraitItem::Fn(method) => self.signature(&method.sig),
            TraitItem::Type(item) => item.bounds.iter().for_each(|bound| self.visit_type_param_bound(bound)),
            TraitItem::Const(item) => self.visit_type(&item.ty),
            _ => {}
        }
    }

    /// `impl From<ring::error::Unspecified> for OurError` is as public as a method is.
    fn implementation(&mut self, block: &ItemImpl) {
        let public = type_name(&block.self_ty).is_some_and(|name| self.public.contains(&name));
        let Some((_, implemented, _)) = &block.trait_ else {
            if public {
                self.visit_generics(&block.generics);
            }
            for member in &block.items {
                if let ImplItem::Fn(method) = member
                    && is_public(&method.vis)
                {
                    self.signature(&method.sig);
                }
            }
            return;
        };
        if !public {
            return;
        }
        self.visit_generics(&block.generics);
        self.visit_path(implemented);
        for member in &block.items {
            if let ImplItem::Type(item) = member {
                self.visit_type(&item.ty);
            }
        }
    }

    fn import(&mut self, item: &syn::ItemUse) {
        for leaf in self.imports.leaves(item) {
            // What `*` brings in cannot be followed, so it is not used for these crates at all.
            if is_public(&item.vis) || leaf.name.is_none() {
                self.refuse(&leaf.path, item);
            }
        }
    }

    fn refuse(&mut self, path: &[String], place: &impl Spanned) {
        let Some(foreign) = path.first().and_then(|name| foreign(name)) else { return };
        let here = self.source.path.as_str();
        let integrates = |place: &str| here == place || place.ends_with('/') && here.starts_with(place);
        if !foreign.integration.iter().any(|place| integrates(place)) {
            self.findings.push(self.source.finding(place, format!("`{}` in a public signature", path.join("::"))));
        }
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        let resolved = self.imports.resolve(path);
        self.refuse(&resolved, path);
        visit::visit_path(self, path);
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn type_name(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

/// The public types that some files declare.
pub(crate) fn public_types(sources: &[Source]) -> HashSet<String> {
    fn collect(items: &[Item], names: &mut HashSet<String>) {
        for item in items.iter().filter(|item| !is_test_only(item)) {
            match item {
                Item::Struct(item) if is_public(&item.vis) => _ = names.insert(item.ident.to_string()),
                Item::Enum(item) if is_public(&item.vis) => _ = names.insert(item.ident.to_string()),
                Item::Type(item) if is_public(&item.vis) => _ = names.insert(item.ident.to_string()),
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

#[test]
fn no_public_signature_names_a_foreign_type() {
    let mut findings = Vec::new();
    for package in LIBRARIES {
        let sources = of_library(package);
        let public = public_types(&sources);
        findings.extend(sources.iter().flat_map(|source| violations(source, &public)));
    }
    expect_none("public signatures speak std, or our own types", findings);
}

#[cfg(test)]
fn planted(path: &str, text: &str) -> usize {
    let source = Source::new(path, text);
    let sources = [source];
    violations(&sources[0], &public_types(&sources)).len()
}

#[test]
fn a_planted_type_is_found_wherever_it_stands() {
    for text in [
        "pub fn f(key: &ring::aead::LessSafeKey) {}",
        "use ring::aead::LessSafeKey as Key; pub fn f() -> Option<Vec<Key>> { None }",
        "use ring::aead; pub struct S { pub key: aead::LessSafeKey }",
        "pub struct S(pub sqlx::SqlitePool);",
        "pub enum E { A { source: sqlx::Error } }",
        "pub trait T: http::Body { fn f(&self); }",
        "pub trait T { fn f(&self) -> rcgen::Certificate; }",
        "pub struct S; impl S { pub fn f<T: Into<rustls::Error>>(t: T) {} }",
        "pub struct S; impl From<ring::error::Unspecified> for S { fn from(_: ring::error::Unspecified) -> S { S } }",
        "pub struct S; impl Iterator for S { type Item = jsonwebtoken::Header; }",
        "pub struct S<T>(T); impl<T: rustls::SideData> S<T> { pub fn f(&self) {} }",
        "pub use x509_parser::prelude;",
        "use ring::aead::*;",
        "pub type A = arrow_array::RecordBatch;",
        "pub mod inner { pub const C: &aes_gcm::Key = 1; }",
        "pub fn f() -> impl Fn(rustls::Error) {}",
    ] {
        assert!(planted("qsec-crypto/src/planted.rs", text) > 0, "{text}");
    }
}

#[test]
fn private_and_test_code_may_name_them() {
    for text in [
        "use ring::aead::LessSafeKey; pub struct S { key: LessSafeKey } impl S { fn f(&self) -> &LessSafeKey { &self.key } }",
        "pub(crate) fn f(key: &ring::aead::LessSafeKey) {}",
        "pub fn f() { let key: Option<ring::aead::LessSafeKey> = None; }",
        "struct V; impl rustls::client::danger::ServerCertVerifier for V {}",
        "#[cfg(test)] mod tests { pub fn f(_: ring::digest::Digest) {} }",
        "use std::io as ring; pub fn f() -> ring::Result<()> { Ok(()) }",
    ] {
        assert_eq!(planted("qsec-crypto/src/planted.rs", text), 0, "{text}");
    }
}

#[test]
fn an_integration_module_may_name_its_own_crate_and_no_other() {
    let rustls = "pub fn f() -> rustls::ServerConfig { todo() }";
    assert_eq!(planted("qsec-pki/src/tls.rs", rustls), 0);
    assert_eq!(planted("qsec-pki/src/tls/server.rs", rustls), 0);
    assert_eq!(planted("qsec-pki/src/tls_other.rs", rustls), 1);
    assert_eq!(planted("src/http/layer.rs", "pub fn f() -> http::Request<()> { todo() }"), 0);
    assert_eq!(planted("src/http/layer.rs", rustls), 1);
    assert_eq!(planted("qsec-authz/src/section/arrow.rs", "pub fn f(_: arrow_array::RecordBatch) {}"), 0);
}
