//! An independent, slow oracle: the definitions written down once more, instant by instant, from the
//! raw log of facts. It shares no structure with the engine; even the clock of Berlin is its own.

use std::collections::{BTreeMap, BTreeSet};

use linewright::domain::event::Event;
use linewright::domain::evidence::{Remark, Said};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::order::JobCommand;
use linewright::domain::signal::{MachineState, Reading, SignalRole};

use super::plant::{DAY, HOUR, MICRO_STOP, MINUTE, ROLLOVER, line, machine, product};

/// Figures as the oracle sees them; ideal time in ticks times seven.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub time: BTreeMap<LossClass, i64>,
    pub good: i64,
    pub reject: i64,
    pub unattributed: i64,
    pub without_product: bool,
    pub ideal_total_7: i128,
    pub ideal_good_7: i128,
}

type Values<T> = Vec<(i64, u64, T)>;
/// When something was said, and its order.
type When = (i64, u64);
/// A stop as it was stated: start, end, when, reason.
type Stated = (i64, i64, When, Option<String>);

/// All facts about one machine, as the log has them.
pub struct Raw {
    states: Values<Option<MachineState>>,
    links: Values<bool>,
    good: Values<Option<u64>>,
    reject: Values<Option<u64>>,
    /// Runs of orders on the line: start, end, product.
    runs: Vec<(i64, i64, usize)>,
    reasons: Vec<(i64, When, String)>,
    cuts: BTreeSet<i64>,
    stated: Vec<Stated>,
    resolved: Vec<(i64, i64, When, MachineState)>,
}

/// Of those of one time with one value only the first counts.
fn deduplicated<T: PartialEq + Clone>(mut values: Values<T>) -> Values<T> {
    values.sort_by_key(|(at, seq, _)| (*at, *seq));
    let mut kept: Values<T> = Vec::new();
    for value in values {
        let same = |(at, _, known): &(i64, u64, T)| *at == value.0 && *known == value.2;
        if !kept.iter().rev().take_while(|known| known.0 == value.0).any(same) {
            kept.push(value);
        }
    }
    kept
}

impl Raw {
    pub fn read(journal: &[Event], number: usize) -> Raw {
        let (mut states, mut links) = (Vec::new(), Vec::new());
        let (mut good, mut reject) = (Vec::new(), Vec::new());
        let (mut reasons, mut cuts) = (Vec::new(), BTreeSet::new());
        let (mut stated, mut resolved) = (Vec::new(), Vec::new());
        let when = |said: &Said| (said.at.ticks(), said.seq);
        for event in journal {
            match event {
                Event::Observed(o) if o.machine == machine(number) => {
                    let (at, seq) = (o.at.ticks(), o.seq);
                    let count = match o.reading {
                        Reading::Count(count) => Some(count),
                        _ => None,
                    };
                    match (o.role, &o.reading) {
                        (SignalRole::State, Reading::State(s)) => states.push((at, seq, Some(*s))),
                        (SignalRole::State, _) => states.push((at, seq, None)),
                        (SignalRole::Good, _) => good.push((at, seq, count)),
                        _ => reject.push((at, seq, count)),
                    }
                }
                Event::LinkChanged(l) if l.machine == machine(number) => {
                    links.push((l.at.ticks(), l.seq, l.up));
                }
                Event::Remarked { machine: of, remark, .. } if *of == machine(number) => {
                    match remark {
                        Remark::Classified(c) => {
                            reasons.push((c.anchor.ticks(), when(&c.said), c.reason.to_string()));
                        }
                        Remark::Cut(cut) => drop(cuts.insert(cut.at.ticks())),
                        Remark::Stated(s) => {
                            let reason = s.reason.as_ref().map(ToString::to_string);
                            let (from, to) = (s.window.from.ticks(), s.window.to.ticks());
                            stated.push((from, to, when(&s.said), reason));
                        }
                        Remark::Resolved(r) => {
                            let (from, to) = (r.window.from.ticks(), r.window.to.ticks());
                            resolved.push((from, to, when(&r.said), r.state));
                        }
                        Remark::Parts(_) | Remark::Joined(_) => {
                            unreachable!("nobody does that here")
                        }
                    }
                }
                _ => {}
            }
        }
        Raw {
            states: deduplicated(states),
            links: deduplicated(links),
            good: deduplicated(good),
            reject: deduplicated(reject),
            runs: runs(journal),
            reasons,
            cuts,
            stated,
            resolved,
        }
    }

