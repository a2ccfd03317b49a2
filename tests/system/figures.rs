//! Stops, figures and their explanation as the bridge gives them, against the simulated plant.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::{Instance, Plant, a_day_ago, configuration, wait_for};

/// The demo's plant, in which stops of the hurried machines are no micro-stops.
fn hurried(directory: &Path, plant: &Plant) -> PathBuf {
    let config = configuration(directory, Some(plant));
    let text = std::fs::read_to_string(&config).unwrap();
    let strict = text.replace("micro_stop_below = \"5s\"", "micro_stop_below = \"50ms\"");
    assert_ne!(strict, text);
    std::fs::write(&config, strict).unwrap();
    config
}

/// A stop of a machine that is over and no micro-stop.
fn a_stop(instance: &Instance) -> Value {
    let query = format!("/v1/stops?equipment=L1&from={}", a_day_ago());
    wait_for("a stop that is over", 60, || {
        let stops = instance.get(&query).body;
        let over = |stop: &&Value| !stop["end"].is_null() && stop["micro"] == false;
        stops["stops"].as_array()?.iter().find(over).cloned()
    })
}

/// An instant to which nothing is on its way any more.
fn settled() -> jiff::Timestamp {
    let to = jiff::Timestamp::now();
    let passed = || (jiff::Timestamp::now() - to).get_seconds() >= 2;
    wait_for("the passing of two seconds", 10, || passed().then_some(()));
    to
}

#[test]
fn a_stop_is_explained_split_merged_stated_and_withdrawn_and_the_figures_follow() {
    let plant = Plant::start(&["--speed", "20", "--calm"]);
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::start(&hurried(directory.path(), &plant));
    let stop = a_stop(&instance);
    let (machine, start) = (&stop["machine"], &stop["start"]);

    let reason = json!({"machine": machine, "start": start, "reason": "jam", "comment": "cap"});
    let said = instance.post("/v1/stops/reason", &reason, "r1");
    assert_eq!(said.status, 200, "{:?}", said.body);
    assert_eq!(said.body["stops"][0]["reason"], "jam");
    assert_eq!(said.body["stops"][0]["classified_by"], "supervisor");
    assert!(instance.post("/v1/stops/reason", &reason, "r1").replayed);

    let outside = json!({"machine": machine, "start": start, "at": start});
    let refused = instance.post("/v1/stops/split", &outside, "s0");
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("mes.stop.split_outside")));
    let begun: jiff::Timestamp = start.as_str().unwrap().parse().unwrap();
    let cut = (begun + jiff::SignedDuration::from_millis(1)).to_string();
    let split = json!({"machine": machine, "start": start, "at": cut});
    let parts = instance.post("/v1/stops/split", &split, "s1").body;
    assert_eq!(parts["stops"].as_array().unwrap().len(), 2, "{parts}");
    let merge = json!({"machine": machine, "first": start, "last": cut});
    let merged = instance.post("/v1/stops/merge", &merge, "m1").body;
    assert_eq!(merged["stops"].as_array().unwrap().len(), 1, "{merged}");

    let now = jiff::Timestamp::now();
    let future = json!({"machine": machine, "from": start, "reason": "jam",
        "to": (now + jiff::SignedDuration::from_hours(1)).to_string()});
    let refused = instance.post("/v1/stops", &future, "f0");
    let code = &refused.body["code"];
    assert_eq!((refused.status, code), (422, &json!("mes.stop.impossible_window")));
    let stated = json!({"machine": machine, "from": start, "to": now.to_string(), "reason": "jam"});
    let stops = instance.post("/v1/stops", &stated, "f1").body["stops"].clone();
    assert!(stops.as_array().unwrap().iter().any(|stop| stop["origin"] == "stated"), "{stops}");
    let withdraw = json!({"machine": machine, "start": start});
    assert_eq!(instance.post("/v1/stops/withdraw", &withdraw, "w1").status, 200);
    assert_eq!(instance.post("/v1/stops/withdraw", &withdraw, "w2").status, 404);
    let gap = json!({"machine": machine, "from": start, "to": cut, "state": "running"});
    assert_eq!(instance.post("/v1/gaps/resolve", &gap, "g1").body["code"], "mes.gap.unknown");

    let operator = json!({"machine": machine, "person": "ann"});
    assert_eq!(instance.post("/v1/operators", &operator, "o1").status, 200);
    let by = format!("/v1/kpi?equipment=L1&from={}&by=", a_day_ago());
    let by_machine = instance.get(&format!("{by}machine")).body;
    assert_eq!(by_machine["slices"].as_array().unwrap().len(), 3);
    let kinds = "order product shift shift_name day operator reason line area";
    for by_what in kinds.split(' ') {
        let slices = instance.get(&format!("{by}{by_what}")).body;
        let calendar = |figures: &Value| figures["time_s"]["calendar"].as_f64().unwrap();
        let whole = calendar(&slices);
        let of_slices = slices["slices"].as_array().unwrap().iter();
        let parts: f64 = of_slices.map(|slice| calendar(&slice["figures"])).sum();
        // The window ends now, and now is later for the slices than for the whole by nothing.
        assert!((whole - parts).abs() < 1e-3, "{by_what}: {whole} {parts}");
    }
    // The stop was that of a machine, not of the line unless it is the bottleneck.
    let of_machine = by.replace("L1", machine.as_str().unwrap());
    let slices = instance.get(&format!("{of_machine}reason")).body["slices"].clone();
    let jam = slices.as_array().unwrap();
    assert!(jam.iter().any(|slice| slice["key"] == "jam"), "{jam:?}");
    assert_eq!(instance.get(&format!("{by}nonsense")).status, 422);
    // What every interval has to be looked at for is asked for shorter windows.
    let long_ago = (now - jiff::SignedDuration::from_hours(24 * 63)).to_string();
    let long = |by: &str| format!("/v1/kpi?equipment=L1&from={long_ago}&by={by}");
    let statuses = ["shift", "operator", "reason"].map(|by| instance.get(&long(by)).status);
    assert_eq!(statuses, [200, 422, 422]);
}

