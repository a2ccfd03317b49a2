//! The types of our own namespace, read from the nodeset that ships with the program.

use opcua::nodes::{NodeSet2Import, NodeSetNamespaceMapper};
use opcua::types::{NamespaceMap, NodeId};

use super::nodeset::NodeSet;

/// URI of the type namespace.
pub const TYPES_NAMESPACE: &str = "urn:linewright:ua:mes";
const NODESET: &str = include_str!("../../../nodesets/mes.types.xml");

/// Ids of types, as in the nodeset.
pub mod id {
    /// A site.
    pub const SITE_TYPE: u32 = 1001;
    /// An area.
    pub const AREA_TYPE: u32 = 1002;
    /// A line.
    pub const LINE_TYPE: u32 = 1003;
    /// A machine.
    pub const MACHINE_TYPE: u32 = 1004;
    /// OEE of a piece of equipment.
    pub const OEE_TYPE: u32 = 1006;
    /// The stop in which a machine is.
    pub const STOP_TYPE: u32 = 1007;
    /// The link to a machine.
    pub const CONNECTION_TYPE: u32 = 1008;
    /// A job order.
    pub const JOB_ORDER_TYPE: u32 = 1009;
    /// A lot.
    pub const LOT_TYPE: u32 = 1010;
    /// The orders.
    pub const ORDERS_TYPE: u32 = 1011;
    /// The lots.
    pub const LOTS_TYPE: u32 = 1012;
    /// The reasons.
    pub const REASONS_TYPE: u32 = 1013;
    /// A ratio figure.
    pub const KPI_TYPE: u32 = 2001;
    /// A counter.
    pub const COUNTER_TYPE: u32 = 2002;
    /// What a machine does.
    pub const MACHINE_STATE: u32 = 3001;
    /// Where an order stands.
    pub const JOB_STATE: u32 = 3002;
    /// From a lot to one that it was made from.
    pub const MADE_FROM: u32 = 4001;
    /// From an order to a lot that it makes.
    pub const PRODUCES: u32 = 4002;
    /// From an order to a lot that it uses up.
    pub const CONSUMES: u32 = 4003;
    /// From an order to its line.
    pub const EXECUTES_ON: u32 = 4004;
    /// From a machine to the next.
    pub const FLOWS_TO: u32 = 4005;
}

/// The type nodes.
pub struct Types {
    nodes: NodeSet,
    index: u16,
}

impl Types {
    /// Reads the nodeset; fails only if the file in the program is broken.
    pub fn load(namespaces: &mut NamespaceMap) -> Result<Types, String> {
        let import = NodeSet2Import::new_str("en", NODESET, Vec::new())
            .map_err(|error| format!("the type nodeset is broken: {error}"))?;
        let mut mapper = NodeSetNamespaceMapper::new(namespaces);
        // Registered here, because the importer would print a line on standard output.
        mapper.add_namespace(TYPES_NAMESPACE, 1);
        let nodes = NodeSet::import(&import, &mapper);
        Ok(Types { nodes, index: namespaces.get_index(TYPES_NAMESPACE).unwrap_or(0) })
    }

    /// All nodes of the namespace.
    pub fn nodes(&self) -> &NodeSet {
        &self.nodes
    }

    /// Index of the type namespace.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// A node of the namespace by its number.
    pub fn id(&self, number: u32) -> NodeId {
        NodeId::new(self.index, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_supertype_a_description_and_resolvable_references() {
        let mut namespaces = NamespaceMap::new();
        let types = Types::load(&mut namespaces).unwrap();
        let (own, nodes) = (types.index(), types.nodes());
        assert!(own > 0 && nodes.nodes().count() >= 20);
        for node in nodes.nodes() {
            let id = &node.id;
            assert!(!node.description.text.is_empty(), "{id} has no description");
            for reference in nodes.references(id) {
                let target = &reference.target;
                assert!(
                    target.namespace != own || nodes.node(target).is_some(),
                    "{id} refers to {target}, which does not exist"
                );
            }
        }
        let oee = types.id(id::OEE_TYPE);
        let base: NodeId = opcua::types::ObjectTypeId::BaseObjectType.into();
        assert!(nodes.references(&base).iter().any(|r| r.forward && r.target == oee));
    }
}
