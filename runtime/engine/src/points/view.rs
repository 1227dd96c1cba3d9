//! Views: where the fields of a cloud lie, without copying it.

use super::sweeps::Sweep;
use crate::device::mapped::MappedFile;
use pilotis_spec::{FieldName, FrameError, FrameErrorCode, Point, PointLayout, ScalarType, Stage};

/// The most bytes of one record: what the points stage stages of a mapped file at once is at
/// least one record.
pub(super) const MAX_STRIDE_BYTES: usize = 64 * 1024;

/// Where the values of one field lie: `offset + idx * stride`, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) scalar: ScalarType,
    pub(super) offset_bytes: usize,
    pub(super) stride_bytes: usize,
}

/// The columns of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) x: Column,
    pub(super) y: Column,
    pub(super) z: Column,
    pub(super) intensity: Option<Column>,
    pub(super) time_lag: Option<Column>,
}

/// The bytes that a view describes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// Memory, by columns: records as well as column-major data.
    Bytes { bytes: &'a [u8], columns: Columns },
    /// Records of a mapped file; the columns are relative to a record.
    Mapped { file: &'a MappedFile, start: usize, stride_bytes: usize, columns: Columns },
    /// A caller's records without time lag.
    Records4(&'a [[f32; 4]]),
    /// A caller's records with time lag.
    Records5(&'a [[f32; 5]]),
    /// A caller's points.
    Points(&'a [Point]),
    /// Clouds one after the other, none of which is of this kind.
    Sweeps(&'a [Sweep<'a>]),
}

/// A borrowed cloud: how many points, and where each field of them lies. Nothing is copied.
///
/// **Units and frame**: those of the bytes; nothing is scaled or moved.
/// **Errors**: none after construction, which proved that every field of every point lies
/// within the bytes.
#[derive(Clone, Copy, Debug)]
pub struct CloudView<'a> {
    pub(super) source: Source<'a>,
    n_points: usize,
}

impl<'a> CloudView<'a> {
    /// A view of headerless records.
    ///
    /// **Shapes**: `bytes` is `[n_points, layout.stride_bytes()]`; no bytes are a cloud of no
    /// points.
    /// **Errors**: [`FrameErrorCode::TruncatedCloud`] with the length and the stride, where the
    /// one is not a multiple of the other.
    pub fn from_bytes(bytes: &'a [u8], layout: &PointLayout) -> Result<Self, FrameError> {
        let columns = Columns::of_layout(layout);
        let stride = layout.stride_bytes();
        let error = truncated(bytes.len(), stride);
        let (Some(columns), Some(n_points)) = (columns, n_records(bytes.len(), stride)) else {
            return Err(error);
        };
        Self::of_bytes(bytes, n_points, columns).ok_or(error)
    }

    /// A view of records `x, y, z` in metres and intensity in the data set's own scale. Their
    /// time lag is 0: a single sweep.
    pub fn from_records(records: &'a [[f32; 4]]) -> Self {
        Self { source: Source::Records4(records), n_points: records.len() }
    }

    /// A view of records `x, y, z` in metres, intensity in the data set's own scale, and time
    /// lag in seconds before the key sweep. (The fifth value of a nuScenes file is a ring, not a
    /// lag: such bytes are for [`CloudView::from_bytes`].)
    pub fn from_records_with_time_lag(records: &'a [[f32; 5]]) -> Self {
        Self { source: Source::Records5(records), n_points: records.len() }
    }

    /// A view of points.
    pub fn from_points(points: &'a [Point]) -> Self {
        Self { source: Source::Points(points), n_points: points.len() }
    }

    /// A view of several sweeps as one cloud, in the order of the slice; put the key sweep first, so
    /// that its points are the first of their pillars. See [`Sweep`] for an example.
    ///
    /// It has a time lag, that of its sweeps, and of other fields those that all its sweeps have.
    /// **Errors**: none here. A frame of more points than a report can count, which is `u32::MAX`, is
    /// refused by the points stage, as it is of every other view.
    pub fn from_sweeps(sweeps: &'a [Sweep<'a>]) -> Self {
        let n_points = sweeps.iter().fold(0_usize, |n, s| n.saturating_add(s.cloud().n_points()));
        Self { source: Source::Sweeps(sweeps), n_points }
    }

    /// A view of columns over memory; `None` where a value would lie outside.
    pub(super) fn of_bytes(bytes: &'a [u8], n_points: usize, columns: Columns) -> Option<Self> {
        columns.fit(n_points, bytes.len()).then_some(())?;
        Some(Self { source: Source::Bytes { bytes, columns }, n_points })
    }

    /// A view of records of a mapped file; `None` where a value would lie outside.
    pub(super) fn of_mapped(
        file: &'a MappedFile,
        start: usize,
        stride_bytes: usize,
        n_points: usize,
        columns: Columns,
    ) -> Option<Self> {
        let end = n_points.checked_mul(stride_bytes)?.checked_add(start)?;
        let fits = end <= file.n_bytes() && stride_bytes > 0 && stride_bytes <= MAX_STRIDE_BYTES;
        (fits && columns.fit(1, stride_bytes)).then_some(())?;
        Some(Self { source: Source::Mapped { file, start, stride_bytes, columns }, n_points })
    }

    /// Points of the cloud.
    pub fn n_points(&self) -> usize {
        self.n_points
    }

    /// Whether the cloud has no points.
    pub fn is_empty(&self) -> bool {
        self.n_points == 0
    }

    /// Whether the cloud has a field of its own; `x`, `y` and `z` it always has.
    pub fn has(&self, field: FieldName) -> bool {
        let columns = match &self.source {
            Source::Bytes { columns, .. } | Source::Mapped { columns, .. } => columns,
            Source::Records4(_) => return !matches!(field, FieldName::TimeLag | FieldName::Other),
            Source::Records5(_) | Source::Points(_) => return field != FieldName::Other,
            // What one sweep lacks, the cloud lacks; the lag comes with the sweep.
            Source::Sweeps(sweeps) => {
                return field == FieldName::TimeLag || sweeps.iter().all(|s| s.cloud().has(field));
            }
        };
        match field {
            FieldName::X | FieldName::Y | FieldName::Z => true,
            FieldName::Intensity => columns.intensity.is_some(),
            FieldName::TimeLag => columns.time_lag.is_some(),
            FieldName::Other => false,
        }
    }
}

/// Records of `stride` bytes in `n_bytes`, where they are a whole number.
pub(super) fn n_records(n_bytes: usize, stride: usize) -> Option<usize> {
    (stride > 0 && n_bytes.is_multiple_of(stride)).then(|| n_bytes / stride)
}

fn truncated(n_bytes: usize, stride: usize) -> FrameError {
    FrameError {
        stage: Stage::Points,
        code: FrameErrorCode::TruncatedCloud,
        got: n_bytes as u64,
        limit: stride as u64,
    }
}

impl Columns {
    /// The columns of packed records; `None` for a layout without coordinates, which no
    /// [`PointLayout`] is.
    pub(super) fn of_layout(layout: &PointLayout) -> Option<Self> {
        let column = |field| {
            let offset_bytes = layout.offset_of(field)?;
            Some(Column { scalar: layout.scalar(), offset_bytes, stride_bytes: layout.stride_bytes() })
        };
        Some(Self {
            x: column(FieldName::X)?,
            y: column(FieldName::Y)?,
            z: column(FieldName::Z)?,
            intensity: column(FieldName::Intensity),
            time_lag: column(FieldName::TimeLag),
        })
    }

    fn fit(&self, n_points: usize, n_bytes: usize) -> bool {
        let all = [Some(self.x), Some(self.y), Some(self.z), self.intensity, self.time_lag];
        all.into_iter().flatten().all(|c| c.end(n_points).is_some_and(|end| end <= n_bytes))
    }

    /// Scalar type and stride of records that begin with `x, y, z, intensity`, all of one type,
    /// and then the time lag where there is one: the layouts of the data sets.
    pub(super) fn packing(&self) -> Option<(ScalarType, usize)> {
        let Column { scalar, stride_bytes, .. } = self.x;
        let is_at = |column: &Column, i: usize| {
            *column == Column { scalar, offset_bytes: i * scalar.n_bytes(), stride_bytes }
        };
        let is_packed = is_at(&self.x, 0)
            && is_at(&self.y, 1)
            && is_at(&self.z, 2)
            && self.intensity.as_ref().is_some_and(|c| is_at(c, 3))
            && self.time_lag.as_ref().is_none_or(|c| is_at(c, 4));
        is_packed.then_some((scalar, stride_bytes))
    }
}

impl Column {
    /// First byte past the last value.
    fn end(&self, n_points: usize) -> Option<usize> {
        let Some(last) = n_points.checked_sub(1) else { return Some(0) };
        last.checked_mul(self.stride_bytes)?
            .checked_add(self.offset_bytes)?
            .checked_add(self.scalar.n_bytes())
    }

    /// The value of a point as `f32`, rounded to nearest; NaN outside of `bytes`, which the
    /// construction of every view has excluded.
    #[inline]
    pub(super) fn read(&self, bytes: &[u8], idx: usize) -> f32 {
        let at = idx.wrapping_mul(self.stride_bytes).wrapping_add(self.offset_bytes);
        let value = match self.scalar {
            ScalarType::F16 => array(bytes, at).map(|b| half::f16::from_le_bytes(b).to_f32()),
            ScalarType::F32 => array(bytes, at).map(f32::from_le_bytes),
            ScalarType::F64 => array(bytes, at).map(|b| f64::from_le_bytes(b) as f32),
            ScalarType::U8 => array(bytes, at).map(|b| f32::from(u8::from_le_bytes(b))),
            ScalarType::U16 => array(bytes, at).map(|b| f32::from(u16::from_le_bytes(b))),
            ScalarType::U32 => array(bytes, at).map(|b| u32::from_le_bytes(b) as f32),
            ScalarType::I8 => array(bytes, at).map(|b| f32::from(i8::from_le_bytes(b))),
            ScalarType::I16 => array(bytes, at).map(|b| f32::from(i16::from_le_bytes(b))),
            ScalarType::I32 => array(bytes, at).map(|b| i32::from_le_bytes(b) as f32),
        };
        value.unwrap_or(f32::NAN)
    }
}

/// `N` bytes from `at` on.
#[inline(always)]
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_that_are_no_whole_records_are_refused_with_both_numbers() {
        let error = CloudView::from_bytes(&[0; 33], &PointLayout::kitti()).unwrap_err();
        assert_eq!((error.code, error.got, error.limit), (FrameErrorCode::TruncatedCloud, 33, 16));
        assert_eq!(CloudView::from_bytes(&[0; 32], &PointLayout::kitti()).unwrap().n_points(), 2);
        assert!(CloudView::from_bytes(&[], &PointLayout::kitti()).unwrap().is_empty());
    }

    #[test]
    fn every_scalar_type_reads_its_own_bytes() {
        let read = |scalar, bytes: &[u8]| {
            let column = Column { scalar, offset_bytes: 1, stride_bytes: bytes.len() };
            let mut shifted = vec![0xaa];
            shifted.extend_from_slice(bytes);
            column.read(&shifted, 0)
        };
        let cases = [
            (ScalarType::F16, half::f16::from_f32(-1.5).to_le_bytes().to_vec(), -1.5),
            (ScalarType::F32, 0.1_f32.to_le_bytes().to_vec(), 0.1),
            (ScalarType::F64, 0.1_f64.to_le_bytes().to_vec(), 0.1),
            (ScalarType::U8, vec![200], 200.0),
            (ScalarType::U16, 65_000_u16.to_le_bytes().to_vec(), 65_000.0),
            (ScalarType::U32, 4_000_000_000_u32.to_le_bytes().to_vec(), 4e9),
            (ScalarType::I8, vec![200], -56.0),
            (ScalarType::I16, (-300_i16).to_le_bytes().to_vec(), -300.0),
            (ScalarType::I32, (-70_000_i32).to_le_bytes().to_vec(), -70_000.0),
        ];
        for (scalar, bytes, expected) in cases {
            assert_eq!(bytes.len(), scalar.n_bytes());
            assert_eq!(read(scalar, &bytes).to_bits(), f32::to_bits(expected), "{scalar:?}");
        }
        // Halfway between two f32, to even; and beyond f32.
        let halfway = 1.0_f64 + f64::from(f32::EPSILON) / 2.0;
        assert_eq!(read(ScalarType::F64, &halfway.to_le_bytes()).to_bits(), 1.0_f32.to_bits());
        assert!(read(ScalarType::F64, &1e300_f64.to_le_bytes()).is_infinite());
    }

    proptest! {
        #[test]
        fn a_view_is_made_exactly_where_every_value_lies_inside(
            n_bytes in 0_usize..200, n_points in 0_usize..20, stride in 0_usize..20,
            offsets in prop::array::uniform5(0_usize..40), huge in prop::bool::weighted(0.1),
        ) {
            let n_points = if huge { usize::MAX / 2 } else { n_points };
            let column = |i: usize| Column {
                scalar: [ScalarType::F64, ScalarType::U8, ScalarType::F16, ScalarType::F32, ScalarType::I32][i],
                offset_bytes: offsets[i], stride_bytes: stride,
            };
            let columns = Columns {
                x: column(0), y: column(1), z: column(2), intensity: Some(column(3)), time_lag: Some(column(4)),
            };
            let bytes = vec![0_u8; n_bytes];
            let made = CloudView::of_bytes(&bytes, n_points, columns).is_some();
            let fits = n_points == 0 || (0..5).all(|i| {
                let c = column(i);
                (n_points as u128 - 1) * stride as u128 + (c.offset_bytes + c.scalar.n_bytes()) as u128
                    <= n_bytes as u128
            });
            prop_assert_eq!(made, fits);
            if made && n_points > 0 {
                // Zeros read as zeros; a read outside would be NaN.
                prop_assert!((0..5).all(|i| column(i).read(&bytes, n_points - 1) == 0.0));
            }
        }
    }
}
