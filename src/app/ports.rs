//! What the engine and the interfaces need of a store, as narrow traits.
//!
//! Adapters meet here and nowhere else. No method holds a transaction open across calls, so another
//! store can stand behind the same traits.

use std::sync::Arc;

use thiserror::Error;

use super::figures::{Page, PageLength};
use crate::domain::core::Snapshot;
use crate::domain::event::{Confirmation, Event};
use crate::domain::evidence::{EvidenceBlock, Remark};
use crate::domain::genealogy::LotOperation;
use crate::domain::id::{LineId, LotId, MachineId, OrderId};
use crate::domain::notice::Notice;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::order::{Order, OrderRun};
use crate::domain::shift::{ShiftNote, ShiftRecord};
use crate::domain::time::{Timestamp, Window};

/// Why the store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process uses the data directory.
    #[error(
        "data directory {directory} is in use by process {pid}; stop it or use another directory"
    )]
    InUse {
        /// The directory.
        directory: String,
        /// The process, or `?`.
        pid: String,
    },
    /// The directory was written by a newer version.
    #[error(
        "data format {found} is newer than {known}, which this version knows; use a newer version"
    )]
    NewerFormat {
        /// What was found.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// The directory was written by a version before the first release.
    #[error(
        "data format {found} is older than {known} and cannot be read; export it with the version \
         that wrote it, or use a new data directory"
    )]
    OlderFormat {
        /// What was found.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// A stored value is damaged.
    #[error("stored value {what} is damaged ({cause}); restore the data directory from a backup")]
    Damaged {
        /// Which value.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The disk is full.
    #[error("the disk of the data directory is full; free some space, writing resumes by itself")]
    Full,
    /// The operating system or the database refused.
    #[error("the data directory cannot be used: {0}")]
    Io(String),
}

/// Everything that becomes durable together.
#[derive(Default)]
pub struct Batch<'a> {
    /// When it is committed.
    pub at: Timestamp,
    /// The facts.
    pub events: &'a [Event],
    /// Orders as they stand after the facts.
    pub orders: Vec<&'a Order>,
    /// Evidence that left memory.
    pub archived: Vec<(MachineId, EvidenceBlock)>,
    /// Answers to be repeated when a request comes again.
    pub answers: Vec<(RequestKey, StoredAnswer)>,
    /// Sums of figures that may have changed.
    pub stale: Vec<(Equipment, Window)>,
    /// Sums of figures that were made.
    pub pages: Vec<Page>,
    /// The state after the facts, if it is time to keep it.
    pub snapshot: Option<Snapshot>,
}

/// Identifies a request of a client for repetition: a hash of caller and key.
pub type RequestKey = [u8; 32];

/// The answer to a request, kept so that its repetition has the same effect once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAnswer {
    /// Hash of what was asked.
    pub request: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
    /// When it was given.
    pub at: Timestamp,
}

/// What a start finds in the store.
#[derive(Default)]
pub struct Recovered {
    /// The newest kept state.
    pub snapshot: Option<Snapshot>,
    /// The facts after it.
    pub events: Vec<Event>,
    /// The last sign of life of the process that wrote.
    pub last_alive: Option<Timestamp>,
    /// Number of facts ever written.
    pub written: u64,
}

/// The writing side; exactly one engine holds it.
pub trait Store: Send {
    /// Reads what is needed to go on.
    fn recover(&self) -> Result<Recovered, StoreError>;
    /// Makes a batch durable, all or nothing; on return it survives power loss.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;
    /// Keeps a sign of life.
    fn keep_alive(&mut self, at: Timestamp) -> Result<(), StoreError>;
    /// Closes and opens again after an error.
    fn reopen(&mut self) -> Result<(), StoreError>;
    /// The reading side.
    fn reader(&self) -> Arc<dyn Reader>;
}

/// Where notices are looked for: all that happened there and below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoticePlace {
    /// Anywhere.
    Plant,
    /// At a line and its machines.
    Line(LineId),
    /// At a machine.
    Machine(MachineId),
    /// To a job order, its parts and its lots.
    Order(OrderId),
}

