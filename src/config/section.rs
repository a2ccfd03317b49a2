//! Reading the values of one table, with their place in the file.
//!
//! A section remembers which keys it was asked for; every other key in it is a problem, reported
//! with the nearest of those.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;
use crate::domain::id::InvalidKey;
use crate::domain::time::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub span: Range<usize>,
}

/// One table of the file.
pub struct Section<'a> {
    name: String,
    span: Range<usize>,
    table: &'a DeTable<'a>,
    problems: &'a Problems<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The section of a table.
    pub fn new(
        name: impl Into<String>,
        span: Range<usize>,
        table: &'a DeTable<'a>,
        problems: &'a Problems<'a>,
    ) -> Self {
        Section { name: name.into(), span, table, problems, asked: RefCell::default() }
    }

    /// Where the section stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where problems go.
    pub fn problems(&self) -> &'a Problems<'a> {
        self.problems
    }

    fn find(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = value.get_ref().type_str();
        let message = format!("`{key}` in {} is of type {found}", self.name);
        self.problems.add(value.span(), message, format!("write {wanted}"));
    }

    /// Notes that a key is missing, unless it is there with a wrong value.
    fn missing(&self, key: &'static str, wanted: &str) {
        if !self.table.iter().any(|(name, _)| name.get_ref() == key) {
            let message = format!("{} has no `{key}`", self.name);
            self.problems.add(self.span(), message, format!("add `{key}` with {wanted}"));
        }
    }

    /// Whether there is such a key, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// A text, if there is one.
    pub fn text(&self, key: &'static str) -> Option<Placed<String>> {
        let value = self.find(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Placed { value: text.to_owned(), span: value.span() }),
            None => {
                self.wrong_type(key, value, "a text in quotes");
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &'static str) -> Option<Placed<String>> {
        let text = self.text(key);
        if text.is_none() {
            self.missing(key, "a text in quotes");
        }
        text
    }

    /// Reads a text that is there by a rule; what the rule refuses is a problem.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Placed<T>> {
        let text = self.text(key)?;
        match parse(&text.value) {
            Some(value) => Some(Placed { value, span: text.span }),
            None => {
                let message = format!("`{key}` is {:?}", text.value);
                self.problems.add(text.span, message, format!("write {wanted}"));
                None
            }
        }
    }

    /// As [`Section::parsed`], for a key that must be there.
    pub fn required<T>(
        &self,
        key: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.parsed(key, wanted, parse);
        if value.is_none() {
            self.missing(key, wanted);
        }
        value
    }

    /// A business key, if there is one.
    pub fn key<T>(
        &self,
        key: &'static str,
        parse: fn(&str) -> Result<T, InvalidKey>,
    ) -> Option<Placed<T>> {
        let text = self.text(key)?;
        match parse(&text.value) {
            Ok(value) => Some(Placed { value, span: text.span }),
            Err(why) => {
                let message = format!("`{key}` {:?} {why}", text.value);
                self.problems.add(text.span, message, "choose a key of allowed characters");
                None
            }
        }
    }

    /// A business key that must be there.
    pub fn required_key<T>(
        &self,
        key: &'static str,
        parse: fn(&str) -> Result<T, InvalidKey>,
    ) -> Option<Placed<T>> {
        let value = self.key(key, parse);
        if value.is_none() {
            self.missing(key, "a short key of letters and digits");
        }
        value
    }

    /// A whole number of at least `min`, if there is one.
    pub fn number(&self, key: &'static str, min: u64) -> Option<Placed<u64>> {
        let value = self.find(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if number >= min => Some(Placed { value: number, span: value.span() }),
            _ => {
                let message = format!("`{key}` is {}", integer.as_str());
                let advice = format!("write a whole number of at least {min}");
                self.problems.add(value.span(), message, advice);
                None
            }
        }
    }

    /// A truth value, if there is one.
    pub fn truth(&self, key: &'static str) -> Option<Placed<bool>> {
        let value = self.find(key)?;
        match value.get_ref().as_bool() {
            Some(truth) => Some(Placed { value: truth, span: value.span() }),
            None => {
                self.wrong_type(key, value, "true or false");
                None
            }
        }
    }

    /// A positive duration such as `"250ms"`, `"1.5s"`, `"2m"` or `"8h"`, if there is one.
    pub fn duration(&self, key: &'static str) -> Option<Placed<Span>> {
        let wanted = "a positive duration such as \"250ms\", \"1.5s\", \"2m\", \"8h\" or \"30d\"";
        self.parsed(key, wanted, Span::parse)
    }

    /// A list of texts; empty when there is none.
    pub fn texts(&self, key: &'static str) -> Vec<Placed<String>> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Placed { value: text.to_owned(), span: item.span() }),
                None => self.wrong_type(key, item, "a text in quotes"),
            }
        }
        texts
    }

    /// The key-value pairs of an inline table of texts, or the text that stands in its place.
    pub fn map_or_text(&self, key: &'static str) -> Option<Placed<MapOrText>> {
        let value = self.find(key)?;
        let span = value.span();
        if let Some(text) = value.get_ref().as_str() {
            return Some(Placed { value: MapOrText::Text(text.to_owned()), span });
        }
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table such as { 1 = \"running\" } or a text");
            return None;
        };
        let mut map = Vec::new();
        for (name, item) in table.iter() {
            match item.get_ref().as_str() {
                Some(text) => {
                    let text = Placed { value: text.to_owned(), span: item.span() };
                    map.push((name.get_ref().to_string(), text));
                }
                None => self.wrong_type(name.get_ref(), item, "a text in quotes"),
            }
        }
        Some(Placed { value: MapOrText::Map(map), span })
    }

    /// A table, if there is one.
    pub fn table(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.find(key)?;
        match value.get_ref().as_table() {
            Some(table) => {
                Some(Section::new(format!("[{key}]"), value.span(), table, self.problems))
            }
            None => {
                self.wrong_type(key, value, &format!("a section [{key}]"));
                None
            }
        }
    }

    /// All keys of the table with their texts, where any key is allowed.
    pub fn all_texts(&self) -> Vec<(String, Placed<String>)> {
        let mut texts = Vec::new();
        for (name, value) in self.table.iter() {
            match value.get_ref().as_str() {
                Some(text) => {
                    let text = Placed { value: text.to_owned(), span: value.span() };
                    texts.push((name.get_ref().to_string(), text));
                }
                None => self.wrong_type(name.get_ref(), value, "a text in quotes"),
            }
        }
        texts
    }

    /// Tables of a list, in the order of the file.
    pub fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.find(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, &format!("sections [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let name = format!("[[{key}]]");
                    sections.push(Section::new(name, item.span(), table, self.problems));
                }
                None => self.wrong_type(key, item, &format!("sections [[{key}]]")),
            }
        }
        sections
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (name, _) in self.table.iter() {
            let key = name.get_ref();
            if asked.iter().any(|known| known == key) {
                continue;
            }
            let nearest =
                asked.iter().map(|known| (strsim::damerau_levenshtein(known, key), known));
            let advice = match nearest.min() {
                Some((distance, known)) if distance <= 3.max(key.len() / 3) => {
                    format!("did you mean `{known}`?")
                }
                _ => format!("known here: {}", asked.join(", ")),
            };
            let message = format!("unknown key `{key}` in {}", self.name);
            self.problems.add(name.span(), message, advice);
        }
    }
}

/// An inline table of texts, or one text.
#[derive(Clone, Debug)]
pub enum MapOrText {
    /// The pairs.
    Map(Vec<(String, Placed<String>)>),
    /// The text.
    Text(String),
}
