//! The fixed tree: site, areas, lines, machines, with their variables; made once from configuration.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use opcua::types::{
    DataTypeId, ExtensionObject, LocalizedText, NodeId, ObjectId, ObjectTypeId, Range,
    ReferenceTypeId, VariableTypeId, Variant,
};

use super::methods::MethodId;
use super::node::{NodeKind, Reference};
use super::protection::role_id;
use super::tree::{Tree, TreeBuilder};
use super::types::{TYPES_NAMESPACE, Types, id};
use super::value::{ConnectionValue, KpiValue, LineValue, MachineValue, Source, StopValue};
use crate::app::refusals::Refusal;
use crate::domain::id::MachineId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::loss::LossClass;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::role::Role;
use crate::domain::signal::SignalRole;

/// Makes the tree of a plant.
pub fn build(
    plant: &Plant,
    types: &Types,
    (namespace, uri): (u16, &str),
    process_units: &BTreeMap<(MachineId, String), String>,
) -> Tree {
    let entries = HashMap::new();
    let mut builder = TreeBuilder { plant, types, namespace, process_units, entries };
    let site = builder.site();
    builder.erp_role();
    let metadata = [
        builder.namespace_metadata("types", TYPES_NAMESPACE, Some(env!("CARGO_PKG_VERSION"))),
        builder.namespace_metadata("plant", uri, None),
    ];
    let mut roots = vec![
        (ObjectId::ObjectsFolder.into(), Reference::forward(ReferenceTypeId::Organizes, site)),
        (
            ObjectId::Server_ServerCapabilities_RoleSet.into(),
            Reference::forward(ReferenceTypeId::HasComponent, role_id(Role::Erp, namespace)),
        ),
    ];
    let server_namespaces = NodeId::from(ObjectId::Server_Namespaces);
    roots.extend(metadata.map(|id| {
        (server_namespaces.clone(), Reference::forward(ReferenceTypeId::HasComponent, id))
    }));
    Tree { entries: builder.entries, roots }
}

/// Name, description and unit of a counter role.
pub fn counter_text(role: SignalRole) -> Option<(&'static str, &'static str)> {
    match role {
        SignalRole::Good => Some(("Good", "Counter of good parts as the machine shows it.")),
        SignalRole::Reject => {
            Some(("Reject", "Counter of rejected parts as the machine shows it."))
        }
        SignalRole::Total => Some(("Total", "Counter of all parts as the machine shows it.")),
        SignalRole::Infeed => {
            Some(("Infeed", "Counter of parts that came in, as the machine shows it."))
        }
        SignalRole::Rework => {
            Some(("Rework", "Counter of parts that go to rework, as the machine shows it."))
        }
        SignalRole::StartupReject => Some((
            "StartupReject",
            "Counter of parts rejected after a start, as the machine shows it.",
        )),
        SignalRole::Cycle => Some(("Cycle", "Counter of cycles as the machine shows it.")),
        SignalRole::State
        | SignalRole::Lot
        | SignalRole::Mode
        | SignalRole::Reason
        | SignalRole::Blocked
        | SignalRole::Starved
        | SignalRole::Operator => None,
    }
}

impl TreeBuilder<'_> {
    fn site(&mut self) -> NodeId {
        let (key, name) = (self.plant.site.to_string(), self.plant.site_name.clone());
        let path = format!("site/{key}");
        let kind = self.types.id(id::SITE_TYPE);
        self.object(&path, &key, (&name, "The site."), kind);
        self.notifies(&path, None);
        self.oee(&path, &Equipment::Site);
        let (zone, text) = (self.plant.time_zone.clone(), "IANA time zone of the site.");
        let source = Source::Constant(Variant::from(zone));
        self.plain(&path, "TimeZone", text, DataTypeId::String, source);
        for area in self.plant.areas.clone() {
            let area_path = format!("area/{}", area.id);
            let kind = self.types.id(id::AREA_TYPE);
            self.object(&area_path, area.id.as_str(), (&area.name, "An area of the site."), kind);
            self.link(&path, ReferenceTypeId::Organizes, &area_path);
            self.notifies(&area_path, Some(&path));
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
        self.refusals(&path);
        self.id(&path)
    }

    fn refusals(&mut self, site: &str) {
        let path = format!("{site}/Refusals");
        let texts = ("Refusals", "Peers that this server has turned away since its start.");
        self.object(&path, "Refusals", texts, ObjectTypeId::FolderType.into());
        self.link(site, ReferenceTypeId::HasComponent, &path);
        for refusal in Refusal::ALL {
            let (name, text) = refusal.texts();
            self.plain(&path, name, text, DataTypeId::UInt64, Source::Refusals(refusal));
        }
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
        self.notifies(&path, Some(area));
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
        self.notifies(&path, Some(line));
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
