//! What only the C library can do, and no safe crate offers: all unsafe code of this workspace.
//!
//! | module | idea |
//! |---|---|
//! | [`standard_streams`] | which of the standard streams the process was started with |
//! | [`memory`] | gives free memory back to the system |

pub mod memory;
pub mod standard_streams;
