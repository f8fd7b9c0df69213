//! One body that comes in pieces.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Full, Room, Share};

/// A body that comes in pieces, within a limit of its own and the room for all of them. Most come in one, which stays where it is.
#[derive(Debug)]
pub struct Arriving {
    bytes_max: usize,
    room: Arc<Room>,
    share: Share,
    first: Bytes,
    all: BytesMut,
}

/// Why a piece is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// The body would be longer than it may be.
    TooLarge,
    /// There is no room for it beside the others.
    NoRoom,
}

impl Arriving {
    /// A body of which nothing has come yet.
    pub fn new(bytes_max: usize, room: &Arc<Room>) -> Self {
        let room = Arc::clone(room);
        Self { bytes_max, room, share: Share::default(), first: Bytes::new(), all: BytesMut::new() }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Excess`]: the body cannot be held.
    pub fn take(&mut self, piece: Bytes) -> Result<(), Excess> {
        let length = self.first.len().max(self.all.len()).saturating_add(piece.len());
        if length > self.bytes_max {
            return Err(Excess::TooLarge);
        }
        self.share.grow(&self.room, length).map_err(|Full| Excess::NoRoom)?;
        if length == piece.len() {
            self.first = piece;
            return Ok(());
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
        Ok(())
    }

    /// The whole, once all of it has come; it holds its share of the room for as long as any part of it is kept.
    pub fn whole(self) -> Bytes {
        self.share.keep(if self.all.is_empty() { self.first } else { self.all.freeze() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_past_its_limit_or_the_room_is_not_held_and_gives_back_what_it_took() {
        let room = Room::new(60_000);
        let piece = Bytes::from(vec![7; 25_000]);
        for (bytes_max, excess) in [(80_000, Excess::NoRoom), (60_000, Excess::TooLarge)] {
            let mut body = Arriving::new(bytes_max, &room);
            assert_eq!((body.take(piece.clone()), body.take(piece.clone())), (Ok(()), Ok(())));
            assert_eq!((body.take(piece.clone()), room.taken()), (Err(excess), 50_000), "{excess:?}");
            drop(body);
            assert_eq!(room.taken(), 0);
        }
        let mut body = Arriving::new(75_000, &Room::new(75_000));
        assert!((0..3).all(|_| body.take(piece.clone()).is_ok()), "control");
        assert_eq!(body.whole().len(), 75_000);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_whole_is_what_came(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9_000), 0..8)) {
            let room = Room::new(1 << 20);
            let mut body = Arriving::new(1 << 20, &room);
            for piece in &pieces {
                prop_assert_eq!(body.take(Bytes::copy_from_slice(piece)), Ok(()));
            }
            let whole = body.whole();
            prop_assert_eq!(&whole[..], &pieces.concat()[..]);
            drop(whole);
            prop_assert_eq!(room.taken(), 0);
        }
    }
}
