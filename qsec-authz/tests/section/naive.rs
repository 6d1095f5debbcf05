//! The semantics once more, sentence by sentence, with nothing in common with the crate: maps of texts, no numbers, no
//! indexes, `*` in a key expanded to the listed values one by one.

use std::collections::{BTreeMap, BTreeSet};

/// A header and its rows.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Grid {
    /// As CSV with every cell quoted.
    pub(crate) fn to_csv(&self) -> String {
        let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |cells: &Vec<String>| cells.iter().map(quote).collect::<Vec<_>>().join(",") + "\n";
        std::iter::once(&self.header).chain(&self.rows).map(line).collect()
    }
}

#[expect(clippy::struct_excessive_bools, reason = "the options as the page of the semantics has them")]
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) null: Option<String>,
    pub(crate) show_null: bool,
    pub(crate) show_empty: bool,
    pub(crate) fold: bool,
    pub(crate) strict: bool,
}

/// By identity column, the user's values.
pub(crate) type Person = BTreeMap<&'static str, Vec<String>>;

const IDENTITY: [&str; 5] = ["USERID", "USER.EMAIL", "USER.NAME", "NTNAME", "GROUP"];

/// A row of the user's: a column that is absent is blank, `None` is no value.
type Row = BTreeMap<String, Option<String>>;

fn is_system(name: &str) -> bool {
    name == "ACCESS" || name == "OMIT" || IDENTITY.contains(&name)
}

fn upper(text: &str) -> String {
    text.trim_matches(|c| c == ' ' || c == '\t').to_uppercase()
}

/// The reduced data, or the code of the refusal or error.
pub(crate) fn reduce(access: &[Grid], data: &Grid, person: &Person, set: &Settings) -> Result<Grid, &'static str> {
    let tables: Vec<(Vec<String>, Vec<Vec<String>>)> = access
        .iter()
        .map(|grid| {
            let cell = |cell: &String| if set.null.as_ref() == Some(cell) { String::new() } else { upper(cell) };
            let rows = grid.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            (grid.header.iter().map(|name| upper(name)).collect(), rows)
        })
        .collect();
    check(&tables, data)?;

    let rows = matching_rows(&tables, person);
    if rows.is_empty() {
        return Err("not_listed");
    }
    let admin = rows.iter().all(|row| row["ACCESS"].as_deref() == Some("ADMIN"));
    let joined = join(&tables, &rows);

    let omits: Vec<String> = rows.iter().filter_map(|row| row.get("OMIT").cloned().flatten()).collect();
    let omits: Vec<&String> = omits.iter().filter(|omit| !omit.is_empty()).collect();
    let kept: Vec<usize> = (0..data.header.len())
        .filter(|&column| !omits.iter().any(|omit| glob(omit, &data.header[column].to_uppercase())))
        .collect();
    if kept.is_empty() {
        return Err("excluded");
    }

    let mut visible: Vec<bool> = vec![true; data.rows.len()];
    for field in fields(&tables) {
        let Some(column) = data.header.iter().position(|name| name.to_uppercase() == field) else { continue };
        let cells: Vec<Option<String>> =
            joined.iter().map(|row| row.get(&field).cloned().unwrap_or(Some(String::new()))).collect();
        if admin && cells.iter().all(|cell| cell.as_deref() == Some("")) {
            continue;
        }
        let mut allowed = BTreeSet::new();
        for cell in cells.into_iter().flatten() {
            match cell.as_str() {
                "" => {}
                "*" => allowed.extend(listed(&tables, &field)),
                _ => drop(allowed.insert(cell)),
            }
        }
        let mut matched = false;
        for (row, visible) in data.rows.iter().zip(&mut visible) {
            let cell = &row[column];
            let compared = if set.fold { cell.to_uppercase() } else { cell.clone() };
            let fine = if set.null.as_ref() == Some(cell) {
                set.show_null && !allowed.is_empty()
            } else if cell.is_empty() {
                set.show_empty && !allowed.is_empty()
            } else {
                let is_in = allowed.contains(&compared);
                matched |= is_in;
                is_in
            };
            *visible &= fine;
        }
        if set.strict && !matched {
            return Err("excluded");
        }
    }
    let pick = |row: &Vec<String>| kept.iter().map(|&column| row[column].clone()).collect();
    let rows = data.rows.iter().zip(visible).filter(|(_, visible)| *visible).map(|(row, _)| pick(row)).collect();
    Ok(Grid { header: pick(&data.header), rows })
}

type Tables = [(Vec<String>, Vec<Vec<String>>)];

fn is_authorization(header: &[String]) -> bool {
    header.iter().any(|name| name == "ACCESS")
}

fn fields(tables: &Tables) -> BTreeSet<String> {
    tables.iter().flat_map(|(header, _)| header).filter(|name| !is_system(name)).cloned().collect()
}

fn listed(tables: &Tables, field: &str) -> BTreeSet<String> {
    let mut listed = BTreeSet::new();
    for (header, rows) in tables {
        for (column, _) in header.iter().enumerate().filter(|(_, name)| *name == field) {
            listed.extend(rows.iter().map(|row| row[column].clone()));
        }
    }
    listed.remove("");
    listed.remove("*");
    listed
}

