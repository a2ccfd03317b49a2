//! Where the value of a variable comes from, and how it is read from the published picture.

use std::collections::BTreeMap;

use opcua::types::{DataValue, DateTime, LocalizedText, NodeId, StatusCode, Variant};

use super::job_control::{JobControl, JobValue};
use super::machinery::{StateMachine, StatePart, item_state, operation_mode};
use super::told::{self, ConditionKind};
use crate::app::configuration::ConfigurationBoard;
use crate::app::connection::Connections;
use crate::app::refusals::{Refusal, Refusals};
use crate::app::view::{KpiView, KpiWindow, MachineView, OrderView, PlantView};
use crate::domain::id::{AreaId, LineId, LotId, MachineId, OrderId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::figure::Figure;
use crate::domain::oee::kpi::{ExactTime, Kpi, Profile};
use crate::domain::oee::loss::LossClass;
use crate::domain::order::{Order, allowed_commands};
use crate::domain::plant::Plant;
use crate::domain::quantity::Ratio;
use crate::domain::signal::SignalRole;
use crate::domain::time::{Span, TICKS_PER_MILLISECOND, Timestamp};
use crate::server::time::date_time;

/// How long the last value is still shown, as uncertain, after a link was lost.
const LINGER: Span = Span::from_seconds(10);

/// What a variable or method is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// No single piece of equipment.
    Mes,
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
}

impl Subject {
    /// The equipment that it is.
    pub fn equipment(&self) -> Option<Equipment> {
        Some(match self {
            Subject::Site => Equipment::Site,
            Subject::Area(area) => Equipment::Area(area.clone()),
            Subject::Line(line) => Equipment::Line(line.clone()),
            Subject::Machine(machine) => Equipment::Machine(machine.clone()),
            Subject::Mes | Subject::Order(_) | Subject::Lot(_) => return None,
        })
    }
}

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
    /// A process value of a machine.
    Process(String),
    /// A line.
    Line(LineValue),
    /// A figure of equipment.
    Kpi(KpiWindow, KpiValue),
    /// A value of an order, by its name.
    Order(String),
    /// A value of a lot, by its name.
    Lot(String),
    /// A state of a machine as OPC 40001-1 has it.
    State(StateMachine, StatePart),
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

/// What values are read from.
pub struct Sight<'a> {
    /// The plant.
    pub plant: &'a Plant,
    /// The published picture.
    pub view: &'a PlantView,
    /// The links.
    pub connections: &'a Connections,
    /// Peers that were turned away.
    pub refusals: &'a Refusals,
    /// What is said about the configuration.
    pub configuration: &'a ConfigurationBoard,
    /// Job control.
    pub jobs: &'a JobControl,
    /// Index of the namespace of OPC 40001-1.
    pub machinery: u16,
    /// Index of the namespace of instances.
    pub namespace: u16,
    /// Our types by name.
    pub own: &'a dyn Fn(&str) -> NodeId,
    /// What nameplates say.
    pub nameplates: &'a BTreeMap<MachineId, BTreeMap<&'static str, String>>,
    /// The present.
    pub now: Timestamp,
}

/// A duration in milliseconds, as OPC UA has it.
fn duration(span: Span) -> Variant {
    Variant::Double(span.ticks() as f64 / TICKS_PER_MILLISECOND as f64)
}

/// A value with its times; picoseconds are never sent.
pub fn data_value(
    value: Option<Variant>,
    status: StatusCode,
    at: Timestamp,
    now: Timestamp,
) -> DataValue {
    DataValue {
        value,
        status: Some(status),
        source_timestamp: Some(date_time(at)),
        server_timestamp: Some(date_time(now)),
        source_picoseconds: None,
        server_picoseconds: None,
    }
}

