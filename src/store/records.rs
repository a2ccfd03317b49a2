//! The binary form of every domain type that is stored.
//!
//! The order of fields and the tags are the format: they are never changed, only added to.

use super::codec::{Malformed, Record};
use crate::app::ports::StoredAnswer;
use crate::domain::core::{MachineSnapshot, Snapshot};
use crate::domain::event::{Confirmation, ConfirmationKind, Event};
use crate::domain::evidence::{Adjustment, Classification, EvidenceBlock, LinkChange, Observation};
use crate::domain::genealogy::{Assignment, LotOperation, LotOperationKind};
use crate::domain::id::{LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use crate::domain::order::{JobCommand, JobState, Order, OrderRequest, OrderRun, Totals};
use crate::domain::quantity::Quantity;
use crate::domain::series::Point;
use crate::domain::signal::{MachineState, RawValue, Reading, SignalRole, Unusable};
use crate::domain::time::Timestamp;

impl Record for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        self.ticks().put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Timestamp::from_ticks(i64::get(input)?))
    }
}

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
record_key!(LineId, LotId, MachineId, OrderId, ProductId, ReasonId);

/// Fields one after the other.
macro_rules! record_struct {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl Record for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }
            fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
                Ok($name { $($field: Record::get(input)?),+ })
            }
        }
    };
}

/// A tag, then the fields of the variant.
macro_rules! record_enum {
    ($name:ident {
        $($tag:literal => $variant:ident
            $(( $($item:ident),+ ))?
            $({ $($field:ident),+ $(,)? })?),+ $(,)?
    }) => {
        impl Record for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($name::$variant $(( $($item),+ ))? $({ $($field),+ })? => {
                        out.push($tag);
                        $($($item.put(out);)+)?
                        $($($field.put(out);)+)?
                    })+
                }
            }
            fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
                match u8::get(input)? {
                    $($tag => {
                        $($(let $item = Record::get(input)?;)+)?
                        $($(let $field = Record::get(input)?;)+)?
                        Ok($name::$variant $(( $($item),+ ))? $({ $($field),+ })?)
                    })+
                    _ => Err(Malformed::Meaningless(stringify!($name))),
                }
            }
        }
    };
}

record_enum!(SignalRole { 0 => State, 1 => Good, 2 => Reject, 3 => Total, 4 => Lot });
record_enum!(MachineState {
    0 => Running, 1 => Setup, 2 => Down, 3 => Blocked, 4 => Starved, 5 => Idle,
});
record_enum!(Unusable { 0 => BadStatus, 1 => WrongType, 2 => UnknownValue });
record_enum!(RawValue { 0 => Bool(value), 1 => Integer(value), 2 => Text(value), 3 => Other(kind) });
record_enum!(Reading { 0 => State(state), 1 => Count(count), 2 => Lot(lot), 3 => Unusable(why) });
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
record_struct!(Adjustment { at, seq, order, good, reject });
record_struct!(Classification { anchor, reason, comment, actor, at });
record_struct!(OrderRun { order, product, start, end });
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
});
record_struct!(Totals { good, scrap, unattributed });
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
record_struct!(EvidenceBlock { states, links, counts, lots });
record_struct!(MachineSnapshot { machine, archived_to, block, adjustments, classifications });
record_struct!(Snapshot { machines, runs, orders, confirmations });
record_struct!(StoredAnswer { request, status, body, at });

record_enum!(Event {
    0 => Observed(observation),
    1 => LinkChanged(change),
    2 => OrderStored { request, at, actor },
    3 => OrderMoved { order, command, state, at, actor },
    4 => Reported { machine, adjustment, good, lot, reason, actor },
    5 => StopClassified { machine, classification },
    6 => LotRecorded(operation),
    7 => LotVoided(operation),
    8 => Confirmed(confirmation),
    9 => Archived { machine, before },
    10 => OrderRetired(order),
});

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
