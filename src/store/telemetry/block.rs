//! Samples of one series as a block: columns of times, statuses and values, each packed as what it is.
//!
//! What comes out is what went in, bit for bit, also numbers that are none and negative zeros.

use std::collections::HashMap;
use std::sync::Arc;

use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress};
use pco::{ChunkConfig, DEFAULT_COMPRESSION_LEVEL};

use crate::app::ports::StoreError;
use crate::app::telemetry::{Sample, Sampled};
use crate::domain::time::Timestamp;
use crate::store::codec::{self, Malformed, Record};

/// Samples of a block at most.
pub const SAMPLES_MAX: usize = 4096;
/// Forms of values beside the kinds of numbers.
const NONE: u8 = 0;
const BYTES: u8 = 0x3f;
/// Kinds of numbers (Part 6 §5.1.2) that are signed, and those that are no whole numbers.
const SIGNED: [u8; 5] = [2, 4, 6, 8, 13];
const FLOAT: u8 = 10;
const DOUBLE: u8 = 11;

fn form(sample: &Sample) -> u8 {
    match &sample.value {
        Sampled::None => NONE,
        Sampled::Bytes(_) => BYTES,
        Sampled::Number { kind, .. } => *kind,
    }
}

/// Parts of samples that can be a block each: of a bounded number, and of one form.
pub fn parts(samples: &[Sample]) -> Vec<&[Sample]> {
    let mut parts = Vec::new();
    let (mut from, mut of) = (0, NONE);
    for (at, sample) in samples.iter().enumerate() {
        let form = form(sample);
        let is_other = form != NONE && of != NONE && form != of;
        if is_other || at - from >= SAMPLES_MAX {
            parts.push(&samples[from..at]);
            (from, of) = (at, NONE);
        }
        if form != NONE {
            of = form;
        }
    }
    if from < samples.len() {
        parts.push(&samples[from..]);
    }
    parts
}

/// The bytes of a block.
pub fn encode(samples: &[Sample]) -> Result<Vec<u8>, StoreError> {
    let form = samples.iter().map(form).find(|form| *form != NONE).unwrap_or(NONE);
    let mut out = Vec::new();
    form.put(&mut out);
    let times: Vec<i64> = samples.iter().map(|sample| sample.at.ticks()).collect();
    put_column(&times, &mut out)?;
    put_runs(samples.iter().map(|sample| sample.status), &mut out);
    put_runs(samples.iter().map(|s| u32::from(s.value != Sampled::None)), &mut out);
    let bits = || {
        samples.iter().filter_map(|sample| match sample.value {
            Sampled::Number { bits, .. } => Some(bits),
            _ => None,
        })
    };
    match form {
        NONE => {}
        BYTES => put_bytes(samples, &mut out)?,
        FLOAT => {
            let values: Vec<f32> = bits().map(|bits| f32::from_bits(bits as u32)).collect();
            put_column(&values, &mut out)?;
        }
        DOUBLE => put_column(&bits().map(f64::from_bits).collect::<Vec<_>>(), &mut out)?,
        kind if SIGNED.contains(&kind) => {
            put_column(&bits().map(|bits| bits as i64).collect::<Vec<_>>(), &mut out)?;
        }
        _ => put_column(&bits().collect::<Vec<u64>>(), &mut out)?,
    }
    Ok(codec::seal_with(|sealed| sealed.extend_from_slice(&out)))
}

fn put_bytes(samples: &[Sample], out: &mut Vec<u8>) -> Result<(), StoreError> {
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let (mut texts, mut places): (Vec<&[u8]>, Vec<u32>) = (Vec::new(), Vec::new());
    for sample in samples {
        let Sampled::Bytes(bytes) = &sample.value else { continue };
        let next = texts.len() as u32;
        let place = *known.entry(bytes).or_insert(next);
        if place == next {
            texts.push(bytes);
        }
        places.push(place);
    }
    texts.len().put(out);
    for text in texts {
        text.len().put(out);
        out.extend_from_slice(text);
    }
    put_column(&places, out)
}

fn put_column<T: Number>(column: &[T], out: &mut Vec<u8>) -> Result<(), StoreError> {
    let config = ChunkConfig::default().with_compression_level(DEFAULT_COMPRESSION_LEVEL);
    let packed = simple_compress(column, &config);
    let packed = packed.map_err(|error| StoreError::Io(format!("samples: {error}")))?;
    packed.len().put(out);
    out.extend_from_slice(&packed);
    Ok(())
}

