//! What the members of equipment depend on besides its type: equipment of one shape shares its members, so
//! that a plant with many machines of a kind takes little memory. Which optional members there are follows
//! from it and from nothing else.

use super::bind;
use super::members::Placed;
use crate::domain::oee::figure::Figure;
use crate::domain::plant::Machine;
use crate::domain::signal::counter::CounterKind;
use crate::domain::signal::{SignalRole, SignalRule, Vocabulary};

/// What is configured of equipment, as far as it decides which members there are.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// Name of the type.
    pub of_type: &'static str,
    /// Whether there are figures of the order that is made.
    pub has_order: bool,
    /// Figures for which something is aimed at.
    pub targets: Vec<Figure>,
    /// The counters that are bound.
    pub counters: Vec<SignalRole>,
    /// Process values with their units.
    pub placed: Vec<(Placed, String)>,
    /// What the nameplate says something of.
    pub nameplate: Vec<&'static str>,
    /// Whether it counts its cycles over its whole life.
    pub counts_cycles: bool,
    /// Whether it is mirrored.
    pub has_mirror: bool,
    /// Whether it is told of orders.
    pub has_orders: bool,
    /// The standards in whose words it tells its state and its mode.
    pub speaks: [Option<Vocabulary>; 2],
}

impl Shape {
    /// Adds what the signals of a machine decide.
    #[must_use]
    pub fn with_signals(mut self, machine: &Machine) -> Shape {
        let roles = machine.signals.iter().map(|signal| signal.role);
        self.counters = roles.filter(|role| role.is_counter()).collect();
        // What is counted here begins with the first pulse that was seen.
        self.counts_cycles = matches!(
            machine.rule(SignalRole::Cycle),
            Some(SignalRule::Cycle(rule, _)) if rule.kind == CounterKind::Rising
        );
        let speaks = |role| machine.rule(role).and_then(SignalRule::vocabulary);
        self.speaks = [speaks(SignalRole::State), speaks(SignalRole::Mode)];
        self
    }

    /// Whether an optional member is wanted.
    pub fn wants(&self, path: &str) -> bool {
        let [state, mode] = self.speaks;
        match path.split('/').collect::<Vec<_>>()[..] {
            ["KPI", "ThisOrder"] => self.has_order,
            // The four best known figures of the running shift have history.
            ["KPI", "ThisShift", _, "HA Configuration"] => true,
            ["KPI", _, name, "Target"] => {
                Figure::parse(name).is_some_and(|figure| self.targets.contains(&figure))
            }
            ["Counters", name] => {
                bind::counter(name).is_some_and(|role| self.counters.contains(&role))
            }
            ["ProcessValues"] => !self.placed.is_empty(),
            ["Mirror"] => self.has_mirror,
            ["OrderTransfer"] => self.has_orders,
            ["BaseStateMachine"] => state == Some(Vocabulary::PackMl),
            ["WS_Cur_State"] => state == Some(Vocabulary::Weihenstephan),
            ["UnitModeCurrent"] => mode == Some(Vocabulary::PackMl),
            ["WS_Cur_Prog"] => mode == Some(Vocabulary::Weihenstephan),
            ["BaseStateMachine" | "WS_Cur_State", .., "CurrentState", "Number"]
            | ["MachineryBuildingBlocks", _, "CurrentState", "Number"] => true,
            ["MachineryBuildingBlocks", "OperationCounters"] => self.counts_cycles,
            ["MachineryBuildingBlocks", "OperationCounters", name] => {
                name == "OperationCycleCounter"
            }
            ["MachineryBuildingBlocks", "Identification"] => !self.nameplate.is_empty(),
            ["MachineryBuildingBlocks", "Identification", name] => self.nameplate.contains(&name),
            // Of job control, all is there.
            _ => bind::wants_job(path),
        }
    }
}
