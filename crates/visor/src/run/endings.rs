//! The end of a live run: reports lines that were not written or not read, and whether that is a
//! failure.

use std::process::ExitCode;

use crate::output::{OutputEnd, UnfinishedOutput};

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
    let unread = unfinished.iter().map(|one| (&one.output, one.unread));
    let unread = if counts_are_shown { unread.collect() } else { Vec::new() };
    failed |= each(&unread, |output, bytes| {
        tracing::warn!(
            output,
            bytes,
            "bytes counted as written, but not read: the reader has gone"
        );
    });
    let lines = |ends: &[Option<OutputEnd>]| -> Vec<(&String, u64)> {
        let ended = unfinished.iter().filter(|one| ends.contains(&one.end));
        ended.map(|one| (&one.output, one.lines)).collect()
    };
    failed |= each(&lines(&[None]), |output, lines| {
        tracing::error!(
            output,
            lines,
            "the output is blocked; up to this many lines may have been written, not counted"
        );
    });
    failed |= each(&lines(&[Some(OutputEnd::Failed)]), |output, lines| {
        tracing::error!(output, lines, "lines lost: the output failed (not counted)");
    });
    // Lines for a reader that has gone would not be read.
    each(&lines(&[Some(OutputEnd::Canceled), Some(OutputEnd::Complete)]), |output, lines| {
        tracing::warn!(
            output,
            lines,
            "lines discarded at shutdown: the output was too slow (not counted)"
        );
    });
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The maximum number of outputs with a message of their own.
const MAX_SHOWN: usize = 10;

/// Logs each number above 0 with its output, and the sum of those beyond the first ones. Returns
/// whether there is one.
fn each(numbers: &[(&String, u64)], log: impl Fn(&str, u64)) -> bool {
    let mut numbers = numbers.iter().filter(|(_, number)| *number > 0);
    let mut is_any = false;
    for (output, number) in numbers.by_ref().take(MAX_SHOWN) {
        log(output, *number);
        is_any = true;
    }
    let others: Vec<u64> = numbers.map(|(_, number)| *number).collect();
    if !others.is_empty() {
        log(&format!("{} more outputs", others.len()), others.iter().sum());
    }
    is_any
}
