//! Boxes: what the head should have said of a sample.
//!
//! [`targets`] for anchor heads, [`centers`] for centre heads; [`select`] says which objects of a
//! sample either of them sees.

pub mod centers;
pub mod targets;

pub use centers::{CenterAssigner, CenterTargets};
pub use targets::{AnchorAssigner, GroupTargets, nearest_bev_iou};

use crate::datasets::GroundTruth;
use pilotis_spec::{Box3d, Grid};

/// One object to learn: class index within its group, box, velocity.
pub type Object = (usize, Box3d, [f32; 2]);

/// A box whose surroundings train neither as objects nor as background: its class index within
/// the group, or `None` for every class.
pub type Ignored = (Option<usize>, Box3d);

/// What of a sample one group of classes learns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Objects to learn, in the sample's order.
    pub objects: Vec<Object>,
    /// Objects of the group that are too sparse to learn, or that lie half off the grid.
    pub ignored: Vec<Ignored>,
}

/// The objects of a sample that a group of classes learns.
///
/// An object of another class is background. One whose centre lies off the grid in x or y, or with
/// fewer than `min_points` points, is ignored.
pub fn select(objects: &[GroundTruth], classes: &[&str], grid: &Grid, min_points: u32) -> Selection {
    let (min, max) = (grid.min(), grid.max());
    let mut selection = Selection::default();
    for object in objects {
        let Some(class_idx) = classes.iter().position(|name| *name == object.class_name) else { continue };
        let bbox = object.bbox;
        let inside = (0..2).all(|k| bbox.center[k] >= min[k] && bbox.center[k] < max[k]);
        if inside && object.n_points >= min_points {
            selection.objects.push((class_idx, bbox, object.velocity));
        } else {
            selection.ignored.push((Some(class_idx), bbox));
        }
    }
    selection
}

/// Whether a code can be made of a box: finite, with a size.
fn is_sound(bbox: &Box3d) -> bool {
    bbox.center.iter().chain([&bbox.yaw]).all(|v| v.is_finite())
        && bbox.size.iter().all(|v| v.is_finite() && *v > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_far_objects_are_ignored_and_foreign_ones_left_out() {
        let grid = Grid::new([0.0, -10.0, -3.0], [20.0, 10.0, 1.0], [0.2, 0.2]).unwrap();
        let object = |class_name: &str, x: f32, n_points: u32| GroundTruth {
            class_name: class_name.into(),
            bbox: Box3d { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 },
            velocity: [x, 0.0],
            n_points,
            ..GroundTruth::default()
        };
        let objects = [
            object("cyclist", 1.0, 5),
            object("car", 2.0, 4),
            object("van", 3.0, 50),
            object("car", 20.0, 50),
            object("car", -0.1, 50),
            object("car", 0.0, 6),
        ];
        let mut beside = object("car", 5.0, 50);
        beside.bbox.center[1] = 10.0;
        let objects = [objects.as_slice(), &[beside]].concat();
        let selection = select(&objects, &["car", "cyclist"], &grid, 5);
        let expected = [(1, objects[0].bbox, [1.0, 0.0]), (0, objects[5].bbox, [0.0, 0.0])];
        assert_eq!(selection.objects, expected);
        assert_eq!(selection.ignored, [1, 3, 4, 6].map(|k: usize| (Some(0), objects[k].bbox)));
    }
}
