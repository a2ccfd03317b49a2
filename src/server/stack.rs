//! The space behind the stack's server: its requests in the terms of our trait.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use opcua::nodes::DefaultTypeTree;
use opcua::server::address_space::ReferenceDirection;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::{
    AddReferenceResult, BrowseNode, BrowsePathItem, DynNodeManager, ExternalReference,
    ExternalReferenceRequest, HistoryNode, MethodCall, MonitoredItemRef, NodeManager,
    NodeManagerBuilder, NodeMetadata, ReadNode, RequestContext, ServerContext, WriteNode,
    impl_translate_browse_paths_using_browse,
};
use opcua::server::{ContinuationPoint, CreateMonitoredItem, ServerHandle};
use opcua::types::{
    AttributeId, BrowseDirection, DataValue, ExpandedNodeId, HistoryData, IdType, MonitoringMode,
    NodeId, NumericRange, ReadRawModifiedDetails, ReferenceDescription, StatusCode,
    TimestampsToReturn,
};

use super::auth::asker;
use super::push::Watched;
use super::space::{Node, RawHistoryRequest, Reference, SpaceInputs, timestamp};
use super::start::SharedSpace;
use crate::app::access::Users;
use crate::app::clock::Clock;

/// Makes the node manager when the server knows its namespaces.
pub fn manager(inputs: SpaceInputs, users: Arc<Users>) -> impl NodeManagerBuilder {
    Builder { inputs, users }
}

struct Builder {
    inputs: SpaceInputs,
    users: Arc<Users>,
}

impl NodeManagerBuilder for Builder {
    fn build(self: Box<Self>, context: ServerContext) -> Arc<DynNodeManager> {
        let clock = self.inputs.clock.clone();
        let mut type_tree = context.type_tree.write();
        let space = super::start::plant_space(self.inputs, type_tree.namespaces_mut());
        // The nodeset is part of the program, and a test reads it.
        let space = space.unwrap_or_else(|error| unreachable!("{error}"));
        let watched = Watched::default();
        Arc::new(SpaceManager { space, users: self.users, clock, watched })
    }
}

/// The space of a server that has been built, and what is watched of it.
pub fn space_of(handle: &ServerHandle) -> Result<(SharedSpace, Watched), String> {
    let manager = handle.node_managers().get_of_type::<SpaceManager>();
    let manager = manager.ok_or("the server has no space")?;
    Ok((manager.space.clone(), manager.watched.clone()))
}

/// Answers the stack's requests from the space.
pub struct SpaceManager {
    space: SharedSpace,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    watched: Watched,
}

/// References that did not fit into an answer.
struct Rest {
    found: VecDeque<ReferenceDescription>,
}

/// Where a history read goes on.
#[derive(Clone, Copy)]
struct HistoryToken {
    given: usize,
    /// The present when the read began, so that all pages are of the same answer.
    now: crate::domain::time::Timestamp,
}

impl SpaceManager {
    fn owns(&self, id: &NodeId) -> bool {
        self.space.namespaces().iter().any(|namespace| namespace.index == id.namespace)
    }

    async fn metadata(&self, id: &NodeId) -> Option<NodeMetadata> {
        let node = self.space.node(id).await.ok().flatten()?;
        Some(metadata(&node))
    }

    async fn browse_one(&self, context: &RequestContext, node: &mut BrowseNode) {
        let id = node.node_id().clone();
        if let Some(rest) = node.take_continuation_point::<Rest>() {
            let mut found = rest.found;
            while node.remaining() > 0
                && let Some(next) = found.pop_front()
            {
                node.add_unchecked(next);
            }
            if !found.is_empty() {
                node.set_next_continuation_point(Box::new(Rest { found }));
            }
            node.set_status(StatusCode::Good);
            return;
        }
        let owned = self.owns(&id);
        if owned {
            match self.space.node(&id).await {
                Ok(Some(_)) => node.set_status(StatusCode::Good),
                Ok(None) => return node.set_status(StatusCode::BadNodeIdUnknown),
                Err(status) => return node.set_status(status),
            }
        }
        let references = match self.space.references(&id).await {
            Ok(references) => references,
            Err(status) => return node.set_status(status),
        };
        self.add_references(context, node, references).await;
    }

