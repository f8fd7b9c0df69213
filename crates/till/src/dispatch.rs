//! Which paid calls may have reached their tool: a small file that survives the death of the process.
//!
//! A settlement row says `executing` from the moment of the claim. After a crash, the difference between "the tool was
//! never asked" (release the payment) and "the tool may have run" (never run it again with this payment) is one mark per
//! call in flight, written here just before the call leaves. A plain write is enough: the pages outlive the process. They do
//! not outlive a power cut, so marks count only within one boot of the machine; after another boot every open call may
//! have run.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use parking_lot::Mutex;
use tollgate_domain::CallId;

use crate::failpoint;

const MARK: usize = 16;
/// The boot id stands in the first slots.
const HEAD: u64 = 48;

/// The marks of one data directory.
#[derive(Debug)]
pub struct DispatchMarks {
    file: File,
    slots: Mutex<Slots>,
    /// What the previous process left behind; `None` when the machine was booted since.
    before: Option<HashSet<[u8; MARK]>>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<u64>,
    used: u64,
    /// Where the marks stand of calls whose end was not on the books when they were let go.
    left: HashMap<CallId, u64>,
}

/// The mark of one call. Dropped, it stays until its call is said to be [over](DispatchMarks::over): whatever becomes of the call, a
/// start that finds it open finds the mark as well.
#[derive(Debug)]
#[must_use = "a call without a mark may not be sent"]
pub struct Mark<'a> {
    marks: &'a DispatchMarks,
    call: CallId,
    /// `None` once it has given way.
    slot: Option<u64>,
}

impl DispatchMarks {
    /// Opens the marks, reads what the previous process left, and begins anew once [`DispatchMarks::forget`] is called.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let boot = boot_id();
        let (head, marks) = bytes.split_at(bytes.len().min(usize::try_from(HEAD).unwrap_or_default()));
        let same_boot = boot.is_some_and(|boot| head == boot);
        let before = same_boot.then(|| {
            marks
                .chunks_exact(MARK)
                .filter_map(|mark| mark.try_into().ok())
                .filter(|mark| *mark != [0; MARK])
                .collect()
        });
        Ok(Self { file, slots: Mutex::default(), before })
    }

    /// Whether the tool of this call, left open by the previous process, may have run.
    pub fn may_have_run(&self, call: CallId) -> bool {
        self.before.as_ref().is_none_or(|marks| marks.contains(call.as_bytes()))
    }

    /// Begins anew for this process; call it after recovery has read the old marks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(&boot_id().unwrap_or([b'?'; 48]), 0)?;
        self.file.sync_data()
    }

    /// Marks a call as sent, just before it is. The mark is [over](Mark::over) once the end of the call is on the books.
    ///
    /// # Errors
    /// When the mark cannot be written: then the call must not be sent.
    pub fn mark(&self, call: CallId) -> io::Result<Mark<'_>> {
        let slot = {
            let mut slots = self.slots.lock();
            failpoint::reached("mark_locked");
            slots.free.pop().unwrap_or_else(|| {
                slots.used += 1;
                slots.used - 1
            })
        };
        self.file.write_all_at(call.as_bytes(), offset(slot))?;
        Ok(Mark { marks: self, call, slot: Some(slot) })
    }

    /// A call whose mark was dropped has its end on the books after all.
    pub fn over(&self, call: CallId) {
        let mut slots = self.slots.lock();
        let slot = slots.left.remove(&call);
        slots.free.extend(slot);
    }
}

impl Mark<'_> {
    /// The end of the call is on the books, so that nobody asks about it: the mark gives way to the next call that needs its place.
    pub fn over(mut self) {
        self.marks.slots.lock().free.extend(self.slot.take());
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.marks.slots.lock().left.insert(self.call, slot);
        }
    }
}

fn offset(slot: u64) -> u64 {
    HEAD + slot * MARK as u64
}

/// The kernel's id of this boot, padded; `None` where the kernel has none.
fn boot_id() -> Option<[u8; 48]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let mut id = [b' '; 48];
    let bytes = text.trim().as_bytes();
    id.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(id)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn call(byte: u8) -> CallId {
        CallId::from_bytes([byte; 16])
    }

    fn file(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("dispatch.marks")
    }

    /// The marks of a house that has nothing left from before.
    fn fresh() -> (tempfile::TempDir, DispatchMarks) {
        let folder = tempfile::tempdir().unwrap();
        let marks = DispatchMarks::open(&file(&folder)).unwrap();
        marks.forget().unwrap();
        (folder, marks)
    }

    #[test]
    fn a_call_that_was_never_sent_is_known_as_such_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        let marks = DispatchMarks::open(&path).unwrap();
        assert!(marks.may_have_run(call(1)), "a file without a boot id proves nothing");
        marks.forget().unwrap();
        let sent = marks.mark(call(1)).unwrap();
        drop(sent); // the process dies with the call in flight
        drop(marks);
        let after = DispatchMarks::open(&path).unwrap();
        assert!(after.may_have_run(call(1)), "control: it was sent");
        assert!(!after.may_have_run(call(2)), "it was claimed and not sent");
    }

    #[test]
    fn marks_of_another_boot_prove_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        std::fs::write(&path, [b'x'; 64]).unwrap();
        assert!(DispatchMarks::open(&path).unwrap().may_have_run(call(2)));
    }

    #[test]
    fn slots_are_used_again() {
        let (folder, marks) = fresh();
        for byte in 1..=200 {
            marks.mark(call(byte)).unwrap().over();
        }
        assert_eq!(std::fs::metadata(file(&folder)).unwrap().len(), HEAD + 16);
    }

    #[test]
    fn a_call_whose_end_is_not_on_the_books_keeps_its_mark_whatever_is_called_after_it() {
        let (folder, marks) = fresh();
        drop(marks.mark(call(1)).unwrap()); // its tool ran, and the ledger did not take its end
        for byte in 2..=9 {
            marks.mark(call(byte)).unwrap().over();
        }
        let after = DispatchMarks::open(&file(&folder)).unwrap();
        assert!(after.may_have_run(call(1)));
        assert!(!after.may_have_run(call(2)), "control: its place was given to the next one");
    }

    #[test]
    fn a_call_whose_end_came_late_gives_its_place_away_as_well() {
        let (folder, marks) = fresh();
        drop(marks.mark(call(1)).unwrap()); // the ledger did not take its end
        marks.mark(call(2)).unwrap().over();
        marks.over(call(1)); // it was driven on
        marks.over(call(9)); // never sent
        let (one, other) = (marks.mark(call(3)).unwrap(), marks.mark(call(4)).unwrap());
        let after = DispatchMarks::open(&file(&folder)).unwrap();
        assert_eq!(std::fs::metadata(file(&folder)).unwrap().len(), HEAD + 2 * 16);
        assert!(!after.may_have_run(call(1)) && after.may_have_run(call(3)) && after.may_have_run(call(4)));
        drop((one, other));
    }
}
