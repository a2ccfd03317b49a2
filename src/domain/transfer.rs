//! What a machine was told of the order of its line, and what came of it.
//!
//! Telling a machine is a fact like any other. That a method is about to be called is a fact before it is
//! called, so that one whose answer was lost is never called again: a machine must not start twice.

use super::id::OrderId;
use super::order::JobState;
use super::time::Timestamp;

/// What has happened to an order when a machine is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferMoment {
    /// It begins.
    Start,
    /// It is interrupted.
    Pause,
    /// It goes on.
    Resume,
    /// It has ended, or is taken away.
    End,
}

impl TransferMoment {
    /// All moments.
    pub const ALL: [TransferMoment; 4] =
        [TransferMoment::Start, TransferMoment::Pause, TransferMoment::Resume, TransferMoment::End];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            TransferMoment::Start => "start",
            TransferMoment::Pause => "pause",
            TransferMoment::Resume => "resume",
            TransferMoment::End => "end",
        }
    }
}

/// What came of telling a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransferOutcome {
    /// The next method is about to be called.
    Calling,
    /// The machine knows it.
    Known,
    /// The machine does not take it, or cannot be told it; it is told again.
    Refused {
        /// Why, in words for people.
        why: String,
    },
    /// The machine does not take the end of the order and is not told it again: another order waits for it.
    GivenUp {
        /// Why, in words for people.
        why: String,
    },
    /// A method was called and nothing was answered: whether the machine has done it is not known, and it is not
    /// called again.
    Unanswered {
        /// What was called, in words for people.
        why: String,
    },
}

impl TransferOutcome {
    /// Why the machine does not know it, or may not know it; empty where it does.
    pub fn why(&self) -> &str {
        match self {
            TransferOutcome::Calling | TransferOutcome::Known => "",
            TransferOutcome::Refused { why }
            | TransferOutcome::GivenUp { why }
            | TransferOutcome::Unanswered { why } => why,
        }
    }
}

/// An order as a machine was told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderTransfer {
    /// The order.
    pub order: OrderId,
    /// Its revision.
    pub revision: u64,
    /// How it stood.
    pub state: JobState,
    /// What had happened to it.
    pub moment: TransferMoment,
    /// How many of the methods for this moment the machine has carried out.
    pub calls: u32,
    /// What came of it.
    pub outcome: TransferOutcome,
}

impl OrderTransfer {
    /// Whether it is about the same order, told as the same.
    pub fn is_of(&self, other: &OrderTransfer) -> bool {
        (&self.order, self.revision, self.state) == (&other.order, other.revision, other.state)
    }
}

/// What is known of telling one machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MachineTransfer {
    /// What it was told last and knows, or may know.
    pub told: Option<OrderTransfer>,
    /// What came of telling it the last time, and when.
    pub last: Option<(OrderTransfer, Timestamp)>,
    /// The method that is being called, if any.
    pub calling: Option<OrderTransfer>,
}

impl MachineTransfer {
    /// Whether a fact says nothing that is not known.
    pub fn has(&self, transfer: &OrderTransfer) -> bool {
        match transfer.outcome {
            TransferOutcome::Calling => self.calling.as_ref() == Some(transfer),
            _ => self.calling.is_none() && self.is_last(transfer),
        }
    }

    /// Whether it is what came of telling it the last time.
    pub fn is_last(&self, transfer: &OrderTransfer) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| last == transfer)
    }

    /// How many of the methods for what it is told now the machine has carried out.
    pub fn calls_of(&self, now: &OrderTransfer) -> u32 {
        let last = self.last.as_ref().map(|(last, _)| last);
        let known = [self.calling.as_ref(), last, self.told.as_ref()].into_iter().flatten();
        let same = known.filter(|known| known.is_of(now) && known.moment == now.moment);
        same.map(|known| known.calls).max().unwrap_or(0)
    }

    /// A fact takes effect.
    pub fn note(&mut self, transfer: &OrderTransfer, at: Timestamp) {
        use TransferOutcome::{Calling, GivenUp, Known, Refused, Unanswered};
        match transfer.outcome {
            Calling => {
                self.calling = Some(transfer.clone());
                return;
            }
            Known | GivenUp { .. } | Unanswered { .. } => self.told = Some(transfer.clone()),
            Refused { .. } => {}
        }
        self.calling = None;
        self.last = Some((transfer.clone(), at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(calls: u32, outcome: TransferOutcome) -> OrderTransfer {
        OrderTransfer {
            order: OrderId::parse("A").unwrap(),
            revision: 1,
            state: JobState::Running,
            moment: TransferMoment::Start,
            calls,
            outcome,
        }
    }

    #[test]
    fn what_was_told_before_stays_when_something_is_refused() {
        let at = Timestamp::from_ticks(1);
        let mut machine = MachineTransfer::default();
        let known = transfer(0, TransferOutcome::Known);
        machine.note(&known, at);
        assert!(machine.has(&known));
        let revised = |outcome| OrderTransfer { revision: 2, ..transfer(1, outcome) };
        machine.note(&revised(TransferOutcome::Calling), at);
        assert!(!machine.has(&known), "what is being called is not over");
        let refused = revised(TransferOutcome::Refused { why: "it is open".into() });
        machine.note(&refused, at);
        assert_eq!(machine.told, Some(known));
        assert!(machine.has(&refused) && machine.calling.is_none());
        assert_eq!(machine.calls_of(&revised(TransferOutcome::Known)), 1);
        assert_eq!(machine.calls_of(&transfer(9, TransferOutcome::Known)), 0);
        let resumed =
            OrderTransfer { moment: TransferMoment::Resume, ..revised(TransferOutcome::Known) };
        assert_eq!(machine.calls_of(&resumed), 0, "other methods are called then");
    }

    #[test]
    fn what_was_not_answered_counts_as_told() {
        let mut machine = MachineTransfer::default();
        machine.note(&transfer(0, TransferOutcome::Calling), Timestamp::from_ticks(1));
        assert_eq!((&machine.told, &machine.last), (&None, &None));
        let lost = transfer(0, TransferOutcome::Unanswered { why: "Start".into() });
        machine.note(&lost, Timestamp::from_ticks(2));
        assert_eq!(machine.told, Some(lost));
    }
}
