//! The bird's-eye grid: which metres belong to which cell.

use crate::error::SpecError;
use serde::{Deserialize, Serialize};

/// The most cells a grid may have: a canvas index must fit `i32` on every device, times the
/// widest canvas (256 channels) that any published model uses.
pub const MAX_CELLS: u64 = (i32::MAX as u64) / 256;

/// A bird's-eye grid of square-sided cells over a half-open box of the sensor frame.
///
/// **Units and frame**: metres, sensor frame; x forward, y left, z up for KITTI-like sensors.
/// **Shapes**: `nx` cells along x, `ny` along y; a cell's flat index is `iy * nx + ix`.
/// **Source**: PointPillars (Lang et al. 2019), section 2.1; OpenPCDet's voxel generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "GridFields", into = "GridFields")]
pub struct Grid {
    min: [f32; 3],
    max: [f32; 3],
    cell: [f32; 2],
    nx: u32,
    ny: u32,
}

/// A grid as the manifest writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GridFields {
    range_min_m: [f32; 3],
    range_max_m: [f32; 3],
    cell_m: [f32; 2],
}

impl TryFrom<GridFields> for Grid {
    type Error = SpecError;
    fn try_from(fields: GridFields) -> Result<Self, SpecError> {
        Self::new(fields.range_min_m, fields.range_max_m, fields.cell_m)
    }
}

impl From<Grid> for GridFields {
    fn from(grid: Grid) -> Self {
        Self { range_min_m: grid.min, range_max_m: grid.max, cell_m: grid.cell }
    }
}

impl Grid {
    /// A grid over `[min, max)` with cells of `cell` metres.
    ///
    /// The number of cells is `round((max - min) / cell)`, as the field's voxelizers take it.
    ///
    /// **Errors**: a value that is not finite, an empty range, a cell that does not divide the
    /// range to within 1 % of a cell, or more than [`MAX_CELLS`] cells.
    pub fn new(min: [f32; 3], max: [f32; 3], cell: [f32; 2]) -> Result<Self, SpecError> {
        let numbers = min.iter().chain(&max).chain(&cell);
        if numbers.clone().any(|v| !v.is_finite()) {
            return Err(SpecError::out_of_range("grid", "a range or cell size is not finite"));
        }
        for (axis, name) in ["x", "y", "z"].iter().enumerate() {
            if min[axis] >= max[axis] {
                return Err(SpecError::out_of_range(
                    "grid.range_max_m",
                    format!("{name} range [{}, {}) is empty", min[axis], max[axis]),
                ));
            }
        }
        let nx = n_cells("x", min[0], max[0], cell[0])?;
        let ny = n_cells("y", min[1], max[1], cell[1])?;
        if u64::from(nx) * u64::from(ny) > MAX_CELLS {
            return Err(SpecError::out_of_range(
                "grid.cell_m",
                format!("{nx} x {ny} cells are more than {MAX_CELLS}"),
            ));
        }
        Ok(Self { min, max, cell, nx, ny })
    }

    /// Lower corner of the range in metres (inclusive).
    pub fn min(&self) -> [f32; 3] {
        self.min
    }

    /// Upper corner of the range in metres (exclusive).
    pub fn max(&self) -> [f32; 3] {
        self.max
    }

    /// Cell size along x and y in metres.
    pub fn cell(&self) -> [f32; 2] {
        self.cell
    }

    /// Cells along x.
    pub fn nx(&self) -> usize {
        self.nx as usize
    }

    /// Cells along y.
    pub fn ny(&self) -> usize {
        self.ny as usize
    }

    /// Cells of the whole grid.
    pub fn n_cells(&self) -> usize {
        self.nx() * self.ny()
    }

    /// Whether a point lies in the half-open range. NaN does not.
    #[inline]
    pub fn contains(&self, x: f32, y: f32, z: f32) -> bool {
        // Each comparison is written so that NaN makes it false.
        x >= self.min[0]
            && x < self.max[0]
            && y >= self.min[1]
            && y < self.max[1]
            && z >= self.min[2]
            && z < self.max[2]
    }

    /// Flat index of the cell that holds a point, or `None` outside of the half-open range.
    ///
    /// `floor((p - min) / cell)` with a true `f32` division: multiplying by the inverse moves
    /// points into neighbouring cells. A quotient that rounds up to the grid size although the
    /// point is below `max` is outside as well.
    #[inline]
    pub fn cell_of(&self, x: f32, y: f32, z: f32) -> Option<u32> {
        if !self.contains(x, y, z) {
            return None;
        }
        // Both quotients are finite and not negative here, so truncation is floor.
        let ix = ((x - self.min[0]) / self.cell[0]) as u32;
        let iy = ((y - self.min[1]) / self.cell[1]) as u32;
        (ix < self.nx && iy < self.ny).then(|| iy * self.nx + ix)
    }

    /// Centre of a cell in metres: `idx * cell + cell / 2 + min`, z of the middle of the range.
    #[inline]
    pub fn centre_of(&self, cell_idx: u32) -> [f32; 3] {
        let ix = (cell_idx % self.nx) as f32;
        let iy = (cell_idx / self.nx) as f32;
        let depth = self.max[2] - self.min[2];
        [
            ix * self.cell[0] + self.cell[0] / 2.0 + self.min[0],
            iy * self.cell[1] + self.cell[1] / 2.0 + self.min[1],
            depth / 2.0 + self.min[2],
        ]
    }
}

