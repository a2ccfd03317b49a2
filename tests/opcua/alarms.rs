//! What happens at a machine, over cables that fail: every event is told once and in order, or it is told that
//! some may be missing; and no condition is said to hold when nobody knows.

use std::sync::Arc;
use std::time::Duration;

use linewright::app::clock::Clock as _;
use linewright::machine::mirror::Scope;
use linewright::mirror::{Events, Happened, Mirror, event_id_there};
use linewright::server::limits::Limits;
use linewright::server::space::Event;
use linewright::sys::WallClock;
use opcua::types::{DateTime, NodeId, ObjectTypeId, QualifiedName, StatusCode, Variant};

use super::chaos::Fault;
use super::mirrors::{Mirrored, scope, until};
use super::space::{id, test_limits};

fn with_events() -> Scope {
    Scope { events: true, ..scope() }
}

fn happened(number: u32) -> Event {
    let source = (id("root"), "root");
    let at = DateTime::from(i64::from(number) * 10_000_000);
    Event::new(ObjectTypeId::SystemEventType, source, at, 500, number.to_string())
}

/// A condition of the machine as it tells it.
fn condition(name: &str, is_retained: bool) -> Event {
    let source = (id("root"), "root");
    let event = Event::new(ObjectTypeId::AlarmConditionType, source, DateTime::now(), 700, name);
    Event { condition: Some(id(name)), ..event }
        .with("Retain", is_retained)
        .with("BranchId", NodeId::null())
        .with("ConditionName", name)
        .with("Quality", StatusCode::Good)
}

/// A machine whose events are heard.
struct Heard {
    mirrored: Mirrored,
    events: Events,
    told: Vec<Arc<Happened>>,
}

impl Heard {
    async fn new() -> Heard {
        Heard::with(test_limits(), with_events()).await
    }

    async fn with(limits: Limits, scope: Scope) -> Heard {
        let mirrored = Mirrored::with(limits, scope).await;
        let events = mirrored.plant.mirrors.events();
        let heard = Heard { mirrored, events, told: Vec::new() };
        until(|| heard.mirror().has_events()).await;
        heard
    }

    fn mirror(&self) -> &Mirror {
        &self.mirrored.mirror
    }

    fn emit(&self, event: &Event) {
        self.mirrored.running.server.server.services().emit(event);
    }

    fn set_conditions(&self, conditions: Vec<Event>) {
        *self.mirrored.running.server.space.conditions.write().unwrap() = conditions;
    }

    /// Waits for an event.
    async fn until(&mut self, is_it: impl Fn(&Happened) -> bool) -> Arc<Happened> {
        loop {
            if let Some(found) = self.told.iter().find(|one| is_it(one)) {
                return found.clone();
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
            let texts = || self.told.iter().map(|one| one.message.to_string()).collect::<Vec<_>>();
            let batch = next.unwrap_or_else(|_| panic!("only {:?}", texts())).unwrap();
            self.told.extend(batch.iter().cloned());
        }
    }

    /// The numbers of the events that were told.
    fn numbers(&self) -> Vec<u32> {
        self.told.iter().filter_map(|one| one.message.text.as_ref().parse().ok()).collect()
    }

    /// The quality of what is retained.
    fn retained(&self) -> Vec<StatusCode> {
        let all = self.mirror().retained(WallClock.now());
        all.iter().map(quality).collect()
    }

    async fn lose(&self) {
        self.mirrored.cable.set(Fault::Cut);
        until(|| !self.mirror().is_up()).await;
    }

    async fn end(self) {
        self.mirrored.end().await;
    }
}

fn field<'a>(happened: &'a Happened, name: &str) -> Option<&'a Variant> {
    happened.field(&[QualifiedName::new(0, name)])
}

