//! The recorded log: one JSON object a line, in any order of lines.
//!
//! It is what `replay` reads and `export` writes, what a user brings and a bug report contains.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time_text;
use crate::domain::command::{Command, CommandInput, Consumption, Input, Report};
use crate::domain::event::Event;
use crate::domain::evidence::{LinkChange, Observation};
use crate::domain::id::{InvalidKey, LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use crate::domain::order::{JobCommand, OrderRequest};
use crate::domain::plant::Plant;
use crate::domain::quantity::Quantity;
use crate::domain::signal::{RawValue, SignalRole};
use crate::domain::time::Timestamp;

/// One line of a log.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogLine {
    /// A value of a signal as the machine sent it.
    Sample {
        /// Machine.
        machine: String,
        /// Role of the signal: `state`, `good`, `reject`, `total`, `lot`.
        signal: String,
        /// Source time.
        at: String,
        /// The value; `null` for one that is no scalar.
        value: Value,
        /// OPC UA status code; 0 is good.
        #[serde(default)]
        status: u32,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// A link went up or down.
    Link {
        /// Machine.
        machine: String,
        /// From when on.
        at: String,
        /// Whether values arrive.
        up: bool,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// An order was stored or revised.
    Order(OrderLine),
    /// An order was moved through its states.
    Command {
        /// Order.
        order: String,
        /// What to do, such as `start`.
        command: String,
        /// When.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
    },
    /// A person reported parts.
    Report {
        /// Order.
        order: String,
        /// When.
        at: String,
        /// Good parts.
        #[serde(default)]
        good: u32,
        /// Scrapped parts.
        #[serde(default)]
        scrap: u32,
        /// Lot, if not the order's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lot: Option<String>,
        /// Reason of the scrap.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// Material of a lot went into an order.
    Consume {
        /// Order.
        order: String,
        /// Lot.
        lot: String,
        /// When.
        at: String,
        /// How much.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quantity: Option<String>,
        /// Machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine: Option<String>,
        /// Who.
        #[serde(default)]
        actor: String,
    },
    /// A stop was given its reason.
    Classify {
        /// Machine.
        machine: String,
        /// An instant inside the stop.
        stop: String,
        /// Reason.
        reason: String,
        /// Free text.
        #[serde(default)]
        comment: String,
        /// When it was said.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
    },
}

/// An order in a log.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    /// Number that the ERP gave it.
    pub id: String,
    /// Revision.
    #[serde(default)]
    pub revision: u64,
    /// Line.
    pub line: String,
    /// Product.
    pub product: String,
    /// Quantity as a decimal.
    pub quantity: String,
    /// Lot to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// Due time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Priority.
    #[serde(default)]
    pub priority: i16,
    /// Whether it may start.
    #[serde(default = "yes")]
    pub released: bool,
    /// When it was stored.
    pub at: String,
    /// Who.
    #[serde(default)]
    pub actor: String,
}

fn yes() -> bool {
    true
}

type Checked<T> = Result<T, String>;

fn key<T>(what: &str, text: &str, parse: fn(&str) -> Result<T, InvalidKey>) -> Checked<T> {
    parse(text).map_err(|error| format!("{what} {text:?} {error}"))
}

fn quantity(text: &str) -> Checked<Quantity> {
    text.parse().map_err(|_| format!("quantity {text:?} is not a decimal such as 1200 or 0.5"))
}

impl LogLine {
    /// The input that the line stands for, read with a plant's signals.
    pub fn to_input(&self, plant: &Plant) -> Checked<Input> {
        match self {
            LogLine::Sample { machine, signal, at, value, status, seq } => {
                let machine = key("machine", machine, MachineId::parse)?;
                let role = SignalRole::parse(signal).ok_or_else(|| {
                    format!("signal {signal:?} is none of state, good, reject, total, lot")
                })?;
                let known = plant.machines.get(&machine);
                let known = known.ok_or_else(|| format!("no machine {machine} is configured"))?;
                let rule = known.signals.iter().find(|s| s.role == role).ok_or_else(|| {
                    format!("machine {machine} has no signal {signal} in the configuration")
                })?;
                let (at, raw) = (time_text::parse(at)?, raw_value(value));
                let reading = rule.read(&raw, *status);
                let (status, seq) = (*status, *seq);
                Ok(Input::Observed(Observation {
                    machine,
                    role,
                    at,
                    received: at,
                    seq,
                    status,
                    raw,
                    reading,
                }))
            }
            LogLine::Link { machine, at, up, seq } => Ok(Input::Linked(LinkChange {
                machine: key("machine", machine, MachineId::parse)?,
                at: time_text::parse(at)?,
                seq: *seq,
                up: *up,
            })),
            _ => self.to_command(),
        }
    }

    fn to_command(&self) -> Checked<Input> {
        let (command, actor, at, seq) = match self {
            LogLine::Order(line) => {
                (Command::StoreOrder(line.to_request()?), &line.actor, &line.at, 0)
            }
            LogLine::Command { order, command, at, actor } => {
                let word = JobCommand::parse(command)
                    .ok_or_else(|| format!("command {command:?} is not known"))?;
                let order = key("order", order, OrderId::parse)?;
                (Command::MoveOrder { order, command: word }, actor, at, 0)
            }
            LogLine::Report { order, at, good, scrap, lot, reason, actor, seq } => {
                let report = Report {
                    order: key("order", order, OrderId::parse)?,
                    good: *good,
                    scrap: *scrap,
                    lot: lot.as_deref().map(|lot| key("lot", lot, LotId::parse)).transpose()?,
                    reason: reason
                        .as_deref()
                        .map(|reason| key("reason", reason, ReasonId::parse))
                        .transpose()?,
                };
                (Command::Report(report), actor, at, *seq)
            }
            LogLine::Consume { order, lot, at, quantity: amount, machine, actor } => {
                let consumption = Consumption {
                    order: key("order", order, OrderId::parse)?,
                    lot: key("lot", lot, LotId::parse)?,
                    quantity: amount.as_deref().map(quantity).transpose()?,
                    machine: machine
                        .as_deref()
                        .map(|machine| key("machine", machine, MachineId::parse))
                        .transpose()?,
                };
                (Command::Consume(consumption), actor, at, 0)
            }
            LogLine::Classify { machine, stop, reason, comment, at, actor } => {
                let command = Command::ClassifyStop {
                    machine: key("machine", machine, MachineId::parse)?,
                    stop: time_text::parse(stop)?,
                    reason: key("reason", reason, ReasonId::parse)?,
                    comment: comment.clone(),
                };
                (command, actor, at, 0)
            }
            LogLine::Sample { .. } | LogLine::Link { .. } => {
                return Err("not a command".into());
            }
        };
        let at = time_text::parse(at)?;
        Ok(Input::Command(CommandInput { command, actor: actor.clone(), at, seq }))
    }

    /// The line that a fact came from, if it came from outside.
    pub fn of_event(event: &Event) -> Option<LogLine> {
        match event {
            Event::Observed(o) => Some(LogLine::Sample {
                machine: o.machine.to_string(),
                signal: o.role.as_str().into(),
                at: time_text::print(o.at),
                value: json_value(&o.raw),
                status: o.status,
                seq: o.seq,
            }),
            Event::LinkChanged(change) => Some(LogLine::Link {
                machine: change.machine.to_string(),
                at: time_text::print(change.at),
                up: change.up,
                seq: change.seq,
            }),
            Event::OrderStored { request, at, actor } => {
                Some(LogLine::Order(OrderLine::of(request, *at, actor)))
            }
            Event::OrderMoved { order, command, at, actor, .. } => Some(LogLine::Command {
                order: order.to_string(),
                command: command.as_str().into(),
                at: time_text::print(*at),
                actor: actor.clone(),
            }),
            Event::Reported { adjustment, good, lot, reason, actor, .. } => Some(LogLine::Report {
                order: adjustment.order.to_string(),
                at: time_text::print(adjustment.at),
                good: *good,
                scrap: u32::try_from(adjustment.reject).unwrap_or(u32::MAX),
                lot: lot.as_ref().map(ToString::to_string),
                reason: reason.as_ref().map(ToString::to_string),
                actor: actor.clone(),
                seq: adjustment.seq,
            }),
            Event::StopClassified { machine, classification } => Some(LogLine::Classify {
                machine: machine.to_string(),
                stop: time_text::print(classification.anchor),
                reason: classification.reason.to_string(),
                comment: classification.comment.clone(),
                at: time_text::print(classification.at),
                actor: classification.actor.clone(),
            }),
            Event::LotRecorded(operation) => Self::of_stated_consumption(operation),
            Event::LotVoided(_)
            | Event::Confirmed(_)
            | Event::Archived { .. }
            | Event::OrderRetired(_) => None,
        }
    }

    fn of_stated_consumption(
        operation: &crate::domain::genealogy::LotOperation,
    ) -> Option<LogLine> {
        use crate::domain::genealogy::{Assignment, LotOperationKind};
        let stated = operation.assignment == Assignment::Stated
            && operation.kind == LotOperationKind::Consumed;
        stated.then(|| LogLine::Consume {
            order: operation.order.to_string(),
            lot: operation.lot.to_string(),
            at: time_text::print(operation.at),
            quantity: operation.quantity.map(|quantity| quantity.to_string()),
            machine: operation.machine.as_ref().map(ToString::to_string),
            actor: operation.actor.clone(),
        })
    }
}

impl OrderLine {
    fn of(request: &OrderRequest, at: Timestamp, actor: &str) -> OrderLine {
        OrderLine {
            id: request.id.to_string(),
            revision: request.revision,
            line: request.line.to_string(),
            product: request.product.to_string(),
            quantity: request.quantity.to_string(),
            lot: request.lot.as_ref().map(ToString::to_string),
            due: request.due.map(time_text::print),
            priority: request.priority,
            released: request.released,
            at: time_text::print(at),
            actor: actor.to_owned(),
        }
    }

    fn to_request(&self) -> Checked<OrderRequest> {
        Ok(OrderRequest {
            id: key("order", &self.id, OrderId::parse)?,
            revision: self.revision,
            line: key("line", &self.line, LineId::parse)?,
            product: key("product", &self.product, ProductId::parse)?,
            quantity: quantity(&self.quantity)?,
            lot: self.lot.as_deref().map(|lot| key("lot", lot, LotId::parse)).transpose()?,
            due: self.due.as_deref().map(time_text::parse).transpose()?,
            priority: self.priority,
            released: self.released,
        })
    }
}

fn raw_value(value: &Value) -> RawValue {
    match value {
        Value::Bool(value) => RawValue::Bool(*value),
        Value::String(text) => RawValue::Text(text.clone()),
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            let whole = whole.or_else(|| whole_float(number.as_f64()?));
            whole.map_or_else(|| RawValue::Other("fraction".into()), RawValue::Integer)
        }
        Value::Null => RawValue::Other("null".into()),
        Value::Array(_) => RawValue::Other("array".into()),
        Value::Object(_) => RawValue::Other("object".into()),
    }
}

/// A float without fraction as a whole number.
pub fn whole_float(value: f64) -> Option<i128> {
    let exact = value.is_finite() && value.fract() == 0.0 && value.abs() < 9e15;
    exact.then_some(value as i128)
}

fn json_value(raw: &RawValue) -> Value {
    match raw {
        RawValue::Bool(value) => Value::Bool(*value),
        RawValue::Text(text) => Value::String(text.clone()),
        RawValue::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => Value::Null,
        },
        RawValue::Other(_) => Value::Null,
    }
}
