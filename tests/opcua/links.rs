//! Links to machines over cables that fail: what a machine counted is what the plant has counted, and
//! what nobody can know is a gap.

use std::time::Duration;

use linewright::app::clock::Clock as _;
use linewright::channel::time::date_time;
use linewright::domain::oee::loss::LossClass;
use linewright::domain::signal::MachineState;
use linewright::domain::time::{Span, Timestamp};
use linewright::server::Offer;
use opcua::types::{CloseSessionRequest, DataValue, DateTime, NodeId, StatusCode};

use super::chaos::{Cable, Fault};
use super::listening::{Listening, Nodes, machine_id};
use super::space::{id, start_as, test_limits, value_at};
use super::support::Running;

/// A machine, a cable to it, and a plant that listens.
async fn listening() -> (Running, Cable, Listening) {
    let running = Running::new().await;
    ready(&running).await;
    let cable = Cable::to(running.server.address).await;
    let plant = Listening::to(&[cable.url()], Nodes::Plain).await;
    (running, cable, plant)
}

/// The machine makes parts, each with its own time.
fn make(running: &Running, numbers: std::ops::RangeInclusive<i32>) {
    for number in numbers {
        running.push(&id("number"), value_at(number, DateTime::now()));
    }
}

fn say(running: &Running, state: &str) {
    running.push(&id("text"), value_at(state, DateTime::now()));
}

/// Says it at the time of the machine's own clock.
fn say_at(running: &Running, state: &str) {
    let at = date_time(running.server.clock.now());
    running.push(&id("text"), value_at(state, at));
}

async fn ready(running: &Running) {
    say(running, "run");
    make(running, 0..=0);
}

