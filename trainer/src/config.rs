//! Configuration of a training run: one TOML file, which is the contract of the model to come
//! (the same tables as in a package's manifest) and how to train it.

use anyhow::{Context, bail, ensure};
use pilotis_datasets::kitti::View;
use pilotis_datasets::nuscenes::SweepStyle;
use pilotis_datasets::waymo::WaymoSettings;
use pilotis_spec::{
    BoxesSpec, EncoderSpec, Grid, HeadLayout, InputStatistics, Manifest, PillarsSpec, PointsSpec, manifest,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the model.
    pub name: String,
    /// Class names in lower case.
    pub classes: Vec<String>,
    /// What the points are.
    pub points: PointsSpec,
    /// Which cells there are.
    pub grid: Grid,
    /// How points group when the model runs; training may cap pillars lower.
    pub pillars: PillarsSpec,
    /// How pillars are encoded.
    pub bev: EncoderSpec,
    /// The 2D network before the head.
    pub backbone: BackboneConfig,
    /// What the network puts out.
    pub head: HeadLayout,
    /// How that becomes boxes.
    pub boxes: BoxesSpec,
    /// Which anchors a ground truth trains, per class. Anchor heads only.
    #[serde(default)]
    pub targets: BTreeMap<String, AnchorTargetConfig>,
    /// Weights of the losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// How much a class counts in the losses of a centre head, 1 where absent: rare classes would hardly be heard
    /// among many cars.
    #[serde(default)]
    pub class_weights: BTreeMap<String, f32>,
    /// Where samples come from.
    pub dataset: DatasetConfig,
    /// How samples are varied.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// The schedule.
    pub train: ScheduleConfig,
}

/// Blocks of 3 x 3 convolutions, and how their outputs come to one resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// Convolutions of each block after its first, strided one.
    pub layers: Vec<usize>,
    /// Stride of each block's first convolution.
    pub strides: Vec<usize>,
    /// Channels of each block.
    pub channels: Vec<usize>,
    /// Upsampling of each block's output: 2 doubles the map, 0.5 halves it.
    pub upsample_strides: Vec<f64>,
    /// Channels of each upsampled output.
    pub upsample_channels: Vec<usize>,
    /// Channels of the centre head's shared convolution; not read by anchor heads.
    #[serde(default = "default_shared_channels")]
    pub shared_channels: usize,
    /// Whether each branch of a centre head has a hidden convolution of its own, as published; without, it is
    /// one 3 x 3 convolution on the shared features, at a fraction of the cost. Not read by anchor heads.
    #[serde(default = "default_hidden_branches")]
    pub hidden_branches: bool,
}

fn default_hidden_branches() -> bool {
    true
}

fn default_shared_channels() -> usize {
    64
}

/// When an anchor learns a class: by the IoU of axis-aligned BEV boxes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorTargetConfig {
    /// At least this makes a positive.
    pub positive_iou: f32,
    /// Below this makes a negative; in between is ignored.
    pub negative_iou: f32,
}

/// Weights and constants of the losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Weight of the classification (anchors) or heat-map (centres) loss.
    pub class_weight: f64,
    /// Weight of the box loss.
    pub box_weight: f64,
    /// Weight of the direction loss.
    pub direction_weight: f64,
    /// Focal loss: weight of positives.
    pub focal_alpha: f64,
    /// Focal loss: exponent.
    pub focal_gamma: f64,
    /// Where smooth L1 turns linear.
    pub smooth_l1_beta: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            class_weight: 1.0,
            box_weight: 2.0,
            direction_weight: 0.2,
            focal_alpha: 0.25,
            focal_gamma: 2.0,
            smooth_l1_beta: 1.0 / 9.0,
        }
    }
}

