//! The body of an answer that is read as it comes.

use std::fmt;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::client::EgressError;

/// A body that is still coming. Dropping it before its end closes the connection, which tells the server that nobody listens.
pub struct Streamed {
    body: Incoming,
}

impl Streamed {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body }
    }

    /// The next piece; `None` at the end of a whole body. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`EgressError::Protocol`] when the connection broke or the body was cut short.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, EgressError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| EgressError::Protocol(Box::new(error)))?;
            if let Ok(chunk) = frame.into_data() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").finish_non_exhaustive()
    }
}
