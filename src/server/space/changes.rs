//! Events that follow from two pictures of the plant: a machine's link was lost or is back.

use opcua::types::{NodeId, ObjectTypeId};

use super::event::Event;
use crate::app::view::PlantView;
use crate::domain::id::MachineId;
use crate::server::time::date_time;

/// Severity of a lost link (Part 5 §6.4.2: 667 and more is high).
const LOST: u16 = 700;
/// Severity of a link that is back.
const BACK: u16 = 200;

/// The events between two pictures.
pub fn between(
    before: &PlantView,
    after: &PlantView,
    machine_node: impl Fn(&MachineId) -> NodeId,
) -> Vec<Event> {
    let changed = after.machines.iter().filter_map(|(id, now)| {
        let was = before.machines.get(id)?;
        let since = now.linked_since?;
        if was.linked == now.linked && was.linked_since == now.linked_since {
            return None;
        }
        let source = (machine_node(id), id.as_str());
        // A change that was missed between two pictures is told by its last state alone.
        Some(if now.linked {
            let text = format!("the link to {id} is back");
            Event::new(ObjectTypeId::SystemEventType, source, date_time(since), BACK, text)
        } else {
            let text = format!("the link to {id} is lost");
            Event::new(ObjectTypeId::DeviceFailureEventType, source, date_time(since), LOST, text)
        })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::view::MachineView;
    use crate::domain::time::Timestamp;

    fn view(linked: bool, since: i64) -> PlantView {
        let machine = MachineView {
            linked,
            linked_since: Some(Timestamp::from_ticks(since)),
            ..MachineView::default()
        };
        let machines = [(MachineId::parse("M1").unwrap(), Arc::new(machine))].into();
        PlantView { machines, ..PlantView::default() }
    }

    #[test]
    fn a_link_that_changes_is_told_once() {
        let node = |id: &MachineId| NodeId::new(2, format!("machine/{id}"));
        assert!(between(&view(true, 10), &view(true, 10), node).is_empty());
        assert!(between(&PlantView::default(), &view(true, 10), node).is_empty());
        let lost = between(&view(true, 10), &view(false, 20), node);
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].event_type, ObjectTypeId::DeviceFailureEventType);
        assert_eq!(lost[0].source, NodeId::new(2, "machine/M1"));
        assert_eq!(lost[0].time, date_time(Timestamp::from_ticks(20)));
        let back = between(&view(false, 20), &view(true, 30), node);
        assert_eq!(back[0].event_type, ObjectTypeId::SystemEventType);
    }
}
