//! The timeline: every instant of a window gets exactly one class.
//!
//! Precedence at an instant: not scheduled, planned stop, no data, a stop that a person stated, a
//! reason that was given, the machine's state. Intervals are contiguous, disjoint and add up to the
//! window, in ticks; each says which rule made it what it is.

use super::loss::{Circumstances, LossClass, class_of_reason, class_of_state};
use super::stops::{Stop, stated_at, stops_on};
use super::track::{Situation, TrackPoint, track};
use crate::domain::calendar::{PlannedWindow, Schedule, ShiftInstance};
use crate::domain::evidence::StatedStop;
use crate::domain::id::{OrderId, PersonId, ProductId, ReasonId};
use crate::domain::order::OrderRun;
use crate::domain::series::Series;
use crate::domain::signal::{MachineState, OperationMode, Reading, SignalRole};
use crate::domain::time::{Timestamp, Window};

/// A stretch of time of one class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interval {
    /// When.
    pub window: Window,
    /// What it counts as.
    pub class: LossClass,
    /// Which rule made it that.
    pub rule: Rule,
    /// The state that the machine showed, if one is known.
    pub state: Option<MachineState>,
    /// The order that ran.
    pub order: Option<OrderId>,
    /// What was made.
    pub product: Option<ProductId>,
    /// The shift that ran, by the start of its instance.
    pub shift: Option<Timestamp>,
    /// Who worked at the machine.
    pub operator: Option<PersonId>,
    /// The reason for which it stood.
    pub reason: Option<ReasonId>,
    /// Start of the stop of which it is a part.
    pub stop: Option<Timestamp>,
}

/// The rule by which an interval has its class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// The calendar has no shift there.
    NotScheduled,
    /// The calendar has a break or planned downtime there.
    PlannedDowntime,
    /// The link was down.
    LinkLost,
    /// The state was not usable, or none was ever told.
    StateUnknown,
    /// A person stated a stop.
    StatedStop,
    /// A person gave the stop its reason.
    ReasonGiven,
    /// The machine gave the stop its reason.
    MachineReason,
    /// The physical stop was shorter than the threshold.
    MicroStop,
    /// The state, joined with mode and order.
    State,
}

impl Rule {
    /// The word used in JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::NotScheduled => "not_scheduled",
            Rule::PlannedDowntime => "planned_downtime",
            Rule::LinkLost => "link_lost",
            Rule::StateUnknown => "state_unknown",
            Rule::StatedStop => "stated_stop",
            Rule::ReasonGiven => "reason_given",
            Rule::MachineReason => "machine_reason",
            Rule::MicroStop => "micro_stop",
            Rule::State => "state",
        }
    }
}

/// A timeline and what has to be said about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timeline {
    /// The intervals, in order, covering the whole window.
    pub intervals: Vec<Interval>,
    /// The stops that touch the window, whole.
    pub stops: Vec<Stop>,
    /// Whether a stop that is still open may yet turn out to be short.
    pub provisional: bool,
}

/// Builds the timeline of a machine in a window.
pub fn build(situation: &Situation<'_>, window: Window) -> Timeline {
    let gaps = situation.evidence.link_gaps(window);
    build_on(situation, &track(situation, window), gaps, window)
}

/// Builds the timeline of a window on a track, with the gaps in which it does not hold.
pub fn build_on(
    situation: &Situation<'_>,
    track: &[TrackPoint],
    gaps: Vec<Window>,
    window: Window,
) -> Timeline {
    let sources = Sources::collect(situation, track, gaps, window);
    let mut bounds = sources.bounds(situation, window);
    bounds.sort_unstable();
    bounds.dedup();
    let mut cursor = Cursor::default();
    let mut intervals: Vec<Interval> = Vec::new();
    for pair in bounds.windows(2) {
        let next = sources.interval(situation, Window { from: pair[0], to: pair[1] }, &mut cursor);
        match intervals.last_mut() {
            Some(last) if last.is_continued_by(&next) => last.window.to = next.window.to,
            _ => intervals.push(next),
        }
    }
    let threshold = situation.machine.micro_stop_below;
    let undecided = |stop: &Stop| stop.physical.is_none() && situation.now - stop.start < threshold;
    let provisional = sources.stops.iter().any(undecided);
    Timeline { intervals, stops: sources.stops, provisional }
}

