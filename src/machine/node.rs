//! Where something is at a machine: named by namespace URI, because indexes change with its firmware.

use std::fmt;

use opcua::types::NodeId;

/// A node by namespace URI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Namespace URI; `None` for OPC UA's own.
    pub namespace: Option<String>,
    /// Identifier with its type.
    pub identifier: String,
}

impl Node {
    /// Its id at a machine with these namespaces.
    pub fn id(&self, namespaces: &[String]) -> Result<NodeId, String> {
        let index = match &self.namespace {
            None => 0,
            Some(uri) => {
                let found = namespaces.iter().position(|known| known == uri);
                found.ok_or_else(|| format!("the machine has no namespace {uri}"))?
            }
        };
        let text = format!("ns={index};{}", self.identifier);
        text.parse().map_err(|_| format!("{text} is no node id"))
    }

    /// The node of an id at a machine with these namespaces.
    pub fn of(id: &NodeId, namespaces: &[String]) -> Node {
        let text = id.to_string();
        let identifier = text.strip_prefix(&format!("ns={};", id.namespace)).unwrap_or(&text);
        let index = usize::from(id.namespace);
        // An index that the machine itself does not know names nothing.
        let unknown = || format!("urn:unknown:{index}");
        let namespace = (index > 0).then(|| namespaces.get(index).cloned().unwrap_or_else(unknown));
        Node { namespace, identifier: identifier.to_owned() }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(uri) => write!(out, "nsu={uri};{}", self.identifier),
            None => out.write_str(&self.identifier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_wherever_its_namespace_stands() {
        let node = |namespace: Option<&str>, identifier: &str| Node {
            namespace: namespace.map(str::to_owned),
            identifier: identifier.to_owned(),
        };
        let press = node(Some("urn:press"), "s=State");
        let named =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (names, index) in
            [(named(&["ua", "urn:press"]), 1), (named(&["ua", "x", "urn:press"]), 2)]
        {
            assert_eq!(press.id(&names), Ok(NodeId::new(index, "State")));
        }
        let missing = press.id(&named(&["ua"])).unwrap_err();
        assert_eq!(missing, "the machine has no namespace urn:press");
        let known = Node::of(&NodeId::new(1, "State"), &named(&["ua", "urn:press"]));
        assert_eq!((known.to_string(), known), ("nsu=urn:press;s=State".to_owned(), press));
        assert_eq!(Node::of(&NodeId::new(0, 2258_u32), &[]).to_string(), "i=2258");
        assert_eq!(node(None, "i=2258").id(&[]), Ok(NodeId::new(0, 2258_u32)));
        assert_eq!(node(None, "State").id(&[]), Err("ns=0;State is no node id".to_owned()));
    }
}