fn n_cells(axis: &str, min: f32, max: f32, cell: f32) -> Result<u32, SpecError> {
    if cell <= 0.0 {
        return Err(SpecError::out_of_range("grid.cell_m", format!("{axis} cell {cell} is not positive")));
    }
    let exact = (f64::from(max) - f64::from(min)) / f64::from(cell);
    let n = exact.round();
    if n < 2.0 || n > f64::from(u32::MAX) {
        return Err(SpecError::out_of_range(
            "grid.cell_m",
            format!("{axis} cell {cell} m makes {exact:.1} cells; at least 2 are needed"),
        ));
    }
    if (exact - n).abs() > 0.01 {
        return Err(SpecError::out_of_range(
            "grid.cell_m",
            format!("{axis} cell {cell} m does not divide [{min}, {max}): {exact:.3} cells"),
        ));
    }
    Ok(n as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kitti() -> Grid {
        Grid::new([0.0, -39.68, -3.0], [69.12, 39.68, 1.0], [0.16, 0.16]).unwrap()
    }

    fn waymo() -> Grid {
        Grid::new([-74.88, -74.88, -2.0], [74.88, 74.88, 4.0], [0.32, 0.32]).unwrap()
    }

    #[test]
    fn published_grids_have_their_published_size() {
        assert_eq!((kitti().nx(), kitti().ny()), (432, 496));
        let nuscenes = Grid::new([-51.2, -51.2, -5.0], [51.2, 51.2, 3.0], [0.2, 0.2]).unwrap();
        assert_eq!((nuscenes.nx(), nuscenes.ny()), (512, 512));
        assert_eq!((waymo().nx(), waymo().ny()), (468, 468));
    }

    #[test]
    fn ranges_are_half_open_to_the_last_float() {
        for grid in [kitti(), waymo()] {
            let ([x0, y0, z0], [x1, y1, z1]) = (grid.min(), grid.max());
            assert_eq!(grid.cell_of(x0, y0, z0), Some(0));
            assert_eq!(grid.cell_of(x0.next_down(), y0, z0), None);
            assert_eq!(grid.cell_of(x0, y0.next_down(), z0), None);
            assert_eq!(grid.cell_of(x0, y0, z0.next_down()), None);
            assert_eq!(grid.cell_of(x1, y0, z0), None);
            assert_eq!(grid.cell_of(x0, y1, z0), None);
            assert_eq!(grid.cell_of(x0, y0, z1), None);
            assert!(grid.cell_of(x0, y0, z1.next_down()).is_some());
        }
    }

    #[test]
    fn a_quotient_that_rounds_up_to_the_grid_size_is_outside() {
        // 76.799995 is below 76.8, yet (76.799995 + 76.8) / 0.32 is 480 in f32.
        let grid = Grid::new([-76.8, -76.8, -2.0], [76.8, 76.8, 4.0], [0.32, 0.32]).unwrap();
        let x = 76.799_995_f32;
        assert!(grid.contains(x, 0.0, 0.0));
        assert_eq!(((x + 76.8) / 0.32) as u32, 480);
        assert_eq!(grid.cell_of(x, 0.0, 0.0), None);
    }

    #[test]
    fn nan_and_infinity_are_in_no_cell() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(kitti().cell_of(bad, 0.0, 0.0), None);
            assert_eq!(kitti().cell_of(1.0, bad, 0.0), None);
            assert_eq!(kitti().cell_of(1.0, 0.0, bad), None);
        }
    }

    #[test]
    fn hostile_ranges_are_refused() {
        let ok = [1.0, 1.0];
        assert!(Grid::new([0.0; 3], [f32::NAN, 1.0, 1.0], ok).is_err());
        assert!(Grid::new([0.0; 3], [0.0, 1.0, 1.0], ok).is_err());
        assert!(Grid::new([0.0; 3], [10.0, 10.0, 1.0], [0.0, 1.0]).is_err());
        assert!(Grid::new([0.0; 3], [10.0, 10.0, 1.0], [3.0, 1.0]).is_err());
        assert!(Grid::new([0.0; 3], [1e9, 1e9, 1.0], [0.1, 0.1]).is_err());
    }

    proptest! {
        #[test]
        fn a_cell_centre_lies_in_its_own_cell(cell_idx in 0_u32..432 * 496) {
            for grid in [kitti(), waymo()] {
                let cell_idx = cell_idx % grid.n_cells() as u32;
                let [x, y, z] = grid.centre_of(cell_idx);
                prop_assert_eq!(grid.cell_of(x, y, z), Some(cell_idx));
            }
        }

        #[test]
        fn a_point_is_within_half_a_cell_of_its_cell_centre(
            x in 0.0_f32..69.12, y in -39.68_f32..39.68, z in -3.0_f32..1.0,
        ) {
            let grid = kitti();
            if let Some(cell_idx) = grid.cell_of(x, y, z) {
                let [cx, cy, _] = grid.centre_of(cell_idx);
                // Half a cell and the rounding of a coordinate near 70 m (2^-17 m) twice.
                prop_assert!((x - cx).abs() <= 0.08 + 2e-5, "{x} {cx}");
                prop_assert!((y - cy).abs() <= 0.08 + 2e-5, "{y} {cy}");
            }
        }
    }
}
