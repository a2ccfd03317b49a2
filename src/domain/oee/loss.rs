//! The classes of time. At any instant a machine is in exactly one.

use crate::domain::plant::{NoOrderPolicy, ReasonClass};
use crate::domain::signal::MachineState;
use crate::domain::time::Span;

/// What an instant of a machine's time counts as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LossClass {
    /// Producing.
    Run,
    /// Standing in a physical stop shorter than the machine's threshold.
    MicroStop,
    /// Setup or changeover.
    Setup,
    /// Standing because of itself or for no stated cause.
    UnplannedDown,
    /// Blocked by what follows.
    Blocked,
    /// Starved by what precedes.
    Starved,
    /// Standing without an order, where that is a loss (ISO 22400 ADOT).
    NoOrder,
    /// A break or another planned stop inside a shift.
    PlannedDown,
    /// Outside all shifts.
    NotScheduled,
    /// Nobody knows: the link was down or the state unusable.
    NoData,
}

impl LossClass {
    /// All classes, in the order in which they are reported.
    pub const ALL: [LossClass; 10] = [
        LossClass::Run,
        LossClass::MicroStop,
        LossClass::Setup,
        LossClass::UnplannedDown,
        LossClass::Blocked,
        LossClass::Starved,
        LossClass::NoOrder,
        LossClass::PlannedDown,
        LossClass::NotScheduled,
        LossClass::NoData,
    ];

    /// The word used in JSON, browse names and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            LossClass::Run => "run",
            LossClass::MicroStop => "micro_stop",
            LossClass::Setup => "setup",
            LossClass::UnplannedDown => "unplanned_down",
            LossClass::Blocked => "blocked",
            LossClass::Starved => "starved",
            LossClass::NoOrder => "no_order",
            LossClass::PlannedDown => "planned_down",
            LossClass::NotScheduled => "not_scheduled",
            LossClass::NoData => "no_data",
        }
    }

    /// Whether the class is part of planned busy time.
    pub fn is_planned_busy(self) -> bool {
        !matches!(self, LossClass::PlannedDown | LossClass::NotScheduled | LossClass::NoData)
    }
}

/// What a machine state counts as, given whether an order is registered (OPC 40001-1 annex C.2).
pub fn class_of_state(state: MachineState, has_order: bool, policy: NoOrderPolicy) -> LossClass {
    let without_order = match policy {
        NoOrderPolicy::Loss => LossClass::NoOrder,
        NoOrderPolicy::Planned => LossClass::PlannedDown,
    };
    match state {
        MachineState::Running => LossClass::Run,
        MachineState::Setup => LossClass::Setup,
        _ if !has_order => without_order,
        MachineState::Down | MachineState::Idle => LossClass::UnplannedDown,
        MachineState::Blocked => LossClass::Blocked,
        MachineState::Starved => LossClass::Starved,
    }
}

/// What a stop with a reason of this class counts as.
pub fn class_of_reason(class: ReasonClass) -> LossClass {
    match class {
        ReasonClass::Down => LossClass::UnplannedDown,
        ReasonClass::Setup => LossClass::Setup,
        ReasonClass::Planned => LossClass::PlannedDown,
        ReasonClass::Blocked => LossClass::Blocked,
        ReasonClass::Starved => LossClass::Starved,
    }
}

/// Time by class; adding two gives the time of both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeElements {
    spans: [Span; LossClass::ALL.len()],
}

impl TimeElements {
    /// Adds time of a class.
    pub fn add(&mut self, class: LossClass, span: Span) {
        self.spans[class as usize] += span;
    }

    /// Adds all time of another.
    pub fn merge(&mut self, other: &TimeElements) {
        for class in LossClass::ALL {
            self.add(class, other.of(class));
        }
    }

    /// Time of a class.
    pub fn of(&self, class: LossClass) -> Span {
        self.spans[class as usize]
    }

    /// All time.
    pub fn calendar(&self) -> Span {
        self.spans.iter().copied().sum()
    }

    /// Time inside shifts, known or not (POT).
    pub fn scheduled(&self) -> Span {
        self.calendar() - self.of(LossClass::NotScheduled)
    }

    /// Planned busy time that is known (PBT).
    pub fn planned_busy(&self) -> Span {
        LossClass::ALL.into_iter().filter(|c| c.is_planned_busy()).map(|c| self.of(c)).sum()
    }
}
