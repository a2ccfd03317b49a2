//! Events of machines, and the conditions that they tell of, in the words of our server.
//!
//! A condition is known as the machine has told it last. While the machine is lost, that is said of it; when
//! the machine has told all of its conditions anew, those that it has not told of are over. None of this
//! grows with what happens.

use std::collections::HashSet;
use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{
    ByteString, DateTime, LocalizedText, NodeId, ObjectTypeId, QualifiedName, StatusCode, Variant,
};

use crate::domain::id::MachineId;

/// Conditions of one machine that are known at once; what is beyond is told and not remembered.
const CONDITIONS_MAX: usize = 10_000;
/// Bytes of an id of a machine's event.
const ID_MAX: usize = 512;

/// Browse names from an event to one of its fields.
pub type Path = Vec<QualifiedName>;

/// Something that has happened at a machine.
#[derive(Clone, Debug)]
pub struct Happened {
    /// The machine.
    pub machine: MachineId,
    /// Names this event and no other, of no other machine either.
    pub id: ByteString,
    /// Its type.
    pub kind: NodeId,
    /// The mirrored node where it happened; null where that is the machine as a whole.
    pub source: NodeId,
    /// Name of what it happened to, as the machine says.
    pub source_name: String,
    /// When it happened, by the clock of the machine.
    pub time: DateTime,
    /// When we were told.
    pub received: DateTime,
    /// What happened, for people.
    pub message: LocalizedText,
    /// From 1 to 1000, as the machine says.
    pub severity: u16,
    /// The condition that it tells of, if it tells of one.
    pub condition: Option<NodeId>,
    /// Where its other fields are; the same for all events that come so.
    pub paths: Arc<[Path]>,
    /// What these are, in the same order; empty where it has none.
    pub values: Vec<Variant>,
}

impl Happened {
    /// A field besides those of every event.
    pub fn field(&self, path: &[QualifiedName]) -> Option<&Variant> {
        let fields = self.paths.iter().zip(&self.values);
        // Types beside each other may declare the same name; an event has that of its own type.
        fields
            .filter(|(known, value)| known.as_slice() == path && !matches!(value, Variant::Empty))
            .map(|(_, value)| value)
            .next()
    }

    fn standard(&self, name: &str) -> Option<&Variant> {
        self.field(&[QualifiedName::new(0, name)])
    }

    /// The same with another value of some standard fields, as far as it has them.
    fn with(&self, changes: &[(&str, Variant)]) -> Happened {
        let mut changed = self.clone();
        for (path, value) in self.paths.iter().zip(&mut changed.values) {
            let [name] = path.as_slice() else { continue };
            let is_named = |(known, _): &&(&str, Variant)| {
                name.namespace_index == 0 && name.name.as_ref() == *known
            };
            if let Some((_, other)) = changes.iter().find(is_named) {
                value.clone_from(other);
            }
        }
        changed
    }

    /// Whether anybody has still to do something about the condition (Part 9 §5.5.2).
    fn is_retained(&self) -> bool {
        self.standard("Retain") == Some(&Variant::Boolean(true))
    }

    /// The condition, or the branch of it, that is meant.
    fn key(&self) -> Option<Key> {
        let branch = match self.standard("BranchId") {
            Some(Variant::NodeId(branch)) => (**branch).clone(),
            _ => NodeId::null(),
        };
        Some((self.condition.clone()?, branch))
    }
}

type Key = (NodeId, NodeId);

/// The id under which our server knows an event of a machine; none where the machine's own is none.
pub fn event_id(machine: &MachineId, there: &ByteString) -> Option<ByteString> {
    let there = there.value.as_ref().filter(|id| !id.is_empty() && id.len() <= ID_MAX)?;
    let name = machine.as_str().as_bytes();
    let mut id = vec![u8::try_from(name.len()).ok()?];
    id.extend(name);
    id.extend(there);
    Some(id.into())
}

/// The id that a machine has given to one of its events; none if it is none of its.
pub fn event_id_there(machine: &MachineId, here: &ByteString) -> Option<ByteString> {
    let (length, rest) = here.value.as_ref()?.split_first()?;
    let (name, there) = rest.split_at_checked(usize::from(*length))?;
    (name == machine.as_str().as_bytes() && !there.is_empty()).then(|| there.to_vec().into())
}

