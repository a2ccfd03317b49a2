//! Signals of a machine: where they are, and how their values are read.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{NodeAddress, PlaceAddress, StartAddress, parse_field, parse_path};
use super::section::{MapOrText, Placed, Section};
use super::settings::ProcessValueSettings;
use crate::domain::id::{ProductId, ReasonId};
use crate::domain::quantity::Quantity;
use crate::domain::signal::counter::{CounterKind, CounterRule};
use crate::domain::signal::{
    CycleRule, MachineState, ModeMap, OperationMode, Signal, SignalRole, SignalRule, StateMap,
    StateRule,
};
use crate::domain::time::Span;

/// A state that must hold longer than this to be seen would hide real stops.
const HOLD_MAX: Span = Span::from_seconds(600);
/// More parts than this come with no single count.
const PARTS_MAX: u64 = 100_000;
const SLOW_DEFAULT: u32 = 150;
const STOP_DEFAULT: u32 = 300;

/// Where a signal or value is: a node or a path, and perhaps a field.
pub fn read_place(section: &Section<'_>) -> Option<PlaceAddress> {
    let problems = section.problems();
    let wrong = |text: Placed<String>, what: &str, advice: &str| {
        problems.add(text.span, format!("{:?} is no {what}", text.value), advice);
    };
    let start = match (section.text("node"), section.text("path")) {
        (Some(node), None) => match NodeAddress::parse(&node.value) {
            Ok(address) => Some(StartAddress::Node(address)),
            Err(advice) => {
                wrong(node, "node address", advice);
                None
            }
        },
        (None, Some(path)) => match parse_path(&path.value) {
            Ok(names) => Some(StartAddress::Path(names)),
            Err(advice) => {
                wrong(path, "path", advice);
                None
            }
        },
        (Some(_), Some(path)) => {
            problems.add(path.span, "both `node` and `path` are given", "keep one of them");
            None
        }
        (None, None) => {
            section.required_text("node");
            None
        }
    };
    let field = section.text("field").map(|text| match parse_field(&text.value) {
        Ok(steps) => steps,
        Err(advice) => {
            wrong(text, "field", advice);
            Vec::new()
        }
    });
    Some(PlaceAddress { start: start?, field: field.unwrap_or_default() })
}

/// Reads `[[…signal]]` sections of a machine.
pub fn read(section: &Section<'_>, reasons: &BTreeSet<ReasonId>) -> Vec<(Signal, PlaceAddress)> {
    let mut signals: Vec<(Signal, PlaceAddress)> = Vec::new();
    for section in section.tables("signal") {
        let role = section.required("role", &SignalRole::names(), SignalRole::parse);
        let node = read_place(&section);
        let rule = role.as_ref().and_then(|role| read_rule(&section, role.value, reasons));
        let problems = section.problems();
        match &role {
            Some(_) => section.finish(),
            // Without a role nothing is known about which keys fit.
            None => drop(section),
        }
        let (Some(role), Some(node), Some(rule)) = (role, node, rule) else {
            continue;
        };
        if signals.iter().any(|(known, _)| known.role == role.value) {
            let message = format!("a second signal for {:?}", role.value.as_str());
            problems.add(role.span, message, "keep one signal for each role");
            continue;
        }
        signals.push((Signal { role: role.value, rule }, node));
    }
    signals
}

/// A machine that nobody knows the state of has no figures.
pub fn check_state(section: &Section<'_>, signals: &[(Signal, PlaceAddress)]) {
    let tells_state = |role| role == SignalRole::State || role == SignalRole::Cycle;
    if !signals.iter().any(|(signal, _)| tells_state(signal.role)) {
        let advice = "add a [[machine.signal]] with role = \"state\" or role = \"cycle\", or \
                      binding = \"auto\" for a machine that speaks a standard";
        section.problems().add(section.span(), "the machine has no state signal", advice);
    }
}

