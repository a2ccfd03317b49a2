//! A walk over encoded variants that checks lengths, nesting and cost before anything is decoded.
//!
//! The decoder of the stack follows variants into data values and diagnostic information into
//! itself without a limit, and an overflow of the thread's stack ends the process. So nothing that
//! can nest is decoded before this walk has been over it. The walk neither recurses nor allocates.

use opcua::types::StatusCode;

/// Places in a chain of variants, data values and diagnostic information inside each other. A level
/// of a data value takes three of them; Part 6 §5.2.2.16 wants at least 100 levels to be read.
pub const DEPTH_MAX: usize = 320;
/// Elements of one array.
pub const ARRAY_MAX: usize = 100_000;
/// Bytes of memory that the variants of one message may take when they are decoded.
pub const COST_MAX: usize = 32 << 20;
/// Bytes of one decoded variant.
const VARIANT_COST: usize = 32;

const MALFORMED: StatusCode = StatusCode::BadDecodingError;
const TOO_MUCH: StatusCode = StatusCode::BadEncodingLimitsExceeded;

const ARRAY_BIT: u8 = 0x80;
const DIMENSIONS_BIT: u8 = 0x40;
const KIND_BITS: u8 = 0x3f;

/// Built-in types by their numbers (Part 6 §5.1.2).
mod kind {
    pub const STRING: u8 = 12;
    pub const BYTE_STRING: u8 = 15;
    pub const XML_ELEMENT: u8 = 16;
    pub const NODE_ID: u8 = 17;
    pub const EXPANDED_NODE_ID: u8 = 18;
    pub const QUALIFIED_NAME: u8 = 20;
    pub const LOCALIZED_TEXT: u8 = 21;
    pub const EXTENSION_OBJECT: u8 = 22;
    pub const DATA_VALUE: u8 = 23;
    pub const VARIANT: u8 = 24;
    pub const DIAGNOSTIC_INFO: u8 = 25;
}

/// What is still to be walked over.
#[derive(Clone, Copy)]
enum Rest {
    /// Elements of a kind, and perhaps dimensions behind them.
    Elements { kind: u8, left: usize, dimensions: bool },
    /// What follows the value of a data value.
    DataValue(u8),
}

/// A place in encoded bytes.
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    cost: usize,
}

