//! A timer that coalesces the wake-ups of many streams. A thousand streams share one timer and have
//! an entry in a list each; separate timers would be scattered over memory, and setting and
//! canceling one costs more than writing a line.

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

/// The period in nanoseconds. The timer runs only while there are waiters.
const PERIOD: u64 = 20_000_000;
/// Later wake-ups use a timer of their own: a canceled wait stays in the list until its time.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Wakes all who wait for the same tick together, as long as [`run`](Self::run) runs.
#[derive(Debug)]
pub(crate) struct CoalescedTimer {
    start: Instant,
    /// The waiting tasks by their tick, in nanoseconds since the start.
    waiting: RefCell<BTreeMap<u64, Vec<Waker>>>,
    /// Notified when there is a waiter for an earlier tick than all others.
    sooner: Notify,
}

impl CoalescedTimer {
    /// A timer whose ticks are multiples of the period after this time.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, waiting: RefCell::default(), sooner: Notify::new() }
    }

    /// Waits for the first tick that isn't before a time.
    pub(crate) async fn sleep_until(&self, instant: Instant) {
        let tick = self.since_start(instant).next_multiple_of(PERIOD);
        let due = self.instant_of(tick);
        if due.saturating_duration_since(Instant::now()) > MAX_WAIT {
            sleep_until(due).await;
        } else {
            Wait { timer: self, tick, due, is_registered: false }.await;
        }
    }

    /// Wakes waiting tasks at their ticks.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.waiting.borrow().keys().next().copied();
            let Some(next) = next else {
                self.sooner.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(self.instant_of(next)) => self.wake_due(),
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Wakes all whose tick has come.
    fn wake_due(&self) {
        let later = self.since_start(Instant::now()).saturating_add(1);
        let waiting = self.waiting.borrow_mut().split_off(&later);
        let due = self.waiting.replace(waiting);
        due.into_values().flatten().for_each(Waker::wake);
    }

    fn register(&self, tick: u64, waker: Waker) {
        let mut waiting = self.waiting.borrow_mut();
        let is_first = waiting.keys().next().is_none_or(|first| tick < *first);
        waiting.entry(tick).or_default().push(waker);
        if is_first {
            self.sooner.notify_one();
        }
    }

    fn since_start(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX - PERIOD)
    }

    fn instant_of(&self, tick: u64) -> Instant {
        self.start + Duration::from_nanos(tick)
    }
}

/// Waits for a tick. It is registered with the waker of the first poll: that of a task, which
/// doesn't change.
struct Wait<'a> {
    timer: &'a CoalescedTimer,
    tick: u64,
    due: Instant,
    is_registered: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.due {
            return Poll::Ready(());
        }
        if !self.is_registered {
            self.timer.register(self.tick, context.waker().clone());
            self.is_registered = true;
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
        /// Whatever the order of registration, each is woken by the first tick that isn't before its time,
        /// and no earlier; and dropped ones are unregistered.
        #[test]
        fn each_wakes_at_the_first_ring_after_its_moment(
            waits in prop::collection::vec((0u64..200, 0u64..8_000, any::<bool>()), 1..30),
        ) {
            on_a_loop(async {
                let start = Instant::now();
                let timer = Rc::new(CoalescedTimer::new(start));
                let timer_of_test = Rc::clone(&timer);
                spawn_local(async move { timer_of_test.run().await });
                let mut tasks = Vec::new();
                for (pause, millis, leaves) in waits {
                    sleep(Duration::from_millis(pause)).await;
                    let (timer, called) = (Rc::clone(&timer), Instant::now());
                    let wanted = called + Duration::from_millis(millis);
                    tasks.push(spawn_local(async move {
                        if leaves {
                            let half = called + Duration::from_millis(millis / 2);
                            tokio::select! {
                                () = timer.sleep_until(wanted) => {}
                                () = sleep_until(half) => return,
                            }
                        }
                        timer.sleep_until(wanted).await;
                        let now = Instant::now();
                        // The runtime's timers have whole milliseconds.
                        let late = (now - wanted).as_nanos();
                        assert!(now >= wanted && late <= u128::from(PERIOD) + 1_000_000);
                    }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
                sleep(MAX_WAIT * 2).await;
                assert!(timer.waiting.borrow().is_empty(), "all are unregistered");
            });
        }
    }

    #[test]
    fn one_ring_wakes_a_thousand_at_once() {
        on_a_loop(async {
            let timer = Rc::new(CoalescedTimer::new(Instant::now()));
            let timer_of_test = Rc::clone(&timer);
            spawn_local(async move { timer_of_test.run().await });
            let tasks: Vec<_> = (0..1000)
                .map(|number| {
                    let timer = Rc::clone(&timer);
                    let instant_of = Instant::now() + Duration::from_micros(1 + number);
                    spawn_local(async move {
                        timer.sleep_until(instant_of).await;
                        Instant::now()
                    })
                })
                .collect();
            let mut woken = Vec::new();
            for task in tasks {
                woken.push(task.await.unwrap());
            }
            assert!(woken.iter().all(|instant_of| *instant_of == woken[0]));
        });
    }
}
