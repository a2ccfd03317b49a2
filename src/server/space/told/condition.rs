//! Conditions (Part 9): their fields in events, their nodes, and their methods. Fields and nodes have
//! the same names and the same values.

use opcua::types::{LocalizedText, NodeId, ObjectTypeId, StatusCode, Variant};

use super::event::{Teller, event_id, number_of, optional_time};
use crate::app::engine::{Actor, CommandError, EngineHandle};
use crate::domain::command::{Command, ConditionCommand};
use crate::domain::id::{MachineId, ReasonId};
use crate::domain::notice::condition::{ConditionSource, SHELVED_LONGEST, Since};
use crate::domain::notice::{
    Condition, ConditionAction, ConditionId, ConditionRefusal, Matter, Notice, Shelving,
};
use crate::domain::plant::Plant;
use crate::domain::rejection::Rejection;
use crate::domain::role::Permission;
use crate::domain::time::{Span, TICKS_PER_MILLISECOND, Timestamp};
use crate::server::space::CallOutcome;
use crate::server::space::event::Event;
use crate::server::space::protection::Asker;

/// Methods of conditions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConditionMethod {
    Acknowledge,
    Confirm,
    AddComment,
    Enable,
    Disable,
    TimedShelve,
    OneShotShelve,
    Unshelve,
}

impl ConditionMethod {
    /// The method of a name.
    pub fn parse(name: &str) -> Option<ConditionMethod> {
        Some(match name {
            "Acknowledge" => ConditionMethod::Acknowledge,
            "Confirm" => ConditionMethod::Confirm,
            "AddComment" => ConditionMethod::AddComment,
            "Enable" => ConditionMethod::Enable,
            "Disable" => ConditionMethod::Disable,
            "TimedShelve" => ConditionMethod::TimedShelve,
            "OneShotShelve" => ConditionMethod::OneShotShelve,
            "Unshelve" => ConditionMethod::Unshelve,
            _ => return None,
        })
    }

    /// As what a call is audited (Part 9 §5.10).
    pub fn audit(self) -> ObjectTypeId {
        match self {
            ConditionMethod::Acknowledge => ObjectTypeId::AuditConditionAcknowledgeEventType,
            ConditionMethod::Confirm => ObjectTypeId::AuditConditionConfirmEventType,
            ConditionMethod::AddComment => ObjectTypeId::AuditConditionCommentEventType,
            ConditionMethod::Enable | ConditionMethod::Disable => {
                ObjectTypeId::AuditConditionEnableEventType
            }
            _ => ObjectTypeId::AuditConditionShelvingEventType,
        }
    }

    /// What a caller must be allowed.
    pub fn permission(self) -> Permission {
        match self {
            ConditionMethod::Enable | ConditionMethod::Disable => Permission::ManageAlarms,
            _ => Permission::ClassifyStops,
        }
    }
}

/// The conditions of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConditionKind {
    /// Stops that have to be explained.
    Stop,
    /// The link.
    Link,
}

impl ConditionKind {
    /// The condition of a machine.
    pub fn of(self, machine: &MachineId) -> ConditionSource {
        match self {
            ConditionKind::Stop => ConditionSource::Stops(machine.clone()),
            ConditionKind::Link => ConditionSource::Link(machine.clone()),
        }
    }

    /// Name of its type.
    pub fn type_name(self) -> &'static str {
        match self {
            ConditionKind::Stop => "UnexplainedStopAlarmType",
            ConditionKind::Link => "LinkAlarmType",
        }
    }

    /// A condition of some machine to which nothing has happened.
    fn quiet(self, machine: &MachineId) -> Condition {
        let id = match self {
            ConditionKind::Stop => ConditionId::Stop(machine.clone(), Timestamp::MIN),
            ConditionKind::Link => ConditionId::Link(machine.clone()),
        };
        Condition::quiet(id, Timestamp::MIN)
    }

    /// The newest branch of a condition among all conditions; a quiet one where there is none.
    pub fn newest(self, machine: &MachineId, conditions: &[Condition]) -> Condition {
        let source = self.of(machine);
        let of_source = conditions.iter().filter(|condition| condition.id.source() == source);
        let newest = of_source.max_by(|a, b| a.id.cmp(&b.id)).cloned();
        newest.unwrap_or_else(|| self.quiet(machine))
    }
}