impl Interval {
    fn is_continued_by(&self, next: &Interval) -> bool {
        (self.class, self.rule, self.state, &self.order, &self.product)
            == (next.class, next.rule, next.state, &next.order, &next.product)
            && (self.shift, &self.operator, &self.reason, self.stop)
                == (next.shift, &next.operator, &next.reason, next.stop)
    }
}

/// The sorted lists that are merged.
struct Sources<'a> {
    track: &'a [TrackPoint],
    schedule: Schedule,
    planned: Vec<Window>,
    gaps: Vec<Window>,
    stops: Vec<Stop>,
    stated: Vec<&'a StatedStop>,
}

/// How far each list has been consumed; instants are asked for in rising order.
#[derive(Default)]
struct Cursor {
    shifts: usize,
    planned: usize,
    gaps: usize,
    stops: usize,
    states: usize,
    runs: usize,
}

impl<'a> Sources<'a> {
    fn collect(
        situation: &Situation<'a>,
        track: &'a [TrackPoint],
        gaps: Vec<Window>,
        window: Window,
    ) -> Sources<'a> {
        let calendar = &situation.plant.calendar;
        let place = situation.plant.place_of(&situation.machine.id);
        let schedule = place.map(|place| calendar.schedule(&place, window)).unwrap_or_default();
        let planned = united(schedule.planned.iter().map(|p: &PlannedWindow| p.window));
        let mut stated = situation.evidence.remarks.stated_stops();
        stated.retain(|stop| stop.window.intersect(window).is_some());
        let stops = stops_on(situation, track, window);
        Sources { track, schedule, planned, gaps, stops, stated }
    }

    fn interval(&self, situation: &Situation<'_>, window: Window, at: &mut Cursor) -> Interval {
        let from = window.from;
        let state = holding_state(self.track, from, &mut at.states);
        let run = covering(situation.runs, from, &mut at.runs, OrderRun::window);
        let stop = covering(&self.stops, from, &mut at.stops, Stop::window);
        let shift = covering(&self.schedule.shifts, from, &mut at.shifts, |s| s.window);
        let is_planned = covering(&self.planned, from, &mut at.planned, |w| *w).is_some();
        let is_gap = covering(&self.gaps, from, &mut at.gaps, |w| *w).is_some();
        let stated = stated_at(situation.plant, &self.stated, from);
        let (class, rule) = if self.schedule.has_shifts && shift.is_none() {
            (LossClass::NotScheduled, Rule::NotScheduled)
        } else if is_planned {
            (LossClass::PlannedDown, Rule::PlannedDowntime)
        } else if is_gap {
            (LossClass::NoData, Rule::LinkLost)
        } else {
            classify(situation, from, (state, stop, stated), run.is_some())
        };
        let reason = match stated {
            Some(stated) => stated.reason.clone(),
            None => stop.and_then(|stop| stop.reason_at(situation.plant, from)),
        };
        Interval {
            window,
            class,
            rule,
            state,
            order: run.map(|run| run.order.clone()),
            product: run
                .map(|run| &run.product)
                .or(situation.line.default_product.as_ref())
                .cloned(),
            shift: shift.map(|shift: &ShiftInstance| shift.window.from),
            operator: operator_at(situation, from),
            reason,
            stop: stated.map(|stated| stated.window.from).or(stop.map(|stop| stop.record)),
        }
    }

    fn bounds(&self, situation: &Situation<'_>, window: Window) -> Vec<Timestamp> {
        let stops = self.stops.iter().map(Stop::window);
        let runs = situation.runs.iter().map(OrderRun::window);
        let shifts = self.schedule.shifts.iter().map(|shift| shift.window);
        let stated = self.stated.iter().map(|stated| stated.window);
        let windows = self.planned.iter().chain(&self.gaps).copied();
        let mut bounds = vec![window.from, window.to];
        for part in windows.chain(stops).chain(runs).chain(shifts).chain(stated) {
            bounds.extend(part.intersect(window).into_iter().flat_map(|w| [w.from, w.to]));
        }
        let escalations = self.stops.iter().flat_map(|stop| stop.escalations(situation.plant));
        let circumstances = situation.evidence.circumstances.values();
        let changes = circumstances.flat_map(|series: &Series<Reading>| {
            let points = series.points();
            points[series.index_at(window.from)..series.index_at(window.to)].iter().map(|p| p.at)
        });
        let states = self.track.iter().map(|point| point.at);
        let instants = escalations.map(|(at, _)| at).chain(changes).chain(states);
        bounds.extend(instants.filter(|at| window.contains(*at)));
        bounds
    }
}

