//! Targets of a centre head: heat maps with a peak per object, and codes at the peaks.

use super::{Object, is_sound};
use anyhow::Context;
use pilotis_spec::codec::CenterCode;
use pilotis_spec::{CenterHead, Grid};

/// IoU that a box moved by a peak's radius still has with the object.
pub const MIN_OVERLAP: f32 = 0.1;

/// Least radius of a peak in map cells.
pub const MIN_RADIUS: usize = 2;

/// Objects of one task and sample that train; further ones are left out and counted.
pub const MAX_OBJECTS: usize = 500;

/// What one object trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CenterTarget {
    /// Class index within the task.
    pub class_idx: usize,
    /// `[row, col]` of the map.
    pub cell: [usize; 2],
    /// The box, relative to the cell.
    pub code: CenterCode,
}

/// Targets of one sample for one task of a centre head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CenterTargets {
    /// `[classes, H, W]`: 1 at the cell of an object, falling off around it.
    pub heat_map: Vec<f32>,
    /// Objects in the order given; two may share a cell.
    pub objects: Vec<CenterTarget>,
    /// Objects past [`MAX_OBJECTS`].
    pub n_dropped: usize,
}

/// Makes the targets of one task.
///
/// **Source**: OpenPCDet `CenterHead.assign_target_of_single_head`; CenterNet's gaussian radius.
#[derive(Clone, Debug)]
pub struct CenterAssigner {
    grid: Grid,
    stride: usize,
    n_classes: usize,
    map: [usize; 2],
}

impl CenterAssigner {
    /// An assigner for one task of a head.
    ///
    /// **Errors**: a task that the head has not.
    pub fn build(head: &CenterHead, grid: &Grid, task_idx: usize) -> anyhow::Result<Self> {
        let task = head.tasks.get(task_idx).with_context(|| format!("head has no task {task_idx}"))?;
        let stride = head.stride.max(1) as usize;
        let map = [grid.ny() / stride, grid.nx() / stride];
        Ok(Self { grid: grid.clone(), stride, n_classes: task.classes.len(), map })
    }

    /// `[H, W]` of the map.
    pub fn map_shape(&self) -> [usize; 2] {
        self.map
    }

    /// The targets of one sample.
    ///
    /// An object whose centre lies off the map, whose box is not finite or has no size, or whose
    /// class index is past the task's classes, trains nothing.
    pub fn assign(&self, objects: &[Object]) -> CenterTargets {
        let n_cells = self.map[0] * self.map[1];
        let mut targets =
            CenterTargets { heat_map: vec![0.0; self.n_classes * n_cells], ..Default::default() };
        for (class_idx, bbox, velocity) in objects {
            if *class_idx >= self.n_classes || !is_sound(bbox) {
                continue;
            }
            let Some((cell, code)) = CenterCode::encode(&self.grid, self.stride, bbox, *velocity) else {
                continue;
            };
            if targets.objects.len() == MAX_OBJECTS {
                targets.n_dropped += 1;
                continue;
            }
            let cell_m = self.grid.cell();
            let length = bbox.size[0] / (cell_m[0] * self.stride as f32);
            let width = bbox.size[1] / (cell_m[1] * self.stride as f32);
            let radius = (gaussian_radius(length, width, MIN_OVERLAP) as usize).max(MIN_RADIUS);
            let plane = &mut targets.heat_map[class_idx * n_cells..(class_idx + 1) * n_cells];
            draw_peak(plane, self.map, cell, radius);
            targets.objects.push(CenterTarget { class_idx: *class_idx, cell, code });
        }
        targets
    }
}

