//! What nodes of a machine say of themselves, by their classes (Part 3 §5).

use std::collections::HashMap;

use opcua::types::{
    AttributeId, NodeClass, NodeId, ReadValueId, StatusCode, TimestampsToReturn, Variant,
};

use super::walk::Found;
use crate::machine::client::{Failure, Session};

/// Attributes that are asked for at once.
const AT_ONCE: usize = 1000;

/// What nodes have said.
#[derive(Debug, Default)]
pub struct Said(HashMap<NodeId, Vec<(AttributeId, Variant)>>);

impl Said {
    /// An attribute of a node.
    pub fn get(&self, id: &NodeId, attribute: AttributeId) -> Option<&Variant> {
        let said = self.0.get(id)?;
        said.iter().find(|(known, _)| *known == attribute).map(|(_, value)| value)
    }

    /// All that a node has said.
    pub fn take(&mut self, id: &NodeId) -> Vec<(AttributeId, Variant)> {
        self.0.remove(id).unwrap_or_default()
    }

    /// The data type of a variable.
    pub fn data_type(&self, id: &NodeId) -> Option<NodeId> {
        match self.get(id, AttributeId::DataType) {
            Some(Variant::NodeId(data_type)) => Some((**data_type).clone()),
            _ => None,
        }
    }
}

/// The attributes that are copied of a class. Whatever depends on who asks is asked as the one as whom we
/// have logged on.
fn of_class(class: NodeClass) -> &'static [AttributeId] {
    match class {
        NodeClass::Variable => &[
            AttributeId::Description,
            AttributeId::DataType,
            AttributeId::ValueRank,
            AttributeId::ArrayDimensions,
            AttributeId::AccessLevel,
            AttributeId::UserAccessLevel,
            AttributeId::MinimumSamplingInterval,
            AttributeId::Historizing,
        ],
        NodeClass::Object => &[AttributeId::Description, AttributeId::EventNotifier],
        NodeClass::Method => {
            &[AttributeId::Description, AttributeId::Executable, AttributeId::UserExecutable]
        }
        NodeClass::ObjectType => &[AttributeId::Description, AttributeId::IsAbstract],
        NodeClass::VariableType => &[
            AttributeId::Description,
            AttributeId::IsAbstract,
            AttributeId::DataType,
            AttributeId::ValueRank,
            AttributeId::ArrayDimensions,
        ],
        NodeClass::DataType => {
            &[AttributeId::Description, AttributeId::IsAbstract, AttributeId::DataTypeDefinition]
        }
        NodeClass::ReferenceType => &[
            AttributeId::Description,
            AttributeId::IsAbstract,
            AttributeId::Symmetric,
            AttributeId::InverseName,
        ],
        _ => &[AttributeId::Description],
    }
}

/// Asks for an attribute.
pub fn question(id: &NodeId, attribute: AttributeId) -> ReadValueId {
    ReadValueId { node_id: id.clone(), attribute_id: attribute as u32, ..ReadValueId::default() }
}

/// The answers, where there are any.
pub async fn ask(
    session: &Session,
    questions: &[ReadValueId],
) -> Result<Vec<Option<Variant>>, Failure> {
    let mut answers = Vec::with_capacity(questions.len());
    for part in questions.chunks(AT_ONCE) {
        for answer in session.read(part, TimestampsToReturn::Neither).await? {
            let is_bad = answer.status.is_some_and(|status: StatusCode| status.is_bad());
            answers.push(answer.value.filter(|_| !is_bad));
        }
    }
    Ok(answers)
}

/// Asks some nodes for all that is copied of them.
pub async fn read(
    session: &Session,
    ids: &[NodeId],
    nodes: &HashMap<NodeId, Found>,
    said: &mut Said,
) -> Result<(), Failure> {
    let mut asked = Vec::new();
    for id in ids {
        let Some(found) = nodes.get(id) else { continue };
        asked.extend(of_class(found.class).iter().map(|attribute| (id, *attribute)));
    }
    let questions: Vec<_> = asked.iter().map(|(id, attribute)| question(id, *attribute)).collect();
    let answers = ask(session, &questions).await?;
    for ((id, attribute), answer) in asked.into_iter().zip(answers) {
        if let Some(value) = answer {
            said.0.entry(id.clone()).or_default().push((attribute, value));
        }
    }
    Ok(())
}
