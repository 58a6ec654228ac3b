//! Rate-limited lookups of objects that aren't in a cache. They are caused by reviews, which
//! anybody can send, so their number is bounded and their results are cached.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// The maximum time that a lookup delays an admission request: less than the shortest timeout of a
/// webhook (`timeoutSeconds: 1`).
const TIME_LIMIT: Duration = Duration::from_millis(700);
/// How long a result is valid. A watch delivers new objects faster.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// The maximum number of lookups in a [`SPAN`], and of cached results.
const MAX_LOOKUPS: usize = 50;
const SPAN: Duration = Duration::from_secs(2);

/// Why a lookup failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("the API server rejected the operator's request: {0}")]
    Rejected(Arc<kube::Error>),
    #[error("the API server did not respond in time")]
    Timeout,
    #[error("too many lookups in a short time")]
    TooMany,
}

type Scraped<K> = Result<Option<Arc<K>>, LookupError>;

/// Recent lookups, by key.
pub(crate) struct Lookups<K>(Mutex<HashMap<String, Lookup<K>>>);

struct Lookup<K> {
    at: Instant,
    answer: Arc<OnceCell<Scraped<K>>>,
}

impl<K> Default for Lookups<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Lookups<K> {
    /// The object of this key: a cached result, or that of `question`.
    pub(crate) async fn get(
        &self,
        key: &str,
        question: impl Future<Output = kube::Result<Option<K>>>,
    ) -> Scraped<K> {
        let answer = self.entry(key)?;
        let recent = async {
            match timeout(TIME_LIMIT, question).await {
                Ok(Ok(found)) => Ok(found.map(Arc::new)),
                Ok(Err(error)) => Err(LookupError::Rejected(Arc::new(error))),
                Err(_) => Err(LookupError::Timeout),
            }
        };
        answer.get_or_init(|| recent).await.clone()
    }

    fn entry(&self, key: &str) -> Result<Arc<OnceCell<Scraped<K>>>, LookupError> {
        let now = Instant::now();
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, recent| now.duration_since(recent.at) < SPAN);
        let known = recent.get(key).filter(|recent| now.duration_since(recent.at) < CACHE_TTL);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.answer));
        }
        if recent.len() >= MAX_LOOKUPS {
            return Err(LookupError::TooMany);
        }
        let answer = Arc::default();
        recent.insert(key.to_owned(), Lookup { at: now, answer: Arc::clone(&answer) });
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;
    use crate::documented;

    #[test]
    fn how_much_is_asked_is_documented() {
        let cells = "webhook | requests to the API server for unknown names";
        documented::row_contains(cells, &format!("{MAX_LOOKUPS} in {} s", SPAN.as_secs()));
        assert_eq!(CACHE_TTL.as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_asked_about_once_in_a_while_and_only_so_much_of_it() {
        let lookups: Lookups<u8> = Lookups::default();
        let recent = AtomicUsize::new(0);
        let ask = || async {
            recent.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        };
        for _ in 0..100 {
            assert!(matches!(lookups.get("web/shop", ask()).await, Ok(None)));
        }
        assert_eq!(recent.load(Ordering::Relaxed), 1);
        advance(CACHE_TTL).await;
        assert!(matches!(lookups.get("web/shop", ask()).await, Ok(None)));
        assert_eq!(recent.load(Ordering::Relaxed), 2);
        for number in 0..1000 {
            let answer = lookups.get(&number.to_string(), ask()).await;
            assert_eq!(answer.is_ok(), number < MAX_LOOKUPS - 1, "{number}");
        }
        assert_eq!(recent.load(Ordering::Relaxed), MAX_LOOKUPS + 1);
        advance(SPAN).await;
        assert!(lookups.get("1000", ask()).await.is_ok());
    }
}
