//! How often the server may be asked: not before it wished to be (`Retry-After`), and for each watch
//! not more than once a second, for one that ends at once would otherwise be begun again at once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{Response, StatusCode, header::RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

/// The longest that a server is waited for at its own wish.
const MOST: Duration = Duration::from_mins(1);
/// The least time between two beginnings of the same watch.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);

/// When the next requests may be made.
#[derive(Default)]
pub(crate) struct Manners {
    not_before: Mutex<Option<Instant>>,
    /// By their paths, of which there are as many as kinds and namespaces that are watched.
    watches: Mutex<HashMap<String, Instant>>,
}

impl Manners {
    /// Waits until a request may be sent.
    pub(super) async fn wait(&self) {
        while let Some(time) = self.not_before() {
            sleep_until(time).await;
        }
    }

    /// Waits until a watch of this path may be begun.
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

    /// Takes note of what an answer says about the next request.
    pub(super) fn heard<B>(&self, answer: &Response<B>) {
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

    async fn waited(manners: &Manners) -> Duration {
        let before = Instant::now();
        manners.wait().await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_wishes_to_be_left_alone_is() {
        let manners = Manners::default();
        assert_eq!(waited(&manners).await, Duration::ZERO);
        manners.heard(&answer(429, "7"));
        manners.heard(&answer(503, "3"));
        assert_eq!(waited(&manners).await, Duration::from_secs(7));
        assert_eq!(waited(&manners).await, Duration::ZERO);
        for nothing in [answer(200, "9"), answer(500, "9"), answer(429, "soon"), answer(429, "-1")]
        {
            manners.heard(&nothing);
            assert_eq!(waited(&manners).await, Duration::ZERO);
        }
        manners.heard(&answer(429, "100000000000"));
        assert_eq!(waited(&manners).await, MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_not_begun_twice_in_a_second() {
        let manners = Manners::default();
        let began = Instant::now();
        for _ in 0..5 {
            manners.wait_to_watch("/api/v1/pods").await;
        }
        assert_eq!(began.elapsed(), 4 * BETWEEN_WATCHES);
        manners.wait_to_watch("/api/v1/services").await;
        assert_eq!(began.elapsed(), 4 * BETWEEN_WATCHES);
        tokio::time::advance(Duration::from_mins(1)).await;
        manners.wait_to_watch("/api/v1/pods").await;
        assert_eq!(began.elapsed(), Duration::from_secs(64));
    }
}
