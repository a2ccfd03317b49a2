//! Notices as events: of which type, where, and with which fields.
//!
//! An event is made of its notice alone, so it reads the same when it happens and years later in the
//! event history.

use opcua::types::{ByteString, DateTime, LocalizedText, NodeId, Variant};

use crate::app::view::OrderView;
use crate::channel::time::date_time;
use crate::domain::notice::{CountCorrection, Matter, Notice, ShiftNotice};
use crate::domain::oee::stops::Stop;
use crate::domain::order::{JobCommand, Order, Totals};
use crate::domain::plant::Plant;
use crate::domain::shift::ShiftNote;
use crate::domain::time::{TICKS_PER_MILLISECOND, Timestamp, Window};
use crate::domain::transfer::{OrderTransfer, TransferOutcome};
use crate::server::space::event::Event;
use crate::server::space::job_control::JobControl;

/// Severities (Part 5 §6.4.2): from 667 on is high, below 334 low.
mod severity {
    pub const INFORMATION: u16 = 100;
    pub const BACK: u16 = 200;
    pub const STOPPED: u16 = 400;
    pub const REVISED: u16 = 500;
    pub const LOST: u16 = 700;
}

/// What events are made with.
pub struct Teller<'a> {
    /// The plant.
    pub plant: &'a Plant,
    /// Our types by name.
    pub own: &'a dyn Fn(&str) -> NodeId,
    /// Index of the namespace of our types.
    pub types: u16,
    /// Index of the namespace of instances.
    pub namespace: u16,
    /// Job control, whose structures events of orders carry.
    pub jobs: &'a JobControl,
}

/// The id of the event of a notice.
pub fn event_id(number: u64) -> ByteString {
    ByteString::from(number.to_be_bytes().to_vec())
}

/// The number of the notice that an event told of.
pub fn number_of(id: &ByteString) -> Option<u64> {
    Some(u64::from_be_bytes(id.as_ref().try_into().ok()?))
}

fn word(state: Option<impl Into<Variant>>) -> Variant {
    state.map_or(Variant::Empty, Into::into)
}

fn time(at: Timestamp) -> Variant {
    date_time(at).into()
}

