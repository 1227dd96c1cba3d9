//! Samples in a given order, read ahead by several threads.

use super::{Dataset, Sample};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// What sets the shuffling apart from other uses of one seed.
const PURPOSE: u64 = 1;

/// A generator for one purpose: every (seed, purpose, epoch, sample) has its own.
pub fn generator(seed: u64, purpose: u64, epoch: usize, idx: usize) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    for (k, v) in [seed, purpose, epoch as u64, idx as u64].into_iter().enumerate() {
        key[8 * k..8 * k + 8].copy_from_slice(&v.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The indices of a split in an order that depends on seed and epoch alone.
pub fn shuffled_order(seed: u64, epoch: usize, n_samples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_samples).collect();
    order.shuffle(&mut generator(seed, PURPOSE, epoch, 0));
    order
}

/// An iterator of samples in the order asked for.
///
/// Each thread reads every n-th sample of the order and waits when it is far enough ahead, so memory holds no more
/// than `n_threads * (n_ahead + 1)` samples that nobody has asked for.
///
/// **Errors**: travel in the place of their sample; the samples after it still come.
///
/// **Determinism**: the same samples in the same order for any number of threads.
pub struct Loader {
    lanes: Vec<Receiver<anyhow::Result<Sample>>>,
    threads: Vec<JoinHandle<()>>,
    n_given: usize,
    n_samples: usize,
}

impl Loader {
    /// Starts `n_threads`, at least one, each of which stays `n_ahead` samples ahead.
    ///
    /// **Errors**: those of the system when it starts a thread.
    pub fn start(
        dataset: &Arc<dyn Dataset>,
        order: Vec<usize>,
        n_threads: usize,
        n_ahead: usize,
    ) -> std::io::Result<Self> {
        let n_samples = order.len();
        let n_threads = n_threads.clamp(1, n_samples.max(1));
        let order = Arc::new(order);
        let mut loader = Self { lanes: Vec::new(), threads: Vec::new(), n_given: 0, n_samples };
        for first in 0..n_threads {
            let (sender, receiver) = sync_channel(n_ahead);
            let (dataset, order) = (Arc::clone(dataset), Arc::clone(&order));
            let read = move || {
                for idx in order.iter().skip(first).step_by(n_threads) {
                    if sender.send(dataset.load(*idx)).is_err() {
                        // Nobody waits for the others.
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("reader {first}")).spawn(read)?;
            loader.lanes.push(receiver);
            loader.threads.push(thread);
        }
        Ok(loader)
    }
}

impl Iterator for Loader {
    type Item = anyhow::Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.n_given == self.n_samples {
            return None;
        }
        let lane = &self.lanes[self.n_given % self.lanes.len()];
        self.n_given += 1;
        // A dataset that panics ends its thread, and with it the samples of its lane.
        Some(
            lane.recv()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a thread that reads samples has ended early"))),
        )
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n_left = self.n_samples - self.n_given;
        (n_left, Some(n_left))
    }
}

impl ExactSizeIterator for Loader {}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without receivers, threads end after the sample that they read.
        self.lanes.clear();
        for thread in self.threads.drain(..) {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Names of numbers; one cannot be read.
    struct Numbers {
        n_samples: usize,
        broken: usize,
        n_loaded: AtomicUsize,
    }

    impl Dataset for Numbers {
        fn n_samples(&self) -> usize {
            self.n_samples
        }

        fn name(&self, _: usize) -> &str {
            ""
        }

        fn load(&self, idx: usize) -> anyhow::Result<Sample> {
            self.n_loaded.fetch_add(1, Ordering::Relaxed);
            ensure!(idx != self.broken, "sample {idx} is broken");
            Ok(Sample { name: idx.to_string(), ..Sample::default() })
        }
    }

    fn numbers(n_samples: usize, broken: usize) -> Arc<Numbers> {
        Arc::new(Numbers { n_samples, broken, n_loaded: AtomicUsize::new(0) })
    }

    #[test]
    fn samples_come_in_the_order_asked_for_whoever_reads_them() {
        let dataset: Arc<dyn Dataset> = numbers(40, 7);
        let order = shuffled_order(3, 1, 40);
        let expected: Vec<String> = order
            .iter()
            .map(|idx| if *idx == 7 { "sample 7 is broken".to_owned() } else { idx.to_string() })
            .collect();
        for n_threads in [0, 1, 2, 3, 64] {
            for n_ahead in [0, 1, 5] {
                let loader = Loader::start(&dataset, order.clone(), n_threads, n_ahead).unwrap();
                assert_eq!(loader.len(), 40);
                let got: Vec<String> =
                    loader.map(|sample| sample.map_or_else(|e| e.to_string(), |s| s.name)).collect();
                assert_eq!(got, expected, "{n_threads} threads, {n_ahead} ahead");
            }
        }
        assert_eq!(Loader::start(&dataset, Vec::new(), 4, 1).unwrap().count(), 0);
    }

    #[test]
    fn readers_wait_and_stop_when_nobody_asks() {
        let dataset = numbers(1000, usize::MAX);
        let shared: Arc<dyn Dataset> = Arc::clone(&dataset) as Arc<dyn Dataset>;
        let mut loader = Loader::start(&shared, (0..1000).collect(), 2, 3).unwrap();
        for idx in 0..10 {
            assert_eq!(loader.next().unwrap().unwrap().name, idx.to_string());
        }
        drop(loader);
        // Ten were given; each thread may hold one more and three in its lane.
        let n_loaded = dataset.n_loaded.load(Ordering::Relaxed);
        assert!((10..=10 + 2 * 4).contains(&n_loaded), "{n_loaded}");
    }

    #[test]
    fn an_order_depends_on_seed_and_epoch_and_has_everyone_once() {
        let order = shuffled_order(1, 0, 100);
        assert_eq!(order, shuffled_order(1, 0, 100));
        assert_ne!(order, shuffled_order(1, 1, 100));
        assert_ne!(order, shuffled_order(2, 0, 100));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    /// Its third sample ends the thread that reads it.
    struct Panics;

    impl Dataset for Panics {
        fn n_samples(&self) -> usize {
            6
        }

        fn name(&self, _: usize) -> &str {
            ""
        }

        fn load(&self, idx: usize) -> anyhow::Result<Sample> {
            assert!(idx != 2, "planned: sample {idx} panics");
            Ok(Sample { name: idx.to_string(), ..Sample::default() })
        }
    }

    #[test]
    fn a_dataset_that_panics_costs_the_samples_of_its_thread_and_no_more() {
        let dataset: Arc<dyn Dataset> = Arc::new(Panics);
        let loader = Loader::start(&dataset, (0..6).collect(), 2, 1).unwrap();
        let got: Vec<Option<String>> = loader.map(|sample| sample.ok().map(|s| s.name)).collect();
        let expected = [Some("0"), Some("1"), None, Some("3"), None, Some("5")];
        assert_eq!(got, expected.map(|name| name.map(str::to_owned)));
    }
}
