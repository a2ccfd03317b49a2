//! The wire: from a listening socket to whole requests of a secure channel, and back.
//!
//! It judges every byte before it costs anything ([`admission`], [`gate`]), knows nothing of
//! sessions, services or nodes, and hands requests to a [`Handler`].

pub mod admission;
mod connection;
mod encode;
pub mod gate;
mod handler;
mod listener;
mod open;

pub use crate::channel::assemble::{Budget, MessageLimits};
pub use connection::OUTGOING_MAX;
pub use handler::{ChannelInfo, Handler, Outgoing, Reply};
pub use listener::listen;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use opcua::crypto::SecurityPolicy;
use opcua::types::{ContextOwned, MessageSecurityMode, NamespaceMap};
use tokio::sync::Semaphore;

use self::admission::AdmissionLimits;
use self::gate::{Gate, GateLimits};
use crate::app::clock::Clock;
use crate::channel::decode::raw_context;
use crate::channel::pki::{OwnIdentity, TrustList};
use crate::domain::time::TICKS_PER_SECOND;

/// Requests with many operations that are worked on at once.
const LARGE_AT_ONCE: usize = 8;
/// Proofs of identity that are checked at once: each costs a private key operation.
const PROOFS_AT_ONCE: usize = 2;

/// Limits of the wire.
#[derive(Clone, Copy, Debug)]
pub struct WireLimits {
    /// Who may connect.
    pub gate: GateLimits,
    /// What one connection may send.
    pub admission: AdmissionLimits,
    /// Messages of a client that has logged on.
    pub message: MessageLimits,
    /// Messages before that.
    pub early_message: MessageLimits,
    /// Bytes of unfinished messages over all connections.
    pub budget: usize,
}

/// What all connections share.
pub struct Wire {
    limits: WireLimits,
    gate: Mutex<Gate>,
    budget: Budget,
    offered: Vec<(SecurityPolicy, MessageSecurityMode)>,
    own: RwLock<Arc<OwnIdentity>>,
    trust: TrustList,
    proofs: Semaphore,
    /// Requests with many operations that are worked on at once.
    large: Arc<Semaphore>,
    handler: Arc<dyn Handler>,
    clock: Arc<dyn Clock>,
    context: ContextOwned,
    early_context: ContextOwned,
    ids: AtomicU32,
}

/// Certificates of both sides.
pub struct Identities {
    /// Ours.
    pub own: Arc<OwnIdentity>,
    /// Those that we trust.
    pub trust: TrustList,
}

impl Wire {
    /// A wire that offers these pairs of policy and mode.
    pub fn new(
        limits: WireLimits,
        offered: Vec<(SecurityPolicy, MessageSecurityMode)>,
        identities: Identities,
        context: ContextOwned,
        handler: Arc<dyn Handler>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Wire> {
        Arc::new(Wire {
            gate: Mutex::new(Gate::new(Instant::now(), limits.gate)),
            budget: Budget::new(limits.budget),
            limits,
            offered,
            own: RwLock::new(identities.own),
            trust: identities.trust,
            proofs: Semaphore::new(PROOFS_AT_ONCE),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            handler,
            clock,
            context,
            early_context: raw_context(NamespaceMap::new(), encode::early_options()),
            // Ids begin where nobody guesses them.
            ids: AtomicU32::new(fastrand::u32(1..1 << 30)),
        })
    }

    /// Whether a policy is offered, with a mode or with any.
    fn offers(&self, policy: SecurityPolicy, mode: Option<MessageSecurityMode>) -> bool {
        // Discovery works without security; what else may be asked there is for the services.
        if policy == SecurityPolicy::None {
            return mode.is_none_or(|mode| mode == MessageSecurityMode::None);
        }
        let mut offered = self.offered.iter();
        offered.any(|(p, m)| *p == policy && mode.is_none_or(|mode| mode == *m))
    }

    fn own(&self) -> Arc<OwnIdentity> {
        self.own.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn now_seconds(&self) -> i64 {
        self.clock.now().ticks().div_euclid(TICKS_PER_SECOND)
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
