//! Stops as values: one of them part by part, and those of equipment that last or whose alarm waits for their
//! reason.

use std::collections::BTreeMap;

use opcua::types::{DateTime, LocalizedText, Variant};

use super::source::{StopValue, Subject};
use super::structures::StopStructure;
use super::value::duration;
use crate::app::view::PlantView;
use crate::channel::time::date_time;
use crate::domain::id::MachineId;
use crate::domain::notice::ConditionId;
use crate::domain::oee::stops::Stop;
use crate::domain::plant::Plant;
use crate::domain::time::{Span, Timestamp};

/// A part of a stop; of none where the machine does not stand.
pub fn stop_value(
    plant: &Plant,
    machine: &MachineId,
    stop: Option<&Stop>,
    value: StopValue,
    now: Timestamp,
) -> Variant {
    let last = |stop: &Stop| (stop.end.unwrap_or(now) - Span::from_ticks(1)).max(stop.start);
    let given = stop.and_then(|stop| stop.reason_at(plant, last(stop)));
    let reason = given.as_ref().and_then(|reason| plant.reasons.get(reason));
    let said = stop.and_then(|stop| stop.cause.as_ref()?.said.as_ref());
    let time = |at: Option<Timestamp>| at.map_or_else(DateTime::null, date_time).into();
    match value {
        StopValue::Active => Variant::Boolean(stop.is_some_and(|stop| stop.end.is_none())),
        StopValue::Start => time(stop.map(|stop| stop.start)),
        StopValue::End => time(stop.and_then(|stop| stop.end)),
        StopValue::Duration => duration(stop.map_or(Span::ZERO, |stop| stop.length_at(now))),
        StopValue::State => Variant::Int32(stop.map_or(0, |stop| stop.state as i32)),
        StopValue::Micro => {
            let described = plant.machines.get(machine).zip(stop);
            Variant::Boolean(described.is_some_and(|(m, stop)| stop.is_micro(m.micro_stop_below)))
        }
        StopValue::Reason => given.map_or_else(String::new, |reason| reason.to_string()).into(),
        StopValue::ReasonName => {
            LocalizedText::from(reason.map_or("", |reason| reason.name.as_str())).into()
        }
        StopValue::Comment => said.map_or_else(String::new, |said| said.comment.clone()).into(),
        StopValue::Actor => said.map_or_else(String::new, |said| said.actor.clone()).into(),
    }
}

/// The stops of some equipment that last, and those whose alarm waits for their reason, in order of machine
/// and time.
pub fn open_stops(
    plant: &Plant,
    view: &PlantView,
    subject: &Subject,
    now: Timestamp,
) -> Vec<StopStructure> {
    let Some(equipment) = subject.equipment() else {
        return Vec::new();
    };
    let machines: Vec<MachineId> = equipment.machines(plant);
    let mut open: BTreeMap<(MachineId, Timestamp), StopStructure> = BTreeMap::new();
    for condition in view.conditions.iter().filter(|condition| !condition.confirmed.is) {
        if let ConditionId::Stop(machine, start) = &condition.id
            && machines.contains(machine)
            && let Some(stop) = StopStructure::of_condition(plant, condition)
        {
            open.insert((machine.clone(), *start), stop);
        }
    }
    for machine in machines {
        let Some(shown) = view.machines.get(&machine) else {
            continue;
        };
        // Of a machine that says nothing, nobody knows whether it still stands.
        for (_, stop) in open.iter_mut().filter(|((of, _), _)| *of == machine) {
            stop.known &= stop.end.is_some() || shown.linked;
        }
        let Some(stop) = &shown.stop else {
            continue;
        };
        let present = StopStructure::new(plant, &machine, stop, now);
        let known = open.get(&(machine.clone(), stop.start));
        let acknowledged = known.is_some_and(|known| known.acknowledged);
        let known = shown.linked;
        open.insert((machine, stop.start), StopStructure { acknowledged, known, ..present });
    }
    open.into_values().collect()
}
