//! Reading what is durable. Every call has a short transaction of its own.

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::codec::{Record, open};
use super::database::{JournalRow, Shared, current, failed};
use super::records::Points;
use super::schema::{
    ANSWERS, EVIDENCE, EvidenceKind, JOURNAL, Key, LOTS, LOTS_OF_ORDERS, META, ORDERS, OUTBOX,
    PAGES, REMARKS, RUNS, SHIFT_NOTES, SHIFTS, SHIFTS_BY_NUMBER, STALE_PAGES, equipment_of,
    page_key,
};
use super::{lot_begins, notices};
use crate::app::figures::PageLength;
use crate::app::ports::{NoticePage, Reader, Recovered, RequestKey, StoreError, StoredAnswer};
use crate::domain::core::Snapshot;
use crate::domain::event::{Confirmation, Event};
use crate::domain::evidence::remark::REMARK_LONGEST;
use crate::domain::evidence::{EvidenceBlock, Remark};
use crate::domain::genealogy::LotOperation;
use crate::domain::id::{LineId, LotId, MachineId, OrderId};
use crate::domain::notice::Notice;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::order::{Order, OrderRun};
use crate::domain::series::Point;
use crate::domain::shift::{ShiftNote, ShiftRecord};
use crate::domain::signal::{Reading, SignalRole};
use crate::domain::time::{Timestamp, Window};

/// Rows of the journal read in one transaction.
const JOURNAL_PAGE: usize = 256;

type Result<T> = std::result::Result<T, StoreError>;
type TableOf = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The reading side of the store.
pub struct RedbReader {
    database: Shared,
    path: PathBuf,
}

impl RedbReader {
    pub(super) fn new(database: Shared, path: PathBuf) -> Self {
        RedbReader { database, path }
    }

    fn current(&self) -> Result<Arc<Database>> {
        current(&self.database)
    }

    fn get<T: Record>(&self, table: TableOf, key: &[u8], what: &str) -> Result<Option<T>> {
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(table).map_err(failed)?;
        match table.get(key).map_err(failed)? {
            Some(value) => Ok(Some(open(value.value(), what)?)),
            None => Ok(None),
        }
    }

    /// Rows with keys in `[from, to)`, at most `limit`.
    fn range<T: Record>(
        &self,
        table: TableOf,
        (from, to): (&[u8], &[u8]),
        limit: usize,
        what: &str,
    ) -> Result<Vec<T>> {
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(table).map_err(failed)?;
        let rows = table.range(from..to).map_err(failed)?.take(limit);
        rows.map(|row| open(row.map_err(failed)?.1.value(), what)).collect()
    }

    /// All rows whose key starts so.
    fn prefixed<T: Record>(&self, table: TableOf, prefix: &Key, what: &str) -> Result<Vec<T>> {
        let end = after_prefix(prefix);
        self.range(table, (&prefix.0, &end.0), usize::MAX, what)
    }

    pub(super) fn last_batch(&self) -> Result<u64> {
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(JOURNAL).map_err(failed)?;
        let last = table.last().map_err(failed)?;
        let snapshot: Option<(u64, Snapshot)> =
            self.get(META, &Key::of("snapshot").0, "snapshot")?;
        let last = last.map_or(0, |(key, _)| batch_number(key.value()));
        Ok(last.max(snapshot.map_or(0, |(number, _)| number)))
    }

    pub(super) fn recover(&self) -> Result<Recovered> {
        let snapshot: Option<(u64, Snapshot)> =
            self.get(META, &Key::of("snapshot").0, "snapshot")?;
        let (after, snapshot) = match snapshot {
            Some((number, snapshot)) => (number, Some(snapshot)),
            None => (0, None),
        };
        let mut events = Vec::new();
        self.journal_after(after, &mut |event| events.push(event.clone()))?;
        Ok(Recovered {
            snapshot,
            events,
            last_alive: self.get(META, &Key::of("alive").0, "alive")?,
            written: self.last_batch()?,
        })
    }

