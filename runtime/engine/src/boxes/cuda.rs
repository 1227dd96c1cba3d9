//! Boxes on a card: the kernels of `kernels/cu/boxes.cu`, by the plan that [`super::plan`] makes.

use super::plan::{BoxesPlan, Content};
use crate::device::cuda::{Arena, DeviceFault, Kernel, Lent, Modules, Pinned, Plan, Slot, Span, Stream};
use crate::engine::buffers::Buffers;
use crate::error::BuildError;
use crate::head::Head;
use pilotis_kernels::boxes::{BoxClass, BoxDetection, BoxGroup, BoxPlane, BoxScope, BoxesParams};
use pilotis_kernels::frame::FrameState;
use pilotis_spec::{Box3d, Detection, FrameError, FrameErrorCode, FrameFlags, FrameReport, Manifest, Stage};
use std::ops::Range;

/// Tensors start at multiples of this many values, so that every load is aligned.
const ALIGN_VALUES: usize = 64;

/// The memory of the stage.
#[derive(Debug)]
pub(crate) struct BoxesSlots {
    plan: BoxesPlan,
    tensors: Slot<f32>,
    /// First value and number of values of every tensor.
    places: Vec<(usize, usize)>,
    addresses: Slot<u64>,
    planes: Slot<BoxPlane>,
    scopes: Slot<BoxScope>,
    groups: Slot<BoxGroup>,
    classes: Slot<BoxClass>,
    detections: Slot<BoxDetection>,
    /// What the kernels alone use, by name.
    scratch: Vec<(&'static str, Slot<u8>)>,
    /// What must be zero before the first frame.
    pub(crate) zeros: Vec<Slot<u8>>,
}

impl BoxesSlots {
    /// Reserves the memory of a manifest's stage.
    ///
    /// **Errors**: those of [`BoxesPlan::build`].
    pub(crate) fn plan(manifest: &Manifest, memory: &mut Plan) -> Result<Self, BuildError> {
        let plan = BoxesPlan::build(manifest)?;
        let layout = manifest.head.tensors(&manifest.grid);
        let (mut places, mut n_values) = (Vec::new(), 0);
        for tensor in &layout {
            places.push((n_values, tensor.n_values()));
            n_values += tensor.n_values().next_multiple_of(ALIGN_VALUES);
        }
        let boxes = Stage::Boxes as usize..=Stage::Boxes as usize;
        let mut slots = Self {
            tensors: memory.reserve("raw_tensors", n_values, Stage::Head as usize..=Stage::Boxes as usize),
            places,
            addresses: memory.keep("tensors", layout.len()),
            planes: memory.keep("planes", plan.planes.len()),
            scopes: memory.keep("scopes", plan.scopes.len()),
            groups: memory.keep("groups", plan.groups.len()),
            classes: memory.keep("classes", plan.classes.len()),
            detections: memory.reserve("detections", plan.max_detections(), boxes.clone()),
            scratch: Vec::new(),
            zeros: Vec::new(),
            plan,
        };
        for buffer in slots.plan.buffers() {
            let n_bytes = buffer.element_bytes * buffer.n;
            match buffer.content {
                Content::Table => {}
                Content::Any if buffer.name == "detections" => {}
                Content::Any => {
                    slots.scratch.push((buffer.name, memory.reserve(buffer.name, n_bytes, boxes.clone())));
                }
                Content::Zeros => {
                    let slot = memory.keep(buffer.name, n_bytes);
                    slots.scratch.push((buffer.name, slot));
                    slots.zeros.push(slot);
                }
            }
        }
        Ok(slots)
    }

    /// Where the raw tensors lie, in the order of the manifest's layout.
    pub(crate) fn tensor_spans<'a>(&'a self, arena: &'a Arena) -> impl Iterator<Item = Option<Span>> + 'a {
        self.places.iter().map(|(first, n)| arena.span(self.tensors, *first..first + n))
    }

    /// Where one of them lies: the slot of all, and which of its values; `None` past the last.
    pub(crate) fn tensor_place(&self, idx: usize) -> Option<(Slot<f32>, Range<usize>)> {
        self.places.get(idx).map(|(first, n)| (self.tensors, *first..first + n))
    }

