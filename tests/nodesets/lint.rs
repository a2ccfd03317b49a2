//! What must hold for every table besides what the notation itself makes sure of.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{flat, plain};
use super::table::{Row, Table};

/// What is wrong with a table.
pub fn problems(table: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, owner) in ids(table) {
        if owner.len() > 1 {
            problems.push(format!("id {id} is used by {}", owner.join(" and ")));
        }
    }
    for (above, row) in flat(table) {
        let Row { name, line, .. } = row;
        if row.description.len() < 5 || !row.description.ends_with('.') {
            problems.push(format!("line {line}: {name} is not described in a sentence"));
        }
        for field in row.fields.iter().filter(|field| field.description.len() < 3) {
            problems.push(format!("line {line}: {} of {name} is not described", field.name));
        }
        let is_declaration = above.is_some_and(|above| {
            above.keyword.ends_with("type") && matches!(row.keyword.as_str(), "variable" | "object")
        });
        // States, transitions and defaults belong to the type itself.
        let is_of_type = matches!(row.word(":"), Some("StateType" | "TransitionType"));
        if is_declaration && row.rule().is_none() && !is_of_type {
            problems.push(format!("line {line}: {name} has no modelling rule"));
        }
        if matches!(row.keyword.as_str(), "variable" | "property" | "variabletype") && !row.has("=")
        {
            problems.push(format!("line {line}: {name} has no data type"));
        }
        let mut seen = BTreeSet::new();
        for child in &row.children {
            if !seen.insert(plain(&child.name)) {
                problems
                    .push(format!("line {}: there are two {} in {name}", child.line, child.name));
            }
        }
    }
    problems
}

/// All ids with what has them.
fn ids(table: &Table) -> BTreeMap<u32, Vec<String>> {
    let mut ids: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (_, row) in flat(table) {
        ids.entry(row.id).or_default().push(row.name.clone());
        for word in ["strings", "values", "bits", "in", "out", "encodings"] {
            for id in row.words.get(word).into_iter().flatten().filter_map(|id| id.parse().ok()) {
                ids.entry(id).or_default().push(format!("{word} of {}", row.name));
            }
        }
    }
    ids
}

/// Ids that the list of all ids knows otherwise, and those that it does not know yet.
///
/// A line of the list is an id and what has it: for nodes inside others with the names above.
pub fn broken_promises(table: &Table, known: &str) -> Vec<String> {
    let mut promised = BTreeMap::new();
    for line in known.lines() {
        if let Some((id, name)) = line.split_once(',') {
            promised.insert(id.to_owned(), name.to_owned());
        }
    }
    let mut problems = Vec::new();
    for (id, name) in named(table) {
        match promised.get(&id.to_string()) {
            Some(promise) if *promise == name => {}
            Some(promise) => problems.push(format!("id {id} belongs to {promise}, not to {name}")),
            None => problems.push(format!("add this line to nodesets/mes.ids.csv: {id},{name}")),
        }
    }
    problems
}

/// All ids with the path of what has them.
fn named(table: &Table) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    let mut paths: BTreeMap<u32, String> = BTreeMap::new();
    for (above, row) in flat(table) {
        let own = plain(&row.name);
        let path = match above.and_then(|above| paths.get(&above.id)) {
            Some(above) => format!("{above}/{own}"),
            None => own.to_owned(),
        };
        let of_words = [
            ("strings", "EnumStrings"),
            ("values", "EnumValues"),
            ("bits", "OptionSetValues"),
            ("in", "InputArguments"),
            ("out", "OutputArguments"),
        ];
        for (word, name) in of_words {
            if let Some(id) = row.word(word).and_then(|id| id.parse().ok()) {
                names.insert(id, format!("{path}/{name}"));
            }
        }
        let encodings = row.words.get("encodings").into_iter().flatten();
        for (id, name) in encodings.zip(["Binary", "XML", "JSON"]) {
            if let Ok(id) = id.parse() {
                names.insert(id, format!("{path}/Default {name}"));
            }
        }
        names.insert(row.id, path.clone());
        paths.insert(row.id, path);
    }
    names
}
