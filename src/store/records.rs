//! The binary form of every domain type that is stored.
//!
//! The order of fields and the tags are the format: they are never changed, only added to.

use super::codec::{Malformed, Record};
use super::fields::{record_enum, record_struct};
use crate::app::ports::StoredAnswer;
use crate::domain::core::{LineClosing, MachineSnapshot, ShiftChange, Snapshot};
use crate::domain::event::{Confirmation, ConfirmationKind, Event};
use crate::domain::evidence::{
    Adjustment, Classification, EvidenceBlock, LinkChange, Observation, Remark, ResolvedGap, Said,
    StatedStop, StopCut, StopJoin,
};
use crate::domain::genealogy::{Assignment, LotOperation, LotOperationKind};
use crate::domain::id::{
    AreaId, LineId, LotId, MachineId, OrderId, PersonId, ProductId, ReasonId, SiteId,
};
use crate::domain::order::{JobCommand, JobState, Order, OrderRequest, OrderRun, Totals};
use crate::domain::quantity::Quantity;
use crate::domain::series::Point;
use crate::domain::signal::{MachineState, OperationMode, RawValue, Reading, SignalRole, Unusable};
use crate::domain::time::{Span, Timestamp, Window};
use crate::domain::transfer::{MachineTransfer, OrderTransfer, TransferMoment, TransferOutcome};

impl Record for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        self.ticks().put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Timestamp::from_ticks(i64::get(input)?))
    }
}

impl Record for Span {
    fn put(&self, out: &mut Vec<u8>) {
        self.ticks().put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Span::from_ticks(i64::get(input)?))
    }
}

record_struct!(Window { from, to });

impl Record for Quantity {
    fn put(&self, out: &mut Vec<u8>) {
        self.billionths().put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Quantity::from_billionths(i128::get(input)?))
    }
}

macro_rules! record_key {
    ($($name:ident),+) => {$(
        impl Record for $name {
            fn put(&self, out: &mut Vec<u8>) {
                (self.as_str().len() as u64).put(out);
                out.extend_from_slice(self.as_str().as_bytes());
            }
            fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
                $name::parse(&String::get(input)?).map_err(|_| Malformed::Meaningless("key"))
            }
        }
    )+};
}
record_key!(AreaId, LineId, LotId, MachineId, OrderId, PersonId, ProductId, ReasonId, SiteId);

record_enum!(SignalRole {
    0 => State, 1 => Good, 2 => Reject, 3 => Total, 4 => Lot, 5 => Infeed, 6 => Rework,
    7 => StartupReject, 8 => Cycle, 9 => Mode, 10 => Reason, 11 => Blocked, 12 => Starved,
    13 => Operator,
});
record_enum!(MachineState {
    0 => Running, 1 => Setup, 2 => Down, 3 => Blocked, 4 => Starved, 5 => Idle,
});
record_enum!(OperationMode { 0 => None, 1 => Maintenance, 2 => Setup, 3 => Processing });
record_enum!(Unusable { 0 => BadStatus, 1 => WrongType, 2 => UnknownValue });
record_enum!(RawValue {
    0 => Bool(value), 1 => Integer(value), 2 => Text(value), 3 => Other(kind), 4 => Decimal(value),
});
record_enum!(Reading {
    0 => State(state), 1 => Count(count), 2 => Lot(lot), 3 => Unusable(why), 4 => Mode(mode),
    5 => Reason(reason), 6 => Truth(value), 7 => Operator(person),
});
record_enum!(JobState {
    0 => NotAllowedToStart, 1 => AllowedToStart, 2 => Running, 3 => Interrupted, 4 => Ended,
    5 => Aborted, 6 => Closed,
});
record_enum!(JobCommand {
    0 => Release, 1 => Revoke, 2 => Start, 3 => Pause, 4 => Resume, 5 => Complete, 6 => Cancel,
    7 => Abort, 8 => Close,
});
record_enum!(LotOperationKind { 0 => Produced, 1 => Consumed });
record_enum!(Assignment { 0 => Stated, 1 => TimeWindow, 2 => OrderWide });
record_enum!(ConfirmationKind { 0 => StateChanged, 1 => Reported, 2 => Progress, 3 => Correction });

record_struct!(Observation { machine, role, at, received, seq, status, raw, reading });
record_struct!(LinkChange { machine, at, seq, up });
record_struct!(Said { at, seq, actor, comment });
record_struct!(Adjustment { at, seq, order, good, reject, rework, rework_good });
record_struct!(Classification { anchor, reason, said });
record_struct!(StopCut { at, said });
record_struct!(StopJoin { first, last, said });
record_struct!(StatedStop { window, reason, said });
record_struct!(ResolvedGap { window, state, said });
record_enum!(Remark {
    0 => Parts(adjustment), 1 => Classified(classification), 2 => Cut(cut), 3 => Joined(join),
    4 => Stated(stop), 5 => Resolved(gap),
});
record_struct!(OrderRun { order, product, start, end, cycle });
record_struct!(OrderRequest {
    id,
    revision,
    line,
    product,
    quantity,
    lot,
    due,
    priority,
    released,
    ideal_cycle,
});
record_struct!(Totals { good, scrap, rework, unattributed });
record_struct!(Order {
    request,
    state,
    created,
    changed,
    runs,
    archived,
    confirmed,
    confirmations,
    confirm_next,
    consumed,
    produced,
});
record_struct!(LotOperation {
    kind,
    lot,
    order,
    product,
    machine,
    at,
    quantity,
    assignment,
    actor,
});
record_struct!(Confirmation {
    seq,
    order,
    order_seq,
    revision,
    kind,
    at,
    state,
    delta,
    total,
    lots,
});
record_struct!(EvidenceBlock { states, links, counts, lots, circumstances });
record_struct!(MachineSnapshot { machine, archived_to, recalled, block, remarks });
record_struct!(LineClosing { closed_to, changed });
record_struct!(ShiftChange { at, actor, cause });