fn read_rule(
    section: &Section<'_>,
    role: SignalRole,
    reasons: &BTreeSet<ReasonId>,
) -> Option<SignalRule> {
    match role {
        SignalRole::State => {
            let hold = section.duration("hold");
            if let Some(long) = hold.as_ref().filter(|hold| hold.value > HOLD_MAX) {
                let advice = "write ten minutes at most; longer states are real ones";
                section.problems().add(long.span.clone(), "`hold` is too long", advice);
            }
            let hold = hold.map_or(Span::ZERO, |hold| hold.value);
            Some(SignalRule::State(StateRule { map: read_states(section)?, hold }))
        }
        SignalRole::Mode => read_modes(section).map(SignalRule::Mode),
        SignalRole::Reason => read_reasons(section, reasons).map(SignalRule::Reason),
        SignalRole::Blocked | SignalRole::Starved => Some(SignalRule::Truth),
        SignalRole::Operator => Some(SignalRule::Operator),
        SignalRole::Lot => Some(SignalRule::Lot),
        SignalRole::Cycle => {
            let rule = read_counter(section);
            let cycle = section.duration("cycle");
            if cycle.is_none() {
                section.required_text("cycle");
            }
            let slow_from = factor(section, "slow_factor", SLOW_DEFAULT);
            let stop_from = factor(section, "stop_factor", STOP_DEFAULT);
            if slow_from > stop_from {
                let message = "`slow_factor` is above `stop_factor`";
                section.problems().add(section.span(), message, "exchange them");
            }
            let pace = CycleRule { cycle: Some(cycle?.value), slow_from, stop_from };
            Some(SignalRule::Cycle(rule, pace))
        }
        _ => Some(SignalRule::Count(read_counter(section))),
    }
}

/// A factor such as `"1.5"`, in hundredths.
fn factor(section: &Section<'_>, key: &'static str, default: u32) -> u32 {
    let wanted = "a factor above 1 with two decimals at most, such as \"1.5\"";
    let factor = section.parsed(key, wanted, |text| {
        let hundredths = text.parse::<Quantity>().ok()?.billionths();
        let exact = hundredths % 10_000_000 == 0;
        let hundredths = u32::try_from(hundredths / 10_000_000).ok()?;
        (exact && hundredths > 100).then_some(hundredths)
    });
    factor.map_or(default, |factor| factor.value)
}

fn read_counter(section: &Section<'_>) -> CounterRule {
    let wanted = "\"rising\", \"pulse\" or \"batch\"";
    let kind = section.parsed("kind", wanted, |text| match text {
        "rising" => Some(CounterKind::Rising),
        "pulse" => Some(CounterKind::Pulse),
        "batch" => Some(CounterKind::Batch),
        _ => None,
    });
    let kind = kind.map_or(CounterKind::Rising, |kind| kind.value);
    let parts = section.number("parts", 1);
    if let Some(parts) = parts.as_ref().filter(|parts| parts.value > PARTS_MAX) {
        let advice = format!("write {PARTS_MAX} at most");
        section.problems().add(parts.span.clone(), "one count stands for too many parts", advice);
    }
    let rollover = section.number("rollover", 1);
    if let Some(rollover) = rollover.as_ref().filter(|_| kind != CounterKind::Rising) {
        let message = "`rollover` stands on a counter that does not rise";
        section.problems().add(rollover.span.clone(), message, "remove it");
    }
    CounterRule {
        kind,
        parts: parts.map_or(1, |parts| u32::try_from(parts.value).unwrap_or(u32::MAX)),
        rollover: rollover.map(|rollover| rollover.value),
        max_step: section.number("max_step", 1).map(|step| step.value),
    }
}

