//! The memory of other processes, as the kernel accounts for it.

use std::fs;
use std::io;

use crate::cpu;

const KIBIBYTE: u64 = 1_024;

/// Bytes of memory that the processes of a group hold now for themselves (`RssAnon` of proc(5)): not the pages of their
/// program, which the kernel keeps once and can drop.
///
/// # Errors
/// When `/proc` cannot be read. Processes that end meanwhile count as nothing.
pub fn of_group(group: u32) -> io::Result<u64> {
    Ok(cpu::members(group)?.filter_map(of_process).fold(0, u64::saturating_add))
}

fn of_process(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(KIBIBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_held_is_accounted_for() {
        let pid = std::process::id();
        let before = of_process(pid).unwrap();
        let held = vec![1_u8; 64 << 20];
        assert!(of_process(pid).unwrap() >= before + (32 << 20), "64 MiB were written to");
        assert!(std::hint::black_box(&held).iter().all(|byte| *byte == 1));
        assert_eq!(of_process(u32::MAX), None);
    }
}
