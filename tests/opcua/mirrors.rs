//! What a machine shows of itself, over cables that fail: everything that is watched is told once and in
//! order, within the machine's limits, and nothing is said to be good that may have changed unheard.

use std::sync::Arc;
use std::time::Duration;

use linewright::app::clock::Clock as _;
use linewright::domain::time::{Span, Timestamp};
use linewright::machine::Name;
use linewright::machine::client::{Credentials, Protection, Target};
use linewright::machine::mirror::Scope;
use linewright::mirror::{Changes, Copy, Mirror, Mirrors, Wanted};
use linewright::server::limits::Limits;
use linewright::sys::WallClock;
use opcua::types::{DataValue, DateTime, NodeId, NumericRange, StatusCode, Variant};

use super::chaos::{Cable, Fault};
use super::listening::{Listening, Nodes, machine_id};
use super::space::{id, test_limits, value_at, variable};
use super::support::Running;

pub(super) fn path(path: &str) -> Vec<Name> {
    let name = |name: &str| Name { namespace: None, name: name.to_owned() };
    path.split('/').map(name).collect()
}

pub(super) fn scope() -> Scope {
    Scope {
        include: vec![path("root")],
        types: Vec::new(),
        exclude: vec![path("root/plant"), path("root/texts")],
        write: vec![path("root/writable")],
        call: Vec::new(),
        record: Vec::new(),
        record_every: None,
        events: false,
        nodes_max: 100,
        timeout: Span::from_seconds(5),
        linger: Span::from_millis(1500),
    }
}

/// A machine over a cable, and its mirror.
pub(super) struct Mirrored {
    pub(super) running: Running,
    pub(super) cable: Cable,
    pub(super) plant: Listening,
    pub(super) mirror: Arc<Mirror>,
    pub(super) changes: Changes,
    /// What was told, in order.
    told: Vec<(NodeId, Arc<DataValue>)>,
}

impl Mirrored {
    async fn new() -> Mirrored {
        Mirrored::with(test_limits(), scope()).await
    }

    pub(super) async fn with(limits: Limits, scope: Scope) -> Mirrored {
        let running = Running::with(limits).await;
        running.push(&id("text"), value_at("run", DateTime::now()));
        running.push(&id("number"), value_at(0, DateTime::now()));
        let cable = Cable::to(running.server.address).await;
        let target = Target {
            url: cable.url(),
            protection: Protection::NONE,
            pinned: None,
            credentials: Credentials::Anonymous,
            name: "test".into(),
        };
        let directory = tempfile::tempdir().unwrap();
        let plant = Listening::mirroring(directory, vec![target], Nodes::Plain, Some(scope)).await;
        let mirror = plant.mirrors.all().remove(0);
        let changes = plant.mirrors.changes();
        let mirrored = Mirrored { running, cable, plant, mirror, changes, told: Vec::new() };
        until(|| mirrored.mirror.is_up()).await;
        mirrored
    }

    /// A machine over a cable, and a plant that listens to it already.
    pub(super) fn of(
        running: Running,
        cable: Cable,
        plant: Listening,
        mirror: Arc<Mirror>,
        changes: Changes,
    ) -> Mirrored {
        Mirrored { running, cable, plant, mirror, changes, told: Vec::new() }
    }

    /// The id here of a variable there.
    pub(super) fn here(&self, there: &NodeId) -> NodeId {
        let uris = self.plant.mirrors.namespaces().all();
        let uri = "urn:linewright:ua:source:M1:urn:test";
        let index = uris.iter().position(|known| known == uri).unwrap();
        NodeId { namespace: u16::try_from(index).unwrap(), identifier: there.identifier.clone() }
    }

    pub(super) fn want(&self, nodes: &[NodeId]) {
        let wanted: Wanted = nodes.iter().map(|node| (self.here(node), Duration::ZERO)).collect();
        self.mirror.want(Arc::new(wanted));
    }

    fn value(&self, there: &NodeId) -> Option<Arc<DataValue>> {
        self.mirror.value(&self.here(there), WallClock.now())
    }

    fn status(&self, there: &NodeId) -> Option<StatusCode> {
        self.value(there).map(|value| value.status.unwrap_or_default())
    }

    pub(super) fn push(&self, there: &NodeId, value: impl Into<Variant>) {
        self.running.push(there, value_at(value, DateTime::now()));
    }

