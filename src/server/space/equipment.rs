//! The fixed tree: site, areas, lines, machines, with their variables; made once from configuration.
//!
//! Ids are paths of business keys, so they stay the same over restarts and reinstallations.

use std::collections::BTreeMap;

use opcua::types::{
    DataTypeId, EUInformation, ExtensionObject, LocalizedText, NodeId, ObjectTypeId, QualifiedName,
    Range, ReferenceTypeId, VariableTypeId, Variant,
};

use super::methods::{self, MethodId};
use super::node::{Node, NodeKind, Reference};
use super::types::{Types, id};
use super::value::{ConnectionValue, KpiValue, LineValue, MachineValue, Source, StopValue};
use crate::domain::id::MachineId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::loss::LossClass;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::signal::SignalRole;

const UNITS: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// A node of the tree with what its value is and where it leads.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The node.
    pub node: Node,
    /// Where its value comes from; only for variables.
    pub source: Option<Source>,
    /// Its references.
    pub references: Vec<Reference>,
    /// Which method it is.
    pub method: Option<MethodId>,
}

/// The tree by path.
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    /// References from standard nodes into the tree.
    pub roots: Vec<Reference>,
}

/// Adds nodes under their parents.
pub struct TreeBuilder<'a> {
    plant: &'a Plant,
    types: &'a Types,
    namespace: u16,
    process_units: &'a BTreeMap<(MachineId, String), String>,
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }
}

/// Makes the tree of a plant.
pub fn build(
    plant: &Plant,
    types: &Types,
    namespace: u16,
    process_units: &BTreeMap<(MachineId, String), String>,
) -> Tree {
    let entries = BTreeMap::new();
    let mut builder = TreeBuilder { plant, types, namespace, process_units, entries };
    let site = builder.site();
    let roots = vec![Reference::forward(ReferenceTypeId::Organizes, site)];
    Tree { entries: builder.entries, roots }
}

/// Name, description and unit of a counter role.
fn counter_text(role: SignalRole) -> Option<(&'static str, &'static str)> {
    match role {
        SignalRole::Good => Some(("Good", "Counter of good parts as the machine shows it.")),
        SignalRole::Reject => {
            Some(("Reject", "Counter of rejected parts as the machine shows it."))
        }
        SignalRole::Total => Some(("Total", "Counter of all parts as the machine shows it.")),
        SignalRole::State | SignalRole::Lot => None,
    }
}

