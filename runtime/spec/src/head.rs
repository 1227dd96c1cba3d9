//! Head: the raw tensors of the network, and what each of their numbers stands for.
//!
//! The network reads `canvas [1, C, ny, nx]` and writes a few tensors `[1, K, H, W]`, where
//! `H = ny / stride` and `W = nx / stride`. The **flat index** of a candidate, which breaks ties
//! in score, is defined per scope of suppression:
//!
//! - anchors: `((group_offset + (row * W + col) * A) + anchor) * n_classes + class`, with `A`
//!   anchors a location, and `group_offset` the anchors of all groups before;
//! - centres: `(class_in_task * H + row) * W + col`, tasks one after the other.

use crate::error::SpecError;
use crate::grid::Grid;
use serde::{Deserialize, Serialize};

/// Name of the network's input tensor.
pub const CANVAS_TENSOR: &str = "canvas";

/// How a head writes a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum YawCode {
    /// One residual, plus a two-bin classifier that says which way round (`dir` tensor).
    DirectionBins,
    /// Residuals of cosine and sine; no `dir` tensor.
    SinCos,
}

/// The layout of a network's outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HeadLayout {
    /// Boxes as residuals of anchors.
    Anchors(AnchorHead),
    /// Boxes at peaks of heat maps.
    Centers(CenterHead),
}

/// An SSD-like head: anchors at every location of the map.
///
/// Per group `g` with classes `c` and `A = 2 x classes` anchors (class-major, then rotation) the
/// network writes `cls_{g} [1, A * classes, H, W]` (channel `anchor * classes + class`, logits),
/// `box_{g} [1, A * code, H, W]` (channel `anchor * code + k`), and with
/// [`YawCode::DirectionBins`] `dir_{g} [1, A * 2, H, W]` (channel `anchor * 2 + bin`).
///
/// **Source**: OpenPCDet `AnchorHeadSingle`; its anchors start at the range's lower edge and are
/// `(max - min) / (n - 1)` apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorHead {
    /// Canvas cells per step of the map.
    pub stride: u32,
    /// How headings are coded.
    pub yaw_code: YawCode,
    /// Whether the code ends with a velocity `[vx, vy]` in m/s.
    #[serde(default)]
    pub velocity: bool,
    /// Lower edge of the first direction bin in radians.
    pub direction_offset_rad: f32,
    /// The two anchor headings in radians.
    pub rotations_rad: [f32; 2],
    /// Groups of classes, each with its own tensors.
    pub groups: Vec<AnchorGroup>,
}

/// Classes that share the tensors of an anchor head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorGroup {
    /// The classes in channel order.
    pub classes: Vec<AnchorClass>,
}

/// The anchor of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorClass {
    /// Name, one of the manifest's classes.
    pub name: String,
    /// `[length, width, height]` in metres.
    pub size_m: [f32; 3],
    /// Height of the anchor's bottom face in metres.
    pub bottom_m: f32,
}

/// A CenterPoint head.
///
/// Per task `t` with `n` classes the network writes `hm_{t} [1, n, H, W]` (logits),
/// `center_{t} [1, 2, H, W]` (offset in map cells), `center_z_{t} [1, 1, H, W]` (metres),
/// `dim_{t} [1, 3, H, W]` (log of l, w, h), `rot_{t} [1, 2, H, W]` (cosine, sine) and, with
/// velocity, `vel_{t} [1, 2, H, W]` (m/s).
///
/// **Source**: CenterPoint (Yin et al. 2021); OpenPCDet `CenterHead`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterHead {
    /// Canvas cells per step of the map.
    pub stride: u32,
    /// Whether there is a `vel` tensor.
    #[serde(default)]
    pub velocity: bool,
    /// Centres outside of this box are dropped: `[x, y, z]` lower corner in metres (inclusive).
    pub center_min_m: [f32; 3],
    /// Upper corner in metres (inclusive).
    pub center_max_m: [f32; 3],
    /// Tasks, each with its own tensors.
    pub tasks: Vec<CenterTask>,
}

/// Classes that share the tensors of a centre head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterTask {
    /// Class names in channel order, of the manifest's classes.
    pub classes: Vec<String>,
}

/// Name and shape of one output tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the ONNX graph.
    pub name: String,
    /// `[channels, H, W]` (the batch of one stands before).
    pub shape: [usize; 3],
}

impl TensorSpec {
    fn new(name: String, n_channels: usize, [h, w]: [usize; 2]) -> Self {
        Self { name, shape: [n_channels, h, w] }
    }

    /// Values in the tensor.
    pub fn n_values(&self) -> usize {
        self.shape.iter().product()
    }
}

impl AnchorHead {
    /// Values of one box code: 7, or 8 with sine and cosine, and 2 more with velocity.
    pub fn code_size(&self) -> usize {
        7 + usize::from(self.yaw_code == YawCode::SinCos) + 2 * usize::from(self.velocity)
    }
}

