//! Opening, locking and reopening the database file.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError};

use super::codec;
use super::read::RedbReader;
use super::schema::{
    ALL, FORMAT, Key, LOT_BEGINS_SINCE, META, NOTICES_BY_ORDER_SINCE, OLDEST_FORMAT,
};
use super::write;
use crate::app::ports::{Batch, Reader, Recovered, Store, StoreError};
use crate::domain::event::Event;
use crate::domain::time::Timestamp;

const FILE: &str = "core.redb";
const LOCK: &str = "LOCK";
/// Page cache of the database in bytes.
const CACHE_BYTES: usize = 64 << 20;
/// How often reopening waits for readers to finish, and how long each time.
const REOPEN_WAITS: u32 = 200;
const REOPEN_WAIT: Duration = Duration::from_millis(10);

/// The database, absent while it is being reopened.
pub(super) type Shared = Arc<RwLock<Option<Arc<Database>>>>;

/// The embedded store in a data directory.
pub struct RedbStore {
    directory: PathBuf,
    database: Shared,
    /// Number of the next batch.
    next_batch: u64,
    /// Holds the lock on the directory for as long as the store lives.
    _lock: File,
}

impl RedbStore {
    /// Opens the store of a data directory, creating both where needed.
    pub fn open(directory: &Path) -> Result<RedbStore, StoreError> {
        fs::create_dir_all(directory).map_err(|error| cannot(directory, &error))?;
        let lock = lock(directory)?;
        let database = open_database(&directory.join(FILE))?;
        let mut store = RedbStore {
            directory: directory.to_owned(),
            database: Arc::new(RwLock::new(Some(Arc::new(database)))),
            next_batch: 0,
            _lock: lock,
        };
        store.prepare()?;
        Ok(store)
    }

    fn current(&self) -> Result<Arc<Database>, StoreError> {
        current(&self.database)
    }

    fn new_reader(&self) -> RedbReader {
        RedbReader::new(self.database.clone(), self.directory.join(FILE))
    }

    /// Creates what is missing and refuses what is newer.
    fn prepare(&mut self) -> Result<(), StoreError> {
        let database = self.current()?;
        let transaction = database.begin_write().map_err(failed)?;
        {
            for table in ALL {
                transaction.open_table(table).map_err(failed)?;
            }
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let key = Key::of("format").0;
            let found = match meta.get(key.as_slice()).map_err(failed)? {
                Some(value) => Some(codec::open::<u32>(value.value(), "format")?),
                None => None,
            };
            match found {
                Some(found) if found > FORMAT => {
                    return Err(StoreError::NewerFormat { found, known: FORMAT });
                }
                Some(found) if found < OLDEST_FORMAT => {
                    return Err(StoreError::OlderFormat { found, known: OLDEST_FORMAT });
                }
                Some(FORMAT) => {}
                Some(older) => {
                    if older < LOT_BEGINS_SINCE {
                        super::lot_begins::make_all(&transaction)?;
                    }
                    if older < NOTICES_BY_ORDER_SINCE {
                        super::notices::find_by_order(&transaction)?;
                    }
                    let value = codec::seal(&FORMAT);
                    meta.insert(key.as_slice(), value.as_slice()).map_err(failed)?;
                }
                None => {
                    let value = codec::seal(&FORMAT);
                    meta.insert(key.as_slice(), value.as_slice()).map_err(failed)?;
                }
            }
        }
        transaction.commit().map_err(failed)?;
        self.next_batch = self.new_reader().last_batch()? + 1;
        Ok(())
    }
}

impl Store for RedbStore {
    fn recover(&self) -> Result<Recovered, StoreError> {
        self.new_reader().recover()
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let database = self.current()?;
        write::commit(&database, self.next_batch, batch)?;
        self.next_batch += 1;
        Ok(())
    }

    fn keep_alive(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let database = self.current()?;
        write::keep_alive(&database, at)
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let taken = self.database.write().map_err(|_| poisoned())?.take();
        if let Some(database) = taken {
            let mut waits = 0;
            while Arc::strong_count(&database) > 1 && waits < REOPEN_WAITS {
                std::thread::sleep(REOPEN_WAIT);
                waits += 1;
            }
            drop(database);
        }
        let database = open_database(&self.directory.join(FILE))?;
        *self.database.write().map_err(|_| poisoned())? = Some(Arc::new(database));
        self.prepare()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.new_reader())
    }
}

