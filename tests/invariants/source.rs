//! The sources of the repository, read and parsed.

use std::cell::OnceCell;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::{Attribute, Item, Meta};

/// The crates that decide; none of them knows another.
pub(crate) const DOMAIN: [&str; 5] = ["qsec-crypto", "qsec-identity", "qsec-authz", "qsec-pki", "qsec-audit"];

/// The libraries a program links: the domain crates, the store, and the facade in the root folder.
pub(crate) const LIBRARIES: [&str; 7] =
    ["qsec-crypto", "qsec-identity", "qsec-authz", "qsec-pki", "qsec-audit", "qsec-store", "."];

/// Folders that hold no sources of ours.
const NOT_OURS: [&str; 4] = ["target", "corpus", "artifacts", "data"];

/// One Rust file.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Parsed when first asked for: half of the checks read the text alone.
    file: OnceCell<syn::File>,
}

impl Source {
    /// A file, or a planted snippet.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), file: OnceCell::new() }
    }

    /// The file as Rust.
    pub(crate) fn file(&self) -> &syn::File {
        self.file.get_or_init(|| syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path)))
    }

    /// Something wrong at a piece of syntax.
    pub(crate) fn finding(&self, place: &impl Spanned, what: impl Into<String>) -> Finding {
        self.finding_at(place.span().start().line, what)
    }

    /// Something wrong in a line, counted from 1.
    pub(crate) fn finding_at(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }
}

/// A violation and its place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// The root of the repository: these tests belong to the facade, which stands there.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the repository.
pub(crate) fn all() -> Vec<Source> {
    let mut paths = Vec::new();
    find(root(), "rs", &mut paths);
    paths.sort();
    paths.iter().map(|path| Source::new(&relative(path), &read(path))).collect()
}

/// The library sources of a crate, without the files that are compiled for its tests alone.
pub(crate) fn of_library(package: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    find(&root().join(package).join("src"), "rs", &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no sources of {package}");
    let mut sources: Vec<Source> = paths.iter().map(|path| Source::new(&relative(path), &read(path))).collect();
    let test_only: Vec<String> = sources.iter().flat_map(test_modules).collect();
    sources.retain(|source| !test_only.iter().any(|module| is_of_module(&source.path, module)));
    sources
}

/// The modules in files of their own that a file declares for tests alone, as paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let folder = ["/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem);
    let modules = source.file().items.iter().filter(|item| is_test_only(item)).filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() => Some(format!("{folder}/{}", module.ident)),
        _ => None,
    });
    modules.collect()
}

fn is_of_module(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Files with that extension below a folder.
pub(crate) fn find(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && !NOT_OURS.contains(&name.as_ref()) {
                find(&path, extension, paths);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .filter(|part| part != ".")
        .collect::<Vec<_>>()
        .join("/")
}

/// Fails with every finding on a line of its own.
pub(crate) fn expect_none(rule: &str, mut findings: Vec<Finding>) {
    findings.sort();
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(list.is_empty(), "{rule}\n  {}", list.join("\n  "));
}

/// Whether the item is compiled for tests alone.
pub(crate) fn is_test_only(item: &Item) -> bool {
    attributes(item).iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[test]
fn the_walk_sees_this_file() {
    assert!(all().iter().any(|source| source.path == "tests/invariants/source.rs"));
    assert!(of_library(".").iter().any(|source| source.path == "src/lib.rs"));
}

#[test]
fn files_of_test_modules_are_told_apart() {
    let modules = |path| test_modules(&Source::new(path, "mod a; #[cfg(test)] mod b; #[cfg(test)] mod c {}"));
    assert_eq!(modules("qsec-pki/src/lib.rs"), ["qsec-pki/src/b"]);
    assert_eq!(modules("qsec-pki/src/der.rs"), ["qsec-pki/src/der/b"]);
    assert!(
        is_of_module("qsec-pki/src/b.rs", "qsec-pki/src/b") && is_of_module("qsec-pki/src/b/c.rs", "qsec-pki/src/b")
    );
    assert!(!is_of_module("qsec-pki/src/better.rs", "qsec-pki/src/b"));
}

#[test]
fn test_only_items_are_told_apart() {
    let source = Source::new("planted.rs", "#[cfg(test)] mod tests {} #[cfg(feature = \"test\")] mod a {} mod b {}");
    assert_eq!(source.file().items.iter().map(is_test_only).collect::<Vec<_>>(), [true, false, false]);
}
