//! Peers that the OPC UA server has turned away, counted by reason since the start.
//!
//! These are not facts about production; they are for whoever watches over the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a peer was turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There were too many connections.
    ConnectionsFull,
    /// Its address had too many connections.
    AddressFull,
    /// Too many connections came at once.
    TooFast,
    /// Its address had made too many errors.
    Banned,
    /// It was too slow.
    TooSlow,
    /// Its certificate is not accepted.
    Certificate,
    /// It wanted a security policy or mode that is not offered.
    Policy,
    /// A signature or cipher was wrong.
    Security,
    /// It sent more than was agreed.
    TooLarge,
    /// It broke the protocol in another way.
    Protocol,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Refusal; 10] = [
        Refusal::ConnectionsFull,
        Refusal::AddressFull,
        Refusal::TooFast,
        Refusal::Banned,
        Refusal::TooSlow,
        Refusal::Certificate,
        Refusal::Policy,
        Refusal::Security,
        Refusal::TooLarge,
        Refusal::Protocol,
    ];

    /// Name of the reason, and what it means.
    pub fn texts(self) -> (&'static str, &'static str) {
        match self {
            Refusal::ConnectionsFull => ("ConnectionsFull", "There were too many connections."),
            Refusal::AddressFull => ("AddressFull", "The address had too many connections."),
            Refusal::TooFast => ("TooFast", "Too many connections came at once."),
            Refusal::Banned => ("Banned", "The address had made too many errors."),
            Refusal::TooSlow => ("TooSlow", "The peer was too slow."),
            Refusal::Certificate => ("Certificate", "The certificate is not accepted."),
            Refusal::Policy => ("Policy", "The security policy or mode is not offered."),
            Refusal::Security => ("Security", "A signature or cipher was wrong."),
            Refusal::TooLarge => ("TooLarge", "The peer sent more than was agreed."),
            Refusal::Protocol => ("Protocol", "The peer broke the protocol."),
        }
    }
}

/// Counts by reason.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<[AtomicU64; Refusal::ALL.len()]>);

impl Refusals {
    /// Counts another one.
    pub fn count(&self, refusal: Refusal) {
        self.0[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there have been.
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_count() {
        let refusals = Refusals::default();
        for (refusal, times) in Refusal::ALL.into_iter().zip(1..) {
            (0..times).for_each(|_| refusals.count(refusal));
        }
        let counts: Vec<_> = Refusal::ALL.into_iter().map(|one| refusals.of(one)).collect();
        assert_eq!(counts, (1..=10).collect::<Vec<_>>());
    }
}