/// Fields that were added stand at the end and are absent in what older programs kept.
impl Record for Snapshot {
    fn put(&self, out: &mut Vec<u8>) {
        self.plants.put(out);
        self.now.put(out);
        self.machines.put(out);
        self.runs.put(out);
        self.orders.put(out);
        self.confirmations.put(out);
        self.closings.put(out);
        self.shift_records.put(out);
        self.notices.put(out);
        self.told.put(out);
        self.conditions.put(out);
        self.transfers.put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let mut snapshot = Snapshot {
            plants: Record::get(input)?,
            now: Record::get(input)?,
            machines: Record::get(input)?,
            runs: Record::get(input)?,
            orders: Record::get(input)?,
            confirmations: Record::get(input)?,
            closings: Record::get(input)?,
            shift_records: Record::get(input)?,
            ..Snapshot::default()
        };
        if !input.is_empty() {
            snapshot.notices = Record::get(input)?;
            snapshot.told = Record::get(input)?;
            snapshot.conditions = Record::get(input)?;
        }
        if !input.is_empty() {
            snapshot.transfers = Record::get(input)?;
        }
        Ok(snapshot)
    }
}

record_enum!(TransferMoment { 0 => Start, 1 => Pause, 2 => Resume, 3 => End });
record_enum!(TransferOutcome {
    0 => Calling, 1 => Known, 2 => Refused { why }, 3 => GivenUp { why },
    4 => Unanswered { why },
});
record_struct!(OrderTransfer { order, revision, state, moment, calls, outcome });
record_struct!(MachineTransfer { told, last, calling });

record_struct!(StoredAnswer { request, status, body, at });

record_enum!(Event {
    0 => Observed(observation),
    1 => LinkChanged(change),
    2 => OrderStored { request, at, actor },
    3 => OrderMoved { order, command, state, at, actor },
    4 => Reported { machine, adjustment, good, lot, reason, actor },
    6 => LotRecorded(operation),
    7 => LotVoided(operation),
    8 => Confirmed(confirmation),
    9 => Archived { machine, before },
    10 => OrderRetired(order),
    11 => ShiftRecorded(record),
    12 => ShiftUnchanged { line, start },
    13 => PlantDefined { from, plant },
    14 => Recalled { machine, from, block, remarks, at },
    15 => OrderAdmitted(order),
    16 => Remarked { machine, remark, reach },
    17 => Noticed(notice),
    18 => ShiftNoted { line, note },
    19 => OrderTransferred { machine, transfer, at },
}, 5 => remarked_of_format_2);

/// A remark without its reach; sums were taken away and shifts looked at when it was written.
fn remarked_of_format_2(input: &mut &[u8]) -> Result<Event, Malformed> {
    let (machine, remark) = (Record::get(input)?, Remark::get(input)?);
    let reach = Window { from: remark.anchor(), to: remark.reaches() };
    Ok(Event::Remarked { machine, remark, reach })
}

impl<V: Record> Record for Point<V> {
    fn put(&self, out: &mut Vec<u8>) {
        self.at.put(out);
        self.seq.put(out);
        self.value.put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let (at, seq) = (Timestamp::get(input)?, u64::get(input)?);
        Ok(Point { at, seq, value: V::get(input)? })
    }
}

/// Points of one signal, each stored as the difference to the one before.
pub struct Points<V>(pub Vec<Point<V>>);

impl<V: Record> Record for Points<V> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.0.len() as u64).put(out);
        let (mut at, mut seq) = (0_i64, 0_i64);
        for point in &self.0 {
            let (next_at, next_seq) = (point.at.ticks(), point.seq as i64);
            next_at.wrapping_sub(at).put(out);
            next_seq.wrapping_sub(seq).put(out);
            point.value.put(out);
            (at, seq) = (next_at, next_seq);
        }
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let count = u64::get(input)?;
        let (mut at, mut seq) = (0_i64, 0_i64);
        let mut points = Vec::new();
        for _ in 0..count {
            at = at.wrapping_add(i64::get(input)?);
            seq = seq.wrapping_add(i64::get(input)?);
            let value = V::get(input)?;
            points.push(Point { at: Timestamp::from_ticks(at), seq: seq as u64, value });
        }
        Ok(Points(points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_a_program_that_knew_no_notices_is_read() {
        let snapshot = Snapshot { confirmations: 7, shift_records: 3, ..Snapshot::default() };
        let mut old = Vec::new();
        snapshot.put(&mut old);
        // Number of notices, what was told, conditions, transfers: one byte each where there is nothing.
        old.truncate(old.len() - 1);
        assert_eq!(Snapshot::get(&mut old.as_slice()), Ok(snapshot.clone()));
        old.truncate(old.len() - 3);
        assert_eq!(Snapshot::get(&mut old.as_slice()), Ok(snapshot));
    }
}
