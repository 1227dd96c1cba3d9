//! Suppression: of boxes that overlap, only the best stays.

use super::iou::Rect;
use pilotis_spec::Box3d;

/// Edge of a cell of the index in metres, about a car's width: a query meets few cells, a cell
/// few boxes.
const CELL_M: f64 = 2.5;
/// Cells along an axis at most; larger ranges get larger cells.
const MAX_CELLS_AXIS: usize = 64;
/// Boxes that reach further than this from their centre along an axis stand in a list of their
/// own, so that one truck does not widen every query.
const WIDE_M: f64 = 4.0;
/// End of a list.
const NONE: u32 = u32::MAX;

/// What one suppression counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NmsCounts {
    /// Boxes above the threshold with a kept one.
    pub n_suppressed: u32,
    /// Boxes that no kept one suppresses, and for which there was no room.
    pub dropped_boxes: u32,
}

/// Greedy suppression by rotated BEV IoU, its index of kept boxes allocated once.
///
/// **Allocation**: in [`Nms::build`] only.
#[derive(Debug)]
pub struct Nms {
    iou: f64,
    max_boxes: usize,
    /// Kept boxes, and where they stand in the input.
    rects: Vec<Rect>,
    kept: Vec<u32>,
    /// Next kept box of the same cell.
    next: Vec<u32>,
    /// First kept box of every cell.
    heads: Vec<u32>,
    /// Kept boxes that reach far.
    wide: Vec<u32>,
    /// The farthest that any box of a cell reaches from its centre, along x and y.
    reach: [f64; 2],
    origin: [f64; 2],
    cells_per_m: [f64; 2],
    n_cells: [usize; 2],
}

impl Nms {
    /// A suppression that keeps at most `max_boxes`.
    ///
    /// `min_m` and `max_m` bound where boxes are expected, in metres along x and y; boxes
    /// elsewhere are treated the same, only slower.
    pub fn build(min_m: [f32; 2], max_m: [f32; 2], max_boxes: usize, iou: f32) -> Self {
        let extent = [0, 1].map(|k| (f64::from(max_m[k]) - f64::from(min_m[k])).max(CELL_M));
        let n_cells = extent.map(|e| ((e / CELL_M) as usize).clamp(1, MAX_CELLS_AXIS));
        Self {
            iou: f64::from(iou),
            max_boxes,
            rects: Vec::with_capacity(max_boxes),
            kept: Vec::with_capacity(max_boxes),
            next: Vec::with_capacity(max_boxes),
            heads: vec![NONE; n_cells[0] * n_cells[1]],
            wide: Vec::with_capacity(max_boxes),
            reach: [0.0; 2],
            origin: min_m.map(f64::from),
            cells_per_m: [n_cells[0] as f64 / extent[0], n_cells[1] as f64 / extent[1]],
            n_cells,
        }
    }

    /// Goes through boxes from best to worst and keeps each that overlaps no kept one by more
    /// than the threshold. [`Nms::kept`] then has the answer.
    ///
    /// **At capacity**: once `max_boxes` are kept, the rest is still compared with them: what
    /// they suppress counts as suppressed, anything else as dropped. So the counts and the kept
    /// add up to the input, and the work stays below `boxes x max_boxes` comparisons whatever
    /// the boxes are.
    /// **Allocation**: none. **Determinism**: kept boxes depend on the boxes and their order only;
    /// the index decides which comparisons are skipped, never what one yields.
    pub fn run(&mut self, boxes: &[Box3d]) -> NmsCounts {
        self.rects.clear();
        self.kept.clear();
        self.next.clear();
        self.wide.clear();
        self.heads.fill(NONE);
        self.reach = [0.0; 2];
        let mut counts = NmsCounts::default();
        for (i, bbox) in boxes.iter().enumerate() {
            let rect = Rect::new(bbox);
            if self.is_suppressed(&rect) {
                counts.n_suppressed += 1;
            } else if self.kept.len() >= self.max_boxes {
                counts.dropped_boxes += 1;
            } else {
                self.keep(i as u32, &rect);
            }
        }
        counts
    }

    /// Positions of the kept boxes in the last input, best first.
    pub fn kept(&self) -> &[u32] {
        &self.kept
    }

    fn is_suppressed(&self, rect: &Rect) -> bool {
        if !rect.is_finite() {
            return false;
        }
        let (from, to) = self.cells_around(rect);
        let n_cells = (to[0] - from[0] + 1) * (to[1] - from[1] + 1);
        if n_cells + self.wide.len() >= self.rects.len() {
            // Walking the cells would take longer than asking every box.
            return self.rects.iter().any(|kept| kept.overlaps_above(rect, self.iou));
        }
        if self.wide.iter().any(|k| self.overlaps(*k, rect)) {
            return true;
        }
        for row in from[1]..=to[1] {
            let heads = self.heads.get(row * self.n_cells[0] + from[0]..=row * self.n_cells[0] + to[0]);
            for head in heads.unwrap_or_default() {
                let mut at = *head;
                while let Some(next) = self.next.get(at as usize) {
                    if self.overlaps(at, rect) {
                        return true;
                    }
                    at = *next;
                }
            }
        }
        false
    }

    #[inline]
    fn overlaps(&self, kept: u32, rect: &Rect) -> bool {
        self.rects.get(kept as usize).is_some_and(|kept| kept.overlaps_above(rect, self.iou))
    }

    fn keep(&mut self, box_idx: u32, rect: &Rect) {
        let slot = self.rects.len() as u32;
        self.rects.push(*rect);
        self.kept.push(box_idx);
        self.next.push(NONE);
        if !rect.is_finite() {
            // It overlaps nothing: no list needs it.
            return;
        }
        let (center, min, max) = (rect.center(), rect.min(), rect.max());
        let reach = [0, 1].map(|k| (center[k] - min[k]).max(max[k] - center[k]).next_up());
        if reach[0] > WIDE_M || reach[1] > WIDE_M {
            self.wide.push(slot);
            return;
        }
        self.reach = [self.reach[0].max(reach[0]), self.reach[1].max(reach[1])];
        let cell = self.cell(1, center[1]) * self.n_cells[0] + self.cell(0, center[0]);
        if let (Some(head), Some(next)) = (self.heads.get_mut(cell), self.next.last_mut()) {
            *next = *head;
            *head = slot;
        }
    }

    /// The cells where a box stands whose bounds meet these: one step of rounding is added on
    /// every side, and [`Nms::cell`] never decreases, so none is missed.
    fn cells_around(&self, rect: &Rect) -> ([usize; 2], [usize; 2]) {
        let (min, max) = (rect.min(), rect.max());
        let from = [0, 1].map(|k| self.cell(k, (min[k] - self.reach[k]).next_down()));
        let to = [0, 1].map(|k| self.cell(k, (max[k] + self.reach[k]).next_up()));
        (from, to)
    }

    /// The cell of a coordinate; border cells hold everything beyond.
    fn cell(&self, axis: usize, v: f64) -> usize {
        // The cast saturates: below the origin is 0, NaN is 0.
        let at = ((v - self.origin[axis & 1]) * self.cells_per_m[axis & 1]) as usize;
        at.min(self.n_cells[axis & 1] - 1)
    }
}

#[cfg(test)]
#[path = "nms_tests.rs"]
mod tests;