/// The path of a condition below its machine.
fn path_of(source: &ConditionSource) -> String {
    let machine = source.machine();
    match source {
        ConditionSource::Stops(_) => format!("machine/{machine}/UnexplainedStop"),
        ConditionSource::Link(_) => format!("machine/{machine}/Connection/LinkAlarm"),
    }
}

/// Fields that every condition of ours has in events, by their paths.
const FIELDS: [&str; 37] = [
    "ConditionClassId",
    "ConditionClassName",
    "ConditionName",
    "BranchId",
    "Retain",
    "EnabledState",
    "EnabledState/Id",
    "EnabledState/TransitionTime",
    "Quality",
    "Quality/SourceTimestamp",
    "LastSeverity",
    "LastSeverity/SourceTimestamp",
    "Comment",
    "Comment/SourceTimestamp",
    "ClientUserId",
    "AckedState",
    "AckedState/Id",
    "AckedState/TransitionTime",
    "ConfirmedState",
    "ConfirmedState/Id",
    "ConfirmedState/TransitionTime",
    "ActiveState",
    "ActiveState/Id",
    "ActiveState/TransitionTime",
    "ActiveState/EffectiveDisplayName",
    "InputNode",
    "SuppressedOrShelved",
    "MaxTimeShelved",
    "NormalState",
    "ShelvingState/CurrentState",
    "ShelvingState/CurrentState/Id",
    "ShelvingState/UnshelveTime",
    "SupportsFilteredRetain",
    "Line",
    "Machine",
    "StopStart",
    "State",
];
/// Of these, those that our own types declare.
const OWN: [&str; 4] = ["Line", "Machine", "StopStart", "State"];

impl Teller<'_> {
    /// The event of a condition.
    pub(super) fn condition(&self, notice: &Notice, condition: &Condition) -> Event {
        let kind = match condition.id {
            ConditionId::Stop(..) => ConditionKind::Stop.type_name(),
            ConditionId::Link(_) => ConditionKind::Link.type_name(),
        };
        let text = condition.message.clone();
        let mut event = self.plain(notice, kind, condition.severity, text);
        if let ConditionId::Link(machine) = &condition.id {
            event.source = NodeId::new(self.namespace, format!("machine/{machine}/Connection"));
        }
        for path in FIELDS {
            let Some(value) = value(condition, path, (self.plant, self.namespace), notice.told)
            else {
                continue;
            };
            event =
                if OWN.contains(&path) { event.own(path, value) } else { event.with(path, value) };
        }
        event.condition = Some(NodeId::new(self.namespace, path_of(&condition.id.source())));
        event
    }

    /// The event that tells a condition as it is now, for a refresh.
    pub fn refreshed(&self, condition: &Condition, now: Timestamp) -> Option<Event> {
        let number = *condition.known_by.last()?;
        let machine = condition.id.machine();
        let notice = Notice {
            number,
            at: condition.changed,
            told: now,
            line: self.plant.line_of(machine).map(|line| line.id.clone()),
            machine: Some(machine.clone()),
            matter: Matter::Link { up: false },
        };
        Some(self.condition(&notice, condition))
    }
}

fn text(text: &str) -> Variant {
    LocalizedText::new("en", text).into()
}

/// A variable of two states: its text, or what is below it (Part 9 §5.2).
fn two_states(since: Since, below: Option<&str>, (yes, no): (&str, &str)) -> Option<Variant> {
    Some(match below {
        None | Some("EffectiveDisplayName") => text(if since.is { yes } else { no }),
        Some("Id") => since.is.into(),
        Some("TransitionTime") => optional_time(since.at),
        Some(_) => return None,
    })
}

