//! Methods with plain arguments, as panels can call them.
//!
//! A refused call is Uncertain, not Bad, because a Bad call loses its outputs: code and message say
//! why. Bad is for calls that make no sense as calls: missing or mistyped arguments, no permission.

use opcua::types::{Argument, DataTypeId, StatusCode, Variant};

use super::CallOutcome;
use super::job_control::JobMethod;
use super::protection::Asker;
use super::source::Subject;
use super::told::{ConditionKind, ConditionMethod};
use crate::app::engine::{Actor, CommandError, CommandReply, EngineHandle};
use crate::app::trace::Direction;
use crate::app::view::KpiWindow;
use crate::channel::time::timestamp;
use crate::domain::command::{Change, Command, Consumption, Outcome, RemarkCommand, Report};
use crate::domain::id::{
    InvalidKey, LineId, LotId, MachineId, OrderId, PersonId, ProductId, ReasonId,
};
use crate::domain::order::{JobCommand, OrderRequest};
use crate::domain::role::Permission;
use crate::domain::signal::MachineState;
use crate::domain::time::{Timestamp, Window};

/// The methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MethodId {
    /// Stores an order.
    StoreOrder,
    /// Moves an order.
    Move(JobCommand),
    /// Reports good and scrapped parts.
    ReportProduction,
    /// Records material that went in.
    ReportConsumption,
    /// Gives a stop its reason.
    ClassifyStop,
    /// Makes two stops of one.
    SplitStop,
    /// Makes one stop of several.
    MergeStops,
    /// Says that a machine stood.
    StateStop,
    /// Takes that back.
    WithdrawStop,
    /// Says what a machine did in a gap.
    ResolveGap,
    /// Says who works at a machine.
    LogOn,
    /// Says that nobody does any more.
    LogOff,
    /// Says what is behind the figures of a window.
    Why(KpiWindow),
    /// Follows a lot.
    Trace(Direction),
    /// Writes something down about a shift.
    NoteShift,
    /// Job control.
    Job(JobMethod),
    /// A condition of a machine.
    Condition(ConditionKind, ConditionMethod),
}

impl MethodId {
    /// What a caller must be allowed.
    pub fn permission(self) -> Permission {
        match self {
            MethodId::StoreOrder => Permission::StoreOrders,
            MethodId::Move(_) => Permission::MoveOrders,
            MethodId::ReportProduction | MethodId::ReportConsumption => Permission::Report,
            MethodId::ClassifyStop
            | MethodId::SplitStop
            | MethodId::MergeStops
            | MethodId::StateStop
            | MethodId::WithdrawStop
            | MethodId::ResolveGap => Permission::ClassifyStops,
            MethodId::LogOn | MethodId::LogOff | MethodId::NoteShift => Permission::Report,
            MethodId::Why(_) | MethodId::Trace(_) => Permission::Read,
            MethodId::Job(method) => method.permission(),
            MethodId::Condition(_, method) => method.permission(),
        }
    }
}

/// Arguments that have passed the check of number and type.
pub struct Arguments<'a>(pub &'a [Variant]);

impl Arguments<'_> {
    pub fn text(&self, index: usize) -> String {
        match self.0.get(index) {
            Some(Variant::String(text)) => text.as_ref().to_owned(),
            _ => String::new(),
        }
    }

    pub fn count(&self, index: usize) -> u32 {
        match self.0.get(index) {
            Some(Variant::UInt32(count)) => *count,
            _ => 0,
        }
    }

    fn number(&self, index: usize) -> u64 {
        match self.0.get(index) {
            Some(Variant::UInt64(number)) => *number,
            _ => 0,
        }
    }

    fn integer(&self, index: usize) -> i32 {
        match self.0.get(index) {
            Some(Variant::Int32(number)) => *number,
            _ => 0,
        }
    }

    /// An instant that must be there.
    fn instant(&self, index: usize, what: &str) -> Read<Timestamp> {
        self.time(index).ok_or_else(|| Unreadable(format!("{what} is missing")))
    }

    fn time(&self, index: usize) -> Option<Timestamp> {
        match self.0.get(index) {
            Some(Variant::DateTime(time)) => timestamp(time),
            _ => None,
        }
    }
}

/// A text that makes no command, with a code as the core would give it.
struct Unreadable(String);

type Read<T> = Result<T, Unreadable>;

