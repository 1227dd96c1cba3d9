//! Frames that a package runs on: of any dataset, brought to the axes and scales of the model.

use super::deployed::DeployArgs;
use crate::datasets::frame_folder::{FrameFolder, TO_X_AHEAD_RAD};
use crate::datasets::kitti::KittiDataset;
use crate::datasets::waymo::{WaymoDataset, WaymoFrame, WaymoSettings};
use crate::datasets::{Dataset, DatasetError, Kind, Sample};
use anyhow::bail;
use pilotis_datasets::nuscenes::{CachePlace, NuscenesDataset, Sweeps};
use pilotis_datasets::{Convention, Motion, Moved};
use pilotis_runtime::Package;
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
    /// The format of a folder.
    ///
    /// **Errors**: a folder that looks like nothing, or like several things.
    fn of(self, root: &Path) -> Result<Kind, DatasetError> {
        match self {
            Self::Auto => Kind::of(root),
            Self::Kitti => Ok(Kind::Kitti),
            Self::Nuscenes => Ok(Kind::Nuscenes),
            Self::Waymo => Ok(Kind::Waymo),
            Self::Frame => Ok(Kind::Frame),
        }
    }
}

/// The frames of a split, and what they were before they were brought to the model's axes.
pub(super) struct Frames {
    /// As the model takes them.
    pub(super) dataset: Box<dyn Dataset>,
    /// As they were.
    pub(super) source: Source,
    /// What brought them there.
    pub(super) motion: Motion,
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

impl Frames {
    /// Opens the frames; a folder of one frame has no splits.
    ///
    /// Intensities of nuScenes' and Waymo's frames are brought to the full scale that the package states.
    ///
    /// **Errors**: those of the dataset; one without labels, or a cache, which has lost where its samples are from.
    pub(super) fn open(args: &DeployArgs, split: &str, package: &Package) -> anyhow::Result<Self> {
        let manifest = package.manifest();
        let kind = args.kind.of(&args.data)?;
        let motion = motion_of(args, kind, manifest.points.intensity_full_scale);
        let (dataset, source): (Box<dyn Dataset>, Source) = match kind {
            Kind::Frame => {
                let folder = FrameFolder::open(&args.data, BTreeMap::new())?;
                (Box::new(Moved { dataset: Arc::new(folder), motion }), Source::Frame)
            }
            Kind::Nuscenes => {
                let dataset = Arc::new(open_nuscenes(args, split, &manifest.classes)?);
                (Box::new(Moved { dataset: Arc::clone(&dataset), motion }), Source::Nuscenes(dataset))
            }
            Kind::Waymo => {
                let dataset = Arc::new(open_waymo(args, split, &manifest.classes)?);
                (Box::new(Moved { dataset: Arc::clone(&dataset), motion }), Source::Waymo(dataset))
            }
            Kind::Kitti => (Box::new(KittiDataset::open(&args.data, split, BTreeMap::new())?), Source::Kitti),
            Kind::Folder | Kind::Cache => {
                bail!("`{}` looks like a `{kind}`, which cannot be evaluated", args.data.display())
            }
        };
        Ok(Self { dataset, source, motion })
    }
}

/// How frames are brought to the model's axes and to its scale of intensities; KITTI's are there.
fn motion_of(args: &DeployArgs, kind: Kind, full_scale: f32) -> Motion {
    let factor_from = |from: Convention| full_scale / from.intensity_full_scale;
    match kind {
        Kind::Frame | Kind::Nuscenes => Motion {
            turn_rad: args.turn_rad.unwrap_or(TO_X_AHEAD_RAD),
            raise_m: 0.0,
            intensity_factor: factor_from(Convention::NUSCENES),
        },
        Kind::Waymo => Motion {
            turn_rad: args.turn_rad.unwrap_or(0.0),
            raise_m: args.raise_m,
            intensity_factor: factor_from(Convention::WAYMO),
        },
        Kind::Kitti | Kind::Folder | Kind::Cache => Motion::default(),
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
