//! The whole file: sections in, a plant and settings out, or all problems at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::equipment::{self, LineDraft};
use super::problem::{Problem, Problems};
use super::products::Recipe;
use super::section::{Placed, Section};
use super::settings::{HttpSettings, MachineSettings, Settings, Surroundings};
use super::{calendar, products, server, targets, users};
use crate::domain::calendar::{CivilZone, Place};
use crate::domain::id::{LineId, MachineId, ProductId, ReasonId, SiteId};
use crate::domain::oee::evaluate::Equipment as Level;
use crate::domain::plant::{Area, Line, Machine, Plant, Product, Reason};
use crate::domain::quantity::{IdealTime, common_divisor};
use crate::domain::time::Span;

/// How long recorded values are kept, and how long they can be.
const KEEP_DEFAULT: Span = Span::from_seconds(90 * 86_400);
const KEEP_RANGE: std::ops::RangeInclusive<Span> =
    Span::from_seconds(86_400)..=Span::from_seconds(3_660 * 86_400);
const CONFIRMATION_DEFAULT: Span = Span::from_seconds(60);
const HTTP_LISTEN: &str = "127.0.0.1:8080";

/// Reads and checks a configuration; `file` is its name for the messages.
pub fn load(
    file: &str,
    text: &str,
    surroundings: &dyn Surroundings,
) -> Result<Settings, Vec<Problem>> {
    let problems = Problems::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        problems.add(span, format!("not TOML: {}", error.message()), "correct the syntax");
    }
    if !errors.is_empty() {
        return Err(problems.into_list());
    }
    let settings = {
        let root = Section::new("the file", 0..0, table.get_ref(), &problems);
        let settings = read(&root, surroundings);
        root.finish();
        settings
    };
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems.into_list()),
    }
}

fn read(root: &Section<'_>, surroundings: &dyn Surroundings) -> Option<Settings> {
    let site = read_site(root, surroundings);
    let data = read_data(root);
    let directory = data.as_ref().map(|(directory, _)| directory.as_path());
    let opcua = server::read(root);
    let http = read_http(root);
    let confirmation_interval = read_erp(root);
    let users = users::read(root, surroundings);
    let closing_grace = calendar::closing_grace(root);
    let zone = site.as_ref().map(|site| site.zone.clone());
    let equipment = read_equipment(root, surroundings, directory, zone.as_deref());
    let (rules, places) = {
        let known = calendar::Known {
            areas: equipment.areas.iter().map(|area| area.value.id.as_str()).collect(),
            lines: equipment.drafts.iter().map(|draft| draft.id.value.as_str()).collect(),
            machines: equipment.machines.keys().map(MachineId::as_str).collect(),
        };
        let print = |at| surroundings.print(at);
        let zone = calendar::ZoneOf { zone: zone.as_deref(), print: &print };
        calendar::read(root, &known, &zone)
    };
    calendar::check(root, &rules, &equipment.places(), &places);
    if equipment.lines.is_empty() {
        root.problems().add(0..0, "no complete [[line]] is configured", "add at least one line");
    }
    let targets = targets::read(root, &|key| {
        let is_site = site.as_ref().is_some_and(|site| site.id.value.as_str() == key);
        if is_site { Some(Level::Site) } else { equipment.find(key) }
    });
    let (site, (data, keep)) = (site?, data?);
    check_unique_keys(root, &site.id, &equipment);
    let plant = Plant {
        site: site.id.value,
        site_name: site.name,
        time_zone: site.zone_name,
        areas: equipment.areas.into_iter().map(|area| area.value).collect(),
        lines: equipment.lines,
        machines: equipment.machines.into_iter().map(|(id, m)| (id, m.value)).collect(),
        products: equipment.products,
        reasons: equipment.reasons,
        calendar: rules.into_calendar(site.zone),
        confirmation_interval,
        closing_grace,
    };
    Some(Settings {
        plant,
        enterprise: site.enterprise,
        data,
        keep,
        opcua: opcua?,
        http: http?,
        machines: equipment.links,
        users,
        recipes: equipment.recipes,
        targets,
    })
}

