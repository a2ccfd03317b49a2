//! Answers about any window: what is in memory joined with what is in the archive.
//!
//! The work is done on the caller's side; the writer only hands out the evidence that it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use super::engine::{CommandError, EngineHandle, Extract};
use super::figures::{compose, units};
use super::ports::{Reader, StoreError};
use super::recall::extract;
use super::slices::{KeyedWindows, Slice, SliceBy, add_unit, finished, keyed_windows, slices_of};
use super::trace::OpenTrails;
use crate::domain::core::Core;
use crate::domain::evidence::{MachineEvidence, STATE_CONTEXT};
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LineId, LotId, MachineId, OrderId};
use crate::domain::oee::evaluate::{Equipment, Facts};
use crate::domain::oee::kpi::Kpi;
use crate::domain::oee::stops::Stop;
use crate::domain::oee::timeline::Timeline;
use crate::domain::order::{Order, OrderRun, Totals};
use crate::domain::plant::history::PlantHistory;
use crate::domain::shift::ShiftRecord;
use crate::domain::signal::MachineState;
use crate::domain::time::{Span, Timestamp, Window};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The engine or the store cannot answer now.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing of that name is known.
    #[error("{0}")]
    NotFound(String),
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        QueryError::Unavailable(error.to_string())
    }
}

impl From<CommandError> for QueryError {
    fn from(error: CommandError) -> Self {
        QueryError::Unavailable(error.to_string())
    }
}

/// Answers questions.
#[derive(Clone)]
pub struct Queries {
    engine: EngineHandle,
    open_trails: Arc<OpenTrails>,
}

/// Facts of a window, taken out of memory and archive.
pub struct WindowFacts {
    history: PlantHistory,
    now: Timestamp,
    evidence: BTreeMap<MachineId, MachineEvidence>,
    runs: BTreeMap<LineId, Vec<OrderRun>>,
}

impl WindowFacts {
    /// The facts of a core that has everything in memory, as a replayed one has.
    pub fn of_core(core: &Core, equipment: &Equipment, window: Window) -> WindowFacts {
        let extract = extract(core, equipment, window, core.now().max(window.to));
        let machines = extract.machines.into_iter();
        WindowFacts {
            history: extract.history,
            now: extract.now,
            evidence: machines.map(|known| (known.machine, known.evidence)).collect(),
            runs: extract.runs.into_iter().collect(),
        }
    }

    /// The facts as figures are made of them.
    pub fn facts(&self) -> Facts<'_, MachineEvidence> {
        let WindowFacts { history, evidence, runs, now } = self;
        Facts { history, evidence, runs, now: *now }
    }

    /// The machines that they are about.
    pub fn machines(&self) -> impl Iterator<Item = &MachineId> {
        self.evidence.keys()
    }

    /// Evidence about a machine.
    pub fn evidence(&self, machine: &MachineId) -> Option<&MachineEvidence> {
        self.evidence.get(machine)
    }
}

/// A lot with everything that it was made of and went into.
#[derive(Debug, Default)]
pub struct Genealogy {
    /// All operations that connect the lots, each once.
    pub operations: Vec<LotOperation>,
    /// Lots from which it was made, at any distance.
    pub made_from: BTreeSet<LotId>,
    /// Lots into which it went, at any distance.
    pub used_in: BTreeSet<LotId>,
    /// Whether the limit cut the answer off.
    pub truncated: bool,
}

impl Queries {
    /// Questions to an engine and its store.
    pub fn new(engine: EngineHandle) -> Self {
        Queries { engine, open_trails: Arc::default() }
    }

    /// The engine that is asked.
    pub fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// Trails that were given in part.
    pub(super) fn open_trails(&self) -> &Arc<OpenTrails> {
        &self.open_trails
    }

    /// The facts about a piece of equipment in a window.
    pub async fn facts(
        &self,
        equipment: &Equipment,
        window: Window,
    ) -> Result<WindowFacts, QueryError> {
        let extract = self.engine.extract(equipment.clone(), window).await?;
        let reader = self.engine.reader().clone();
        blocking(move || complete(extract, &*reader, window)).await
    }

