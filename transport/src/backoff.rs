//! How long to wait before the next attempt: doubling, capped, and never in step with anybody else.

use std::time::Duration;

use rand::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, failures: 0 }
    }

    /// The wait after one more failure: drawn evenly from the upper half of `least × 2^failures`, at most `most`.
    pub(crate) fn next(&mut self, random: &mut impl Rng) -> Duration {
        let ceiling = self.least.saturating_mul(1 << self.failures.min(31)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.gen_range(0.5..=1.0))
    }

    /// Begins again, after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_begin_again_after_success() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for ceiling_ms in [100u64, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next(&mut random);
            assert!(wait <= Duration::from_millis(ceiling_ms) && wait * 2 >= Duration::from_millis(ceiling_ms));
        }
        (0..100).for_each(|_| assert!(backoff.next(&mut random) <= Duration::from_secs(1)));
        backoff.reset();
        assert!(backoff.next(&mut random) <= Duration::from_millis(100));
    }

    #[test]
    fn two_nodes_do_not_wait_in_step() {
        let wait = |seed| {
            Backoff::new(Duration::from_secs(1), Duration::from_secs(1)).next(&mut ChaCha8Rng::seed_from_u64(seed))
        };
        assert_ne!(wait(1), wait(2));
    }
}