#[test]
fn a_figure_is_explained_to_the_interval_as_json_and_csv() {
    let plant = Plant::start(&["--speed", "20", "--calm"]);
    let directory = tempfile::tempdir().unwrap();
    let config = hurried(directory.path(), &plant);
    let instance = Instance::start(&config);
    a_stop(&instance);
    let made = format!("/v1/kpi?equipment=L1-Filler&from={}", a_day_ago());
    wait_for("a part", 60, || {
        instance.get(&made).body["counts"]["total"].as_i64().filter(|n| *n > 0)
    });
    let to = settled();
    let from = (to - jiff::SignedDuration::from_mins(10)).to_string();
    let query = format!("/v1/explain?equipment=L1-Filler&from={from}&to={to}");
    let explained = instance.get(&query).body;
    let rows = explained["rows"].as_array().unwrap();
    let seconds: f64 = rows
        .iter()
        .filter(|row| row["kind"] == "interval")
        .map(|row| row["duration_s"].as_f64().unwrap())
        .sum();
    assert!((seconds - 600.0).abs() < 1e-6, "the intervals are the window: {seconds}");
    for kind in ["plant", "interval", "count", "piece", "stop"] {
        assert!(rows.iter().any(|row| row["kind"] == kind), "{kind}");
    }
    let csv = instance.get(&format!("{query}&format=csv"));
    assert!(csv.content_type.starts_with("text/csv"), "{}", csv.content_type);
    let Value::String(text) = csv.body else { panic!("CSV is text") };
    assert_eq!(text.lines().count(), rows.len() + 1);
    assert!(text.starts_with("kind,equipment,from,to,duration_s,class,rule,"));
    assert_eq!(instance.get(&format!("{query}&format=xml")).status, 422);

    let indicators = instance.get(&format!("/v1/kpi?equipment=L1&from={from}&iso22400=true")).body;
    let list = indicators["iso22400"].as_array().unwrap();
    assert_eq!(list.len(), 34);
    assert!(list.iter().all(|i| i["value"].is_null() != i["missing"].is_null()), "{list:?}");

    let shifts =
        instance.get("/v1/shifts?line=L1&from=2026-10-24T00:00:00Z&to=2026-10-26T12:00:00Z");
    let listed = shifts.body["shifts"].as_array().unwrap().clone();
    let night = listed.iter().find(|shift| {
        shift["start"] == "2026-10-24T20:00:00Z" && shift["end"] == "2026-10-25T05:00:00Z"
    });
    assert!(night.is_some(), "the night in which clocks go back has nine hours: {listed:?}");
    let reasons = instance.get("/v1/reasons").body;
    assert!(reasons["reasons"].as_array().unwrap().iter().any(|r| r["id"] == "jam"));
    let records = instance.get("/v1/shifts/records?after=0").body;
    assert_eq!(records["more"], false);

    // The same explanation offline, once the program has ended.
    assert!(instance.terminate());
    let offline = std::process::Command::new(super::support::BINARY)
        .args(["explain", "--equipment", "L1-Filler", "--from", &from, "--to", &to.to_string()])
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let offline: Value = serde_json::from_slice(&offline.stdout).unwrap();
    let intervals = |explained: &Value| {
        let rows = explained["rows"].as_array().unwrap().clone();
        rows.into_iter().filter(|row| row["kind"] == "interval").collect::<Vec<_>>()
    };
    assert_eq!(intervals(&offline), intervals(&explained));
}

#[test]
fn another_configuration_changes_nothing_that_was() {
    let plant = Plant::start(&["--speed", "20", "--calm"]);
    let directory = tempfile::tempdir().unwrap();
    let config = hurried(directory.path(), &plant);
    let instance = Instance::start(&config);
    a_stop(&instance);
    let to = settled().to_string();
    let query = format!("/v1/kpi?equipment=L1&from={}&to={to}", a_day_ago());
    let before = instance.get(&query).body;
    assert!(before["oee"].is_f64(), "{before}");
    assert!(instance.terminate());
    let text = std::fs::read_to_string(&config).unwrap();
    let other = text.replace("micro_stop_below = \"50ms\"", "micro_stop_below = \"50m\"");
    assert_ne!(other, text);
    std::fs::write(&config, other).unwrap();
    let instance = Instance::start(&config);
    let after = instance.get(&query).body;
    for figure in ["oee", "availability", "time_s", "counts", "stops", "losses_s"] {
        assert_eq!(before[figure], after[figure], "{figure}");
    }
}
