//! Datasets: labelled sweeps, read from disk one sample at a time.

pub mod augment;
pub mod check;
pub mod convert;
pub mod stats;

pub use augment::augment;
pub use pilotis_datasets::{
    BoxTest, Dataset, DatasetError, GroundTruth, Kind, Sample, frame_folder, kitti, nuscenes,
    nuscenes_frames, points_in_box, read_xyzi,
};

use crate::config::{DatasetConfig, DatasetKind};
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_datasets::nuscenes::{CachePlace, NuscenesDataset, Sweeps};
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
            Self::Frame => Some(Kind::Frame),
            Self::Folder => Some(Kind::Folder),
            Self::Cache => Some(Kind::Cache),
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
            if config.n_sweeps != 1 {
                let reason =
                    format!("{} sweeps: KITTI's frames are single sweeps; use n_sweeps = 1", config.n_sweeps);
                return Err(DatasetError::Unsupported { setting: "n_sweeps", reason }.into());
            }
            if config.version.is_some() {
                let reason = "KITTI has no folders of tables to choose from; leave it out".to_owned();
                return Err(DatasetError::Unsupported { setting: "version", reason }.into());
            }
            Ok(Box::new(kitti::KittiDataset::open(root, split, config.rename.clone())?))
        }
        DatasetKind::Nuscenes => {
            let sweeps = Sweeps { n_sweeps: config.n_sweeps as usize, style: config.sweeps };
            let (version, rename) = (config.version.as_deref(), config.rename.clone());
            let dataset =
                NuscenesDataset::open(root, version, Some(split), sweeps, rename, CachePlace::Beside)?;
            Ok(Box::new(dataset))
        }
    }
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
}
