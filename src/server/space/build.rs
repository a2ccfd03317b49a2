//! The instances of a plant: company, site, areas, lines and machines, made of configuration; [`beside`] has
//! what belongs to no single piece of equipment.

mod beside;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{
    ExtensionObject, LocalizedText, NodeId, ObjectId, QualifiedName, ReferenceTypeId,
};

use super::bind;
use super::instance::{Instance, Instances};
use super::members::{Bound, Declarations, Members, Placed};
use super::model::{MACHINERY, Model};
use super::node::{Attributes, NodeKind, Reference};
use super::protection::{Protection, role_id};
use super::shape::Shape;
use super::source::{Subject, Targets};
use crate::domain::id::MachineId;
use crate::domain::oee::figure::Figure;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::role::Role;

/// Levels of equipment with the numbers of ISA-95 (OPC 10030).
mod level {
    pub const ENTERPRISE: i32 = 0;
    pub const SITE: i32 = 1;
    pub const AREA: i32 = 2;
    pub const LINE: i32 = 5;
    pub const MACHINE: i32 = 11;
}

/// What a plant is built from.
pub struct Builder<'a> {
    /// The plant.
    pub plant: &'a Plant,
    /// The company, where it has a name.
    pub enterprise: Option<&'a str>,
    /// The types.
    pub model: &'a Model,
    /// What types declare.
    pub declarations: Declarations<'a>,
    /// Index of the namespace of instances.
    pub namespace: u16,
    /// Its URI.
    pub uri: &'a str,
    /// Units of process values.
    pub process_units: &'a BTreeMap<(MachineId, String), String>,
    /// What nameplates say.
    pub nameplates: &'a BTreeMap<MachineId, BTreeMap<&'static str, String>>,
    /// The machines that are mirrored.
    pub mirrored: &'a BTreeSet<MachineId>,
    /// The machines that are told of orders.
    pub told: &'a BTreeSet<MachineId>,
    /// What is aimed at.
    pub targets: &'a Targets,
    /// What has been built.
    pub instances: Instances,
    /// Members of equipment, by what they depend on.
    pub shared: HashMap<Shape, Arc<Members>>,
}

/// Members of instances that exist only while somebody looks at them.
pub struct VirtualMembers {
    /// Of an order.
    pub order: Arc<Members>,
    /// Of a lot.
    pub lot: Arc<Members>,
    /// Of a stop.
    pub stop: Arc<Members>,
    /// Of a shift.
    pub shift: Arc<Members>,
    /// Of a person.
    pub person: Arc<Members>,
    /// Of a day: none.
    pub day: Arc<Members>,
}

type Built<T> = Result<T, String>;