    /// The oldest instant about which anything is known of a piece of equipment.
    pub async fn oldest(&self, equipment: &Equipment) -> Result<Option<Timestamp>, QueryError> {
        let nothing = Window { from: Timestamp::from_ticks(0), to: Timestamp::from_ticks(0) };
        let extract = self.engine.extract(equipment.clone(), nothing).await?;
        let reader = self.engine.reader().clone();
        blocking(move || {
            let mut oldest: Option<Timestamp> = None;
            for machine in extract.machines {
                let archived = reader.first_evidence(&machine.machine)?;
                oldest = [oldest, machine.oldest, archived].into_iter().flatten().min();
            }
            Ok(oldest)
        })
        .await
    }

    /// The plant as it was described over time.
    pub async fn history(&self) -> Result<PlantHistory, QueryError> {
        if let Some(history) = self.engine.history() {
            return Ok(history);
        }
        // The writer answers once it has begun.
        let nothing = Window { from: Timestamp::from_ticks(0), to: Timestamp::from_ticks(0) };
        let machine = self.engine.plant().machines.keys().next().cloned();
        let equipment = machine.map_or(Equipment::Site, Equipment::Machine);
        Ok(self.engine.extract(equipment, nothing).await?.history)
    }

    /// What was recorded of the shifts of some equipment that touch a window.
    pub async fn revisions(
        &self,
        equipment: &Equipment,
        window: Window,
    ) -> Result<Vec<ShiftRecord>, QueryError> {
        let history = self.history().await?;
        let lines = equipment.lines(history.current());
        let lines: Vec<LineId> = lines.map(|line| line.id.clone()).collect();
        let reader = self.engine.reader().clone();
        blocking(move || {
            let mut records = Vec::new();
            for line in lines {
                for shift in history.shifts(&line, window) {
                    records.extend(reader.shift_records(&line, shift.window.from)?);
                }
            }
            Ok(records)
        })
        .await
    }

    /// Figures of a piece of equipment in a window, at a cost that does not grow with its length.
    pub async fn kpi(&self, equipment: &Equipment, window: Window) -> Result<Kpi, QueryError> {
        let history = self.history().await?;
        let mut sum: Option<Kpi> = None;
        for unit in units(&history, equipment, window) {
            match (self.sum(&unit, window).await?, &mut sum) {
                (Some(kpi), None) => sum = Some(kpi),
                (Some(kpi), Some(sum)) => sum.merge_equipment(&kpi),
                (None, _) => {}
            }
        }
        let mut kpi = sum.ok_or_else(|| QueryError::NotFound("it has no machines".into()))?;
        kpi.set_flags();
        Ok(kpi)
    }

    /// Time and parts of a machine or line in a window: kept sums, and evidence where there are
    /// none.
    pub async fn sum(&self, unit: &Equipment, window: Window) -> Result<Option<Kpi>, QueryError> {
        let (reader, of) = (self.engine.reader().clone(), unit.clone());
        let composition = blocking(move || Ok(compose(&*reader, &of, window)?)).await?;
        let mut sum: Option<Kpi> = None;
        for part in composition.rest {
            let facts = self.facts(unit, part).await?;
            let next = facts.facts().sum(unit, part);
            sum = Kpi::joined(sum, next);
        }
        let mut sum = composition.kept.into_iter().map(Some).fold(sum, Kpi::joined);
        if let Some(sum) = &mut sum {
            sum.window = window;
        }
        Ok(sum)
    }

    /// The slices of a window, in order of their keys.
    pub async fn slices(
        &self,
        equipment: &Equipment,
        window: Window,
        by: SliceBy,
    ) -> Result<Vec<Slice>, QueryError> {
        if by.needs_evidence() {
            let (facts, equipment) = (self.facts(equipment, window).await?, equipment.clone());
            return blocking(move || Ok(slices_of(&facts.facts(), &equipment, window, by))).await;
        }
        let outline = self.outline(equipment, window).await?;
        let keyed = keyed_windows(&outline.facts(), equipment, window, by);
        let mut sums: BTreeMap<Option<String>, Kpi> = BTreeMap::new();
        for KeyedWindows { key, unit, windows } in keyed {
            let mut of_unit: Option<Kpi> = None;
            for part in windows {
                of_unit = Kpi::joined(of_unit, self.sum(&unit, part).await?);
            }
            add_unit(&mut sums, key, of_unit);
        }
        Ok(finished(sums))
    }

