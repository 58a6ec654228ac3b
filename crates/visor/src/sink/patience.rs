//! How long a write may wait for room: until everybody is told to give up.
//!
//! A pipe that nobody reads would hold a thread in a write for good, and nobody could say what of
//! its batch has gone in. So whatever may stall is asked for room first, and whoever waits for it
//! can be told to stop. It touches one descriptor of its own.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
};

/// The patience of all that share it. Clones end together.
#[derive(Debug, Clone)]
pub(crate) struct Patience(Arc<OwnedFd>);

impl Patience {
    /// Patience without an end as yet.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor for it.
    pub(crate) fn new() -> io::Result<Self> {
        let over = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(over)))
    }

    /// Ends the patience: whoever waits for room is woken, and nobody waits any more.
    pub(crate) fn end(&self) {
        // It fails only if the counter overflows, and then it is over already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Waits until a descriptor has room, or has an error that a write will tell. Says whether it
    /// has: not if the patience is over.
    pub(super) fn wait_for_room(&self, descriptor: impl AsFd) -> io::Result<bool> {
        let mut both =
            [PollFd::new(&descriptor, PollFlags::OUT), PollFd::new(&self.0, PollFlags::IN)];
        loop {
            match poll(&mut both, None) {
                Ok(_) => return Ok(both[1].revents().is_empty()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
