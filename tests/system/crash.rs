//! SIGKILL at random moments under load: everything that was acknowledged is there exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Answer, Instance, Plant, a_day_ago, configuration, request};

/// How often the program is killed.
const KILLS: u32 = 20;

/// What callers were told before the plug was pulled.
#[derive(Default)]
struct Told {
    /// Orders with their revision.
    orders: BTreeMap<String, u64>,
    /// Scrap reported on the manual order, by key; `None` while no answer came.
    reports: BTreeMap<String, (u32, Option<()>)>,
    /// Confirmations as they were read.
    confirmations: Vec<Value>,
}

const MANUAL_ORDER: &str = "MANUAL-1";

fn ok(answer: &Result<Answer, ureq::Error>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.status < 300)
}

/// Stores orders and revisions until told to stop; remembers what was acknowledged.
fn erp(agent: &ureq::Agent, base: &str, round: u32, stop: &AtomicBool) -> BTreeMap<String, u64> {
    let mut acknowledged = BTreeMap::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, revision) = (format!("R{round}-{}", number / 2), 1 + number % 2);
        let quantity = (number + 1).to_string();
        let body =
            json!({"revision": revision, "line": "L1", "product": "Cola-05", "quantity": quantity});
        let path = format!("/v1/orders/{id}");
        if ok(&request(agent, base, "PUT", &path, Some(&body), None)) {
            acknowledged.insert(id, revision);
        } else {
            break;
        }
    }
    acknowledged
}

/// Reports good parts on the manual order until told to stop; every report has a key of its own.
fn operator(
    agent: &ureq::Agent,
    base: &str,
    keys: &AtomicU32,
    stop: &AtomicBool,
) -> BTreeMap<String, (u32, Option<()>)> {
    let mut reports = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let number = keys.fetch_add(1, Ordering::Relaxed);
        let (key, good) = (format!("report-{number}"), number % 7 + 1);
        reports.insert(key.clone(), (good, None));
        if ok(&report(agent, base, &key, good)) {
            reports.insert(key, (good, Some(())));
        } else {
            break;
        }
    }
    reports
}

fn report(agent: &ureq::Agent, base: &str, key: &str, good: u32) -> Result<Answer, ureq::Error> {
    let body = json!({"command": "report", "good": good});
    let path = format!("/v1/orders/{MANUAL_ORDER}/commands");
    request(agent, base, "POST", &path, Some(&body), Some(key))
}

fn confirmations(instance: &Instance) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let path = format!("/v1/confirmations?after={}&limit=500", all.len());
        let page = instance.get(&path).body;
        all.extend(page["confirmations"].as_array().unwrap().iter().cloned());
        if page["more"] != true {
            return all;
        }
    }
}

/// Compares what the program says after a restart with what it had told before.
fn check(instance: &Instance, told: &mut Told) {
    // A report without answer may have taken effect or not; sent again it has taken effect once.
    for (key, (good, answered)) in &mut told.reports {
        if answered.is_none() {
            let again = report(&instance.agent(), &instance.http, key, *good).unwrap();
            assert_eq!(again.status, 200, "{:?}", again.body);
            *answered = Some(());
        }
    }
    let order = instance.get(&format!("/v1/orders/{MANUAL_ORDER}")).body;
    let reported: u32 = told.reports.values().map(|(good, _)| good).sum();
    assert_eq!(order["totals"]["good"], reported, "every report counts exactly once");
    let now = confirmations(instance);
    assert_eq!(now[..told.confirmations.len()], told.confirmations[..], "none has changed or gone");
    for (index, confirmation) in now.iter().enumerate() {
        assert_eq!(confirmation["seq"], index + 1, "numbers have no gaps");
    }
    told.confirmations = now;
    for (id, revision) in &told.orders {
        let order = instance.get(&format!("/v1/orders/{id}"));
        assert_eq!(order.status, 200, "order {id} was acknowledged and is gone");
        assert!(order.body["revision"].as_u64().unwrap() >= *revision, "order {id} went back");
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills_at_random_moments() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start(&["--speed", "20"]);
    let config = configuration(directory.path(), Some(&plant));
    let mut told = Told::default();
    let keys = Arc::new(AtomicU32::new(0));
    let mut random = fastrand::Rng::with_seed(20);
    let mut instance = Instance::start(&config);
    instance.put_order(MANUAL_ORDER, "LM", "Cola-05");
    assert_eq!(instance.command(MANUAL_ORDER, &json!({"command": "start"}), "start").status, 200);
    for round in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let (agent, base) = (instance.agent(), instance.http.clone());
        let orders = std::thread::spawn({
            let (agent, base, stop) = (agent.clone(), base.clone(), stop.clone());
            move || erp(&agent, &base, round, &stop)
        });
        let reports = std::thread::spawn({
            let (keys, stop) = (keys.clone(), stop.clone());
            move || operator(&agent, &base, &keys, &stop)
        });
        std::thread::park_timeout(Duration::from_millis(random.u64(5..900)));
        instance.kill();
        stop.store(true, Ordering::Relaxed);
        told.orders.extend(orders.join().unwrap());
        told.reports.extend(reports.join().unwrap());
        instance = Instance::start(&config);
        check(&instance, &mut told);
    }
    assert!(told.orders.len() > 20 && told.reports.len() > 50, "there was load");
    println!(
        "{KILLS} kills: {} orders, {} reports, {} confirmations, all there exactly once",
        told.orders.len(),
        told.reports.len(),
        told.confirmations.len()
    );
    let counted = instance.get(&format!("/v1/kpi?equipment=L1&from={}", a_day_ago())).body;
    assert!(counted["counts"]["total"].as_i64().unwrap() > 0, "machines were counted meanwhile");
    assert!(instance.terminate(), "it ends well when asked");
}
