//! What happens in the plant and what of it arrives, when and how: a list of inputs in order of
//! arrival, made from a seed with a child for each concern.

use fastrand::Rng;
use linewright::domain::command::{Command, CommandInput, Input, RemarkCommand};
use linewright::domain::evidence::{LinkChange, Observation};
use linewright::domain::id::OrderId;
use linewright::domain::order::{JobCommand, OrderRequest};
use linewright::domain::quantity::Quantity;
use linewright::domain::signal::{MachineState, RawValue, Reading, SignalRole, Unusable};
use linewright::domain::time::{Timestamp, Window};

use super::plant::reason;
use super::plant::{BEGIN, DAY, HOUR, MACHINES, MINUTE, ROLLOVER, SECOND, line, machine, product};

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub name: &'static str,
    /// Longest delay on the way, in seconds.
    pub delay_max: i64,
    /// Of a hundred values, those that come twice.
    pub doubled: u32,
    /// Losses of a link, a day and machine.
    pub cuts: u32,
    /// Of a hundred values, those that are bad.
    pub bad: u32,
    /// Jumps of a machine's clock, a day.
    pub clock_jumps: u32,
    /// Failures of the power, a day.
    pub power_losses: u32,
    /// Whether everything is stopped and changed over at the ends of shifts.
    pub storm: bool,
}

impl Profile {
    pub const CALM: Profile = Profile {
        name: "calm",
        delay_max: 0,
        doubled: 0,
        cuts: 0,
        bad: 0,
        clock_jumps: 0,
        power_losses: 0,
        storm: false,
    };
    pub const FLAKY_NETWORK: Profile = Profile {
        name: "flaky_network",
        delay_max: 600,
        doubled: 10,
        cuts: 6,
        bad: 1,
        ..Self::CALM
    };
    pub const BAD_CLOCK: Profile =
        Profile { name: "bad_clock", clock_jumps: 6, delay_max: 5, ..Self::CALM };
    pub const POWER_LOSS: Profile = Profile { name: "power_loss", power_losses: 8, ..Self::CALM };
    pub const SHIFT_CHANGE_STORM: Profile =
        Profile { name: "shift_change_storm", storm: true, delay_max: 60, ..Self::CALM };
    pub const EVERYTHING: Profile = Profile {
        name: "everything",
        delay_max: 600,
        doubled: 10,
        cuts: 6,
        bad: 1,
        clock_jumps: 3,
        power_losses: 4,
        storm: true,
    };
}

/// Inputs in order of arrival, and when the power fails.
pub struct Story {
    pub inputs: Vec<(i64, Input)>,
    pub power_losses: Vec<i64>,
}

fn child(seed: u64, concern: u64) -> Rng {
    Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(concern))
}

/// A time with the given mean that is mostly shorter and sometimes much longer.
fn about(rng: &mut Rng, mean: i64) -> i64 {
    let uniform = (f64::from(rng.u32(1..=1_000_000)) / 1_000_000.0).ln();
    ((-uniform * mean as f64) as i64).max(SECOND)
}

/// Makes a story of so many days.
pub fn story(profile: Profile, seed: u64, days: i64) -> Story {
    let end = BEGIN + days * DAY;
    let mut inputs = Vec::new();
    for number in 0..MACHINES {
        machine_story(profile, seed, number, end, &mut inputs);
    }
    orders(seed, end, &mut inputs);
    people(seed, end, &mut inputs);
    inputs.sort_by_key(|(arrival, _)| *arrival);
    for (index, (_, input)) in inputs.iter_mut().enumerate() {
        let seq = u64::try_from(index).unwrap();
        match input {
            Input::Observed(observation) => observation.seq = seq,
            Input::Linked(change) => change.seq = seq,
            Input::Command(command) => command.seq = seq,
            _ => {}
        }
    }
    let mut power = child(seed, 90);
    let losses = u64::from(profile.power_losses) * u64::try_from(days).unwrap();
    let mut power_losses: Vec<i64> = (0..losses).map(|_| power.i64(BEGIN..end)).collect();
    power_losses.sort_unstable();
    Story { inputs, power_losses }
}

/// The truth about a machine, told over its link.
struct Teller {
    profile: Profile,
    number: usize,
    network: Rng,
    /// Windows in which the link is down.
    cuts: Vec<(i64, i64)>,
    /// From when on the clock is wrong by how much.
    jumps: Vec<(i64, i64)>,
}

