//! How long files and functions are, over the whole family: a measure that creeps is seen when it crosses the line.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, Item, ItemFn, TraitItemFn};

use crate::source::{LIBRARIES, Source, is_test_only, of_library};

const MAX_MEDIAN_FILE_LINES: usize = 250;
const MAX_P90_FUNCTION_LINES: usize = 35;

/// Lines of the functions outside tests.
#[derive(Default)]
struct Lengths(Vec<usize>);

impl Lengths {
    fn add(&mut self, function: &impl Spanned) {
        let span = function.span();
        self.0.push(span.end().line - span.start().line + 1);
    }
}

impl<'ast> Visit<'ast> for Lengths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_only(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// The value below which that share of the others lies.
fn percentile(mut values: Vec<usize>, hundredths: usize) -> usize {
    values.sort_unstable();
    values.get(values.len() * hundredths / 100).copied().unwrap_or(0)
}

fn sources() -> Vec<Source> {
    LIBRARIES.iter().flat_map(|package| of_library(package)).collect()
}

#[test]
fn half_of_the_files_are_short() {
    let median = percentile(sources().iter().map(|source| source.text.lines().count()).collect(), 50);
    assert!(median <= MAX_MEDIAN_FILE_LINES, "the median file has {median} lines");
}

#[test]
fn nine_of_ten_functions_fit_on_a_screen() {
    let mut lengths = Lengths::default();
    for source in sources() {
        lengths.visit_file(source.file());
    }
    let p90 = percentile(lengths.0, 90);
    assert!(p90 <= MAX_P90_FUNCTION_LINES, "one function in ten has {p90} lines or more");
}

#[test]
fn planted_lengths_are_measured() {
    let mut lengths = Lengths::default();
    let text = "fn a() {\n\n}\nimpl S { fn b() {} }\n#[cfg(test)] mod tests { fn c() {\n\n\n\n\n} }";
    lengths.visit_file(Source::new("planted.rs", text).file());
    assert_eq!(lengths.0, [3, 1]);
    assert_eq!(percentile(vec![5, 1, 4, 2, 3], 50), 3);
    assert_eq!(percentile((1..=10).collect(), 90), 10);
}
