//! Coming to a machine, or coming back to it as far as it allows (Part 4 §6.7).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::client::{Dialer, Failure, FailureKind, Found, Passport, Session, Target};
use super::items::Watch;
use super::listening::Flows;
use super::mirror::MirrorWatch;
use super::survey::Survey;

/// What a machine may still have of us after a connection has ended.
pub struct Held {
    /// The machine as it was found.
    pub found: Found,
    /// The session.
    pub passport: Passport,
    /// The subscriptions, and how far they were heard.
    pub flows: Flows,
    /// What is watched.
    pub watch: Watch,
    /// What is watched for those who look at the mirror, if there is one.
    pub mirrored: Option<Arc<MirrorWatch>>,
    /// What the machine said of itself.
    pub survey: Survey,
    /// Whether it certainly knows what it was told of the orders of its line.
    pub knows_orders: Arc<AtomicBool>,
    /// Whether it was looked at to recognise what it is.
    pub is_recognised: bool,
}

/// How we have come to a machine.
pub enum Arrival {
    /// With the subscription that we had.
    Again(Box<Session>, Box<Held>),
    /// With nothing but a session.
    New(Box<Session>, Box<Found>),
}

/// Comes to a machine. What it may still have of us stays held as long as it cannot be reached.
pub async fn arrive(
    dialer: &Dialer,
    target: &Target,
    held: &mut Option<Box<Held>>,
) -> Result<Arrival, Failure> {
    if let Some(had) = held.take() {
        return match come_back(dialer, &had).await {
            Ok((session, true)) => Ok(Arrival::Again(Box::new(session), had)),
            Ok((session, false)) => Ok(Arrival::New(Box::new(session), Box::new(had.found))),
            Err(failure) => {
                let may_work_later = [FailureKind::Lost, FailureKind::Silent];
                if !may_work_later.contains(&failure.kind) {
                    return Err(failure);
                }
                // A machine with a new certificate just hangs up on who means the old one.
                match dialer.find(target).await {
                    Ok(found) if !found.has_certificate_of(&had.found) => {
                        begin(dialer, found).await
                    }
                    _ => {
                        *held = Some(had);
                        Err(failure)
                    }
                }
            }
        };
    }
    begin(dialer, dialer.find(target).await?).await
}

async fn begin(dialer: &Dialer, found: Found) -> Result<Arrival, Failure> {
    let session = dialer.log_on(&found).await?;
    Ok(Arrival::New(Box::new(session), Box::new(found)))
}

/// Goes on with the session that we had, else begins another; whether the subscription is with it.
async fn come_back(dialer: &Dialer, had: &Held) -> Result<(Session, bool), Failure> {
    match dialer.go_on(&had.found, had.passport.clone()).await {
        Ok(session) => return Ok((session, true)),
        Err(failure) if failure.kind != FailureKind::Refused => return Err(failure),
        // The machine has forgotten the session, or does not let it change its channel.
        Err(_) => {}
    }
    let session = dialer.log_on(&had.found).await?;
    if !session.vendor().transfers() {
        return Ok((session, false));
    }
    match session.transfer(had.flows.signals.subscription().id).await {
        Ok(Ok(_)) => {
            for subscription in had.flows.mirrored() {
                // What is not transferred is noticed when it is to go on.
                match session.transfer(subscription).await {
                    Err(failure) if failure.is_broken() => return Err(failure),
                    _ => {}
                }
            }
            Ok((session, true))
        }
        Ok(Err(_)) => Ok((session, false)),
        // Many machines cannot do it at all.
        Err(failure) if failure.kind == FailureKind::Refused => Ok((session, false)),
        Err(failure) => Err(failure),
    }
}