impl AnchorGroup {
    /// Anchors at every location: one per class and rotation.
    pub fn n_anchors(&self) -> usize {
        2 * self.classes.len()
    }
}

impl HeadLayout {
    /// Canvas cells per step of the map.
    pub fn stride(&self) -> usize {
        match self {
            Self::Anchors(head) => head.stride as usize,
            Self::Centers(head) => head.stride as usize,
        }
    }

    /// `[H, W]` of every output on a grid.
    pub fn map_shape(&self, grid: &Grid) -> [usize; 2] {
        let stride = self.stride().max(1);
        [grid.ny() / stride, grid.nx() / stride]
    }

    /// Class names of every group or task, in channel order.
    pub fn groups(&self) -> Vec<Vec<&str>> {
        match self {
            Self::Anchors(head) => {
                head.groups.iter().map(|g| g.classes.iter().map(|c| c.name.as_str()).collect()).collect()
            }
            Self::Centers(head) => {
                head.tasks.iter().map(|t| t.classes.iter().map(String::as_str).collect()).collect()
            }
        }
    }

    /// Whether boxes carry a velocity.
    pub fn has_velocity(&self) -> bool {
        match self {
            Self::Anchors(head) => head.velocity,
            Self::Centers(head) => head.velocity,
        }
    }

    /// Output tensors on a grid, group by group: `cls, box[, dir]` or
    /// `hm, center, center_z, dim, rot[, vel]`. Every backend binds them in this order.
    pub fn tensors(&self, grid: &Grid) -> Vec<TensorSpec> {
        let map = self.map_shape(grid);
        let mut tensors = Vec::new();
        match self {
            Self::Anchors(head) => {
                for (g, group) in head.groups.iter().enumerate() {
                    let a = group.n_anchors();
                    tensors.push(TensorSpec::new(format!("cls_{g}"), a * group.classes.len(), map));
                    tensors.push(TensorSpec::new(format!("box_{g}"), a * head.code_size(), map));
                    if head.yaw_code == YawCode::DirectionBins {
                        tensors.push(TensorSpec::new(format!("dir_{g}"), a * 2, map));
                    }
                }
            }
            Self::Centers(head) => {
                for (t, task) in head.tasks.iter().enumerate() {
                    tensors.push(TensorSpec::new(format!("hm_{t}"), task.classes.len(), map));
                    for (name, n) in [("center", 2), ("center_z", 1), ("dim", 3), ("rot", 2)] {
                        tensors.push(TensorSpec::new(format!("{name}_{t}"), n, map));
                    }
                    if head.velocity {
                        tensors.push(TensorSpec::new(format!("vel_{t}"), 2, map));
                    }
                }
            }
        }
        tensors
    }

    pub(crate) fn validate(&self, grid: &Grid, classes: &[String]) -> Result<(), SpecError> {
        let stride = self.stride();
        let divides = |n_cells: usize| n_cells.is_multiple_of(stride);
        if !(1..=16).contains(&stride) || !divides(grid.nx()) || !divides(grid.ny()) {
            return Err(SpecError::mismatch(
                "head.stride",
                format!("{stride} does not divide the grid of {} x {} cells", grid.nx(), grid.ny()),
            ));
        }
        let [h, w] = self.map_shape(grid);
        if h < 2 || w < 2 {
            return Err(SpecError::out_of_range("head.stride", format!("leaves a map of {w} x {h}")));
        }
        let groups = self.groups();
        let mut named: Vec<&str> = groups.iter().flatten().copied().collect();
        if groups.iter().any(Vec::is_empty) || named.is_empty() {
            return Err(SpecError::mismatch("head", "a group has no classes"));
        }
        named.sort_unstable();
        let mut listed: Vec<&str> = classes.iter().map(String::as_str).collect();
        listed.sort_unstable();
        if named != listed {
            return Err(SpecError::mismatch(
                "head",
                format!("its classes {named:?} are not the manifest's {listed:?}"),
            ));
        }
        match self {
            Self::Anchors(head) => {
                let numbers = head.rotations_rad.iter().chain([&head.direction_offset_rad]);
                let anchors = head.groups.iter().flat_map(|g| &g.classes);
                let sizes_ok = anchors.clone().all(|c| c.size_m.iter().all(|v| *v > 0.0 && *v < 100.0));
                let bottoms_ok = anchors.clone().all(|c| c.bottom_m.is_finite());
                if !(sizes_ok && bottoms_ok && numbers.clone().all(|v| v.is_finite())) {
                    return Err(SpecError::out_of_range("head.groups", "an anchor is not a box of metres"));
                }
            }
            Self::Centers(head) => {
                let ordered = (0..3).all(|k| head.center_min_m[k] < head.center_max_m[k]);
                if !ordered {
                    return Err(SpecError::out_of_range("head.center_max_m", "centre range is empty"));
                }
            }
        }
        Ok(())
    }
}
