//! Tables and keys. Keys and values are bytes; numbers in keys are big-endian in their order.

use redb::TableDefinition;

use crate::app::figures::PageLength;
use crate::domain::evidence::Remark;
use crate::domain::genealogy::LotOperation;
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::signal::SignalRole;
use crate::domain::time::Timestamp;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Version of the layout as a whole. 3 knows orders that come back, and how far remarks reach; 4 knows
/// notices; 5 knows when lots begin, and notes about shifts; 6 finds notices by job order; 7 knows what machines
/// were told of orders.
pub const FORMAT: u32 = 7;
/// The oldest version that is read, and goes on as the present one.
pub const OLDEST_FORMAT: u32 = 2;

/// The first version that keeps when lots begin.
pub const LOT_BEGINS_SINCE: u32 = 5;
/// The first version that finds notices by job order.
pub const NOTICES_BY_ORDER_SINCE: u32 = 6;

/// Single values: `format`, `alive`, `snapshot`.
pub const META: Table = TableDefinition::new("meta");
/// Batch number → the facts of the batch.
pub const JOURNAL: Table = TableDefinition::new("journal");
/// Order → order.
pub const ORDERS: Table = TableDefinition::new("orders");
/// Line, start, order → run.
pub const RUNS: Table = TableDefinition::new("runs");
/// Machine, signal, time of the first value → values.
pub const EVIDENCE: Table = TableDefinition::new("evidence");
/// Machine, anchor, kind, time, order among equals → remark.
pub const REMARKS: Table = TableDefinition::new("remarks");
/// Line, start of the shift, revision → record of a shift.
pub const SHIFTS: Table = TableDefinition::new("shifts");
/// Line, start of the shift, time, order among equals → note about a shift.
pub const SHIFT_NOTES: Table = TableDefinition::new("shift_notes");
/// Machine or line, length, start → sum of its figures.
pub const PAGES: Table = TableDefinition::new("pages");
/// Machine or line, start of a quarter of an hour → nothing; sums to be made again.
pub const STALE_PAGES: Table = TableDefinition::new("stale_pages");
/// Number of the record → key of the record of a shift.
pub const SHIFTS_BY_NUMBER: Table = TableDefinition::new("shifts_by_number");
/// Number → confirmation to the ERP.
pub const OUTBOX: Table = TableDefinition::new("outbox");
/// Lot, operation → operation.
pub const LOTS: Table = TableDefinition::new("lots");
/// Order, operation → operation.
pub const LOTS_OF_ORDERS: Table = TableDefinition::new("lots_of_orders");
/// Lot → when it was first made or used.
pub const LOT_BEGINS: Table = TableDefinition::new("lot_begins");
/// Time, lot → nothing; lots in order of their beginning.
pub const LOTS_BY_TIME: Table = TableDefinition::new("lots_by_time");
/// Request → answer.
pub const ANSWERS: Table = TableDefinition::new("answers");
/// Time, request → nothing; to forget answers in order of age.
pub const ANSWERS_BY_TIME: Table = TableDefinition::new("answers_by_time");

/// Number → notice.
pub const NOTICES: Table = TableDefinition::new("notices");
/// Plant, line, machine or job order, time, number → nothing.
pub const NOTICES_BY_PLACE: Table = TableDefinition::new("notices_by_place");

/// All tables, created when the store is opened.
pub const ALL: [Table; 20] = [
    META,
    JOURNAL,
    ORDERS,
    RUNS,
    EVIDENCE,
    REMARKS,
    SHIFTS,
    SHIFTS_BY_NUMBER,
    SHIFT_NOTES,
    PAGES,
    STALE_PAGES,
    OUTBOX,
    LOTS,
    LOTS_OF_ORDERS,
    LOT_BEGINS,
    LOTS_BY_TIME,
    ANSWERS,
    ANSWERS_BY_TIME,
    NOTICES,
    NOTICES_BY_PLACE,
];

/// A key made of parts; texts end with a zero byte, which no business key contains.
#[derive(Clone, Default)]
pub struct Key(pub Vec<u8>);

