//! Where the value of a variable comes from, and how it is read from the published picture.

use std::collections::BTreeMap;

use opcua::types::{DataValue, DateTime, LocalizedText, NodeId, StatusCode, Variant};

use super::figures::kpi_value;
use super::job_control::JobControl;
use super::machinery::{StateMachine, StatePart, item_state, operation_mode};
use super::source::{
    ConfigurationValue, ConnectionValue, KpiValue, LineValue, MachineValue, Source, StopValue,
    Subject, Targets, TransferValue,
};
use super::spoken::{self, SpokenIndexes, SpokenValue};
use super::stops::{open_stops, stop_value};
use super::structures::Encoder;
use super::told::{self, ConditionKind};
use crate::app::configuration::ConfigurationBoard;
use crate::app::connection::Connections;
use crate::app::refusals::Refusals;
use crate::app::view::{KpiWindow, MachineView, OrderView, PlantView};
use crate::channel::time::date_time;
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::order::{Order, allowed_commands};
use crate::domain::plant::Plant;
use crate::domain::signal::{SignalRole, Unusable, Vocabulary};
use crate::domain::time::{Span, TICKS_PER_MILLISECOND, Timestamp};
use crate::domain::transfer::TransferOutcome;

/// How long the last value is still shown, as uncertain, after a link was lost.
const LINGER: Span = Span::from_seconds(10);
/// The part of a status code that says what is the matter (Part 4 §7.39).
const CODE: u32 = 0xFFFF_0000;

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
    /// Indexes of the namespaces of the standards in whose words machines speak.
    pub spoken: SpokenIndexes,
    /// Index of the namespace of instances.
    pub namespace: u16,
    /// Our types by name.
    pub own: &'a dyn Fn(&str) -> NodeId,
    /// What nameplates say.
    pub nameplates: &'a BTreeMap<MachineId, BTreeMap<&'static str, String>>,
    /// What is aimed at.
    pub targets: &'a Targets,
    /// How our structures are written.
    pub encoder: &'a Encoder,
    /// The present.
    pub now: Timestamp,
}

