//! `--wait`: an injected generator may start before its document exists, and waits for it instead
//! of failing, which would disturb its pod.

use std::time::Duration;

use anyhow::Context;
use visor_api::ResolvedSource;

use super::signals::StopSignals;
use crate::documents::Documents;

/// How often the documents are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Reads the documents as soon as they exist and are valid; `None` after a signal.
pub(super) fn read(documents: &mut Documents) -> anyhow::Result<Option<Vec<ResolvedSource>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let mut stop = StopSignals::new()?;
        let mut logged = String::new();
        loop {
            match documents.read() {
                Ok(sources) => return Ok(Some(sources)),
                // Each reason is logged once.
                Err(problems) if problems.to_string() != logged => {
                    logged = problems.to_string();
                    tracing::warn!("waiting for valid documents: {logged}");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.requested() => return Ok(None),
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    })
}
