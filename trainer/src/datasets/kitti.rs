//! KITTI's object layout: sweeps, labels and calibration of `training/`, splits of `ImageSets/`.
//!
//! A frame whose `training/label_velo/NAME.txt` exists, as the simulator writes it, is read whole:
//! the full sweep of `velodyne`, and every object around the sensor. Any other frame is what
//! camera 2 sees: labels of `label_2`, brought into the LiDAR frame by `calib`, and the points of
//! `velodyne_reduced`, or those of `velodyne` that fall into the image.
//!
//! **Source**: KITTI object development kit, `readme.txt`; cropping as OpenPCDet's `get_fov_flag`.

use super::{Dataset, DatasetError, GroundTruth, Sample, points_in_box, read_bytes, read_text, read_xyzi};
use glam::{DMat3, DMat4, DVec3, DVec4};
use pilotis_spec::codec::normalize_yaw;
use pilotis_spec::{Box3d, Point};
use std::collections::BTreeMap;
use std::f64::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

/// Width and height of a frame whose image is not there.
pub const IMAGE_SIZE_PX: [f64; 2] = [1242.0, 375.0];

/// Type of a label line that marks a region in which nothing was labelled.
pub const DONT_CARE: &str = "DontCare";

/// KITTI's hardest level counts objects up to these: occlusion, truncation, image height (px).
const HARDEST: (i32, f64, f64) = (2, 0.5, 25.0);

/// One line of `label_2`, or of a file of results.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelLine {
    /// Type as written: `Car`, `DontCare`, ...
    pub class_name: String,
    /// Share that lies outside of the image; -1 if unknown.
    pub truncation: f64,
    /// 0 visible, 1 partly, 2 largely occluded, 3 unknown; -1 in `DontCare` lines.
    pub occlusion: i32,
    /// Heading relative to the line of sight, in radians.
    pub alpha_rad: f64,
    /// Left, top, right, bottom in pixels.
    pub image_box: [f64; 4],
    /// Height, width, length in metres.
    pub size_hwl: [f64; 3],
    /// Centre of the bottom face in the rectified camera frame (x right, y down, z ahead), metres.
    pub location: [f64; 3],
    /// Heading about the camera's y axis, in radians.
    pub rotation_y: f64,
    /// Score, in files of results.
    pub score: Option<f64>,
}

impl LabelLine {
    /// Reads a line of 15 fields, or 16 with a score.
    ///
    /// **Errors**: what is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if fields.len() != 15 && fields.len() != 16 {
            return Err(format!("{} fields; a label has 15, a result 16", fields.len()));
        }
        let n: Vec<f64> =
            fields[1..].iter().enumerate().map(|(k, f)| number(f, k + 2)).collect::<Result<_, _>>()?;
        if n[1].fract() != 0.0 || !(-1.0..=3.0).contains(&n[1]) {
            return Err(format!("occlusion {} is not one of -1, 0, 1, 2, 3", n[1]));
        }
        Ok(Self {
            class_name: fields[0].to_owned(),
            truncation: n[0],
            occlusion: n[1] as i32,
            alpha_rad: n[2],
            image_box: [n[3], n[4], n[5], n[6]],
            size_hwl: [n[7], n[8], n[9]],
            location: [n[10], n[11], n[12]],
            rotation_y: n[13],
            score: n.get(14).copied(),
        })
    }

    /// Whether the line marks a region in which nothing was labelled. It has no box in 3D.
    pub fn is_dont_care(&self) -> bool {
        self.class_name.eq_ignore_ascii_case(DONT_CARE)
    }

    /// The box in the LiDAR frame: `yaw = -rotation_y - pi/2`, the bottom raised by half the height.
    pub fn to_lidar(&self, calibration: &Calibration) -> Box3d {
        let [h, w, l] = self.size_hwl;
        let bottom = calibration.camera_to_lidar(self.location);
        Box3d {
            center: [bottom[0] as f32, bottom[1] as f32, (bottom[2] + h / 2.0) as f32],
            size: [l as f32, w as f32, h as f32],
            yaw: normalize_yaw((-self.rotation_y - FRAC_PI_2) as f32),
        }
    }

    /// Whether KITTI's hardest level leaves the object out.
    pub fn is_difficult(&self) -> bool {
        let (occlusion, truncation, height_px) = HARDEST;
        let height = self.image_box[3] - self.image_box[1];
        self.occlusion > occlusion || self.truncation > truncation || height < height_px
    }
}

