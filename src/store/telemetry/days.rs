//! The days: one database of blocks for each day (UTC), so that what is too old goes with its file, and a
//! damaged file is the loss of a day.
//!
//! Few are open at a time. A block says in its key from when to when it reaches and with which segment of
//! the log it was made, so that nothing is sealed twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redb::{Database, DatabaseError, Range, ReadableDatabase, TableDefinition, TableError};

use super::block;
use super::log;
use crate::app::ports::StoreError;
use crate::app::telemetry::{Sample, SeriesId};
use crate::domain::calendar::civil::CivilDate;
use crate::domain::time::{TICKS_PER_SECOND, Timestamp, Window};
use crate::store::codec;
use crate::store::database::failed;

/// Series, first and last instant, segment, number → block.
const BLOCKS: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new("blocks");
/// `sealed` → the last segment of the log of which this day has everything.
const META: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("meta");
const SEALED: &[u8] = b"sealed";
const DAY: i64 = 86_400 * TICKS_PER_SECOND;
/// Page cache of one day in bytes.
const CACHE_BYTES: usize = 8 << 20;
/// Days that are kept open.
const OPEN_MAX: usize = 8;
/// How often opening waits for the end of another one, and how long each time.
const WAITS: u32 = 200;
const WAIT: Duration = Duration::from_millis(5);

/// The day of an instant.
pub fn day_of(at: Timestamp) -> i32 {
    i32::try_from(at.ticks().div_euclid(DAY)).unwrap_or(i32::MAX)
}

/// The instants of a day.
fn window_of(day: i32) -> Window {
    let from = i64::from(day).saturating_mul(DAY);
    Window {
        from: Timestamp::from_ticks(from),
        to: Timestamp::from_ticks(from.saturating_add(DAY)),
    }
}

/// A block, where it stands.
struct Key {
    series: SeriesId,
    from: Timestamp,
    to: Timestamp,
    segment: u64,
    number: u32,
}

/// Numbers in the order of their bytes.
fn ordered(at: Timestamp) -> [u8; 8] {
    (at.ticks() as u64 ^ (1 << 63)).to_be_bytes()
}

