//! The thread that keeps what machines show: it takes what has queued up, keeps it with one write, and only
//! then lets others see it.
//!
//! While nothing can be kept, values are shown all the same, for a plant must be seen, but it is said so, and
//! the history has a mark from the first value that is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::clock::Clock;
use super::ports::StoreError;
use super::telemetry::{Sample, Sampled, Samples, SeriesId, TelemetryReader, TelemetryStore};
use crate::domain::time::{Span, Timestamp};

/// What comes within this time is kept with one write.
const TOGETHER: Duration = Duration::from_millis(5);
/// Samples of one write at most.
const SAMPLES_MAX: usize = 65_536;
/// Samples that may wait; machines keep what is more.
const WAITING_MAX: usize = 200_000;
/// How often it is looked what is due.
const TEND_EVERY: Span = Span::from_seconds(2);
/// How often the thread wakes at least.
const WAKE_EVERY: Duration = Duration::from_secs(1);
/// How often it is tried to keep values again.
const AGAIN_EVERY: Span = Span::from_seconds(1);
/// Bad_DataLost: values are missing because they were not kept (Part 11 §6.3).
pub const DATA_LOST: u32 = 0x809D_0000;

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
    sender: mpsc::UnboundedSender<Recording>,
    waiting: Arc<Waiting>,
    reader: Arc<dyn TelemetryReader>,
    keeping: watch::Receiver<Keeping>,
}

#[derive(Default)]
struct Waiting {
    samples: AtomicUsize,
    fewer: Notify,
}

/// Starts the thread of the recorder.
pub fn start(
    store: Box<dyn TelemetryStore>,
    clock: Arc<dyn Clock>,
) -> std::io::Result<(Recorder, std::thread::JoinHandle<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
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
        missing: BTreeMap::new(),
    };
    let thread = std::thread::Builder::new().name("recorder".into());
    let thread = thread.spawn(move || writer.run(receiver))?;
    Ok((Recorder { sender, waiting, reader, keeping }, thread))
}

impl Recorder {
    /// Hands samples over.
    pub fn record(&self, recording: Recording) {
        self.waiting.samples.fetch_add(recording.samples.len(), Ordering::Relaxed);
        if let Err(mpsc::error::SendError(recording)) = self.sender.send(recording) {
            // The recorder has failed; what is to be seen is seen all the same.
            (recording.then)();
        }
    }

    /// Waits until there is room. Who does not take more of a machine meanwhile lets it keep it.
    pub async fn room(&self) {
        while self.waiting.samples.load(Ordering::Relaxed) > WAITING_MAX {
            let fewer = self.waiting.fewer.notified();
            if self.waiting.samples.load(Ordering::Relaxed) <= WAITING_MAX
                || self.sender.is_closed()
            {
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
    /// From when on values of a series are missing, and the last of them.
    missing: BTreeMap<SeriesId, (Timestamp, Sample)>,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Recording>) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build()
        else {
            tracing::error!("the recorder has no runtime and cannot start");
            return;
        };
        loop {
            let next = async { tokio::time::timeout(WAKE_EVERY, receiver.recv()).await };
            match runtime.block_on(next) {
                Ok(Some(first)) => {
                    std::thread::sleep(TOGETHER);
                    self.keep(first, &mut receiver);
                }
                Ok(None) => return,
                Err(_) => {}
            }
            self.tend();
        }
    }

    fn keep(&mut self, first: Recording, receiver: &mut mpsc::UnboundedReceiver<Recording>) {
        let (mut samples, mut then) = (first.samples, vec![first.then]);
        while samples.len() < SAMPLES_MAX
            && let Ok(next) = receiver.try_recv()
        {
            samples.extend(next.samples);
            then.push(next.then);
        }
        self.append(&samples);
        then.into_iter().for_each(|then| then());
        self.waiting.samples.fetch_sub(samples.len(), Ordering::Relaxed);
        self.waiting.fewer.notify_waiters();
    }

    fn append(&mut self, samples: &[(SeriesId, Sample)]) {
        let now = self.clock.now();
        if self.again.is_some_and(|again| now < again) {
            return self.miss(samples);
        }
        let mut all = Samples::new();
        if self.again.is_some() {
            for (series, (from, last)) in &self.missing {
                all.push((*series, mark(*from, DATA_LOST)));
                all.push((*series, last.clone()));
            }
        }
        let done = match all.is_empty() {
            true => self.store.append(samples, now),
            false => {
                all.extend_from_slice(samples);
                self.store.append(&all, now)
            }
        };
        match done {
            Ok(()) => self.kept(),
            Err(error) => {
                self.stopped(&error, now);
                self.miss(samples);
            }
        }
    }

    fn kept(&mut self) {
        if self.again.take().is_some() {
            tracing::info!(series = self.missing.len(), "values of machines are kept again");
            self.missing.clear();
            self.tell.send_replace(Keeping::Kept);
        }
    }

    fn stopped(&mut self, error: &StoreError, now: Timestamp) {
        if self.again.is_none() {
            tracing::error!(%error, "values of machines are shown and not kept");
            self.tell.send_replace(Keeping::Stopped(now, error.to_string()));
        }
        self.again = Some(now + AGAIN_EVERY);
    }

    fn miss(&mut self, samples: &[(SeriesId, Sample)]) {
        for (series, sample) in samples {
            let fresh = || (sample.at, sample.clone());
            let (from, last) = self.missing.entry(*series).or_insert_with(fresh);
            *from = (*from).min(sample.at);
            if sample.at >= last.at {
                *last = sample.clone();
            }
        }
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
