//! The structures of our own types, and how they are made of what the plant knows.

use std::sync::Arc;

use opcua::types::{ContextOwned, DateTime, LocalizedText, UAString, Variant};

use crate::app::explain::Row;
use crate::channel::structure::{Structure, array, structure};
use crate::channel::time::date_time;
use crate::domain::genealogy::LotOperation;
use crate::domain::id::MachineId;
use crate::domain::notice::{Condition, ConditionId, Matter, Notice};
use crate::domain::oee::stops::Stop;
use crate::domain::plant::Plant;
use crate::domain::shift::ShiftNote;
use crate::domain::time::{Span, Timestamp};

structure! {
    /// A stop of a machine (StopDataType).
    StopStructure = 5201 {
        /// Key of the machine.
        machine: UAString,
        /// Key of its line.
        line: UAString,
        /// First instant.
        start: DateTime,
        /// First instant after.
        end: Option<DateTime>,
        /// Number of the state in which the machine stopped.
        state: i32,
        /// Whether it is known how long it is.
        known: bool,
        /// Whether it is a micro-stop.
        micro: bool,
        /// Whether somebody has still to say why.
        unexplained: bool,
        /// Whether somebody has seen it.
        acknowledged: bool,
        /// Key of the reason.
        reason: Option<UAString>,
        /// The reason.
        reason_name: Option<LocalizedText>,
        /// What was said with it.
        comment: Option<UAString>,
        /// Who gave the reason.
        actor: Option<UAString>,
    }
}

structure! {
    /// One row of what is behind a figure (EvidenceDataType).
    Evidence = 5202 {
        /// What kind of row.
        kind: UAString,
        /// Key of the machine or line.
        equipment: UAString,
        /// First instant.
        from: Option<DateTime>,
        /// First instant after.
        to: Option<DateTime>,
        /// Length in ms.
        duration: Option<f64>,
        /// Class of an interval, role of a counter.
        class: Option<UAString>,
        /// The rule.
        rule: Option<UAString>,
        /// The state that the machine showed.
        state: Option<UAString>,
        /// The reason of a stop.
        reason: Option<UAString>,
        /// The order.
        order: Option<UAString>,
        /// The product.
        product: Option<UAString>,
        /// The shift.
        shift: Option<UAString>,
        /// Who worked there.
        operator: Option<UAString>,
        /// Parts.
        parts: Option<i64>,
        /// Ideal time of a part in ms.
        ideal_time: Option<f64>,
        /// What else there is to say.
        note: Option<UAString>,
    }
}

structure! {
    /// A lot came out of an order or went into it (LotOperationDataType).
    LotOperationStructure = 5203 {
        /// Orders between it and the lot that was asked for.
        depth: u32,
        /// Number of what happened.
        operation: i32,
        /// The lot.
        lot: UAString,
        /// The order.
        order: UAString,
        /// What the order makes.
        product: UAString,
        /// The machine.
        machine: Option<UAString>,
        /// When it began.
        time: DateTime,
        /// How much.
        quantity: Option<UAString>,
        /// How precise the binding is.
        assignment: UAString,
        /// Who said so.
        actor: UAString,
    }
}

structure! {
    /// What somebody wrote down about a shift (ShiftNoteDataType).
    Note = 5204 {
        /// When.
        time: DateTime,
        /// What.
        text: UAString,
        /// Who.
        actor: UAString,
    }
}

structure! {
    /// What was said of the quality of parts (QualityRecordDataType).
    QualityRecord = 5205 {
        /// Number of the record in the plant.
        number: u64,
        /// When.
        time: DateTime,
        /// The order.
        order: UAString,
        /// Key of the line.
        line: UAString,
        /// Key of the machine.
        machine: Option<UAString>,
        /// Good parts more or less.
        good: i64,
        /// Scrapped parts more or less.
        scrap: i64,
        /// Parts for rework more or less.
        rework: i64,
        /// Key of the reason.
        reason: Option<UAString>,
        /// The reason.
        reason_name: Option<LocalizedText>,
        /// Who said so.
        actor: UAString,
    }
}

/// How our structures are written.
#[derive(Clone)]
pub struct Encoder {
    /// Index of the namespace of our types.
    pub namespace: u16,
    /// How what is in them is written.
    pub context: Arc<ContextOwned>,
}

impl Encoder {
    /// An array of structures as a value; what is too long to be sent is no value.
    pub fn array<T: Structure>(&self, items: &[T]) -> Variant {
        array(items, self.namespace, &self.context.context()).unwrap_or_default()
    }
}

/// A text, absent where it is empty.
fn said(text: &str) -> Option<UAString> {
    (!text.is_empty()).then(|| text.into())
}

