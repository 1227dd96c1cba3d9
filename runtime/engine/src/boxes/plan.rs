//! What the boxes stage needs on a GPU: tables, buffers, launches. Plain data; nothing is allocated
//! there, and nothing launched.

use super::{anchors, centers, checked_map, class_indices, scopes};
use crate::error::{BuildError, BuildErrorKind};
use pilotis_kernels::boxes::{
    BoxClass, BoxDetection, BoxGroup, BoxPlane, BoxScope, BoxesParams, OVERLAP_BLOCK, Rect, SWEEP_VALUES,
};
use pilotis_kernels::frame::{BLOCK, NONE};
use pilotis_kernels::layout::DevicePtr;
use pilotis_spec::codec::{CenterCode, diagonal, logit_threshold};
use pilotis_spec::{AnchorHead, HeadLayout, Manifest, ScoreRule, Stage, YawCode, math};

/// Most blocks of `boxes_overlap` of a scope; they share its tiles.
const MAX_OVERLAP_BLOCKS: u32 = 256;

/// Memory on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The field of [`BoxesParams`] that points to it.
    pub name: &'static str,
    /// Bytes of an element; it is aligned to 16.
    pub element_bytes: usize,
    /// Elements.
    pub n: usize,
    /// What it holds before the first frame.
    pub content: Content,
}

/// What a buffer holds before the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The table of the same name, for good.
    Table,
    /// Zeros. Every whole frame leaves zeros again.
    Zeros,
    /// Anything: every frame writes what it reads.
    Any,
}

/// A launch of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its entry.
    pub entry: &'static str,
    /// Blocks of the grid; fixed, whatever the frame holds.
    pub n_blocks: u32,
}

/// The boxes stage of a manifest on a GPU.
///
/// Its kernels give the bits of [`super::BoxesStage`], and its counters in the state of the frame, which
/// must be zero before. **At capacity**: every list has room for all that can pass; the caps of the
/// manifest are those of the CPU. The largest buffer is the matrix of overlaps: `max_candidates^2 / 8`
/// bytes a scope, 2 MiB for 4096 candidates, 32 MiB for the most there may be.
#[derive(Clone, Debug)]
pub struct BoxesPlan {
    /// Score planes of all scopes.
    pub planes: Vec<BoxPlane>,
    /// Scopes.
    pub scopes: Vec<BoxScope>,
    /// Groups of anchors or tasks of centres.
    pub groups: Vec<BoxGroup>,
    /// Classes, group by group.
    pub classes: Vec<BoxClass>,
    /// Parameters without addresses.
    params: BoxesParams,
    n_tensors: usize,
    /// Room for the candidates of all scopes.
    n_found: usize,
}

impl BoxesPlan {
    /// The plan of a manifest.
    ///
    /// **Errors**: what [`super::BoxesStage::build`] refuses, and candidates that 32 bits cannot count.
    pub fn build(manifest: &Manifest) -> Result<Self, BuildError> {
        let (spec, grid) = (&manifest.boxes, &manifest.grid);
        let [h, w] = checked_map(manifest)?;
        let max_candidates = spec.max_candidates;
        let mut plan = Self {
            planes: Vec::new(),
            scopes: Vec::new(),
            groups: Vec::new(),
            classes: Vec::new(),
            params: BoxesParams {
                n_cells: (h * w) as u32,
                n_cols: w as u32,
                max_candidates,
                max_sorted: max_candidates.next_power_of_two(),
                max_boxes: spec.max_boxes,
                n_words: max_candidates.div_ceil(OVERLAP_BLOCK),
                threshold: logit_threshold(spec.score_threshold, spec.score_rule == ScoreRule::Above),
                iou: spec.nms_iou,
                has_velocity: u32::from(manifest.head.has_velocity()),
                min: [grid.min()[0], grid.min()[1]],
                ..BoxesParams::default()
            },
            n_tensors: manifest.head.tensors(grid).len(),
            n_found: 0,
        };
        plan.list_planes(manifest, h * w)?;
        let class_idx = class_indices(manifest)?;
        match &manifest.head {
            HeadLayout::Anchors(head) => plan.list_anchors(manifest, head, &class_idx),
            HeadLayout::Centers(head) => {
                plan.params.is_centers = 1;
                plan.params.step = CenterCode::map_cell_m(grid, head.stride as usize);
                plan.params.center_min = head.center_min_m;
                plan.params.center_max = head.center_max_m;
                for classes in &class_idx {
                    plan.push_group(classes.len(), classes.len(), centers::tensors_per_task(head));
                    plan.classes
                        .extend(classes.iter().map(|c| BoxClass { class_idx: *c, ..BoxClass::default() }));
                }
            }
        }
        plan.params.n_scopes = plan.scopes.len() as u32;
        plan.params.n_groups = plan.groups.len() as u32;
        Ok(plan)
    }

    /// Planes and scopes, each scope with room for every value that can be a candidate.
    fn list_planes(&mut self, manifest: &Manifest, n_cells: usize) -> Result<(), BuildError> {
        for (scope_idx, scope) in scopes(manifest)?.into_iter().enumerate() {
            self.scopes.push(BoxScope {
                first_found: self.n_found as u32,
                class_in_group: scope.class_in_group.map_or(NONE, |class| class as u32),
            });
            for plane in &scope.planes {
                let [first, end] = plane.rivals;
                // Of rivals one stands for all.
                if first == end || plane.channel == first {
                    self.n_found += n_cells;
                }
                self.planes.push(BoxPlane {
                    tensor_idx: plane.tensor_idx as u32,
                    channel: plane.channel as u32,
                    first_flat_idx: plane.first_flat_idx,
                    flat_step: plane.flat_step,
                    first_rival: first as u32,
                    end_rival: end as u32,
                    scope_idx: scope_idx as u32,
                });
            }
            if u32::try_from(self.planes.len() * n_cells).is_err() {
                let message =
                    format!("{} planes of {n_cells} scores are too many to count", self.planes.len());
                return Err(BuildError::new(BuildErrorKind::Package, message).at(Stage::Boxes));
            }
        }
        Ok(())
    }