impl Teller {
    fn clock(&self, at: i64) -> i64 {
        let wrong = self.jumps.iter().rev().find(|(from, _)| *from <= at);
        at + wrong.map_or(0, |(_, offset)| *offset)
    }

    fn is_down(&self, at: i64) -> bool {
        self.cuts.iter().any(|(from, to)| *from <= at && at < *to)
    }

    fn tell(&mut self, at: i64, role: SignalRole, reading: Reading, out: &mut Vec<(i64, Input)>) {
        if self.is_down(at) {
            return;
        }
        let reading = if self.network.u32(0..100) < self.profile.bad {
            Reading::Unusable(Unusable::BadStatus)
        } else {
            reading
        };
        let copies = if self.network.u32(0..100) < self.profile.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let arrival = at + self.network.i64(0..=self.profile.delay_max * SECOND);
            let observation = Observation {
                machine: machine(self.number),
                role,
                at: Timestamp::from_ticks(self.clock(at)),
                received: Timestamp::from_ticks(arrival),
                seq: 0,
                status: 0,
                raw: RawValue::Integer(0),
                reading: reading.clone(),
            };
            out.push((arrival, Input::Observed(observation)));
        }
    }
}

/// The windows in which a link is down; one loss ends before the next begins.
fn cuts(profile: Profile, faults: &mut Rng, end: i64) -> Vec<(i64, i64)> {
    let days = (end - BEGIN) / DAY;
    let cuts = (0..i64::from(profile.cuts) * days).map(|_| {
        let from = faults.i64(BEGIN + HOUR..end);
        (from, from + about(faults, 10 * MINUTE))
    });
    let mut cuts: Vec<(i64, i64)> = cuts.collect();
    cuts.sort_unstable();
    let mut last = 0;
    cuts.retain(|(from, to)| {
        let apart = *from > last + MINUTE;
        if apart {
            last = *to;
        }
        apart
    });
    cuts
}

/// How long a machine stays in a state; in a storm everything changes at the same moments.
fn stays(profile: Profile, truth: &mut Rng, state: MachineState, at: i64) -> i64 {
    let length = match state {
        MachineState::Running => about(truth, 15 * MINUTE),
        MachineState::Setup => about(truth, 20 * MINUTE),
        _ if truth.bool() => truth.i64(SECOND..3 * MINUTE),
        _ => about(truth, 12 * MINUTE),
    };
    let day = at - at.rem_euclid(DAY);
    let changes = [4 * HOUR, 12 * HOUR, 20 * HOUR].map(|change| day + change);
    let next = changes.into_iter().find(|change| at < *change && *change < at + length);
    match next {
        Some(change) if profile.storm => change,
        _ => at + length,
    }
}

