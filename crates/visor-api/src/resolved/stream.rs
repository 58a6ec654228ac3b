//! The timing of a stream, of what the document says.

use visor_logs::resolved::{Surge, Timing};

use crate::source;

pub(super) fn timing(stream: &source::Stream) -> Timing {
    let configured = stream.resolved_interval();
    let surge = |surge: &source::Surge| Surge {
        every: surge.every,
        duration: surge.duration,
        factor: surge.factor.get(),
    };
    Timing {
        lines_per_second: configured.lines_per_second(),
        interval: configured.into(),
        initial_delay: stream.initial_delay,
        surges: stream.surges.iter().map(surge).collect(),
    }
}