    fn first_observation(&self) -> Option<i64> {
        let states = self.states.first().map(|v| v.0);
        let counts = [&self.good, &self.reject].into_iter().filter_map(|c| c.first().map(|v| v.0));
        states.into_iter().chain(counts).min()
    }

    fn linked(&self, x: i64) -> bool {
        match self.links.iter().rev().find(|(at, _, _)| *at <= x) {
            Some((_, _, up)) => *up,
            None => self.first_observation().is_some_and(|first| {
                first <= x && self.links.first().is_none_or(|(change, _, _)| first < *change)
            }),
        }
    }

    fn raw_state(&self, x: i64) -> Option<MachineState> {
        self.states.iter().rev().find(|(at, _, _)| *at <= x).and_then(|(_, _, state)| *state)
    }

    /// What somebody said last about an instant that nobody saw.
    fn resolution(&self, x: i64) -> Option<MachineState> {
        let said = self.resolved.iter().filter(|(from, to, _, _)| *from <= x && x < *to);
        said.max_by_key(|(_, _, when, _)| *when).map(|(_, _, _, state)| *state)
    }

    fn state(&self, x: i64) -> Option<MachineState> {
        let raw = self.raw_state(x);
        if raw.is_none() || !self.linked(x) { self.resolution(x).or(raw) } else { raw }
    }

    fn is_gap(&self, x: i64) -> bool {
        !self.linked(x) && self.resolution(x).is_none()
    }

    /// Instants at which what is known of the state can change, in order.
    fn changes(&self) -> Vec<i64> {
        let states = self.states.iter().map(|v| v.0);
        let links = self.links.iter().map(|v| v.0).chain(self.first_observation());
        let resolved = self.resolved.iter().flat_map(|(from, to, _, _)| [*from, *to]);
        let all: BTreeSet<i64> = states.chain(links).chain(resolved).collect();
        all.into_iter().collect()
    }

    /// The physical stops: from the first state that is not running to the next running one; what is
    /// not known neither begins nor ends one.
    pub fn stops(&self) -> Vec<(i64, Option<i64>)> {
        let mut stops = Vec::new();
        let mut open: Option<i64> = None;
        for at in self.changes() {
            match self.state(at) {
                Some(MachineState::Running) => {
                    stops.extend(open.take().map(|start| (start, Some(at))));
                }
                Some(_) => drop(open.get_or_insert(at)),
                None => {}
            }
        }
        stops.extend(open.map(|start| (start, None)));
        stops
    }

    /// The part of a stop around an instant, as people have cut it.
    fn part(&self, stop: (i64, Option<i64>), x: i64) -> (i64, i64) {
        let end = stop.1.unwrap_or(i64::MAX);
        let inside = |cut: &&i64| stop.0 < **cut && **cut < end;
        let start = self.cuts.iter().filter(inside).filter(|cut| **cut <= x).max();
        let next = self.cuts.iter().filter(inside).find(|cut| **cut > x);
        let (start, next) = (*start.unwrap_or(&stop.0), *next.unwrap_or(&end));
        (start, next)
    }

    fn reason(&self, part: (i64, i64)) -> Option<&str> {
        let inside =
            self.reasons.iter().filter(|(anchor, _, _)| part.0 <= *anchor && *anchor < part.1);
        inside.max_by_key(|(anchor, when, _)| (*when, *anchor)).map(|(_, _, reason)| &**reason)
    }

