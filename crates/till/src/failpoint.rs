//! Named stop points of crash tests, compiled in with the `failpoints` feature only: when the point named by
//! `TOLLGATE_FAILPOINT` is reached, the process kills itself without any cleaning up, as `kill -9` would. `name:3` means
//! the third time, `panic name` that the point panics instead.

/// Called at each named point.
#[cfg(not(feature = "failpoints"))]
pub fn reached(_point: &'static str) {}

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
        let (panics, name) = name.strip_prefix("panic ").map_or((false, name.as_str()), |name| (true, name));
        let due = name == point && left.fetch_sub(1, Ordering::SeqCst) == 1;
        assert!(!(due && panics), "the failpoint {point} was reached");
        if due && kill(Pid::this(), Signal::SIGKILL).is_err() {
            std::process::abort();
        }
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
