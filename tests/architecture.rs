//! The rules of the house, checked: who may know whom, how long files are, that every module says
//! what it is. A failing message says the rule and the fix.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use linewright::domain::order::{JobCommand, JobState, transition};

/// What the modules of each folder may name of this crate, besides themselves.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("app", &["domain"]),
    ("config", &["domain"]),
    ("store", &["app", "domain"]),
    ("channel", &["app", "domain"]),
    ("mirror", &["app", "channel", "domain"]),
    ("machine", &["app", "channel", "domain", "mirror"]),
    ("server", &["app", "channel", "domain", "mirror"]),
    ("http", &["app", "domain"]),
    ("sim", &["app", "domain"]),
    ("sys", &["app", "domain"]),
    (
        "cli",
        &[
            "app", "channel", "config", "domain", "http", "machine", "mirror", "server", "sim",
            "store", "sys",
        ],
    ),
];

/// The layers of the OPC UA server, and what each of them may name of the others.
const SERVER_LAYERS: &[(&str, &[&str])] = &[
    ("limits", &["wire"]),
    ("space", &["limits"]),
    ("wire", &[]),
    ("services", &["limits", "space", "wire"]),
];

/// Libraries and the only folders that may name them.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("opcua::", &["channel", "machine", "mirror", "server", "sim"]),
    ("axum::", &["http"]),
    ("redb::", &["store"]),
    ("toml::", &["config"]),
    ("clap::", &["cli"]),
    ("jiff::", &["app"]),
    ("argon2::", &["app"]),
    ("tokio::", &["app", "cli", "http", "machine", "mirror", "server", "sim"]),
    ("tracing::", &["app", "channel", "cli", "machine", "server", "sim"]),
    ("SystemTime::now", &["sys"]),
    ("Instant::now", &["channel", "machine", "server"]),
    ("x509_cert::", &["channel"]),
    ("rsa::", &["channel"]),
    ("socket2::", &["server"]),
    ("opcua::server", &["sim"]),
    ("opcua::client", &[]),
];

/// What the pure core may never name.
const NEVER_IN_DOMAIN: &[&str] =
    &["HashMap", "HashSet", "f64", "f32", "std::fs", "std::net", "std::thread", "serde", "rand"];
/// Floats are made in these files of the core, for printing only.
const FLOAT_EDGE: &[&str] = &["quantity.rs"];

const FILE_LINES_MAX: usize = 600;
const MOD_LINES_MAX: usize = 150;

struct Source {
    path: PathBuf,
    folder: String,
    text: String,
}

impl Source {
    /// The text without its unit tests and comments.
    fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]").next().unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.collect::<Vec<_>>().join("\n")
    }

    fn is_mod(&self) -> bool {
        self.path.ends_with("mod.rs")
    }
}

fn collect(directory: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let below = path.strip_prefix(root().join("src")).unwrap();
            let folder = below.components().next().unwrap().as_os_str().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            sources.push(Source { folder: folder.to_owned(), path: path.clone(), text });
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&root().join("src"), &mut sources);
    assert!(sources.len() > 50, "the walk found the sources");
    sources
}

fn fail(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn folders_know_only_what_they_may() {
    let mut problems = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(folder, _)| *folder == source.folder)
        else {
            let is_root = ["lib.rs", "main.rs"].contains(&source.folder.as_str());
            if !is_root {
                problems.push(format!("{}: add its folder to MAY_KNOW", source.path.display()));
            }
            continue;
        };
        let code = source.code();
        for part in code.split("crate::").skip(1) {
            let named: String =
                part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if named != source.folder && !allowed.contains(&named.as_str()) {
                problems.push(format!(
                    "{}: {} must not know {named}; let them meet in app::ports or in cli",
                    source.path.display(),
                    source.folder
                ));
            }
        }
    }
    fail(&problems);
}

