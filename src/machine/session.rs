//! One connection to a machine, from its begin to its end.
//!
//! A session that breaks is never repaired: the next one reads everything anew, so that what is
//! known after a break was read after it, and what lies between is a marked gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opcua::client::Session;
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DataValue, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, QualifiedName,
    ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use tokio::sync::mpsc;

use super::collector::{Arrived, Collector};
use super::connect::{REQUEST_TIMEOUT, client, open};
use super::link::MachineLink;
use super::value;
use super::{MachineConnection, Watched};
use crate::app::connection::{ConnectionState, ProcessValue};
use crate::app::engine::MachineInput;
use crate::domain::evidence::{LinkChange, Observation};
use crate::domain::signal::counter::CounterKind;
use crate::domain::signal::{Reading, Signal, SignalRole, SignalRule, Unusable, is_bad};
use crate::domain::time::{Span, Timestamp};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the machine is asked whether it still answers.
const WATCHDOG_INTERVAL: Duration = Duration::from_secs(1);
/// How long the first values of all items may take.
const FIRST_VALUES_TIMEOUT: Duration = Duration::from_secs(5);
/// Values that may wait to be forwarded; beyond that the session is given up and a gap marked.
const VALUE_QUEUE: usize = 16_384;
/// Values that the machine keeps for us between two notifications.
const SERVER_QUEUE: u32 = 1000;
/// A sensor that fails again and again has a line in the log this often.
const SAME_ITEM_LOGGED_AGAIN: Span = Span::from_seconds(600);
const SUBSCRIPTION_LIFETIME: u32 = 600;
const SUBSCRIPTION_KEEP_ALIVE: u32 = 10;
/// Items created with one request, unless the machine allows fewer.
const ITEMS_PER_REQUEST: usize = 500;

/// How a session ended.
pub struct Ended {
    /// The last contact, if values had arrived.
    pub lost_at: Option<Timestamp>,
    /// Why, in plain words.
    pub error: String,
}

impl Ended {
    fn before_values(error: impl Into<String>) -> Ended {
        Ended { lost_at: None, error: error.into() }
    }
}

/// Connects and forwards values until the connection breaks or everything stops.
pub async fn run(link: &MachineLink, connection: &MachineConnection) -> Ended {
    let client = match client(connection) {
        Ok(client) => client,
        Err(error) => return Ended::before_values(error),
    };
    let opened = tokio::time::timeout(CONNECT_TIMEOUT, open(client, connection)).await;
    let open = match opened {
        Ok(Ok(open)) => open,
        Ok(Err(error)) => return Ended::before_values(error),
        Err(_) => return Ended::before_values("no answer in time; is the machine switched on?"),
    };
    let mut forward = Forward::new(link, connection, &open.session);
    let ended = tokio::select! {
        ended = forward.run() => ended,
        () = lost(open.lost) => forward.ended("the connection broke"),
        () = link.stop.cancelled() => forward.ended("stopped"),
    };
    // A hung machine must not hold up the next attempt.
    let _ = tokio::time::timeout(Duration::from_secs(1), open.session.disconnect()).await;
    open.events.abort();
    ended
}

async fn lost(receiver: tokio::sync::oneshot::Receiver<()>) {
    let _ = receiver.await;
}

/// Forwards the values of one session.
struct Forward<'a> {
    link: &'a MachineLink,
    connection: &'a MachineConnection,
    session: &'a Session,
    /// The machine's clock less ours.
    skew: Span,
    /// The machine's time when the session began.
    began: Timestamp,
    last_contact: Timestamp,
    is_up: bool,
    last_state_at: Option<Timestamp>,
    /// What is wrong with items at present, by their name.
    problems: BTreeMap<String, String>,
    /// When something wrong was last logged, by the item.
    logged: BTreeMap<String, Timestamp>,
}

impl<'a> Forward<'a> {
    fn new(link: &'a MachineLink, connection: &'a MachineConnection, session: &'a Session) -> Self {
        let now = link.clock.now();
        Forward {
            link,
            connection,
            session,
            skew: Span::ZERO,
            began: now,
            last_contact: now,
            is_up: false,
            last_state_at: None,
            problems: BTreeMap::new(),
            logged: BTreeMap::new(),
        }
    }