impl<'a> Walk<'a> {
    /// A walk from a place on; `cost` is what earlier walks over the same message have found.
    pub fn new(bytes: &'a [u8], at: usize, cost: usize) -> Walk<'a> {
        Walk { bytes, at, cost }
    }

    /// Where the walk is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What decoding will cost in bytes of memory.
    pub fn cost(&self) -> usize {
        self.cost
    }

    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn skip(&mut self, count: usize) -> Result<(), StatusCode> {
        if count > self.left() {
            return Err(MALFORMED);
        }
        self.at += count;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, StatusCode> {
        let byte = *self.bytes.get(self.at).ok_or(MALFORMED)?;
        self.at += 1;
        Ok(byte)
    }

    fn i32(&mut self) -> Result<i32, StatusCode> {
        let four = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        self.at += 4;
        four.map(|four| i32::from_le_bytes(*four)).ok_or(MALFORMED)
    }

    /// A length, 0 for null.
    fn length(&mut self) -> Result<usize, StatusCode> {
        match self.i32()? {
            -1 => Ok(0),
            length => usize::try_from(length).map_err(|_| MALFORMED),
        }
    }

    fn string(&mut self) -> Result<(), StatusCode> {
        let length = self.length()?;
        self.skip(length)?;
        self.spend(length)
    }

    fn spend(&mut self, cost: usize) -> Result<(), StatusCode> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > COST_MAX { Err(TOO_MUCH) } else { Ok(()) }
    }

    /// A node id; its first byte says how it goes on (Part 6 §5.2.2.9).
    fn node_id(&mut self) -> Result<u8, StatusCode> {
        let form = self.byte()?;
        match form & KIND_BITS {
            0 => self.skip(1)?,
            1 => self.skip(3)?,
            2 => self.skip(6)?,
            3 | 5 => {
                self.skip(2)?;
                self.string()?;
            }
            4 => self.skip(18)?,
            _ => return Err(MALFORMED),
        }
        Ok(form)
    }

    /// The header of a request: token, time, handle, wishes, audit entry, timeout, additional header.
    pub fn request_header(&mut self) -> Result<(), StatusCode> {
        self.node_id()?;
        self.skip(8 + 4 + 4)?;
        self.string()?;
        self.skip(4)?;
        self.extension_object()
    }

    /// The header of a response: time, handle, result, diagnostics, texts, additional header.
    pub fn response_header(&mut self) -> Result<(), StatusCode> {
        self.skip(8 + 4 + 4)?;
        self.diagnostic_info()?;
        let texts = self.length()?;
        // No text is shorter than its length.
        if texts > self.left() / 4 {
            return Err(MALFORMED);
        }
        for _ in 0..texts {
            self.spend(VARIANT_COST)?;
            self.string()?;
        }
        self.extension_object()
    }

    /// An extension object, whose body stays as it is.
    pub fn extension_object(&mut self) -> Result<(), StatusCode> {
        self.node_id()?;
        match self.byte()? {
            0 => Ok(()),
            1 => self.string(),
            _ => Err(MALFORMED),
        }
    }

    /// Diagnostic information with all that is in it.
    pub fn diagnostic_info(&mut self) -> Result<(), StatusCode> {
        for _ in 0..DEPTH_MAX {
            let mask = self.byte()?;
            for bit in [0x01, 0x02, 0x08, 0x04] {
                if mask & bit != 0 {
                    self.skip(4)?;
                }
            }
            if mask & 0x10 != 0 {
                self.string()?;
            }
            if mask & 0x20 != 0 {
                self.skip(4)?;
            }
            self.spend(128)?;
            if mask & 0x40 == 0 {
                return Ok(());
            }
        }
        Err(TOO_MUCH)
    }

    /// A variant with all that is in it.
    pub fn variant(&mut self) -> Result<(), StatusCode> {
        let first = self.variant_start()?;
        self.run(first)
    }

    /// A data value with all that is in it.
    pub fn data_value(&mut self) -> Result<(), StatusCode> {
        self.run(Rest::Elements { kind: kind::DATA_VALUE, left: 1, dimensions: false })
    }

    fn variant_start(&mut self) -> Result<Rest, StatusCode> {
        let mask = self.byte()?;
        let (kind, is_array) = (mask & KIND_BITS, mask & ARRAY_BIT != 0);
        let dimensions = mask & DIMENSIONS_BIT != 0;
        if kind > kind::DIAGNOSTIC_INFO || dimensions && !is_array || kind == 0 && is_array {
            return Err(MALFORMED);
        }
        if !is_array {
            self.spend(VARIANT_COST)?;
            return Ok(Rest::Elements { kind, left: usize::from(kind != 0), dimensions: false });
        }
        let count = self.length()?;
        if count > ARRAY_MAX {
            return Err(TOO_MUCH);
        }
        // No element is shorter than a byte.
        if count > self.left() || count == 0 && dimensions {
            return Err(MALFORMED);
        }
        self.spend(count * VARIANT_COST)?;
        Ok(Rest::Elements { kind, left: count, dimensions })
    }

    fn run(&mut self, first: Rest) -> Result<(), StatusCode> {
        let mut stack = [first; DEPTH_MAX];
        let mut depth = 1;
        while depth > 0 {
            let inner = match &mut stack[depth - 1] {
                Rest::DataValue(mask) => {
                    let mask = *mask;
                    depth -= 1;
                    self.data_value_rest(mask)?;
                    continue;
                }
                Rest::Elements { left: 0, dimensions, .. } => {
                    let dimensions = *dimensions;
                    depth -= 1;
                    if dimensions {
                        let count = self.length()?;
                        self.skip(count.checked_mul(4).ok_or(MALFORMED)?)?;
                    }
                    continue;
                }
                Rest::Elements { kind, left, .. } => {
                    *left -= 1;
                    let kind = *kind;
                    self.element(kind)?
                }
            };
            for rest in inner.into_iter().flatten() {
                *stack.get_mut(depth).ok_or(TOO_MUCH)? = rest;
                depth += 1;
            }
        }
        Ok(())
    }

    /// One element; gives what is inside it, the innermost last.
    fn element(&mut self, kind: u8) -> Result<[Option<Rest>; 2], StatusCode> {
        match kind {
            1..=3 => self.skip(1)?,
            4 | 5 => self.skip(2)?,
            6 | 7 | 10 | 19 => self.skip(4)?,
            8 | 9 | 11 | 13 => self.skip(8)?,
            14 => self.skip(16)?,
            kind::STRING | kind::BYTE_STRING | kind::XML_ELEMENT => self.string()?,
            kind::NODE_ID => {
                self.node_id()?;
            }
            kind::EXPANDED_NODE_ID => {
                let form = self.node_id()?;
                if form & 0x80 != 0 {
                    self.string()?;
                }
                if form & 0x40 != 0 {
                    self.skip(4)?;
                }
            }
            kind::QUALIFIED_NAME => {
                self.skip(2)?;
                self.string()?;
            }
            kind::LOCALIZED_TEXT => {
                let mask = self.byte()?;
                for bit in [1, 2] {
                    if mask & bit != 0 {
                        self.string()?;
                    }
                }
            }
            kind::EXTENSION_OBJECT => self.extension_object()?,
            kind::DATA_VALUE => {
                let mask = self.byte()?;
                self.spend(2 * VARIANT_COST)?;
                let value = if mask & 1 != 0 { Some(self.variant_start()?) } else { None };
                return Ok([Some(Rest::DataValue(mask)), value]);
            }
            kind::VARIANT => return Ok([Some(self.variant_start()?), None]),
            kind::DIAGNOSTIC_INFO => self.diagnostic_info()?,
            _ => return Err(MALFORMED),
        }
        Ok([None, None])
    }

    fn data_value_rest(&mut self, mask: u8) -> Result<(), StatusCode> {
        for (bit, size) in [(0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)] {
            if mask & bit != 0 {
                self.skip(size)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{BinaryDecodable, BinaryEncodable, ContextOwned, DataValue, Variant};
    use proptest::prelude::*;

    use super::*;

    fn walk(bytes: &[u8]) -> Result<usize, StatusCode> {
        let mut walk = Walk::new(bytes, 0, 0);
        walk.variant().map(|()| walk.at())
    }

    #[test]
    fn chains_that_would_overflow_the_decoder_are_refused() {
        // A variant with a data value with a variant, two bytes a level.
        let data_values = |levels: usize| [[23, 1].repeat(levels), vec![0]].concat();
        assert_eq!(walk(&data_values(100)), Ok(201));
        for levels in [DEPTH_MAX, 1000, 4000, 100_000] {
            assert_eq!(walk(&data_values(levels)), Err(TOO_MUCH));
        }
        let diagnostics = |levels: usize| [vec![25], vec![0x40; levels], vec![0]].concat();
        assert_eq!(walk(&diagnostics(100)), Ok(102));
        for levels in [DEPTH_MAX, 5000, 60_000] {
            assert_eq!(walk(&diagnostics(levels)), Err(TOO_MUCH));
        }
        let variants = |levels: usize| [vec![24; levels], vec![0]].concat();
        assert_eq!(walk(&variants(100)), Ok(101));
        assert_eq!(walk(&variants(DEPTH_MAX)), Err(TOO_MUCH));
        let arrays = |levels: usize| [[24 | 0x80, 1, 0, 0, 0].repeat(levels), vec![0]].concat();
        assert_eq!(walk(&arrays(100)), Ok(501));
        assert_eq!(walk(&arrays(DEPTH_MAX)), Err(TOO_MUCH));
    }

    #[test]
    fn lengths_that_are_not_there_or_cost_too_much_are_refused() {
        let array = |kind: u8, count: i32| [&[kind | 0x80][..], &count.to_le_bytes()].concat();
        assert_eq!(walk(&array(1, 100_001)), Err(TOO_MUCH));
        assert_eq!(walk(&array(1, 1000)), Err(MALFORMED));
        assert_eq!(walk(&array(1, -2)), Err(MALFORMED));
        assert_eq!(walk(&array(1, -1)), Ok(5));
        assert_eq!(walk(&array(0, 5)), Err(MALFORMED));
        assert_eq!(walk(&[12, 255, 255, 255, 127]), Err(MALFORMED));
        assert_eq!(walk(&[63]), Err(MALFORMED));
        assert_eq!(walk(&[1 | 0x40, 1]), Err(MALFORMED));
        // Twelve arrays of a hundred thousand booleans are a megabyte and cost forty.
        let inner = [array(1, 100_000), vec![1; 100_000]].concat();
        let outer = [array(24, 12), inner.repeat(12)].concat();
        assert_eq!(walk(&outer), Err(TOO_MUCH));
    }

    proptest! {
        /// What the walk accepts, the decoder survives and reads to the same place.
        #[test]
        fn the_decoder_agrees_with_the_walk(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let context = ContextOwned::default();
            let mut cursor = std::io::Cursor::new(&bytes[..]);
            if let Ok(end) = walk(&bytes)
                && Variant::decode(&mut cursor, &context.context()).is_ok()
            {
                prop_assert!(cursor.position() as usize <= bytes.len());
                prop_assert!(end <= bytes.len());
            }
        }

        /// What the encoder writes, the walk accepts to its end.
        #[test]
        fn what_is_encoded_is_accepted(
            texts in proptest::collection::vec(".{0,20}", 0..5),
            number in any::<f64>(),
            status in any::<u32>(),
        ) {
            let context = ContextOwned::default();
            let inner = DataValue {
                value: Some(Variant::from(texts)),
                status: Some(status.into()),
                source_timestamp: Some(opcua::types::DateTime::now()),
                ..Default::default()
            };
            let values = [Variant::from(inner), Variant::from(number), Variant::Empty];
            for value in values {
                let mut bytes = Vec::new();
                value.encode(&mut bytes, &context.context()).unwrap();
                prop_assert_eq!(walk(&bytes), Ok(bytes.len()));
            }
        }
    }
}
