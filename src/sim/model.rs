//! How simulated machines behave, in steps of simulated time; pure, and repeatable by its seed.

use super::STEP_MS;

/// Which tags a machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MachineKind {
    /// A state code, counters, a lot number and a process value.
    Plain,
    /// PackML state numbers and counters.
    PackMl,
}

/// A tag of a machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tag {
    /// State code.
    State,
    /// Good parts; of PackML machines all processed parts.
    Count,
    /// Rejected parts.
    Reject,
    /// Lot in use.
    Lot,
    /// Temperature or speed.
    Process,
}

/// The value of a tag.
#[derive(Clone, PartialEq, Debug)]
pub enum TagValue {
    /// A state code.
    Code(i32),
    /// A counter.
    Count(u32),
    /// A lot number.
    Lot(String),
    /// A process value.
    Number(f64),
}

/// Something that happens to a machine.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// A tag has a new value.
    Tag(Tag, TagValue),
    /// Its server restarts.
    Restart,
    /// Its link breaks for a while.
    LinkDrop,
}

/// Parts that wait between two machines at most.
const BUFFER_MAX: u32 = 20;
/// Counters start again at 0 after this value.
pub const ROLLOVER: u32 = 9_999;
/// Parts that one lot of material suffices for.
const PARTS_PER_LOT: u32 = 150;
/// Parts after which the line changes over.
const PARTS_PER_CHANGEOVER: u32 = 600;
const REJECT_SHARE: f64 = 0.02;
const MICRO_STOP_EVERY_MS: f64 = 25_000.0;
const MICRO_STOP_MS: (u64, u64) = (500, 3_000);
const BREAKDOWN_EVERY_MS: f64 = 150_000.0;
const BREAKDOWN_MS: (u64, u64) = (8_000, 30_000);
const CHANGEOVER_MS: (u64, u64) = (10_000, 20_000);
const RESTART_EVERY_MS: f64 = 600_000.0;
const LINK_DROP_EVERY_MS: f64 = 300_000.0;

/// What a machine is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Running,
    Waiting,
    Blocked,
    MicroStop(u64),
    Breakdown(u64),
    Changeover(u64),
}

struct Machine {
    kind: MachineKind,
    cycle_ms: u64,
    mode: Mode,
    progress_ms: u64,
    /// Parts that wait in front of it.
    input: u32,
    good: u32,
    reject: u32,
    made: u32,
    process: f64,
    shown: Vec<(Tag, TagValue)>,
}

/// A line of machines with buffers between them.
pub struct LineModel {
    random: fastrand::Rng,
    now_ms: u64,
    machines: Vec<Machine>,
}

impl LineModel {
    /// A line that stands still; what it will do follows from the seed.
    pub fn new(seed: u64, machines: &[(MachineKind, u64)]) -> LineModel {
        let mut random = fastrand::Rng::with_seed(seed);
        let machines = machines.iter().map(|(kind, cycle_ms)| Machine {
            kind: *kind,
            cycle_ms: *cycle_ms,
            mode: Mode::Waiting,
            progress_ms: 0,
            input: 0,
            // Near the end of the range, so that a rollover is soon to be seen.
            good: ROLLOVER - random.u32(50..200),
            reject: random.u32(0..50),
            made: 0,
            process: 20.0,
            shown: Vec::new(),
        });
        LineModel { machines: machines.collect(), random, now_ms: 0 }
    }

    /// Lets one step of time pass; what changed, by machine.
    pub fn step(&mut self) -> Vec<(usize, Change)> {
        self.now_ms += STEP_MS;
        let mut changes = Vec::new();
        for index in 0..self.machines.len() {
            self.disturb(index, &mut changes);
            self.work(index);
            let shown = self.show(index);
            changes.extend(shown.into_iter().map(|(tag, value)| (index, Change::Tag(tag, value))));
        }
        changes
    }

    fn happens(&mut self, every_ms: f64) -> bool {
        self.random.f64() < STEP_MS as f64 / every_ms
    }

    fn until(&mut self, range: (u64, u64)) -> u64 {
        self.now_ms + self.random.u64(range.0..range.1)
    }

    fn disturb(&mut self, index: usize, changes: &mut Vec<(usize, Change)>) {
        if self.happens(RESTART_EVERY_MS) {
            changes.push((index, Change::Restart));
        }
        if self.happens(LINK_DROP_EVERY_MS) {
            changes.push((index, Change::LinkDrop));
        }
        let (micro, breakdown) =
            (self.happens(MICRO_STOP_EVERY_MS), self.happens(BREAKDOWN_EVERY_MS));
        if self.machines[index].mode != Mode::Running {
            return;
        }
        if breakdown {
            self.machines[index].mode = Mode::Breakdown(self.until(BREAKDOWN_MS));
        } else if micro {
            self.machines[index].mode = Mode::MicroStop(self.until(MICRO_STOP_MS));
        }
    }

