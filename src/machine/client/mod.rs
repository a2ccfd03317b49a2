//! The OPC UA client: connections, sessions and services, for anything that speaks OPC UA.
//!
//! It stands on the same channel as our server and knows nothing of production. It distrusts every
//! machine until it has proved who it is, and bounds what it sends also afterwards.

mod answer;
mod attribute;
mod connection;
mod dialer;
mod endpoint;
mod failure;
mod greet;
mod identity;
mod limits;
mod open;
mod session;
mod subscription;
mod target;
mod vendor;
mod view;

pub use attribute::{Called, HistoryPage};
pub use connection::Connection;
pub use dialer::{Dialer, Found, PIN_MIN};
pub use failure::{Failure, FailureKind};
pub use identity::User;
pub use limits::Limits;
pub use session::{APPLICATION_URI, PATIENCE, Passport, Session};
pub use subscription::{Message, Notification, Published, Subscribed, Watching};
pub use target::{Credentials, Mode, Policy, Protection, Target, host_and_port};
pub use vendor::Vendor;
pub use view::{Browsed, REFERENCES_MAX};
