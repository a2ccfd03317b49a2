//! Hearing the events of a machine: one item at its Server object, with all fields of all of its types, and
//! the machine's conditions anew whenever some may have been missed (Part 9 §5.5.7).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opcua::types::{
    AttributeId, Context, EventFilter, ExtensionObject, LocalizedText, MethodId,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ObjectId,
    ObjectTypeId, QualifiedName, ReadValueId, SimpleAttributeOperand, StatusCode, Variant,
};

use super::common::Common;
use super::event_types::{EventTypes, Field};
use super::mapping::{Mapping, To};
use crate::channel::time::date_time;
use crate::domain::time::Timestamp;
use crate::machine::client::{Failure, Session, Watching};
use crate::mirror::{Fields, Happened, Mirror, Path, event_id};

/// Events that the machine is asked to keep while it cannot tell them.
const QUEUE: u32 = 10_000;
/// How often a machine is asked for all of its conditions at most.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a machine may take to begin with it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a text of an event.
const TEXT_MAX: usize = 4096;

/// The fields of every event, in the order in which they are asked for (Part 5 §6.4.2); the condition comes
/// right behind them.
const BASE: [&str; 7] =
    ["EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity"];

/// How the events of a machine are heard.
pub struct Hearing {
    common: Common,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    types: Arc<EventTypes>,
    /// Where the other fields are here.
    fields: Arc<Fields>,
    standing: Standing,
    /// How often an item was asked for: each has another client handle, so that one whose making nobody has
    /// confirmed is not heard beside the next one.
    asked: u32,
    /// How often all conditions were to be told anew, and how often that had been so when they were last asked for.
    wanted: u32,
    done: u32,
    refreshed: Option<Instant>,
    /// Whether the machine says that its nodes have changed.
    is_otherwise: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Standing {
    /// Nothing is to be heard.
    #[default]
    Off,
    /// It is to be heard.
    Wanted,
    /// It is heard in a subscription.
    Heard(u32),
    /// The machine does not tell them.
    Refused,
}

impl State {
    /// The client handle of the item; items of variables count from 1 on.
    fn handle(&self) -> u32 {
        u32::MAX - self.asked
    }
}

/// Asking for the item; given up in between, it is asked for again.
struct Asking<'a> {
    hearing: &'a Hearing,
    is_over: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.hearing.state();
            (state.standing, state.asked) = (Standing::Wanted, state.asked.wrapping_add(1));
        }
    }
}

impl Hearing {
    /// Nothing is heard yet.
    pub fn new(common: Common) -> Hearing {
        Hearing { common, state: Mutex::default() }
    }