/// The kinds of dataset that can be trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// KITTI's object layout, simulated frames included.
    Kitti,
    /// nuScenes' tables.
    Nuscenes,
    /// Waymo Open Dataset, version 1 (TFRecords) or 2 (Parquet).
    Waymo,
    /// The internal cache: a folder for each split, as `dataset convert` writes it.
    Cache,
}

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Layout on disk.
    pub kind: DatasetKind,
    /// Folder of the dataset; `--data` overrides it.
    pub root: PathBuf,
    /// The split that is trained on, and that a model's statistics are of; `--split` overrides it.
    #[serde(default = "default_train_split")]
    pub train_split: String,
    /// The split that is validated on after each epoch; `--val-split` overrides it.
    #[serde(default = "default_val_split")]
    pub val_split: String,
    /// Data set classes taken as one of the model's: `van = "car"` for instance.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// A ground truth with fewer points trains nothing and is not evaluated.
    #[serde(default = "default_min_points")]
    pub min_points: u32,
    /// Sweeps put together into one cloud.
    #[serde(default = "default_n_sweeps")]
    pub n_sweeps: u32,
    /// Which part of a frame is read; KITTI only, not read for other kinds.
    #[serde(default)]
    pub view: View,
    /// Threads that read samples ahead; they change nothing but the speed.
    #[serde(default = "default_reading_threads")]
    pub reading_threads: usize,
    /// Which points of Waymo's frames are taken; not read for other kinds.
    #[serde(default)]
    pub waymo: WaymoSettings,
    /// Whose way of putting sweeps together is followed; nuScenes only.
    #[serde(default)]
    pub sweeps: SweepStyle,
    /// The folder of tables, `v1.0-trainval` for instance; needed where a dataset has several. nuScenes only.
    #[serde(default)]
    pub version: Option<String>,
}

fn default_min_points() -> u32 {
    5
}

fn default_n_sweeps() -> u32 {
    1
}

fn default_train_split() -> String {
    "train".to_owned()
}

fn default_val_split() -> String {
    "val".to_owned()
}

fn default_reading_threads() -> usize {
    2
}

/// Random variations of a training sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Mirror y with probability one half.
    pub flip_y: bool,
    /// Mirror x with probability one half; for models that look all around.
    pub flip_x: bool,
    /// Rotate about z by up to this many radians either way.
    pub rotate_rad: f32,
    /// Scale by a factor within this relative distance of 1.
    pub scale: f32,
    /// Shift by a normal offset of this many metres.
    pub shift_m: f32,
    /// Crop to a forward camera's view with this probability.
    pub camera_crop: f32,
    /// Drop a random share of points, up to this.
    pub drop_points: f32,
    /// Scale intensities by a factor within this relative distance of 1.
    pub intensity_scale: f32,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            flip_y: true,
            flip_x: false,
            rotate_rad: std::f32::consts::FRAC_PI_4,
            scale: 0.05,
            shift_m: 0.0,
            camera_crop: 0.0,
            drop_points: 0.0,
            intensity_scale: 0.0,
        }
    }
}

/// Arithmetic of the forward and backward pass; weights stay `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainPrecision {
    /// Single precision throughout.
    #[default]
    Fp32,
    /// Convolutions in bfloat16, everything else in `f32`.
    Bf16,
}

/// Optimizer and schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// Steps whose gradients are added before the optimizer moves.
    #[serde(default = "default_accumulate")]
    pub accumulate: usize,
    /// Peak learning rate of the one-cycle schedule.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[serde(default = "default_weight_decay")]
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises.
    #[serde(default = "default_warm_up")]
    pub warm_up: f64,
    /// Start rate = peak / this.
    #[serde(default = "default_div_factor")]
    pub div_factor: f64,
    /// Largest gradient norm.
    #[serde(default = "default_clip_norm")]
    pub clip_norm: f32,
    /// Arithmetic.
    #[serde(default)]
    pub precision: TrainPrecision,
    /// Pillars a training sample keeps; the manifest's cap where absent.
    #[serde(default)]
    pub max_pillars: Option<u32>,
    /// Seed of initialization, order and augmentation.
    #[serde(default)]
    pub seed: u64,
}

fn default_accumulate() -> usize {
    1
}
fn default_weight_decay() -> f64 {
    0.01
}
fn default_warm_up() -> f64 {
    0.4
}
fn default_div_factor() -> f64 {
    10.0
}
fn default_clip_norm() -> f32 {
    10.0
}

