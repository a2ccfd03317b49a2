//! Job orders and their state machine (ISA-95, OPC 10031-4 version 2).
//!
//! The table [`transition`] is the only place that says which command is allowed in which state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::id::{LineId, LotId, MachineId, OrderId, ProductId};
use super::quantity::Quantity;
use super::time::{Span, Timestamp, Window};

/// State of a job order, with the numbers of OPC 10031-4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum JobState {
    /// Stored, not released.
    NotAllowedToStart,
    /// Released.
    AllowedToStart,
    /// In production.
    Running,
    /// Production is interrupted.
    Interrupted,
    /// Production has ended; late counts may still correct the totals.
    Ended,
    /// Given up.
    Aborted,
    /// Ended and reconciled; nothing changes any more (substate Closed of Ended).
    Closed,
}

impl JobState {
    /// All states.
    pub const ALL: [JobState; 7] = [
        JobState::NotAllowedToStart,
        JobState::AllowedToStart,
        JobState::Running,
        JobState::Interrupted,
        JobState::Ended,
        JobState::Aborted,
        JobState::Closed,
    ];

    /// The name in OPC 10031-4, also used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::NotAllowedToStart => "NotAllowedToStart",
            JobState::AllowedToStart => "AllowedToStart",
            JobState::Running => "Running",
            JobState::Interrupted => "Interrupted",
            JobState::Ended => "Ended",
            JobState::Aborted => "Aborted",
            JobState::Closed => "Closed",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether production has not begun.
    pub fn is_prepared(self) -> bool {
        matches!(self, JobState::NotAllowedToStart | JobState::AllowedToStart)
    }

    /// Whether production is over.
    pub fn is_final(self) -> bool {
        matches!(self, JobState::Ended | JobState::Aborted | JobState::Closed)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What can be asked of a job order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum JobCommand {
    /// Allow it to start (ISA-95 Start).
    Release,
    /// Take the release back (RevokeStart).
    Revoke,
    /// Begin production; done by the execution system.
    Start,
    /// Interrupt production (Pause).
    Pause,
    /// Continue production (Resume).
    Resume,
    /// End production (Stop).
    Complete,
    /// Give up an order that has not begun (Cancel).
    Cancel,
    /// Give up an order at any time before its end (Abort).
    Abort,
    /// Reconcile an ended order.
    Close,
}

impl JobCommand {
    /// All commands.
    pub const ALL: [JobCommand; 9] = [
        JobCommand::Release,
        JobCommand::Revoke,
        JobCommand::Start,
        JobCommand::Pause,
        JobCommand::Resume,
        JobCommand::Complete,
        JobCommand::Cancel,
        JobCommand::Abort,
        JobCommand::Close,
    ];

    /// The word used in JSON and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            JobCommand::Release => "release",
            JobCommand::Revoke => "revoke",
            JobCommand::Start => "start",
            JobCommand::Pause => "pause",
            JobCommand::Resume => "resume",
            JobCommand::Complete => "complete",
            JobCommand::Cancel => "cancel",
            JobCommand::Abort => "abort",
            JobCommand::Close => "close",
        }
    }

    /// The command of that name.
    pub fn parse(text: &str) -> Option<JobCommand> {
        JobCommand::ALL.into_iter().find(|command| command.as_str() == text)
    }
}

/// The state that follows, or `None` when the command is not allowed.
pub fn transition(state: JobState, command: JobCommand) -> Option<JobState> {
    use JobCommand as C;
    use JobState as S;
    match (state, command) {
        (S::NotAllowedToStart, C::Release) => Some(S::AllowedToStart),
        (S::AllowedToStart, C::Revoke) => Some(S::NotAllowedToStart),
        (S::AllowedToStart, C::Start) => Some(S::Running),
        (S::Running, C::Pause) => Some(S::Interrupted),
        (S::Interrupted, C::Resume) => Some(S::Running),
        (S::Running | S::Interrupted, C::Complete) => Some(S::Ended),
        (S::NotAllowedToStart | S::AllowedToStart, C::Cancel) => Some(S::Aborted),
        (state, C::Abort) if !state.is_final() => Some(S::Aborted),
        (S::Ended, C::Close) => Some(S::Closed),
        _ => None,
    }
}

/// The commands allowed in a state; tells a panel which buttons to enable.
pub fn allowed_commands(state: JobState) -> Vec<JobCommand> {
    JobCommand::ALL.into_iter().filter(|c| transition(state, *c).is_some()).collect()
}

/// A stretch of time in which an order was in production on its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderRun {
    /// The order.
    pub order: OrderId,
    /// What it makes.
    pub product: ProductId,
    /// First instant.
    pub start: Timestamp,
    /// First instant after; `None` while it runs.
    pub end: Option<Timestamp>,
    /// Ideal time of a part that the order brought with it when the run began.
    pub cycle: Option<Span>,
}

