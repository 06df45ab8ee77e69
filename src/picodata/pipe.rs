//! What tokio-postgres reads and writes: two queues in memory, whose other ends are the driver's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Result;
use crate::lock::Mutex;

/// The end of the queues that the driver holds. One thread at a time uses a session, so the lock is never waited
/// for.
#[derive(Clone, Default)]
pub(crate) struct Queues(Arc<Mutex<Both>>);

#[derive(Default)]
struct Both {
    /// What was received.
    incoming: Vec<u8>,
    /// How much of it has been read.
    read: usize,
    /// What is to be sent.
    outgoing: Vec<u8>,
}

impl Queues {
    /// The end that tokio-postgres gets.
    pub(crate) fn pipe(&self) -> Pipe {
        Pipe(self.clone())
    }

    /// Whether all that was received has been read.
    pub(crate) fn is_hungry(&self) -> bool {
        self.0.lock().incoming.is_empty()
    }

    /// Adds to what was received.
    pub(crate) fn give(&self, fill: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        fill(&mut self.0.lock().incoming)
    }

    /// Takes what is to be sent.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().outgoing)
    }
}

/// The end of the [`Queues`] that tokio-postgres holds. Nobody is woken later: the driver polls again when it has
/// moved bytes.
pub(crate) struct Pipe(Queues);

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let queues = &mut *self.0.0.lock();
        let unread = queues.incoming.get(queues.read..).unwrap_or_default();
        if unread.is_empty() {
            return Poll::Pending;
        }
        let count = unread.len().min(buffer.remaining());
        buffer.put_slice(unread.get(..count).unwrap_or_default());
        queues.read += count;
        if queues.read == queues.incoming.len() {
            (queues.incoming, queues.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.0.lock().outgoing.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