impl TrainConfig {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::from_toml(&text).with_context(|| format!("configuration `{}`", path.display()))
    }

    /// Reads and checks a configuration text.
    pub fn from_toml(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what neither serde nor the contract checks.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.manifest_draft(InputStatistics::default()).validate()?;
        let b = &self.backbone;
        let n = b.layers.len();
        let lengths =
            [b.strides.len(), b.channels.len(), b.upsample_strides.len(), b.upsample_channels.len()];
        ensure!(n > 0 && lengths.iter().all(|l| *l == n), "backbone: its five lists must be equally long");
        let mut stride = 1.0;
        for i in 0..n {
            ensure!(b.strides[i] >= 1 && b.channels[i] >= 1, "backbone: block {i} has a zero");
            stride *= b.strides[i] as f64;
            let up = b.upsample_strides[i];
            ensure!(up > 0.0, "backbone.upsample_strides: {up} is not positive");
            let whole = if up >= 1.0 { up } else { 1.0 / up };
            ensure!(
                (whole - whole.round()).abs() < 1e-9,
                "backbone.upsample_strides: {up} is neither whole nor one over a whole number"
            );
            let reached = stride / up;
            ensure!(
                (reached - self.head.stride() as f64).abs() < 1e-9,
                "backbone: block {i} comes out at stride {reached}, head.stride is {}",
                self.head.stride()
            );
        }
        let total = stride as usize;
        ensure!(
            self.grid.nx().is_multiple_of(total) && self.grid.ny().is_multiple_of(total),
            "backbone: its stride {total} does not divide the grid of {} x {}",
            self.grid.nx(),
            self.grid.ny()
        );
        if matches!(self.head, HeadLayout::Anchors(_)) {
            for class in &self.classes {
                let Some(t) = self.targets.get(class) else { bail!("targets.{class} is missing") };
                ensure!(
                    0.0 < t.negative_iou && t.negative_iou <= t.positive_iou && t.positive_iou < 1.0,
                    "targets.{class}: need 0 < negative_iou <= positive_iou < 1"
                );
            }
        }
        for (class, weight) in &self.class_weights {
            ensure!(self.classes.contains(class), "class_weights: there is no class `{class}`");
            ensure!(
                weight.is_finite() && *weight > 0.0,
                "class_weights.{class}: {weight} is not a positive number"
            );
        }
        ensure!(self.dataset.reading_threads > 0, "dataset.reading_threads is zero");
        let t = &self.train;
        ensure!(t.epochs > 0 && t.batch_size > 0 && t.accumulate > 0, "train: a count is zero");
        ensure!(t.learning_rate > 0.0 && t.learning_rate.is_finite(), "train.learning_rate is not positive");
        ensure!(t.warm_up > 0.0 && t.warm_up < 1.0, "train.warm_up is not between 0 and 1");
        Ok(())
    }

    /// How much each class of a task counts in its losses.
    pub fn weights_of(&self, classes: &[String]) -> Vec<f32> {
        classes.iter().map(|class| self.class_weights.get(class).copied().unwrap_or(1.0)).collect()
    }

    /// The manifest of the model to come; digests are filled in by the export.
    pub fn manifest_draft(&self, input_statistics: InputStatistics) -> Manifest {
        let network = "head.fp32.onnx";
        let unknown = "0".repeat(64);
        Manifest {
            schema_version: manifest::SCHEMA_VERSION,
            name: self.name.clone(),
            created_by: concat!("pilotis-trainer ", env!("CARGO_PKG_VERSION")).to_owned(),
            classes: self.classes.clone(),
            points: self.points.clone(),
            grid: self.grid.clone(),
            pillars: self.pillars.clone(),
            bev: self.bev.clone(),
            head: self.head.clone(),
            boxes: self.boxes.clone(),
            input_statistics,
            networks: BTreeMap::from([("fp32".to_owned(), network.to_owned())]),
            files: BTreeMap::from([
                (manifest::ENCODER_FILE.to_owned(), unknown.clone()),
                (network.to_owned(), unknown),
            ]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> Vec<(PathBuf, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/train");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
            .map(|p| (p.clone(), std::fs::read_to_string(p).unwrap()))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn every_shipped_configuration_is_valid() {
        let configs = configs();
        assert!(configs.len() >= 4, "only {} configurations", configs.len());
        for (path, text) in configs {
            TrainConfig::from_toml(&text).unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let (_, text) = configs().into_iter().find(|(p, _)| p.ends_with("pointpillars_kitti.toml")).unwrap();
        for (from, to, said) in [
            ("upsample_strides = [1.0, 2.0, 4.0]", "upsample_strides = [1.0, 2.0, 3.0]", "stride"),
            ("layers = [3, 5, 5]", "layers = [3, 5]", "equally long"),
            ("epochs = 80", "epochs = 0", "zero"),
            ("[dataset]", "[dataset]\nreading_threads = 0", "reading_threads"),
            ("[dataset]", "[dataset]\nview = \"half\"", "as_labelled"),
            ("[targets.cyclist]", "[targets.tram]", "targets.cyclist"),
            ("name =", "class_weights = { tram = 2.0 }\nname =", "tram"),
            ("name =", "class_weights = { car = 0.0 }\nname =", "class_weights.car"),
            ("name =", "colour = 1\nname =", "colour"),
        ] {
            assert!(text.contains(from), "the configuration lacks `{from}`");
            let error = TrainConfig::from_toml(&text.replacen(from, to, 1)).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{to}: {error:#}");
        }
    }
}
