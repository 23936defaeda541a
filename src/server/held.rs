//! Wrappers that carry something along: a stream that holds something until it is closed, a body that tells when it is over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and what is dropped after it: also where it has become a WebSocket's meanwhile.
#[derive(Debug)]
pub struct Held<S, T> {
    stream: S,
    _until_closed: T,
}

impl<S, T> Held<S, T> {
    pub fn new(stream: S, until_closed: T) -> Self {
        Self { stream, _until_closed: until_closed }
    }
}

impl<S: AsyncRead + Unpin, T: Unpin> AsyncRead for Held<S, T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, T: Unpin> AsyncWrite for Held<S, T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A body that tells once when nothing more comes of it, or when it is dropped.
#[derive(Debug)]
pub struct Watched<B, T> {
    body: B,
    whom: T,
    over: Option<fn(&T)>,
}

impl<B: Body, T> Watched<B, T> {
    pub fn new(body: B, whom: T, over: fn(&T)) -> Self {
        let mut watched = Self { body, whom, over: Some(over) };
        watched.look();
        watched
    }

    fn look(&mut self) {
        if self.body.is_end_stream() {
            self.tell();
        }
    }
}

impl<B, T> Watched<B, T> {
    fn tell(&mut self) {
        if let Some(over) = self.over.take() {
            over(&self.whom);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin, T: Unpin> Body for Watched<B, T> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let own = self.get_mut();
        let frame = Pin::new(&mut own.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(_))) => own.look(),
            Poll::Ready(Some(Err(_)) | None) => own.tell(),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, T> Drop for Watched<B, T> {
    fn drop(&mut self) {
        self.tell();
    }
}
