//! Rules for intervals and surges.

use crate::{
    problem::{Path, Problem},
    quantity::Duration,
    source::{Interval, Surge},
};

/// The minimum time from one surge to the next, for any interval.
const MIN_PERIOD: Duration = Duration::from_millis(1);
/// The maximum number of surges within one mean interval: each sample is spread over them one by
/// one.
const MAX_SURGES_PER_INTERVAL: f64 = 100_000.0;
const ZERO: Duration = Duration::from_nanos(0);
const ZERO_INTERVAL: &str = "must be more than 0s; for lines without pauses use `unlimited: {}`";

pub(super) fn interval(path: &Path, interval: &Interval, problems: &mut Vec<Problem>) {
    match interval {
        Interval::Fixed(ZERO) => problems.push(Problem::new(path.field("fixed"), ZERO_INTERVAL)),
        Interval::Uniform(interval_of) => {
            let path = path.field("uniform");
            if interval_of.min > interval_of.max {
                problems.push(Problem::reversed(&path, interval_of.min, interval_of.max));
            } else if interval_of.max == ZERO {
                problems.push(Problem::new(path.field("max"), ZERO_INTERVAL));
            }
        }
        Interval::Exponential(interval_of) if interval_of.mean == ZERO => {
            problems.push(Problem::new(path.field("exponential").field("mean"), ZERO_INTERVAL));
        }
        Interval::Normal(interval_of)
            if interval_of.mean == ZERO && interval_of.standard_deviation == ZERO =>
        {
            let message = "`mean` and `standardDeviation` are both 0s; for lines without \
                           pauses use `unlimited: {}`";
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
        let message = "a surge has no effect on an unlimited stream; remove the surges, \
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
        let min_period = (interval.mean_seconds() * 1e9 / MAX_SURGES_PER_INTERVAL) as u64;
        let min_period = MIN_PERIOD.max(Duration::from_nanos(min_period));
        if surge.every < min_period {
            let message = format!("must be at least {min_period}; found {}", surge.every);
            problems.push(Problem::new(path.field("every"), message));
        }
        if surge.duration == ZERO {
            let message = "must be more than 0s; otherwise remove the surge";
            problems.push(Problem::new(path.field("duration"), message));
        } else if surge.duration >= surge.every {
            let message =
                format!("must be shorter than `every` ({}); found {}", surge.every, surge.duration);
            problems.push(Problem::new(path.field("duration"), message));
        }
    }
}
