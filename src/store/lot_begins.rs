//! When each lot was first made or used: lots in the order of their beginning, so that those of a day are
//! found without looking at any other.

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use super::codec::{open, seal};
use super::database::failed;
use super::schema::{Key, LOT_BEGINS, LOTS, LOTS_BY_TIME};
use crate::app::ports::StoreError;
use crate::domain::genealogy::LotOperation;
use crate::domain::id::LotId;
use crate::domain::time::{Timestamp, Window};

type Result<T> = std::result::Result<T, StoreError>;

fn by_time(at: Timestamp, lot: &LotId) -> Key {
    Key::default().time(at).text(lot.as_str())
}

/// When a lot begins, as it is kept.
fn kept(
    begins: &impl ReadableTable<&'static [u8], &'static [u8]>,
    lot: &LotId,
) -> Result<Option<Timestamp>> {
    let row = begins.get(Key::of(lot.as_str()).0.as_slice()).map_err(failed)?;
    row.map(|row| open(row.value(), "begin of a lot")).transpose()
}

fn kept_in(transaction: &WriteTransaction, lot: &LotId) -> Result<Option<Timestamp>> {
    kept(&transaction.open_table(LOT_BEGINS).map_err(failed)?, lot)
}

fn set(transaction: &WriteTransaction, lot: &LotId, to: Option<Timestamp>) -> Result<()> {
    let mut begins = transaction.open_table(LOT_BEGINS).map_err(failed)?;
    let before = kept(&begins, lot)?;
    let mut times = transaction.open_table(LOTS_BY_TIME).map_err(failed)?;
    let key = Key::of(lot.as_str());
    if let Some(before) = before {
        begins.remove(key.0.as_slice()).map_err(failed)?;
        times.remove(by_time(before, lot).0.as_slice()).map_err(failed)?;
    }
    if let Some(to) = to {
        begins.insert(key.0.as_slice(), seal(&to).as_slice()).map_err(failed)?;
        times.insert(by_time(to, lot).0.as_slice(), [].as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Takes into account that an operation of a lot was recorded.
pub fn recorded(transaction: &WriteTransaction, operation: &LotOperation) -> Result<()> {
    match kept_in(transaction, &operation.lot)? {
        Some(begin) if begin <= operation.at => Ok(()),
        _ => set(transaction, &operation.lot, Some(operation.at)),
    }
}

/// Takes into account that an operation of a lot is gone; it is no longer among the operations.
pub fn voided(transaction: &WriteTransaction, operation: &LotOperation) -> Result<()> {
    if kept_in(transaction, &operation.lot)? != Some(operation.at) {
        return Ok(());
    }
    let mut first: Option<Timestamp> = None;
    {
        let lots = transaction.open_table(LOTS).map_err(failed)?;
        let from = Key::of(operation.lot.as_str()).0;
        for row in lots.range(from.as_slice()..).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            if !key.value().starts_with(&from) {
                break;
            }
            let other: LotOperation = open(value.value(), "lot operation")?;
            first = first.into_iter().chain([other.at]).min();
        }
    }
    set(transaction, &operation.lot, first)
}

/// Makes all of it of the operations, for data that were written without it.
pub fn make_all(transaction: &WriteTransaction) -> Result<()> {
    let lots = transaction.open_table(LOTS).map_err(failed)?;
    for row in lots.iter().map_err(failed)? {
        recorded(transaction, &open(row.map_err(failed)?.1.value(), "lot operation")?)?;
    }
    Ok(())
}

/// When a lot begins; `None` if it has no operation.
pub fn of(database: &Database, lot: &LotId) -> Result<Option<Timestamp>> {
    let read = database.begin_read().map_err(failed)?;
    kept(&read.open_table(LOT_BEGINS).map_err(failed)?, lot)
}

/// Lots that begin in a window, in order of time, after one of them, at most `limit`.
pub fn in_window(
    database: &Database,
    window: Window,
    after: Option<&(Timestamp, LotId)>,
    limit: usize,
) -> Result<Vec<(Timestamp, LotId)>> {
    let read = database.begin_read().map_err(failed)?;
    let table = read.open_table(LOTS_BY_TIME).map_err(failed)?;
    let from = match after {
        Some((at, lot)) => {
            let mut next = by_time(*at, lot);
            next.0.push(0);
            next
        }
        None => Key::default().time(window.from),
    };
    let to = Key::default().time(window.to);
    if from.0 >= to.0 {
        return Ok(Vec::new());
    }
    let rows = table.range(from.0.as_slice()..to.0.as_slice()).map_err(failed)?.take(limit);
    let mut found = Vec::new();
    for row in rows {
        let (key, _) = row.map_err(failed)?;
        let (time, lot) = key.value().split_at_checked(8).unwrap_or_default();
        let lot = lot.strip_suffix(&[0]).and_then(|lot| std::str::from_utf8(lot).ok());
        let (Some(at), Some(Ok(lot))) = (Key::time_of(time), lot.map(LotId::parse)) else {
            let what = "begin of a lot".to_owned();
            return Err(StoreError::Damaged { what, cause: "no time or no lot".to_owned() });
        };
        found.push((at, lot));
    }
    Ok(found)
}