struct Site {
    id: Placed<SiteId>,
    name: String,
    enterprise: Option<String>,
    zone_name: String,
    zone: std::sync::Arc<dyn CivilZone>,
}

fn required_table<'a>(root: &Section<'a>, key: &'static str) -> Option<Section<'a>> {
    let table = root.table(key);
    if table.is_none() {
        root.problems().add(0..0, format!("the file has no section [{key}]"), "add it");
    }
    table
}

fn read_site(root: &Section<'_>, surroundings: &dyn Surroundings) -> Option<Site> {
    let section = required_table(root, "site")?;
    let id = section.required_key("id", SiteId::parse);
    let name = section.text("name");
    let enterprise = section.key("enterprise", SiteId::parse);
    let zone = section.required("time_zone", "an IANA name such as \"Europe/Berlin\"", |text| {
        Some((text.to_owned(), surroundings.zone(text)?))
    });
    section.finish();
    let (id, zone) = (id?, zone?);
    let name = name.map_or_else(|| id.value.to_string(), |name| name.value);
    let (zone_name, zone) = zone.value;
    let enterprise = enterprise.map(|enterprise| enterprise.value.to_string());
    Some(Site { id, name, enterprise, zone_name, zone })
}

/// Where data are kept, and how long recorded values of machines are.
fn read_data(root: &Section<'_>) -> Option<(PathBuf, Span)> {
    let section = required_table(root, "data")?;
    let directory = section.required_text("directory");
    let keep = section.duration("keep_recorded");
    if let Some(wrong) = keep.as_ref().filter(|keep| !KEEP_RANGE.contains(&keep.value)) {
        let advice = "write one day to ten years, such as \"90d\"";
        let message = "`keep_recorded` is too short or too long";
        section.problems().add(wrong.span.clone(), message, advice);
    }
    section.finish();
    let keep = keep.map_or(KEEP_DEFAULT, |keep| keep.value);
    directory.map(|directory| (PathBuf::from(directory.value), keep))
}

fn read_erp(root: &Section<'_>) -> Span {
    let Some(section) = root.table("erp") else {
        return CONFIRMATION_DEFAULT;
    };
    let interval = section.duration("confirmation_interval");
    section.finish();
    interval.map_or(CONFIRMATION_DEFAULT, |interval| interval.value)
}

/// The address and port of a listener.
pub fn read_listen(section: &Section<'_>, default: &str) -> Option<SocketAddr> {
    let wanted = "an address and port such as \"127.0.0.1:8080\"";
    match section.parsed("listen", wanted, |text| text.parse().ok()) {
        Some(address) => Some(address.value),
        None => default.parse().ok(),
    }
}

/// A relaxation that only a loopback address may have.
/// A truth that is allowed on loopback only.
pub fn read_loopback_only(section: &Section<'_>, key: &'static str, listen: &SocketAddr) -> bool {
    let Some(wanted) = section.truth(key) else {
        return false;
    };
    if wanted.value && !listen.ip().is_loopback() {
        let message = format!("`{key}` is not allowed on {listen}");
        let advice = "listen on 127.0.0.1, or remove it";
        section.problems().add(wanted.span, message, advice);
    }
    wanted.value
}

fn read_http(root: &Section<'_>) -> Option<HttpSettings> {
    let Some(section) = root.table("http") else {
        let listen = HTTP_LISTEN.parse().ok()?;
        return Some(HttpSettings { listen, anonymous_read: false });
    };
    let listen = read_listen(&section, HTTP_LISTEN)?;
    if !listen.ip().is_loopback() {
        let message = format!("HTTP is not encrypted and must not listen on {listen}");
        let advice = "listen on 127.0.0.1 behind a proxy that speaks TLS";
        section.problems().add(section.span(), message, advice);
    }
    let anonymous_read = read_loopback_only(&section, "anonymous_read", &listen);
    section.finish();
    Some(HttpSettings { listen, anonymous_read })
}