/// Some of the notices of a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoticePage {
    /// The place.
    pub place: NoticePlace,
    /// When they happened.
    pub window: Window,
    /// Time and number of the one before the first.
    pub after: Option<(Timestamp, u64)>,
    /// Whether the newest come first.
    pub backwards: bool,
    /// How many at most.
    pub limit: usize,
}

/// The reading side; sees only what is durable.
pub trait Reader: Send + Sync {
    /// The answer given to a request before.
    fn answer(&self, key: &RequestKey) -> Result<Option<StoredAnswer>, StoreError>;
    /// An order.
    fn order(&self, id: &OrderId) -> Result<Option<Order>, StoreError>;
    /// Orders in key order, after a key, at most `limit`.
    fn orders(&self, after: Option<&OrderId>, limit: usize) -> Result<Vec<Order>, StoreError>;
    /// Archived evidence of a window, with the values that hold at its start.
    fn evidence(&self, machine: &MachineId, window: Window) -> Result<EvidenceBlock, StoreError>;
    /// The oldest instant of which evidence is archived.
    fn first_evidence(&self, machine: &MachineId) -> Result<Option<Timestamp>, StoreError>;
    /// The kept sums of a machine or line that begin in a window, in order of time.
    fn pages(
        &self,
        equipment: &Equipment,
        length: PageLength,
        window: Window,
    ) -> Result<Vec<(Timestamp, Kpi)>, StoreError>;
    /// The start of the last quarter of which the sum of a machine or line is kept.
    fn last_page(&self, equipment: &Equipment) -> Result<Option<Timestamp>, StoreError>;
    /// Stretches of time whose sums have been taken away and not been made again, at most `limit`.
    fn stale(&self, limit: usize) -> Result<Vec<(Equipment, Timestamp)>, StoreError>;
    /// What people said about a window.
    fn remarks(&self, machine: &MachineId, window: Window) -> Result<Vec<Remark>, StoreError>;
    /// All records of a shift that began at an instant, oldest revision first.
    fn shift_records(
        &self,
        line: &LineId,
        start: Timestamp,
    ) -> Result<Vec<ShiftRecord>, StoreError>;
    /// Notices after a number, in order, at most `limit`.
    fn notices_after(&self, number: u64, limit: usize) -> Result<Vec<Notice>, StoreError>;
    /// Notices of a place in order of time, or backwards.
    fn notices(&self, page: &NoticePage) -> Result<Vec<Notice>, StoreError>;
    /// Records of shifts after a number, at most `limit`.
    fn shifts_after(&self, number: u64, limit: usize) -> Result<Vec<ShiftRecord>, StoreError>;
    /// Runs of a line that touch a window, in order of time.
    fn runs(&self, line: &LineId, window: Window) -> Result<Vec<OrderRun>, StoreError>;
    /// Confirmations after a number, at most `limit`.
    fn confirmations(&self, after: u64, limit: usize) -> Result<Vec<Confirmation>, StoreError>;
    /// Operations of a lot.
    fn operations_of_lot(&self, lot: &LotId) -> Result<Vec<LotOperation>, StoreError>;
    /// Operations of an order.
    fn operations_of_order(&self, order: &OrderId) -> Result<Vec<LotOperation>, StoreError>;
    /// Keys of lots in key order, after a key, at most `limit`.
    fn lots(&self, after: Option<&LotId>, limit: usize) -> Result<Vec<LotId>, StoreError>;
    /// When a lot was first made or used; `None` if nothing of it is recorded.
    fn lot_begin(&self, lot: &LotId) -> Result<Option<Timestamp>, StoreError>;
    /// Lots that begin in a window, in order of time, after one of them, at most `limit`.
    fn lots_begun(
        &self,
        window: Window,
        after: Option<&(Timestamp, LotId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, LotId)>, StoreError>;
    /// The first run of a line that begins at or after an instant.
    fn next_run(&self, line: &LineId, from: Timestamp) -> Result<Option<OrderRun>, StoreError>;
    /// What was written down about a shift of a line that began at an instant, in order of time.
    fn shift_notes(&self, line: &LineId, start: Timestamp) -> Result<Vec<ShiftNote>, StoreError>;
    /// Calls `each` with all facts in the order in which they were written.
    fn journal(&self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError>;
    /// Bytes of the store on disk.
    fn size(&self) -> u64;
}
