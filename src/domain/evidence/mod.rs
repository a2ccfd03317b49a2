//! What is known about one machine: its observations, the state of its link, and what people said.
//!
//! Evidence is only ever added. Every figure is derived from it, so the order in which it arrived
//! can not matter, and every figure can be traced back to it.

pub mod machine;
pub mod remark;

pub use machine::MachineEvidence;

pub use remark::{
    Adjustment, Classification, Remark, Remarks, ResolvedGap, Said, StatedStop, StopCut, StopJoin,
};

use std::collections::BTreeMap;

use super::id::{LotId, MachineId};
use super::series::Point;
use super::signal::{MachineState, RawValue, Reading, SignalRole};
use super::time::{Span, Timestamp};

/// How far before a window its states may depend on: the longest hold time that can be configured,
/// and some more.
pub const STATE_CONTEXT: Span = Span::from_seconds(3600);

/// One value of one signal, with its meaning at the time it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The machine.
    pub machine: MachineId,
    /// Which of its signals.
    pub role: SignalRole,
    /// Source timestamp, the machine's.
    pub at: Timestamp,
    /// When we received it.
    pub received: Timestamp,
    /// Order among values of the same source time.
    pub seq: u64,
    /// OPC UA status code.
    pub status: u32,
    /// The value as sent.
    pub raw: RawValue,
    /// What it means.
    pub reading: Reading,
}

/// A change of the link to a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkChange {
    /// The machine.
    pub machine: MachineId,
    /// From when on it holds, on the machine's clock.
    pub at: Timestamp,
    /// Order among changes of the same time.
    pub seq: u64,
    /// Whether values arrive.
    pub up: bool,
}

/// Observations of one machine as they are archived and read back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EvidenceBlock {
    /// See [`MachineEvidence::states`].
    pub states: Vec<Point<Option<MachineState>>>,
    /// See [`MachineEvidence::links`].
    pub links: Vec<Point<bool>>,
    /// See [`MachineEvidence::counts`].
    pub counts: BTreeMap<SignalRole, Vec<Point<Option<u64>>>>,
    /// See [`MachineEvidence::lots`].
    pub lots: Vec<Point<Option<LotId>>>,
    /// See [`MachineEvidence::circumstances`].
    pub circumstances: BTreeMap<SignalRole, Vec<Point<Reading>>>,
}

impl EvidenceBlock {
    /// Adds what another block holds; points that both hold are there twice.
    pub fn append(&mut self, other: EvidenceBlock) {
        self.states.extend(other.states);
        self.links.extend(other.links);
        self.lots.extend(other.lots);
        for (role, points) in other.counts {
            self.counts.entry(role).or_default().extend(points);
        }
        for (role, points) in other.circumstances {
            self.circumstances.entry(role).or_default().extend(points);
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.links.is_empty()
            && self.lots.is_empty()
            && self.counts.values().all(Vec::is_empty)
            && self.circumstances.values().all(Vec::is_empty)
    }
}
