//! Numbers that look random and are the same for the same seed, on every machine and in every version.

use std::time::Duration;

/// The generator of Steele, Lea and Flood ("SplitMix64"): eight lines, and good enough to spread load.
#[derive(Clone)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Numbers of their own for one of several users of the same seed.
    pub(crate) fn branch(&self, number: u64) -> Self {
        let mut branch = Self(self.0 ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        branch.next();
        branch
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end).expect("it is below a usize")
    }

    /// A waiting time as of people who come independently of each other: `mean` on average, at most eight times that.
    pub(crate) fn pause(&mut self, mean: Duration) -> Duration {
        let upper = u32::try_from(self.next() >> 32).expect("32 bits are left");
        let uniform = (f64::from(upper) + 1.0) / (f64::from(u32::MAX) + 1.0);
        mean.mul_f64((-uniform.ln()).min(8.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_the_published_algorithm() {
        let mut seed = Seed::new(0);
        assert_eq!([seed.next(), seed.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn pauses_have_their_mean() {
        let (mut seed, mean) = (Seed::new(7), Duration::from_millis(50));
        let all: Duration = (0..10_000).map(|_| seed.pause(mean)).sum();
        let average = all / 10_000;
        assert!(average > mean.mul_f64(0.95) && average < mean.mul_f64(1.05), "{average:?}");
    }
}
