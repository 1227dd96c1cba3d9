//! BEV on the CPU: encode each pillar and set it down on the canvas, in the order of cells.

use super::PillarFrame;
use super::dense::{self, Dense, Isa, Pass};
use crate::error::{BuildError, BuildErrorKind};
use crate::package::LinearWeights;
use crate::pillars::Pillars;
use pilotis_spec::bev::MAX_FEATURES;
use pilotis_spec::{EncoderSpec, Grid, PillarsSpec, Point, Stage};

/// Rows decorated at a time; pillars with more are walked in pieces.
const ROWS: usize = 64;

/// One folded linear layer of the encoder: weights `[n_in][n_out]`, row-major, and bias.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// Inputs.
    pub n_in: usize,
    /// Outputs.
    pub n_out: usize,
    /// `weights[i * n_out + o]`.
    pub weights: Vec<f32>,
    /// One an output.
    pub bias: Vec<f32>,
}

impl From<&LinearWeights> for LayerWeights {
    fn from(w: &LinearWeights) -> Self {
        Self { n_in: w.n_in, n_out: w.n_out, weights: w.weight.clone(), bias: w.bias.clone() }
    }
}

/// The stage with all its memory.
#[derive(Debug)]
pub struct BevStage {
    spec: EncoderSpec,
    pillars: PillarsSpec,
    isa: Isa,
    first: Dense,
    second: Option<Dense>,
    scratch: Scratch,
    /// Channels of every pillar, packed, in the order of cells.
    encoded: Vec<f32>,
    /// Cells of this frame, of the one before, and those of the latter that must be cleared; all
    /// ascending.
    cells: Vec<u32>,
    last_cells: Vec<u32>,
    stale: Vec<u32>,
}

#[derive(Debug)]
struct Scratch {
    rows: Vec<f32>,
    hidden: Vec<f32>,
    shared: Vec<f32>,
    base: Vec<f32>,
}

impl BevStage {
    /// Packs the weights and allocates.
    ///
    /// **Errors**: layers whose shapes are not those of `spec`.
    pub fn build(
        spec: &EncoderSpec,
        pillars: &PillarsSpec,
        layers: &[LayerWeights],
    ) -> Result<Self, BuildError> {
        let shapes = spec.linear_shapes();
        let misfit = |i: usize| {
            let message = format!("encoder layer {i} does not have the manifest's shape {:?}", shapes.get(i));
            BuildError::new(BuildErrorKind::Mismatch, message).at(Stage::Bev)
        };
        let mut packed = Vec::with_capacity(2);
        for (i, layer) in layers.iter().enumerate() {
            if shapes.get(i) != Some(&(layer.n_in, layer.n_out)) {
                return Err(misfit(i));
            }
            packed.push(Dense::pack(&layer.weights, &layer.bias, layer.n_in).ok_or_else(|| misfit(i))?);
        }
        let mut packed = packed.into_iter();
        let (Some(first), second, None) = (packed.next(), packed.next(), packed.next()) else {
            return Err(misfit(0));
        };
        if 1 + usize::from(second.is_some()) != shapes.len() {
            return Err(misfit(layers.len()));
        }
        let n_hidden = if second.is_some() { first.n_out() } else { 0 };
        let max_pillars = pillars.max_pillars as usize;
        Ok(Self {
            scratch: Scratch {
                rows: vec![0.0; ROWS * MAX_FEATURES],
                hidden: vec![0.0; ROWS * n_hidden],
                shared: vec![0.0; n_hidden],
                base: vec![0.0; second.as_ref().map_or(0, Dense::n_out)],
            },
            encoded: vec![0.0; max_pillars * spec.n_channels()],
            cells: Vec::with_capacity(max_pillars),
            last_cells: Vec::with_capacity(max_pillars),
            stale: Vec::with_capacity(max_pillars),
            spec: spec.clone(),
            pillars: pillars.clone(),
            isa: Isa::detect(),
            first,
            second,
        })
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Uses another instruction set; the bits stay the same.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }

