//! The configuration is read again while the program runs.

use std::path::Path;
use std::process::Command;

use super::support::{Instance, Plant, a_day_ago, configuration, wait_for};

/// Asks the program to read its configuration again.
fn reload(instance: &Instance, config: &Path, text: &str) {
    std::fs::write(config, text).unwrap();
    let hang_up = format!("kill -HUP {}", instance.pid());
    assert!(Command::new("sh").args(["-c", &hang_up]).status().unwrap().success());
}

fn metrics(instance: &Instance) -> String {
    instance.get("/metrics").body.as_str().unwrap().to_owned()
}

fn good(instance: &Instance, equipment: &str) -> Option<i64> {
    let answer = instance.get(&format!("/v1/kpi?equipment={equipment}&from={}", a_day_ago()));
    if answer.status == 200 { answer.body["counts"]["good"].as_i64() } else { None }
}

/// The section of a machine of the demo under another name, on the same line.
fn another(text: &str, machine: &str, name: &str) -> String {
    let start = text.find(&format!("[[machine]]\nid = \"{machine}\"")).unwrap();
    let end = text[start + 1..].find("[[machine]]").map_or(text.len(), |end| start + 1 + end);
    let section = text[start..end].replace(machine, name).replace("sim:FM-0815", "sim:FM-2");
    format!("{text}\n{section}")
}

#[test]
fn a_machine_is_added_and_removed_without_a_restart_and_the_others_notice_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start(&["--calm", "--speed", "10"]);
    let config = configuration(directory.path(), Some(&plant));
    let instance = Instance::start(&config);
    wait_for("counts", 60, || good(&instance, "L1-Filler").filter(|good| *good > 0));
    assert_eq!(instance.put_order("WO-1", "LM", "Cola-05").status, 201);
    let before = std::fs::read_to_string(&config).unwrap();
    assert_eq!(good(&instance, "L1-Second"), None);

    reload(&instance, &config, &another(&before, "L1-Filler", "L1-Second"));
    wait_for("counts of the new machine", 60, || {
        good(&instance, "L1-Second").filter(|good| *good > 0)
    });
    assert!(metrics(&instance).contains("mes_machine_up{machine=\"L1-Second\"} 1"));
    for machine in ["L1-Filler", "L2-Packer"] {
        let once = format!("mes_machine_connects{{machine=\"{machine}\"}} 1");
        assert!(metrics(&instance).contains(&once), "the link to {machine} was touched");
    }
    assert_eq!(instance.get("/v1/orders/WO-1").status, 200);

    reload(&instance, &config, &before);
    wait_for("the end of the new machine", 60, || {
        good(&instance, "L1-Second").is_none().then_some(())
    });
    wait_for("the end of its link", 30, || {
        (!metrics(&instance).contains("L1-Second")).then_some(())
    });
    let filled = good(&instance, "L1-Filler").unwrap();
    wait_for("more counts", 60, || good(&instance, "L1-Filler").filter(|good| *good > filled));
    assert!(instance.terminate());
}

#[test]
fn what_was_taken_over_holds_after_a_crash_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start(&["--calm", "--speed", "10"]);
    let config = configuration(directory.path(), Some(&plant));
    let instance = Instance::start(&config);
    let before = std::fs::read_to_string(&config).unwrap();
    reload(&instance, &config, &another(&before, "L1-Filler", "L1-Second"));
    let counted = wait_for("counts of the new machine", 60, || {
        good(&instance, "L1-Second").filter(|good| *good > 0)
    });
    instance.kill();
    let instance = Instance::start(&config);
    assert!(good(&instance, "L1-Second").unwrap() >= counted);
}
