//! Methods with plain arguments, as panels can call them.
//!
//! A refused call is Uncertain, not Bad, because a Bad call loses its outputs: code and message say
//! why. Bad is for calls that make no sense as calls: missing or mistyped arguments, no permission.

use opcua::types::{Argument, DataTypeId, LocalizedText, StatusCode, Variant};

use super::CallOutcome;
use super::protection::Asker;
use crate::app::engine::{Actor, CommandError, CommandReply, EngineHandle};
use crate::domain::command::{Change, Command, Consumption, Outcome, RemarkCommand, Report};
use crate::domain::id::{InvalidKey, LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use crate::domain::order::{JobCommand, OrderRequest};
use crate::domain::role::Permission;
use crate::domain::time::Timestamp;
use crate::server::time::timestamp;

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
}

impl MethodId {
    /// Those of the object of all orders.
    pub const ON_ORDERS: [MethodId; 10] = [
        MethodId::StoreOrder,
        MethodId::Move(JobCommand::Release),
        MethodId::Move(JobCommand::Revoke),
        MethodId::Move(JobCommand::Start),
        MethodId::Move(JobCommand::Pause),
        MethodId::Move(JobCommand::Resume),
        MethodId::Move(JobCommand::Complete),
        MethodId::Move(JobCommand::Abort),
        MethodId::ReportProduction,
        MethodId::ReportConsumption,
    ];

    /// What a caller must be allowed.
    pub fn permission(self) -> Permission {
        match self {
            MethodId::StoreOrder => Permission::StoreOrders,
            MethodId::Move(_) => Permission::MoveOrders,
            MethodId::ReportProduction | MethodId::ReportConsumption => Permission::Report,
            MethodId::ClassifyStop => Permission::ClassifyStops,
        }
    }
}

/// A method as it is described to clients.
pub struct Definition {
    /// Browse name.
    pub name: &'static str,
    /// What it does.
    pub text: &'static str,
    /// What goes in.
    pub inputs: Vec<Argument>,
    /// What comes out.
    pub outputs: Vec<Argument>,
}

fn argument(name: &str, data_type: DataTypeId, text: &str) -> Argument {
    Argument {
        name: name.into(),
        data_type: data_type.into(),
        value_rank: -1,
        array_dimensions: None,
        description: LocalizedText::from(text),
    }
}

/// The description of a method.
pub fn definition(method: MethodId) -> Definition {
    use DataTypeId::{DateTime, String, UInt32, UInt64};
    let order = || argument("OrderId", String, "Number of the order.");
    let (name, text, inputs) = match method {
        MethodId::StoreOrder => (
            "StoreOrder",
            "Stores an order or a new revision of it and releases it.",
            vec![
                order(),
                argument("Revision", UInt64, "Revision; a stale one changes nothing."),
                argument("Line", String, "Key of the line."),
                argument("Product", String, "Key of the product."),
                argument("Quantity", String, "How much, as a decimal such as 1200."),
            ],
        ),
        MethodId::Move(command) => {
            let (name, text) = move_text(command);
            (name, text, vec![order()])
        }
        MethodId::ReportProduction => (
            "ReportProduction",
            "Reports good and scrapped parts in one action, in addition to earlier reports.",
            vec![
                order(),
                argument("Good", UInt32, "Good parts; 0 where a machine counts them."),
                argument("Scrap", UInt32, "Scrapped parts; taken from the counted good ones."),
                argument("Reason", String, "Key of the reason of the scrap; may be empty."),
                argument("Lot", String, "Lot of the good parts; empty for the order's own."),
            ],
        ),
        MethodId::ReportConsumption => (
            "ReportConsumption",
            "Records that material of a lot went into an order.",
            vec![
                order(),
                argument("Lot", String, "Number of the lot."),
                argument("Quantity", String, "How much, as a decimal; may be empty."),
                argument("Machine", String, "Key of the machine; may be empty."),
            ],
        ),
        MethodId::ClassifyStop => (
            "ClassifyStop",
            "Gives a stop of this machine its reason.",
            vec![
                argument(
                    "Start",
                    DateTime,
                    "An instant inside the stop; null for the present one.",
                ),
                argument("Reason", String, "Key of the reason."),
                argument("Comment", String, "Free text; may be empty."),
            ],
        ),
    };
    let outputs = vec![
        argument("Code", String, "ok, or the stable code of the refusal."),
        argument("Message", String, "Why it was refused and what to do; else the new state."),
    ];
    Definition { name, text, inputs, outputs }
}

