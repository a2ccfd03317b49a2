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
        // What is in a directory is durable only when its own name is.
        for parent in [&directory, data] {
            let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
            synced.map_err(|error| log::failed(parent, &error))?;
        }
        let names = Names::open(&directory.join("series.redb"))?;
        let days = Days::open(&directory.join("days"))?;
        let segments = log::segments(&logs)?;
        // Where the log is gone, numbers go on behind those that the days have.
        let last = match segments.last() {
            Some(last) => *last,
            None => days.last_sealed()?,
        };
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

/// The store against a list in memory, over seals, restarts and kills at the worst moments.
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::app::telemetry::Sampled;
    use crate::domain::time::Window;

    const DAY: i64 = 86_400 * 10_000_000;
    const NEVER: Bounds =
        Bounds { samples: usize::MAX, bytes: u64::MAX, age: Span::from_ticks(i64::MAX), room: 0 };
    /// Seals whenever something is appended.
    const ALWAYS: Bounds = Bounds { samples: 1, ..NEVER };
    const KEEPS: Span = Span::from_seconds(100 * 86_400);

    fn at(ticks: i64) -> Timestamp {
        Timestamp::from_ticks(ticks)
    }

    fn sample(ticks: i64, number: u64) -> Sample {
        Sample { at: at(ticks), status: 0, value: Sampled::Number { kind: 9, bits: number } }
    }

    /// What was appended, in order of time and then of arrival.
    #[derive(Default)]
    struct Model(BTreeMap<SeriesId, Vec<Sample>>);

    impl Model {
        fn add(&mut self, samples: &[(SeriesId, Sample)]) {
            for (series, sample) in samples {
                let all = self.0.entry(*series).or_default();
                let place = all.partition_point(|known| known.at <= sample.at);
                all.insert(place, sample.clone());
            }
        }

        /// Whether a store says the same to every question.
        fn check(&self, reader: &dyn TelemetryReader, instants: &[i64]) {
            for series in 0..3 {
                let all = self.0.get(&series).cloned().unwrap_or_default();
                let whole = Window { from: at(-9 * DAY), to: at(9 * DAY) };
                assert_eq!(reader.values(series, whole).unwrap(), all);
                for instant in instants.iter().map(|ticks| at(*ticks)) {
                    let before = all.iter().rfind(|sample| sample.at < instant);
                    assert_eq!(reader.last_before(series, instant).unwrap().as_ref(), before);
                    let since = all.iter().find(|sample| sample.at >= instant);
                    assert_eq!(reader.first_since(series, instant).unwrap().as_ref(), since);
                    let window = Window { from: instant, to: at(instant.ticks() + DAY / 2) };
                    let inside: Vec<_> =
                        all.iter().filter(|s| window.contains(s.at)).cloned().collect();
                    assert_eq!(reader.values(series, window).unwrap(), inside);
                }
                let oldest = reader.oldest(series).unwrap();
                assert!(all.first().is_none_or(|first| oldest.is_some_and(|at| at <= first.at)));
            }
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &target),
                false => drop(fs::copy(entry.path(), target).unwrap()),
            }
        }
    }

    /// Waits for the end of sealing.
    fn settle(store: &mut Telemetry) {
        if let Some(sealing) = store.sealing.take() {
            sealing.join().unwrap().unwrap();
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<(SeriesId, i64)>),
        Seal,
        Restart,
        /// As if the machine had lost its power: what was begun last was not finished; the log as it was before
        /// it was given up, too.
        Kill {
            logs_are_there: bool,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let instant = prop_oneof![-3..3_i64, Just(DAY - 1), Just(DAY), -DAY..2 * DAY];
        let samples = prop::collection::vec((0..3_u32, instant), 1..8);
        prop_oneof![
            6 => samples.prop_map(Step::Append),
            2 => Just(Step::Seal),
            1 => Just(Step::Restart),
            2 => any::<bool>().prop_map(|logs_are_there| Step::Kill { logs_are_there }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_lost_and_nothing_is_there_twice(steps in prop::collection::vec(step(), 1..14)) {
            let mut directory = tempfile::tempdir().unwrap();
            let all_logs = tempfile::tempdir().unwrap();
            let mut store = Telemetry::open(directory.path(), KEEPS, NEVER).unwrap();
            let (mut model, mut number) = (Model::default(), 0);
            let mut instants = vec![-1, 0, 1, DAY];
            for step in steps {
                match step {
                    Step::Append(samples) => {
                        let samples: Vec<_> = samples.into_iter().map(|(series, ticks)| {
                            number += 1;
                            instants.push(ticks);
                            (series, sample(ticks, number))
                        }).collect();
                        store.append(&samples, at(number as i64)).unwrap();
                        model.add(&samples);
                        copy(&store.logs, all_logs.path());
                    }
                    Step::Seal => {
                        store.bounds = ALWAYS;
                        store.seal(at(0)).unwrap();
                        // Whether the sealing is done or not.
                        model.check(&*store.reader(), &instants);
                        settle(&mut store);
                        store.bounds = NEVER;
                    }
                    Step::Restart => {
                        drop(store);
                        store = Telemetry::open(directory.path(), KEEPS, NEVER).unwrap();
                    }
                    Step::Kill { logs_are_there } => {
                        settle(&mut store);
                        let after = tempfile::tempdir().unwrap();
                        copy(directory.path(), after.path());
                        if logs_are_there {
                            copy(all_logs.path(), &after.path().join("telemetry/log"));
                        }
                        drop(store);
                        directory = after;
                        store = Telemetry::open(directory.path(), KEEPS, NEVER).unwrap();
                    }
                }
                instants.truncate(12);
                model.check(&*store.reader(), &instants);
            }
        }
    }

    #[test]
    fn a_write_that_was_cut_is_not_there_and_all_before_it_are() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Telemetry::open(directory.path(), KEEPS, NEVER).unwrap();
        let mut ends = vec![store.log.length()];
        for number in 0..4 {
            let samples = [(0, sample(number, 1)), (1, sample(number, 2))];
            store.append(&samples, at(number)).unwrap();
            ends.push(store.log.length());
        }
        let log = format!("telemetry/log/{:012}.log", store.log.number());
        for length in 0..=ends[4] {
            let cut = tempfile::tempdir().unwrap();
            copy(directory.path(), cut.path());
            let file = File::options().write(true).open(cut.path().join(&log)).unwrap();
            file.set_len(length).unwrap();
            let mut after = Telemetry::open(cut.path(), KEEPS, NEVER).unwrap();
            let whole = ends.iter().skip(1).filter(|end| **end <= length).count();
            let all = Window { from: at(0), to: at(9) };
            assert_eq!(after.reader().values(1, all).unwrap().len(), whole, "cut at {length}");
            assert_eq!(after.reader().last_alive(), (whole > 0).then(|| at(whole as i64 - 1)));
            after.append(&[(1, sample(8, 3))], at(8)).unwrap();
            assert_eq!(after.reader().values(1, all).unwrap().len(), whole + 1);
        }
    }

    #[test]
    fn days_are_read_and_go_on_where_the_log_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let all = Window { from: at(0), to: at(9) };
        for number in 1..=3 {
            let mut store = Telemetry::open(directory.path(), KEEPS, ALWAYS).unwrap();
            assert_eq!(store.reader().values(0, all).unwrap().len() as i64, number - 1);
            store.append(&[(0, sample(number, 1))], at(number)).unwrap();
            store.append(&[], at(number)).unwrap();
            settle(&mut store);
            assert!(store.shared.heads().frozen().is_none());
            let logs = store.logs.clone();
            drop(store);
            fs::remove_dir_all(logs).unwrap();
        }
    }

    #[test]
    fn days_that_are_too_old_go_with_their_files() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Telemetry::open(directory.path(), KEEPS, ALWAYS).unwrap();
        let names = ["a".to_owned()];
        assert_eq!(store.reader().series(&names).unwrap(), [(0, true)]);
        for day in [0, 1, 100, 101] {
            store.append(&[(0, sample(day * DAY + 5, 1))], at(day * DAY + 5)).unwrap();
            store.append(&[], at(day * DAY + 6)).unwrap();
            settle(&mut store);
        }
        let days = || fs::read_dir(directory.path().join("telemetry/days")).unwrap().count();
        assert_eq!(days(), 4);
        store.tend(at(101 * DAY + 7)).unwrap();
        settle(&mut store);
        assert_eq!(days(), 3);
        let all = Window { from: at(0), to: at(200 * DAY) };
        assert_eq!(store.reader().values(0, all).unwrap().len(), 3);
        let logs = fs::read_dir(&store.logs).unwrap().count();
        assert!(logs <= 2, "the log was given up: {logs}");
    }

    #[test]
    fn a_disk_without_room_refuses_and_goes_on_when_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let bounds = Bounds { room: u64::MAX, ..NEVER };
        let mut store = Telemetry::open(directory.path(), KEEPS, bounds).unwrap();
        let refused = store.append(&[(0, sample(1, 1))], at(1)).unwrap_err();
        assert!(matches!(refused, StoreError::Full));
        store.bounds.room = 0;
        store.append(&[(0, sample(2, 1))], at(2)).unwrap();
        let all = Window { from: at(0), to: at(9) };
        assert_eq!(store.reader().values(0, all).unwrap(), [sample(2, 1)]);
    }

    #[test]
    fn what_cannot_be_sealed_stays_in_the_log_and_is_sealed_later() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Telemetry::open(directory.path(), KEEPS, ALWAYS).unwrap();
        // Where the database of the day is to be there is something else.
        let day = directory.path().join("telemetry/days/1970-01-01.redb");
        fs::create_dir(&day).unwrap();
        store.append(&[(0, sample(1, 1))], at(1)).unwrap();
        store.append(&[(0, sample(2, 2))], at(2)).unwrap();
        while store.sealing.as_ref().is_some_and(|sealing| !sealing.is_finished()) {
            std::thread::yield_now();
        }
        store.append(&[], at(3)).unwrap();
        assert!(store.sealing.is_none(), "it has failed");
        let all = Window { from: at(0), to: at(9) };
        assert_eq!(store.reader().values(0, all).unwrap().len(), 2);
        fs::remove_dir(&day).unwrap();
        store.append(&[], at(3) + LOOK_EVERY).unwrap();
        settle(&mut store);
        assert_eq!(store.reader().values(0, all).unwrap().len(), 2);
        assert!(store.shared.heads().frozen().is_none());
    }
}
