//! Frames that a package runs on: of any dataset, brought to the axes and scales of the model.

use super::deployed::DeployArgs;
use crate::datasets::frame_folder::{FrameFolder, TO_X_AHEAD_RAD};
use crate::datasets::kitti::KittiDataset;
use crate::datasets::waymo::{self, WaymoDataset, WaymoFrame, WaymoSettings};
use crate::datasets::{Dataset, Sample};
use pilotis_datasets::Convention;
use pilotis_datasets::nuscenes::{CachePlace, NuscenesDataset, Sweeps, version_folders};
use pilotis_runtime::Package;
use pilotis_spec::codec::normalize_yaw;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Formats of labelled data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DataKind {
    /// What the folder looks like
    #[default]
    Auto,
    /// KITTI's object layout, simulated frames included
    Kitti,
    /// nuScenes' tables
    Nuscenes,
    /// Waymo's splits of TFRecords or Parquet files
    Waymo,
    /// One nuScenes frame with its `boxes.json`
    Frame,
}

impl DataKind {
    pub(super) fn of(self, root: &Path) -> Self {
        match self {
            Self::Auto if FrameFolder::is_at(root) => Self::Frame,
            Self::Auto if !version_folders(root).is_empty() => Self::Nuscenes,
            Self::Auto if root.join("ImageSets").is_dir() => Self::Kitti,
            Self::Auto if !waymo::splits(root).is_empty() => Self::Waymo,
            Self::Auto => Self::Kitti,
            kind => kind,
        }
    }
}

/// The frames of a split, and what they were before they were brought to the model's axes.
pub(super) struct Frames {
    /// As the model takes them.
    pub(super) dataset: Box<dyn Dataset>,
    /// As they were.
    pub(super) source: Source,
}

/// Where frames come from.
pub(super) enum Source {
    /// KITTI's layout.
    Kitti,
    /// nuScenes' tables.
    Nuscenes(Arc<NuscenesDataset>),
    /// Waymo's frames.
    Waymo(Arc<WaymoFrames>),
    /// One labelled sweep.
    Frame,
}

/// The motion that brought frames to the model's axes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Motion {
    /// Counter-clockwise about z, first.
    pub turn_rad: f32,
    /// Up, then.
    pub raise_m: f32,
}

impl Frames {
    /// Opens the frames; a folder of one frame has no splits.
    ///
    /// Intensities of nuScenes' frames are brought to the full scale that the package states.
    ///
    /// **Errors**: those of the dataset.
    pub(super) fn open(args: &DeployArgs, split: &str, package: &Package) -> anyhow::Result<Self> {
        let manifest = package.manifest();
        let full_scale = manifest.points.intensity_full_scale;
        let motion = motion_of(args);
        let (dataset, source): (Box<dyn Dataset>, Source) = match args.kind.of(&args.data) {
            DataKind::Frame => {
                let folder = FrameFolder::open(&args.data, BTreeMap::new())?;
                (Box::new(folder.turned(motion.turn_rad).scaled(full_scale)), Source::Frame)
            }
            DataKind::Nuscenes => {
                let frames = Arc::new(open_nuscenes(args, split, &manifest.classes)?);
                let intensity_factor = full_scale / Convention::NUSCENES.intensity_full_scale;
                let dataset = Moved { frames: Arc::clone(&frames), motion, intensity_factor };
                (Box::new(dataset), Source::Nuscenes(frames))
            }
            DataKind::Waymo => {
                let frames = Arc::new(open_waymo(args, split, &manifest.classes)?);
                let intensity_factor = full_scale / Convention::WAYMO.intensity_full_scale;
                let dataset = Moved { frames: Arc::clone(&frames), motion, intensity_factor };
                (Box::new(dataset), Source::Waymo(frames))
            }
            DataKind::Auto | DataKind::Kitti => {
                (Box::new(KittiDataset::open(&args.data, split, BTreeMap::new())?), Source::Kitti)
            }
        };
        Ok(Self { dataset, source })
    }
}

/// How frames are brought to the model's axes.
pub(super) fn motion_of(args: &DeployArgs) -> Motion {
    match args.kind.of(&args.data) {
        DataKind::Frame | DataKind::Nuscenes => {
            Motion { turn_rad: args.turn_rad.unwrap_or(TO_X_AHEAD_RAD), raise_m: 0.0 }
        }
        DataKind::Waymo => Motion { turn_rad: args.turn_rad.unwrap_or(0.0), raise_m: args.raise_m },
        DataKind::Auto | DataKind::Kitti => Motion::default(),
    }
}

