//! Datasets: labelled sweeps, read from disk one sample at a time.

pub mod augment;
pub mod check;
pub mod convert;
pub mod stats;

pub use augment::augment;
pub use pilotis_datasets::{
    BoxTest, Dataset, DatasetError, GroundTruth, Kind, Sample, frame_folder, kitti, nuscenes,
    nuscenes_frames, points_in_box, read_xyzi, waymo,
};

use crate::config::{DatasetConfig, DatasetKind};
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_datasets::cache::CachedDataset;
use pilotis_datasets::check::OpenOptions;
use pilotis_datasets::nuscenes::{CachePlace, NuscenesDataset, SweepStyle, Sweeps};
use pilotis_spec::PointLayout;
use std::path::Path;

/// Commands of `pilotis-trainer dataset`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum DatasetCommand {
    /// How two datasets differ, in figures and plots: simulated beside real ones
    Stats(stats::StatsArgs),
    /// Open every sample; name broken ones, count points, boxes and classes. Exit code 1 if anything is broken
    Check(check::CheckArgs),
    /// Write a dataset in another layout
    Convert(convert::ConvertArgs),
}

/// Formats of datasets by the names of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KindName {
    /// What the folder looks like
    Auto,
    /// KITTI's object layout: `training`, `ImageSets`
    Kitti,
    /// nuScenes' tables: a folder `v1.0-...`
    Nuscenes,
    /// Waymo's splits: folders with `*.tfrecord` or `vehicle_pose`
    Waymo,
    /// One frame: a `*.pcd.bin` and its `boxes.json`
    Frame,
    /// Clouds without labels: `*.bin`, `*.pcd`
    Folder,
    /// The internal cache
    Cache,
}

impl KindName {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Auto => None,
            Self::Kitti => Some(Kind::Kitti),
            Self::Nuscenes => Some(Kind::Nuscenes),
            Self::Waymo => Some(Kind::Waymo),
            Self::Frame => Some(Kind::Frame),
            Self::Folder => Some(Kind::Folder),
            Self::Cache => Some(Kind::Cache),
        }
    }
}

/// How `check` and `convert` open a dataset.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// Format of the dataset, if the folder does not show it
    #[arg(long, value_enum, default_value_t = KindName::Auto)]
    pub kind: KindName,
    /// Only the samples of this split
    #[arg(long)]
    pub split: Option<String>,
    /// Records of the headerless files of a plain folder: kitti, nuscenes, or such as f32:x,y,z,intensity
    #[arg(long)]
    pub layout: Option<PointLayout>,
    /// Folder of nuScenes' tables, where there are several
    #[arg(long)]
    pub version: Option<String>,
    /// nuScenes' sweeps in one cloud [default: the key sweep, every point of it]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub sweeps: Option<u32>,
    /// Whose way of putting them together is followed: devkit or mmdet3d
    #[arg(long, default_value_t, requires = "sweeps")]
    pub sweep_style: SweepStyle,
}

impl SourceArgs {
    fn options(&self) -> OpenOptions {
        let sweeps = |n: u32| Sweeps { n_sweeps: n as usize, style: self.sweep_style };
        OpenOptions {
            kind: self.kind.kind(),
            split: self.split.clone(),
            layout: self.layout.clone(),
            version: self.version.clone(),
            sweeps: self.sweeps.map(sweeps),
        }
    }
}

