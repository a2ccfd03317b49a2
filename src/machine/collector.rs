//! Takes notifications off the stack's task. A panic or a wait here would stop the session without a word, so
//! there is neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opcua::client::{MonitoredItem, OnSubscriptionNotification};
use opcua::types::{DataValue, StatusChangeNotification};
use tokio::sync::mpsc;

/// A value of an item, by its place in the configuration.
pub struct Arrived {
    /// The place.
    pub item: usize,
    /// The value.
    pub value: DataValue,
}

/// Takes notifications off the session's task without ever blocking it.
pub struct Collector {
    /// Where they go.
    pub values: mpsc::Sender<Arrived>,
    /// Whether some could not go there, or none will come any more.
    pub overflowed: Arc<AtomicBool>,
}

impl OnSubscriptionNotification for Collector {
    fn on_data_value(&mut self, notification: DataValue, item: &MonitoredItem) {
        let Some(index) = (item.client_handle() as usize).checked_sub(1) else {
            return;
        };
        let arrived = Arrived { item: index, value: notification };
        if self.values.try_send(arrived).is_err() {
            self.overflowed.store(true, Ordering::Relaxed);
        }
    }

    fn on_subscription_status_change(&mut self, _: StatusChangeNotification) {
        // The machine has ended the subscription: nothing more will arrive.
        self.overflowed.store(true, Ordering::Relaxed);
    }
}
