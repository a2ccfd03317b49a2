//! The binary form of stored values: plain, versioned, checksummed.
//!
//! A value is `version u8 · crc32 u32 · payload`. Fields follow each other without names; a new
//! version adds fields at the end of a record or a new tag to an enumeration, and never changes the
//! meaning of old bytes. The checksum is there because the database does not check its pages on
//! reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::app::ports::StoreError;

/// Version of all values that this program writes.
pub const VALUE_VERSION: u8 = 1;
const HEADER: usize = 5;

/// Why bytes are not a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early.
    Short,
    /// A tag or length has no meaning.
    Meaningless(&'static str),
    /// Bytes are left over.
    Trailing,
    /// The checksum does not fit.
    Checksum,
    /// The version is not known.
    Version(u8),
}

/// Something with a binary form.
pub trait Record: Sized {
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes it from the front of the bytes.
    fn get(input: &mut &[u8]) -> Result<Self, Malformed>;
}

/// Wraps a value for the store.
pub fn seal<T: Record>(value: &T) -> Vec<u8> {
    seal_with(|out| value.put(out))
}

/// Wraps what `put` appends.
pub fn seal_with(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![VALUE_VERSION, 0, 0, 0, 0];
    put(&mut out);
    let checksum = crc32fast::hash(&out[HEADER..]);
    out[1..HEADER].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Unwraps a value from the store; `what` names it in the error.
pub fn open<T: Record>(bytes: &[u8], what: &str) -> Result<T, StoreError> {
    unseal(bytes)
        .map_err(|cause| StoreError::Damaged { what: what.to_owned(), cause: format!("{cause:?}") })
}

/// What is wrapped, if nothing has changed it.
pub fn payload(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let (header, payload) = bytes.split_at_checked(HEADER).ok_or(Malformed::Short)?;
    if header[0] != VALUE_VERSION {
        return Err(Malformed::Version(header[0]));
    }
    if crc32fast::hash(payload).to_le_bytes() != header[1..] {
        return Err(Malformed::Checksum);
    }
    Ok(payload)
}

fn unseal<T: Record>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut payload = payload(bytes)?;
    let value = T::get(&mut payload)?;
    if payload.is_empty() { Ok(value) } else { Err(Malformed::Trailing) }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = input.split_at_checked(count).ok_or(Malformed::Short)?;
    *input = rest;
    Ok(taken)
}

impl Record for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(take(input, 1)?[0])
    }
}

impl Record for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::get(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Meaningless("boolean")),
        }
    }
}

impl Record for u64 {
    /// Seven bits a byte, lowest first.
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push((rest as u8 & 0x7f) | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = u8::get(input)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Meaningless("number"))
    }
}

impl Record for i64 {
    /// Zigzag, so that small numbers of either sign are short.
    fn put(&self, out: &mut Vec<u8>) {
        (((*self << 1) ^ (*self >> 63)) as u64).put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let value = u64::get(input)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

macro_rules! record_by_conversion {
    ($($small:ty as $large:ty),+) => {$(
        impl Record for $small {
            fn put(&self, out: &mut Vec<u8>) {
                <$large>::from(*self).put(out);
            }
            fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
                let value = <$large>::get(input)?;
                value.try_into().map_err(|_| Malformed::Meaningless("number"))
            }
        }
    )+};
}
record_by_conversion!(u16 as u64, u32 as u64, i16 as i64);

impl Record for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        usize::try_from(u64::get(input)?).map_err(|_| Malformed::Meaningless("number"))
    }
}

impl Record for i128 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let bytes = take(input, 16)?.try_into().map_err(|_| Malformed::Short)?;
        Ok(i128::from_le_bytes(bytes))
    }
}

impl Record for [u8; 32] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        take(input, 32)?.try_into().map_err(|_| Malformed::Short)
    }
}

impl Record for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let length = length(input)?;
        let bytes = take(input, length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| Malformed::Meaningless("text"))
    }
}

/// A length that the rest of the bytes can hold, so that damage never allocates without bound.
fn length(input: &mut &[u8]) -> Result<usize, Malformed> {
    let length = usize::try_from(u64::get(input)?).map_err(|_| Malformed::Short)?;
    if length <= input.len() { Ok(length) } else { Err(Malformed::Short) }
}

impl<T: Record> Record for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(if bool::get(input)? { Some(T::get(input)?) } else { None })
    }
}

/// Appends a sequence as [`Vec`] reads it.
pub fn put_all<'a, T: Record + 'a>(items: impl ExactSizeIterator<Item = &'a T>, out: &mut Vec<u8>) {
    (items.len() as u64).put(out);
    items.for_each(|item| item.put(out));
}

impl<T: Record> Record for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.iter(), out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let length = length(input)?;
        (0..length).map(|_| T::get(input)).collect()
    }
}

impl<T: Record + Ord> Record for BTreeSet<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self.iter(), out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Vec::get(input)?.into_iter().collect())
    }
}

impl<K: Record + Ord, V: Record> Record for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let length = length(input)?;
        (0..length).map(|_| Ok((K::get(input)?, V::get(input)?))).collect()
    }
}

impl<T: Record> Record for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        T::get(input).map(Box::new)
    }
}

impl<T: Record> Record for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        T::get(input).map(Arc::new)
    }
}

impl<A: Record, B: Record> Record for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok((A::get(input)?, B::get(input)?))
    }
}

impl<A: Record, B: Record, C: Record> Record for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok((A::get(input)?, B::get(input)?, C::get(input)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back_as_they_were() {
        let mut out = Vec::new();
        let values = (u64::MAX, i64::MIN, "Straße".to_owned());
        values.put(&mut out);
        assert_eq!(<(u64, i64, String)>::get(&mut out.as_slice()), Ok(values));
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed() {
        let sealed = seal(&vec!["a".to_owned(), "b".to_owned()]);
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<Vec<String>>(&damaged, "x").is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_wild_length_is_refused_without_allocating() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Vec::<u64>::get(&mut bytes.as_slice()), Err(Malformed::Short));
    }
}
