//! Which nodes of a machine are mirrored, and which of them may be written or called: by browse path, or
//! by type.

use opcua::types::QualifiedName;

use crate::domain::time::Span;
use crate::machine::{Name, Node};

/// What is mirrored of a machine, as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Scope {
    /// Browse paths from the objects folder on, each with all that is below it. Everything but the
    /// objects of OPC UA itself, where neither paths nor types are given.
    pub include: Vec<Vec<Name>>,
    /// Types whose objects are mirrored with all that is below them.
    pub types: Vec<Node>,
    /// Browse paths that are left out with all that is below them.
    pub exclude: Vec<Vec<Name>>,
    /// Where variables may be written.
    pub write: Vec<Vec<Name>>,
    /// Where methods may be called.
    pub call: Vec<Vec<Name>>,
    /// Variables whose values are kept here, each with all that is below it.
    pub record: Vec<Vec<Name>>,
    /// How often the machine is to look at them; as often as at its signals where that is not said.
    pub record_every: Option<Span>,
    /// Whether events and conditions are told on.
    pub events: bool,
    /// Nodes at most.
    pub nodes_max: usize,
    /// How long a write or a call may take.
    pub timeout: Span,
    /// How long a variable is watched on after nobody looks at it any more, and how long its last value
    /// is told, as uncertain, after the machine was lost.
    pub linger: Span,
}

/// How a node stands to what is mirrored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// Something below it may be mirrored.
    OnTheWay,
    /// It is mirrored.
    In,
}

/// A node that is judged.
pub struct Candidate<'a> {
    /// Browse names from the objects folder to it.
    pub path: &'a [QualifiedName],
    /// Whether it is of one of the types, or a subtype.
    pub is_of_type: bool,
    /// Whether it is one of OPC UA's own.
    pub is_standard: bool,
}

impl Scope {
    /// All of it that decides what is copied, as a text.
    pub fn key(&self) -> String {
        let Scope { include, types, exclude, write, call, record, events, nodes_max, .. } = self;
        format!(
            "{include:?} {types:?} {exclude:?} {write:?} {call:?} {record:?} {events} {nodes_max}"
        )
    }

    /// Whether all that the machine has of its own is mirrored.
    pub fn is_all(&self) -> bool {
        self.include.is_empty() && self.types.is_empty() && self.exclude.is_empty()
    }

    /// How a node stands, below one that stands so; none where it is left out.
    pub fn judge(
        &self,
        above: Standing,
        candidate: &Candidate<'_>,
        namespaces: &[String],
    ) -> Option<Standing> {
        let path = candidate.path;
        let begins = |names: &Vec<Name>| starts_with(path, names, namespaces);
        if self.exclude.iter().any(begins) {
            return None;
        }
        let has_no_choice = self.include.is_empty() && self.types.is_empty();
        let is_in = above == Standing::In
            || has_no_choice && !candidate.is_standard
            || candidate.is_of_type
            || self.include.iter().any(begins);
        if is_in {
            return Some(Standing::In);
        }
        let leads_there = self.include.iter().any(|names| {
            names.len() > path.len() && starts_with(path, &names[..path.len()], namespaces)
        });
        let may_lead = !(self.types.is_empty() || path.len() == 1 && candidate.is_standard);
        (leads_there || may_lead).then_some(Standing::OnTheWay)
    }

    /// Whether a variable at a path may be written.
    pub fn may_write(&self, path: &[QualifiedName], namespaces: &[String]) -> bool {
        self.write.iter().any(|names| starts_with(path, names, namespaces))
    }

    /// Whether the values of a variable at a path are kept.
    pub fn is_recorded(&self, path: &[QualifiedName], namespaces: &[String]) -> bool {
        self.record.iter().any(|names| starts_with(path, names, namespaces))
    }

    /// Whether a method at a path may be called.
    pub fn may_call(&self, path: &[QualifiedName], namespaces: &[String]) -> bool {
        self.call.iter().any(|names| starts_with(path, names, namespaces))
    }
}