impl TreeBuilder<'_> {
    fn id(&self, path: &str) -> NodeId {
        NodeId::new(self.namespace, path)
    }

    fn add(
        &mut self,
        path: &str,
        name: &str,
        (display, text): (&str, &str),
        kind: NodeKind,
    ) -> NodeId {
        let id = self.id(path);
        let mut references = Vec::new();
        let type_definition = match &kind {
            NodeKind::Object { type_definition } | NodeKind::Variable { type_definition, .. } => {
                Some(type_definition.clone())
            }
            _ => None,
        };
        if let Some(target) = type_definition {
            references.push(Reference::forward(ReferenceTypeId::HasTypeDefinition, target));
        }
        let node = Node {
            id: id.clone(),
            browse_name: QualifiedName::new(self.namespace, name),
            display_name: LocalizedText::from(display),
            description: LocalizedText::from(text),
            kind,
        };
        let entry = Entry { node, source: None, references, method: None };
        self.entries.insert(path.to_owned(), entry);
        id
    }

    fn link(&mut self, parent: &str, kind: ReferenceTypeId, child: &str) {
        let (from, to) = (self.id(parent), self.id(child));
        if let Some(entry) = self.entries.get_mut(parent) {
            entry.references.push(Reference::forward(kind, to));
        }
        if let Some(entry) = self.entries.get_mut(child) {
            entry.references.push(Reference::inverse(kind, from));
        }
    }

    fn object(&mut self, path: &str, name: &str, texts: (&str, &str), type_definition: NodeId) {
        self.add(path, name, texts, NodeKind::Object { type_definition });
    }

    /// A component variable of an object.
    fn variable(
        &mut self,
        parent: &str,
        (name, text): (&str, &str),
        (data_type, type_definition): (NodeId, NodeId),
        source: Source,
    ) -> String {
        let path = format!("{parent}/{name}");
        let kind =
            NodeKind::Variable { type_definition, data_type, value_rank: -1, historizing: false };
        self.add(&path, name, (name, text), kind);
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.source = Some(source);
        }
        self.link(parent, ReferenceTypeId::HasComponent, &path);
        path
    }

    fn plain(
        &mut self,
        parent: &str,
        name: &str,
        text: &str,
        data_type: DataTypeId,
        source: Source,
    ) -> String {
        let types = (data_type.into(), VariableTypeId::BaseDataVariableType.into());
        self.variable(parent, (name, text), types, source)
    }

    /// A property in the namespace of OPC UA itself.
    fn property(&mut self, parent: &str, name: &str, data_type: DataTypeId, value: Variant) {
        let path = format!("{parent}/{name}");
        let kind = NodeKind::Variable {
            type_definition: VariableTypeId::PropertyType.into(),
            data_type: data_type.into(),
            value_rank: -1,
            historizing: false,
        };
        self.add(&path, name, (name, ""), kind);
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.node.browse_name = QualifiedName::new(0, name);
            entry.source = Some(Source::Constant(value));
        }
        self.link(parent, ReferenceTypeId::HasProperty, &path);
    }

    fn engineering_units(&mut self, parent: &str, (code, display): (&str, &str)) {
        let unit_id = code.bytes().fold(0_i32, |id, byte| (id << 8) | i32::from(byte));
        let unit = EUInformation {
            namespace_uri: UNITS.into(),
            unit_id,
            display_name: LocalizedText::from(display),
            description: LocalizedText::from(display),
        };
        let value = Variant::from(ExtensionObject::from_message(unit));
        self.property(parent, "EngineeringUnits", DataTypeId::EUInformation, value);
    }

    /// Says that values are stored, and that they hold until the next.
    fn historize(&mut self, path: &str) {
        if let Some(entry) = self.entries.get_mut(path)
            && let NodeKind::Variable { historizing, .. } = &mut entry.node.kind
        {
            *historizing = true;
        }
        let configuration = format!("{path}/HA Configuration");
        let texts = ("HA Configuration", "How stored values of the variable are to be read.");
        let kind = ObjectTypeId::HistoricalDataConfigurationType.into();
        self.object(&configuration, "HA Configuration", texts, kind);
        if let Some(entry) = self.entries.get_mut(&configuration) {
            entry.node.browse_name = QualifiedName::new(0, "HA Configuration");
        }
        self.link(path, ReferenceTypeId::HasHistoricalConfiguration, &configuration);
        self.property(&configuration, "Stepped", DataTypeId::Boolean, Variant::Boolean(true));
    }

    fn method(&mut self, parent: &str, method: MethodId) {
        let definition = methods::definition(method);
        let path = format!("{parent}/{}", definition.name);
        let kind = NodeKind::Method {
            inputs: definition.inputs.clone(),
            outputs: definition.outputs.clone(),
        };
        self.add(&path, definition.name, (definition.name, definition.text), kind);
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.method = Some(method);
        }
        self.link(parent, ReferenceTypeId::HasComponent, &path);
        for (name, arguments) in
            [("InputArguments", definition.inputs), ("OutputArguments", definition.outputs)]
        {
            let list: Vec<_> = arguments.into_iter().map(ExtensionObject::from_message).collect();
            self.property(&path, name, DataTypeId::Argument, Variant::from(list));
            let entry = self.entries.get_mut(&format!("{path}/{name}"));
            if let Some(NodeKind::Variable { value_rank, .. }) = entry.map(|e| &mut e.node.kind) {
                *value_rank = 1;
            }
        }
    }

    fn site(&mut self) -> NodeId {
        let (key, name) = (self.plant.site.to_string(), self.plant.site_name.clone());
        let path = format!("site/{key}");
        let kind = self.types.id(id::SITE_TYPE);
        self.object(&path, &key, (&name, "The site."), kind);
        self.oee(&path, &Equipment::Site);
        let (zone, text) = (self.plant.time_zone.clone(), "IANA time zone of the site.");
        let source = Source::Constant(Variant::from(zone));
        self.plain(&path, "TimeZone", text, DataTypeId::String, source);
        for area in self.plant.areas.clone() {
            let area_path = format!("area/{}", area.id);
            let kind = self.types.id(id::AREA_TYPE);
            self.object(&area_path, area.id.as_str(), (&area.name, "An area of the site."), kind);
            self.link(&path, ReferenceTypeId::Organizes, &area_path);
            self.oee(&area_path, &Equipment::Area(area.id.clone()));
            for line in self.plant.lines_in(&area.id).cloned().collect::<Vec<_>>() {
                self.line(&area_path, &line);
            }
        }
        self.orders(&path);
        let kind = self.types.id(id::LOTS_TYPE);
        self.object("lots", "Lots", ("Lots", "Lots in the order of their numbers."), kind);
        self.link(&path, ReferenceTypeId::Organizes, "lots");
        self.reasons(&path);
        self.id(&path)
    }

    fn orders(&mut self, site: &str) {
        let texts = ("Orders", "Job orders: the unfinished and the recently finished ones.");
        let kind = self.types.id(id::ORDERS_TYPE);
        self.object("orders", "Orders", texts, kind);
        self.link(site, ReferenceTypeId::Organizes, "orders");
        for method in MethodId::ON_ORDERS {
            self.method("orders", method);
        }
    }

    fn reasons(&mut self, site: &str) {
        let texts =
            ("Reasons", "The reasons that a stop can have; give the name of one to ClassifyStop.");
        let kind = self.types.id(id::REASONS_TYPE);
        self.object("reasons", "Reasons", texts, kind);
        self.link(site, ReferenceTypeId::Organizes, "reasons");
        for reason in self.plant.reasons.values() {
            let path = format!("reason/{}", reason.id);
            let kind = NodeKind::Variable {
                type_definition: VariableTypeId::BaseDataVariableType.into(),
                data_type: DataTypeId::LocalizedText.into(),
                value_rank: -1,
                historizing: false,
            };
            let texts = (reason.name.as_str(), "A reason; its value is its name.");
            self.add(&path, reason.id.as_str(), texts, kind);
            if let Some(entry) = self.entries.get_mut(&path) {
                let name = LocalizedText::from(reason.name.as_str());
                entry.source = Some(Source::Constant(name.into()));
            }
        }
        for reason in self.plant.reasons.values() {
            let path = format!("reason/{}", reason.id);
            match &reason.parent {
                Some(parent) => {
                    self.link(&format!("reason/{parent}"), ReferenceTypeId::HasComponent, &path);
                }
                None => self.link("reasons", ReferenceTypeId::HasComponent, &path),
            }
        }
    }

    fn line(&mut self, area: &str, line: &Line) {
        let path = format!("line/{}", line.id);
        let texts = (line.name.as_str(), "A line; it makes one job order at a time.");
        let kind = self.types.id(id::LINE_TYPE);
        self.object(&path, line.id.as_str(), texts, kind);
        self.link(area, ReferenceTypeId::Organizes, &path);
        self.oee(&path, &Equipment::Line(line.id.clone()));
        let source = |value| Source::Line(line.id.clone(), value);
        let state = self.types.id(id::MACHINE_STATE);
        let types = (state, VariableTypeId::BaseDataVariableType.into());
        let texts = ("State", "State of the bottleneck.");
        self.variable(&path, texts, types, source(LineValue::State));
        let string = DataTypeId::String;
        let text = "The order that runs, empty when none does.";
        self.plain(&path, "CurrentOrder", text, string, source(LineValue::Order));
        self.plain(&path, "CurrentProduct", "What is made.", string, source(LineValue::Product));
        let constant = |text: &MachineId| Source::Constant(Variant::from(text.as_str()));
        let text = "The machine whose time is the line's.";
        self.plain(&path, "Bottleneck", text, string, constant(&line.bottleneck));
        let text = "The machine that counts the line's output.";
        self.plain(&path, "Outfeed", text, string, constant(&line.outfeed));
        for id in &line.machines {
            if let Some(machine) = self.plant.machines.get(id).cloned() {
                self.machine(&path, &machine);
            }
        }
        let flows_to = self.types.id(id::FLOWS_TO);
        for pair in line.machines.windows(2) {
            let [from, to] = [&pair[0], &pair[1]].map(|id| format!("machine/{id}"));
            for (start, end, forward) in [(&from, &to, true), (&to, &from, false)] {
                let (reference_type, target) = (flows_to.clone(), self.id(end));
                if let Some(entry) = self.entries.get_mut(start) {
                    entry.references.push(Reference { reference_type, forward, target });
                }
            }
        }
    }

    fn machine(&mut self, line: &str, machine: &Machine) {
        let path = format!("machine/{}", machine.id);
        let kind = self.types.id(id::MACHINE_TYPE);
        self.object(&path, machine.id.as_str(), (&machine.name, "A machine."), kind);
        self.link(line, ReferenceTypeId::Organizes, &path);
        self.oee(&path, &Equipment::Machine(machine.id.clone()));
        let source = |value| Source::Machine(machine.id.clone(), value);
        let state = self.types.id(id::MACHINE_STATE);
        let types = (state, VariableTypeId::BaseDataVariableType.into());
        let state =
            self.variable(&path, ("State", "What it does."), types, source(MachineValue::State));
        self.historize(&state);
        let text = "The order that runs on its line.";
        self.plain(&path, "CurrentOrder", text, DataTypeId::String, source(MachineValue::Order));
        let text = "The lot that it consumes.";
        self.plain(&path, "CurrentLot", text, DataTypeId::String, source(MachineValue::Lot));
        self.counters(&path, machine);
        self.stop(&path, machine);
        self.connection(&path, machine);
        self.process_values(&path, machine);
        self.method(&path, MethodId::ClassifyStop);
    }

    fn counters(&mut self, machine_path: &str, machine: &Machine) {
        let path = format!("{machine_path}/Counters");
        let texts = ("Counters", "Its counters as it shows them; they may roll over or be reset.");
        self.object(&path, "Counters", texts, ObjectTypeId::FolderType.into());
        self.link(machine_path, ReferenceTypeId::HasComponent, &path);
        for signal in &machine.signals {
            let Some(texts) = counter_text(signal.role) else {
                continue;
            };
            let types = (DataTypeId::UInt64.into(), self.types.id(id::COUNTER_TYPE));
            let source = Source::Counter(machine.id.clone(), signal.role);
            let counter = self.variable(&path, texts, types, source);
            self.engineering_units(&counter, ("C62", "pieces"));
            self.historize(&counter);
        }
    }

    fn stop(&mut self, machine_path: &str, machine: &Machine) {
        let path = format!("{machine_path}/CurrentStop");
        let kind = self.types.id(id::STOP_TYPE);
        self.object(&path, "CurrentStop", ("CurrentStop", "The stop in which it is."), kind);
        self.link(machine_path, ReferenceTypeId::HasComponent, &path);
        let state = self.types.id(id::MACHINE_STATE);
        let rows: [(&str, &str, NodeId, StopValue); 7] = [
            (
                "Active",
                "Whether the machine stands.",
                DataTypeId::Boolean.into(),
                StopValue::Active,
            ),
            (
                "Start",
                "When it left the running state.",
                DataTypeId::DateTime.into(),
                StopValue::Start,
            ),
            (
                "Duration",
                "How long it stands, in ms.",
                DataTypeId::Duration.into(),
                StopValue::Duration,
            ),
            ("State", "The state in which it stopped.", state, StopValue::State),
            ("Reason", "Key of the reason.", DataTypeId::String.into(), StopValue::Reason),
            ("ReasonName", "The reason.", DataTypeId::LocalizedText.into(), StopValue::ReasonName),
            ("Comment", "What was said about it.", DataTypeId::String.into(), StopValue::Comment),
        ];
        for (name, text, data_type, value) in rows {
            let types = (data_type, VariableTypeId::BaseDataVariableType.into());
            let source = Source::Stop(machine.id.clone(), value);
            self.variable(&path, (name, text), types, source);
        }
    }

    fn connection(&mut self, machine_path: &str, machine: &Machine) {
        use ConnectionValue as V;
        let path = format!("{machine_path}/Connection");
        let kind = self.types.id(id::CONNECTION_TYPE);
        self.object(&path, "Connection", ("Connection", "The link to the machine."), kind);
        self.link(machine_path, ReferenceTypeId::HasComponent, &path);
        let rows = [
            ("State", "connecting, connected or degraded.", DataTypeId::String, V::State),
            ("Endpoint", "URL of the machine.", DataTypeId::String, V::Endpoint),
            ("LastError", "What went wrong last.", DataTypeId::String, V::LastError),
            ("Since", "When it came up or went down.", DataTypeId::DateTime, V::Since),
            ("Connects", "How often it has come up.", DataTypeId::UInt64, V::Connects),
            ("Values", "Values received.", DataTypeId::UInt64, V::Values),
            (
                "LastValueTime",
                "When the newest value arrived.",
                DataTypeId::DateTime,
                V::LastValueTime,
            ),
            ("ClockSkew", "Its clock less ours, in ms.", DataTypeId::Duration, V::ClockSkew),
            ("MonitoredItems", "Items that are watched.", DataTypeId::UInt64, V::MonitoredItems),
        ];
        for (name, text, data_type, value) in rows {
            let source = Source::Connection(machine.id.clone(), value);
            self.plain(&path, name, text, data_type, source);
        }
    }

    fn process_values(&mut self, machine_path: &str, machine: &Machine) {
        let own = self.process_units.iter().filter(|((id, _), _)| *id == machine.id);
        let own: Vec<_> = own.map(|((_, name), unit)| (name.clone(), unit.clone())).collect();
        if own.is_empty() {
            return;
        }
        let path = format!("{machine_path}/ProcessValues");
        let texts = ("ProcessValues", "Values that are shown live and not kept.");
        self.object(&path, "ProcessValues", texts, ObjectTypeId::FolderType.into());
        self.link(machine_path, ReferenceTypeId::HasComponent, &path);
        for (name, unit) in own {
            let types = (DataTypeId::Double.into(), VariableTypeId::AnalogUnitType.into());
            let source = Source::Process(machine.id.clone(), name.clone());
            let text = "A value of the machine, shown live.";
            let variable = self.variable(&path, (&name, text), types, source);
            self.engineering_units(&variable, (&unit, &unit));
        }
    }

    fn oee(&mut self, parent: &str, equipment: &Equipment) {
        use KpiValue as V;
        let path = format!("{parent}/OEE");
        let kind = self.types.id(id::OEE_TYPE);
        let texts = ("OEE", "Figures of the running shift, with the time and parts behind them.");
        self.object(&path, "OEE", texts, kind);
        self.link(parent, ReferenceTypeId::HasComponent, &path);
        let ratios = [
            ("Oee", "Ideal time of good parts / planned busy time.", V::Oee),
            (
                "Availability",
                "Run time, micro-stops included, / planned busy time.",
                V::Availability,
            ),
            ("Performance", "Ideal time of all parts / run time.", V::Performance),
            ("Quality", "Ideal time of good parts / ideal time of all parts.", V::Quality),
            ("Teep", "Ideal time of good parts / calendar time.", V::Teep),
            ("Ooe", "Ideal time of good parts / scheduled time.", V::Ooe),
            ("Coverage", "Share of planned busy time that is known.", V::Coverage),
        ];
        for (name, text, value) in ratios {
            let types = (DataTypeId::Double.into(), self.types.id(id::KPI_TYPE));
            let source = Source::Kpi(equipment.clone(), value);
            let variable = self.variable(&path, (name, text), types, source);
            let range = ExtensionObject::from_message(Range { low: 0.0, high: 1.0 });
            self.property(&variable, "EURange", DataTypeId::Range, Variant::from(range));
            self.engineering_units(&variable, ("C62", "1"));
            if matches!(value, V::Oee | V::Availability | V::Performance | V::Quality) {
                self.historize(&variable);
            }
        }
        for (name, text, data_type, value) in KPI_ROWS {
            let source = Source::Kpi(equipment.clone(), value);
            self.plain(&path, name, text, data_type, source);
        }
    }
}

