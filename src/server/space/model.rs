//! The types of all namespaces besides OPC UA's own: ours, and those of companion specifications.
//!
//! Which files they come from is decided in [`super::nodeset_files`].

use std::path::Path;

use opcua::nodes::{NodeSetImport as _, NodeSetNamespaceMapper};
use opcua::types::{NamespaceMap, NodeClass, NodeId};

use super::nodeset::NodeSet;
use super::nodeset_files::chosen;

/// URI of the type namespace.
pub const TYPES_NAMESPACE: &str = "urn:linewright:ua:mes";

/// URI of ISA-95 Job Control.
pub const JOB_CONTROL: &str = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";

/// URI of OPC 40001-1, Machinery.
pub const MACHINERY: &str = "http://opcfoundation.org/UA/Machinery/";

/// URI of OPC 30050, PackML.
pub const PACKML: &str = "http://opcfoundation.org/UA/PackML/";

/// URI of OPC 40600, the Weihenstephan Standards.
pub const WEIHENSTEPHAN: &str = "http://opcfoundation.org/UA/Weihenstephan/";

/// The type nodes.
pub struct Model {
    nodes: NodeSet,
    own: u16,
    indexes: hashbrown::HashMap<String, u16>,
    /// Our types by their names.
    named: hashbrown::HashMap<String, NodeId>,
}

impl Model {
    /// Reads the nodesets, with those of a folder; fails only if a file in the program is broken.
    pub fn load(namespaces: &mut NamespaceMap, folder: Option<&Path>) -> Result<Model, String> {
        let mut nodes = NodeSet::default();
        for file in chosen(folder)? {
            let import = file.import;
            let mut mapper = NodeSetNamespaceMapper::new(namespaces);
            // Registered here, because the importer would print a line on standard output.
            for (index, uri) in (1..).zip(import.get_own_namespaces()) {
                mapper.add_namespace(&uri, index);
            }
            nodes.add(NodeSet::import(&import, &mapper));
        }
        let own = namespaces.get_index(TYPES_NAMESPACE).unwrap_or(0);
        let is_type = |class| !matches!(class, NodeClass::Object | NodeClass::Variable);
        let types = nodes.nodes().filter(|node| node.id.namespace == own && is_type(node.class()));
        let name = |node: &std::sync::Arc<super::Node>| {
            (node.browse_name.name.as_ref().to_owned(), node.id.clone())
        };
        let named = types.map(name).collect();
        let indexes = namespaces.known_namespaces().iter();
        let indexes = indexes.map(|(uri, index)| (uri.clone(), *index)).collect();
        Ok(Model { nodes, own, indexes, named })
    }

    /// All nodes of the namespaces.
    pub fn nodes(&self) -> &NodeSet {
        &self.nodes
    }

    /// Whether the nodes of a namespace are all here.
    pub fn has(&self, id: &NodeId) -> bool {
        self.nodes.node(id).is_some()
    }

    /// Index of the namespace of a companion specification.
    pub fn index(&self, uri: &str) -> u16 {
        self.indexes.get(uri).copied().unwrap_or_default()
    }

    /// One of our types by its name.
    pub fn own(&self, name: &str) -> NodeId {
        // A name that is not there is an error of the program; its absence shows at the first start.
        self.named.get(name).cloned().unwrap_or_else(|| NodeId::new(self.own, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_description_and_references_that_lead_somewhere() {
        let mut namespaces = NamespaceMap::new();
        let model = Model::load(&mut namespaces, None).unwrap();
        assert!(model.nodes().nodes().count() > 500);
        for node in model.nodes().nodes() {
            let id = &node.id;
            assert!(!node.description.text.is_empty(), "{id} has no description");
            for reference in model.nodes().references(id) {
                let target = &reference.target;
                assert!(
                    target.namespace == 0 || model.has(target),
                    "{id} refers to {target}, which does not exist"
                );
            }
        }
        let base: NodeId = opcua::types::ObjectTypeId::BaseObjectType.into();
        let oee = model.own("OeeType");
        assert!(model.nodes().references(&base).iter().any(|r| r.forward && r.target == oee));
    }

    #[test]
    fn a_vendor_file_with_nodes_that_lead_nowhere_does_not_stop_the_start() {
        let text = "<UANodeSet xmlns=\"http://opcfoundation.org/UA/2011/03/UANodeSet.xsd\">\
            <NamespaceUris><Uri>urn:vendor:press</Uri></NamespaceUris>\
            <Models><Model ModelUri=\"urn:vendor:press\" Version=\"1\"/></Models>\
            <UAObjectType NodeId=\"ns=1;i=1\" BrowseName=\"1:PressType\">\
            <DisplayName>PressType</DisplayName><References>\
            <Reference ReferenceType=\"i=45\" IsForward=\"false\">i=58</Reference>\
            </References></UAObjectType>\
            <UAObjectType NodeId=\"ns=9;i=1\" BrowseName=\"9:Nowhere\">\
            <DisplayName>Nowhere</DisplayName></UAObjectType>\
            <UAObjectType NodeId=\"nonsense\" BrowseName=\"1:Nonsense\">\
            <DisplayName>Nonsense</DisplayName></UAObjectType></UANodeSet>";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vendor.xml"), text).unwrap();
        let mut namespaces = NamespaceMap::new();
        let model = Model::load(&mut namespaces, Some(folder.path())).unwrap();
        let vendor = namespaces.get_index("urn:vendor:press").unwrap();
        assert!(model.has(&NodeId::new(vendor, 1_u32)));
        let of_vendor = model.nodes().nodes().filter(|node| node.id.namespace == vendor);
        assert_eq!(of_vendor.count(), 1);
    }
}
