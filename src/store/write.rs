//! One commit: the facts, and the rows that follow from them.

use redb::{Database, ReadableTable, WriteTransaction};

use super::codec::{Record, open, put_all, seal, seal_with};
use super::database::failed;
use super::records::Points;
use super::schema::{
    ANSWERS, ANSWERS_BY_TIME, EVIDENCE, EvidenceKind, JOURNAL, Key, LOTS, LOTS_OF_ORDERS, META,
    ORDERS, OUTBOX, REMARKS, RUNS, SHIFT_NOTES, SHIFTS, SHIFTS_BY_NUMBER, operation_key,
    remark_key,
};
use super::{lot_begins, notices, pages};
use crate::app::ports::{Batch, RequestKey, StoreError, StoredAnswer};
use crate::domain::event::Event;
use crate::domain::evidence::{EvidenceBlock, Remark};
use crate::domain::genealogy::LotOperation;
use crate::domain::id::MachineId;
use crate::domain::order::Order;
use crate::domain::series::Point;
use crate::domain::time::{Span, Timestamp};

/// Values of one signal in one row.
const POINTS_PER_ROW: usize = 1024;
/// How long answers are kept for repetition.
const ANSWERS_KEPT: Span = Span::from_seconds(7 * 24 * 3600);
/// Answers forgotten with one commit, so that no commit grows.
const ANSWERS_FORGOTTEN_MAX: usize = 16;

type Result<T> = std::result::Result<T, StoreError>;

/// Makes a batch durable under its number.
pub fn commit(database: &Database, number: u64, batch: &Batch<'_>) -> Result<()> {
    let transaction = database.begin_write().map_err(failed)?;
    if !batch.events.is_empty() {
        let row = seal_with(|out| {
            batch.at.put(out);
            put_all(batch.events.iter(), out);
        });
        insert(&transaction, JOURNAL, &Key::default().number(number), &row)?;
    }
    for event in batch.events {
        project(&transaction, event)?;
    }
    for order in &batch.orders {
        keep_order(&transaction, order)?;
    }
    for (machine, block) in &batch.archived {
        archive(&transaction, machine, block)?;
    }
    for (equipment, window) in &batch.stale {
        pages::take_away(&transaction, equipment, *window)?;
    }
    for page in &batch.pages {
        pages::keep(&transaction, page)?;
    }
    for (key, answer) in &batch.answers {
        keep_answer(&transaction, key, answer)?;
    }
    if let Some(snapshot) = &batch.snapshot {
        let row = seal_with(|out| {
            number.put(out);
            snapshot.put(out);
        });
        insert(&transaction, META, &Key::of("snapshot"), &row)?;
    }
    insert(&transaction, META, &Key::of("alive"), &seal(&batch.at))?;
    transaction.commit().map_err(failed)
}

/// Keeps a sign of life, without facts.
pub fn keep_alive(database: &Database, at: Timestamp) -> Result<()> {
    let transaction = database.begin_write().map_err(failed)?;
    insert(&transaction, META, &Key::of("alive"), &seal(&at))?;
    transaction.commit().map_err(failed)
}

type TableOf = redb::TableDefinition<'static, &'static [u8], &'static [u8]>;

fn insert(transaction: &WriteTransaction, table: TableOf, key: &Key, value: &[u8]) -> Result<()> {
    let mut table = transaction.open_table(table).map_err(failed)?;
    table.insert(key.0.as_slice(), value).map_err(failed)?;
    Ok(())
}

fn remove(transaction: &WriteTransaction, table: TableOf, key: &Key) -> Result<()> {
    let mut table = transaction.open_table(table).map_err(failed)?;
    table.remove(key.0.as_slice()).map_err(failed)?;
    Ok(())
}

/// Rows that follow from a fact by itself.
fn project(transaction: &WriteTransaction, event: &Event) -> Result<()> {
    match event {
        Event::Reported { machine, adjustment, .. } => {
            let remark = Remark::Parts(adjustment.clone());
            insert(transaction, REMARKS, &remark_key(machine, &remark), &seal(&remark))
        }
        Event::Remarked { machine, remark, .. } => {
            insert(transaction, REMARKS, &remark_key(machine, remark), &seal(remark))
        }
        Event::ShiftRecorded(record) => {
            let key = Key::of(record.line.as_str()).time(record.shift.window.from);
            let key = key.number(record.revision.into());
            insert(transaction, SHIFTS, &key, &seal(&**record))?;
            let number = Key::default().number(record.seq);
            insert(transaction, SHIFTS_BY_NUMBER, &number, &key.0)
        }
        Event::LotRecorded(operation) => {
            let (by_lot, by_order) = operation_keys(operation);
            let row = seal(operation);
            insert(transaction, LOTS, &by_lot, &row)?;
            insert(transaction, LOTS_OF_ORDERS, &by_order, &row)?;
            lot_begins::recorded(transaction, operation)
        }
        Event::LotVoided(operation) => {
            let (by_lot, by_order) = operation_keys(operation);
            remove(transaction, LOTS, &by_lot)?;
            remove(transaction, LOTS_OF_ORDERS, &by_order)?;
            lot_begins::voided(transaction, operation)
        }
        Event::Confirmed(confirmation) => {
            let key = Key::default().number(confirmation.seq);
            insert(transaction, OUTBOX, &key, &seal(confirmation))
        }
        Event::ShiftNoted { line, note } => {
            let key = Key::of(line.as_str()).time(note.start).time(note.at).number(note.seq);
            insert(transaction, SHIFT_NOTES, &key, &seal(note))
        }
        Event::Noticed(notice) => notices::keep(transaction, notice),
        Event::Observed(_)
        | Event::LinkChanged(_)
        | Event::OrderStored { .. }
        | Event::OrderMoved { .. }
        | Event::ShiftUnchanged { .. }
        | Event::OrderTransferred { .. }
        | Event::PlantDefined { .. }
        | Event::Recalled { .. }
        | Event::Archived { .. }
        | Event::OrderAdmitted(_)
        | Event::OrderRetired(_) => Ok(()),
    }
}

