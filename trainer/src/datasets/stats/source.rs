//! Sources: what folders hold, and one frame of each as the same thing.

use super::rings::{self, Sensor};
use crate::datasets::kitti::{
    Calibration, IMAGE_SIZE_PX, KittiDataset, image_size, read_calibration, read_labels, read_lidar_labels,
};
use crate::datasets::nuscenes_frames::{NuscenesFrames, has_single_frame, has_tables};
use crate::datasets::{Dataset, DatasetError, GroundTruth, read_xyzi};
use pilotis_spec::Point;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Points nearer than this along x and y alike are of the own car, or stand for firings without an answer.
const OWN_CAR_M: f32 = 1.0;

/// The layouts that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// KITTI's object layout: `ImageSets`, `training`
    Kitti,
    /// nuScenes' tables: a folder `v1.0-...`
    Nuscenes,
    /// One frame: a `*.pcd.bin` and its `boxes.json`
    Frame,
}

/// How much of a turn is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The full turn.
    Whole,
    /// What camera 2 of a KITTI car sees.
    Camera,
}

/// One frame, whatever it was read from.
#[derive(Clone, Debug, Default)]
pub struct Cloud {
    /// Finite returns that are not of the own car.
    pub points: Vec<Point>,
    /// The ring of each point, 0 the highest, where it is known.
    pub rings: Option<Vec<u8>>,
    /// Firings of each ring, with or without an answer, where that is known.
    pub fired: Option<Vec<u64>>,
    /// Records that were left out because a value is not finite.
    pub n_not_finite: u64,
    /// Records that were left out for being of the own car.
    pub n_own_car: u64,
    /// Labelled objects.
    pub objects: Vec<GroundTruth>,
}

/// A folder with frames.
pub struct Source {
    /// Last part of the folder's path.
    pub name: String,
    /// Its layout.
    pub kind: Kind,
    /// Full scale of the intensity.
    pub full_scale: f32,
    /// The scanner.
    pub sensor: Sensor,
    frames: Frames,
}

enum Frames {
    Kitti { training: PathBuf, names: Vec<String> },
    Nuscenes(NuscenesFrames),
}

impl Source {
    /// Opens a folder; `kind` and `sensor` replace what the folder looks like.
    ///
    /// **Errors**: no such folder, a folder of no known layout or of several, and those of the layout.
    pub fn open(
        folder: &Path,
        kind: Option<Kind>,
        split: Option<&str>,
        sensor: Option<Sensor>,
    ) -> Result<Self, DatasetError> {
        let kind = match kind {
            Some(kind) => kind,
            None => detect(folder)?,
        };
        let frames = match kind {
            Kind::Kitti => open_kitti(folder, split)?,
            Kind::Nuscenes => Frames::Nuscenes(NuscenesFrames::open(folder, split)?),
            Kind::Frame => Frames::Nuscenes(NuscenesFrames::open_single(folder)?),
        };
        let (full_scale, usual) = match kind {
            Kind::Kitti => (1.0, Sensor::Hdl64e),
            Kind::Nuscenes | Kind::Frame => (255.0, Sensor::Hdl32e),
        };
        let name = folder.file_name().map_or_else(|| "dataset".to_owned(), |n| n.to_string_lossy().into());
        Ok(Self { name, kind, full_scale, sensor: sensor.unwrap_or(usual), frames })
    }

    /// Frames of the split.
    pub fn n_frames(&self) -> usize {
        match &self.frames {
            Frames::Kitti { names, .. } => names.len(),
            Frames::Nuscenes(frames) => frames.n_frames(),
        }
    }

    /// Whether the frames are full turns with labels all around.
    pub fn is_whole(&self) -> bool {
        match &self.frames {
            Frames::Kitti { training, names } => names.iter().all(|name| {
                file(training, "velodyne", name, "bin").exists()
                    && file(training, "label_velo", name, "txt").exists()
            }),
            Frames::Nuscenes(_) => true,
        }
    }

    /// Leaves out the frames without a full turn, and yields how many.
    ///
    /// **Errors**: none is left.
    pub fn keep_whole(&mut self) -> Result<usize, DatasetError> {
        let Frames::Kitti { training, names } = &mut self.frames else { return Ok(0) };
        let before = names.len();
        names.retain(|name| file(training, "velodyne", name, "bin").exists());
        if names.is_empty() {
            let reason = "holds no full turn of these frames; use `--view camera`".to_owned();
            return Err(DatasetError::File { path: training.join("velodyne"), reason });
        }
        Ok(before - names.len())
    }