/// A bar of samples on a terminal.
fn bar(n_samples: usize) -> ProgressBar {
    let bar = ProgressBar::new(n_samples as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} samples, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Runs `pilotis-trainer dataset`.
pub fn run(command: &DatasetCommand) -> anyhow::Result<()> {
    match command {
        DatasetCommand::Stats(args) => stats::run(args),
        DatasetCommand::Check(args) => check::run(args),
        DatasetCommand::Convert(args) => convert::run(args),
    }
}

/// Opens a split of the configured dataset.
///
/// `root` replaces the configuration's folder where it is given.
///
/// **Errors**: a kind that is not supported, a split that is not there or is empty.
pub fn open(config: &DatasetConfig, root: Option<&Path>, split: &str) -> anyhow::Result<Box<dyn Dataset>> {
    let root = root.unwrap_or(&config.root);
    match config.kind {
        DatasetKind::Kitti => {
            single_sweeps_only(config, "KITTI's frames are single sweeps")?;
            no_version(config, "KITTI")?;
            let frames = kitti::KittiDataset::open(root, split, config.rename.clone())?;
            Ok(Box::new(frames.viewed(config.view)))
        }
        DatasetKind::Nuscenes => {
            let sweeps = Sweeps { n_sweeps: config.n_sweeps as usize, style: config.sweeps };
            let (version, rename) = (config.version.as_deref(), config.rename.clone());
            let dataset =
                NuscenesDataset::open(root, version, Some(split), sweeps, rename, CachePlace::Beside)?;
            Ok(Box::new(dataset))
        }
        DatasetKind::Waymo => {
            single_sweeps_only(config, "Waymo's frames are single sweeps")?;
            no_version(config, "Waymo")?;
            Ok(Box::new(waymo::WaymoDataset::open(root, split, config.rename.clone(), config.waymo)?))
        }
        DatasetKind::Cache => {
            single_sweeps_only(config, "a cache holds the sweeps that it was made with")?;
            no_version(config, "a cache")?;
            let dataset = CachedDataset::open(&root.join(split))?;
            Ok(Box::new(dataset.renamed(config.rename.clone())))
        }
    }
}

fn single_sweeps_only(config: &DatasetConfig, why: &str) -> Result<(), DatasetError> {
    if config.n_sweeps == 1 {
        return Ok(());
    }
    let reason = format!("{} sweeps: {why}; use n_sweeps = 1", config.n_sweeps);
    Err(DatasetError::Unsupported { setting: "n_sweeps", reason })
}

fn no_version(config: &DatasetConfig, who: &str) -> Result<(), DatasetError> {
    if config.version.is_none() {
        return Ok(());
    }
    let reason = format!("{who} has no folders of tables to choose from; leave it out");
    Err(DatasetError::Unsupported { setting: "version", reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DatasetConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_a_dataset_cannot_give_is_said() {
        let nowhere = config("kind = \"nuscenes\"\nroot = \"nowhere\"");
        let said = open(&nowhere, None, "train").err().unwrap().to_string();
        assert!(said.contains("nowhere") && said.contains("v1.0-"), "{said}");
        let sweeps = config("kind = \"kitti\"\nroot = \"nowhere\"\nn_sweeps = 10");
        assert!(open(&sweeps, None, "train").err().unwrap().to_string().contains("n_sweeps"));
        let sweeps = config("kind = \"waymo\"\nroot = \"nowhere\"\nn_sweeps = 2");
        assert!(open(&sweeps, None, "train").err().unwrap().to_string().contains("n_sweeps"));
        let waymo = config("kind = \"waymo\"\nroot = \"nowhere\"\n[waymo]\nsecond_returns = true");
        assert!(waymo.waymo.second_returns && !waymo.waymo.drop_no_label_zones);
        assert!(open(&waymo, None, "training").err().unwrap().to_string().contains("nowhere"));
        let version = config("kind = \"kitti\"\nroot = \"nowhere\"\nversion = \"v1.0-mini\"");
        assert!(open(&version, None, "train").err().unwrap().to_string().contains("dataset.version"));
        let style =
            toml::from_str::<DatasetConfig>("kind = \"nuscenes\"\nroot = \"\"\nsweeps = \"openpcdet\"");
        assert!(style.unwrap_err().to_string().contains("mmdet3d"));
    }

    #[test]
    fn a_split_opens_with_its_settings_below_the_root_that_is_given() {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("ImageSets/val.txt", b"7".as_slice()),
            ("training/velodyne/7.bin", &[0; 32]),
            ("training/label_velo/7.txt", b"Van 1 2 3 4 5 6 0 9"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let config = config("kind = \"kitti\"\nroot = \"nowhere\"\n[rename]\nvan = \"car\"");
        let sample = open(&config, Some(folder.path()), "val").unwrap().load(0).unwrap();
        assert_eq!((sample.points.len(), sample.objects[0].class_name.as_str()), (2, "car"));
        assert!(open(&config, Some(folder.path()), "train").is_err());
        assert!(open(&config, None, "val").err().unwrap().to_string().contains("nowhere"));
    }

    #[test]
    fn a_cache_has_a_folder_for_each_split_and_names_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let (from, root) = (folder.path().join("kitti"), folder.path().join("cache"));
        for (path, content) in [
            ("training/velodyne/7.bin", [0; 32].as_slice()),
            ("training/label_velo/7.txt", b"Van 1 2 3 4 5 6 0 9"),
        ] {
            let path = from.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let args = |to: &Path, sweeps| convert::ConvertArgs {
            from: from.clone(),
            to: to.to_owned(),
            format: convert::TargetName::Cache,
            source: SourceArgs {
                kind: KindName::Auto,
                split: None,
                layout: None,
                version: None,
                sweeps,
                sweep_style: SweepStyle::Devkit,
            },
        };
        std::fs::create_dir(&root).unwrap();
        convert::run(&args(&root.join("val"), None)).unwrap();
        let config = config("kind = \"cache\"\nroot = \"nowhere\"\n[rename]\nvan = \"car\"");
        let sample = open(&config, Some(&root), &config.val_split).unwrap().load(0).unwrap();
        assert_eq!((sample.objects[0].class_name.as_str(), sample.points.len()), ("car", 2));
        let error = open(&config, Some(&root), &config.train_split).err().unwrap().to_string();
        assert!(error.contains("train"), "{error}");
        // KITTI's frames are single sweeps, and no layout but a cache keeps the lags of several.
        let refused = convert::run(&args(&root.join("more"), Some(10))).unwrap_err().to_string();
        assert!(refused.contains("sweeps"), "{refused}");
        let several = convert::ConvertArgs { format: convert::TargetName::Kitti, ..args(&root, Some(10)) };
        assert!(convert::run(&several).unwrap_err().to_string().contains("time lags"));
    }
}
