//! The shape every file has: its lints, its length, and what must not stand in it.

use std::path::PathBuf;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, StaticMutability, Visibility};

use crate::source::{Finding, LIBRARIES, Source, all, expect_none, find, of_library, read, relative, root};

const MAX_FILE_LINES: usize = 900;

/// Denied outside tests by every `lib.rs`: a library that can panic can be made to.
const DENIED: [&str; 9] = [
    "unwrap_used",
    "expect_used",
    "panic",
    "indexing_slicing",
    "string_slice",
    "as_conversions",
    "todo",
    "unreachable",
    "print_stdout",
];

/// Ends of names that say nothing about what a thing is.
const EMPTY_NAMES: [&str; 6] = ["Manager", "Helper", "Util", "Utils", "Service", "Impl"];

/// Marks of unfinished work, in two parts: this file must not find itself.
const MARKS: [(&str, &str); 4] = [("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("HA", "CK")];

#[test]
fn every_library_denies_what_can_panic() {
    let mut findings = Vec::new();
    for package in LIBRARIES {
        let sources = of_library(package);
        let front = sources.iter().find(|source| source.path.ends_with("src/lib.rs")).expect("a library has a lib.rs");
        findings.extend(missing_lints(front));
    }
    expect_none("each lib.rs denies panics outside tests", findings);
}

fn missing_lints(front: &Source) -> Vec<Finding> {
    let blocks: String = front
        .file()
        .attrs
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg_attr") => Some(list.tokens.to_string()),
            _ => None,
        })
        .filter(|tokens| tokens.replace(' ', "").starts_with("not(test),deny("))
        .collect();
    let words: Vec<&str> = blocks.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    DENIED
        .iter()
        .filter(|lint| !words.contains(*lint))
        .map(|lint| front.finding_at(1, format!("does not deny clippy::{lint}")))
        .collect()
}

#[test]
fn a_missing_lint_is_found() {
    let block = |lints: &str| Source::new("lib.rs", &format!("#![cfg_attr(not(test), deny({lints}))]"));
    let full = DENIED.map(|lint| format!("clippy::{lint}")).join(", ");
    assert!(missing_lints(&block(&full)).is_empty());
    assert_eq!(missing_lints(&block(&full.replace("clippy::panic,", ""))).len(), 1);
    assert_eq!(missing_lints(&Source::new("lib.rs", "#![deny(clippy::panic)]")).len(), DENIED.len());
    let only_in_tests = format!("#![cfg_attr(test, deny({full}))]");
    assert_eq!(missing_lints(&Source::new("lib.rs", &only_in_tests)).len(), DENIED.len());
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    let mut manifests = Vec::new();
    find(root(), "toml", &mut manifests);
    manifests.retain(|path| path.ends_with("Cargo.toml") && !path.starts_with(root().join("fuzz")));
    manifests.retain(|path| !path.starts_with(root().join("benches")));
    assert!(manifests.len() >= LIBRARIES.len());
    for manifest in manifests {
        assert!(takes_lints(&read(&manifest)), "{} has no `[lints] workspace = true`", relative(&manifest));
    }
}

fn takes_lints(manifest: &str) -> bool {
    let lines: Vec<&str> = manifest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"])
}

#[test]
fn a_manifest_without_lints_is_found() {
    assert!(takes_lints("[package]\n\n[lints]\nworkspace = true\n"));
    assert!(!takes_lints("[workspace.lints]\n[package]\nworkspace = true"));
}

#[test]
fn no_file_is_too_long_to_read() {
    expect_none("files are short", all().iter().filter_map(too_long).collect());
}

fn too_long(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    (lines > MAX_FILE_LINES).then(|| source.finding_at(lines, format!("{lines} lines, over {MAX_FILE_LINES}")))
}

#[test]
fn a_long_file_is_found() {
    assert!(too_long(&Source::new("planted.rs", &"\n".repeat(MAX_FILE_LINES))).is_none());
    assert!(too_long(&Source::new("planted.rs", &"\n".repeat(MAX_FILE_LINES + 1))).is_some());
}

#[test]
fn nothing_is_unsafe() {
    expect_none("no unsafe code, tests included", all().iter().flat_map(unsafe_code).collect());
}

fn unsafe_code(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    each_word(source.text.parse().expect("the file was parsed"), &mut |word, line| {
        if word == "unsafe" {
            findings.push(source.finding_at(line, "`unsafe`"));
        }
    });
    findings
}