#[tokio::test]
async fn what_a_machine_makes_while_the_cable_is_cut_is_told_afterwards_and_there_is_no_gap() {
    let (running, cable, plant) = listening().await;
    make(&running, 1..=100);
    plant.until_counted(100).await;
    for round in 1..=3 {
        cable.set(Fault::Cut);
        plant.until_lost().await;
        say(&running, "stop");
        make(&running, round * 100 + 1..=round * 100 + 100);
        say(&running, "run");
        cable.set(Fault::None);
        plant.until_counted(u64::try_from(round).unwrap() * 100 + 100).await;
    }
    plant.has_all(400).await;
    assert_eq!(plant.kpi().await.stops.micro_stops, 3, "each stop in between was told");
    assert_eq!(plant.resumed(), (4, 3));
    plant.end().await;
    let sessions = || running.server.server.services().usage().sessions;
    super::support::until(|| sessions() == 0).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_within_a_message_loses_none() {
    let (running, cable, plant) = listening().await;
    let mut made = 0;
    for bytes in [1, 40, 100, 200, 333, 1000, 2500] {
        cable.set(Fault::CutAfter(bytes));
        make(&running, made + 1..=made + 50);
        made += 50;
        plant.until_lost().await;
        cable.set(Fault::None);
        plant.until_counted(u64::try_from(made).unwrap()).await;
    }
    plant.has_all(made.into()).await;
    plant.end().await;
}

#[tokio::test]
async fn a_link_that_breaks_again_wherever_it_is_come_back_over_loses_nothing() {
    let (running, cable, plant) = listening().await;
    let mut made = 0;
    for bytes in [200, 400, 600, 900] {
        cable.set(Fault::CutAfter(bytes));
        make(&running, made + 1..=made + 50);
        made += 50;
        plant.until_lost().await;
        let tried = cable.connections();
        super::support::until(|| cable.connections() >= tried + 2).await;
        cable.set(Fault::None);
        plant.until_counted(u64::try_from(made).unwrap()).await;
    }
    plant.has_all(made.into()).await;
    let (connects, resumed) = plant.resumed();
    assert_eq!(connects, resumed + 1, "only the first time everything was read");
    plant.end().await;
}

#[tokio::test]
async fn a_machine_that_hangs_is_noticed_and_what_it_then_tells_is_not_lost() {
    let (running, cable, plant) = listening().await;
    for fault in [Fault::BlackHole, Fault::Deaf, Fault::HalfClosed] {
        make(&running, 1..=1);
        cable.set(fault);
        plant.until_lost().await;
        make(&running, 2..=60);
        cable.set(Fault::None);
        plant.until_counted(60).await;
    }
    let kpi = plant.kpi().await;
    assert_eq!(kpi.time.of(LossClass::NoData), Span::ZERO);
    plant.end().await;
}

#[tokio::test]
async fn a_slow_cable_loses_nothing() {
    let (running, cable, plant) = listening().await;
    for fault in [Fault::Delay(Duration::from_millis(100)), Fault::Throttle(20_000)] {
        cable.set(fault);
        make(&running, 1..=200);
        plant.until_counted(200).await;
        make(&running, 0..=0);
        plant.until_counted(0).await;
    }
    assert_eq!(plant.resumed(), (1, 0), "it was never lost");
    plant.end().await;
}

#[tokio::test]
async fn a_machine_that_starts_anew_leaves_a_gap_and_its_namespaces_may_have_moved() {
    let (running, cable, plant) = listening().await;
    make(&running, 1..=10);
    plant.until_counted(10).await;
    // Another one with the same nodes, in a namespace with another index.
    let pki = tempfile::tempdir().unwrap();
    super::support::copy_keys(running._pki.path(), pki.path());
    let moved = ["urn:moved:one", "urn:moved:two"];
    let server = start_as(pki.path(), test_limits(), 1, vec![Offer::OPEN], &moved).await;
    let next = Running { server, _pki: pki };
    say(&next, "run");
    next.push(&id("number"), value_at(25_i32, DateTime::now()));
    cable.lead_to(next.server.address);
    cable.set(Fault::Cut);
    plant.until_lost().await;
    cable.set(Fault::None);
    plant.until_counted(25).await;
    let kpi = plant.kpi().await;
    assert!(kpi.time.of(LossClass::NoData) > Span::ZERO, "nobody knows what happened meanwhile");
    assert_eq!((kpi.production.parts.good, kpi.production.unattributed.good), (10, 15));
    assert_eq!(plant.resumed(), (2, 0));
    plant.end().await;
}

#[tokio::test]
async fn what_changes_while_everything_is_read_anew_is_not_taken_for_what_was_before() {
    let (running, cable, plant) = listening().await;
    let mut said: Vec<(Timestamp, &str)> = Vec::new();
    let mut machines = vec![running];
    for _ in 0..3 {
        cable.set(Fault::Cut);
        plant.until_lost().await;
        let pki = tempfile::tempdir().unwrap();
        super::support::copy_keys(machines[0]._pki.path(), pki.path());
        let server = start_as(pki.path(), test_limits(), 1, vec![Offer::OPEN], &[]).await;
        let next = Running { server, _pki: pki };
        make(&next, 0..=0);
        // It stops and runs all the time while the plant comes back to it.
        let say_next = |said: &mut Vec<(Timestamp, &str)>| {
            let state = if said.len().is_multiple_of(2) { "stop" } else { "run" };
            let at = next.server.clock.now();
            next.push(&id("text"), value_at(state, date_time(at)));
            said.push((at, state));
        };
        say_next(&mut said);
        cable.lead_to(next.server.address);
        cable.set(Fault::Delay(Duration::from_millis(50)));
        let mut pace = tokio::time::interval(Duration::from_millis(15));
        while !plant.engine.view().machines[&machine_id()].linked {
            pace.tick().await;
            say_next(&mut said);
        }
        if said.len() % 2 == 1 {
            say_next(&mut said);
        }
        cable.set(Fault::None);
        machines.push(next);
    }
    // What is on its way when the cable is cut is not known; what is now will be.
    let last = said.last().map(|(at, _)| *at);
    plant.until(|machine| machine.state_since == last).await;
    let mut known = 0;
    for interval in plant.timeline().await.intervals {
        let Some(state) = interval.state.filter(|_| interval.class != LossClass::NoData) else {
            continue;
        };
        known += 1;
        let word = if state == MachineState::Running { "run" } else { "stop" };
        let begun = said.iter().rfind(|(at, _)| *at <= interval.window.from);
        let then = said.iter().filter(|(at, _)| interval.window.contains(*at));
        let did: Vec<_> = begun.into_iter().chain(then).collect();
        let is_so = did.iter().all(|(_, did)| *did == word) && (!did.is_empty() || word == "run");
        assert!(is_so, "{interval:?} is told, and it did {did:?}");
    }
    assert!(known > 3);
    plant.end().await;
}

#[tokio::test]
async fn a_machine_with_a_new_certificate_is_come_back_to_once_that_is_trusted() {
    let running = Running::new().await;
    ready(&running).await;
    let cable = Cable::to(running.server.address).await;
    let directory = tempfile::tempdir().unwrap();
    super::client::keys(directory.path());
    let trust = |running: &Running, name: &str| {
        let trusted = directory.path().join("trusted");
        std::fs::create_dir_all(&trusted).unwrap();
        std::fs::copy(running._pki.path().join("own/cert.der"), trusted.join(name)).unwrap();
    };
    trust(&running, "first.der");
    let pki = tempfile::tempdir().unwrap();
    let uri = linewright::server::application_uri("Test");
    linewright::channel::pki::create(pki.path(), &uri, &["127.0.0.1".to_owned()]).unwrap();
    let server = super::space::start(pki.path(), test_limits(), 1).await;
    let next = Running { server, _pki: pki };
    trust(&next, "second.der");
    let target = super::client::target(cable.url(), super::client::SECURED);
    let plant = Listening::at(directory, vec![target], Nodes::Plain).await;
    make(&running, 1..=5);
    plant.until_counted(5).await;
    say(&next, "run");
    make(&next, 9..=9);
    cable.lead_to(next.server.address);
    cable.set(Fault::Cut);
    plant.until_lost().await;
    cable.set(Fault::None);
    plant.until_counted(9).await;
    assert_eq!(plant.resumed(), (2, 0));
    plant.end().await;
}

#[tokio::test]
async fn states_that_did_not_fit_into_the_queue_of_a_machine_are_not_known() {
    let (running, cable, plant) = listening().await;
    cable.set(Fault::Cut);
    plant.until_lost().await;
    for _ in 0..800 {
        say(&running, "stop");
        say(&running, "run");
    }
    make(&running, 1..=7);
    cable.set(Fault::None);
    plant.until_counted(7).await;
    plant.until(|machine| machine.state == Some(MachineState::Running)).await;
    let kpi = plant.kpi().await;
    assert!(kpi.time.of(LossClass::NoData) > Span::ZERO, "nobody knows the oldest of them");
    assert_eq!((kpi.production.parts.good, kpi.production.unattributed.good), (7, 0));
    plant.end().await;
}

/// A value that the machine writes down, whoever listens.
pub(super) fn record(running: &Running, node: &NodeId, value: DataValue) {
    running.server.space.record(node, value.clone());
    running.push(node, value);
}

/// Ends the session and subscription of the machine's clients as if it had lost them.
async fn forget_clients(cable: &Cable, running: &Running) -> Running {
    let pki = tempfile::tempdir().unwrap();
    super::support::copy_keys(running._pki.path(), pki.path());
    let server = super::space::start_with(pki.path(), test_limits(), 1, vec![Offer::OPEN]).await;
    let next = Running { server, _pki: pki };
    for node in Nodes::Recorded.ids() {
        for value in running.server.space.history.read().unwrap().get(&node).unwrap() {
            record(&next, &node, value.clone());
        }
    }
    cable.lead_to(next.server.address);
    next
}

#[tokio::test]
async fn the_history_of_a_machine_tells_what_was_missed() {
    let running = Running::new().await;
    let [state, count] = Nodes::Recorded.ids();
    record(&running, &state, value_at("run", DateTime::now()));
    record(&running, &count, value_at(0_i32, DateTime::now()));
    let cable = Cable::to(running.server.address).await;
    let plant = Listening::to(&[cable.url()], Nodes::Recorded).await;
    for number in 1..=10 {
        record(&running, &count, value_at(number, DateTime::now()));
    }
    plant.until_counted(10).await;
    cable.set(Fault::Cut);
    plant.until_lost().await;
    for number in 11..=300 {
        if number == 100 || number == 200 {
            let word = if number == 100 { "stop" } else { "run" };
            record(&running, &state, value_at(word, DateTime::now()));
        }
        record(&running, &count, value_at(number, DateTime::now()));
    }
    let next = forget_clients(&cable, &running).await;
    cable.set(Fault::None);
    plant.until_counted(300).await;
    let kpi = plant.kpi().await;
    // The machine's server has started meanwhile, so it may not have seen everything: what its history
    // knows is told, and the gap stays one.
    assert!(kpi.time.of(LossClass::NoData) > Span::ZERO);
    assert_eq!(kpi.production.parts.good + kpi.production.unattributed.good, 300);
    record(&next, &count, value_at(301_i32, DateTime::now()));
    plant.until_counted(301).await;
    plant.end().await;
}

#[tokio::test]
async fn history_that_reaches_over_a_gap_closes_it() {
    let mut limits = test_limits();
    let short = Duration::from_secs(2);
    (limits.sessions.timeout_min, limits.sessions.timeout_max) = (short, short);
    limits.subscriptions.lifetime_max = short;
    let running = Running::with(limits).await;
    let [state, count] = Nodes::Recorded.ids();
    record(&running, &state, value_at("run", DateTime::now()));
    record(&running, &count, value_at(0_i32, DateTime::now()));
    let cable = Cable::to(running.server.address).await;
    let plant = Listening::to(&[cable.url()], Nodes::Recorded).await;
    record(&running, &count, value_at(1_i32, DateTime::now()));
    plant.until_counted(1).await;
    cable.set(Fault::Cut);
    plant.until_lost().await;
    for number in 2..=1500 {
        if number == 100 || number == 200 {
            let word = if number == 100 { "stop" } else { "run" };
            record(&running, &state, value_at(word, DateTime::now()));
        }
        record(&running, &count, value_at(number, DateTime::now()));
    }
    // The machine forgets us, and what it has kept for us.
    let usage = || running.server.server.services().usage();
    super::support::until(|| usage().sessions == 0 && usage().subscriptions == 0).await;
    cable.set(Fault::None);
    plant.until_counted(1500).await;
    plant.has_all(1500).await;
    assert_eq!(plant.kpi().await.stops.micro_stops, 1);
    plant.end().await;
}

#[tokio::test]
async fn what_a_machine_did_while_the_plant_was_not_running_is_in_its_history() {
    let running = Running::new().await;
    // Its server has run for longer than its clock may have moved.
    let started = std::time::Instant::now();
    super::support::until(|| started.elapsed() > Duration::from_millis(2500)).await;
    let [state, count] = Nodes::Recorded.ids();
    let long_ago = DateTime::from(DateTime::now().ticks() - 600_000_000);
    record(&running, &state, value_at("run", long_ago));
    record(&running, &count, value_at(0_i32, long_ago));
    let urls = [format!("opc.tcp://{}", running.server.address)];
    let plant = Listening::to(&urls, Nodes::Recorded).await;
    for number in 1..=10 {
        record(&running, &count, value_at(number, DateTime::now()));
    }
    plant.until_counted(10).await;
    let meanwhile = async || {
        for number in 11..=300 {
            if number == 100 || number == 200 {
                let word = if number == 100 { "stop" } else { "run" };
                record(&running, &state, value_at(word, DateTime::now()));
            }
            record(&running, &count, value_at(number, DateTime::now()));
        }
    };
    let plant = plant.again(meanwhile, &urls, Nodes::Recorded).await;
    plant.until_counted(300).await;
    plant.has_all(300).await;
    assert_eq!(plant.kpi().await.stops.micro_stops, 1);
    assert_eq!(plant.resumed(), (1, 1), "nothing was missed");
    plant.end().await;
}

#[tokio::test]
async fn a_standby_endpoint_takes_over_when_the_first_is_gone() {
    let running = Running::new().await;
    ready(&running).await;
    let [first, standby] =
        [Cable::to(running.server.address).await, Cable::to(running.server.address).await];
    let plant = Listening::to(&[first.url(), standby.url()], Nodes::Plain).await;
    make(&running, 1..=5);
    plant.until_counted(5).await;
    assert_eq!(standby.connections(), 0);
    first.set(Fault::Cut);
    plant.until_lost().await;
    make(&running, 6..=9);
    plant.until_counted(9).await;
    let board = plant.connections.of(&machine_id());
    assert_eq!(board.endpoint, standby.url());
    plant.end().await;
}

#[tokio::test]
async fn a_machine_whose_sessions_are_all_taken_is_asked_again_until_one_is_free() {
    let (running, cable, plant) = listening().await;
    make(&running, 1..=3);
    plant.until_counted(3).await;
    let mut limits = test_limits();
    limits.sessions.active = 1;
    let full = Running::with(limits).await;
    ready(&full).await;
    let mut other = full.session().await;
    cable.lead_to(full.server.address);
    cable.set(Fault::Cut);
    plant.until_lost().await;
    cable.set(Fault::None);
    let says = || plant.connections.of(&machine_id()).last_error.contains("BadTooManySessions");
    super::support::until(says).await;
    make(&full, 9..=9);
    let close = CloseSessionRequest { request_header: other.header(), delete_subscriptions: true };
    other.call(close).await.unwrap();
    plant.until_counted(9).await;
    plant.end().await;
}

#[tokio::test]
async fn times_that_cannot_be_are_not_believed_and_that_is_shown() {
    let (running, _cable, plant) = listening().await;
    make(&running, 1..=10);
    plant.until_counted(10).await;
    let hour = 36_000_000_000;
    let now = DateTime::now().ticks();
    // In an hour, and in 1990.
    for (number, ticks) in (11..).zip([now + hour, 122_760_000_000_000_000]) {
        running.push(&id("number"), value_at(number, DateTime::from(ticks)));
        plant.until_counted(u64::try_from(number).unwrap()).await;
        let board = plant.connections.of(&machine_id());
        assert!(board.last_error.contains("the clock of signal good"), "{board:?}");
    }
    plant.has_all(12).await;
    make(&running, 13..=13);
    plant.until_counted(13).await;
    let board = plant.connections.of(&machine_id());
    assert!(board.last_error.contains("a year ago"), "somebody can still see it: {board:?}");
    plant.end().await;
}

#[tokio::test]
async fn a_value_that_comes_late_belongs_to_its_own_time() {
    let (running, _cable, plant) = listening().await;
    make(&running, 1..=10);
    let between = DateTime::now();
    make(&running, 12..=20);
    running.push(&id("number"), value_at(11_i32, between));
    // Much later, and still right: the machine's clock says so.
    let long_ago = DateTime::from(between.ticks() - 36_000_000_000);
    running.push(&id("text"), value_at("run", long_ago));
    make(&running, 21..=21);
    plant.until_counted(21).await;
    plant.has_all(21).await;
    plant.end().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_on_moves_nothing_that_was_made() {
    let (running, _cable, plant) = listening().await;
    make(&running, 1..=10);
    plant.until_counted(10).await;
    let mut made = 10;
    for hours in [-3, 5] {
        running.server.clock.set(Span::from_seconds(hours * 3600));
        for _ in 0..20 {
            made += 1;
            let at = date_time(running.server.clock.now());
            running.push(&id("number"), value_at(made, at));
        }
        say_at(&running, "stop");
        say_at(&running, "run");
        plant.until_counted(u64::try_from(made).unwrap()).await;
        let error = || plant.connections.of(&machine_id()).last_error;
        let is_off = "the clock of the machine: is off";
        super::support::until(|| error().contains(is_off)).await;
        running.server.clock.set(Span::ZERO);
        super::support::until(|| !error().contains(is_off)).await;
    }
    plant.has_all(made.into()).await;
    assert_eq!(plant.kpi().await.stops.micro_stops, 2);
    plant.end().await;
}

#[tokio::test]
async fn a_value_that_is_told_twice_counts_once_and_a_bad_one_is_no_value() {
    let (running, _cable, plant) = listening().await;
    make(&running, 1..=3);
    plant.until_counted(3).await;
    let bad = StatusCode::BadSensorFailure;
    let failed = DataValue { status: Some(bad), ..value_at("run", DateTime::now()) };
    running.push(&id("text"), failed);
    plant.until(|machine| machine.state.is_none()).await;
    let board = plant.connections.of(&machine_id());
    assert!(board.last_error.contains("signal state"), "{board:?}");
    say(&running, "run");
    plant.until(|machine| machine.state == Some(MachineState::Running)).await;
    plant.end().await;
}
