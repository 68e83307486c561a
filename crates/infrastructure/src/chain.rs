//! The chain of the log of events: how an event is hashed, and how a log is checked. `docs/events.md` says the same for
//! those who check it with programs of their own.

use aws_lc_rs::digest::{Context, SHA256};
use sandgate_core::{EventHash, Head, Recorded};

/// What is hashed first, so that a hash of ours is never one of something else.
const DOMAIN: &[u8] = b"sandgate event 1\n";

/// The hash of `event` in a log whose last hash is `before`. The event's own hash takes no part.
pub(crate) fn link(before: &EventHash, event: &Recorded) -> EventHash {
    let mut hash = Context::new(&SHA256);
    hash.update(DOMAIN);
    hash.update(&before.0);
    hash.update(&event.seq.to_be_bytes());
    hash.update(&event.at.as_millis().to_be_bytes());
    for text in [&event.organization, &event.sandbox, &event.kind, &event.actor] {
        update_text(&mut hash, text);
    }
    hash.update(&[u8::from(event.detail.is_some())]);
    if let Some(detail) = &event.detail {
        update_text(&mut hash, detail);
    }
    EventHash(hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// The length goes before the text: nothing can move from one field into the next.
fn update_text(hash: &mut Context, text: &str) {
    hash.update(&(text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

/// What is wrong with a log. The first that is found is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Events that were there are not.
    #[error("events {from} to {to} are missing")]
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// An event stands where another belongs.
    #[error("event {seq} stands after event {after}")]
    OutOfOrder {
        /// The event.
        seq: u64,
        /// The one before it.
        after: u64,
    },
    /// An event is not what was written.
    #[error("event {seq} does not fit its hash and the events before it: it was changed, or put there later")]
    Changed {
        /// The event.
        seq: u64,
    },
    /// An event holds what is never written.
    #[error("event {seq} cannot be read: {why}")]
    Unreadable {
        /// The event.
        seq: u64,
        /// What is in the way.
        why: String,
    },
    /// The end is missing.
    #[error("the log ends with event {last}, and event {known} was there: the end was cut off")]
    Cut {
        /// The last event.
        last: u64,
        /// The event that is known to have been there.
        known: u64,
    },
    /// The log fits itself, but not what is known of it.
    #[error("event {seq} has another hash than the one that is known: the log was written anew")]
    Rewritten {
        /// The event.
        seq: u64,
    },
    /// What is known lies before all that is left.
    #[error("event {seq} is older than this log, so that its hash cannot be compared")]
    TooOld {
        /// The event.
        seq: u64,
    },
}

/// A log that is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// How many events there are.
    pub count: u64,
    /// The first of them; none in an empty log.
    pub first: Option<u64>,
    /// Where the log ends; none in an empty one that says nothing of what was before.
    pub head: Option<Head>,
}

/// Checks a log, event by event, in constant memory.
#[derive(Debug)]
pub struct Verifier {
    known: Option<Head>,
    met: bool,
    sound: Sound,
}

impl Verifier {
    /// A log that begins after `start`; where that is not known, its first event is believed. It must contain `known`,
    /// if that is given.
    pub fn new(start: Option<Head>, known: Option<Head>) -> Self {
        let met = known.is_none() || known == start;
        Self { known, met, sound: Sound { count: 0, first: None, head: start } }
    }

    /// Takes the next event.
    pub fn take(&mut self, event: &Recorded) -> Result<(), Damage> {
        if let Some(before) = self.sound.head {
            follows(before, event)?;
        }
        if let Some(known) = self.known.filter(|known| known.seq == event.seq) {
            if known != event.head() {
                return Err(Damage::Rewritten { seq: event.seq });
            }
            self.met = true;
        }
        self.sound.count += 1;
        self.sound.first.get_or_insert(event.seq);
        self.sound.head = Some(event.head());
        Ok(())
    }

    /// The log ends here.
    pub fn finish(self) -> Result<Sound, Damage> {
        let last = self.sound.head.map_or(0, |head| head.seq);
        match self.known.filter(|_| !self.met) {
            None => Ok(self.sound),
            Some(known) if known.seq > last => Err(Damage::Cut { last, known: known.seq }),
            Some(known) => Err(Damage::TooOld { seq: known.seq }),
        }
    }
}

fn follows(before: Head, event: &Recorded) -> Result<(), Damage> {
    let (seq, due) = (event.seq, before.seq.saturating_add(1));
    if seq > due {
        return Err(Damage::Missing { from: due, to: seq - 1 });
    }
    if seq < due {
        return Err(Damage::OutOfOrder { seq, after: before.seq });
    }
    if link(&before.hash, event) == event.hash { Ok(()) } else { Err(Damage::Changed { seq }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sandgate_core::Timestamp;

    fn log(details: &[Option<String>]) -> Vec<Recorded> {
        let mut head = Head::BEGINNING;
        let next = |detail: &Option<String>| {
            let seq = head.seq + 1;
            let mut event = Recorded {
                seq,
                at: Timestamp::from_millis(1_800_000_000_000),
                organization: "o".to_owned(),
                sandbox: "s".to_owned(),
                kind: "k".to_owned(),
                actor: "a".to_owned(),
                detail: detail.clone(),
                hash: head.hash,
            };
            event.hash = link(&head.hash, &event);
            head = event.head();
            event
        };
        details.iter().map(next).collect()
    }

    fn verify(log: &[Recorded], known: Option<Head>) -> Result<Sound, Damage> {
        let mut verifier = Verifier::new(Some(Head::BEGINNING), known);
        log.iter().try_for_each(|event| verifier.take(event))?;
        verifier.finish()
    }

    fn any_log() -> impl Strategy<Value = Vec<Recorded>> {
        prop::collection::vec(prop::option::of("[ab]{0,2}"), 2..12).prop_map(|details| log(&details))
    }

    /// Another value in one of the fields.
    fn change(event: &mut Recorded, field: usize) {
        match field {
            0 => event.at = Timestamp::from_millis(event.at.as_millis() + 1),
            1 => event.organization.push('x'),
            2 => event.sandbox.push('x'),
            3 => event.kind.push('x'),
            4 => event.actor.push('x'),
            5 => event.detail = event.detail.take().xor(Some(String::new())),
            6 => event.hash.0[31] ^= 1,
            // The border between two fields.
            _ => {
                let moved = event.kind.pop().expect("a kind");
                event.actor.insert(0, moved);
            }
        }
    }

    proptest! {
        #[test]
        fn a_log_is_sound_as_it_was_written(log in any_log()) {
            let sound = verify(&log, log.last().map(Recorded::head)).expect("sound");
            prop_assert_eq!((sound.count, sound.first), (log.len() as u64, Some(1)));
        }

        #[test]
        fn a_change_is_found_where_it_was_made(mut log in any_log(), at: prop::sample::Index, field in 0..8_usize) {
            let at = at.index(log.len());
            change(&mut log[at], field);
            prop_assert_eq!(verify(&log, None), Err(Damage::Changed { seq: at as u64 + 1 }));
        }

        #[test]
        fn a_change_with_a_new_hash_is_found_behind_it(mut log in any_log(), at: prop::sample::Index) {
            let at = at.index(log.len() - 1);
            change(&mut log[at], 4);
            let before = at.checked_sub(1).map_or(Head::BEGINNING, |before| log[before].head());
            log[at].hash = link(&before.hash, &log[at]);
            prop_assert_eq!(verify(&log, None), Err(Damage::Changed { seq: at as u64 + 2 }));
        }

        #[test]
        fn a_deletion_is_found_where_it_was_made(mut log in any_log(), at: prop::sample::Index) {
            let at = at.index(log.len() - 1);
            let gone = log.remove(at).seq;
            prop_assert_eq!(verify(&log, None), Err(Damage::Missing { from: gone, to: gone }));
        }

        #[test]
        fn two_lines_that_changed_places_are_found(mut log in any_log(), at: prop::sample::Index) {
            let at = at.index(log.len() - 1);
            log.swap(at, at + 1);
            let seq = at as u64 + 1;
            prop_assert_eq!(verify(&log, None), Err(Damage::Missing { from: seq, to: seq }));
        }

        #[test]
        fn two_rows_that_changed_places_are_found(mut log in any_log(), at: prop::sample::Index) {
            let at = at.index(log.len() - 1);
            log.swap(at, at + 1);
            (log[at].seq, log[at + 1].seq) = (log[at + 1].seq, log[at].seq);
            prop_assert_eq!(verify(&log, None), Err(Damage::Changed { seq: at as u64 + 1 }));
        }

        #[test]
        fn a_cut_end_is_found_by_a_known_head_alone(mut log in any_log()) {
            let head = log.pop().expect("an event").head();
            let last = log.len() as u64;
            prop_assert!(verify(&log, None).is_ok());
            prop_assert_eq!(verify(&log, Some(head)), Err(Damage::Cut { last, known: head.seq }));
        }

        #[test]
        fn a_log_written_anew_is_found_by_a_known_head(first in any_log(), second in any_log()) {
            let known = first[0].head();
            prop_assume!(first[0] != second[0]);
            prop_assert_eq!(verify(&second, Some(known)), Err(Damage::Rewritten { seq: 1 }));
        }
    }

    /// The encoding is a promise to others: this is the hash of one event, computed by a program that is not ours.
    #[test]
    fn the_encoding_is_the_one_in_the_manual() {
        let event = &log(&[Some("why".to_owned())])[0];
        assert_eq!(
            event.hash.to_string(),
            "928aa14596b206e7a7512bf9beebceae936e2906b1e0509080305f6258339855"
        );
    }
}