fn classify(
    situation: &Situation<'_>,
    at: Timestamp,
    (state, stop, stated): (Option<MachineState>, Option<&Stop>, Option<&StatedStop>),
    has_run: bool,
) -> (LossClass, Rule) {
    let class_of = |reason: &ReasonId| {
        situation.plant.reasons.get(reason).map(|reason| class_of_reason(reason.class))
    };
    if let Some(class) = stated.and_then(|stated| class_of(stated.reason.as_ref()?)) {
        return (class, Rule::StatedStop);
    }
    let Some(state) = state else {
        return (LossClass::NoData, Rule::StateUnknown);
    };
    let evidence = situation.evidence;
    let holds = |role| matches!(evidence.circumstance(role, at), Some(Reading::Truth(true)));
    let given = Circumstances {
        mode: mode_at(situation, at),
        blocked: holds(SignalRole::Blocked),
        starved: holds(SignalRole::Starved),
        has_order: has_run || situation.line.default_product.is_some(),
        no_order: situation.line.no_order,
    };
    let by_reason = stop.and_then(|stop| class_of(&stop.reason_at(situation.plant, at)?));
    let by_person = stop.is_some_and(|stop| stop.cause.as_ref().is_some_and(|c| c.said.is_some()));
    let (class, rule) = match by_reason {
        Some(class) if by_person => (class, Rule::ReasonGiven),
        Some(class) => (class, Rule::MachineReason),
        None => (class_of_state(state, given), Rule::State),
    };
    let is_micro = stop.is_some_and(|s| s.is_micro(situation.machine.micro_stop_below));
    if is_micro && class == LossClass::UnplannedDown {
        (LossClass::MicroStop, Rule::MicroStop)
    } else {
        (class, rule)
    }
}

/// The mode at an instant; while it cannot be read, the one that was read last.
fn mode_at(situation: &Situation<'_>, at: Timestamp) -> Option<OperationMode> {
    let series = situation.evidence.circumstances.get(&SignalRole::Mode)?;
    let end = series.points().partition_point(|p| p.at <= at);
    series.points()[..end].iter().rev().find_map(|point| match point.value {
        Reading::Mode(mode) => Some(mode),
        _ => None,
    })
}

fn operator_at(situation: &Situation<'_>, at: Timestamp) -> Option<PersonId> {
    match situation.evidence.circumstance(SignalRole::Operator, at)? {
        Reading::Operator(person) => person.clone(),
        _ => None,
    }
}

fn holding_state(track: &[TrackPoint], at: Timestamp, cursor: &mut usize) -> Option<MachineState> {
    while track.get(*cursor).is_some_and(|p| p.at <= at) {
        *cursor += 1;
    }
    track.get(cursor.checked_sub(1)?)?.state
}

/// The entry that covers an instant; the lists are sorted and the instants rise.
fn covering<'a, T>(
    list: &'a [T],
    at: Timestamp,
    cursor: &mut usize,
    window: impl Fn(&T) -> Window,
) -> Option<&'a T> {
    while list.get(*cursor).is_some_and(|entry| window(entry).to <= at) {
        *cursor += 1;
    }
    list.get(*cursor).filter(|entry| window(entry).contains(at))
}

/// Unites windows that touch or overlap; they come in order of their starts.
pub fn united(windows: impl IntoIterator<Item = Window>) -> Vec<Window> {
    let mut united: Vec<Window> = Vec::new();
    for window in windows {
        match united.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => united.push(window),
        }
    }
    united
}