fn check(tables: &Tables, data: &Grid) -> Result<(), &'static str> {
    let columns: Vec<String> = data.header.iter().map(|name| name.to_uppercase()).collect();
    for (header, rows) in tables {
        if let (true, Some(column)) = (is_authorization(header), header.iter().position(|name| name == "ACCESS"))
            && rows.iter().any(|row| row[column] != "USER" && row[column] != "ADMIN")
        {
            return Err("bad_access_value");
        }
    }
    for (header, rows) in tables {
        if let Some(column) = header.iter().position(|name| name == "OMIT") {
            let omits = rows.iter().map(|row| &row[column]).filter(|omit| !omit.is_empty());
            for omit in omits {
                if !columns.iter().any(|name| glob(omit, name)) {
                    return Err("unknown_omit_field");
                }
            }
        }
    }
    let mut before: BTreeSet<&String> =
        tables.iter().filter(|(header, _)| is_authorization(header)).flat_map(|(header, _)| header).collect();
    let mut keys: BTreeSet<&String> = BTreeSet::new();
    for (header, _) in tables.iter().filter(|(header, _)| !is_authorization(header)) {
        let shared: Vec<&String> = header.iter().filter(|name| before.contains(name)).collect();
        if shared.is_empty() {
            return Err("unlinked_table");
        }
        keys.extend(shared);
        before.extend(header);
    }
    let unknown = |field: &String| !columns.contains(field) && !keys.contains(field);
    if fields(tables).iter().any(unknown) { Err("unknown_reduction_field") } else { Ok(()) }
}

fn matching_rows(tables: &Tables, person: &Person) -> Vec<Row> {
    let mut matching = Vec::new();
    for (header, rows) in tables.iter().filter(|(header, _)| is_authorization(header)) {
        for row in rows {
            let matches = |(name, cell): (&String, &String)| {
                if !IDENTITY.contains(&name.as_str()) {
                    return true;
                }
                let own = person.get(name.as_str()).cloned().unwrap_or_default();
                cell == "*" || (!cell.is_empty() && own.iter().any(|value| upper(value) == *cell))
            };
            if header.iter().zip(row).all(matches) {
                matching.push(header.iter().cloned().zip(row.iter().cloned().map(Some)).collect());
            }
        }
    }
    matching
}

fn join(tables: &Tables, rows: &[Row]) -> Vec<Row> {
    let mut known: BTreeSet<String> =
        tables.iter().filter(|(header, _)| is_authorization(header)).flat_map(|(header, _)| header.clone()).collect();
    let mut joined = rows.to_vec();
    for (header, mapping) in tables.iter().filter(|(header, _)| !is_authorization(header)) {
        let shared: Vec<String> = header.iter().filter(|name| known.contains(*name)).cloned().collect();
        joined = joined.iter().flat_map(|row| join_row(row, header, mapping, &shared)).collect();
        known.extend(header.iter().cloned());
    }
    joined
}

/// Where a row keeps what its `*` was joined to: no column is called so. The column itself stays what it was.
fn joined_to(key: &str) -> String {
    format!("joined to {key}")
}

/// A `*` matches every key of the mapping. Joined to the row of one of them, it is that one for later tables.
fn join_row(row: &Row, header: &[String], mapping: &[Vec<String>], shared: &[String]) -> Vec<Row> {
    let own = |key: &String| {
        let cell = row.get(&joined_to(key)).or_else(|| row.get(key));
        cell.cloned().unwrap_or(Some(String::new()))
    };
    let extended = |mapped: Option<&Vec<String>>, value: &dyn Fn(usize) -> Option<String>| {
        let mut row = row.clone();
        for (column, name) in header.iter().enumerate().filter(|(_, name)| shared.contains(name)) {
            if let (Some(mapped), Some("*")) = (mapped, own(name).as_deref()) {
                row.insert(joined_to(name), Some(mapped[column].clone()));
            }
        }
        for (column, name) in header.iter().enumerate().filter(|(_, name)| !shared.contains(name)) {
            row.insert(name.clone(), value(column));
        }
        row
    };
    if shared.iter().all(|key| own(key).as_deref() == Some("")) {
        return vec![extended(None, &|_| Some(String::new()))];
    }
    let matches = |mapped: &&Vec<String>| {
        header.iter().zip(mapped.iter()).filter(|(name, _)| shared.contains(name)).all(|(name, key)| {
            let own = own(name).unwrap_or_default();
            !own.is_empty() && !key.is_empty() && (own == "*" || own == *key || key == "*")
        })
    };
    let rows: Vec<Row> = mapping
        .iter()
        .filter(matches)
        .map(|mapped| extended(Some(mapped), &|column| Some(mapped[column].clone()).filter(|cell| !cell.is_empty())))
        .collect();
    if rows.is_empty() { vec![extended(None, &|_| None)] } else { rows }
}

fn glob(pattern: &str, name: &str) -> bool {
    fn matches(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) if matches(rest, name) => true,
            (Some(('*', _)), Some((_, shorter))) => matches(pattern, shorter),
            (Some(('?', rest)), Some((_, shorter))) => matches(rest, shorter),
            (Some((one, rest)), Some((other, shorter))) => one == other && matches(rest, shorter),
            _ => false,
        }
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    matches(&pattern, &name)
}
