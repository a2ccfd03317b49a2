//! The words by which interfaces show things: programs of others compare with them.

use linewright::domain::oee::loss::LossClass;
use linewright::domain::oee::timeline::Rule;
use linewright::domain::oee::track::Origin;
use linewright::domain::plant::ReasonClass;

#[test]
fn classes_of_time_have_their_words() {
    let words = [
        "run",
        "micro_stop",
        "setup",
        "unplanned_down",
        "blocked",
        "starved",
        "no_order",
        "planned_down",
        "not_scheduled",
        "no_data",
    ];
    assert_eq!(LossClass::ALL.map(LossClass::as_str), words);
}

#[test]
fn the_rule_that_made_an_interval_what_it_is_has_a_word() {
    use Rule as R;
    let rules = [
        (R::NotScheduled, "not_scheduled"),
        (R::PlannedDowntime, "planned_downtime"),
        (R::LinkLost, "link_lost"),
        (R::StateUnknown, "state_unknown"),
        (R::StatedStop, "stated_stop"),
        (R::ReasonGiven, "reason_given"),
        (R::MachineReason, "machine_reason"),
        (R::MicroStop, "micro_stop"),
        (R::State, "state"),
    ];
    for (rule, word) in rules {
        assert_eq!(rule.as_str(), word);
    }
}

#[test]
fn what_tells_a_state_and_what_class_a_reason_has_are_words() {
    let origins = [Origin::Signal, Origin::Pace, Origin::Silence, Origin::Stated];
    assert_eq!(origins.map(Origin::as_str), ["signal", "pace", "silence", "stated"]);
    let classes = ["down", "setup", "planned", "blocked", "starved"];
    assert_eq!(ReasonClass::ALL.map(ReasonClass::as_str), classes);
    assert_eq!(classes.map(ReasonClass::parse), ReasonClass::ALL.map(Some));
    assert_eq!(ReasonClass::parse("broken"), None);
}
