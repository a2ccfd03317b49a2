//! Kept sums of figures: made, taken away when they may have changed, and made again.

use redb::{ReadableTable, WriteTransaction};

use super::codec::seal;
use super::database::failed;
use super::schema::{PAGES, STALE_PAGES, equipment_key, page_key};
use crate::app::figures::{DAY, Page, PageLength, QUARTER, floor};
use crate::app::ports::StoreError;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::time::{Span, Timestamp, Window};

type Result<T> = std::result::Result<T, StoreError>;

/// Takes the sums away that touch a window, and remembers those that have to be made again.
pub fn take_away(
    transaction: &WriteTransaction,
    equipment: &Equipment,
    window: Window,
) -> Result<()> {
    let mut pages = transaction.open_table(PAGES).map_err(failed)?;
    let mut stale = transaction.open_table(STALE_PAGES).map_err(failed)?;
    for length in [PageLength::Quarter, PageLength::Day] {
        let from = page_key(equipment, length, first_touched(window.from, length.span()));
        let to = page_key(equipment, length, window.to);
        let mut touched: Vec<Vec<u8>> = Vec::new();
        for row in pages.range(from.0.as_slice()..to.0.as_slice()).map_err(failed)? {
            touched.push(row.map_err(failed)?.0.value().to_vec());
        }
        for key in touched {
            pages.remove(key.as_slice()).map_err(failed)?;
            if length == PageLength::Quarter
                && let Some(start) = super::schema::Key::time_of(&key)
            {
                let again = equipment_key(equipment).time(start);
                stale.insert(again.0.as_slice(), [].as_slice()).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// The start of the stretch in which an instant lies; since ever is since the first one.
fn first_touched(at: Timestamp, length: Span) -> Timestamp {
    if at == Timestamp::MIN { at } else { floor(at, length) }
}

/// Keeps a sum; when the quarters of its day are there, that of the day as well.
pub fn keep(transaction: &WriteTransaction, page: &Page) -> Result<()> {
    let mut pages = transaction.open_table(PAGES).map_err(failed)?;
    let key = page_key(&page.equipment, page.length, page.start);
    pages.insert(key.0.as_slice(), seal(&page.sum).as_slice()).map_err(failed)?;
    if page.length == PageLength::Quarter {
        let mut stale = transaction.open_table(STALE_PAGES).map_err(failed)?;
        let again = equipment_key(&page.equipment).time(page.start);
        stale.remove(again.0.as_slice()).map_err(failed)?;
        keep_day(&mut pages, page)?;
    }
    Ok(())
}

fn keep_day(pages: &mut redb::Table<'_, &'static [u8], &'static [u8]>, page: &Page) -> Result<()> {
    let start = floor(page.start, DAY);
    // Only a quarter that comes last can complete its day.
    let quarters = usize::try_from(DAY.ticks() / QUARTER.ticks()).unwrap_or(0);
    let from = page_key(&page.equipment, PageLength::Quarter, start);
    let to = page_key(&page.equipment, PageLength::Quarter, start + DAY);
    let bounds = from.0.as_slice()..to.0.as_slice();
    if pages.range(bounds.clone()).map_err(failed)?.count() != quarters {
        return Ok(());
    }
    let mut sum: Option<crate::domain::oee::kpi::Kpi> = None;
    for row in pages.range(bounds).map_err(failed)? {
        let next = super::codec::open(row.map_err(failed)?.1.value(), "sum of figures")?;
        match &mut sum {
            None => sum = Some(next),
            Some(sum) => sum.merge(&next),
        }
    }
    if let Some(mut sum) = sum {
        sum.window = Window { from: start, to: start + DAY };
        let key = page_key(&page.equipment, PageLength::Day, start);
        pages.insert(key.0.as_slice(), seal(&sum).as_slice()).map_err(failed)?;
    }
    Ok(())
}