impl StopStructure {
    /// A stop as it is now.
    pub fn new(plant: &Plant, machine: &MachineId, stop: &Stop, now: Timestamp) -> StopStructure {
        let described = plant.machines.get(machine);
        let last = stop.end.unwrap_or(now) - Span::from_ticks(1);
        let given = stop.reason_at(plant, last.max(stop.start));
        let name = given.as_ref().and_then(|reason| plant.reasons.get(reason));
        let said_of = stop.cause.as_ref().and_then(|cause| cause.said.as_ref());
        StopStructure {
            machine: machine.as_str().into(),
            line: line_of(plant, machine),
            start: date_time(stop.start),
            end: stop.end.map(date_time),
            state: stop.state as i32,
            known: true,
            micro: described.is_some_and(|m| stop.is_micro(m.micro_stop_below)),
            unexplained: described.is_some_and(|m| stop.needs_explanation(plant, m, now)),
            acknowledged: false,
            reason: given.map(|reason| reason.as_str().into()),
            reason_name: name.map(|reason| reason.name.as_str().into()),
            comment: said_of.and_then(|said_of| said(&said_of.comment)),
            actor: said_of.map(|said_of| said_of.actor.as_str().into()),
        }
    }

    /// A stop that somebody has still to explain; none of another condition.
    pub fn of_condition(plant: &Plant, condition: &Condition) -> Option<StopStructure> {
        let ConditionId::Stop(machine, start) = &condition.id else {
            return None;
        };
        Some(StopStructure {
            machine: machine.as_str().into(),
            line: line_of(plant, machine),
            start: date_time(*start),
            end: (!condition.active.is).then(|| date_time(condition.active.at)),
            state: condition.state? as i32,
            known: !condition.active.is || condition.known.is,
            unexplained: !condition.confirmed.is,
            acknowledged: condition.acked.is,
            comment: condition.comment.as_ref().and_then(|comment| said(&comment.text)),
            ..StopStructure::default()
        })
    }
}

fn line_of(plant: &Plant, machine: &MachineId) -> UAString {
    plant.line_of(machine).map_or_else(|| "".into(), |line| line.id.as_str().into())
}

impl From<&Row> for Evidence {
    fn from(row: &Row) -> Evidence {
        let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1000.0);
        Evidence {
            kind: row.kind.into(),
            equipment: row.equipment.as_str().into(),
            from: row.from.map(date_time),
            to: row.to.map(date_time),
            duration: ms(row.duration_s),
            class: said(&row.class),
            rule: said(&row.rule),
            state: said(&row.state),
            reason: said(&row.reason),
            order: said(&row.order),
            product: said(&row.product),
            shift: said(&row.shift),
            operator: said(&row.operator),
            parts: row.parts,
            ideal_time: ms(row.ideal_s),
            note: said(&row.note),
        }
    }
}

impl LotOperationStructure {
    /// An operation with its distance from the lot that was asked for.
    pub fn new(depth: u32, operation: &LotOperation) -> LotOperationStructure {
        LotOperationStructure {
            depth,
            operation: operation.kind as i32,
            lot: operation.lot.as_str().into(),
            order: operation.order.as_str().into(),
            product: operation.product.as_str().into(),
            machine: operation.machine.as_ref().map(|machine| machine.as_str().into()),
            time: date_time(operation.at),
            quantity: operation.quantity.map(|quantity| quantity.to_string().into()),
            assignment: operation.assignment.as_str().into(),
            actor: operation.actor.as_str().into(),
        }
    }
}

impl QualityRecord {
    /// What a notice says of the quality of parts; none of another matter.
    pub fn of(plant: &Plant, notice: &Notice) -> Option<QualityRecord> {
        let Matter::CountCorrected(correction) = &notice.matter else {
            return None;
        };
        let reason = correction.reason.as_ref();
        let name = reason.and_then(|reason| plant.reasons.get(reason));
        Some(QualityRecord {
            number: notice.number,
            time: date_time(notice.at),
            order: correction.order.as_str().into(),
            line: notice.line.as_ref().map_or("", |line| line.as_str()).into(),
            machine: notice.machine.as_ref().map(|machine| machine.as_str().into()),
            good: correction.good,
            scrap: correction.scrap,
            rework: correction.rework,
            reason: reason.map(|reason| reason.as_str().into()),
            reason_name: name.map(|reason| reason.name.as_str().into()),
            actor: correction.actor.as_str().into(),
        })
    }
}

impl From<&ShiftNote> for Note {
    fn from(note: &ShiftNote) -> Note {
        Note {
            time: date_time(note.at),
            text: note.text.as_str().into(),
            actor: note.actor.as_str().into(),
        }
    }
}
