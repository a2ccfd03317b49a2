//! The calendar: shifts, changes of single dates and planned downtime, as wall-clock rules.
//!
//! Rules that would let two shifts of a machine overlap are refused, and so are single times that
//! the clock shows twice or never, with both readings.

use std::fmt::Display;
use std::ops::Range;

use super::section::{Placed, Section};
use crate::domain::calendar::{
    Calendar, CivilDate, CivilZone, DateException, Days, FixedZone, Hours, LocalTime,
    MINUTES_PER_DAY, Place, PlannedDowntime, PlannedTime, ProductionDate, Scope, ShiftPattern,
    Validity,
};
use crate::domain::time::{Span, Timestamp, Window};

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const TIME_OF_DAY: &str = "a time of day such as \"06:00\"";
const DATE: &str = "a date such as \"2026-12-24\"";
/// A rotation is at most so long.
const ROTATION_MAX: usize = 84;

/// How an instant is shown in a message.
pub type Print<'a> = &'a dyn Fn(Timestamp) -> String;

/// Where the rules stand in the file.
#[derive(Default)]
pub struct Places {
    patterns: Vec<Range<usize>>,
    exceptions: Vec<Range<usize>>,
}

/// Reads all rules; equipment is checked against the plant as far as it is known.
pub fn read(root: &Section<'_>, known: &Known<'_>, zone: &ZoneOf<'_>) -> (Rules, Places) {
    let mut rules = Rules::default();
    let mut places = Places::default();
    for section in root.tables("shift") {
        let span = section.span();
        let pattern = read_pattern(&section, known);
        section.finish();
        if let Some(pattern) = pattern {
            rules.patterns.push(pattern);
            places.patterns.push(span);
        }
    }
    for section in root.tables("holiday") {
        let span = section.span();
        let holiday = read_holiday(&section, known);
        section.finish();
        if let Some(holiday) = holiday {
            rules.exceptions.push(holiday);
            places.exceptions.push(span);
        }
    }
    for section in root.tables("shift_exception") {
        let span = section.span();
        let exception = read_exception(&section, known);
        section.finish();
        if let Some(exception) = exception {
            rules.exceptions.push(exception);
            places.exceptions.push(span);
        }
    }
    for section in root.tables("planned_downtime") {
        let planned = read_planned(&section, known, zone);
        section.finish();
        rules.planned.extend(planned);
    }
    (rules, places)
}

/// Rules as they were read.
#[derive(Clone, Default)]
pub struct Rules {
    patterns: Vec<ShiftPattern>,
    exceptions: Vec<DateException>,
    planned: Vec<PlannedDowntime>,
}

impl Rules {
    /// The calendar of these rules.
    pub fn into_calendar(self, zone: std::sync::Arc<dyn CivilZone>) -> Calendar {
        let mut calendar = Calendar::new(self.patterns, zone);
        calendar.exceptions = self.exceptions;
        calendar.planned = self.planned;
        calendar
    }
}

/// The equipment that rules may name.
pub struct Known<'a> {
    /// Areas.
    pub areas: Vec<&'a str>,
    /// Lines.
    pub lines: Vec<&'a str>,
    /// Machines.
    pub machines: Vec<&'a str>,
}

/// The zone of the site, and how instants are shown.
pub struct ZoneOf<'a> {
    /// The zone; absent when it is not known, which is reported elsewhere.
    pub zone: Option<&'a dyn CivilZone>,
    /// Shows an instant.
    pub print: Print<'a>,
}

fn read_pattern(section: &Section<'_>, known: &Known<'_>) -> Option<ShiftPattern> {
    let name = section.required_text("name");
    let days = read_days(section);
    let scope = read_scope(section, known);
    let validity = read_validity(section);
    let hours = read_hours(section, name.as_ref().map_or("", |name| &name.value));
    let wanted = "\"start\" or \"end\"";
    let production_date = section.parsed("production_date", wanted, |text| match text {
        "start" => Some(ProductionDate::Start),
        "end" => Some(ProductionDate::End),
        _ => None,
    });
    Some(ShiftPattern {
        name: name?.value,
        scope,
        days: days?,
        validity,
        hours: hours?,
        production_date: production_date.map_or(ProductionDate::Start, |rule| rule.value),
    })
}

fn read_holiday(section: &Section<'_>, known: &Known<'_>) -> Option<DateException> {
    let date = section.required("date", DATE, CivilDate::parse);
    let name = section.text("name");
    let scope = read_scope(section, known);
    let name = name.map_or_else(|| "holiday".to_owned(), |name| name.value);
    Some(DateException { date: date?.value, name, scope, shift: None, hours: None })
}

