//! The pure core of Visor: when a line is due, what it says, and its bytes.
//!
//! ```text
//! interval (how long) -> schedule (when) -> model (what) -> format (bytes)
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`time`] | times, and spans between them |
//! | [`interval`] | the random distribution of the time between two lines |
//! | [`schedule`] | a schedule that never drifts, with surges |
//! | [`random`] | seeds, and one random number generator for all machines |
//! | [`choice`] | weighted draws in constant time |
//! | `server` | the default server, which a document can override |
//! | [`clients`] | pools of client addresses |
//! | [`uri`] | the path of a request as httpd understands it |
//! | [`escape`] | httpd's escaping of what clients sent |
//! | [`text`] | texts that are quick to write, and the buffer they are written to |
//! | [`stamp`] | time stamps, rendered once a second |
//! | [`strftime`] | times in a format of C's strftime |
//! | [`mod@line`] | the fields of a line, compiled to columns |
//! | [`log::access`] | access lines: what a request is, how it is drawn, how it is written |
//! | [`log::error`] | error lines: the same for httpd's messages |
//! | [`mod@log`] | these kinds of log, and the streams of a generator, made of its document |
//! | [`stream`] | one kind of line: a schedule and a model of its own |
//! | [`simulate`] | many streams merged into one order of time |
//!
//! No I/O, no clock, no async: time comes in as an argument, bytes go out into a buffer. The same
//! seed gives the same bytes on every machine, so floating-point functions come from `libm` rather
//! than from the platform.

pub mod choice;
pub mod clients;
pub mod escape;
pub mod interval;
pub mod line;
pub mod log;
pub mod random;
pub mod schedule;
mod server;
pub mod simulate;
pub mod stamp;
pub mod stream;
pub mod strftime;
#[cfg(test)]
mod testing;
pub mod text;
pub mod time;
pub mod uri;
