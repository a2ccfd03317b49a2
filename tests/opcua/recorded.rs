//! What a machine shows and is recorded: everything once and in order over cables that fail, durable before it
//! is seen, and never as if it were known what nobody heard.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use linewright::app::clock::Clock as _;
use linewright::domain::id::MachineId;
use linewright::domain::time::{Span, Timestamp, Window};
use linewright::machine::mirror::Scope;
use linewright::mirror::{Called, HistoryRead, HistorySlice, Mirror, Remote};
use linewright::sys::WallClock;
use opcua::types::{AttributeId, DataValue, DateTime, NodeId, NumericRange, StatusCode, Variant};

use super::chaos::Fault;
use super::links::record;
use super::listening::Nodes;
use super::mirrors::{Mirrored, path, scope, until};
use super::space::{id, test_limits, value_at, variable};
use super::support::Running;

fn recording() -> Scope {
    Scope { record: vec![path("root/1"), path("root/2")], ..scope() }
}

fn all() -> Window {
    let day = Span::from_seconds(86_400);
    Window { from: WallClock.now() - day, to: WallClock.now() + day }
}

impl Mirrored {
    /// What is recorded of a variable.
    fn recorded(&self, there: &NodeId) -> Vec<DataValue> {
        let kept = self.mirror.kept_values(&self.here(there)).unwrap();
        kept.values(all()).unwrap().into_iter().map(|(_, value)| value).collect()
    }

    fn numbers(&self, there: &NodeId) -> Vec<f64> {
        let all = self.recorded(there);
        let number = |value: &DataValue| match value.value {
            Some(Variant::Double(number)) => Some(number),
            _ => None,
        };
        all.iter().filter_map(number).collect()
    }

    fn statuses(&self, there: &NodeId) -> Vec<StatusCode> {
        self.recorded(there).iter().map(|value| value.status.unwrap()).collect()
    }
}

fn at(value: &DataValue) -> Timestamp {
    let ticks = value.source_timestamp.unwrap().ticks();
    Timestamp::from_ticks(ticks - 116_444_736_000_000_000)
}

#[tokio::test]
async fn everything_is_recorded_once_and_in_order_over_cables_that_break() {
    let mut mirrored = Mirrored::with(test_limits(), recording()).await;
    let node = variable(1);
    // Nobody looks.
    until(|| mirrored.numbers(&node) == [1.0]).await;
    let faults =
        [Fault::Cut, Fault::BlackHole, Fault::CutAfter(700), Fault::HalfClosed, Fault::Cut];
    let mut count = 2_u32;
    for fault in faults {
        mirrored.cable.set(fault);
        for _ in 0..30 {
            mirrored.push(&node, f64::from(count));
            count += 1;
        }
        until(|| !mirrored.mirror.is_up()).await;
        mirrored.cable.set(Fault::None);
        let made: Vec<f64> = (1..count).map(f64::from).collect();
        until(|| mirrored.numbers(&node).len() >= made.len()).await;
        assert_eq!(mirrored.numbers(&node), made, "{fault:?}");
    }
    assert!(mirrored.statuses(&node).iter().all(|status| status.is_good()), "nothing was missed");
    // Those who look see nothing that is not recorded.
    mirrored.want(std::slice::from_ref(&node));
    for _ in 0..20 {
        mirrored.push(&node, f64::from(count));
        let (_, last) = loop {
            let told = mirrored.changes.recv().await.unwrap();
            let own = told.iter().rfind(|(_, value)| value.value == Some(f64::from(count).into()));
            if let Some(own) = own {
                break own.clone();
            }
        };
        assert_eq!(mirrored.recorded(&node).last().unwrap().value, last.value);
        count += 1;
    }
    mirrored.end().await;
}

