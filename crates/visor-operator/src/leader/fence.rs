//! Prevents requests of a former leader. A process may be stopped at any point and continue later,
//! with a request that is built but not sent yet. So each write checks when it is sent whether the
//! Lease, as far as this operator knows, is still its own.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Closed until this operator leads, and again when its time is over.
#[derive(Clone, Default)]
pub(crate) struct Fence(Arc<Mutex<Option<Instant>>>);

impl Fence {
    pub(super) fn open_until(&self, end: Instant) {
        self.set(Some(end));
    }

    pub(crate) fn close(&self) {
        self.set(None);
    }

    pub(crate) fn is_open(&self) -> bool {
        let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| Instant::now() < end)
    }

    fn set(&self, end: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn it_is_open_for_the_given_time() {
        let fence = Fence::default();
        assert!(!fence.is_open());
        fence.open_until(Instant::now() + Duration::from_secs(10));
        assert!(fence.is_open());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!fence.is_open());
        fence.open_until(Instant::now() + Duration::from_secs(10));
        fence.close();
        assert!(!fence.is_open());
    }
}
