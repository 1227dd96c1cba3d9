//! The points stage: bytes of a cloud to validated points; one sweep, and ten as one cloud.

#![allow(clippy::expect_used, reason = "a bench without its input is to stop")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pilotis_benches::{Cloud, Stages, clouds, nuscenes, simulated};
use pilotis_runtime::points::{CloudView, Pose, Sweep, to_key};
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

/// Ten sweeps of 27,000 points, as nuScenes has them, nine of them moved; and the same points as one
/// cloud, which is what reading alone costs.
fn ten_sweeps(c: &mut Criterion) {
    let sensor = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.9, 0.0, 1.8] };
    let ego = |i: usize| {
        let half = 0.002 * i as f64;
        Pose { rotation: [half.cos(), 0.0, 0.0, half.sin()], translation: [-0.5 * i as f64, 0.0, 0.0] }
    };
    let clouds: Vec<Cloud> = (0..10).map(|_| simulated().resized(27_000)).collect();
    let sweeps: Vec<Sweep<'_>> = clouds
        .iter()
        .enumerate()
        .map(|(i, cloud)| {
            let motion = to_key(&sensor, &ego(i), &ego(0), &sensor).expect("the poses are rigid");
            let motion = (i > 0).then_some(motion);
            Sweep::new(cloud.view(), motion, 0.05 * i as f32, 1.0).expect("a usable sweep")
        })
        .collect();
    let layout = &simulated().layout;
    let bytes: Vec<u8> = clouds.iter().flat_map(|c| c.bytes.iter().copied()).collect();
    let one = CloudView::from_bytes(&bytes, layout).expect("whole records");
    let mut stages = Stages::of(&Cloud { manifest: nuscenes(), ..simulated() });
    let mut group = c.benchmark_group("points");
    for (name, cloud) in [("ten_sweeps", CloudView::from_sweeps(&sweeps)), ("ten_sweeps_as_one", one)] {
        group.throughput(Throughput::Elements(cloud.n_points() as u64));
        group.bench_function(name, |b| {
            b.iter(|| stages.run_points(black_box(&cloud), &mut FrameReport::default()));
        });
    }
}

fn config() -> Criterion {
    let criterion = Criterion::default().sample_size(50);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group!(name = benches; config = config(); targets = points, ten_sweeps);
criterion_main!(benches);
