//! Chance that can be repeated: everything a storm decides follows from one number.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that repeats a storm.
const SEED: &str = "SANDGATE_STORM_SEED";

/// The seed that was asked for, or one that nobody has seen yet.
pub(super) fn seed() -> u64 {
    let asked = crate::setting(SEED).map(|seed| seed.to_string_lossy().parse().expect("a seed is a number"));
    asked.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        // A number that is easily typed again.
        Dice::new(u64::try_from(now.as_micros()).unwrap_or_default()).below(1_000_000_000)
    })
}

/// Steele and others' `splitmix64`.
pub(super) struct Dice(u64);

impl Dice {
    /// The same seed throws the same numbers.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one that goes its own way, so that what one worker does changes nothing for the next.
    pub(super) const fn fork(&mut self) -> Self {
        Self(self.throw())
    }

    /// Any number.
    const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        self.throw() % end
    }

    /// The number of one of `count` things.
    pub(super) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).expect("it is below a number that fits")
    }

    /// True in so many of a hundred throws.
    pub(super) const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_covers_all() {
        let throws = |seed| {
            let mut dice = Dice::new(seed);
            std::iter::repeat_with(|| dice.below(6)).take(200).collect::<Vec<_>>()
        };
        assert_eq!(throws(1), throws(1));
        assert_ne!(throws(1), throws(2));
        assert!((0..6).all(|face| throws(1).contains(&face)), "{:?}", throws(1));
    }
}
