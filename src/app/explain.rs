//! What is behind a figure: the intervals with the rule that made each what it is, the counts, the
//! cycles at which they were valued, what people said, the versions of the plant and the recorded
//! revisions. As JSON for programs and people, as CSV for spreadsheets.

use serde::{Serialize, Serializer};

use super::kpi_report::KpiReport;
use super::query::WindowFacts;
use super::stop_report::{StopReport, seconds};
use super::time_text;
use crate::domain::id::MachineId;
use crate::domain::oee::counts::pieces;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Profile;
use crate::domain::plant::RootCause;
use crate::domain::shift::ShiftRecord;
use crate::domain::signal::{SignalRole, SignalRule};
use crate::domain::time::{Timestamp, Window};

/// Counter steps of one role in an explanation; more are added up.
const STEPS_MAX: usize = 2000;

/// An explanation.
#[derive(Serialize)]
pub struct Explanation {
    /// The figures that are explained.
    pub figures: KpiReport,
    /// How they are made, in sentences.
    pub rules: Vec<String>,
    /// All that they are made of.
    pub rows: Vec<Row>,
}

/// One row of an explanation; the kind says which columns have a meaning.
#[derive(Serialize, Clone, PartialEq, Debug, Default)]
pub struct Row {
    /// `interval`, `count`, `piece`, `stop`, `plant` or `revision`.
    pub kind: &'static str,
    /// The machine or line.
    pub equipment: String,
    /// First instant.
    #[serde(serialize_with = "as_text")]
    pub from: Option<Timestamp>,
    /// First instant after.
    #[serde(serialize_with = "as_text")]
    pub to: Option<Timestamp>,
    /// Length in seconds.
    pub duration_s: Option<f64>,
    /// Class of an interval, role of a counter.
    pub class: String,
    /// The rule that made an interval what it is, the method by which a step was counted.
    pub rule: String,
    /// The state that the machine showed.
    pub state: String,
    /// The reason of a stop.
    pub reason: String,
    /// The order.
    pub order: String,
    /// The product.
    pub product: String,
    /// The shift.
    pub shift: String,
    /// Who worked there.
    pub operator: String,
    /// Parts counted, or made in a piece.
    pub parts: Option<i64>,
    /// Ideal time of a part in seconds.
    pub ideal_s: Option<f64>,
    /// What else there is to say.
    pub note: String,
}

const COLUMNS: [&str; 16] = [
    "kind",
    "equipment",
    "from",
    "to",
    "duration_s",
    "class",
    "rule",
    "state",
    "reason",
    "order",
    "product",
    "shift",
    "operator",
    "parts",
    "ideal_s",
    "note",
];

impl Explanation {
    /// Explains the figures of a piece of equipment; `None` when nothing of it is known.
    pub fn new(
        facts: &WindowFacts,
        equipment: &Equipment,
        window: Window,
        profile: Profile,
        revisions: &[ShiftRecord],
    ) -> Option<Explanation> {
        let of = facts.facts();
        let key = equipment.key(of.history.at(window.to)).to_owned();
        let figures = KpiReport::new(&key, &of.kpi(equipment, window)?, profile);
        let mut rows = Vec::new();
        for (part, _) in of.parts(window) {
            rows.push(Row {
                kind: "plant",
                from: Some(part.from),
                to: Some(part.to),
                duration_s: Some(seconds(part.length())),
                note: "this description of the plant held".into(),
                ..Row::default()
            });
        }
        for machine in facts.machines() {
            rows.extend(intervals(facts, machine, window));
            rows.extend(counts(facts, machine, window));
        }
        rows.extend(valued(facts, equipment, window));
        rows.extend(stops(facts, window));
        rows.extend(revisions.iter().map(|record| revision(record, equipment)));
        Some(Explanation { figures, rules: rules(facts, equipment, window), rows })
    }

