//! The classes of time. At any instant a machine is in exactly one.

use crate::domain::plant::{NoOrderPolicy, ReasonClass};
use crate::domain::signal::{MachineState, OperationMode};
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

/// Under which circumstances a machine is in its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Circumstances {
    /// The operation mode, where it is known.
    pub mode: Option<OperationMode>,
    /// Whether what follows takes no more.
    pub blocked: bool,
    /// Whether nothing comes in.
    pub starved: bool,
    /// Whether an order is registered.
    pub has_order: bool,
    /// What standing without an order means.
    pub no_order: NoOrderPolicy,
}

/// What a machine state counts as: a join of state, mode and order (OPC 40001-1 annex C.2).
pub fn class_of_state(state: MachineState, given: Circumstances) -> LossClass {
    let without_order = match given.no_order {
        NoOrderPolicy::Loss => LossClass::NoOrder,
        NoOrderPolicy::Planned => LossClass::PlannedDown,
    };
    match (state, given.mode) {
        // Setting up is setting up, whether the machine moves or not.
        (_, Some(OperationMode::Setup)) if given.has_order => LossClass::Setup,
        (MachineState::Running, _) => LossClass::Run,
        // Maintenance without an order is planned; with one, production waits for it.
        (_, Some(OperationMode::Maintenance)) if !given.has_order => LossClass::PlannedDown,
        (_, Some(OperationMode::Maintenance)) => LossClass::UnplannedDown,
        (MachineState::Setup, _) => LossClass::Setup,
        _ if !given.has_order => without_order,
        (MachineState::Blocked, _) => LossClass::Blocked,
        (MachineState::Starved, _) => LossClass::Starved,
        (MachineState::Down, _) => LossClass::UnplannedDown,
        (MachineState::Idle, _) if given.blocked => LossClass::Blocked,
        (MachineState::Idle, _) if given.starved => LossClass::Starved,
        (MachineState::Idle, _) => LossClass::UnplannedDown,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn class(state: MachineState, mode: Option<OperationMode>, has_order: bool) -> LossClass {
        let no_order = NoOrderPolicy::Loss;
        let given = Circumstances { mode, blocked: false, starved: false, has_order, no_order };
        class_of_state(state, given)
    }

    #[test]
    fn the_same_machine_state_is_another_loss_with_an_order_and_without() {
        use MachineState::{Down, Idle, Running, Setup};
        let processing = Some(OperationMode::Processing);
        assert_eq!(class(Running, processing, true), LossClass::Run);
        assert_eq!(class(Running, processing, false), LossClass::Run);
        assert_eq!(class(Down, processing, true), LossClass::UnplannedDown);
        assert_eq!(class(Down, processing, false), LossClass::NoOrder);
        assert_eq!(class(Idle, Some(OperationMode::None), true), LossClass::UnplannedDown);
        assert_eq!(class(Idle, Some(OperationMode::None), false), LossClass::NoOrder);
        assert_eq!(class(Setup, None, false), LossClass::Setup);
    }

    #[test]
    fn setup_mode_is_setup_in_any_state_and_maintenance_depends_on_the_order() {
        use MachineState::{Down, Idle, Running};
        for state in [Running, Idle, Down] {
            assert_eq!(class(state, Some(OperationMode::Setup), true), LossClass::Setup);
        }
        let maintenance = Some(OperationMode::Maintenance);
        assert_eq!(class(Down, maintenance, false), LossClass::PlannedDown);
        assert_eq!(class(Down, maintenance, true), LossClass::UnplannedDown);
        assert_eq!(class(Running, maintenance, true), LossClass::Run);
    }

    #[test]
    fn blocked_and_starved_explain_standing_ready_and_nothing_else() {
        let given = |blocked, starved| Circumstances {
            mode: None,
            blocked,
            starved,
            has_order: true,
            no_order: NoOrderPolicy::Planned,
        };
        let idle = MachineState::Idle;
        assert_eq!(class_of_state(idle, given(true, true)), LossClass::Blocked);
        assert_eq!(class_of_state(idle, given(false, true)), LossClass::Starved);
        let down = MachineState::Down;
        assert_eq!(class_of_state(down, given(true, true)), LossClass::UnplannedDown);
        let without = Circumstances { has_order: false, ..given(true, false) };
        assert_eq!(class_of_state(idle, without), LossClass::PlannedDown);
        assert_eq!(class_of_state(MachineState::Blocked, without), LossClass::PlannedDown);
    }

    #[test]
    fn time_adds_up_by_class() {
        let mut time = TimeElements::default();
        for (index, class) in LossClass::ALL.into_iter().enumerate() {
            time.add(class, Span::from_ticks(1 << index));
        }
        assert_eq!(time.calendar().ticks(), (1 << 10) - 1);
        assert_eq!(time.scheduled().ticks(), (1 << 10) - 1 - (1 << 8));
        assert_eq!(time.planned_busy().ticks(), (1 << 7) - 1);
        let mut twice = time;
        twice.merge(&time);
        assert_eq!(twice.of(LossClass::Setup).ticks(), 8);
    }

    #[test]
    fn mode_and_order_decide_before_what_the_neighbours_do() {
        use MachineState::{Blocked, Down, Idle, Setup};
        let maintenance = Some(OperationMode::Maintenance);
        for state in [Blocked, Idle, Setup] {
            assert_eq!(class(state, maintenance, true), LossClass::UnplannedDown);
        }
        let setup = Some(OperationMode::Setup);
        assert_eq!(class(Down, setup, false), LossClass::NoOrder, "nothing is set up for");
        assert_eq!(class(Blocked, None, true), LossClass::Blocked);
    }
}
