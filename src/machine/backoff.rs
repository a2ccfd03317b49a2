//! Waits between attempts to connect: at once after a connection that worked, then doubling up to a
//! minute, with jitter, for ever.

use std::time::Duration;

/// Not even the first attempt is made by all machines at the same time.
const AT_ONCE: Duration = Duration::from_millis(100);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// A connection that ended sooner may end as soon again.
const WORKED: Duration = Duration::from_secs(5);

/// The next wait.
pub struct Backoff {
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// Starts with a short wait; the seed sets machines of one plant apart.
    pub fn new(seed: u64) -> Self {
        Backoff { next: FIRST, random: fastrand::Rng::with_seed(seed) }
    }

    /// Between half of the present step and all of it; the next step is twice as long.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next.mul_f64(0.5 + self.random.f64() / 2.0);
        self.next = (self.next * 2).clamp(FIRST, LONGEST);
        wait
    }

    /// Begins anew after a connection that worked; one that did not work for long is not called again
    /// at once.
    pub fn reset(&mut self, worked: Duration) {
        self.next = if worked >= WORKED { AT_ONCE } else { FIRST };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_never_end() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..100).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[20..].iter().all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST));
        backoff.reset(WORKED);
        assert!(backoff.wait() <= AT_ONCE);
        for _ in 0..3 {
            backoff.reset(Duration::from_secs(1));
            let wait = backoff.wait();
            assert!(wait >= FIRST / 2 && wait <= FIRST);
        }
    }
}