struct Equipment {
    areas: Vec<Placed<Area>>,
    drafts: Vec<LineDraft>,
    lines: BTreeMap<LineId, Line>,
    machines: BTreeMap<MachineId, Placed<Machine>>,
    links: Vec<MachineSettings>,
    products: BTreeMap<ProductId, Product>,
    recipes: BTreeMap<ProductId, Recipe>,
    reasons: BTreeMap<ReasonId, Reason>,
}

impl Equipment {
    /// The area, line or machine of a key.
    fn find(&self, key: &str) -> Option<Level> {
        let area = self.areas.iter().map(|area| &area.value.id).find(|id| id.as_str() == key);
        let line = self.drafts.iter().map(|line| &line.id.value).find(|id| id.as_str() == key);
        let machine = self.machines.keys().find(|id| id.as_str() == key);
        None.or_else(|| area.cloned().map(Level::Area))
            .or_else(|| line.cloned().map(Level::Line))
            .or_else(|| machine.cloned().map(Level::Machine))
    }

    /// Where the machines stand, as far as their lines are known.
    fn places(&self) -> Vec<Place> {
        let machines = self.machines.values().filter_map(|machine| {
            let draft = self.drafts.iter().find(|draft| draft.id.value == machine.value.line)?;
            let area = draft.area.as_ref()?.value.clone();
            let (line, machine) = (machine.value.line.clone(), machine.value.id.clone());
            Some(Place { area, line, machine })
        });
        machines.collect()
    }
}

fn read_equipment(
    root: &Section<'_>,
    surroundings: &dyn Surroundings,
    data: Option<&Path>,
    zone: Option<&dyn CivilZone>,
) -> Equipment {
    let areas = equipment::areas(root);
    let drafts = equipment::lines(root);
    let reasons = read_reasons(root, zone);
    let reason_ids = reasons.keys().cloned().collect();
    let machines = equipment::machines(root, surroundings, data, &reason_ids);
    let problems = root.problems();
    for (_, line, _) in &machines {
        if !drafts.iter().any(|draft| draft.id.value == line.value) {
            let message = format!("no line {} is configured", line.value);
            problems.add(line.span.clone(), message, "use the id of a [[line]]");
        }
    }
    let known = products::Surrounding {
        lines: drafts.iter().map(|draft| draft.id.value.clone()).collect(),
        machines: machines.iter().map(|(machine, _, _)| machine.value.id.clone()).collect(),
        zone,
    };
    let (products, recipes) = read_products(root, &known, largest_station(&drafts));
    let mut lines = BTreeMap::new();
    for draft in &drafts {
        if let Some(area) = draft.area.as_ref()
            && !areas.iter().any(|known| known.value.id == area.value)
        {
            let message = format!("no area {} is configured", area.value);
            problems.add(area.span.clone(), message, "use the id of an [[area]]");
        }
        if let Some(product) = draft.default_product.as_ref()
            && !products.contains_key(&product.value)
        {
            let message = format!("no product {} is configured", product.value);
            problems.add(product.span.clone(), message, "use the id of a [[product]]");
        }
        let own = machines.iter().filter(|(_, line, _)| line.value == draft.id.value);
        let own = own.map(|(machine, _, _)| machine.value.id.clone()).collect();
        lines.extend(equipment::complete_line(draft, own, root).map(|l| (l.id.clone(), l)));
    }
    let mut by_id = BTreeMap::new();
    let mut links = Vec::new();
    for (machine, _, settings) in machines {
        links.push(settings);
        by_id.entry(machine.value.id.clone()).or_insert(machine);
    }
    Equipment { areas, drafts, lines, machines: by_id, links, products, recipes, reasons }
}

/// Parallel machines share an ideal cycle, which then makes so many times the parts.
fn largest_station(drafts: &[LineDraft]) -> BTreeSet<u32> {
    let stations = drafts.iter().flat_map(|draft| &draft.stations);
    let sizes = stations.map(|s| u32::try_from(s.value.0.len()).unwrap_or(u32::MAX));
    sizes.chain([1]).collect()
}

