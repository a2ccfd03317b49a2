//! Lines, machines, products and reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::node::NodeAddress;
use super::section::{MapOrText, Placed, Section};
use super::settings::{MachineSettings, ProcessValueSettings, Security, Surroundings};
use crate::domain::counter::CounterRule;
use crate::domain::id::{AreaId, LineId, MachineId, ProductId, ReasonId};
use crate::domain::plant::{
    Area, IdealCycle, Line, Machine, NoOrderPolicy, Product, Reason, ReasonClass,
};
use crate::domain::signal::{MachineState, Signal, SignalRole, StateMap};
use crate::domain::time::Span;

const MICRO_STOP_DEFAULT: Span = Span::from_seconds(120);
/// A threshold above this would make real stops disappear.
const MICRO_STOP_MAX: Span = Span::from_seconds(3600);
const PUBLISHING_DEFAULT: Span = Span::from_millis(250);
const SKEW_DEFAULT: Span = Span::from_seconds(10);
const PARTS_MAX: u64 = 100_000;

/// A line as written, before its machines are known.
pub struct LineDraft {
    pub id: Placed<LineId>,
    pub name: String,
    pub area: Option<Placed<AreaId>>,
    pub bottleneck: Option<Placed<MachineId>>,
    pub outfeed: Option<Placed<MachineId>>,
    pub default_product: Option<Placed<ProductId>>,
    pub no_order: NoOrderPolicy,
}

/// Reads `[[area]]` sections.
pub fn areas(root: &Section<'_>) -> Vec<Placed<Area>> {
    let mut areas = Vec::new();
    for section in root.tables("area") {
        let id = section.required_key("id", AreaId::parse);
        let name = section.text("name");
        section.finish();
        if let Some(Placed { value: id, span }) = id {
            let name = name.map_or_else(|| id.to_string(), |name| name.value);
            areas.push(Placed { value: Area { id, name }, span });
        }
    }
    areas
}

/// Reads `[[line]]` sections.
pub fn lines(root: &Section<'_>) -> Vec<LineDraft> {
    let mut lines = Vec::new();
    for section in root.tables("line") {
        let id = section.required_key("id", LineId::parse);
        let name = section.text("name");
        let draft = id.map(|id| LineDraft {
            name: name.map_or_else(|| id.value.to_string(), |name| name.value),
            id,
            area: section.required_key("area", AreaId::parse),
            bottleneck: section.key("bottleneck", MachineId::parse),
            outfeed: section.key("outfeed", MachineId::parse),
            default_product: section.key("default_product", ProductId::parse),
            no_order: section
                .parsed("no_order", "\"loss\" or \"planned\"", |text| match text {
                    "loss" => Some(NoOrderPolicy::Loss),
                    "planned" => Some(NoOrderPolicy::Planned),
                    _ => None,
                })
                .map_or(NoOrderPolicy::Loss, |policy| policy.value),
        });
        section.finish();
        lines.extend(draft);
    }
    lines
}

/// Reads `[[machine]]` sections: what the machines are, and how to reach them.
pub fn machines(
    root: &Section<'_>,
    surroundings: &dyn Surroundings,
) -> Vec<(Placed<Machine>, Placed<LineId>, MachineSettings)> {
    let mut machines = Vec::new();
    for section in root.tables("machine") {
        let id = section.required_key("id", MachineId::parse);
        let name = section.text("name");
        let line = section.required_key("line", LineId::parse);
        let wanted = "a URL such as \"opc.tcp://192.168.0.10:4840\"";
        let endpoint =
            section.required("endpoint", wanted, |text| is_endpoint(text).then(|| text.to_owned()));
        let security = read_security(&section);
        let user = read_user(&section, surroundings);
        let micro_stop = section.duration("micro_stop_below");
        if let Some(long) = micro_stop.as_ref().filter(|m| m.value > MICRO_STOP_MAX) {
            let advice = "write one hour at most; longer stops are real ones";
            section.problems().add(long.span.clone(), "`micro_stop_below` is too long", advice);
        }
        let duration = |key, default| section.duration(key).map_or(default, |d| d.value);
        let publishing_interval = duration("publishing_interval", PUBLISHING_DEFAULT);
        let sampling_interval = duration("sampling_interval", Span::ZERO);
        let clock_skew_max = duration("clock_skew_max", SKEW_DEFAULT);
        let signals = read_signals(&section);
        let process_values = read_process_values(&section);
        let span = section.span();
        section.finish();
        let (Some(id), Some(line)) = (id, line) else {
            continue;
        };
        let machine = Machine {
            name: name.map_or_else(|| id.value.to_string(), |name| name.value),
            id: id.value.clone(),
            line: line.value.clone(),
            micro_stop_below: micro_stop.map_or(MICRO_STOP_DEFAULT, |m| m.value),
            signals: signals.iter().map(|(signal, _)| signal.clone()).collect(),
        };
        let settings = MachineSettings {
            machine: id.value,
            endpoint: endpoint.map_or_else(String::new, |endpoint| endpoint.value),
            security,
            user,
            publishing_interval,
            sampling_interval,
            clock_skew_max,
            signals: signals.into_iter().map(|(signal, node)| (signal.role, node)).collect(),
            process_values,
        };
        let span = Range { start: id.span.start, end: span.end };
        machines.push((Placed { value: machine, span }, line, settings));
    }
    machines
}