/// Every identifier of the code, in macros too; comments and strings are none.
fn each_word(tokens: TokenStream, report: &mut impl FnMut(&str, usize)) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => report(&word.to_string(), word.span().start().line),
            TokenTree::Group(group) => each_word(group.stream(), report),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[test]
fn planted_unsafe_code_is_found() {
    let lines = |text| unsafe_code(&Source::new("planted.rs", text)).len();
    assert_eq!(lines("fn f() { unsafe { g() } }"), 1);
    assert_eq!(lines("macro_rules! m { () => { unsafe { g() } } } unsafe impl Send for S {}"), 2);
    assert_eq!(lines("#![forbid(unsafe_code)] /* unsafe */ const S: &str = \"unsafe\";"), 0);
}

#[test]
fn nothing_is_set_for_the_whole_process() {
    let sources: Vec<Source> = LIBRARIES.iter().flat_map(|package| of_library(package)).collect();
    expect_none("a library sets nothing that a second one sees", sources.iter().flat_map(process_wide).collect());
}

/// Two libraries that install a provider panic each other; a `static mut` is one more way to be surprised.
fn process_wide(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    each_word(source.text.parse().expect("the file was parsed"), &mut |word, line| {
        if ["install_default", "set_global_default", "set_hook", "set_var", "remove_var", "set_current_dir"]
            .contains(&word)
        {
            findings.push(source.finding_at(line, format!("`{word}`")));
        }
    });
    for item in &source.file().items {
        if let Item::Static(item) = item
            && matches!(item.mutability, StaticMutability::Mut(_))
        {
            findings.push(source.finding(item, "`static mut`"));
        }
    }
    findings
}

#[test]
fn a_planted_global_is_found() {
    let found = |text| process_wide(&Source::new("planted.rs", text)).len();
    assert_eq!(found("fn f() { rustls::crypto::ring::default_provider().install_default(); }"), 1);
    assert_eq!(found("static mut N: u8 = 0;"), 1);
    assert_eq!(found("static N: AtomicU8 = AtomicU8::new(0);"), 0);
}

#[test]
fn every_exception_has_a_reason() {
    expect_none("`ignore`, `allow` and `expect` say why", all().iter().flat_map(unexplained).collect());
}

fn unexplained(source: &Source) -> Vec<Finding> {
    let mut scan = Unexplained { source, findings: Vec::new() };
    scan.visit_file(source.file());
    for (index, line) in source.text.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("///").or_else(|| line.trim_start().strip_prefix("//!"));
        if comment.is_some_and(|text| text.trim_start().starts_with("```") && text.contains("ignore")) {
            scan.findings.push(source.finding_at(index + 1, "an example that is not compiled"));
        }
    }
    scan.findings
}

struct Unexplained<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Unexplained<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let Some(name) = attribute.path().get_ident().map(ToString::to_string) else { return };
        let wanting = match &attribute.meta {
            Meta::Path(_) => name == "ignore",
            Meta::List(list) => {
                ["allow", "expect"].contains(&name.as_str()) && !list.tokens.to_string().contains("reason =")
            }
            Meta::NameValue(_) => false,
        };
        if wanting {
            self.findings.push(self.source.finding(attribute, format!("`{name}` without a reason")));
        }
        visit::visit_attribute(self, attribute);
    }
}

#[test]
fn a_planted_exception_without_a_reason_is_found() {
    let found = |text| unexplained(&Source::new("planted.rs", text)).len();
    assert_eq!(found("#[test] #[ignore] fn a() {}"), 1);
    assert_eq!(found("#[test] #[ignore = \"needs a token\"] fn a() {}"), 0);
    assert_eq!(found("#[allow(dead_code)] fn a() {} #[expect(unused)] fn b() {}"), 2);
    assert_eq!(found("#![expect(dead_code, reason = \"shown\")]\nfn a() {}"), 0);
    assert_eq!(found("/// ```ignore\n/// f()\n/// ```\nfn a() {}"), 1);
    assert_eq!(found("/// ```no_run\n/// f()\n/// ```\nfn a() {}"), 0);
}

#[test]
fn nothing_is_left_for_later() {
    expect_none("no marks of unfinished work", all().iter().flat_map(marks).collect());
}

fn marks(source: &Source) -> Vec<Finding> {
    let marks: Vec<String> = MARKS.iter().map(|(one, two)| format!("{one}{two}")).collect();
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
            if marks.iter().any(|mark| mark == word) {
                findings.push(source.finding_at(index + 1, format!("`{word}`")));
            }
        }
        for unfinished in ["todo", "unimplemented"].map(|name| format!("{name}!(")) {
            if line.contains(&unfinished) {
                findings.push(source.finding_at(index + 1, format!("`{unfinished}…)`")));
            }
        }
    }
    findings
}

