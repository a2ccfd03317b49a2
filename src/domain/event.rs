//! Facts: what has happened, in the words in which it is stored for ever.
//!
//! Events are only appended. A correction is a new event that names what it corrects.

use std::sync::Arc;

use super::evidence::{Adjustment, EvidenceBlock, LinkChange, Observation, Remark};
use super::genealogy::LotOperation;
use super::id::{LineId, LotId, MachineId, OrderId, ReasonId};
use super::notice::Notice;
use super::order::{JobCommand, JobState, Order, OrderRequest, Totals};
use super::plant::Plant;
use super::shift::{ShiftNote, ShiftRecord};
use super::time::{Timestamp, Window};
use super::transfer::OrderTransfer;

/// One fact.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A signal had a value.
    Observed(Observation),
    /// A link went up or down.
    LinkChanged(LinkChange),
    /// An order was stored or revised.
    OrderStored {
        /// What the ERP said.
        request: OrderRequest,
        /// When.
        at: Timestamp,
        /// Who.
        actor: String,
    },
    /// An order changed its state.
    OrderMoved {
        /// The order.
        order: OrderId,
        /// By which command.
        command: JobCommand,
        /// The new state.
        state: JobState,
        /// When.
        at: Timestamp,
        /// Who.
        actor: String,
    },
    /// A person reported parts.
    Reported {
        /// The machine at whose counts they are booked.
        machine: MachineId,
        /// The parts.
        adjustment: Adjustment,
        /// Good parts as reported, before any were taken back from the counted.
        good: u32,
        /// The lot, if not the order's own.
        lot: Option<LotId>,
        /// Why parts were scrapped.
        reason: Option<ReasonId>,
        /// Who.
        actor: String,
    },
    /// A person said something about a machine's time.
    Remarked {
        /// The machine.
        machine: MachineId,
        /// What was said.
        remark: Remark,
        /// The time whose figures it can change.
        reach: Window,
    },
    /// A shift was closed, or a closed one has other figures now.
    ShiftRecorded(Box<ShiftRecord>),
    /// The figures of a closed shift that may have changed have not.
    ShiftUnchanged {
        /// The line.
        line: LineId,
        /// First instant of the shift.
        start: Timestamp,
    },
    /// Somebody wrote something down about a shift.
    ShiftNoted {
        /// The line.
        line: LineId,
        /// The note.
        note: ShiftNote,
    },
    /// A machine was told of an order of its line, or is about to be.
    OrderTransferred {
        /// The machine.
        machine: MachineId,
        /// What it was told, and what came of it.
        transfer: OrderTransfer,
        /// When.
        at: Timestamp,
    },
    /// The plant is described otherwise from an instant on.
    PlantDefined {
        /// From when on.
        from: Timestamp,
        /// The description.
        plant: Arc<Plant>,
    },
    /// Material of a lot went into or came out of an order.
    LotRecorded(LotOperation),
    /// An earlier record of a lot turned out to be wrong; it stays readable.
    LotVoided(LotOperation),
    /// Totals of an order were confirmed to the ERP.
    Confirmed(Confirmation),
    /// Evidence before an instant left memory for the archive.
    Archived {
        /// The machine.
        machine: MachineId,
        /// The instant.
        before: Timestamp,
    },
    /// Archived evidence came back into memory, because something late belongs to it.
    Recalled {
        /// The machine.
        machine: MachineId,
        /// From which instant on all evidence is in memory again.
        from: Timestamp,
        /// The observations.
        block: EvidenceBlock,
        /// What people said.
        remarks: Vec<Remark>,
        /// When.
        at: Timestamp,
    },
    /// A finished order left memory; the store keeps it.
    OrderRetired(OrderId),
    /// A finished order came back into memory, because something late belongs to it.
    OrderAdmitted(Box<Order>),
    /// People and systems were told something.
    Noticed(Box<Notice>),
}

/// Why a confirmation was sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfirmationKind {
    /// The order's state changed.
    StateChanged,
    /// A person reported parts.
    Reported,
    /// Time has passed and the totals rose.
    Progress,
    /// Totals of an ended order changed, by late counts for example.
    Correction,
}

impl ConfirmationKind {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ConfirmationKind::StateChanged => "state_changed",
            ConfirmationKind::Reported => "reported",
            ConfirmationKind::Progress => "progress",
            ConfirmationKind::Correction => "correction",
        }
    }
}

/// What the ERP is told about an order: the difference and the running total.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confirmation {
    /// Number of the confirmation in the plant, from 1 without gaps.
    pub seq: u64,
    /// The order.
    pub order: OrderId,
    /// Number of the confirmation of this order, from 1 without gaps.
    pub order_seq: u64,
    /// The revision of the order that was current.
    pub revision: u64,
    /// Why it was sent.
    pub kind: ConfirmationKind,
    /// When.
    pub at: Timestamp,
    /// The order's state.
    pub state: JobState,
    /// Parts since the confirmation before.
    pub delta: Totals,
    /// All parts so far.
    pub total: Totals,
    /// Good parts by lot, adding up to the good total.
    pub lots: Vec<(LotId, i64)>,
}
