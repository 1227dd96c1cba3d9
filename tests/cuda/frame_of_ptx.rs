//! A frame by the committed PTX itself: the buffers and launches of the runtime, on the interpreter.

use pilotis_kernels::MODULES;
use pilotis_kernels::bev::{BevParams, PILLARS_PER_BLOCK as ENCODED_PER_BLOCK};
use pilotis_kernels::frame::{BLOCK, FrameState, NONE};
use pilotis_kernels::layout::{DeviceStruct, Wire};
use pilotis_kernels::pillars::{PILLARS_PER_BLOCK as SORTED_PER_BLOCK, PillarsParams};
use pilotis_kernels::points::{Column, PointsChunk, PointsParams, scalar};
use pilotis_ptx::{Fault, LaunchReport, Memory, Module, Options};
use pilotis_runtime::bev::LayerWeights;
use pilotis_runtime::boxes::plan::{BoxesPlan, Content};
use pilotis_spec::{FeatureRecipe, Manifest, PillarMode, Point};
use std::collections::HashMap;

/// A model's frame on the interpreter.
pub struct FrameOfPtx {
    modules: Vec<Module>,
    memory: Memory,
    /// How kernels are run.
    pub options: Options,
    points: PointsParams,
    pillars: PillarsParams,
    bev: BevParams,
    boxes: pilotis_kernels::boxes::BoxesParams,
    launches: Vec<(&'static str, u32)>,
    encode: &'static str,
    max_chunk: usize,
    /// What every launch of the last frame came to, in order.
    pub reports: Vec<(&'static str, LaunchReport)>,
}

impl FrameOfPtx {
    /// Everything that a frame needs, in memory of the interpreter. `ptx` yields the text of a module.
    pub fn build(
        manifest: &Manifest,
        layers: &[LayerWeights],
        tensors: &[Vec<f32>],
        half_and_last: bool,
        ptx: impl Fn(&'static str, &'static str) -> String,
    ) -> Self {
        let modules = MODULES.iter().map(|m| Module::parse(&ptx(m.name, m.ptx)).unwrap()).collect();
        let mut memory = Memory::new();
        let (grid, n_cells) = (&manifest.grid, manifest.grid.n_cells());
        let (max_points, max_pillars) = (manifest.points.max_points, manifest.pillars.max_pillars);
        let max_chunk = 2 * max_points as usize + 8192;
        let max_claimed = (max_points as usize).min(n_cells);
        let words = |memory: &mut Memory, name: &str, value: u32, n: usize| {
            memory.buffer(name, &vec![value; n].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
        };
        let floats = |memory: &mut Memory, name: &str, values: &[f32]| {
            memory.buffer(name, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
        };
        let m = &mut memory;
        let needs_lag = manifest.bev.recipe.needs_time_lag();
        let points = PointsParams {
            state: m.buffer("state", &vec![0; size_of::<FrameState>()]),
            raw: m.unwritten("raw", max_chunk * 20),
            chunk: m.buffer("chunk", &PointsChunk::default().to_bytes()),
            block_kept: m.unwritten("block_kept", 4 * max_chunk.div_ceil(BLOCK as usize)),
            points: m.unwritten("points", 16 * max_points as usize),
            time_lags: m.unwritten("time_lags", 4 * max_points as usize),
            cell_of: m.unwritten("cell_of", 4 * max_points as usize),
            first: words(m, "first", NONE, n_cells),
            count: words(m, "count", 0, n_cells),
            max_points,
            needs_time_lag: u32::from(needs_lag),
            min: grid.min(),
            max: grid.max(),
            cell: grid.cell(),
            nx: grid.nx() as u32,
            ny: grid.ny() as u32,
        };
        let n_blocks = max_points.div_ceil(BLOCK) as usize;
        let pillars = PillarsParams {
            state: points.state,
            cell_of: points.cell_of,
            first: points.first,
            count: points.count,
            pillar_at: words(m, "pillar_at", NONE, n_cells),
            block_sums: m.unwritten("block_sums", 8 * n_blocks),
            claimed: m.unwritten("claimed", 4 * max_claimed),
            counts: m.unwritten("counts", 4 * max_pillars as usize),
            starts: m.unwritten("starts", 4 * max_pillars as usize),
            filled: words(m, "filled", 0, max_pillars as usize),
            members: m.unwritten("members", 4 * max_points as usize),
            last_cells: m.unwritten("last_cells", 4 * max_pillars as usize),
            n_last: words(m, "n_last", 0, 1),
            max_pillars,
            point_cap: manifest.pillars.point_cap(max_points),
        };
        let n_channels = manifest.bev.n_channels() as u32;
        let shapes = manifest.bev.linear_shapes();
        let weights = |m: &mut Memory, i: usize| {
            layers.get(i).map_or([0; 2], |l| [floats(m, "weights", &l.weights), floats(m, "bias", &l.bias)])
        };
        let [first_weights, first_bias] = weights(m, 0);
        let [second_weights, second_bias] = weights(m, 1);
        let bytes_of_value = if half_and_last { 2 } else { 4 };
        let bev = BevParams {
            state: points.state,
            points: points.points,
            time_lags: points.time_lags,
            cells: pillars.claimed,
            counts: pillars.counts,
            starts: pillars.starts,
            members: pillars.members,
            pillar_at: pillars.pillar_at,
            last_cells: pillars.last_cells,
            n_last: pillars.n_last,
            first_weights,
            first_bias,
            second_weights,
            second_bias,
            canvas: m.buffer("canvas", &vec![0; bytes_of_value * n_cells * n_channels as usize]),
            channel_stride: if half_and_last { 1 } else { n_cells as u32 },
            cell_stride: if half_and_last { n_channels } else { 1 },
            is_half: u32::from(half_and_last),
            recipe: match manifest.bev.recipe {
                FeatureRecipe::Paper9 => 0,
                FeatureRecipe::Pcdet10 => 1,
                FeatureRecipe::Pcdet11 => 2,
            },
            n_features: manifest.bev.recipe.n_features() as u32,
            n_first: shapes[0].1 as u32,
            n_channels,
            point_cap: pillars.point_cap,
            is_padded: u32::from(manifest.pillars.mode == PillarMode::Hard),
            nx: points.nx,
            min: [points.min[0], points.min[1]],
            cell: points.cell,
            centre_z: grid.centre_of(0)[2],
        };
        let plan = BoxesPlan::build(manifest).unwrap();
        let addresses: Vec<u64> = tensors.iter().map(|t| floats(m, "tensor", t)).collect();
        let mut at = HashMap::new();
        for buffer in plan.buffers() {
            let address = match (buffer.content, buffer.name) {
                (Content::Table, "tensors") => table(m, "tensors", &addresses),
                (Content::Table, "planes") => table(m, "planes", &plan.planes),
                (Content::Table, "scopes") => table(m, "scopes", &plan.scopes),
                (Content::Table, "groups") => table(m, "groups", &plan.groups),
                (Content::Table, name) => table(m, name, &plan.classes),
                (Content::Zeros, name) => m.buffer(name, &vec![0; buffer.element_bytes * buffer.n]),
                (Content::Any, name) => m.unwritten(name, buffer.element_bytes * buffer.n),
            };
            at.insert(buffer.name, address);
        }
        Self {
            modules,
            memory,
            options: Options::default(),
            boxes: plan.params(points.state, |name| at[name]),
            launches: plan.launches().iter().map(|l| (l.entry, l.n_blocks)).collect(),
            encode: if shapes.len() == 2 { "bev_encode_two" } else { "bev_encode_one" },
            points,
            pillars,
            bev,
            max_chunk,
            reports: Vec::new(),
        }
    }

    fn launch(&mut self, name: &'static str, n_blocks: u32, params: &[u8]) -> Result<(), Fault> {
        if n_blocks == 0 {
            return Ok(());
        }
        let module = self.modules.iter().find(|m| m.kernels().any(|k| k == name)).unwrap();
        let report = module.launch(name, n_blocks, params, &mut self.memory, &self.options)?;
        self.reports.push((name, report));
        Ok(())
    }

    /// Runs a cloud through every kernel.
    pub fn run(&mut self, cloud: &[Point]) -> Result<FrameState, Fault> {
        self.reports.clear();
        self.memory.bytes_mut(self.points.state).fill(0);
        for chunk in cloud.chunks(self.max_chunk) {
            let values = chunk.iter().flat_map(|p| [p.x, p.y, p.z, p.intensity, p.time_lag]);
            let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
            self.memory.bytes_mut(self.points.raw)[..bytes.len()].copy_from_slice(&bytes);
            let described = chunk_of(chunk.len() as u32).to_bytes();
            self.memory.bytes_mut(self.points.chunk).copy_from_slice(&described);
            let params = self.points.to_bytes();
            // A block more than there are points for: it must leave.
            let by_point = (chunk.len() as u32).div_ceil(BLOCK) + 1;
            self.launch("points_count", by_point, &params)?;
            self.launch("points_offsets", 1, &params)?;
            self.launch("points_keep", by_point, &params)?;
        }
        let (params, max_points, max_pillars) =
            (self.pillars.to_bytes(), self.points.max_points, self.pillars.max_pillars);
        let by_point = max_points.div_ceil(BLOCK);
        self.launch("pillars_count", by_point, &params)?;
        self.launch("pillars_offsets", 1, &params)?;
        self.launch("pillars_number", by_point, &params)?;
        self.launch("pillars_fill", by_point, &params)?;
        self.launch("pillars_sort", max_pillars.div_ceil(SORTED_PER_BLOCK), &params)?;
        let bev = self.bev.to_bytes();
        self.launch("bev_clear", max_pillars.div_ceil(BLOCK / 32), &bev)?;
        self.launch(self.encode, max_pillars.div_ceil(ENCODED_PER_BLOCK), &bev)?;
        let max_claimed = max_points.min(self.points.nx * self.points.ny);
        self.launch("pillars_forget", max_claimed.div_ceil(BLOCK), &params)?;
        let boxes = self.boxes.to_bytes();
        for (name, n_blocks) in self.launches.clone() {
            self.launch(name, n_blocks, &boxes)?;
        }
        Ok(FrameState::read(self.memory.bytes(self.points.state)))
    }

    /// Cell and points of every pillar of the last frame.
    pub fn pillars(&self, state: &FrameState) -> Vec<(u32, Vec<u32>)> {
        let word = |at: u64, i: u32| u32::read(&self.memory.bytes(at)[4 * i as usize..]);
        (0..state.n_pillars)
            .map(|p| {
                let (start, n) = (word(self.pillars.starts, p), word(self.pillars.counts, p));
                let members =
                    (0..n.min(self.pillars.point_cap)).map(|i| word(self.pillars.members, start + i));
                (word(self.pillars.claimed, p), members.collect())
            })
            .collect()
    }

    /// The whole canvas, as it lies.
    pub fn canvas(&self) -> &[u8] {
        self.memory.bytes(self.bev.canvas)
    }

    /// Words of the boxes of the last frame.
    pub fn boxes(&self, state: &FrameState) -> Vec<[u32; 11]> {
        let bytes = self.memory.bytes(self.boxes.detections);
        (0..state.n_boxes as usize).map(|i| Wire::read(&bytes[44 * i..])).collect()
    }
}

/// A chunk of points as five `f32`.
fn chunk_of(n_points: u32) -> PointsChunk {
    let column = |i: u32| Column { scalar: scalar::F32, offset_bytes: 4 * i, stride_bytes: 20 };
    PointsChunk {
        n_points,
        n_parts: 1,
        x: column(0),
        y: column(1),
        z: column(2),
        intensity: column(3),
        time_lag: column(4),
        ..PointsChunk::default()
    }
}

fn table<T: Wire>(memory: &mut Memory, name: &str, values: &[T]) -> u64 {
    let mut bytes = vec![0; size_of_val(values)];
    for (value, to) in values.iter().zip(bytes.chunks_exact_mut(size_of::<T>())) {
        value.write(to);
    }
    memory.buffer(name, &bytes)
}
