//! What fuzzers have found worth keeping goes through the same drivers as under them.

use std::fs;
use std::path::Path;

use super::drivers;

/// Runs a driver over its corpus, and over a few inputs that every driver must stand.
fn run(target: &str, driver: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        driver(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 10, "{} has {count} inputs only", folder.display());
    for input in [&[][..], &[0], &[0xff; 100], &[0; 5000]] {
        driver(input);
    }
}

#[test]
fn admission_stands_its_corpus() {
    run("admission", drivers::admission);
}

#[test]
fn messages_stand_their_corpus() {
    run("messages", drivers::messages);
}

#[test]
fn filters_stand_their_corpus() {
    run("filters", drivers::filters);
}
