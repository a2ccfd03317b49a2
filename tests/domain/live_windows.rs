//! Figures that are there to read at all times, of the running engine: each is that of its window as
//! anybody can ask for it, whatever is settled, closed or late.

use linewright::app::explain::{Explanation, Row};
use linewright::app::view::{KpiView, KpiWindow};
use linewright::app::why::Question;
use linewright::domain::command::Input;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Kpi, Profile};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::order::JobCommand;
use linewright::domain::signal::{MachineState, SignalRole};
use linewright::domain::time::{Span, Window};

use super::plant::*;
use super::running::Running;

const HOUR: i64 = 3600 * SECOND;
const MINUTE: i64 = 60 * SECOND;

fn happens(running: &Running, input: Input) {
    super::writer::happens(running, input);
    running.settle();
}

/// What is shown of a window after it has been made anew.
fn shown(running: &Running, window: KpiWindow, equipment: &Equipment) -> Option<KpiView> {
    let view = running.engine.view();
    view.kpi(window, equipment).map(|kpi| KpiView::clone(kpi))
}

/// Lets time pass so that all figures are made anew.
fn pass(running: &Running, to: i64) {
    running.set(to);
    running.settle();
}

/// Time, parts and stops; what is said of them depends on how they were asked for.
fn same(found: &Kpi, expected: &Kpi) {
    assert_eq!(found.time, expected.time);
    assert_eq!(found.production, expected.production);
    assert_eq!(found.stops, expected.stops);
}

/// Every window is that of the same time as anybody can ask for it.
fn check(running: &Running, windows: &[KpiWindow]) {
    for equipment in [Equipment::Machine(machine()), Equipment::Line(line()), Equipment::Site] {
        for window in windows {
            let view = shown(running, *window, &equipment);
            if (*window, &equipment) == (KpiWindow::ThisOrder, &Equipment::Site) {
                assert!(view.is_none(), "an order is made on one line");
                continue;
            }
            let view = view.unwrap_or_else(|| panic!("no {window:?} of {equipment:?}"));
            same(&view.kpi, &running.kpi(&equipment, view.kpi.window));
            explained(running, *window, &equipment, &view.kpi);
        }
    }
}

/// All that is behind the figures of a window, read in pages of a size.
fn rows(
    running: &Running,
    window: KpiWindow,
    equipment: &Equipment,
    limit: usize,
) -> (Kpi, Vec<Row>) {
    let equipment = equipment.clone();
    let mut question = Question { equipment, window, figure: None, after: None, limit };
    let mut rows = Vec::new();
    loop {
        let answer = running.runtime.block_on(running.queries.why(&question)).unwrap().unwrap();
        assert!(answer.rows.len() <= limit);
        rows.extend(answer.rows);
        question.after = answer.next;
        if question.after.is_none() {
            return (answer.kpi, rows);
        }
    }
}

/// What is behind the figures adds up to them, whole or in pages.
fn explained(running: &Running, window: KpiWindow, equipment: &Equipment, kpi: &Kpi) {
    let (whole, all) = rows(running, window, equipment, usize::MAX - 1);
    same(&whole, kpi);
    if *equipment != Equipment::Site && window != KpiWindow::ThisOrder {
        let (queries, runtime) = (&running.queries, &running.runtime);
        let facts = runtime.block_on(queries.facts(equipment, kpi.window)).unwrap();
        let revisions = runtime.block_on(queries.revisions(equipment, kpi.window)).unwrap();
        let explained =
            Explanation::new(&facts, equipment, kpi.window, Profile::Tpm, &revisions).unwrap();
        assert_eq!(all, explained.rows, "{window:?} of {equipment:?}");
    }
    let (_, paged) = rows(running, window, equipment, 7);
    assert_eq!(paged, all, "pages of {window:?} of {equipment:?}");
    for class in LossClass::ALL {
        let is_of = |row: &&Row| row.kind == "interval" && row.class == class.as_str();
        let length = |row: &Row| row.to.unwrap() - row.from.unwrap();
        let sum = all.iter().filter(is_of).map(length).fold(Span::ZERO, |a, b| a + b);
        assert_eq!(sum, kpi.time.of(class), "{class:?} in {window:?} of {equipment:?}");
    }
}

