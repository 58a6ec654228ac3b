//! `--wait`: a generator that is a guest in somebody else's pod comes without its documents if need
//! be, and waits for them, rather than fail and have the pod count as broken.

use std::time::Duration;

use anyhow::Context;
use visor_api::ResolvedSource;

use super::signals::StopSignals;
use crate::documents::Documents;

/// How often documents are looked for.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads the documents as soon as they are there and good; `None` if the program is told to end
/// before.
pub(super) fn read(documents: &mut Documents) -> anyhow::Result<Option<Vec<ResolvedSource>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the event loop")?;
    runtime.block_on(async {
        let mut stop = StopSignals::new()?;
        let mut told = String::new();
        loop {
            match documents.read() {
                Ok(sources) => return Ok(Some(sources)),
                // Each reason once, not twice a second.
                Err(problems) if problems.to_string() != told => {
                    told = problems.to_string();
                    tracing::warn!("waiting for good documents: {told}");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.asked() => return Ok(None),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    })
}
