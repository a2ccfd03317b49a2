//! What machines send, as text for people: no control characters, no end that never comes.

use std::fmt::Write as _;

use opcua::types::Variant;

use crate::channel::decode::raw_body;

/// Longest text of a machine that is shown.
const TEXT_MAX: usize = 200;
/// Elements of an array that are shown.
const ELEMENTS_MAX: usize = 10;

/// A value to be shown.
#[derive(Clone, PartialEq, Debug)]
pub enum Shown {
    /// There is none.
    Null,
    /// True or false.
    Truth(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Number(f64),
    /// A text.
    Text(String),
    /// The first elements, and how many there are.
    Array(Vec<Shown>, usize),
    /// Anything else, in words.
    Other(String),
}

/// A text without control characters, which could lead a terminal astray, and not too long.
pub fn plain(text: &str) -> String {
    let safe = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let mut plain: String = text.chars().take(TEXT_MAX).map(safe).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        plain.push('…');
    }
    plain
}

/// A value as it is shown.
pub fn shown(value: Option<&Variant>) -> Shown {
    match value {
        None | Some(Variant::Empty) => Shown::Null,
        Some(Variant::Boolean(value)) => Shown::Truth(*value),
        Some(Variant::SByte(value)) => Shown::Integer((*value).into()),
        Some(Variant::Byte(value)) => Shown::Integer((*value).into()),
        Some(Variant::Int16(value)) => Shown::Integer((*value).into()),
        Some(Variant::UInt16(value)) => Shown::Integer((*value).into()),
        Some(Variant::Int32(value)) => Shown::Integer((*value).into()),
        Some(Variant::UInt32(value)) => Shown::Integer((*value).into()),
        Some(Variant::Int64(value)) => Shown::Integer((*value).into()),
        Some(Variant::UInt64(value)) => Shown::Integer((*value).into()),
        Some(Variant::Float(value)) => Shown::Number((*value).into()),
        Some(Variant::Double(value)) => Shown::Number(*value),
        Some(Variant::String(text)) => Shown::Text(plain(text.as_ref())),
        Some(Variant::LocalizedText(text)) => Shown::Text(plain(text.text.as_ref())),
        Some(Variant::Array(array)) => {
            let first = array.values.iter().take(ELEMENTS_MAX);
            Shown::Array(first.map(|one| shown(Some(one))).collect(), array.values.len())
        }
        Some(Variant::ByteString(bytes)) => Shown::Other(format!("{} bytes", bytes.len())),
        Some(Variant::ExtensionObject(object)) => Shown::Other(match raw_body(object) {
            Some((id, body)) => format!("structure {id} of {} bytes", body.len()),
            None => "structure".into(),
        }),
        Some(Variant::DateTime(time)) if time.is_null() => Shown::Null,
        Some(Variant::DateTime(time)) => Shown::Text(time.to_string()),
        Some(other) => Shown::Other(plain(&format!("{other}"))),
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shown::Null => out.write_str("null"),
            Shown::Truth(value) => write!(out, "{value}"),
            Shown::Integer(value) => write!(out, "{value}"),
            Shown::Number(value) => write!(out, "{value}"),
            Shown::Text(text) => write!(out, "{text:?}"),
            Shown::Other(text) => out.write_str(text),
            Shown::Array(first, count) => {
                out.write_char('[')?;
                for (index, one) in first.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(out, "{comma}{one}")?;
                }
                let rest = count - first.len();
                if rest > 0 {
                    write!(out, ", … {rest} more")?;
                }
                out.write_char(']')
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_machines_cannot_lead_a_terminal_astray() {
        assert_eq!(plain("a\u{1b}[31mb\r\n"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(plain(&"x".repeat(1000)).chars().count(), TEXT_MAX + 1);
        let many = Variant::from((0..100_000).collect::<Vec<i32>>());
        let text = shown(Some(&many)).to_string();
        assert_eq!(text, "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 99990 more]");
        assert_eq!(shown(None).to_string(), "null");
    }
}
