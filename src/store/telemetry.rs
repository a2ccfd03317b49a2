//! The embedded store of samples: a log that makes them durable, memory for those that are new, and blocks
//! in one database a day for all others.
//!
//! Never one row a sample: what has come is sealed into blocks after a while, beside the writing, and its
//! part of the log is given up. What is not durable is never read, and nothing that is durable is read
//! twice or not at all, whenever the program is killed.

mod block;
mod days;
mod heads;
mod log;
mod names;
mod read;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread::JoinHandle;

use self::days::{Days, day_of};
use self::heads::{Heads, by_day};
use self::log::Log;
use self::names::Names;
use self::read::SampleReader;
use crate::app::ports::StoreError;
use crate::app::telemetry::{Sample, SeriesId, TelemetryReader, TelemetryStore};
use crate::domain::time::{Span, Timestamp};

/// When what has come is sealed, and how much room is left.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Samples in memory.
    pub samples: usize,
    /// Bytes of a segment of the log.
    pub bytes: u64,
    /// Age of the oldest sample in memory.
    pub age: Span,
    /// Bytes of the disk that are left for orders.
    pub room: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        let age = Span::from_seconds(3600);
        Bounds { samples: 400_000, bytes: 64 << 20, age, room: 128 << 20 }
    }
}

/// Samples in memory that cannot be sealed, in multiples of those that are sealed at once, before no more
/// are taken.
const UNSEALED_MAX: usize = 4;
/// How often it is looked how much room there is, and how often sealing is tried again.
const LOOK_EVERY: Span = Span::from_seconds(5);

/// What is kept, as readers and the sealing thread see it.
struct Shared {
    names: Names,
    days: Days,
    heads: RwLock<Heads>,
    keeps: Span,
    last_alive: Option<Timestamp>,
}

impl Shared {
    fn heads(&self) -> RwLockWriteGuard<'_, Heads> {
        self.heads.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes blocks of what is frozen, and gives up its part of the log.
    fn seal(&self, logs: &Path) -> Result<(), StoreError> {
        let frozen = self.heads.read().unwrap_or_else(PoisonError::into_inner).frozen();
        let Some((frozen, segment)) = frozen else { return Ok(()) };
        for (day, samples) in by_day(&frozen, day_of) {
            // One that was sealed before something else failed has its part already.
            if self.days.sealed(day)? < segment {
                self.days.seal(day, segment, &samples)?;
            }
        }
        self.heads().sealed();
        log::remove(logs, segment)
    }
}

/// The store of samples in a data directory.
pub struct Telemetry {
    logs: PathBuf,
    shared: Arc<Shared>,
    log: Log,
    bounds: Bounds,
    sealing: Option<JoinHandle<Result<(), StoreError>>>,
    /// When something is looked at again.
    room_at: Timestamp,
    seal_at: Timestamp,
}

impl Telemetry {
    /// Opens the store below a data directory, which must be this process's own. Samples are kept for some time.
    pub fn open(data: &Path, keeps: Span, bounds: Bounds) -> Result<Telemetry, StoreError> {
        let directory = data.join("telemetry");
        let logs = directory.join("log");
        fs::create_dir_all(&logs).map_err(|error| log::failed(&logs, &error))?;
        let names = Names::open(&directory.join("series.redb"))?;
        let days = Days::open(&directory.join("days"))?;
        let segments = log::segments(&logs)?;
        let last = segments.last().copied().unwrap_or(0);
        let mut heads = Heads::new(last);
        let mut last_alive = None;
        for segment in segments {
            last_alive = recover(&logs, segment, &days, &mut heads)?.max(last_alive);
        }
        let shared = Shared { names, days, heads: RwLock::new(heads), keeps, last_alive };
        Ok(Telemetry {
            log: Log::begin(&logs, last + 1)?,
            logs,
            shared: Arc::new(shared),
            bounds,
            sealing: None,
            room_at: Timestamp::MIN,
            seal_at: Timestamp::MIN,
        })
    }