    /// The camera of the first frame, where there is one.
    ///
    /// **Errors**: those of its calibration file.
    pub fn camera(&self) -> Result<Option<Calibration>, DatasetError> {
        match &self.frames {
            Frames::Kitti { training, names } => {
                let first = names.first().map(String::as_str).unwrap_or_default();
                read_calibration(&file(training, "calib", first, "txt")).map(Some)
            }
            Frames::Nuscenes(_) => Ok(None),
        }
    }

    /// Reads a frame; `camera` crops frames that have no camera of their own.
    ///
    /// **Errors**: the file, and what is wrong with it.
    pub fn load(&self, idx: usize, view: View, camera: Option<&Calibration>) -> Result<Cloud, DatasetError> {
        match &self.frames {
            Frames::Kitti { training, names } => {
                let n_samples = names.len();
                let name = names.get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
                match view {
                    View::Whole => self.kitti_whole(training, name),
                    View::Camera => self.kitti_camera(training, name),
                }
            }
            Frames::Nuscenes(frames) => {
                let mut cloud = self.nuscenes(frames, idx)?;
                if let (View::Camera, Some(camera)) = (view, camera) {
                    crop(&mut cloud, camera);
                }
                Ok(cloud)
            }
        }
    }

    fn kitti_whole(&self, training: &Path, name: &str) -> Result<Cloud, DatasetError> {
        let (points, n_not_finite) = read_points(&file(training, "velodyne", name, "bin"))?;
        let rings = rings::infer(&points, self.sensor);
        let columns = rings.as_ref().and_then(|rings| rings::columns(&points, rings));
        let fired = columns.map(|n| vec![u64::from(n); self.sensor.n_rings()]);
        let labels = file(training, "label_velo", name, "txt");
        let objects = if labels.exists() {
            let labels = read_lidar_labels(&labels)?.into_iter();
            labels.map(|label| object(&label.class_name, label.bbox, label.n_points)).collect()
        } else {
            camera_objects(training, name, &read_calibration(&file(training, "calib", name, "txt"))?)?
        };
        let mut cloud = Cloud { points, rings, fired, n_not_finite, n_own_car: 0, objects };
        leave_out_own_car(&mut cloud);
        Ok(cloud)
    }

    fn kitti_camera(&self, training: &Path, name: &str) -> Result<Cloud, DatasetError> {
        let calibration = read_calibration(&file(training, "calib", name, "txt"))?;
        let objects = camera_objects(training, name, &calibration)?;
        let reduced = file(training, "velodyne_reduced", name, "bin");
        let (points, n_not_finite) = if reduced.exists() {
            read_points(&reduced)?
        } else {
            let image = file(training, "image_2", name, "png");
            let size = if image.exists() { image_size(&image)? } else { IMAGE_SIZE_PX };
            let (mut points, n_not_finite) = read_points(&file(training, "velodyne", name, "bin"))?;
            points.retain(|p| calibration.sees(p, size));
            (points, n_not_finite)
        };
        let rings = rings::infer(&points, self.sensor);
        let mut cloud = Cloud { points, rings, fired: None, n_not_finite, n_own_car: 0, objects };
        leave_out_own_car(&mut cloud);
        Ok(cloud)
    }

    fn nuscenes(&self, frames: &NuscenesFrames, idx: usize) -> Result<Cloud, DatasetError> {
        let sweep = frames.load(idx)?;
        let n_rings = self.sensor.n_rings();
        // The file counts rings from below, we from above. A ring that the scanner lacks makes all doubtful.
        let from_above = |ring: &u8| Some(n_rings.checked_sub(usize::from(*ring) + 1)? as u8);
        let rings: Option<Vec<u8>> = sweep.rings.iter().map(from_above).collect();
        let fired = rings.as_ref().and_then(|rings| {
            let records = count_rings(rings, n_rings);
            // A file that holds every firing has as many of every ring.
            let holds_all = records.windows(2).all(|pair| pair.first() == pair.last());
            let columns = rings::columns(&sweep.points, rings).map(|n| vec![u64::from(n); n_rings]);
            if holds_all { Some(records) } else { columns }
        });
        let mut cloud = Cloud {
            points: sweep.points,
            rings,
            fired,
            n_not_finite: sweep.n_not_finite as u64,
            n_own_car: 0,
            objects: sweep.objects,
        };
        leave_out_own_car(&mut cloud);
        Ok(cloud)
    }
}

