//! Faults: a second instance, a full disk, a machine that vanishes.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::support::{BINARY, Instance, Plant, a_day_ago, configuration, wait_for};

#[test]
fn a_second_instance_on_the_same_directory_is_refused_with_the_process_that_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), None);
    let _first = Instance::start(&config);
    let second = Command::new(BINARY).args(["serve", "--config"]).arg(&config).output().unwrap();
    assert_eq!(second.status.code(), Some(75));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("is in use by process"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = configuration(directory.path(), None);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen("127.0.0.1:0", &address, 1)).unwrap();
    let output = Command::new(BINARY).args(["serve", "--config"]).arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}

/// A file system of a fixed size, where the test may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(SmallDisk(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_shown_refuses_commands_and_heals_by_itself() {
    let Some(disk) = SmallDisk::mount("24m") else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let instance = Instance::start(&configuration(disk.0.path(), None));
    assert_eq!(instance.put_order("WO-1", "LM", "Cola-05").status, 201);
    let ballast = disk.0.path().join("ballast");
    let _ = std::fs::write(&ballast, vec![7_u8; 64 << 20]);
    let mut number = 1;
    let mut acknowledged = vec!["WO-1".to_owned()];
    wait_for("the refusal of an order", 60, || {
        number += 1;
        let id = format!("WO-{number}");
        match instance.put_order(&id, "LM", "Cola-05").status {
            201 => acknowledged.push(id),
            503 => return Some(()),
            other => panic!("status {other}"),
        }
        None
    });
    let unready = instance.get("/readyz");
    assert_eq!((unready.status, &unready.body["code"]), (503, &json!("mes.unavailable")));
    std::fs::remove_file(&ballast).unwrap();
    wait_for("readiness", 60, || (instance.get("/readyz").status == 200).then_some(()));
    for id in &acknowledged {
        assert_eq!(instance.get(&format!("/v1/orders/{id}")).status, 200, "{id} was acknowledged");
    }
    assert_eq!(instance.put_order("WO-last", "LM", "Cola-05").status, 201);
}

fn kpi(instance: &Instance, machine: &str, from: &str) -> serde_json::Value {
    let answer = instance.get(&format!("/v1/kpi?equipment={machine}&from={from}"));
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body
}

#[test]
fn a_machine_that_vanishes_is_no_data_and_nothing_is_counted_twice_when_it_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start(&["--calm", "--speed", "10"]);
    let instance = Instance::start(&configuration(directory.path(), Some(&plant)));
    let from = a_day_ago();
    wait_for("counts", 60, || {
        (kpi(&instance, "L1-Filler", &from)["counts"]["total"].as_i64() > Some(20)).then_some(())
    });
    drop(plant);
    let metric = "mes_machine_up{machine=\"L1-Filler\"} 0";
    wait_for("the loss of the link", 30, || {
        let metrics = instance.get("/metrics").body;
        metrics.as_str().unwrap().contains(metric).then_some(())
    });
    let (lost, later) = wait_for("known time to stand still", 10, || {
        let lost = kpi(&instance, "L1-Filler", &from);
        std::thread::park_timeout(Duration::from_millis(500));
        let later = kpi(&instance, "L1-Filler", &from);
        let classes = ["run", "unplanned_down", "micro_stop", "starved", "blocked", "setup"];
        let stands = classes.iter().all(|class| lost["time_s"][class] == later["time_s"][class]);
        stands.then_some((lost, later))
    });
    assert_eq!(lost["counts"], later["counts"], "nothing is invented");
    let gained = later["time_s"]["no_data"].as_f64() > lost["time_s"]["no_data"].as_f64();
    assert!(gained, "the time is no data");
}

#[test]
fn a_signal_of_the_wrong_type_and_one_that_does_not_exist_are_shown_and_count_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start(&["--calm", "--speed", "10"]);
    let config = configuration(directory.path(), Some(&plant));
    let text = std::fs::read_to_string(&config).unwrap();
    // The first is the filler's counter, bound to a text; the second the capper's, to nothing.
    let text =
        text.replacen("s=GoodCount", "s=LotNumber", 1).replacen("s=GoodCount", "s=Nothing", 1);
    std::fs::write(&config, text).unwrap();
    let instance = Instance::start(&config);
    let from = a_day_ago();
    for machine in ["L1-Filler", "L1-Capper"] {
        let metric = format!("mes_machine_degraded{{machine=\"{machine}\"}} 1");
        wait_for("the degraded state", 30, || {
            let metrics = instance.get("/metrics").body;
            metrics.as_str().unwrap().contains(&metric).then_some(())
        });
        assert_eq!(kpi(&instance, machine, &from)["counts"]["good"], 0, "{machine}");
    }
    wait_for("counts of a sound machine", 60, || {
        (kpi(&instance, "L1-Labeler", &from)["counts"]["good"].as_i64() > Some(0)).then_some(())
    });
}
