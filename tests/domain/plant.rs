//! A small plant for tests, and inputs that proptest makes for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use linewright::domain::calendar::{
    Calendar, Days, FixedZone, Hours, ProductionDate, Scope, ShiftPattern, Validity,
};
use linewright::domain::command::{Command, CommandInput, Input, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::evidence::{LinkChange, Observation};
use linewright::domain::id::{
    AreaId, LineId, LotId, MachineId, OrderId, ProductId, ReasonId, SiteId,
};
use linewright::domain::order::{JobCommand, OrderRequest};
use linewright::domain::plant::{
    Area, CycleScope, IdealCycle, Line, Machine, NoOrderPolicy, Plant, Product, Reason,
    ReasonClass, RootCause,
};
use linewright::domain::quantity::Quantity;
use linewright::domain::signal::counter::CounterRule;
use linewright::domain::signal::{
    MachineState, RawValue, Reading, Signal, SignalRole, SignalRule, StateMap, StateRule, Unusable,
};
use linewright::domain::time::{Span, Timestamp, Window};
use proptest::prelude::*;

pub const SECOND: i64 = 10_000_000;
pub const ROLLOVER: u64 = 199;
pub const MICRO_STOP: i64 = 120 * SECOND;
/// Inputs lie inside this time.
pub const HORIZON: i64 = 2 * 86_400 * SECOND;

pub fn machine() -> MachineId {
    MachineId::parse("M1").unwrap()
}

pub fn line() -> LineId {
    LineId::parse("L1").unwrap()
}

pub fn order(number: usize) -> OrderId {
    OrderId::parse(&format!("WO-{number}")).unwrap()
}

pub fn product(number: usize) -> ProductId {
    ProductId::parse(&format!("P{number}")).unwrap()
}

pub fn at(ticks: i64) -> Timestamp {
    Timestamp::from_ticks(ticks)
}

/// One line with one machine that counts good parts and rejects; shifts 06:00 to 20:00 UTC.
#[expect(clippy::too_many_lines, reason = "a description, not a procedure")]
pub fn plant(shifts: bool) -> Arc<Plant> {
    let wraps = CounterRule { rollover: Some(ROLLOVER), ..CounterRule::default() };
    let counter = |role| Signal { role, rule: SignalRule::Count(wraps) };
    let states = StateRule { map: StateMap::Values(BTreeMap::new()), hold: Span::ZERO };
    let m1 = Machine {
        id: machine(),
        name: "Machine 1".into(),
        line: line(),
        micro_stop_below: Span::from_ticks(MICRO_STOP),
        explain_from: Span::from_ticks(MICRO_STOP),
        silence_after: None,
        stuck_after: None,
        priority: 0,
        signals: vec![
            Signal { role: SignalRole::State, rule: SignalRule::State(states) },
            counter(SignalRole::Good),
            counter(SignalRole::Reject),
            Signal { role: SignalRole::Lot, rule: SignalRule::Lot },
        ],
    };
    let l1 = Line {
        id: line(),
        name: "Line 1".into(),
        area: AreaId::parse("A1").unwrap(),
        machines: vec![machine()],
        bottleneck: machine(),
        bottleneck_by_product: BTreeMap::new(),
        outfeed: machine(),
        stations: vec![],
        buffers: vec![],
        root_cause: RootCause::Equipment,
        default_product: None,
        no_order: NoOrderPolicy::Loss,
    };
    let made = |number, ticks, parts| Product {
        id: product(number),
        name: format!("Product {number}"),
        unit: "C62".into(),
        cycles: vec![IdealCycle {
            scope: CycleScope::Any,
            valid_from: Timestamp::MIN,
            cycle: Span::from_ticks(ticks),
            parts,
        }],
    };
    let reason = |key: &str, class| {
        let id = ReasonId::parse(key).unwrap();
        let reason = Reason {
            id: id.clone(),
            name: key.into(),
            names: BTreeMap::new(),
            class,
            parent: None,
            failure: class == ReasonClass::Down,
            stops_line: true,
            priority: 0,
            comment_from: None,
            maximum: None,
            valid: Window { from: Timestamp::MIN, to: Timestamp::MAX },
        };
        (id, reason)
    };
    let day = ShiftPattern {
        name: "day".into(),
        scope: Scope::default(),
        days: Days::Week([true; 7]),
        validity: Validity::default(),
        hours: Hours {
            start: 6 * 60,
            end: 20 * 60,
            breaks: vec![(9 * 60, 9 * 60 + 15), (12 * 60, 12 * 60 + 45)],
        },
        production_date: ProductionDate::Start,
    };
    let patterns = if shifts { vec![day] } else { vec![] };
    Arc::new(Plant {
        site: SiteId::parse("S").unwrap(),
        site_name: "Site".into(),
        time_zone: "UTC".into(),
        areas: vec![Area { id: AreaId::parse("A1").unwrap(), name: "Area".into() }],
        lines: BTreeMap::from([(line(), l1)]),
        machines: BTreeMap::from([(machine(), m1)]),
        products: BTreeMap::from([
            (product(1), made(1, 30 * SECOND, 1)),
            (product(2), made(2, 100 * SECOND, 7)),
        ]),
        reasons: BTreeMap::from([
            reason("jam", ReasonClass::Down),
            reason("changeover", ReasonClass::Setup),
            reason("cleaning", ReasonClass::Planned),
        ]),
        calendar: Calendar::new(patterns, Arc::new(FixedZone { offset_minutes: 0 })),
        confirmation_interval: Span::from_seconds(60),
        closing_grace: Span::from_seconds(900),
    })
}

pub fn observed(role: SignalRole, ticks: i64, reading: Reading) -> Input {
    let unusable = matches!(reading, Reading::Unusable(_));
    Input::Observed(Observation {
        machine: machine(),
        role,
        at: at(ticks),
        received: at(ticks),
        seq: 0,
        status: if unusable { 0x8000_0000 } else { 0 },
        raw: RawValue::Integer(0),
        reading,
    })
}

pub fn state(ticks: i64, state: Option<MachineState>) -> Input {
    let unusable = Reading::Unusable(Unusable::BadStatus);
    observed(SignalRole::State, ticks, state.map_or(unusable, Reading::State))
}

pub fn count(role: SignalRole, ticks: i64, value: u64) -> Input {
    observed(role, ticks, Reading::Count(value))
}

pub fn lot(ticks: i64, lot: &str) -> Input {
    observed(SignalRole::Lot, ticks, Reading::Lot(Some(LotId::parse(lot).unwrap())))
}

pub fn link(ticks: i64, up: bool) -> Input {
    Input::Linked(LinkChange { machine: machine(), at: at(ticks), seq: 0, up })
}

pub fn command(ticks: i64, command: Command) -> Input {
    Input::Command(CommandInput {
        command,
        actor: "test".into(),
        at: at(ticks),
        seq: 0,
        may_correct: true,
        context: None,
    })
}

pub fn store(number: usize, made: usize, revision: u64) -> Command {
    Command::StoreOrder(OrderRequest {
        id: order(number),
        revision,
        line: line(),
        product: product(made),
        quantity: Quantity::from_whole(1000),
        lot: None,
        due: None,
        priority: 0,
        released: true,
        ideal_cycle: None,
    })
}

pub fn moved(number: usize, word: JobCommand) -> Command {
    Command::MoveOrder { order: order(number), command: word }
}

/// Decides and applies; panics when the core refuses.
pub fn feed(core: &mut Core, input: &Input) {
    let mut events = Vec::new();
    core.decide(input, &mut events).unwrap_or_else(|rejection| panic!("{input:?}: {rejection}"));
    for event in &events {
        core.apply(event);
    }
}

/// What happened to the machine of a test plant.
#[derive(Clone, Debug)]
pub struct Story {
    pub states: BTreeMap<i64, Option<MachineState>>,
    pub links: BTreeMap<i64, bool>,
    pub good: BTreeMap<i64, u64>,
    pub reject: BTreeMap<i64, u64>,
    /// Runs of orders as (start, end, product), disjoint and in order.
    pub runs: Vec<(i64, i64, usize)>,
    /// Reasons as (instant, reason); only those inside a stop take effect.
    pub reasons: Vec<(i64, &'static str)>,
    pub shifts: bool,
}

pub fn tick() -> impl Strategy<Value = i64> {
    // Whole seconds mostly, so that things fall together, and odd ticks as well.
    prop_oneof![4 => (0..HORIZON / SECOND).prop_map(|s| s * SECOND), 1 => 0..HORIZON]
}

/// So many cases of a property, times `CASES` where that is set.
pub fn cases(number: u32) -> ProptestConfig {
    let factor = std::env::var("CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    ProptestConfig::with_cases(number * factor)
}

fn machine_state() -> impl Strategy<Value = Option<MachineState>> {
    prop_oneof![
        6 => Just(Some(MachineState::Running)),
        3 => Just(Some(MachineState::Down)),
        1 => Just(Some(MachineState::Setup)),
        1 => Just(Some(MachineState::Blocked)),
        1 => Just(Some(MachineState::Starved)),
        1 => Just(Some(MachineState::Idle)),
        1 => Just(None),
    ]
}

prop_compose! {
    pub fn story()(
        states in prop::collection::btree_map(tick(), machine_state(), 0..40),
        short in prop::collection::vec((tick(), 0..2 * MICRO_STOP), 0..8),
        links in prop::collection::btree_map(tick(), any::<bool>(), 0..6),
        good in prop::collection::btree_map(tick(), 0..=ROLLOVER, 0..40),
        reject in prop::collection::btree_map(tick(), 0..=ROLLOVER, 0..15),
        cuts in prop::collection::btree_set(tick(), 0..9),
        first in 1..=2_usize,
        reasons in prop::collection::vec(
            (tick(), prop::sample::select(vec!["jam", "changeover", "cleaning"])), 0..6),
        shifts in any::<bool>(),
    ) -> Story {
        let mut states = states;
        // Stops around the threshold, which random times alone would hardly give.
        for (start, length) in short {
            states.insert(start, Some(MachineState::Down));
            states.insert(start + length, Some(MachineState::Running));
        }
        let cuts: Vec<i64> = cuts.into_iter().collect();
        let runs = cuts.chunks_exact(2).enumerate();
        let runs = runs.map(|(n, cut)| (cut[0], cut[1], 1 + (first + n) % 2)).collect();
        Story { states, links, good, reject, runs, reasons, shifts }
    }
}

impl Story {
    /// Observations and link changes, in order of time.
    pub fn facts(&self) -> Vec<Input> {
        let states = self.states.iter().map(|(t, s)| state(*t, *s));
        let links = self.links.iter().map(|(t, up)| link(*t, *up));
        let good = self.good.iter().map(|(t, n)| count(SignalRole::Good, *t, *n));
        let reject = self.reject.iter().map(|(t, n)| count(SignalRole::Reject, *t, *n));
        states.chain(links).chain(good).chain(reject).collect()
    }

    /// Commands, in order of time.
    pub fn commands(&self) -> Vec<Input> {
        let mut commands = Vec::new();
        for (number, (start, end, made)) in self.runs.iter().enumerate() {
            commands.push(command(*start, store(number, *made, 1)));
            commands.push(command(*start, moved(number, JobCommand::Start)));
            commands.push(command(*end, moved(number, JobCommand::Complete)));
        }
        commands
    }

    /// A core that has seen everything, facts in the order given by the keys.
    pub fn core(&self, keys: &[usize]) -> Core {
        let mut core = Core::new(plant(self.shifts), None);
        let mut inputs: Vec<(usize, Input)> = Vec::new();
        for (index, fact) in self.facts().into_iter().enumerate() {
            let key = keys.get(index % keys.len().max(1)).copied().unwrap_or(index);
            inputs.push((key, fact));
        }
        // Commands keep their order among themselves, facts fall between them as they like.
        let spread = usize::MAX / (self.commands().len() + 1);
        for (index, command) in self.commands().into_iter().enumerate() {
            inputs.push((spread.saturating_mul(index + 1), command));
        }
        inputs.sort_by_key(|(key, _)| *key);
        inputs.iter().for_each(|(_, input)| feed(&mut core, input));
        self.classify(&mut core);
        core
    }

    /// Gives reasons to the stops that contain their instants.
    fn classify(&self, core: &mut Core) {
        for (number, (instant, reason)) in self.reasons.iter().enumerate() {
            let reason = ReasonId::parse(reason).unwrap();
            let said = Command::Remark {
                machine: machine(),
                remark: RemarkCommand::Classify { stop: at(*instant), reason },
                comment: String::new(),
            };
            let mut input = command(HORIZON * 2, said);
            if let Input::Command(said) = &mut input {
                said.seq = number as u64;
            }
            let mut events = Vec::new();
            // An instant at which the machine ran has no stop; the core says so.
            if core.decide(&input, &mut events).is_ok() {
                for event in &events {
                    core.apply(event);
                }
            }
        }
    }
}