impl Sight<'_> {
    /// The value of a source now; none for what only the store knows.
    pub fn value(&self, subject: &Subject, source: &Source) -> Option<DataValue> {
        Some(match (source, subject) {
            (Source::Constant(value), _) => self.good(value.clone(), self.view.at),
            (Source::Unknown, _) => self.bad(StatusCode::BadNotSupported),
            (Source::Key, subject) => self.good(self.key(subject).into(), self.view.at),
            (Source::Refusals(refusal), _) => {
                self.good(self.refusals.of(*refusal).into(), self.now)
            }
            (Source::Configuration(value), _) => {
                let reading = self.configuration.read();
                let value = match value {
                    ConfigurationValue::Since => date_time(reading.since).into(),
                    ConfigurationValue::LastRead => date_time(reading.read).into(),
                    ConfigurationValue::Problems => reading.problems.into(),
                    ConfigurationValue::RestartFor => reading.restart_for.into(),
                };
                self.good(value, reading.read)
            }
            (Source::Machine(value), Subject::Machine(machine)) => self.machine(machine, *value),
            (Source::Counter(role), Subject::Machine(machine)) => self.counter(machine, *role),
            (Source::Stop(value), Subject::Machine(machine)) => self.stop(machine, *value),
            (Source::Connection(value), Subject::Machine(machine)) => {
                self.connection(machine, *value)
            }
            (Source::Process(name), Subject::Machine(machine)) => self.process(machine, name),
            (Source::State(of, part), Subject::Machine(machine)) => {
                self.machinery_state(machine, *of, *part)
            }
            (Source::Nameplate(name), Subject::Machine(machine)) => {
                let said = self.nameplates.get(machine)?.get(name.as_str())?;
                let is_localized = matches!(&**name, "Manufacturer" | "Model" | "ComponentName");
                let text = said.as_str();
                let value = if is_localized {
                    LocalizedText::from(text).into()
                } else {
                    Variant::from(text)
                };
                self.good(value, self.view.at)
            }
            (Source::Line(value), Subject::Line(line)) => self.line(line, *value),
            (Source::Kpi(window, value), subject) => {
                self.kpi(&subject.equipment()?, *window, *value)
            }
            (Source::Job(value), subject) => {
                let (value, status) = self.jobs.value(subject, *value, (self.plant, self.view));
                data_value(value, status, self.view.at, self.now)
            }
            (Source::Condition(kind, path), Subject::Machine(machine)) => {
                let mut condition = kind.newest(machine, &self.view.conditions);
                if *kind == ConditionKind::Stop {
                    // Of a machine that says nothing, nobody knows whether it still stands.
                    condition.known.is &= self.view.machines.get(machine).is_some_and(|m| m.linked);
                }
                let value = told::value(&condition, path, (self.plant, self.namespace), self.now);
                self.good(value.unwrap_or_default(), self.view.at)
            }
            (Source::ConditionType(kind), _) => {
                self.good((self.own)(kind.type_name()).into(), self.view.at)
            }
            (Source::Order(name), Subject::Order(order)) => {
                let shown = self.view.orders.get(order)?;
                self.good(order_value(self.plant, shown, name)?, self.view.at)
            }
            _ => return None,
        })
    }

    fn key(&self, subject: &Subject) -> String {
        match subject {
            Subject::Mes => String::new(),
            Subject::Site => self.plant.site.to_string(),
            Subject::Area(area) => area.to_string(),
            Subject::Line(line) => line.to_string(),
            Subject::Machine(machine) => machine.to_string(),
            Subject::Order(order) => order.to_string(),
            Subject::Lot(lot) => lot.to_string(),
        }
    }

    fn good(&self, value: Variant, at: Timestamp) -> DataValue {
        data_value(Some(value), StatusCode::Good, at, self.now)
    }

    fn bad(&self, status: StatusCode) -> DataValue {
        data_value(None, status, self.now, self.now)
    }

    /// A value of a machine under the rules for lost links: good while values arrive, uncertain for
    /// a while after, then bad.
    fn linked(
        &self,
        view: &MachineView,
        value: Option<Variant>,
        at: Option<Timestamp>,
    ) -> DataValue {
        let (Some(value), Some(at)) = (value, at) else {
            let status = if view.linked {
                StatusCode::BadNoData
            } else if view.linked_since.is_some() {
                StatusCode::BadNoCommunication
            } else {
                StatusCode::BadWaitingForInitialData
            };
            return self.bad(status);
        };
        let lost_for = view.linked_since.map_or(Span::ZERO, |since| self.now - since);
        if view.linked {
            self.good(value, at)
        } else if lost_for < LINGER {
            let status = StatusCode::UncertainNoCommunicationLastUsableValue;
            data_value(Some(value), status, at, self.now)
        } else {
            self.bad(StatusCode::BadNoCommunication)
        }
    }

    fn machine(&self, machine: &MachineId, value: MachineValue) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let text = |text: Option<String>| Variant::from(text.unwrap_or_default());
        match value {
            MachineValue::State => {
                self.linked(view, view.state.map(|s| Variant::Int32(s as i32)), view.state_since)
            }
            MachineValue::Lot => {
                let lot = text(view.lot.as_ref().map(ToString::to_string));
                self.linked(view, Some(lot), Some(self.view.at))
            }
            MachineValue::Operator => {
                self.good(text(view.operator.as_ref().map(ToString::to_string)), self.view.at)
            }
            MachineValue::Order => {
                self.good(text(view.order.as_ref().map(ToString::to_string)), self.view.at)
            }
        }
    }

    /// A state of OPC 40001-1: what is not known is a state of its own there.
    fn machinery_state(&self, machine: &MachineId, of: StateMachine, part: StatePart) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let (name, node, number) = match of {
            StateMachine::ItemState => item_state(view),
            StateMachine::OperationMode => operation_mode(view),
        };
        let value = match part {
            StatePart::Text => LocalizedText::new("en", name).into(),
            StatePart::Node => NodeId::new(self.machinery, node).into(),
            StatePart::Number => Variant::UInt32(number),
        };
        // Losing the link changes them as well.
        let since = view.state_since.max(view.linked_since);
        self.good(value, since.unwrap_or(self.view.at))
    }

    fn counter(&self, machine: &MachineId, role: SignalRole) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let counter = view.counters.get(&role);
        self.linked(view, counter.map(|c| Variant::UInt64(c.0)), counter.map(|c| c.1))
    }

    fn stop(&self, machine: &MachineId, value: StopValue) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let stop = view.stop.as_ref();
        let given = stop.and_then(|stop| stop.reason_at(self.plant, self.now));
        let reason = given.as_ref().and_then(|reason| self.plant.reasons.get(reason));
        let said = stop.and_then(|stop| stop.cause.as_ref()?.said.as_ref());
        let at = stop.map_or(self.view.at, |stop| stop.start);
        let value = match value {
            StopValue::Active => Variant::Boolean(stop.is_some()),
            StopValue::Start => stop.map_or_else(DateTime::null, |s| date_time(s.start)).into(),
            StopValue::Duration => {
                let length = stop.map_or(Span::ZERO, |stop| self.now - stop.start);
                return self.linked(view, Some(duration(length)), Some(self.now));
            }
            StopValue::State => match stop {
                Some(stop) => Variant::Int32(stop.state as i32),
                None => return self.machine(machine, MachineValue::State),
            },
            StopValue::Reason => given.map_or_else(String::new, |reason| reason.to_string()).into(),
            StopValue::ReasonName => {
                LocalizedText::from(reason.map_or("", |reason| reason.name.as_str())).into()
            }
            StopValue::Comment => said.map_or_else(String::new, |s| s.comment.clone()).into(),
        };
        self.linked(view, Some(value), Some(at))
    }

    fn connection(&self, machine: &MachineId, value: ConnectionValue) -> DataValue {
        let board = self.connections.of(machine);
        let value = match value {
            ConnectionValue::State => Variant::Int32(board.state as i32),
            ConnectionValue::Endpoint => Variant::from(board.endpoint),
            ConnectionValue::LastError => Variant::from(board.last_error),
            ConnectionValue::Since => date_time(board.since).into(),
            ConnectionValue::Connects => Variant::UInt64(board.connects),
            ConnectionValue::Values => Variant::UInt64(board.values),
            ConnectionValue::LastValueTime => {
                board.last_value.map_or_else(DateTime::null, date_time).into()
            }
            ConnectionValue::ClockSkew => duration(board.clock_skew),
            ConnectionValue::MonitoredItems => Variant::UInt64(board.items),
        };
        self.good(value, board.last_value.unwrap_or(self.view.at))
    }

    fn process(&self, machine: &MachineId, name: &str) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let Some(shown) = self.connections.process_value(machine, name) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let mut value = self.linked(view, Some(Variant::Double(shown.value)), Some(shown.at));
        if view.linked && shown.status != 0 {
            value.status = Some(StatusCode::from(shown.status));
        }
        value
    }

    fn line(&self, line: &LineId, value: LineValue) -> DataValue {
        let Some(configured) = self.plant.lines.get(line) else {
            return self.bad(StatusCode::BadNodeIdUnknown);
        };
        if value == LineValue::State {
            return self.machine(&configured.bottleneck, MachineValue::State);
        }
        let machine = self.view.machines.get(&configured.bottleneck);
        let order = machine.and_then(|machine| machine.order.as_ref());
        let text = match value {
            LineValue::Order => order.map(ToString::to_string),
            LineValue::Bottleneck => Some(configured.bottleneck.to_string()),
            LineValue::Outfeed => Some(configured.outfeed.to_string()),
            _ => {
                let view = order.and_then(|order| self.view.orders.get(order));
                view.map(|view| view.order.request.product.to_string())
            }
        };
        self.good(Variant::from(text.unwrap_or_default()), self.view.at)
    }

    fn kpi(&self, equipment: &Equipment, window: KpiWindow, value: KpiValue) -> DataValue {
        match self.view.kpi(window, equipment) {
            None if window == KpiWindow::ThisShift => {
                self.bad(StatusCode::BadWaitingForInitialData)
            }
            // No order runs, or there was no shift before.
            None => self.bad(StatusCode::BadNoData),
            Some(shown) => kpi_value(shown, value, self.now),
        }
    }
}