fn at(condition: &Condition, path: &str, namespace: u16, now: Timestamp) -> Option<Variant> {
    let (name, below) = match path.split_once('/') {
        Some((name, below)) => (name, Some(below)),
        None => (path, None),
    };
    let machine = condition.id.machine();
    let id = |path: String| Variant::from(NodeId::new(namespace, path));
    let is_stop = matches!(condition.id, ConditionId::Stop(..));
    Some(match (name, below) {
        ("EventId", None) => event_id(condition.known_by.last().copied().unwrap_or(0)).into(),
        ("SourceNode", None) if is_stop => id(format!("machine/{machine}")),
        ("SourceNode", None) => id(format!("machine/{machine}/Connection")),
        ("SourceName", None) => machine.to_string().into(),
        ("Time" | "ReceiveTime", None) => optional_time(condition.changed),
        ("Message", None) => LocalizedText::from(condition.message.as_str()).into(),
        ("Severity", None) => condition.severity.into(),
        ("ConditionClassId", None) => {
            let class = if is_stop {
                ObjectTypeId::ProcessConditionClassType
            } else {
                ObjectTypeId::SystemConditionClassType
            };
            NodeId::from(class).into()
        }
        ("ConditionClassName", None) => {
            text(if is_stop { "ProcessConditionClassType" } else { "SystemConditionClassType" })
        }
        ("ConditionName", None) if is_stop => "UnexplainedStop".into(),
        ("ConditionName", None) => "LinkAlarm".into(),
        ("BranchId", None) => match &condition.id {
            ConditionId::Stop(machine, start) if condition.branch => {
                id(format!("machine/{machine}/UnexplainedStop/{}", start.ticks()))
            }
            _ => NodeId::null().into(),
        },
        _ => return state(condition, (name, below), (namespace, now)),
    })
}

/// What a condition says of its state.
fn state(
    condition: &Condition,
    (name, below): (&str, Option<&str>),
    (namespace, now): (u16, Timestamp),
) -> Option<Variant> {
    let machine = condition.id.machine();
    let id = |path: String| Variant::from(NodeId::new(namespace, path));
    let is_stop = matches!(condition.id, ConditionId::Stop(..));
    Some(match (name, below) {
        ("Retain", None) => condition.retain.into(),
        ("SupportsFilteredRetain", None) => false.into(),
        ("EnabledState", below) => two_states(condition.enabled, below, ("Enabled", "Disabled"))?,
        ("AckedState", below) => {
            two_states(condition.acked, below, ("Acknowledged", "Unacknowledged"))?
        }
        ("ConfirmedState", below) if is_stop => {
            two_states(condition.confirmed, below, ("Confirmed", "Unconfirmed"))?
        }
        ("ActiveState", below) => two_states(condition.active, below, ("Active", "Inactive"))?,
        ("Quality", None) if condition.known.is => StatusCode::Good.into(),
        ("Quality", None) => StatusCode::BadCommunicationError.into(),
        ("Quality", Some("SourceTimestamp")) => optional_time(condition.known.at),
        ("LastSeverity", None) => condition.last_severity.0.into(),
        ("LastSeverity", Some("SourceTimestamp")) => optional_time(condition.last_severity.1),
        ("Comment", None) => {
            let said = condition.comment.as_ref().map_or("", |comment| comment.text.as_str());
            LocalizedText::from(said).into()
        }
        ("Comment", Some("SourceTimestamp")) => {
            optional_time(condition.comment.as_ref().map_or(Timestamp::MIN, |c| c.at))
        }
        ("ClientUserId", None) => {
            condition.comment.as_ref().map_or("", |comment| comment.actor.as_str()).into()
        }
        ("InputNode", None) if is_stop => id(format!("machine/{machine}/State")),
        ("InputNode", None) => id(format!("machine/{machine}/Connection/State")),
        // No node has the normal state as its value.
        ("NormalState", None) => NodeId::null().into(),
        ("SuppressedOrShelved", None) => condition.shelving.holds(now).into(),
        ("MaxTimeShelved", None) => milliseconds(SHELVED_LONGEST),
        ("ShelvingState", Some(below)) => shelving(condition, below, now)?,
        ("Machine", None) => machine.to_string().into(),
        ("StopStart", None) => match condition.id {
            ConditionId::Stop(_, start) => optional_time(start),
            ConditionId::Link(_) => return None,
        },
        ("State", None) if is_stop => {
            condition.state.map_or(Variant::Empty, |state| Variant::Int32(state as i32))
        }
        _ => return None,
    })
}

