//! Events that follow from two pictures of the plant: a machine's link was lost or is back, a shift was
//! closed, a closed shift has changed.

use opcua::types::{NodeId, ObjectTypeId};

use super::event::Event;
use crate::app::view::{PlantView, ShiftNotice};
use crate::domain::id::{LineId, MachineId};
use crate::server::time::date_time;

/// Severity of a lost link (Part 5 §6.4.2: 667 and more is high).
const LOST: u16 = 700;
/// Severity of a link that is back.
const BACK: u16 = 200;
/// Severity of a shift that was closed.
const CLOSED: u16 = 100;
/// Severity of a closed shift whose figures have changed: whoever has used them has to know.
const REVISED: u16 = 500;

/// The nodes at which events happen.
pub struct Nodes {
    /// Index of the namespace of instances.
    pub namespace: u16,
}

impl Nodes {
    fn machine(&self, id: &MachineId) -> NodeId {
        NodeId::new(self.namespace, format!("machine/{id}"))
    }

    fn line(&self, id: &LineId) -> NodeId {
        NodeId::new(self.namespace, format!("line/{id}"))
    }
}

/// The events between two pictures.
pub fn between(before: &PlantView, after: &PlantView, nodes: &Nodes) -> Vec<Event> {
    let mut events = links(before, after, nodes);
    events.extend(shift_records(before, after, nodes));
    events
}

/// Records of shifts that the earlier picture did not know. A number that is left out was recorded as
/// well; the records themselves are complete.
fn shift_records(before: &PlantView, after: &PlantView, nodes: &Nodes) -> Vec<Event> {
    let known = before.shift_records.back().map_or(0, |newest| newest.seq);
    let new = after.shift_records.iter().filter(|notice| notice.seq > known);
    new.map(|notice| shift_record(notice, nodes)).collect()
}

fn shift_record(notice: &ShiftNotice, nodes: &Nodes) -> Event {
    let ShiftNotice { seq, line, shift, production_date, revision, at, actor, cause } = notice;
    let source = (nodes.line(line), line.as_str());
    let (severity, text) = if *revision == 1 {
        (CLOSED, format!("shift {shift} of {production_date} on {line} is closed (record {seq})"))
    } else {
        let text = format!(
            "closed shift {shift} of {production_date} on {line} has changed: revision {revision}, \
             {cause} ({actor}, record {seq})"
        );
        (REVISED, text)
    };
    Event::new(ObjectTypeId::BaseEventType, source, date_time(*at), severity, text)
}

fn links(before: &PlantView, after: &PlantView, nodes: &Nodes) -> Vec<Event> {
    let changed = after.machines.iter().filter_map(|(id, now)| {
        let was = before.machines.get(id)?;
        let since = now.linked_since?;
        if was.linked == now.linked && was.linked_since == now.linked_since {
            return None;
        }
        let source = (nodes.machine(id), id.as_str());
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
    use crate::domain::calendar::CivilDate;
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

    const NODES: Nodes = Nodes { namespace: 2 };

    #[test]
    fn a_link_that_changes_is_told_once() {
        assert!(between(&view(true, 10), &view(true, 10), &NODES).is_empty());
        assert!(between(&PlantView::default(), &view(true, 10), &NODES).is_empty());
        let lost = between(&view(true, 10), &view(false, 20), &NODES);
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].event_type, ObjectTypeId::DeviceFailureEventType);
        assert_eq!(lost[0].source, NodeId::new(2, "machine/M1"));
        assert_eq!(lost[0].time, date_time(Timestamp::from_ticks(20)));
        let back = between(&view(false, 20), &view(true, 30), &NODES);
        assert_eq!(back[0].event_type, ObjectTypeId::SystemEventType);
    }

    fn recorded(records: &[(u64, u32)]) -> PlantView {
        let notice = |(seq, revision): &(u64, u32)| ShiftNotice {
            seq: *seq,
            line: LineId::parse("L1").unwrap(),
            shift: "night".into(),
            production_date: CivilDate::parse("2026-10-24").unwrap(),
            revision: *revision,
            at: Timestamp::from_ticks(30),
            actor: "anna".into(),
            cause: "late data arrived".into(),
        };
        let shift_records = Arc::new(records.iter().map(notice).collect());
        PlantView { shift_records, ..PlantView::default() }
    }

    #[test]
    fn each_record_of_a_shift_is_told_once_at_its_line() {
        let first = between(&PlantView::default(), &recorded(&[(7, 1)]), &NODES);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].source, NodeId::new(2, "line/L1"));
        assert_eq!(first[0].message, "shift night of 2026-10-24 on L1 is closed (record 7)");
        assert!(between(&recorded(&[(7, 1)]), &recorded(&[(7, 1)]), &NODES).is_empty());
        let more = between(&recorded(&[(7, 1)]), &recorded(&[(7, 1), (8, 1), (9, 2)]), &NODES);
        assert_eq!(more.len(), 2);
        assert_eq!((more[0].severity, more[1].severity), (CLOSED, REVISED));
        let wanted = "closed shift night of 2026-10-24 on L1 has changed: revision 2, late data \
                      arrived (anna, record 9)";
        assert_eq!(more[1].message, wanted);
    }
}
