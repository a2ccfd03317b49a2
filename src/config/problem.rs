//! What is wrong with a configuration: where, what, and what to do.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, column, message, advice } = self;
        write!(out, "{file}:{line}:{column}: {message}; {advice}")
    }
}

/// Collects problems while a file is read.
pub struct Problems<'a> {
    file: &'a str,
    text: &'a str,
    found: RefCell<Vec<(usize, String, String)>>,
}

impl<'a> Problems<'a> {
    /// No problems yet in this file.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Problems { file, text, found: RefCell::default() }
    }

    /// Notes a problem at a place in the text.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, advice: impl Into<String>) {
        self.found.borrow_mut().push((span.start, message.into(), advice.into()));
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All problems in the order of the file.
    pub fn into_list(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort();
        found.dedup();
        let list = found.into_iter().map(|(offset, message, advice)| {
            let (line, column) = place(self.text, offset);
            Problem { file: self.file.to_owned(), line, column, message, advice }
        });
        list.collect()
    }

    /// Line and column of a place in the text, both from 1.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        place(self.text, offset)
    }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1)
}