fn read_products(
    root: &Section<'_>,
    known: &products::Surrounding<'_>,
    shared_by: BTreeSet<u32>,
) -> (BTreeMap<ProductId, Product>, BTreeMap<ProductId, Recipe>) {
    let (mut products, mut recipes) = (BTreeMap::new(), BTreeMap::new());
    let mut divisors: Vec<u32> = Vec::new();
    for (product, recipe) in products::products(root, known) {
        let Placed { value, span } = product;
        let parts = value.cycles.iter().map(|cycle| cycle.parts);
        let shared =
            parts.flat_map(|parts| shared_by.iter().map(move |n| parts.saturating_mul(*n)));
        divisors.extend(shared);
        if common_divisor(divisors.iter().copied(), IdealTime::DIVISOR_LIMIT).is_none() {
            let message = format!("the parts per cycle of product {} fit no other", value.id);
            let advice = "use parts with common factors, so that sums stay exact";
            root.problems().add(span.clone(), message, advice);
            divisors.clear();
        }
        let id = value.id.clone();
        recipes.insert(id.clone(), recipe);
        if products.insert(id.clone(), value).is_some() {
            root.problems().add(span, format!("a second product {id}"), "keep one of them");
        }
    }
    (products, recipes)
}

fn read_reasons(root: &Section<'_>, zone: Option<&dyn CivilZone>) -> BTreeMap<ReasonId, Reason> {
    let read = products::reasons(root, zone);
    for named in read.iter().flat_map(|draft| &draft.names) {
        if !read.iter().any(|draft| draft.reason.value.id == named.value) {
            let message = format!("no reason {} is configured", named.value);
            root.problems().add(named.span.clone(), message, "use the id of a [[reason]]");
        }
    }
    let mut reasons: BTreeMap<ReasonId, Reason> = BTreeMap::new();
    for Placed { value, span } in read.into_iter().map(|draft| draft.reason) {
        let id = value.id.clone();
        if reasons.insert(id.clone(), value).is_some() {
            root.problems().add(span, format!("a second reason {id}"), "keep one of them");
        } else if leads_to(&reasons, &id, &id) {
            let message = format!("reason {id} is its own ancestor");
            root.problems().add(span, message, "change one of the parents");
        }
    }
    reasons
}

fn leads_to(reasons: &BTreeMap<ReasonId, Reason>, from: &ReasonId, to: &ReasonId) -> bool {
    let mut at = reasons.get(from).and_then(|reason| reason.parent.as_ref());
    for _ in 0..=reasons.len() {
        match at {
            Some(parent) if parent == to => return true,
            Some(parent) => at = reasons.get(parent).and_then(|reason| reason.parent.as_ref()),
            None => return false,
        }
    }
    true
}

/// Keys of equipment are unique in the plant, since one parameter names any of it.
fn check_unique_keys(root: &Section<'_>, site: &Placed<SiteId>, equipment: &Equipment) {
    let mut seen = BTreeSet::from([site.value.to_string()]);
    let mut check = |id: &dyn Display, span: &Range<usize>| {
        if !seen.insert(id.to_string()) {
            let message = format!("a second piece of equipment has the id {id}");
            let advice = "give site, areas, lines and machines ids of their own";
            root.problems().add(span.clone(), message, advice);
        }
    };
    equipment.areas.iter().for_each(|area| check(&area.value.id, &area.span));
    equipment.drafts.iter().for_each(|line| check(&line.id.value, &line.id.span));
    let mut links = BTreeSet::new();
    for settings in &equipment.links {
        let span = equipment.machines.get(&settings.machine).map_or(0..0, |m| m.span.clone());
        if !links.insert(&settings.machine) {
            let message = format!("a second machine {}", settings.machine);
            root.problems().add(span, message, "keep one of them");
        } else {
            check(&settings.machine, &span);
        }
    }
}
