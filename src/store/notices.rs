//! Notices by number, and by place and time.

use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use super::codec::{open, seal};
use super::database::failed;
use super::schema::{Key, NOTICES, NOTICES_BY_PLACE};
use crate::app::ports::{NoticePage, NoticePlace, StoreError};
use crate::domain::notice::Notice;
use crate::domain::time::Timestamp;

type Result<T> = std::result::Result<T, StoreError>;

fn place_key(place: &NoticePlace) -> Key {
    match place {
        NoticePlace::Plant => Key::default().byte(0),
        NoticePlace::Line(line) => Key::default().byte(1).text(line.as_str()),
        NoticePlace::Machine(machine) => Key::default().byte(2).text(machine.as_str()),
        NoticePlace::Order(order) => Key::default().byte(3).text(order.as_str()),
    }
}

/// Keeps a notice under its number and its places.
pub fn keep(transaction: &WriteTransaction, notice: &Notice) -> Result<()> {
    let row = seal(notice);
    let number = Key::default().number(notice.number);
    let mut notices = transaction.open_table(NOTICES).map_err(failed)?;
    notices.insert(number.0.as_slice(), row.as_slice()).map_err(failed)?;
    let line = notice.line.clone().map(NoticePlace::Line);
    let machine = notice.machine.clone().map(NoticePlace::Machine);
    let order = notice.matter.order().cloned().map(NoticePlace::Order);
    let mut by_place = transaction.open_table(NOTICES_BY_PLACE).map_err(failed)?;
    for place in [Some(NoticePlace::Plant), line, machine, order].into_iter().flatten() {
        let key = place_key(&place).time(notice.at).number(notice.number);
        by_place.insert(key.0.as_slice(), [].as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Lets notices be found by the job order that they are about, for data that were written without it.
pub fn find_by_order(transaction: &WriteTransaction) -> Result<()> {
    let notices = transaction.open_table(NOTICES).map_err(failed)?;
    let mut by_place = transaction.open_table(NOTICES_BY_PLACE).map_err(failed)?;
    for row in notices.iter().map_err(failed)? {
        let notice: Notice = open(row.map_err(failed)?.1.value(), "notice")?;
        if let Some(order) = notice.matter.order() {
            let place = place_key(&NoticePlace::Order(order.clone()));
            let key = place.time(notice.at).number(notice.number);
            by_place.insert(key.0.as_slice(), [].as_slice()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Notices after a number, in order, at most `limit`.
pub fn after(database: &Arc<Database>, number: u64, limit: usize) -> Result<Vec<Notice>> {
    let read = database.begin_read().map_err(failed)?;
    let table = read.open_table(NOTICES).map_err(failed)?;
    let from = Key::default().number(number.saturating_add(1));
    let rows = table.range(from.0.as_slice()..).map_err(failed)?.take(limit);
    rows.map(|row| open(row.map_err(failed)?.1.value(), "notice")).collect()
}

/// Notices of a place in order of time.
pub fn at_place(database: &Arc<Database>, page: &NoticePage) -> Result<Vec<Notice>> {
    let read = database.begin_read().map_err(failed)?;
    let by_place = read.open_table(NOTICES_BY_PLACE).map_err(failed)?;
    let notices = read.open_table(NOTICES).map_err(failed)?;
    let start = place_key(&page.place);
    let (mut from, mut to) =
        (start.clone().time(page.window.from), start.clone().time(page.window.to));
    // The key of what was read last, or the one right after it.
    let last = |(at, number): (Timestamp, u64)| start.clone().time(at).number(number);
    if let Some(after) = page.after {
        if page.backwards {
            to = last(after);
        } else {
            from = last(after);
            from.0.push(0);
        }
    }
    if from.0 >= to.0 {
        return Ok(Vec::new());
    }
    let rows = by_place.range(from.0.as_slice()..to.0.as_slice()).map_err(failed)?;
    let find = |key: &[u8]| -> Result<Option<Notice>> {
        let number = key.get(key.len().saturating_sub(8)..).unwrap_or_default();
        let row = notices.get(number).map_err(failed)?;
        row.map(|row| open(row.value(), "notice")).transpose()
    };
    let mut found = Vec::new();
    let mut take = |row: std::result::Result<_, redb::StorageError>| -> Result<()> {
        let (key, _): (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>) =
            row.map_err(failed)?;
        found.extend(find(key.value())?);
        Ok(())
    };
    if page.backwards {
        rows.rev().take(page.limit).try_for_each(&mut take)?;
    } else {
        rows.take(page.limit).try_for_each(&mut take)?;
    }
    Ok(found)
}