    fn journal_after(&self, mut after: u64, each: &mut dyn FnMut(&Event)) -> Result<()> {
        loop {
            let page = self.journal_page(after)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            page.iter().flat_map(|(_, (_, events))| events).for_each(&mut *each);
        }
    }

    fn journal_page(&self, after: u64) -> Result<Vec<(u64, JournalRow)>> {
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(JOURNAL).map_err(failed)?;
        let from = Key::default().number(after + 1);
        let rows = table.range(from.0.as_slice()..).map_err(failed)?.take(JOURNAL_PAGE);
        rows.map(|row| {
            let (key, value) = row.map_err(failed)?;
            let number = batch_number(key.value());
            Ok((number, open(value.value(), &format!("journal {number}"))?))
        })
        .collect()
    }

    /// Archived points of a window with the one that holds at its start.
    fn points<V: Record>(
        &self,
        machine: &MachineId,
        kind: EvidenceKind,
        window: Window,
        holds: impl Fn(&Point<V>) -> bool,
    ) -> Result<Vec<Point<V>>> {
        let start = Key::of(machine.as_str()).byte(kind.byte());
        let from = start.clone().time(window.from);
        let to = start.clone().time(window.to);
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(EVIDENCE).map_err(failed)?;
        let mut points: Vec<Point<V>> = Vec::new();
        for row in table.range(from.0.as_slice()..to.0.as_slice()).map_err(failed)? {
            points.extend(open::<Points<V>>(row.map_err(failed)?.1.value(), "evidence")?.0);
        }
        let before = table.range(start.0.as_slice()..from.0.as_slice()).map_err(failed)?;
        for row in before.rev() {
            let mut earlier = open::<Points<V>>(row.map_err(failed)?.1.value(), "evidence")?.0;
            let found = earlier.iter().rposition(|p| p.at <= window.from && holds(p));
            earlier.drain(..found.unwrap_or(0));
            earlier.append(&mut points);
            points = earlier;
            if found.is_some() {
                break;
            }
        }
        points.retain(|p| p.at < window.to);
        Ok(points)
    }
}

