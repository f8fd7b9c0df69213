//! Named stop points of crash tests, compiled in with the `failpoints` feature only: when the point named by
//! `TOLLGATE_FAILPOINT` is reached, the process kills itself without any cleaning up, as `kill -9` would. `name:3` means
//! the third time, `panic name` that the point panics instead, `hold name` that whoever comes there waits while there is a file
//! that `TOLLGATE_HOLD` names; beside it is one more with `.reached` in its name then. `TOLLGATE_CLOCK_AHEAD` names a file that says how many milliseconds
//! the gateway's clock is ahead, and may be changed while it runs.

/// Called at each named point.
#[cfg(not(feature = "failpoints"))]
pub fn reached(_point: &'static str) {}

/// How far ahead of the machine's the gateway's clock is: not at all.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn clock_ahead_ms() -> u64 {
    0
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::clock_ahead_ms;
#[cfg(feature = "failpoints")]
pub use armed::{StorePoints, reached};

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// The armed point and how often it may still be passed.
    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

    fn armed() -> Option<&'static (String, AtomicU32)> {
        let read = || {
            #[expect(clippy::disallowed_methods, reason = "test builds only; read once")]
            let text = std::env::var("TOLLGATE_FAILPOINT").ok()?;
            let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
            Some((name.to_owned(), AtomicU32::new(count.parse().ok()?)))
        };
        ARMED.get_or_init(read).as_ref()
    }

    /// Called at each named point.
    pub fn reached(point: &str) {
        let Some((name, left)) = armed() else { return };
        if let Some(held) = name.strip_prefix("hold ") {
            return if held == point {
                hold()
            };
        }
        let (panics, name) = name.strip_prefix("panic ").map_or((false, name.as_str()), |name| (true, name));
        let due = name == point && left.fetch_sub(1, Ordering::SeqCst) == 1;
        assert!(!(due && panics), "the failpoint {point} was reached");
        if due && kill(Pid::this(), Signal::SIGKILL).is_err() {
            std::process::abort();
        }
    }

    fn hold() {
        let Some(file) = std::env::var_os("TOLLGATE_HOLD").map(std::path::PathBuf::from) else { return };
        if file.exists() {
            // A test that has ended takes its folder away, and this file with it.
            let _said = std::fs::write(file.with_extension("reached"), "");
        }
        while file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// How far ahead of the machine's the gateway's clock is.
    pub(crate) fn clock_ahead_ms() -> u64 {
        static FILE: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();
        let read = || std::env::var_os("TOLLGATE_CLOCK_AHEAD").map(std::path::PathBuf::from);
        let Some(file) = FILE.get_or_init(read) else { return 0 };
        std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// The store's points.
    #[derive(Debug)]
    pub struct StorePoints;

    impl tollgate_store::Failpoints for StorePoints {
        fn hit(&self, name: &str) {
            reached(name);
        }
    }
}