    fn stated(&self, x: i64) -> Option<&str> {
        let covering = self.stated.iter().filter(|(from, to, _, _)| *from <= x && x < *to);
        let newest = covering.max_by_key(|(from, _, when, _)| (*from, *when))?;
        newest.3.as_deref()
    }

    fn product(&self, x: i64) -> Option<usize> {
        self.runs.iter().find(|(start, end, _)| *start <= x && x < *end).map(|(_, _, p)| *p)
    }

    fn class(&self, stops: &[(i64, Option<i64>)], x: i64) -> LossClass {
        if !scheduled(x) {
            return LossClass::NotScheduled;
        }
        if planned(x) {
            return LossClass::PlannedDown;
        }
        if self.is_gap(x) {
            return LossClass::NoData;
        }
        if let Some(reason) = self.stated(x) {
            return class_of(reason);
        }
        let Some(state) = self.state(x) else {
            return LossClass::NoData;
        };
        let stop = stops.iter().find(|(start, end)| *start <= x && end.is_none_or(|end| x < end));
        let by_state = match (state, self.product(x)) {
            (MachineState::Running, _) => LossClass::Run,
            (MachineState::Setup, _) => LossClass::Setup,
            (_, None) => LossClass::NoOrder,
            (MachineState::Blocked, _) => LossClass::Blocked,
            (MachineState::Starved, _) => LossClass::Starved,
            (MachineState::Down | MachineState::Idle, _) => LossClass::UnplannedDown,
        };
        let reason = stop.and_then(|stop| self.reason(self.part(*stop, x)));
        let class = reason.map_or(by_state, class_of);
        let short = stop.is_some_and(|(start, end)| end.is_some_and(|e| e - start < MICRO_STOP));
        if short && class == LossClass::UnplannedDown { LossClass::MicroStop } else { class }
    }

    /// The figures of a window.
    pub fn figures(&self, from: i64, to: i64) -> Expected {
        let mut expected = Expected::default();
        let stops = self.stops();
        let bounds = self.bounds(&stops, from, to);
        for pair in bounds.windows(2) {
            let class = self.class(&stops, pair[0]);
            *expected.time.entry(class).or_default() += pair[1] - pair[0];
        }
        self.count(from, to, &mut expected);
        expected
    }

    fn bounds(&self, stops: &[(i64, Option<i64>)], from: i64, to: i64) -> Vec<i64> {
        let stops = stops.iter().flat_map(|(start, end)| [Some(*start), *end]).flatten();
        let runs = self.runs.iter().flat_map(|(start, end, _)| [*start, *end]);
        let stated = self.stated.iter().flat_map(|(start, end, _, _)| [*start, *end]);
        let minutes =
            (from.div_euclid(15 * MINUTE)..=to.div_euclid(15 * MINUTE)).map(|q| q * 15 * MINUTE);
        let all = self.changes().into_iter().chain(stops).chain(runs).chain(stated).chain(minutes);
        let all = all.chain(self.cuts.iter().copied()).filter(|at| from < *at && *at < to);
        let set: BTreeSet<i64> = all.chain([from, to]).collect();
        set.into_iter().collect()
    }

    fn count(&self, from: i64, to: i64, expected: &mut Expected) {
        let mut by_product: BTreeMap<Option<usize>, (i64, i64)> = BTreeMap::new();
        for (is_good, values) in [(true, &self.good), (false, &self.reject)] {
            for (before, at, parts) in increments(values) {
                if at < from || to <= at {
                    continue;
                }
                if self.unseen(before, at) {
                    expected.unattributed += parts;
                    continue;
                }
                let sum = by_product.entry(self.product(at)).or_default();
                if is_good {
                    sum.0 += parts;
                } else {
                    sum.1 += parts;
                }
            }
        }
        for (product, (good, reject)) in by_product {
            expected.good += good;
            expected.reject += reject;
            let total = i128::from(good + reject);
            let cycle_7 = match product {
                None => {
                    expected.without_product |= total != 0;
                    continue;
                }
                Some(1) => i128::from(30 * 7 * 10_000_000_i64),
                Some(_) => i128::from(100 * 10_000_000_i64),
            };
            expected.ideal_total_7 += cycle_7 * total;
            expected.ideal_good_7 += cycle_7 * i128::from(good);
        }
    }

