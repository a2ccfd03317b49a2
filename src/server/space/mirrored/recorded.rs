//! The history of a variable of a machine that is kept here, also while the machine is away.

use async_trait::async_trait;
use opcua::types::{DataValue, StatusCode};

use super::super::history::Source;
use crate::app::query::blocking;
use crate::domain::time::{Span, Timestamp, Window};
use crate::mirror::Kept;

/// The first stretch that is looked at, and the longest one: a day is one file.
const STRETCH: Span = Span::from_seconds(600);
const STRETCH_MAX: Span = Span::from_seconds(24 * 3600);
/// How much longer a stretch gets after one without values.
const GROWTH: i64 = 12;

/// The history of a variable.
pub struct RecordedHistory {
    /// What is kept.
    pub kept: Kept,
    /// The present.
    pub now: Timestamp,
}

impl RecordedHistory {
    /// Asks the store; others must not wait for it.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Kept) -> Result<T, crate::app::ports::StoreError> + Send + 'static,
    ) -> Result<T, StatusCode> {
        let kept = self.kept.clone();
        let asked = blocking(move || Ok(question(&kept)?)).await;
        asked.map_err(|error| {
            tracing::error!(%error, "recorded values cannot be read");
            StatusCode::BadResourceUnavailable
        })
    }
}

#[async_trait]
impl Source for RecordedHistory {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn oldest(&self) -> Result<Option<Timestamp>, StatusCode> {
        self.ask(Kept::oldest).await
    }

    fn stretch(&self, before: Option<(Span, bool)>) -> Span {
        match before {
            None => STRETCH,
            Some((length, true)) => length,
            Some((length, false)) => {
                Span::from_ticks(length.ticks().saturating_mul(GROWTH)).min(STRETCH_MAX)
            }
        }
    }

    async fn values(&self, window: Window) -> Result<Vec<(Timestamp, DataValue)>, StatusCode> {
        self.ask(move |kept| kept.values(window)).await
    }

    async fn last_before(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
        let found = self.ask(move |kept| kept.last_before(at)).await?;
        Ok(found.map(|(_, value)| value))
    }

    async fn first_since(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
        let found = self.ask(move |kept| kept.first_since(at)).await?;
        Ok(found.map(|(_, value)| value))
    }
}
