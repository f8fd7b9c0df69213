//! What the callers of a writer share with its thread: the queue, the flags, the thread itself. Under the feature `shuttle` they are those of a
//! scheduler that decides at each of them who goes on, so that a test can try many orders; nothing else works then.

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::atomic::AtomicBool;
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::mpsc;
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::thread;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::mpsc;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::thread;
