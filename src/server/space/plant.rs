//! The space of a plant: types, the fixed tree, and virtual nodes, behind the one trait.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use opcua::types::{
    AttributeId, DataValue, Identifier, NamespaceMap, NodeId, ObjectId, StatusCode, Variant,
};

use super::equipment::{self, Entry, Tree};
use super::history::{self, Figure, HistoryPage, RawHistoryRequest, Stored};
use super::methods;
use super::node::{Node, NodeKind, Reference};
use super::types::{TYPES_NAMESPACE, Types};
use super::value::{KpiValue, MachineValue, Sight, Source, data_value};
use super::virtual_nodes::{VirtualNodes, VirtualPath};
use super::{Asker, CallOutcome, OwnedNamespace, Space, TypeNode};
use crate::app::clock::Clock;
use crate::app::connection::Connections;
use crate::app::engine::EngineHandle;
use crate::app::query::Queries;
use crate::domain::id::MachineId;

/// What the space is read from.
#[derive(Clone)]
pub struct SpaceInputs {
    /// The engine.
    pub engine: EngineHandle,
    /// Answers about windows.
    pub queries: Queries,
    /// How the links to the machines are.
    pub connections: Connections,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Units of process values, by machine and name.
    pub process_units: BTreeMap<(MachineId, String), String>,
}

/// The space of a plant.
pub struct PlantSpace {
    inputs: SpaceInputs,
    types: Types,
    tree: Tree,
    nodes: VirtualNodes,
    namespace: u16,
    namespaces: Vec<OwnedNamespace>,
}

impl PlantSpace {
    /// The space; its namespaces are added to those of the server.
    pub fn new(inputs: SpaceInputs, namespaces: &mut NamespaceMap) -> Result<PlantSpace, String> {
        let types = Types::load(namespaces)?;
        let plant = inputs.engine.plant().clone();
        let uri = format!("urn:linewright:ua:plant:{}", plant.site);
        let namespace = namespaces.add_namespace(&uri);
        let tree = equipment::build(&plant, &types, namespace, &inputs.process_units);
        let nodes = VirtualNodes {
            engine: inputs.engine.clone(),
            queries: inputs.queries.clone(),
            namespace,
        };
        let own = |index, uri: &str, version: Option<&str>| OwnedNamespace {
            index,
            uri: uri.to_owned(),
            version: version.map(str::to_owned),
        };
        let version = Some(env!("CARGO_PKG_VERSION"));
        let namespaces =
            vec![own(types.index(), TYPES_NAMESPACE, version), own(namespace, &uri, None)];
        Ok(PlantSpace { inputs, types, tree, nodes, namespace, namespaces })
    }