fn key<T>(what: &str, text: &str, parse: fn(&str) -> Result<T, InvalidKey>) -> Read<T> {
    parse(text).map_err(|why| Unreadable(format!("{what} {text:?} {why}")))
}

fn optional<T>(
    what: &str,
    text: &str,
    parse: fn(&str) -> Result<T, InvalidKey>,
) -> Read<Option<T>> {
    if text.is_empty() { Ok(None) } else { key(what, text, parse).map(Some) }
}

fn decimal(text: &str) -> Read<crate::domain::quantity::Quantity> {
    text.parse().map_err(|_| Unreadable(format!("quantity {text:?} is no decimal")))
}

/// Statuses of arguments by number and type; nothing where all fit.
pub fn check(
    inputs: &[Argument],
    arguments: &[Variant],
) -> Result<(), (StatusCode, Vec<StatusCode>)> {
    if arguments.len() < inputs.len() {
        return Err((StatusCode::BadArgumentsMissing, Vec::new()));
    }
    if arguments.len() > inputs.len() {
        return Err((StatusCode::BadTooManyArguments, Vec::new()));
    }
    let fits = |(input, argument): (&Argument, &Variant)| {
        let standard = input.data_type.as_u32().filter(|_| input.data_type.namespace == 0);
        let wanted = standard.and_then(|id| DataTypeId::try_from(id).ok());
        match (wanted, argument) {
            (Some(DataTypeId::String), Variant::String(_))
            | (Some(DataTypeId::UInt32), Variant::UInt32(_))
            | (Some(DataTypeId::UInt64), Variant::UInt64(_))
            | (Some(DataTypeId::DateTime), Variant::DateTime(_))
            // An enumeration of ours.
            | (None, Variant::Int32(_)) => StatusCode::Good,
            _ => StatusCode::BadTypeMismatch,
        }
    };
    let statuses: Vec<_> = inputs.iter().zip(arguments).map(fits).collect();
    if statuses.iter().all(StatusCode::is_good) {
        Ok(())
    } else {
        Err((StatusCode::BadInvalidArgument, statuses))
    }
}

/// Calls a method with plain arguments for somebody who may.
pub async fn call(
    engine: &EngineHandle,
    (method, inputs): (MethodId, &[Argument]),
    subject: &Subject,
    arguments: &[Variant],
    asker: &Asker,
) -> CallOutcome {
    if let Err((status, arguments)) = check(inputs, arguments) {
        return CallOutcome { status, arguments, ..CallOutcome::default() };
    }
    let command = match command(engine, method, subject, &Arguments(arguments)) {
        Ok(command) => command,
        Err(Unreadable(text)) => return refused("mes.request.invalid", text),
    };
    match engine.command(command, actor(asker), None).await {
        Ok(CommandReply::Done(outcome)) => accepted(&outcome),
        Ok(CommandReply::Repeated(_)) => outcome(StatusCode::Good, "ok", String::new()),
        Err(CommandError::Rejected(rejection)) => {
            let text = format!("{rejection}; {}", rejection.next_step());
            refused(rejection.code(), text)
        }
        Err(error) => CallOutcome {
            status: StatusCode::BadResourceUnavailable,
            outputs: vec![Variant::from("mes.unavailable"), Variant::from(error.to_string())],
            ..Default::default()
        },
    }
}

fn actor(asker: &Asker) -> Actor<'_> {
    let may_correct = asker.role.may(Permission::CorrectClosedShifts);
    Actor { name: &asker.name, may_correct }
}

fn outcome(status: StatusCode, code: &str, text: String) -> CallOutcome {
    let outputs = vec![Variant::from(code), Variant::from(text)];
    CallOutcome { status, outputs, ..CallOutcome::default() }
}

fn refused(code: &str, text: String) -> CallOutcome {
    outcome(StatusCode::Uncertain, code, text)
}

fn accepted(result: &Outcome) -> CallOutcome {
    let text = match result {
        Outcome::Order { order, change: Change::Unchanged } => {
            format!("nothing changed; revision {} is stored", order.request.revision)
        }
        Outcome::Order { order, .. } => order.state.as_str().to_owned(),
        Outcome::Stops(_) | Outcome::Noted => String::new(),
    };
    outcome(StatusCode::Good, "ok", text)
}

