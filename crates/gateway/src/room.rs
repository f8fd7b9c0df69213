//! How much memory the bodies of all requests under way may take together. Past it a request is refused while its body arrives:
//! nothing of it was decided, so nothing is charged.
//!
//! Small bodies pass always, so that a few callers who fill the room keep nobody from ordinary calls; their bound is the number of
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::telemetry::Counter;

/// What every request may hold, whatever the others do; a connection's own buffers are as large.
pub const SMALL_BYTES_MAX: usize = 16 * 1024;

/// The room of one gateway.
#[derive(Debug)]
pub struct Room {
    bytes_max: usize,
    taken: AtomicUsize,
    /// Requests that found no place.
    pub refused: Counter,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, taken: AtomicUsize::new(0), refused: Counter::default() })
    }

    /// How many bytes are held now.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// What one body holds of the room; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    room: Arc<Room>,
    bytes: usize,
}

/// There is no room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl Share {
    /// Nothing yet.
    pub fn of(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), bytes: 0 }
    }

    /// Takes what a body that has grown to so many bytes needs beyond what it has.
    ///
    /// # Errors
    /// [`Full`]: it keeps what it has.
    pub fn grow(&mut self, length: usize) -> Result<(), Full> {
        let more = length.saturating_sub(self.bytes);
        if length <= SMALL_BYTES_MAX || more == 0 {
            return Ok(());
        }
        let left = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= self.room.bytes_max);
        if self.room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
            self.room.refused.increment();
            return Err(Full);
        }
        self.bytes = length;
        Ok(())
    }

    /// The body, which holds its share for as long as any part of it is kept.
    pub fn keep(self, body: Bytes) -> Bytes {
        if self.bytes == 0 { body } else { Bytes::from_owner(Kept { body, _share: self }) }
    }
}

impl Drop for Share {
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
    use super::*;

    #[test]
    fn a_body_holds_its_share_until_the_last_part_of_it_is_gone() {
        let room = Room::new(100_000);
        let mut share = Share::of(&room);
        assert_eq!(share.grow(60_000), Ok(()));
        let body = share.keep(Bytes::from(vec![7; 60_000]));
        let part = body.slice(10..20);
        drop(body);
        assert_eq!((part.as_ref(), room.taken()), ([7; 10].as_slice(), 60_000));
        drop(part);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_counted_and_small_bodies_always_fit() {
        let room = Room::new(100_000);
        let (mut first, mut second) = (Share::of(&room), Share::of(&room));
        assert_eq!((first.grow(50_000), first.grow(90_000)), (Ok(()), Ok(())));
        assert_eq!(second.grow(SMALL_BYTES_MAX), Ok(()), "small");
        assert_eq!(room.taken(), 90_000, "it takes nothing of the room");
        assert_eq!(second.grow(SMALL_BYTES_MAX + 1), Err(Full));
        assert_eq!((room.taken(), room.refused.get()), (90_000, 1));
        drop(first);
        assert_eq!(second.grow(SMALL_BYTES_MAX + 1), Ok(()), "control: there is room now");
        drop(second);
        assert_eq!(room.taken(), 0);
    }
}