    /// Encodes the pillars and writes them to the canvas `[C, ny, nx]`, clearing the cells of
    /// the frame before, whose canvas it must be. The rest is not touched and must be zero.
    ///
    /// **Allocation**: none. **Determinism**: the same bits on every processor.
    pub fn run(&mut self, points: &[Point], pillars: &Pillars<'_>, grid: &Grid, canvas: &mut [f32]) {
        std::mem::swap(&mut self.cells, &mut self.last_cells);
        self.cells.clear();
        let n_channels = self.spec.n_channels();
        let Self { spec, pillars: pillars_spec, isa, first, second, scratch, encoded, cells, .. } = self;
        let encoder = Encoder { spec, pillars: pillars_spec, isa: *isa, first, second: second.as_ref() };
        for (pillar, out) in pillars.by_cell().iter().zip(encoded.chunks_exact_mut(n_channels)) {
            let pillar = *pillar as usize;
            let Some(cell) = pillars.cells().get(pillar) else { continue };
            let frame = PillarFrame::of(points, pillars, pillar, grid);
            encoder.encode(&frame, pillars.points_of(pillar).len(), scratch, out);
            cells.push(*cell);
        }
        self.set_down(grid.n_cells(), canvas);
    }

    /// Channels of every pillar of the last frame, packed, and their cells in ascending order.
    pub fn encoded(&self) -> (&[u32], &[f32]) {
        let n = self.cells.len() * self.spec.n_channels();
        (&self.cells, self.encoded.get(..n).unwrap_or(&[]))
    }

    /// Cells of the last frame in which nothing stands now: the others are written over.
    fn find_stale(&mut self) {
        self.stale.clear();
        let mut now = self.cells.iter().peekable();
        for cell in &self.last_cells {
            while now.next_if(|n| *n < cell).is_some() {}
            if now.peek() != Some(&cell) {
                self.stale.push(*cell);
            }
        }
    }

    /// Writes a few planes at a time, walking each forwards.
    fn set_down(&mut self, n_cells: usize, canvas: &mut [f32]) {
        // As many as a cache line of encoded channels holds.
        const PLANES: usize = 16;
        self.find_stale();
        let n_channels = self.spec.n_channels();
        for (g, planes) in canvas.chunks_mut(PLANES * n_cells).enumerate() {
            for plane in planes.chunks_exact_mut(n_cells) {
                for cell in &self.stale {
                    if let Some(value) = plane.get_mut(*cell as usize) {
                        *value = 0.0;
                    }
                }
            }
            for (cell, channels) in self.cells.iter().zip(self.encoded.chunks_exact(n_channels)) {
                let values = channels.get(g * PLANES..).unwrap_or(&[]);
                for (plane, value) in planes.chunks_exact_mut(n_cells).zip(values) {
                    if let Some(slot) = plane.get_mut(*cell as usize) {
                        *slot = *value;
                    }
                }
            }
        }
    }
}

/// The read-only half of the stage.
struct Encoder<'a> {
    spec: &'a EncoderSpec,
    pillars: &'a PillarsSpec,
    isa: Isa,
    first: &'a Dense,
    second: Option<&'a Dense>,
}

impl Encoder<'_> {
    /// The channels of one pillar.
    #[inline]
    fn encode(&self, frame: &PillarFrame<'_>, n_points: usize, scratch: &mut Scratch, out: &mut [f32]) {
        let padded = self.pillars.is_padded(n_points as u32);
        let Scratch { rows, hidden, shared, base } = scratch;
        match self.second {
            None => {
                start_max(out, padded, self.first.bias());
                self.each_rows(frame, rows, |rows| self.pass(self.first, rows, 0, &[], &mut [], out));
            }
            Some(second) => {
                start_max(shared, padded, self.first.bias());
                self.each_rows(frame, rows, |rows| self.pass(self.first, rows, 0, &[], &mut [], shared));
                shared.iter_mut().for_each(|v| *v = dense::relu(*v));
                // The half of the second layer's input that all rows share is summed once.
                base.fill(f32::NEG_INFINITY);
                self.pass(second, shared, self.first.n_out(), &[], &mut [], base);
                out.fill(f32::NEG_INFINITY);
                if padded {
                    let zero_row = hidden.get_mut(..self.first.n_out()).unwrap_or(&mut []);
                    let biases = zero_row.iter_mut().zip(self.first.bias());
                    biases.for_each(|(h, b)| *h = dense::relu(*b));
                    self.pass(second, zero_row, 0, base, &mut [], out);
                }
                self.each_rows(frame, rows, |rows| {
                    let n_rows = rows.len() / self.first.n_in();
                    let hidden = hidden.get_mut(..n_rows * self.first.n_out()).unwrap_or(&mut []);
                    // `shared` is the maximum of these very rows already, so it does not change.
                    self.pass(self.first, rows, 0, &[], hidden, shared);
                    self.pass(second, hidden, 0, base, &mut [], out);
                });
            }
        }
        out.iter_mut().for_each(|v| *v = dense::relu(*v));
    }

    fn pass(
        &self,
        layer: &Dense,
        rows: &[f32],
        first_weight: usize,
        base: &[f32],
        out_rows: &mut [f32],
        max: &mut [f32],
    ) {
        // Second layers see one half of their inputs at a time.
        let n_used = if std::ptr::eq(layer, self.first) { layer.n_in() } else { layer.n_in() / 2 };
        dense::run(self.isa, layer, Pass { rows, n_used, first_weight, base, out_rows, max });
    }

    /// Decorated rows of a pillar, at most [`ROWS`] at a time.
    #[inline]
    fn each_rows(&self, frame: &PillarFrame<'_>, rows: &mut [f32], mut f: impl FnMut(&[f32])) {
        let n_features = self.spec.recipe.n_features();
        let rows = rows.get_mut(..ROWS * n_features).unwrap_or(&mut []);
        let mut first = 0;
        loop {
            let n = frame.decorate(first, self.spec.recipe, rows);
            if n == 0 {
                return;
            }
            f(rows.get(..n * n_features).unwrap_or(&[]));
            first += n;
        }
    }
}