    fn work(&mut self, index: usize) {
        let has_input = index == 0 || self.machines[index].input > 0;
        let has_room = self.machines.get(index + 1).is_none_or(|next| next.input < BUFFER_MAX);
        let machine = &mut self.machines[index];
        machine.mode = match machine.mode {
            Mode::MicroStop(until) | Mode::Breakdown(until) | Mode::Changeover(until)
                if self.now_ms < until =>
            {
                return;
            }
            _ if !has_room => Mode::Blocked,
            _ if !has_input => Mode::Waiting,
            _ => Mode::Running,
        };
        if machine.mode != Mode::Running {
            return;
        }
        machine.progress_ms += STEP_MS;
        if machine.progress_ms >= machine.cycle_ms {
            machine.progress_ms -= machine.cycle_ms;
            self.make_part(index);
        }
    }

    fn make_part(&mut self, index: usize) {
        let is_reject = self.random.f64() < REJECT_SHARE;
        let machine = &mut self.machines[index];
        machine.input = machine.input.saturating_sub(1);
        machine.made += 1;
        let changes_over = machine.made.is_multiple_of(PARTS_PER_CHANGEOVER);
        let counted = if is_reject { &mut machine.reject } else { &mut machine.good };
        *counted = if *counted >= ROLLOVER { 0 } else { *counted + 1 };
        if !is_reject && let Some(next) = self.machines.get_mut(index + 1) {
            next.input += 1;
        }
        let drift = self.random.f64() - 0.5;
        self.machines[index].process += drift;
        if changes_over {
            self.machines[index].mode = Mode::Changeover(self.until(CHANGEOVER_MS));
        }
    }

    /// The tags whose values differ from those shown before.
    fn show(&mut self, index: usize) -> Vec<(Tag, TagValue)> {
        let machine = &mut self.machines[index];
        let count = match machine.kind {
            MachineKind::Plain => machine.good,
            MachineKind::PackMl => (machine.good + machine.reject) % (ROLLOVER + 1),
        };
        let lot = format!("RAW-{}-{:04}", index + 1, machine.made / PARTS_PER_LOT + 1);
        let now = [
            (Tag::State, TagValue::Code(state_code(machine.kind, machine.mode))),
            (Tag::Count, TagValue::Count(count)),
            (Tag::Reject, TagValue::Count(machine.reject)),
            (Tag::Lot, TagValue::Lot(lot)),
            (Tag::Process, TagValue::Number((machine.process * 10.0).round() / 10.0)),
        ];
        let changed: Vec<_> =
            now.into_iter().filter(|value| !machine.shown.contains(value)).collect();
        for (tag, value) in &changed {
            machine.shown.retain(|(known, _)| known != tag);
            machine.shown.push((*tag, value.clone()));
        }
        changed
    }
}

/// The code of a state: 1 run, 2 setup, 3 fault, 4 blocked, 5 starved; PackML has its own.
fn state_code(kind: MachineKind, mode: Mode) -> i32 {
    match (kind, mode) {
        (MachineKind::Plain, Mode::Running) => 1,
        (MachineKind::Plain, Mode::Changeover(_)) => 2,
        (MachineKind::Plain, Mode::MicroStop(_) | Mode::Breakdown(_)) => 3,
        (MachineKind::Plain, Mode::Blocked) => 4,
        (MachineKind::Plain, Mode::Waiting) => 5,
        (MachineKind::PackMl, Mode::Running) => 6,
        (MachineKind::PackMl, Mode::Changeover(_)) => 4,
        (MachineKind::PackMl, Mode::MicroStop(_)) => 11,
        (MachineKind::PackMl, Mode::Breakdown(_)) => 9,
        (MachineKind::PackMl, Mode::Blocked | Mode::Waiting) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(seed: u64, steps: usize) -> Vec<(usize, Change)> {
        let mut line =
            LineModel::new(seed, &[(MachineKind::Plain, 500), (MachineKind::PackMl, 600)]);
        (0..steps).flat_map(|_| line.step()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_plant_and_another_a_different_one() {
        assert_eq!(trace(7, 20_000), trace(7, 20_000));
        assert_ne!(trace(7, 20_000), trace(8, 20_000));
    }

    #[test]
    fn in_an_hour_everything_that_happens_to_machines_has_happened() {
        let changes = trace(1, 72_000);
        let state = |code| Change::Tag(Tag::State, TagValue::Code(code));
        for wanted in [state(1), state(2), state(3), state(4), Change::Restart, Change::LinkDrop] {
            assert!(changes.contains(&(0, wanted.clone())), "{wanted:?}");
        }
        assert!(changes.contains(&(0, Change::Tag(Tag::Count, TagValue::Count(0)))), "rollover");
        assert!(changes.iter().any(|(_, c)| matches!(c, Change::Tag(Tag::Reject, _))));
    }
}
