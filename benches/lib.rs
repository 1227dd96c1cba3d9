//! Shared inputs of the benches: clouds, full-size configurations, and the stages in a row.
//!
//! Clouds are the shipped simulated sweeps and, where the environment variable `PILOTIS_DATA`
//! names the folder of real data, real frames of KITTI and nuScenes. `PILOTIS_SIMULATED` names
//! another folder of simulated sweeps.

#![allow(clippy::expect_used, reason = "a bench without its input is to stop, and nothing ships this crate")]

use pilotis_runtime::bev::{BevStage, LayerWeights};
use pilotis_runtime::boxes::{BoxesStage, RawTensors};
use pilotis_runtime::head::{Head, replay::ReplayHead};
use pilotis_runtime::pillars::PillarsStage;
use pilotis_runtime::points::{CloudView, Comparison, OnMismatch, PointsStage};
use pilotis_spec::{FeatureRecipe, FrameReport, Grid, Manifest, PointLayout};
use std::path::{Path, PathBuf};

const KITTI: &str = include_str!("../runtime/spec/tests/kitti_manifest.toml");

/// Of the scores of a frame one in so many passes: about 300 of the 964,224 of KITTI's head.
pub const ONE_IN_FRAME: f32 = 3200.0;

/// A repeatable sequence in 0..1.
pub fn noise(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 24) as f32
    }
}

/// The full KITTI configuration: 432 x 496 cells, 32 points, 40,000 pillars, 64 channels,
/// 321,408 anchors.
pub fn kitti() -> Manifest {
    Manifest::from_toml(KITTI).expect("the sample manifest is valid")
}

/// The nuScenes configuration up to the canvas: 512 x 512 cells, 20 points, 30,000 pillars.
pub fn nuscenes() -> Manifest {
    let mut manifest = kitti();
    let grid = Grid::new([-51.2, -51.2, -5.0], [51.2, 51.2, 3.0], [0.2, 0.2]);
    manifest.grid = grid.expect("the grid of nuScenes is valid");
    manifest.points.max_points = 300_000;
    manifest.pillars.max_points_per_pillar = 20;
    manifest.pillars.max_pillars = 30_000;
    manifest.bev.recipe = FeatureRecipe::Pcdet11;
    manifest
}

/// Encoder weights of a manifest's shapes, small enough that features stay of order 1.
pub fn encoder(manifest: &Manifest) -> Vec<LayerWeights> {
    let mut r = noise(3);
    let mut values = |n: usize| -> Vec<f32> { (0..n).map(|_| (r() - 0.5) * 0.2).collect() };
    let shapes = manifest.bev.linear_shapes().into_iter();
    let layer = |(n_in, n_out)| {
        let (weights, bias) = (values(n_in * n_out), values(n_out));
        LayerWeights { n_in, n_out, weights, bias }
    };
    shapes.map(layer).collect()
}

/// Raw tensors of a head, of whose scores about one in `one_in` passes.
pub fn tensors(manifest: &Manifest, one_in: f32) -> Vec<Vec<f32>> {
    let mut r = noise(5);
    let specs = manifest.head.tensors(&manifest.grid);
    let mut tensors: Vec<Vec<f32>> = specs.iter().map(|t| vec![0.0; t.n_values()]).collect();
    if let [scores, residuals, directions] = &mut tensors[..] {
        scores.fill_with(|| if r() * one_in < 1.0 { -2.0 + 3.0 * r() } else { -5.0 - 3.0 * r() });
        residuals.fill_with(|| (r() - 0.5) * 0.4);
        directions.fill_with(|| r() - 0.5);
    }
    tensors
}

/// A cloud in memory, in the layout of its file.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Name in the reports.
    pub name: String,
    /// Layout of [`Cloud::bytes`].
    pub layout: PointLayout,
    /// The file.
    pub bytes: Vec<u8>,
    /// The configuration that fits it.
    pub manifest: Manifest,
}

impl Cloud {
    /// A file of KITTI's layout, for KITTI's configuration.
    pub fn read_kitti(name: &str, path: &Path) -> Self {
        Self::read(name, path, PointLayout::kitti(), kitti())
    }

    fn read(name: &str, path: &Path, layout: PointLayout, manifest: Manifest) -> Self {
        let bytes = std::fs::read(path).expect("the cloud can be read");
        let cloud = Self { name: name.to_owned(), layout, bytes, manifest };
        assert!(cloud.n_points() > 0, "{} holds no points", path.display());
        cloud
    }

    /// Where the fields lie.
    pub fn view(&self) -> CloudView<'_> {
        CloudView::from_bytes(&self.bytes, &self.layout).expect("the cloud has whole records")
    }

    /// Points of the cloud.
    pub fn n_points(&self) -> usize {
        self.view().n_points()
    }

    /// The same scene with `n_points`: evenly thinned, or repeated with up to 0.4 m of jitter.
    /// Only for clouds of KITTI's layout.
    #[must_use]
    pub fn resized(&self, n_points: usize) -> Self {
        let (records, _) = self.bytes.as_chunks::<16>();
        let mut r = noise(11);
        let mut bytes = Vec::with_capacity(n_points * 16);
        for i in 0..n_points {
            let at = if n_points < records.len() { i * records.len() / n_points } else { i % records.len() };
            let moves = if i < records.len() { 0.0 } else { 0.8 };
            let Some(record) = records.get(at) else { continue };
            let (values, _) = record.as_chunks::<4>();
            for (value, scale) in values.iter().zip([moves, moves, moves / 8.0, 0.0]) {
                let value = f32::from_le_bytes(*value) + (r() - 0.5) * scale;
                bytes.extend(value.to_le_bytes());
            }
        }
        let mut manifest = self.manifest.clone();
        manifest.points.max_points = n_points as u32;
        Self { name: format!("{n_points}"), layout: self.layout.clone(), bytes, manifest }
    }
}

