//! Targets of an anchor head: which anchors learn a class and a box, which learn nothing.

use super::{Ignored, Object, is_sound};
use crate::config::AnchorTargetConfig;
use anyhow::Context;
use pilotis_spec::codec::MAX_CODE;
use pilotis_spec::{AnchorHead, Box3d, Grid};
use std::collections::BTreeMap;
use std::f32::consts::{FRAC_PI_4, PI};

/// Targets of one sample for one group of an anchor head.
///
/// **Shapes**: an anchor's flat index is `(row * W + col) * A + anchor`, anchors class by class
/// and rotation by rotation, as the head's channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupTargets {
    /// Per anchor: 0 background, -1 not trained, `k + 1` class `k` of the group.
    pub class: Vec<i32>,
    /// Positives by rising flat index: index, code of the box, direction bin.
    pub code: Vec<(u32, [f32; MAX_CODE], u32)>,
}

/// An axis-aligned rectangle of the ground plane.
#[derive(Clone, Copy, Debug)]
struct Rectangle {
    min: [f32; 2],
    max: [f32; 2],
}

impl Rectangle {
    /// A box turned to the nearer of the two axes.
    fn nearest(bbox: &Box3d) -> Self {
        let [length, width, _] = bbox.size;
        // Into [-pi/2, pi/2): which way round does not matter here.
        let turned = bbox.yaw - libm::floorf(bbox.yaw / PI + 0.5) * PI;
        let [dx, dy] = if turned.abs() < FRAC_PI_4 { [length, width] } else { [width, length] };
        let [x, y, _] = bbox.center;
        Self { min: [x - dx / 2.0, y - dy / 2.0], max: [x + dx / 2.0, y + dy / 2.0] }
    }

    fn area(&self) -> f32 {
        (self.max[0] - self.min[0]) * (self.max[1] - self.min[1])
    }

    fn iou(&self, other: &Self) -> f32 {
        let along = |k: usize| (self.max[k].min(other.max[k]) - self.min[k].max(other.min[k])).max(0.0);
        let common = along(0) * along(1);
        common / (self.area() + other.area() - common).max(1e-6)
    }
}

/// The BEV IoU of two boxes, each turned to the nearer axis first.
///
/// **Source**: OpenPCDet `boxes3d_nearest_bev_iou`.
pub fn nearest_bev_iou(a: &Box3d, b: &Box3d) -> f32 {
    Rectangle::nearest(a).iou(&Rectangle::nearest(b))
}

/// Assigns the objects of a sample to the anchors of one group.
///
/// An anchor belongs to one class and meets the objects of that class alone, by
/// [`nearest_bev_iou`]. Its best object (the first of equals) is the one that it learns: if their
/// IoU is at least `positive_iou`, or if no anchor suits some object better, so that every object
/// that touches an anchor has one. Below `negative_iou` an anchor learns background, in between
/// nothing. An anchor that learns no object learns nothing either if it reaches `negative_iou`
/// with an ignored box.
///
/// **Source**: OpenPCDet `AxisAlignedTargetAssigner`, one matcher per class.
#[derive(Clone, Debug)]
pub struct AnchorAssigner {
    head: AnchorHead,
    grid: Grid,
    group_idx: usize,
    map: [usize; 2],
    thresholds: Vec<AnchorTargetConfig>,
    /// Centres of the anchors of a column along x, and of a row along y; both rise.
    col_x_m: Vec<f32>,
    row_y_m: Vec<f32>,
}

/// Anchors that one box touches: flat index and IoU, above 0.
type Touched = Vec<(u32, f32)>;

