//! The threads that do an event loop's writes: one for all of them, as long as none hangs. For most
//! writes take less time than waking a thread does. Where one blocks, another thread takes the rest.
//! So a write that hangs holds up the others for no more than a moment, and there are as many threads
//! as writes that hang, and one.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::oneshot::{self, error::RecvError},
    task::spawn_blocking,
    time::timeout,
};

/// A write that hasn't begun after so long is waiting behind one that blocks.
const MOMENT: Duration = Duration::from_millis(5);

/// The writes that wait for a thread. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Writers(Arc<Mutex<Queue>>);

type Write = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Write>,
    /// The thread that takes what is waiting, by its number. Those before it are in a write that
    /// blocks, and end with it.
    taker: Option<u64>,
    takers: u64,
}

impl Writers {
    /// Has a thread do this write, and waits for it.
    ///
    /// # Errors
    ///
    /// If the write panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        write: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RecvError> {
        let (answer, mut done) = oneshot::channel();
        let has_begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&has_begun);
        let mut taker = self.push(Box::new(move || {
            begins.store(true, Ordering::Relaxed);
            // Nobody waits for the answer if the program is ending in haste.
            let _ = answer.send(write());
        }));
        loop {
            if has_begun.load(Ordering::Relaxed) {
                return done.await;
            }
            match timeout(MOMENT, &mut done).await {
                Ok(written) => return written,
                Err(_) => taker = self.relieve(taker),
            }
        }
    }

    /// Adds a write; says which thread is to take it.
    fn push(&self, write: Write) -> u64 {
        let mut queue = self.lock();
        queue.waiting.push_back(write);
        queue.taker.unwrap_or_else(|| self.start(&mut queue))
    }

    /// Has another thread take what is waiting, if this one still ought to; says which one does.
    fn relieve(&self, taker: u64) -> u64 {
        let mut queue = self.lock();
        match queue.taker {
            Some(other) if other != taker => other,
            _ if queue.waiting.is_empty() => taker,
            _ => self.start(&mut queue),
        }
    }

    fn start(&self, queue: &mut Queue) -> u64 {
        queue.takers += 1;
        let (number, writers) = (queue.takers, self.clone());
        queue.taker = Some(number);
        spawn_blocking(move || {
            while let Some(write) = writers.next(number) {
                write();
            }
        });
        number
    }

    /// The next write for this thread; `None` if there is none, or if another thread takes them.
    fn next(&self, taker: u64) -> Option<Write> {
        let mut queue = self.lock();
        if queue.taker != Some(taker) {
            return None;
        }
        let write = queue.waiting.pop_front();
        if write.is_none() {
            queue.taker = None;
        }
        write
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics with the queue half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::mpsc,
        thread::{self, ThreadId},
    };

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn writes_that_don_t_block_are_taken_by_one_thread_in_their_order() {
        let writers = Writers::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for number in 0..1000 {
            let (writers, order) = (writers.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let write = move || {
                    order.lock().unwrap().push(number);
                    thread::current().id()
                };
                writers.run(write).await.unwrap()
            });
        }
        let threads: HashSet<ThreadId> = tasks.join_all().await.into_iter().collect();
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 1000);
        // A machine that pauses a thread in mid-write makes another take over, here and there.
        assert!(threads.len() < 10, "{} threads", threads.len());
        assert!(!threads.contains(&thread::current().id()));
    }

    #[tokio::test]
    async fn writes_that_hang_hold_up_no_other() {
        let writers = Writers::default();
        let mut hanging = JoinSet::new();
        let mut ends = Vec::new();
        for _ in 0..20 {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let writers = writers.clone();
            hanging.spawn(async move { writers.run(move || ended.recv().is_err()).await.unwrap() });
        }
        for number in 0..100 {
            assert_eq!(writers.run(move || number).await, Ok(number));
        }
        assert_eq!(hanging.len(), 20);
        assert!(hanging.try_join_next().is_none(), "they hang");
        ends.clear();
        assert_eq!(hanging.join_all().await, [true; 20]);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_an_error_and_the_others_go_on() {
        let writers = Writers::default();
        assert!(writers.run(|| panic!("as it should")).await.is_err());
        assert_eq!(writers.run(|| 7).await, Ok(7));
    }
}