    /// What it has in common with other machines.
    pub fn common(&self) -> &Common {
        &self.common
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of these types are to be heard.
    pub fn want(&self, types: EventTypes) {
        let types = self.common.types.one(types);
        let mut state = self.state();
        state.types = types;
        if state.standing == Standing::Off {
            state.standing = Standing::Wanted;
        }
    }

    /// Whether an item is to be made.
    pub fn is_wanted(&self) -> bool {
        self.state().standing == Standing::Wanted
    }

    /// Whether events are heard.
    pub fn is_heard(&self) -> bool {
        matches!(self.state().standing, Standing::Heard(_))
    }

    /// A subscription is gone; whether events were heard in it.
    pub fn lost(&self, subscription: u32) -> bool {
        let mut state = self.state();
        let was_there = state.standing == Standing::Heard(subscription);
        if was_there {
            state.standing = Standing::Wanted;
        }
        was_there
    }

    /// The machine tells no events.
    pub fn refuse(&self) {
        self.state().standing = Standing::Refused;
    }

    /// Makes the item in a subscription; gives what is to be said of it, in plain words.
    pub async fn begin(
        &self,
        session: &Session,
        subscription: u32,
        mapping: &Mapping,
    ) -> Result<Option<String>, Failure> {
        let (fields, limit) = (by_rank(&self.state().types), session.limits().select_clauses);
        let mut count = fields.len().min(limit.saturating_sub(BASE.len() + 1));
        let mut asking = Asking { hearing: self, is_over: false };
        let refused = loop {
            let chosen = &fields[..count];
            let handle = {
                let fields = self.common.fields.one(Fields::new(paths_here(chosen, mapping)));
                let mut state = self.state();
                state.fields = fields;
                (state.standing, state.asked) =
                    (Standing::Heard(subscription), state.asked.wrapping_add(1));
                state.handle()
            };
            let watching = match session.watch(subscription, &[request(chosen, handle)]).await {
                Ok(mut watching) => watching.pop(),
                Err(failure) if failure.is_broken() => return Err(failure),
                Err(failure) => Some(Watching::refused(failure.status)),
            };
            match watching {
                Some(Watching { status, .. }) if !status.is_bad() => {
                    asking.is_over = true;
                    let mut state = self.state();
                    state.wanted = state.wanted.wrapping_add(1);
                    let all = fields.len();
                    let is_cut = count < all;
                    return Ok(is_cut.then(|| {
                        format!(
                            "events come with {count} of {all} fields; the machine takes no more"
                        )
                    }));
                }
                // Some machines say only by refusing how many they take.
                _ if count > 0 => count /= 2,
                Some(Watching { status, .. }) => break status,
                None => break StatusCode::BadUnknownResponse,
            }
        };
        asking.is_over = true;
        self.refuse();
        Ok(Some(format!("the machine does not tell its events ({refused})")))
    }

    /// Asks for all conditions where that is to be done.
    pub async fn refresh(
        &self,
        session: &Session,
        mirror: &Mirror,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let (subscription, wanted) = {
            let mut state = self.state();
            let Standing::Heard(subscription) = state.standing else { return Ok(()) };
            let is_early = state.refreshed.is_some_and(|last| last.elapsed() < PAUSE);
            if state.wanted == state.done || is_early {
                return Ok(());
            }
            state.refreshed = Some(Instant::now());
            (subscription, state.wanted)
        };
        let (object, method): (NodeId, NodeId) =
            (ObjectTypeId::ConditionType.into(), MethodId::ConditionType_ConditionRefresh.into());
        match session.call(object, method, vec![subscription.into()], PATIENCE).await {
            // It tells them to somebody else just now.
            Ok(called) if called.status == StatusCode::BadRefreshInProgress => return Ok(()),
            Ok(called) if called.status.is_bad() => mirror.no_refresh(now),
            Ok(_) => {}
            Err(failure) if failure.is_broken() => return Err(failure),
            Err(_) => mirror.no_refresh(now),
        }
        // Not before it has answered: whoever is interrupted asks again.
        self.state().done = wanted;
        Ok(())
    }

    /// Whether all conditions are to be told anew, some time.
    pub fn wants_refresh(&self) -> bool {
        let state = self.state();
        state.wanted != state.done && matches!(state.standing, Standing::Heard(_))
    }

    /// Whether the machine has said that its nodes are otherwise, since it was last asked.
    pub fn take_otherwise(&self) -> bool {
        std::mem::take(&mut self.state().is_otherwise)
    }

    /// Takes events that the machine tells; whether something is to be done because of them.
    pub fn take(
        &self,
        events: &[(u32, Vec<Variant>)],
        mapping: &Mapping,
        mirror: &Mirror,
        (context, now): (&Context<'_>, Timestamp),
    ) -> bool {
        let mut state = self.state();
        let mut happened = Vec::new();
        let known = state.fields.clone();
        let tell = |happened: &mut Vec<Happened>| {
            if !happened.is_empty() {
                mirror.happened(std::mem::take(happened));
            }
        };
        let mut is_to_do = false;
        let own = state.handle();
        for (_, fields) in events.iter().filter(|(handle, _)| *handle == own) {
            let kind = match fields.get(1) {
                Some(Variant::NodeId(kind)) => (**kind).clone(),
                _ => ObjectTypeId::BaseEventType.into(),
            };
            match meaning(&kind) {
                Meaning::RefreshBegins => {
                    tell(&mut happened);
                    mirror.refresh_begins();
                }
                Meaning::RefreshEnds => {
                    tell(&mut happened);
                    mirror.refresh_ends(now);
                }
                Meaning::RefreshWanted => {
                    (state.wanted, is_to_do) = (state.wanted.wrapping_add(1), true);
                }
                Meaning::Missed => {
                    (state.wanted, is_to_do) = (state.wanted.wrapping_add(1), true);
                    tell(&mut happened);
                    let why = "the machine has lost events because there were too many";
                    mirror.events_missed(now, why.into());
                }
                Meaning::Otherwise => (state.is_otherwise, is_to_do) = (true, true),
                Meaning::Event => {
                    let reading = Reading { mapping, mirror, types: &state.types, context, now };
                    happened.extend(reading.event(fields, kind, &known));
                }
            }
        }
        tell(&mut happened);
        is_to_do
    }
}

/// What a type of events means for who listens.
enum Meaning {
    Event,
    RefreshBegins,
    RefreshEnds,
    RefreshWanted,
    Missed,
    Otherwise,
}

fn meaning(kind: &NodeId) -> Meaning {
    let is = |one: ObjectTypeId| *kind == one;
    match () {
        () if is(ObjectTypeId::RefreshStartEventType) => Meaning::RefreshBegins,
        () if is(ObjectTypeId::RefreshEndEventType) => Meaning::RefreshEnds,
        () if is(ObjectTypeId::RefreshRequiredEventType) => Meaning::RefreshWanted,
        () if is(ObjectTypeId::EventQueueOverflowEventType) => Meaning::Missed,
        () if is(ObjectTypeId::GeneralModelChangeEventType)
            || is(ObjectTypeId::BaseModelChangeEventType)
            || is(ObjectTypeId::SemanticChangeEventType) =>
        {
            Meaning::Otherwise
        }
        () => Meaning::Event,
    }
}

/// What an event is read with.
struct Reading<'a> {
    mapping: &'a Mapping,
    mirror: &'a Mirror,
    types: &'a EventTypes,
    context: &'a Context<'a>,
    now: Timestamp,
}

impl Reading<'_> {
    /// An event in the words of our server; none if it is not to be told on.
    fn event(&self, fields: &[Variant], kind: NodeId, known: &Arc<Fields>) -> Option<Happened> {
        let machine = &self.mirror.machine;
        let id = match fields.first()? {
            Variant::ByteString(id) => event_id(machine, id)?,
            // Without a name it cannot be told from others.
            _ => return None,
        };
        let condition = match fields.get(BASE.len()) {
            Some(Variant::NodeId(id)) if !id.is_null() => Some((**id).clone()),
            _ => None,
        };
        let source = match fields.get(2) {
            Some(Variant::NodeId(source)) => (**source).clone(),
            _ => NodeId::null(),
        };
        let is_told = self.mapping.is_all()
            || source.is_null()
            || source == ObjectId::Server
            || self.mapping.is_own(&source)
            || condition.as_ref().is_some_and(|id| self.mapping.is_own(id));
        if !is_told || self.types.left_out.contains(&kind) {
            return None;
        }
        let (time, received) = match fields.get(4) {
            Some(Variant::DateTime(time)) => (**time, date_time(self.now)),
            _ => (date_time(self.now), date_time(self.now)),
        };
        let values = fields.iter().skip(BASE.len() + 1).cloned();
        let mut values: Vec<_> =
            values.map(|value| self.mapping.value(value, To::Here, self.context)).collect();
        values.resize(known.count(), Variant::Empty);
        Some(Happened {
            machine: machine.clone(),
            id,
            kind: self.kind(kind, condition.is_some()),
            source: match self.mapping.is_own(&source) {
                true => self.mapping.here(&source),
                false => NodeId::null(),
            },
            source_name: text(fields.get(3)),
            time,
            received,
            message: message(fields.get(5)),
            severity: severity(fields.get(6)),
            condition: condition.map(|id| self.mapping.here(&id)).filter(|id| !id.is_null()),
            fields: known.clone(),
            values,
        })
    }