    /// What was told of a variable, as soon as that is so many values.
    pub(super) async fn told(&mut self, there: &NodeId, count: usize) -> Vec<Variant> {
        let here = self.here(there);
        loop {
            let of_it = self.told.iter().filter(|(node, _)| *node == here);
            let values: Vec<_> = of_it.filter_map(|(_, value)| value.value.clone()).collect();
            if values.len() >= count {
                return values;
            }
            let next = tokio::time::timeout(Duration::from_secs(20), self.changes.recv()).await;
            let batch = next.unwrap_or_else(|_| panic!("only {values:?}")).unwrap();
            self.told.extend(batch.iter().cloned());
        }
    }

    /// Items that the machine has.
    pub(super) fn items(&self) -> usize {
        self.running.server.server.services().usage().items
    }

    pub(super) async fn end(self) {
        self.plant.end().await;
    }
}

pub(super) async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not become so");
}

fn doubles(range: std::ops::Range<u32>) -> Vec<Variant> {
    range.map(|number| Variant::from(f64::from(number))).collect()
}

#[tokio::test]
async fn the_nodes_that_are_wanted_are_copied_with_what_is_below_them_and_no_others() {
    let mirrored = Mirrored::new().await;
    let copy = mirrored.mirror.take_copy().unwrap();
    let find = |there: &NodeId| copy.nodes.iter().find(|node| node.id == mirrored.here(there));
    assert_eq!(copy.roots, [mirrored.here(&id("root"))]);
    for there in [id("root"), variable(3), id("ranged"), id("ranged/EURange"), id("writable")] {
        assert!(find(&there).is_some(), "{there}");
    }
    for left_out in [id("plant"), id("plant/line/machine"), id("texts")] {
        assert!(find(&left_out).is_none(), "{left_out}");
    }
    let allowed: Vec<_> =
        copy.nodes.iter().filter(|node| node.is_allowed).map(|node| node.id.clone()).collect();
    // The machine lets anonymous users write nothing.
    assert!(allowed.is_empty(), "{allowed:?}");
    let root = find(&id("root")).unwrap();
    let leads_to = |there: &NodeId| {
        root.references.iter().any(|one| one.forward && one.target == mirrored.here(there))
    };
    assert!(leads_to(&variable(3)) && !leads_to(&id("texts")));
    mirrored.end().await;
}

#[tokio::test]
async fn the_nodes_of_a_machine_are_there_again_before_it_is_reached() {
    let mirrored = Mirrored::new().await;
    let first = mirrored.mirror.take_copy().unwrap();
    let (namespaces, directory) =
        (mirrored.plant.mirrors.namespaces().clone(), mirrored.plant.directory.path().to_owned());
    let again =
        Mirrors::new(namespaces.clone(), Some(directory.clone()), Arc::new(WallClock), None);
    let mirror = again.begin(&machine_id(), Span::from_seconds(10), scope().key(), Duration::ZERO);
    let copy = mirror.take_copy().unwrap();
    let sorted = |copy: &Copy| {
        let mut nodes: Vec<_> = copy.nodes.iter().map(|node| format!("{node:?}")).collect();
        nodes.sort();
        nodes
    };
    assert_eq!((sorted(&copy), &copy.roots), (sorted(&first), &first.roots));
    let waits = mirror.value(&mirrored.here(&variable(1)), WallClock.now()).unwrap();
    assert_eq!((waits.status, &waits.value), (Some(StatusCode::BadWaitingForInitialData), &None));
    // What was copied otherwise, or not written to its end, is no copy.
    let less = Scope { exclude: Vec::new(), ..scope() };
    let other = again.begin(&machine_id(), Span::from_seconds(10), less.key(), Duration::ZERO);
    assert!(other.take_copy().is_none());
    let file = directory.join("M1.copy");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let cut = again.begin(&machine_id(), Span::from_seconds(10), scope().key(), Duration::ZERO);
    assert!(cut.take_copy().is_none());
    mirrored.end().await;
}

#[tokio::test]
async fn a_mirror_has_no_more_nodes_than_are_allowed_and_says_so() {
    let few = Scope { nodes_max: 5, ..scope() };
    let mirrored = Mirrored::with(test_limits(), few).await;
    assert_eq!(mirrored.mirror.take_copy().unwrap().nodes.len(), 5);
    let board = mirrored.plant.connections.of(&machine_id());
    assert_eq!(
        (board.mirrored, &*board.mirror_note),
        (5, "there are more than 5 nodes; some are not mirrored")
    );
    mirrored.end().await;
}

