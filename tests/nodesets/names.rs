//! Finds the ids behind the names of a table: its own, those of the models it uses, and OPC UA's.

use std::collections::BTreeMap;

use opcua::core_namespace::CoreNamespace;
use opcua::nodes::{HasNodeId, NodeSetImport, NodeSetNamespaceMapper};
use opcua::types::{Identifier, NamespaceMap, NodeClass};

use super::table::{Row, Table};

/// Ids of types by URI and name; the URI of OPC UA itself is empty.
pub struct Names(BTreeMap<(String, String), u32>);

impl Names {
    /// The types of OPC UA and of all tables.
    pub fn new(tables: &[Table]) -> Names {
        let mut names = BTreeMap::new();
        let mut namespaces = NamespaceMap::new();
        let mut mapper = NodeSetNamespaceMapper::new(&mut namespaces);
        CoreNamespace.register_namespaces(&mut mapper);
        for item in CoreNamespace.load(&mapper) {
            let class = item.node.node_class();
            let is_type = !matches!(
                class,
                NodeClass::Object | NodeClass::Variable | NodeClass::Method | NodeClass::View
            );
            let base = item.node.as_node();
            if let (true, Identifier::Numeric(id)) = (is_type, &item.node.node_id().identifier) {
                let name = base.browse_name().name.as_ref().to_owned();
                names.insert((String::new(), name), *id);
            }
        }
        for table in tables {
            for row in table.rows.iter().filter(|row| row.keyword != "object") {
                names.insert((table.uri.clone(), row.name.clone()), row.id);
            }
        }
        Names(names)
    }

    /// The id behind a name in a table, as it is written in its nodeset.
    pub fn id(&self, table: &Table, name: &str) -> Result<String, String> {
        if let Some((alias, number)) = name.split_once('#') {
            let number: u32 = number.parse().map_err(|_| format!("{name} is no id"))?;
            let index = if alias.is_empty() { 1 } else { table.index(alias)? };
            return Ok(written(index, number));
        }
        let find = |uri: &str, name: &str| self.0.get(&(uri.to_owned(), name.to_owned())).copied();
        if let Some((alias, name)) = name.split_once(':') {
            let uri = table.used(alias)?;
            let id = find(&uri, name).ok_or_else(|| format!("{alias} has no {name}"))?;
            return Ok(written(table.index(alias)?, id));
        }
        match (find(&table.uri, name), find("", name)) {
            (Some(own), _) => Ok(written(1, own)),
            (None, Some(standard)) => Ok(written(0, standard)),
            (None, None) => Err(format!("there is no {name}")),
        }
    }
}

impl Table {
    /// The namespace index of an alias in the nodeset.
    pub fn index(&self, alias: &str) -> Result<usize, String> {
        if alias == "ua" {
            return Ok(0);
        }
        let others = self.uses.iter().filter(|used| used.alias != "ua");
        let found = others.enumerate().find(|(_, used)| used.alias == alias);
        found.map(|(index, _)| index + 2).ok_or_else(|| format!("there is no alias {alias}"))
    }

    fn used(&self, alias: &str) -> Result<String, String> {
        if alias == "ua" {
            return Ok(String::new());
        }
        let found = self.uses.iter().find(|used| used.alias == alias);
        found.map(|used| used.uri.clone()).ok_or_else(|| format!("there is no alias {alias}"))
    }

    /// A browse name as it is written in the nodeset.
    pub fn browse_name(&self, name: &str) -> Result<String, String> {
        match name.split_once(':').filter(|_| !is_uri(name)) {
            Some(("ua", name)) => Ok(name.to_owned()),
            Some((alias, name)) => Ok(format!("{}:{name}", self.index(alias)?)),
            None => Ok(format!("1:{name}")),
        }
    }
}

/// A name without its namespace.
pub fn plain(name: &str) -> &str {
    name.split_once(':').filter(|_| !is_uri(name)).map_or(name, |(_, plain)| plain)
}

/// The name of a namespace's own object is its URI.
fn is_uri(name: &str) -> bool {
    name.starts_with("http:") || name.starts_with("urn:")
}

fn written(index: usize, id: u32) -> String {
    if index == 0 { format!("i={id}") } else { format!("ns={index};i={id}") }
}

/// All rows of a table with the id of the one above, outermost first.
pub fn flat(table: &Table) -> Vec<(Option<&Row>, &Row)> {
    let mut all: Vec<(Option<&Row>, &Row)> = table.rows.iter().map(|row| (None, row)).collect();
    let mut next = 0;
    while let Some((_, row)) = all.get(next).copied() {
        all.splice(next + 1..next + 1, row.children.iter().map(|child| (Some(row), child)));
        next += 1;
    }
    all
}
