//! Pillars on the CPU: one pass that counts, one that fills.

use super::Pillars;
use pilotis_spec::{FrameFlags, FrameReport, Grid, PillarsSpec, Point};

/// Marks a cell without a pillar, and a point that reached none.
const NONE: u32 = u32::MAX;

/// The stage with all its memory.
#[derive(Debug)]
pub struct PillarsStage {
    max_pillars: usize,
    point_cap: u32,
    max_points: usize,
    /// Pillar of every cell; all `NONE` between frames but for the cells of the last one.
    pillar_at: Vec<u32>,
    /// One bit a cell, set where a pillar stands; all clear between frames.
    occupied: Vec<u64>,
    pillar_of_point: Vec<u32>,
    cells: Vec<u32>,
    counts: Vec<u32>,
    starts: Vec<u32>,
    point_idx: Vec<u32>,
    by_cell: Vec<u32>,
}

impl PillarsStage {
    /// Allocates for frames of up to `max_points` points.
    ///
    /// **Allocation**: all of it here; 4 bytes a cell, 8 a point, 16 a pillar.
    pub fn build(spec: &PillarsSpec, grid: &Grid, max_points: u32) -> Self {
        let max_pillars = spec.max_pillars as usize;
        Self {
            max_pillars,
            point_cap: spec.point_cap(max_points),
            max_points: max_points as usize,
            pillar_at: vec![NONE; grid.n_cells()],
            occupied: vec![0; grid.n_cells().div_ceil(64)],
            pillar_of_point: Vec::with_capacity(max_points as usize),
            cells: Vec::with_capacity(max_pillars),
            counts: Vec::with_capacity(max_pillars),
            starts: Vec::with_capacity(max_pillars + 1),
            point_idx: vec![0; max_points as usize],
            by_cell: Vec::with_capacity(max_pillars),
        }
    }