/// A duration in milliseconds, as OPC UA has it.
pub fn duration(span: Span) -> Variant {
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
            (Source::Transfer(value), Subject::Machine(machine)) => self.transfer(machine, *value),
            (Source::Connection(value), Subject::Machine(machine)) => {
                self.connection(machine, *value)
            }
            (Source::Process(name), Subject::Machine(machine)) => self.process(machine, name),
            (Source::State(of, part), Subject::Machine(machine)) => {
                self.machinery_state(machine, *of, *part)
            }
            (Source::Nameplate(name), Subject::Machine(machine)) => {
                self.good(self.nameplate(machine, name)?, self.view.at)
            }
            (Source::Spoken(vocabulary, value), Subject::Machine(machine)) => {
                self.spoken(machine, *vocabulary, *value)
            }
            (Source::Target(figure), subject) => {
                let target = self.targets.get(&subject.equipment()?)?.get(figure)?;
                self.good(Variant::Double(*target), self.view.at)
            }
            (Source::Line(value), Subject::Line(line)) => self.line(line, *value),
            (Source::OpenStops, subject) => {
                let stops = open_stops(self.plant, self.view, subject, self.now);
                self.good(self.encoder.array(&stops), self.view.at)
            }
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

    /// What the nameplate of a machine says.
    fn nameplate(&self, machine: &MachineId, name: &str) -> Option<Variant> {
        let text = self.nameplates.get(machine)?.get(name)?.as_str();
        Some(match name {
            "Manufacturer" | "Model" | "ComponentName" => LocalizedText::from(text).into(),
            _ => Variant::from(text),
        })
    }

    fn key(&self, subject: &Subject) -> String {
        match subject {
            Subject::Mes | Subject::Enterprise => String::new(),
            Subject::Site => self.plant.site.to_string(),
            Subject::Area(area) => area.to_string(),
            Subject::Line(line) => line.to_string(),
            Subject::Machine(machine) => machine.to_string(),
            Subject::Order(order) => order.to_string(),
            Subject::Lot(lot) => lot.to_string(),
            // What they are is not a key of its own.
            Subject::Stop(..) | Subject::Shift(..) | Subject::OrderDay(_) | Subject::LotDay(_) => {
                String::new()
            }
            Subject::Person(person) => person.to_string(),
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

    /// A value that a signal of a machine says, as [`Sight::passed`].
    fn signal(
        &self,
        view: &MachineView,
        role: SignalRole,
        value: Option<Variant>,
        at: Option<Timestamp>,
    ) -> DataValue {
        let Some(said) = view.said.get(&role) else {
            return self.linked(view, value, at);
        };
        match said.unusable {
            None => self.passed(view, StatusCode::from(said.status), value, at.unwrap_or(said.at)),
            Some(why) => {
                let status = match why {
                    Unusable::BadStatus => StatusCode::from(said.status),
                    Unusable::WrongType => StatusCode::BadTypeMismatch,
                    Unusable::UnknownValue => StatusCode::BadOutOfRange,
                };
                // While the link is down, the newest value that could be used is told.
                let at = if view.linked { said.at } else { at.unwrap_or(said.at) };
                self.passed(view, status, value, at)
            }
        }
    }

    /// A value of a machine with the status that the machine gives it, under the rules for lost links.
    ///
    /// What the status says of a queue on the way to us is not told to others.
    fn passed(
        &self,
        view: &MachineView,
        status: StatusCode,
        value: Option<Variant>,
        at: Timestamp,
    ) -> DataValue {
        let status = StatusCode::from(status.bits() & CODE);
        if view.linked && status.is_bad() {
            return data_value(None, status, at, self.now);
        }
        let mut told = self.linked(view, value, Some(at));
        if view.linked && told.value.is_some() {
            told.status = Some(status);
        }
        told
    }

    fn machine(&self, machine: &MachineId, value: MachineValue) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let text = |text: Option<String>| Variant::from(text.unwrap_or_default());
        match value {
            MachineValue::State => {
                let state = view.state.map(|state| Variant::Int32(state as i32));
                self.signal(view, SignalRole::State, state, view.state_since)
            }
            MachineValue::Lot => {
                let lot = text(view.lot.as_ref().map(ToString::to_string));
                self.signal(view, SignalRole::Lot, Some(lot), Some(self.view.at))
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

    /// What a machine says in the words of its standard.
    fn spoken(&self, machine: &MachineId, vocabulary: Vocabulary, value: SpokenValue) -> DataValue {
        if let Some(value) = spoken::fixed(vocabulary, value, self.spoken) {
            return self.good(value, self.view.at);
        }
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let role = match value {
            SpokenValue::Mode => SignalRole::Mode,
            _ => SignalRole::State,
        };
        let Some(said) = view.said.get(&role) else {
            return self.linked(view, None, None);
        };
        let status = StatusCode::from(said.status);
        let told = match said.code {
            _ if status.is_bad() => Err(status),
            Some((spoken, code)) if spoken == vocabulary => {
                spoken::spoken(vocabulary, value, code, self.spoken)
            }
            Some(_) => Err(StatusCode::BadNoData),
            None => Err(StatusCode::BadTypeMismatch),
        };
        match told {
            Ok(value) => self.passed(view, status, Some(value), said.at),
            Err(status) => self.passed(view, status, None, said.at),
        }
    }

    fn counter(&self, machine: &MachineId, role: SignalRole) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let counter = view.counters.get(&role);
        let value = counter.map(|(count, _)| Variant::UInt64(*count));
        self.signal(view, role, value, counter.map(|(_, at)| *at))
    }

    fn stop(&self, machine: &MachineId, value: StopValue) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let stop = view.stop.as_ref();
        if value == StopValue::State && stop.is_none() {
            return self.machine(machine, MachineValue::State);
        }
        let at = match value {
            StopValue::Duration => self.now,
            _ => stop.map_or(self.view.at, |stop| stop.start),
        };
        let value = stop_value(self.plant, machine, stop, value, self.now);
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
            ConnectionValue::Resumed => Variant::UInt64(board.resumed),
            ConnectionValue::Lag => duration(board.lag),
            ConnectionValue::Product => Variant::from(board.product),
            ConnectionValue::Profile => Variant::from(board.profile),
            ConnectionValue::Binding => Variant::from(board.binding),
            ConnectionValue::MirroredNodes => Variant::UInt64(board.mirrored),
            ConnectionValue::RecordedVariables => Variant::UInt64(board.recorded),
            ConnectionValue::MirrorNote => Variant::from(board.mirror_notes()),
        };
        self.good(value, board.last_value.unwrap_or(self.view.at))
    }

    fn transfer(&self, machine: &MachineId, value: TransferValue) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let told = view.transfer.as_ref();
        let (last, at) =
            told.and_then(|told| told.last.as_ref().map(|(last, at)| (last, at))).unzip();
        let is_calling = told.is_some_and(|told| told.calling.is_some());
        // What is being told now is what people ask for.
        let shown = told.and_then(|told| told.calling.as_ref()).or(last);
        let value = match value {
            TransferValue::Order => {
                Variant::from(shown.map_or_else(String::new, |shown| shown.order.to_string()))
            }
            TransferValue::Moment => Variant::from(shown.map_or("", |shown| shown.moment.as_str())),
            TransferValue::Known => {
                Variant::Boolean(shown.is_some_and(|shown| shown.outcome == TransferOutcome::Known))
            }
            TransferValue::Reason if is_calling => Variant::from("it is being told"),
            TransferValue::Reason => Variant::from(last.map_or("", |last| last.outcome.why())),
            TransferValue::Time => at.map_or_else(DateTime::null, |at| date_time(*at)).into(),
        };
        self.good(value, at.copied().unwrap_or(self.view.at))
    }

    fn process(&self, machine: &MachineId, name: &str) -> DataValue {
        let Some(view) = self.view.machines.get(machine) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let Some(shown) = self.connections.process_value(machine, name) else {
            return self.bad(StatusCode::BadWaitingForInitialData);
        };
        let value = shown.value.map(Variant::Double);
        self.passed(view, StatusCode::from(shown.status), value, shown.at)
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