fn number(field: &str, position: usize) -> Result<f64, String> {
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("field {position}, `{field}`, is not finite")),
        Err(_) => Err(format!("field {position}, `{field}`, is not a number")),
    }
}

/// One line of `label_velo`: `type x y z l w h yaw n_points`, in the LiDAR frame.
///
/// **Units and frame**: metres, geometric centre, radians counter-clockwise from +x.
#[derive(Clone, Debug, PartialEq)]
pub struct LidarLabelLine {
    /// Type as written.
    pub class_name: String,
    /// Where the object is.
    pub bbox: Box3d,
    /// Points that hit it.
    pub n_points: u32,
}

impl LidarLabelLine {
    /// Reads a line of nine fields.
    ///
    /// **Errors**: what is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [class_name, numbers @ .., n_points] = fields.as_slice() else {
            return Err("an empty line".to_owned());
        };
        if fields.len() != 9 {
            return Err(format!("{} fields; `type x y z l w h yaw n_points` are 9", fields.len()));
        }
        let n: Vec<f64> =
            numbers.iter().enumerate().map(|(k, f)| number(f, k + 2)).collect::<Result<_, _>>()?;
        let bbox = Box3d {
            center: [n[0] as f32, n[1] as f32, n[2] as f32],
            size: [n[3] as f32, n[4] as f32, n[5] as f32],
            yaw: normalize_yaw(n[6] as f32),
        };
        let n_points = n_points.parse().map_err(|_| format!("`{n_points}` is not a number of points"))?;
        Ok(Self { class_name: (*class_name).to_owned(), bbox, n_points })
    }
}

/// Calibration of one frame: LiDAR frame to rectified camera frame to the image of camera 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    p2: [[f64; 4]; 3],
    to_camera: DMat4,
    to_lidar: DMat4,
}

