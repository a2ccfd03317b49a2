//! The command line: problems of a configuration all at once, exit codes, replay.

use std::process::{Command, Output};

use super::support::BINARY;

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn check(text: &str) -> (i32, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plant.toml");
    std::fs::write(&path, text).unwrap();
    let output = run(&["check-config", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    let prefix = format!("{}:", path.display());
    let problems = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    (output.status.code().unwrap(), problems.map(str::to_owned).collect())
}

#[test]
fn the_shipped_configurations_are_correct() {
    for file in ["config/demo.toml", "config/example.toml"] {
        let output = run(&["check-config", file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// One of nearly everything that can be wrong.
const WRONG: &str = r#"[site]
id = "S"
time_zone = "Europe/Berlyn"
nmae = "Site"

[data]
directory = "data"

[opcua]
listen = "192.168.0.1:4840"
open_endpoint = true

[[area]]
id = "A"

[[line]]
id = "L1"
area = "B"

[[machine]]
id = "M 1"
line = "L1"
endpoint = "opc.tcp://x:99999"
security = "none"

[[machine]]
id = "M2"
line = "L1"
endpoint = "opc.tcp://x:4840"
security = "none"
micro_stop_below = 120

[[machine.signal]]
role = "state"
node = "ns=2;s=State"
states = { 1 = "runing" }

[[product]]
id = "P"

[[product.ideal_cycle]]
cycle = "0s"

[[shift]]
name = "a"
start = "06:00"
end = "14:00"

[[shift]]
name = "b"
start = "13:00"
end = "25:00"

[[shift]]
name = "c"
start = "13:00"
end = "15:00"

[[user]]
name = "ann"
role = "boss"
password_hash = "secret"
"#;

#[test]
fn all_problems_are_reported_at_once_with_place_and_advice() {
    let (code, problems) = check(WRONG);
    assert_eq!(code, 64);
    let expected = [
        ("3:13:", "Europe/Berlyn"),
        ("4:1:", "did you mean `name`?"),
        ("11:17:", "not allowed on 192.168.0.1:4840"),
        ("18:8:", "no area B"),
        ("21:6:", "holds ' '"),
        ("23:12:", "opc.tcp://x:99999"),
        ("31:20:", "is of type integer"),
        ("35:8:", "an index changes with the firmware"),
        ("36:16:", "\"runing\" is no machine state"),
        ("42:9:", "a positive duration"),
        ("52:7:", "a time of day"),
        ("54:1:", "overlaps shift \"a\""),
        ("61:8:", "\"boss\""),
        ("62:17:", "linewright hash-password"),
    ];
    for (place, text) in expected {
        let found = problems.iter().any(|p| p.starts_with(place) && p.contains(text));
        assert!(found, "{place} {text}\n{}", problems.join("\n"));
    }
}

#[test]
fn syntax_errors_and_missing_files_have_their_own_exit_codes() {
    assert_eq!(check("[site\nid = 3").0, 64);
    assert_eq!(run(&["check-config", "/nowhere/plant.toml"]).status.code(), Some(66));
    assert_eq!(run(&["serve", "--config", "/nowhere/plant.toml"]).status.code(), Some(66));
}

#[test]
fn replay_prints_the_worked_example_of_the_readme() {
    let output = run(&[
        "replay",
        "--config",
        "config/example.toml",
        "--input",
        "examples/shift.jsonl",
        "--equipment",
        "L1",
        "--from",
        "2026-11-20T05:00:00Z",
        "--to",
        "2026-11-20T13:00:00Z",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["time_s"]["planned_busy"], 26_100.0);
    assert_eq!(report["time_s"]["unplanned_down"], 1_800.0);
    assert_eq!(report["time_s"]["micro_stop"], 60.0);
    assert_eq!(report["time_s"]["setup"], 900.0);
    assert_eq!(report["counts"]["good"], 2_000);
    assert_eq!(report["counts"]["reject"], 100);
    assert_eq!(report["exact"]["oee"]["numerator"], "200");
    assert_eq!(report["exact"]["oee"]["denominator"], "261");
}

#[test]
fn replay_names_bad_lines_and_bad_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.jsonl");
    std::fs::write(&log, "{\"type\":\"sampel\"}\n").unwrap();
    let base = ["replay", "--config", "config/example.toml", "--input", log.to_str().unwrap()];
    let window = ["--from", "2026-11-20T05:00:00Z", "--to", "2026-11-20T06:00:00Z"];
    let output = run(&[&base[..], &["--equipment", "L1"], &window].concat());
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("log.jsonl:1:") && text.contains("sampel"), "{text}");
    let nobody = run(&[&base[..], &["--equipment", "L77"], &window].concat());
    assert_eq!(nobody.status.code(), Some(64));
}
