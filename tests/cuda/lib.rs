//! What the suites of the CUDA backend share: models and clouds from a seed, and engines that must
//! answer alike.
//!
//! A suite runs on what [`DeviceChoice::Cuda`] finds: a card, or the emulator that
//! `PILOTIS_CUDA_EMULATOR` names. Without either it skips, and says so.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

pub mod cases;
pub mod counting;
pub mod frame_of_ptx;
pub mod large;

use pilotis_runtime::{
    CanvasFormat, CloudView, DeviceChoice, Engine, EngineBuilder, HeadChoice, OnMismatch, Package,
};
use pilotis_spec::{Detection, FrameReport, Point, StageTimes};

/// Why there is no device to test, where there is none.
pub fn why_no_device() -> Option<String> {
    DeviceChoice::Cuda.resolve().err().map(|e| format!("skipped: {e}"))
}

/// An engine whose network answers with these tensors.
pub fn engine(package: &Package, tensors: &[Vec<f32>], device: DeviceChoice, canvas: CanvasFormat) -> Engine {
    EngineBuilder::new()
        .head(HeadChoice::Replay(tensors.to_vec()))
        .on_mismatch(OnMismatch::Flag)
        .device(device)
        .canvas(canvas)
        .build(package)
        .unwrap()
}

/// An engine on the card whose network is there too, so that a frame is one graph, or plain launches.
pub fn engine_whole(package: &Package, tensors: &[Vec<f32>], canvas: CanvasFormat, graph: bool) -> Engine {
    EngineBuilder::new()
        .head(HeadChoice::DeviceReplay(tensors.to_vec()))
        .on_mismatch(OnMismatch::Flag)
        .device(DeviceChoice::Cuda)
        .canvas(canvas)
        .graph(graph)
        .build(package)
        .unwrap()
}

/// Everything that an engine says of a cloud, in bits, but for times.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// What was counted.
    pub report: FrameReport,
    /// Bits of the points kept.
    pub points: Vec<[u32; 5]>,
    /// Cell and points of every pillar.
    pub pillars: Vec<(u32, Vec<u32>)>,
    /// Cells of the canvas in ascending order.
    pub cells: Vec<u32>,
    /// Bits of their channels.
    pub channels: Vec<u32>,
    /// What an earlier frame left on the canvas.
    pub n_left_over: usize,
    /// Bits of the boxes.
    pub boxes: Vec<[u32; 11]>,
}

impl Answers {
    /// Runs a cloud through an engine.
    pub fn of(engine: &mut Engine, cloud: &CloudView<'_>) -> Self {
        let frame = engine.infer(cloud).unwrap();
        let report = FrameReport { times: StageTimes::default(), ..frame.report };
        let boxes = frame.detections.iter().map(bits_of_box).collect();
        let last = engine.last_frame().unwrap();
        let points = last.points.iter().map(bits_of_point).collect();
        let of_pillar = |(p, cell): (usize, &u32)| (*cell, last.pillars.points_of(p).to_vec());
        let pillars = last.pillars.cells().iter().enumerate().map(of_pillar).collect();
        let channels = last.channels.iter().map(|v| v.to_bits()).collect();
        let n_left_over = last.n_left_over;
        Self { report, points, pillars, cells: last.cells.to_vec(), channels, n_left_over, boxes }
    }
}

fn bits_of_point(p: &Point) -> [u32; 5] {
    [p.x, p.y, p.z, p.intensity, p.time_lag].map(f32::to_bits)
}

fn bits_of_box(d: &Detection) -> [u32; 11] {
    let ([x, y, z], [l, w, h]) = (d.bbox.center, d.bbox.size);
    let [vx, vy] = d.velocity;
    let values = [x, y, z, l, w, h, d.bbox.yaw, vx, vy, d.score].map(f32::to_bits);
    let mut bits = [d.class_idx; 11];
    bits[..10].copy_from_slice(&values);
    bits
}
