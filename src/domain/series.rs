//! Observations of one signal in order of source time, whatever the order in which they arrived.
//!
//! A series is a set: inserting the same observation twice changes nothing, and every order of
//! insertion gives the same series. That is what makes every later figure independent of arrival.

use super::signal::counter::{CountMethod, CounterKind, CounterRule};
use super::time::{Timestamp, Window};

/// One observation: a value that holds from `at` until the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Point<V> {
    /// Source time.
    pub at: Timestamp,
    /// Order among observations of the same source time.
    pub seq: u64,
    /// The value.
    pub value: V,
}

/// Observations in order of source time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Series<V> {
    points: Vec<Point<V>>,
}

impl<V> Default for Series<V> {
    fn default() -> Self {
        Series { points: Vec::new() }
    }
}

impl<V: Ord + Clone> Series<V> {
    /// A series of points that are in order already.
    pub fn of(points: &[Point<V>]) -> Self {
        Series { points: points.to_vec() }
    }

    /// Inserts an observation; the index from which the series changed, or `None` when it is known.
    ///
    /// Of two that differ only in their order, the lower is kept, so that the result does not
    /// depend on which came first.
    pub fn insert(&mut self, point: Point<V>) -> Option<usize> {
        let from = self.points.partition_point(|p| p.at < point.at);
        let same_time = self.points[from..].iter().take_while(|p| p.at == point.at);
        let known = same_time.clone().position(|p| p.value == point.value);
        if let Some(offset) = known {
            if self.points[from + offset].seq <= point.seq {
                return None;
            }
            self.points.remove(from + offset);
        }
        let index = self.points.partition_point(|p| *p < point);
        self.points.insert(index, point);
        Some(from)
    }

    /// Inserts many observations at the cost of one pass; the index from which the series changed.
    pub fn extend(&mut self, points: Vec<Point<V>>) -> Option<usize> {
        let first = points.iter().map(|p| p.at).min()?;
        let from = self.index_at(first);
        let mut merged = self.points.split_off(from);
        merged.extend(points);
        merged.sort();
        // Of those of one time with the same value, the one with the lowest order stays.
        let mut start = self.points.len();
        for point in merged {
            if self.points.get(start).is_none_or(|p| p.at != point.at) {
                start = self.points.len();
            }
            if !self.points[start..].iter().any(|p| p.value == point.value) {
                self.points.push(point);
            }
        }
        Some(from)
    }

    /// Whether inserting this observation would change nothing.
    pub fn knows(&self, at: Timestamp, seq: u64, value: &V) -> bool {
        let same_time = self.points[self.index_at(at)..].iter().take_while(|p| p.at == at);
        same_time.into_iter().any(|p| p.value == *value && p.seq <= seq)
    }

    /// All points.
    pub fn points(&self) -> &[Point<V>] {
        &self.points
    }

    /// Index of the first point at or after an instant.
    pub fn index_at(&self, at: Timestamp) -> usize {
        self.points.partition_point(|p| p.at < at)
    }

    /// The point that holds at an instant.
    pub fn holding_at(&self, at: Timestamp) -> Option<&Point<V>> {
        self.points[..self.points.partition_point(|p| p.at <= at)].last()
    }

    /// The newest point.
    pub fn last(&self) -> Option<&Point<V>> {
        self.points.last()
    }

    /// Takes out the first `count` points.
    pub fn drain_front(&mut self, count: usize) -> Vec<Point<V>> {
        self.points.drain(..count).collect()
    }

    /// The points inside a window and the one that holds at its start.
    pub fn extract(&self, window: Window) -> Vec<Point<V>> {
        let first = self.points.partition_point(|p| p.at <= window.from).saturating_sub(1);
        let end = self.index_at(window.to).max(first);
        self.points[first..end].to_vec()
    }
}

/// A counter's values with what has been counted up to each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountSeries {
    /// The rules with the instants from which they hold; the first holds since ever.
    rules: Vec<(Timestamp, CounterRule)>,
    values: Series<Option<u64>>,
    /// Parts counted before the first value.
    base: u64,
    /// Parts counted up to and including the value of the same index.
    counted: Vec<Counted>,
}

/// What one value of a counter added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counted {
    sum: u64,
    method: CountMethod,
    /// The newest usable value so far and its time.
    usable: Option<(u64, Timestamp)>,
}

