//! Bodies to which a credential is bound: read once, up to a limit, and handed on unchanged.

pub(crate) mod layer;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use pin_project_lite::pin_project;

use crate::error::{AuthError, Reason};

pin_project! {
    /// The body of a request beneath a [`BodyAuthLayer`](crate::BodyAuthLayer): as it came, or as it was read, to which a
    /// credential is bound. It gives the same bytes and trailers either way.
    pub struct AuthBody<B> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B> {
        Unread { #[pin] body: B },
        Read { data: Option<Bytes>, trailers: Option<HeaderMap> },
    }
}

/// Reads a body whole, up to a limit in bytes.
pub(super) struct Reader<B> {
    limit: usize,
    read: fn(Request<B>, usize) -> Reading<B>,
}

/// The request with its body read, and what that is; or why it could not be read.
pub(super) type Reading<B> = Pin<Box<dyn Future<Output = (Request<B>, Result<Bytes, AuthError>)> + Send>>;

impl<B> Reader<B> {
    pub(super) fn read(&self, request: Request<B>) -> Reading<B> {
        (self.read)(request, self.limit)
    }
}

impl<B> Reader<AuthBody<B>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn up_to(limit: usize) -> Self {
        Self { limit, read: |request, limit| Box::pin(read(request, limit)) }
    }
}

async fn read<B>(
    request: Request<AuthBody<B>>,
    limit: usize,
) -> (Request<AuthBody<B>>, Result<Bytes, AuthError>)
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    // Said beforehand: nothing of it needs to be read.
    let too_large = usize::try_from(body.size_hint().lower()).map_or(true, |lower| lower > limit);
    let result = match too_large {
        true => Err(Reason::BodyTooLarge),
        false => Limited::new(body, limit).collect().await.map_err(|error| {
            let too_large = error.downcast_ref::<LengthLimitError>().is_some();
            if too_large { Reason::BodyTooLarge } else { Reason::BodyUnreadable }
        }),
    };
    let (body, result) = match result {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            let data = collected.to_bytes();
            (AuthBody::read(data.clone(), trailers), Ok(data))
        }
        Err(reason) => (AuthBody::read(Bytes::new(), None), Err(reason.into())),
    };
    (Request::from_parts(parts, body), result)
}

impl<B> AuthBody<B> {
    pub(super) const fn unread(body: B) -> Self {
        Self { state: State::Unread { body } }
    }

    fn read(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { state: State::Read { data, trailers } }
    }
}

impl<B: Body<Data = Bytes>> Body for AuthBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.project().state.project() {
            StateProj::Unread { body } => ready!(body.poll_frame(cx)),
            StateProj::Read { data, trailers } => {
                let frame = data.take().map(Frame::data);
                frame.or_else(|| trailers.take().map(Frame::trailers)).map(Ok)
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Unread { body } => body.is_end_stream(),
            State::Read { data, trailers } => data.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Unread { body } => body.size_hint(),
            State::Read { data, .. } => {
                let len = data.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(len).unwrap_or(u64::MAX))
            }
        }
    }
}

impl<B: Default> Default for AuthBody<B> {
    fn default() -> Self {
        Self::unread(B::default())
    }
}

impl<B> fmt::Debug for AuthBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unread { .. } => "AuthBody::Unread",
            State::Read { .. } => "AuthBody::Read",
        })
    }
}
