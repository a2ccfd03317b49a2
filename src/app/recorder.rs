//! The thread that keeps what machines show: it takes what has queued up, keeps it with one write, and only
//! then lets others see it.
//!
//! While nothing can be kept, values are shown all the same, for a plant must be seen, but it is said so, and
//! the history has a mark from the first value that is missing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};

use super::clock::Clock;
use super::ports::StoreError;
use super::telemetry::{Sample, Sampled, Samples, SeriesId, TelemetryReader, TelemetryStore};
use crate::domain::time::{Span, Timestamp};

/// What comes within this time is kept with one write.
const TOGETHER: Duration = Duration::from_millis(10);
/// Samples of one write at most.
const SAMPLES_MAX: usize = 65_536;
/// Samples that may wait; machines keep what is more.
const WAITING_MAX: usize = 200_000;
/// Recordings that may wait. Whoever hands one over without asking for room misses it.
const RECORDINGS_MAX: usize = 65_536;
/// How often it is looked what is due.
const TEND_EVERY: Span = Span::from_seconds(2);
/// How often the thread wakes at least.
const WAKE_EVERY: Duration = Duration::from_secs(1);
/// How often it is tried to keep values again.
const AGAIN_EVERY: Span = Span::from_seconds(1);
/// Bad_DataLost: values are missing because they were not kept (Part 11 §6.3).
const DATA_LOST: u32 = 0x809D_0000;

/// Samples, and what is done once they are kept.
pub struct Recording {
    /// The samples.
    pub samples: Samples,
    /// Shows them.
    pub then: Box<dyn FnOnce() + Send>,
}

/// Whether values are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeping {
    /// They are.
    Kept,
    /// They are not, since when, and why.
    Stopped(Timestamp, String),
}

/// The way to the recorder; without any, nothing is kept any more after what has been handed over.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Asked>,
    waiting: Arc<Waiting>,
    reader: Arc<dyn TelemetryReader>,
    keeping: watch::Receiver<Keeping>,
}

enum Asked {
    Keep(Recording),
    Stop,
}

#[derive(Default)]
struct Waiting {
    samples: AtomicUsize,
    fewer: Notify,
    missing: Mutex<Missing>,
}

impl Waiting {
    fn missing(&self) -> MutexGuard<'_, Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From when on values of series are missing, and the last of them.
#[derive(Default)]
struct Missing(BTreeMap<SeriesId, (Timestamp, Sample)>);

impl Missing {
    fn note(&mut self, series: SeriesId, from: Timestamp, sample: &Sample) {
        let (known, last) = self.0.entry(series).or_insert_with(|| (from, sample.clone()));
        *known = from.min(*known);
        if sample.at >= last.at {
            *last = sample.clone();
        }
    }

    /// What is kept instead: marks, and the last of what is missing.
    fn instead(&self) -> Samples {
        let of = self.0.iter().flat_map(|(series, (from, last))| {
            let mark = (*from < last.at).then(|| (*series, mark(*from, DATA_LOST)));
            mark.into_iter().chain([(*series, last.clone())])
        });
        of.collect()
    }
}

/// Starts the thread of the recorder.
pub fn start(
    store: Box<dyn TelemetryStore>,
    clock: Arc<dyn Clock>,
) -> std::io::Result<(Recorder, std::thread::JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(RECORDINGS_MAX);
    let (tell, keeping) = watch::channel(Keeping::Kept);
    let waiting = Arc::new(Waiting::default());
    let reader = store.reader();
    let writer = Writer {
        store,
        clock,
        waiting: waiting.clone(),
        tell,
        again: None,
        tended_at: Timestamp::MIN,
    };
    let thread = std::thread::Builder::new().name("recorder".into());
    let thread = thread.spawn(move || writer.run(receiver))?;
    Ok((Recorder { sender, waiting, reader, keeping }, thread))
}

impl Recorder {
    /// Hands samples over.
    pub fn record(&self, recording: Recording) {
        let count = recording.samples.len();
        self.waiting.samples.fetch_add(count, Ordering::Relaxed);
        let (TrySendError::Full(missed) | TrySendError::Closed(missed)) =
            match self.sender.try_send(Asked::Keep(recording)) {
                Ok(()) => return,
                Err(error) => error,
            };
        // What is to be seen is seen all the same.
        self.waiting.samples.fetch_sub(count, Ordering::Relaxed);
        if let Asked::Keep(Recording { samples, then }) = missed {
            let mut missing = self.waiting.missing();
            samples.iter().for_each(|(series, sample)| missing.note(*series, sample.at, sample));
            drop(missing);
            then();
        }
    }