impl Key {
    /// Starts a key with a text.
    pub fn of(text: &str) -> Key {
        Key::default().text(text)
    }

    /// Appends a text.
    pub fn text(mut self, text: &str) -> Key {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// Appends a byte.
    pub fn byte(mut self, byte: u8) -> Key {
        self.0.push(byte);
        self
    }

    /// Appends a number.
    pub fn number(mut self, number: u64) -> Key {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Appends an instant; earlier ones sort first.
    pub fn time(self, at: Timestamp) -> Key {
        self.number((at.ticks() as u64) ^ (1 << 63))
    }

    /// The instant at the end of a key.
    pub fn time_of(key: &[u8]) -> Option<Timestamp> {
        let number = u64::from_be_bytes(*key.last_chunk::<8>()?);
        Some(Timestamp::from_ticks((number ^ (1 << 63)) as i64))
    }
}

/// Which values of a machine an evidence row holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EvidenceKind {
    /// States.
    States,
    /// Link changes.
    Links,
    /// Lots in use.
    Lots,
    /// A counter.
    Count(SignalRole),
    /// Mode, reason, blocked, starved or operator.
    Circumstance(SignalRole),
}

impl EvidenceKind {
    /// The byte that stands for it in keys.
    pub fn byte(self) -> u8 {
        match self {
            EvidenceKind::States => 0,
            EvidenceKind::Links => 1,
            EvidenceKind::Lots => 2,
            EvidenceKind::Count(role) => 16 + role as u8,
            EvidenceKind::Circumstance(role) => 64 + role as u8,
        }
    }
}

/// The start of keys about a machine or line; others have no sums of their own.
pub fn equipment_key(equipment: &Equipment) -> Key {
    match equipment {
        Equipment::Machine(machine) => Key::default().byte(0).text(machine.as_str()),
        Equipment::Line(line) => Key::default().byte(1).text(line.as_str()),
        Equipment::Area(area) => Key::default().byte(2).text(area.as_str()),
        Equipment::Site => Key::default().byte(3),
    }
}

/// The machine or line of a key that starts with it.
pub fn equipment_of(key: &[u8]) -> Option<Equipment> {
    let (kind, rest) = key.split_first()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    match kind {
        0 => MachineId::parse(text).ok().map(Equipment::Machine),
        1 => LineId::parse(text).ok().map(Equipment::Line),
        _ => None,
    }
}

/// The key of a kept sum.
pub fn page_key(equipment: &Equipment, length: PageLength, start: Timestamp) -> Key {
    equipment_key(equipment).byte(length as u8).time(start)
}

/// The key of a remark about a machine.
pub fn remark_key(machine: &MachineId, remark: &Remark) -> Key {
    let (kind, at, seq) = match remark {
        Remark::Parts(adjustment) => (0, adjustment.at, adjustment.seq),
        Remark::Classified(given) => (1, given.said.at, given.said.seq),
        Remark::Cut(cut) => (2, cut.said.at, cut.said.seq),
        Remark::Joined(join) => (3, join.said.at, join.said.seq),
        Remark::Stated(stop) => (4, stop.said.at, stop.said.seq),
        Remark::Resolved(gap) => (5, gap.said.at, gap.said.seq),
    };
    Key::of(machine.as_str()).time(remark.anchor()).byte(kind).time(at).number(seq)
}

/// The part of a key that is the same for an operation under its lot and under its order.
pub fn operation_key(start: Key, operation: &LotOperation, other: &str) -> Key {
    let machine = operation.machine.as_ref().map_or("", |machine| machine.as_str());
    start.text(other).byte(operation.kind as u8).text(machine).time(operation.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_what_they_stand_for() {
        let key = |ticks| Key::of("M1").time(Timestamp::from_ticks(ticks)).0;
        assert!(key(-5) < key(0) && key(0) < key(7) && key(7) < key(i64::MAX));
        assert!(Key::of("A").0 < Key::of("AB").0);
        for ticks in [-5, 0, 7, i64::MAX] {
            assert_eq!(Key::time_of(&key(ticks)), Some(Timestamp::from_ticks(ticks)));
        }
    }
}
