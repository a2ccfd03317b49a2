//! Tells what happens at machines, beside all else: a machine with many events delays no values.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::mirror::Mirrors;
use crate::server::services::Services;
use crate::server::space::WholeSpace;

/// How often it is looked what is to be said of lost machines.
const TICK: Duration = Duration::from_millis(500);

/// Tells until told to stop.
pub async fn run(
    space: Arc<WholeSpace>,
    mirrors: Mirrors,
    services: Arc<Services>,
    stop: CancellationToken,
) {
    let mut events = mirrors.events();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            told = events.recv() => match told {
                Ok(told) => {
                    told.iter().for_each(|one| services.emit(&space.mirrored().event(one)));
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::error!(missed, "events of machines came faster than they could be told");
                    let now = mirrors.now();
                    for mirror in mirrors.all() {
                        let why = "events of machines came faster than they could be told";
                        mirror.events_missed(now, why.into());
                        for one in mirror.retained(now) {
                            services.emit(&space.mirrored().event(&Arc::new(one)));
                        }
                    }
                }
                Err(RecvError::Closed) => return,
            },
            _ = tick.tick() => {
                let now = mirrors.now();
                mirrors.all().iter().for_each(|mirror| mirror.tell_doubt(now));
            }
            () = stop.cancelled() => return,
        }
        // Whoever floods us must not keep others from their turn.
        tokio::task::yield_now().await;
    }
}
