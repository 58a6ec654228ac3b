//! Throttling: no request before the time that the server asked for (`Retry-After`), and each watch
//! at most once per second, because one that ends at once would otherwise be restarted at once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{Response, StatusCode, header::RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

/// The maximum delay that a server can ask for.
const MOST: Duration = Duration::from_mins(1);
/// The minimum time between two starts of the same watch.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);

/// When the next requests may be sent.
#[derive(Default)]
pub(crate) struct Throttle {
    not_before: Mutex<Option<Instant>>,
    /// By path; there are as many as watched kinds and namespaces.
    watches: Mutex<HashMap<String, Instant>>,
}

impl Throttle {
    /// Waits until a request may be sent.
    pub(super) async fn wait(&self) {
        while let Some(time) = self.not_before() {
            sleep_until(time).await;
        }
    }

    /// Waits until a watch of this path may be started.
    pub(super) async fn wait_to_watch(&self, path: &str) {
        let now = Instant::now();
        let begin = {
            let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
            let next = watches.entry(path.to_owned()).or_insert(now);
            let begin = now.max(*next);
            *next = begin + BETWEEN_WATCHES;
            begin
        };
        sleep_until(begin).await;
        self.wait().await;
    }

    /// Records what a response says about the next request.
    pub(super) fn observe_response<B>(&self, answer: &Response<B>) {
        let status = answer.status();
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let text = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let Some(seconds) = text.and_then(|text| text.parse().ok()) else { return };
        let time = Instant::now() + Duration::from_secs(seconds).min(MOST);
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = not_before.max(Some(time));
    }

    fn not_before(&self) -> Option<Instant> {
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = not_before.filter(|time| Instant::now() < *time);
        *not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: &str) -> Response<()> {
        let builder = Response::builder().status(status).header(RETRY_AFTER, retry_after);
        builder.body(()).unwrap()
    }

    async fn waited(throttle: &Throttle) -> Duration {
        let before = Instant::now();
        throttle.wait().await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honored() {
        let throttle = Throttle::default();
        assert_eq!(waited(&throttle).await, Duration::ZERO);
        throttle.observe_response(&answer(429, "7"));
        throttle.observe_response(&answer(503, "3"));
        assert_eq!(waited(&throttle).await, Duration::from_secs(7));
        assert_eq!(waited(&throttle).await, Duration::ZERO);
        for nothing in [answer(200, "9"), answer(500, "9"), answer(429, "soon"), answer(429, "-1")]
        {
            throttle.observe_response(&nothing);
            assert_eq!(waited(&throttle).await, Duration::ZERO);
        }
        throttle.observe_response(&answer(429, "100000000000"));
        assert_eq!(waited(&throttle).await, MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_not_begun_twice_in_a_second() {
        let throttle = Throttle::default();
        let began = Instant::now();
        for _ in 0..5 {
            throttle.wait_to_watch("/api/v1/pods").await;
        }
        assert_eq!(began.elapsed(), 4 * BETWEEN_WATCHES);
        throttle.wait_to_watch("/api/v1/services").await;
        assert_eq!(began.elapsed(), 4 * BETWEEN_WATCHES);
        tokio::time::advance(Duration::from_mins(1)).await;
        throttle.wait_to_watch("/api/v1/pods").await;
        assert_eq!(began.elapsed(), Duration::from_secs(64));
    }
}
