//! The queue of a monitored item (Part 4 §5.13.1.5): what is kept when more happens than is fetched,
//! and that it is said.

use std::collections::VecDeque;
use std::sync::Arc;

use opcua::types::{BinaryEncodable as _, Context, DataValue, StatusCode, Variant};

/// Info bits of a data value whose neighbour was lost (Part 4 §7.39.1): type DataValue, overflow.
const OVERFLOW: u32 = 0x0480;

/// Something to be reported.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A value, and whether others around it were lost.
    Value(Arc<DataValue>, bool),
    /// The selected fields of an event.
    Event(Fields),
}

/// The selected fields of an event.
pub type Fields = Box<Vec<Variant>>;

/// Bytes around an entry in a message.
const AROUND: usize = 40;

impl Entry {
    /// About how many bytes it takes in a message; never fewer than it does.
    pub fn size(&self, context: &Context<'_>) -> usize {
        let inside = match self {
            Entry::Value(value, _) => value.value.as_ref().map_or(0, |v| v.byte_len(context)),
            Entry::Event(fields) => fields.iter().map(|field| field.byte_len(context)).sum(),
        };
        inside + AROUND
    }

    /// The status with the mark of a loss.
    pub fn status(value: &DataValue, lost: bool) -> Option<StatusCode> {
        if !lost {
            return value.status;
        }
        let bits = value.status.unwrap_or(StatusCode::Good).bits();
        Some(StatusCode::from(bits | OVERFLOW))
    }
}

/// A bounded queue.
#[derive(Debug)]
pub struct Queue {
    entries: Entries,
    size: u32,
    discard_oldest: bool,
    /// Fields of the event that says that events were lost, until it is fetched.
    overflow: Option<Fields>,
}

/// What waits. Most items have one value at most, and there are many items.
#[derive(Debug)]
enum Entries {
    Few(Option<Entry>),
    #[expect(clippy::box_collection, reason = "there are many items and few long queues")]
    Many(Box<VecDeque<Entry>>),
}

impl Entries {
    fn len(&self) -> usize {
        match self {
            Entries::Few(entry) => usize::from(entry.is_some()),
            Entries::Many(entries) => entries.len(),
        }
    }

    fn push_back(&mut self, entry: Entry) {
        match self {
            Entries::Many(entries) => entries.push_back(entry),
            Entries::Few(none @ None) => *none = Some(entry),
            Entries::Few(first) => {
                let both = first.take().into_iter().chain([entry]);
                *self = Entries::Many(Box::new(both.collect()));
            }
        }
    }

    fn pop_front(&mut self) -> Option<Entry> {
        match self {
            Entries::Few(entry) => entry.take(),
            Entries::Many(entries) => entries.pop_front(),
        }
    }

    fn pop_back(&mut self) -> Option<Entry> {
        match self {
            Entries::Few(entry) => entry.take(),
            Entries::Many(entries) => entries.pop_back(),
        }
    }

    fn front_mut(&mut self) -> Option<&mut Entry> {
        match self {
            Entries::Few(entry) => entry.as_mut(),
            Entries::Many(entries) => entries.front_mut(),
        }
    }

    fn back_mut(&mut self) -> Option<&mut Entry> {
        match self {
            Entries::Few(entry) => entry.as_mut(),
            Entries::Many(entries) => entries.back_mut(),
        }
    }
}

/// What came of adding an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// One more waits.
    More,
    /// Another one was lost for it.
    Lost,
}

impl Queue {
    /// An empty queue.
    pub fn new(size: u32, discard_oldest: bool) -> Queue {
        Queue { entries: Entries::Few(None), size: size.max(1), discard_oldest, overflow: None }
    }

    /// Changes size and policy; what does not fit any more is lost.
    pub fn resize(&mut self, size: u32, discard_oldest: bool) -> usize {
        self.size = size.max(1);
        self.discard_oldest = discard_oldest;
        let mut lost = 0;
        while self.entries.len() > self.size as usize {
            self.discard();
            lost += 1;
        }
        lost
    }

    fn discard(&mut self) {
        if self.discard_oldest {
            self.entries.pop_front();
        } else {
            self.entries.pop_back();
        }
        let next =
            if self.discard_oldest { self.entries.front_mut() } else { self.entries.back_mut() };
        if let Some(Entry::Value(_, lost)) = next
            && self.size > 1
        {
            *lost = true;
        }
    }

    fn has_room(&self, crowded: bool) -> bool {
        let count = self.entries.len();
        count < self.size as usize && (count == 0 || !crowded)
    }

