//! The descriptors of outputs: standard streams must be open for writing, and each file needs one of
//! its own.
//!
//! Many systems have a low soft limit of open files (`RLIMIT_NOFILE`) and a high hard one, because
//! programs that use select(2) can't handle more; this one can, so it raises the soft limit.

use std::collections::HashSet;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use visor_libc::standard_streams::{self, State, Stream};

use crate::{output::Address, plan::Plan};

/// Descriptors besides those of outputs: standard streams, timers, a listener and some connections.
const OTHERS: u64 = 32;
/// Descriptors of an event loop and of its writes: directories, rotated files, compression.
const FOR_EACH_LOOP: u64 = 10;

/// Raises the limit to what the system allows.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, there are as many as before.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Checks that a plan has descriptors for all its outputs, before any file is created.
///
/// # Errors
///
/// That a standard stream isn't open, or that there are too few for files, with the numbers.
pub(crate) fn check(plan: &Plan, loops: usize) -> anyhow::Result<()> {
    let addresses = plan.generators.iter().map(|generator| &generator.output.address);
    let addresses: HashSet<_> = addresses.collect();
    for (address, stream) in [(Address::Stdout, Stream::Output), (Address::Stderr, Stream::Error)] {
        if addresses.contains(&address) {
            check_stream(stream)?;
        }
    }
    let files = addresses.iter().filter(|address| matches!(address, Address::File(_))).count();
    enough(files as u64, loops as u64, getrlimit(Resource::Nofile).current)
}

/// Checks that a standard stream is open for writing.
///
/// # Errors
///
/// That it isn't, and what to do.
pub(crate) fn check_stream(stream: Stream) -> anyhow::Result<()> {
    let name = match stream {
        Stream::Output => "standard output",
        Stream::Error => "standard error",
    };
    match standard_streams::state(stream) {
        State::Writable => Ok(()),
        State::Closed => {
            anyhow::bail!(
                "{name} is closed; open it, for example with `> FILE`, or write to a file"
            )
        }
        State::ReadOnly => anyhow::bail!(
            "{name} is not open for writing; open it, for example with `> FILE`, or write to a file"
        ),
    }
}

fn enough(files: u64, loops: u64, limit: Option<u64>) -> anyhow::Result<()> {
    let needed = files + OTHERS + FOR_EACH_LOOP * loops;
    let Some(limit) = limit.filter(|limit| *limit < needed) else { return Ok(()) };
    anyhow::bail!(
        "{files} files need {needed} file descriptors, but this process may have {limit}; raise the \
         limit (`ulimit -Hn {needed}` as root, LimitNOFILE of systemd, --ulimit of a container), or \
         write to fewer files"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_need_descriptors() {
        assert!(enough(0, 1, Some(64)).is_ok());
        assert!(enough(5_000, 1, None).is_ok());
        assert!(enough(5_000, 2, Some(5_052)).is_ok());
        let error = enough(5_000, 2, Some(1_024)).unwrap_err().to_string();
        assert!(error.starts_with("5000 files need 5052 file descriptors, but"), "{error}");
        assert!(error.contains("may have 1024;"), "{error}");
    }
}