/// How far the centre of a rectangle may move, in its own unit, for an IoU of `min_overlap`.
///
/// The least of three cases: both corners move one way, both inwards, both outwards.
///
/// **Source**: CornerNet and CenterNet's `gaussian_radius`, whose roots are divided by 2 rather
/// than by twice the leading coefficient; every published CenterPoint is trained with that.
pub fn gaussian_radius(length: f32, width: f32, min_overlap: f32) -> f32 {
    let (sum, area) = (length + width, length * width);
    let root = |a: f32, b: f32, c: f32| (b + libm::sqrtf((b * b - 4.0 * a * c).max(0.0))) / 2.0;
    let moved = root(1.0, sum, area * (1.0 - min_overlap) / (1.0 + min_overlap));
    let smaller = root(4.0, 2.0 * sum, (1.0 - min_overlap) * area);
    let larger = root(4.0 * min_overlap, -2.0 * min_overlap * sum, (min_overlap - 1.0) * area);
    moved.min(smaller).min(larger)
}

/// Raises the cells around a peak to a Gaussian of a sixth of the peak's diameter.
fn draw_peak(plane: &mut [f32], [n_rows, n_cols]: [usize; 2], [row, col]: [usize; 2], radius: usize) {
    let sigma = (2 * radius + 1) as f32 / 6.0;
    for r in row.saturating_sub(radius)..(row + radius + 1).min(n_rows) {
        for c in col.saturating_sub(radius)..(col + radius + 1).min(n_cols) {
            let (dr, dc) = (r.abs_diff(row) as f32, c.abs_diff(col) as f32);
            let value = libm::expf(-(dr * dr + dc * dc) / (2.0 * sigma * sigma));
            let cell = &mut plane[r * n_cols + c];
            *cell = cell.max(value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact answers are meant")]

    use super::*;
    use pilotis_spec::codec::normalize_yaw;
    use pilotis_spec::{Box3d, CenterTask};
    use proptest::prelude::*;
    use std::f32::consts::PI;

    fn assigner() -> CenterAssigner {
        let task = |names: &[&str]| CenterTask { classes: names.iter().map(|n| (*n).to_owned()).collect() };
        let head = CenterHead {
            stride: 4,
            velocity: true,
            center_min_m: [-61.2, -61.2, -10.0],
            center_max_m: [61.2, 61.2, 10.0],
            tasks: vec![task(&["car"]), task(&["truck", "bus"])],
        };
        assert!(CenterAssigner::build(&head, &grid(), 2).unwrap_err().to_string().contains("no task 2"));
        CenterAssigner::build(&head, &grid(), 1).unwrap()
    }

    fn grid() -> Grid {
        Grid::new([-51.2, -51.2, -5.0], [51.2, 51.2, 3.0], [0.2, 0.2]).unwrap()
    }

    fn any_object() -> impl Strategy<Value = Object> {
        let bbox = (
            (-51.0_f32..51.0, -51.0_f32..51.0, -5.0_f32..3.0),
            (0.3_f32..15.0, 0.3_f32..4.0, 0.5_f32..4.0),
            -PI..PI,
        )
            .prop_map(|(c, s, yaw)| Box3d { center: [c.0, c.1, c.2], size: [s.0, s.1, s.2], yaw });
        (0_usize..2, bbox, (-9.0_f32..9.0, -9.0_f32..9.0)).prop_map(|(k, b, v)| (k, b, [v.0, v.1]))
    }

    proptest! {
        #[test]
        fn decoding_at_the_cells_gives_the_boxes_back(objects in prop::collection::vec(any_object(), 0..12)) {
            let assigner = assigner();
            let targets = assigner.assign(&objects);
            prop_assert_eq!(targets.objects.len(), objects.len());
            let n_cells = 128 * 128;
            for (target, (class_idx, bbox, velocity)) in targets.objects.iter().zip(&objects) {
                prop_assert_eq!(target.class_idx, *class_idx);
                prop_assert_eq!(target.code.velocity, *velocity);
                let decoded = target.code.decode(&grid(), 4, target.cell);
                for k in 0..3 {
                    // Rounding near 51 m (2^-18) a few times; sizes lose some ulp of a logarithm.
                    prop_assert!((decoded.center[k] - bbox.center[k]).abs() < 5e-5);
                    prop_assert!((decoded.size[k] / bbox.size[k] - 1.0).abs() < 2e-6);
                }
                prop_assert!(normalize_yaw(decoded.yaw - bbox.yaw).abs() < 1e-5);
                let peak = class_idx * n_cells + target.cell[0] * 128 + target.cell[1];
                prop_assert_eq!(targets.heat_map[peak], 1.0);
            }
            // No other cell is a peak, and every cell is the highest of its objects' Gaussians.
            for (idx, value) in targets.heat_map.iter().enumerate() {
                let (class_idx, row, col) = (idx / n_cells, idx % n_cells / 128, idx % 128);
                let mine = targets.objects.iter().zip(&objects).filter(|(t, _)| t.class_idx == class_idx);
                let expected = mine.map(|(t, (_, bbox, _))| {
                    let [length, width, _] = bbox.size.map(|v| v / 0.8);
                    let radius = gaussian_radius(length, width, 0.1).floor().max(2.0);
                    let [dr, dc] = [(row as f32 - t.cell[0] as f32), (col as f32 - t.cell[1] as f32)];
                    if dr.abs() > radius || dc.abs() > radius { return 0.0; }
                    let sigma = (2.0 * radius + 1.0) / 6.0;
                    (-(dr * dr + dc * dc) / (2.0 * sigma * sigma)).exp()
                }).fold(0.0, f32::max);
                // Two exponentials may differ by an ulp.
                prop_assert!((value - expected).abs() < 1e-6, "{} {}", value, expected);
            }
        }
    }

    #[test]
    fn the_radius_is_that_of_the_published_formula() {
        // A square of 10 cells: 10 + sqrt(100 - 81.8182), (40 + sqrt(1600 - 1440)) / 2 and
        // (-4 + sqrt(16 + 144)) / 2.
        assert!((gaussian_radius(10.0, 10.0, 0.1) - 4.324_555).abs() < 1e-5);
        // At half overlap: 10 + sqrt(100 - 33.3333), (40 + sqrt(1600 - 800)) / 2, (-20 + sqrt(800)) / 2.
        assert!((gaussian_radius(10.0, 10.0, 0.5) - 4.142_136).abs() < 1e-5);
        assert_eq!(gaussian_radius(5.0, 2.0, 0.1).to_bits(), gaussian_radius(2.0, 5.0, 0.1).to_bits());
    }

    #[test]
    fn objects_off_the_map_or_unsound_train_nothing() {
        let sound = Box3d { center: [0.0; 3], size: [4.0, 2.0, 1.5], yaw: 0.0 };
        let off = |bbox: Box3d, class_idx: usize| {
            let targets = assigner().assign(&[(class_idx, bbox, [0.0; 2])]);
            targets.objects.is_empty() && targets.heat_map.iter().all(|v| *v == 0.0)
        };
        assert!(!off(sound, 0));
        assert!(off(sound, 2));
        assert!(off(Box3d { center: [51.2, 0.0, 0.0], ..sound }, 0));
        assert!(off(Box3d { center: [0.0, -51.3, 0.0], ..sound }, 0));
        assert!(off(Box3d { size: [0.0, 2.0, 1.5], ..sound }, 0));
        assert!(off(Box3d { yaw: f32::NAN, ..sound }, 0));
    }

    #[test]
    fn peaks_at_the_edge_are_cut_off() {
        let corner = Box3d { center: [-51.2, 51.1, 0.0], size: [4.0, 2.0, 1.5], yaw: 0.0 };
        let targets = assigner().assign(&[(1, corner, [0.0; 2])]);
        assert_eq!(targets.objects[0].cell, [127, 0]);
        assert_eq!(targets.heat_map[(128 + 127) * 128], 1.0);
        // A quarter of the 5 x 5 cells of the least radius.
        assert_eq!(targets.heat_map.iter().filter(|v| **v > 0.0).count(), 9);
    }

    #[test]
    fn objects_past_the_limit_are_counted() {
        let at = |k: usize| Box3d {
            center: [(k % 100) as f32 - 50.0, (k / 100) as f32, 0.0],
            size: [1.0; 3],
            yaw: 0.0,
        };
        let objects: Vec<Object> = (0..503).map(|k| (0, at(k), [0.0; 2])).collect();
        let targets = assigner().assign(&objects);
        assert_eq!((targets.objects.len(), targets.n_dropped), (500, 3));
    }
}
