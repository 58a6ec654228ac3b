//! Laws of time and surges: each must make sense by itself.

use crate::{
    problem::{Path, Problem},
    quantity::Duration,
    source::{Interval, Surge},
};

/// The shortest time from one surge to the next, whatever the interval.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);
/// The most surges that one mean interval may have in it: each draw of the law goes through them
/// one by one.
const MOST_SURGES_AN_INTERVAL: f64 = 100_000.0;
const ZERO: Duration = Duration::from_nanos(0);
const NO_TIME: &str = "must be more than 0s; for no time between two lines use `unlimited: {}`";

pub(super) fn interval(path: &Path, interval: &Interval, problems: &mut Vec<Problem>) {
    match interval {
        Interval::Fixed(ZERO) => problems.push(Problem::new(path.field("fixed"), NO_TIME)),
        Interval::Uniform(law) => {
            let path = path.field("uniform");
            if law.min > law.max {
                problems.push(reversed(&path, law.min, law.max));
            } else if law.max == ZERO {
                problems.push(Problem::new(path.field("max"), NO_TIME));
            }
        }
        Interval::Exponential(law) if law.mean == ZERO => {
            problems.push(Problem::new(path.field("exponential").field("mean"), NO_TIME));
        }
        Interval::Normal(law) if law.mean == ZERO && law.standard_deviation == ZERO => {
            let message = "`mean` and `standardDeviation` are both 0s; for no time between two \
                           lines use `unlimited: {}`";
            problems.push(Problem::new(path.field("normal"), message));
        }
        _ => {}
    }
}

pub(super) fn surges(
    path: &Path,
    surges: &[Surge],
    interval: &Interval,
    problems: &mut Vec<Problem>,
) {
    if !surges.is_empty() && matches!(interval, Interval::Unlimited(_)) {
        let message = "a surge changes nothing in a stream that is unlimited; remove the surges, \
                       or use another interval";
        problems.push(Problem::new(path.clone(), message));
    }
    for (index, surge) in surges.iter().enumerate() {
        let path = path.index(index);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative; beyond the longest duration, it is that"
        )]
        let least = (interval.mean_seconds() * 1e9 / MOST_SURGES_AN_INTERVAL) as u64;
        let least = SHORTEST_PERIOD.max(Duration::from_nanos(least));
        if surge.every < least {
            let message = format!("must be at least {least}; found {}", surge.every);
            problems.push(Problem::new(path.field("every"), message));
        }
        if surge.duration == ZERO {
            let message = "must be more than 0s; remove the surge if it isn't wanted";
            problems.push(Problem::new(path.field("duration"), message));
        } else if surge.duration >= surge.every {
            let message =
                format!("must be shorter than `every` ({}); found {}", surge.every, surge.duration);
            problems.push(Problem::new(path.field("duration"), message));
        }
    }
}

/// A range whose ends are the wrong way round.
pub(super) fn reversed(
    path: &Path,
    min: impl std::fmt::Display,
    max: impl std::fmt::Display,
) -> Problem {
    let message = format!("must not be more than `max` ({max}); found {min}");
    Problem::new(path.field("min"), message)
}
