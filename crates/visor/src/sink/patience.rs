//! How long a write may wait for room: until everybody is told to give up.
//!
//! A pipe that nobody reads would hold a thread in a write for good, and nobody could say what of
//! its batch has gone in. So what may stall is written to only if it has room, and whoever waits for
//! that can be told to stop. It touches one descriptor of its own.

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

/// The patience of all that share it. Clones end together.
#[derive(Debug, Clone)]
pub(crate) struct Patience(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_over: AtomicBool,
    /// Readable once it is over, for those who wait.
    over: OwnedFd,
}

impl Patience {
    /// Patience without an end as yet.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor for it.
    pub(crate) fn new() -> io::Result<Self> {
        let over = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Shared { is_over: AtomicBool::new(false), over })))
    }

    /// Ends the patience: whoever waits for room is woken, and nobody waits any more.
    pub(crate) fn end(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        // It fails only if the counter overflows, and then it is over already.
        let _ = rustix::io::write(&self.0.over, &1_u64.to_ne_bytes());
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// Waits until a descriptor has room, or has an error that a write will tell; or until the
    /// patience is over.
    pub(super) fn wait_for_room(&self, descriptor: impl AsFd) -> io::Result<()> {
        let room = PollFd::new(&descriptor, PollFlags::OUT);
        poll_through(&mut [room, PollFd::new(&self.0.over, PollFlags::IN)], None).map(|_| ())
    }
}

/// Whether a descriptor has room now, or an error that a write will tell.
pub(super) fn has_room(descriptor: impl AsFd) -> io::Result<bool> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll_through(&mut [PollFd::new(&descriptor, PollFlags::OUT)], Some(&at_once))?;
    Ok(ready > 0)
}

/// As `poll`, whatever signals come.
fn poll_through(descriptors: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<usize> {
    loop {
        match poll(descriptors, timeout) {
            Err(Errno::INTR) => {}
            other => return other.map_err(Into::into),
        }
    }
}
