//! Areas, lines and machines.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::section::{Placed, Section};
use super::settings::{MachineSettings, Surroundings};
use super::{bound, mirror, orders, reach, signals};
use crate::domain::id::{AreaId, LineId, MachineId, ProductId, ReasonId};
use crate::domain::plant::{Area, Buffer, Line, Machine, NoOrderPolicy, RootCause, Station};
use crate::domain::time::Span;

const MICRO_STOP_DEFAULT: Span = Span::from_seconds(120);
/// A threshold above this would make real stops disappear.
const MICRO_STOP_MAX: Span = Span::from_seconds(3600);
const PUBLISHING_DEFAULT: Span = Span::from_millis(250);
const SKEW_DEFAULT: Span = Span::from_seconds(10);
/// Longer silence of a machine that says that it runs is not looked for.
const SILENCE_MAX: Span = Span::from_seconds(3600);
const PRIORITY_MAX: u64 = 1_000_000;

/// A line as written, before its machines are known.
pub struct LineDraft {
    pub id: Placed<LineId>,
    pub name: String,
    pub area: Option<Placed<AreaId>>,
    pub bottleneck: Option<Placed<MachineId>>,
    pub outfeed: Option<Placed<MachineId>>,
    pub default_product: Option<Placed<ProductId>>,
    pub no_order: NoOrderPolicy,
    pub root_cause: RootCause,
    pub bottlenecks: Vec<(ProductId, Placed<MachineId>)>,
    pub stations: Vec<Placed<(Vec<Placed<MachineId>>, usize)>>,
    pub buffers: Vec<Placed<Buffer>>,
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
            root_cause: section
                .parsed("root_cause", &RootCause::ALL.map(RootCause::as_str).join(", "), |text| {
                    RootCause::parse(text)
                })
                .map_or(RootCause::Neighbour, |mode| mode.value),
            bottlenecks: read_bottlenecks(&section),
            stations: read_stations(&section),
            buffers: read_buffers(&section),
        });
        section.finish();
        lines.extend(draft);
    }
    lines
}

fn read_bottlenecks(section: &Section<'_>) -> Vec<(ProductId, Placed<MachineId>)> {
    let Some(table) = section.table("bottleneck_by_product") else {
        return Vec::new();
    };
    let mut bottlenecks = Vec::new();
    for (product, machine) in table.all_texts() {
        match (ProductId::parse(&product), MachineId::parse(&machine.value)) {
            (Ok(product), Ok(value)) => {
                bottlenecks.push((product, Placed { value, span: machine.span }));
            }
            _ => {
                let message =
                    format!("{product:?} = {:?} is no product and machine", machine.value);
                section.problems().add(machine.span, message, "use ids of both");
            }
        }
    }
    bottlenecks
}

fn read_stations(section: &Section<'_>) -> Vec<Placed<(Vec<Placed<MachineId>>, usize)>> {
    let mut stations = Vec::new();
    for section in section.tables("station") {
        let machines = section.texts("machines");
        let min_running = section.number("min_running", 1);
        let span = section.span();
        let problems = section.problems();
        section.finish();
        let keys = machines.iter().filter_map(|machine| {
            let value = MachineId::parse(&machine.value).ok()?;
            Some(Placed { value, span: machine.span.clone() })
        });
        let keys: Vec<_> = keys.collect();
        let all = keys.len();
        let needed = min_running.map_or(all, |n| usize::try_from(n.value).unwrap_or(usize::MAX));
        if all < 2 || needed > all {
            let message = "a station has too few machines";
            let advice = "name two at least, and no fewer than `min_running`";
            problems.add(span.clone(), message, advice);
            continue;
        }
        stations.push(Placed { value: (keys, needed), span });
    }
    stations
}

fn read_buffers(section: &Section<'_>) -> Vec<Placed<Buffer>> {
    let mut buffers = Vec::new();
    for section in section.tables("buffer") {
        let after = section.required_key("after", MachineId::parse);
        let time = section.duration("time");
        if time.is_none() {
            section.required_text("time");
        }
        section.finish();
        if let (Some(after), Some(time)) = (after, time) {
            let value = Buffer { after: after.value, time: time.value };
            buffers.push(Placed { value, span: after.span });
        }
    }
    buffers
}