/// The facts of one commit, as they stand in the journal.
pub(super) type JournalRow = (Timestamp, Vec<Event>);

/// The open database, or an error while it is being reopened.
pub(super) fn current(shared: &Shared) -> Result<Arc<Database>, StoreError> {
    let database = shared.read().map_err(|_| poisoned())?.clone();
    database.ok_or_else(|| StoreError::Io("the database is being reopened".into()))
}

fn poisoned() -> StoreError {
    StoreError::Io("a thread failed while it held the database".into())
}

fn cannot(directory: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Io(format!("{}: {error}", directory.display()))
}

/// Takes the lock of the directory; the file names the process that holds it.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(|error| cannot(&path, &error))?;
    if file.try_lock().is_err() {
        let pid = fs::read_to_string(&path).unwrap_or_default();
        let pid = if pid.trim().is_empty() { "?" } else { pid.trim() };
        let directory = directory.display().to_string();
        return Err(StoreError::InUse { directory, pid: pid.to_owned() });
    }
    let write = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    write.map_err(|error| io_error(&error, &path))?;
    Ok(file)
}

fn io_error(error: &std::io::Error, path: &Path) -> StoreError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::Full;
    }
    cannot(path, error)
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    let database = opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => {
            StoreError::InUse { directory: path.display().to_string(), pid: "?".into() }
        }
        DatabaseError::Storage(StorageError::Io(error)) => io_error(&error, path),
        error => StoreError::Io(format!("{}: {error}", path.display())),
    })?;
    database.begin_read().map_err(failed)?;
    Ok(database)
}

