//! What the machine's own history knows of recorded variables for the time in which nobody heard them.
//!
//! As with signals, history closes a gap only as a whole: it must begin with what was recorded last and reach to
//! what is told first again, of a server that ran all the time. What is not whole stays marked as unknown.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataValue, NodeId};
use tokio::time::Instant;

use super::mapping::{Mapping, To};
use crate::domain::time::Timestamp;
use crate::machine::backfill::{Missed, has_history};
use crate::machine::client::{Failure, Session};
use crate::machine::value::source_time;
use crate::mirror::{Mirror, Unheard};

/// How long all of it may take, and how long is waited for what a variable tells first.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether something was told.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A machine that can be heard again.
pub struct Filling {
    /// Its mirror.
    pub mirror: Arc<Mirror>,
    /// The session.
    pub session: Arc<Session>,
    /// Ids and values of both sides.
    pub mapping: Arc<Mapping>,
    /// Since when its server runs.
    pub started: Option<Timestamp>,
}

impl Filling {
    /// Fills what can be filled of gaps; a failure leaves the rest unknown.
    pub async fn fill(self, gaps: Vec<Unheard>) {
        let deadline = Instant::now() + PATIENCE;
        let filled = tokio::time::timeout_at(deadline, self.fill_all(gaps)).await;
        let machine = &self.mirror.machine;
        match filled {
            Ok(Ok((_, 0))) => {}
            Ok(Ok((filled, all))) => {
                tracing::info!(%machine, filled, all, "the machine's history was read for what is recorded");
            }
            Ok(Err(failure)) => tracing::info!(%machine, "its history cannot be read: {failure}"),
            Err(_) => tracing::info!(%machine, "its history takes too long to read"),
        }
    }

    /// How many gaps were filled, of those of variables of which the machine keeps a history.
    async fn fill_all(&self, gaps: Vec<Unheard>) -> Result<(usize, usize), Failure> {
        // A server that was not running has written nothing down.
        let ran = |gap: &Unheard| self.started.is_some_and(|started| started <= gap.since);
        let gaps: Vec<_> = gaps.into_iter().filter(ran).collect();
        let there: Vec<_> = gaps.iter().map(|gap| self.mapping.there(&gap.node)).collect();
        let asked: Vec<(usize, &NodeId)> = there.iter().enumerate().collect();
        let has_history = has_history(&self.session, &asked).await?;
        let (mut filled, mut all) = (0, 0);
        for ((gap, there), has_history) in gaps.iter().zip(&there).zip(has_history) {
            if has_history {
                all += 1;
                filled += usize::from(self.fill_one(gap, there).await?);
            }
        }
        Ok((filled, all))
    }

    async fn fill_one(&self, gap: &Unheard, there: &NodeId) -> Result<bool, Failure> {
        let first = async {
            loop {
                match self.mirror.last_heard(&gap.node) {
                    Some(first) => return first,
                    None => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        let Ok(first) = tokio::time::timeout(FIRST_WITHIN, first).await else { return Ok(false) };
        let mirror = self.mirror.clone();
        let asked = gap.clone();
        // Blocks are read from the disk.
        let known = tokio::task::spawn_blocking(move || mirror.known_before(&asked)).await;
        let (Ok(Some(known)), Some(to)) = (known, source_time(&first)) else { return Ok(false) };
        // What was recorded last may stand at the time of its arrival, of which the machine knows nothing.
        let missed = Missed { from: known.at, to, is_taken_over: true };
        if to <= known.at {
            // What has the time of before has not changed since.
            self.mirror.fill(gap, &known, Vec::new());
            return Ok(true);
        }
        let values = match missed.read(&self.session, there).await {
            Ok(values) if missed.is_whole(&values) => values,
            Err(failure) if failure.is_broken() => return Err(failure),
            _ => return Ok(false),
        };
        let owned = self.session.context();
        let here = |value: DataValue| self.mapping.data_value(value, To::Here, &owned.context());
        let news = values
            .into_iter()
            .filter(|value| missed.is_news(value) && source_time(value).is_some_and(|at| at < to));
        let news = news.map(here).collect();
        self.mirror.fill(gap, &known, news);
        Ok(true)
    }
}
