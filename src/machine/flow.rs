//! What a subscription tells, message by message, none missing and none twice (Part 4 §5.14.1 and
//! §6.7).
//!
//! A flow outlives its connection: whoever comes back asks for what was not heard, and only when the
//! machine does not have that any more is something lost. It never hides a loss.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use opcua::types::{StatusCode, SubscriptionAcknowledgement};

use super::client::{Failure, FailureKind, Message, Session, Subscribed};
use crate::channel::time::timestamp;
use crate::domain::time::Timestamp;

/// Messages that are asked for again at most; who has missed more reads everything anew.
const AGAIN_MAX: u32 = 1000;
/// Messages that may wait for one before them.
const WAITING_MAX: usize = 64;
/// A machine that is silent for less than this is not silent yet.
const SILENCE_MIN: Duration = Duration::from_secs(2);

/// Why a flow ends.
#[derive(Debug)]
pub enum FlowEnd {
    /// The connection does not work; the machine may still have what comes next.
    Broken(Failure),
    /// The subscription is gone, or has lost something: begin it anew.
    Lost(Lost),
}

/// A subscription that does not go on.
#[derive(Debug)]
pub struct Lost {
    /// Its number at the machine.
    pub subscription: u32,
    /// Why, in plain words.
    pub why: String,
}

/// A subscription and how far it was heard.
#[derive(Debug)]
pub struct Flow {
    subscription: Subscribed,
    /// Number of the next message.
    next: u32,
    heard: Vec<u32>,
    /// Messages that came before one that is missing.
    early: BTreeMap<u32, Message>,
    ready: VecDeque<Message>,
    more: bool,
    told_to: Option<Timestamp>,
}

/// The number after another; there is no zero (Part 4 §7.26).
fn after(number: u32) -> u32 {
    number.checked_add(1).unwrap_or(1)
}

/// How far a number is ahead of another; what is behind is very far ahead.
fn ahead(number: u32, of: u32) -> u32 {
    match number >= of {
        true => number - of,
        // Numbers begin again at 1.
        false => number.wrapping_sub(of).wrapping_sub(1),
    }
}

impl Flow {
    /// The flow of a new subscription.
    pub fn new(subscription: Subscribed) -> Flow {
        Flow {
            subscription,
            next: 1,
            heard: Vec::new(),
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            more: false,
            told_to: None,
        }
    }

    /// Whether the machine has kept something that was not heard yet.
    pub fn has_more(&self) -> bool {
        self.more || !self.ready.is_empty()
    }

    /// Until when it has told everything, by the machine's clock; none where the machine does not say so. What has
    /// happened since may be on its way.
    pub fn told_to(&self) -> Option<Timestamp> {
        self.told_to
    }

    /// Its subscription.
    pub fn subscription(&self) -> &Subscribed {
        &self.subscription
    }

    /// After how long without a word a machine does not live any more: two keep-alives.
    pub fn silence(&self) -> Duration {
        let Subscribed { publishing, keep_alive, .. } = self.subscription;
        (publishing * keep_alive.saturating_mul(2)).max(SILENCE_MIN)
    }

    fn lost(&self, why: impl Into<String>) -> FlowEnd {
        FlowEnd::Lost(Lost { subscription: self.subscription.id, why: why.into() })
    }

