//! What is done beside the signals of a machine while it can be reached: it is asked how it is, told of orders,
//! recognised, and its mirror is tended. Nothing of it ever holds the signals up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Stay;
use crate::app::clock::Clock;
use crate::machine::client::{Failure, Session};
use crate::machine::mirror::{self, Tending};
use crate::machine::orders::{self, Telling};
use crate::machine::recognising;
use crate::machine::survey::Pulse;

/// How often a machine is asked how it is.
const PULSE: Duration = Duration::from_secs(5);

impl Stay {
    /// Tells the machine of the orders of its line beside all else, if it is to be told.
    pub(super) fn tell_orders(&self, session: &Arc<Session>) -> Option<AbortOnDropHandle<()>> {
        let (_, held) = self.held.as_ref()?;
        Some(orders::start(Telling {
            machine: self.connection.machine.clone(),
            transfer: self.connection.orders.clone()?,
            is_certain: held.knows_orders.clone(),
            session: session.clone(),
            namespaces: held.survey.namespaces.clone(),
            engine: self.link.engine.clone(),
        }))
    }

    /// Lets a machine with which we have begun anew be recognised beside all else, if it is to be.
    pub(super) fn recognise(&mut self, session: &Arc<Session>) -> Option<AbortOnDropHandle<()>> {
        let (_, held) = self.held.as_mut()?;
        if !self.connection.is_recognised || std::mem::replace(&mut held.is_recognised, true) {
            return None;
        }
        let machine = self.connection.machine.clone();
        let (session, namespaces) = (session.clone(), held.survey.namespaces.clone());
        Some(recognising::start(machine, session, namespaces, self.link.recognisers.clone()))
    }

    /// Tends the mirror beside all else, if there is one.
    pub(super) fn tend_mirror(
        &self,
        session: &Arc<Session>,
    ) -> Option<(mpsc::Receiver<mirror::Subscribe>, AbortOnDropHandle<()>)> {
        let (_, held) = self.held.as_ref()?;
        Some(mirror::start(Tending {
            mirrors: self.link.mirrors.clone(),
            mirror: self.mirror.clone()?,
            watch: held.mirrored.clone()?,
            scope: self.connection.mirror.clone()?,
            session: session.clone(),
            started: held.survey.started,
            clock: self.link.clock.clone(),
            connections: self.link.connections.clone(),
        }))
    }
}

/// Asks a machine how it is, now and then, beside what it tells.
pub(super) fn pulse(
    session: Arc<Session>,
    clock: Arc<dyn Clock>,
) -> (mpsc::Receiver<Result<Pulse, Failure>>, AbortOnDropHandle<()>) {
    let (tell, pulses) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PULSE).await;
            if tell.send(Pulse::of(&session, &*clock).await).await.is_err() {
                return;
            }
        }
    });
    (pulses, AbortOnDropHandle::new(task))
}
