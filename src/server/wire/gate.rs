//! Who may connect: connections in all and from one address, new ones a second, and bans.
//!
//! It knows addresses and times only. Its memory is bounded: an address is forgotten when nothing
//! of it matters any more, and at the latest when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::app::refusals::Refusal;

/// Addresses that are remembered at most.
const ADDRESSES_MAX: usize = 4096;

/// How many may connect.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// New connections a second, over all addresses.
    pub rate: f64,
    /// New connections that may come at once.
    pub burst: f64,
    /// Errors of protocol after which an address is banned.
    pub errors: u32,
    /// How long.
    pub ban: Duration,
}

/// Why a connection is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotAdmitted {
    /// There are too many connections.
    Full,
    /// The address has too many.
    AddressFull,
    /// Too many come at once.
    TooFast,
    /// The address has made too many errors.
    Banned,
}

impl NotAdmitted {
    /// The reason as it is counted.
    pub fn refusal(self) -> Refusal {
        match self {
            NotAdmitted::Full => Refusal::ConnectionsFull,
            NotAdmitted::AddressFull => Refusal::AddressFull,
            NotAdmitted::TooFast => Refusal::TooFast,
            NotAdmitted::Banned => Refusal::Banned,
        }
    }

    /// A sentence for the log and the peer.
    pub fn reason(self) -> &'static str {
        match self {
            NotAdmitted::Full => "too many connections",
            NotAdmitted::AddressFull => "too many connections from this address",
            NotAdmitted::TooFast => "too many new connections at once",
            NotAdmitted::Banned => "this address has made too many protocol errors; it waits",
        }
    }
}

#[derive(Debug, Default)]
struct Peer {
    connections: usize,
    errors: u32,
    last_error: Option<Instant>,
    banned_until: Option<Instant>,
}

/// Counts connections.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    peers: HashMap<IpAddr, Peer>,
    connections: usize,
    tokens: f64,
    refilled: Instant,
}

/// One machine of IPv6 has a whole /64; it counts as one address.
fn peer_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        },
    }
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(now: Instant, limits: GateLimits) -> Gate {
        Gate { limits, peers: HashMap::new(), connections: 0, tokens: limits.burst, refilled: now }
    }

    /// Lets a connection in; [`Gate::leave`] must follow.
    pub fn enter(&mut self, now: Instant, address: IpAddr) -> Result<(), NotAdmitted> {
        let address = peer_of(address);
        let elapsed = now.duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.limits.rate).min(self.limits.burst);
        self.refilled = now;
        let known = self.peers.get(&address);
        if known.and_then(|peer| peer.banned_until).is_some_and(|until| now < until) {
            return Err(NotAdmitted::Banned);
        }
        if self.connections >= self.limits.connections {
            return Err(NotAdmitted::Full);
        }
        let of_address = known.map_or(0, |peer| peer.connections);
        if of_address >= self.limits.connections_per_address {
            return Err(NotAdmitted::AddressFull);
        }
        if self.tokens < 1.0 {
            return Err(NotAdmitted::TooFast);
        }
        self.tokens -= 1.0;
        self.connections += 1;
        self.peers.entry(address).or_default().connections += 1;
        self.forget(now);
        Ok(())
    }

    /// A connection has ended.
    pub fn leave(&mut self, address: IpAddr) {
        self.connections = self.connections.saturating_sub(1);
        let address = peer_of(address);
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.connections = peer.connections.saturating_sub(1);
            if peer.connections == 0 && peer.errors == 0 && peer.banned_until.is_none() {
                self.peers.remove(&address);
            }
        }
    }

    /// A peer has broken the protocol. Says whether it is banned now.
    pub fn error(&mut self, now: Instant, address: IpAddr) -> bool {
        let peer = self.peers.entry(peer_of(address)).or_default();
        // Errors of long ago are no attack.
        if peer.last_error.is_some_and(|last| now.duration_since(last) > self.limits.ban) {
            peer.errors = 0;
        }
        peer.errors += 1;
        peer.last_error = Some(now);
        if peer.errors < self.limits.errors {
            return false;
        }
        peer.errors = 0;
        peer.banned_until = Some(now + self.limits.ban);
        true
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Drops addresses of which nothing matters any more.
    fn forget(&mut self, now: Instant) {
        if self.peers.len() < ADDRESSES_MAX {
            return;
        }
        let ban = self.limits.ban;
        self.peers.retain(|_, peer| {
            let is_banned = peer.banned_until.is_some_and(|until| now < until);
            let is_recent = peer.last_error.is_some_and(|last| now.duration_since(last) <= ban);
            peer.connections > 0 || is_banned || is_recent
        });
        if self.peers.len() >= ADDRESSES_MAX {
            self.peers.retain(|_, peer| peer.connections > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GateLimits = GateLimits {
        connections: 5,
        connections_per_address: 2,
        rate: 10.0,
        burst: 4.0,
        errors: 5,
        ban: Duration::from_secs(60),
    };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn an_address_has_its_share_and_all_together_theirs() {
        let mut now = Instant::now();
        let mut gate = Gate::new(now, LIMITS);
        assert_eq!(gate.enter(now, address(1)), Ok(()));
        assert_eq!(gate.enter(now, address(1)), Ok(()));
        assert_eq!(gate.enter(now, address(1)), Err(NotAdmitted::AddressFull));
        assert_eq!(gate.enter(now, address(2)), Ok(()));
        assert_eq!(gate.enter(now, address(3)), Ok(()));
        assert_eq!(gate.enter(now, address(4)), Err(NotAdmitted::TooFast));
        now += Duration::from_secs(1);
        assert_eq!(gate.enter(now, address(4)), Ok(()));
        assert_eq!(gate.enter(now, address(5)), Err(NotAdmitted::Full));
        gate.leave(address(1));
        assert_eq!(gate.enter(now, address(1)), Ok(()));
        assert_eq!(gate.connections(), 5);
    }

    #[test]
    fn five_errors_ban_for_a_minute_and_only_that_address() {
        let now = Instant::now();
        let mut gate = Gate::new(now, LIMITS);
        let banned: Vec<_> = (0..5).map(|_| gate.error(now, address(1))).collect();
        assert_eq!(banned, [false, false, false, false, true]);
        assert_eq!(gate.enter(now, address(1)), Err(NotAdmitted::Banned));
        assert_eq!(gate.enter(now, address(2)), Ok(()));
        assert_eq!(gate.enter(now + LIMITS.ban, address(1)), Ok(()));
    }

    #[test]
    fn memory_does_not_grow_with_addresses() {
        let now = Instant::now();
        let limits = GateLimits { connections: 1, rate: 1e9, burst: 1e9, ..LIMITS };
        let mut gate = Gate::new(now, limits);
        for number in 0..20_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            gate.error(now, address);
            if gate.enter(now, address).is_ok() {
                gate.leave(address);
            }
        }
        assert!(gate.peers.len() <= ADDRESSES_MAX, "{}", gate.peers.len());
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        assert_eq!(peer_of(v6(1)), peer_of(v6(2)));
    }
}
