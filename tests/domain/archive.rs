//! State that leaves memory or is kept as a whole comes back as it was.

use linewright::app::engine::{Extract, MachineExtract};
use linewright::app::pages::{Pages, sum_of_long};
use linewright::app::ports::{Batch, Store as _};
use linewright::app::query::complete;
use linewright::app::recall::{Pending, recall};
use linewright::domain::command::{Command, Input, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::event::Event;
use linewright::domain::evidence::EvidenceBlock;
use linewright::domain::id::{MachineId, ReasonId};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::Kpi;
use linewright::domain::time::{Span, Timestamp, Window};
use linewright::store::RedbStore;
use proptest::prelude::*;

use super::plant::*;

fn events_of(core: &mut Core, input: &Input) -> Vec<Event> {
    let mut events = Vec::new();
    core.decide(input, &mut events).unwrap();
    events.iter().for_each(|event| drop(core.apply(event)));
    events
}

/// A core whose old evidence is in a store, and the store, with the sums that are kept in it.
struct Archived {
    core: Core,
    store: RedbStore,
    pages: Pages,
    _directory: tempfile::TempDir,
}

impl Archived {
    /// Sees the story in the order of the keys, with the archive moving on at the given instants.
    fn new(story: &Story, ticks: &[i64]) -> Archived {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(directory.path()).unwrap();
        let core = Core::new(plant(story.shifts), Some(Span::from_seconds(3600)));
        let pages = Pages::default();
        let mut archived = Archived { core, store, pages, _directory: directory };
        let reasons = story.reasons.iter().map(|(instant, reason)| {
            let reason = ReasonId::parse(reason).unwrap();
            let said = Command::Remark {
                machine: machine(),
                remark: RemarkCommand::Classify { stop: at(*instant), reason },
                comment: String::new(),
            };
            command(HORIZON * 2, said)
        });
        let (facts, commands) = (story.facts(), story.commands());
        let (early, late) = facts.split_at(facts.len() / 2);
        let ticks: Vec<Input> = ticks.iter().map(|tick| Input::Tick(at(*tick))).collect();
        let (first, second) = ticks.split_at(ticks.len() / 2);
        // Half of the facts arrive after evidence has left memory: some of them are too late for it.
        let inputs = commands.into_iter().chain(early.to_vec()).chain(reasons);
        let inputs = inputs.chain(first.to_vec()).chain(late.to_vec()).chain(second.to_vec());
        inputs.for_each(|input| archived.input(&input));
        archived
    }

    /// Decides, applies and commits an input as the writer does.
    fn input(&mut self, input: &Input) {
        if let Input::Observed(observation) = input {
            let (reader, now) = (self.store.reader(), observation.received);
            let recalled =
                recall(&self.core, &*reader, Pending::default(), observation, now).unwrap();
            if let Some((recalled, orders)) = recalled {
                for order in orders {
                    self.input(&Input::Admit(Box::new(order)));
                }
                self.input(&Input::Recall(Box::new(recalled)));
            }
        }
        let mut events = Vec::new();
        // A reason for an instant at which the machine ran is refused.
        if self.core.decide(input, &mut events).is_err() {
            return;
        }
        let mut archived: Vec<(MachineId, EvidenceBlock)> = Vec::new();
        let (mut changed, mut retired) = (Vec::new(), Vec::new());
        for event in &events {
            let applied = self.core.apply(event);
            for (machine, window) in &applied.touched {
                self.pages.touch(&self.core, machine, *window);
            }
            archived.extend(applied.archived);
            changed.extend(applied.order);
            retired.extend(applied.retired);
        }
        let stale = self.pages.take_stale();
        let orders = changed.iter().filter_map(|id| self.core.order(id));
        let orders = orders.chain(retired.iter().map(|order| &**order)).collect();
        let batch =
            Batch { at: at(0), events: &events, orders, archived, stale, ..Batch::default() };
        self.store.commit(&batch).unwrap();
        if let Input::Tick(now) = input {
            self.make_pages(*now);
        }
    }

    /// Makes the sums of what is settled, and some of those that were wrong.
    fn make_pages(&mut self, now: Timestamp) {
        let reader = self.store.reader();
        let mut made = self.pages.make(&self.core, &*reader, now).unwrap();
        while !made.is_empty() {
            let batch = Batch { at: at(0), pages: made, ..Batch::default() };
            self.store.commit(&batch).unwrap();
            made = self.pages.make(&self.core, &*reader, now).unwrap();
        }
        let made = self.pages.make_again(&self.core, &*reader, now).unwrap();
        let batch = Batch { at: at(0), pages: made, ..Batch::default() };
        self.store.commit(&batch).unwrap();
    }

    /// Figures of a window out of kept sums, memory and store.
    fn kpi_of_sums(&self, equipment: &Equipment, window: Window) -> Kpi {
        let (reader, now) = (self.store.reader(), at(HORIZON * 2));
        sum_of_long(&self.core, &*reader, equipment, window, now).unwrap().unwrap()
    }

    /// Figures of a window out of memory and store, as a question is answered.
    fn kpi(&self, window: Window) -> Kpi {
        let evidence = self.core.evidence(&machine()).unwrap();
        let in_memory = MachineExtract {
            machine: machine(),
            archived_to: self.core.archived_to(&machine()),
            oldest: evidence.oldest(),
            evidence: evidence.extract(window),
        };
        let extract = Extract {
            history: self.core.history().clone(),
            now: at(HORIZON * 2),
            machines: vec![in_memory],
            runs: vec![(line(), self.core.runs(&line()).to_vec())],
        };
        let facts = complete(extract, &*self.store.reader(), window).unwrap();
        facts.facts().kpi(&Equipment::Machine(machine()), window).unwrap()
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn figures_of_any_window_are_the_same_when_evidence_is_in_the_archive(
        story in story(),
        ticks in prop::collection::vec(0..HORIZON * 2, 2..5),
        bounds in prop::collection::btree_set(-SECOND..HORIZON, 2),
    ) {
        let mut ticks = ticks;
        ticks.sort_unstable();
        let mut story = story;
        // Reasons are given while the evidence of their stops is in memory, or not at all.
        story.reasons.clear();
        let archived = Archived::new(&story, &ticks);
        let whole = story.core(&[]);
        let bounds: Vec<Timestamp> = bounds.into_iter().map(at).collect();
        let window = Window { from: bounds[0], to: bounds[1] };
        let expected = whole.facts_at(at(HORIZON * 2)).kpi(&Equipment::Machine(machine()), window).unwrap();
        let mut found = archived.kpi(window);
        // An open stop may be known to be long only from evidence after the window.
        found.provisional = expected.provisional;
        prop_assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn figures_are_the_same_whichever_sums_are_kept(
        story in story(),
        ticks in prop::collection::vec(0..HORIZON * 2, 2..8),
        bounds in prop::collection::btree_set(-SECOND..HORIZON, 2),
    ) {
        let mut ticks = ticks;
        ticks.sort_unstable();
        let mut story = story;
        story.reasons.clear();
        let archived = Archived::new(&story, &ticks);
        let whole = story.core(&[]);
        let bounds: Vec<Timestamp> = bounds.into_iter().map(at).collect();
        let window = Window { from: bounds[0], to: bounds[1] };
        for equipment in [Equipment::Machine(machine()), Equipment::Line(line())] {
            let expected = whole.facts_at(at(HORIZON * 2)).sum(&equipment, window).unwrap();
            let mut found = archived.kpi_of_sums(&equipment, window);
            // What is said of a part may not hold for the whole.
            found.provisional = expected.provisional;
            found.flags.clone_from(&expected.flags);
            found.counted = expected.counted;
            prop_assert_eq!(found, expected);
        }
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_core_restored_from_its_snapshot_is_the_same(story in story()) {
        let core = story.core(&[]);
        let restored = Core::restore(core.plant().clone(), None, core.snapshot());
        prop_assert_eq!(core.snapshot(), restored.snapshot());
    }

    #[test]
    fn the_same_inputs_give_the_same_events_and_applying_them_the_same_state(story in story()) {
        let inputs: Vec<_> = story.facts().into_iter().chain(story.commands()).collect();
        let mut first = Core::new(plant(story.shifts), None);
        let mut second = Core::new(plant(story.shifts), None);
        let mut replayed = Core::new(plant(story.shifts), None);
        for input in &inputs {
            let events = events_of(&mut first, input);
            prop_assert_eq!(&events, &events_of(&mut second, input));
            events.iter().for_each(|event| drop(replayed.apply(event)));
        }
        prop_assert_eq!(first.snapshot(), replayed.snapshot());
    }

    #[test]
    fn totals_of_orders_do_not_change_when_evidence_leaves_memory(
        story in story(),
        now in 0..HORIZON * 2,
    ) {
        let retention = Some(Span::from_seconds(3600));
        let mut core = Core::new(plant(false), retention);
        let mut whole = Core::new(plant(false), None);
        for input in story.facts().into_iter().chain(story.commands()) {
            feed(&mut core, &input);
            feed(&mut whole, &input);
        }
        let archived = events_of(&mut core, &Input::Tick(at(now)));
        for order in whole.orders() {
            if let Some(kept) = core.order(order.id()) {
                prop_assert_eq!(core.totals(kept), whole.totals(order));
            }
        }
        let restored = Core::restore(plant(false), retention, core.snapshot());
        prop_assert_eq!(core.snapshot(), restored.snapshot());
        let again = events_of(&mut core, &Input::Tick(at(now)));
        prop_assert!(again.is_empty(), "{:?} then {:?}", archived, again);
    }
}