impl OrderRun {
    /// The time it covers; an open run covers all that follows.
    pub fn window(&self) -> Window {
        Window { from: self.start, to: self.end.unwrap_or(Timestamp::MAX) }
    }
}

/// What the ERP says about an order; compared as a whole between revisions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderRequest {
    /// The number that the ERP gave it.
    pub id: OrderId,
    /// Rises with each change by the ERP.
    pub revision: u64,
    /// Where to make it.
    pub line: LineId,
    /// What to make.
    pub product: ProductId,
    /// How much to make, in the product's unit.
    pub quantity: Quantity,
    /// Number of the lot to make; the order number when absent.
    pub lot: Option<LotId>,
    /// When it should be ready.
    pub due: Option<Timestamp>,
    /// Higher goes first.
    pub priority: i16,
    /// Whether it may start.
    pub released: bool,
    /// Ideal time of a part; that of the product and the equipment when absent.
    pub ideal_cycle: Option<Span>,
}

/// Good and scrapped parts of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Good parts.
    pub good: i64,
    /// Scrapped parts.
    pub scrap: i64,
    /// Parts that wait for rework: those that went to it less those that came back good.
    pub rework: i64,
    /// Good and scrapped parts counted over a gap that another order or none may have made.
    pub unattributed: i64,
}

impl Totals {
    /// What came in addition since `earlier`.
    pub fn since(self, earlier: Totals) -> Totals {
        Totals {
            good: self.good - earlier.good,
            scrap: self.scrap - earlier.scrap,
            rework: self.rework - earlier.rework,
            unattributed: self.unattributed - earlier.unattributed,
        }
    }

    /// Both together.
    pub fn plus(self, other: Totals) -> Totals {
        Totals {
            good: self.good + other.good,
            scrap: self.scrap + other.scrap,
            rework: self.rework + other.rework,
            unattributed: self.unattributed + other.unattributed,
        }
    }
}

/// A job order and all that the core has to remember of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// What the ERP last said.
    pub request: OrderRequest,
    /// Where it stands.
    pub state: JobState,
    /// When it was first stored.
    pub created: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// Production so far; the last one is open while the order runs.
    pub runs: Vec<OrderRun>,
    /// Totals of the evidence that has left memory.
    pub archived: Totals,
    /// Totals as last confirmed to the ERP.
    pub confirmed: Totals,
    /// Number of confirmations sent.
    pub confirmations: u64,
    /// When the totals are looked at again for a confirmation.
    pub confirm_next: Option<Timestamp>,
    /// Lots taken from machine signals, as (machine, lot, from).
    pub consumed: BTreeSet<(MachineId, LotId, Timestamp)>,
    /// Reported quantities by lot.
    pub produced: BTreeMap<LotId, i64>,
}

impl Order {
    /// A new order.
    pub fn new(request: OrderRequest, at: Timestamp) -> Self {
        let state =
            if request.released { JobState::AllowedToStart } else { JobState::NotAllowedToStart };
        Order {
            request,
            state,
            created: at,
            changed: at,
            runs: Vec::new(),
            archived: Totals::default(),
            confirmed: Totals::default(),
            confirmations: 0,
            confirm_next: None,
            consumed: BTreeSet::new(),
            produced: BTreeMap::new(),
        }
    }

    /// Its key.
    pub fn id(&self) -> &OrderId {
        &self.request.id
    }

    /// The lot that it makes.
    pub fn lot(&self) -> LotId {
        match &self.request.lot {
            Some(lot) => lot.clone(),
            None => LotId::parse(self.request.id.as_str())
                .unwrap_or_else(|_| unreachable!("order and lot keys have the same characters")),
        }
    }

    /// When it was first started.
    pub fn started(&self) -> Option<Timestamp> {
        self.runs.first().map(|run| run.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_accept_no_command_but_close_after_ended() {
        for state in JobState::ALL.into_iter().filter(|s| s.is_final()) {
            let allowed = allowed_commands(state);
            let expected = if state == JobState::Ended { vec![JobCommand::Close] } else { vec![] };
            assert_eq!(allowed, expected, "{state}");
        }
    }

    #[test]
    fn every_state_can_be_reached_and_every_unfinished_one_aborted() {
        let mut reached = BTreeSet::from([JobState::NotAllowedToStart]);
        for _ in 0..JobState::ALL.len() {
            let from: Vec<_> = reached.iter().copied().collect();
            for state in from {
                reached.extend(JobCommand::ALL.into_iter().filter_map(|c| transition(state, c)));
            }
        }
        assert_eq!(reached.len(), JobState::ALL.len());
        for state in JobState::ALL.into_iter().filter(|s| !s.is_final()) {
            assert_eq!(transition(state, JobCommand::Abort), Some(JobState::Aborted));
        }
    }
}
