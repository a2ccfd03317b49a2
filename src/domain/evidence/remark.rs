//! What people said about a machine's time: parts, reasons, cuts and joins of stops, stops that no
//! signal told, what happened in a gap.
//!
//! Remarks are only ever added. A later one holds against an earlier one and leaves it readable.

use std::collections::BTreeSet;

use crate::domain::id::{OrderId, ReasonId};
use crate::domain::signal::MachineState;
use crate::domain::time::{Span, Timestamp, Window};

/// No statement about a stop or a gap is longer than this.
pub const REMARK_LONGEST: Span = Span::from_seconds(31 * 86_400);

/// Who said something, and when.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Said {
    /// When it was said.
    pub at: Timestamp,
    /// Order among remarks of the same time.
    pub seq: u64,
    /// Who said so.
    pub actor: String,
    /// Why, in free text.
    pub comment: String,
}

/// Parts that a person reported at a machine, added to what the counters say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Adjustment {
    /// When.
    pub at: Timestamp,
    /// Order among adjustments of the same time.
    pub seq: u64,
    /// The order they belong to.
    pub order: OrderId,
    /// Good parts; negative when counted good parts turned out not to be good.
    pub good: i64,
    /// Scrapped parts.
    pub reject: i64,
    /// Parts that were not good at first and go to rework.
    pub rework: i64,
    /// Reworked parts that are good now; no part of any ratio.
    pub rework_good: i64,
}

/// What a person said about a stop.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Classification {
    /// An instant inside the stop; the stop that contains it is meant.
    pub anchor: Timestamp,
    /// The reason given.
    pub reason: ReasonId,
    /// Who, when and why.
    pub said: Said,
}

/// A cut of a stop: what follows is a stop of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StopCut {
    /// First instant of the second part.
    pub at: Timestamp,
    /// Who, when and why.
    pub said: Said,
}

/// Stops that are one: parts of a stop that was cut, or stops with a short run between them.
///
/// The run between them stays run time; one record, one reason, one failure.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StopJoin {
    /// Start of the first.
    pub first: Timestamp,
    /// Start of the last.
    pub last: Timestamp,
    /// Who, when and why.
    pub said: Said,
}

/// A stop that a person stated, whatever the signals say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StatedStop {
    /// When the machine stood.
    pub window: Window,
    /// Why; `None` takes an earlier statement of the same window back.
    pub reason: Option<ReasonId>,
    /// Who, when and why.
    pub said: Said,
}

/// What a machine did while nobody saw it, as a person states it.
///
/// The time is known then, and so are the parts that were counted over it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ResolvedGap {
    /// The time.
    pub window: Window,
    /// The state.
    pub state: MachineState,
    /// Who, when and why.
    pub said: Said,
}

/// One remark.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Remark {
    /// Parts.
    Parts(Adjustment),
    /// A reason.
    Classified(Classification),
    /// A cut.
    Cut(StopCut),
    /// A join.
    Joined(StopJoin),
    /// A stop.
    Stated(StatedStop),
    /// A gap.
    Resolved(ResolvedGap),
}

impl Remark {
    /// The instant under which it is found.
    pub fn anchor(&self) -> Timestamp {
        match self {
            Remark::Parts(adjustment) => adjustment.at,
            Remark::Classified(classification) => classification.anchor,
            Remark::Cut(cut) => cut.at,
            Remark::Joined(join) => join.first,
            Remark::Stated(stop) => stop.window.from,
            Remark::Resolved(gap) => gap.window.from,
        }
    }

    /// The last instant that it is about.
    pub fn reaches(&self) -> Timestamp {
        match self {
            Remark::Joined(join) => join.last,
            Remark::Stated(stop) => stop.window.to,
            Remark::Resolved(gap) => gap.window.to,
            other => other.anchor(),
        }
    }
}

/// All remarks about a machine, each kind in a fixed order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remarks(BTreeSet<Remark>);