fn read_exception(section: &Section<'_>, known: &Known<'_>) -> Option<DateException> {
    let date = section.required("date", DATE, CivilDate::parse);
    let shift = section.required_text("shift");
    let name = section.text("name");
    let scope = read_scope(section, known);
    let cancelled = section.truth("cancelled");
    let has_hours = section.has("start") || section.has("end");
    let shift_name = shift.as_ref().map_or("", |shift| &shift.value);
    let hours = match &cancelled {
        Some(cancelled) if cancelled.value => {
            if has_hours {
                let message = "a shift that is cancelled has hours";
                let advice = "remove `cancelled`, or `start` and `end`";
                section.problems().add(cancelled.span.clone(), message, advice);
            }
            // Asked for, so that they are not reported as unknown as well.
            let _ = (section.has("breaks"), section.text("start"), section.text("end"));
            None
        }
        _ => Some(read_hours(section, shift_name)?),
    };
    let name = name.map_or_else(|| "exception".to_owned(), |name| name.value);
    Some(DateException { date: date?.value, name, scope, shift: Some(shift?.value), hours })
}

fn read_hours(section: &Section<'_>, shift: &str) -> Option<Hours> {
    let start = section.required("start", TIME_OF_DAY, minute_of_day);
    let end = section.required("end", TIME_OF_DAY, minute_of_day);
    let breaks = read_breaks(section);
    let (start, end) = (start?.value, end?.value);
    let end = if end <= start { end + MINUTES_PER_DAY } else { end };
    let mut placed: Vec<(u32, u32)> = Vec::new();
    for Placed { value: (from, to), span } in breaks {
        let from = if from < start { from + MINUTES_PER_DAY } else { from };
        let to = if to <= from { to + MINUTES_PER_DAY } else { to };
        if to > end {
            let message = format!("a break of shift {shift:?} lies outside it");
            let advice = "put it between start and end of the shift";
            section.problems().add(span, message, advice);
        } else if placed.iter().any(|(other_from, other_to)| from < *other_to && *other_from < to) {
            let message = format!("two breaks of shift {shift:?} overlap");
            section.problems().add(span, message, "make one break of them");
        }
        placed.push((from, to));
    }
    placed.sort_unstable();
    Some(Hours { start, end, breaks: placed })
}

fn read_breaks(section: &Section<'_>) -> Vec<Placed<(u32, u32)>> {
    let mut breaks = Vec::new();
    for section in section.tables("breaks") {
        let start = section.required("start", TIME_OF_DAY, minute_of_day);
        let end = section.required("end", TIME_OF_DAY, minute_of_day);
        let span = section.span();
        section.finish();
        if let (Some(start), Some(end)) = (start, end) {
            breaks.push(Placed { value: (start.value, end.value), span });
        }
    }
    breaks
}

fn read_days(section: &Section<'_>) -> Option<Days> {
    let given = section.texts("days");
    let rotation = section.text("rotation");
    let start = section.parsed("rotation_start", DATE, CivilDate::parse);
    let problems = section.problems();
    match (rotation, start) {
        (None, None) if given.is_empty() => Some(Days::Week([true; 7])),
        (None, None) => {
            let mut days = [false; 7];
            for day in given {
                match DAY_NAMES.iter().position(|known| *known == day.value) {
                    Some(index) => days[index] = true,
                    None => {
                        let message = format!("{:?} is no day", day.value);
                        let advice = format!("write {}", DAY_NAMES.join(", "));
                        problems.add(day.span, message, advice);
                    }
                }
            }
            Some(Days::Week(days))
        }
        (Some(rotation), Some(start)) if given.is_empty() => {
            let text = &rotation.value;
            let fits = text.chars().all(|c| c == 'x' || c == '-') && text.contains('x');
            if !fits || text.len() > ROTATION_MAX {
                let message = format!("`rotation` is {text:?}");
                let advice = format!(
                    "write x for each day with a shift and - without, such as \
                                      \"xxxx--\", {ROTATION_MAX} days at most"
                );
                problems.add(rotation.span, message, advice);
                return None;
            }
            let days = text.chars().map(|c| c == 'x').collect();
            Some(Days::Rotation { anchor: start.value, days })
        }
        (rotation, start) => {
            let span = rotation.map(|r| r.span).or(start.map(|s| s.span));
            let message = "`days`, `rotation` and `rotation_start` do not fit together";
            let advice = "give `days`, or `rotation` with `rotation_start`";
            problems.add(span.unwrap_or(section.span()), message, advice);
            None
        }
    }
}