    /// The plant and the runs of a window, without evidence.
    async fn outline(
        &self,
        equipment: &Equipment,
        window: Window,
    ) -> Result<WindowFacts, QueryError> {
        let nothing = Window { from: window.to, to: window.to };
        let extract = self.engine.extract(equipment.clone(), nothing).await?;
        let reader = self.engine.reader().clone();
        blocking(move || {
            let mut runs = BTreeMap::new();
            for (line, in_memory) in extract.runs {
                let known = joined_runs(reader.runs(&line, window)?, in_memory);
                runs.insert(line, known);
            }
            let (history, now) = (extract.history, extract.now);
            Ok(WindowFacts { history, now, evidence: BTreeMap::new(), runs })
        })
        .await
    }

    /// The timeline of a machine.
    pub async fn timeline(
        &self,
        machine: &MachineId,
        window: Window,
    ) -> Result<Timeline, QueryError> {
        let facts = self.facts(&Equipment::Machine(machine.clone()), window).await?;
        let timeline = facts.facts().timeline(machine, window);
        timeline.ok_or_else(|| QueryError::NotFound(format!("no machine {machine}")))
    }

    /// The stops of some equipment that touch a window, in order of time.
    pub async fn stops(
        &self,
        equipment: &Equipment,
        window: Window,
    ) -> Result<Vec<(MachineId, Stop)>, QueryError> {
        let facts = self.facts(equipment, window).await?;
        let mut stops = Vec::new();
        for machine in facts.evidence.keys() {
            let own = facts.facts().stops(machine, window);
            stops.extend(own.into_iter().map(|stop| (machine.clone(), stop)));
        }
        stops.sort_by(|a, b| (a.1.start, &a.0).cmp(&(b.1.start, &b.0)));
        Ok(stops)
    }

    /// An order with its totals, from memory or the store.
    pub async fn order(&self, id: &OrderId) -> Result<(Order, Totals), QueryError> {
        if let Some(view) = self.engine.view().orders.get(id) {
            return Ok((view.order.clone(), view.totals));
        }
        let (reader, key) = (self.engine.reader().clone(), id.clone());
        let order = blocking(move || Ok(reader.order(&key)?)).await?;
        let order =
            order.ok_or_else(|| QueryError::NotFound(format!("no order {id} is stored")))?;
        let totals = order.confirmed;
        Ok((order, totals))
    }

    /// The lots that went into an order and came out of it.
    pub async fn operations_of_order(
        &self,
        order: &OrderId,
    ) -> Result<Vec<LotOperation>, QueryError> {
        let (reader, order) = (self.engine.reader().clone(), order.clone());
        blocking(move || Ok(reader.operations_of_order(&order)?)).await
    }

    /// A lot's operations, or an error when it is not known.
    pub async fn lot(&self, lot: &LotId) -> Result<Vec<LotOperation>, QueryError> {
        let (reader, key) = (self.engine.reader().clone(), lot.clone());
        let operations = blocking(move || Ok(reader.operations_of_lot(&key)?)).await?;
        if operations.is_empty() {
            return Err(QueryError::NotFound(format!("no lot {lot} is recorded")));
        }
        Ok(operations)
    }

    /// Everything that a lot was made of and went into, over at most `limit` lots.
    pub async fn genealogy(&self, lot: &LotId, limit: usize) -> Result<Genealogy, QueryError> {
        self.lot(lot).await?;
        let (reader, lot) = (self.engine.reader().clone(), lot.clone());
        blocking(move || trace_both_ways(&*reader, &lot, limit)).await
    }
}

/// Runs a reading of the store where blocking is allowed.
pub async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| QueryError::Unavailable(format!("the reader failed: {error}")))?
}

/// What was in memory joined with what is in the archive.
pub fn complete(
    extract: Extract,
    reader: &dyn Reader,
    window: Window,
) -> Result<WindowFacts, QueryError> {
    let mut evidence = BTreeMap::new();
    let mut reaches_archive = false;
    for machine in extract.machines {
        let mut known = machine.evidence;
        if window.from - STATE_CONTEXT < machine.archived_to {
            reaches_archive = true;
            add_archived(reader, &machine.machine, window, machine.archived_to, &mut known)?;
        }
        evidence.insert(machine.machine, known);
    }
    let mut runs = BTreeMap::new();
    for (line, in_memory) in extract.runs {
        let known = if reaches_archive {
            joined_runs(reader.runs(&line, window)?, in_memory)
        } else {
            in_memory
        };
        runs.insert(line, known);
    }
    Ok(WindowFacts { history: extract.history, now: extract.now, evidence, runs })
}

