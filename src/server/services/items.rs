//! The items of a subscription by their numbers.
//!
//! A number leads to a place without searching. A place is used again under another number, so an
//! old number never means a new item.

use super::item::Item;

/// Bits of a number that name the place; the others count how often it was used.
const PLACE_BITS: u32 = 20;
const PLACES: u32 = 1 << PLACE_BITS;

/// The items.
#[derive(Debug, Default)]
pub struct Items {
    places: Vec<Option<Item>>,
    /// Free places with the number that comes next there.
    free: Vec<u32>,
    count: usize,
}

fn place(id: u32) -> usize {
    ((id & (PLACES - 1)) as usize).wrapping_sub(1)
}

impl Items {
    /// Adds the item that is made for a number; `None` when there is no place.
    pub fn add(&mut self, make: impl FnOnce(u32) -> Item) -> Option<u32> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let place = u32::try_from(self.places.len()).ok()?;
                if place + 1 >= PLACES {
                    return None;
                }
                self.places.push(None);
                place + 1
            }
        };
        *self.places.get_mut(place(id))? = Some(make(id));
        self.count += 1;
        Some(id)
    }

    /// An item.
    pub fn get(&self, id: u32) -> Option<&Item> {
        self.places.get(place(id))?.as_ref().filter(|item| item.id == id)
    }

    /// An item, to be changed.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Item> {
        self.places.get_mut(place(id))?.as_mut().filter(|item| item.id == id)
    }

    /// Removes an item.
    pub fn remove(&mut self, id: u32) -> Option<Item> {
        let held = self.places.get_mut(place(id))?;
        let item = held.take_if(|item| item.id == id)?;
        self.count -= 1;
        self.free.push(id.wrapping_add(PLACES));
        Some(item)
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.places.iter().flatten()
    }

    /// All items, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.places.iter_mut().flatten()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Takes all out.
    pub fn take_all(&mut self) -> Vec<Item> {
        self.count = 0;
        self.free.clear();
        std::mem::take(&mut self.places).into_iter().flatten().collect()
    }
}