/// Points of each ring.
pub(super) fn count_rings(rings: &[u8], n_rings: usize) -> Vec<u64> {
    let mut counts = vec![0; n_rings];
    for ring in rings {
        if let Some(n) = counts.get_mut(usize::from(*ring)) {
            *n += 1;
        }
    }
    counts
}

fn file(training: &Path, folder: &str, name: &str, extension: &str) -> PathBuf {
    training.join(folder).join(format!("{name}.{extension}"))
}

/// The layout of a folder.
fn detect(folder: &Path) -> Result<Kind, DatasetError> {
    let wrong = |reason: String| DatasetError::File { path: folder.to_owned(), reason };
    if !folder.is_dir() {
        return Err(wrong("is no folder".to_owned()));
    }
    let mut kinds = Vec::new();
    if folder.join("ImageSets").is_dir() && folder.join("training").is_dir() {
        kinds.push(Kind::Kitti);
    }
    if has_tables(folder) {
        kinds.push(Kind::Nuscenes);
    }
    if has_single_frame(folder) {
        kinds.push(Kind::Frame);
    }
    match kinds.as_slice() {
        [kind] => Ok(*kind),
        [] => Err(wrong(
            "is no dataset: neither `ImageSets` and `training` (KITTI) nor a folder `v1.0-...` of tables \
             (nuScenes) nor a `*.pcd.bin` with a `boxes.json` is there; `--kind` skips this test"
                .to_owned(),
        )),
        _ => Err(wrong(format!("holds several layouts, {kinds:?}; name one with `--kind`"))),
    }
}

/// Opens a split, `all` where none is named.
fn open_kitti(folder: &Path, split: Option<&str>) -> Result<Frames, DatasetError> {
    let dataset =
        KittiDataset::open(folder, split.unwrap_or("all"), BTreeMap::new()).map_err(|e| match e {
            DatasetError::Read { path, .. } => {
                let reason =
                    "is not there; name a split that is with `--split` or `--against-split`".to_owned();
                DatasetError::File { path, reason }
            }
            other => other,
        })?;
    let names = (0..dataset.n_samples()).map(|idx| dataset.name(idx).to_owned()).collect();
    Ok(Frames::Kitti { training: folder.join("training"), names })
}

/// Finite points, and how many were not.
fn read_points(path: &Path) -> Result<(Vec<Point>, u64), DatasetError> {
    let points = read_xyzi(path)?;
    let n_bytes =
        std::fs::metadata(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?.len();
    let n_not_finite = (n_bytes / 16).saturating_sub(points.len() as u64);
    Ok((points, n_not_finite))
}

fn object(class_name: &str, bbox: pilotis_spec::Box3d, n_points: u32) -> GroundTruth {
    GroundTruth { class_name: class_name.to_lowercase(), bbox, n_points, ..GroundTruth::default() }
}

/// Objects that camera 2 sees.
fn camera_objects(
    training: &Path,
    name: &str,
    calibration: &Calibration,
) -> Result<Vec<GroundTruth>, DatasetError> {
    let labels = read_labels(&file(training, "label_2", name, "txt"))?;
    let objects = labels.iter().filter(|label| !label.is_dont_care());
    Ok(objects.map(|label| object(&label.class_name, label.to_lidar(calibration), 0)).collect())
}

fn leave_out_own_car(cloud: &mut Cloud) {
    let far = |p: &Point| p.x.abs() >= OWN_CAR_M || p.y.abs() >= OWN_CAR_M;
    let before = cloud.points.len();
    keep(cloud, far);
    cloud.n_own_car = (before - cloud.points.len()) as u64;
}

/// Keeps the points that pass, and their rings.
fn keep(cloud: &mut Cloud, passes: impl Fn(&Point) -> bool) {
    if let Some(rings) = &mut cloud.rings {
        let mut points = cloud.points.iter();
        rings.retain(|_| points.next().is_some_and(&passes));
    }
    cloud.points.retain(|p| passes(p));
}

/// Crops a nuScenes frame to what a camera of a KITTI car would see: points, and boxes by their centres.
fn crop(cloud: &mut Cloud, camera: &Calibration) {
    // nuScenes' scanner has y ahead; the camera's calibration is for x ahead.
    let turned = |p: &Point| Point { x: p.y, y: -p.x, ..*p };
    keep(cloud, |p| camera.sees(&turned(p), IMAGE_SIZE_PX));
    cloud.fired = None;
    cloud.objects.retain(|o| {
        let [x, y, z] = o.bbox.center;
        camera.sees(&turned(&Point { x, y, z, ..Point::default() }), IMAGE_SIZE_PX)
    });
}