/// The maximum before any row: that of the zero rows where the pillar is padded.
fn start_max(max: &mut [f32], padded: bool, zero_row: &[f32]) {
    if padded {
        max.copy_from_slice(zero_row);
    } else {
        max.fill(f32::NEG_INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bev::dense::tests::noise;
    use crate::pillars::PillarsStage;
    use pilotis_spec::{FeatureRecipe, FrameReport, OverflowPolicy, PillarMode};
    use proptest::prelude::*;

    fn grid() -> Grid {
        Grid::new([0.0, -4.0, -3.0], [8.0, 4.0, 1.0], [0.5, 0.5]).unwrap()
    }

    fn layers(spec: &EncoderSpec, seed: u32) -> Vec<LayerWeights> {
        let shapes = spec.linear_shapes().into_iter().enumerate();
        shapes
            .map(|(i, (n_in, n_out))| LayerWeights {
                n_in,
                n_out,
                weights: noise(n_in * n_out, seed + i as u32),
                bias: noise(n_out, seed + 10 + i as u32),
            })
            .collect()
    }

    /// The encoder as the field writes it: padded rows and all, in `f64`.
    fn reference(rows: &[Vec<f64>], layers: &[LayerWeights]) -> Vec<f64> {
        let mut rows = rows.to_vec();
        for (i, layer) in layers.iter().enumerate() {
            let linear = |row: &Vec<f64>| -> Vec<f64> {
                (0..layer.n_out)
                    .map(|o| {
                        let dot: f64 = (0..layer.n_in)
                            .map(|k| row[k] * f64::from(layer.weights[k * layer.n_out + o]))
                            .sum();
                        (dot + f64::from(layer.bias[o])).max(0.0)
                    })
                    .collect()
            };
            let hidden: Vec<Vec<f64>> = rows.iter().map(linear).collect();
            let max: Vec<f64> =
                (0..layer.n_out).map(|o| hidden.iter().map(|h| h[o]).fold(f64::MIN, f64::max)).collect();
            if i + 1 == layers.len() {
                return max;
            }
            rows = hidden.into_iter().map(|h| [h, max.clone()].concat()).collect();
        }
        unreachable!()
    }

    fn cloud(n: usize, seed: u32) -> Vec<Point> {
        let values = noise(n * 5, seed);
        let point = |v: &[f32]| Point {
            x: 2.0 + v[0] * 1.9,
            y: v[1] * 2.0,
            z: v[2] - 1.0,
            intensity: v[3].abs(),
            time_lag: v[4].abs(),
        };
        values.chunks_exact(5).map(point).collect()
    }

    proptest! {
        #[test]
        fn canvases_are_the_padded_encoder_and_forget_the_last_frame(
            seed in 0_u32..1000, two_layers in any::<bool>(), hard in any::<bool>(),
            recipe in prop::sample::select(
                vec![FeatureRecipe::Paper9, FeatureRecipe::Pcdet10, FeatureRecipe::Pcdet11]),
            sizes in prop::collection::vec(0_usize..300, 1..4), cap in 1_u32..100,
        ) {
            let spec = EncoderSpec { recipe, channels: if two_layers { vec![32, 48] } else { vec![48] } };
            let mode = if hard { PillarMode::Hard } else { PillarMode::Dynamic };
            let pillars_spec = PillarsSpec {
                mode, max_points_per_pillar: cap, max_pillars: 200, overflow: OverflowPolicy::First,
            };
            let layers = layers(&spec, seed);
            let grid = grid();
            let mut pillars_stage = PillarsStage::build(&pillars_spec, &grid, 300);
            let mut stage = BevStage::build(&spec, &pillars_spec, &layers).unwrap();
            let mut canvas = vec![0.0; spec.n_channels() * grid.n_cells()];
            for (f, n) in sizes.iter().enumerate() {
                let points = cloud(*n, seed + 77 * f as u32);
                let pillars = pillars_stage.run(&points, &grid, &mut FrameReport::default());
                stage.run(&points, &pillars, &grid, &mut canvas);
                let mut expected = vec![0.0_f64; canvas.len()];
                for (p, cell) in pillars.cells().iter().enumerate() {
                    let frame = PillarFrame::of(&points, &pillars, p, &grid);
                    let n_points = pillars.points_of(p).len();
                    let mut flat = vec![0.0; n_points * recipe.n_features()];
                    prop_assert_eq!(frame.decorate(0, recipe, &mut flat), n_points);
                    let mut rows: Vec<Vec<f64>> = flat
                        .chunks(recipe.n_features())
                        .map(|r| r.iter().map(|v| f64::from(*v)).collect())
                        .collect();
                    if hard {
                        rows.resize(cap as usize, vec![0.0; recipe.n_features()]);
                    }
                    for (c, v) in reference(&rows, &layers).into_iter().enumerate() {
                        expected[c * grid.n_cells() + *cell as usize] = v;
                    }
                }
                for (i, (got, want)) in canvas.iter().zip(&expected).enumerate() {
                    // Two layers of at most 32 products below 100 in f32.
                    prop_assert!((f64::from(*got) - want).abs() < 2e-3, "value {i}: {got} {want}");
                    prop_assert!(*want != 0.0 || *got < 2e-3);
                }
                let occupied: std::collections::HashSet<_> = pillars.cells().iter().copied().collect();
                for (i, v) in canvas.iter().enumerate() {
                    let cell = (i % grid.n_cells()) as u32;
                    prop_assert!(occupied.contains(&cell) || v.to_bits() == 0, "cell {cell} was not cleared");
                }
            }
        }

        #[test]
        fn every_isa_draws_the_same_canvas(seed in 0_u32..200, two_layers in any::<bool>()) {
            let spec = EncoderSpec {
                recipe: FeatureRecipe::Pcdet10,
                channels: if two_layers { vec![64, 64] } else { vec![64] },
            };
            let pillars_spec = PillarsSpec {
                mode: PillarMode::Hard, max_points_per_pillar: 32, max_pillars: 200,
                overflow: OverflowPolicy::First,
            };
            let (grid, points, layers) = (grid(), cloud(250, seed), layers(&spec, seed));
            let mut pillars_stage = PillarsStage::build(&pillars_spec, &grid, 300);
            let pillars = pillars_stage.run(&points, &grid, &mut FrameReport::default());
            let mut stage = BevStage::build(&spec, &pillars_spec, &layers).unwrap();
            let mut canvases = Vec::new();
            for isa in Isa::available() {
                stage.set_isa(isa);
                let mut canvas = vec![0.0; 64 * grid.n_cells()];
                stage.run(&points, &pillars, &grid, &mut canvas);
                canvases.push(canvas.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
            }
            prop_assert!(canvases.windows(2).all(|w| w[0] == w[1]));
        }
    }

    #[test]
    fn layers_of_another_shape_are_refused() {
        let spec = EncoderSpec { recipe: FeatureRecipe::Pcdet10, channels: vec![64] };
        let pillars = PillarsSpec {
            mode: PillarMode::Hard,
            max_points_per_pillar: 32,
            max_pillars: 10,
            overflow: OverflowPolicy::First,
        };
        let good = layers(&spec, 1);
        assert!(BevStage::build(&spec, &pillars, &good).is_ok());
        assert!(BevStage::build(&spec, &pillars, &[]).is_err());
        assert!(BevStage::build(&spec, &pillars, &[good[0].clone(), good[0].clone()]).is_err());
        let wide = EncoderSpec { channels: vec![64, 64], ..spec };
        assert!(BevStage::build(&wide, &pillars, &good).is_err());
    }
}
