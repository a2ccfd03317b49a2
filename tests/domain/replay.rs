//! Replay: lines in any order, bad lines named, the same figures as live.

use linewright::app::replay::replay;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::Profile;
use linewright::domain::quantity::Ratio;
use linewright::domain::signal::{SignalRule, StateMap, StateRule};
use linewright::domain::time::Span;
use linewright::domain::time::Window;

use super::plant::*;

const LOG: &str = r#"
{"type":"command","order":"WO-1","command":"complete","at":"1970-01-01T08:00:00Z"}
{"type":"sample","machine":"M1","signal":"good","at":"1970-01-01T07:59:59Z","value":100}
{"type":"order","id":"WO-1","line":"L1","product":"P1","quantity":"500","at":"1970-01-01T05:00:00Z"}
{"type":"sample","machine":"M1","signal":"good","at":"1970-01-01T07:00:00Z","value":0}
{"type":"sample","machine":"M1","signal":"reject","at":"1970-01-01T07:00:00Z","value":0}
{"type":"command","order":"WO-1","command":"start","at":"1970-01-01T07:00:00Z"}
{"type":"link","machine":"M1","at":"1970-01-01T06:00:00Z","up":true}
{"type":"report","order":"WO-1","scrap":10,"at":"1970-01-01T07:59:59.5Z"}
"#;

fn states(plant: &linewright::domain::plant::Plant) -> linewright::domain::plant::Plant {
    let mut plant = plant.clone();
    let machine = plant.machines.get_mut(&machine()).unwrap();
    let map = [("1", linewright::domain::signal::MachineState::Running)];
    let map = map.map(|(value, state)| (value.to_owned(), state)).into();
    let rule = StateRule { map: StateMap::Values(map), hold: Span::ZERO };
    machine.signals[0].rule = SignalRule::State(rule);
    plant
}

#[test]
fn a_log_in_any_order_gives_the_worked_figures() {
    let plant = std::sync::Arc::new(states(&plant(false)));
    let running = r#"{"type":"sample","machine":"M1","signal":"state","at":"1970-01-01T07:00:00Z","value":1}"#;
    let mut lines: Vec<&str> = LOG.lines().chain([running]).collect();
    let mut figures = Vec::new();
    for _ in 0..lines.len() {
        lines.rotate_left(1);
        let replayed = replay(plant.clone(), &lines.join("\n")).map_err(|p| format!("{p:?}"));
        let replayed = replayed.unwrap();
        assert_eq!(replayed.refused, []);
        let hour = 3600 * SECOND;
        let window = Window { from: at(7 * hour), to: at(8 * hour) };
        let kpi = replayed.core.facts().kpi(&Equipment::Line(line()), window).unwrap();
        figures.push(kpi);
    }
    figures.dedup();
    assert_eq!(figures.len(), 1, "every order of lines gives the same figures");
    let kpi = &figures[0];
    // 100 parts of 30 s in an hour of running, 10 of them scrapped afterwards.
    assert_eq!(kpi.availability(Profile::Tpm), Ratio::new(1, 1));
    assert_eq!(kpi.performance(Profile::Tpm), Ratio::new(100 * 30, 3600));
    assert_eq!(kpi.quality(), Ratio::new(90, 100));
    assert_eq!(kpi.oee(), Ratio::new(90 * 30, 3600));
}

#[test]
fn every_malformed_line_is_named() {
    let log = "{\"type\":\"link\",\"machine\":\"M9\",\"at\":\"1970-01-01T00:00:00\",\"up\":true}\n\
               nonsense\n\
               {\"type\":\"sample\",\"machine\":\"M9\",\"signal\":\"good\",\"at\":\"1970-01-01T00:00:00Z\",\"value\":1}";
    let Err(problems) = replay(plant(false), log) else { panic!("the log is malformed") };
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3]);
    assert!(problems[2].text.contains("no machine M9"), "{}", problems[2].text);
}
