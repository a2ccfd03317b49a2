//! What engineers ask machines from the command line: what they have, and whether they are as configured.

use std::process::Command;

use serde_json::Value;

use super::support::{BINARY, Plant, configuration, wait_for};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn browse_shows_nodes_with_types_and_values_and_json_says_the_same() {
    let plant = Plant::start(&["--calm"]);
    let url = plant.url("L1-Filler");
    let is_state = |line: &str| {
        let value = line.strip_prefix("  State = ")?;
        let value = value.strip_suffix(" (Int32)  nsu=urn:linewright:sim:plain;s=State")?;
        value.parse::<i32>().ok()
    };
    // It has none before it does something for the first time.
    wait_for("a state", 20, || {
        let (code, tree, _) = run(&["browse", &url]);
        assert_eq!(code, Some(0));
        tree.lines().find_map(is_state)
    });
    let (code, json, _) = run(&["browse", &url, "--json"]);
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&json).unwrap();
    let nodes = json["nodes"].as_array().unwrap();
    let found = nodes.iter().find(|node| node["path"] == "L1-Filler/State").unwrap();
    assert_eq!(found["node"], "nsu=urn:linewright:sim:plain;s=State");
    assert!(found["value"].is_i64(), "{found}");
    assert_eq!(found["data_type"], "Int32");
    assert_eq!((&json["complete"], &found["status"]), (&Value::from(true), &Value::from("Good")));
    // From a node on, and no further than is wanted.
    let node = "nsu=urn:linewright:sim:plain;s=L1-Filler";
    let (_, below, said) = run(&["browse", &url, "--node", node, "--limit", "2"]);
    assert_eq!(below.lines().count(), 2);
    assert!(said.contains("there is more"), "{said}");
}

#[test]
fn what_cannot_be_browsed_is_said_with_the_next_step() {
    let plant = Plant::start(&["--calm"]);
    let url = plant.url("L1-Filler");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["opc.tcp://127.0.0.1:1"], 69, "no connection to 127.0.0.1:1"),
        (&["192.168.0.10"], 64, "write a URL"),
        (&[&url, "--security", "Basic256Sha256"], 69, "the machine offers none, not"),
        (&[&url, "--certificate", ""], 64, "16 hexadecimal digits or more"),
        (&[&url, "--security", "all"], 64, "write one of none,"),
        (&[&url, "--node", "ns=2;s=State"], 64, "an index changes with the firmware"),
    ];
    for (arguments, code, text) in cases {
        let (ended, _, said) = run(&[&["browse"], arguments].concat());
        assert!(ended == Some(code) && said.contains(text), "{arguments:?}: {ended:?} {said}");
    }
}

#[test]
fn a_configuration_is_checked_against_its_machines_all_problems_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start(&["--calm"]);
    let config = configuration(directory.path(), Some(&plant));
    let path = config.to_str().unwrap();
    wait_for("values of all machines", 20, || {
        let (_, _, errors) = run(&["check-config", path, "--online"]);
        errors.contains("1 problem with").then_some(())
    });
    let (code, said, errors) = run(&["check-config", path, "--online"]);
    assert_eq!(code, Some(69), "a bench that nobody reads has no machine: {said}{errors}");
    assert!(errors.contains("1 problem with"), "{errors}");
    assert!(said.contains("machine L1-Filler is as it is configured"), "{said}");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        .replacen("s=GoodCount", "s=LotNumber", 1)
        .replacen("s=RejectCount", "s=Nothing", 1)
        .replacen("urn:linewright:sim:packml", "urn:nowhere", 1)
        .replacen(&plant.url("L1-Labeler"), "opc.tcp://127.0.0.1:1", 1);
    std::fs::write(&config, text).unwrap();
    assert_eq!(run(&["check-config", path]).0, Some(0), "the file itself is right");
    let (code, said, errors) = run(&["check-config", path, "--online"]);
    assert_eq!(code, Some(69));
    assert!(errors.contains("5 problems"), "{said}{errors}");
    for wanted in [
        "machine L1-Filler: signal good: ns=2;s=LotNumber: ",
        "machine L1-Filler: signal reject: ns=2;s=Nothing: there is no such node",
        "the machine has no namespace urn:nowhere; it has http://opcfoundation.org/UA/",
        "machine L1-Labeler: opc.tcp://127.0.0.1:1: no connection",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    let line = said.lines().find(|line| line.contains("signal good")).unwrap();
    let number = line.strip_prefix(&format!("{path}:")).and_then(|rest| rest.split(':').next());
    let number: usize = number.unwrap().parse().unwrap();
    let configured = std::fs::read_to_string(&config).unwrap();
    assert!(configured.lines().nth(number - 1).unwrap().contains("L1-Filler"), "{line}");
}