#[tokio::test]
async fn a_variable_is_watched_while_somebody_looks_and_a_while_longer() {
    let mut mirrored = Mirrored::new().await;
    let before = mirrored.items();
    assert_eq!(mirrored.value(&variable(1)), None, "nobody knows without asking");
    mirrored.want(&[variable(1), variable(2)]);
    mirrored.told(&variable(1), 1).await;
    mirrored.told(&variable(2), 1).await;
    assert_eq!(mirrored.items(), before + 2);
    // Somebody goes and comes again before it is given up.
    mirrored.want(&[variable(2)]);
    mirrored.want(&[variable(1), variable(2)]);
    mirrored.push(&variable(1), 7.5);
    assert_eq!(mirrored.told(&variable(1), 2).await[1], Variant::Double(7.5));
    mirrored.want(&[variable(2)]);
    until(|| mirrored.items() == before + 1).await;
    assert_eq!(mirrored.value(&variable(1)), None, "its last value says nothing of it now");
    assert_eq!(mirrored.status(&variable(2)), Some(StatusCode::Good));
    mirrored.end().await;
}

#[tokio::test]
async fn everything_is_told_once_and_in_order_over_cables_that_break() {
    let mut mirrored = Mirrored::new().await;
    let node = variable(1);
    mirrored.want(std::slice::from_ref(&node));
    mirrored.told(&node, 1).await;
    let faults =
        [Fault::Cut, Fault::BlackHole, Fault::CutAfter(700), Fault::HalfClosed, Fault::Cut];
    let mut count = 2;
    for fault in faults {
        mirrored.cable.set(fault);
        for _ in 0..30 {
            mirrored.push(&node, f64::from(count));
            count += 1;
        }
        until(|| !mirrored.mirror.is_up()).await;
        mirrored.cable.set(Fault::None);
        let told = mirrored.told(&node, usize::try_from(count).unwrap() - 1).await;
        let mut once = told.clone();
        // What held before the loss is told again with its own time when it holds again.
        once.dedup();
        assert_eq!(once, doubles(1..u32::try_from(count).unwrap()), "{fault:?}");
        mirrored.told.retain({
            let mut last = None;
            move |(_, value)| std::mem::replace(&mut last, value.value.clone()) != value.value
        });
    }
    mirrored.end().await;
}

#[tokio::test]
async fn what_is_wanted_while_the_machine_hangs_is_watched_when_it_is_heard_again() {
    let mut mirrored = Mirrored::new().await;
    mirrored.want(&[variable(1)]);
    mirrored.told(&variable(1), 1).await;
    mirrored.cable.set(Fault::BlackHole);
    // It is asked for, and the link is given up before the machine has answered.
    mirrored.want(&[variable(1), variable(2)]);
    until(|| !mirrored.mirror.is_up()).await;
    // What is in the cable never arrives.
    mirrored.cable.cut_once().await;
    mirrored.told(&variable(2), 1).await;
    mirrored.push(&variable(2), 7.5);
    assert_eq!(mirrored.told(&variable(2), 2).await[1], Variant::Double(7.5));
    mirrored.end().await;
}

#[tokio::test]
async fn a_lost_machine_is_uncertain_then_bad_and_good_only_when_it_has_spoken() {
    let mut mirrored = Mirrored::new().await;
    let node = variable(1);
    mirrored.want(std::slice::from_ref(&node));
    mirrored.told(&node, 1).await;
    let good = mirrored.value(&node).unwrap();
    mirrored.cable.set(Fault::Cut);
    until(|| !mirrored.mirror.is_up()).await;
    let uncertain = mirrored.value(&node).unwrap();
    assert_eq!(uncertain.status, Some(StatusCode::UncertainNoCommunicationLastUsableValue));
    assert_eq!(uncertain.value, good.value);
    assert_eq!(uncertain.source_timestamp, good.source_timestamp);
    assert_eq!(mirrored.status(&variable(2)), Some(StatusCode::BadNoCommunication));
    until(|| mirrored.status(&node) == Some(StatusCode::BadNoCommunication)).await;
    assert_eq!(mirrored.value(&node).unwrap().value, None);
    assert!(mirrored.mirror.remote().is_none());
    // Another server is at the end of the cable: what the first one said does not hold.
    let other = Running::new().await;
    other.push(&id("text"), value_at("run", DateTime::now()));
    other.push(&id("number"), value_at(0, DateTime::now()));
    other.push(&node, value_at(99.0, DateTime::now()));
    mirrored.cable.lead_to(other.server.address);
    mirrored.cable.set(Fault::None);
    until(|| mirrored.mirror.is_up()).await;
    let told = mirrored.value(&node);
    assert!(told.is_none_or(|told| told.value == Some(Variant::Double(99.0))));
    until(|| mirrored.status(&node) == Some(StatusCode::Good)).await;
    assert_eq!(mirrored.value(&node).unwrap().value, Some(Variant::Double(99.0)));
    mirrored.end().await;
}

