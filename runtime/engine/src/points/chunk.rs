//! Chunks: the bytes of a cloud on their way to a device, as they are.
//!
//! Nothing is converted on the host. Records are copied as records, columns as columns, and the
//! device is told where the fields of the copy lie.

use super::view::{CloudView, Columns, Source};
use crate::device::mapped::Vanished;
use pilotis_kernels::frame::NONE;
use pilotis_kernels::points::{Column, SweepPart, scalar};
use pilotis_spec::{Point, ScalarType};

/// Columns of a chunk start at multiples of this, so that every load of the device is aligned.
const ALIGN_BYTES: usize = 8;
/// Columns of a cloud at most.
const N_COLUMNS: usize = 5;

/// Where the fields lie in a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChunkColumns {
    pub(super) x: Column,
    pub(super) y: Column,
    pub(super) z: Column,
    pub(super) intensity: Column,
    pub(super) time_lag: Column,
}

/// Records that a chunk may hold of several clouds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Records {
    pub(super) stride_bytes: usize,
    pub(super) columns: ChunkColumns,
}

/// Some points of a cloud, copied into a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) n_points: usize,
    pub(super) n_bytes: usize,
    pub(super) columns: ChunkColumns,
}

/// The pose of points that are not moved.
pub(super) const UNMOVED: SweepPart =
    SweepPart { first_point: 0, is_moved: 0, to_key: [0.0; 12], time_lag_s: 0.0, min_distance_m: 0.0 };

/// Bytes of a chunk that holds at least one point of every cloud.
pub(super) const MIN_CHUNK_BYTES: usize = super::view::MAX_STRIDE_BYTES;

/// The records of a cloud; `None` where its fields lie column by column.
pub(super) fn records_of(cloud: &CloudView<'_>) -> Option<Records> {
    let of = |stride_bytes, columns| Some(Records { stride_bytes, columns });
    match cloud.source {
        Source::Bytes { columns, .. } => of(columns.record_bytes()?, ChunkColumns::of(&columns)),
        Source::Mapped { stride_bytes, columns, .. } => of(stride_bytes, ChunkColumns::of(&columns)),
        Source::Records4(_) => of(16, ChunkColumns::floats(4)),
        Source::Records5(_) | Source::Points(_) => of(20, ChunkColumns::floats(5)),
        Source::Sweeps(_) => None,
    }
}

/// Copies points of a cloud, from `first` on: as many as the buffer holds, and at most `n_most`.
///
/// A cloud of several sweeps is not for here: each of its sweeps is.
///
/// **Errors**: a mapped file that was cut. **Allocation**: none.
pub(super) fn copy(
    cloud: &CloudView<'_>,
    first: usize,
    n_most: usize,
    buffer: &mut [u8],
) -> Result<Chunk, Vanished> {
    let n_left = cloud.n_points().saturating_sub(first).min(n_most);
    let fits = |n_bytes_a_point: usize| n_left.min(buffer.len() / n_bytes_a_point.max(1));
    match cloud.source {
        Source::Bytes { bytes, columns } => match columns.record_bytes() {
            Some(stride) => {
                let n = fits(stride);
                // The last record of a buffer may end with its last field.
                let from = bytes.get(first * stride..).unwrap_or(&[]);
                let n_bytes = from.len().min(n * stride);
                copy_slice(from, n_bytes, buffer);
                Ok(Chunk { n_points: n, n_bytes, columns: ChunkColumns::of(&columns) })
            }
            None => Ok(copy_columns(bytes, &columns, first, n_left, buffer)),
        },
        Source::Mapped { file, start, stride_bytes, columns } => {
            let n = fits(stride_bytes);
            let n_bytes = n * stride_bytes;
            if let Some(into) = buffer.get_mut(..n_bytes) {
                file.copy_to(start + first * stride_bytes, into)?;
            }
            Ok(Chunk { n_points: n, n_bytes, columns: ChunkColumns::of(&columns) })
        }
        Source::Records4(records) => {
            let n = fits(16);
            copy_floats(records.get(first..first + n).unwrap_or(&[]).as_flattened(), buffer);
            Ok(Chunk { n_points: n, n_bytes: n * 16, columns: ChunkColumns::floats(4) })
        }
        Source::Records5(records) => {
            let n = fits(20);
            copy_floats(records.get(first..first + n).unwrap_or(&[]).as_flattened(), buffer);
            Ok(Chunk { n_points: n, n_bytes: n * 20, columns: ChunkColumns::floats(5) })
        }
        Source::Points(points) => {
            let n = fits(20);
            let slots = buffer.as_chunks_mut::<20>().0.iter_mut();
            for (slot, point) in slots.zip(points.get(first..first + n).unwrap_or(&[])) {
                let Point { x, y, z, intensity, time_lag } = *point;
                copy_floats(&[x, y, z, intensity, time_lag], slot);
            }
            Ok(Chunk { n_points: n, n_bytes: n * 20, columns: ChunkColumns::floats(5) })
        }
        // Its sweeps come here one by one.
        Source::Sweeps(_) => Ok(Chunk { n_points: 0, n_bytes: 0, columns: ChunkColumns::floats(0) }),
    }
}