fn batch_number(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

/// The first key after all that start so; keys never hold the byte 255 at their end.
fn after_prefix(prefix: &Key) -> Key {
    let mut end = prefix.clone();
    if let Some(last) = end.0.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

impl Reader for RedbReader {
    fn answer(&self, key: &RequestKey) -> Result<Option<StoredAnswer>> {
        self.get(ANSWERS, key, "answer")
    }

    fn order(&self, id: &OrderId) -> Result<Option<Order>> {
        self.get(ORDERS, &Key::of(id.as_str()).0, id.as_str())
    }

    fn orders(&self, after: Option<&OrderId>, limit: usize) -> Result<Vec<Order>> {
        let from = after.map_or(Key::default(), |id| after_prefix(&Key::of(id.as_str())));
        self.range(ORDERS, (&from.0, &[0xff]), limit, "order")
    }

    fn evidence(&self, machine: &MachineId, window: Window) -> Result<EvidenceBlock> {
        let mut counts = std::collections::BTreeMap::new();
        for role in SignalRole::COUNTERS {
            let usable = |p: &Point<Option<u64>>| p.value.is_some();
            let points = self.points(machine, EvidenceKind::Count(role), window, usable)?;
            counts.insert(role, points);
        }
        let running =
            |p: &Point<Option<_>>| p.value == Some(crate::domain::signal::MachineState::Running);
        // A gap that a value looks back over is needed to tell what nobody saw.
        let first = counts.values().filter_map(|points| points.first().map(|p| p.at)).min();
        let from = first.map_or(window.from, |first| first.min(window.from));
        let since = Window { from, to: window.to };
        let mut circumstances = std::collections::BTreeMap::new();
        for role in SignalRole::CIRCUMSTANCES {
            let kind = EvidenceKind::Circumstance(role);
            let points: Vec<Point<Reading>> = self.points(machine, kind, window, |_| true)?;
            circumstances.insert(role, points);
        }
        Ok(EvidenceBlock {
            circumstances,
            states: self.points(machine, EvidenceKind::States, window, running)?,
            links: self.points(machine, EvidenceKind::Links, since, |_| true)?,
            lots: self.points(machine, EvidenceKind::Lots, window, |_| true)?,
            counts,
        })
    }

    fn first_evidence(&self, machine: &MachineId) -> Result<Option<Timestamp>> {
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(EVIDENCE).map_err(failed)?;
        let mut first: Option<Timestamp> = None;
        let counters = SignalRole::COUNTERS.map(EvidenceKind::Count);
        let circumstances = SignalRole::CIRCUMSTANCES.map(EvidenceKind::Circumstance);
        let others = [EvidenceKind::States, EvidenceKind::Links, EvidenceKind::Lots];
        for kind in others.into_iter().chain(counters).chain(circumstances) {
            let start = Key::of(machine.as_str()).byte(kind.byte());
            let end = after_prefix(&start);
            let mut rows = table.range(start.0.as_slice()..end.0.as_slice()).map_err(failed)?;
            if let Some(row) = rows.next() {
                // A row is found under the time of its first value.
                let at = Key::time_of(row.map_err(failed)?.0.value());
                first = first.into_iter().chain(at).min();
            }
        }
        Ok(first)
    }

    fn remarks(&self, machine: &MachineId, window: Window) -> Result<Vec<Remark>> {
        let start = Key::of(machine.as_str());
        let (from, to) = (start.clone().time(window.from - REMARK_LONGEST), start.time(window.to));
        let bounds = (from.0.as_slice(), to.0.as_slice());
        let mut remarks: Vec<Remark> = self.range(REMARKS, bounds, usize::MAX, "remark")?;
        remarks.retain(|remark| remark.reaches() >= window.from);
        Ok(remarks)
    }

    fn pages(
        &self,
        equipment: &Equipment,
        length: PageLength,
        window: Window,
    ) -> Result<Vec<(Timestamp, Kpi)>> {
        let from = page_key(equipment, length, window.from);
        let to = page_key(equipment, length, window.to);
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(PAGES).map_err(failed)?;
        let mut pages = Vec::new();
        for row in table.range(from.0.as_slice()..to.0.as_slice()).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            if let Some(start) = Key::time_of(key.value()) {
                pages.push((start, open(value.value(), "sum of figures")?));
            }
        }
        Ok(pages)
    }

    fn last_page(&self, equipment: &Equipment) -> Result<Option<Timestamp>> {
        let from = page_key(equipment, PageLength::Quarter, Timestamp::MIN);
        let to = page_key(equipment, PageLength::Quarter, Timestamp::MAX);
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(PAGES).map_err(failed)?;
        let last = table.range(from.0.as_slice()..to.0.as_slice()).map_err(failed)?.next_back();
        let row = last.transpose().map_err(failed)?;
        Ok(row.and_then(|(key, _)| Key::time_of(key.value())))
    }

    fn stale(&self, limit: usize) -> Result<Vec<(Equipment, Timestamp)>> {
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(STALE_PAGES).map_err(failed)?;
        let mut stale = Vec::new();
        for row in table.iter().map_err(failed)?.take(limit) {
            let (key, _) = row.map_err(failed)?;
            let key = key.value();
            stale.extend(equipment_of(key).zip(Key::time_of(key)));
        }
        Ok(stale)
    }

    fn shift_records(&self, line: &LineId, start: Timestamp) -> Result<Vec<ShiftRecord>> {
        self.prefixed(SHIFTS, &Key::of(line.as_str()).time(start), "record of a shift")
    }

    fn notices_after(&self, number: u64, limit: usize) -> Result<Vec<Notice>> {
        notices::after(&self.current()?, number, limit)
    }

    fn notices(&self, page: &NoticePage) -> Result<Vec<Notice>> {
        notices::at_place(&self.current()?, page)
    }

    fn shifts_after(&self, number: u64, limit: usize) -> Result<Vec<ShiftRecord>> {
        let from = Key::default().number(number.saturating_add(1));
        let read = self.current()?.begin_read().map_err(failed)?;
        let by_number = read.open_table(SHIFTS_BY_NUMBER).map_err(failed)?;
        let shifts = read.open_table(SHIFTS).map_err(failed)?;
        let mut records = Vec::new();
        for row in by_number.range(from.0.as_slice()..).map_err(failed)?.take(limit) {
            let (_, key) = row.map_err(failed)?;
            if let Some(row) = shifts.get(key.value()).map_err(failed)? {
                records.push(open(row.value(), "record of a shift")?);
            }
        }
        Ok(records)
    }

    fn runs(&self, line: &LineId, window: Window) -> Result<Vec<OrderRun>> {
        let start = Key::of(line.as_str());
        let to = start.clone().time(window.to);
        let read = self.current()?.begin_read().map_err(failed)?;
        let table = read.open_table(RUNS).map_err(failed)?;
        let mut runs: Vec<OrderRun> = Vec::new();
        for row in table.range(start.0.as_slice()..to.0.as_slice()).map_err(failed)?.rev() {
            let run: OrderRun = open(row.map_err(failed)?.1.value(), "run")?;
            // Runs of a line do not overlap, so everything earlier has ended before this one.
            if run.window().to <= window.from && run.window().from < run.window().to {
                break;
            }
            runs.push(run);
        }
        runs.reverse();
        Ok(runs)
    }

    fn confirmations(&self, after: u64, limit: usize) -> Result<Vec<Confirmation>> {
        let from = Key::default().number(after.saturating_add(1));
        self.range(OUTBOX, (&from.0, &[0xff; 8]), limit, "confirmation")
    }

    fn operations_of_lot(&self, lot: &LotId) -> Result<Vec<LotOperation>> {
        self.prefixed(LOTS, &Key::of(lot.as_str()), "lot operation")
    }

    fn operations_of_order(&self, order: &OrderId) -> Result<Vec<LotOperation>> {
        self.prefixed(LOTS_OF_ORDERS, &Key::of(order.as_str()), "lot operation")
    }

    fn lots(&self, after: Option<&LotId>, limit: usize) -> Result<Vec<LotId>> {
        let mut lots: Vec<LotId> = Vec::new();
        let mut from = after.map_or(Key::default(), |lot| after_prefix(&Key::of(lot.as_str())));
        while lots.len() < limit {
            let next = self.range::<LotOperation>(LOTS, (&from.0, &[0xff]), 1, "lot operation")?;
            let Some(operation) = next.into_iter().next() else {
                break;
            };
            from = after_prefix(&Key::of(operation.lot.as_str()));
            lots.push(operation.lot);
        }
        Ok(lots)
    }

    fn lot_begin(&self, lot: &LotId) -> Result<Option<Timestamp>> {
        lot_begins::of(&*self.current()?, lot)
    }

    fn lots_begun(
        &self,
        window: Window,
        after: Option<&(Timestamp, LotId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, LotId)>> {
        lot_begins::in_window(&*self.current()?, window, after, limit)
    }

    fn next_run(&self, line: &LineId, from: Timestamp) -> Result<Option<OrderRun>> {
        let start = Key::of(line.as_str());
        let (from, to) = (start.clone().time(from), after_prefix(&start));
        Ok(self.range(RUNS, (&from.0, &to.0), 1, "run")?.pop())
    }

    fn shift_notes(&self, line: &LineId, start: Timestamp) -> Result<Vec<ShiftNote>> {
        self.prefixed(SHIFT_NOTES, &Key::of(line.as_str()).time(start), "shift note")
    }

    fn journal(&self, each: &mut dyn FnMut(&Event)) -> Result<()> {
        self.journal_after(0, each)
    }

    fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}
