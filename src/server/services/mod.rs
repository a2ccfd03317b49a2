//! The services: sessions, attributes, views, methods, subscriptions, history (Part 4).
//!
//! They know requests and responses, and a [`Space`] to answer from; they know nothing of plants and
//! nothing of sockets, so each part can be tested alone.

mod attribute;
mod audit;
mod diagnostics;
mod discovery;
mod dispatch;
mod encode;
mod event_history;
mod filter;
mod handler;
mod history;
mod hub;
mod identity;
mod item;
mod item_creation;
mod item_services;
mod item_watch;
mod items;
mod logon;
mod method;
mod publish;
mod queue;
mod refresh;
mod registry;
mod request;
mod respond;
mod session;
mod sessions;
mod share;
mod subscription;
mod subscription_services;
mod view;

pub use discovery::Endpoints;
pub use hub::{Hub, Spot};
pub use identity::Logons;

use std::sync::Arc;

use opcua::types::{Context, ContextOwned, DateTime};

use self::diagnostics::Counts;
use self::publish::Surroundings;
use self::registry::Registry;
use self::sessions::Sessions;
use super::limits::Limits;
use super::space::{Event, Space};
use crate::app::clock::Clock;
use crate::app::refusals::Refusals;
use crate::channel::pki::OwnIdentity;
use crate::channel::time::now_date_time;

/// What the services are made of.
pub struct Services {
    space: Arc<dyn Space>,
    hub: Arc<Hub>,
    sessions: Sessions,
    registry: Registry,
    endpoints: Endpoints,
    logons: Logons,
    own: Arc<OwnIdentity>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    context: ContextOwned,
    counts: Counts,
    refusals: Refusals,
    /// The command that trusts a certificate, without its id.
    trust_command: String,
}

/// What services need of the world around them.
pub struct Setup {
    /// What nodes there are.
    pub space: Arc<dyn Space>,
    /// What endpoints there are.
    pub endpoints: Endpoints,
    /// Who may log on.
    pub logons: Logons,
    /// Our certificate and key.
    pub own: Arc<OwnIdentity>,
    /// Limits.
    pub limits: Limits,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How things are encoded.
    pub context: ContextOwned,
    /// Where peers that are turned away are counted.
    pub refusals: Refusals,
    /// The command that trusts a certificate, without its id.
    pub trust_command: String,
}

/// What clients have taken up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Sessions, with those that nobody has logged on to yet.
    pub sessions: usize,
    /// Subscriptions, with those whose session is gone.
    pub subscriptions: usize,
    /// Monitored items.
    pub items: usize,
}

impl Services {
    /// Services without any session.
    pub fn new(setup: Setup) -> Arc<Services> {
        Arc::new(Services {
            space: setup.space,
            hub: Arc::default(),
            sessions: Sessions::new(setup.limits.sessions),
            registry: Registry::new(&setup.limits.subscriptions),
            endpoints: setup.endpoints,
            logons: setup.logons,
            own: setup.own,
            limits: setup.limits,
            clock: setup.clock,
            context: setup.context,
            counts: Counts::default(),
            refusals: setup.refusals,
            trust_command: setup.trust_command,
        })
    }

    /// Who watches what.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Tells those who watch of an event.
    pub fn emit(&self, event: &Event) {
        self.hub.emit(&*self.space, event);
    }

    /// What clients have taken up at the moment.
    pub fn usage(&self) -> Usage {
        Usage {
            sessions: self.sessions.count(),
            subscriptions: self.registry.counts().0,
            items: self.hub.items(),
        }
    }

    fn now(&self) -> DateTime {
        now_date_time(&*self.clock)
    }

    /// What answers to publish requests need.
    fn around<'a>(&'a self, context: &'a Context<'a>) -> Surroundings<'a> {
        Surroundings { clock: &*self.clock, context, limits: &self.limits.subscriptions }
    }
}