    /// The path of an instance.
    fn path<'a>(&self, id: &'a NodeId) -> Option<&'a str> {
        match &id.identifier {
            Identifier::String(path) if id.namespace == self.namespace => Some(path.as_ref()),
            _ => None,
        }
    }

    fn entry(&self, id: &NodeId) -> Option<&Entry> {
        self.tree.get(self.path(id)?)
    }

    fn virtual_path(&self, id: &NodeId) -> Option<VirtualPath> {
        VirtualPath::parse(self.path(id)?)
    }

    fn sighted(&self, source: &Source) -> DataValue {
        let view = self.inputs.engine.view();
        let sight = Sight {
            plant: self.inputs.engine.plant(),
            view: &view,
            connections: &self.inputs.connections,
            now: self.inputs.clock.now(),
        };
        sight.value(source)
    }

    async fn value(&self, id: &NodeId) -> DataValue {
        if let Some(source) = self.entry(id).and_then(|entry| entry.source.as_ref()) {
            return self.sighted(source);
        }
        let now = self.inputs.clock.now();
        let Some(path) = self.virtual_path(id) else {
            return data_value(None, StatusCode::BadAttributeIdInvalid, now, now);
        };
        match self.nodes.value(&path).await {
            Ok(value) => data_value(Some(value), StatusCode::Good, now, now),
            Err(status) => data_value(None, status, now, now),
        }
    }

    /// What is stored about a variable.
    fn stored(&self, id: &NodeId) -> Option<Stored> {
        match self.entry(id)?.source.as_ref()? {
            Source::Machine(machine, MachineValue::State) => Some(Stored::States(machine.clone())),
            Source::Counter(machine, role) => Some(Stored::Counts(machine.clone(), *role)),
            Source::Kpi(equipment, value) => {
                let figure = match value {
                    KpiValue::Oee => Figure::Oee,
                    KpiValue::Availability => Figure::Availability,
                    KpiValue::Performance => Figure::Performance,
                    KpiValue::Quality => Figure::Quality,
                    _ => return None,
                };
                Some(Stored::Figure(equipment.clone(), figure))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Space for PlantSpace {
    fn namespaces(&self) -> &[OwnedNamespace] {
        &self.namespaces
    }

    fn types(&self) -> Vec<TypeNode> {
        self.types.types()
    }

    async fn node(&self, id: &NodeId) -> Result<Option<Node>, StatusCode> {
        if id.namespace == self.types.index() {
            return Ok(self.types.node(id));
        }
        if let Some(entry) = self.entry(id) {
            return Ok(Some(entry.node.clone()));
        }
        match self.virtual_path(id) {
            Some(path) => self.nodes.node(&path, &self.types).await,
            None => Ok(None),
        }
    }

    async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode> {
        let mut references = self.types.references(id).to_vec();
        if *id == ObjectId::ObjectsFolder {
            references.extend(self.tree.roots.iter().cloned());
        }
        if let Some(entry) = self.entry(id) {
            references.extend(entry.references.iter().cloned());
            if let Some(folder @ ("orders" | "lots")) = self.path(id) {
                references.extend(self.nodes.listed(folder).await?);
            }
        } else if let Some(path) = self.virtual_path(id) {
            references.extend(self.nodes.references(&path, &self.types).await?);
        }
        Ok(references)
    }

    async fn read(&self, id: &NodeId, attribute: AttributeId, asker: &Asker) -> DataValue {
        let now = self.inputs.clock.now();
        let node = match self.node(id).await {
            Ok(Some(node)) => node,
            Ok(None) => return data_value(None, StatusCode::BadNodeIdUnknown, now, now),
            Err(status) => return data_value(None, status, now, now),
        };
        let is_own_variable = matches!(node.kind, NodeKind::Variable { .. });
        if attribute == AttributeId::Value && is_own_variable {
            return self.value(id).await;
        }
        let method = self.entry(id).and_then(|entry| entry.method);
        let executable = method.is_some_and(|method| asker.role.may(method.permission()));
        match node.attribute(attribute, executable) {
            Ok(value) => {
                let mut read = data_value(Some(value), StatusCode::Good, now, now);
                if attribute != AttributeId::Value {
                    read.source_timestamp = None;
                }
                read
            }
            Err(status) => data_value(None, status, now, now),
        }
    }

    fn current_value(&self, id: &NodeId) -> Option<DataValue> {
        if let Some(entry) = self.entry(id) {
            return Some(self.sighted(entry.source.as_ref()?));
        }
        let VirtualPath::OrderVariable(order, name) = self.virtual_path(id)? else {
            return None;
        };
        let view = self.inputs.engine.view();
        let shown = view.orders.get(&order)?;
        let value = super::value::order_value(self.inputs.engine.plant(), shown, name)?;
        Some(data_value(Some(value), StatusCode::Good, view.at, self.inputs.clock.now()))
    }

    async fn call(
        &self,
        object: &NodeId,
        method: &NodeId,
        arguments: &[Variant],
        asker: &Asker,
    ) -> CallOutcome {
        let bad = |status| CallOutcome { status, ..Default::default() };
        let Some(on) = self.entry(object) else {
            return bad(StatusCode::BadNodeIdUnknown);
        };
        let is_component = on.references.iter().any(|r| r.forward && r.target == *method);
        let Some(called) = self.entry(method).and_then(|e| e.method).filter(|_| is_component)
        else {
            return bad(StatusCode::BadMethodInvalid);
        };
        let path = self.path(object).and_then(|path| path.strip_prefix("machine/"));
        let machine = path.and_then(|key| MachineId::parse(key).ok());
        methods::call(&self.inputs.engine, called, machine, arguments, asker).await
    }

    async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode> {
        let Some(stored) = self.stored(id) else {
            let exists = self.node(id).await?.is_some();
            return Err(if exists {
                StatusCode::BadHistoryOperationUnsupported
            } else {
                StatusCode::BadNodeIdUnknown
            });
        };
        let plant = self.inputs.engine.plant();
        history::read(&self.inputs.queries, plant, &stored, request).await
    }
}