    fn ended(&self, error: impl Into<String>) -> Ended {
        let lost_at = self.is_up.then(|| self.machine_time(self.last_contact));
        Ended { lost_at, error: error.into() }
    }

    /// Our time on the machine's clock, unless that is too far off.
    fn machine_time(&self, at: Timestamp) -> Timestamp {
        if self.uses_own_time() { at } else { at + self.skew }
    }

    fn uses_own_time(&self) -> bool {
        self.skew.ticks().unsigned_abs() > self.connection.clock_skew_max.ticks().unsigned_abs()
    }

    async fn run(&mut self) -> Ended {
        let (sender, mut values) = mpsc::channel(VALUE_QUEUE);
        let overflowed = Arc::new(AtomicBool::new(false));
        let collector = Collector { values: sender, overflowed: overflowed.clone() };
        let watched = match self.subscribe(collector).await {
            Ok(watched) => watched,
            Err(error) => return self.ended(error),
        };
        if let Err(error) = self.first_values(watched, &mut values).await {
            return self.ended(error);
        }
        let mut watchdog = tokio::time::interval(WATCHDOG_INTERVAL);
        watchdog.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                arrived = values.recv() => {
                    let Some(arrived) = arrived else {
                        return self.ended("the subscription ended");
                    };
                    if let Err(error) = self.forward(arrived, false).await {
                        return self.ended(error);
                    }
                }
                _ = watchdog.tick() => {
                    if let Err(error) = self.is_alive().await {
                        return self.ended(error);
                    }
                }
            }
            if overflowed.load(Ordering::Relaxed) && values.is_empty() {
                return self.ended("values were lost because more arrived than could be stored");
            }
        }
    }

    /// Reads the clock and the namespaces and asks for all items; the indices of those watched.
    async fn subscribe(&mut self, collector: Collector) -> Result<Vec<usize>, String> {
        let namespaces = self.begin().await?;
        let publishing = self.connection.publishing_interval.ticks().unsigned_abs();
        let subscription = self
            .session
            .create_subscription(
                Duration::from_nanos(publishing * 100),
                SUBSCRIPTION_LIFETIME,
                SUBSCRIPTION_KEEP_ALIVE,
                0,
                0,
                true,
                collector,
            )
            .await
            .map_err(|error| format!("the machine gives no subscription: {error}"))?;
        let mut requests = Vec::new();
        for (index, (watched, node)) in self.connection.items.iter().enumerate() {
            match node.id(&namespaces) {
                Ok(node) => requests.push((index, node)),
                Err(error) => {
                    self.cannot_watch(watched, StatusCode::BadNodeIdUnknown, error).await?;
                }
            }
        }
        let limit = self.items_per_request().await;
        let mut watched = Vec::new();
        for chunk in requests.chunks(limit) {
            watched.extend(self.create_items(subscription, chunk).await?);
        }
        Ok(watched)
    }

    /// Reads what must be known before any value can be understood.
    async fn begin(&mut self) -> Result<Vec<String>, String> {
        let sent = self.link.clock.now();
        let read = self
            .session
            .read(
                &[
                    read_id(VariableId::Server_ServerStatus_CurrentTime),
                    read_id(VariableId::Server_NamespaceArray),
                ],
                TimestampsToReturn::Neither,
                0.0,
            )
            .await
            .map_err(|error| format!("the machine cannot be read: {error}"))?;
        let now = self.link.clock.now();
        let middle = sent + Span::from_ticks((now - sent).ticks() / 2);
        let clock = read.first().and_then(|value| match &value.value {
            Some(Variant::DateTime(time)) => value::timestamp(time),
            _ => None,
        });
        self.skew = clock.map_or(Span::ZERO, |clock| clock - middle);
        self.began = self.machine_time(now);
        self.last_contact = now;
        let names = read.get(1).and_then(|value| value.value.as_ref());
        let Some(Variant::Array(array)) = names else {
            return Err("the machine has no namespace array".into());
        };
        let name = |value: &Variant| match value {
            Variant::String(text) => text.as_ref().to_owned(),
            _ => String::new(),
        };
        Ok(array.values.iter().map(name).collect())
    }

    async fn items_per_request(&self) -> usize {
        let limit = VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall;
        let read = self.session.read(&[read_id(limit)], TimestampsToReturn::Neither, 0.0).await;
        let value = read.ok().and_then(|values| values.into_iter().next());
        match value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Variant::UInt32(limit)) if *limit > 0 => {
                usize::try_from(*limit).map_or(ITEMS_PER_REQUEST, |l| l.min(ITEMS_PER_REQUEST))
            }
            _ => ITEMS_PER_REQUEST,
        }
    }

    async fn create_items(
        &mut self,
        subscription: u32,
        chunk: &[(usize, NodeId)],
    ) -> Result<Vec<usize>, String> {
        let mut pending: Vec<(usize, NodeId)> = chunk.to_vec();
        let mut watched = Vec::new();
        for with_filter in [true, false] {
            if pending.is_empty() {
                break;
            }
            let requests =
                pending.iter().map(|(index, node)| self.request(*index, node, with_filter));
            let created = self
                .session
                .create_monitored_items(subscription, TimestampsToReturn::Both, requests.collect())
                .await
                .map_err(|error| format!("the machine refuses to watch items: {error}"))?;
            let mut again = Vec::new();
            for ((index, node), created) in pending.into_iter().zip(created) {
                match created.result.status_code {
                    status if status.is_good() => watched.push(index),
                    // Some servers know no filter on some types; then every change must do.
                    StatusCode::BadMonitoredItemFilterUnsupported
                    | StatusCode::BadFilterNotAllowed
                    | StatusCode::BadMonitoredItemFilterInvalid
                        if with_filter =>
                    {
                        again.push((index, node));
                    }
                    status => {
                        let item = &self.connection.items[index].0;
                        self.cannot_watch(item, status, format!("{node}: {status}")).await?;
                    }
                }
            }
            pending = again;
        }
        Ok(watched)
    }

    fn request(
        &self,
        index: usize,
        node: &NodeId,
        with_filter: bool,
    ) -> MonitoredItemCreateRequest {
        let filter = DataChangeFilter {
            trigger: DataChangeTrigger::StatusValue,
            deadband_type: 0,
            deadband_value: 0.0,
        };
        let filter = if with_filter {
            ExtensionObject::from_message(filter)
        } else {
            ExtensionObject::null()
        };
        let sampling = self.connection.sampling_interval.ticks() as f64 / 10_000.0;
        MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: node.clone(),
                attribute_id: AttributeId::Value as u32,
                index_range: Default::default(),
                data_encoding: QualifiedName::null(),
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: u32::try_from(index + 1).unwrap_or(u32::MAX),
                sampling_interval: sampling,
                filter,
                queue_size: SERVER_QUEUE,
                discard_oldest: true,
            },
        }
    }

    /// Notes a signal that cannot be watched; from now on nothing is known about it.
    async fn cannot_watch(
        &mut self,
        watched: &Watched,
        status: StatusCode,
        why: String,
    ) -> Result<(), String> {
        let (status, at) = (status.bits(), self.began);
        self.problems.insert(watched.to_string(), why.clone());
        match watched {
            Watched::Signal(signal) => {
                let raw = crate::domain::signal::RawValue::Other(why);
                let reading = Reading::Unusable(Unusable::BadStatus);
                let observation = self.observation(signal.role, at, status, (raw, reading));
                self.deliver(MachineInput::Observed(observation)).await
            }
            Watched::ProcessValue(name) => {
                let shown = ProcessValue { value: None, status, at };
                self.link.connections.show(&self.connection.machine, name, shown);
                Ok(())
            }
        }
    }

    /// Waits for the first value of every item, then tells that the link is up.
    async fn first_values(
        &mut self,
        watched: Vec<usize>,
        values: &mut mpsc::Receiver<Arrived>,
    ) -> Result<(), String> {
        let mut missing: BTreeSet<usize> = watched.into_iter().collect();
        let deadline = tokio::time::Instant::now() + FIRST_VALUES_TIMEOUT;
        while !missing.is_empty() {
            match tokio::time::timeout_at(deadline, values.recv()).await {
                Ok(Some(arrived)) => {
                    let is_first = missing.remove(&arrived.item);
                    self.forward(arrived, is_first).await?;
                }
                Ok(None) => return Err("the subscription ended".into()),
                Err(_) => break,
            }
        }
        for index in missing {
            let watched = &self.connection.items[index].0;
            let status = StatusCode::BadWaitingForInitialData;
            self.cannot_watch(watched, status, "no first value arrived".into()).await?;
        }
        let machine = self.connection.machine.clone();
        let change = LinkChange { machine, at: self.began, seq: 0, up: true };
        self.deliver(MachineInput::Linked(change)).await?;
        self.is_up = true;
        self.show_connected();
        Ok(())
    }

    fn show_connected(&self) {
        let now = self.link.clock.now();
        let machine = &self.connection.machine;
        if self.problems.is_empty() {
            tracing::info!(%machine, "connected");
        } else {
            tracing::warn!(%machine, "connected, but {}", self.problem_text());
        }
        self.link.connections.update(machine, |board| {
            board.since = now;
            board.connects += 1;
            board.clock_skew = self.skew;
            board.items = self.connection.items.len() as u64;
        });
        self.show_problems();
    }

    fn problem_text(&self) -> String {
        let problems = self.problems.iter().map(|(item, why)| format!("{item}: {why}"));
        problems.collect::<Vec<_>>().join("; ")
    }

    fn show_problems(&self) {
        let text = self.problem_text();
        self.link.connections.update(&self.connection.machine, |board| {
            board.state = if text.is_empty() {
                ConnectionState::Connected
            } else {
                ConnectionState::Degraded
            };
            board.last_error = text;
        });
    }

    /// Notes whether something is wrong. Every change is shown; what comes and goes is not logged
    /// each time.
    fn note(&mut self, what: String, problem: Option<String>) {
        if problem.as_ref() == self.problems.get(&what) {
            return;
        }
        match problem {
            None => drop(self.problems.remove(&what)),
            Some(why) => {
                let now = self.link.clock.now();
                if self.logged.get(&what).is_none_or(|&last| now - last >= SAME_ITEM_LOGGED_AGAIN) {
                    tracing::warn!(machine = %self.connection.machine, "{what}: {why}");
                    self.logged.insert(what.clone(), now);
                }
                self.problems.insert(what, why);
            }
        }
        if self.is_up {
            self.show_problems();
        }
    }

    async fn is_alive(&mut self) -> Result<(), String> {
        let state = read_id(VariableId::Server_ServerStatus_State);
        let nodes = [state];
        let read = self.session.read(&nodes, TimestampsToReturn::Neither, 0.0);
        let values = match tokio::time::timeout(REQUEST_TIMEOUT, read).await {
            Ok(Ok(values)) => values,
            Ok(Err(error)) => return Err(format!("the machine does not answer: {error}")),
            Err(_) => {
                return Err("the machine has hung: it keeps the connection, yet is silent".into());
            }
        };
        let running = values.first().and_then(|value| value.value.as_ref());
        match running {
            Some(Variant::Int32(0)) | None => {
                self.last_contact = self.link.clock.now();
                Ok(())
            }
            Some(other) => Err(format!("the machine's server is not running (state {other})")),
        }
    }

    async fn forward(&mut self, arrived: Arrived, is_first: bool) -> Result<(), String> {
        let now = self.link.clock.now();
        self.last_contact = now;
        let connection = self.connection;
        self.link.connections.update(&connection.machine, |board| {
            board.values += 1;
            board.last_value = Some(now);
        });
        let watched = &connection.items[arrived.item].0;
        let at = self.time(watched, &arrived.value, now);
        // What is read first holds now, whenever it changed; that is what ends a gap.
        // A batch was told when it was told: the same report read again is known.
        let is_batch = matches!(
            watched,
            Watched::Signal(Signal { rule: SignalRule::Count(rule), .. })
                if rule.kind == CounterKind::Batch
        );
        let at = if is_first && !is_batch { at.max(self.began) } else { at };
        match watched {
            Watched::Signal(signal) => {
                self.forward_signal(watched, signal, at, &arrived.value).await
            }
            Watched::ProcessValue(name) => {
                self.show_process_value(watched, name, at, &arrived.value);
                Ok(())
            }
        }
    }

    /// When a value was so. A source time that cannot be is not believed, and that is shown.
    fn time(&mut self, watched: &Watched, arrived: &DataValue, now: Timestamp) -> Timestamp {
        let machine_now = self.machine_time(now);
        let Some(source) = value::source_time(arrived).filter(|_| !self.uses_own_time()) else {
            return machine_now;
        };
        // Nothing can be known before it happens.
        if source <= machine_now + self.connection.clock_skew_max {
            return source;
        }
        let why = "has told times that have not come yet; ours are used instead";
        self.note(format!("the clock of {watched}"), Some(why.into()));
        machine_now
    }

    fn show_process_value(
        &mut self,
        watched: &Watched,
        name: &str,
        at: Timestamp,
        arrived: &DataValue,
    ) {
        let number = value::number(arrived);
        let status = match value::status(arrived) {
            status if number.is_none() && !is_bad(status) => StatusCode::BadTypeMismatch.bits(),
            status => status,
        };
        let problem = is_bad(status).then(|| StatusCode::from(status).to_string());
        self.note(watched.to_string(), problem);
        let shown = ProcessValue { value: number, status, at };
        self.link.connections.show(&self.connection.machine, name, shown);
    }

    async fn forward_signal(
        &mut self,
        watched: &Watched,
        signal: &Signal,
        at: Timestamp,
        arrived: &DataValue,
    ) -> Result<(), String> {
        if signal.role == SignalRole::State {
            if value::has_overflowed(arrived) {
                self.mark_lost_states().await?;
            }
            self.last_state_at = Some(at);
        }
        let status = value::status(arrived);
        let raw = value::raw_value(arrived);
        let reading = signal.read(&raw, status);
        let problem = match &reading {
            Reading::Unusable(Unusable::BadStatus) => Some(StatusCode::from(status).to_string()),
            Reading::Unusable(why) => Some(format!("{}, {raw}", why.as_str())),
            _ => None,
        };
        self.note(watched.to_string(), problem);
        let observation = self.observation(signal.role, at, status, (raw, reading));
        self.deliver(MachineInput::Observed(observation)).await
    }

    /// States were lost in the machine's queue: what held after the last one is not known.
    async fn mark_lost_states(&mut self) -> Result<(), String> {
        let Some(last) = self.last_state_at else {
            return Ok(());
        };
        let raw = crate::domain::signal::RawValue::Other("states lost in the queue".into());
        let reading = Reading::Unusable(Unusable::BadStatus);
        let status = StatusCode::BadDataLost.bits();
        let at = last + Span::from_ticks(1);
        let observation = self.observation(SignalRole::State, at, status, (raw, reading));
        self.deliver(MachineInput::Observed(observation)).await
    }

    fn observation(
        &self,
        role: SignalRole,
        at: Timestamp,
        status: u32,
        (raw, reading): (crate::domain::signal::RawValue, Reading),
    ) -> Observation {
        let machine = self.connection.machine.clone();
        let received = self.link.clock.now();
        Observation { machine, role, at, received, seq: 0, status, raw, reading }
    }

    async fn deliver(&self, input: MachineInput) -> Result<(), String> {
        self.link.engine.deliver(input).await.map_err(|error| error.to_string())
    }
}

fn read_id(variable: VariableId) -> ReadValueId {
    ReadValueId::from(NodeId::from(variable))
}
