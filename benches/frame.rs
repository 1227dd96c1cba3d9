//! The frame but for its network, on one thread; and whether its cost grows like the cloud.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pilotis_benches::{Cloud, Stages, clouds, kitti, simulated};
use pilotis_spec::FrameReport;
use std::hint::black_box;
use std::time::Duration;

fn without_network(c: &mut Criterion) {
    // The head of the nuScenes configuration is not that model's.
    let clouds: Vec<Cloud> = clouds().into_iter().filter(|c| c.manifest.grid == kitti().grid).collect();
    frames(c, "frame_without_network", &clouds);
}

fn scaling(c: &mut Criterion) {
    let sweep = simulated();
    let sizes = [50_000, 100_000, 250_000, 500_000, 1_000_000];
    frames(c, "frame_scaling", &sizes.map(|n| sweep.resized(n)));
}

fn frames(c: &mut Criterion, name: &str, clouds: &[Cloud]) {
    let mut group = c.benchmark_group(name);
    for cloud in clouds {
        let mut stages = Stages::of(cloud);
        let mut report = FrameReport::default();
        stages.run(&cloud.view(), &mut report);
        eprintln!(
            "{name}/{}: {} points, {} kept in {} pillars, {} candidates, {} boxes",
            cloud.name,
            report.n_points,
            report.n_points_kept,
            report.n_pillars,
            report.n_candidates,
            report.n_boxes
        );
        assert!(report.n_pillars > 0 && report.n_boxes > 0, "an empty frame measures nothing");
        group.throughput(Throughput::Elements(cloud.n_points() as u64));
        group.bench_function(&cloud.name, |b| {
            b.iter(|| stages.run(black_box(&cloud.view()), &mut FrameReport::default()));
        });
    }
}

fn config() -> Criterion {
    let criterion = Criterion::default().sample_size(30);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3))
}

criterion_group!(name = benches; config = config(); targets = without_network, scaling);
criterion_main!(benches);