fn read_validity(section: &Section<'_>) -> Validity {
    let from = section.parsed("valid_from", DATE, CivilDate::parse);
    let to = section.parsed("valid_to", DATE, CivilDate::parse);
    if let (Some(from), Some(to)) = (&from, &to)
        && to.value < from.value
    {
        let message = "`valid_to` lies before `valid_from`";
        section.problems().add(to.span.clone(), message, "exchange the dates");
    }
    Validity { from: from.map(|date| date.value), to: to.map(|date| date.value) }
}

fn read_scope(section: &Section<'_>, known: &Known<'_>) -> Scope {
    let keys = |key: &'static str, what: &str, known: &[&str]| {
        let mut keys = Vec::new();
        for Placed { value, span } in section.texts(key) {
            if known.contains(&value.as_str()) {
                keys.push(value);
            } else {
                let message = format!("no {what} {value:?} is configured");
                section.problems().add(span, message, format!("use the id of a [[{what}]]"));
            }
        }
        keys
    };
    let areas = keys("areas", "area", &known.areas);
    let lines = keys("lines", "line", &known.lines);
    let machines = keys("machines", "machine", &known.machines);
    Scope {
        areas: areas.iter().filter_map(|key| crate::domain::id::AreaId::parse(key).ok()).collect(),
        lines: lines.iter().filter_map(|key| crate::domain::id::LineId::parse(key).ok()).collect(),
        machines: machines
            .iter()
            .filter_map(|key| crate::domain::id::MachineId::parse(key).ok())
            .collect(),
    }
}

fn read_planned(
    section: &Section<'_>,
    known: &Known<'_>,
    zone: &ZoneOf<'_>,
) -> Option<PlannedDowntime> {
    let name = section.required_text("name");
    let scope = read_scope(section, known);
    let days = read_days(section);
    let validity = read_validity(section);
    let start = section.required_text("start");
    let end = section.required_text("end");
    let (name, start, end) = (name?.value, start?, end?);
    let when = match (minute_of_day(&start.value), minute_of_day(&end.value)) {
        (Some(from), Some(to)) => {
            let to = if to <= from { to + MINUTES_PER_DAY } else { to };
            PlannedTime::Recurring { days: days?, validity, start: from, end: to }
        }
        _ => {
            let from = instant(section, &start, zone);
            let to = instant(section, &end, zone);
            let window = Window { from: from?, to: to? };
            if window.to <= window.from {
                let message = format!("planned downtime {name:?} ends before it starts");
                section.problems().add(end.span, message, "exchange `start` and `end`");
                return None;
            }
            PlannedTime::Once(window)
        }
    };
    Some(PlannedDowntime { name, scope, when })
}

/// Reads `2026-12-01T06:00` of the site's wall clock, with an offset such as `+01:00` if wanted.
fn instant(section: &Section<'_>, text: &Placed<String>, zone: &ZoneOf<'_>) -> Option<Timestamp> {
    let problems = section.problems();
    let wanted = "a date and time such as \"2026-12-01T06:00\", or times of day for both";
    let Some((date, minute, offset)) = parse_local(&text.value) else {
        let message = format!("{:?} is no time", text.value);
        problems.add(text.span.clone(), message, format!("write {wanted}"));
        return None;
    };
    if let Some(offset) = offset {
        let fixed = FixedZone { offset_minutes: offset };
        return Some(fixed.instant(date, minute));
    }
    match zone.zone?.local(date, minute) {
        LocalTime::Once(at) => Some(at),
        LocalTime::Twice(first, second) => {
            let message = format!(
                "{:?} exists twice, because the clocks are put back: {} and {}",
                text.value,
                (zone.print)(first),
                (zone.print)(second)
            );
            problems.add(text.span.clone(), message, "add the offset, such as \"+01:00\"");
            None
        }
        LocalTime::Never { before, after, .. } => {
            let message = format!(
                "{:?} does not exist, because the clocks are put forward: it would be {} or {}",
                text.value,
                (zone.print)(before),
                (zone.print)(after)
            );
            problems.add(text.span.clone(), message, "write a time that the clock shows");
            None
        }
    }
}

fn parse_local(text: &str) -> Option<(CivilDate, u32, Option<i32>)> {
    let (date, time) = text.split_once('T')?;
    let date = CivilDate::parse(date)?;
    let (clock, offset) = time.split_at_checked(5)?;
    let offset = match offset {
        "" => None,
        "Z" => Some(0),
        offset => {
            let sign = match offset.chars().next()? {
                '+' => 1,
                '-' => -1,
                _ => return None,
            };
            let minutes = minute_of_day(offset.get(1..)?)?;
            Some(sign * i32::try_from(minutes).ok()?)
        }
    };
    Some((date, minute_of_day(clock)?, offset))
}