#[test]
fn planted_marks_are_found() {
    let found = |text: &str| marks(&Source::new("planted.rs", text)).len();
    for (one, two) in MARKS {
        assert_eq!(found(&format!("// {one}{two}: later")), 1);
        assert_eq!(found(&format!("const A{one}{two}: u8 = 1;")), 0);
    }
    assert_eq!(found(&format!("fn f() {{ {}!() }}", "todo")), 1);
    assert_eq!(found("#![deny(clippy::todo)]"), 0);
}

#[test]
fn names_say_what_a_thing_is() {
    let sources: Vec<Source> = LIBRARIES.iter().flat_map(|package| of_library(package)).collect();
    expect_none("no name is a role without a content", sources.iter().flat_map(empty_names).collect());
}

fn empty_names(source: &Source) -> Vec<Finding> {
    // In tower's words a layer wraps a service; there the name is a term.
    if source.path.starts_with("src/http") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for item in &source.file().items {
        let (name, visibility) = match item {
            Item::Struct(item) => (&item.ident, &item.vis),
            Item::Enum(item) => (&item.ident, &item.vis),
            Item::Trait(item) => (&item.ident, &item.vis),
            Item::Type(item) => (&item.ident, &item.vis),
            _ => continue,
        };
        let text = name.to_string();
        if !matches!(visibility, Visibility::Inherited) && EMPTY_NAMES.iter().any(|end| text.ends_with(end)) {
            findings.push(source.finding(name, format!("`{text}`")));
        }
    }
    let file = source.path.rsplit('/').next().unwrap_or_default();
    if ["util.rs", "utils.rs", "helper.rs", "helpers.rs", "misc.rs", "common.rs"].contains(&file) {
        findings.push(source.finding_at(1, format!("`{file}` is no noun")));
    }
    findings
}

#[test]
fn planted_empty_names_are_found() {
    let found = |path, text| empty_names(&Source::new(path, text)).len();
    assert_eq!(found("a/src/keys.rs", "pub struct KeyManager; pub(crate) trait TokenHelper {}"), 2);
    assert_eq!(found("a/src/utils.rs", "pub struct Key;"), 1);
    assert_eq!(found("a/src/keys.rs", "pub struct Keyring; pub enum ServiceToken {}"), 0);
}

#[test]
fn no_word_stands_here_that_does_not_belong() {
    let list = read(&root().join("tests/invariants/words.txt"));
    let words = words(&list);
    assert!(!words.is_empty());
    let mut paths: Vec<PathBuf> = Vec::new();
    for extension in ["rs", "md", "toml"] {
        find(root(), extension, &mut paths);
    }
    let findings = paths.iter().flat_map(|path| misplaced(&relative(path), &read(path), &words)).collect::<Vec<_>>();
    assert!(findings.is_empty(), "words that do not belong\n  {}", findings.join("\n  "));
}

fn words(list: &str) -> Vec<String> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_lowercase)
        .collect()
}

fn misplaced(path: &str, text: &str, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for word in words.iter().filter(|word| stands_in(&line, word)) {
            found.push(format!("{path}:{}: `{word}`", index + 1));
        }
    }
    found
}

/// Whole words; `word*` also as the beginning of a longer one. A word that ends in a sign is looked for as it is.
fn stands_in(line: &str, word: &str) -> bool {
    let (stem, longer) = word.strip_suffix('*').map_or((word, false), |stem| (stem, true));
    line.match_indices(stem).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + stem.len()..].chars().next();
        let open = |next: Option<char>| next.is_none_or(|next| !next.is_alphanumeric());
        let (first, last) = (stem.chars().next(), stem.chars().next_back());
        (open(first) || open(before)) && (longer || open(last) || open(after))
    })
}

#[test]
fn a_planted_word_is_found() {
    let list = words("# a comment\nSwiss-Made\n\nsimpl*\n/here/");
    let found = |text: &str| misplaced("planted.md", text, &list).len();
    assert_eq!(found("our swiss-made vault"), 1);
    assert_eq!(found("unswiss-made"), 0);
    assert_eq!(found("it simply works, simple"), 1);
    assert_eq!(found("a/here/b"), 1);
    assert_eq!(found("nothing of it"), 0);
}