    /// Lets the recorder end after what was handed over.
    pub async fn stop(&self) {
        // One that has ended needs not be told.
        let _ = self.sender.send(Asked::Stop).await;
    }

    /// Waits until there is room. Who does not take more of a machine meanwhile lets it keep it.
    pub async fn room(&self) {
        let is_full = || {
            let samples = self.waiting.samples.load(Ordering::Relaxed);
            samples > WAITING_MAX || self.sender.capacity() < RECORDINGS_MAX / 2
        };
        while is_full() {
            let fewer = self.waiting.fewer.notified();
            if !is_full() || self.sender.is_closed() {
                return;
            }
            fewer.await;
        }
    }

    /// What is kept.
    pub fn reader(&self) -> &Arc<dyn TelemetryReader> {
        &self.reader
    }

    /// Whether values are kept, now and whenever that changes.
    pub fn keeping(&self) -> watch::Receiver<Keeping> {
        self.keeping.clone()
    }
}

struct Writer {
    store: Box<dyn TelemetryStore>,
    clock: Arc<dyn Clock>,
    waiting: Arc<Waiting>,
    tell: watch::Sender<Keeping>,
    /// When it is tried again; none while values are kept.
    again: Option<Timestamp>,
    tended_at: Timestamp,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Asked>) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build()
        else {
            tracing::error!("the recorder has no runtime and cannot start");
            return;
        };
        loop {
            let next = async { tokio::time::timeout(WAKE_EVERY, receiver.recv()).await };
            match runtime.block_on(next) {
                Ok(Some(Asked::Keep(first))) => {
                    std::thread::sleep(TOGETHER);
                    if self.keep(first, &mut receiver) {
                        return;
                    }
                }
                Ok(Some(Asked::Stop) | None) => return,
                Err(_) => {}
            }
            self.tend();
        }
    }

    /// Keeps what has queued up, and shows it; whether it was the last.
    fn keep(&mut self, first: Recording, receiver: &mut mpsc::Receiver<Asked>) -> bool {
        let (mut samples, mut then, mut is_last) = (first.samples, vec![first.then], false);
        while samples.len() < SAMPLES_MAX
            && let Ok(next) = receiver.try_recv()
        {
            let Asked::Keep(next) = next else {
                is_last = true;
                break;
            };
            samples.extend(next.samples);
            then.push(next.then);
        }
        self.append(&samples);
        then.into_iter().for_each(|then| then());
        self.waiting.samples.fetch_sub(samples.len(), Ordering::Relaxed);
        self.waiting.fewer.notify_waiters();
        is_last
    }

    fn append(&mut self, samples: &[(SeriesId, Sample)]) {
        let now = self.clock.now();
        if self.again.is_some_and(|again| now < again) {
            return self.miss(samples);
        }
        let missing = std::mem::take(&mut *self.waiting.missing());
        let mut all = missing.instead();
        let done = match all.is_empty() {
            true => self.store.append(samples, now),
            false => {
                all.extend_from_slice(samples);
                self.store.append(&all, now)
            }
        };
        match done {
            Ok(()) => self.kept(missing.0.len()),
            Err(error) => {
                let mut noted = self.waiting.missing();
                for (series, (from, last)) in &missing.0 {
                    noted.note(*series, *from, last);
                }
                drop(noted);
                self.stopped(&error, now);
                self.miss(samples);
            }
        }
    }

    fn kept(&mut self, series: usize) {
        if self.again.take().is_some() {
            tracing::info!(series, "values of machines are recorded again");
            self.tell.send_replace(Keeping::Kept);
        }
    }

    fn stopped(&mut self, error: &StoreError, now: Timestamp) {
        if self.again.is_none() {
            tracing::error!(%error, "values of machines are shown and not recorded");
            self.tell.send_replace(Keeping::Stopped(now, error.to_string()));
        }
        self.again = Some(now + AGAIN_EVERY);
    }

    fn miss(&self, samples: &[(SeriesId, Sample)]) {
        let mut missing = self.waiting.missing();
        samples.iter().for_each(|(series, sample)| missing.note(*series, sample.at, sample));
    }

    fn tend(&mut self) {
        let now = self.clock.now();
        if self.again.is_some_and(|again| now >= again) {
            return self.append(&[]);
        }
        if self.again.is_some() || now - self.tended_at < TEND_EVERY {
            return;
        }
        self.tended_at = now;
        if let Err(error) = self.store.tend(now) {
            self.stopped(&error, now);
        }
    }
}