#[tokio::test]
async fn what_nobody_heard_has_a_mark_and_is_known_again_when_it_is_told() {
    let mirrored = Mirrored::with(test_limits(), recording()).await;
    let node = variable(1);
    until(|| mirrored.numbers(&node) == [1.0]).await;
    let before = DateTime::now();
    mirrored.push(&node, 5.0);
    until(|| mirrored.numbers(&node) == [1.0, 5.0]).await;
    mirrored.cable.set(Fault::Cut);
    until(|| !mirrored.mirror.is_up()).await;
    // Another server is at the end of the cable; its value was set before the loss.
    let other = Running::new().await;
    other.push(&id("text"), value_at("run", DateTime::now()));
    other.push(&id("number"), value_at(0, DateTime::now()));
    other.push(&node, value_at(99.0, before));
    mirrored.cable.lead_to(other.server.address);
    let back = WallClock.now();
    mirrored.cable.set(Fault::None);
    until(|| mirrored.numbers(&node).len() == 3).await;
    assert_eq!(mirrored.numbers(&node), [1.0, 5.0, 99.0]);
    let told = mirrored.recorded(&node);
    let (good, lost) = (StatusCode::Good, StatusCode::BadNoCommunication);
    assert_eq!(mirrored.statuses(&node), [good, good, lost, good]);
    assert!(at(&told[1]) < at(&told[2]) && at(&told[2]) <= back, "unknown from the loss on");
    assert!(at(&told[3]) >= back, "it was not known between the loss and now");
    mirrored.end().await;
}

#[tokio::test]
async fn what_is_recorded_is_there_after_a_restart_with_a_mark_for_the_time_between() {
    let mirrored = Mirrored::with(test_limits(), recording()).await;
    let node = variable(2);
    mirrored.push(&node, 7.0);
    until(|| mirrored.numbers(&node).last() == Some(&7.0)).await;
    let before = mirrored.recorded(&node);
    let Mirrored { running, cable, plant, mirror, changes, .. } = mirrored;
    drop((mirror, changes));
    let urls = [cable.url()];
    let plant = plant.mirroring_again(async || {}, &urls, Nodes::Plain, Some(recording())).await;
    let mirror = plant.mirrors.all().remove(0);
    until(|| mirror.recorded() == 2).await;
    let changes = plant.mirrors.changes();
    let mirrored = Mirrored::of(running, cable, plant, mirror, changes);
    until(|| mirrored.numbers(&node).len() == before.len() + 1).await;
    let after = mirrored.recorded(&node);
    let stored = |value: &DataValue| (value.value.clone(), value.status, value.source_timestamp);
    assert_eq!(
        after[..before.len()].iter().map(stored).collect::<Vec<_>>(),
        before.iter().map(stored).collect::<Vec<_>>()
    );
    let [.., mark, again] = &after[..] else { panic!("{after:?}") };
    assert_eq!(mark.status, Some(StatusCode::BadNoCommunication));
    assert_eq!(again.value, Some(Variant::Double(7.0)));
    assert!(at(again) > at(mark), "it holds again from now on");
    mirrored.end().await;
}

#[tokio::test]
async fn what_nobody_heard_is_read_from_the_history_that_the_machine_keeps() {
    let [_, count] = Nodes::Recorded.ids();
    let scope = Scope { record: vec![path("root/recorded count")], ..scope() };
    let mirrored = Mirrored::with(test_limits(), scope.clone()).await;
    let numbers = |mirrored: &Mirrored| -> Vec<Option<Variant>> {
        mirrored.recorded(&count).into_iter().map(|value| value.value).collect()
    };
    let number = |number: i32| Some(Variant::Int32(number));
    record(&mirrored.running, &count, value_at(1_i32, DateTime::now()));
    until(|| numbers(&mirrored).last() == Some(&number(1))).await;
    let Mirrored { running, cable, plant, mirror, changes, .. } = mirrored;
    drop((mirror, changes));
    let meanwhile = async || {
        for number in 2..=50_i32 {
            record(&running, &count, value_at(number, DateTime::now()));
        }
    };
    let urls = [cable.url()];
    let plant = plant.mirroring_again(meanwhile, &urls, Nodes::Plain, Some(scope)).await;
    let mirror = plant.mirrors.all().remove(0);
    until(|| mirror.recorded() == 1).await;
    let changes = plant.mirrors.changes();
    let mirrored = Mirrored::of(running, cable, plant, mirror, changes);
    let has_all = || {
        let known: Vec<_> = numbers(&mirrored).into_iter().flatten().collect();
        (2..=50_i32).all(|number| known.contains(&Variant::Int32(number)))
    };
    until(has_all).await;
    // After each mark it is said what held then, so that nothing seems to be unknown.
    let told = mirrored.recorded(&count);
    let marks = told.iter().enumerate().filter(|(_, value)| value.value.is_none());
    let marks: Vec<_> = marks.map(|(place, _)| place).collect();
    assert!(!marks.is_empty());
    for mark in marks {
        let next = told.iter().skip(mark + 1).find(|value| value.value.is_some()).unwrap();
        assert_eq!(at(next), at(&told[mark]), "{:?}", told);
    }
    let known = told.iter().filter_map(|value| value.value.clone());
    let mut known: Vec<_> = known.collect();
    known.dedup();
    assert_eq!(
        known.iter().rev().take(50).rev().cloned().map(Some).collect::<Vec<_>>(),
        (1..=50).map(number).collect::<Vec<_>>()
    );
    mirrored.end().await;
}