/// One step of a counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CountStep {
    /// When the value was seen; the parts are booked at this instant.
    pub at: Timestamp,
    /// When the value before it was seen; the same instant where the value says the parts itself.
    pub previous: Timestamp,
    /// Parts counted.
    pub delta: u64,
    /// How the delta was found.
    pub method: CountMethod,
}

impl Default for CountSeries {
    fn default() -> Self {
        CountSeries::new(CounterRule::default())
    }
}

impl CountSeries {
    /// An empty series of a counter with this rule.
    pub fn new(rule: CounterRule) -> Self {
        CountSeries {
            rules: vec![(Timestamp::MIN, rule)],
            values: Series::default(),
            base: 0,
            counted: Vec::new(),
        }
    }

    /// Another rule from an instant on, later than those before.
    pub fn set_rule(&mut self, from: Timestamp, rule: CounterRule) {
        self.rules.retain(|(known, _)| *known < from);
        if self.rules.last().is_none_or(|(_, last)| *last != rule) {
            self.rules.push((from, rule));
            self.recount(self.values.index_at(from));
        }
    }

    fn rule_at(&self, at: Timestamp) -> CounterRule {
        let held = self.rules.iter().rev().find(|(from, _)| *from <= at);
        held.map_or(CounterRule::default(), |(_, rule)| *rule)
    }

    /// Inserts a value (`None` when unusable); whether anything changed.
    pub fn insert(&mut self, point: Point<Option<u64>>) -> bool {
        match self.values.insert(point) {
            Some(index) => {
                self.recount(index);
                true
            }
            None => false,
        }
    }

    /// Inserts many values at the cost of one pass.
    pub fn extend(&mut self, points: Vec<Point<Option<u64>>>) {
        if let Some(index) = self.values.extend(points) {
            self.recount(index);
        }
    }

    fn recount(&mut self, from: usize) {
        self.counted.truncate(from);
        for index in from..self.values.points().len() {
            let point = self.values.points()[index];
            let before = self.counted.last();
            let sum = before.map_or(self.base, |c| c.sum);
            let known = before.and_then(|c| c.usable);
            let counted = match point.value {
                None => Counted { sum, method: CountMethod::Rise, usable: known },
                Some(value) => {
                    let rule = self.rule_at(point.at);
                    let (delta, method) = rule.step(known.map(|(value, _)| value), value);
                    let usable = Some((value, point.at));
                    Counted { sum: sum.saturating_add(delta), method, usable }
                }
            };
            self.counted.push(counted);
        }
    }

    /// The values.
    pub fn values(&self) -> &Series<Option<u64>> {
        &self.values
    }

    /// The newest usable value and its time.
    pub fn latest(&self) -> Option<(u64, Timestamp)> {
        self.counted.last().and_then(|c| c.usable)
    }

    /// Parts booked in a window.
    pub fn counted_in(&self, window: Window) -> u64 {
        self.sum_before(window.to) - self.sum_before(window.from)
    }

    fn sum_before(&self, at: Timestamp) -> u64 {
        match self.values.index_at(at) {
            0 => self.base,
            index => self.counted[index - 1].sum,
        }
    }

    /// When the last usable value at or before an instant was seen.
    pub fn usable_before(&self, at: Timestamp) -> Option<Timestamp> {
        let end = self.values.points().partition_point(|p| p.at <= at);
        Some(self.counted.get(end.checked_sub(1)?)?.usable?.1)
    }

    /// The steps whose value was seen after `gap.from` and whose previous value was seen before
    /// `gap.to`: the parts that were made at a time that nobody saw.
    pub fn steps_across(&self, gap: Window) -> Vec<CountStep> {
        let first = self.values.points().partition_point(|p| p.at <= gap.from);
        self.steps_from(first).take_while(|step| step.previous < gap.to).collect()
    }