impl Key {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.series.to_be_bytes().to_vec();
        bytes.extend(ordered(self.from));
        bytes.extend(ordered(self.to));
        bytes.extend(self.segment.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Key> {
        let (series, rest) = bytes.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        let (segment, rest) = rest.split_first_chunk()?;
        let at = |bytes: &[u8; 8]| {
            Timestamp::from_ticks((u64::from_be_bytes(*bytes) ^ (1 << 63)) as i64)
        };
        Some(Key {
            series: u32::from_be_bytes(*series),
            from: at(from),
            to: at(to),
            segment: u64::from_be_bytes(*segment),
            number: u32::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

/// All days that there are.
pub struct Days {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: BTreeSet<i32>,
    /// The open ones, and when they were used last.
    open: BTreeMap<i32, (Arc<Database>, u64)>,
    /// Those that somebody may still read: a file cannot be opened twice.
    closing: BTreeMap<i32, Weak<Database>>,
    uses: u64,
}

impl Days {
    /// The days in a directory.
    pub fn open(directory: &Path) -> Result<Days, StoreError> {
        fs::create_dir_all(directory).map_err(|error| log::failed(directory, &error))?;
        let entries = fs::read_dir(directory).map_err(|error| log::failed(directory, &error))?;
        let day = |entry: fs::DirEntry| {
            let name = entry.file_name();
            CivilDate::parse(name.to_str()?.strip_suffix(".redb")?).map(|date| date.0)
        };
        let all = entries.filter_map(Result::ok).filter_map(day).collect();
        let state = Mutex::new(State { all, ..State::default() });
        Ok(Days { directory: directory.to_owned(), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, day: i32) -> PathBuf {
        self.directory.join(format!("{}.redb", CivilDate(day)))
    }

    /// The days that have something, in order.
    pub fn all(&self) -> BTreeSet<i32> {
        self.state().all.clone()
    }

    /// When the oldest day begins.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.state().all.first().map(|day| window_of(*day).from)
    }

    fn database(&self, day: i32) -> Result<Arc<Database>, StoreError> {
        let mut state = self.state();
        state.uses += 1;
        let uses = state.uses;
        if let Some((database, used)) = state.open.get_mut(&day) {
            *used = uses;
            return Ok(database.clone());
        }
        let read_still = state.closing.remove(&day).and_then(|closing| closing.upgrade());
        let database = match read_still {
            Some(database) => database,
            None => Arc::new(open(&self.path(day))?),
        };
        if state.all.insert(day) {
            let synced = fs::File::open(&self.directory).and_then(|directory| directory.sync_all());
            synced.map_err(|error| log::failed(&self.directory, &error))?;
        }
        state.open.insert(day, (database.clone(), uses));
        if state.open.len() > OPEN_MAX {
            let longest = state.open.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(day) = longest.map(|(day, _)| *day) {
                close(&mut state, day);
            }
        }
        Ok(database)
    }

    /// Closes all days, so that they are opened anew.
    pub fn close(&self) {
        let mut state = self.state();
        let all: Vec<i32> = state.open.keys().copied().collect();
        all.into_iter().for_each(|day| close(&mut state, day));
    }

    /// The last segment of the log of which a day has everything.
    pub fn sealed(&self, day: i32) -> Result<u64, StoreError> {
        if !self.state().all.contains(&day) {
            return Ok(0);
        }
        let transaction = self.database(day)?.begin_read().map_err(failed)?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => return Ok(0),
            Err(error) => return Err(failed(error)),
        };
        let sealed = meta.get(SEALED).map_err(failed)?;
        sealed.map_or(Ok(0), |value| codec::open(value.value(), "sealed segment"))
    }

    /// The last segment of the log of which any day has everything.
    pub fn last_sealed(&self) -> Result<u64, StoreError> {
        self.all().into_iter().try_fold(0, |last, day| Ok(self.sealed(day)?.max(last)))
    }

    /// Keeps the samples that a day has in the segments of the log up to one; all or none.
    pub fn seal(
        &self,
        day: i32,
        segment: u64,
        samples: &BTreeMap<SeriesId, &[Sample]>,
    ) -> Result<(), StoreError> {
        let mut blocks = Vec::new();
        for (series, samples) in samples {
            for (number, part) in (0..).zip(block::parts(samples)) {
                let [first, .., last] = [part.first(), part.last()];
                let (Some(first), Some(last)) = (first, last) else { continue };
                let (series, from, to) = (*series, first.at, last.at);
                let key = Key { series, from, to, segment, number };
                blocks.push((key.bytes(), block::encode(part)?));
            }
        }
        let database = self.database(day)?;
        let mut transaction = database.begin_write().map_err(failed)?;
        transaction.set_quick_repair(true);
        {
            let mut table = transaction.open_table(BLOCKS).map_err(failed)?;
            // They are in the order of their keys, which is cheaper.
            for (key, bytes) in &blocks {
                table.insert(key.as_slice(), bytes.as_slice()).map_err(failed)?;
            }
            let mut meta = transaction.open_table(META).map_err(failed)?;
            meta.insert(SEALED, codec::seal(&segment).as_slice()).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// The samples of a day's blocks that reach into a window, in the order in which they were sealed.
    pub fn read(
        &self,
        day: i32,
        series: SeriesId,
        window: Window,
        up_to: u64,
    ) -> Result<Vec<Sample>, StoreError> {
        let mut found = Vec::new();
        self.blocks(day, series, window.to, |blocks| {
            for entry in blocks {
                let (key, value) = entry.map_err(failed)?;
                let key = Key::read(key.value()).ok_or_else(damaged)?;
                if key.to >= window.from && key.segment <= up_to {
                    found.push(((key.segment, key.number), block::decode(value.value())?));
                }
            }
            Ok(())
        })?;
        found.sort_by_key(|(order, _)| *order);
        Ok(found.into_iter().flat_map(|(_, samples)| samples).collect())
    }

    /// The last sample of a day before an instant.
    pub fn last_before(
        &self,
        day: i32,
        series: SeriesId,
        at: Timestamp,
        up_to: u64,
    ) -> Result<Option<Sample>, StoreError> {
        let mut best: Option<((Timestamp, u64, u32), Sample)> = None;
        self.blocks(day, series, at, |blocks| {
            for entry in blocks.rev() {
                let (key, value) = entry.map_err(failed)?;
                let key = Key::read(key.value()).ok_or_else(damaged)?;
                let may_be = best.as_ref().is_none_or(|((known, ..), _)| key.to >= *known);
                if key.segment > up_to || !may_be {
                    continue;
                }
                let last = block::decode(value.value())?.into_iter().rfind(|s| s.at < at);
                let Some(last) = last else { continue };
                let order = (last.at, key.segment, key.number);
                if best.as_ref().is_none_or(|(known, _)| order > *known) {
                    best = Some((order, last));
                }
            }
            Ok(())
        })?;
        Ok(best.map(|(_, sample)| sample))
    }

    /// The first sample of a day at or after an instant.
    pub fn first_since(
        &self,
        day: i32,
        series: SeriesId,
        at: Timestamp,
        up_to: u64,
    ) -> Result<Option<Sample>, StoreError> {
        let mut best: Option<((Timestamp, u64, u32), Sample)> = None;
        self.blocks(day, series, Timestamp::MAX, |blocks| {
            for entry in blocks {
                let (key, value) = entry.map_err(failed)?;
                let key = Key::read(key.value()).ok_or_else(damaged)?;
                if best.as_ref().is_some_and(|((known, ..), _)| key.from > *known) {
                    break;
                }
                if key.segment > up_to || key.to < at {
                    continue;
                }
                let first = block::decode(value.value())?.into_iter().find(|s| s.at >= at);
                let Some(first) = first else { continue };
                let order = (first.at, key.segment, key.number);
                if best.as_ref().is_none_or(|(known, _)| order < *known) {
                    best = Some((order, first));
                }
            }
            Ok(())
        })?;
        Ok(best.map(|(_, sample)| sample))
    }

    /// Looks at the blocks of a series that begin before an instant, in order of their beginnings.
    fn blocks(
        &self,
        day: i32,
        series: SeriesId,
        before: Timestamp,
        look: impl FnOnce(Range<'_, &'static [u8], &'static [u8]>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.state().all.contains(&day) {
            return Ok(());
        }
        let transaction = self.database(day)?.begin_read().map_err(failed)?;
        let table = match transaction.open_table(BLOCKS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let first = series.to_be_bytes();
        let mut behind = first.to_vec();
        behind.extend(ordered(before));
        look(table.range(first.as_slice()..behind.as_slice()).map_err(failed)?)
    }

    /// Lets go of days before one.
    pub fn drop_before(&self, day: i32) -> Result<(), StoreError> {
        loop {
            let mut state = self.state();
            let Some(oldest) = state.all.first().copied().filter(|oldest| *oldest < day) else {
                return Ok(());
            };
            close(&mut state, oldest);
            let path = self.path(oldest);
            fs::remove_file(&path).map_err(|error| log::failed(&path, &error))?;
            state.all.remove(&oldest);
            state.closing.remove(&oldest);
        }
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged { what: "key of a block".into(), cause: "it is too short".into() }
}

fn close(state: &mut State, day: i32) {
    if let Some((database, _)) = state.open.remove(&day) {
        state.closing.insert(day, Arc::downgrade(&database));
    }
    state.closing.retain(|_, closing| closing.strong_count() > 0);
}

fn open(path: &Path) -> Result<Database, StoreError> {
    for _ in 0..WAITS {
        match Database::builder().set_cache_size(CACHE_BYTES).create(path) {
            // Whoever read it last is about to close it.
            Err(DatabaseError::DatabaseAlreadyOpen) => std::thread::sleep(WAIT),
            opened => return opened.map_err(failed),
        }
    }
    Err(StoreError::Io(format!("{}: it is open already", path.display())))
}
