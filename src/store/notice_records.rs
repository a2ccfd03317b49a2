//! The binary form of notices and of what was told; the order of fields and the tags are the format.

use super::codec::{Malformed, Record};
use super::fields::{record_enum, record_struct};
use crate::domain::core::Told;
use crate::domain::notice::condition::{Comment, Since};
use crate::domain::notice::{
    Condition, ConditionId, CountCorrection, Matter, Notice, Shelving, ShiftNotice,
};
use crate::domain::oee::stops::{Cause, Stop};
use crate::domain::oee::track::Origin;
use crate::domain::shift::ShiftNote;

record_enum!(Origin { 0 => Signal, 1 => Pace, 2 => Silence, 3 => Stated });
record_struct!(Cause { reason, said });
record_struct!(Stop { record, start, end, state, origin, physical, costs_from, cause });
record_struct!(CountCorrection { order, good, scrap, rework, reason, actor });
record_struct!(ShiftNote { shift, start, production_date, text, at, seq, actor });
record_struct!(ShiftNotice { record, shift, start, production_date, revision, actor, cause });
record_enum!(ConditionId { 0 => Stop(machine, start), 1 => Link(machine) });
record_enum!(Shelving { 0 => Unshelved, 1 => Timed(until), 2 => OneShot });
record_struct!(Since { is, at });
record_struct!(Comment { text, at, actor });
record_struct!(Condition {
    id,
    branch,
    enabled,
    active,
    acked,
    confirmed,
    known,
    shelving,
    shelved_at,
    comment,
    severity,
    last_severity,
    state,
    changed,
    retain,
    message,
    known_by,
});
record_enum!(Matter {
    0 => StateChanged { from, to },
    1 => StopStarted(stop),
    2 => StopEnded(stop),
    3 => StopClassified(stop),
    4 => StopRevised { was, stop },
    5 => Order { order, totals, command, actor },
    6 => CountCorrected(correction),
    7 => LateData { values, oldest, newest },
    8 => Lot { operation, voided },
    9 => Link { up },
    10 => Shift(notice),
    11 => Condition(condition),
    12 => Note(note),
    13 => Transfer(transfer),
});
record_struct!(Notice { number, at, told, line, machine, matter });
record_struct!(Told { from, state, stops });