/// Variables of an OEE object besides the ratios.
const KPI_ROWS: [(&str, &str, DataTypeId, KpiValue); 20] = {
    use DataTypeId::{Boolean, DateTime, Duration, Int64, String};
    use KpiValue as V;
    [
        (
            "PlannedBusyTime",
            "Scheduled time less planned stops (PBT), in ms.",
            Duration,
            V::PlannedBusyTime,
        ),
        ("RunTime", "Time in production, micro-stops included, in ms.", Duration, V::RunTime),
        ("MicroStopTime", "Short stops, in ms.", Duration, V::Time(LossClass::MicroStop)),
        ("SetupTime", "Setup and changeover (AUST), in ms.", Duration, V::Time(LossClass::Setup)),
        (
            "UnplannedDownTime",
            "Unplanned stops (ADET), in ms.",
            Duration,
            V::Time(LossClass::UnplannedDown),
        ),
        ("BlockedTime", "Blocked by what follows, in ms.", Duration, V::Time(LossClass::Blocked)),
        ("StarvedTime", "Starved by what precedes, in ms.", Duration, V::Time(LossClass::Starved)),
        (
            "NoOrderTime",
            "Standing without an order (ADOT), in ms.",
            Duration,
            V::Time(LossClass::NoOrder),
        ),
        (
            "PlannedDownTime",
            "Breaks and planned stops, in ms.",
            Duration,
            V::Time(LossClass::PlannedDown),
        ),
        (
            "NotScheduledTime",
            "Outside all shifts, in ms.",
            Duration,
            V::Time(LossClass::NotScheduled),
        ),
        (
            "NoDataTime",
            "Time about which nothing is known, in ms.",
            Duration,
            V::Time(LossClass::NoData),
        ),
        ("GoodCount", "Good parts in the window.", Int64, V::Good),
        ("RejectCount", "Rejected parts in the window.", Int64, V::Reject),
        ("TotalCount", "All parts in the window.", Int64, V::Total),
        ("UnattributedCount", "Parts counted over a gap; in no ratio.", Int64, V::Unattributed),
        ("WindowName", "The shift, or rolling where none runs.", String, V::WindowName),
        ("WindowStart", "First instant of the window.", DateTime, V::WindowStart),
        ("WindowEnd", "First instant after the window.", DateTime, V::WindowEnd),
        ("Provisional", "Whether an open stop may change the figures.", Boolean, V::Provisional),
        ("Flags", "What a reader must know, comma-separated.", String, V::Flags),
    ]
};