impl Calibration {
    /// Reads the text of a calibration file; `P2`, `R0_rect` and `Tr_velo_to_cam` are needed.
    ///
    /// **Errors**: the line counted from 1 (0 where one is missing), and what is wrong.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut rows: BTreeMap<&str, (usize, Vec<f64>)> = BTreeMap::new();
        for (idx, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let Some((name, values)) = line.split_once(':') else {
                return Err((idx + 1, "no `NAME: numbers`".to_owned()));
            };
            let values: Result<Vec<f64>, String> =
                values.split_ascii_whitespace().enumerate().map(|(k, f)| number(f, k + 2)).collect();
            rows.insert(name.trim(), (idx + 1, values.map_err(|reason| (idx + 1, reason))?));
        }
        let take = |name: &str, n_values: usize| match rows.get(name) {
            None => Err((0, format!("no `{name}`"))),
            Some((_, values)) if values.len() == n_values => Ok(values.as_slice()),
            Some((line, values)) => {
                Err((*line, format!("`{name}` has {} numbers, not {n_values}", values.len())))
            }
        };
        let p2 = take("P2", 12)?;
        let rectify = DMat3::from_cols_slice(take("R0_rect", 9)?).transpose();
        let velo = take("Tr_velo_to_cam", 12)?;
        let row = |m: &[f64], k: usize| DVec4::new(m[4 * k], m[4 * k + 1], m[4 * k + 2], m[4 * k + 3]);
        let velo_to_cam = DMat4::from_cols(row(velo, 0), row(velo, 1), row(velo, 2), DVec4::W).transpose();
        let to_camera = DMat4::from_mat3(rectify) * velo_to_cam;
        let to_lidar = to_camera.inverse();
        if !to_lidar.is_finite() {
            return Err((0, "`R0_rect` and `Tr_velo_to_cam` cannot be inverted".to_owned()));
        }
        Ok(Self { p2: [row(p2, 0), row(p2, 1), row(p2, 2)].map(|r| r.to_array()), to_camera, to_lidar })
    }

    /// A point of the LiDAR frame in the rectified camera frame (x right, y down, z ahead), metres.
    pub fn lidar_to_camera(&self, point: [f64; 3]) -> [f64; 3] {
        self.to_camera.transform_point3(DVec3::from_array(point)).to_array()
    }

    /// A point of the rectified camera frame in the LiDAR frame, metres.
    pub fn camera_to_lidar(&self, point: [f64; 3]) -> [f64; 3] {
        self.to_lidar.transform_point3(DVec3::from_array(point)).to_array()
    }

    /// The pixel of camera 2's image that a point of the rectified camera frame falls on.
    ///
    /// A point in or behind the camera's plane has none.
    pub fn project(&self, point: [f64; 3]) -> Option<[f64; 2]> {
        let [x, y, z] = point;
        let [u, v, w] = self.p2.map(|r| r[0] * x + r[1] * y + r[2] * z + r[3]);
        (z >= 0.0 && w > 0.0).then(|| [u / w, v / w])
    }

    /// Whether camera 2 sees a point of the LiDAR frame, in an image of this many pixels.
    pub fn sees(&self, point: &Point, image_size_px: [f64; 2]) -> bool {
        let camera = self.lidar_to_camera([point.x, point.y, point.z].map(f64::from));
        self.project(camera).is_some_and(|pixel| {
            (0.0..image_size_px[0]).contains(&pixel[0]) && (0.0..image_size_px[1]).contains(&pixel[1])
        })
    }
}

/// Reads every line of a text file that is not blank with `parse`.
fn read_lines<T>(path: &Path, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, DatasetError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(idx, line)| {
            parse(line).map_err(|reason| DatasetError::Line { path: path.to_owned(), line: idx + 1, reason })
        })
        .collect()
}

/// Reads a file of `label_2` or of results, `DontCare` lines included.
///
/// **Errors**: the file, the line, and what is wrong with it.
pub fn read_labels(path: &Path) -> Result<Vec<LabelLine>, DatasetError> {
    read_lines(path, |line| {
        let label = LabelLine::parse(line)?;
        if !label.is_dont_care() && label.size_hwl.iter().any(|v| *v <= 0.0) {
            return Err(format!("a box of {:?} metres", label.size_hwl));
        }
        Ok(label)
    })
}

/// Reads a file of `label_velo`.
///
/// **Errors**: the file, the line, and what is wrong with it.
pub fn read_lidar_labels(path: &Path) -> Result<Vec<LidarLabelLine>, DatasetError> {
    read_lines(path, |line| {
        let label = LidarLabelLine::parse(line)?;
        if label.bbox.size.iter().any(|v| *v <= 0.0) {
            return Err(format!("a box of {:?} metres", label.bbox.size));
        }
        Ok(label)
    })
}

/// Reads a file of `calib`.
///
/// **Errors**: the file, the line, and what is wrong with it.
pub fn read_calibration(path: &Path) -> Result<Calibration, DatasetError> {
    Calibration::parse(&read_text(path)?).map_err(|(line, reason)| match line {
        0 => DatasetError::File { path: path.to_owned(), reason },
        line => DatasetError::Line { path: path.to_owned(), line, reason },
    })
}

/// Width and height that a PNG file states.
fn image_size(path: &Path) -> Result<[f64; 2], DatasetError> {
    let bytes = read_bytes(path)?;
    let header = bytes.first_chunk::<24>().filter(|h| h.starts_with(b"\x89PNG\r\n\x1a\n"));
    let Some(header) = header else {
        return Err(DatasetError::File { path: path.to_owned(), reason: "is no PNG image".to_owned() });
    };
    let size = |k: usize| u32::from_be_bytes([header[k], header[k + 1], header[k + 2], header[k + 3]]);
    Ok([f64::from(size(16)), f64::from(size(20))])
}

