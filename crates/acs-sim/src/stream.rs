//! One stream connection: its bytes witnessed, its messages framed, its silence timed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use sip_msg::{Frame, Framing, Limits, StreamFramer, parse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::tap::{Carrier, Tap};
use crate::wire::{Arrived, Link};

const READ: usize = 16 * 1024;
/// "No idle limit": longer than any test or demonstration.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A TCP stream whose bytes are shown to a [`Tap`]; under TLS that is the ciphertext.
pub(crate) struct Tapped {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    tap: Tap,
}

impl Tapped {
    pub(crate) fn new(stream: TcpStream, tap: Tap) -> io::Result<Self> {
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(Self {
            stream,
            local,
            remote,
            tap,
        })
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            self.tap.record(Carrier::Tcp, self.remote, self.local, read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.tap
            .record(Carrier::Tcp, self.local, self.remote, &bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How a stream connection is treated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamLimits {
    /// It is closed after this long without a byte.
    pub(crate) idle: Option<Duration>,
    /// Octets written at once.
    pub(crate) piece: Option<usize>,
}

/// Reads and writes until either side closes, or nothing happened for `idle`.
///
/// An empty chunk in the queue closes the connection after what was queued before it.
pub(crate) async fn run<S>(
    stream: S,
    link: Arc<Link>,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    arrived: mpsc::UnboundedSender<Arrived>,
    limits: StreamLimits,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut framer = StreamFramer::new(Limits::default());
    let mut buffer = vec![0; READ];
    let idle = limits.idle.unwrap_or(FOREVER);
    let piece = limits.piece.unwrap_or(usize::MAX).max(1);
    let mut deadline = Instant::now() + idle;
    loop {
        tokio::select! {
            read = reader.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { break };
                // Whoever closed the connection hears no more; what was queued before is still sent.
                if !link.is_open() {
                    continue;
                }
                deadline = Instant::now() + idle;
                framer.push(&buffer[..length]);
                if !deliver(&mut framer, &link, &arrived) {
                    break;
                }
            }
            chunk = queue.recv() => {
                let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else { break };
                deadline = Instant::now() + idle;
                if write(&mut writer, &chunk, piece).await.is_err() {
                    break;
                }
            }
            () = sleep_until(deadline) => break,
        }
    }
    link.mark_closed();
    // The peer may have gone first.
    let _ = writer.shutdown().await;
    let _ = arrived.send(Arrived::Closed(link));
}

/// Writes a chunk in pieces, each in a TLS record of its own where there is TLS.
async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    chunk: &[u8],
    piece: usize,
) -> io::Result<()> {
    for piece in chunk.chunks(piece) {
        writer.write_all(piece).await?;
        writer.flush().await?;
    }
    Ok(())
}

/// Hands on every whole frame; says whether the stream can be read further.
fn deliver(
    framer: &mut StreamFramer,
    link: &Arc<Link>,
    arrived: &mpsc::UnboundedSender<Arrived>,
) -> bool {
    loop {
        let event = match framer.next() {
            Ok(Some(Frame::Message(bytes))) => {
                let parsed = parse(bytes.clone(), &Limits::default(), Framing::Stream);
                Arrived::Message(Arc::clone(link), bytes, Box::new(parsed))
            }
            Ok(Some(Frame::Ping)) => Arrived::Ping(Arc::clone(link)),
            Ok(None) => return true,
            // Without its length the rest of the stream cannot be divided.
            Err(_) => return false,
        };
        if arrived.send(event).is_err() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Origin, Out, Transport};
    use std::sync::atomic::AtomicBool;

    const OPTIONS: &[u8] = b"OPTIONS sip:a@b.example SIP/2.0\r\nContent-Length: 0\r\n\r\n";

    /// Whether a message is heard that came before the connection was looked at, but after our side
    /// had closed it, if it did.
    async fn heard(closed: bool) -> bool {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(OPTIONS).await.unwrap();
        let (out, queue) = mpsc::unbounded_channel();
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let place = SocketAddr::from(([127, 0, 0, 1], 5061));
        let link = Arc::new(Link {
            id: 1,
            transport: Transport::Tcp,
            local: place,
            remote: place,
            origin: Origin::Ours,
            names: Vec::new(),
            server_name: None,
            out: Out::Stream(out),
            closed: AtomicBool::new(false),
        });
        if closed {
            link.close();
        } else {
            theirs.shutdown().await.unwrap();
        }
        run(ours, link, queue, arrived, StreamLimits::default()).await;
        matches!(arrivals.recv().await, Some(Arrived::Message(..)))
    }

    #[tokio::test]
    async fn who_has_closed_a_connection_hears_no_more_from_it() {
        assert!(heard(false).await);
        // Chance decides what is looked at first.
        for _ in 0..50 {
            assert!(!heard(true).await);
        }
    }
}
