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

use crate::channel::decode::raw_body;
use crate::domain::id::MachineId;

/// Conditions of one machine that are known at once; what is beyond is told and not remembered.
const CONDITIONS_MAX: usize = 10_000;
/// Bytes that the remembered conditions of one machine may have together.
const SIZE_MAX: usize = 32 << 20;
/// Bytes of an id of a machine's event.
const ID_MAX: usize = 512;

/// Browse names from an event to one of its fields.
pub type Path = Vec<QualifiedName>;

/// Where the fields of events are, besides those that every event has.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Fields {
    paths: Vec<Path>,
    /// Types beside each other may declare the same name.
    places: HashMap<Path, Vec<usize>>,
}

impl Fields {
    /// Fields at these paths, in this order.
    pub fn new(paths: Vec<Path>) -> Fields {
        let mut places: HashMap<Path, Vec<usize>> = HashMap::new();
        for (place, path) in paths.iter().enumerate() {
            places.entry(path.clone()).or_default().push(place);
        }
        Fields { paths, places }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.paths.len()
    }
}

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
    pub fields: Arc<Fields>,
    /// What these are, in the same order; empty where it has none.
    pub values: Vec<Variant>,
}

impl Happened {
    /// A field besides those of every event.
    pub fn field(&self, path: &[QualifiedName]) -> Option<&Variant> {
        // An event has the field of its own type.
        let places = self.fields.places.get(path)?.iter();
        let mut values = places.filter_map(|place| self.values.get(*place));
        values.find(|value| !matches!(value, Variant::Empty))
    }

    fn standard(&self, name: &str) -> Option<&Variant> {
        self.field(&[QualifiedName::new(0, name)])
    }

    /// The same with another value of some standard fields, as far as it has them.
    fn with(&self, changes: &[(&str, Variant)]) -> Happened {
        let mut changed = self.clone();
        for (name, other) in changes {
            let places = self.fields.places.get(&[QualifiedName::new(0, *name)][..]);
            for place in places.into_iter().flatten() {
                if let Some(value) = changed.values.get_mut(*place) {
                    value.clone_from(other);
                }
            }
        }
        changed
    }

    /// How many bytes it has, roughly.
    fn size(&self) -> usize {
        size_of::<Happened>() + self.values.iter().map(size).sum::<usize>()
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

fn size(value: &Variant) -> usize {
    size_of::<Variant>()
        + match value {
            Variant::String(text) => text.len().unsigned_abs(),
            Variant::XmlElement(text) => text.to_string().len(),
            Variant::ByteString(bytes) => bytes.value.as_ref().map_or(0, Vec::len),
            Variant::LocalizedText(text) => text.text.as_ref().len(),
            Variant::ExtensionObject(object) => raw_body(object).map_or(0, |(_, body)| body.len()),
            Variant::Array(array) => array.values.iter().map(size).sum(),
            Variant::Variant(inner) => size(inner),
            _ => 0,
        }
}

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
    /// Bytes of what is known.
    size: usize,
    /// Those that were told since the machine has begun to tell all of them.
    refreshed: Option<HashSet<Key>>,
    /// Whether they may have changed unheard.
    is_unheard: bool,
    /// Whether it was told that they are doubtful.
    is_doubt_told: bool,
    /// Whether events of the machine were ever heard.
    was_heard: bool,
    /// Whether the machine has not told all of its conditions since they are heard.
    is_incomplete: bool,
}

impl Conditions {
    /// Takes what has happened.
    pub fn note(&mut self, happened: &Arc<Happened>) {
        let Some(key) = happened.key() else { return };
        if let Some(refreshed) = self.refreshed.as_mut().filter(|all| all.len() < CONDITIONS_MAX) {
            refreshed.insert(key.clone());
        }
        if let Some(before) = self.known.remove(&key) {
            self.size -= before.size();
        }
        let size = self.size + happened.size();
        if happened.is_retained() && self.known.len() < CONDITIONS_MAX && size <= SIZE_MAX {
            self.size = size;
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
        (self.is_unheard, self.is_doubt_told, self.is_incomplete) = (false, false, false);
        let over: Vec<_> = self.known.extract_if(|key, _| !told.contains(key)).collect();
        self.size -= over.iter().map(|(_, last)| last.size()).sum::<usize>();
        let why = "the machine does not tell of it any more";
        over.iter().map(|(_, last)| ending(last, now, why, StatusCode::Good)).collect()
    }

    /// The machine tells its conditions to nobody who asks; those from before are not known any more.
    pub fn forget(&mut self, now: DateTime) -> Vec<Happened> {
        (self.refreshed, self.is_unheard, self.is_doubt_told) = (None, false, false);
        (self.is_incomplete, self.size) = (false, 0);
        let why = "the machine cannot say whether it holds still";
        let all = self.known.drain();
        all.map(|(_, last)| ending(&last, now, why, StatusCode::BadNoCommunication)).collect()
    }

    /// Events are heard from now on; whether they were before.
    pub fn begin(&mut self) -> bool {
        (self.refreshed, self.is_unheard, self.is_incomplete) = (None, true, true);
        std::mem::replace(&mut self.was_heard, true)
    }

    /// Whether events of the machine were ever heard.
    pub fn was_heard(&self) -> bool {
        self.was_heard
    }

    /// Nothing is heard of them for now.
    pub fn unheard(&mut self) {
        self.is_unheard = true;
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

    /// Nothing of them was missed: what is to be told because they are as the machine has said after all. Those
    /// of an earlier session are not believed before the machine has told all that it has.
    pub fn believe(&mut self) -> Vec<Happened> {
        if self.is_incomplete {
            return Vec::new();
        }
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
        fields: Arc::default(),
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
            fields: Arc::new(Fields::new(names.to_vec())),
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
    fn conditions_of_an_earlier_session_are_not_believed_before_all_are_told() {
        let mut conditions = Conditions::default();
        assert!(!conditions.begin(), "it was never heard before");
        conditions.refresh_begins();
        conditions.note(&condition(1, true));
        conditions.refresh_ends(DateTime::now());
        assert!(!conditions.is_unheard());
        // Another session, whose refresh is interrupted and goes on afterwards.
        conditions.unheard();
        assert!(conditions.begin());
        conditions.refresh_begins();
        conditions.unheard();
        assert!(conditions.believe().is_empty() && conditions.is_unheard());
        assert_eq!(conditions.refresh_ends(DateTime::now()).len(), 1, "the machine has none");
        assert!(!conditions.is_unheard());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut conditions = Conditions::default();
        for number in 0..CONDITIONS_MAX as u32 + 5 {
            conditions.note(&condition(number, true));
        }
        assert_eq!(conditions.retained(Belief::Told).len(), CONDITIONS_MAX);
    }

    #[test]
    fn large_conditions_are_bounded_by_their_size_and_make_room_when_they_end() {
        let mut conditions = Conditions::default();
        let large = |number: u32, is_retained: bool| {
            let mut one = Happened::clone(&condition(number, is_retained));
            one.values.push(Variant::from("x".repeat(SIZE_MAX / 4)));
            Arc::new(one)
        };
        (0..6).for_each(|number| conditions.note(&large(number, true)));
        assert_eq!(conditions.retained(Belief::Told).len(), 3);
        conditions.note(&large(0, false));
        conditions.note(&large(7, true));
        conditions.note(&large(7, true));
        assert_eq!(conditions.retained(Belief::Told).len(), 3);
        conditions.forget(DateTime::now());
        assert_eq!(conditions.size, 0);
    }
}