    /// The type of an event here. One that the machine does not describe is told as what it is for sure.
    fn kind(&self, kind: NodeId, is_condition: bool) -> NodeId {
        match self.types.types.contains(&kind) {
            true => self.mapping.here(&kind),
            false if is_condition => ObjectTypeId::ConditionType.into(),
            false => ObjectTypeId::BaseEventType.into(),
        }
    }
}

fn text(value: Option<&Variant>) -> String {
    match value {
        Some(Variant::String(text)) => bounded(text.as_ref()),
        _ => String::new(),
    }
}

fn message(value: Option<&Variant>) -> LocalizedText {
    match value {
        Some(Variant::LocalizedText(text)) => {
            LocalizedText { locale: text.locale.clone(), text: bounded(text.text.as_ref()).into() }
        }
        _ => LocalizedText::null(),
    }
}

fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_MAX);
    text[..end].to_owned()
}

fn severity(value: Option<&Variant>) -> u16 {
    match value {
        // Whatever it is; some machines say 0.
        Some(Variant::UInt16(severity)) => *severity,
        _ => 1,
    }
}

/// The fields besides those of every event, the most important ones first: what conditions are, what the machine
/// has of its own, then the rest.
fn by_rank(types: &EventTypes) -> Vec<Field> {
    let is_asked_for = |field: &&Field| {
        let name = field.path.first().map_or("", |name| name.name.as_ref());
        let is_of_all = field.of_type == ObjectTypeId::BaseEventType && field.path.len() == 1;
        !(is_of_all && (BASE.contains(&name) || name == "ReceiveTime"))
    };
    let conditions: [NodeId; 3] = [
        ObjectTypeId::ConditionType.into(),
        ObjectTypeId::AcknowledgeableConditionType.into(),
        ObjectTypeId::AlarmConditionType.into(),
    ];
    let rank = |field: &Field| match field {
        Field { of_type, .. } if conditions.contains(of_type) => 0,
        Field { of_type, .. } if of_type.namespace > 0 => 1,
        _ => 2,
    };
    let mut fields: Vec<_> = types.fields.iter().filter(is_asked_for).cloned().collect();
    fields.sort_by_key(rank);
    fields
}

