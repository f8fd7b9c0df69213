//! The two things that engines must not reach for themselves: the time and randomness.

mod kept;
mod steps;

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_domain::UnixMillis;

use crate::failpoint;

pub use kept::{KeptSteps, KeptStepsError};
pub use steps::{Steps, StepsError};

/// The time at this moment. A clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    now.plus_millis(failpoint::clock_ahead_ms())
}

/// Fresh randomness from the operating system, drawn in blocks: a call needs some several times.
///
/// # Errors
/// When there is none.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    thread_local!(static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK_BYTES], used: BLOCK_BYTES }) });
    BLOCK.with_borrow_mut(Block::take)
}

const BLOCK_BYTES: usize = 512;

/// Random bytes of one thread; what was given out is wiped here.
struct Block {
    bytes: [u8; BLOCK_BYTES],
    used: usize,
}

impl Block {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], getrandom::Error> {
        let mut taken = [0; N];
        if self.used + N > BLOCK_BYTES {
            getrandom::fill(&mut self.bytes)?;
            self.used = 0;
        }
        match self.bytes.get_mut(self.used..self.used + N) {
            Some(fresh) => {
                taken.copy_from_slice(fresh);
                fresh.fill(0);
                self.used += N;
            }
            // More than a block at once is drawn on its own.
            None => getrandom::fill(&mut taken)?,
        }
        Ok(taken)
    }
}

/// Fresh randomness for names that must not be guessed. A system without randomness can give out no session safely, so the
/// process ends.
pub fn random_16() -> [u8; 16] {
    random().unwrap_or_else(|_| std::process::abort())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_random_bytes_are_given_twice() {
        let drawn: HashSet<[u8; 24]> = (0..200).map(|_| random().unwrap()).collect();
        assert_eq!(drawn.len(), 200);
        assert_ne!(random::<2048>().unwrap(), [0; 2048]);
    }
}