    /// The rows as CSV (RFC 4180), with a line of column names.
    pub fn to_csv(&self) -> String {
        let mut text = COLUMNS.join(",");
        text.push_str("\r\n");
        for row in &self.rows {
            let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
            let fields = [
                row.kind.to_owned(),
                row.equipment.clone(),
                printed(row.from),
                printed(row.to),
                number(row.duration_s),
                row.class.clone(),
                row.rule.clone(),
                row.state.clone(),
                row.reason.clone(),
                row.order.clone(),
                row.product.clone(),
                row.shift.clone(),
                row.operator.clone(),
                row.parts.map_or_else(String::new, |parts| parts.to_string()),
                number(row.ideal_s),
                row.note.clone(),
            ];
            let fields = fields.map(|field| quoted(&field));
            text.push_str(&fields.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// A field in quotes where it must be. What a spreadsheet would take for a formula is text.
fn quoted(field: &str) -> String {
    let is_number = field.parse::<f64>().is_ok();
    let is_formula = !is_number && field.starts_with(['=', '+', '-', '@', '\t']);
    let guarded = if is_formula { format!("'{field}") } else { field.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

/// An instant that may not be there, as text.
fn printed(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, time_text::print)
}

fn as_text<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printed(*at))
}

fn text(key: Option<&impl ToString>) -> String {
    key.map_or_else(String::new, ToString::to_string)
}

fn intervals(facts: &WindowFacts, machine: &MachineId, window: Window) -> Vec<Row> {
    let of = facts.facts();
    let Some(timeline) = of.timeline(machine, window) else {
        return Vec::new();
    };
    let line = of.history.at(window.to).line_of(machine).map(|line| line.id.clone());
    let shifts = line.map(|line| of.history.shifts(&line, window)).unwrap_or_default();
    let name_of = |start: Timestamp| {
        let shift = shifts.iter().find(|shift| shift.window.contains(start));
        shift.map_or_else(String::new, |s| format!("{} {}", s.production_date, s.name))
    };
    let rows = timeline.intervals.into_iter().map(|interval| Row {
        kind: "interval",
        equipment: machine.to_string(),
        from: Some(interval.window.from),
        to: Some(interval.window.to),
        duration_s: Some(seconds(interval.window.length())),
        class: interval.class.as_str().into(),
        rule: interval.rule.as_str().into(),
        state: interval.state.map_or_else(String::new, |state| state.as_str().into()),
        reason: text(interval.reason.as_ref()),
        order: text(interval.order.as_ref()),
        product: text(interval.product.as_ref()),
        shift: interval.shift.map_or_else(String::new, name_of),
        operator: text(interval.operator.as_ref()),
        note: interval.stop.map_or_else(String::new, |stop| {
            format!("part of the stop of {}", time_text::print(stop))
        }),
        ..Row::default()
    });
    rows.collect()
}

/// The steps of each counter; a long list ends with what is left, added up.
fn counts(facts: &WindowFacts, machine: &MachineId, window: Window) -> Vec<Row> {
    let mut rows = Vec::new();
    let Some(evidence) = facts.evidence(machine) else {
        return rows;
    };
    let gaps = evidence.link_gaps(Window { from: Timestamp::MIN, to: window.to });
    for (role, series) in &evidence.counts {
        let mut left = 0_u64;
        let mut left_from: Option<Timestamp> = None;
        for (number, step) in
            series.steps_in(window).filter(|s| s.delta > 0 || s.method.is_doubtful()).enumerate()
        {
            if number >= STEPS_MAX {
                left += step.delta;
                left_from.get_or_insert(step.previous);
                continue;
            }
            let unseen = gaps.iter().any(|gap| step.at > gap.from && step.previous < gap.to);
            let note = match (step.method.is_doubtful(), unseen) {
                (true, _) => "flagged and not counted",
                (false, true) => "counted over a gap: in no ratio",
                (false, false) => "",
            };
            rows.push(count_row(machine, *role, (step.previous, step.at), step.delta));
            if let Some(row) = rows.last_mut() {
                row.rule = step.method.as_str().into();
                row.note = note.into();
            }
        }
        if let Some(from) = left_from {
            let mut row = count_row(machine, *role, (from, window.to), left);
            row.note = format!("all steps after the first {STEPS_MAX}, added up");
            rows.push(row);
        }
    }
    for adjustment in evidence.remarks.adjustments().filter(|a| window.contains(a.at)) {
        for (role, parts) in [
            (SignalRole::Good, adjustment.good),
            (SignalRole::Reject, adjustment.reject),
            (SignalRole::Rework, adjustment.rework),
        ] {
            if parts != 0 {
                let mut row = count_row(machine, role, (adjustment.at, adjustment.at), 0);
                row.parts = Some(parts);
                row.rule = "reported".into();
                row.order = adjustment.order.to_string();
                rows.push(row);
            }
        }
    }
    rows
}

fn count_row(
    machine: &MachineId,
    role: SignalRole,
    (from, to): (Timestamp, Timestamp),
    parts: u64,
) -> Row {
    Row {
        kind: "count",
        equipment: machine.to_string(),
        from: Some(from),
        to: Some(to),
        class: role.as_str().into(),
        parts: i64::try_from(parts).ok(),
        ..Row::default()
    }
}

/// The stretches of one product at one ideal cycle, with what was made in each.
fn valued(facts: &WindowFacts, equipment: &Equipment, window: Window) -> Vec<Row> {
    let of = facts.facts();
    let mut rows = Vec::new();
    for (part, plant) in of.parts(window) {
        for line in equipment.lines(plant) {
            let (unit, machine) = match equipment {
                Equipment::Machine(machine) => (equipment.clone(), plant.machines.get(machine)),
                _ => (Equipment::Line(line.id.clone()), None),
            };
            for piece in pieces(plant, line, of.runs_of(&line.id), part) {
                let cycle = match machine {
                    Some(machine) => piece.cycle_of(plant, machine),
                    None => piece.cycle_of_line(plant, line),
                };
                let kpi = of.kpi(&unit, piece.window);
                rows.push(Row {
                    kind: "piece",
                    equipment: unit.key(plant).to_owned(),
                    from: Some(piece.window.from),
                    to: Some(piece.window.to),
                    duration_s: Some(seconds(piece.window.length())),
                    product: text(piece.product),
                    parts: kpi.map(|kpi| kpi.production.parts.total),
                    ideal_s: cycle.map(|c| seconds(c.cycle) / f64::from(c.parts)),
                    note: if cycle.is_none() { "no ideal cycle".into() } else { String::new() },
                    ..Row::default()
                });
            }
        }
    }
    rows
}

fn stops(facts: &WindowFacts, window: Window) -> Vec<Row> {
    let reports = StopReport::all(facts, window, None, facts.facts().now);
    let rows = reports.into_iter().map(|stop| Row {
        kind: "stop",
        equipment: stop.machine,
        from: time_text::parse(&stop.start).ok(),
        to: stop.end.as_deref().and_then(|end| time_text::parse(end).ok()),
        duration_s: Some(stop.duration_s),
        class: if stop.micro { "micro_stop".into() } else { String::new() },
        rule: stop.origin.into(),
        state: stop.state.into(),
        reason: stop.reason.unwrap_or_default(),
        operator: stop.classified_by.unwrap_or_default(),
        note: stop.comment.unwrap_or_default(),
        ..Row::default()
    });
    rows.collect()
}

fn revision(record: &ShiftRecord, equipment: &Equipment) -> Row {
    let oee = record.of(equipment).and_then(|kpi| kpi.oee());
    let oee = oee.map_or_else(|| "not defined".to_owned(), |oee| oee.to_f64().to_string());
    Row {
        kind: "revision",
        equipment: record.line.to_string(),
        from: Some(record.shift.window.from),
        to: Some(record.shift.window.to),
        shift: format!("{} {}", record.shift.production_date, record.shift.name),
        operator: record.actor.clone(),
        rule: format!("revision {}", record.revision),
        note: format!("{}: {}; OEE {oee}", time_text::print(record.at), record.cause),
        ..Row::default()
    }
}

/// How the figures are made, for people.
fn rules(facts: &WindowFacts, equipment: &Equipment, window: Window) -> Vec<String> {
    let of = facts.facts();
    let plant = of.history.at(window.to);
    let mut rules = vec![
        "OEE = ideal time of good parts / planned busy time = A * P * Q".to_owned(),
        "planned busy time is all time but not scheduled, planned downtime and no data".to_owned(),
    ];
    for line in equipment.lines(plant) {
        if !matches!(equipment, Equipment::Machine(_)) {
            let model = if line.root_cause == RootCause::Parallel { "the station of " } else { "" };
            rules.push(format!(
                "line {} has the time of {model}{} and the good parts of {}",
                line.id, line.bottleneck, line.outfeed
            ));
        }
    }
    for machine in facts.machines().filter_map(|id| plant.machines.get(id)) {
        rules.push(format!(
            "machine {}: a stop shorter than {} is a micro-stop",
            machine.id, machine.micro_stop_below
        ));
        if let Some(SignalRule::State(rule)) = machine.rule(SignalRole::State)
            && rule.hold.ticks() > 0
        {
            rules.push(format!("machine {}: states hold at least {}", machine.id, rule.hold));
        }
        if let Some(silence) = machine.silence_after {
            let id = &machine.id;
            rules.push(format!("machine {id}: stands when nothing is counted for {silence}"));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_it_must_be_and_never_a_formula() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"no\""), "\"say \"\"no\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("-3"), "-3");
    }
}
