//! The clock that all processes of a machine share, which nobody sets: how long something took from one of them to another.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
///
/// # Errors
/// When the system has no such clock.
pub fn monotonic_ns() -> std::io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec()), u64::try_from(now.tv_nsec()));
    let (Ok(seconds), Ok(nanoseconds)) = (seconds, nanoseconds) else {
        return Err(std::io::Error::other("a clock before its beginning"));
    };
    Ok(seconds * 1_000_000_000 + nanoseconds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_never_goes_back() {
        let before = super::monotonic_ns().unwrap();
        assert!(before > 0 && super::monotonic_ns().unwrap() >= before);
    }
}
