//! How many lines were emitted and delivered over time: a few hundred points, however long a run is.

/// The maximum number of points. Then every second one goes, and the rest stand twice as far apart.
const MAX_POINTS: usize = 600;

/// The numbers at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Seconds since the start.
    pub(crate) seconds: u64,
    pub(crate) emitted: u64,
    pub(crate) delivered: u64,
}

/// The points so far.
#[derive(Debug)]
pub(crate) struct History {
    points: Vec<Point>,
    /// How many seconds are between two points at least.
    step: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { points: Vec::new(), step: 1 }
    }
}

impl History {
    /// Adds a point, unless the last one is too near.
    pub(crate) fn add(&mut self, point: Point) {
        if self.points.last().is_some_and(|last| point.seconds < last.seconds + self.step) {
            return;
        }
        self.points.push(point);
        if self.points.len() > MAX_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.step *= 2;
        }
    }

    /// The points, the oldest first.
    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_as_few_points_as_a_short_one() {
        let mut history = History::default();
        for seconds in 0..100_000 {
            history.add(Point { seconds, emitted: seconds, delivered: seconds / 2 });
        }
        let points = history.points();
        assert!((MAX_POINTS / 2..=MAX_POINTS).contains(&points.len()), "{}", points.len());
        assert_eq!(points[0].seconds, 0);
        assert!(points.windows(2).all(|two| two[0].seconds < two[1].seconds));
        assert!(points.last().unwrap().seconds > 99_000);
    }
}
