//! The way of a frame on a connection of its own, of a datagram, and of what comes on standard input.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UdpSocket,
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tracing::debug;
use visor_http::Connection;

use crate::{
    audit::{Audit, InputHandle},
    fault::{Faults, Wrong},
    metrics::Metrics,
};
use visor_protocols::{
    framing::{Framing, MAX_FRAME},
    malformed::Malformed,
    records::Item,
};

/// How much is read at once at least.
const READ: usize = 16 << 10;
/// What each connection may have received of a frame without asking.
const FREE: usize = 64 << 10;
/// The bytes of all connections together beyond that.
const ALL_FRAMES: usize = 64 << 20;
/// A client reads its answers within this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum number of bytes of a datagram.
const MAX_DATAGRAM: usize = 64 << 10;

/// What takes frames.
#[derive(Clone)]
pub(crate) struct Sockets {
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    buffers: Arc<Semaphore>,
}

impl Sockets {
    pub(crate) fn new(audit: Arc<Audit>, metrics: Arc<Metrics>, faults: Arc<Faults>) -> Self {
        Self { audit, metrics, faults, buffers: Arc::new(Semaphore::new(ALL_FRAMES)) }
    }

    /// Takes the frames of a connection until its end.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
        connection: Connection,
        mut framing: Box<dyn Framing>,
    ) -> io::Result<()> {
        let name = framing.name();
        let input = self.audit.input(&format!("{name} {}", connection.peer()));
        let mut buffer = Buffer::new(Arc::clone(&self.buffers));
        timeout(ANSWER_TIMEOUT, stream.write_all(&framing.greeting())).await??;
        loop {
            connection.progress().waiting();
            let read = select! {
                read = stream.read_buf(buffer.room()) => read?,
                () = connection.closed() => return Err(io::Error::other("closed for another one")),
            };
            connection.progress().answering();
            let length = self.whole(&mut *framing, &mut buffer, read == 0)?;
            if length > 0 {
                let wrong = self.faults.of_request(name);
                if let Some(rate) = wrong.bytes_per_second {
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    sleep(Duration::from_secs(1) * length / rate).await;
                }
                if wrong.close == Some(false) {
                    return Ok(());
                }
                let answer = self.take(&input, &mut *framing, &mut buffer, length, &wrong)?;
                sleep(wrong.delay).await;
                if wrong.close.is_some() {
                    return Ok(());
                }
                if !answer.is_empty() {
                    timeout(ANSWER_TIMEOUT, stream.write_all(&answer)).await??;
                }
            }
            if read == 0 {
                return stream.shutdown().await;
            }
        }
    }

    /// Takes the frames of standard input until its end.
    pub(crate) async fn serve_stdin(
        self,
        mut stdin: impl AsyncRead + Unpin,
        mut framing: Box<dyn Framing>,
    ) -> io::Result<()> {
        let input = self.audit.input("<stdin>");
        let mut buffer = Buffer::new(Arc::clone(&self.buffers));
        loop {
            let read = stdin.read_buf(buffer.room()).await?;
            let length = self.whole(&mut *framing, &mut buffer, read == 0)?;
            if length > 0 {
                self.take(&input, &mut *framing, &mut buffer, length, &Wrong::default())?;
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Takes datagrams, each of which is a frame; never returns.
    pub(crate) async fn serve_datagrams(self, socket: UdpSocket, mut framing: Box<dyn Framing>) {
        let input = self.audit.input(&format!("{} udp", framing.name()));
        let mut datagram = vec![0; MAX_DATAGRAM];
        loop {
            match socket.recv(&mut datagram).await {
                Ok(length) => {
                    // There is nobody to tell.
                    let _ =
                        self.read(&input, &mut *framing, &datagram[..length], &Wrong::default());
                }
                Err(error) => debug!(%error, "cannot receive a datagram"),
            }
        }
    }

    /// How many bytes of a buffer are whole frames; at the end of a connection, also an open one.
    fn whole(
        &self,
        framing: &mut dyn Framing,
        buffer: &mut Buffer,
        is_end: bool,
    ) -> io::Result<usize> {
        let length = match framing.frames(&buffer.bytes) {
            Ok(_) if is_end && framing.has_open_end() => Ok(buffer.bytes.len()),
            Ok(0) => buffer.keep().map(|()| 0),
            whole => whole,
        };
        length.map_err(|malformed| self.malformed(framing.name(), malformed))
    }

    /// Takes so many bytes of a buffer, which are whole frames, and returns the answer.
    fn take(
        &self,
        input: &InputHandle,
        framing: &mut dyn Framing,
        buffer: &mut Buffer,
        length: usize,
        wrong: &Wrong,
    ) -> io::Result<Vec<u8>> {
        let answer = self.read(input, framing, &buffer.bytes[..length], wrong)?;
        buffer.remove(length);
        let kept = buffer.keep();
        kept.map_err(|malformed| self.malformed(framing.name(), malformed))?;
        Ok(answer)
    }

    fn read(
        &self,
        input: &InputHandle,
        framing: &mut dyn Framing,
        frames: &[u8],
        wrong: &Wrong,
    ) -> io::Result<Vec<u8>> {
        let read = input.read(wrong, &mut || Item::Taken, |records| framing.read(frames, records));
        let Some((answer, taken)) = read else {
            return Err(io::Error::other("the sink has ended"));
        };
        self.metrics.records(framing.name(), taken);
        answer.map_err(|malformed| self.malformed(framing.name(), malformed))
    }

    fn malformed(&self, protocol: &str, malformed: Malformed) -> io::Error {
        self.metrics.malformed(protocol);
        io::Error::other(malformed)
    }
}

/// What is received of a frame. All of them share a limit.
struct Buffer {
    bytes: BytesMut,
    shared: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Buffer {
    fn new(shared: Arc<Semaphore>) -> Self {
        Self { bytes: BytesMut::new(), shared, held: None }
    }

    /// The bytes, with room for more.
    fn room(&mut self) -> &mut BytesMut {
        self.bytes.reserve(READ);
        &mut self.bytes
    }

    fn remove(&mut self, length: usize) {
        if length == self.bytes.len() && self.bytes.capacity() > 2 * FREE {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.advance(length);
        }
    }

    /// Keeps what is there until more arrives.
    fn keep(&mut self) -> Result<(), Malformed> {
        if self.bytes.len() > MAX_FRAME {
            return Err(Malformed::new(&format!("a frame is longer than {MAX_FRAME} bytes")));
        }
        let wanted = self.bytes.len().saturating_sub(FREE);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if wanted < held / 2 || wanted == 0 {
            self.held = None;
        }
        if wanted > held {
            // Twice as much, so that it is asked for rarely.
            let more = u32::try_from(2 * wanted - held).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.shared).try_acquire_many_owned(more);
            let more = more.map_err(|_| Malformed::new("too many frames are being received"))?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        Ok(())
    }
}
