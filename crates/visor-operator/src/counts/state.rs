//! The saved counts of each pod in the status, so that a new leader knows each pod's part of the
//! total. They are text, because there may be a thousand pods.

use std::{fmt, str::FromStr};

use crate::{counts::Counts, hash};

/// The identity of a pod: twelve digits of a hash of its uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodId(String);

impl PodId {
    pub(crate) fn of(uid: &str) -> Self {
        Self(hash::of_text(uid).split_off(4))
    }
}

/// The state of a pod's containers, which are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodState {
    /// This one may be writing, and has written this much.
    Running { number: i32, counts: Counts },
    /// This one has terminated, and another may have started.
    Terminated { number: i32 },
    /// All have terminated, and there will be no other.
    Finished,
}

impl PodState {
    /// The counts of the container that hasn't terminated.
    pub(crate) fn present(self) -> Counts {
        match self {
            Self::Running { counts, .. } => counts,
            Self::Terminated { .. } | Self::Finished => Counts::default(),
        }
    }
}

/// The saved counts of one pod: `9f3b52c01d7e:2:4711:1130640`, `9f3b52c01d7e:2` or
/// `9f3b52c01d7e:over`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedPod(pub(crate) PodId, pub(crate) PodState);

const OVER: &str = "over";

impl fmt::Display for SavedPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(PodId(mark), state) = self;
        match state {
            PodState::Running { number, counts: Counts { lines, bytes } } => {
                write!(f, "{mark}:{number}:{lines}:{bytes}")
            }
            PodState::Terminated { number } => write!(f, "{mark}:{number}"),
            PodState::Finished => write!(f, "{mark}:{OVER}"),
        }
    }
}

impl FromStr for SavedPod {
    /// Invalid entries are ignored, so no reason is needed.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| {
            let number: u32 = text.parse().map_err(drop)?;
            i32::try_from(number).map_err(drop)
        };
        let count = |text: &str| text.parse().map_err(drop);
        let mut parts = text.split(':');
        let mark = parts.next().ok_or(())?;
        let state = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(OVER), None, ..) => PodState::Finished,
            (Some(ended), None, ..) => PodState::Terminated { number: number(ended)? },
            (Some(writes), Some(lines), Some(bytes), None) => PodState::Running {
                number: number(writes)?,
                counts: Counts { lines: count(lines)?, bytes: count(bytes)? },
            },
            _ => return Err(()),
        };
        Ok(Self(PodId(mark.to_owned()), state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_serialization() {
        let counts = Counts { lines: 4711, bytes: u64::MAX };
        for state in [
            PodState::Running { number: 2, counts },
            PodState::Terminated { number: 0 },
            PodState::Finished,
        ] {
            let entry = SavedPod(PodId::of("a"), state);
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
        for nonsense in
            ["", "a", "a:", "a:-1", "a:4294967295", "a:x", "a:1:2", "a:1:2:-3", "a:1:2:3:4"]
        {
            assert_eq!(nonsense.parse::<SavedPod>(), Err(()), "{nonsense}");
        }
    }
}
