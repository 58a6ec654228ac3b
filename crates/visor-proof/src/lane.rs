//! Lanes: a lane is one opening of one output, and numbers the lines that it writes.
//!
//! Lines are numbered by their output rather than by their stream, because an output writes in order:
//! what is written of a lane are its first numbers, however the program ends.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::digits::{decoded, encode};

/// The identity of a lane: 42 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Lane(u64);

impl Lane {
    /// The number of characters of a lane.
    pub const LENGTH: usize = 7;
    /// The number of lines of a lane; then another one begins.
    pub const MAX_LINES: u32 = 1 << 30;

    const SIMULATED: u64 = 1 << 41;

    /// A lane of a live run. Of the random bits, 41 are used.
    pub const fn live(random: u64) -> Self {
        Self(random & (Self::SIMULATED - 1))
    }

    /// A lane of a simulated run, which has the same lanes each time.
    pub const fn simulated(random: u64) -> Self {
        Self(random | Self::SIMULATED).cut()
    }

    const fn cut(self) -> Self {
        Self(self.0 & ((Self::SIMULATED << 1) - 1))
    }

    /// Whether its times are simulated.
    pub const fn is_simulated(self) -> bool {
        self.0 & Self::SIMULATED != 0
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits).cut()
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = [0; Self::LENGTH];
        encode(self.0, &mut characters);
        characters.iter().try_for_each(|character| write!(f, "{}", char::from(*character)))
    }
}

/// The text isn't a lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lane has seven characters of base64url, such as `k3_Zq9P`")]
pub struct InvalidLane;

impl FromStr for Lane {
    type Err = InvalidLane;

    fn from_str(text: &str) -> Result<Self, InvalidLane> {
        let characters: &[u8; Self::LENGTH] =
            text.as_bytes().try_into().map_err(|_| InvalidLane)?;
        decoded(characters).map(Self).ok_or(InvalidLane)
    }
}

impl TryFrom<String> for Lane {
    type Error = InvalidLane;

    fn try_from(text: String) -> Result<Self, InvalidLane> {
        text.parse()
    }
}

impl From<Lane> for String {
    fn from(lane: Lane) -> Self {
        lane.to_string()
    }
}