    /// The next message that has nothing missing before it.
    pub(super) fn next_ready(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// Takes a message that was published; asks for those that are missing before it.
    pub(super) async fn hear(
        &mut self,
        session: &Session,
        message: Message,
        more: bool,
    ) -> Result<(), FlowEnd> {
        self.more = more;
        let sent = timestamp(&message.sent);
        let missing = self.take(message);
        if !missing.is_empty() {
            self.ask_again(session, missing).await?;
        }
        if !more && self.early.is_empty() {
            self.told_to = sent;
        }
        Ok(())
    }

    /// What may be told to the machine to be heard.
    pub(super) fn acknowledgements(&mut self) -> Vec<SubscriptionAcknowledgement> {
        let id = self.subscription.id;
        let heard = self.heard.drain(..);
        heard
            .map(|number| SubscriptionAcknowledgement {
                subscription_id: id,
                sequence_number: number,
            })
            .collect()
    }

    /// Takes a message; gives the numbers of those that are missing before it.
    fn take(&mut self, message: Message) -> Vec<u32> {
        let is_keep_alive = message.notifications.is_empty();
        let distance = ahead(message.sequence, self.next);
        if distance > u32::MAX / 2 {
            // It was heard before; the machine may forget it.
            if !is_keep_alive {
                self.heard.push(message.sequence);
            }
            return Vec::new();
        }
        let missing = self.missing_before(message.sequence, distance.min(AGAIN_MAX + 1));
        if !is_keep_alive {
            self.early.insert(message.sequence, message);
            self.settle();
        }
        missing
    }

    fn missing_before(&self, number: u32, distance: u32) -> Vec<u32> {
        let numbers = std::iter::successors(Some(self.next), |number| Some(after(*number)));
        let before = numbers.take(distance as usize).take_while(|one| *one != number);
        before.filter(|one| !self.early.contains_key(one)).collect()
    }

    /// Moves what has nothing missing before it to what is ready.
    fn settle(&mut self) {
        while let Some(message) = self.early.remove(&self.next) {
            self.heard.push(self.next);
            self.next = after(self.next);
            self.ready.push_back(message);
        }
    }

    /// Has messages told again that were not heard.
    async fn ask_again(&mut self, session: &Session, missing: Vec<u32>) -> Result<(), FlowEnd> {
        if missing.len() > AGAIN_MAX as usize || self.early.len() > WAITING_MAX {
            return Err(self.lost("too many messages of the machine were missed"));
        }
        for number in missing {
            match session.republish(self.subscription.id, number).await {
                Ok(message) => {
                    self.early.insert(number, message);
                }
                Err(failure) if failure.kind == FailureKind::Refused => {
                    let why = format!("the machine does not have message {number} any more");
                    return Err(self.lost(why));
                }
                Err(failure) => return Err(FlowEnd::Broken(failure)),
            }
        }
        self.settle();
        Ok(())
    }

    /// After a change of connection or session: hears what was told while nobody listened.
    pub async fn catch_up(&mut self, session: &Session) -> Result<(), FlowEnd> {
        for _ in 0..AGAIN_MAX {
            match session.republish(self.subscription.id, self.next).await {
                Ok(message) => {
                    self.early.insert(self.next, message);
                    self.settle();
                }
                Err(failure) if failure.kind != FailureKind::Refused => {
                    return Err(FlowEnd::Broken(failure));
                }
                Err(failure) if failure.status == StatusCode::BadSubscriptionIdInvalid => {
                    return Err(self.lost("the machine does not have the subscription any more"));
                }
                // There is none; a machine that cannot do this shows a gap in the numbers instead. What it
                // has kept in the queues of items comes with its next word.
                Err(_) => {
                    self.more = true;
                    return Ok(());
                }
            }
        }
        Err(self.lost("too many messages of the machine were missed"))
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::DateTime;

    use super::super::client::Notification;
    use super::*;

    fn flow() -> Flow {
        let publishing = Duration::from_millis(100);
        Flow::new(Subscribed { id: 1, publishing, keep_alive: 10, lifetime: 100 })
    }

    fn message(sequence: u32) -> Message {
        let notifications = vec![Notification::Changes(Vec::new())];
        Message { sequence, sent: DateTime::null(), notifications }
    }

    fn keep_alive(sequence: u32) -> Message {
        Message { sequence, sent: DateTime::null(), notifications: Vec::new() }
    }

    fn ready(flow: &mut Flow) -> Vec<u32> {
        flow.ready.drain(..).map(|message| message.sequence).collect()
    }

    #[test]
    fn messages_come_once_and_in_order_whatever_the_order_of_arrival() {
        let mut flow = flow();
        assert!(flow.take(message(1)).is_empty());
        assert_eq!(flow.take(message(4)), [2, 3]);
        assert_eq!(ready(&mut flow), [1]);
        assert_eq!(flow.take(message(3)), [2], "the third has come meanwhile");
        assert!(flow.take(message(2)).is_empty());
        assert_eq!(ready(&mut flow), [2, 3, 4]);
        assert!(flow.take(message(3)).is_empty());
        assert_eq!(ready(&mut flow), [0_u32; 0], "it was heard before");
        let heard: Vec<_> = flow.acknowledgements().iter().map(|a| a.sequence_number).collect();
        assert_eq!(heard, [1, 2, 3, 4, 3]);
    }

    #[test]
    fn a_keep_alive_shows_what_was_missed_and_takes_no_number() {
        let mut flow = flow();
        assert!(flow.take(keep_alive(1)).is_empty());
        assert_eq!(flow.take(keep_alive(3)), [1, 2]);
        assert!(flow.take(message(1)).is_empty());
        assert_eq!((ready(&mut flow), flow.next), (vec![1], 2));
        assert_eq!(flow.heard, [1]);
    }

    #[test]
    fn a_machine_is_silent_after_two_keep_alives() {
        assert_eq!(flow().silence(), Duration::from_secs(2));
        let slow = Subscribed { publishing: Duration::from_secs(2), ..*flow().subscription() };
        assert_eq!(Flow::new(slow).silence(), Duration::from_secs(40));
    }

    #[test]
    fn numbers_begin_again_at_one() {
        let mut flow = flow();
        flow.next = u32::MAX;
        assert_eq!(flow.take(message(2)), [u32::MAX, 1]);
        assert!(flow.take(message(1)) == [u32::MAX]);
        assert!(flow.take(message(u32::MAX)).is_empty());
        assert_eq!(ready(&mut flow), [u32::MAX, 1, 2]);
        assert_eq!(flow.next, 3);
    }
}
