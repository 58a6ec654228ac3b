//! The time and the memory that sets of numbers take.
//!
//!     cargo bench --package visor-proof --bench numbers                JSON, as bench/run reads it

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::{fs, time::Instant};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use visor_proof::{Lane, numbers::Numbers};

/// A collector with so many workers, each of which sends so many lines at once.
const WORKERS: usize = 32;
const LINES: u32 = 5_000;
/// A lane, and as much of the next one that both together have a thousand million lines and more.
const LANES: [u32; 2] = [Lane::MAX_LINES, 1_000_000];
const HOLES: u32 = 1_000_000;

fn main() {
    let found: Value = [
        measure("10^9 numbers from 32 workers, no hole", || {
            LANES.iter().map(|lines| from_workers(*lines, |_| false)).collect()
        }),
        measure("10^9 numbers, of which 10^6 are holes", || {
            LANES
                .iter()
                .map(|lines| from_workers(*lines, |number| number % (LANES[0] / HOLES) == 7))
                .collect()
        }),
        measure("10^8 numbers, of which 10^6 are holes in a row", || {
            vec![from_workers(100_000_000, |number| (50_000_000..51_000_000).contains(&number))]
        }),
    ]
    .into_iter()
    .collect();
    println!("{found}");
}

/// The numbers of a lane, as they arrive from all workers, but for those that are lost.
fn from_workers(lines: u32, is_lost: impl Fn(u32) -> bool) -> Numbers {
    let mut random = SmallRng::seed_from_u64(1);
    let mut numbers = Numbers::default();
    let mut starts = (0..lines).step_by(LINES as usize);
    let mut workers: Vec<u32> = starts.by_ref().take(WORKERS).collect();
    while !workers.is_empty() {
        let start = workers.swap_remove(random.random_range(0..workers.len()));
        for number in start..lines.min(start + LINES) {
            if !is_lost(number) {
                assert!(numbers.insert(number), "each number is new");
            }
        }
        workers.extend(starts.next());
    }
    let lost = (0..lines).filter(|number| is_lost(*number)).count() as u64;
    assert_eq!(numbers.count_missing(0..lines), lost, "nothing else is missing");
    numbers
}

/// What it takes to make sets, and the memory of these.
fn measure(what: &str, make: impl FnOnce() -> Vec<Numbers>) -> Value {
    let (before, started) = (resident(), Instant::now());
    let sets = make();
    let seconds = started.elapsed().as_secs_f64();
    let bytes = resident().saturating_sub(before);
    drop(sets);
    json!({"what": what, "seconds": seconds, "bytes": bytes})
}

/// The memory of this process in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}
