//! What is wrong with items of a machine at present, in plain words: every change is shown, and what
//! comes and goes again and again is not logged each time.

use std::collections::BTreeMap;

use crate::domain::time::{Span, Timestamp};

/// What fails again and again has a line in the log this often.
const LOGGED_AGAIN: Span = Span::from_seconds(600);

/// What is wrong, by the name of what it is wrong with.
#[derive(Debug, Default)]
pub struct Problems {
    present: BTreeMap<String, String>,
    logged: BTreeMap<String, Timestamp>,
}

/// What follows from a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// Nothing has changed.
    Same,
    /// It is to be shown.
    Shown,
    /// It is to be shown and logged.
    Logged,
}

impl Problems {
    /// Notes what is wrong with something, or that nothing is.
    pub fn note(&mut self, what: &str, problem: Option<&str>, now: Timestamp) -> Noted {
        if problem == self.present.get(what).map(String::as_str) {
            return Noted::Same;
        }
        let Some(why) = problem else {
            self.present.remove(what);
            return Noted::Shown;
        };
        self.present.insert(what.to_owned(), why.to_owned());
        if self.logged.get(what).is_some_and(|last| now - *last < LOGGED_AGAIN) {
            return Noted::Shown;
        }
        self.logged.insert(what.to_owned(), now);
        Noted::Logged
    }

    /// Nothing is known to be wrong; what was logged stays known.
    pub fn clear(&mut self) {
        self.present.clear();
    }

    /// All of it in a line; empty when nothing is wrong.
    pub fn text(&self) -> String {
        let problems = self.present.iter().map(|(what, why)| format!("{what}: {why}"));
        problems.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_that_fails_again_and_again_is_shown_each_time_and_logged_now_and_then() {
        let at = |seconds| Timestamp::from_ticks(Span::from_seconds(seconds).ticks());
        let mut problems = Problems::default();
        assert_eq!(problems.note("good", Some("bad"), at(0)), Noted::Logged);
        assert_eq!(problems.note("good", Some("bad"), at(1)), Noted::Same);
        assert_eq!(problems.note("reject", Some("text"), at(1)), Noted::Logged);
        assert_eq!(problems.text(), "good: bad; reject: text");
        assert_eq!(problems.note("good", None, at(2)), Noted::Shown);
        // Another connection begins without problems, and has not forgotten what it has logged.
        problems.clear();
        assert_eq!(problems.note("good", Some("bad"), at(3)), Noted::Shown);
        assert_eq!(problems.note("good", Some("worse"), at(4)), Noted::Shown);
        assert_eq!(problems.text(), "good: worse");
        assert_eq!(problems.note("good", None, at(5)), Noted::Shown);
        assert_eq!(problems.note("good", Some("bad"), at(600)), Noted::Logged);
    }
}
