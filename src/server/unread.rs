//! What a handler left unread of a request's body. hyper closes a connection on it, without a word and perhaps with a
//! reset; the client loses the answer, or its next request. So a short rest is read here, and where one remains the answer
//! says that the connection ends (RFC 9112, section 9.6).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use warp::http::header::{CONNECTION, EXPECT, HeaderValue};
use warp::http::{HeaderMap, Request, Response};

/// How much is read of what nobody wants, in bytes, and for how long.
const MAX_DISCARDED: usize = 1024 * 1024;
const DISCARD_DEADLINE: Duration = Duration::from_secs(1);

/// A request's body, which can be looked at again after its handler.
pub struct Shared<B>(Arc<Mutex<B>>);

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Shared<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}

/// Has `answer` answer the request, and sees to what it left.
pub async fn settled<B, R, E, F>(
    request: Request<B>,
    answer: impl FnOnce(Request<Shared<B>>) -> F,
) -> Result<Response<R>, E>
where
    B: Body<Data = Bytes> + Unpin,
    F: Future<Output = Result<Response<R>, E>>,
{
    let waiting = waits(request.headers());
    let (head, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let mut response = answer(Request::from_parts(head, Shared(Arc::clone(&body)))).await?;
    let mut rest = Shared(body);
    if rest.is_end_stream() {
        return Ok(response);
    }
    // To read on would invite a client that asked first to send all of it.
    let read = !waiting && matches!(tokio::time::timeout(DISCARD_DEADLINE, discard(&mut rest)).await, Ok(true));
    if !read {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Whether the client sends the body only when it is told to (RFC 9110, section 10.1.1).
fn waits(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads to the end; answers whether it came before the bound.
async fn discard<B: Body<Data = Bytes> + Unpin>(body: &mut Shared<B>) -> bool {
    let mut left = MAX_DISCARDED;
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if length > left {
                    return false;
                }
                left -= length;
            }
        }
    }
}
