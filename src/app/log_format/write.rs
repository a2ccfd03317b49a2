//! From facts to lines of a log.

use serde_json::Value;

use super::{LogLine, OrderLine};
use crate::app::time_text;
use crate::domain::event::Event;
use crate::domain::evidence::{Remark, Said};
use crate::domain::id::MachineId;
use crate::domain::order::OrderRequest;
use crate::domain::signal::RawValue;
use crate::domain::time::{Span, Timestamp};

impl LogLine {
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
                rework: u32::try_from(adjustment.rework).unwrap_or(u32::MAX),
                rework_good: u32::try_from(adjustment.rework_good).unwrap_or(u32::MAX),
                order: adjustment.order.to_string(),
                at: time_text::print(adjustment.at),
                good: *good,
                scrap: u32::try_from(adjustment.reject).unwrap_or(u32::MAX),
                lot: lot.as_ref().map(ToString::to_string),
                reason: reason.as_ref().map(ToString::to_string),
                actor: actor.clone(),
                seq: adjustment.seq,
            }),
            Event::Remarked { machine, remark, .. } => Self::of_remark(machine, remark),
            Event::ShiftNoted { line, note } => Some(LogLine::Note {
                line: line.to_string(),
                shift: time_text::print(note.start),
                text: note.text.clone(),
                at: time_text::print(note.at),
                actor: note.actor.clone(),
                seq: note.seq,
            }),
            Event::LotRecorded(operation) => Self::of_stated_consumption(operation),
            Event::LotVoided(_)
            | Event::ShiftRecorded(_)
            | Event::ShiftUnchanged { .. }
            | Event::OrderTransferred { .. }
            | Event::PlantDefined { .. }
            | Event::Recalled { .. }
            | Event::Confirmed(_)
            | Event::Archived { .. }
            | Event::OrderAdmitted(_)
            | Event::Noticed(_)
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

    fn of_remark(machine: &MachineId, remark: &Remark) -> Option<LogLine> {
        let machine = machine.to_string();
        let print = time_text::print;
        let of = |said: &Said| (said.comment.clone(), print(said.at), said.actor.clone(), said.seq);
        Some(match remark {
            Remark::Parts(_) => return None,
            Remark::Classified(given) => {
                let (comment, at, actor, seq) = of(&given.said);
                let (stop, reason) = (print(given.anchor), given.reason.to_string());
                LogLine::Classify { machine, stop, reason, comment, at, actor, seq }
            }
            Remark::Cut(cut) => {
                let (comment, at, actor, seq) = of(&cut.said);
                let split_at = print(cut.at);
                let stop = print(cut.at - Span::from_ticks(1));
                LogLine::Split { machine, stop, split_at, comment, at, actor, seq }
            }
            Remark::Joined(join) => {
                let (comment, at, actor, seq) = of(&join.said);
                let (first, last) = (print(join.first), print(join.last));
                LogLine::Merge { machine, first, last, comment, at, actor, seq }
            }
            Remark::Stated(stop) => {
                let (comment, at, actor, seq) = of(&stop.said);
                let (from, to) = (print(stop.window.from), print(stop.window.to));
                let reason = stop.reason.as_ref().map(ToString::to_string);
                LogLine::Stop { machine, from, to, reason, comment, at, actor, seq }
            }
            Remark::Resolved(gap) => {
                let (comment, at, actor, seq) = of(&gap.said);
                let (from, to) = (print(gap.window.from), print(gap.window.to));
                let state = gap.state.as_str().to_owned();
                LogLine::Resolve { machine, from, to, state, comment, at, actor, seq }
            }
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
            ideal_cycle: request.ideal_cycle.map(|cycle| format!("{}us", decimal_micros(cycle))),
            at: time_text::print(at),
            actor: actor.to_owned(),
        }
    }
}

/// Microseconds of a span, with the tenth that a tick is.
fn decimal_micros(span: Span) -> String {
    format!("{}.{}", span.ticks() / 10, span.ticks() % 10)
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
        RawValue::Decimal(value) => {
            let number = value.to_string().parse::<f64>().ok();
            number.and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number)
        }
        RawValue::Other(_) => Value::Null,
    }
}
