//! The proof of a delivery: each line that Visor writes can carry a token, which tells it from every
//! other line; what arrived is compared with what was emitted.
//!
//! ```text
//! generator: record with a placeholder -> token -> output       emitted: lanes, and how many lines each has
//! collector: record -> tokens, and whether the line is intact -> numbers of each lane -> verdict
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`token`] | 27 characters: when, which lane, which number, and a check of the line |
//! | [`lane`] | what numbers lines: one opening of one output |
//! | [`emitted`] | what a generator has written, as it reports it |
//! | [`numbers`] | a set of numbers that takes little memory when few are missing |
//! | [`record`] | what a record says about the lines in it |
//! | [`decode`] | the records of a file, told apart by looking |
//! | [`delivery`] | what arrived so far |
//! | [`latency`] | how long lines took |
//! | [`expected`] | which lines should have arrived by now |
//! | [`verdict`] | what arrived, compared with what was emitted |
//!
//! No I/O, no clock.

pub mod decode;
pub mod delivery;
mod digits;
pub mod emitted;
pub mod expected;
pub mod lane;
pub mod latency;
pub mod numbers;
pub mod record;
pub mod token;
pub mod verdict;

pub use delivery::Delivery;
pub use emitted::Emitted;
pub use expected::Expected;
pub use lane::Lane;
pub use token::Token;
pub use verdict::Verdict;