/// Adds archived evidence, as far beyond the window as the stop at its end reaches.
pub fn add_archived(
    reader: &dyn Reader,
    machine: &MachineId,
    window: Window,
    archived_to: Timestamp,
    known: &mut MachineEvidence,
) -> Result<(), QueryError> {
    let from = window.from - STATE_CONTEXT;
    let mut ahead = STATE_CONTEXT;
    let block = loop {
        let to = (window.to + ahead).min(archived_to);
        let block = reader.evidence(machine, Window { from: from.min(to), to })?;
        let runs_again = |at: Timestamp, state: Option<MachineState>| {
            at >= window.to && state == Some(MachineState::Running)
        };
        if to == archived_to || block.states.iter().any(|p| runs_again(p.at, p.value)) {
            break block;
        }
        ahead = ahead + ahead;
    };
    let from = block.states.first().map_or(window.from, |p| p.at.min(window.from));
    let to = block.states.last().map_or(window.to, |p| p.at.max(window.to));
    let remarks = reader.remarks(machine, Window { from, to: to + Span::from_ticks(1) })?;
    known.absorb(block);
    remarks.into_iter().for_each(|remark| known.remarks.add(remark));
    Ok(())
}

fn joined_runs(stored: Vec<OrderRun>, in_memory: Vec<OrderRun>) -> Vec<OrderRun> {
    let key = |run: &OrderRun| (run.start, run.order.clone());
    let newer: BTreeSet<_> = in_memory.iter().map(key).collect();
    let mut runs: Vec<OrderRun> =
        stored.into_iter().filter(|run| !newer.contains(&key(run))).collect();
    runs.extend(in_memory);
    runs.sort_by_key(key);
    runs
}

fn trace_both_ways(
    reader: &dyn Reader,
    lot: &LotId,
    limit: usize,
) -> Result<Genealogy, QueryError> {
    let mut genealogy = Genealogy::default();
    let directions = [
        (LotOperationKind::Produced, LotOperationKind::Consumed),
        (LotOperationKind::Consumed, LotOperationKind::Produced),
    ];
    for (here, there) in directions {
        let found = trace(reader, lot, (here, there), limit, &mut genealogy)?;
        match here {
            LotOperationKind::Produced => genealogy.made_from = found,
            LotOperationKind::Consumed => genealogy.used_in = found,
        }
    }
    genealogy
        .operations
        .sort_by(|a, b| (a.at, &a.order, a.kind, &a.lot).cmp(&(b.at, &b.order, b.kind, &b.lot)));
    genealogy.operations.dedup();
    Ok(genealogy)
}

/// Follows a lot through the orders in which it stands on one side to the lots on the other.
fn trace(
    reader: &dyn Reader,
    start: &LotId,
    (here, there): (LotOperationKind, LotOperationKind),
    limit: usize,
    genealogy: &mut Genealogy,
) -> Result<BTreeSet<LotId>, QueryError> {
    let mut seen = BTreeSet::from([start.clone()]);
    let mut next = VecDeque::from([start.clone()]);
    let mut orders = BTreeSet::new();
    while let Some(lot) = next.pop_front() {
        let operations = reader.operations_of_lot(&lot)?;
        for operation in operations.into_iter().filter(|o| o.kind == here) {
            let order = operation.order.clone();
            genealogy.operations.push(operation);
            if !orders.insert(order.clone()) {
                continue;
            }
            let others = reader.operations_of_order(&order)?;
            for other in others.into_iter().filter(|o| o.kind == there) {
                if !seen.contains(&other.lot) {
                    if seen.len() > limit {
                        genealogy.truncated = true;
                        continue;
                    }
                    seen.insert(other.lot.clone());
                    next.push_back(other.lot.clone());
                }
                genealogy.operations.push(other);
            }
        }
    }
    seen.remove(start);
    Ok(seen)
}
