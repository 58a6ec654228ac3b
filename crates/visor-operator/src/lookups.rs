//! Questions to the API server about what isn't known, asked for whoever sends a review: each once in
//! a while, and so many and no more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// The longest that a pod's creation is held up by a question to the API server. Shorter than the
/// shortest time that the API server waits for us (`timeoutSeconds: 1`).
const PATIENCE: Duration = Duration::from_millis(700);
/// How long an answer holds. A watch brings what is made in less time.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Questions that may be asked within a [`SPAN`]; as many answers are remembered.
const MOST: usize = 50;
const SPAN: Duration = Duration::from_secs(2);

/// The API server didn't say.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("the API server refused the operator's question: {0}")]
    Refused(Arc<kube::Error>),
    #[error("the API server didn't answer the operator in time")]
    Late,
    #[error("the operator is asked about too much that it doesn't know")]
    TooMany,
}

type Answer<K> = Result<Option<Arc<K>>, Unknown>;

/// What was asked about lately, by its place.
pub(crate) struct Lookups<K>(Mutex<HashMap<String, Asked<K>>>);

struct Asked<K> {
    at: Instant,
    answer: Arc<OnceCell<Answer<K>>>,
}

impl<K> Default for Lookups<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Lookups<K> {
    /// The object of this place, by this question if it wasn't asked a moment ago.
    pub(crate) async fn get(
        &self,
        place: &str,
        question: impl Future<Output = kube::Result<Option<K>>>,
    ) -> Answer<K> {
        let answer = self.begin(place)?;
        let asked = async {
            match timeout(PATIENCE, question).await {
                Ok(Ok(found)) => Ok(found.map(Arc::new)),
                Ok(Err(error)) => Err(Unknown::Refused(Arc::new(error))),
                Err(_) => Err(Unknown::Late),
            }
        };
        answer.get_or_init(|| asked).await.clone()
    }

    fn begin(&self, place: &str) -> Result<Arc<OnceCell<Answer<K>>>, Unknown> {
        let now = Instant::now();
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, asked| now.duration_since(asked.at) < SPAN);
        let known = asked.get(place).filter(|asked| now.duration_since(asked.at) < REMEMBERED);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.answer));
        }
        if asked.len() >= MOST {
            return Err(Unknown::TooMany);
        }
        let answer = Arc::default();
        asked.insert(place.to_owned(), Asked { at: now, answer: Arc::clone(&answer) });
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
        let cells = "webhook | questions to the API server about names that aren't known";
        documented::says(cells, &format!("{MOST} in {} s", SPAN.as_secs()));
        assert_eq!(REMEMBERED.as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_asked_about_once_in_a_while_and_only_so_much_of_it() {
        let lookups: Lookups<u8> = Lookups::default();
        let asked = AtomicUsize::new(0);
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        };
        for _ in 0..100 {
            assert!(matches!(lookups.get("web/shop", ask()).await, Ok(None)));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        advance(REMEMBERED).await;
        assert!(matches!(lookups.get("web/shop", ask()).await, Ok(None)));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        for number in 0..1000 {
            let answer = lookups.get(&number.to_string(), ask()).await;
            assert_eq!(answer.is_ok(), number < MOST - 1, "{number}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), MOST + 1);
        advance(SPAN).await;
        assert!(lookups.get("1000", ask()).await.is_ok());
    }
}
