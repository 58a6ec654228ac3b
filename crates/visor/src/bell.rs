//! A bell for streams that wake at common times. A thousand of them have one timer together, and for
//! each a place in a list; timers of their own would lie all over the memory, and to set and to stop
//! one costs more than a line does.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// So far apart the bell rings, if somebody waits: in nanoseconds.
const BETWEEN_RINGS: u64 = 20_000_000;
/// Who wakes later than this has a timer: who no longer waits for a ring stays in its list until
/// then.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Rings for all who wait for the same ring together, as long as [`ring`](Self::ring) runs.
#[derive(Debug)]
pub(crate) struct Bell {
    start: Instant,
    /// Who waits for which ring: by when that is, in nanoseconds since the start.
    waiting: RefCell<BTreeMap<u64, Vec<Waker>>>,
    /// Told when somebody waits for a ring before all others.
    sooner: Notify,
}

impl Bell {
    /// A bell whose rings are so and so many intervals after this moment.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, waiting: RefCell::default(), sooner: Notify::new() }
    }

    /// Waits for the first ring that isn't before a moment.
    pub(crate) async fn sleep_until(&self, moment: Instant) {
        let ring = self.since_start(moment).next_multiple_of(BETWEEN_RINGS);
        let due = self.moment(ring);
        if due.saturating_duration_since(Instant::now()) > LONGEST_WAIT {
            sleep_until(due).await;
        } else {
            Wait { bell: self, ring, due, is_listed: false }.await;
        }
    }

    /// Rings whenever somebody waits for it.
    pub(crate) async fn ring(&self) {
        loop {
            let next = self.waiting.borrow().keys().next().copied();
            let Some(next) = next else {
                self.sooner.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(self.moment(next)) => self.wake(),
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Wakes all whose ring has come.
    fn wake(&self) {
        let later = self.since_start(Instant::now()).saturating_add(1);
        let waiting = self.waiting.borrow_mut().split_off(&later);
        let due = self.waiting.replace(waiting);
        due.into_values().flatten().for_each(Waker::wake);
    }

    fn list(&self, ring: u64, waker: Waker) {
        let mut waiting = self.waiting.borrow_mut();
        let is_first = waiting.keys().next().is_none_or(|first| ring < *first);
        waiting.entry(ring).or_default().push(waker);
        if is_first {
            self.sooner.notify_one();
        }
    }

    fn since_start(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX - BETWEEN_RINGS)
    }

    fn moment(&self, ring: u64) -> Instant {
        self.start + Duration::from_nanos(ring)
    }
}

/// Waits for a ring. It is listed by the waker that it is first polled with: that of a task, which
/// stays the same.
struct Wait<'a> {
    bell: &'a Bell,
    ring: u64,
    due: Instant,
    is_listed: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.due {
            return Poll::Ready(());
        }
        if !self.is_listed {
            self.bell.list(self.ring, context.waker().clone());
            self.is_listed = true;
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;
    use tokio::{task::spawn_local, time::sleep};

    use super::*;
    use crate::testing::on_a_loop;

    proptest! {
        /// Whoever waits, and in whatever order they come, each is woken by the first ring that isn't
        /// before its moment, and none sooner; and who leaves is missed by nobody.
        #[test]
        fn each_wakes_at_the_first_ring_after_its_moment(
            waits in prop::collection::vec((0u64..200, 0u64..8_000, any::<bool>()), 1..30),
        ) {
            on_a_loop(async {
                let start = Instant::now();
                let bell = Rc::new(Bell::new(start));
                let rings = Rc::clone(&bell);
                spawn_local(async move { rings.ring().await });
                let mut tasks = Vec::new();
                for (pause, millis, leaves) in waits {
                    sleep(Duration::from_millis(pause)).await;
                    let (bell, called) = (Rc::clone(&bell), Instant::now());
                    let wanted = called + Duration::from_millis(millis);
                    tasks.push(spawn_local(async move {
                        if leaves {
                            let half = called + Duration::from_millis(millis / 2);
                            tokio::select! {
                                () = bell.sleep_until(wanted) => {}
                                () = sleep_until(half) => return,
                            }
                        }
                        bell.sleep_until(wanted).await;
                        let now = Instant::now();
                        // The runtime's timers have whole milliseconds.
                        let late = (now - wanted).as_nanos();
                        assert!(now >= wanted && late <= u128::from(BETWEEN_RINGS) + 1_000_000);
                    }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
                sleep(LONGEST_WAIT * 2).await;
                assert!(bell.waiting.borrow().is_empty(), "nobody is listed for good");
            });
        }
    }

    #[test]
    fn one_ring_wakes_a_thousand_at_once() {
        on_a_loop(async {
            let bell = Rc::new(Bell::new(Instant::now()));
            let rings = Rc::clone(&bell);
            spawn_local(async move { rings.ring().await });
            let tasks: Vec<_> = (0..1000)
                .map(|number| {
                    let bell = Rc::clone(&bell);
                    let moment = Instant::now() + Duration::from_micros(1 + number);
                    spawn_local(async move {
                        bell.sleep_until(moment).await;
                        Instant::now()
                    })
                })
                .collect();
            let mut woken = Vec::new();
            for task in tasks {
                woken.push(task.await.unwrap());
            }
            assert!(woken.iter().all(|moment| *moment == woken[0]));
        });
    }
}