    fn address(&self, arena: &Arena, name: &str) -> u64 {
        match name {
            "tensors" => arena.address(self.addresses),
            "planes" => arena.address(self.planes),
            "scopes" => arena.address(self.scopes),
            "groups" => arena.address(self.groups),
            "classes" => arena.address(self.classes),
            "detections" => arena.address(self.detections),
            _ => self.scratch.iter().find(|(n, _)| *n == name).map_or(0, |(_, slot)| arena.address(*slot)),
        }
    }
}

/// The stage, with the memory through which tensors go up and boxes come down.
pub(crate) struct CudaBoxes {
    params: BoxesParams,
    launches: Vec<(Kernel<BoxesParams>, u32)>,
    arena: Arena,
    tensors: Slot<f32>,
    device_detections: Slot<BoxDetection>,
    /// First value and number of values of every tensor.
    places: Vec<(usize, usize)>,
    values: Pinned<f32>,
    raw: Pinned<BoxDetection>,
    detections: Vec<Detection>,
}

impl CudaBoxes {
    /// The stage over the buffers of a frame, its tables in place. Only tensors of a network on the
    /// host need memory to go up through.
    ///
    /// **Errors**: kernels that are not those of this build, no page-locked memory.
    pub(crate) fn build(
        buffers: &Buffers,
        modules: &Modules,
        stream: &mut Stream,
        is_network_on_host: bool,
    ) -> Result<Self, BuildError> {
        let (slots, arena) = (&buffers.boxes, &buffers.arena);
        let base = arena.address(slots.tensors);
        let addresses: Vec<u64> = slots.places.iter().map(|(at, _)| base + 4 * *at as u64).collect();
        buffers.write(stream, slots.addresses, &addresses)?;
        buffers.write(stream, slots.planes, &slots.plan.planes)?;
        buffers.write(stream, slots.scopes, &slots.plan.scopes)?;
        buffers.write(stream, slots.groups, &slots.plan.groups)?;
        buffers.write(stream, slots.classes, &slots.plan.classes)?;
        let max_detections = slots.plan.max_detections();
        let launches = slots.plan.launches().into_iter();
        Ok(Self {
            params: slots.plan.params(buffers.at.state, |name| slots.address(arena, name)),
            launches: launches
                .map(|l| Ok((modules.kernel(l.entry)?, l.n_blocks)))
                .collect::<Result<_, BuildError>>()?,
            arena: arena.clone(),
            tensors: slots.tensors,
            device_detections: slots.detections,
            places: slots.places.clone(),
            values: Pinned::zeroed(stream, if is_network_on_host { slots.tensors.len() } else { 0 })?,
            raw: Pinned::zeroed(stream, max_detections)?,
            detections: Vec::with_capacity(max_detections),
        })
    }

    /// Sends the raw tensors of a network on the host up.
    ///
    /// **Errors**: `HeadFailed` for a tensor with fewer values than the layout has, and those of the
    /// device. **Allocation and synchronisation**: none.
    pub(crate) fn enqueue_tensors(&mut self, head: &dyn Head, stream: &mut Stream) -> Result<(), FrameError> {
        let device = |fault: DeviceFault| fault.at(Stage::Boxes);
        let values = self.values.as_mut_slice().map_err(device)?;
        for (idx, (first, n)) in self.places.iter().enumerate() {
            let tensor = head.tensor(idx);
            let (Some(to), Some(from)) = (values.get_mut(*first..first + n), tensor.get(..*n)) else {
                let (got, limit) = (tensor.len() as u64, *n as u64);
                return Err(FrameError { stage: Stage::Boxes, code: FrameErrorCode::HeadFailed, got, limit });
            };
            to.copy_from_slice(from);
        }
        let n_values = self.values.len();
        stream.upload(&mut self.values, 0..n_values, &self.arena, self.tensors, 0).map_err(device)
    }

    /// Enqueues the kernels.
    ///
    /// **Allocation and synchronisation**: none.
    pub(crate) fn enqueue(&self, stream: &mut Stream) -> Result<(), DeviceFault> {
        for (kernel, n_blocks) in &self.launches {
            stream.launch(kernel, *n_blocks, &self.params)?;
        }
        Ok(())
    }

    /// Enqueues that the boxes come down.
    pub(crate) fn enqueue_download(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let n = self.raw.len();
        stream.download(&self.arena, self.device_detections, 0..n, &mut self.raw, 0)
    }

    /// Takes the boxes that came down, and writes what the stage counted into a report.
    ///
    /// **Allocation**: none.
    pub(crate) fn finish(&mut self, state: &FrameState, report: &mut FrameReport) -> Result<(), DeviceFault> {
        report.n_candidates = state.n_candidates;
        report.dropped_candidates = state.dropped_candidates;
        report.n_suppressed = state.n_suppressed;
        report.dropped_boxes = state.dropped_boxes;
        report.n_boxes = state.n_boxes;
        if state.head_not_finite != 0 {
            report.flags.insert(FrameFlags::HEAD_NOT_FINITE);
        }
        if state.dropped_candidates > 0 || state.dropped_boxes > 0 {
            report.flags.insert(FrameFlags::OVER_CAPACITY);
        }
        let raw = self.raw.as_slice()?.iter().take(state.n_boxes as usize);
        self.detections.clear();
        self.detections.extend(raw.map(|d| Detection {
            bbox: Box3d { center: d.center, size: d.size, yaw: d.yaw },
            velocity: d.velocity,
            score: d.score,
            class_idx: d.class_idx,
        }));
        Ok(())
    }

    /// The boxes of the last frame, best first.
    pub(crate) fn detections(&self) -> &[Detection] {
        &self.detections
    }

    /// The host memory that [`CudaBoxes::enqueue_download`] copies to.
    pub(crate) fn lend(&mut self) -> Lent<'_> {
        self.raw.lend()
    }
}