impl Builder<'_> {
    /// Builds all.
    pub fn build(mut self) -> Built<(Instances, VirtualMembers)> {
        let top = match self.enterprise {
            Some(name) => self.enterprise(name)?,
            None => self.site(None)?,
        };
        self.mes()?;
        self.role()?;
        self.server()?;
        let metadata = self.metadata()?;
        let objects = NodeId::from(ObjectId::ObjectsFolder);
        let below = |target: &str| NodeId::new(self.namespace, target);
        let organizes = |target| Reference::forward(ReferenceTypeId::Organizes, target);
        let component = |target| Reference::forward(ReferenceTypeId::HasComponent, target);
        self.instances.roots.extend([
            (objects.clone(), organizes(below(&top))),
            (objects, organizes(below("mes"))),
            (
                ObjectId::Server_ServerCapabilities_RoleSet.into(),
                component(role_id(Role::Erp, self.namespace)),
            ),
            (ObjectId::Server_Namespaces.into(), component(below(&metadata))),
        ]);
        let members = |name: &str, binds: &dyn Fn(&str) -> Option<Bound>| {
            let of_type = self.model.own(name);
            self.declarations.members(&of_type, &|_| false, &[], binds).map(Arc::new)
        };
        let virtual_members = VirtualMembers {
            order: members("JobOrderType", &bind::order)?,
            lot: members("LotType", &bind::lot)?,
            stop: members("StopType", &bind::past_stop)?,
            shift: members("ShiftType", &bind::shift)?,
            person: members("PersonType", &bind::person)?,
            day: Arc::default(),
        };
        Ok((self.instances, virtual_members))
    }

    /// Adds an object of one of our types.
    fn object(
        &mut self,
        (path, subject): (&str, Subject),
        (name, display, text): (&str, &str, &str),
        of_type: NodeId,
        members: Arc<Members>,
    ) {
        let kind = NodeKind::Object { type_definition: of_type, notifier: 0 };
        self.instance((path, subject), (name, display, text), kind, members);
    }

    fn instance(
        &mut self,
        (path, subject): (&str, Subject),
        (name, display, text): (&str, &str, &str),
        kind: NodeKind,
        members: Arc<Members>,
    ) {
        let attributes = Attributes {
            browse_name: QualifiedName::new(self.namespace, name),
            display_name: LocalizedText::from(display),
            description: LocalizedText::from(text),
            protection: Protection::Open,
            kind,
        };
        let type_definition = attributes.type_definition();
        let of_type = Reference::forward(ReferenceTypeId::HasTypeDefinition, type_definition);
        self.instances.add(Instance {
            path: path.to_owned(),
            subject,
            attributes: Arc::new(attributes),
            source: None,
            members,
            references: vec![of_type],
            member_references: HashMap::new(),
            notifier: None,
        });
    }

    fn link(&mut self, from: (&str, &str), kind: ReferenceTypeId, to: &str) {
        self.instances.link(from, kind, to, self.namespace);
    }

    fn enterprise(&mut self, name: &str) -> Built<String> {
        let path = format!("enterprise/{name}");
        let key = |path: &str| (path == "EquipmentId").then(|| bind::constant(name)).flatten();
        let texts = (name, name, "The whole company, as far as this MES knows it.");
        let of_type = ("EnterpriseType", level::ENTERPRISE);
        self.equipment((&path, Subject::Enterprise), texts, of_type, &key)?;
        self.instances.notifies(&path, None, self.namespace);
        self.site(Some(&path))?;
        Ok(path)
    }

    fn site(&mut self, above: Option<&str>) -> Built<String> {
        let key = self.plant.site.to_string();
        let path = format!("site/{key}");
        let zone = self.plant.time_zone.clone();
        let zone = |path: &str| match path {
            "TimeZone" => bind::constant(zone.as_str()),
            _ => None,
        };
        let texts = (key.as_str(), self.plant.site_name.as_str(), "The site.");
        self.equipment((&path, Subject::Site), texts, ("SiteType", level::SITE), &zone)?;
        match above {
            Some(above) => self.below(above, &path),
            None => self.instances.notifies(&path, None, self.namespace),
        }
        for area in self.plant.areas.clone() {
            let area_path = format!("area/{}", area.id);
            let texts = (area.id.as_str(), area.name.as_str(), "An area of the site.");
            let subject = Subject::Area(area.id.clone());
            let of_type = ("AreaType", level::AREA);
            self.equipment((&area_path, subject), texts, of_type, &|_| None)?;
            self.below(&path, &area_path);
            for line in self.plant.lines_in(&area.id).cloned().collect::<Vec<_>>() {
                self.line(&area_path, &line)?;
            }
        }
        Ok(path)
    }

    /// Puts equipment below other equipment, and lets its events be seen there.
    fn below(&mut self, above: &str, path: &str) {
        self.link((above, ""), ReferenceTypeId::Organizes, path);
        self.instances.notifies(path, Some(above), self.namespace);
    }

    /// Adds equipment whose members depend on its type only.
    fn equipment(
        &mut self,
        named: (&str, Subject),
        texts: (&str, &str, &str),
        (type_name, level): (&'static str, i32),
        own: &dyn Fn(&str) -> Option<Bound>,
    ) -> Built<()> {
        let of_type = self.model.own(type_name);
        let targets = self.targets_of(&named.1);
        let has_order = level == level::LINE;
        let shape = Shape { of_type: type_name, has_order, targets, ..Shape::default() };
        let members = match self.shared.get(&shape) {
            Some(known) => known.clone(),
            None => {
                let binds = |path: &str| own(path).or_else(|| bind::equipment(path, level));
                let wants = |path: &str| shape.wants(path);
                let made = self.declarations.members(&of_type, &wants, &[], &binds)?;
                self.shared.entry(shape).or_insert(Arc::new(made)).clone()
            }
        };
        self.object(named, texts, of_type, members);
        Ok(())
    }

    fn line(&mut self, area: &str, line: &Line) -> Built<()> {
        let path = format!("line/{}", line.id);
        let texts =
            (line.id.as_str(), line.name.as_str(), "A line; it makes one job order at a time.");
        let subject = Subject::Line(line.id.clone());
        self.equipment((&path, subject), texts, ("LineType", level::LINE), &bind::line)?;
        self.below(area, &path);
        for id in &line.machines {
            if let Some(machine) = self.plant.machines.get(id).cloned() {
                self.machine(&path, &machine)?;
            }
        }
        let results = format!("{path}/MachineryBuildingBlocks/JobManagement/JobOrderResults");
        self.link((&path, ""), ReferenceTypeId::HasNotifier, &results);
        let flows_to = self.model.own("FlowsTo");
        for pair in line.machines.windows(2) {
            let [from, to] = [&pair[0], &pair[1]].map(|id| format!("machine/{id}"));
            self.instances.link((&from, ""), flows_to.clone(), &to, self.namespace);
        }
        Ok(())
    }

    fn machine(&mut self, line: &str, machine: &Machine) -> Built<()> {
        let path = format!("machine/{}", machine.id);
        let of_type = self.model.own("MachineType");
        let members = self.machine_members(&of_type, machine)?;
        let texts = (machine.id.as_str(), machine.name.as_str(), "A machine.");
        self.object((&path, Subject::Machine(machine.id.clone())), texts, of_type, members);
        self.below(line, &path);
        // Where its alarms are and what they are about (Part 9 §5.12).
        let connection = format!("{path}/Connection");
        self.link((&path, ""), ReferenceTypeId::HasEventSource, &connection);
        let (stop, link) = (format!("{path}/UnexplainedStop"), format!("{connection}/LinkAlarm"));
        self.link((&path, ""), ReferenceTypeId::HasCondition, &stop);
        self.link((&path, "Connection"), ReferenceTypeId::HasCondition, &link);
        // Clients look there for machines that say who they are (OPC 40001-1 §7).
        if self.nameplates.contains_key(&machine.id) {
            let machines = NodeId::new(self.model.index(MACHINERY), 1001);
            let kind = ReferenceTypeId::Organizes;
            self.instances.refer(&path, Reference::inverse(kind, machines.clone()));
            let id = NodeId::new(self.namespace, path.as_str());
            self.instances.roots.push((machines, Reference::forward(kind, id)));
        }
        Ok(())
    }

    fn machine_members(&mut self, of_type: &NodeId, machine: &Machine) -> Built<Arc<Members>> {
        let values = self.process_units.iter().filter(|((id, _), _)| *id == machine.id);
        let placed = values.map(|((_, name), unit)| {
            let text = "A value of the machine, shown live.".to_owned();
            (Placed { folder: "ProcessValues", name: name.clone(), text }, unit.clone())
        });
        let nameplate = self.nameplates.get(&machine.id).into_iter().flat_map(BTreeMap::keys);
        let shape = Shape {
            of_type: "MachineType",
            has_order: true,
            targets: self.targets_of(&Subject::Machine(machine.id.clone())),
            placed: placed.collect(),
            nameplate: nameplate.copied().collect(),
            has_mirror: self.mirrored.contains(&machine.id),
            has_orders: self.told.contains(&machine.id),
            ..Shape::default()
        };
        let shape = shape.with_signals(machine);
        if let Some(known) = self.shared.get(&shape) {
            return Ok(known.clone());
        }
        let wants = |path: &str| shape.wants(path);
        let unit = |name: &str| {
            let (_, unit) = shape.placed.iter().find(|(placed, _)| placed.name == name)?;
            Some(ExtensionObject::from_message(bind::unit(unit, unit)).into())
        };
        let binds = |path: &str| {
            let own = bind::machine(path, &unit);
            own.or_else(|| bind::equipment(path, level::MACHINE))
        };
        let placed: Vec<_> = shape.placed.iter().map(|(placed, _)| placed.clone()).collect();
        let members = self.declarations.members(of_type, &wants, &placed, &binds)?;
        let members = Arc::new(members);
        self.shared.insert(shape, members.clone());
        Ok(members)
    }

    /// The figures for which something is aimed at.
    fn targets_of(&self, subject: &Subject) -> Vec<Figure> {
        let targets = subject.equipment().and_then(|equipment| self.targets.get(&equipment));
        targets.into_iter().flat_map(|targets| targets.keys().copied()).collect()
    }
}
