//! Which of the standard streams the process was started with.
//!
//! The standard library opens `/dev/null` in place of a closed one before `main`: lines written to
//! it would be counted and lost. So they are examined before that, by a function that the C library
//! calls first (decision 0021).

use std::{
    os::fd::{BorrowedFd, RawFd},
    sync::atomic::{AtomicU8, Ordering},
};

use rustix::{
    fs::{OFlags, fcntl_getfl},
    io::Errno,
};

/// A standard stream that lines can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output = 1,
    /// Standard error.
    Error = 2,
}

/// How a standard stream was open at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// For writing.
    Writable,
    /// Not for writing.
    ReadOnly,
    /// Not at all.
    Closed,
}

/// By stream: see [`State`].
static STATES: [AtomicU8; 2] = [const { AtomicU8::new(State::Writable as u8) }; 2];

/// How this stream was open at the start of the process.
pub fn state(stream: Stream) -> State {
    match STATES[stream as usize - 1].load(Ordering::Relaxed) {
        state if state == State::Closed as u8 => State::Closed,
        state if state == State::ReadOnly as u8 => State::ReadOnly,
        _ => State::Writable,
    }
}

/// Examines the streams. Called by the C library before the runtime of Rust is there, so it neither
/// allocates nor panics.
extern "C" fn examine() {
    for (state, descriptor) in STATES.iter().zip(1..) {
        state.store(state_of(descriptor) as u8, Ordering::Relaxed);
    }
}

fn state_of(descriptor: RawFd) -> State {
    // SAFETY: it is used for one call, which takes any number, and isn't kept. Nothing else runs yet.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    match fcntl_getfl(borrowed) {
        Err(Errno::BADF) => State::Closed,
        Ok(flags) if flags & OFlags::RWMODE == OFlags::RDONLY => State::ReadOnly,
        _ => State::Writable,
    }
}

// SAFETY: the section holds addresses of functions that are called once, in this way.
#[used]
#[unsafe(link_section = ".init_array")]
static EXAMINE: extern "C" fn() = examine;