#[test]
fn every_window_is_right_from_the_first_shift_into_the_next_and_after_late_data() {
    use KpiWindow::{LastHour, LastShift, ThisOrder, ThisShift};
    // A shift from 6 to 20 hours each day.
    let running = Running::new(plant(true), 5 * HOUR);
    for input in [
        link(5 * HOUR, true),
        state(5 * HOUR, Some(MachineState::Running)),
        count(SignalRole::Good, 5 * HOUR, 0),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
    ] {
        happens(&running, input);
    }
    let mut good = 0;
    for quarter in 0..4 * 10 {
        let now = 6 * HOUR + quarter * 15 * MINUTE;
        pass(&running, now);
        good += 3;
        happens(&running, count(SignalRole::Good, now, good));
        let is_down = quarter % 7 == 3;
        let told = if is_down { MachineState::Down } else { MachineState::Running };
        happens(&running, state(now + SECOND, Some(told)));
        pass(&running, now + 2 * MINUTE);
        pass(&running, now + 2 * MINUTE + 2 * SECOND);
        check(&running, &[ThisShift, LastHour, ThisOrder]);
    }
    // The line stands still until the next shift; then the last one is that of before.
    happens(&running, command(0, moved(1, JobCommand::Pause)));
    pass(&running, (24 + 7) * HOUR);
    pass(&running, (24 + 7) * HOUR + 2 * SECOND);
    check(&running, &[ThisShift, LastShift, LastHour]);
    let last = shown(&running, LastShift, &Equipment::Line(line())).unwrap();
    assert_eq!(last.kpi.window, Window { from: at(6 * HOUR), to: at(20 * HOUR) });
    assert_eq!(last.kpi.production.parts.good, i64::try_from(good).unwrap());
    assert!(shown(&running, ThisOrder, &Equipment::Line(line())).is_none(), "nothing is made");
    // A late count belongs to the shift before.
    happens(&running, count(SignalRole::Good, 19 * HOUR, good + 5));
    pass(&running, (24 + 7) * HOUR + 4 * SECOND);
    let late = shown(&running, LastShift, &Equipment::Line(line())).unwrap();
    assert_eq!(late.kpi.production.parts.good, i64::try_from(good + 5).unwrap());
    check(&running, &[ThisShift, LastShift, LastHour]);
    running.end();
}

#[test]
fn an_order_has_the_figures_of_all_its_runs_and_of_nothing_between() {
    let running = Running::new(plant(false), 0);
    for input in [
        link(0, true),
        state(0, Some(MachineState::Running)),
        count(SignalRole::Good, 0, 0),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
    ] {
        happens(&running, input);
    }
    let steps = [(1, JobCommand::Pause), (3, JobCommand::Resume)];
    for (hour, command_of) in steps {
        pass(&running, hour * HOUR);
        let counted = u64::try_from(hour * 10).unwrap();
        happens(&running, count(SignalRole::Good, hour * HOUR - SECOND, counted));
        happens(&running, command(hour * HOUR, moved(1, command_of)));
    }
    pass(&running, 4 * HOUR);
    happens(&running, count(SignalRole::Good, 4 * HOUR - SECOND, 55));
    pass(&running, 4 * HOUR + 2 * SECOND);
    pass(&running, 4 * HOUR + 4 * SECOND);
    let order = shown(&running, KpiWindow::ThisOrder, &Equipment::Line(line())).unwrap();
    let run = |from: i64, to: i64| {
        running.kpi(&Equipment::Line(line()), Window { from: at(from), to: at(to) })
    };
    let runs = Kpi::joined(Some(run(0, HOUR)), Some(run(3 * HOUR, 4 * HOUR + 4 * SECOND)));
    same(&order.kpi, &runs.unwrap());
    let of_line = Equipment::Line(line());
    explained(&running, KpiWindow::ThisOrder, &of_line, &order.kpi);
    assert_eq!(order.kpi.production.parts.good, 10 + 25, "what came in between is nobody's");
    assert_eq!(order.window_name, "WO-1");
    assert_eq!(order.kpi.window, Window { from: at(0), to: at(4 * HOUR + 4 * SECOND) });
    running.end();
}