/// Numbers that are mostly the same as before.
fn put_runs(numbers: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    let mut runs: Vec<(u32, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((known, count)) if *known == number => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    runs.len().put(out);
    for (number, count) in runs {
        number.put(out);
        count.put(out);
    }
}

/// The samples of a block.
pub fn decode(sealed: &[u8]) -> Result<Vec<Sample>, StoreError> {
    let damaged = |cause: Malformed| StoreError::Damaged {
        what: "block of samples".into(),
        cause: format!("{cause:?}"),
    };
    let mut payload = codec::payload(sealed).map_err(damaged)?;
    read(&mut payload).map_err(damaged)
}

fn read(input: &mut &[u8]) -> Result<Vec<Sample>, Malformed> {
    const SHORT: Malformed = Malformed::Meaningless("column");
    let form = u8::get(input)?;
    let times: Vec<i64> = column(input)?;
    let statuses = runs(input, times.len())?;
    let present = runs(input, times.len())?;
    let mut values: Box<dyn Iterator<Item = Sampled>> = match form {
        NONE => Box::new(std::iter::empty()),
        BYTES => {
            let texts = (0..usize::get(input)?).map(|_| bytes(input).map(Arc::from));
            let texts: Vec<Arc<[u8]>> = texts.collect::<Result<_, _>>()?;
            let places: Vec<u32> = column(input)?;
            let value = move |place: u32| texts.get(place as usize).cloned();
            let values = places.into_iter().map(value).map(|text| text.map(Sampled::Bytes));
            Box::new(values.map_while(|value| value))
        }
        kind => {
            let bits: Vec<u64> = match kind {
                FLOAT => column::<f32>(input)?.iter().map(|v| u64::from(v.to_bits())).collect(),
                DOUBLE => column::<f64>(input)?.iter().map(|v| v.to_bits()).collect(),
                kind if SIGNED.contains(&kind) => {
                    column::<i64>(input)?.iter().map(|value| *value as u64).collect()
                }
                _ => column(input)?,
            };
            Box::new(bits.into_iter().map(move |bits| Sampled::Number { kind, bits }))
        }
    };
    let mut samples = Vec::with_capacity(times.len());
    for ((ticks, status), is_present) in times.into_iter().zip(statuses).zip(present) {
        let value = match is_present {
            0 => Sampled::None,
            _ => values.next().ok_or(SHORT)?,
        };
        samples.push(Sample { at: Timestamp::from_ticks(ticks), status, value });
    }
    Ok(samples)
}

fn bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::get(input)?;
    let (taken, rest) = input.split_at_checked(length).ok_or(Malformed::Short)?;
    *input = rest;
    Ok(taken)
}

fn column<T: Number>(input: &mut &[u8]) -> Result<Vec<T>, Malformed> {
    simple_decompress(bytes(input)?).map_err(|_| Malformed::Meaningless("column"))
}

fn runs(input: &mut &[u8], length: usize) -> Result<Vec<u32>, Malformed> {
    let mut numbers = Vec::with_capacity(length);
    for _ in 0..usize::get(input)? {
        let (number, count) = (u32::get(input)?, usize::get(input)?);
        if count > length - numbers.len() {
            return Err(Malformed::Meaningless("run"));
        }
        numbers.extend(std::iter::repeat_n(number, count));
    }
    if numbers.len() == length { Ok(numbers) } else { Err(Malformed::Short) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Sampled> {
        let kinds = prop_oneof![Just(1_u8), Just(6), Just(8), Just(9), Just(11), Just(13)];
        prop_oneof![
            1 => Just(Sampled::None),
            4 => (kinds, any::<u64>()).prop_map(|(kind, bits)| Sampled::Number { kind, bits }),
            1 => any::<u32>().prop_map(|bits| Sampled::Number { kind: 10, bits: bits.into() }),
            2 => prop::collection::vec(0_u8..3, 0..4).prop_map(|b| Sampled::Bytes(b.into())),
        ]
    }

    prop_compose! {
        fn sample()(ticks in any::<i64>(), status in prop_oneof![Just(0), any::<u32>()],
                    value in value()) -> Sample {
            Sample { at: Timestamp::from_ticks(ticks), status, value }
        }
    }

    fn again(samples: &[Sample]) -> Vec<Sample> {
        parts(samples).iter().flat_map(|part| decode(&encode(part).unwrap()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in(samples in prop::collection::vec(sample(), 0..60)) {
            prop_assert_eq!(again(&samples), samples);
        }
    }

    fn number(ticks: i64, value: f64) -> Sample {
        let value = Sampled::Number { kind: DOUBLE, bits: value.to_bits() };
        Sample { at: Timestamp::from_ticks(ticks), status: 0, value }
    }

    #[test]
    fn numbers_that_are_none_and_negative_zeros_stay_what_they_are() {
        let odd =
            [f64::from_bits(0x7ff8_0000_dead_beef), -0.0, f64::NEG_INFINITY, f64::MIN_POSITIVE];
        let samples: Vec<_> = (0..).zip(odd).map(|(at, value)| number(at, value)).collect();
        assert_eq!(again(&samples), samples);
    }

    #[test]
    fn a_block_of_a_measured_value_is_small() {
        let wave = |at: i64| (2048.0 + 900.0 * (at as f64 / 40.0).sin()).round() / 10.0;
        let samples: Vec<_> = (0..1024).map(|at| number(at * 10_000_000, wave(at))).collect();
        let bytes = encode(&samples).unwrap().len();
        assert!(bytes < 2 * samples.len(), "{bytes} bytes");
    }

    #[test]
    fn a_block_with_a_bit_that_has_changed_is_damaged_and_not_wrong() {
        let samples: Vec<_> = (0..50).map(|at| number(at, at as f64)).collect();
        let whole = encode(&samples).unwrap();
        for place in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[place / 8] ^= 1 << (place % 8);
            assert!(decode(&bytes).is_err(), "bit {place}");
        }
    }
}
