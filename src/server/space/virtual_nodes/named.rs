//! What the path of a virtual node means, whether there is such a thing or not.

use hashbrown::HashMap;
use opcua::types::{LocalizedText, QualifiedName, ReferenceTypeId};

use super::VirtualNodes;
use crate::app::time_text;
use crate::domain::calendar::CivilDate;
use crate::domain::id::{LineId, LotId, MachineId, OrderId, PersonId};
use crate::domain::time::Timestamp;
use crate::server::space::instance::Instance;
use crate::server::space::node::{Attributes, NodeKind, Reference};
use crate::server::space::protection::Protection;
use crate::server::space::source::Subject;

/// The path of the folder of a day of orders.
pub fn order_day(date: CivilDate) -> String {
    format!("orders-of/{date}")
}

/// The path of the folder of a day of lots.
pub fn lot_day(date: CivilDate) -> String {
    format!("lots-of/{date}")
}

/// The path of a stop.
pub fn stop(machine: &MachineId, start: Timestamp) -> String {
    format!("stop/{machine}/{}", time_text::print(start))
}

/// The path of a shift.
pub fn shift(line: &LineId, start: Timestamp) -> String {
    format!("shift/{line}/{}", time_text::print(start))
}

impl VirtualNodes {
    /// The thing that a path names, whether it exists or not, and what is below it.
    pub fn named<'a>(&self, path: &'a str) -> Option<(Instance, &'a str)> {
        let (kind, rest) = path.split_once('/')?;
        let (key, below) = rest.split_once('/').unwrap_or((rest, ""));
        let keyed_by_time = |below: &'a str| {
            let (start, below) = below.split_once('/').unwrap_or((below, ""));
            // Other ways to write an instant are other ids, and there are none of those.
            let at = time_text::parse(start).ok().filter(|at| time_text::print(*at) == start)?;
            Some((at, below))
        };
        let (subject, below) = match kind {
            "order" => (Subject::Order(OrderId::parse(key).ok()?), below),
            "lot" => (Subject::Lot(LotId::parse(key).ok()?), below),
            "person" => (Subject::Person(PersonId::parse(key).ok()?), below),
            "orders-of" => (Subject::OrderDay(CivilDate::parse(key)?), below),
            "lots-of" => (Subject::LotDay(CivilDate::parse(key)?), below),
            "stop" => {
                let (start, below) = keyed_by_time(below)?;
                (Subject::Stop(MachineId::parse(key).ok()?, start), below)
            }
            "shift" => {
                let (start, below) = keyed_by_time(below)?;
                (Subject::Shift(LineId::parse(key).ok()?, start), below)
            }
            _ => return None,
        };
        Some((self.instance(subject)?, below))
    }

    fn instance(&self, subject: Subject) -> Option<Instance> {
        let (types, members) = (&self.types, &self.members);
        let (path, name, of_type, members, text) = match &subject {
            Subject::Order(order) => {
                let name = order.to_string();
                (format!("order/{order}"), name, &types.order, &members.order, "A job order.")
            }
            Subject::Lot(lot) => {
                let name = lot.to_string();
                (format!("lot/{lot}"), name, &types.lot, &members.lot, "A material lot.")
            }
            Subject::Person(person) => {
                let text = "Somebody who works at machines.";
                (
                    format!("person/{person}"),
                    person.to_string(),
                    &types.person,
                    &members.person,
                    text,
                )
            }
            Subject::Stop(machine, start) => {
                let text = "A stop of a machine.";
                (stop(machine, *start), time_text::print(*start), &types.stop, &members.stop, text)
            }
            Subject::Shift(line, start) => {
                let text = "A shift of a line.";
                (shift(line, *start), time_text::print(*start), &types.shift, &members.shift, text)
            }
            Subject::OrderDay(date) => {
                let text = "Orders that were made on a day of the site.";
                (order_day(*date), date.to_string(), &types.day, &members.day, text)
            }
            Subject::LotDay(date) => {
                let text = "Lots that were first made or used on a day of the site.";
                (lot_day(*date), date.to_string(), &types.day, &members.day, text)
            }
            _ => return None,
        };
        let attributes = Attributes {
            browse_name: QualifiedName::new(self.namespace, name.as_str()),
            display_name: LocalizedText::from(name.as_str()),
            description: LocalizedText::from(text),
            protection: Protection::Open,
            kind: NodeKind::Object { type_definition: of_type.clone(), notifier: 0 },
        };
        let of_type = Reference::forward(ReferenceTypeId::HasTypeDefinition, of_type.clone());
        Some(Instance {
            path,
            subject,
            attributes: attributes.into(),
            source: None,
            members: members.clone(),
            references: vec![of_type],
            member_references: HashMap::new(),
            notifier: None,
        })
    }
}
