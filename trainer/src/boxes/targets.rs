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
mod tests {
    #![allow(clippy::float_cmp, reason = "exact answers are meant")]
    #![allow(clippy::approx_constant, reason = "the published models write 0.78539")]

    use super::*;
    use pilotis_spec::{AnchorClass, AnchorGroup, YawCode};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn grid() -> Grid {
        Grid::new([0.0, -12.8, -3.0], [25.6, 12.8, 1.0], [0.2, 0.2]).unwrap()
    }

    fn head(yaw_code: YawCode) -> AnchorHead {
        let class = |name: &str, size_m: [f32; 3]| AnchorClass { name: name.into(), size_m, bottom_m: -1.73 };
        AnchorHead {
            stride: 2,
            yaw_code,
            velocity: yaw_code == YawCode::SinCos,
            direction_offset_rad: 0.78539,
            rotations_rad: [0.0, 1.57],
            groups: vec![
                AnchorGroup { classes: vec![class("cyclist", [1.76, 0.6, 1.73])] },
                AnchorGroup {
                    classes: vec![class("car", [3.9, 1.6, 1.56]), class("pedestrian", [0.8, 0.6, 1.73])],
                },
            ],
        }
    }

    fn thresholds() -> BTreeMap<String, AnchorTargetConfig> {
        let low = AnchorTargetConfig { positive_iou: 0.5, negative_iou: 0.35 };
        let high = AnchorTargetConfig { positive_iou: 0.6, negative_iou: 0.45 };
        ["car", "cyclist", "pedestrian"].map(|n| (n.to_owned(), if n == "car" { high } else { low })).into()
    }

    fn assigner() -> AnchorAssigner {
        AnchorAssigner::build(&head(YawCode::DirectionBins), &grid(), 1, &thresholds()).unwrap()
    }

    /// The definition, every anchor against every object, as OpenPCDet's matrices.
    fn dense(assigner: &AnchorAssigner, objects: &[Object], ignored: &[Ignored]) -> GroupTargets {
        let [rows, cols] = assigner.map;
        let per_location = assigner.n_anchors_per_location();
        let n = rows * cols * per_location;
        let mut targets = GroupTargets { class: vec![0; n], code: Vec::new() };
        for (class_idx, threshold) in assigner.thresholds.iter().enumerate() {
            let mine: Vec<&Object> = objects.iter().filter(|o| o.0 == class_idx).collect();
            let anchors: Vec<u32> =
                (0..n as u32).filter(|i| *i as usize % per_location / 2 == class_idx).collect();
            let iou = |i: u32, o: &Object| nearest_bev_iou(&assigner.anchor(i), &o.1);
            let best_of_object: Vec<f32> = mine
                .iter()
                .map(|o| anchors.iter().map(|i| iou(*i, o)).fold(0.0, f32::max))
                .map(|best| if best == 0.0 { -1.0 } else { best })
                .collect();
            for i in anchors {
                let ious: Vec<f32> = mine.iter().map(|o| iou(i, o)).collect();
                let best = ious.iter().copied().fold(0.0, f32::max);
                let forced = ious.iter().zip(&best_of_object).any(|(a, b)| a == b);
                let label = &mut targets.class[i as usize];
                if !mine.is_empty() && (forced || best >= threshold.positive_iou) {
                    *label = class_idx as i32 + 1;
                    let (_, bbox, velocity) = mine[ious.iter().position(|v| *v == best).unwrap()];
                    let code = assigner.head.encode(&assigner.anchor(i), bbox, *velocity);
                    targets.code.push((i, code, assigner.head.direction_bin(bbox.yaw)));
                } else if best >= threshold.negative_iou {
                    *label = -1;
                } else {
                    let to_ignored = ignored.iter().filter(|(k, _)| k.is_none_or(|k| k == class_idx));
                    let near = |b: &Box3d| nearest_bev_iou(&assigner.anchor(i), b) >= threshold.negative_iou;
                    *label = -i32::from(to_ignored.map(|(_, b)| b).any(near));
                }
            }
        }
        targets.code.sort_by_key(|(i, ..)| *i);
        targets
    }

