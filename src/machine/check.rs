//! Whether a machine is as it is configured: it answers, it is the one that is meant, its nodes are there
//! and tell what their signals can use. All problems at once; nothing is subscribed and nothing changed.

use std::time::Duration;

use opcua::types::{AttributeId, NodeId, ReadValueId, StatusCode, TimestampsToReturn, Variant};

use super::client::{Dialer, Failure, Session, Target};
use super::orders;
use super::spot::{Finder, Place, Start};
use super::survey::{Pulse, Survey};
use super::value::{number, raw_value, status};
use super::{MachineConnection, Watched, duration};
use crate::app::clock::Clock;
use crate::domain::signal::{Reading, Unusable, is_bad};
use crate::domain::time::Span;

/// How long an endpoint may take for everything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is wrong with a machine, in sentences with the next step; and which product it is.
pub async fn check(
    dialer: &Dialer,
    connection: &MachineConnection,
    clock: &dyn Clock,
) -> (String, Vec<String>) {
    let (mut problems, mut product) = (Vec::new(), String::new());
    for target in &connection.targets {
        let checked = check_endpoint(dialer, target, connection, clock, &mut problems);
        match tokio::time::timeout(PATIENCE, checked).await {
            Ok(Ok(found)) => product = found,
            Ok(Err(failure)) => problems.push(format!("{}: {failure}", target.url)),
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                problems.push(format!("{}: no answer to all questions in {seconds} s", target.url));
            }
        }
    }
    (product, problems)
}

async fn check_endpoint(
    dialer: &Dialer,
    target: &Target,
    connection: &MachineConnection,
    clock: &dyn Clock,
    problems: &mut Vec<String>,
) -> Result<String, Failure> {
    let found = dialer.find(target).await?;
    let session = dialer.log_on(&found).await?;
    let checked = check_session(&session, connection, clock, problems).await;
    session.close().await;
    checked
}

async fn check_session(
    session: &Session,
    connection: &MachineConnection,
    clock: &dyn Clock,
    problems: &mut Vec<String>,
) -> Result<String, Failure> {
    let survey = Survey::of(session, clock).await?;
    if let Some(state) = Pulse::of(session, clock).await?.not_running {
        problems.push(format!("its server is not running (state {state}); look at the machine"));
    }
    if let Some(reading) = survey.clock {
        let off = reading.said - reading.answered;
        let limit = connection.clock_skew_max.ticks().abs();
        if off.ticks().abs() > limit {
            problems.push(format!(
                "its clock is off by {}; set it, or raise `clock_skew_max`: until then the times at \
                 which values arrive are used",
                Span::from_ticks(off.ticks())
            ));
        }
    }
    check_limits(session, connection, problems);
    check_items(session, connection, &survey, problems).await?;
    let mut finder = Finder::new(session, &survey.namespaces);
    if let Some(transfer) = &connection.orders {
        orders::check(session, transfer, &mut finder, problems).await?;
    }
    if let Some(scope) = &connection.mirror {
        let places = [("include", &scope.include), ("write", &scope.write), ("call", &scope.call)];
        for (key, path) in
            places.iter().flat_map(|(key, paths)| paths.iter().map(move |p| (key, p)))
        {
            let place = Place { start: Start::Path(path.clone()), field: Vec::new() };
            if let Err((_, why)) = finder.node(&place).await? {
                let next = "look for it with linewright browse";
                problems.push(format!("`{key}` of its mirror: {why}; {next}"));
            }
        }
    }
    Ok(survey.product_text())
}

fn check_limits(session: &Session, connection: &MachineConnection, problems: &mut Vec<String>) {
    let count = connection.items.len();
    if let Some(limit) = session.limits().items_of_subscription
        && count > limit
    {
        problems.push(format!(
            "it watches {limit} items of a subscription at most, not {count}; configure fewer"
        ));
    }
}

async fn check_items(
    session: &Session,
    connection: &MachineConnection,
    survey: &Survey,
    problems: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut finder = Finder::new(session, &survey.namespaces);
    let mut asked = Vec::new();
    for (watched, place) in &connection.items {
        match finder.find(place).await? {
            Ok(spot) => asked.push((watched, spot)),
            Err((StatusCode::BadNodeIdUnknown, why)) => {
                let known = survey.namespaces.join(", ");
                problems.push(format!("{watched}: {why}; it has {known}"));
            }
            Err((_, why)) => {
                problems.push(format!("{watched}: {why}; look for it with linewright browse"));
            }
        }
    }
    let layouts = finder.layouts;
    let question = |id: &NodeId| ReadValueId {
        node_id: id.clone(),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    };
    let minimum = duration(connection.sampling_interval).as_secs_f64() * 1000.0;
    for (watched, spot) in &asked {
        let nodes = spot.nodes();
        let questions: Vec<_> = nodes.iter().map(|id| question(id)).collect();
        let said = session.read(&questions, TimestampsToReturn::Both).await?;
        let Some(answer) = spot.read(said, &layouts, session) else { continue };
        let id = nodes.first().map(ToString::to_string).unwrap_or_default();
        if let Some(why) = unusable(watched, &answer) {
            problems.push(format!("{watched}: {id}: {why}"));
        }
        let intervals: Vec<_> = nodes
            .iter()
            .map(|id| ReadValueId {
                attribute_id: AttributeId::MinimumSamplingInterval as u32,
                ..question(id)
            })
            .collect();
        let intervals = session.read(&intervals, TimestampsToReturn::Neither).await?;
        let slowest = intervals.iter().filter_map(|interval| match interval.value {
            Some(Variant::Double(slowest)) if minimum > 0.0 && slowest > minimum => Some(slowest),
            _ => None,
        });
        if let Some(slowest) = slowest.reduce(f64::max) {
            problems.push(format!(
                "{watched}: {id}: the machine looks every {slowest} ms at most, not every {minimum} \
                 ms; raise `sampling_interval`"
            ));
        }
    }
    Ok(())
}

/// Why a value cannot be used for what it is configured for.
fn unusable(watched: &Watched, answer: &opcua::types::DataValue) -> Option<String> {
    let code = StatusCode::from(status(answer));
    match code {
        StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid => {
            return Some("there is no such node; look for it with linewright browse".into());
        }
        StatusCode::BadAttributeIdInvalid => {
            return Some("this node has no value; name a variable".into());
        }
        StatusCode::BadUserAccessDenied | StatusCode::BadNotReadable => {
            return Some(format!("it may not be read by our user ({code})"));
        }
        _ if is_bad(code.bits()) => return Some(format!("its value is bad at present ({code})")),
        _ => {}
    }
    match watched {
        Watched::Signal(signal) => {
            let raw = raw_value(answer);
            match signal.read(&raw, code.bits()) {
                Reading::Unusable(Unusable::WrongType) => Some(format!(
                    "{raw} is of a type that this signal cannot be; bind another node"
                )),
                Reading::Unusable(why) => Some(format!("{} ({raw})", why.as_str())),
                _ => None,
            }
        }
        Watched::ProcessValue(_) if number(answer).is_none() => {
            Some("its value is no number; bind another node".into())
        }
        Watched::ProcessValue(_) => None,
    }
}