fn paths_here(fields: &[Field], mapping: &Mapping) -> Vec<Path> {
    let here = |field: &Field| field.path.iter().map(|name| mapping.name_here(name)).collect();
    fields.iter().map(here).collect()
}

fn clause(
    of_type: NodeId,
    path: Vec<QualifiedName>,
    attribute: AttributeId,
) -> SimpleAttributeOperand {
    SimpleAttributeOperand {
        type_definition_id: of_type,
        browse_path: Some(path),
        attribute_id: attribute as u32,
        index_range: opcua::types::NumericRange::None,
    }
}

fn request(fields: &[Field], handle: u32) -> MonitoredItemCreateRequest {
    let base = |name: &&str| {
        let path = vec![QualifiedName::new(0, *name)];
        clause(ObjectTypeId::BaseEventType.into(), path, AttributeId::Value)
    };
    let mut select: Vec<_> = BASE.iter().map(base).collect();
    select.push(clause(ObjectTypeId::ConditionType.into(), Vec::new(), AttributeId::NodeId));
    let others = fields.iter().cloned();
    select.extend(others.map(|field| clause(field.of_type, field.path, AttributeId::Value)));
    let filter = EventFilter { select_clauses: Some(select), ..EventFilter::default() };
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: ObjectId::Server.into(),
            attribute_id: AttributeId::EventNotifier as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle,
            sampling_interval: 0.0,
            filter: ExtensionObject::from_message(filter),
            queue_size: QUEUE,
            discard_oldest: true,
        },
    }
}
