//! How much memory what is held of one kind may take together: the bodies of all requests under way, or the answers to them. Each of
//! them has a limit of its own; this one is for a crowd of them.
//!
//! Small ones pass always, so that a few who fill the room keep nobody from ordinary calls; their bound is the number of connections
//! and calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

mod arriving;

pub use arriving::{Arriving, Excess};

/// What everyone may hold, whatever the others do; a connection's own buffers are as large.
pub const SMALL_BYTES_MAX: usize = 16 * 1024;

/// Room for so many bytes.
#[derive(Debug)]
pub struct Room {
    bytes_max: usize,
    taken: AtomicUsize,
    refused: AtomicU64,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, taken: AtomicUsize::new(0), refused: AtomicU64::new(0) })
    }

    /// Whether so many bytes would find room now. It takes nothing, so that others may come first: for what is better refused before
    /// it begins than when it has grown.
    ///
    /// # Errors
    /// [`Full`].
    pub fn ask(&self, bytes: usize) -> Result<(), Full> {
        if self.with(self.taken(), bytes).is_some() {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Full)
    }

    /// What would be taken with so much more.
    fn with(&self, taken: usize, more: usize) -> Option<usize> {
        taken.checked_add(more).filter(|taken| *taken <= self.bytes_max)
    }

    /// How many bytes are held now.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How often something found no place.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// What one body or message holds of a room; given back when it is dropped. It is made of nothing, and stays that while it is small.
#[derive(Debug, Default)]
pub struct Share(Option<Held>);

#[derive(Debug)]
struct Held {
    room: Arc<Room>,
    bytes: usize,
}

/// There is no room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl Share {
    /// What was decided to be held, whatever room there is: what was promised is not refused for want of it.
    pub fn promised(room: &Arc<Room>, length: usize) -> Self {
        if length <= SMALL_BYTES_MAX {
            return Self(None);
        }
        room.taken.fetch_add(length, Ordering::Relaxed);
        Self(Some(Held { room: Arc::clone(room), bytes: length }))
    }

    /// Takes what something that has grown to so many bytes needs beyond what it has. A share is of one room.
    ///
    /// # Errors
    /// [`Full`]: it keeps what it has.
    pub fn grow(&mut self, room: &Arc<Room>, length: usize) -> Result<(), Full> {
        if length <= SMALL_BYTES_MAX || length <= self.bytes() {
            return Ok(());
        }
        let more = length.saturating_sub(self.bytes());
        let with_it = |taken: usize| room.with(taken, more);
        if room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it).is_err() {
            room.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Full);
        }
        self.0.get_or_insert_with(|| Held { room: Arc::clone(room), bytes: 0 }).bytes = length;
        Ok(())
    }

    /// Parts with what so many bytes hold, of which `rest` bytes stay here. What is small holds nothing.
    #[must_use]
    pub fn part(&mut self, length: usize, rest: usize) -> Self {
        let Some(held) = &mut self.0 else { return Self(None) };
        let rest = if rest <= SMALL_BYTES_MAX { 0 } else { rest.min(held.bytes) };
        let length = if length <= SMALL_BYTES_MAX { 0 } else { length.min(held.bytes.saturating_sub(rest)) };
        let gone = held.bytes.saturating_sub(rest).saturating_sub(length);
        held.room.taken.fetch_sub(gone, Ordering::Relaxed);
        held.bytes = rest;
        if length == 0 {
            return Self(None);
        }
        Self(Some(Held { room: Arc::clone(&held.room), bytes: length }))
    }

    /// The body, which holds its share for as long as any part of it is kept.
    pub fn keep(self, body: Bytes) -> Bytes {
        if self.bytes() == 0 { body } else { Bytes::from_owner(Kept { body, _share: self }) }
    }

    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Kept {
    body: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_holds_its_share_until_the_last_part_of_it_is_gone() {
        let room = Room::new(100_000);
        let mut share = Share::default();
        assert_eq!(share.grow(&room, 60_000), Ok(()));
        let body = share.keep(Bytes::from(vec![7; 60_000]));
        let part = body.slice(10..20);
        drop(body);
        assert_eq!((part.as_ref(), room.taken()), ([7; 10].as_slice(), 60_000));
        drop(part);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_counted_and_what_is_small_always_fits() {
        let room = Room::new(100_000);
        let (mut first, mut second) = (Share::default(), Share::default());
        assert_eq!((first.grow(&room, 50_000), first.grow(&room, 90_000)), (Ok(()), Ok(())));
        assert_eq!(second.grow(&room, SMALL_BYTES_MAX), Ok(()), "small");
        assert_eq!(room.taken(), 90_000, "it takes nothing of the room");
        assert_eq!(second.grow(&room, SMALL_BYTES_MAX + 1), Err(Full));
        assert_eq!((room.taken(), room.refused()), (90_000, 1));
        drop(first);
        assert_eq!(second.grow(&room, SMALL_BYTES_MAX + 1), Ok(()), "control: there is room now");
        drop(second);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn whoever_asks_is_told_and_takes_nothing() {
        let room = Room::new(100_000);
        assert_eq!((room.ask(100_000), room.taken()), (Ok(()), 0));
        let mut share = Share::default();
        assert_eq!(share.grow(&room, 20_000), Ok(()));
        assert_eq!((room.ask(80_001), room.ask(usize::MAX), room.refused()), (Err(Full), Err(Full), 2));
        assert_eq!((room.ask(80_000), room.taken()), (Ok(()), 20_000), "control");
    }

    #[test]
    fn what_was_promised_is_counted_past_the_bound_and_keeps_others_out() {
        let room = Room::new(100_000);
        let promised = Share::promised(&room, 120_000);
        assert_eq!((room.taken(), room.refused()), (120_000, 0));
        assert_eq!(Share::default().grow(&room, 20_000), Err(Full));
        drop(promised);
        assert_eq!(Share::default().grow(&room, 20_000), Ok(()), "control");
        assert_eq!(room.taken(), 0);
    }

    proptest! {
        /// Whatever grows and is cut into parts: no more is held than what is there, the bound holds, and all is given back.
        #[test]
        fn what_is_held_is_what_is_there(steps in prop::collection::vec((0_usize..80_000, 0_usize..80_000), 1..20)) {
            let room = Room::new(200_000);
            let (mut share, mut pending, mut parts, mut cut) = (Share::default(), 0_usize, Vec::new(), 0_usize);
            for (more, out) in steps {
                if share.grow(&room, pending + more).is_ok() {
                    pending += more;
                }
                let out = out.min(pending);
                pending -= out;
                cut += out;
                parts.push(share.part(out, pending));
                prop_assert!(room.taken() <= room.bytes_max);
                prop_assert!(room.taken() <= pending + cut, "more than there is");
                let large = |bytes: usize| if bytes > SMALL_BYTES_MAX { bytes } else { 0 };
                prop_assert!(room.taken() >= large(pending), "less than what waits");
            }
            drop((share, parts));
            prop_assert_eq!(room.taken(), 0);
        }
    }
}
