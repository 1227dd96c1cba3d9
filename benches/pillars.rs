//! The pillars stage: points to pillars.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pilotis_benches::{Stages, clouds};
use pilotis_spec::FrameReport;
use std::time::Duration;

fn pillars(c: &mut Criterion) {
    let mut group = c.benchmark_group("pillars");
    for cloud in clouds() {
        let mut stages = Stages::of(&cloud);
        stages.run_points(&cloud.view(), &mut FrameReport::default());
        // Of the cloud, like in every other bench; points out of range do not come this far.
        group.throughput(Throughput::Elements(cloud.n_points() as u64));
        group.bench_function(&cloud.name, |b| b.iter(|| stages.run_pillars(&mut FrameReport::default())));
    }
}

fn config() -> Criterion {
    let criterion = Criterion::default().sample_size(50);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group!(name = benches; config = config(); targets = pillars);
criterion_main!(benches);
