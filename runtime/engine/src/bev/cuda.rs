//! BEV on a card: the kernels of `kernels/cu/bev.cu` in their order.

use crate::device::cuda::{DeviceFault, Kernel, Modules, Stream};
use crate::engine::buffers::{Buffers, n_blocks};
use crate::error::BuildError;
use pilotis_kernels::bev::{BevParams, PILLARS_PER_BLOCK};
use pilotis_kernels::frame::BLOCK;
use pilotis_spec::{FeatureRecipe, Manifest, PillarMode};

/// Lanes of a warp; `bev_clear` gives a warp to a cell.
const WARP: u32 = 32;

/// How a canvas lies in the memory of a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanvasFormat {
    /// `[ny, nx, C]`, the channels of a cell side by side, instead of `[C, ny, nx]`.
    pub channels_last: bool,
    /// `f16` instead of `f32`: each value rounded to nearest, ties to even.
    pub half: bool,
}

/// The stage, ready to be enqueued.
#[derive(Debug)]
pub(crate) struct CudaBev {
    params: BevParams,
    max_pillars: u32,
    clear: Kernel<BevParams>,
    encode: Kernel<BevParams>,
}

impl CudaBev {
    /// The stage over the buffers of a frame.
    ///
    /// **Errors**: kernels that are not those of this build.
    pub(crate) fn build(
        manifest: &Manifest,
        buffers: &Buffers,
        modules: &Modules,
        format: CanvasFormat,
    ) -> Result<Self, BuildError> {
        let (grid, bev, pillars) = (&manifest.grid, &manifest.bev, &manifest.pillars);
        let n_channels = bev.n_channels() as u32;
        let (channel_stride, cell_stride) =
            if format.channels_last { (1, n_channels) } else { (grid.n_cells() as u32, 1) };
        let shapes = bev.linear_shapes();
        let at = &buffers.at;
        let (min, cell) = (grid.min(), grid.cell());
        let params = BevParams {
            state: at.state,
            points: at.points,
            time_lags: at.time_lags,
            cells: at.claimed,
            counts: at.counts,
            starts: at.starts,
            members: at.members,
            pillar_at: at.pillar_at,
            last_cells: at.last_cells,
            n_last: at.n_last,
            first_weights: at.first_weights,
            first_bias: at.first_bias,
            second_weights: at.second_weights,
            second_bias: at.second_bias,
            canvas: at.canvas,
            channel_stride,
            cell_stride,
            is_half: u32::from(format.half),
            recipe: match bev.recipe {
                FeatureRecipe::Paper9 => 0,
                FeatureRecipe::Pcdet10 => 1,
                FeatureRecipe::Pcdet11 => 2,
            },
            n_features: bev.recipe.n_features() as u32,
            n_first: shapes.first().map_or(0, |(_, n_out)| *n_out as u32),
            n_channels,
            point_cap: pillars.point_cap(manifest.points.max_points),
            is_padded: u32::from(pillars.mode == PillarMode::Hard),
            nx: grid.nx() as u32,
            min: [min[0], min[1]],
            cell,
            centre_z: grid.centre_of(0)[2],
        };
        let encode = if shapes.len() == 2 { "bev_encode_two" } else { "bev_encode_one" };
        Ok(Self {
            params,
            max_pillars: pillars.max_pillars,
            clear: modules.kernel("bev_clear")?,
            encode: modules.kernel(encode)?,
        })
    }

    /// Clears what the frame before left, and encodes the pillars of this one.
    ///
    /// **Allocation and synchronisation**: none.
    pub(crate) fn enqueue(&self, stream: &mut Stream) -> Result<(), DeviceFault> {
        stream.launch(&self.clear, n_blocks(self.max_pillars, BLOCK / WARP), &self.params)?;
        stream.launch(&self.encode, n_blocks(self.max_pillars, PILLARS_PER_BLOCK), &self.params)
    }
}