impl Remarks {
    /// Adds a remark; one that is known changes nothing.
    pub fn add(&mut self, remark: Remark) {
        self.0.insert(remark);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Remark> + Clone {
        self.0.iter()
    }

    /// Keeps those for which the condition holds.
    pub fn retain(&mut self, keep: impl Fn(&Remark) -> bool) {
        self.0.retain(keep);
    }

    /// Reported parts, in order of time.
    pub fn adjustments(&self) -> impl Iterator<Item = &Adjustment> + Clone {
        self.iter().filter_map(|remark| match remark {
            Remark::Parts(adjustment) => Some(adjustment),
            _ => None,
        })
    }

    /// Reasons that were given, in order of their anchors.
    pub fn classifications(&self) -> impl Iterator<Item = &Classification> + Clone {
        self.iter().filter_map(|remark| match remark {
            Remark::Classified(classification) => Some(classification),
            _ => None,
        })
    }

    /// Stops that were stated and not taken back, in order of time.
    pub fn stated_stops(&self) -> Vec<&StatedStop> {
        let stated = self.iter().filter_map(|remark| match remark {
            Remark::Stated(stop) => Some(stop),
            _ => None,
        });
        let mut newest: Vec<&StatedStop> = Vec::new();
        for stop in stated {
            match newest.iter_mut().find(|known| known.window == stop.window) {
                Some(known) if known.said < stop.said => *known = stop,
                Some(_) => {}
                None => newest.push(stop),
            }
        }
        newest.retain(|stop| stop.reason.is_some());
        newest
    }

    /// What was stated about gaps, in the order in which it was said.
    pub fn resolved_gaps(&self) -> Vec<&ResolvedGap> {
        let mut resolved: Vec<&ResolvedGap> = self
            .iter()
            .filter_map(|remark| match remark {
                Remark::Resolved(gap) => Some(gap),
                _ => None,
            })
            .collect();
        resolved.sort_by(|a, b| a.said.cmp(&b.said));
        resolved
    }

    /// Cuts and joins as they stand after all that was said.
    pub fn partition(&self) -> StopPartition {
        let mut said: Vec<(&Said, &Remark)> = self
            .iter()
            .filter_map(|remark| match remark {
                Remark::Cut(cut) => Some((&cut.said, remark)),
                Remark::Joined(join) => Some((&join.said, remark)),
                _ => None,
            })
            .collect();
        said.sort();
        let mut partition = StopPartition::default();
        for (_, remark) in said {
            match remark {
                Remark::Cut(cut) => partition.cut(cut.at),
                Remark::Joined(join) => partition.join(join.first, join.last),
                _ => {}
            }
        }
        partition
    }
}

/// Where stops are cut, and which of them are one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StopPartition {
    /// First instants of second parts.
    pub cuts: BTreeSet<Timestamp>,
    /// Starts of the first and last stop of those that are one; disjoint.
    pub joins: Vec<(Timestamp, Timestamp)>,
}

impl StopPartition {
    fn cut(&mut self, at: Timestamp) {
        self.cuts.insert(at);
        let mut kept = Vec::new();
        for (first, last) in std::mem::take(&mut self.joins) {
            if first < at && at <= last {
                let before = Timestamp::from_ticks(at.ticks().saturating_sub(1));
                kept.extend([(first, before), (at, last)]);
            } else {
                kept.push((first, last));
            }
        }
        self.joins = kept;
    }

    fn join(&mut self, first: Timestamp, last: Timestamp) {
        self.cuts.retain(|cut| *cut <= first || last < *cut);
        let (mut first, mut last) = (first, last);
        // Joins that touch become one.
        self.joins.retain(|(other_first, other_last)| {
            let apart = *other_last < first || last < *other_first;
            if !apart {
                first = first.min(*other_first);
                last = last.max(*other_last);
            }
            apart
        });
        self.joins.push((first, last));
        self.joins.sort_unstable();
    }

    /// The start under which a stop is known: that of the first of those that are one with it.
    pub fn record_of(&self, start: Timestamp) -> Timestamp {
        let joined = self.joins.iter().find(|(first, last)| *first <= start && start <= *last);
        joined.map_or(start, |(first, _)| *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tick: i64) -> Timestamp {
        Timestamp::from_ticks(tick)
    }

    fn said(tick: i64) -> Said {
        Said { at: at(tick), seq: 0, actor: "ann".into(), comment: String::new() }
    }

    fn cut(tick: i64, when: i64) -> Remark {
        Remark::Cut(StopCut { at: at(tick), said: said(when) })
    }

    fn join(first: i64, last: i64, when: i64) -> Remark {
        Remark::Joined(StopJoin { first: at(first), last: at(last), said: said(when) })
    }

    fn partition(remarks: &[Remark]) -> StopPartition {
        let mut all = Remarks::default();
        remarks.iter().rev().for_each(|remark| all.add(remark.clone()));
        all.partition()
    }

    #[test]
    fn what_was_said_last_holds_in_whatever_order_it_is_known() {
        let joined = partition(&[cut(20, 1), join(10, 20, 2)]);
        assert!(joined.cuts.is_empty());
        assert_eq!(joined.record_of(at(20)), at(10));
        let cut_again = partition(&[cut(20, 1), join(10, 20, 2), cut(20, 3)]);
        assert_eq!(cut_again.record_of(at(20)), at(20));
        assert_eq!(cut_again.record_of(at(10)), at(10));
        assert_eq!(cut_again.cuts.len(), 1);
    }

    #[test]
    fn joins_that_touch_are_one_and_others_stay_apart() {
        let joined = partition(&[join(10, 20, 1), join(20, 30, 2), join(50, 60, 3)]);
        assert_eq!(joined.record_of(at(30)), at(10));
        assert_eq!(joined.record_of(at(60)), at(50));
        assert_eq!(joined.record_of(at(40)), at(40));
    }

    #[test]
    fn a_stated_stop_is_taken_back_by_a_later_remark_only() {
        let window = Window { from: at(10), to: at(20) };
        let reason = Some(ReasonId::parse("jam").unwrap());
        let stated = |reason, when| Remark::Stated(StatedStop { window, reason, said: said(when) });
        let mut remarks = Remarks::default();
        remarks.add(stated(None, 2));
        remarks.add(stated(reason.clone(), 1));
        assert!(remarks.stated_stops().is_empty());
        remarks.add(stated(reason, 3));
        assert_eq!(remarks.stated_stops().len(), 1);
    }
}
