//! KITTI: a file of result lines a frame, and the average precision of them.

use super::Figures;
use crate::evaluate::deployed::write_json;
use anyhow::{Context, ensure};
use pilotis_datasets::kitti::{image_size, read_calibration, write_results};
use pilotis_evaluate::kitti::{Rules, Sources, evaluate, load};
use pilotis_spec::Detection;
use std::path::{Path, PathBuf};

/// The folder of result lines, below that of the run.
pub const KITTI_RESULTS_FOLDER: &str = "kitti_results";

/// Writes the boxes of KITTI's frames.
///
/// Boxes of which camera 2 sees nothing have no line: the benchmark labels nothing there.
pub struct KittiResults {
    training: PathBuf,
    split: PathBuf,
    folder: PathBuf,
    classes: Vec<String>,
    n_lines: usize,
    n_outside: usize,
}

impl KittiResults {
    /// Results of the split of a dataset, below `out`; `classes` are the model's.
    ///
    /// **Errors**: a dataset without labels in the camera's frame; results of an earlier run, which official tools
    /// would read along with those of this one.
    pub fn start(root: &Path, split: &str, classes: &[String], out: &Path) -> anyhow::Result<Self> {
        let training = root.join("training");
        let labels = training.join("label_2");
        ensure!(labels.is_dir(), "`{}` is not there: KITTI's metric needs it", labels.display());
        let folder = out.join(KITTI_RESULTS_FOLDER);
        let is_used = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
        ensure!(!is_used, "`{}` has the results of another run: name another folder", folder.display());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        let split = root.join("ImageSets").join(format!("{split}.txt"));
        Ok(Self { training, split, folder, classes: classes.to_vec(), n_lines: 0, n_outside: 0 })
    }

    /// Writes the file of a frame.
    ///
    /// **Errors**: calibration or image that cannot be read, a file that cannot be written.
    pub fn add(&mut self, name: &str, detections: &[Detection]) -> anyhow::Result<()> {
        let calibration = read_calibration(&self.training.join("calib").join(format!("{name}.txt")))?;
        let image = self.training.join("image_2").join(format!("{name}.png"));
        let image_size_px =
            if image.exists() { image_size(&image)? } else { calibration.usual_image_size_px() };
        let path = self.folder.join(format!("{name}.txt"));
        let written = write_results(&path, detections, &self.classes, &calibration, image_size_px)?;
        self.n_lines += written.lines.len();
        self.n_outside += written.n_outside;
        Ok(())
    }

    /// Evaluates the files, and leaves the figures beside them.
    ///
    /// **Errors**: as of `evaluate kitti`.
    pub fn finish(self, out: &Path) -> anyhow::Result<(Figures, String)> {
        let labels = self.training.join("label_2");
        let sources = Sources {
            labels: &labels,
            results: &self.folder,
            split: Some(&self.split),
            missing_as_empty: false,
        };
        let loaded = load(&sources)?;
        let report = evaluate(&loaded.frames, Rules::Ports)?;
        write_json(&out.join("kitti_summary.json"), &report.summary_of(&loaded))?;
        write_json(&out.join("kitti_details.json"), &report.details())?;
        // Classes that the model does not have, or the labels do not, have no figures.
        let figures = report.figures();
        let known = figures.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
        let said = format!(
            "{report}{} lines in `{}`; {} boxes are outside of the image and have none",
            self.n_lines,
            self.folder.display(),
            self.n_outside
        );
        Ok((known.collect(), said))
    }
}
