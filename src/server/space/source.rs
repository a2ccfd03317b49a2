//! What variables and methods are about, and where the values of variables come from.

use std::collections::BTreeMap;

use opcua::types::Variant;

use super::job_control::JobValue;
use super::machinery::{StateMachine, StatePart};
use super::spoken::SpokenValue;
use super::told::ConditionKind;
use crate::app::refusals::Refusal;
use crate::app::view::KpiWindow;
use crate::domain::calendar::CivilDate;
use crate::domain::id::{AreaId, LineId, LotId, MachineId, OrderId, PersonId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::figure::Figure;
use crate::domain::oee::loss::LossClass;
use crate::domain::signal::{SignalRole, Vocabulary};
use crate::domain::time::Timestamp;

/// What a variable or method is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// No single piece of equipment.
    Mes,
    /// The whole company.
    Enterprise,
    /// The site.
    Site,
    /// An area.
    Area(AreaId),
    /// A line.
    Line(LineId),
    /// A machine.
    Machine(MachineId),
    /// A job order.
    Order(OrderId),
    /// A lot.
    Lot(LotId),
    /// A stop of a machine, by its start.
    Stop(MachineId, Timestamp),
    /// A shift of a line, by its start.
    Shift(LineId, Timestamp),
    /// Somebody who works at machines.
    Person(PersonId),
    /// The orders of a day.
    OrderDay(CivilDate),
    /// The lots of a day.
    LotDay(CivilDate),
}

impl Subject {
    /// The equipment that it is.
    pub fn equipment(&self) -> Option<Equipment> {
        Some(match self {
            // The company is known here as far as its site is.
            Subject::Enterprise | Subject::Site => Equipment::Site,
            Subject::Area(area) => Equipment::Area(area.clone()),
            Subject::Line(line) => Equipment::Line(line.clone()),
            Subject::Machine(machine) => Equipment::Machine(machine.clone()),
            _ => return None,
        })
    }
}

/// What is aimed at, by equipment and figure; shares, as the figures are.
pub type Targets = BTreeMap<Equipment, BTreeMap<Figure, f64>>;

/// Where a variable's value comes from, given what it is about.
#[derive(Clone, Debug)]
pub enum Source {
    /// It never changes.
    Constant(Variant),
    /// It is not known here.
    Unknown,
    /// The business key.
    Key,
    /// The version of the node that has it.
    NodeVersion,
    /// A machine.
    Machine(MachineValue),
    /// A counter of a machine.
    Counter(SignalRole),
    /// The stop in which a machine is.
    Stop(StopValue),
    /// The link to a machine.
    Connection(ConnectionValue),
    /// What a machine was told of the orders of its line.
    Transfer(TransferValue),
    /// A process value of a machine.
    Process(String),
    /// A line.
    Line(LineValue),
    /// A figure of equipment.
    Kpi(KpiWindow, KpiValue),
    /// What is aimed at.
    Target(Figure),
    /// A value of an order, by its name.
    Order(String),
    /// A value of a lot, by its name.
    Lot(String),
    /// A value of a stop that is looked up.
    PastStop(StopValue),
    /// A value of a shift, by its name.
    Shift(String),
    /// A value of a person, by its name.
    Person(String),
    /// Stops that last, and those whose alarm waits for their reason.
    OpenStops,
    /// A state of a machine as OPC 40001-1 has it.
    State(StateMachine, StatePart),
    /// What a machine says in the words of its own standard.
    Spoken(Vocabulary, SpokenValue),
    /// What the nameplate of a machine says, by its name.
    Nameplate(String),
    /// Job control of a line, or of all.
    Job(JobValue),
    /// Peers that were turned away.
    Refusals(Refusal),
    /// The configuration.
    Configuration(ConfigurationValue),
    /// A part of a condition of a machine, by its path.
    Condition(ConditionKind, String),
    /// The type of a condition.
    ConditionType(ConditionKind),
}

/// What a machine says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MachineValue {
    State,
    Order,
    Lot,
    Operator,
}

/// What is said about a stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopValue {
    Active,
    Start,
    Duration,
    State,
    Reason,
    ReasonName,
    Comment,
    End,
    Micro,
    Actor,
}

/// What is said about a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionValue {
    State,
    Endpoint,
    LastError,
    Since,
    Connects,
    Values,
    LastValueTime,
    ClockSkew,
    MonitoredItems,
    Resumed,
    Lag,
    Product,
    Profile,
    Binding,
    MirroredNodes,
    RecordedVariables,
    MirrorNote,
}

/// What is said about what a machine was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferValue {
    Order,
    Moment,
    Known,
    Reason,
    Time,
}

/// What is said about the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigurationValue {
    Since,
    LastRead,
    Problems,
    RestartFor,
}

/// What a line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineValue {
    State,
    Order,
    Product,
    Bottleneck,
    Outfeed,
}

/// A part of a ratio figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FigurePart {
    Value,
    Numerator,
    Denominator,
}

/// A figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KpiValue {
    Figure(Figure, FigurePart),
    PlannedBusyTime,
    RunTime,
    Time(LossClass),
    SpeedLoss,
    QualityLoss,
    FullyProductive,
    Good,
    Reject,
    Total,
    Unattributed,
    Stops,
    MicroStops,
    Unexplained,
    TimeBetweenFailures,
    TimeToRepair,
    WindowName,
    WindowStart,
    WindowEnd,
    Provisional,
    Flags,
}
