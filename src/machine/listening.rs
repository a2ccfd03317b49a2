//! Listening to the subscriptions that we have at a machine: requests to publish are always under way,
//! and each message goes to the flow of its subscription.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use opcua::types::{StatusCode, SubscriptionAcknowledgement};
use tokio::time::Instant;

use super::client::{Failure, FailureKind, Message, Published, Session, Subscribed};
use super::flow::{Flow, FlowEnd, Lost};
use crate::domain::time::Timestamp;

/// Requests to publish that are under way for one subscription; for each other one there is one more.
const ASKED: usize = 3;
/// How much longer than the keep-alives of all requests an answer may take.
const GRACE: Duration = Duration::from_secs(30);

/// The subscriptions at a machine: that of the signals, and those of the mirror.
#[derive(Debug)]
pub struct Flows {
    /// That of the signals, on which everything else hangs.
    pub signals: Flow,
    mirrored: Vec<Flow>,
}

/// A message with the number of its subscription.
pub type Heard = (u32, Message);

impl Flows {
    /// The flow of a new subscription for signals.
    pub fn new(signals: Subscribed) -> Flows {
        Flows { signals: Flow::new(signals), mirrored: Vec::new() }
    }

    /// Adds a new subscription of the mirror.
    pub fn add(&mut self, subscription: Subscribed) {
        self.mirrored.push(Flow::new(subscription));
    }

    /// Forgets a subscription of the mirror.
    pub fn remove(&mut self, subscription: u32) {
        self.mirrored.retain(|flow| flow.subscription().id != subscription);
    }

    /// Until when all subscriptions of the mirror have told everything, by the machine's clock, if they say so.
    pub fn mirror_told_to(&self) -> Option<Timestamp> {
        self.mirrored.iter().map(Flow::told_to).min().flatten()
    }

    /// Numbers of the subscriptions of the mirror.
    pub fn mirrored(&self) -> Vec<u32> {
        self.mirrored.iter().map(|flow| flow.subscription().id).collect()
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Flow> {
        std::iter::once(&mut self.signals).chain(&mut self.mirrored)
    }

    fn of(&mut self, subscription: u32) -> Option<&mut Flow> {
        self.all().find(|flow| flow.subscription().id == subscription)
    }

    fn next_ready(&mut self) -> Option<Heard> {
        self.all().find_map(|flow| Some((flow.subscription().id, flow.next_ready()?)))
    }

    fn acknowledgements(&mut self) -> Vec<SubscriptionAcknowledgement> {
        self.all().flat_map(Flow::acknowledgements).collect()
    }

    /// After how long without a word the machine does not live any more.
    fn silence(&self) -> Duration {
        self.signals.silence()
    }

    /// The longest time between two words of one of them.
    fn keep_alive(&mut self) -> Duration {
        let times = self.all().map(|flow| {
            let Subscribed { publishing, keep_alive, .. } = *flow.subscription();
            publishing * keep_alive
        });
        times.max().unwrap_or_default()
    }

    /// After a change of connection or session: hears what was told while nobody listened. Subscriptions of
    /// the mirror that have lost something are forgotten; their numbers are given.
    pub async fn catch_up(&mut self, session: &Session) -> Result<Vec<u32>, FlowEnd> {
        self.signals.catch_up(session).await?;
        let mut lost = Vec::new();
        for flow in &mut self.mirrored {
            match flow.catch_up(session).await {
                Ok(()) => {}
                Err(FlowEnd::Lost(Lost { subscription, .. })) => lost.push(subscription),
                Err(broken) => return Err(broken),
            }
        }
        lost.iter().for_each(|subscription| self.remove(*subscription));
        Ok(lost)
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Published, Failure>> + Send>>;

/// Flows over a connection.
pub struct Listening {
    session: Arc<Session>,
    asked: FuturesUnordered<Asking>,
    /// Requests that are wanted at most; the machine may not take as many.
    most: usize,
    last_word: Instant,
}

impl Listening {
    /// Begins to listen.
    pub fn new(session: Arc<Session>) -> Listening {
        let (asked, last_word) = (FuturesUnordered::new(), Instant::now());
        Listening { session, asked, most: usize::MAX, last_word }
    }

    /// Waits for the next message; none where the machine only says that it lives. What was given
    /// before counts as taken.
    ///
    /// Waiting can be given up and begun again without a loss.
    pub async fn next(&mut self, flows: &mut Flows) -> Result<Option<Heard>, FlowEnd> {
        loop {
            if let Some(heard) = flows.next_ready() {
                return Ok(Some(heard));
            }
            self.ask(flows);
            let silent_at = self.last_word + flows.silence();
            let published = match tokio::time::timeout_at(silent_at, self.asked.next()).await {
                Ok(Some(published)) => published,
                Ok(None) => continue,
                Err(_) => {
                    let text = "the machine has hung: it keeps the connection, yet is silent";
                    return Err(FlowEnd::Broken(Failure::silent(text)));
                }
            };
            match published {
                Ok(published) => {
                    self.take(flows, published).await?;
                    return Ok(flows.next_ready());
                }
                Err(failure) => self.refused(flows, failure)?,
            }
        }
    }

    fn ask(&mut self, flows: &mut Flows) {
        if self.asked.is_empty() {
            // Nobody is silent who was not asked.
            self.last_word = Instant::now();
        }
        let wanted = (ASKED + flows.mirrored.len()).min(self.most);
        while self.asked.len() < wanted {
            let waiting = u32::try_from(wanted + 1).unwrap_or(u32::MAX);
            let patience = flows.keep_alive().saturating_mul(waiting) + GRACE;
            let (session, heard) = (self.session.clone(), flows.acknowledgements());
            self.asked.push(Box::pin(async move { session.publish(heard, patience).await }));
        }
    }

    async fn take(&mut self, flows: &mut Flows, published: Published) -> Result<(), FlowEnd> {
        self.last_word = Instant::now();
        let Published { subscription, message, more, .. } = published;
        let Some(flow) = flows.of(subscription) else { return Ok(()) };
        let heard = flow.hear(&self.session, message, more).await;
        self.last_word = Instant::now();
        heard
    }

    fn refused(&mut self, flows: &Flows, failure: Failure) -> Result<(), FlowEnd> {
        if failure.kind != FailureKind::Refused {
            return Err(FlowEnd::Broken(failure));
        }
        match failure.status {
            StatusCode::BadTooManyPublishRequests if self.most > 1 => {
                self.most = self.asked.len().max(1);
                Ok(())
            }
            // The machine has let the request wait for long enough.
            StatusCode::BadTimeout | StatusCode::BadRequestTimeout => Ok(()),
            StatusCode::BadNoSubscription | StatusCode::BadSubscriptionIdInvalid => {
                let subscription = flows.signals.subscription().id;
                let why = "the machine has ended the subscription".into();
                Err(FlowEnd::Lost(Lost { subscription, why }))
            }
            _ => Err(FlowEnd::Broken(failure)),
        }
    }
}
