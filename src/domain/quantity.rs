//! Exact numbers: decimal quantities with a unit, and ratios kept as two integers until printed.
//!
//! No floating point may enter here; a float exists only where a figure leaves the program.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Decimal places that a [`Quantity`] carries.
const DECIMALS: usize = 9;
const SCALE: i128 = 1_000_000_000;

/// A fixed-point decimal amount with nine places (1 ng in kg), range about ±1.7 × 10²⁹.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Quantity(i128);

/// Why a text is not a [`Quantity`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotAQuantity;

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity(0);
    /// The largest whole number that comes out of a float exactly.
    const FLOAT_EXACT: f64 = 9e15;

    /// The quantity nearest to a float, in nine places; `None` when it is no number or too large.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() || value.abs() >= Self::FLOAT_EXACT {
            return None;
        }
        let (whole, part) = (value.trunc(), value.fract());
        let part = (part * SCALE as f64).round() as i128;
        Some(Quantity(whole as i128 * SCALE + part))
    }

    /// Makes a quantity of whole units.
    pub fn from_whole(units: i64) -> Self {
        Quantity(i128::from(units) * SCALE)
    }

    /// Makes a quantity from billionths of a unit.
    pub const fn from_billionths(value: i128) -> Self {
        Quantity(value)
    }

    /// The quantity in billionths of a unit.
    pub const fn billionths(self) -> i128 {
        self.0
    }

    /// Adds, or `None` beyond the range.
    pub fn checked_add(self, other: Quantity) -> Option<Quantity> {
        self.0.checked_add(other.0).map(Quantity)
    }
}

impl FromStr for Quantity {
    type Err = NotAQuantity;

    /// Reads a plain decimal such as `1200` or `-0.125`; no exponent, no thousands separator.
    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let has_point = digits.contains('.');
        if whole.is_empty() || whole.len() > 20 || part.len() > DECIMALS {
            return Err(NotAQuantity);
        }
        if (has_point && part.is_empty()) || !plain(whole) || !plain(part) {
            return Err(NotAQuantity);
        }
        let whole: i128 = whole.parse().map_err(|_| NotAQuantity)?;
        let part: i128 = format!("{part:0<DECIMALS$}").parse().map_err(|_| NotAQuantity)?;
        let value = whole * SCALE + part;
        Ok(Quantity(if negative { -value } else { value }))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let value = self.0.unsigned_abs();
        let (whole, part) = (value / SCALE.unsigned_abs(), value % SCALE.unsigned_abs());
        if part == 0 {
            return write!(out, "{sign}{whole}");
        }
        let digits = format!("{part:0DECIMALS$}");
        write!(out, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A ratio of two integers in lowest terms; the denominator is positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ratio {
    numerator: i128,
    denominator: i128,
}

impl Ratio {
    /// Makes a ratio; `None` when the denominator is zero, since the figure is then not defined.
    pub fn new(numerator: i128, denominator: i128) -> Option<Ratio> {
        if denominator == 0 {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator).max(1);
        let sign = if denominator < 0 { -1 } else { 1 };
        Some(Ratio {
            numerator: sign * numerator / divisor,
            denominator: sign * denominator / divisor,
        })
    }

    /// Upper number, in lowest terms.
    pub fn numerator(self) -> i128 {
        self.numerator
    }

    /// Lower number, positive, in lowest terms.
    pub fn denominator(self) -> i128 {
        self.denominator
    }

    /// Product, or `None` beyond 128 bits.
    pub fn checked_mul(self, other: Ratio) -> Option<Ratio> {
        let left = Ratio::new(self.numerator, other.denominator)?;
        let right = Ratio::new(other.numerator, self.denominator)?;
        Ratio::new(
            left.numerator.checked_mul(right.numerator)?,
            left.denominator.checked_mul(right.denominator)?,
        )
    }

    /// Whether the ratio is above one.
    pub fn exceeds_one(self) -> bool {
        self.numerator > self.denominator
    }

    /// The nearest float, for printing only.
    pub fn to_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

pub(crate) fn greatest_common_divisor(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i128::try_from(a).unwrap_or(i128::MAX)
}

/// The least common multiple of the divisors, or `None` beyond `limit`.
pub fn common_divisor(divisors: impl IntoIterator<Item = u32>, limit: i128) -> Option<i128> {
    divisors.into_iter().try_fold(1_i128, |lcm, divisor| {
        let divisor = i128::from(divisor.max(1));
        let next = lcm / greatest_common_divisor(lcm, divisor) * divisor;
        (next <= limit).then_some(next)
    })
}

/// A sum of ideal cycle times, exact although cycles have different numbers of parts.
///
/// Kept as ticks by divisor: three parts of a four-cavity cycle of one second are
/// `30 000 000 / 4` ticks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IdealTime {
    ticks_by_divisor: BTreeMap<u32, i128>,
}

impl IdealTime {
    /// Adds `count` parts of a cycle of `ticks` that makes `parts` at once.
    pub fn add(&mut self, ticks: i64, parts: u32, count: i64) {
        self.add_ticks(parts.max(1), i128::from(ticks) * i128::from(count));
    }

    /// Sums that are zero are not kept, so that equal sums are equal however they came about.
    fn add_ticks(&mut self, divisor: u32, ticks: i128) {
        let sum = self.ticks_by_divisor.entry(divisor).or_default();
        *sum += ticks;
        if *sum == 0 {
            self.ticks_by_divisor.remove(&divisor);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &IdealTime) {
        for (divisor, ticks) in &other.ticks_by_divisor {
            self.add_ticks(*divisor, *ticks);
        }
    }

    /// The sums by divisor.
    pub fn parts(&self) -> &BTreeMap<u32, i128> {
        &self.ticks_by_divisor
    }

    /// The sum of these sums by divisor.
    pub fn of_parts(ticks_by_divisor: BTreeMap<u32, i128>) -> IdealTime {
        IdealTime { ticks_by_divisor }
    }

    /// The sum in ticks as numerator and denominator.
    ///
    /// The configuration check keeps the common divisor of all products within
    /// [`IdealTime::DIVISOR_LIMIT`], so that this cannot overflow.
    pub fn as_fraction(&self) -> (i128, i128) {
        let divisors = self.ticks_by_divisor.keys().copied();
        let common = common_divisor(divisors, i128::from(i64::MAX)).unwrap_or(1);
        let sum = self.ticks_by_divisor.iter().map(|(d, t)| t * (common / i128::from(*d))).sum();
        (sum, common)
    }

    /// Largest common divisor of the parts per cycle of all products of a plant.
    pub const DIVISOR_LIMIT: i128 = 1_000_000_000_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_and_prints_the_same_decimal() {
        for text in ["0", "1200", "-0.125", "99999999999999999999.000000001"] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), text);
        }
        for text in ["", ".5", "5.", "1e3", "1,5", "+1", "--1", "0.0000000001", " 1"] {
            assert_eq!(text.parse::<Quantity>(), Err(NotAQuantity), "{text}");
        }
    }

    #[test]
    fn ratios_are_in_lowest_terms_and_undefined_for_zero() {
        let ratio = Ratio::new(-6, -8).unwrap();
        assert_eq!((ratio.numerator(), ratio.denominator()), (3, 4));
        assert_eq!(Ratio::new(1, 0), None);
        assert_eq!(Ratio::new(0, 5), Ratio::new(0, 9));
    }

    #[test]
    fn ideal_time_of_different_cavities_adds_up_exactly() {
        let mut sum = IdealTime::default();
        sum.add(10, 3, 1);
        sum.add(10, 4, 1);
        assert_eq!(sum.as_fraction(), (70, 12));
    }
}