/// How much the conditions of a machine can be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// As the machine says.
    Told,
    /// They may have changed unheard.
    Doubtful(StatusCode),
}

/// The conditions of a machine that somebody has still to do something about.
#[derive(Default, Debug)]
pub struct Conditions {
    known: HashMap<Key, Arc<Happened>>,
    /// Those that were told since the machine has begun to tell all of them.
    refreshed: Option<HashSet<Key>>,
    /// Whether they may have changed unheard.
    is_unheard: bool,
    /// Whether it was told that they are doubtful.
    is_doubt_told: bool,
    /// Whether events of the machine were ever heard.
    was_heard: bool,
}

impl Conditions {
    /// Takes what has happened.
    pub fn note(&mut self, happened: &Arc<Happened>) {
        let Some(key) = happened.key() else { return };
        if let Some(refreshed) = self.refreshed.as_mut().filter(|all| all.len() < CONDITIONS_MAX) {
            refreshed.insert(key.clone());
        }
        if !happened.is_retained() {
            self.known.remove(&key);
        } else if self.known.len() < CONDITIONS_MAX || self.known.contains_key(&key) {
            self.known.insert(key, happened.clone());
        }
    }

    /// The machine begins to tell all of its conditions.
    pub fn refresh_begins(&mut self) {
        self.refreshed = Some(HashSet::new());
    }

    /// The machine has told all of its conditions; gives those that are over.
    pub fn refresh_ends(&mut self, now: DateTime) -> Vec<Happened> {
        let Some(told) = self.refreshed.take() else { return Vec::new() };
        (self.is_unheard, self.is_doubt_told) = (false, false);
        let over = self.known.extract_if(|key, _| !told.contains(key));
        over.map(|(_, last)| {
            ending(&last, now, "the machine does not tell of it any more", StatusCode::Good)
        })
        .collect()
    }

    /// The machine tells its conditions to nobody who asks; those from before are not known any more.
    pub fn forget(&mut self, now: DateTime) -> Vec<Happened> {
        (self.refreshed, self.is_unheard, self.is_doubt_told) = (None, false, false);
        let why = "the machine cannot say whether it holds still";
        let all = self.known.drain();
        all.map(|(_, last)| ending(&last, now, why, StatusCode::BadNoCommunication)).collect()
    }

    /// Events are heard from now on; whether they were before.
    pub fn begin(&mut self) -> bool {
        std::mem::replace(&mut self.was_heard, true)
    }

    /// Whether events of the machine were ever heard.
    pub fn was_heard(&self) -> bool {
        self.was_heard
    }

    /// Nothing is heard of them from now on.
    pub fn unheard(&mut self) {
        (self.refreshed, self.is_unheard) = (None, true);
    }

    /// Whether they may have changed unheard.
    pub fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// All of them, the oldest first.
    pub fn retained(&self, belief: Belief) -> Vec<Happened> {
        let mut all: Vec<_> = self.known.values().map(|last| believed(last, belief)).collect();
        all.sort_by_key(|happened| happened.time);
        all
    }

    /// What is to be told of them because they have become doubtful; once.
    pub fn doubt(&mut self, status: StatusCode, now: DateTime) -> Vec<Happened> {
        if std::mem::replace(&mut self.is_doubt_told, true) {
            return Vec::new();
        }
        let mut all = self.retained(Belief::Doubtful(status));
        for happened in &mut all {
            (happened.id, happened.received) = (fresh_id(), now);
        }
        all
    }

    /// Nothing of them was missed: what is to be told because they are as the machine has said after all.
    pub fn believe(&mut self) -> Vec<Happened> {
        self.is_unheard = false;
        match std::mem::replace(&mut self.is_doubt_told, false) {
            true => self.retained(Belief::Told),
            false => Vec::new(),
        }
    }
}

fn fresh_id() -> ByteString {
    let id: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(16).collect();
    id.into()
}

fn believed(last: &Happened, belief: Belief) -> Happened {
    match belief {
        Belief::Told => last.clone(),
        Belief::Doubtful(status) => last.with(&[("Quality", status.into())]),
    }
}