    async fn add_references(
        &self,
        context: &RequestContext,
        node: &mut BrowseNode,
        references: Vec<Reference>,
    ) {
        let mut rest = VecDeque::new();
        for reference in references {
            let wanted = match node.browse_direction() {
                BrowseDirection::Forward => reference.forward,
                BrowseDirection::Inverse => !reference.forward,
                _ => true,
            };
            let allowed = {
                let type_tree = context.type_tree.read();
                node.allows_reference_type(&reference.reference_type, &*type_tree)
            };
            if !wanted || !allowed {
                continue;
            }
            if !self.owns(&reference.target) {
                let direction = if reference.forward {
                    ReferenceDirection::Forward
                } else {
                    ReferenceDirection::Inverse
                };
                let target = ExpandedNodeId::new(reference.target);
                let kind = reference.reference_type;
                node.push_external_reference(ExternalReference::new(target, kind, direction));
                continue;
            }
            let Some(metadata) = self.metadata(&reference.target).await else {
                continue;
            };
            let described = metadata.into_ref_desc(reference.forward, reference.reference_type);
            let type_tree = context.type_tree.read();
            if let AddReferenceResult::Full(full) = node.add(&*type_tree, described) {
                rest.push_back(full);
            }
        }
        if !rest.is_empty() {
            node.set_next_continuation_point(Box::new(Rest { found: rest }));
        }
    }

    async fn read_one(&self, context: &RequestContext, read: &ReadNode) -> DataValue {
        let asker = asker(&self.users, &context.token);
        let (id, attribute) = (&read.node().node_id, read.node().attribute_id);
        let mut value = self.space.read(id, attribute, &asker).await;
        if !matches!(read.node().index_range, NumericRange::None) {
            let ranged = value.value.take().map(|v| v.range_of(&read.node().index_range));
            match ranged {
                Some(Ok(part)) => value.value = Some(part),
                Some(Err(status)) => value.status = Some(status),
                None => {}
            }
        }
        value
    }

    async fn history_one(
        &self,
        details: &ReadRawModifiedDetails,
        node: &mut HistoryNode,
        timestamps: TimestampsToReturn,
    ) {
        let token = match node.continuation_point() {
            None => HistoryToken { given: 0, now: self.clock.now() },
            Some(point) => match point.get::<HistoryToken>() {
                Some(token) => *token,
                None => return node.set_status(StatusCode::BadContinuationPointInvalid),
            },
        };
        let request = RawHistoryRequest {
            start: timestamp(&details.start_time),
            end: timestamp(&details.end_time),
            limit: usize::try_from(details.num_values_per_node).unwrap_or(usize::MAX),
            bounds: details.return_bounds,
            skip: token.given,
            now: token.now,
        };
        let page = match self.space.history(node.node_id(), &request).await {
            Ok(page) => page,
            Err(status) => return node.set_status(status),
        };
        let given = token.given + page.values.len();
        let is_empty = page.values.is_empty() && token.given == 0;
        let values = page.values.into_iter().map(|value| with_timestamps(value, timestamps));
        node.set_result(HistoryData { data_values: Some(values.collect()) });
        if page.more {
            let token = HistoryToken { given, ..token };
            node.set_next_continuation_point(Some(ContinuationPoint::new(Box::new(token))));
        }
        node.set_status(if is_empty { StatusCode::GoodNoData } else { StatusCode::Good });
    }
}

fn metadata(node: &Node) -> NodeMetadata {
    NodeMetadata {
        node_id: ExpandedNodeId::new(node.id.clone()),
        type_definition: ExpandedNodeId::new(node.type_definition()),
        browse_name: node.browse_name.clone(),
        display_name: node.display_name.clone(),
        node_class: node.class(),
    }
}

/// Leaves out the timestamps that were not asked for.
fn with_timestamps(mut value: DataValue, wanted: TimestampsToReturn) -> DataValue {
    if matches!(wanted, TimestampsToReturn::Server | TimestampsToReturn::Neither) {
        value.source_timestamp = None;
    }
    if matches!(wanted, TimestampsToReturn::Source | TimestampsToReturn::Neither) {
        value.server_timestamp = None;
    }
    value
}

#[async_trait]
impl NodeManager for SpaceManager {
    fn owns_node(&self, id: &NodeId) -> bool {
        self.owns(id)
    }

    fn name(&self) -> &str {
        "space"
    }

    fn namespaces_for_user(&self, _: &RequestContext) -> Vec<NamespaceMetadata> {
        let namespaces = self.space.namespaces().iter();
        let metadata = namespaces.map(|namespace| NamespaceMetadata {
            is_namespace_subset: Some(false),
            namespace_uri: namespace.uri.clone(),
            namespace_version: namespace.version.clone(),
            static_node_id_types: Some(match namespace.version {
                Some(_) => vec![IdType::Numeric],
                None => vec![IdType::String],
            }),
            namespace_index: namespace.index,
            ..Default::default()
        });
        metadata.collect()
    }

