//! What Visor's programs run on, the same in each of them. Their HTTP servers are in `visor-http`.
//!
//! | module | idea |
//! |---|---|
//! | [`console`] | the standard streams and the terminal |
//! | [`logging`] | diagnostics on standard error, as text or JSON |
//! | [`early_signals`] | signals that arrive before a program handles them |
//! | [`shutdown`] | signals that end a program in order |
//! | [`build_info`] | the metric with the version |
//! | [`mod@reference`] | the reference page of a program |

pub mod build_info;
pub mod console;
pub mod early_signals;
pub mod logging;
pub mod reference;
pub mod shutdown;