fn ending(last: &Happened, now: DateTime, why: &str, quality: StatusCode) -> Happened {
    Happened {
        id: fresh_id(),
        time: now,
        received: now,
        message: LocalizedText::new("en", why),
        ..last.with(&[("Retain", false.into()), ("Quality", quality.into())])
    }
}

/// Events of a machine may be missing.
pub fn missed(machine: &MachineId, now: DateTime, why: String) -> Happened {
    Happened {
        machine: machine.clone(),
        id: fresh_id(),
        kind: ObjectTypeId::EventQueueOverflowEventType.into(),
        source: NodeId::null(),
        source_name: machine.to_string(),
        time: now,
        received: now,
        message: LocalizedText::new("en", &why),
        severity: 600,
        condition: None,
        paths: Arc::new([]),
        values: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> MachineId {
        MachineId::parse("M1").unwrap()
    }

    fn condition(number: u32, is_retained: bool) -> Arc<Happened> {
        let names = ["Retain", "Quality"].map(|name| vec![QualifiedName::new(0, name)]);
        let id = event_id(&machine(), &vec![number as u8].into()).unwrap();
        Arc::new(Happened {
            id,
            condition: Some(NodeId::new(5, number)),
            paths: names.into(),
            values: vec![is_retained.into(), StatusCode::Good.into()],
            ..missed(&machine(), DateTime::now(), String::new())
        })
    }

    fn quality(happened: &Happened) -> StatusCode {
        match happened.standard("Quality") {
            Some(Variant::StatusCode(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_of_events_lead_back_to_the_machine_that_gave_them_and_to_no_other() {
        let there: ByteString = vec![1, 2, 3].into();
        let here = event_id(&machine(), &there).unwrap();
        assert_eq!(event_id_there(&machine(), &here), Some(there));
        assert_eq!(event_id_there(&MachineId::parse("M2").unwrap(), &here), None);
        for strange in [vec![], vec![2], vec![200, 1], vec![2, b'M', b'1']] {
            assert_eq!(event_id_there(&machine(), &strange.into()), None);
        }
        assert_eq!(event_id(&machine(), &ByteString::null()), None);
        assert_eq!(event_id(&machine(), &vec![0; ID_MAX + 1].into()), None);
    }

    #[test]
    fn only_what_is_retained_is_known_and_what_a_refresh_leaves_out_is_over() {
        let mut conditions = Conditions::default();
        for number in 1..=3 {
            conditions.note(&condition(number, true));
        }
        conditions.note(&condition(2, false));
        assert_eq!(conditions.retained(Belief::Told).len(), 2);
        conditions.refresh_begins();
        conditions.note(&condition(3, true));
        let over = conditions.refresh_ends(DateTime::now());
        assert_eq!(over.len(), 1);
        assert_eq!(over[0].condition, Some(NodeId::new(5, 1)));
        assert!(!over[0].is_retained());
        assert_eq!(conditions.retained(Belief::Told).len(), 1);
        assert!(conditions.refresh_ends(DateTime::now()).is_empty(), "no refresh was begun");
        assert_eq!(conditions.forget(DateTime::now()).len(), 1);
        assert!(conditions.retained(Belief::Told).is_empty());
    }

    #[test]
    fn what_is_doubtful_says_so_once_and_takes_it_back_once() {
        let mut conditions = Conditions::default();
        let told = condition(1, true);
        conditions.note(&told);
        assert!(conditions.believe().is_empty(), "nobody has doubted");
        let lost = StatusCode::BadNoCommunication;
        let doubted = conditions.doubt(lost, DateTime::now());
        assert_eq!(doubted.iter().map(quality).collect::<Vec<_>>(), [lost]);
        assert_ne!(doubted[0].id, told.id, "it is another event");
        assert!(conditions.doubt(lost, DateTime::now()).is_empty());
        assert_eq!(quality(&conditions.retained(Belief::Doubtful(lost))[0]), lost);
        let again = conditions.believe();
        assert_eq!((again.len(), quality(&again[0])), (1, StatusCode::Good));
        assert!(conditions.believe().is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut conditions = Conditions::default();
        for number in 0..CONDITIONS_MAX as u32 + 5 {
            conditions.note(&condition(number, true));
        }
        assert_eq!(conditions.retained(Belief::Told).len(), CONDITIONS_MAX);
    }
}
