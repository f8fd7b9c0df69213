//! What the last `tollgate ledger check` found, kept beside the ledger for the gateway's metrics.
//!
//! The check reads everything and is run by the operator (a timer), beside the gateway: it must not take memory and time from
//! the process that serves.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tollgate_domain::UnixMillis;
use tollgate_ledger::audit::Finding;

const FILE: &str = "ledger.checked";
/// What is in the file is a line; more than this is not ours.
const FILE_BYTES_MAX: u64 = 1_024;

/// What a check of the whole ledger found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Whether the books are in order.
    pub books_ok: bool,
    /// Whether every receipt is in its place.
    pub receipts_ok: bool,
    /// When the check ended, in seconds since 1970.
    pub at_seconds: u64,
}

impl Checked {
    /// What these findings say.
    pub fn of(findings: &[Finding], now: UnixMillis) -> Self {
        let is_of_receipts =
            |finding: &Finding| matches!(finding, Finding::ReceiptChain(_) | Finding::ReceiptMissing(_));
        Self {
            books_ok: findings.iter().all(is_of_receipts),
            receipts_ok: !findings.iter().any(is_of_receipts),
            at_seconds: now.get() / 1_000,
        }
    }

    /// Keeps it in the data directory, in place of the one before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, data: &Path) -> io::Result<()> {
        let draft = data.join(format!("{FILE}.new"));
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        std::fs::rename(draft, data.join(FILE))
    }

    /// The last one that was kept; `None` when none can be read.
    pub fn last(data: &Path) -> Option<Self> {
        let path = data.join(FILE);
        if std::fs::metadata(&path).ok()?.len() > FILE_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_counts_against_the_books_or_the_receipts_and_is_read_back() {
        let storage = Finding::Storage("page 3".to_owned());
        let chain = Finding::ReceiptChain("seq 4 is missing".to_owned());
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Checked::last(data.path()), None, "nothing is said before a check");
        for (findings, books_ok, receipts_ok) in [
            (vec![], true, true),
            (vec![storage.clone()], false, true),
            (vec![chain.clone()], true, false),
            (vec![chain, storage], false, false),
        ] {
            let checked = Checked::of(&findings, UnixMillis::new(7_500));
            assert_eq!(checked, Checked { books_ok, receipts_ok, at_seconds: 7 });
            checked.keep(data.path()).unwrap();
            assert_eq!(Checked::last(data.path()), Some(checked));
        }
        std::fs::write(data.path().join(FILE), "x").unwrap();
        assert_eq!(Checked::last(data.path()), None);
    }
}
