//! Futures that are made where they stay.

use std::pin::Pin;

/// The future that `make` makes, in a box. `Box::pin` of a future makes it on the stack first and moves all of it, room for every later
/// step included: of a call's these are kilobytes, in which nothing stands yet.
#[inline(always)]
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
