//! What a machine is by the types of its nodes, and which of them are its signals: PackML (OPC 30050),
//! Weihenstephan (OPC 40600), Machinery (OPC 40001-1), MachineTool (OPC 40501-1), Euromap 77 (OPC 40077).
//!
//! It looks at types, never at names of vendors, and says for everything why it is so.

use super::Node;
use super::explore::{Seen, Sight};
use crate::domain::signal::SignalRole;

const PACKML: &str = "http://opcfoundation.org/UA/PackML/";
const MACHINERY: &str = "http://opcfoundation.org/UA/Machinery/";
const MACHINE_TOOL: &str = "http://opcfoundation.org/UA/MachineTool/";
const WEIHENSTEPHAN: &str = "http://opcfoundation.org/UA/Weihenstephan/";
const EUROMAP_77: &str = "http://opcfoundation.org/UA/PlasticsRubber/IMM2MES/";
const JOB_CONTROL: &str = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";
const DI: &str = "http://opcfoundation.org/UA/DI/";

/// A signal that was recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// What it says.
    pub role: SignalRole,
    /// Where it is.
    pub node: Node,
    /// Where in its value; empty for the value itself.
    pub field: &'static str,
    /// How it is read: the further keys of its configuration.
    pub reading: &'static str,
    /// The standard.
    pub standard: &'static str,
    /// Why it was recognised.
    pub why: String,
}

impl Binding {
    /// Whether a part of it is only proposed: nobody knows how long a cycle is but who runs the machine.
    pub fn is_guessed(&self) -> bool {
        self.reading.starts_with("cycle = ")
    }
}

/// What was recognised of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recognised {
    /// Its signals; one for each role, of the standard that says most.
    pub bindings: Vec<Binding>,
    /// What its nameplate says, by the names of OPC 40001-1.
    pub nameplate: Vec<(String, String)>,
    /// What else it can do.
    pub notes: Vec<String>,
}

/// A variable below an object of a type that is a signal.
struct Rule {
    /// Path below the object.
    path: &'static str,
    role: SignalRole,
    field: &'static str,
    reading: &'static str,
}

const fn rule(
    path: &'static str,
    role: SignalRole,
    field: &'static str,
    reading: &'static str,
) -> Rule {
    Rule { path, role, field, reading }
}

/// A type, and what its objects say.
struct Standard {
    name: &'static str,
    namespace: &'static str,
    type_id: &'static str,
    type_name: &'static str,
    rules: &'static [Rule],
}

/// The standards, those that say most about production first.
const STANDARDS: [Standard; 6] = [
    Standard {
        name: "PackML (OPC 30050)",
        namespace: PACKML,
        type_id: "i=6",
        type_name: "PackMLBaseObjectType",
        rules: &[
            rule("BaseStateMachine", SignalRole::State, "", "states = \"packml\""),
            rule("Status/UnitModeCurrent", SignalRole::Mode, "", "modes = \"packml\""),
            rule("Status/EquipmentBlocked", SignalRole::Blocked, "", ""),
            rule("Status/EquipmentStarved", SignalRole::Starved, "", ""),
            rule("Admin/ProdProcessedCount", SignalRole::Total, "[0].AccCount", ""),
            rule("Admin/ProdDefectiveCount", SignalRole::Reject, "[0].AccCount", ""),
            rule("Admin/ProdConsumedCount", SignalRole::Infeed, "[0].AccCount", ""),
        ],
    },
    Standard {
        name: "Weihenstephan (OPC 40600)",
        namespace: WEIHENSTEPHAN,
        type_id: "i=1000",
        type_name: "WSMachineType",
        rules: &[
            rule("**/WS_Cur_State", SignalRole::State, "", "states = \"weihenstephan\""),
            rule("**/WS_Cur_Prog", SignalRole::Mode, "", "modes = \"weihenstephan\""),
            rule("**/WS_Good_Packages", SignalRole::Good, "", ""),
            rule("**/WS_Bad_Packages", SignalRole::Reject, "", ""),
            rule("**/WS_Tot_Packages", SignalRole::Total, "", ""),
        ],
    },
    Standard {
        name: "Euromap 77 (OPC 40077)",
        namespace: EUROMAP_77,
        type_id: "i=1007",
        type_name: "IMM_MES_InterfaceType",
        rules: &[
            rule("**/JobCycleCounter", SignalRole::Cycle, "", "cycle = \"30s\""),
            rule("**/JobGoodPartsCounter", SignalRole::Good, "", ""),
            rule("**/JobBadPartsCounter", SignalRole::Reject, "", ""),
        ],
    },
    Standard {
        name: "MachineTool (OPC 40501-1)",
        namespace: MACHINE_TOOL,
        type_id: "i=13",
        type_name: "MachineToolType",
        rules: &[rule("**/PartsProducedInLifetime", SignalRole::Total, "", "")],
    },
    Standard {
        name: "Machinery (OPC 40001-1)",
        namespace: MACHINERY,
        type_id: "i=1002",
        type_name: "MachineryItemState_StateMachineType",
        rules: &[rule("", SignalRole::State, "", "states = \"machinery\"")],
    },
    Standard {
        name: "Machinery (OPC 40001-1)",
        namespace: MACHINERY,
        type_id: "i=1008",
        type_name: "MachineryOperationModeStateMachineType",
        rules: &[rule("", SignalRole::Mode, "", "modes = \"machinery\"")],
    },
];