    async fn init(&self, type_tree: &mut DefaultTypeTree, _: ServerContext) {
        for node in self.space.types() {
            type_tree.add_type_node(&node.id, &node.parent, node.class);
        }
    }

    async fn resolve_external_references(
        &self,
        _: &RequestContext,
        items: &mut [&mut ExternalReferenceRequest],
    ) {
        for item in items {
            if self.owns(item.node_id())
                && let Some(metadata) = self.metadata(item.node_id()).await
            {
                item.set(metadata);
            }
        }
    }

    async fn read(
        &self,
        context: &RequestContext,
        _max_age: f64,
        timestamps: TimestampsToReturn,
        nodes_to_read: &mut [&mut ReadNode],
    ) -> Result<(), StatusCode> {
        for node in nodes_to_read {
            let value = self.read_one(context, node).await;
            node.set_result(with_timestamps(value, timestamps));
        }
        Ok(())
    }

    async fn history_read_raw_modified(
        &self,
        _: &RequestContext,
        details: &ReadRawModifiedDetails,
        nodes: &mut [&mut HistoryNode],
        timestamps: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        if details.is_read_modified {
            return Err(StatusCode::BadHistoryOperationUnsupported);
        }
        for node in nodes {
            self.history_one(details, node, timestamps).await;
        }
        Ok(())
    }

    async fn write(
        &self,
        _: &RequestContext,
        nodes: &mut [&mut WriteNode],
    ) -> Result<(), StatusCode> {
        for node in nodes {
            let exists = self.space.node(&node.value().node_id).await?;
            let status = if exists.is_some() {
                StatusCode::BadNotWritable
            } else {
                StatusCode::BadNodeIdUnknown
            };
            node.set_status(status);
        }
        Ok(())
    }

    async fn browse(
        &self,
        context: &RequestContext,
        nodes_to_browse: &mut [BrowseNode],
    ) -> Result<(), StatusCode> {
        for node in nodes_to_browse {
            self.browse_one(context, node).await;
        }
        Ok(())
    }

    async fn translate_browse_paths_to_node_ids(
        &self,
        context: &RequestContext,
        nodes: &mut [&mut BrowsePathItem],
    ) -> Result<(), StatusCode> {
        impl_translate_browse_paths_using_browse(self, context, nodes).await
    }

    async fn create_monitored_items(
        &self,
        context: &RequestContext,
        items: &mut [&mut CreateMonitoredItem],
    ) -> Result<(), StatusCode> {
        let asker = asker(&self.users, &context.token);
        for item in items {
            let (id, attribute) =
                (item.item_to_monitor().node_id.clone(), item.item_to_monitor().attribute_id);
            let value = self.space.read(&id, attribute, &asker).await;
            let refused = [StatusCode::BadNodeIdUnknown, StatusCode::BadAttributeIdInvalid];
            if let Some(status) = value.status.filter(|status| refused.contains(status)) {
                item.set_status(status);
                continue;
            }
            // Every change is reported with its own time; a stretched one would carry a false time.
            item.revise_sampling_interval(0.0);
            item.set_initial_value(value);
            item.set_status(StatusCode::Good);
            if attribute == AttributeId::Value {
                self.watched.add(&id);
            }
        }
        Ok(())
    }

    async fn set_monitoring_mode(
        &self,
        _: &RequestContext,
        _: MonitoringMode,
        _: &[&MonitoredItemRef],
    ) {
    }

    async fn delete_monitored_items(&self, _: &RequestContext, items: &[&MonitoredItemRef]) {
        for item in items.iter().filter(|item| item.attribute() == AttributeId::Value) {
            self.watched.remove(item.node_id());
        }
    }

    async fn call(
        &self,
        context: &RequestContext,
        methods: &mut [&mut MethodCall],
    ) -> Result<(), StatusCode> {
        let asker = asker(&self.users, &context.token);
        for method in methods {
            let (object, id) = (method.object_id().clone(), method.method_id().clone());
            let called = self.space.call(&object, &id, method.arguments(), &asker).await;
            if !called.arguments.is_empty() {
                method.set_argument_error(called.arguments);
            }
            method.set_outputs(called.outputs);
            method.set_status(called.status);
        }
        Ok(())
    }
}
