//! Runs a story through the core as the writer does: decide, apply, keep; when the power fails, what
//! was not kept is gone and the rest comes back from the journal.

use linewright::domain::command::Input;
use linewright::domain::core::{Core, Snapshot};
use linewright::domain::event::Event;
use linewright::domain::time::Timestamp;

use super::plant::plant;
use super::world::{Profile, Story};

/// Inputs that become durable together.
const BATCH: usize = 64;
/// Batches between snapshots.
const SNAPSHOT_EVERY: usize = 40;

/// What came of a run.
pub struct Done {
    pub core: Core,
    /// Every fact, in the order in which it became durable.
    pub journal: Vec<Event>,
    /// Inputs whose facts became durable, in order, with those that the restarts brought.
    pub inputs: Vec<Input>,
}

struct Kept {
    snapshot: Option<(usize, Snapshot)>,
    journal: Vec<Event>,
    inputs: Vec<Input>,
}

pub fn run(profile: Profile, seed: u64, story: &Story) -> Done {
    let mut core = Core::new(plant(), None);
    let mut kept = Kept { snapshot: None, journal: Vec::new(), inputs: Vec::new() };
    let mut losses = story.power_losses.iter().copied().peekable();
    let mut alive = Timestamp::MIN;
    for (number, batch) in story.inputs.chunks(BATCH).enumerate() {
        let now = batch.last().map_or(0, |(arrival, _)| *arrival);
        let fails = losses.next_if(|loss| *loss <= now).is_some();
        let mut events = Vec::new();
        let mut inputs: Vec<Input> = batch.iter().map(|(_, input)| input.clone()).collect();
        inputs.push(Input::Tick(Timestamp::from_ticks(now)));
        decide(&mut core, &inputs, &mut events);
        if fails {
            // The batch had not been committed yet: nobody was told of it, and it is gone.
            core = recover(&kept);
            let seq = (1 << 40) + 4 * u64::try_from(number).unwrap();
            inputs = vec![Input::Restarted { last_alive: alive, seq }];
            // The links come back with the next values.
            inputs.extend(batch.iter().filter_map(|(_, input)| reconnected(input, now, seq)));
            events.clear();
            decide(&mut core, &inputs, &mut events);
        }
        alive = Timestamp::from_ticks(now);
        kept.journal.append(&mut events);
        kept.inputs.append(&mut inputs);
        if number % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 {
            kept.snapshot = Some((kept.journal.len(), core.snapshot()));
        }
    }
    let recovered = recover(&kept);
    assert!(
        recovered.snapshot() == core.snapshot(),
        "{} seed {seed}: what comes back from the journal is what was",
        profile.name
    );
    Done { core, journal: kept.journal, inputs: kept.inputs }
}

/// A machine whose values were under way when the power failed connects again.
fn reconnected(input: &Input, now: i64, seq: u64) -> Option<Input> {
    let Input::Observed(observation) = input else {
        return None;
    };
    let (machine, at) = (observation.machine.clone(), Timestamp::from_ticks(now));
    let up = linewright::domain::evidence::LinkChange { machine, at, seq: seq + 1, up: true };
    Some(Input::Linked(up))
}

/// Decides and applies; what makes no sense is refused and changes nothing.
pub fn decide(core: &mut Core, inputs: &[Input], journal: &mut Vec<Event>) {
    for input in inputs {
        let start = journal.len();
        if core.decide(input, journal).is_err() {
            journal.truncate(start);
        }
        for event in &journal[start..] {
            core.apply(event);
        }
    }
}

fn recover(kept: &Kept) -> Core {
    let (from, mut core) = match &kept.snapshot {
        Some((from, snapshot)) => (*from, Core::restore(plant(), None, snapshot.clone())),
        None => (0, Core::new(plant(), None)),
    };
    for event in &kept.journal[from..] {
        core.apply(event);
    }
    core
}