fn machine_story(
    profile: Profile,
    seed: u64,
    number: usize,
    end: i64,
    out: &mut Vec<(i64, Input)>,
) {
    let concern = u64::try_from(number).unwrap();
    let (mut truth, mut faults) = (child(seed, concern), child(seed, 20 + concern));
    let cuts = cuts(profile, &mut faults, end);
    let days = (end - BEGIN) / DAY;
    let jumps = (0..i64::from(profile.clock_jumps) * days)
        .map(|_| (faults.i64(BEGIN..end), faults.i64(-90 * SECOND..90 * SECOND)));
    let mut jumps: Vec<(i64, i64)> = jumps.collect();
    jumps.sort_unstable();
    let network = child(seed, 40 + concern);
    let mut teller = Teller { profile, number, network, cuts: cuts.clone(), jumps };
    let link = |at: i64, up| {
        let at = Timestamp::from_ticks(at);
        Input::Linked(LinkChange { machine: machine(number), at, seq: 0, up })
    };
    out.push((BEGIN, link(BEGIN, true)));
    for (from, to) in &cuts {
        out.push((*from, link(*from, false)));
        out.push((*to, link(*to, true)));
    }
    let (mut good, mut reject) = (truth.u64(0..=ROLLOVER), truth.u64(0..50));
    let mut state = MachineState::Running;
    let mut at = BEGIN + SECOND;
    let mut reread: Vec<i64> = cuts.iter().map(|(_, to)| *to).collect();
    reread.reverse();
    while at < end {
        teller.tell(at, SignalRole::State, Reading::State(state), out);
        let next = stays(profile, &mut truth, state, at);
        let mut sample = at + 30 * SECOND;
        while sample < next.min(end) {
            if state == MachineState::Running {
                good = (good + truth.u64(0..4)) % (ROLLOVER + 1);
                reject = (reject + u64::from(truth.u32(0..30) == 0)) % (ROLLOVER + 1);
                if truth.u32(0..4000) == 0 {
                    (good, reject) = (0, 0);
                }
                teller.tell(sample, SignalRole::Good, Reading::Count(good), out);
                if truth.u32(0..4) == 0 {
                    teller.tell(sample, SignalRole::Reject, Reading::Count(reject), out);
                }
            }
            while reread.last().is_some_and(|to| *to <= sample) {
                reread.pop();
                teller.tell(sample, SignalRole::State, Reading::State(state), out);
                teller.tell(sample, SignalRole::Good, Reading::Count(good), out);
                teller.tell(sample, SignalRole::Reject, Reading::Count(reject), out);
            }
            sample += truth.i64(20 * SECOND..80 * SECOND);
        }
        at = next;
        state = match (state, truth.u32(0..10)) {
            (MachineState::Running, 0..=4) => MachineState::Down,
            (MachineState::Running, 5..=6) => MachineState::Starved,
            (MachineState::Running, 7..=8) => MachineState::Blocked,
            (MachineState::Running, _) => MachineState::Setup,
            (_, 0) => MachineState::Idle,
            _ => MachineState::Running,
        };
    }
}

fn said(at: i64, command: Command) -> (i64, Input) {
    let input = CommandInput {
        command,
        actor: "somebody".into(),
        at: Timestamp::from_ticks(at),
        seq: 0,
        may_correct: true,
        context: None,
    };
    (at, Input::Command(input))
}

fn orders(seed: u64, end: i64, out: &mut Vec<(i64, Input)>) {
    let mut erp = child(seed, 60);
    let mut at = BEGIN + 2 * HOUR;
    for number in 0_usize.. {
        if at >= end {
            break;
        }
        let id = OrderId::parse(&format!("WO-{number}")).unwrap();
        let request = OrderRequest {
            id: id.clone(),
            revision: 1,
            line: line(),
            product: product(1 + erp.usize(0..2)),
            quantity: Quantity::from_whole(1000),
            lot: None,
            due: None,
            priority: 0,
            released: true,
            ideal_cycle: None,
        };
        let moved = |command| Command::MoveOrder { order: id.clone(), command };
        out.push(said(at, Command::StoreOrder(request)));
        out.push(said(at + 1, moved(JobCommand::Start)));
        let completed = at + about(&mut erp, 6 * HOUR).min(20 * HOUR);
        out.push(said(completed, moved(JobCommand::Complete)));
        at = completed + if erp.bool() { SECOND } else { about(&mut erp, HOUR) };
    }
}

/// Reasons, cuts, stated stops and gaps resolved, for machines and times at random: what makes no
/// sense is refused.
fn people(seed: u64, end: i64, out: &mut Vec<(i64, Input)>) {
    let mut people = child(seed, 80);
    let days = (end - BEGIN) / DAY;
    for _ in 0..days * 60 {
        let at = people.i64(BEGIN + HOUR..end);
        let spoken_of = (at - about(&mut people, 4 * HOUR)).max(BEGIN);
        let instant = Timestamp::from_ticks(spoken_of);
        let later = spoken_of + about(&mut people, 10 * MINUTE);
        let window = Window { from: instant, to: Timestamp::from_ticks(later.min(at)) };
        let key = ["jam", "changeover", "cleaning"][people.usize(0..3)];
        let remark = match people.u32(0..10) {
            0..=5 => RemarkCommand::Classify { stop: instant, reason: reason(key) },
            6..=7 => RemarkCommand::Split { stop: instant, at: window.to },
            8 => RemarkCommand::StateStop { window, reason: reason(key) },
            _ => RemarkCommand::ResolveGap { window, state: MachineState::Down },
        };
        let machine = machine(people.usize(0..MACHINES));
        out.push(said(at, Command::Remark { machine, remark, comment: String::new() }));
    }
}