    /// The steps booked in a window.
    pub fn steps_in(&self, window: Window) -> impl Iterator<Item = CountStep> + '_ {
        let first = self.values.index_at(window.from);
        self.steps_from(first).take_while(move |step| step.at < window.to)
    }

    /// The last instant at or before this one at which parts were counted.
    pub fn active_before(&self, at: Timestamp) -> Option<Timestamp> {
        let end = self.values.points().partition_point(|p| p.at <= at);
        let sum = self.counted.get(end.checked_sub(1)?)?.sum;
        // The sums rise, so the first value with the present sum is the last that counted.
        let index = self.counted[..end].partition_point(|counted| counted.sum < sum);
        let counts = index > 0 || sum > self.base;
        counts.then(|| self.values.points()[index].at)
    }

    /// The first instant at or after this one at which parts were counted.
    pub fn active_from(&self, at: Timestamp) -> Option<Timestamp> {
        let sum = self.sum_before(at);
        let index = self.counted.partition_point(|counted| counted.sum <= sum);
        self.values.points().get(index).map(|point| point.at)
    }

    fn steps_from(&self, first: usize) -> impl Iterator<Item = CountStep> + '_ {
        let points = &self.values.points()[first..];
        points.iter().enumerate().filter_map(move |(offset, point)| {
            let index = first + offset;
            point.value?;
            let before = index.checked_sub(1).and_then(|index| self.counted.get(index));
            let counted = self.counted[index];
            let previous = match self.rule_at(point.at).kind {
                CounterKind::Batch => point.at,
                CounterKind::Rising | CounterKind::Pulse => before?.usable?.1,
            };
            let delta = counted.sum - before.map_or(self.base, |before| before.sum);
            Some(CountStep { at: point.at, previous, delta, method: counted.method })
        })
    }

    /// The values of a window with the usable one that holds at its start.
    pub fn extract(&self, window: Window) -> CountSeries {
        let points = self.values.points();
        let start = points.partition_point(|p| p.at <= window.from);
        let first = points[..start].iter().rposition(|p| p.value.is_some());
        let first = first.unwrap_or(start.saturating_sub(1));
        let end = self.values.index_at(window.to).max(first);
        CountSeries {
            rules: self.rules.clone(),
            values: Series::of(&points[first..end]),
            base: first.checked_sub(1).map_or(self.base, |index| self.counted[index].sum),
            counted: self.counted[first..end].to_vec(),
        }
    }

    /// Takes out the values before an instant, but for those needed to count on.
    pub fn drain_before(&mut self, at: Timestamp) -> Vec<Point<Option<u64>>> {
        let end = self.values.index_at(at);
        let usable = self.values.points()[..end].iter().rposition(|p| p.value.is_some());
        let count = match self.rule_at(at).kind {
            // A batch is not counted on.
            CounterKind::Batch => end,
            _ => usable.unwrap_or(end.saturating_sub(1)).min(end),
        };
        // What stays as a baseline has been counted where it went.
        self.base = end.checked_sub(1).map_or(self.base, |index| self.counted[index].sum);
        self.counted.drain(..count);
        self.values.drain_front(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tick: i64) -> Timestamp {
        Timestamp::from_ticks(tick)
    }

    fn point(tick: i64, seq: u64, value: u64) -> Point<Option<u64>> {
        Point { at: at(tick), seq, value: Some(value) }
    }

    fn window(from: i64, to: i64) -> Window {
        Window { from: at(from), to: at(to) }
    }

    #[test]
    fn every_order_of_insertion_gives_the_same_series() {
        let points = [point(1, 1, 5), point(1, 2, 7), point(1, 3, 5), point(4, 4, 2)];
        let mut forward = CountSeries::default();
        let mut backward = CountSeries::default();
        for (first, last) in points.iter().zip(points.iter().rev()) {
            forward.insert(*first);
            backward.insert(*last);
        }
        assert_eq!(forward, backward);
        assert!(!forward.insert(points[2]), "a duplicate changes nothing");
        assert_eq!(forward.counted_in(window(0, 10)), 2 + 2);
    }

    #[test]
    fn the_first_value_is_a_baseline_and_a_bad_value_is_passed_over() {
        let mut series = CountSeries::default();
        series.insert(point(1, 0, 1000));
        series.insert(Point { at: at(2), seq: 0, value: None });
        series.insert(point(3, 0, 1004));
        assert_eq!(series.counted_in(window(0, 3)), 0);
        assert_eq!(series.counted_in(window(3, 4)), 4);
        assert_eq!(series.latest(), Some((1004, at(3))));
    }

    #[test]
    fn many_at_once_are_the_same_as_one_after_the_other() {
        let points = [point(5, 1, 5), point(1, 2, 7), point(1, 3, 5), point(4, 4, 2)];
        let more = [point(1, 1, 7), point(4, 9, 2), point(0, 0, 1), point(9, 0, 3)];
        let (mut single, mut bulk) = (CountSeries::default(), CountSeries::default());
        for point in points.iter().chain(&more) {
            single.insert(*point);
        }
        bulk.extend(points.to_vec());
        bulk.extend(more.to_vec());
        assert_eq!(single, bulk);
        bulk.extend(vec![]);
        assert_eq!(single, bulk);
    }

    #[test]
    fn a_rule_holds_from_its_instant_and_leaves_the_past_alone() {
        let mut series = CountSeries::default();
        for (tick, value) in [(1, 90), (2, 5), (3, 90), (4, 5)] {
            series.insert(point(tick, 0, value));
        }
        let wraps =
            CounterRule { rollover: Some(99), max_step: Some(50), ..CounterRule::default() };
        series.set_rule(at(4), wraps);
        assert_eq!(series.counted_in(window(0, 4)), 5 + 85, "a reset, as it was");
        assert_eq!(series.counted_in(window(4, 5)), 15, "a rollover");
    }

    #[test]
    fn a_point_is_known_by_its_time_and_value_unless_it_came_earlier() {
        let mut series = Series::default();
        series.insert(Point { at: at(5), seq: 3, value: 'a' });
        assert!(series.knows(at(5), 3, &'a') && series.knows(at(5), 9, &'a'));
        assert!(!series.knows(at(5), 2, &'a'), "an earlier order would replace it");
        assert!(!series.knows(at(5), 3, &'b') && !series.knows(at(6), 3, &'a'));
        assert_eq!(series.insert(Point { at: at(5), seq: 2, value: 'a' }), Some(0));
        assert_eq!(series.points().len(), 1);
        assert_eq!(series.insert(Point { at: at(5), seq: 2, value: 'a' }), None);
    }

    #[test]
    fn a_value_holds_from_its_instant_on_and_a_window_takes_the_one_that_holds_with_it() {
        let mut series = Series::default();
        for (tick, value) in [(2, 'a'), (4, 'b'), (6, 'c')] {
            series.insert(Point { at: at(tick), seq: 0, value });
        }
        let holding = |tick| series.holding_at(at(tick)).map(|point| point.value);
        assert_eq!([holding(1), holding(2), holding(5)], [None, Some('a'), Some('b')]);
        let values =
            |from, to| series.extract(window(from, to)).iter().map(|p| p.value).collect::<String>();
        assert_eq!(values(3, 6), "ab");
        assert_eq!(values(4, 7), "bc");
        assert_eq!(values(7, 9), "c");
    }

    #[test]
    fn of_rules_of_one_instant_the_last_holds_and_the_same_rule_is_no_change() {
        let rule = |max| CounterRule { max_step: Some(max), ..CounterRule::default() };
        let mut series = CountSeries::new(rule(1));
        series.set_rule(at(5), rule(2));
        series.set_rule(at(5), rule(3));
        series.set_rule(at(8), rule(3));
        for (tick, value) in [(4, 0), (5, 3), (9, 6)] {
            series.insert(point(tick, 0, value));
        }
        assert_eq!(series.counted_in(window(0, 10)), 6);
        assert_eq!(series.usable_before(at(4)), Some(at(4)));
        assert_eq!(series.usable_before(at(3)), None);
        assert_eq!(series.steps_in(window(5, 9)).count(), 1, "the end is outside");
    }

    #[test]
    fn activity_is_found_before_and_after_an_instant() {
        let mut series = CountSeries::default();
        for (tick, value) in [(1, 10), (3, 11), (5, 11), (7, 11), (9, 12)] {
            series.insert(point(tick, 0, value));
        }
        assert_eq!(series.active_before(at(2)), None, "a baseline is no activity");
        assert_eq!(series.active_before(at(3)), Some(at(3)));
        assert_eq!(series.active_before(at(8)), Some(at(3)));
        assert_eq!(series.active_from(at(3)), Some(at(3)));
        assert_eq!(series.active_from(at(4)), Some(at(9)));
        assert_eq!(series.active_from(at(10)), None);
    }

    #[test]
    fn the_first_batch_counts_and_is_made_when_it_is_told() {
        let kind = CounterKind::Batch;
        let mut series = CountSeries::new(CounterRule { kind, ..CounterRule::default() });
        series.insert(point(3, 0, 60));
        series.insert(point(8, 0, 60));
        assert_eq!(series.counted_in(window(0, 4)), 60);
        assert_eq!(series.counted_in(window(4, 9)), 60);
        let steps: Vec<_> = series.steps_in(window(0, 9)).map(|s| (s.previous, s.delta)).collect();
        assert_eq!(steps, [(at(3), 60), (at(8), 60)]);
        assert_eq!(series.steps_across(window(4, 8)), [], "a report is no step over a gap");
        assert_eq!(series.steps_across(window(2, 4)).len(), 1, "unless it lies in it");
    }

    #[test]
    fn draining_keeps_the_baseline() {
        let mut series = CountSeries::default();
        for n in 1..6 {
            series.insert(point(n, 0, n as u64 * 10));
        }
        let drained = series.drain_before(at(4));
        assert_eq!(drained.len(), 2, "the value at 3 stays as a baseline");
        assert_eq!(series.counted_in(window(0, 6)), 20);
        series.insert(point(7, 0, 51));
        assert_eq!(series.counted_in(window(4, 8)), 21);
    }

    #[test]
    fn steps_across_a_gap_are_those_that_nobody_saw() {
        let mut series = CountSeries::default();
        for (tick, value) in [(1, 0), (5, 4), (20, 10), (21, 11)] {
            series.insert(point(tick, 0, value));
        }
        let steps = series.steps_across(window(8, 20));
        assert_eq!(steps.len(), 1);
        assert_eq!((steps[0].previous, steps[0].at, steps[0].delta), (at(5), at(20), 6));
    }

    #[test]
    fn the_same_value_told_earlier_takes_the_place_of_the_one_told_later() {
        let mut series = Series::default();
        series.insert(Point { at: at(1), seq: 0, value: 'x' });
        series.insert(Point { at: at(5), seq: 3, value: 'a' });
        assert_eq!(series.insert(Point { at: at(5), seq: 2, value: 'a' }), Some(1));
        assert_eq!(series.points()[1].seq, 2);
    }

    #[test]
    fn a_new_rule_leaves_those_before_it() {
        let rule = |max| CounterRule { max_step: Some(max), ..CounterRule::default() };
        let mut series = CountSeries::new(rule(1));
        series.set_rule(at(5), rule(50));
        series.set_rule(at(9), rule(5));
        for (tick, value) in [(1, 0), (2, 3), (5, 9), (9, 20), (10, 24)] {
            series.insert(point(tick, 0, value));
        }
        let counted = |tick| series.counted_in(window(tick, tick + 1));
        assert_eq!([2, 5, 9, 10].map(counted), [0, 6, 0, 4], "each by the rule of its time");
    }

    #[test]
    fn what_went_to_the_archive_is_no_activity_of_what_stays() {
        let mut series = CountSeries::default();
        for (tick, value) in [(1, 10), (3, 14), (5, 14), (9, 15)] {
            series.insert(point(tick, 0, value));
        }
        series.drain_before(at(4));
        assert_eq!(series.active_before(at(8)), None, "the baseline was counted before");
        assert_eq!(series.active_before(at(9)), Some(at(9)));
        assert_eq!(series.counted_in(window(0, 10)), 1);
    }

    #[test]
    fn a_window_takes_the_usable_value_before_it_and_what_was_counted_until_then() {
        let mut series = CountSeries::default();
        for (tick, value) in [(1, Some(10)), (3, Some(14)), (4, None), (6, Some(17)), (9, Some(20))]
        {
            series.insert(Point { at: at(tick), seq: 0, value });
        }
        let part = series.extract(window(5, 9));
        let ticks: Vec<_> = part.values().points().iter().map(|p| p.at).collect();
        assert_eq!(ticks, [at(3), at(4), at(6)]);
        assert_eq!(part.counted_in(window(5, 9)), 3);
        assert_eq!(part.latest(), Some((17, at(6))));
        let exact: Vec<_> = series.extract(window(6, 9)).values().points().to_vec();
        assert_eq!(exact, [point(6, 0, 17)], "the one at its start holds");
        assert_eq!(series.extract(window(0, 1)).values().points(), []);
    }

    #[test]
    fn batches_need_none_before_them_and_leave_as_a_whole() {
        let kind = CounterKind::Batch;
        let mut series = CountSeries::new(CounterRule { kind, ..CounterRule::default() });
        series.insert(point(3, 0, 60));
        series.insert(point(8, 0, 40));
        assert_eq!(series.drain_before(at(5)).len(), 1);
        assert_eq!(series.values().points().len(), 1);
        assert_eq!(series.counted_in(window(0, 9)), 40);
    }
}