    /// Boxes about as large as their anchors, some off the grid, some twice, some on anchors.
    fn random_scene(seed: u64) -> (Vec<Object>, Vec<Ignored>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let assigner = assigner();
        let mut one = |k: usize| -> Object {
            let class_idx = rng.random_range(0..2_usize);
            let size = head(YawCode::DirectionBins).groups[1].classes[class_idx].size_m;
            let mut bbox = Box3d {
                center: [rng.random_range(-3.0..28.0), rng.random_range(-15.0..15.0), -1.0],
                size: size.map(|v| v * rng.random_range(0.6..1.6_f32)),
                yaw: rng.random_range(-7.0..7.0),
            };
            match k % 4 {
                0 => bbox = assigner.anchor(rng.random_range(0..assigner.map[0] as u32 * 256)),
                // Between two anchors, so that both are best.
                1 => {
                    let anchor = assigner.anchor(rng.random_range(0..assigner.map[0] as u32 * 256));
                    bbox = Box3d { size: bbox.size, ..anchor };
                    bbox.center[0] += 0.1;
                }
                _ => {}
            }
            (class_idx, bbox, [0.0; 2])
        };
        let mut objects: Vec<Object> = (0..8).map(&mut one).collect();
        let mut twice = objects[2];
        twice.1.center[0] += 0.3;
        objects.push(twice);
        objects.push(objects[1]);
        let ignored = (0..3).map(&mut one).map(|(k, b, _)| ((b.center[1] > 0.0).then_some(k), b)).collect();
        (objects, ignored)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn visiting_near_anchors_gives_what_visiting_all_gives(seed in any::<u64>(), n in 0_usize..=10) {
            let assigner = assigner();
            let (objects, ignored) = random_scene(seed);
            let expected = dense(&assigner, &objects[..n], &ignored);
            prop_assert!(n == 0 || !expected.code.is_empty());
            prop_assert_eq!(assigner.assign(&objects[..n], &ignored), expected);
        }

        #[test]
        fn every_positive_decodes_to_an_object_of_its_class(seed in any::<u64>(), sin_cos in any::<bool>()) {
            let yaw_code = if sin_cos { YawCode::SinCos } else { YawCode::DirectionBins };
            let assigner = AnchorAssigner::build(&head(yaw_code), &grid(), 1, &thresholds()).unwrap();
            let (objects, _) = random_scene(seed);
            for (flat_idx, code, bin) in assigner.assign(&objects, &[]).code {
                let class_idx = (flat_idx % 4 / 2) as usize;
                let (bbox, _) = assigner.head.decode(&assigner.anchor(flat_idx), &code, bin);
                let found = objects.iter().any(|o| {
                    // Rounding of coordinates near 30 m, and of yaw codes up to 2.5 turns.
                    let near = (0..3).all(|k| (o.1.center[k] - bbox.center[k]).abs() < 1e-4);
                    let same_way = libm::cosf(o.1.yaw - bbox.yaw) > 0.999;
                    o.0 == class_idx && near && same_way
                });
                prop_assert!(found, "{:?}", bbox);
            }
        }
    }

    #[test]
    fn the_iou_of_turned_boxes_is_that_of_their_nearest_rectangles() {
        let bbox =
            |x: f32, y: f32, l: f32, w: f32, yaw: f32| Box3d { center: [x, y, 0.0], size: [l, w, 1.0], yaw };
        // 4 x 2 against the same moved by 2 along: common 2 x 2 of 8 + 8 - 4.
        for (yaw, expected) in [(0.0, 1.0 / 3.0), (0.7, 1.0 / 3.0), (-0.7, 1.0 / 3.0), (3.1, 1.0 / 3.0)] {
            let iou = nearest_bev_iou(&bbox(0.0, 0.0, 4.0, 2.0, 0.0), &bbox(2.0, 0.0, 4.0, 2.0, yaw));
            assert!((iou - expected).abs() < 1e-6, "{yaw} {iou}");
        }
        // Turned across, its width lies along x: it begins 1 m from its centre, common 1 x 2.
        for yaw in [1.57, -1.57, 0.8, -0.8, 4.7] {
            let iou = nearest_bev_iou(&bbox(0.0, 0.0, 4.0, 2.0, 0.0), &bbox(2.0, 0.0, 4.0, 2.0, yaw));
            assert!((iou - 2.0 / 14.0).abs() < 1e-6, "{yaw} {iou}");
        }
        let apart = nearest_bev_iou(&bbox(0.0, 0.0, 4.0, 2.0, 0.0), &bbox(4.0, 0.0, 4.0, 2.0, 0.0));
        assert_eq!(apart, 0.0);
        let none = bbox(0.0, 0.0, 0.0, 0.0, 0.0);
        assert_eq!(nearest_bev_iou(&none, &none), 0.0);
    }