fn read_states(section: &Section<'_>) -> Option<StateMap> {
    let given = section.map_or_text("states");
    let running_from = section
        .parsed("running_from", "a decimal such as \"2.5\"", |text| text.parse::<Quantity>().ok());
    let names: Vec<_> = MachineState::ALL.iter().map(|state| state.as_str()).collect();
    let below = section.parsed("below", &names.join(", "), MachineState::parse);
    let advice = format!(
        "write states = \"packml\", \"machinery\", \"weihenstephan\" or a table to {}, or \
         `running_from`",
        names.join(", ")
    );
    let problems = section.problems();
    match (given, running_from) {
        (None, None) => {
            problems.add(section.span(), "the state signal has no `states`", advice);
            None
        }
        (Some(given), Some(_)) => {
            let message = "both `states` and `running_from` are given";
            problems.add(given.span, message, "keep one of them");
            None
        }
        (None, Some(from)) => {
            let otherwise = below.map_or(MachineState::Idle, |state| state.value);
            if otherwise == MachineState::Running {
                let message = "`below` says that the machine always runs";
                problems.add(section.span(), message, "choose another state");
            }
            Some(StateMap::Threshold { running_from: from.value, otherwise })
        }
        (Some(given), None) => match given.value {
            MapOrText::Text(text) => match text.as_str() {
                "packml" => Some(StateMap::PackMl),
                "machinery" => Some(StateMap::Machinery),
                "weihenstephan" => Some(StateMap::Weihenstephan),
                _ => {
                    problems.add(given.span, format!("`states` is {text:?}"), advice);
                    None
                }
            },
            MapOrText::Map(pairs) => {
                let parse = MachineState::parse;
                read_map(section, pairs, "machine state", &advice, parse).map(StateMap::Values)
            }
        },
    }
}

fn read_modes(section: &Section<'_>) -> Option<ModeMap> {
    let names: Vec<_> = OperationMode::ALL.iter().map(|mode| mode.as_str()).collect();
    let advice = format!(
        "write modes = \"packml\", \"machinery\", \"weihenstephan\" or a table to {}",
        names.join(", ")
    );
    let problems = section.problems();
    match section.map_or_text("modes") {
        None => {
            problems.add(section.span(), "the mode signal has no `modes`", advice);
            None
        }
        Some(Placed { value: MapOrText::Text(text), span }) => match text.as_str() {
            "packml" => Some(ModeMap::PackMl),
            "machinery" => Some(ModeMap::Machinery),
            "weihenstephan" => Some(ModeMap::Weihenstephan),
            _ => {
                problems.add(span, format!("`modes` is {text:?}"), advice);
                None
            }
        },
        Some(Placed { value: MapOrText::Map(pairs), .. }) => {
            let parse = OperationMode::parse;
            read_map(section, pairs, "operation mode", &advice, parse).map(ModeMap::Values)
        }
    }
}

fn read_reasons(
    section: &Section<'_>,
    known: &BTreeSet<ReasonId>,
) -> Option<BTreeMap<String, ReasonId>> {
    let advice = "write reasons = { 17 = \"jam\" } with ids of [[reason]]";
    match section.map_or_text("reasons") {
        Some(Placed { value: MapOrText::Map(pairs), .. }) => {
            let parse = |text: &str| ReasonId::parse(text).ok().filter(|id| known.contains(id));
            read_map(section, pairs, "configured reason", advice, parse)
        }
        given => {
            let span = given.map_or(section.span(), |given| given.span);
            section.problems().add(span, "the reason signal has no table `reasons`", advice);
            None
        }
    }
}

fn read_map<T>(
    section: &Section<'_>,
    pairs: Vec<(String, Placed<String>)>,
    what: &str,
    advice: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let mut map = BTreeMap::new();
    for (value, name) in pairs {
        match parse(&name.value) {
            Some(known) => drop(map.insert(value, known)),
            None => {
                let message = format!("{:?} is no {what}", name.value);
                section.problems().add(name.span, message, advice);
            }
        }
    }
    Some(map)
}

/// Reads `[[machine.process_value]]` sections.
pub fn read_process_values(section: &Section<'_>) -> Vec<ProcessValueSettings> {
    let mut values: Vec<ProcessValueSettings> = Vec::new();
    for section in section.tables("process_value") {
        let name = section.required_key("name", ProductId::parse);
        let node = read_place(&section);
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
