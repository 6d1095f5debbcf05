//! TOML as the same tree.

#![deny(clippy::arithmetic_side_effects)]

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{MAX_DEPTH, Member, Node, Value};
use crate::flaw::Fault;

/// Reads one TOML text. The parser below refuses names that stand twice and bounds the nesting of its own.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    match DeTable::parse(text) {
        Ok(table) => {
            let members = table_of(table.into_inner(), 1)?;
            Ok(Node { value: Value::Table(members), at: Some(0) })
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            Err(Fault::syntax(error.message().trim_end().replace('\n', ", "), at))
        }
    }
}

fn table_of(table: DeTable<'_>, depth: usize) -> Result<Vec<Member>, Fault> {
    let mut members = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key_at = Some(key.span().start);
        members.push(Member { key: key.into_inner().into_owned(), key_at, node: node_of(value, depth)? });
    }
    Ok(members)
}

fn node_of(value: Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Fault> {
    let at = value.span().start;
    if depth > MAX_DEPTH {
        return Err(Fault::refused(format!("nested deeper than {MAX_DEPTH}"), at));
    }
    let deeper = depth.saturating_add(1);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Number, Value::Integer)
        }
        DeValue::Float(_) => Value::Number,
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(array) => {
            Value::List(array.into_iter().map(|element| node_of(element, deeper)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Value::Table(table_of(table, deeper)?),
    };
    Ok(Node { value, at: Some(at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_text() {
        let node = parse("version = 1\n[tenants.acme]\nstatus = \"active\"\n").unwrap();
        let Value::Table(members) = node.value else { panic!("no table") };
        assert_eq!(members[0].node.at, Some(10));
        assert_eq!(members[1].key_at, Some(13));
    }

    #[test]
    fn names_that_stand_twice_are_refused_at_the_second() {
        let fault = parse("a = 1\nb = 2\na = 3\n").unwrap_err();
        assert_eq!((fault.at, fault.syntax), (Some(12), true), "{}", fault.message);
    }

    #[test]
    fn nesting_is_bounded() {
        for depth in [MAX_DEPTH + 1, 100_000] {
            let dotted = vec!["a"; depth].join(".");
            let lists = format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
            let tables = format!("a = {}{}", "{a = ".repeat(depth), "}".repeat(depth));
            for text in [lists, tables, format!("{dotted} = 1"), format!("[{dotted}]"), format!("[[{dotted}]]")] {
                assert!(parse(&text).is_err(), "{depth}: {text:.20}");
            }
        }
    }
}
