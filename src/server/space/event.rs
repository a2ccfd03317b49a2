//! Events: what has happened, with the fields that clients select.

use std::sync::Arc;

use opcua::types::{
    AttributeId, ByteString, DateTime, LocalizedText, NodeId, ObjectTypeId, QualifiedName,
    UAString, Variant,
};

use super::type_tree::TypeTree;
use crate::mirror::Happened;

/// Something that has happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names this event and no other.
    pub id: ByteString,
    /// Its type.
    pub event_type: NodeId,
    /// Where it happened.
    pub source: NodeId,
    /// Name of that node.
    pub source_name: String,
    /// When it happened.
    pub time: DateTime,
    /// When we learned of it.
    pub receive_time: DateTime,
    /// What happened, for people.
    pub message: String,
    /// From 1 to 1000 (Part 5 §6.4.2).
    pub severity: u16,
    /// The condition that it tells of, if it tells of one.
    pub condition: Option<NodeId>,
    /// Index of the namespace of our types.
    pub own: u16,
    /// Fields of its type besides those of every event, by the namespace of their browse names and the
    /// names with `/` between.
    pub fields: Vec<(u16, String, Variant)>,
    /// What the machine has said, where it has happened at one.
    pub copied: Option<Arc<Happened>>,
}

impl Event {
    /// An event of a type at a node.
    pub fn new(
        event_type: impl Into<NodeId>,
        (source, source_name): (NodeId, &str),
        at: DateTime,
        severity: u16,
        message: impl Into<String>,
    ) -> Event {
        let id: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(16).collect();
        Event {
            id: ByteString::from(id),
            event_type: event_type.into(),
            source,
            source_name: source_name.to_owned(),
            time: at,
            receive_time: at,
            message: message.into(),
            severity,
            condition: None,
            own: 0,
            fields: Vec::new(),
            copied: None,
        }
    }

    /// With another field of the standard namespace.
    #[must_use]
    pub fn with(self, path: &str, value: impl Into<Variant>) -> Event {
        self.with_in(0, path, value)
    }

    /// With another field that our types declare.
    #[must_use]
    pub fn own(self, path: &str, value: impl Into<Variant>) -> Event {
        let own = self.own;
        self.with_in(own, path, value)
    }

    /// With another field of a namespace.
    #[must_use]
    pub fn with_in(mut self, namespace: u16, path: &str, value: impl Into<Variant>) -> Event {
        self.fields.push((namespace, path.to_owned(), value.into()));
        self
    }

    /// The field at a path, as far as events of a type have it (Part 4 §7.7.4.5); `None` where the
    /// event is not of that type or has no such field.
    pub fn field(
        &self,
        types: &TypeTree,
        of_type: &NodeId,
        path: &[QualifiedName],
        attribute: AttributeId,
    ) -> Option<Variant> {
        if !types.is_a(&self.event_type, of_type) {
            return None;
        }
        match (path, attribute) {
            // Only conditions are nodes; other events have no id of their own.
            ([], AttributeId::NodeId) => self.condition.clone().map(Variant::from),
            ([name], AttributeId::Value) => self.named(name).or_else(|| self.at(path)),
            (_, AttributeId::Value) => self.at(path),
            _ => None,
        }
    }

    /// The field at a path; the names of ours are all of one namespace.
    fn at(&self, path: &[QualifiedName]) -> Option<Variant> {
        let namespace = path.first()?.namespace_index;
        if let Some(copied) = &self.copied {
            return copied.field(path).cloned();
        }
        if path.iter().any(|name| name.namespace_index != namespace) {
            return None;
        }
        let is_here = |(of, known, _): &&(u16, String, Variant)| {
            *of == namespace && known.split('/').eq(path.iter().map(|name| name.name.as_ref()))
        };
        self.fields.iter().find(is_here).map(|(.., value)| value.clone())
    }

    fn named(&self, name: &QualifiedName) -> Option<Variant> {
        if name.namespace_index != 0 {
            return None;
        }
        Some(match name.name.as_ref() {
            "EventId" => Variant::from(self.id.clone()),
            "EventType" => Variant::from(self.event_type.clone()),
            "SourceNode" => Variant::from(self.source.clone()),
            "SourceName" => Variant::from(UAString::from(self.source_name.as_str())),
            "Time" => Variant::from(self.time),
            "ReceiveTime" => Variant::from(self.receive_time),
            "Message" => Variant::from(match &self.copied {
                Some(copied) => copied.message.clone(),
                None => LocalizedText::from(self.message.as_str()),
            }),
            "Severity" => Variant::from(self.severity),
            _ => return None,
        })
    }

    /// Whether it is for those only who answer for the installation.
    pub fn is_audit(&self, types: &TypeTree) -> bool {
        types.is_a(&self.event_type, &ObjectTypeId::AuditEventType.into())
    }
}
