//! Why a text is no message, and what JSON-RPC calls that.

use crate::json::JsonError;
use crate::reply::code;
use crate::request_id::{IdError, RequestId};

/// A text that is no acceptable message, with the id it carried where that could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct FrameError {
    fault: FrameFault,
    id: Option<RequestId>,
}

/// The step that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// Not one strict JSON value.
    #[error("the message is not strict JSON: {0}")]
    Json(JsonError),
    /// An array of messages. Batches exist in the revision 2025-03-26 only; see [`crate::batch`].
    #[error("the message is a batch")]
    Batch,
    /// JSON, but no object.
    #[error("the message is not an object")]
    NotAnObject,
    /// `jsonrpc` is absent or not `"2.0"`.
    #[error("\"jsonrpc\" is not \"2.0\"")]
    NotVersion2,
    /// Neither exactly a method, nor exactly a result, nor exactly an error.
    #[error("the message is not exactly one request, notification, result or error")]
    NotOneMessage,
    /// A member name or a method that another reader could take for a reserved one.
    #[error("a member name or the method could be taken for {reserved:?}")]
    LookAlike {
        /// The reserved name.
        reserved: &'static str,
    },
    /// A reserved member of another type.
    #[error("{member:?} is not {expected}")]
    NotTheType {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The id is unusable.
    #[error("the id is unusable: {0}")]
    Id(IdError),
    /// A `tools/call` without an id: nobody could be told what happened to it.
    #[error("a tools/call without an id")]
    CallWithoutId,
    /// A `tools/call` whose `params` lack what a call needs.
    #[error("{member:?} of a tools/call is not {expected}")]
    NotACall {
        /// The member of `params`.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The edit needs an answer with an object as its result.
    #[error("the message is not a response whose result is an object")]
    NoResultObject,
}

impl From<JsonError> for FrameFault {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<IdError> for FrameFault {
    fn from(error: IdError) -> Self {
        Self::Id(error)
    }
}

impl FrameError {
    /// An id is kept only where the text was strict JSON: JSON-RPC 2.0 section 5 wants null where it may be misread.
    pub(crate) fn new(fault: FrameFault, id: Option<RequestId>) -> Self {
        let id = id.filter(|_| !matches!(fault, FrameFault::Json(_) | FrameFault::Batch));
        Self { fault, id }
    }

    /// The step that failed.
    pub fn fault(&self) -> &FrameFault {
        &self.fault
    }

    /// The id to answer with, where it could be read.
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The JSON-RPC code: -32700 for a text that is not strict JSON, -32602 for a `tools/call` with unusable `params`,
    /// else -32600.
    pub fn code(&self) -> i32 {
        match self.fault {
            FrameFault::Json(_) => code::PARSE_ERROR,
            FrameFault::NotACall { .. } => code::INVALID_PARAMS,
            FrameFault::Batch
            | FrameFault::NotAnObject
            | FrameFault::NotVersion2
            | FrameFault::NotOneMessage
            | FrameFault::LookAlike { .. }
            | FrameFault::NotTheType { .. }
            | FrameFault::Id(_)
            | FrameFault::CallWithoutId
            | FrameFault::NoResultObject => code::INVALID_REQUEST,
        }
    }
}