fn command(
    engine: &EngineHandle,
    method: MethodId,
    subject: &Subject,
    arguments: &Arguments<'_>,
) -> Read<Command> {
    if let Subject::Machine(machine) = subject {
        return of_machine(engine, method, machine.clone(), arguments);
    }
    if let (MethodId::NoteShift, Subject::Line(line)) = (method, subject) {
        let (shift, text) = (arguments.time(0), arguments.text(1));
        return Ok(Command::NoteShift { line: line.clone(), shift, text });
    }
    let order = key("order", &arguments.text(0), OrderId::parse)?;
    match method {
        MethodId::StoreOrder => Ok(Command::StoreOrder(OrderRequest {
            id: order,
            revision: arguments.number(1),
            line: key("line", &arguments.text(2), LineId::parse)?,
            product: key("product", &arguments.text(3), ProductId::parse)?,
            quantity: decimal(&arguments.text(4))?,
            lot: None,
            due: None,
            priority: 0,
            released: true,
            ideal_cycle: None,
        })),
        MethodId::Move(command) => Ok(Command::MoveOrder { order, command }),
        MethodId::ReportProduction => Ok(Command::Report(Report {
            order,
            good: arguments.count(1),
            scrap: arguments.count(2),
            rework: 0,
            rework_good: 0,
            reason: optional("reason", &arguments.text(3), ReasonId::parse)?,
            lot: optional("lot", &arguments.text(4), LotId::parse)?,
        })),
        MethodId::ReportConsumption => {
            let quantity = arguments.text(2);
            Ok(Command::Consume(Consumption {
                order,
                lot: key("lot", &arguments.text(1), LotId::parse)?,
                quantity: if quantity.is_empty() { None } else { Some(decimal(&quantity)?) },
                machine: optional("machine", &arguments.text(3), MachineId::parse)?,
            }))
        }
        _ => Err(Unreadable("the object is no machine".into())),
    }
}

/// A command about a machine.
fn of_machine(
    engine: &EngineHandle,
    method: MethodId,
    machine: MachineId,
    arguments: &Arguments<'_>,
) -> Read<Command> {
    let window = || {
        let (from, to) = (arguments.instant(0, "From")?, arguments.instant(1, "To")?);
        let nothing = || Unreadable("To must lie after From".into());
        Window::new(from, to).ok_or_else(nothing)
    };
    let reason = |index| key("reason", &arguments.text(index), ReasonId::parse);
    let (remark, comment) = match method {
        MethodId::ClassifyStop => {
            let stop = stop_at(engine, &machine, arguments.time(0))?;
            (RemarkCommand::Classify { stop, reason: reason(1)? }, 2)
        }
        MethodId::SplitStop => {
            let stop = stop_at(engine, &machine, arguments.time(0))?;
            (RemarkCommand::Split { stop, at: arguments.instant(1, "At")? }, 2)
        }
        MethodId::MergeStops => {
            let (first, last) = (arguments.instant(0, "First")?, arguments.instant(1, "Last")?);
            (RemarkCommand::Merge { first, last }, 2)
        }
        MethodId::StateStop => {
            (RemarkCommand::StateStop { window: window()?, reason: reason(2)? }, 3)
        }
        MethodId::WithdrawStop => {
            (RemarkCommand::WithdrawStop { start: arguments.instant(0, "Start")? }, 1)
        }
        MethodId::ResolveGap => {
            let number = arguments.integer(2);
            let state = MachineState::ALL.into_iter().find(|state| *state as i32 == number);
            let unknown = || Unreadable(format!("there is no state {number}"));
            let state = state.ok_or_else(unknown)?;
            (RemarkCommand::ResolveGap { window: window()?, state }, 3)
        }
        MethodId::LogOn => {
            let person = key("person", &arguments.text(0), PersonId::parse)?;
            return Ok(Command::LogOn { machine, person: Some(person) });
        }
        MethodId::LogOff => return Ok(Command::LogOn { machine, person: None }),
        _ => return Err(Unreadable("the object is a machine".into())),
    };
    Ok(Command::Remark { machine, remark, comment: arguments.text(comment) })
}

/// An instant in the stop that is meant: the given one, else in the present stop.
fn stop_at(
    engine: &EngineHandle,
    machine: &MachineId,
    given: Option<Timestamp>,
) -> Read<Timestamp> {
    let view = engine.view();
    let present = view.machines.get(machine).and_then(|m| m.stop.as_ref()).map(|s| s.start);
    let no_stop =
        || Unreadable(format!("machine {machine} does not stand; give the start of a stop"));
    given.or(present).ok_or_else(no_stop)
}
