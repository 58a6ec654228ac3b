//! The limit of open files (`RLIMIT_NOFILE`): each file output needs a descriptor. Many systems have a
//! low soft limit and a high hard one, because programs that use select(2) can't handle more; this one
//! can, so it raises the soft limit.

use std::collections::HashSet;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plan::Plan;

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

/// Checks that a plan has descriptors for all its files, before any is created.
///
/// # Errors
///
/// That there are too few, with the numbers.
pub(crate) fn check(plan: &Plan, loops: usize) -> anyhow::Result<()> {
    let files = plan.generators.iter().map(|generator| &generator.output.destination);
    let files: HashSet<_> = files.filter_map(|destination| destination.file()).collect();
    enough(files.len() as u64, loops as u64, getrlimit(Resource::Nofile).current)
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