    /// Seals when it is time, beside the writing.
    fn seal(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(sealing) = self.sealing.take_if(|sealing| sealing.is_finished()) {
            let failed = |_| Err(StoreError::Io("sealing samples has failed".into()));
            if let Err(error) = sealing.join().unwrap_or_else(failed) {
                // The samples are durable and in memory; it is tried again.
                self.shared.days.close();
                self.seal_at = now + LOOK_EVERY;
                let open = self.shared.heads().count();
                if open > self.bounds.samples.saturating_mul(UNSEALED_MAX) {
                    return Err(error);
                }
            }
        }
        if self.sealing.is_some() || now < self.seal_at {
            return Ok(());
        }
        let mut heads = self.shared.heads();
        if heads.frozen().is_none() {
            let is_old = heads.since().is_some_and(|since| now - since >= self.bounds.age);
            let is_due = heads.count() >= self.bounds.samples
                || heads.count() > 0 && self.log.length() >= self.bounds.bytes
                || is_old;
            if !is_due {
                return Ok(());
            }
            let next = Log::begin(&self.logs, self.log.number() + 1)?;
            heads.freeze(self.log.number());
            self.log = next;
        }
        drop(heads);
        let (shared, logs) = (self.shared.clone(), self.logs.clone());
        let thread = std::thread::Builder::new().name("sealing".into());
        let sealing = thread.spawn(move || shared.seal(&logs));
        self.sealing = Some(sealing.map_err(|error| log::failed(&self.logs, &error))?);
        Ok(())
    }

    /// Refuses to take the room that orders need.
    fn look_for_room(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if now >= self.room_at {
            let room = rustix::fs::statvfs(&self.logs);
            let room = room.map_err(|error| log::failed(&self.logs, &error.into()))?;
            if room.f_bavail.saturating_mul(room.f_frsize) < self.bounds.room {
                return Err(StoreError::Full);
            }
            self.room_at = now + LOOK_EVERY;
        }
        Ok(())
    }
}

/// Takes into memory what a segment has that is in no block; gives when the program was alive last.
fn recover(
    logs: &Path,
    segment: u64,
    days: &Days,
    heads: &mut Heads,
) -> Result<Option<Timestamp>, StoreError> {
    let mut last_alive = None;
    let mut damaged = None;
    let mut sealed = std::collections::HashMap::new();
    log::read(logs, segment, |logged| {
        last_alive = last_alive.max(Some(logged.at));
        for (series, sample) in logged.samples {
            let day = day_of(sample.at);
            let sealed = sealed.entry(day).or_insert_with(|| {
                days.sealed(day).unwrap_or_else(|error| {
                    damaged = Some(error);
                    u64::MAX
                })
            });
            if *sealed < segment {
                heads.add(series, sample, logged.at);
            }
        }
    })?;
    damaged.map_or(Ok(last_alive), Err)
}

impl TelemetryStore for Telemetry {
    fn append(&mut self, samples: &[(SeriesId, Sample)], now: Timestamp) -> Result<(), StoreError> {
        self.look_for_room(now)?;
        if self.log.is_broken() {
            self.log = Log::begin(&self.logs, self.log.number() + 1)?;
        }
        self.seal(now)?;
        self.log.append(samples, now)?;
        let mut heads = self.shared.heads();
        samples.iter().for_each(|(series, sample)| heads.add(*series, sample.clone(), now));
        Ok(())
    }

    fn tend(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.shared.names.is_empty() {
            return Ok(());
        }
        self.shared.days.drop_before(day_of(now - self.shared.keeps))?;
        self.append(&[], now)
    }

    fn reader(&self) -> Arc<dyn TelemetryReader> {
        Arc::new(SampleReader(self.shared.clone()))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(sealing) = self.sealing.take() {
            // What has failed is done after the next start.
            let _ = sealing.join();
        }
    }
}
