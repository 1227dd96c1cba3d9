//! Whether a dataset can be trained on: every sample opened, broken ones named, the rest counted.
//!
//! | file | what it does |
//! |---|---|
//! | `inspect` | what a format has to show of itself, and how each does |
//! | `sample` | one sample: its points, its boxes |
//! | `report` | sums over all samples |
//!
//! What makes a sample unusable is a *fault*: a file that is missing or cut, a line that cannot be read, a box that
//! is none. What can be but deserves a look is a *notice*: points that are not finite, an empty cloud, boxes without
//! points, classes that the format does not know.

mod inspect;
mod report;
mod sample;
#[cfg(test)]
mod tests;

pub use inspect::{Inspect, OpenOptions, open};
pub use report::{ClassReport, Fault, Quantiles, Report};

use rayon::prelude::*;
use sample::Looked;

/// Looks at every sample; `step` is called once for each.
///
/// **Determinism**: the same report for any number of threads.
pub fn check(dataset: &dyn Inspect, step: &(dyn Fn() + Sync)) -> Report {
    let looked: Vec<Looked> = (0..dataset.n_samples())
        .into_par_iter()
        .map(|idx| {
            let looked = Looked::at(dataset, idx);
            step();
            looked
        })
        .collect();
    Report::of(dataset, looked)
}
