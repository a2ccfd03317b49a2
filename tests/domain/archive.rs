//! State that leaves memory or is kept as a whole comes back as it was.

use linewright::domain::command::Input;
use linewright::domain::core::Core;
use linewright::domain::event::Event;
use linewright::domain::time::Span;
use proptest::prelude::*;

use super::plant::*;

fn events_of(core: &mut Core, input: &Input) -> Vec<Event> {
    let mut events = Vec::new();
    core.decide(input, &mut events).unwrap();
    events.iter().for_each(|event| drop(core.apply(event)));
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

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
