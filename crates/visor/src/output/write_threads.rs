//! The threads that execute an event loop's writes: one for all of them, as long as no write
//! blocks, because most writes take less time than waking a thread. If one blocks, another thread
//! takes over the rest. So a blocked write delays the others only for a moment, and there is one
//! more thread than there are blocked writes.

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

/// A write that hasn't started after this time is waiting behind a blocked one.
const STALLED_AFTER: Duration = Duration::from_millis(5);

/// The queue of writes. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct WriteThreads(Arc<Mutex<Queue>>);

type Write = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Write>,
    /// The number of the thread that takes from the queue. Earlier ones are in a blocked write,
    /// and end with it.
    thread: Option<u64>,
    threads: u64,
}

impl WriteThreads {
    /// Has a thread execute this write, and waits for it.
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
        let mut thread = self.push(Box::new(move || {
            begins.store(true, Ordering::Relaxed);
            // There is no receiver after an abort.
            let _ = answer.send(write());
        }));
        loop {
            if has_begun.load(Ordering::Relaxed) {
                return done.await;
            }
            match timeout(STALLED_AFTER, &mut done).await {
                Ok(written) => return written,
                Err(_) => thread = self.replace_stalled(thread),
            }
        }
    }

    /// Adds a write; returns the number of the thread that is to take it.
    fn push(&self, write: Write) -> u64 {
        let mut queue = self.lock();
        queue.waiting.push_back(write);
        queue.thread.unwrap_or_else(|| self.start(&mut queue))
    }

    /// Has another thread take over the queue, if this one still should; returns the number of the
    /// one that does.
    fn replace_stalled(&self, thread: u64) -> u64 {
        let mut queue = self.lock();
        match queue.thread {
            Some(other) if other != thread => other,
            _ if queue.waiting.is_empty() => thread,
            _ => self.start(&mut queue),
        }
    }

    fn start(&self, queue: &mut Queue) -> u64 {
        queue.threads += 1;
        let (number, write_threads) = (queue.threads, self.clone());
        queue.thread = Some(number);
        spawn_blocking(move || {
            while let Some(write) = write_threads.next(number) {
                write();
            }
        });
        number
    }

    /// The next write for this thread; `None` if there is none, or if another thread takes over.
    fn next(&self, thread: u64) -> Option<Write> {
        let mut queue = self.lock();
        if queue.thread != Some(thread) {
            return None;
        }
        let write = queue.waiting.pop_front();
        if write.is_none() {
            queue.thread = None;
        }
        write
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code in here panics with an inconsistent queue.
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
        let write_threads = WriteThreads::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for number in 0..1000 {
            let (write_threads, order) = (write_threads.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let write = move || {
                    order.lock().unwrap().push(number);
                    thread::current().id()
                };
                write_threads.run(write).await.unwrap()
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
        let write_threads = WriteThreads::default();
        let mut hanging = JoinSet::new();
        let mut ends = Vec::new();
        for _ in 0..20 {
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let write_threads = write_threads.clone();
            hanging.spawn(async move {
                write_threads.run(move || ended.recv().is_err()).await.unwrap()
            });
        }
        for number in 0..100 {
            assert_eq!(write_threads.run(move || number).await, Ok(number));
        }
        assert_eq!(hanging.len(), 20);
        assert!(hanging.try_join_next().is_none(), "they hang");
        ends.clear();
        assert_eq!(hanging.join_all().await, [true; 20]);
    }

    #[tokio::test]
    async fn a_write_that_panics_is_an_error_and_others_continue() {
        let write_threads = WriteThreads::default();
        assert!(write_threads.run(|| panic!("as it should")).await.is_err());
        assert_eq!(write_threads.run(|| 7).await, Ok(7));
    }
}