/// A machine that is reached and not asked.
struct Reached;

#[async_trait]
impl Remote for Reached {
    async fn read(&self, _: &[NodeId]) -> Vec<DataValue> {
        Vec::new()
    }
    async fn write(&self, _: &NodeId, _: &NumericRange, _: &Variant) -> StatusCode {
        StatusCode::BadNotSupported
    }
    async fn call(&self, _: &NodeId, _: &NodeId, _: &[Variant]) -> Called {
        Called::default()
    }
    async fn history(&self, _: &HistoryRead) -> Result<HistorySlice, StatusCode> {
        Err(StatusCode::BadHistoryOperationUnsupported)
    }
}

#[tokio::test]
async fn a_link_that_is_begun_anew_while_the_program_runs_marks_that_time_and_no_other() {
    let mirrored = Mirrored::with(test_limits(), recording()).await;
    let (mirrors, node) = (mirrored.plant.mirrors.clone(), mirrored.here(&variable(1)));
    let begin = || {
        let machine = MachineId::parse("M9").unwrap();
        let mirror = mirrors.begin(&machine, Span::ZERO, String::new(), Duration::ZERO);
        mirror.record(std::slice::from_ref(&node), mirrors.namespaces()).unwrap();
        mirror.up(Arc::new(Reached), false);
        mirror
    };
    let values = |mirror: &Mirror| mirror.kept_values(&node).unwrap().values(all()).unwrap();
    let value = Arc::new(value_at(5.0, DateTime::now()));
    let mirror = begin();
    let before = values(&mirror).len();
    mirror.changed(vec![(node.clone(), value.clone())]);
    until(|| values(&mirror).len() == before + 1).await;
    mirrors.end(&mirror);
    let ended = WallClock.now();
    let mirror = begin();
    mirror.changed(vec![(node.clone(), value)]);
    until(|| {
        values(&mirror).last().is_some_and(|(at, value)| *at >= ended && value.value.is_some())
    })
    .await;
    let after = values(&mirror);
    let marks = after[before + 1..after.len() - 1].iter();
    assert!(marks.clone().count() > 0 && marks.clone().all(|(_, mark)| mark.value.is_none()));
    assert_eq!(after[before].1.value, Some(Variant::Double(5.0)));
    mirrors.end(&mirror);
    mirrored.end().await;
}

#[tokio::test]
async fn a_recorded_variable_has_a_history_and_others_have_none() {
    let mirrored = Mirrored::with(test_limits(), recording()).await;
    let copy = mirrored.mirror.take_copy().unwrap();
    let find = |there: &NodeId| copy.nodes.iter().find(|node| node.id == mirrored.here(there));
    let recorded = find(&variable(1)).unwrap();
    let Some(Variant::Byte(access)) = recorded.attribute(AttributeId::AccessLevel) else {
        panic!("{recorded:?}")
    };
    assert_eq!(access & 4, 4, "its history can be read");
    let historizing = recorded.attribute(AttributeId::Historizing);
    assert_eq!(historizing, Some(&Variant::Boolean(true)));
    assert!(mirrored.mirror.kept_values(&mirrored.here(&variable(3))).is_none());
    assert_eq!(mirrored.mirror.recorded(), 2);
    mirrored.end().await;
}

#[tokio::test]
async fn what_is_recorded_is_watched_however_others_come_and_go() {
    let mut mirrored = Mirrored::with(test_limits(), recording()).await;
    until(|| mirrored.numbers(&variable(1)).len() == 1).await;
    let before = mirrored.items();
    mirrored.want(&[variable(1), variable(3)]);
    mirrored.told(&variable(3), 1).await;
    mirrored.want(&[]);
    // The other one is given up.
    until(|| mirrored.items() == before).await;
    for number in 10..20 {
        mirrored.push(&variable(1), f64::from(number));
    }
    until(|| mirrored.numbers(&variable(1)).last() == Some(&19.0)).await;
    assert_eq!(mirrored.numbers(&variable(1)).len(), 11);
    mirrored.end().await;
}
