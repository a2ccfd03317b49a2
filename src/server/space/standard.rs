//! Namespace 0: the types and objects of OPC UA itself, as the stack carries them, without the parts
//! that this server does not serve.

use std::sync::Arc;

use opcua::core_namespace::CoreNamespace;
use opcua::nodes::{NodeSetImport as _, NodeSetNamespaceMapper};
use opcua::types::{
    AttributeId, DataValue, MethodId, NamespaceMap, NodeId, ObjectId, StatusCode, VariableId,
};

use super::node::{Node, NodeKind, Reference};
use super::nodeset::NodeSet;
use super::protection::Protection;
use super::server_object::ServerState;
use super::value::data_value;
use crate::app::clock::Clock;

/// Namespace 0 with the state of the server.
pub struct StandardSpace {
    nodes: NodeSet,
    state: Arc<ServerState>,
    clock: Arc<dyn Clock>,
}

/// Parts of the Server object and of the standard folders that are not served.
fn not_served() -> Vec<NodeId> {
    let objects = [
        ObjectId::PublishSubscribe,
        ObjectId::ServerConfiguration,
        ObjectId::Aliases,
        ObjectId::Dictionaries,
        ObjectId::Quantities,
        ObjectId::Resources,
        ObjectId::Locations,
        ObjectId::UserManagement,
        ObjectId::Server_VendorServerInfo,
    ];
    let variables = [
        VariableId::Server_ServerRedundancy_CurrentServerId,
        VariableId::Server_ServerRedundancy_RedundantServerArray,
        VariableId::Server_ServerRedundancy_ServerUriArray,
        VariableId::Server_ServerRedundancy_ServerNetworkGroups,
        VariableId::Server_ServerDiagnostics_SamplingIntervalDiagnosticsArray,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadEvents,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateData,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryUpdateEvents,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerNodeManagement,
        VariableId::Server_ServerCapabilities_ConformanceUnits,
        VariableId::Server_UrisVersion,
        VariableId::Server_EstimatedReturnTime,
        VariableId::Server_LocalTime,
    ];
    let methods = [
        MethodId::Server_SetSubscriptionDurable,
        MethodId::Server_RequestServerStateChange,
        MethodId::Server_ServerCapabilities_RoleSet_AddRole,
        MethodId::Server_ServerCapabilities_RoleSet_RemoveRole,
    ];
    let mut all: Vec<NodeId> = objects.into_iter().map(Into::into).collect();
    all.extend(variables.into_iter().map(NodeId::from));
    all.extend(methods.into_iter().map(NodeId::from));
    all
}

/// What sessions and subscriptions there are is not for everybody.
const GUARDED: [VariableId; 3] = [
    VariableId::Server_ServerDiagnostics_SubscriptionDiagnosticsArray,
    VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray,
    VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray,
];

/// Objects of roles that nobody here has, or whose rules are not kept.
const ROLES_NOT_USED: [ObjectId; 2] = [
    ObjectId::WellKnownRole_SecurityKeyServerAdmin,
    ObjectId::WellKnownRole_SecurityKeyServerAccess,
];

impl StandardSpace {
    /// Reads namespace 0.
    pub fn new(
        state: Arc<ServerState>,
        clock: Arc<dyn Clock>,
        namespaces: &mut NamespaceMap,
    ) -> StandardSpace {
        let mut mapper = NodeSetNamespaceMapper::new(namespaces);
        CoreNamespace.register_namespaces(&mut mapper);
        let mut nodes = NodeSet::import(&CoreNamespace, &mapper);
        for id in not_served() {
            nodes.prune(&id);
        }
        for id in ROLES_NOT_USED {
            nodes.prune(&id.into());
        }
        for id in GUARDED {
            nodes.protect(&id.into(), Protection::Diagnostics);
        }
        StandardSpace { nodes, state, clock }
    }

    /// All nodes, for the type tree.
    pub fn nodes(&self) -> &NodeSet {
        &self.nodes
    }

    /// A node.
    pub fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.nodes.node(id)
    }

    /// References from a node of the namespace.
    pub fn references(&self, id: &NodeId) -> &[Reference] {
        self.nodes.references(id)
    }

    /// The value of a variable.
    pub fn value(&self, id: &NodeId) -> Option<DataValue> {
        let node = self.nodes.node(id)?;
        let now = self.clock.now();
        if let Some(value) = self.state.value(id) {
            return Some(data_value(Some(value), StatusCode::Good, now, now));
        }
        let NodeKind::Type { node, .. } = &node.kind else {
            return None;
        };
        Some(match super::node::type_attribute(node, AttributeId::Value) {
            Ok(value) => data_value(Some(value), StatusCode::Good, now, now),
            // A variable of the standard for which neither the standard nor we have a value.
            Err(_) => data_value(None, StatusCode::BadNotSupported, now, now),
        })
    }
}