fn move_text(command: JobCommand) -> (&'static str, &'static str) {
    match command {
        JobCommand::Release => ("ReleaseOrder", "Allows an order to start."),
        JobCommand::Revoke => ("RevokeOrder", "Takes the release of an order back."),
        JobCommand::Start => ("StartOrder", "Begins production of a released order on its line."),
        JobCommand::Pause => ("PauseOrder", "Interrupts production of an order."),
        JobCommand::Resume => ("ResumeOrder", "Continues production of an interrupted order."),
        JobCommand::Complete => ("CompleteOrder", "Ends production of an order."),
        JobCommand::Cancel => ("CancelOrder", "Gives up an order that has not begun."),
        JobCommand::Abort => ("AbortOrder", "Gives up an order."),
        JobCommand::Close => ("CloseOrder", "Reconciles an ended order."),
    }
}

/// Arguments that have passed the check of number and type.
struct Arguments<'a>(&'a [Variant]);

impl Arguments<'_> {
    fn text(&self, index: usize) -> String {
        match self.0.get(index) {
            Some(Variant::String(text)) => text.as_ref().to_owned(),
            _ => String::new(),
        }
    }

    fn count(&self, index: usize) -> u32 {
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

/// Statuses of arguments by number and type; empty when all fit.
fn check(inputs: &[Argument], arguments: &[Variant]) -> Result<(), (StatusCode, Vec<StatusCode>)> {
    if arguments.len() < inputs.len() {
        return Err((StatusCode::BadArgumentsMissing, Vec::new()));
    }
    if arguments.len() > inputs.len() {
        return Err((StatusCode::BadTooManyArguments, Vec::new()));
    }
    let fits = |(input, argument): (&Argument, &Variant)| {
        let wanted = DataTypeId::try_from(input.data_type.as_u32().unwrap_or(0));
        match (wanted, argument) {
            (Ok(DataTypeId::String), Variant::String(_))
            | (Ok(DataTypeId::UInt32), Variant::UInt32(_))
            | (Ok(DataTypeId::UInt64), Variant::UInt64(_))
            | (Ok(DataTypeId::DateTime), Variant::DateTime(_)) => StatusCode::Good,
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

/// Calls a method for somebody who may; `machine` is the object's machine, where it has one.
pub async fn call(
    engine: &EngineHandle,
    method: MethodId,
    machine: Option<MachineId>,
    arguments: &[Variant],
    asker: &Asker,
) -> CallOutcome {
    if let Err((status, arguments)) = check(&definition(method).inputs, arguments) {
        return CallOutcome { status, arguments, outputs: Vec::new() };
    }
    let command = match command(engine, method, machine, &Arguments(arguments)) {
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
    CallOutcome { status, arguments: Vec::new(), outputs }
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
    machine: Option<MachineId>,
    arguments: &Arguments<'_>,
) -> Read<Command> {
    if let (MethodId::ClassifyStop, Some(machine)) = (method, machine) {
        return classify(engine, machine, arguments);
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
        MethodId::ClassifyStop => Err(Unreadable("the object is no machine".into())),
    }
}

fn classify(engine: &EngineHandle, machine: MachineId, arguments: &Arguments<'_>) -> Read<Command> {
    let view = engine.view();
    let present = view.machines.get(&machine).and_then(|m| m.stop.as_ref()).map(|s| s.start);
    let no_stop =
        || Unreadable(format!("machine {machine} does not stand; give the start of a stop"));
    let stop = arguments.time(0).or(present).ok_or_else(no_stop)?;
    let reason = key("reason", &arguments.text(1), ReasonId::parse)?;
    let remark = RemarkCommand::Classify { stop, reason };
    Ok(Command::Remark { machine, remark, comment: arguments.text(2) })
}
