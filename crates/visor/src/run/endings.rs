//! How a live run has ended: what is left unwritten or unread is said, and whether that is a failure.

use std::process::ExitCode;

use crate::{event_loop::Remainder, outlet::End};

/// Says what became of the outputs that didn't end as they should. `None` is that loops gave no
/// answer.
///
/// It is a failure if an output failed, or if the count is not what was written and read. Lines that
/// a signal has ended the wait for are neither: who sends it wants no more of them, and they don't
/// count. `counts_are_shown` says whether anybody sees a count.
pub(super) fn tell(remainders: Option<&[Remainder]>, counts_are_shown: bool) -> ExitCode {
    let Some(remainders) = remainders else {
        tracing::error!(
            "some outputs are stuck; more lines may have been written than were counted"
        );
        return ExitCode::FAILURE;
    };
    let mut failed = false;
    for Remainder { output, lines, end, unread } in remainders {
        if *unread > 0 && counts_are_shown {
            failed = true;
            tracing::warn!(
                output,
                bytes = unread,
                "counted as written, but its reader went away without reading them"
            );
        }
        match end {
            _ if *lines == 0 => {}
            None => {
                failed = true;
                tracing::error!(
                    output,
                    lines,
                    "the output is stuck; up to so many lines may have been written, not counted"
                );
            }
            Some(End::Failed) => {
                failed = true;
                tracing::error!(output, lines, "could not be written; not counted");
            }
            // Nobody wants them any more.
            Some(End::NobodyReads) => {}
            Some(End::GivenUp | End::Whole) => {
                tracing::warn!(output, lines, "that the output didn't take in time; not counted");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