/// A split of a folder in KITTI's object layout.
#[derive(Clone, Debug)]
pub struct KittiDataset {
    training: PathBuf,
    names: Vec<String>,
    rename: BTreeMap<String, String>,
}

impl KittiDataset {
    /// Opens `root/ImageSets/SPLIT.txt`; class names of `rename` are in lower case.
    ///
    /// **Errors**: a split that is not there, is empty, or names no frame in a line.
    pub fn open(root: &Path, split: &str, rename: BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let sets = root.join("ImageSets");
        if !is_name(split) {
            return Err(DatasetError::File {
                path: sets,
                reason: format!("`{split}` is no name of a split"),
            });
        }
        let path = sets.join(format!("{split}.txt"));
        let names = read_lines(&path, |line| {
            let name = line.trim();
            if is_name(name) { Ok(name.to_owned()) } else { Err(format!("`{name}` is no name of a frame")) }
        })?;
        if names.is_empty() {
            return Err(DatasetError::File { path, reason: "names no frame".to_owned() });
        }
        Ok(Self { training: root.join("training"), names, rename })
    }

    fn path(&self, folder: &str, name: &str, extension: &str) -> PathBuf {
        self.training.join(folder).join(format!("{name}.{extension}"))
    }

    fn class_name(&self, written: &str) -> String {
        let lower = written.to_lowercase();
        self.rename.get(&lower).cloned().unwrap_or(lower)
    }

    /// The full sweep, and every object around the sensor.
    fn load_lidar(&self, name: &str, labels: &Path) -> Result<Sample, DatasetError> {
        let points = read_xyzi(&self.path("velodyne", name, "bin"))?;
        let objects = read_lidar_labels(labels)?.into_iter().map(|label| GroundTruth {
            class_name: self.class_name(&label.class_name),
            bbox: label.bbox,
            n_points: label.n_points,
            ..GroundTruth::default()
        });
        Ok(Sample { name: name.to_owned(), points, objects: objects.collect() })
    }

    /// What camera 2 sees.
    fn load_camera(&self, name: &str) -> Result<Sample, DatasetError> {
        let calibration = read_calibration(&self.path("calib", name, "txt"))?;
        let labels = read_labels(&self.path("label_2", name, "txt"))?;
        let reduced = self.path("velodyne_reduced", name, "bin");
        let points = if reduced.exists() {
            read_xyzi(&reduced)?
        } else {
            let image = self.path("image_2", name, "png");
            let size = if image.exists() { image_size(&image)? } else { IMAGE_SIZE_PX };
            let mut points = read_xyzi(&self.path("velodyne", name, "bin"))?;
            points.retain(|p| calibration.sees(p, size));
            points
        };
        let objects = labels.iter().filter(|label| !label.is_dont_care()).map(|label| {
            let bbox = label.to_lidar(&calibration);
            GroundTruth {
                class_name: self.class_name(&label.class_name),
                bbox,
                velocity: [0.0; 2],
                n_points: points_in_box(&points, &bbox),
                occlusion: u8::try_from(label.occlusion).unwrap_or(3),
                difficult: label.is_difficult(),
            }
        });
        let objects = objects.collect();
        Ok(Sample { name: name.to_owned(), points, objects })
    }
}