    /// Adds a value; `crowded` says that there is no room for more in all queues together.
    pub fn add_value(&mut self, value: Arc<DataValue>, crowded: bool) -> Added {
        if self.has_room(crowded) {
            self.entries.push_back(Entry::Value(value, false));
            return Added::More;
        }
        // A queue of one is a buffer for the newest value; nobody expects more of it.
        let marks = self.size > 1;
        if self.discard_oldest {
            self.entries.pop_front();
            self.entries.push_back(Entry::Value(value, false));
            if let Some(Entry::Value(_, lost)) = self.entries.front_mut() {
                *lost = marks;
            }
        } else {
            self.entries.pop_back();
            self.entries.push_back(Entry::Value(value, marks));
        }
        Added::Lost
    }

    /// Adds an event; where one is lost, `overflow` makes the fields of the event that says so.
    pub fn add_event(
        &mut self,
        fields: Fields,
        crowded: bool,
        overflow: impl FnOnce() -> Fields,
    ) -> Added {
        if self.has_room(crowded) {
            self.entries.push_back(Entry::Event(fields));
            return Added::More;
        }
        if self.discard_oldest {
            self.entries.pop_front();
        } else {
            self.entries.pop_back();
        }
        self.entries.push_back(Entry::Event(fields));
        self.overflow.get_or_insert_with(overflow);
        Added::Lost
    }

    /// Takes the next entry to be reported.
    pub fn take(&mut self) -> Option<Entry> {
        // Lost oldest ones are missing before the others, lost newest ones after them.
        if (self.discard_oldest || self.entries.len() == 0)
            && let Some(fields) = self.overflow.take()
        {
            return Some(Entry::Event(fields));
        }
        self.entries.pop_front()
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.entries.len() + usize::from(self.overflow.is_some())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> usize {
        let count = self.len();
        self.entries = Entries::Few(None);
        self.overflow = None;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(size: u32, discard_oldest: bool, count: i32) -> Vec<(i32, bool)> {
        let mut queue = Queue::new(size, discard_oldest);
        for number in 1..=count {
            let value = DataValue { value: Some(number.into()), ..DataValue::default() };
            queue.add_value(Arc::new(value), false);
        }
        std::iter::from_fn(|| queue.take())
            .map(|entry| match entry {
                Entry::Value(value, lost) => match value.value {
                    Some(Variant::Int32(number)) => (number, lost),
                    _ => panic!("no number"),
                },
                Entry::Event(_) => panic!("no value"),
            })
            .collect()
    }

    #[test]
    fn the_value_next_to_a_lost_one_says_so() {
        assert_eq!(fill(3, true, 3), [(1, false), (2, false), (3, false)]);
        assert_eq!(fill(3, true, 5), [(3, true), (4, false), (5, false)]);
        assert_eq!(fill(3, false, 5), [(1, false), (2, false), (5, true)]);
        assert_eq!(fill(1, true, 5), [(5, false)]);
        assert_eq!(fill(1, false, 5), [(5, false)]);
        assert_eq!(fill(0, true, 2), [(2, false)]);
    }

    #[test]
    fn the_mark_is_added_to_the_status_and_nothing_else() {
        let value =
            DataValue { status: Some(StatusCode::UncertainInitialValue), ..Default::default() };
        let marked = Entry::status(&value, true).unwrap();
        assert!(marked.overflow() && marked.is_uncertain());
        assert_eq!(marked.sub_code(), StatusCode::UncertainInitialValue.sub_code());
        assert_eq!(Entry::status(&value, false), value.status);
        assert!(Entry::status(&DataValue::default(), true).unwrap().is_good());
    }

    #[test]
    fn lost_events_are_told_by_one_event_where_they_are_missing() {
        for discard_oldest in [true, false] {
            let mut queue = Queue::new(2, discard_oldest);
            for number in 1..=4_i32 {
                let fields = |number: i32| Box::new(vec![number.into()]);
                queue.add_event(fields(number), false, || fields(0));
            }
            let order: Vec<_> = std::iter::from_fn(|| queue.take())
                .map(|entry| match entry {
                    Entry::Event(fields) => fields[0].clone(),
                    Entry::Value(..) => panic!("no event"),
                })
                .collect();
            let wanted = if discard_oldest { [0, 3, 4] } else { [1, 4, 0] };
            assert_eq!(order, wanted.map(Variant::from));
        }
    }

    #[test]
    fn a_smaller_queue_keeps_what_its_policy_keeps() {
        let mut queue = Queue::new(10, true);
        for number in 1..=5_i32 {
            let value = DataValue { value: Some(number.into()), ..DataValue::default() };
            queue.add_value(Arc::new(value), false);
        }
        assert_eq!(queue.resize(2, true), 3);
        assert!(
            matches!(queue.take(), Some(Entry::Value(value, true)) if value.value == Some(4_i32.into()))
        );
        assert_eq!((queue.len(), queue.clear(), queue.len()), (1, 1, 0));
    }
}