impl AnchorAssigner {
    /// An assigner for one group of a head.
    ///
    /// **Errors**: a group that the head has not, a class without thresholds.
    pub fn build(
        head: &AnchorHead,
        grid: &Grid,
        group_idx: usize,
        thresholds: &BTreeMap<String, AnchorTargetConfig>,
    ) -> anyhow::Result<Self> {
        let group = head.groups.get(group_idx).with_context(|| format!("head has no group {group_idx}"))?;
        let first = group.classes.first().with_context(|| format!("group {group_idx} has no classes"))?;
        let of_class = |name: &String| thresholds.get(name).copied();
        let thresholds = group
            .classes
            .iter()
            .map(|c| of_class(&c.name).with_context(|| format!("targets.{} is missing", c.name)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let stride = head.stride.max(1) as usize;
        let map = [grid.ny() / stride, grid.nx() / stride];
        anyhow::ensure!(map[0] >= 2 && map[1] >= 2, "head.stride leaves a map of {} x {}", map[1], map[0]);
        let n_anchors = map[0] * map[1] * group.n_anchors();
        anyhow::ensure!(u32::try_from(n_anchors).is_ok(), "{n_anchors} anchors are too many");
        let center = |row: usize, col: usize| head.anchor(grid, map, first, 0, row, col).center;
        let col_x_m = (0..map[1]).map(|col| center(0, col)[0]).collect();
        let row_y_m = (0..map[0]).map(|row| center(row, 0)[1]).collect();
        Ok(Self { head: head.clone(), grid: grid.clone(), group_idx, map, thresholds, col_x_m, row_y_m })
    }

    /// `[H, W]` of the map.
    pub fn map_shape(&self) -> [usize; 2] {
        self.map
    }

    /// Anchors at every location.
    pub fn n_anchors_per_location(&self) -> usize {
        2 * self.thresholds.len()
    }

    /// The anchor of a flat index.
    pub fn anchor(&self, flat_idx: u32) -> Box3d {
        let per_location = self.n_anchors_per_location();
        let (location, anchor) = (flat_idx as usize / per_location, flat_idx as usize % per_location);
        self.anchor_at(location / self.map[1], location % self.map[1], anchor / 2, anchor % 2)
    }

    fn anchor_at(&self, row: usize, col: usize, class_idx: usize, rotation_idx: usize) -> Box3d {
        let class = &self.head.groups[self.group_idx].classes[class_idx];
        self.head.anchor(&self.grid, self.map, class, rotation_idx, row, col)
    }

    /// The targets of one sample.
    ///
    /// A box that is not finite or has no size, and a class index past the group's classes, train
    /// nothing.
    pub fn assign(&self, objects: &[Object], ignored: &[Ignored]) -> GroupTargets {
        let n_anchors = self.map[0] * self.map[1] * self.n_anchors_per_location();
        let mut best_iou = vec![0.0_f32; n_anchors];
        let mut best_object = vec![0_u32; n_anchors];
        let mut touched: Vec<Touched> = Vec::with_capacity(objects.len());
        for (object_idx, (class_idx, bbox, _)) in objects.iter().enumerate() {
            let anchors = self.touched_by(*class_idx, bbox);
            for (flat_idx, iou) in &anchors {
                let flat_idx = *flat_idx as usize;
                if *iou > best_iou[flat_idx] {
                    best_iou[flat_idx] = *iou;
                    best_object[flat_idx] = object_idx as u32;
                }
            }
            touched.push(anchors);
        }

        let mut class = vec![0_i32; n_anchors];
        let mut positives: Vec<u32> = Vec::new();
        for ((class_idx, ..), anchors) in objects.iter().zip(&touched) {
            let Some(threshold) = self.thresholds.get(*class_idx) else { continue };
            let most = anchors.iter().fold(0.0_f32, |most, (_, iou)| most.max(*iou));
            for (flat_idx, iou) in anchors {
                if *iou >= threshold.positive_iou || *iou >= most {
                    positives.push(*flat_idx);
                } else if *iou >= threshold.negative_iou {
                    class[*flat_idx as usize] = -1;
                }
            }
        }
        for (class_idx, bbox) in ignored {
            let classes = class_idx.map_or(0..self.thresholds.len(), |k| k..k + 1);
            for class_idx in classes {
                let Some(threshold) = self.thresholds.get(class_idx) else { continue };
                for (flat_idx, iou) in self.touched_by(class_idx, bbox) {
                    if iou >= threshold.negative_iou {
                        class[flat_idx as usize] = -1;
                    }
                }
            }
        }

        positives.sort_unstable();
        positives.dedup();
        let code = positives
            .iter()
            .map(|flat_idx| {
                let (class_idx, bbox, velocity) = &objects[best_object[*flat_idx as usize] as usize];
                class[*flat_idx as usize] = *class_idx as i32 + 1;
                let code = self.head.encode(&self.anchor(*flat_idx), bbox, *velocity);
                (*flat_idx, code, self.head.direction_bin(bbox.yaw))
            })
            .collect();
        GroupTargets { class, code }
    }

    /// The anchors of a class that a box touches. Only those close enough are looked at.
    fn touched_by(&self, class_idx: usize, bbox: &Box3d) -> Touched {
        let mut touched = Touched::new();
        if class_idx >= self.thresholds.len() || !is_sound(bbox) {
            return touched;
        }
        let object = Rectangle::nearest(bbox);
        for rotation_idx in 0..2 {
            let at_origin = Rectangle::nearest(&self.anchor_at(0, 0, class_idx, rotation_idx));
            let half = |k: usize| (at_origin.max[k] - at_origin.min[k]) / 2.0;
            let cols = within(&self.col_x_m, object.min[0] - half(0), object.max[0] + half(0));
            let rows = within(&self.row_y_m, object.min[1] - half(1), object.max[1] + half(1));
            for row in rows {
                for col in cols.clone() {
                    let anchor = self.anchor_at(row, col, class_idx, rotation_idx);
                    let iou = Rectangle::nearest(&anchor).iou(&object);
                    if iou > 0.0 {
                        let location = row * self.map[1] + col;
                        let anchor_idx = class_idx * 2 + rotation_idx;
                        let flat_idx = location * self.n_anchors_per_location() + anchor_idx;
                        touched.push((flat_idx as u32, iou));
                    }
                }
            }
        }
        touched
    }
}

/// The indices of the rising values in `low..=high`, and a neighbour on either side: rounding must
/// not lose an anchor that just touches.
fn within(values: &[f32], low: f32, high: f32) -> std::ops::Range<usize> {
    let first = values.partition_point(|v| *v < low);
    let last = values.partition_point(|v| *v <= high);
    first.saturating_sub(1)..(last + 1).min(values.len())
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