fn operation_keys(operation: &LotOperation) -> (Key, Key) {
    let (lot, order) = (operation.lot.as_str(), operation.order.as_str());
    let by_lot = operation_key(Key::of(lot), operation, order);
    (by_lot, operation_key(Key::of(order), operation, lot))
}

fn keep_order(transaction: &WriteTransaction, order: &Order) -> Result<()> {
    insert(transaction, ORDERS, &Key::of(order.id().as_str()), &seal(order))?;
    // Only the newest run can have changed.
    let Some(run) = order.runs.last() else {
        return Ok(());
    };
    let line = order.request.line.as_str();
    let key = Key::of(line).time(run.start).text(order.id().as_str());
    insert(transaction, RUNS, &key, &seal(run))?;
    if let Some(before) = order.runs.len().checked_sub(2).and_then(|i| order.runs.get(i)) {
        let key = Key::of(line).time(before.start).text(order.id().as_str());
        insert(transaction, RUNS, &key, &seal(before))?;
    }
    Ok(())
}

fn archive(
    transaction: &WriteTransaction,
    machine: &MachineId,
    block: &EvidenceBlock,
) -> Result<()> {
    archive_points(transaction, machine, EvidenceKind::States, &block.states)?;
    archive_points(transaction, machine, EvidenceKind::Links, &block.links)?;
    archive_points(transaction, machine, EvidenceKind::Lots, &block.lots)?;
    for (role, points) in &block.counts {
        archive_points(transaction, machine, EvidenceKind::Count(*role), points)?;
    }
    for (role, points) in &block.circumstances {
        archive_points(transaction, machine, EvidenceKind::Circumstance(*role), points)?;
    }
    Ok(())
}

/// Adds points to the archive, merging with the row whose time they fall into.
fn archive_points<V: Record + Ord + Clone>(
    transaction: &WriteTransaction,
    machine: &MachineId,
    kind: EvidenceKind,
    points: &[Point<V>],
) -> Result<()> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(());
    };
    let start = Key::of(machine.as_str()).byte(kind.byte());
    let (from, to) = (start.clone().time(first.at), start.clone().time(last.at));
    let mut table = transaction.open_table(EVIDENCE).map_err(failed)?;
    let mut merged = points.to_vec();
    let mut replaced = Vec::new();
    {
        let before = table.range(start.0.as_slice()..from.0.as_slice()).map_err(failed)?;
        let within = table.range(from.0.as_slice()..=to.0.as_slice()).map_err(failed)?;
        for row in before.rev().take(1).chain(within) {
            let (key, value) = row.map_err(failed)?;
            let Points(known) = open::<Points<V>>(value.value(), "evidence")?;
            // The row before may reach into the new points; a short one is filled up.
            let reaches = known.last().is_some_and(|p| p.at >= first.at);
            if reaches || known.len() < POINTS_PER_ROW {
                merged.extend(known);
                replaced.push(key.value().to_vec());
            }
        }
    }
    for key in &replaced {
        table.remove(key.as_slice()).map_err(failed)?;
    }
    merged.sort();
    merged.dedup();
    for row in merged.chunks(POINTS_PER_ROW) {
        let key = start.clone().time(row[0].at);
        let value = seal(&Points(row.to_vec()));
        table.insert(key.0.as_slice(), value.as_slice()).map_err(failed)?;
    }
    Ok(())
}

fn keep_answer(
    transaction: &WriteTransaction,
    key: &RequestKey,
    answer: &StoredAnswer,
) -> Result<()> {
    let mut by_time = transaction.open_table(ANSWERS_BY_TIME).map_err(failed)?;
    let mut answers = transaction.open_table(ANSWERS).map_err(failed)?;
    answers.insert(key.as_slice(), seal(answer).as_slice()).map_err(failed)?;
    let mut time_key = Key::default().time(answer.at).0;
    time_key.extend_from_slice(key);
    by_time.insert(time_key.as_slice(), [].as_slice()).map_err(failed)?;
    let oldest_kept = Key::default().time(answer.at - ANSWERS_KEPT).0;
    let mut forgotten = Vec::new();
    for row in by_time.range(..oldest_kept.as_slice()).map_err(failed)? {
        if forgotten.len() >= ANSWERS_FORGOTTEN_MAX {
            break;
        }
        forgotten.push(row.map_err(failed)?.0.value().to_vec());
    }
    for row in forgotten {
        by_time.remove(row.as_slice()).map_err(failed)?;
        answers.remove(&row[8..]).map_err(failed)?;
    }
    Ok(())
}