/// Reads `[[machine]]` sections: what the machines are, and how to reach them.
pub fn machines(
    root: &Section<'_>,
    surroundings: &dyn Surroundings,
    data: Option<&Path>,
    reasons: &BTreeSet<ReasonId>,
) -> Vec<(Placed<Machine>, Placed<LineId>, MachineSettings)> {
    let mut machines = Vec::new();
    for section in root.tables("machine") {
        let id = section.required_key("id", MachineId::parse);
        let name = section.text("name");
        let line = section.required_key("line", LineId::parse);
        let reach = reach::read(&section, surroundings);
        let micro_stop = section.duration("micro_stop_below");
        if let Some(long) = micro_stop.as_ref().filter(|m| m.value > MICRO_STOP_MAX) {
            let advice = "write one hour at most; longer stops are real ones";
            section.problems().add(long.span.clone(), "`micro_stop_below` is too long", advice);
        }
        let micro_stop_below = micro_stop.map_or(MICRO_STOP_DEFAULT, |m| m.value);
        let explain_from = section.duration("explain_from").map_or(micro_stop_below, |d| d.value);
        let silence_after = read_silence(&section, micro_stop_below);
        let stuck_after = section.duration("stuck_after").map(|after| after.value);
        let priority = section.number("priority", 0);
        if let Some(large) = priority.as_ref().filter(|priority| priority.value > PRIORITY_MAX) {
            let advice = format!("write {PRIORITY_MAX} at most");
            section.problems().add(large.span.clone(), "`priority` is too large", advice);
        }
        let duration = |key, default| section.duration(key).map_or(default, |d| d.value);
        let publishing_interval = duration("publishing_interval", PUBLISHING_DEFAULT);
        let sampling_interval = duration("sampling_interval", Span::ZERO);
        let clock_skew_max = duration("clock_skew_max", SKEW_DEFAULT);
        let what_was_bound = || surroundings.bound(data?, &id.as_ref()?.value);
        let (bound, is_bound_by_itself) = bound::complete(&section, reasons, what_was_bound);
        let bound::Bound { signals, nameplate } = bound;
        let process_values = signals::read_process_values(&section);
        let (orders, mirror) = (orders::read(&section), mirror::read(&section));
        let (span, problems) = (section.span(), section.problems());
        section.finish();
        let (Some(id), Some(line)) = (id, line) else {
            continue;
        };
        let machine = Machine {
            name: name.map_or_else(|| id.value.to_string(), |name| name.value),
            id: id.value.clone(),
            line: line.value.clone(),
            micro_stop_below,
            explain_from,
            silence_after,
            stuck_after,
            priority: priority.map_or(0, |p| u32::try_from(p.value).unwrap_or(u32::MAX)),
            signals: signals.iter().map(|(signal, _)| signal.clone()).collect(),
        };
        let settings = MachineSettings {
            line: problems.place(id.span.start).0,
            machine: id.value,
            reach,
            publishing_interval,
            sampling_interval,
            clock_skew_max,
            signals: signals.into_iter().map(|(signal, node)| (signal.role, node)).collect(),
            process_values,
            is_bound_by_itself,
            orders,
            mirror,
            nameplate,
        };
        let span = Range { start: id.span.start, end: span.end };
        machines.push((Placed { value: machine, span }, line, settings));
    }
    machines
}

/// What the nameplate of a machine says, with the names of OPC 40001-1; clients find a machine by the
/// first three.
const NAMEPLATE: [(&str, &str); 12] = [
    ("manufacturer", "Manufacturer"),
    ("serial_number", "SerialNumber"),
    ("product_instance_uri", "ProductInstanceUri"),
    ("manufacturer_uri", "ManufacturerUri"),
    ("model", "Model"),
    ("product_code", "ProductCode"),
    ("hardware_revision", "HardwareRevision"),
    ("software_revision", "SoftwareRevision"),
    ("device_class", "DeviceClass"),
    ("asset_id", "AssetId"),
    ("component_name", "ComponentName"),
    ("location", "Location"),
];