/// Recognises what was seen of a machine.
pub fn recognise(sight: &Sight) -> Recognised {
    let mut recognised = Recognised::default();
    for standard in &STANDARDS {
        let mut objects =
            sight.nodes.iter().filter(|seen| is_a(seen, standard.namespace, standard.type_id));
        let Some(object) = objects.next() else { continue };
        if let Some(other) = objects.find(|other| !other.is_again) {
            recognised.notes.push(format!(
                "there is another {} at {}; this is about {} alone",
                standard.type_name, other.path, object.path
            ));
        }
        bind(sight, object, standard, &mut recognised);
    }
    let receivers = sight.nodes.iter().filter(|seen| is_a(seen, JOB_CONTROL, "i=1002"));
    for receiver in receivers.filter(|seen| !seen.is_again) {
        let node = &receiver.node;
        let note = format!("it takes job orders (ISA95JobOrderReceiverObjectType) at {node}");
        recognised.notes.push(note);
    }
    recognised.nameplate = nameplate(sight);
    recognised
}

fn is_a(seen: &Seen, namespace: &str, identifier: &str) -> bool {
    let is_it =
        |node: &Node| node.namespace.as_deref() == Some(namespace) && node.identifier == identifier;
    seen.type_node.iter().chain(&seen.supertypes).any(is_it)
}

fn bind(sight: &Sight, object: &Seen, standard: &Standard, recognised: &mut Recognised) {
    for rule in standard.rules {
        let Some(found) = below(sight, object, rule.path) else { continue };
        if recognised.bindings.iter().any(|known| known.role == rule.role) {
            continue;
        }
        let way = rule.path.trim_start_matches("**/");
        let why = match way.is_empty() {
            true => format!("{} is a {}", object.path, standard.type_name),
            false => format!("{way} of {}, a {}", object.path, standard.type_name),
        };
        recognised.bindings.push(Binding {
            role: rule.role,
            node: found.node.clone(),
            field: rule.field,
            reading: rule.reading,
            standard: standard.name,
            why,
        });
    }
}

/// What is at a path below an object; `**/` stands for any way to it.
fn below<'a>(sight: &'a Sight, object: &'a Seen, path: &str) -> Option<&'a Seen> {
    if path.is_empty() {
        return Some(object);
    }
    let inside = format!("{}/", object.path);
    let under =
        sight.nodes.iter().filter_map(|seen| Some((seen, seen.path.strip_prefix(&inside)?)));
    match path.strip_prefix("**/") {
        Some(name) => under
            .filter(|(_, rest)| rest.rsplit('/').next() == Some(name))
            .map(|(seen, _)| seen)
            .next(),
        None => under.filter(|(_, rest)| *rest == path).map(|(seen, _)| seen).next(),
    }
}

/// Properties of the first identification (OPC 10000-100) that say something.
fn nameplate(sight: &Sight) -> Vec<(String, String)> {
    let is_one = |seen: &&Seen| {
        seen.path.ends_with("Identification") && seen.name_namespace.as_deref() == Some(DI)
    };
    let Some(object) = sight.nodes.iter().find(is_one) else { return Vec::new() };
    let inside = format!("{}/", object.path);
    let texts = sight.nodes.iter().filter_map(|seen| {
        let name = seen.path.strip_prefix(&inside).filter(|name| !name.contains('/'))?;
        match &seen.variable.as_ref()?.value {
            super::text::Shown::Text(text) if !text.is_empty() => {
                Some((name.to_owned(), text.clone()))
            }
            _ => None,
        }
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str, type_node: Option<(&str, &str)>, above: Option<(&str, &str)>) -> Seen {
        let node = |(uri, id): (&str, &str)| Node {
            namespace: Some(uri.to_owned()),
            identifier: id.to_owned(),
        };
        Seen {
            depth: path.matches('/').count(),
            path: path.to_owned(),
            node: node(("urn:m", &format!("s={path}"))),
            name: path.to_owned(),
            class: "Object",
            type_name: String::new(),
            type_node: type_node.map(node),
            supertypes: above.map(node).into_iter().collect(),
            name_namespace: None,
            variable: None,
            is_again: false,
        }
    }

    #[test]
    fn a_machine_is_recognised_by_its_types_also_by_those_that_a_vendor_has_derived() {
        let vendor = Some(("urn:vendor", "i=7"));
        let sight = Sight {
            nodes: vec![
                seen("Line/Filler", vendor, Some((PACKML, "i=6"))),
                seen("Line/Filler/BaseStateMachine", None, None),
                seen("Line/Filler/Status/UnitModeCurrent", None, None),
                seen("Line/Filler/Admin/ProdProcessedCount", None, None),
                seen("Line/Filler/State", Some((MACHINERY, "i=1002")), None),
                seen("Line/Filler/Mode", Some((MACHINERY, "i=1008")), None),
                seen("Other/BaseStateMachine", None, None),
            ],
            is_cut: false,
        };
        let found = recognise(&sight);
        let roles: Vec<_> = found.bindings.iter().map(|b| (b.role, &*b.node.identifier)).collect();
        let wanted = [
            (SignalRole::State, "s=Line/Filler/BaseStateMachine"),
            (SignalRole::Mode, "s=Line/Filler/Status/UnitModeCurrent"),
            (SignalRole::Total, "s=Line/Filler/Admin/ProdProcessedCount"),
        ];
        assert_eq!(roles, wanted, "PackML says more than Machinery");
        assert_eq!(found.bindings[2].field, "[0].AccCount");
        let why = "Admin/ProdProcessedCount of Line/Filler, a PackMLBaseObjectType";
        assert_eq!(found.bindings[2].why, why);
        assert_eq!(recognise(&Sight::default()), Recognised::default());
    }
}
