//! Buffers: every piece of device memory that a frame uses, in one arena.

use crate::bev::{CanvasFormat, LayerWeights};
use crate::boxes::cuda::BoxesSlots;
use crate::device::cuda::arena::Layout;
use crate::device::cuda::{Arena, Device, DeviceFault, Pinned, Plain, Plan, Slot, Span, Stream};
use crate::error::BuildError;
use crate::head::device::{DeviceHead, DeviceTensors};
use crate::points::cuda::{max_chunk_points, staging_bytes};
use pilotis_kernels::frame::{BLOCK, FrameState, NONE};
use pilotis_kernels::layout::DevicePtr;
use pilotis_kernels::points::PointsChunk;
use pilotis_spec::{Manifest, Stage};
use std::sync::Arc;

/// Blocks of a kernel that gives `per_block` things to each.
pub(crate) fn n_blocks(n: u32, per_block: u32) -> u32 {
    n.div_ceil(per_block)
}

/// The slots of the stages before the network.
macro_rules! slots {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)+) => {
        /// Where every buffer lies in the arena.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Slots { $($(#[$doc])* pub(crate) $name: Slot<$type>,)+ }

        /// The addresses of the buffers.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Addresses { $(pub(crate) $name: DevicePtr,)+ }

        impl Slots {
            fn addresses(&self, arena: &Arena) -> Addresses {
                Addresses { $($name: arena.address(self.$name),)+ }
            }
        }
    };
}

slots! {
    state: FrameState,
    raw: u8,
    chunk: PointsChunk,
    block_kept: u32,
    points: [f32; 4],
    time_lags: f32,
    cell_of: u32,
    first: u32,
    count: u32,
    pillar_at: u32,
    block_sums: [u32; 2],
    claimed: u32,
    counts: u32,
    starts: u32,
    filled: u32,
    members: u32,
    last_cells: u32,
    n_last: u32,
    first_weights: f32,
    first_bias: f32,
    second_weights: f32,
    second_bias: f32,
    canvas: u8,
}

/// The memory of a frame on a card.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) arena: Arena,
    pub(crate) slots: Slots,
    pub(crate) at: Addresses,
    pub(crate) boxes: BoxesSlots,
    /// What a network on the card works in; `None` where it needs nothing.
    workspace: Option<Slot<u8>>,
    /// Cells that a frame can have points in.
    pub(crate) max_claimed: u32,
}

impl Buffers {
    /// Plans and allocates everything, and puts the weights there.
    ///
    /// **Errors**: less free memory than is needed, with both numbers.
    pub(crate) fn build(
        device: &Arc<Device>,
        stream: &mut Stream,
        manifest: &Manifest,
        layers: &[LayerWeights],
        format: CanvasFormat,
        workspace_bytes: usize,
    ) -> Result<Self, BuildError> {
        let Planned { plan, slots, boxes, workspace } = plan(manifest, format, workspace_bytes)?;
        let arena = Arena::allocate(device, &plan)?;
        let at = slots.addresses(&arena);
        let buffers = Self { arena, slots, at, boxes, workspace, max_claimed: max_claimed(manifest) };
        let [first, second] = [0, 1].map(|i| layers.get(i));
        for (values, slot) in [
            (first.map(|l| &l.weights), slots.first_weights),
            (first.map(|l| &l.bias), slots.first_bias),
            (second.map(|l| &l.weights), slots.second_weights),
            (second.map(|l| &l.bias), slots.second_bias),
        ] {
            buffers.write(stream, slot, values.map_or(&[], Vec::as_slice))?;
        }
        Ok(buffers)
    }

    /// Copies values to a slot, and waits for it.
    pub(crate) fn write<T: Plain>(
        &self,
        stream: &mut Stream,
        to: Slot<T>,
        values: &[T],
    ) -> Result<(), BuildError> {
        let mut host = Pinned::zeroed(stream, values.len())?;
        let fault = |f: DeviceFault| f.while_building("copy to the device");
        host.as_mut_slice().map_err(fault)?.copy_from_slice(values);
        stream.upload(&mut host, 0..values.len(), &self.arena, to, 0).map_err(fault)?;
        stream.synchronize().map_err(fault)
    }

    /// Tells a network on the card where its tensors lie.
    ///
    /// **Errors**: the network's.
    pub(crate) fn bind(&self, stream: &Stream, head: &mut dyn DeviceHead) -> Result<(), BuildError> {
        let whole = |slot: Slot<u8>| self.arena.span(slot, 0..slot.len());
        let missing = || DeviceFault::INVALID_VALUE.while_building("bind the network's tensors");
        let tensors: Option<Vec<Span>> = self.boxes.tensor_spans(&self.arena).collect();
        let workspace = self.workspace.and_then(whole);
        let memory = DeviceTensors {
            canvas: &whole(self.slots.canvas).ok_or_else(missing)?,
            tensors: &tensors.ok_or_else(missing)?,
            workspace: workspace.as_ref(),
        };
        head.bind(stream, memory).map_err(|e| e.at(Stage::Head))
    }