    /// Groups points by cell.
    ///
    /// **At capacity**: a new pillar beyond `max_pillars` and a point beyond its pillar's cap are
    /// dropped and counted; points of known pillars are still taken. Points past the frame's
    /// capacity, which the points stage never passes on, are dropped and counted as well.
    /// **Allocation**: none. **Determinism**: by definition; see [`PillarsSpec`].
    pub fn run(&mut self, points: &[Point], grid: &Grid, report: &mut FrameReport) -> Pillars<'_> {
        self.forget_last_frame();
        let points = match points.get(..self.max_points) {
            Some(taken) => {
                report.dropped_over_capacity += (points.len() - self.max_points) as u32;
                taken
            }
            None => points,
        };
        self.count(points, grid, report);
        self.fill();
        self.sort_by_cell();
        report.n_pillars = self.cells.len() as u32;
        report.n_points_kept = self.starts.last().copied().unwrap_or(0);
        // A full hard pillar is its definition at work, near the sensor in every sweep: counted, but
        // no condition to flag.
        if report.dropped_no_pillar > 0 {
            report.flags.insert(FrameFlags::OVER_CAPACITY);
        }
        self.last()
    }

    /// The pillars of the last frame.
    pub fn last(&self) -> Pillars<'_> {
        let n_points = self.starts.last().copied().unwrap_or(0) as usize;
        Pillars {
            cells: &self.cells,
            starts: &self.starts,
            point_idx: self.point_idx.get(..n_points).unwrap_or(&[]),
            by_cell: &self.by_cell,
        }
    }

    /// Clears what the last frame touched, never the whole grid.
    fn forget_last_frame(&mut self) {
        for cell in &self.cells {
            if let Some(at) = self.pillar_at.get_mut(*cell as usize) {
                *at = NONE;
            }
        }
        self.cells.clear();
        self.counts.clear();
        self.starts.clear();
        self.by_cell.clear();
        self.pillar_of_point.clear();
    }

    /// First pass: the pillar of every point that gets a place, and how many each pillar has.
    fn count(&mut self, points: &[Point], grid: &Grid, report: &mut FrameReport) {
        for p in points {
            let pillar = match grid.cell_of(p.x, p.y, p.z) {
                // Only a quotient that rounds up to the grid's size comes here: the points stage
                // has tested the range.
                None => {
                    report.dropped_out_of_range += 1;
                    NONE
                }
                Some(cell) => self.place(cell, report),
            };
            self.pillar_of_point.push(pillar);
        }
    }

    /// The pillar in which a point of `cell` gets a place, or `NONE` with the reason counted.
    #[inline]
    fn place(&mut self, cell: u32, report: &mut FrameReport) -> u32 {
        let Some(at) = self.pillar_at.get_mut(cell as usize) else {
            report.dropped_out_of_range += 1;
            return NONE;
        };
        if *at == NONE {
            if self.cells.len() == self.max_pillars {
                report.dropped_no_pillar += 1;
                return NONE;
            }
            *at = self.cells.len() as u32;
            self.cells.push(cell);
            self.counts.push(0);
            if let Some(word) = self.occupied.get_mut(cell as usize / 64) {
                *word |= 1 << (cell % 64);
            }
        }
        let pillar = *at;
        match self.counts.get_mut(pillar as usize) {
            Some(count) if *count < self.point_cap => {
                *count += 1;
                pillar
            }
            _ => {
                report.dropped_pillar_full += 1;
                NONE
            }
        }
    }

    /// Second pass: point indices, pillar by pillar.
    fn fill(&mut self) {
        let mut start = 0;
        for count in &mut self.counts {
            self.starts.push(start);
            start += *count;
            // From here on the count is the place of the pillar's next point.
            *count = start - *count;
        }
        self.starts.push(start);
        for (i, pillar) in self.pillar_of_point.iter().enumerate() {
            if let Some(next) = self.counts.get_mut(*pillar as usize) {
                if let Some(slot) = self.point_idx.get_mut(*next as usize) {
                    *slot = i as u32;
                }
                *next += 1;
            }
        }
    }

    /// Walks the occupancy bits, clearing them: a sort that costs one look at each word.
    fn sort_by_cell(&mut self) {
        if self.cells.is_empty() {
            return;
        }
        for (w, word) in self.occupied.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                let cell = w * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(pillar) = self.pillar_at.get(cell) {
                    self.by_cell.push(*pillar);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::{OverflowPolicy, PillarMode};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn grid() -> Grid {
        Grid::new([0.0, -4.0, -3.0], [8.0, 4.0, 1.0], [0.5, 0.5]).unwrap()
    }

    fn spec(mode: PillarMode, cap: u32, max_pillars: u32) -> PillarsSpec {
        PillarsSpec { mode, max_points_per_pillar: cap, max_pillars, overflow: OverflowPolicy::First }
    }

    fn at(x: f32, y: f32) -> Point {
        Point { x, y, z: -1.0, intensity: 0.0, time_lag: 0.0 }
    }

    type Grouped = Vec<(u32, Vec<u32>)>;

    fn grouped(pillars: &Pillars<'_>) -> Grouped {
        (0..pillars.len()).map(|i| (pillars.cells()[i], pillars.points_of(i).to_vec())).collect()
    }

    /// The definition, word for word, with nothing clever in it.
    fn reference(points: &[Point], grid: &Grid, cap: usize, max_pillars: usize) -> Grouped {
        let mut known: HashMap<u32, usize> = HashMap::new();
        let mut pillars: Grouped = Vec::new();
        for (i, p) in points.iter().enumerate() {
            let Some(cell) = grid.cell_of(p.x, p.y, p.z) else { continue };
            let pillar = match known.get(&cell) {
                Some(pillar) => *pillar,
                None if pillars.len() < max_pillars => {
                    known.insert(cell, pillars.len());
                    pillars.push((cell, Vec::new()));
                    pillars.len() - 1
                }
                None => continue,
            };
            if pillars[pillar].1.len() < cap {
                pillars[pillar].1.push(i as u32);
            }
        }
        pillars
    }

    #[test]
    fn pillars_stand_in_order_of_first_occurrence() {
        let mut stage = PillarsStage::build(&spec(PillarMode::Hard, 2, 10), &grid(), 100);
        let points = [at(5.0, 0.0), at(1.0, 1.0), at(5.1, 0.1), at(1.2, 1.2), at(1.3, 1.3)];
        let mut report = FrameReport::default();
        let pillars = stage.run(&points, &grid(), &mut report);
        let cell = |p: &Point| grid().cell_of(p.x, p.y, p.z).unwrap();
        assert_eq!(grouped(&pillars), vec![(cell(&points[0]), vec![0, 2]), (cell(&points[1]), vec![1, 3])]);
        assert_eq!((report.n_pillars, report.n_points_kept, report.dropped_pillar_full), (2, 4, 1));
        assert!(!report.flags.contains(FrameFlags::OVER_CAPACITY));
    }

    #[test]
    fn a_full_table_refuses_new_pillars_and_serves_known_ones() {
        let mut stage = PillarsStage::build(&spec(PillarMode::Dynamic, 0, 1), &grid(), 100);
        let mut report = FrameReport::default();
        let pillars = stage.run(&[at(0.1, 0.1), at(3.0, 3.0), at(0.2, 0.2)], &grid(), &mut report);
        assert_eq!(pillars.points_of(0), &[0, 2]);
        assert_eq!(report.dropped_no_pillar, 1);
        assert!(report.flags.contains(FrameFlags::OVER_CAPACITY));
    }

    #[test]
    fn points_past_the_frame_capacity_are_counted() {
        let mut stage = PillarsStage::build(&spec(PillarMode::Dynamic, 0, 8), &grid(), 2);
        let mut report = FrameReport::default();
        stage.run(&[at(0.1, 0.1), at(3.0, 3.0), at(0.2, 0.2)], &grid(), &mut report);
        assert_eq!((report.n_points_kept, report.dropped_over_capacity), (2, 1));
    }

    #[test]
    fn a_quotient_past_the_grid_is_counted_as_out_of_range() {
        let grid = Grid::new([-76.8, -76.8, -2.0], [76.8, 76.8, 4.0], [0.32, 0.32]).unwrap();
        let mut stage = PillarsStage::build(&spec(PillarMode::Hard, 4, 8), &grid, 8);
        let mut report = FrameReport::default();
        let pillars = stage.run(&[at(76.799_995, 0.0)], &grid, &mut report);
        assert!(pillars.is_empty());
        assert_eq!(report.dropped_out_of_range, 1);
    }

    proptest! {
        #[test]
        fn frames_are_the_definition_whatever_came_before(
            clouds in prop::collection::vec(
                prop::collection::vec((-1.0_f32..9.0, -5.0_f32..5.0, -4.0_f32..2.0), 0..400), 1..4),
            cap in 1_u32..5, max_pillars in 1_u32..80, dynamic in any::<bool>(),
        ) {
            let mode = if dynamic { PillarMode::Dynamic } else { PillarMode::Hard };
            let mut stage = PillarsStage::build(&spec(mode, cap, max_pillars), &grid(), 400);
            for cloud in clouds {
                let points: Vec<Point> = cloud
                    .iter()
                    .map(|(x, y, z)| Point { x: *x, y: *y, z: *z, ..Point::default() })
                    .collect();
                let mut report = FrameReport::default();
                let pillars = stage.run(&points, &grid(), &mut report);
                let cap = if dynamic { 400 } else { cap as usize };
                prop_assert_eq!(grouped(&pillars), reference(&points, &grid(), cap, max_pillars as usize));
                let mut sorted = pillars.cells().to_vec();
                sorted.sort_unstable();
                let walked: Vec<u32> = pillars.by_cell().iter().map(|p| pillars.cells()[*p as usize]).collect();
                prop_assert_eq!(walked, sorted);
                let dropped = report.dropped_out_of_range + report.dropped_no_pillar + report.dropped_pillar_full;
                prop_assert_eq!(report.n_points_kept + dropped, points.len() as u32);
            }
        }
    }
}
