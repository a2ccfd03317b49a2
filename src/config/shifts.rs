//! Shift patterns: wall-clock times of day, on some days, for some lines.

use super::section::{Placed, Section};
use crate::domain::calendar::{MINUTES_PER_DAY, ShiftPattern};
use crate::domain::id::LineId;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads all `[[shift]]` sections and reports those that overlap.
pub fn read(root: &Section<'_>, known_lines: &[LineId]) -> Vec<ShiftPattern> {
    let mut patterns: Vec<(ShiftPattern, std::ops::Range<usize>)> = Vec::new();
    for section in root.tables("shift") {
        let span = section.span();
        let Some(pattern) = read_one(&section, known_lines) else {
            section.finish();
            continue;
        };
        section.finish();
        if let Some((other, _)) = patterns.iter().find(|(known, _)| overlap(known, &pattern)) {
            let message = format!("shift {:?} overlaps shift {:?}", pattern.name, other.name);
            let advice = "let shifts of a line follow each other";
            root.problems().add(span.clone(), message, advice);
        }
        patterns.push((pattern, span));
    }
    patterns.into_iter().map(|(pattern, _)| pattern).collect()
}

fn read_one(section: &Section<'_>, known_lines: &[LineId]) -> Option<ShiftPattern> {
    let name = section.required_text("name");
    let start = section.required("start", "a time of day such as \"06:00\"", minute_of_day);
    let end = section.required("end", "a time of day such as \"14:00\"", minute_of_day);
    let days = read_days(section);
    let lines = read_lines(section, known_lines);
    let breaks = read_breaks(section);
    let (name, start, end) = (name?.value, start?.value, end?.value);
    let end = if end <= start { end + MINUTES_PER_DAY } else { end };
    let mut placed = Vec::new();
    for Placed { value: (from, to), span } in breaks {
        let from = if from < start { from + MINUTES_PER_DAY } else { from };
        let to = if to < from { to + MINUTES_PER_DAY } else { to };
        if to > end {
            let message = format!("a break of shift {name:?} lies outside it");
            section.problems().add(span, message, "put it between start and end of the shift");
        }
        placed.push((from, to));
    }
    Some(ShiftPattern { name, lines, days, start, end, breaks: placed })
}

fn read_days(section: &Section<'_>) -> [bool; 7] {
    let given = section.texts("days");
    if given.is_empty() {
        return [true; 7];
    }
    let mut days = [false; 7];
    for day in given {
        match DAYS.iter().position(|known| *known == day.value) {
            Some(index) => days[index] = true,
            None => {
                let message = format!("{:?} is no day", day.value);
                section.problems().add(day.span, message, format!("write {}", DAYS.join(", ")));
            }
        }
    }
    days
}

fn read_lines(section: &Section<'_>, known_lines: &[LineId]) -> Vec<LineId> {
    let mut lines = Vec::new();
    for line in section.texts("lines") {
        match known_lines.iter().find(|known| known.as_str() == line.value) {
            Some(known) => lines.push(known.clone()),
            None => {
                let message = format!("no line {:?} is configured", line.value);
                section.problems().add(line.span, message, "use the id of a [[line]]");
            }
        }
    }
    lines
}

fn read_breaks(section: &Section<'_>) -> Vec<Placed<(u32, u32)>> {
    let mut breaks = Vec::new();
    for section in section.tables("breaks") {
        let wanted = "a time of day such as \"09:00\"";
        let start = section.required("start", wanted, minute_of_day);
        let end = section.required("end", wanted, minute_of_day);
        let span = section.span();
        section.finish();
        if let (Some(start), Some(end)) = (start, end) {
            breaks.push(Placed { value: (start.value, end.value), span });
        }
    }
    breaks
}

fn minute_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// Whether two patterns ever cover the same minute of a week on the same line.
fn overlap(a: &ShiftPattern, b: &ShiftPattern) -> bool {
    let share_line = a.lines.is_empty()
        || b.lines.is_empty()
        || a.lines.iter().any(|line| b.lines.contains(line));
    const WEEK: u32 = 7 * MINUTES_PER_DAY;
    let starts = |p: &ShiftPattern| {
        let days = p.days;
        (0..7_u32).filter(move |day| days[*day as usize]).map(|day| day * MINUTES_PER_DAY)
    };
    let meet = |x: u32, y: u32| {
        let (x_from, x_to) = (x + a.start, x + a.end);
        let (y_from, y_to) = (y + b.start, y + b.end);
        [0, WEEK].into_iter().any(|shift| x_from < y_to + shift && y_from + shift < x_to)
            || (y_from < x_to + WEEK && x_from + WEEK < y_to)
    };
    share_line && starts(a).any(|x| starts(b).any(|y| meet(x, y)))
}