/// Whether conditions of a kind have something at a path.
pub fn has(kind: ConditionKind, path: &str) -> bool {
    let Ok(machine) = MachineId::parse("any") else {
        return false;
    };
    if matches!(path, "Line") {
        return true;
    }
    at(&kind.quiet(&machine), path, 0, Timestamp::MIN).is_some()
}

/// The value of a condition at a path of browse names; none where it has no such part.
pub fn value(
    condition: &Condition,
    path: &str,
    (plant, namespace): (&Plant, u16),
    now: Timestamp,
) -> Option<Variant> {
    if path == "Line" {
        let line = plant.line_of(condition.id.machine());
        return Some(line.map_or_else(String::new, |line| line.id.to_string()).into());
    }
    at(condition, path, namespace, now)
}

fn milliseconds(span: Span) -> Variant {
    Variant::Double(span.ticks() as f64 / TICKS_PER_MILLISECOND as f64)
}

/// The state machine of shelving (Part 9 §5.8.17), with the nodes of its states in namespace 0.
fn shelving(condition: &Condition, below: &str, now: Timestamp) -> Option<Variant> {
    let (name, state) = match condition.shelving {
        shelving if !shelving.holds(now) => ("Unshelved", 2930_u32),
        Shelving::Timed(_) => ("Timed Shelved", 2932_u32),
        _ => ("One Shot Shelved", 2933_u32),
    };
    Some(match below {
        "CurrentState" => text(name),
        "CurrentState/Id" => NodeId::new(0, state).into(),
        "UnshelveTime" => match condition.shelving {
            Shelving::Timed(until) => milliseconds((until - now).max(Span::ZERO)),
            Shelving::OneShot => Variant::Double(f64::MAX),
            Shelving::Unshelved => Variant::Double(0.0),
        },
        _ => return None,
    })
}

/// Calls a method of a condition.
pub async fn act(
    engine: &EngineHandle,
    method: ConditionMethod,
    source: ConditionSource,
    arguments: &[Variant],
    asker: &Asker,
) -> CallOutcome {
    let audit = Some(method.audit());
    let (action, notice, comment) = match read(method, arguments) {
        Ok(read) => read,
        Err(status) => return CallOutcome { status, audit, ..CallOutcome::default() },
    };
    let (reason, comment) = match method {
        ConditionMethod::Confirm => reason_in(&engine.plant(), &comment),
        _ => (None, comment),
    };
    let command = ConditionCommand { source, action, notice, comment, reason };
    let may_correct = asker.role.may(Permission::CorrectClosedShifts);
    let actor = Actor { name: &asker.name, may_correct };
    match engine.command(Command::Condition(command), actor, None).await {
        Ok(_) => CallOutcome { status: StatusCode::Good, audit, ..CallOutcome::default() },
        Err(CommandError::Rejected(rejection)) => CallOutcome {
            audit,
            status: status_of(&rejection),
            why: Some(format!("{rejection}; {}", rejection.next_step())),
            ..CallOutcome::default()
        },
        Err(error) => CallOutcome {
            status: StatusCode::BadResourceUnavailable,
            why: Some(error.to_string()),
            audit,
            ..CallOutcome::default()
        },
    }
}

