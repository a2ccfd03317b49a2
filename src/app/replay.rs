//! Replay: a recorded log through the same core, without clock, store or server.
//!
//! Lines may stand in any order. Observations are facts and go in first; commands follow in the
//! order of their times, since a command is judged by the state that it meets.

use std::sync::Arc;

use super::log_format::LogLine;
use crate::domain::command::{Command, CommandInput, Input};
use crate::domain::core::Core;
use crate::domain::plant::Plant;

/// A line that could not be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub text: String,
}

/// A core that has seen a log, and the lines that it refused.
pub struct Replayed {
    /// The core.
    pub core: Core,
    /// Commands that were refused, as they would have been live.
    pub refused: Vec<Problem>,
}

/// Feeds a log through a new core; fails with all malformed lines.
pub fn replay(plant: Arc<Plant>, log: &str) -> Result<Replayed, Vec<Problem>> {
    let mut inputs = Vec::new();
    let mut malformed = Vec::new();
    for (index, text) in log.lines().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        match read_line(&plant, text) {
            Ok(input) => inputs.push((index + 1, input)),
            Err(text) => malformed.push(Problem { line: index + 1, text }),
        }
    }
    if !malformed.is_empty() {
        return Err(malformed);
    }
    inputs.sort_by_cached_key(|(_, input)| rank(input));
    let mut core = Core::new(plant, None);
    let mut refused = Vec::new();
    let instant = |(_, input): &(usize, Input)| (rank(input).0, rank(input).1);
    for group in inputs.chunk_by(|a, b| instant(a) == instant(b)) {
        refused.extend(decide_together(&mut core, group));
    }
    refused.sort_by_key(|problem| problem.line);
    Ok(Replayed { core, refused })
}

/// Decides what happened at one instant. What is refused is tried again after the others, since
/// nobody knows which came first: an order can be completed and the next one started in one moment.
fn decide_together(core: &mut Core, group: &[(usize, Input)]) -> Vec<Problem> {
    let mut waiting: Vec<&(usize, Input)> = group.iter().collect();
    loop {
        let mut refused = Vec::new();
        let mut problems = Vec::new();
        for entry in &waiting {
            let (line, input) = entry;
            let mut events = Vec::new();
            match core.decide(input, &mut events) {
                Ok(_) => events.iter().for_each(|event| drop(core.apply(event))),
                Err(rejection) => {
                    refused.push(*entry);
                    problems.push(Problem { line: *line, text: rejection.to_string() });
                }
            }
        }
        if refused.is_empty() || refused.len() == waiting.len() {
            return problems;
        }
        waiting = refused;
    }
}

fn read_line(plant: &Plant, text: &str) -> Result<Input, String> {
    let line: LogLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
    line.to_input(plant)
}

/// Where an input stands in the order of replay; the text breaks all remaining ties.
fn rank(input: &Input) -> (u8, i64, u8, u64, String) {
    let text = format!("{input:?}");
    match input {
        Input::Command(CommandInput { command, at, seq, .. }) => {
            let kind = match command {
                Command::StoreOrder(request) => {
                    return (1, at.ticks(), 0, request.revision, text);
                }
                Command::MoveOrder { command, .. } => 1 + *command as u8,
                Command::Report(_) => 20,
                Command::Consume(_) => 21,
                Command::LogOn { .. } => 22,
                Command::Remark { .. } => 23,
                Command::Condition(_) => 24,
                Command::NoteShift { .. } => 25,
                Command::Transfer { .. } => 26,
            };
            (1, at.ticks(), kind, *seq, text)
        }
        Input::Observed(observation) => (0, observation.at.ticks(), 1, observation.seq, text),
        Input::Linked(change) => (0, change.at.ticks(), 0, change.seq, text),
        Input::Tick(at) => (2, at.ticks(), 0, 0, text),
        Input::Admit(order) => (2, order.changed.ticks(), 2, 0, text),
        Input::Recall(recall) => (2, recall.at.ticks(), 3, 0, text),
        Input::Archive { before, .. } => (2, before.ticks(), 2, 0, text),
        Input::Look(look) => (2, look.now.ticks(), 4, 0, text),
        Input::Closed(closing) => (2, closing.at.ticks(), 1, 0, text),
        Input::Defined { from, .. } => (0, from.ticks(), 0, 0, text),
        Input::Restarted { last_alive, seq } => (0, last_alive.ticks(), 2, *seq, text),
    }
}