    fn list_anchors(&mut self, manifest: &Manifest, head: &AnchorHead, class_idx: &[Vec<u32>]) {
        let grid = &manifest.grid;
        let map = manifest.head.map_shape(grid);
        let turns = head.rotations_rad.map(math::sin_cos);
        self.params.step = AnchorHead::anchor_step_m(grid, map);
        self.params.has_bins = u32::from(head.yaw_code == YawCode::DirectionBins);
        self.params.code_size = head.code_size() as u32;
        self.params.direction_offset = head.direction_offset_rad;
        self.params.rotations = head.rotations_rad;
        self.params.rotation_sin = turns.map(|(sin, _)| sin);
        self.params.rotation_cos = turns.map(|(_, cos)| cos);
        for (group, classes) in head.groups.iter().zip(class_idx) {
            self.push_group(classes.len(), group.n_anchors(), anchors::tensors_per_group(head));
            self.classes.extend(group.classes.iter().zip(classes).map(|(class, class_idx)| {
                // Sizes, heights and headings are the same everywhere.
                let anchor = head.anchor(grid, map, class, 0, 0, 0);
                BoxClass {
                    size: anchor.size,
                    centre_z: anchor.center[2],
                    diagonal: diagonal(&anchor),
                    class_idx: *class_idx,
                }
            }));
        }
    }

    fn push_group(&mut self, n_classes: usize, n_per_cell: usize, n_tensors: usize) {
        self.groups.push(BoxGroup {
            n_flat: n_per_cell as u32 * self.params.n_cells,
            first_tensor: (self.groups.len() * n_tensors) as u32,
            first_class: self.classes.len() as u32,
            n_classes: n_classes as u32,
        });
    }

    /// The most boxes of a frame, over all scopes.
    pub fn max_detections(&self) -> usize {
        self.scopes.len() * self.params.max_boxes as usize
    }

    /// Every buffer, in the order of the fields of [`BoxesParams`] that point to them. The state of the
    /// frame is not among them.
    pub fn buffers(&self) -> Vec<Buffer> {
        let table = |name, element_bytes, n| Buffer { name, element_bytes, n, content: Content::Table };
        let any = |name, element_bytes, n| Buffer { name, element_bytes, n, content: Content::Any };
        let n_scopes = self.scopes.len();
        let [max_candidates, max_sorted, max_boxes, n_words] =
            [self.params.max_candidates, self.params.max_sorted, self.params.max_boxes, self.params.n_words]
                .map(|n| n as usize);
        let n_rows = n_words * OVERLAP_BLOCK as usize;
        vec![
            table("tensors", size_of::<DevicePtr>(), self.n_tensors),
            table("planes", size_of::<BoxPlane>(), self.planes.len()),
            table("scopes", size_of::<BoxScope>(), n_scopes),
            table("groups", size_of::<BoxGroup>(), self.groups.len()),
            table("classes", size_of::<BoxClass>(), self.classes.len()),
            Buffer { name: "n_found", element_bytes: 4, n: n_scopes, content: Content::Zeros },
            any("found", 8, self.n_found),
            any("n_best", 4, n_scopes),
            any("best", 8, n_scopes * max_sorted),
            any("decoded", size_of::<BoxDetection>(), n_scopes * max_candidates),
            any("rects", size_of::<Rect>(), n_scopes * max_candidates),
            any("bounds", 16, n_scopes * max_candidates),
            any("alive", 4, n_scopes * 2 * n_words),
            any("overlaps", 8, n_scopes * n_rows * n_words),
            any("n_kept", 4, n_scopes),
            any("kept", 4, n_scopes * max_boxes),
            any("detections", size_of::<BoxDetection>(), n_scopes * max_boxes),
        ]
    }

    /// The parameters of every kernel. `address` yields where a buffer lies, by name; `state` is that of
    /// the state of the frame.
    pub fn params(
        &self,
        state: DevicePtr,
        mut address: impl FnMut(&'static str) -> DevicePtr,
    ) -> BoxesParams {
        BoxesParams {
            state,
            tensors: address("tensors"),
            planes: address("planes"),
            scopes: address("scopes"),
            groups: address("groups"),
            classes: address("classes"),
            n_found: address("n_found"),
            found: address("found"),
            n_best: address("n_best"),
            best: address("best"),
            decoded: address("decoded"),
            rects: address("rects"),
            bounds: address("bounds"),
            alive: address("alive"),
            overlaps: address("overlaps"),
            n_kept: address("n_kept"),
            kept: address("kept"),
            detections: address("detections"),
            ..self.params
        }
    }

    /// The launches of a frame, in order.
    pub fn launches(&self) -> [Launch; 6] {
        let p = &self.params;
        let n_tiles = p.n_words * (p.n_words + 1) / 2;
        let launch = |entry, n_blocks| Launch { entry, n_blocks };
        [
            launch("boxes_sweep", self.planes.len() as u32 * p.n_cells.div_ceil(SWEEP_VALUES)),
            launch("boxes_select", p.n_scopes),
            launch("boxes_decode", p.n_scopes * p.max_candidates.div_ceil(BLOCK)),
            launch("boxes_overlap", p.n_scopes * n_tiles.min(MAX_OVERLAP_BLOCKS)),
            launch("boxes_reduce", p.n_scopes),
            launch("boxes_merge", (p.n_scopes * p.max_boxes).div_ceil(BLOCK)),
        ]
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
