//! Steps of the clock that outlive the process: a restart cuts nobody's time short either.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_domain::UnixMillis;

use super::steps::{Steps, StepsError};
use crate::data::{DataDirectory, DataError, write_whole};

/// In the data directory.
const FILE: &str = "clock-steps";

/// The steps that still matter, and the file that keeps them. Of a step while no process ran nothing can be known.
#[derive(Debug)]
pub struct KeptSteps {
    file: PathBuf,
    steps: Steps,
}

/// Why the steps of the process before cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeptStepsError {
    /// The file cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It says something else.
    #[error("{file}: {source}; remove it, and deadlines that the clock jumped over pass at once")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where.
        source: StepsError,
    },
}

impl KeptSteps {
    /// Those that the process before left behind: the wall clock says this after this process has run so long.
    ///
    /// # Errors
    /// [`KeptStepsError`].
    pub fn open(data: &DataDirectory, wall: UnixMillis, ran: Duration) -> Result<Self, KeptStepsError> {
        let file = data.path(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(DataError::Io { path: file, source }.into()),
        };
        let steps = Steps::resumed(&text, wall, ran)
            .map_err(|source| KeptStepsError::Malformed { file: file.clone(), source })?;
        Ok(Self { file, steps })
    }

    /// As [`Steps::look`]; what is new is kept. Where that fails this process knows it all the same, and the log says so.
    pub fn look(&mut self, wall: UnixMillis, ran: Duration) -> bool {
        let is_set = self.steps.look(wall, ran);
        if is_set && let Err(error) = write_whole(&self.file, &self.steps.to_string()) {
            tracing::error!(%error, "could not keep that the clock was set: the next start will not know it");
        }
        is_set
    }

    /// The steps.
    pub const fn steps(&self) -> &Steps {
        &self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn f22_the_next_process_knows_that_the_clock_was_set_and_that_it_was_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let start = UnixMillis::new(1_000 * HOUR_MS);
        let open = |wall| KeptSteps::open(&data, wall, Duration::ZERO).unwrap();
        let (due, later) = (start.plus_millis(300_000), start.plus_millis(HOUR_MS));
        let mut first = open(start);
        assert!(!first.look(start, Duration::ZERO) && !data.path(FILE).exists(), "control: nothing to keep");
        assert!(first.look(later, Duration::ZERO));
        let mut next = open(later);
        assert!(next.steps().holds(due, later));
        assert!(next.look(start, Duration::ZERO));
        assert!(open(later).steps().is_quiet(), "it was put back");
        fs::write(data.path(FILE), "an hour").unwrap();
        let refused = KeptSteps::open(&data, later, Duration::ZERO).unwrap_err();
        assert!(refused.to_string().contains("clock-steps"), "{refused}");
    }
}