/// The first shipped simulated sweep: 360 degrees, about 117,000 points.
pub fn simulated() -> Cloud {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/simulated");
    let folder = std::env::var_os("PILOTIS_SIMULATED").map_or(shipped, PathBuf::from);
    let path = first_bin(&folder);
    Cloud::read_kitti("simulated", &path.expect("a simulated sweep is shipped in tests/data/simulated"))
}

/// The simulated sweep, and the real frames where there are some.
pub fn clouds() -> Vec<Cloud> {
    let mut clouds = vec![simulated()];
    let Some(data) = std::env::var_os("PILOTIS_DATA").map(PathBuf::from) else {
        eprintln!("skipped: real frames (PILOTIS_DATA does not name the folder of real data)");
        return clouds;
    };
    for (name, file) in [("kitti_full", "velodyne"), ("kitti_reduced", "velodyne_reduced")] {
        let path = data.join("kitti/training").join(file).join("000000.bin");
        if path.is_file() {
            clouds.push(Cloud::read_kitti(name, &path));
        } else {
            eprintln!("skipped: {name} (PILOTIS_DATA has no kitti/training/{file}/000000.bin)");
        }
    }
    match first_bin(&data.join("nuscenes_ten_sweeps")) {
        Some(path) => {
            let layout = PointLayout::nuscenes_sweeps_f16();
            clouds.push(Cloud::read("nuscenes_ten_sweeps", &path, layout, nuscenes()));
        }
        None => eprintln!("skipped: nuscenes_ten_sweeps (PILOTIS_DATA has no nuscenes_ten_sweeps/*.bin)"),
    }
    clouds
}

fn first_bin(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?;
    let paths = files.filter_map(|f| f.ok().map(|f| f.path()));
    paths.filter(|p| p.extension().is_some_and(|e| e == "bin")).min()
}

/// The stages of [`pilotis_runtime::Engine::infer`] in its order, each open to a bench; the
/// network is replayed.
pub struct Stages {
    /// The configuration.
    pub manifest: Manifest,
    /// Bytes to points.
    pub points: PointsStage,
    /// Points to pillars.
    pub pillars: PillarsStage,
    /// Pillars to the canvas.
    pub bev: BevStage,
    /// The canvas, and recorded tensors.
    pub head: ReplayHead,
    /// Tensors to boxes.
    pub boxes: BoxesStage,
}

impl Stages {
    /// All stages of a configuration.
    pub fn build(manifest: Manifest, layers: &[LayerWeights], tensors: Vec<Vec<f32>>) -> Self {
        let max_points = manifest.points.max_points;
        Self {
            points: PointsStage::build(max_points as usize),
            pillars: PillarsStage::build(&manifest.pillars, &manifest.grid, max_points),
            bev: BevStage::build(&manifest.bev, &manifest.pillars, layers).expect("the layers fit"),
            head: ReplayHead::build(&manifest, tensors).expect("the tensors fit"),
            boxes: BoxesStage::build(&manifest).expect("the manifest is buildable"),
            manifest,
        }
    }

    /// The stages for a cloud, with noise for weights and about 300 candidates.
    pub fn of(cloud: &Cloud) -> Self {
        let manifest = cloud.manifest.clone();
        let layers = encoder(&manifest);
        let tensors = tensors(&manifest, ONE_IN_FRAME);
        Self::build(manifest, &layers, tensors)
    }

    /// Bytes to points.
    pub fn run_points(&mut self, cloud: &CloudView<'_>, report: &mut FrameReport) {
        let needs_time_lag = self.manifest.bev.recipe.needs_time_lag();
        self.points.run(cloud, &self.manifest.grid, needs_time_lag, report).expect("the cloud is usable");
        let comparison = Comparison::of(&self.manifest.input_statistics, self.points.summary());
        comparison.apply(OnMismatch::Flag, report).expect("flagged, not refused");
    }

    /// Points to pillars.
    pub fn run_pillars(&mut self, report: &mut FrameReport) {
        self.pillars.run(self.points.points(), &self.manifest.grid, report);
    }

    /// Pillars to the canvas.
    pub fn run_bev(&mut self) {
        let pillars = self.pillars.last();
        self.bev.run(self.points.points(), &pillars, &self.manifest.grid, self.head.canvas());
    }

    /// Recorded tensors to boxes; yields how many.
    pub fn run_boxes(&mut self, report: &mut FrameReport) -> usize {
        let boxes = self.boxes.run(&Recorded(&self.head), report);
        boxes.expect("the tensors are the manifest's").len()
    }

    /// Recorded tensors to decoded candidates, before suppression; yields how many.
    pub fn run_decode(&mut self, report: &mut FrameReport) -> usize {
        self.boxes.decode_scope(0, &Recorded(&self.head), report).len()
    }

    /// A frame but for its network; yields the number of boxes.
    pub fn run(&mut self, cloud: &CloudView<'_>, report: &mut FrameReport) -> usize {
        self.run_points(cloud, report);
        self.run_pillars(report);
        self.run_bev();
        self.run_boxes(report)
    }
}

struct Recorded<'a>(&'a ReplayHead);

impl RawTensors for Recorded<'_> {
    fn tensor(&self, idx: usize) -> &[f32] {
        self.0.tensor(idx)
    }
}