#[test]
fn layers_of_the_server_know_only_what_they_may() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.folder == "server") {
        let below = source.path.strip_prefix(root().join("src/server")).unwrap();
        let layer = below.components().next().unwrap().as_os_str().to_str().unwrap();
        let layer = layer.trim_end_matches(".rs");
        let Some((_, allowed)) = SERVER_LAYERS.iter().find(|(name, _)| *name == layer) else {
            continue;
        };
        let code = source.code();
        for part in code.split("crate::server::").skip(1) {
            let named: String =
                part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_layer = SERVER_LAYERS.iter().any(|(name, _)| *name == named);
            if is_layer && named != layer && !allowed.contains(&named.as_str()) {
                let path = source.path.display();
                problems.push(format!("{path}: {layer} must not know {named}"));
            }
        }
    }
    fail(&problems);
}

#[test]
fn libraries_stay_where_they_belong() {
    let mut problems = Vec::new();
    for source in sources() {
        let code = source.code();
        for (library, folders) in ONLY_IN {
            let named = code.lines().any(|line| {
                line.match_indices(library).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                })
            });
            if named && !folders.contains(&source.folder.as_str()) {
                problems.push(format!(
                    "{}: {library} belongs to {}; put it behind a port",
                    source.path.display(),
                    folders.join(", ")
                ));
            }
        }
    }
    fail(&problems);
}

#[test]
fn the_domain_is_pure() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.folder == "domain") {
        let code = source.code();
        let is_edge = FLOAT_EDGE.iter().any(|file| source.path.ends_with(file));
        for word in NEVER_IN_DOMAIN {
            let is_float = word.starts_with('f');
            if code.contains(word) && !(is_float && is_edge) {
                problems.push(format!(
                    "{}: the domain must not name {word}; bring it in as an input",
                    source.path.display()
                ));
            }
        }
    }
    fail(&problems);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut problems = Vec::new();
    for source in sources() {
        let path = source.path.strip_prefix(root()).unwrap().display().to_string();
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{path}: {lines} lines; split it at a name of the field"));
        }
        if source.is_mod() && source.code().lines().count() > MOD_LINES_MAX {
            problems.push(format!("{path}: a mod.rs shows the way; move the logic out"));
        }
        if !source.text.starts_with("//!") && !path.ends_with("lib.rs") {
            problems.push(format!("{path}: begin with //! what it is and what it must never do"));
        }
        for mark in ["todo!(", "unimplemented!(", ".unwrap()", "TODO", "FIXME"] {
            if source.code().contains(mark) {
                problems.push(format!("{path}: {mark} does not belong into what runs"));
            }
        }
    }
    fail(&problems);
}

#[test]
fn every_folder_has_its_paragraph_in_the_architecture() {
    let text = fs::read_to_string(root().join("src/ARCHITECTURE.md")).unwrap();
    let folders: BTreeSet<_> = sources().into_iter().map(|source| source.folder).collect();
    for folder in folders.iter().filter(|folder| !folder.ends_with(".rs")) {
        let paragraph = format!("- [`{folder}`]");
        assert!(text.contains(&paragraph), "ARCHITECTURE.md has no paragraph on {folder}");
    }
}

#[test]
fn the_table_of_order_states_in_the_architecture_is_the_one_in_the_code() {
    let words = JobCommand::ALL.map(JobCommand::as_str);
    let mut table =
        format!("| state | {} |\n|---|{}\n", words.join(" | "), "---|".repeat(words.len()));
    for state in JobState::ALL {
        let next = JobCommand::ALL.map(|c| transition(state, c).map_or("", JobState::as_str));
        table += &format!("| {state} | {} |\n", next.join(" | "));
    }
    let text = fs::read_to_string(root().join("src/ARCHITECTURE.md")).unwrap();
    assert!(text.contains(&table), "put this into ARCHITECTURE.md:\n{table}");
}

#[test]
fn dependencies_are_few_and_explained() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let mut explained = false;
    let mut count = 0;
    for line in section.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            explained = true;
            continue;
        }
        assert!(explained, "say in a comment why: {line}");
        count += 1;
    }
    assert!(count <= 35, "{count} direct dependencies");
}
