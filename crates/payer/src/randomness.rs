//! Where fresh bytes come from: an argument, so that only the edge touches the operating system.

/// No random bytes are to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandomness;

/// A source of random bytes that nobody can predict.
pub trait Randomness: Send + Sync {
    /// 32 fresh bytes.
    ///
    /// # Errors
    /// [`NoRandomness`] when there are none.
    fn bytes(&self) -> Result<[u8; 32], NoRandomness>;
}

impl<F> Randomness for F
where
    F: Fn() -> Result<[u8; 32], NoRandomness> + Send + Sync,
{
    fn bytes(&self) -> Result<[u8; 32], NoRandomness> {
        self()
    }
}
