//! Business keys: the names by which people and other systems know things.
//!
//! A key is made only by [`parse`](MachineId::parse), so a value of one of these types is valid.
//! NodeIds, URLs and stored keys are derived from it, therefore its characters are restricted.

use std::fmt;
use std::sync::Arc;

/// Longest key in characters.
pub const KEY_LENGTH_MAX: usize = 64;

/// Why a text cannot be a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidKey {
    /// It is empty.
    Empty,
    /// It is longer than [`KEY_LENGTH_MAX`].
    TooLong,
    /// It holds this character, which no key may hold.
    Character(char),
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidKey::Empty => write!(out, "is empty"),
            InvalidKey::TooLong => write!(out, "is longer than {KEY_LENGTH_MAX} characters"),
            InvalidKey::Character(c) => {
                write!(out, "holds {c:?}; letters, digits and - _ . : # + are allowed")
            }
        }
    }
}

impl std::error::Error for InvalidKey {}

fn check(text: &str) -> Result<(), InvalidKey> {
    if text.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if text.chars().count() > KEY_LENGTH_MAX {
        return Err(InvalidKey::TooLong);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:#+".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(InvalidKey::Character(c)),
        None => Ok(()),
    }
}

macro_rules! key {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes the key, or says why the text cannot be one.
            pub fn parse(text: &str) -> Result<Self, InvalidKey> {
                check(text)?;
                Ok($name(text.into()))
            }

            /// The key as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:?}", &*self.0)
            }
        }
    )+};
}

key! {
    /// A site.
    SiteId,
    /// An area of a site.
    AreaId,
    /// A production line (ISA-95 work center).
    LineId,
    /// A machine (ISA-95 work unit).
    MachineId,
    /// A product or material definition.
    ProductId,
    /// A reason of the reason tree.
    ReasonId,
    /// A job order, by the number that the ERP gave it.
    OrderId,
    /// A material lot.
    LotId,
    /// A person who works in the plant.
    PersonId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_refuse_what_would_break_a_node_id_or_url() {
        assert!(OrderId::parse("WO-4711.A:1").is_ok());
        assert_eq!(OrderId::parse(""), Err(InvalidKey::Empty));
        assert_eq!(OrderId::parse("a/b"), Err(InvalidKey::Character('/')));
        assert_eq!(OrderId::parse("ä"), Err(InvalidKey::Character('ä')));
        assert_eq!(OrderId::parse(&"x".repeat(65)), Err(InvalidKey::TooLong));
    }
}
