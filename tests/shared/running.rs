//! The engine as it runs, with its thread and its store, under a clock that the test sets. No test
//! logic.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use linewright::app::clock::Clock;
use linewright::app::engine::{Actor, EngineHandle, MachineInput, start};
use linewright::app::query::Queries;
use linewright::domain::command::{Command, Input};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::Kpi;
use linewright::domain::plant::Plant;
use linewright::domain::time::{Timestamp, Window};
use linewright::store::RedbStore;

/// A clock that stands until it is set.
pub struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ticks(self.0.load(Ordering::SeqCst))
    }
}

/// A running engine with a store of its own.
pub struct Running {
    pub engine: EngineHandle,
    pub queries: Queries,
    thread: JoinHandle<()>,
    pub clock: Arc<SetClock>,
    pub runtime: tokio::runtime::Runtime,
    directory: tempfile::TempDir,
}

impl Running {
    pub fn new(plant: Arc<Plant>, now: i64) -> Running {
        let clock = Arc::new(SetClock(AtomicI64::new(now)));
        Running::start(plant, clock, tempfile::tempdir().unwrap())
    }

    fn start(plant: Arc<Plant>, clock: Arc<SetClock>, directory: tempfile::TempDir) -> Running {
        let store = Box::new(RedbStore::open(directory.path()).unwrap());
        let (engine, thread) = start(plant, store, clock.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let queries = Queries::new(engine.clone());
        Running { engine, queries, thread, clock, runtime, directory }
    }

    pub fn set(&self, ticks: i64) {
        self.clock.0.store(ticks, Ordering::SeqCst);
    }

    /// Hands over a value or a change of the link as a machine does.
    pub fn input(&self, input: Input) {
        let machine_input = match input {
            Input::Observed(observation) => MachineInput::Observed(observation),
            Input::Linked(change) => MachineInput::Linked(change),
            other => panic!("no machine sends {other:?}"),
        };
        self.runtime.block_on(self.engine.deliver(machine_input)).unwrap();
    }

    /// Whether a command was carried out.
    pub fn command(&self, command: Command) -> bool {
        let actor = Actor { name: "test", may_correct: true };
        self.runtime.block_on(self.engine.command(command, actor, None)).is_ok()
    }

    /// Waits until the engine has taken everything that was delivered and has looked at the clock.
    pub fn settle(&self) {
        let now = self.clock.now();
        let look = || {
            let answer = self.engine.extract(Equipment::Site, Window { from: now, to: now });
            self.runtime.block_on(answer).unwrap();
        };
        look();
        while self.engine.queue_depth() > 0 {
            look();
        }
        look();
    }

    /// Figures as an interface gets them.
    pub fn kpi(&self, equipment: &Equipment, window: Window) -> Kpi {
        self.runtime.block_on(self.queries.kpi(equipment, window)).unwrap()
    }

    /// Ends, and starts again with what is stored.
    pub fn restart(self) -> Running {
        let (plant, clock) = (self.engine.plant(), self.clock.clone());
        Running::start(plant, clock, self.end())
    }

    /// Ends, and gives back the directory.
    pub fn end(self) -> tempfile::TempDir {
        self.runtime.block_on(self.engine.stop());
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.thread.is_finished() {
            assert!(Instant::now() < deadline, "the engine does not end");
            std::thread::yield_now();
        }
        self.thread.join().unwrap();
        self.directory
    }
}
