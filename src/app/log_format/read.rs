//! From lines of a log to inputs.

use serde_json::Value;

use super::{LogLine, OrderLine};
use crate::app::time_text;
use crate::domain::command::{Command, CommandInput, Consumption, Input, RemarkCommand, Report};
use crate::domain::evidence::{LinkChange, Observation};
use crate::domain::id::{InvalidKey, LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use crate::domain::order::{JobCommand, OrderRequest};
use crate::domain::plant::Plant;
use crate::domain::quantity::Quantity;
use crate::domain::signal::{MachineState, RawValue, Signal, SignalRole, SignalRule};
use crate::domain::time::{Span, Timestamp, Window};

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
                    format!("signal {signal:?} is none of {}", SignalRole::names())
                })?;
                let known = plant.machines.get(&machine);
                let known = known.ok_or_else(|| format!("no machine {machine} is configured"))?;
                let (at, raw) = (time_text::parse(at)?, raw_value(value));
                let rule = known.signals.iter().find(|s| s.role == role);
                // Somebody can log on at a machine without a badge reader.
                let badge = Signal { role, rule: SignalRule::Operator };
                let rule = rule.or((role == SignalRole::Operator).then_some(&badge));
                let rule = rule.ok_or_else(|| {
                    format!("machine {machine} has no signal {signal} in the configuration")
                })?;
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
            LogLine::Report { order, at, lot, reason, actor, seq, .. } => {
                let LogLine::Report { good, scrap, rework, rework_good, .. } = *self else {
                    return Err("not a report".into());
                };
                let report = Report {
                    order: key("order", order, OrderId::parse)?,
                    good,
                    scrap,
                    rework,
                    rework_good,
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
            LogLine::Note { line, shift, text, at, actor, seq } => {
                let line = key("line", line, LineId::parse)?;
                let shift = Some(time_text::parse(shift)?);
                (Command::NoteShift { line, shift, text: text.clone() }, actor, at, *seq)
            }
            LogLine::Classify { .. }
            | LogLine::Split { .. }
            | LogLine::Merge { .. }
            | LogLine::Stop { .. }
            | LogLine::Resolve { .. } => return self.to_remark(),
            LogLine::Sample { .. } | LogLine::Link { .. } => {
                return Err("not a command".into());
            }
        };
        let at = time_text::parse(at)?;
        Ok(Input::Command(said(command, actor, at, seq)))
    }

    /// What somebody said about a machine's time.
    fn to_remark(&self) -> Checked<Input> {
        let instant = time_text::parse;
        let (machine, comment, at, actor, seq, remark) = match self {
            LogLine::Classify { machine, stop, reason, comment, at, actor, seq } => {
                let (stop, reason) = (instant(stop)?, key("reason", reason, ReasonId::parse)?);
                let remark = RemarkCommand::Classify { stop, reason };
                (machine, comment, at, actor, seq, remark)
            }
            LogLine::Split { machine, stop, split_at, comment, at, actor, seq } => {
                let (stop, split_at) = (instant(stop)?, instant(split_at)?);
                let remark = RemarkCommand::Split { stop, at: split_at };
                (machine, comment, at, actor, seq, remark)
            }
            LogLine::Merge { machine, first, last, comment, at, actor, seq } => {
                let (first, last) = (instant(first)?, instant(last)?);
                (machine, comment, at, actor, seq, RemarkCommand::Merge { first, last })
            }
            LogLine::Stop { machine, from, to, reason, comment, at, actor, seq } => {
                let window = window(from, to)?;
                let remark = match reason {
                    Some(reason) => {
                        let reason = key("reason", reason, ReasonId::parse)?;
                        RemarkCommand::StateStop { window, reason }
                    }
                    None => RemarkCommand::WithdrawStop { start: window.from },
                };
                (machine, comment, at, actor, seq, remark)
            }
            LogLine::Resolve { machine, from, to, state, comment, at, actor, seq } => {
                let window = window(from, to)?;
                let known = MachineState::parse(state);
                let state = known.ok_or_else(|| format!("state {state:?} is not known"))?;
                (machine, comment, at, actor, seq, RemarkCommand::ResolveGap { window, state })
            }
            _ => return Err("nothing about a machine's time".into()),
        };
        let machine = key("machine", machine, MachineId::parse)?;
        let command = Command::Remark { machine, remark, comment: comment.clone() };
        Ok(Input::Command(said(command, actor, instant(at)?, *seq)))
    }
}

/// What a log holds was allowed when it was written.
fn said(command: Command, actor: &str, at: Timestamp, seq: u64) -> CommandInput {
    CommandInput { command, actor: actor.to_owned(), at, seq, may_correct: true, context: None }
}

fn window(from: &str, to: &str) -> Checked<Window> {
    let (start, end) = (time_text::parse(from)?, time_text::parse(to)?);
    Window::new(start, end).ok_or_else(|| format!("{to} lies before {from}"))
}

fn duration(text: &str) -> Checked<Span> {
    Span::parse(text).ok_or_else(|| format!("{text:?} is no positive duration such as 10s"))
}

impl OrderLine {
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
            ideal_cycle: self.ideal_cycle.as_deref().map(duration).transpose()?,
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
            let decimal = || number.as_f64().and_then(Quantity::from_f64).map(RawValue::Decimal);
            let known = whole.map(RawValue::Integer).or_else(decimal);
            known.unwrap_or_else(|| RawValue::Other("number".into()))
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
