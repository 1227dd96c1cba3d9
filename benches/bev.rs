//! The bev stage: pillars to the canvas, on every instruction set of this processor.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pilotis_benches::{Stages, clouds};
use pilotis_runtime::bev::dense::Isa;
use pilotis_spec::FrameReport;
use std::time::Duration;

fn bev(c: &mut Criterion) {
    let mut group = c.benchmark_group("bev");
    for cloud in clouds() {
        let mut stages = Stages::of(&cloud);
        stages.run_points(&cloud.view(), &mut FrameReport::default());
        stages.run_pillars(&mut FrameReport::default());
        group.throughput(Throughput::Elements(cloud.n_points() as u64));
        group.bench_function(&cloud.name, |b| b.iter(|| stages.run_bev()));
        if cloud.name == "simulated" {
            for isa in Isa::available() {
                stages.bev.set_isa(isa);
                group.bench_function(format!("simulated/{}", isa.name()), |b| b.iter(|| stages.run_bev()));
            }
        }
    }
}

fn config() -> Criterion {
    let criterion = Criterion::default().sample_size(50);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group!(name = benches; config = config(); targets = bev);
criterion_main!(benches);