type Read = Result<(ConditionAction, Option<u64>, String), StatusCode>;

fn read(method: ConditionMethod, arguments: &[Variant]) -> Read {
    use ConditionMethod as M;
    let wanted = match method {
        M::Acknowledge | M::Confirm | M::AddComment => 2,
        M::TimedShelve => 1,
        M::Enable | M::Disable | M::OneShotShelve | M::Unshelve => 0,
    };
    if arguments.len() < wanted {
        return Err(StatusCode::BadArgumentsMissing);
    }
    if arguments.len() > wanted {
        return Err(StatusCode::BadTooManyArguments);
    }
    let plain = |action| Ok((action, None, String::new()));
    let action = match method {
        M::Enable => return plain(ConditionAction::Enable),
        M::Disable => return plain(ConditionAction::Disable),
        M::OneShotShelve => return plain(ConditionAction::ShelveOnce),
        M::Unshelve => return plain(ConditionAction::Unshelve),
        M::TimedShelve => {
            let [Variant::Double(milliseconds)] = arguments else {
                return Err(StatusCode::BadInvalidArgument);
            };
            let ticks = milliseconds * TICKS_PER_MILLISECOND as f64;
            // What is no number is no time, and is refused as one that is too short.
            let ticks = if ticks.is_finite() { ticks as i64 } else { 0 };
            return plain(ConditionAction::ShelveFor(Span::from_ticks(ticks)));
        }
        M::Acknowledge => ConditionAction::Acknowledge,
        M::Confirm => ConditionAction::Confirm,
        M::AddComment => ConditionAction::Comment,
    };
    let [Variant::ByteString(event), Variant::LocalizedText(comment)] = arguments else {
        return Err(StatusCode::BadInvalidArgument);
    };
    let number = number_of(event).ok_or(StatusCode::BadEventIdUnknown)?;
    Ok((action, Some(number), comment.text.as_ref().to_owned()))
}

/// The reason that a comment names by key or name, before a colon if there is one, and the rest.
fn reason_in(plant: &Plant, comment: &str) -> (Option<ReasonId>, String) {
    let (name, rest) = comment.split_once(':').unwrap_or((comment, ""));
    let name = name.trim();
    let is_named = |reason: &&crate::domain::plant::Reason| {
        reason.id.as_str() == name || reason.name.eq_ignore_ascii_case(name)
    };
    match plant.reasons.values().find(is_named) {
        Some(reason) => (Some(reason.id.clone()), rest.trim().to_owned()),
        None => (None, comment.to_owned()),
    }
}

fn status_of(rejection: &Rejection) -> StatusCode {
    let Rejection::Condition(_, refusal) = rejection else {
        return StatusCode::BadInvalidState;
    };
    match refusal {
        ConditionRefusal::UnknownNotice => StatusCode::BadEventIdUnknown,
        ConditionRefusal::AlreadyAcknowledged => StatusCode::BadConditionBranchAlreadyAcked,
        ConditionRefusal::AlreadyConfirmed => StatusCode::BadConditionBranchAlreadyConfirmed,
        ConditionRefusal::Disabled => StatusCode::BadConditionDisabled,
        ConditionRefusal::AlreadyDisabled => StatusCode::BadConditionAlreadyDisabled,
        ConditionRefusal::AlreadyEnabled => StatusCode::BadConditionAlreadyEnabled,
        ConditionRefusal::AlreadyShelved => StatusCode::BadConditionAlreadyShelved,
        ConditionRefusal::NotShelved => StatusCode::BadConditionNotShelved,
        ConditionRefusal::ShelvingTime => StatusCode::BadShelvingTimeOutOfRange,
        ConditionRefusal::ReasonIsMissing => StatusCode::BadInvalidArgument,
    }
}