/// Translates any error of the database.
pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::Full
        }
        redb::Error::Corrupted(cause) => StoreError::Damaged { what: FILE.into(), cause },
        error => StoreError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ports::{NoticePage, NoticePlace};
    use crate::domain::genealogy::{Assignment, LotOperation, LotOperationKind};
    use crate::domain::id::{LotId, OrderId, ProductId};
    use crate::domain::notice::{CountCorrection, Matter, Notice};
    use crate::domain::time::Window;

    /// A directory whose store was written in a format.
    fn written_in(format: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(directory.path()).unwrap();
        let transaction = store.current().unwrap().begin_write().unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        let value = codec::seal(&format);
        meta.insert(Key::of("format").0.as_slice(), value.as_slice()).unwrap();
        drop(meta);
        transaction.commit().unwrap();
        directory
    }

    fn format_of(store: &RedbStore) -> u32 {
        let read = store.current().unwrap().begin_read().unwrap();
        let meta = read.open_table(META).unwrap();
        let value = meta.get(Key::of("format").0.as_slice()).unwrap().unwrap();
        codec::open(value.value(), "format").unwrap()
    }

    #[test]
    fn a_store_of_an_older_format_that_is_known_goes_on_as_the_present_one() {
        let directory = written_in(OLDEST_FORMAT);
        let store = RedbStore::open(directory.path()).unwrap();
        assert_eq!(format_of(&store), FORMAT, "an older program refuses it from now on");
    }

    #[test]
    fn lots_of_a_store_that_did_not_keep_when_they_begin_are_found_by_their_beginning() {
        let directory = written_in(FORMAT);
        let operation = |lot: &str, ticks: i64| LotOperation {
            kind: LotOperationKind::Consumed,
            lot: LotId::parse(lot).unwrap(),
            order: OrderId::parse("WO-1").unwrap(),
            product: ProductId::parse("P").unwrap(),
            machine: None,
            at: Timestamp::from_ticks(ticks),
            quantity: None,
            assignment: Assignment::Stated,
            actor: "test".into(),
        };
        let facts: Vec<_> = [("B", 7), ("A", 9), ("B", 3)]
            .into_iter()
            .map(|(lot, at)| Event::LotRecorded(operation(lot, at)))
            .collect();
        let begins = |store: &RedbStore| {
            let window = Window { from: Timestamp::MIN, to: Timestamp::MAX };
            let found = store.reader().lots_begun(window, None, 10).unwrap();
            found.into_iter().map(|(at, lot)| (at.ticks(), lot.to_string())).collect::<Vec<_>>()
        };
        let expected = [(3, "B".to_owned()), (9, "A".to_owned())];
        let mut store = RedbStore::open(directory.path()).unwrap();
        store.commit(&Batch { events: &facts, ..Batch::default() }).unwrap();
        assert_eq!(begins(&store), expected);
        let transaction = store.current().unwrap().begin_write().unwrap();
        for table in [super::super::schema::LOT_BEGINS, super::super::schema::LOTS_BY_TIME] {
            transaction.delete_table(table).unwrap();
        }
        let mut meta = transaction.open_table(META).unwrap();
        let older = codec::seal(&(LOT_BEGINS_SINCE - 1));
        meta.insert(Key::of("format").0.as_slice(), older.as_slice()).unwrap();
        drop(meta);
        transaction.commit().unwrap();
        drop(store);
        let mut store = RedbStore::open(directory.path()).unwrap();
        assert_eq!(begins(&store), expected);
        let first = store.reader().lot_begin(&LotId::parse("B").unwrap()).unwrap();
        assert_eq!(first, Some(Timestamp::from_ticks(3)));
        // What turns out to be wrong is not the beginning any more.
        for (voided, expected) in [
            (("B", 3), vec![(7, "B".to_owned()), (9, "A".to_owned())]),
            (("A", 9), vec![(7, "B".to_owned())]),
            (("B", 7), vec![]),
        ] {
            let facts = [Event::LotVoided(operation(voided.0, voided.1))];
            store.commit(&Batch { events: &facts, ..Batch::default() }).unwrap();
            assert_eq!(begins(&store), expected);
        }
        assert_eq!(store.reader().lot_begin(&LotId::parse("B").unwrap()).unwrap(), None);
    }

    #[test]
    fn notices_of_a_store_that_did_not_find_them_by_order_are_found_so() {
        let directory = written_in(FORMAT);
        let correction = |order: &str| {
            Matter::CountCorrected(CountCorrection {
                order: OrderId::parse(order).unwrap(),
                good: -1,
                scrap: 1,
                rework: 0,
                reason: None,
                actor: "test".into(),
            })
        };
        let matters =
            [correction("A"), Matter::Link { up: true }, correction("B"), correction("A")];
        let facts: Vec<_> = (1..)
            .zip(matters)
            .map(|(number, matter)| {
                let at = Timestamp::from_ticks(100 - number as i64);
                let notice = Notice { number, at, told: at, line: None, machine: None, matter };
                Event::Noticed(Box::new(notice))
            })
            .collect();
        let about = |store: &RedbStore, order: &str| {
            let page = NoticePage {
                place: NoticePlace::Order(OrderId::parse(order).unwrap()),
                window: Window { from: Timestamp::MIN, to: Timestamp::MAX },
                after: None,
                backwards: false,
                limit: 10,
            };
            let found = store.reader().notices(&page).unwrap();
            found.into_iter().map(|notice| notice.number).collect::<Vec<_>>()
        };
        let mut store = RedbStore::open(directory.path()).unwrap();
        store.commit(&Batch { events: &facts, ..Batch::default() }).unwrap();
        // In order of time.
        let expected = [("A", vec![4, 1]), ("B", vec![3]), ("AB", vec![])];
        for (order, numbers) in &expected {
            assert_eq!(about(&store, order), *numbers);
        }
        let transaction = store.current().unwrap().begin_write().unwrap();
        transaction.delete_table(super::super::schema::NOTICES_BY_PLACE).unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        let older = codec::seal(&(NOTICES_BY_ORDER_SINCE - 1));
        meta.insert(Key::of("format").0.as_slice(), older.as_slice()).unwrap();
        drop(meta);
        transaction.commit().unwrap();
        drop(store);
        let store = RedbStore::open(directory.path()).unwrap();
        for (order, numbers) in &expected {
            assert_eq!(about(&store, order), *numbers, "after the format was brought up");
        }
    }

    #[test]
    fn a_store_of_a_format_that_is_too_old_or_too_new_is_refused_and_left_alone() {
        for format in [OLDEST_FORMAT - 1, FORMAT + 1] {
            let directory = written_in(format);
            let refused = RedbStore::open(directory.path()).err();
            let is_right = match refused {
                Some(StoreError::OlderFormat { found, known }) => found == format && known > found,
                Some(StoreError::NewerFormat { found, known }) => found == format && known < found,
                _ => false,
            };
            assert!(is_right, "{format}");
        }
    }
}
