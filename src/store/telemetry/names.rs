//! The names of series and their numbers, which are never given anew.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use redb::{Database, ReadableTable, TableDefinition};

use crate::app::ports::StoreError;
use crate::app::telemetry::SeriesId;
use crate::store::codec;
use crate::store::database::failed;

/// Name → number.
const NAMES: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("names");
/// `format` → version of the layout of all that is kept of telemetry.
const META: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("meta");
const FORMAT_KEY: &[u8] = b"format";
const FORMAT: u32 = 1;
/// Series at most: machines whose nodes get new ids again and again must not fill the memory.
const SERIES_MAX: usize = 2_000_000;
const CACHE_BYTES: usize = 4 << 20;

/// Names and numbers of series.
pub struct Names {
    database: Database,
    known: RwLock<HashMap<String, SeriesId>>,
}

impl Names {
    /// Those that a file has.
    pub fn open(path: &Path) -> Result<Names, StoreError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = database.map_err(failed)?;
        let transaction = database.begin_write().map_err(failed)?;
        let mut known = HashMap::new();
        {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let found = match meta.get(FORMAT_KEY).map_err(failed)? {
                Some(value) => Some(codec::open::<u32>(value.value(), "format")?),
                None => None,
            };
            match found {
                Some(found) if found > FORMAT => {
                    return Err(StoreError::NewerFormat { found, known: FORMAT });
                }
                Some(_) => {}
                None => {
                    meta.insert(FORMAT_KEY, codec::seal(&FORMAT).as_slice()).map_err(failed)?;
                }
            }
            let names = transaction.open_table(NAMES).map_err(failed)?;
            for entry in names.iter().map_err(failed)? {
                let (name, number) = entry.map_err(failed)?;
                let name = String::from_utf8_lossy(name.value()).into_owned();
                known.insert(name, codec::open(number.value(), "number of a series")?);
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(Names { database, known: RwLock::new(known) })
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The numbers of names, and whether they are new; they are durable on return.
    pub fn numbers(&self, names: &[String]) -> Result<Vec<(SeriesId, bool)>, StoreError> {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let all = names.iter().map(|name| Some((*known.get(name)?, false)));
            if let Some(all) = all.collect::<Option<Vec<_>>>() {
                return Ok(all);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = known.values().max().map_or(0, |last| last + 1);
        let mut new = HashMap::new();
        for name in names.iter().filter(|name| !known.contains_key(*name)) {
            if known.len() + new.len() >= SERIES_MAX {
                return Err(StoreError::Io(format!("there are {SERIES_MAX} series already")));
            }
            new.entry(name.clone()).or_insert_with(|| {
                next += 1;
                next - 1
            });
        }
        let transaction = self.database.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(NAMES).map_err(failed)?;
            for (name, number) in &new {
                let number = codec::seal(number);
                table.insert(name.as_bytes(), number.as_slice()).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        let all = names.iter().map(|name| {
            let new = new.get(name).map(|number| (*number, true));
            new.or_else(|| Some((*known.get(name)?, false)))
        });
        let all = all.collect::<Option<_>>();
        known.extend(new);
        all.ok_or_else(|| StoreError::Io("a series has no number".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_names_stay_theirs_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("series.redb");
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let first = Names::open(&path).unwrap();
        assert!(first.is_empty());
        let (a, b) = ((0, true), (1, true));
        assert_eq!(first.numbers(&names(&["a", "b", "a"])).unwrap(), [a, b, a]);
        drop(first);
        let again = Names::open(&path).unwrap();
        let (a, b, c) = ((0, false), (1, false), (2, true));
        assert_eq!(again.numbers(&names(&["c", "b", "a"])).unwrap(), [c, b, a]);
    }
}
