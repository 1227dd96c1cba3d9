//! KITTI's object layout, written.
//!
//! There is no camera in most sources, so a camera is put at the sensor: that of KITTI's commonest calibration, axes
//! turned and nothing else. `label_2` has the objects that it would see, `label_velo` all of them.

use super::{Converted, is_for_validation, make_folders, number, to_convention, write_file};
use crate::check::Inspect;
use crate::kitti::{Calibration, IMAGE_SIZE_PX, LabelLine, LidarBox, class_name, seen_in_image};
use crate::{Convention, GroundTruth, Sample};
use anyhow::anyhow;
use pilotis_spec::{Point, PointLayout};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const CALIBRATION: &str = "\
P0: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0
P1: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0
P2: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0
P3: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0
Tr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0
";

/// KITTI's names for classes of other datasets. What is not here keeps its name if it is one of KITTI's own.
const CLASSES: [(&str, &str); 7] = [
    ("bicycle", "Cyclist"),
    ("bus", "Misc"),
    ("construction_vehicle", "Misc"),
    ("motorcycle", "Misc"),
    ("trailer", "Misc"),
    ("other", "Misc"),
    // Waymo's: mostly cars.
    ("vehicle", "Car"),
];
const OWN_CLASSES: [&str; 8] =
    ["car", "van", "truck", "pedestrian", "person_sitting", "cyclist", "tram", "misc"];

/// KITTI's name of a class, where it has one.
pub(super) fn class_of(name: &str) -> Option<String> {
    let renamed = CLASSES.iter().find(|(from, _)| *from == name).map(|(_, to)| (*to).to_owned());
    renamed.or_else(|| OWN_CLASSES.contains(&name).then(|| class_name(name)))
}

/// Writes all samples below `root`.
pub(super) fn write(
    from: &dyn Inspect,
    convention: Convention,
    root: &Path,
    step: &(dyn Fn() + Sync),
) -> anyhow::Result<Converted> {
    make_folders(
        root,
        &[
            "ImageSets",
            "training/velodyne",
            "training/velodyne_reduced",
            "training/label_2",
            "training/label_velo",
            "training/calib",
        ],
    )?;
    let calibration =
        Calibration::parse(CALIBRATION).map_err(|(line, e)| anyhow!("calibration line {line}: {e}"))?;
    let n_samples = from.n_samples();
    let written: Vec<Converted> = (0..n_samples)
        .into_par_iter()
        .map(|idx| {
            let mut sample = from.load(idx)?;
            to_convention(&mut sample, convention, Convention::KITTI);
            let converted = write_frame(root, idx, &sample, &calibration)?;
            step();
            Ok(converted)
        })
        .collect::<anyhow::Result<_>>()?;
    let list = |keep: &dyn Fn(usize) -> bool| -> String {
        (0..n_samples).filter(|idx| keep(*idx)).map(|idx| number(idx) + "\n").collect()
    };
    for (name, text) in [
        ("all.txt", list(&|_| true)),
        ("train.txt", list(&|idx| !is_for_validation(idx))),
        ("val.txt", list(&is_for_validation)),
    ] {
        write_file(&root.join("ImageSets").join(name), text.as_bytes())?;
    }
    let mut sum = Converted { n_samples: n_samples as u64, ..Converted::default() };
    for one in written {
        sum.n_objects += one.n_objects;
        for (name, n) in one.left_out {
            *sum.left_out.entry(name).or_default() += n;
        }
    }
    Ok(sum)
}

fn write_frame(
    root: &Path,
    idx: usize,
    sample: &Sample,
    calibration: &Calibration,
) -> anyhow::Result<Converted> {
    let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
    let (mut camera, mut around) = (String::new(), String::new());
    let mut n_objects = 0;
    for object in &sample.objects {
        let Some(name) = class_of(&object.class_name) else {
            *left_out.entry(object.class_name.clone()).or_default() += 1;
            continue;
        };
        n_objects += 1;
        if let Some(line) = camera_line(object, &name, calibration) {
            writeln!(camera, "{line}")?;
        }
        let ([x, y, z], [l, w, h]) = (object.bbox.center, object.bbox.size);
        writeln!(around, "{name} {x} {y} {z} {l} {w} {h} {} {}", object.bbox.yaw, object.n_points)?;
    }
    let records = |keep: &dyn Fn(&Point) -> bool| -> Vec<u8> {
        let mut bytes = Vec::new();
        let layout = PointLayout::kitti();
        sample.points.iter().filter(|p| keep(p)).for_each(|p| layout.write(p, &mut bytes));
        bytes
    };
    let training = root.join("training");
    for (folder, extension, content) in [
        ("velodyne", "bin", records(&|_| true)),
        ("velodyne_reduced", "bin", records(&|p| calibration.sees(p, IMAGE_SIZE_PX))),
        ("label_2", "txt", camera.into_bytes()),
        ("label_velo", "txt", around.into_bytes()),
        ("calib", "txt", CALIBRATION.as_bytes().to_vec()),
    ] {
        write_file(&training.join(folder).join(format!("{}.{extension}", number(idx))), &content)?;
    }
    Ok(Converted { n_samples: 1, n_objects, left_out })
}

/// The line of an object in `label_2`, if the camera sees it.
fn camera_line(object: &GroundTruth, name: &str, calibration: &Calibration) -> Option<LabelLine> {
    let bbox = LidarBox::from(&object.bbox);
    let (image_box, truncation) = seen_in_image(&bbox, calibration, IMAGE_SIZE_PX)?;
    let [l, w, h] = bbox.size;
    Some(LabelLine {
        class_name: name.to_owned(),
        truncation: (truncation * 100.0).round() / 100.0,
        occlusion: i32::from(object.occlusion.min(3)),
        alpha_rad: bbox.alpha_rad(calibration),
        image_box,
        size_hwl: [h, w, l],
        location: bbox.location(calibration),
        rotation_y: bbox.rotation_y(),
        score: None,
    })
}
