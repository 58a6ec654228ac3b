//! The events that have been published about a source: pods that come and go, and requests that fail
//! now and then, are reported only once.

/// The reasons of the events about one generation of a source.
#[derive(Default)]
pub(crate) struct PublishedReasons {
    generation: Option<i64>,
    reasons: Vec<String>,
}

impl PublishedReasons {
    /// Notes that an event with this reason is published about this generation. Returns whether it is
    /// the first one.
    pub(crate) fn insert(&mut self, generation: Option<i64>, reason: &str) -> bool {
        if self.generation != generation {
            self.generation = generation;
            self.reasons.clear();
        }
        let is_new = !self.reasons.iter().any(|known| known == reason);
        if is_new {
            self.reasons.push(reason.to_owned());
        }
        is_new
    }

    /// Notes that an event could not be published, so that the next one with its reason is.
    pub(crate) fn remove(&mut self, generation: Option<i64>, reason: &str) {
        if self.generation == generation {
            self.reasons.retain(|known| known != reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_new_once_for_each_generation() {
        let mut published = PublishedReasons::default();
        assert!(published.insert(Some(1), "Ready"));
        assert!(!published.insert(Some(1), "Ready"));
        assert!(published.insert(Some(1), "Failed"));
        published.remove(Some(1), "Ready");
        assert!(published.insert(Some(1), "Ready"));
        assert!(published.insert(Some(2), "Ready"));
        // About the generation before.
        published.remove(Some(1), "Ready");
        assert!(!published.insert(Some(2), "Ready"));
    }
}
