//! Bodies of requests and answers.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tollgate_risk::Room;
use tollgate_risk::room::{Arriving, Excess};

use super::BoxError;

/// A body: of every answer of a toll, and for requests where a server has no body type of its own that can be made from bytes.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// A body of any other kind, such as what a connection brings.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(Kind::Boxed(UnsyncBoxBody::new(body.map_err(Into::into))))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

/// Why a body is not there whole.
pub(super) enum NotHeld {
    /// It is longer than it may be.
    TooLarge,
    /// What all of them may take together is taken.
    NoRoom,
    /// It broke off.
    Broken(BoxError),
}

impl From<Excess> for NotHeld {
    fn from(excess: Excess) -> Self {
        match excess {
            Excess::TooLarge => Self::TooLarge,
            Excess::NoRoom => Self::NoRoom,
        }
    }
}

/// Reads the whole of a body, which holds its share of the room for as long as any part of it is kept.
pub(super) async fn whole<B>(body: B, bytes_max: usize, room: &Arc<Room>) -> Result<Bytes, NotHeld>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut arriving = Arriving::new(bytes_max, room);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NotHeld::Broken(error.into()))?;
        if let Ok(piece) = frame.into_data() {
            arriving.take(piece)?;
        }
    }
    Ok(arriving.whole())
}