impl Teller<'_> {
    /// The event of a notice.
    pub fn event(&self, notice: &Notice) -> Event {
        let (place, name) = self.place(notice);
        let event = match &notice.matter {
            Matter::StateChanged { from, to } => {
                let name_of = |state: &Option<_>| match state {
                    Some(state) => crate::domain::signal::MachineState::as_str(*state),
                    None => "unknown",
                };
                let text = format!("{name} is {}, was {}", name_of(to), name_of(from));
                self.plain(notice, "StateChangeEventType", severity::INFORMATION, text)
                    .own("OldState", word(from.map(|state| state as i32)))
                    .own("NewState", word(to.map(|state| state as i32)))
            }
            Matter::StopStarted(stop) => {
                let text = format!("{name} has stopped: {}", stop.state.as_str());
                let event = self.plain(notice, "StopStartedEventType", severity::STOPPED, text);
                self.stop(event, notice, Some(stop))
            }
            Matter::StopEnded(stop) => {
                let text = format!("{name} runs again");
                let event = self.plain(notice, "StopEndedEventType", severity::INFORMATION, text);
                self.stop(event, notice, Some(stop))
            }
            Matter::StopClassified(stop) => {
                let reason = self.reason_name(stop);
                let text = format!("{name} stood: {reason}");
                let kind = "StopClassifiedEventType";
                let event = self.plain(notice, kind, severity::INFORMATION, text);
                self.stop(event, notice, Some(stop))
            }
            Matter::StopRevised { was, stop } => self.revised(notice, &name, *was, stop.as_ref()),
            Matter::Order { order, totals, command, actor } => {
                self.order(notice, (order, *totals), *command, actor)
            }
            Matter::CountCorrected(correction) => self.correction(notice, correction),
            Matter::Transfer(transfer) => self.transfer(notice, &name, transfer),
            Matter::LateData { values, oldest, newest } => {
                let text = format!("{values} late values of {name}");
                self.plain(notice, "LateDataEventType", severity::REVISED, text)
                    .own("Values", *values)
                    .own("Oldest", time(*oldest))
                    .own("Newest", time(*newest))
            }
            Matter::Lot { operation, voided } => self.lot(notice, operation, *voided),
            Matter::Link { up: true } => {
                let text = format!("the link to {name} is back");
                self.plain(notice, "LinkRestoredEventType", severity::BACK, text)
            }
            Matter::Link { up: false } => {
                let text = format!("the link to {name} is lost");
                self.plain(notice, "LinkLostEventType", severity::LOST, text)
            }
            Matter::Shift(shift) => self.shift(notice, shift),
            Matter::Note(note) => {
                let ShiftNote { shift, production_date, actor, .. } = note;
                let line = notice.line.as_ref().map_or_else(String::new, ToString::to_string);
                let text = format!("{actor} about shift {shift} of {production_date} on {line}");
                self.plain(notice, "ShiftNoteEventType", severity::INFORMATION, text)
                    .own("Shift", shift.as_str())
                    .own("ShiftStart", time(note.start))
                    .own("ProductionDate", production_date.to_string())
                    .own("Note", note.text.as_str())
                    .own("Actor", actor.as_str())
            }
            Matter::Condition(condition) => return self.condition(notice, condition),
        };
        let key = |key: Option<String>| Variant::from(key.unwrap_or_default());
        let event = event
            .own("Line", key(notice.line.as_ref().map(ToString::to_string)))
            .own("Machine", key(notice.machine.as_ref().map(ToString::to_string)));
        Event { source: place, ..event }
    }

    /// Where a notice is about, and what that is called.
    fn place(&self, notice: &Notice) -> (NodeId, String) {
        let id = |path: String| NodeId::new(self.namespace, path);
        match (&notice.machine, &notice.line, &notice.matter) {
            (_, Some(line), Matter::Order { .. }) => {
                let results = "MachineryBuildingBlocks/JobManagement/JobOrderResults";
                (id(format!("line/{line}/{results}")), line.to_string())
            }
            (Some(machine), ..) => (id(format!("machine/{machine}")), machine.to_string()),
            (None, Some(line), _) => (id(format!("line/{line}")), line.to_string()),
            (None, None, _) => {
                let site = &self.plant.site;
                (id(format!("site/{site}")), site.to_string())
            }
        }
    }

    pub(super) fn plain(&self, notice: &Notice, kind: &str, severity: u16, text: String) -> Event {
        let (place, name) = self.place(notice);
        let at = date_time(notice.at);
        let event = Event::new((self.own)(kind), (place, &name), at, severity, text);
        Event {
            id: event_id(notice.number),
            receive_time: date_time(notice.told),
            own: self.types,
            ..event
        }
    }

    fn reason_name(&self, stop: &Stop) -> String {
        let Some(cause) = &stop.cause else {
            return "no reason any more".to_owned();
        };
        let reason = self.plant.reasons.get(&cause.reason);
        reason.map_or_else(|| cause.reason.to_string(), |reason| reason.name.clone())
    }

    fn stop(&self, event: Event, notice: &Notice, stop: Option<&Stop>) -> Event {
        let Some(stop) = stop else {
            return event;
        };
        let said = stop.cause.as_ref().and_then(|cause| cause.said.as_ref());
        let reason = stop.cause.as_ref().map(|cause| cause.reason.to_string());
        let name = stop.cause.as_ref().map_or_else(String::new, |_| self.reason_name(stop));
        let machine = notice.machine.as_ref().and_then(|id| self.plant.machines.get(id));
        let length = stop.length().map(|l| l.ticks() as f64 / TICKS_PER_MILLISECOND as f64);
        event
            .own("StopStart", time(stop.start))
            .own("StopEnd", stop.end.map_or(Variant::Empty, time))
            .own("Duration", word(length))
            .own("State", stop.state as i32)
            .own("Micro", machine.is_some_and(|machine| stop.is_micro(machine.micro_stop_below)))
            .own("Reason", reason.unwrap_or_default())
            .own("ReasonName", LocalizedText::from(name.as_str()))
            .own("Comment", said.map_or_else(String::new, |said| said.comment.clone()))
            .own("Actor", said.map_or_else(String::new, |said| said.actor.clone()))
    }

    fn revised(&self, notice: &Notice, name: &str, was: Window, stop: Option<&Stop>) -> Event {
        let text = match stop {
            Some(_) => format!("a stop of {name} was otherwise than it was told"),
            None => format!("{name} did not stand as it was told"),
        };
        let event = self.plain(notice, "StopRevisedEventType", severity::REVISED, text);
        let end = if was.to == Timestamp::MAX { Variant::Empty } else { time(was.to) };
        let event =
            event.own("OldStart", time(was.from)).own("OldEnd", end).own("Exists", stop.is_some());
        self.stop(event, notice, stop)
    }

    fn order(
        &self,
        notice: &Notice,
        (order, totals): (&Order, Totals),
        command: Option<JobCommand>,
        actor: &str,
    ) -> Event {
        let text = format!("order {} is {} ({actor})", order.id(), order.state);
        let view = OrderView { order: order.clone(), totals };
        let event = self.plain(notice, "JobOrderStatusEventType", severity::INFORMATION, text);
        let [job, states, response] = self.jobs.status(&view, self.plant);
        event
            .with_in(self.jobs.namespace, "JobOrder", job)
            .with_in(self.jobs.namespace, "JobState", states)
            .with_in(self.jobs.namespace, "JobResponse", response)
            .own("OrderId", order.id().to_string())
            .own("State", order.state as i32)
            .own("Command", command.map_or("", JobCommand::as_str))
            .own("Actor", actor)
            .own("GoodCount", totals.good)
            .own("ScrapCount", totals.scrap)
    }

    fn transfer(&self, notice: &Notice, name: &str, transfer: &OrderTransfer) -> Event {
        let OrderTransfer { order, revision, state, moment, outcome, .. } = transfer;
        let (moment, why) = (moment.as_str(), outcome.why());
        let (severity, text) = match outcome {
            TransferOutcome::Calling | TransferOutcome::Known => {
                (severity::INFORMATION, format!("{name} knows the {moment} of order {order}"))
            }
            TransferOutcome::Refused { .. } | TransferOutcome::GivenUp { .. } => {
                let text = format!("{name} does not know the {moment} of order {order}: {why}");
                (severity::STOPPED, text)
            }
            TransferOutcome::Unanswered { .. } => {
                let text = format!("{name} may not know the {moment} of order {order}: {why}");
                (severity::LOST, text)
            }
        };
        self.plain(notice, "OrderTransferEventType", severity, text)
            .own("OrderId", order.to_string())
            .own("Revision", *revision)
            .own("State", *state as i32)
            .own("Moment", moment)
            .own("Known", *outcome == TransferOutcome::Known)
            .own("Reason", why)
    }

    fn correction(&self, notice: &Notice, correction: &CountCorrection) -> Event {
        let CountCorrection { order, good, scrap, rework, reason, actor } = correction;
        let text =
            format!("order {order}: good {good:+}, scrap {scrap:+}, rework {rework:+} ({actor})");
        self.plain(notice, "CountCorrectionEventType", severity::INFORMATION, text)
            .own("OrderId", order.to_string())
            .own("Good", *good)
            .own("Scrap", *scrap)
            .own("Rework", *rework)
            .own("Reason", reason.as_ref().map_or_else(String::new, ToString::to_string))
            .own("Actor", actor.as_str())
    }

    fn lot(
        &self,
        notice: &Notice,
        operation: &crate::domain::genealogy::LotOperation,
        voided: bool,
    ) -> Event {
        use crate::domain::genealogy::LotOperationKind;
        let kind = match operation.kind {
            LotOperationKind::Produced => "LotProducedEventType",
            LotOperationKind::Consumed => "LotConsumedEventType",
        };
        let not = if voided { " not" } else { "" };
        let (lot, order) = (operation.lot.to_string(), operation.order.to_string());
        let text = format!("lot {lot} was{not} {} by order {order}", operation.kind.as_str());
        let quantity = operation.quantity.map_or_else(String::new, |q| q.to_string());
        self.plain(notice, kind, severity::INFORMATION, text)
            .own("Lot", lot)
            .own("OrderId", order)
            .own("Product", operation.product.to_string())
            .own("Quantity", quantity)
            .own("Voided", voided)
            .own("Assignment", operation.assignment.as_str())
            .own("Actor", operation.actor.as_str())
    }

    fn shift(&self, notice: &Notice, told: &ShiftNotice) -> Event {
        let ShiftNotice { record, shift, start, production_date, revision, actor, cause } = told;
        let line = notice.line.as_ref().map_or_else(String::new, ToString::to_string);
        let (kind, severity, text) = if *revision == 1 {
            let text = format!("shift {shift} of {production_date} on {line} is closed");
            ("ShiftClosedEventType", severity::INFORMATION, text)
        } else {
            let text = format!(
                "closed shift {shift} of {production_date} on {line} has changed: revision \
                 {revision}, {cause} ({actor})"
            );
            ("ShiftRevisedEventType", severity::REVISED, text)
        };
        self.plain(notice, kind, severity, text)
            .own("Shift", shift.as_str())
            .own("ShiftStart", time(*start))
            .own("ProductionDate", production_date.to_string())
            .own("Revision", *revision)
            .own("Record", *record)
            .own("Actor", actor.as_str())
            .own("Cause", cause.as_str())
    }
}

/// An instant that may not be there.
pub fn optional_time(at: Timestamp) -> Variant {
    if at == Timestamp::MIN { DateTime::null().into() } else { time(at) }
}
