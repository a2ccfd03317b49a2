//! Numbers of parts, and how what was not counted follows from what was.

use crate::domain::plant::Machine;
use crate::domain::signal::SignalRole;

/// Numbers of parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Good parts.
    pub good: i64,
    /// Parts rejected in production.
    pub reject: i64,
    /// Parts rejected while the process settled after a start.
    pub startup_reject: i64,
    /// Parts that were not good at first and go to rework.
    pub rework: i64,
    /// All parts processed: those four together.
    pub total: i64,
    /// Parts that came in.
    pub infeed: i64,
    /// Reworked parts that are good now; part of no ratio, they were counted when first made.
    pub rework_good: i64,
}

impl Parts {
    /// Adds another number of parts.
    pub fn merge(&mut self, other: Parts) {
        self.good += other.good;
        self.reject += other.reject;
        self.startup_reject += other.startup_reject;
        self.rework += other.rework;
        self.total += other.total;
        self.infeed += other.infeed;
        self.rework_good += other.rework_good;
    }

    /// The same numbers with the opposite sign.
    pub fn negated(self) -> Parts {
        Parts {
            good: -self.good,
            reject: -self.reject,
            startup_reject: -self.startup_reject,
            rework: -self.rework,
            total: -self.total,
            infeed: -self.infeed,
            rework_good: -self.rework_good,
        }
    }

    /// Parts that were scrapped.
    pub fn scrap(self) -> i64 {
        self.reject + self.startup_reject
    }
}

/// Which counters a machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    good: bool,
    reject: bool,
    total: bool,
}

impl Counters {
    /// The counters bound on a machine.
    pub fn of(machine: &Machine) -> Self {
        let has = |role| machine.rule(role).is_some();
        Counters {
            good: has(SignalRole::Good),
            reject: has(SignalRole::Reject),
            total: has(SignalRole::Total),
        }
    }

    /// Whether the machine counts good parts, directly or as total less what is not good.
    pub fn counts_good(self) -> bool {
        self.good || self.total
    }

    /// Whether rejects are counted, directly or as total less good.
    pub fn counts_reject(self) -> bool {
        self.reject || (self.good && self.total)
    }

    /// Completes what was counted by role with what follows from it.
    ///
    /// Of total, good and reject, the third is derived where two are counted; all three counted,
    /// good and reject hold.
    pub fn derive(self, counted: impl Fn(SignalRole) -> i64) -> Parts {
        let startup_reject = counted(SignalRole::StartupReject);
        let rework = counted(SignalRole::Rework);
        let (good, reject) = (counted(SignalRole::Good), counted(SignalRole::Reject));
        let of_total = counted(SignalRole::Total) - startup_reject - rework;
        let (good, reject) = match (self.good, self.reject, self.total) {
            (true, false, true) => (good, of_total - good),
            (false, _, true) => (of_total - reject, reject),
            (true, true, _) | (_, _, false) => (good, reject),
        };
        Parts {
            good,
            reject,
            startup_reject,
            rework,
            total: good + reject + startup_reject + rework,
            infeed: counted(SignalRole::Infeed),
            rework_good: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(good: Option<i64>, reject: Option<i64>, total: Option<i64>) -> (i64, i64, i64) {
        let (has_good, has_reject, has_total) = (good.is_some(), reject.is_some(), total.is_some());
        let counters = Counters { good: has_good, reject: has_reject, total: has_total };
        let parts = counters.derive(|role| match role {
            SignalRole::Good => good.unwrap_or(0),
            SignalRole::Reject => reject.unwrap_or(0),
            SignalRole::Total => total.unwrap_or(0),
            SignalRole::StartupReject => 2,
            SignalRole::Rework => 3,
            SignalRole::Infeed => 120,
            _ => 0,
        });
        assert_eq!((parts.startup_reject, parts.rework, parts.infeed), (2, 3, 120));
        (parts.good, parts.reject, parts.total)
    }

    #[test]
    fn the_third_of_total_good_and_reject_is_derived() {
        assert_eq!(derived(Some(90), Some(5), None), (90, 5, 100));
        assert_eq!(derived(Some(90), None, Some(100)), (90, 5, 100));
        assert_eq!(derived(None, Some(5), Some(100)), (90, 5, 100));
        assert_eq!(derived(Some(90), Some(6), Some(100)), (90, 6, 101), "what is counted holds");
        assert_eq!(derived(None, None, Some(100)), (95, 0, 100));
        assert_eq!(derived(Some(90), None, None), (90, 0, 95));
        assert_eq!(derived(None, Some(5), None), (0, 5, 10));
    }

    #[test]
    fn what_is_counted_is_known_to_be() {
        let counters = |good, reject, total| Counters { good, reject, total };
        assert!(counters(false, false, true).counts_good());
        assert!(!counters(false, true, false).counts_good());
        assert!(counters(true, false, true).counts_reject());
        assert!(counters(false, true, false).counts_reject());
        assert!(!counters(true, false, false).counts_reject());
        assert!(!counters(false, false, true).counts_reject());
    }

    #[test]
    fn parts_add_up_and_cancel_out() {
        let parts = Parts {
            good: 1,
            reject: 2,
            startup_reject: 3,
            rework: 4,
            total: 10,
            infeed: 11,
            rework_good: 5,
        };
        let mut sum = parts;
        sum.merge(parts);
        assert_eq!((sum.good, sum.reject, sum.startup_reject, sum.rework), (2, 4, 6, 8));
        assert_eq!((sum.total, sum.infeed, sum.rework_good, sum.scrap()), (20, 22, 10, 10));
        sum.merge(parts.negated());
        assert_eq!(sum, parts);
    }
}