/// Samples in the frame and the scale of intensities that a model has.
struct Moved<D> {
    frames: Arc<D>,
    motion: Motion,
    intensity_factor: f32,
}

impl<D: Dataset> Dataset for Moved<D> {
    fn n_samples(&self) -> usize {
        self.frames.n_samples()
    }

    fn name(&self, idx: usize) -> &str {
        self.frames.name(idx)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        let mut sample = self.frames.load(idx)?;
        let Motion { turn_rad, raise_m } = self.motion;
        let (sin, cos) = (libm::sinf(turn_rad), libm::cosf(turn_rad));
        let turn = |[x, y]: [f32; 2]| [x * cos - y * sin, x * sin + y * cos];
        for point in &mut sample.points {
            [point.x, point.y] = turn([point.x, point.y]);
            point.z += raise_m;
            point.intensity *= self.intensity_factor;
        }
        for object in &mut sample.objects {
            let [x, y, z] = object.bbox.center;
            let [x, y] = turn([x, y]);
            object.bbox.center = [x, y, z + raise_m];
            object.bbox.yaw = normalize_yaw(object.bbox.yaw + turn_rad);
            object.velocity = turn(object.velocity);
        }
        Ok(sample)
    }

    fn drive(&self, idx: usize) -> Option<String> {
        self.frames.drive(idx)
    }
}

/// Waymo's frames, the last of which is remembered: its sample and its labels are asked for one after the other, and
/// range images take long to become points.
pub struct WaymoFrames {
    dataset: WaymoDataset,
    last: Mutex<Option<(usize, Arc<WaymoFrame>)>>,
}

impl WaymoFrames {
    /// Frames of a split.
    pub fn new(dataset: WaymoDataset) -> Self {
        Self { dataset, last: Mutex::default() }
    }

    /// A frame with all that evaluation needs.
    ///
    /// **Errors**: as of [`WaymoDataset::load_frame`].
    pub fn frame(&self, idx: usize) -> anyhow::Result<Arc<WaymoFrame>> {
        // A thread that panicked has left a whole frame, or none.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, frame)) = last.as_ref()
            && *known == idx
        {
            return Ok(Arc::clone(frame));
        }
        let frame = Arc::new(self.dataset.load_frame(idx)?);
        *last = Some((idx, Arc::clone(&frame)));
        Ok(frame)
    }
}

impl Dataset for WaymoFrames {
    fn n_samples(&self) -> usize {
        self.dataset.n_samples()
    }

    fn name(&self, idx: usize) -> &str {
        self.dataset.name(idx)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        Ok(self.dataset.sample_of(idx, &*self.frame(idx)?))
    }

    fn drive(&self, idx: usize) -> Option<String> {
        self.dataset.drive(idx)
    }
}

/// A model that knows cyclists, and no bicycles, is asked for nuScenes' bicycles, whose boxes hold their riders.
fn open_nuscenes(args: &DeployArgs, split: &str, classes: &[String]) -> anyhow::Result<NuscenesDataset> {
    let mut rename = BTreeMap::new();
    let has = |name: &str| classes.iter().any(|class| class == name);
    if has("cyclist") && !has("bicycle") {
        rename.insert("bicycle".to_owned(), "cyclist".to_owned());
    }
    let sweeps = Sweeps { n_sweeps: args.sweeps as usize, style: args.sweep_style };
    let version = args.version.as_deref();
    Ok(NuscenesDataset::open(&args.data, version, Some(split), sweeps, rename, CachePlace::Beside)?)
}

/// A model that knows cars, and no vehicles, is asked for Waymo's vehicles.
fn open_waymo(args: &DeployArgs, split: &str, classes: &[String]) -> anyhow::Result<WaymoFrames> {
    let mut rename = BTreeMap::new();
    let has = |name: &str| classes.iter().any(|class| class == name);
    if has("car") && !has("vehicle") {
        rename.insert("vehicle".to_owned(), "car".to_owned());
    }
    let dataset = WaymoDataset::open(&args.data, split, rename, WaymoSettings::default())?;
    Ok(WaymoFrames::new(dataset))
}
