//! What the writer does with the store: it commits, then answers and publishes; when it cannot commit, it
//! waits until it can.

use tokio::sync::mpsc;

use super::{ALIVE_EVERY, REOPEN_EVERY, SNAPSHOT_EVERY, Work, Writer, recovered_pages};
use crate::app::engine::{CommandError, Health, MachineInput, Request};
use crate::app::live::Live;
use crate::app::ports::{Batch, StoreError};
use crate::app::recall::{extract, rebuild};
use crate::domain::event::Event;
use crate::domain::time::Timestamp;

impl Writer {
    fn commit(&mut self, work: &Work, now: Timestamp) -> Result<(), StoreError> {
        let nothing = work.events.is_empty()
            && work.answers.is_empty()
            && work.pages.is_empty()
            && work.stale.is_empty();
        if nothing && now - self.alive_at < ALIVE_EVERY {
            return Ok(());
        }
        if nothing {
            self.outside.store.keep_alive(now)?;
        } else {
            let snapshot =
                (self.batches % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1).then(|| self.core.snapshot());
            let orders = work.orders.iter().filter_map(|id| self.core.order(id));
            let orders = orders.chain(&work.retired);
            let batch = Batch {
                at: now,
                events: &work.events,
                orders: orders.collect(),
                archived: work.archived.clone(),
                answers: work.answers.clone(),
                stale: work.stale.clone(),
                pages: work.pages.clone(),
                snapshot,
            };
            self.outside.store.commit(&batch)?;
            self.batches += 1;
        }
        self.alive_at = now;
        Ok(())
    }

    /// Commits, then answers and publishes. On an error nobody has seen anything of the work.
    pub(super) fn finish(&mut self, mut work: Work, now: Timestamp) -> Result<(), StoreError> {
        if let Some(look) = self.looks.take(&self.core, now) {
            self.decide_own(&look, &mut work);
        }
        // Whichever facts are kept, the sums that they make wrong go with the same commit.
        work.stale = self.pages.take_stale();
        if let Err(error) = self.commit(&work, now) {
            let text = error.to_string();
            self.outside.health.send_replace(Health::Degraded(text.clone()));
            for waiting in work.replies {
                let _ = waiting.reply.send(Err(CommandError::Unavailable(text.clone())));
            }
            for defined in work.defined {
                let _ = defined.reply.send(Err(CommandError::Unavailable(text.clone())));
            }
            self.unsaved.append(&mut work.machine_inputs);
            return Err(error);
        }
        let is_defined = work.events.iter().any(|fact| matches!(fact, Event::PlantDefined { .. }));
        if self.start.take().is_some() || is_defined {
            self.outside.history.send_replace(Some(self.core.history().clone()));
        }
        // Whoever is told that something is done finds it done when he looks.
        for defined in work.defined {
            self.plant = defined.plant;
            self.outside.plant.send_replace(self.plant.clone());
            let _ = defined.reply.send(Ok(()));
        }
        self.outside.publisher.tell(&work.events);
        let delivered = work.machine_inputs.iter().filter_map(|input| match input {
            MachineInput::Observed(observation) => Some(observation),
            MachineInput::Linked(_) => None,
        });
        self.outside.publisher.hear(&self.core, delivered);
        self.outside.publisher.publish(&self.core, now);
        for waiting in work.replies {
            // A caller that has gone away has its effect all the same.
            let _ = waiting.reply.send(waiting.result);
        }
        for request in work.extracts {
            let extract = extract(&self.core, &request.equipment, request.window, now);
            let _ = request.reply.send(extract);
        }
        let reader = self.outside.store.reader();
        self.outside.publisher.publish_figures(&self.core, &mut self.live, &*reader, now);
        Ok(())
    }

    /// Waits until the store can be written again, refusing commands meanwhile; whether to stop.
    pub(super) async fn heal(
        &mut self,
        error: StoreError,
        requests: &mut mpsc::Receiver<Request>,
    ) -> bool {
        tracing::error!(%error, "nothing can be stored; machine values wait, commands are refused");
        let mut text = error.to_string();
        loop {
            let pause = tokio::time::sleep(REOPEN_EVERY);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    request = requests.recv() => match request {
                        Some(Request::Command(request)) => {
                            let refused = CommandError::Unavailable(text.clone());
                            let _ = request.reply.send(Err(refused));
                        }
                        Some(Request::Define(request)) => {
                            let refused = CommandError::Unavailable(text.clone());
                            let _ = request.reply.send(Err(refused));
                        }
                        Some(Request::Extract(_)) => {}
                        Some(Request::Stop) | None => return true,
                    }
                }
            }
            match self.reopen() {
                Ok(()) => {
                    self.outside.health.send_replace(Health::Ready);
                    tracing::info!("the store can be written again");
                    return false;
                }
                Err(error) => {
                    text = error.to_string();
                    self.outside.health.send_replace(Health::Degraded(text.clone()));
                }
            }
        }
    }

    /// Opens the store anew, rebuilds the core from it and stores what the machines have sent.
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.outside.store.reopen()?;
        let recovered = self.outside.store.recover()?;
        self.core = rebuild(&self.plant, recovered);
        self.pages = recovered_pages(&self.core, &*self.outside.store.reader());
        self.live = Live::default();
        self.looks.clear();
        self.outside.publisher.touch_all(&self.core);
        let now = self.outside.clock.now();
        let mut work = self.begin(now);
        for input in std::mem::take(&mut self.unsaved) {
            self.machine_input(input, &mut work);
        }
        self.alive_at = Timestamp::MIN;
        self.finish(work, now)
    }

    /// Keeps the whole state, so that the next start is quick.
    pub(super) fn keep_snapshot(&mut self) {
        let batch = Batch {
            at: self.outside.clock.now(),
            snapshot: Some(self.core.snapshot()),
            ..Batch::default()
        };
        if let Err(error) = self.outside.store.commit(&batch) {
            tracing::error!(%error, "the state could not be kept; the next start replays the journal");
        }
    }
}