fn starts_with(path: &[QualifiedName], names: &[Name], namespaces: &[String]) -> bool {
    let is_same = |(one, name): (&QualifiedName, &Name)| {
        let uri = || namespaces.get(usize::from(one.namespace_index));
        one.name.as_ref() == name.name
            && name.namespace.as_ref().is_none_or(|wanted| uri() == Some(wanted))
    };
    names.len() <= path.len() && path.iter().zip(names).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<Name> {
        let name = |name: &str| Name { namespace: None, name: name.to_owned() };
        path.split('/').map(name).collect()
    }

    fn path(path: &str) -> Vec<QualifiedName> {
        path.split('/').map(|name| QualifiedName::new(2, name)).collect()
    }

    fn scope(include: &[&str], exclude: &[&str]) -> Scope {
        Scope {
            include: include.iter().map(|path| names(path)).collect(),
            types: Vec::new(),
            exclude: exclude.iter().map(|path| names(path)).collect(),
            write: vec![names("Press/Set")],
            call: Vec::new(),
            record: vec![names("Press/Status")],
            record_every: None,
            events: true,
            nodes_max: 100,
            timeout: Span::from_seconds(5),
            linger: Span::from_seconds(10),
        }
    }

    fn judged(scope: &Scope, above: Standing, at: &str) -> Option<Standing> {
        let path = path(at);
        let is_standard = at == "Server";
        let candidate = Candidate { path: &path, is_of_type: false, is_standard };
        scope.judge(above, &candidate, &[])
    }

    #[test]
    fn everything_is_in_where_nothing_is_chosen_but_what_every_server_has() {
        let all = scope(&[], &["Press/Secret"]);
        assert_eq!(judged(&all, Standing::OnTheWay, "Press"), Some(Standing::In));
        assert_eq!(judged(&all, Standing::In, "Press/Secret"), None);
        assert_eq!(judged(&all, Standing::In, "Press/Secret/Key"), None);
        assert_eq!(judged(&all, Standing::OnTheWay, "Server"), None);
    }

    #[test]
    fn paths_lead_to_what_is_chosen_and_nowhere_else() {
        let chosen = scope(&["Press/Status"], &[]);
        assert_eq!(judged(&chosen, Standing::OnTheWay, "Press"), Some(Standing::OnTheWay));
        assert_eq!(judged(&chosen, Standing::OnTheWay, "Press/Status"), Some(Standing::In));
        assert_eq!(judged(&chosen, Standing::OnTheWay, "Press/Set"), None);
        assert_eq!(judged(&chosen, Standing::OnTheWay, "Oven"), None);
        assert_eq!(judged(&chosen, Standing::In, "Press/Status/Axis/X"), Some(Standing::In));
    }

    #[test]
    fn a_name_may_say_its_namespace() {
        let mut of_vendor = scope(&["Press"], &[]);
        of_vendor.include[0][0].namespace = Some("urn:vendor".into());
        let uris = ["http://opcfoundation.org/UA/", "urn:other", "urn:vendor"].map(str::to_owned);
        let path = path("Press");
        let candidate = Candidate { path: &path, is_of_type: false, is_standard: false };
        assert_eq!(of_vendor.judge(Standing::OnTheWay, &candidate, &uris), Some(Standing::In));
        assert_eq!(of_vendor.judge(Standing::OnTheWay, &candidate, &uris[..2]), None);
    }

    #[test]
    fn only_what_is_listed_may_be_written_or_is_kept() {
        let scope = scope(&[], &[]);
        assert!(scope.may_write(&path("Press/Set/Speed"), &[]));
        assert!(!scope.may_write(&path("Press/Status"), &[]));
        assert!(!scope.may_call(&path("Press/Set"), &[]));
        assert!(scope.is_recorded(&path("Press/Status/Axis"), &[]));
        assert!(!scope.is_recorded(&path("Press/Set/Speed"), &[]));
    }
}
