//! The end of a live run: reports lines that were not written or not read, and whether that is a
//! failure.

use std::process::ExitCode;

use crate::{event_loop::UnfinishedOutput, output_buffer::OutputEnd};

/// Reports the outputs that didn't complete. `None`: the loops gave no response.
///
/// It is a failure if an output failed, or if the counts don't match what was written and read.
/// Lines that were discarded after a signal are no failure and aren't counted. `counts_are_shown`:
/// whether a summary shows counts.
pub(super) fn report(unfinished: Option<&[UnfinishedOutput]>, counts_are_shown: bool) -> ExitCode {
    let Some(unfinished) = unfinished else {
        tracing::error!(
            "some outputs are blocked; more lines may have been written than were counted"
        );
        return ExitCode::FAILURE;
    };
    let mut failed = false;
    for UnfinishedOutput { output, lines, end, unread } in unfinished {
        if *unread > 0 && counts_are_shown {
            failed = true;
            tracing::warn!(
                output,
                bytes = unread,
                "bytes counted as written, but not read: the reader has gone"
            );
        }
        match end {
            _ if *lines == 0 => {}
            None => {
                failed = true;
                tracing::error!(
                    output,
                    lines,
                    "the output is blocked; up to this many lines may have been written, not counted"
                );
            }
            Some(OutputEnd::Failed) => {
                failed = true;
                tracing::error!(output, lines, "lines lost: the output failed (not counted)");
            }
            // They would not be read.
            Some(OutputEnd::ReaderGone) => {}
            Some(OutputEnd::Canceled | OutputEnd::Complete) => {
                tracing::warn!(
                    output,
                    lines,
                    "lines discarded at shutdown: the output was too slow (not counted)"
                );
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