    #[test]
    fn an_object_on_an_anchor_trains_it_and_its_rival_rotation_not() {
        let assigner = assigner();
        // Row 10, column 20, car at rotation 0.
        let flat_idx = (10 * 64 + 20) * 4;
        let anchor = assigner.anchor(flat_idx);
        let targets = assigner.assign(&[(0, anchor, [0.0; 2])], &[]);
        assert_eq!(targets.class.len(), 64 * 64 * 4);
        assert_eq!(targets.class[flat_idx as usize], 1);
        // Across, the common part is 1.6 x 1.6 of 2 x 6.24 - 2.56: 0.26.
        assert_eq!(targets.class[flat_idx as usize + 1], 0);
        assert!((2..4).all(|k| targets.class[flat_idx as usize + k] == 0), "pedestrian anchors");
        let (_, code, bin) = targets.code.iter().find(|(i, ..)| *i == flat_idx).unwrap();
        assert_eq!((*code, *bin), ([0.0; MAX_CODE], 1));
        // Moved by n columns of 25.6 / 63 m: IoU (3.9 - d) / (3.9 + d) = .81, .66, .52, .41.
        let along: Vec<i32> = (0..5).map(|n| targets.class[flat_idx as usize + 4 * n]).collect();
        assert_eq!(along, [1, 1, 1, -1, 0]);
    }

    #[test]
    fn an_object_that_suits_no_anchor_still_trains_its_best_ones() {
        let assigner = assigner();
        // A lorry: IoU with a car's anchor is at most 3.9 x 1.6 / (12 x 2.6) = 0.2.
        let lorry = Box3d { center: [12.0, 0.1, -1.0], size: [12.0, 2.6, 3.0], yaw: 0.0 };
        let targets = assigner.assign(&[(0, lorry, [0.0; 2])], &[]);
        assert!(!targets.code.is_empty());
        assert!(targets.class.iter().all(|c| *c == 0 || *c == 1));
        let iou = |i: u32| nearest_bev_iou(&assigner.anchor(i), &lorry);
        let best = iou(targets.code[0].0);
        assert!((best - 0.2).abs() < 1e-5);
        assert!(targets.code.iter().all(|(i, ..)| iou(*i) == best));
        let ties = (0..targets.class.len() as u32).filter(|i| i % 4 < 2 && iou(*i) == best).count();
        assert_eq!(targets.code.len(), ties);
    }

    #[test]
    fn ignored_boxes_take_background_and_never_objects() {
        let assigner = assigner();
        let anchor = assigner.anchor((10 * 64 + 20) * 4);
        let car: Object = (0, anchor, [0.0; 2]);
        let only_car = assigner.assign(&[car], &[]);
        assert_eq!(assigner.assign(&[car], &[(Some(0), anchor)]), only_car);
        let sparse = assigner.assign(&[], &[(Some(0), anchor)]);
        assert!(sparse.code.is_empty());
        for (class, as_object) in sparse.class.iter().zip(&only_car.class) {
            assert_eq!(*class, if *as_object == 0 { 0 } else { -1 });
        }
        let person = Box3d { size: [0.8, 0.6, 1.73], ..anchor };
        let n_ignored = |of: Option<usize>| {
            assigner.assign(&[], &[(of, person)]).class.iter().filter(|c| **c == -1).count()
        };
        assert_eq!(n_ignored(Some(0)), 0);
        assert!(n_ignored(Some(1)) > 0);
        assert_eq!(n_ignored(None), n_ignored(Some(1)));
    }

    #[test]
    fn unsound_boxes_train_nothing() {
        let assigner = assigner();
        let sound = Box3d { center: [10.0, 0.0, -1.0], size: [4.0, 1.6, 1.5], yaw: 0.0 };
        let nothing = assigner.assign(&[], &[]);
        assert!(nothing.class.iter().all(|c| *c == 0) && nothing.code.is_empty());
        let unsound = [
            (0, Box3d { yaw: f32::NAN, ..sound }, [0.0; 2]),
            (0, Box3d { size: [4.0, 0.0, 1.5], ..sound }, [0.0; 2]),
            (0, Box3d { center: [f32::INFINITY, 0.0, 0.0], ..sound }, [0.0; 2]),
            (2, sound, [0.0; 2]),
        ];
        assert_eq!(assigner.assign(&unsound, &[(Some(5), sound), (None, unsound[0].1)]), nothing);
    }

    #[test]
    fn missing_groups_and_thresholds_are_errors() {
        let head = head(YawCode::DirectionBins);
        let build = |group: usize, t: &BTreeMap<_, _>| AnchorAssigner::build(&head, &grid(), group, t);
        assert!(build(2, &thresholds()).unwrap_err().to_string().contains("no group 2"));
        let mut some = thresholds();
        some.remove("pedestrian");
        assert!(build(1, &some).unwrap_err().to_string().contains("targets.pedestrian"));
        assert!(build(0, &some).is_ok());
    }
}
