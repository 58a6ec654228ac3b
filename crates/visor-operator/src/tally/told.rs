//! What the status tells of each pod's count, so that an operator that starts knows which part of the
//! sum is whose. Text, for there may be a thousand pods.

use std::{fmt, str::FromStr};

use crate::{build::hash, tally::Counts};

/// What tells a pod from others: twelve digits of a hash of its uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodMark(String);

impl PodMark {
    pub(crate) fn of(uid: &str) -> Self {
        Self(hash::of_text(uid).split_off(4))
    }
}

/// How far a pod has come. Its containers are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// This one may be writing, and has written so much.
    Writes { number: i32, counts: Counts },
    /// This one has ended, and another may have begun.
    Ended { number: i32 },
    /// All have ended, and there will be no other.
    Over,
}

impl Told {
    /// What the container wrote that hasn't ended.
    pub(crate) fn present(self) -> Counts {
        match self {
            Self::Writes { counts, .. } => counts,
            Self::Ended { .. } | Self::Over => Counts::default(),
        }
    }
}

/// What a status tells of one pod: `9f3b52c01d7e:2:4711:1130640`, `9f3b52c01d7e:2` or
/// `9f3b52c01d7e:over`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PodEntry(pub(crate) PodMark, pub(crate) Told);

const OVER: &str = "over";

impl fmt::Display for PodEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(PodMark(mark), told) = self;
        match told {
            Told::Writes { number, counts: Counts { lines, bytes } } => {
                write!(f, "{mark}:{number}:{lines}:{bytes}")
            }
            Told::Ended { number } => write!(f, "{mark}:{number}"),
            Told::Over => write!(f, "{mark}:{OVER}"),
        }
    }
}

impl FromStr for PodEntry {
    /// Somebody else wrote it: there is nothing to say about it.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| {
            let number: u32 = text.parse().map_err(drop)?;
            i32::try_from(number).map_err(drop)
        };
        let count = |text: &str| text.parse().map_err(drop);
        let mut parts = text.split(':');
        let mark = parts.next().ok_or(())?;
        let told = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(OVER), None, ..) => Told::Over,
            (Some(ended), None, ..) => Told::Ended { number: number(ended)? },
            (Some(writes), Some(lines), Some(bytes), None) => Told::Writes {
                number: number(writes)?,
                counts: Counts { lines: count(lines)?, bytes: count(bytes)? },
            },
            _ => return Err(()),
        };
        Ok(Self(PodMark(mark.to_owned()), told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_as_it_was_written() {
        let counts = Counts { lines: 4711, bytes: u64::MAX };
        for told in [Told::Writes { number: 2, counts }, Told::Ended { number: 0 }, Told::Over] {
            let entry = PodEntry(PodMark::of("a"), told);
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
        for nonsense in
            ["", "a", "a:", "a:-1", "a:4294967295", "a:x", "a:1:2", "a:1:2:-3", "a:1:2:3:4"]
        {
            assert_eq!(nonsense.parse::<PodEntry>(), Err(()), "{nonsense}");
        }
    }
}