    /// Enqueues that everything is as before the first frame.
    pub(crate) fn enqueue_reset(&self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let Slots { state, first, count, pillar_at, filled, n_last, canvas, .. } = self.slots;
        stream.fill(&self.arena, state, 0..1, 0)?;
        stream.fill(&self.arena, first, 0..first.len(), NONE)?;
        stream.fill(&self.arena, count, 0..count.len(), 0)?;
        stream.fill(&self.arena, pillar_at, 0..pillar_at.len(), NONE)?;
        stream.fill(&self.arena, filled, 0..filled.len(), 0)?;
        stream.fill(&self.arena, n_last, 0..1, 0)?;
        for slot in &self.boxes.zeros {
            stream.fill(&self.arena, *slot, 0..slot.len(), 0)?;
        }
        stream.fill(&self.arena, canvas, 0..canvas.len(), 0)
    }
}

fn max_claimed(manifest: &Manifest) -> u32 {
    manifest.points.max_points.min(manifest.grid.n_cells() as u32)
}

/// The memory that a model takes on a card, buffer by buffer, as it is planned when an engine is
/// built; needs no card. Its `Display` is a table.
///
/// `workspace_bytes` is what a network on the card works in, see [`DeviceHead::workspace_bytes`]; 0 for
/// one on the host.
///
/// **Errors**: those of a manifest that no engine is built of.
pub fn device_memory(
    manifest: &Manifest,
    format: CanvasFormat,
    workspace_bytes: usize,
) -> Result<Layout, BuildError> {
    Ok(plan(manifest, format, workspace_bytes)?.plan.lay_out())
}

struct Planned {
    plan: Plan,
    slots: Slots,
    boxes: BoxesSlots,
    workspace: Option<Slot<u8>>,
}

/// The plan of the memory: what a stage needs for itself alone shares its place with what later
/// stages need.
fn plan(manifest: &Manifest, format: CanvasFormat, workspace_bytes: usize) -> Result<Planned, BuildError> {
    let (n_cells, max_points) = (manifest.grid.n_cells(), manifest.points.max_points as usize);
    let max_pillars = manifest.pillars.max_pillars as usize;
    let value_bytes = if format.half { 2 } else { 4 };
    let shapes = manifest.bev.linear_shapes();
    let shape = |i: usize| shapes.get(i).copied().unwrap_or((1, 1));
    let n_weights = |i: usize| shape(i).0 * shape(i).1;
    let mut plan = Plan::new(&Stage::ALL.map(Stage::name));
    let p = &mut plan;
    let slots = Slots {
        state: p.keep("state", 1),
        raw: p.reserve("raw", staging_bytes(manifest), Stage::Points as usize..=Stage::Points as usize),
        chunk: p.reserve("chunk", 1, Stage::Points as usize..=Stage::Points as usize),
        block_kept: p.reserve(
            "block_kept",
            n_blocks(max_chunk_points(manifest), BLOCK) as usize,
            Stage::Points as usize..=Stage::Points as usize,
        ),
        // From here on kept to the frame's end, so that it can be looked at.
        points: p.keep("points", max_points),
        time_lags: p.keep("time_lags", if manifest.bev.recipe.needs_time_lag() { max_points } else { 1 }),
        cell_of: p.reserve("cell_of", max_points, Stage::Points as usize..=Stage::Pillars as usize),
        first: p.keep("first", n_cells),
        count: p.keep("count", n_cells),
        pillar_at: p.keep("pillar_at", n_cells),
        block_sums: p.reserve(
            "block_sums",
            n_blocks(max_points as u32, BLOCK) as usize,
            Stage::Pillars as usize..=Stage::Pillars as usize,
        ),
        claimed: p.keep("claimed", max_claimed(manifest) as usize),
        counts: p.keep("counts", max_pillars),
        starts: p.keep("starts", max_pillars),
        filled: p.keep("filled", max_pillars),
        members: p.keep("members", max_points),
        last_cells: p.keep("last_cells", max_pillars),
        n_last: p.keep("n_last", 1),
        first_weights: p.keep("first_weights", n_weights(0)),
        first_bias: p.keep("first_bias", shape(0).1),
        second_weights: p.keep("second_weights", n_weights(1)),
        second_bias: p.keep("second_bias", shape(1).1),
        canvas: p.keep("canvas", n_cells * manifest.bev.n_channels() * value_bytes),
    };
    let boxes = BoxesSlots::plan(manifest, p)?;
    let head = Stage::Head as usize..=Stage::Head as usize;
    let workspace = (workspace_bytes > 0).then(|| p.reserve("workspace", workspace_bytes, head));
    Ok(Planned { plan, slots, boxes, workspace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_published_kitti_model_is_as_printed() {
        let manifest = Manifest::from_toml(include_str!("../../../spec/tests/kitti_manifest.toml")).unwrap();
        let planned = device_memory(&manifest, CanvasFormat::default(), 0).unwrap();
        // A golden: a change of it is a change of what every user's card must hold.
        let expected = include_str!("../../tests/goldens/kitti_device_memory.txt");
        assert_eq!(planned.to_string() + "\n", expected, "{planned}");
        let half = device_memory(&manifest, CanvasFormat { half: true, channels_last: true }, 0).unwrap();
        assert!(half.total_bytes() < planned.total_bytes());
        // A network's workspace shares the memory of other stages.
        let with = |n| device_memory(&manifest, CanvasFormat::default(), n).unwrap();
        assert_eq!(with(1 << 20).total_bytes(), planned.total_bytes());
        assert!(with(1 << 30).total_bytes() > 1 << 30);
    }
}