fn kpi_value(shown: &KpiView, value: KpiValue, now: Timestamp) -> DataValue {
    let kpi = &shown.kpi;
    let at = kpi.window.to;
    let parts = kpi.production.parts;
    let unattributed = kpi.production.unattributed;
    let count = |count: u64| Variant::UInt32(u32::try_from(count).unwrap_or(u32::MAX));
    let waterfall = || kpi.waterfall();
    let value = match value {
        KpiValue::Figure(figure, FigurePart::Value) => {
            return ratio_value(kpi, figure.ratio(kpi), at, now);
        }
        KpiValue::Figure(figure, FigurePart::Numerator) => exact(figure.numerator(kpi)),
        KpiValue::Figure(figure, FigurePart::Denominator) => exact(figure.denominator(kpi)),
        KpiValue::PlannedBusyTime => duration(kpi.time.planned_busy()).into(),
        KpiValue::RunTime => duration(kpi.run_time(Profile::Tpm)).into(),
        KpiValue::Time(class) => duration(kpi.time.of(class)).into(),
        KpiValue::SpeedLoss => exact(waterfall().map(|w| w.speed_loss)),
        KpiValue::QualityLoss => exact(waterfall().map(|w| w.quality_loss)),
        KpiValue::FullyProductive => exact(waterfall().map(|w| w.fully_productive)),
        KpiValue::Good => Variant::Int64(parts.good).into(),
        KpiValue::Reject => Variant::Int64(parts.reject).into(),
        KpiValue::Total => Variant::Int64(parts.total).into(),
        KpiValue::Unattributed => Variant::Int64(unattributed.good + unattributed.reject).into(),
        KpiValue::Stops => count(kpi.stops.stops).into(),
        KpiValue::MicroStops => count(kpi.stops.micro_stops).into(),
        KpiValue::Unexplained => count(kpi.stops.unexplained).into(),
        KpiValue::TimeBetweenFailures => mean(kpi.mtbf()),
        KpiValue::TimeToRepair => mean(kpi.mttr()),
        KpiValue::WindowName => Some(Variant::from(shown.window_name.as_str())),
        KpiValue::WindowStart => Some(date_time(kpi.window.from).into()),
        KpiValue::WindowEnd => Some(date_time(kpi.window.to).into()),
        KpiValue::Provisional => Some(Variant::Boolean(kpi.provisional)),
        KpiValue::Flags => {
            let flags = kpi.flags.iter().map(|flag| flag.as_str().to_owned());
            Some(Variant::from(flags.collect::<Vec<_>>()))
        }
    };
    let status = if value.is_some() { StatusCode::Good } else { StatusCode::BadNoData };
    data_value(value, status, at, now)
}

