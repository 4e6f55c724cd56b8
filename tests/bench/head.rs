//! `cargo bench --bench head [-- HEADS]`: the processor time that one digital head costs on one core, by what is made of it.
//! Heads of the population that networks are trained on. Prints Markdown.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

use std::sync::Arc;
use std::time::Duration;

use contourd::geometry::{WorkingSpec, working_grid_for, working_volume};
use contourd::phantom::{Head, HeadOptions, ImageOptions, Population, Rng, class_labels, image, scan};
use rustix::time::{ClockId, clock_gettime};

/// Processor time of this thread so far.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// Least, mean and greatest of some times, in seconds.
fn row(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let seconds = |n: usize| times[n].as_secs_f64();
    let mean = times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64;
    println!("| {name} | {:.1} | {mean:.1} | {:.1} |", seconds(0), seconds(times.len() - 1));
}

fn main() {
    let heads: u64 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(12);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().expect("a thread pool");
    let working = WorkingSpec::default();
    let mut times: [Vec<Duration>; 5] = Default::default();
    one.install(|| {
        for seed in 0..heads {
            let mut rng = Rng::new(seed, "training case");
            let options = HeadOptions::drawn(&mut rng, Population::Training, 0.15);
            let start = spent();
            let head = Head::new(seed, &options);
            let drawn = spent() - start;
            let scanned = scan(&head, Population::Training, seed, &mut rng).expect("a grid");
            let volume = working_volume(&scanned, &working).expect("a head");
            let resampled = spent() - start;
            let labelled = class_labels(&head, volume.grid());
            let all = spent() - start;
            assert!(labelled.labels.data().iter().any(|bits| *bits != 0));
            let grid = working_grid_for(&scanned, &working).expect("a head");
            let again = spent();
            image(&head, &Arc::clone(&grid), &ImageOptions::draw(seed));
            let on_working = spent() - again;
            let labels = all - resampled;
            for (list, time) in times.iter_mut().zip([drawn, on_working, labels, drawn + on_working + labels, all]) {
                list.push(time);
            }
        }
    });
    println!("{heads} heads, seconds of one core\n\n| | least | mean | most |\n|---|---|---|---|");
    let names = [
        "the head is drawn",
        "its image on the working grid",
        "its labels on the working grid",
        "one head at the working grid, in all",
        "a training case: scanned as departments scan, brought to the working grid, labelled",
    ];
    for (name, list) in names.into_iter().zip(times) {
        row(name, list);
    }
}
