//! How long to wait, and how often to try.

use super::error::Fault;
use std::time::{Duration, Instant};

/// Bounds of a download. Every wait is finite, and so is the number of them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time for a connection to stand.
    pub connect: Duration,
    /// Time for the head of an answer to come.
    pub respond: Duration,
    /// Time over which the rate of a body is judged; also the longest silence.
    pub window: Duration,
    /// Bytes that must come in each window.
    pub min_window_bytes: u64,
    /// Redirects that are followed.
    pub max_redirects: u32,
    /// Requests in a row that may fail without the file growing by [`Self::growth_bytes`].
    pub max_failures: u32,
    /// What counts as growth.
    pub growth_bytes: u64,
    /// Wait after the first failure; doubles with each further one.
    pub first_wait: Duration,
    /// No wait is longer, whatever the server asks for.
    pub max_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            respond: Duration::from_secs(60),
            window: Duration::from_secs(30),
            min_window_bytes: 64 << 10,
            max_redirects: 10,
            max_failures: 8,
            growth_bytes: 1 << 20,
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// Wait after so many failures in a row, at least 1; a server's own wish replaces the usual time.
    pub(super) fn wait_after(&self, n_failures: u32, wish: Option<Duration>) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << n_failures.saturating_sub(1).min(16));
        wish.unwrap_or(doubled).min(self.max_wait)
    }
}

/// Whether a body comes fast enough: a server that sends a byte a second is not alive.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    received: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, received: 0 }
    }

    /// Counts bytes that came just now.
    ///
    /// **Errors**: the window is over and too little came in it.
    pub(super) fn note(&mut self, n_bytes: usize, now: Instant, limits: &Limits) -> Result<(), Fault> {
        self.received += n_bytes as u64;
        if now.duration_since(self.since) < limits.window {
            return Ok(());
        }
        if self.received < limits.min_window_bytes {
            return Err(Fault::TooSlow { received: self.received, window: limits.window });
        }
        *self = Self::new(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_with_too_little_in_it_is_too_slow() {
        let limits = Limits { window: Duration::from_secs(10), min_window_bytes: 100, ..Limits::default() };
        let begin = Instant::now();
        let at = |s: u64| begin + Duration::from_secs(s);
        let mut pace = Pace::new(begin);
        // Few bytes at first are no fault yet, and what a window has too much does not help the next.
        assert_eq!(pace.note(1, at(9), &limits), Ok(()));
        assert_eq!(pace.note(1000, at(10), &limits), Ok(()));
        assert_eq!(pace.note(99, at(19), &limits), Ok(()));
        assert_eq!(
            pace.note(0, at(20), &limits),
            Err(Fault::TooSlow { received: 99, window: limits.window })
        );
    }

    #[test]
    fn waits_double_up_to_a_bound_which_holds_for_a_servers_wish_too() {
        let limits = Limits::default();
        let seconds: Vec<u64> = (1..=9).map(|n| limits.wait_after(n, None).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(limits.wait_after(u32::MAX, None).as_secs(), 120);
        assert_eq!(limits.wait_after(1, Some(Duration::from_secs(7))).as_secs(), 7);
        assert_eq!(limits.wait_after(1, Some(Duration::from_secs(86_400))).as_secs(), 120);
    }
}
