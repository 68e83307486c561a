//! The words that stand in the ledger for the core's enums. They are part of its format and never change.

use sandgate_core::{Desired, Network, Observed, ProviderKind};

/// An enum that the ledger writes as a word.
pub(super) trait Word: Copy + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The word for it.
    fn word(self) -> &'static str;

    /// The value behind a word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }
}

impl Word for Desired {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

impl Word for Observed {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Absent => "absent",
        }
    }
}

impl Word for Network {
    const ALL: &'static [Self] = &[Self::None];

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
        }
    }
}

impl Word for ProviderKind {
    const ALL: &'static [Self] = &[Self::Container];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn check<W: Word + Debug + PartialEq>() {
        for value in W::ALL {
            assert_eq!(W::from_word(value.word()), Some(*value));
        }
        assert_eq!(W::from_word("no such word"), None);
    }

    #[test]
    fn words_lead_back_to_their_values() {
        check::<Desired>();
        check::<Observed>();
        check::<Network>();
        check::<ProviderKind>();
    }
}
