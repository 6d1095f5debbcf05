//! Where a name comes from: the `use` declarations of a file, so that `Key` is known to be `ring::aead::Key`.

use std::collections::{HashMap, HashSet};

use syn::visit::{self, Visit};
use syn::{Item, ItemUse, Path, UseTree};

use crate::source::{Source, is_test_only};

/// The imports of one file, those of its functions and inner modules included: taken together they can only find more.
pub(crate) struct Imports {
    names: HashMap<String, Vec<String>>,
    /// Modules that the file declares: `csv::Table` is then not the crate of that name.
    modules: HashSet<String>,
}

impl Imports {
    pub(crate) fn of(source: &Source) -> Self {
        let modules = source.file().items.iter().filter_map(|item| match item {
            Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        });
        let mut imports = Self { modules: modules.collect(), names: HashMap::new() };
        imports.visit_file(source.file());
        imports
    }

    /// The path as written, with its first name replaced by what was imported under it.
    pub(crate) fn resolve(&self, path: &Path) -> Vec<String> {
        let mut written: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let imported = written.first().and_then(|first| self.names.get(first));
        match imported {
            Some(full) if path.leading_colon.is_none() => {
                let rest = written.split_off(1);
                full.iter().cloned().chain(rest).collect()
            }
            _ => self.located(written, path.leading_colon.is_some()),
        }
    }

    /// What a `use` declares, each with the path it stands for.
    pub(crate) fn leaves(&self, item: &ItemUse) -> Vec<Leaf> {
        let mut found = Vec::new();
        collect(&item.tree, &[], &mut found);
        for leaf in &mut found {
            leaf.path = self.located(std::mem::take(&mut leaf.path), item.leading_colon.is_some());
        }
        found
    }

    /// `::csv::Reader` is the crate; `csv::Reader` is so only where no module has the name.
    fn located(&self, mut path: Vec<String>, absolute: bool) -> Vec<String> {
        if !absolute && path.first().is_some_and(|first| self.modules.contains(first)) {
            path.insert(0, "self".to_owned());
        }
        path
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for leaf in self.leaves(item) {
            if let Some(name) = leaf.name {
                self.names.insert(name, leaf.path);
            }
        }
    }
}

/// One imported thing.
#[derive(Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    /// The name in this file; none for `*`.
    pub(crate) name: Option<String>,
}

fn collect(tree: &UseTree, above: &[String], found: &mut Vec<Leaf>) {
    let with = |name: String| above.iter().cloned().chain([name]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(inner) => collect(&inner.tree, &with(inner.ident.to_string()), found),
        UseTree::Group(group) => group.items.iter().for_each(|each| collect(each, above, found)),
        UseTree::Glob(_) => found.push(Leaf { path: above.to_vec(), name: None }),
        UseTree::Name(leaf) => found.push(named(above, &leaf.ident.to_string(), None)),
        UseTree::Rename(leaf) => found.push(named(above, &leaf.ident.to_string(), Some(leaf.rename.to_string()))),
    }
}

/// `a::self` is `a`.
fn named(above: &[String], name: &str, rename: Option<String>) -> Leaf {
    let mut path = above.to_vec();
    if name != "self" {
        path.push(name.to_owned());
    }
    let name = rename.or_else(|| path.last().cloned());
    Leaf { path, name }
}

#[test]
fn a_module_of_the_file_hides_the_crate_of_its_name() {
    let imports = Imports::of(&Source::new("planted.rs", "mod csv; use csv::Table; use ::csv::Reader;"));
    let resolve = |text: &str| imports.resolve(&syn::parse_str(text).unwrap()).join("::");
    assert_eq!(resolve("Table"), "self::csv::Table");
    assert_eq!(resolve("csv::Table"), "self::csv::Table");
    assert_eq!(resolve("Reader"), "csv::Reader");
    assert_eq!(resolve("::csv::Reader"), "csv::Reader");
}

#[test]
fn names_are_followed_to_where_they_come_from() {
    let source = Source::new(
        "planted.rs",
        "use std::{fs, time::{self, SystemTime as Clock}}; fn f() { use ring::aead::LessSafeKey; } \
         #[cfg(test)] mod tests { use std::env; }",
    );
    let imports = Imports::of(&source);
    let resolve = |text: &str| imports.resolve(&syn::parse_str(text).unwrap()).join("::");
    assert_eq!(resolve("fs::read"), "std::fs::read");
    assert_eq!(resolve("Clock::now"), "std::time::SystemTime::now");
    assert_eq!(resolve("time::Instant"), "std::time::Instant");
    assert_eq!(resolve("LessSafeKey"), "ring::aead::LessSafeKey");
    assert_eq!(resolve("env::var"), "env::var");
    assert_eq!(resolve("::fs::read"), "fs::read");
}
