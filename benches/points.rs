//! The points stage: bytes of a cloud to validated points.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pilotis_benches::{Stages, clouds};
use pilotis_spec::FrameReport;
use std::hint::black_box;
use std::time::Duration;

fn points(c: &mut Criterion) {
    let mut group = c.benchmark_group("points");
    for cloud in clouds() {
        let mut stages = Stages::of(&cloud);
        group.throughput(Throughput::Elements(cloud.n_points() as u64));
        group.bench_function(&cloud.name, |b| {
            b.iter(|| stages.run_points(black_box(&cloud.view()), &mut FrameReport::default()));
        });
    }
}

fn config() -> Criterion {
    let criterion = Criterion::default().sample_size(50);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group!(name = benches; config = config(); targets = points);
criterion_main!(benches);