/// Reads the `[…nameplate]` of a machine.
pub fn read_nameplate(section: &Section<'_>) -> BTreeMap<&'static str, String> {
    let Some(section) = section.table("nameplate") else {
        return BTreeMap::new();
    };
    let mut nameplate = BTreeMap::new();
    for (index, (key, name)) in NAMEPLATE.into_iter().enumerate() {
        let text = if index < 3 { section.required_text(key) } else { section.text(key) };
        nameplate.extend(text.map(|text| (name, text.value)));
    }
    section.finish();
    nameplate
}

/// A silence must be longer than a micro-stop, or every pause would be one.
fn read_silence(section: &Section<'_>, micro_stop_below: Span) -> Option<Span> {
    let silence = section.duration("silence_after")?;
    if silence.value < micro_stop_below || silence.value > SILENCE_MAX {
        let message = "`silence_after` is too short or too long";
        let advice = "write at least `micro_stop_below`, and one hour at most";
        section.problems().add(silence.span.clone(), message, advice);
    }
    Some(silence.value)
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
    let by_product = draft
        .bottlenecks
        .iter()
        .map(|(product, machine)| (product.clone(), own(&Some(machine.clone()), "bottleneck")));
    let bottleneck_by_product: BTreeMap<ProductId, MachineId> = by_product.collect();
    let stations = stations_of(draft, &own, root);
    let buffers = buffers_of(draft, &own, root);
    let bottleneck = own(&draft.bottleneck, "bottleneck");
    let has_station = stations.iter().any(|station| station.machines.contains(&bottleneck));
    if draft.root_cause == RootCause::Parallel && !has_station {
        let message = format!("the bottleneck of line {} is in no station", draft.id.value);
        let advice = "add a [[line.station]] with it, or choose another `root_cause`";
        problems.add(draft.id.span.clone(), message, advice);
    }
    Some(Line {
        id: draft.id.value.clone(),
        name: draft.name.clone(),
        area: draft.area.as_ref()?.value.clone(),
        bottleneck,
        bottleneck_by_product,
        outfeed: own(&draft.outfeed, "outfeed"),
        machines,
        stations,
        buffers,
        root_cause: draft.root_cause,
        default_product: draft.default_product.as_ref().map(|product| product.value.clone()),
        no_order: draft.no_order,
    })
}

/// A machine of the line, or a problem.
type Own<'a> = dyn Fn(&Option<Placed<MachineId>>, &str) -> MachineId + 'a;

fn stations_of(draft: &LineDraft, own: &Own<'_>, root: &Section<'_>) -> Vec<Station> {
    let problems = root.problems();
    let mut seen = BTreeSet::new();
    let mut stations = Vec::new();
    for Placed { value: (members, min_running), .. } in &draft.stations {
        let station: Vec<MachineId> =
            members.iter().map(|m| own(&Some(m.clone()), "machine of a station")).collect();
        for (member, id) in members.iter().zip(&station) {
            if !seen.insert(id.clone()) {
                let message = format!("machine {id} is in two stations");
                problems.add(member.span.clone(), message, "keep it in one of them");
            }
        }
        stations.push(Station { machines: station, min_running: *min_running });
    }
    stations
}

fn buffers_of(draft: &LineDraft, own: &Own<'_>, root: &Section<'_>) -> Vec<Buffer> {
    let problems = root.problems();
    let mut buffers = Vec::new();
    for Placed { value: buffer, span } in &draft.buffers {
        let after = Placed { value: buffer.after.clone(), span: span.clone() };
        own(&Some(after), "machine before a buffer");
        if buffers.iter().any(|known: &Buffer| known.after == buffer.after) {
            let message = format!("a second buffer after machine {}", buffer.after);
            problems.add(span.clone(), message, "keep one of them");
        }
        buffers.push(buffer.clone());
    }
    buffers
}
