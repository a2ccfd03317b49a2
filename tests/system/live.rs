//! What the program computed live is what replay computes from its exported log.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{BINARY, Instance, Plant, a_day_ago, configuration, wait_for};

fn export(config: &std::path::Path) -> Vec<String> {
    let output = Command::new(BINARY).args(["export", "--config"]).arg(config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn replay(config: &std::path::Path, log: &str, equipment: &str, window: (&str, &str)) -> Value {
    let path = config.with_file_name("events.jsonl");
    std::fs::write(&path, log).unwrap();
    let output = Command::new(BINARY)
        .args(["replay", "--equipment", equipment, "--from", window.0, "--to", window.1])
        .arg("--config")
        .arg(config)
        .arg("--input")
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn replay_of_the_exported_log_gives_the_figures_of_the_live_run() {
    let directory = tempfile::tempdir().unwrap();
    // Restarts and broken links included: the speed makes them happen within seconds.
    let plant = Plant::start(&["--speed", "30", "--seed", "5"]);
    let config = configuration(directory.path(), Some(&plant));
    let instance = Instance::start(&config);
    let from = wait_for("counts", 60, || {
        let answer = instance.get(&format!("/v1/kpi?equipment=L1&from={}", a_day_ago())).body;
        let counted = answer["counts"]["total"].as_i64()? > 0;
        counted.then(|| answer["to"].as_str().unwrap().to_owned())
    });
    assert_eq!(instance.put_order("WO-1", "L1", "Cola-05").status, 201);
    assert_eq!(instance.command("WO-1", &json!({"command": "start"}), "1").status, 200);
    std::thread::park_timeout(Duration::from_secs(4));
    let scrap = json!({"command": "report", "scrap": 3});
    // While the last machine of the line is away, the order has no good parts that could be scrap.
    let mut tries = 0;
    wait_for("parts that can be reported as scrap", 30, || {
        tries += 1;
        (instance.command("WO-1", &scrap, &format!("scrap {tries}")).status == 200).then_some(())
    });
    let stops = instance.get(&format!("/v1/stops?equipment=L1-Filler&from={from}")).body;
    if let Some(stop) = stops["stops"].as_array().unwrap().first() {
        let reason =
            json!({"machine": "L1-Filler", "start": stop["start"], "reason": "changeover"});
        let classified = instance.post("/v1/stops/reason", &reason, "3");
        assert_eq!(classified.status, 200, "{:?}", classified.body);
    }
    std::thread::park_timeout(Duration::from_secs(3));
    assert_eq!(instance.command("WO-1", &json!({"command": "complete"}), "4").status, 200);
    let to = instance.get(&format!("/v1/kpi?equipment=L1&from={from}")).body["to"].clone();
    let to = to.as_str().unwrap();
    // A machine that is away may yet tell what it has kept; now none does any more.
    drop(plant);
    let equipment = ["L1", "L2", "L1-Filler", "L1-Labeler", "L2-Packer", "Beverages"];
    let settled: Vec<Value> = equipment
        .iter()
        .map(|key| {
            // Values in flight may still be of that time; the figures of a past window settle.
            let path = format!("/v1/kpi?equipment={key}&from={from}&to={to}");
            let mut last = Value::Null;
            wait_for("settled figures", 30, || {
                std::thread::park_timeout(Duration::from_millis(700));
                let now = instance.get(&path).body;
                // A stop that is still short may yet turn out to be long.
                let is_settled = now == last && now["provisional"] == false;
                last = now;
                is_settled.then(|| last.clone())
            })
        })
        .collect();
    // The log knows that time has gone on by what was written down last.
    assert_eq!(instance.put_order("WO-2", "L1", "Cola-05").status, 201);
    assert!(instance.terminate());
    let mut log = export(&config);
    assert!(log.len() > 100, "only {} lines", log.len());
    for (key, live) in equipment.iter().zip(&settled) {
        assert_eq!(replay(&config, &log.join("\n"), key, (&from, to)), *live, "{key}");
    }
    fastrand::Rng::with_seed(3).shuffle(&mut log);
    assert_eq!(replay(&config, &log.join("\n"), "L1", (&from, to)), settled[0], "shuffled");
    // After a restart the program itself still says the same of that window.
    let again = Instance::start(&config);
    for (key, live) in equipment.iter().zip(&settled) {
        let path = format!("/v1/kpi?equipment={key}&from={from}&to={to}");
        assert_eq!(again.get(&path).body, *live, "{key} after a restart");
    }
}
