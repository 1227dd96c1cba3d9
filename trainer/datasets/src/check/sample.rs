//! One sample: whether it can be read, and what is in it.

use super::Inspect;
use crate::{BoxTest, GroundTruth, Sample};
use pilotis_spec::{Box3d, Point};

/// What was seen of a labelled object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LookedObject {
    pub(super) class_name: String,
    pub(super) size_lwh: [f32; 3],
    /// Points inside, counted here, whatever the labels say.
    pub(super) n_points: u32,
}

/// What was seen of a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Looked {
    pub(super) name: String,
    /// Why it cannot be used; empty where it can.
    pub(super) faults: Vec<String>,
    pub(super) n_points: u64,
    pub(super) n_not_finite: u64,
    pub(super) objects: Vec<LookedObject>,
}

impl Looked {
    /// Opens a sample and looks at everything in it.
    pub(super) fn at(dataset: &dyn Inspect, idx: usize) -> Self {
        let mut looked = Self { name: dataset.name(idx).to_owned(), ..Self::default() };
        let mut is_whole = false;
        match dataset.stored_points(idx) {
            Ok(Some(points)) => {
                looked.n_points = points.len() as u64;
                looked.n_not_finite = points.iter().filter(|p| !p.is_finite()).count() as u64;
            }
            Ok(None) => is_whole = true,
            Err(error) => looked.faults.push(error.to_string()),
        }
        match dataset.load(idx) {
            Ok(sample) => {
                if is_whole {
                    looked.n_points = sample.points.len() as u64;
                }
                looked.look_at(&sample);
            }
            Err(error) => {
                let text = format!("{error:#}");
                // A cloud that cannot be read says so twice.
                if !looked.faults.contains(&text) {
                    looked.faults.push(text);
                }
            }
        }
        looked
    }

    fn look_at(&mut self, sample: &Sample) {
        for (idx, object) in sample.objects.iter().enumerate() {
            if let Some(what) = fault_of(&object.bbox) {
                self.faults.push(format!("object {idx}, `{}`: {what}", object.class_name));
                continue;
            }
            self.objects.push(LookedObject::of(object, &sample.points));
        }
    }
}

impl LookedObject {
    fn of(object: &GroundTruth, points: &[Point]) -> Self {
        let test = BoxTest::new(&object.bbox);
        Self {
            class_name: object.class_name.clone(),
            size_lwh: object.bbox.size,
            n_points: points.iter().filter(|p| test.contains(p)).count() as u32,
        }
    }
}

/// Why a box is none.
fn fault_of(bbox: &Box3d) -> Option<String> {
    let Box3d { center, size, yaw } = bbox;
    if !center.iter().chain(size).chain([yaw]).all(|v| v.is_finite()) {
        return Some(format!("a box at {center:?} of {size:?} metres, yaw {yaw}"));
    }
    size.iter().any(|v| *v <= 0.0).then(|| format!("a box of {size:?} metres"))
}
