//! A frame that was recorded, reached by `PILOTIS_DATA` alone. Its range images were cut away.

use super::super::{WaymoDataset, WaymoSettings};
use crate::Dataset;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn a_recorded_frame_of_version_1_is_read() {
    let Ok(data) = std::env::var("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return;
    };
    // A split is a folder, and the folder of the file is one.
    let dataset =
        WaymoDataset::open(Path::new(&data), "waymo", BTreeMap::new(), WaymoSettings::default()).unwrap();
    assert_eq!((dataset.n_samples(), dataset.name(0)), (1, "val/000"));
    let frame = dataset.load_frame(0).unwrap();
    assert_eq!(frame.context_name, "1071392229495085036_1844_790_1864_790");
    assert_eq!(frame.timestamp_micros, 1_507_315_488_219_118);
    assert_eq!((frame.points.len(), frame.labels.len()), (0, 18));
    let sign = &frame.labels[0];
    assert_eq!((sign.class_name(), sign.n_points, sign.difficulty), ("sign", 9, 0));
    assert!((sign.center[0] - 46.039_278_115_830_26).abs() < 1e-12);
    assert!((sign.size[1] - 0.618_061_048_999_64).abs() < 1e-12);
    assert!((sign.heading + 2.892_144_909_169_444).abs() < 1e-12);
    // The turn to the vehicle's axes keeps the speed.
    let speed = sign.velocity[0].hypot(sign.velocity[1]);
    assert!((speed - 0.013_234_431_638_764_f64.hypot(0.038_662_041_110_697)).abs() < 1e-4, "{speed}");
}
