//! Pilotis' side of `peers.py`: reads commands from standard input, answers each with a line.
//!
//! `stages CLOUD FOLDER`, where CLOUD has KITTI's layout and FOLDER holds little-endian `f32`:
//! `weights` [10, 64] and `bias` [64] of the encoder, `tensor_0`.. of the head, `nms` [n, 7].
//! Commands: `pillars N`, `bev N`, `decode N`, `boxes N`, `nms N`, `frame N` answer with the nanoseconds of
//! N runs; `counts` with what a frame held; `canvas PATH` writes the canvas.

#![allow(clippy::expect_used, reason = "a measurement without its input is to stop")]

use pilotis_benches::{Cloud, Stages, kitti};
use pilotis_runtime::bev::LayerWeights;
use pilotis_runtime::boxes::Nms;
use pilotis_runtime::head::Head;
use pilotis_spec::{Box3d, FrameReport};
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn read(folder: &Path, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(folder.join(name)).expect("the file can be read");
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn times(n: usize, mut f: impl FnMut()) -> String {
    let time = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_nanos()
    };
    let times: Vec<u128> = (0..n).map(time).collect();
    format!("{times:?}")
}

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (cloud, folder) = args.next().zip(args.next()).expect("stages CLOUD FOLDER");
    let cloud = Cloud::read_kitti("cloud", &cloud);
    let manifest = kitti();
    let (weights, bias) = (read(&folder, "weights"), read(&folder, "bias"));
    let layer = LayerWeights { n_in: 10, n_out: 64, weights, bias };
    let n_tensors = manifest.head.tensors(&manifest.grid).len();
    let tensors = (0..n_tensors).map(|i| read(&folder, &format!("tensor_{i}"))).collect();
    let values = read(&folder, "nms");
    let to_box = |v: &[f32; 7]| Box3d { center: [v[0], v[1], v[2]], size: [v[3], v[4], v[5]], yaw: v[6] };
    let boxes: Vec<Box3d> = values.as_chunks::<7>().0.iter().map(to_box).collect();
    let (min, max) = (manifest.grid.min(), manifest.grid.max());
    let mut nms = Nms::build([min[0], min[1]], [max[0], max[1]], boxes.len(), manifest.boxes.nms_iou);
    let mut stages = Stages::build(manifest, &[layer], tensors);
    let mut report = FrameReport::default();
    stages.run(&cloud.view(), &mut report);

    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let n: usize = argument.parse().unwrap_or(0);
        let mut ignored = FrameReport::default();
        let answer = match command {
            "pillars" => times(n, || {
                stages.run_points(black_box(&cloud.view()), &mut ignored);
                stages.run_pillars(&mut ignored);
            }),
            "bev" => times(n, || stages.run_bev()),
            "decode" => times(n, || {
                black_box(stages.run_decode(&mut ignored));
            }),
            "boxes" => times(n, || {
                black_box(stages.run_boxes(&mut ignored));
            }),
            "nms" => times(n, || {
                black_box(nms.run(black_box(&boxes)));
            }),
            "frame" => times(n, || {
                black_box(stages.run(black_box(&cloud.view()), &mut ignored));
            }),
            "counts" => {
                nms.run(&boxes);
                let kept_in_nms = nms.kept().len();
                format!(
                    "{{\"points\": {}, \"kept\": {}, \"pillars\": {}, \"candidates\": {}, \"boxes\": {}, \
                     \"kept_in_nms\": {kept_in_nms}, \"isa\": \"{}\"}}",
                    report.n_points,
                    report.n_points_kept,
                    report.n_pillars,
                    report.n_candidates,
                    report.n_boxes,
                    stages.bev.isa().name()
                )
            }
            "canvas" => {
                let bytes: Vec<u8> = stages.head.canvas().iter().flat_map(|v| v.to_le_bytes()).collect();
                std::fs::write(argument, bytes).expect("the canvas can be written");
                "true".to_owned()
            }
            _ => "null".to_owned(),
        };
        writeln!(out, "{answer}").and_then(|()| out.flush()).expect("someone reads the answers");
    }
}