#[tokio::test]
async fn a_machine_that_takes_few_items_of_a_subscription_gets_several() {
    let mut limits = test_limits();
    limits.subscriptions.items_per_subscription = 4;
    let mut mirrored = Mirrored::with(limits, scope()).await;
    let nodes: Vec<_> = (0..10).map(variable).collect();
    mirrored.want(&nodes);
    for node in &nodes {
        mirrored.told(node, 1).await;
    }
    // Every subscription goes on after a loss.
    mirrored.cable.set(Fault::Cut);
    until(|| !mirrored.mirror.is_up()).await;
    nodes.iter().for_each(|node| mirrored.push(node, 1000.0));
    mirrored.cable.set(Fault::None);
    for node in &nodes {
        until(|| mirrored.value(node).is_some_and(|v| v.value == Some(Variant::Double(1000.0))))
            .await;
    }
    mirrored.end().await;
}

#[tokio::test]
async fn a_machine_that_makes_no_second_subscription_counts_on_and_says_why_it_is_not_watched() {
    let mut limits = test_limits();
    limits.subscriptions.per_session = 1;
    let mirrored = Mirrored::with(limits, scope()).await;
    mirrored.want(&[variable(1)]);
    until(|| mirrored.status(&variable(1)) == Some(StatusCode::BadTooManySubscriptions)).await;
    mirrored.push(&id("number"), 7);
    mirrored.plant.until_counted(7).await;
    assert_eq!(mirrored.plant.resumed().0, 1, "the link was not broken by that");
    mirrored.end().await;
}

#[tokio::test]
async fn what_a_machine_refuses_to_watch_says_why() {
    let mirrored = Mirrored::new().await;
    mirrored.want(&[id("nowhere"), id("root"), variable(1)]);
    until(|| mirrored.status(&variable(1)) == Some(StatusCode::Good)).await;
    until(|| mirrored.status(&id("nowhere")) == Some(StatusCode::BadNodeIdUnknown)).await;
    until(|| mirrored.status(&id("root")) == Some(StatusCode::BadAttributeIdInvalid)).await;
    mirrored.end().await;
}

#[tokio::test]
async fn a_machine_is_read_and_written_as_if_it_were_ours() {
    let mirrored = Mirrored::new().await;
    let remote = mirrored.mirror.remote().unwrap();
    let nodes = [id("array"), id("nowhere"), id("text")].map(|there| mirrored.here(&there));
    let read = remote.read(&nodes).await;
    assert_eq!(read[0].value, Some(Variant::from(vec![1_i32, 2, 3, 4])));
    assert_eq!(read[1].status, Some(StatusCode::BadNodeIdUnknown));
    assert_eq!(read[2].value, Some(Variant::from("run")));
    let age = WallClock.now()
        - linewright::channel::time::timestamp(&read[0].server_timestamp.unwrap()).unwrap();
    assert!(age < Span::from_seconds(10), "it came just now");
    let status =
        remote.write(&mirrored.here(&id("writable")), &NumericRange::None, &1.5.into()).await;
    assert_eq!(status, StatusCode::BadSecurityModeInsufficient, "the machine has the last word");
    mirrored.cable.set(Fault::BlackHole);
    let began = WallClock.now();
    let read = remote.read(&nodes[..1]).await;
    let bad = [StatusCode::BadTimeout, StatusCode::BadNoCommunication];
    assert!(bad.contains(&read[0].status.unwrap()), "{:?}", read[0]);
    assert!(lasted(began) < Span::from_seconds(10));
    mirrored.end().await;
}

fn lasted(since: Timestamp) -> Span {
    WallClock.now() - since
}
