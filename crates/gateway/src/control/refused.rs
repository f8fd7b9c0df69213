//! Why a configuration stays as it is.

use tollgate_ledger::StoreError;

use crate::config::{Problem, Problems};

/// Why a configuration stays as it is. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It was started without a configuration that could be read again.
    #[error("this gateway was started without a configuration file")]
    Fixed,
    /// The settings are not in order.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// These settings cannot change while a gateway runs.
    #[error("these settings need a restart: {}", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// A server cannot be used like that, such as one whose OpenAPI document cannot be read.
    #[error("the configuration cannot be put to work: {0:#}")]
    Unusable(anyhow::Error),
    /// Somebody else was faster.
    #[error("the configuration is at version {current} by now")]
    OtherVersion {
        /// The version that counts.
        current: String,
    },
    /// There is nothing like that.
    #[error("there is no {0}")]
    Unknown(String),
    /// A server that is a program.
    #[error("the admin API takes no servers with a `command`")]
    Command,
    /// What is shown in place of a secret was sent as one.
    #[error("a masked value is no value")]
    Masked,
    /// It could not be written down.
    #[error("the change could not be written down: {0}")]
    Store(#[from] StoreError),
    /// The task that makes the change is gone.
    #[error("the change was interrupted")]
    Interrupted,
}

impl Refused {
    /// The word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fixed => "no_configuration_file",
            Self::Problems(_) | Self::Unusable(_) => "configuration_refused",
            Self::NeedsRestart(_) => "needs_restart",
            Self::OtherVersion { .. } => "version_mismatch",
            Self::Unknown(_) => "not_found",
            Self::Command => "command_refused",
            Self::Masked => "masked_value",
            Self::Store(_) => "store_busy",
            Self::Interrupted => "internal",
        }
    }

    /// What to do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Fixed => "Start it with --config FILE.",
            Self::Problems(_) | Self::Unusable(_) => {
                "Mend what is named; the configuration before stays in force."
            }
            Self::NeedsRestart(_) => {
                "Restart the gateway for these, or leave them as they were; nothing was changed."
            }
            Self::OtherVersion { .. } => {
                "Read the server again and repeat the change with its ETag in If-Match."
            }
            Self::Unknown(_) => "GET /admin/v1/servers lists what there is.",
            Self::Command => {
                "Write the server into the configuration file, or set `admin.commands: true` there."
            }
            Self::Masked => "Send the value itself, or better a ${NAME} of the gateway's environment.",
            Self::Store(_) => "Try again; nothing was changed.",
            Self::Interrupted => "Look at GET /admin/v1/servers before you try again.",
        }
    }

    /// Every problem of the settings.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Problems(Problems(problems)) => problems,
            _ => &[],
        }
    }
}