/// Whether a text is `opc.tcp://host`, with or without port and path.
fn is_endpoint(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("opc.tcp://") else {
        return false;
    };
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn read_security(section: &Section<'_>) -> Security {
    let wanted = "\"none\", \"Basic256Sha256\", \"Aes128_Sha256_RsaOaep\" or \
                  \"Aes256_Sha256_RsaPss\"";
    let security = section.required("security", wanted, |text| match text {
        "none" => Some(Security::None),
        "Basic256Sha256" => Some(Security::Basic256Sha256),
        "Aes128_Sha256_RsaOaep" => Some(Security::Aes128Sha256RsaOaep),
        "Aes256_Sha256_RsaPss" => Some(Security::Aes256Sha256RsaPss),
        _ => None,
    });
    security.map_or(Security::Basic256Sha256, |security| security.value)
}

fn read_user(section: &Section<'_>, surroundings: &dyn Surroundings) -> Option<(String, String)> {
    let user = section.text("user");
    let file = section.text("password_file");
    let variable = section.text("password_env");
    let problems = section.problems();
    let password = match (&file, &variable) {
        (Some(file), None) => match surroundings.file(&file.value) {
            Ok(password) => Some(password),
            Err(error) => {
                let message = format!("password file {:?} cannot be read: {error}", file.value);
                problems.add(file.span.clone(), message, "create it, readable for this user only");
                None
            }
        },
        (None, Some(variable)) => {
            let password = surroundings.variable(&variable.value);
            if password.is_none() {
                let message = format!("environment variable {} is not set", variable.value);
                problems.add(variable.span.clone(), message, "set it before the start");
            }
            password
        }
        (Some(file), Some(_)) => {
            let message = "both `password_file` and `password_env` are given";
            problems.add(file.span.clone(), message, "keep one of them");
            None
        }
        (None, None) => None,
    };
    match (user, password, file.is_some() || variable.is_some()) {
        (Some(user), Some(password), _) => Some((user.value, password)),
        (Some(user), None, false) => {
            let message = format!("user {:?} has no password", user.value);
            problems.add(user.span, message, "add `password_file` or `password_env`");
            None
        }
        (None, Some(_), _) => {
            problems.add(section.span(), "a password is given without `user`", "add `user`");
            None
        }
        _ => None,
    }
}

fn read_node(section: &Section<'_>) -> Option<NodeAddress> {
    let text = section.required_text("node")?;
    match NodeAddress::parse(&text.value) {
        Ok(node) => Some(node),
        Err(advice) => {
            let message = format!("{:?} is no node address", text.value);
            section.problems().add(text.span, message, advice);
            None
        }
    }
}

fn read_signals(section: &Section<'_>) -> Vec<(Signal, NodeAddress)> {
    let mut signals: Vec<(Signal, NodeAddress)> = Vec::new();
    for section in section.tables("signal") {
        let wanted = "\"state\", \"good\", \"reject\", \"total\" or \"lot\"";
        let role = section.required("role", wanted, SignalRole::parse);
        let node = read_node(&section);
        let states = read_states(&section, role.as_ref().map(|role| role.value));
        let counter = CounterRule {
            rollover: section.number("rollover", 1).map(|n| n.value),
            max_step: section.number("max_step", 1).map(|n| n.value),
        };
        let problems = section.problems();
        let span = section.span();
        section.finish();
        let (Some(role), Some(node)) = (role, node) else {
            continue;
        };
        if signals.iter().any(|(known, _)| known.role == role.value) {
            let message = format!("a second signal for {:?}", role.value.as_str());
            problems.add(role.span, message, "keep one signal for each role");
            continue;
        }
        let is_counter = crate::domain::evidence::is_counter(role.value);
        if !is_counter && counter != CounterRule::default() {
            let advice = "keep `rollover` and `max_step` for counters";
            problems.add(span, "a counter rule stands on a signal that counts nothing", advice);
        }
        signals.push((Signal { role: role.value, states, counter }, node));
    }
    if !signals.iter().any(|(signal, _)| signal.role == SignalRole::State) {
        let advice = "add a [[machine.signal]] with role = \"state\"";
        section.problems().add(section.span(), "the machine has no state signal", advice);
    }
    signals
}

fn read_states(section: &Section<'_>, role: Option<SignalRole>) -> Option<StateMap> {
    let given = section.map_or_text("states");
    let names: Vec<_> = MachineState::ALL.iter().map(|state| state.as_str()).collect();
    let advice = format!("write states = \"packml\" or a table to {}", names.join(", "));
    match (role, given) {
        (Some(SignalRole::State), None) => {
            section.problems().add(section.span(), "the state signal has no `states`", advice);
            None
        }
        (Some(SignalRole::State), Some(given)) => match given.value {
            MapOrText::Text(text) if text == "packml" => Some(StateMap::PackMl),
            MapOrText::Text(text) => {
                section.problems().add(given.span, format!("`states` is {text:?}"), advice);
                None
            }
            MapOrText::Map(pairs) => {
                let mut map = BTreeMap::new();
                for (value, name) in pairs {
                    match MachineState::parse(&name.value) {
                        Some(state) => drop(map.insert(value, state)),
                        None => {
                            let message = format!("{:?} is no machine state", name.value);
                            section.problems().add(name.span, message, advice.clone());
                        }
                    }
                }
                Some(StateMap::Values(map))
            }
        },
        (Some(_), Some(given)) => {
            let message = "`states` stands on a signal that is no state";
            section.problems().add(given.span, message, "move it to the state signal");
            None
        }
        _ => None,
    }
}

fn read_process_values(section: &Section<'_>) -> Vec<ProcessValueSettings> {
    let mut values: Vec<ProcessValueSettings> = Vec::new();
    for section in section.tables("process_value") {
        let name = section.required_key("name", ProductId::parse);
        let node = read_node(&section);
        let unit = section.text("unit");
        let problems = section.problems();
        section.finish();
        let (Some(name), Some(node)) = (name, node) else {
            continue;
        };
        if values.iter().any(|known| known.name == name.value.as_str()) {
            let message = format!("a second process value {:?}", name.value.as_str());
            problems.add(name.span, message, "give each its own name");
            continue;
        }
        let unit = unit.map_or_else(|| "C62".to_owned(), |unit| unit.value);
        values.push(ProcessValueSettings { name: name.value.to_string(), node, unit });
    }
    values
}

/// Reads `[[product]]` sections; machines of ideal cycles are checked against the known ones.
pub fn products(root: &Section<'_>, machines: &BTreeSet<MachineId>) -> Vec<Placed<Product>> {
    let mut products = Vec::new();
    for section in root.tables("product") {
        let id = section.required_key("id", ProductId::parse);
        let name = section.text("name");
        let unit = section.text("unit");
        let cycles = read_cycles(&section, machines);
        section.finish();
        if let Some(Placed { value: id, span }) = id {
            let name = name.map_or_else(|| id.to_string(), |name| name.value);
            let unit = unit.map_or_else(|| "C62".to_owned(), |unit| unit.value);
            products.push(Placed { value: Product { id, name, unit, cycles }, span });
        }
    }
    products
}

fn read_cycles(section: &Section<'_>, machines: &BTreeSet<MachineId>) -> Vec<IdealCycle> {
    let mut cycles: Vec<IdealCycle> = Vec::new();
    for section in section.tables("ideal_cycle") {
        let machine = section.key("machine", MachineId::parse);
        let cycle = section.duration("cycle");
        if cycle.is_none() {
            section.required_text("cycle");
        }
        let parts = section.number("parts", 1);
        let problems = section.problems();
        let span = section.span();
        section.finish();
        if let Some(machine) = machine.as_ref().filter(|m| !machines.contains(&m.value)) {
            let message = format!("no machine {} is configured", machine.value);
            problems.add(machine.span.clone(), message, "use the id of a [[machine]]");
        }
        if let Some(parts) = parts.as_ref().filter(|parts| parts.value > PARTS_MAX) {
            let message = "a cycle makes too many parts";
            problems.add(parts.span.clone(), message, format!("write {PARTS_MAX} at most"));
            continue;
        }
        let Some(cycle) = cycle else {
            continue;
        };
        let machine = machine.map(|machine| machine.value);
        if cycles.iter().any(|known| known.machine == machine) {
            problems.add(span, "a second ideal cycle for the same machine", "keep one of them");
            continue;
        }
        let parts = parts.map_or(1, |parts| u32::try_from(parts.value).unwrap_or(u32::MAX));
        cycles.push(IdealCycle { machine, cycle: cycle.value, parts });
    }
    cycles
}

/// Reads `[[reason]]` sections.
pub fn reasons(root: &Section<'_>) -> Vec<(Placed<Reason>, Option<Placed<ReasonId>>)> {
    let mut reasons = Vec::new();
    for section in root.tables("reason") {
        let id = section.required_key("id", ReasonId::parse);
        let name = section.text("name");
        let parent = section.key("parent", ReasonId::parse);
        let wanted = "\"down\", \"setup\", \"planned\", \"blocked\" or \"starved\"";
        let class = section.required("class", wanted, |text| match text {
            "down" => Some(ReasonClass::Down),
            "setup" => Some(ReasonClass::Setup),
            "planned" => Some(ReasonClass::Planned),
            "blocked" => Some(ReasonClass::Blocked),
            "starved" => Some(ReasonClass::Starved),
            _ => None,
        });
        section.finish();
        if let (Some(Placed { value: id, span }), Some(class)) = (id, class) {
            let name = name.map_or_else(|| id.to_string(), |name| name.value);
            let parent_id = parent.as_ref().map(|parent| parent.value.clone());
            let reason = Reason { id, name, class: class.value, parent: parent_id };
            reasons.push((Placed { value: reason, span }, parent));
        }
    }
    reasons
}

/// Completes a line with its machines.
pub fn complete_line(
    draft: &LineDraft,
    machines: Vec<MachineId>,
    root: &Section<'_>,
) -> Option<Line> {
    let problems = root.problems();
    let Some(last) = machines.last().cloned() else {
        let message = format!("line {} has no machines", draft.id.value);
        let advice = "add a [[machine]] with this line";
        problems.add(draft.id.span.clone(), message, advice);
        return None;
    };
    let own = |chosen: &Option<Placed<MachineId>>, what: &str| match chosen {
        Some(chosen) if !machines.contains(&chosen.value) => {
            let message =
                format!("{what} {} is no machine of line {}", chosen.value, draft.id.value);
            problems.add(chosen.span.clone(), message, "use the id of one of its machines");
            last.clone()
        }
        Some(chosen) => chosen.value.clone(),
        None => last.clone(),
    };
    if draft.bottleneck.is_none() && machines.len() > 1 {
        let message = format!("line {} has no `bottleneck`", draft.id.value);
        let advice = "name the machine whose time is the line's";
        problems.add(draft.id.span.clone(), message, advice);
    }
    Some(Line {
        id: draft.id.value.clone(),
        name: draft.name.clone(),
        area: draft.area.as_ref()?.value.clone(),
        bottleneck: own(&draft.bottleneck, "bottleneck"),
        outfeed: own(&draft.outfeed, "outfeed"),
        machines,
        default_product: draft.default_product.as_ref().map(|product| product.value.clone()),
        no_order: draft.no_order,
    })
}