fn quality(happened: &Happened) -> StatusCode {
    match field(happened, "Quality") {
        Some(Variant::StatusCode(status)) => *status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_are_told_with_the_machines_own_words_and_ids_of_ours() {
    let mut heard = Heard::new().await;
    let event = happened(7).with("SystemState", 1_i32);
    heard.emit(&event);
    let told = heard.until(|one| one.message.text.as_ref() == "7").await;
    assert_eq!(told.kind, NodeId::from(ObjectTypeId::SystemEventType));
    assert_eq!(told.source, heard.mirrored.here(&id("root")));
    assert_eq!((told.source_name.as_str(), told.severity), ("root", 500));
    assert_eq!(told.time, event.time, "by the clock of the machine");
    assert!(told.received > event.time);
    assert_eq!(event_id_there(&heard.mirror().machine, &told.id), Some(event.id));
    assert_eq!(told.condition, None);
    // What is not mirrored tells nothing; what is about the machine as a whole does.
    let left_out = Event { source: id("texts"), ..happened(8) };
    heard.emit(&left_out);
    let of_server = Event { source: opcua::types::ObjectId::Server.into(), ..happened(9) };
    heard.emit(&of_server);
    let told = heard.until(|one| one.message.text.as_ref() == "9").await;
    assert!(told.source.is_null());
    assert_eq!(heard.numbers(), [7, 9]);
    heard.end().await;
}

#[tokio::test]
async fn events_are_told_once_and_in_order_over_cables_that_break() {
    let mut heard = Heard::new().await;
    let mut count = 0;
    for fault in [Fault::Cut, Fault::BlackHole, Fault::CutAfter(700), Fault::HalfClosed] {
        heard.mirrored.cable.set(fault);
        for _ in 0..20 {
            heard.emit(&happened(count));
            count += 1;
        }
        until(|| !heard.mirror().is_up()).await;
        heard.mirrored.cable.set(Fault::None);
        let last = (count - 1).to_string();
        heard.until(|one| one.message.text.as_ref() == last).await;
        assert_eq!(heard.numbers(), (0..count).collect::<Vec<_>>(), "{fault:?}");
    }
    let is_missing = |one: &&Arc<Happened>| one.kind == ObjectTypeId::EventQueueOverflowEventType;
    assert_eq!(heard.told.iter().filter(is_missing).count(), 0, "none was missing");
    heard.end().await;
}

#[tokio::test]
async fn where_the_machine_has_begun_anew_events_may_be_missing_and_conditions_are_asked_for() {
    let mut heard = Heard::new().await;
    heard.set_conditions(vec![condition("hot", true), condition("dry", true)]);
    for name in ["hot", "dry"] {
        heard.emit(&condition(name, true));
        heard.until(|one| one.message.text.as_ref() == name).await;
    }
    heard.lose().await;
    // Another server is at the end of the cable, with one of them only.
    let other = super::support::Running::new().await;
    for (name, value) in [("text", Variant::from("run")), ("number", Variant::from(0))] {
        other.push(&id(name), super::space::value_at(value, DateTime::now()));
    }
    *other.server.space.conditions.write().unwrap() = vec![condition("hot", true)];
    heard.mirrored.cable.lead_to(other.server.address);
    heard.mirrored.cable.set(Fault::None);
    heard.until(|one| one.kind == ObjectTypeId::EventQueueOverflowEventType).await;
    let is_over = |one: &Happened| field(one, "Retain") == Some(&Variant::Boolean(false));
    let over = heard.until(is_over).await;
    assert_eq!(over.condition, Some(heard.mirrored.here(&id("dry"))));
    until(|| heard.retained() == [StatusCode::Good]).await;
    heard.end().await;
}

#[tokio::test]
async fn conditions_of_a_lost_machine_are_doubted_until_it_is_heard_again() {
    let mut heard = Heard::new().await;
    heard.set_conditions(vec![condition("hot", true)]);
    heard.emit(&condition("hot", true));
    let told = heard.until(|one| one.message.text.as_ref() == "hot").await;
    assert_eq!(heard.retained(), [StatusCode::Good]);
    heard.lose().await;
    assert_eq!(heard.retained(), [StatusCode::UncertainNoCommunicationLastUsableValue]);
    until(|| heard.retained() == [StatusCode::BadNoCommunication]).await;
    heard.mirror().tell_doubt(WallClock.now());
    heard.mirror().tell_doubt(WallClock.now());
    let doubted = heard.until(|one| field(one, "Quality").is_some() && quality(one).is_bad()).await;
    assert_ne!(doubted.id, told.id);
    assert_eq!(doubted.condition, told.condition);
    heard.told.clear();
    heard.mirrored.cable.set(Fault::None);
    let again = heard.until(|one| one.condition.is_some()).await;
    assert_eq!((quality(&again), again.id.clone()), (StatusCode::Good, told.id.clone()));
    assert_eq!(heard.retained(), [StatusCode::Good]);
    // It is over when the machine says so.
    heard.emit(&condition("hot", false));
    until(|| heard.retained().is_empty()).await;
    heard.end().await;
}

#[tokio::test]
async fn a_machine_that_takes_few_fields_tells_the_most_important_ones() {
    let mut limits = test_limits();
    limits.subscriptions.select_clauses = 30;
    let mut heard = Heard::with(limits, with_events()).await;
    until(|| heard.mirrored.plant.note().contains("the machine takes no more")).await;
    heard.set_conditions(vec![condition("hot", true)]);
    heard.emit(&condition("hot", true));
    let told = heard.until(|one| one.message.text.as_ref() == "hot").await;
    assert_eq!((quality(&told), field(&told, "SystemState")), (StatusCode::Good, None));
    heard.end().await;
}

#[tokio::test]
async fn a_machine_that_makes_no_second_subscription_is_mirrored_without_events() {
    let mut limits = test_limits();
    limits.subscriptions.per_session = 1;
    let mirrored = Mirrored::with(limits, with_events()).await;
    until(|| mirrored.plant.note().contains("does not tell its events (BadTooManySubscriptions"))
        .await;
    assert!(!mirrored.mirror.has_events());
    mirrored.push(&id("number"), 7);
    mirrored.plant.until_counted(7).await;
    mirrored.end().await;
}
