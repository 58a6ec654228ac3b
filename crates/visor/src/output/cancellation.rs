//! Cancellation of writes that wait for room.
//!
//! A pipe that isn't read would block a thread in a write forever, and it would not be known how much
//! of its batch was written. So a destination that may block is written to only if it has room, and
//! waiting for room can be canceled. It uses one descriptor of its own.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

/// The cancellation of all writes that share it. Clones are canceled together.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_canceled: AtomicBool,
    /// Readable after the cancellation, for those who wait.
    canceled: OwnedFd,
}

impl Cancellation {
    /// Not canceled yet.
    ///
    /// # Errors
    ///
    /// If the system can't provide a descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        let canceled = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Shared { is_canceled: AtomicBool::new(false), canceled })))
    }

    /// Cancels: all waiting writes return, and no write waits any more.
    pub(crate) fn cancel(&self) {
        self.0.is_canceled.store(true, Ordering::Relaxed);
        // It fails only if the counter overflows, and then it has been canceled before.
        let _ = rustix::io::write(&self.0.canceled, &1_u64.to_ne_bytes());
    }

    /// Whether it has been canceled.
    pub(super) fn is_canceled(&self) -> bool {
        self.0.is_canceled.load(Ordering::Relaxed)
    }

    /// Waits until a descriptor has room, or has an error that a write will return; or until the
    /// cancellation.
    pub(super) fn wait_for_room(&self, descriptor: impl AsFd) -> io::Result<()> {
        let room = PollFd::new(&descriptor, PollFlags::OUT);
        poll_through(&mut [room, PollFd::new(&self.0.canceled, PollFlags::IN)], None).map(|_| ())
    }
}

/// Whether a descriptor has room now, or an error that a write will return.
pub(super) fn has_room(descriptor: impl AsFd) -> io::Result<bool> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll_through(&mut [PollFd::new(&descriptor, PollFlags::OUT)], Some(&at_once))?;
    Ok(ready > 0)
}

/// `poll` that continues after signals.
fn poll_through(descriptors: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<usize> {
    loop {
        match poll(descriptors, timeout) {
            Err(Errno::INTR) => {}
            other => return other.map_err(Into::into),
        }
    }
}
