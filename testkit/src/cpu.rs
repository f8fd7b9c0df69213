//! The processor time of other processes, from the scheduler's own account: the figure that a shared host spoils least.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What all threads of a process have run so far, ended threads not included.
///
/// # Errors
/// When there is no such process, or the kernel keeps no `schedstat`.
pub fn of_process(pid: u32) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let account = fs::read_to_string(thread?.path().join("schedstat"))?;
        // "<ns run> <ns waited> <slices>", Documentation/scheduler/sched-stats.
        let nanoseconds = account.split_whitespace().next().and_then(|run| run.parse().ok());
        let nanoseconds = nanoseconds.ok_or_else(|| io::Error::other("unreadable schedstat"))?;
        total = total.saturating_add(Duration::from_nanos(nanoseconds));
    }
    Ok(total)
}

/// The same over every process of a process group.
///
/// # Errors
/// When `/proc` cannot be read. Processes that end meanwhile count as nothing.
pub fn of_group(group: u32) -> io::Result<Duration> {
    let members = members(group)?;
    Ok(members.filter_map(|pid| of_process(pid).ok()).fold(Duration::ZERO, Duration::saturating_add))
}

/// Whether every thread of a process group is stopped. A signal to stop reaches threads that are running a little later.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn is_stopped(group: u32) -> io::Result<bool> {
    Ok(states(group)?.all(|state| matches!(state, 'T' | 't' | 'Z' | 'X')))
}

/// Whether every thread of a process group has ended, and with the last of a process also its sockets.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn has_ended(group: u32) -> io::Result<bool> {
    Ok(states(group)?.all(|state| matches!(state, 'Z' | 'X')))
}

/// The state of each thread of a process group.
fn states(group: u32) -> io::Result<impl Iterator<Item = char>> {
    let threads = members(group)?.filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten();
    Ok(threads.filter_map(|thread| Some(status(&thread.ok()?.path().join("stat"))?.0)))
}

/// The processes of a group.
pub(crate) fn members(group: u32) -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?.filter_map(move |entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (group_of(pid)? == group).then_some(pid)
    }))
}

fn group_of(pid: u32) -> Option<u32> {
    status(Path::new(&format!("/proc/{pid}/stat"))).map(|(_, group)| group)
}

/// State and process group, from a `stat` file.
fn status(stat: &Path) -> Option<(char, u32)> {
    let stat = fs::read_to_string(stat).ok()?;
    // The name in parentheses may hold anything; after it come state, parent and group, proc(5).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_accounted_for() {
        let pid = std::process::id();
        let before = of_process(pid).unwrap();
        // Runs until the account has moved: no other way to be sure on a loaded machine.
        while of_process(pid).unwrap() <= before {
            std::hint::black_box((0..10_000_u64).fold(0, u64::wrapping_add));
        }
        let group = group_of(pid).unwrap();
        assert!(of_group(group).unwrap() >= before);
        assert!(of_process(u32::MAX).is_err());
    }
}