    /// Whether any instant between two values was a gap.
    fn unseen(&self, before: i64, at: i64) -> bool {
        let links = self.links.iter().map(|v| v.0).chain(self.first_observation());
        let resolved = self.resolved.iter().flat_map(|(from, to, _, _)| [*from, *to]);
        let between = links.chain(resolved).filter(|x| before < *x && *x < at);
        between.chain([before]).any(|x| self.is_gap(x))
    }
}

fn class_of(reason: &str) -> LossClass {
    match reason {
        "jam" => LossClass::UnplannedDown,
        "changeover" => LossClass::Setup,
        _ => LossClass::PlannedDown,
    }
}

/// Increments of a counter as (previous, at, parts).
fn increments(values: &Values<Option<u64>>) -> Vec<(i64, i64, i64)> {
    let usable = values.iter().filter_map(|(at, _, value)| Some((*at, (*value)?)));
    let usable: Vec<(i64, u64)> = usable.collect();
    let mut increments = Vec::new();
    for pair in usable.windows(2) {
        let ((before, old), (at, new)) = (pair[0], pair[1]);
        let wrapped = (ROLLOVER + 1 + new).saturating_sub(old);
        let parts = if new >= old {
            new - old
        } else if wrapped <= ROLLOVER / 10 {
            wrapped
        } else {
            new
        };
        increments.push((before, at, i64::try_from(parts).unwrap()));
    }
    increments
}

fn runs(journal: &[Event]) -> Vec<(i64, i64, usize)> {
    let mut products = BTreeMap::new();
    let mut runs: Vec<(i64, i64, usize)> = Vec::new();
    for event in journal {
        match event {
            Event::OrderStored { request, .. } if request.line == line() => {
                let number = if request.product == product(1) { 1 } else { 2 };
                products.insert(request.id.clone(), number);
            }
            Event::OrderMoved { order, command, at, .. } => match command {
                JobCommand::Start => runs.push((at.ticks(), i64::MAX, products[order])),
                JobCommand::Complete => runs.last_mut().unwrap().1 = at.ticks(),
                _ => {}
            },
            _ => {}
        }
    }
    runs.sort_unstable();
    runs
}

/// Summer time of Berlin in 2026: from 29 March 01:00 UTC to 25 October 01:00 UTC.
fn is_summer(x: i64) -> bool {
    let (spring, autumn) = (20_541 * DAY + HOUR, 20_751 * DAY + HOUR);
    spring <= x && x < autumn
}

/// Day since the epoch and minute of the day on the clock of Berlin.
fn local(x: i64) -> (i64, i64) {
    let shifted = x + if is_summer(x) { 2 * HOUR } else { HOUR };
    (shifted.div_euclid(DAY), shifted.rem_euclid(DAY) / MINUTE)
}

/// Monday is 0.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

const HOLIDAY: i64 = 20_754;

fn scheduled(x: i64) -> bool {
    let (day, minute) = local(x);
    match minute {
        360..1320 => day != HOLIDAY,
        1320.. => weekday(day) == 5,
        _ => weekday(day) == 6,
    }
}

fn planned(x: i64) -> bool {
    let (day, minute) = local(x);
    let breaks = match minute {
        570..585 | 1080..1110 => true,
        // Of the two in the night in which clocks go back, the first.
        120..150 => weekday(day) == 6 && (day != 20_751 || is_summer(x)),
        _ => false,
    };
    breaks || (weekday(day) == 4 && (780..840).contains(&minute))
}