fn copy_slice(from: &[u8], n_bytes: usize, into: &mut [u8]) {
    if let (Some(from), Some(into)) = (from.get(..n_bytes), into.get_mut(..n_bytes)) {
        into.copy_from_slice(from);
    }
}

fn copy_floats(values: &[f32], into: &mut [u8]) {
    for (slot, value) in into.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *slot = value.to_le_bytes();
    }
}

/// Column after column, each with the stride it had.
fn copy_columns(bytes: &[u8], columns: &Columns, first: usize, n_left: usize, buffer: &mut [u8]) -> Chunk {
    let all = columns.each();
    let stride_sum: usize = all.iter().flatten().map(|c| c.stride_bytes).sum();
    let room = buffer.len().saturating_sub(N_COLUMNS * ALIGN_BYTES);
    let n_points = n_left.min(room / stride_sum.max(1));
    let mut placed = [ABSENT; N_COLUMNS];
    let mut at = 0;
    for (slot, column) in placed.iter_mut().zip(all) {
        let Some(column) = column else { continue };
        let n_bytes = n_points * column.stride_bytes;
        let from = bytes.get(column.offset_bytes + first * column.stride_bytes..).unwrap_or(&[]);
        if let Some(into) = buffer.get_mut(at..) {
            copy_slice(from, from.len().min(n_bytes), into);
        }
        *slot = column_of(column.scalar, at, column.stride_bytes);
        at = (at + n_bytes).next_multiple_of(ALIGN_BYTES);
    }
    let [x, y, z, intensity, time_lag] = placed;
    Chunk { n_points, n_bytes: at, columns: ChunkColumns { x, y, z, intensity, time_lag } }
}

const ABSENT: Column = Column { scalar: NONE, offset_bytes: 0, stride_bytes: 0 };

/// The columns of nothing.
pub(super) const NO_COLUMNS: ChunkColumns =
    ChunkColumns { x: ABSENT, y: ABSENT, z: ABSENT, intensity: ABSENT, time_lag: ABSENT };

fn column_of(scalar: ScalarType, offset_bytes: usize, stride_bytes: usize) -> Column {
    let scalar = match scalar {
        ScalarType::F16 => scalar::F16,
        ScalarType::F32 => scalar::F32,
        ScalarType::F64 => scalar::F64,
        ScalarType::U8 => scalar::U8,
        ScalarType::U16 => scalar::U16,
        ScalarType::U32 => scalar::U32,
        ScalarType::I8 => scalar::I8,
        ScalarType::I16 => scalar::I16,
        ScalarType::I32 => scalar::I32,
    };
    // Both are below the size of a chunk.
    Column { scalar, offset_bytes: offset_bytes as u32, stride_bytes: stride_bytes as u32 }
}

impl ChunkColumns {
    fn of(columns: &Columns) -> Self {
        let all = columns.each();
        let [x, y, z, intensity, time_lag] =
            all.map(|c| c.map_or(ABSENT, |c| column_of(c.scalar, c.offset_bytes, c.stride_bytes)));
        Self { x, y, z, intensity, time_lag }
    }

    /// Records of `n` `f32` in the usual order.
    fn floats(n: usize) -> Self {
        let at = |i: usize| if i < n { column_of(ScalarType::F32, 4 * i, 4 * n) } else { ABSENT };
        Self { x: at(0), y: at(1), z: at(2), intensity: at(3), time_lag: at(4) }
    }
}

impl Columns {
    fn each(&self) -> [Option<super::view::Column>; N_COLUMNS] {
        [Some(self.x), Some(self.y), Some(self.z), self.intensity, self.time_lag]
    }

    /// The stride of records that hold every field, where the columns are such.
    fn record_bytes(&self) -> Option<usize> {
        let stride = self.x.stride_bytes;
        let is_inside = |c: &super::view::Column| {
            c.stride_bytes == stride && c.offset_bytes + c.scalar.n_bytes() <= stride
        };
        let holds_all =
            stride > 0 && stride <= MIN_CHUNK_BYTES && self.each().iter().flatten().all(is_inside);
        holds_all.then_some(stride)
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
