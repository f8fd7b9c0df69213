use tollgate_domain::{Caller, KeyId};

use crate::api_key::{ApiKey, ApiKeyError};
use crate::directory::KeyDirectory;

/// Why a presented API key names nobody. Never repeats the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// It does not have the form of a key.
    #[error("what was presented is no API key: {0}")]
    Malformed(ApiKeyError),
    /// No such key was ever made here.
    #[error("this gateway knows no such API key")]
    Unknown,
    /// The key was taken back.
    #[error("API key {0} was revoked")]
    Revoked(KeyId),
}

/// Who calls: the holder of the presented API key, else whoever a payment proof shows (`payer`), else nobody in particular.
///
/// The key wins, so that an account stays one account whichever wallet pays. A payment proof is identity enough to keep a
/// reputation for a wallet, and no more than that: see [`crate::judged`].
///
/// # Errors
/// [`AuthenticateError`] when a key is presented and is not a valid one. It is never ignored: a caller who believes to be
/// known must not be served, priced or limited as a stranger.
pub fn authenticate(
    presented_key: Option<&str>,
    payer: Option<Caller>,
    keys: &impl KeyDirectory,
) -> Result<Caller, AuthenticateError> {
    let Some(presented) = presented_key else {
        return Ok(payer.unwrap_or(Caller::Anonymous));
    };
    let key: ApiKey = presented.parse().map_err(AuthenticateError::Malformed)?;
    let record = keys.find(&key.hash()).ok_or(AuthenticateError::Unknown)?;
    if record.revoked {
        return Err(AuthenticateError::Revoked(record.id));
    }
    Ok(Caller::ApiKey(record.id))
}

#[cfg(test)]
mod tests;