/// An exact time in milliseconds.
fn exact(time: Option<ExactTime>) -> Option<Variant> {
    let ratio = Ratio::new(time?.numerator, time?.denominator)?;
    Some(Variant::Double(ratio.to_f64() / TICKS_PER_MILLISECOND as f64))
}

/// A mean time in milliseconds.
fn mean(ticks: Option<Ratio>) -> Option<Variant> {
    Some(Variant::Double(ticks?.to_f64() / TICKS_PER_MILLISECOND as f64))
}

/// A ratio; not defined is bad, and incomplete knowledge is uncertain.
pub fn ratio_value(kpi: &Kpi, ratio: Option<Ratio>, at: Timestamp, now: Timestamp) -> DataValue {
    let Some(ratio) = ratio else {
        return data_value(None, StatusCode::BadNoData, at, now);
    };
    let is_partial = kpi.time.of(LossClass::NoData) > Span::ZERO;
    let status = if is_partial { StatusCode::UncertainDataSubNormal } else { StatusCode::Good };
    data_value(Some(Variant::Double(ratio.to_f64())), status, at, now)
}

/// A value of an order by the name of its variable.
pub fn order_value(plant: &Plant, view: &OrderView, name: &str) -> Option<Variant> {
    let OrderView { order, totals } = view;
    let request = &order.request;
    let optional = |at: Option<Timestamp>| at.map_or_else(DateTime::null, date_time).into();
    Some(match name {
        "State" => Variant::Int32(order.state as i32),
        "Revision" => Variant::UInt64(request.revision),
        "Line" => Variant::from(request.line.as_str()),
        "Product" => Variant::from(request.product.as_str()),
        "Quantity" => Variant::from(request.quantity.to_string()),
        "Unit" => {
            let product = plant.products.get(&request.product);
            Variant::from(product.map_or("", |product| product.unit.as_str()))
        }
        "Lot" => Variant::from(order.lot().as_str()),
        "Due" => optional(request.due),
        "Priority" => Variant::Int32(request.priority.into()),
        "GoodCount" => Variant::Int64(totals.good),
        "ScrapCount" => Variant::Int64(totals.scrap),
        "UnattributedCount" => Variant::Int64(totals.unattributed),
        "StartTime" => optional(order.started()),
        "EndTime" => optional(ended(order)),
        "ReworkCount" => Variant::Int64(totals.rework),
        "AllowedActions" => {
            let allowed = allowed_commands(order.state);
            let words = allowed.iter().map(|command| command.as_str().to_owned());
            Variant::from(words.collect::<Vec<_>>())
        }
        _ => return None,
    })
}

fn ended(order: &Order) -> Option<Timestamp> {
    order.runs.last().and_then(|run| run.end).filter(|_| order.state.is_final())
}
