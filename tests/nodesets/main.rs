//! The nodesets that ship with the program: they are as their tables say, well formed, and their ids are
//! never used again for something else.
//!
//! `WRITE_NODESETS=1 cargo test --test nodesets` writes the nodesets after a table was changed.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod lint;
mod names;
mod table;
mod write;

use std::path::PathBuf;

use names::Names;
use table::Table;

/// The models in the order in which they need each other.
const MODELS: [&str; 7] =
    ["di", "isa95-jobcontrol", "machinery", "machinery-jobs", "packml", "weihenstephan", "mes"];

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("nodesets").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|why| panic!("{file}: {why}"))
}

/// All tables by name.
fn tables() -> Vec<Table> {
    let table = |model: &&str| {
        let file = format!("{model}.table");
        Table::read(&read(&file)).unwrap_or_else(|why| panic!("{file}: {why}"))
    };
    MODELS.iter().map(table).collect()
}

#[test]
fn every_nodeset_is_as_its_table_says() {
    let tables = tables();
    let names = Names::new(&tables);
    let write = std::env::var_os("WRITE_NODESETS").is_some();
    for (model, table) in MODELS.iter().zip(&tables) {
        let wanted = write::nodeset(table, &names).unwrap_or_else(|why| panic!("{model}: {why}"));
        let file = format!("{model}.xml");
        if write {
            std::fs::write(path(&file), &wanted).unwrap();
        }
        assert!(
            read(&file) == wanted,
            "{file} is not what its table says; run WRITE_NODESETS=1 cargo test --test nodesets"
        );
    }
}

#[test]
fn every_node_has_a_text_an_id_and_a_name_of_its_own() {
    for (model, table) in MODELS.iter().zip(&tables()) {
        let problems = lint::problems(table);
        assert!(problems.is_empty(), "{model}: {}", problems.join("\n"));
    }
}

/// Ids are append-only: one that was given away once keeps its name and class for ever, also when the
/// node is gone.
#[test]
fn no_id_of_ours_is_ever_used_for_something_else() {
    let tables = tables();
    let table = tables.last().unwrap();
    let known = read("mes.ids.csv");
    let problems = lint::broken_promises(table, &known);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_table_that_cannot_be_read_says_where() {
    let refused = |text: &str| Table::read(text).err().unwrap();
    assert_eq!(refused("model urn:x 1 2026-01-01\nobject x A"), "line 2: has no id: object x A");
    assert_eq!(refused("    object 1 A"), "line 1: is indented too far: object 1 A");
    assert_eq!(
        refused("object 1 A sideways"),
        "line 1: does not know sideways: object 1 A sideways"
    );
}
