//! Events and conditions of machines as our clients see them, and what they may do about them.

use std::sync::Arc;

use opcua::types::{MethodId, NodeClass, NodeId, ReferenceTypeId};
use std::collections::HashSet;

use super::super::event::Event;
use super::super::told::ConditionMethod;
use super::MirroredSpace;
use super::shown::ShownMachine;
use crate::domain::time::Timestamp;
use crate::mirror::Happened;

/// Nodes above a source at which its events are seen.
const NOTIFIERS_MAX: usize = 64;

/// The methods of conditions that lead to the machine wherever its events are told on: they say something of
/// what has happened and command nothing (Part 9 §5.5.6, §5.7.3, §5.7.4).
const RESPONSES: [(MethodId, ConditionMethod); 3] = [
    (MethodId::AcknowledgeableConditionType_Acknowledge, ConditionMethod::Acknowledge),
    (MethodId::AcknowledgeableConditionType_Confirm, ConditionMethod::Confirm),
    (MethodId::ConditionType_AddComment, ConditionMethod::AddComment),
];

/// What a method says of a condition, if it is one of those.
pub fn response(method: &NodeId) -> Option<ConditionMethod> {
    let found = RESPONSES.into_iter().find(|(id, _)| *method == NodeId::from(*id));
    found.map(|(_, response)| response)
}

impl MirroredSpace {
    /// An event of a machine as one of ours.
    pub fn event(&self, happened: &Arc<Happened>) -> Event {
        let source = match happened.source.is_null() {
            true => self.folder(&happened.machine),
            false => happened.source.clone(),
        };
        Event {
            id: happened.id.clone(),
            receive_time: happened.received,
            condition: happened.condition.clone(),
            copied: Some(happened.clone()),
            ..Event::new(
                happened.kind.clone(),
                (source, &happened.source_name),
                happened.time,
                happened.severity,
                happened.message.text.as_ref(),
            )
        }
    }

    /// The conditions of all machines about which somebody has still to do something.
    pub fn retained(&self, now: Timestamp) -> Vec<Event> {
        let mirrors = self.mirrors.all();
        let retained = mirrors.iter().flat_map(|mirror| mirror.retained(now));
        retained.map(|happened| self.event(&Arc::new(happened))).collect()
    }

    /// The nodes of a machine at which events of one of them are seen (Part 3 §7.17, §7.18), and the folder of
    /// ours in which they all are; none for what is no machine's.
    pub fn notifiers(&self, source: &NodeId) -> Option<(Vec<NodeId>, NodeId)> {
        let owner = self.owner(source)?;
        let types = self.types();
        let leads_up: NodeId = ReferenceTypeId::HasEventSource.into();
        let (mut found, mut next) = (HashSet::from([source.clone()]), vec![source.clone()]);
        let mut above = Vec::new();
        while let Some(id) = next.pop() {
            for reference in owner.references(&id) {
                let is_up = !reference.forward && types.is_a(&reference.reference_type, &leads_up);
                if is_up && found.len() < NOTIFIERS_MAX && found.insert(reference.target.clone()) {
                    above.push(reference.target.clone());
                    next.push(reference.target.clone());
                }
            }
        }
        Some((above, self.folder(&owner.mirror.machine)))
    }

    /// The method of the standard that is meant where a client responds to a condition of a machine; not all
    /// machines show their conditions as nodes.
    pub fn response(&self, object: &NodeId, method: &NodeId) -> Option<NodeId> {
        let owner = self.owner(object).filter(|owner| owner.mirror.has_events())?;
        if response(method).is_some() {
            return Some(method.clone());
        }
        let node = owner.node(method).filter(|node| node.class() == NodeClass::Method)?;
        let name = &node.browse_name;
        let meant = |(id, response): &(MethodId, ConditionMethod)| {
            let is_meant = ConditionMethod::parse(name.name.as_ref()) == Some(*response);
            (name.namespace_index == 0 && is_meant).then(|| NodeId::from(*id))
        };
        RESPONSES.iter().find_map(meant)
    }
}

impl ShownMachine {
    /// What its types of objects declare, for those who select fields of events.
    pub fn declarations(&self) -> Vec<(NodeId, Vec<NodeId>)> {
        let parts: [NodeId; 2] =
            [ReferenceTypeId::HasProperty.into(), ReferenceTypeId::HasComponent.into()];
        let mut next: Vec<NodeId> = self.ids_of(NodeClass::ObjectType).cloned().collect();
        let mut seen: HashSet<NodeId> = next.iter().cloned().collect();
        let mut declared = Vec::new();
        while let Some(id) = next.pop() {
            let below = self.references(&id).iter();
            let below = below.filter(|one| one.forward && parts.contains(&one.reference_type));
            let below: Vec<_> = below.map(|one| one.target.clone()).collect();
            next.extend(below.iter().filter(|id| seen.insert((*id).clone())).cloned());
            if !below.is_empty() {
                declared.push((id, below));
            }
        }
        declared
    }
}
