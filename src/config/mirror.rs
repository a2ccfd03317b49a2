//! What of a machine's own address space our server shows, whether its events are told on, what of it may
//! be written and called, and what is recorded.

use super::node::{BrowseName, NodeAddress, parse_path};
use super::section::Section;
use super::settings::MirrorSettings;
use crate::domain::time::Span;

const NODES_DEFAULT: u64 = 10_000;
const NODES_MAX: u64 = 1_000_000;
const TIMEOUT_DEFAULT: Span = Span::from_seconds(5);
const TIMEOUT_MAX: Span = Span::from_seconds(60);
const LINGER_DEFAULT: Span = Span::from_seconds(10);

/// Reads the `[machine.mirror]` of a machine.
pub fn read(machine: &Section<'_>) -> Option<MirrorSettings> {
    let section = machine.table("mirror")?;
    let types = section.texts("types").into_iter().filter_map(|text| {
        NodeAddress::parse(&text.value)
            .map_err(|advice| {
                let message = format!("`types` has {:?}", text.value);
                section.problems().add(text.span.clone(), message, advice);
            })
            .ok()
    });
    let types = types.collect();
    let nodes = section.number("nodes", 1);
    if let Some(many) = nodes.as_ref().filter(|nodes| nodes.value > NODES_MAX) {
        let advice = format!("write {NODES_MAX} at most, and mirror less of the machine");
        section.problems().add(many.span.clone(), "`nodes` is too large", advice);
    }
    let timeout = section.duration("timeout");
    let is_wrong = |timeout: Span| timeout <= Span::ZERO || timeout > TIMEOUT_MAX;
    if let Some(wrong) = timeout.as_ref().filter(|timeout| is_wrong(timeout.value)) {
        let advice = "write up to one minute, such as \"5s\"";
        section.problems().add(wrong.span.clone(), "`timeout` is too short or too long", advice);
    }
    let mirror = MirrorSettings {
        include: paths(&section, "include"),
        types,
        exclude: paths(&section, "exclude"),
        write: paths(&section, "write"),
        call: paths(&section, "call"),
        record: paths(&section, "record"),
        record_every: section.duration("record_every").map(|every| every.value),
        events: section.truth("events").is_none_or(|events| events.value),
        nodes: nodes.map_or(NODES_DEFAULT, |nodes| nodes.value),
        timeout: timeout.map_or(TIMEOUT_DEFAULT, |timeout| timeout.value),
        linger: section.duration("linger").map_or(LINGER_DEFAULT, |linger| linger.value),
    };
    section.finish();
    Some(mirror)
}

fn paths(section: &Section<'_>, key: &'static str) -> Vec<Vec<BrowseName>> {
    let paths = section.texts(key).into_iter().filter_map(|text| {
        parse_path(&text.value)
            .map_err(|advice| {
                let message = format!("`{key}` has {:?}", text.value);
                section.problems().add(text.span.clone(), message, advice);
            })
            .ok()
    });
    paths.collect()
}