/// The first instant of a date in the zone of the site.
pub fn start_of(date: CivilDate, zone: Option<&dyn CivilZone>) -> Timestamp {
    zone.map_or(Timestamp::MIN, |zone| zone.instant(date, 0))
}

/// The time from the start of a date to the end of another; unbounded where absent.
pub fn validity_window(section: &Section<'_>, zone: Option<&dyn CivilZone>) -> Window {
    let validity = read_validity(section);
    Window {
        from: validity.from.map_or(Timestamp::MIN, |date| start_of(date, zone)),
        to: validity.to.map_or(Timestamp::MAX, |date| start_of(date.plus(1), zone)),
    }
}

/// Reads `[calendar]`.
pub fn closing_grace(root: &Section<'_>) -> Span {
    const DEFAULT: Span = Span::from_seconds(15 * 60);
    let Some(section) = root.table("calendar") else {
        return DEFAULT;
    };
    let grace = section.duration("closing_grace");
    section.finish();
    grace.map_or(DEFAULT, |grace| grace.value)
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

/// Reports shifts that would overlap on some machine, by their rules or on single dates.
pub fn check(root: &Section<'_>, rules: &Rules, machines: &[Place], places: &Places) {
    let patterns = &rules.patterns;
    for (index, pattern) in patterns.iter().enumerate() {
        for (other_index, other) in patterns[..=index].iter().enumerate() {
            let is_itself = other_index == index;
            if share_machine(pattern, other, machines) && overlap(pattern, other, is_itself) {
                let message = overlap_message(&pattern.name, &other.name);
                let advice = "let shifts of a machine follow each other";
                root.problems().add(places.patterns[index].clone(), message, advice);
            }
        }
    }
    // On the wall clock, so that the zone does not matter.
    let zone = std::sync::Arc::new(FixedZone { offset_minutes: 0 });
    let calendar = rules.clone().into_calendar(zone);
    for (exception, span) in calendar.exceptions.iter().zip(&places.exceptions) {
        check_exception(root, &calendar, exception, (machines, span.clone()));
    }
}

fn overlap_message(a: &dyn Display, b: &dyn Display) -> String {
    format!("shift \"{a}\" overlaps shift \"{b}\"")
}

fn check_exception(
    root: &Section<'_>,
    calendar: &Calendar,
    exception: &DateException,
    (machines, span): (&[Place], Range<usize>),
) {
    let twins = calendar.exceptions.iter().filter(|other| {
        other.date == exception.date
            && other.shift == exception.shift
            && machines.iter().any(|m| other.scope.includes(m) && exception.scope.includes(m))
    });
    if twins.count() > 1 {
        let message = format!("two entries change the same shifts of {}", exception.date);
        root.problems().add(span, message, "keep one of them");
        return;
    }
    for machine in machines.iter().filter(|machine| exception.scope.includes(machine)) {
        let dates = (-2..=2).map(|days| exception.date.plus(days));
        let mut shifts: Vec<_> = dates.flat_map(|d| calendar.shifts_on(machine, d)).collect();
        shifts.sort();
        let met = shifts.windows(2).find(|pair| pair[1].window.from < pair[0].window.to);
        if let Some([a, b]) = met {
            let message = format!("on {} {}", exception.date, overlap_message(&b.name, &a.name));
            root.problems().add(span, message, "change the hours of one of them");
            return;
        }
    }
}

fn share_machine(a: &ShiftPattern, b: &ShiftPattern, machines: &[Place]) -> bool {
    machines.iter().any(|machine| a.scope.includes(machine) && b.scope.includes(machine))
}

/// Whether two patterns, or a pattern and its own next shift, ever cover the same minute.
fn overlap(a: &ShiftPattern, b: &ShiftPattern, is_itself: bool) -> bool {
    let period = i32::try_from(a.days.period() * b.days.period()).unwrap_or(i32::MAX);
    let first = a.validity.from.max(b.validity.from).unwrap_or(CivilDate(0));
    let meets = |x: CivilDate, y: CivilDate| {
        let base = i64::from(y.0 - x.0) * i64::from(MINUTES_PER_DAY);
        let (b_start, b_end) = (base + i64::from(b.hours.start), base + i64::from(b.hours.end));
        i64::from(a.hours.start) < b_end && b_start < i64::from(a.hours.end)
    };
    (0..period).any(|day| {
        let x = first.plus(day);
        let near = (-1..=1).map(|days| x.plus(days)).filter(|y| !is_itself || *y != x);
        a.starts_on(x) && near.into_iter().any(|y| b.starts_on(y) && meets(x, y))
    })
}