/// A mark that from an instant on nothing is known.
pub fn mark(at: Timestamp, status: u32) -> Sample {
    Sample { at, status, value: Sampled::None }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::domain::time::Window;

    /// A store that asks before it keeps something.
    struct Asking {
        may: Receiver<bool>,
        kept: Arc<Mutex<Samples>>,
    }

    struct Nothing;

    impl TelemetryReader for Nothing {
        fn series(&self, _: &[String]) -> Result<Vec<(SeriesId, bool)>, StoreError> {
            Ok(Vec::new())
        }
        fn keeps(&self) -> Span {
            Span::from_seconds(1)
        }
        fn last_alive(&self) -> Option<Timestamp> {
            None
        }
        fn oldest(&self, _: SeriesId) -> Result<Option<Timestamp>, StoreError> {
            Ok(None)
        }
        fn values(&self, _: SeriesId, _: Window) -> Result<Vec<Sample>, StoreError> {
            Ok(Vec::new())
        }
        fn last_before(&self, _: SeriesId, _: Timestamp) -> Result<Option<Sample>, StoreError> {
            Ok(None)
        }
        fn first_since(&self, _: SeriesId, _: Timestamp) -> Result<Option<Sample>, StoreError> {
            Ok(None)
        }
    }

    impl TelemetryStore for Asking {
        fn append(
            &mut self,
            samples: &[(SeriesId, Sample)],
            _: Timestamp,
        ) -> Result<(), StoreError> {
            match self.may.recv() {
                Ok(false) => Err(StoreError::Full),
                _ => {
                    self.kept.lock().unwrap().extend_from_slice(samples);
                    Ok(())
                }
            }
        }
        fn tend(&mut self, _: Timestamp) -> Result<(), StoreError> {
            Ok(())
        }
        fn reader(&self) -> Arc<dyn TelemetryReader> {
            Arc::new(Nothing)
        }
    }

    /// A clock that is moved by hand.
    #[derive(Default)]
    struct Hand(std::sync::atomic::AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_ticks(self.0.load(Ordering::SeqCst))
        }
    }

    struct Begun {
        recorder: Recorder,
        thread: std::thread::JoinHandle<()>,
        may: Sender<bool>,
        kept: Arc<Mutex<Samples>>,
        clock: Arc<Hand>,
        shown: Receiver<i64>,
        show: Sender<i64>,
    }

    fn begin() -> Begun {
        let (may, asked) = channel();
        let kept = Arc::new(Mutex::new(Samples::new()));
        let store = Asking { may: asked, kept: kept.clone() };
        let clock = Arc::new(Hand::default());
        let (recorder, thread) = start(Box::new(store), clock.clone()).unwrap();
        let (show, shown) = channel();
        Begun { recorder, thread, may, kept, clock, shown, show }
    }

    fn number(ticks: i64) -> Sample {
        let value = Sampled::Number { kind: 9, bits: ticks as u64 };
        Sample { at: Timestamp::from_ticks(ticks), status: 0, value }
    }

    impl Begun {
        fn record(&self, ticks: i64) {
            let show = self.show.clone();
            let then = Box::new(move || show.send(ticks).unwrap());
            self.recorder.record(Recording { samples: vec![(7, number(ticks))], then });
        }

        fn end(self) -> Vec<Sample> {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(self.recorder.stop());
            drop(self.may);
            self.thread.join().unwrap();
            let kept = self.kept.lock().unwrap();
            kept.iter().map(|(_, sample)| sample.clone()).collect()
        }
    }

    #[test]
    fn nothing_is_shown_before_it_is_kept() {
        let begun = begin();
        begun.record(1);
        assert!(begun.shown.recv_timeout(Duration::from_millis(200)).is_err());
        begun.may.send(true).unwrap();
        assert_eq!(begun.shown.recv(), Ok(1));
        assert_eq!(begun.kept.lock().unwrap().len(), 1);
        assert_eq!(begun.end(), [number(1)]);
    }

    #[test]
    fn what_could_not_be_kept_is_shown_and_marked_and_the_last_of_it_is_kept_later() {
        let begun = begin();
        let mut keeping = begun.recorder.keeping();
        begun.may.send(false).unwrap();
        for ticks in 1..=3 {
            begun.record(ticks);
            assert_eq!(begun.shown.recv(), Ok(ticks));
        }
        let stopped = keeping.borrow_and_update().clone();
        assert!(matches!(stopped, Keeping::Stopped(_, why) if why.contains("full")));
        begun.clock.0.store(AGAIN_EVERY.ticks(), Ordering::SeqCst);
        // It may try by itself before the next value comes.
        (0..2).for_each(|_| begun.may.send(true).unwrap());
        begun.record(4);
        assert_eq!(begun.shown.recv(), Ok(4));
        assert_eq!(*keeping.borrow_and_update(), Keeping::Kept);
        let lost = mark(Timestamp::from_ticks(1), DATA_LOST);
        assert_eq!(begun.end(), [lost, number(3), number(4)]);
    }

    #[test]
    fn it_is_tried_again_although_nothing_comes() {
        let begun = begin();
        begun.may.send(false).unwrap();
        begun.record(1);
        assert_eq!(begun.shown.recv(), Ok(1));
        begun.clock.0.store(AGAIN_EVERY.ticks(), Ordering::SeqCst);
        begun.may.send(true).unwrap();
        // The thread wakes by itself.
        let mut keeping = begun.recorder.keeping();
        let waiting = tokio::runtime::Builder::new_current_thread().build().unwrap();
        waiting.block_on(keeping.wait_for(|now| *now == Keeping::Kept)).unwrap();
        assert_eq!(begun.end(), [number(1)]);
    }

    #[test]
    fn who_hands_over_without_room_is_seen_and_marked() {
        let begun = begin();
        // The first one is a whole write, which waits in the store, and so many wait behind it.
        let samples = vec![(7, number(0)); SAMPLES_MAX];
        begun.recorder.record(Recording { samples, then: Box::new(|| {}) });
        while begun.recorder.sender.capacity() < RECORDINGS_MAX {
            std::thread::yield_now();
        }
        for ticks in 1..=RECORDINGS_MAX as i64 + 1 {
            begun
                .recorder
                .record(Recording { samples: vec![(7, number(ticks))], then: Box::new(|| {}) });
        }
        begun.record(1 << 20);
        assert_eq!(begun.shown.recv(), Ok(1 << 20));
        (0..4).for_each(|_| begun.may.send(true).unwrap());
        let kept = begun.end();
        let lost = mark(Timestamp::from_ticks(RECORDINGS_MAX as i64 + 1), DATA_LOST);
        assert!(kept.contains(&number(RECORDINGS_MAX as i64)) && kept.contains(&lost));
        assert!(kept.contains(&number(1 << 20)));
    }

    #[test]
    fn who_hands_over_too_much_waits_until_there_is_room() {
        let begun = begin();
        let samples = vec![(7, number(1)); WAITING_MAX + 1];
        begun.recorder.record(Recording { samples, then: Box::new(|| {}) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waits = runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(100), begun.recorder.room()).await.is_err()
        });
        assert!(waits);
        begun.may.send(true).unwrap();
        runtime.block_on(begun.recorder.room());
        assert_eq!(begun.end().len(), WAITING_MAX + 1);
    }
}
