//! Outputs: where lines go, and how they get there.
//!
//! An output is one [`Destination`] with one [`Writer`], whichever event loops write to it. Streams
//! append lines to the [`Buffer`] of their loop. The writer is a task that has a thread write them,
//! which may block, and that decides what is done about errors. Simulated runs write to
//! destinations directly.
//!
//! | module | idea |
//! |---|---|
//! | `destination` | the contract: what a destination promises about the records that it is given; a file for each |
//! | `cancellation` | cancels writes that wait for room |
//! | `error`, `end` | what failed, where, and what to do; how outputs end |
//! | `records`, `batch` | records and their ends; the streams that they belong to |
//! | `channel` | from the streams of event loops to a writer |
//! | `writer` | writes what arrives, with retries, until everything is written |
//! | `write_threads` | the threads on which writes block |
//! | `outputs` | all outputs of a live run |
//! | `shared_log` | one message for what many outputs have in common |

mod batch;
mod cancellation;
mod channel;
mod destination;
mod end;
mod error;
mod outputs;
mod records;
mod shared_log;
mod write_threads;
mod writer;

pub(crate) use batch::Batch;
pub(crate) use cancellation::Cancellation;
pub(crate) use channel::{Buffer, Channel};
#[cfg(test)]
pub(crate) use destination::FileLocation;
pub(crate) use destination::{Address, CloseResult, Destination, OutputPlan, WriteResult};
pub(crate) use end::{OutputEnd, UnfinishedOutput};
pub(crate) use error::OutputError;
pub(crate) use outputs::Outputs;
pub(crate) use records::Records;
pub(crate) use shared_log::SharedLog;
pub(crate) use write_threads::WriteThreads;
pub(crate) use writer::Writer;