/// Letters, digits, `_` and `-`: a name that cannot leave its folder.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl Dataset for KittiDataset {
    fn n_samples(&self) -> usize {
        self.names.len()
    }

    fn name(&self, idx: usize) -> &str {
        self.names.get(idx).map_or("", String::as_str)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        let n_samples = self.names.len();
        let name = self.names.get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        let lidar_labels = self.path("label_velo", name, "txt");
        let sample =
            if lidar_labels.exists() { self.load_lidar(name, &lidar_labels) } else { self.load_camera(name) };
        Ok(sample?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact answers are meant")]

    use super::*;
    use std::fs;

    /// Camera axes (right, down, ahead) straight over the LiDAR's, the image centre at 600, 180.
    const CALIBRATION: &str = "P2: 700 0 600 0 0 700 180 0 0 0 1 0\n\
        R0_rect: 1 0 0 0 1 0 0 0 1\n\
        Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n";
    const CAR: &str = "Car 0.10 1 -1.5 500 100 700 200 1.5 1.6 4.0 2.0 1.7 20.0 0.3";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write("ImageSets/train.txt", "\n000007\n");
            folder.write("training/calib/000007.txt", CALIBRATION);
            folder.write("training/label_2/000007.txt", CAR);
            folder.write_points(
                "training/velodyne/000007.bin",
                &[[20.3, -2.0, -1.0, 0.5], [-20.0, 0.0, 0.0, 0.1]],
            );
            folder
        }

        fn write(&self, path: &str, content: impl AsRef<[u8]>) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn write_points(&self, path: &str, points: &[[f32; 4]]) {
            let bytes: Vec<u8> = points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
            self.write(path, bytes);
        }

        fn load(&self) -> anyhow::Result<Sample> {
            let rename = BTreeMap::from([("van".to_owned(), "car".to_owned())]);
            KittiDataset::open(self.0.path(), "train", rename)?.load(0)
        }

        fn fails_with(&self, path: &str, content: impl AsRef<[u8]>, said: &str) {
            self.write(path, content);
            let error = self.load().expect_err(said);
            assert!(error.downcast_ref::<DatasetError>().is_some(), "{error}");
            let message = error.to_string();
            let file = path.rsplit('/').next().unwrap();
            assert!(message.contains(said) && message.contains(file), "`{said}` is not in `{message}`");
        }
    }

    #[test]
    fn a_camera_label_becomes_a_box_of_the_lidar_frame() {
        let sample = Folder::new().load().unwrap();
        assert_eq!(sample.name, "000007");
        // The point behind the car is not in the image.
        assert_eq!(sample.points.len(), 1);
        let [object] = sample.objects.as_slice() else { panic!("{:?}", sample.objects) };
        assert_eq!((object.class_name.as_str(), object.occlusion, object.difficult), ("car", 1, false));
        // Bottom (2, 1.7, 20) in camera axes is ahead 20 + 0.3, left -2, up -1.7 - 0.1.
        for (got, expected) in object.bbox.center.iter().zip([20.3, -2.0, -1.8 + 0.75]) {
            assert!((got - expected).abs() < 1e-6, "{:?}", object.bbox);
        }
        assert_eq!(object.bbox.size, [4.0, 1.6, 1.5]);
        assert!((object.bbox.yaw - (-0.3 - std::f32::consts::FRAC_PI_2)).abs() < 1e-6);
        assert_eq!(object.n_points, 1);
    }

    #[test]
    fn calibration_turns_by_rows() {
        let turned = CALIBRATION.replace("R0_rect: 1 0 0 0 1 0 0 0 1", "R0_rect: 0.8 0 0.6 0 1 0 -0.6 0 0.8");
        let calibration = Calibration::parse(&turned).unwrap();
        // (10, 0, 0) is (0, -0.1, 9.7) before rectification.
        let close = |a: [f64; 3], b: [f64; 3]| (0..3).all(|k| (a[k] - b[k]).abs() < 1e-12);
        let camera = calibration.lidar_to_camera([10.0, 0.0, 0.0]);
        assert!(close(camera, [5.82, -0.1, 7.76]), "{camera:?}");
        assert!(close(calibration.camera_to_lidar(camera), [10.0, 0.0, 0.0]));
        let pixel = calibration.project(camera).unwrap();
        assert!((pixel[0] - (700.0 * 5.82 / 7.76 + 600.0)).abs() < 1e-9, "{pixel:?}");
        assert_eq!(calibration.project([0.0, 0.0, -1.0]), None);
    }

    #[test]
    fn what_the_hardest_level_leaves_out_is_difficult() {
        let difficult = |from: &str, to: &str| {
            assert!(CAR.contains(from));
            LabelLine::parse(&CAR.replace(from, to)).unwrap().is_difficult()
        };
        assert!(!difficult("Car 0.10 1", "Car 0.50 2"));
        assert!(difficult("Car 0.10 1", "Car 0.51 2"));
        assert!(difficult("Car 0.10 1", "Car 0.50 3"));
        assert!(!difficult("700 200", "700 125"));
        assert!(difficult("700 200", "700 124.9"));
    }

    #[test]
    fn names_are_lower_case_and_renamed_and_regions_left_out() {
        let folder = Folder::new();
        let van = CAR.replace("Car", "Van").replace(" 1 -1.5", " 3 -1.5");
        let region = "DontCare -1 -1 -10 503 169 590 190 -1 -1 -1 -1000 -1000 -1000 -10";
        folder.write(
            "training/label_2/000007.txt",
            format!("{region}\n{van}\n\n{}\n", CAR.replace("Car", "Person_sitting")),
        );
        let objects = folder.load().unwrap().objects;
        let names: Vec<&str> = objects.iter().map(|o| o.class_name.as_str()).collect();
        assert_eq!(names, ["car", "person_sitting"]);
        assert!(objects[0].difficult && !objects[1].difficult);
        let lines = read_labels(&folder.0.path().join("training/label_2/000007.txt")).unwrap();
        assert!(lines[0].is_dont_care() && lines[0].class_name == "DontCare");
    }

    #[test]
    fn lidar_labels_take_the_full_sweep() {
        let folder = Folder::new();
        folder.write_points("training/velodyne_reduced/000007.bin", &[[20.3, -2.0, -1.0, 0.5]]);
        assert_eq!(folder.load().unwrap().points.len(), 1);
        folder.write("training/label_velo/000007.txt", "Pedestrian -5 6.5 -0.8 0.8 0.6 1.75 -3 41\n");
        let sample = folder.load().unwrap();
        assert_eq!(sample.points.len(), 2);
        assert_eq!(sample.points[1].x, -20.0);
        let expected = GroundTruth {
            class_name: "pedestrian".into(),
            bbox: Box3d { center: [-5.0, 6.5, -0.8], size: [0.8, 0.6, 1.75], yaw: -3.0 },
            n_points: 41,
            ..GroundTruth::default()
        };
        assert_eq!(sample.objects, [expected]);
    }

    #[test]
    fn an_image_states_its_own_size() {
        let folder = Folder::new();
        // Pixel of the point 20 m ahead and 2 m right: 600 + 70.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend([0, 0, 2, 0x9e, 0, 0, 1, 0x77]);
        folder.write("training/image_2/000007.png", &png);
        assert_eq!(folder.load().unwrap().points.len(), 0, "670 is outside of 670 pixels");
        png[19] += 1;
        folder.write("training/image_2/000007.png", &png);
        assert_eq!(folder.load().unwrap().points.len(), 1);
        folder.fails_with("training/image_2/000007.png", "no image", "no PNG");
    }

    #[test]
    fn broken_files_are_errors_that_name_file_and_line() {
        let label = "training/label_2/000007.txt";
        Folder::new().fails_with(label, format!("{CAR}\nCar 1 2 3"), "line 2: 4 fields");
        Folder::new().fails_with(label, CAR.replace("20.0", "far"), "line 1: field 14, `far`");
        Folder::new().fails_with(label, CAR.replace("20.0", "NaN"), "not finite");
        Folder::new().fails_with(label, CAR.replace(" 1 -1.5", " 1.5 -1.5"), "occlusion 1.5");
        Folder::new().fails_with(label, CAR.replace("4.0", "0"), "line 1: a box");
        Folder::new().fails_with(label, [0xff_u8, 0xfe], "cannot read");
        let calib = "training/calib/000007.txt";
        Folder::new().fails_with(calib, CALIBRATION.replace("700 0 600", "700 600"), "line 1: `P2` has 11");
        Folder::new().fails_with(calib, CALIBRATION.replace("R0_rect", "R1"), "no `R0_rect`");
        Folder::new().fails_with(calib, format!("{CALIBRATION}what"), "line 4");
        Folder::new().fails_with(calib, CALIBRATION.replace("0 -1 0 0 0", "0 0 0 0 0"), "inverted");
        Folder::new().fails_with("training/velodyne/000007.bin", [0_u8; 17], "17 bytes");
        let lidar = "training/label_velo/000007.txt";
        Folder::new().fails_with(lidar, "Car 1 2 3 4 5 6 7", "line 1: 8 fields");
        Folder::new().fails_with(lidar, "\nCar 1 2 3 4 5 6 7 -2", "line 2: `-2`");
        Folder::new().fails_with(lidar, "Car 1 2 3 4 -5 6 7 2", "line 1: a box");
        let split = "ImageSets/train.txt";
        Folder::new().fails_with(split, "000007\n../000008", "line 2: `../000008`");
        Folder::new().fails_with(split, "\n\n", "names no frame");
    }

    #[test]
    fn missing_files_and_samples_are_errors() {
        let folder = Folder::new();
        let open = |split: &str| KittiDataset::open(folder.0.path(), split, BTreeMap::new());
        assert!(open("test").unwrap_err().to_string().contains("test.txt"));
        assert!(open("../train").unwrap_err().to_string().contains("no name"));
        let dataset = open("train").unwrap();
        assert_eq!((dataset.n_samples(), dataset.name(0), dataset.name(1)), (1, "000007", ""));
        assert!(dataset.load(1).unwrap_err().to_string().contains("no sample 1"));
        fs::remove_file(folder.0.path().join("training/velodyne/000007.bin")).unwrap();
        assert!(folder.load().unwrap_err().to_string().contains("velodyne/000007.bin"));
    }

    /// KITTI's folder in the test data; `None`, said aloud, where there is none.
    fn real() -> Option<PathBuf> {
        let Some(folder) = std::env::var_os("PILOTIS_DATA") else {
            println!("skipped: PILOTIS_DATA is not set");
            return None;
        };
        Some(Path::new(&folder).join("kitti"))
    }

    #[test]
    fn real_boxes_hold_the_points_that_they_are_known_to_hold() {
        let Some(root) = real() else { return };
        let dataset = KittiDataset::open(&root, "all", BTreeMap::new()).unwrap();
        assert_eq!(dataset.n_samples(), 23);
        let known: [(&str, &[(&str, u32)]); 3] = [
            ("000000", &[("pedestrian", 377)]),
            ("000001", &[("truck", 71), ("car", 9), ("cyclist", 18)]),
            ("000002", &[("misc", 1349), ("car", 67)]),
        ];
        for idx in 0..dataset.n_samples() {
            let sample = dataset.load(idx).unwrap();
            assert!((16_000..21_000).contains(&sample.points.len()), "{}", sample.name);
            let inside: Vec<_> = sample.objects.iter().map(|o| (o.class_name.as_str(), o.n_points)).collect();
            if let Some((_, expected)) = known.iter().find(|(name, _)| *name == sample.name) {
                assert_eq!(inside, *expected, "{}", sample.name);
            }
        }
    }

    #[test]
    fn a_cropped_real_sweep_is_the_reduced_one() {
        let Some(root) = real() else { return };
        // Two frames whose images have the usual size.
        for name in ["000001", "000002"] {
            let training = root.join("training");
            let calibration = read_calibration(&training.join(format!("calib/{name}.txt"))).unwrap();
            let mut points = read_xyzi(&training.join(format!("velodyne/{name}.bin"))).unwrap();
            let reduced = read_xyzi(&training.join(format!("velodyne_reduced/{name}.bin"))).unwrap();
            points.retain(|p| calibration.sees(p, IMAGE_SIZE_PX));
            assert_eq!(points, reduced, "{name}");
        }
    }
}
