use super::*;
use crate::points::view::Column as HostColumn;
use crate::points::{CloudFile, PointsStage};
use pilotis_spec::{FrameReport, Grid, PointLayout};
use proptest::prelude::*;

/// A value as the device reads it.
fn read(buffer: &[u8], column: &Column, idx: usize) -> f32 {
    const TYPES: [ScalarType; 9] = [
        ScalarType::F16,
        ScalarType::F32,
        ScalarType::F64,
        ScalarType::U8,
        ScalarType::U16,
        ScalarType::U32,
        ScalarType::I8,
        ScalarType::I16,
        ScalarType::I32,
    ];
    if column.scalar == NONE {
        return 0.0;
    }
    let column = HostColumn {
        scalar: TYPES[column.scalar as usize],
        offset_bytes: column.offset_bytes as usize,
        stride_bytes: column.stride_bytes as usize,
    };
    column.read(buffer, idx)
}

/// Every point of a cloud, by way of chunks of a buffer.
fn by_chunks(cloud: &CloudView<'_>, buffer_bytes: usize) -> Vec<Point> {
    let mut buffer = vec![0xa5; buffer_bytes];
    let mut points = Vec::new();
    while points.len() < cloud.n_points() {
        let chunk = copy(cloud, points.len(), usize::MAX, &mut buffer).unwrap();
        assert!(chunk.n_points > 0 && chunk.n_bytes <= buffer_bytes);
        // What is not of the chunk must not be read.
        let bytes = &buffer[..chunk.n_bytes];
        points.extend((0..chunk.n_points).map(|i| Point {
            x: read(bytes, &chunk.columns.x, i),
            y: read(bytes, &chunk.columns.y, i),
            z: read(bytes, &chunk.columns.z, i),
            intensity: read(bytes, &chunk.columns.intensity, i),
            time_lag: read(bytes, &chunk.columns.time_lag, i),
        }));
    }
    points
}

/// Every point of a cloud, by way of the stage on the CPU.
fn by_stage(cloud: &CloudView<'_>) -> Vec<Point> {
    let grid = Grid::new([-1e4; 3], [1e4; 3], [100.0, 100.0]).unwrap();
    let mut stage = PointsStage::build(cloud.n_points().max(1));
    stage.run(cloud, &grid, true, &mut FrameReport::default()).unwrap().to_vec()
}

fn bytes_of(layout: &PointLayout, n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..n {
        let v = i as f32;
        let point = Point { x: v + 0.5, y: -v, z: v / 4.0, intensity: v / 8.0, time_lag: v / 16.0 };
        layout.write(&point, &mut bytes);
    }
    bytes
}

proptest! {
    #[test]
    fn chunks_of_any_size_hold_every_point_of_records(
        n in 0_usize..300, room in 1_usize..40,
        layout in prop::sample::select(vec![
            "kitti", "nuscenes", "nuscenes-sweeps-f16", "f64:t,z,y,x,intensity", "f32:_,x,y,z,i,_,time_lag",
        ]),
    ) {
        let Ok(layout) = layout.parse::<PointLayout>() else { return Ok(()) };
        let bytes = bytes_of(&layout, n);
        let cloud = CloudView::from_bytes(&bytes, &layout).unwrap();
        let chunks = by_chunks(&cloud, room * layout.stride_bytes());
        if layout.has(pilotis_spec::FieldName::Intensity) {
            prop_assert_eq!(chunks, by_stage(&cloud));
        }
    }

    #[test]
    fn columns_go_as_columns(n in 1_usize..200, room in 1_usize..50, gap in 0_usize..9, has_lag in any::<bool>()) {
        // Column after column, of types of their own, with a gap before each.
        let scalars = [ScalarType::F32, ScalarType::F64, ScalarType::I16, ScalarType::U8, ScalarType::F16];
        let mut bytes = Vec::new();
        let mut columns = Vec::new();
        for scalar in scalars {
            bytes.resize(bytes.len() + gap, 0xee);
            columns.push(HostColumn { scalar, offset_bytes: bytes.len(), stride_bytes: scalar.n_bytes() });
            for i in 0..n {
                match scalar {
                    ScalarType::F32 => bytes.extend((i as f32 / 3.0).to_le_bytes()),
                    ScalarType::F64 => bytes.extend((i as f64 / 7.0).to_le_bytes()),
                    ScalarType::I16 => bytes.extend((-(i as i16)).to_le_bytes()),
                    ScalarType::U8 => bytes.push(i as u8),
                    _ => bytes.extend(half::f16::from_f32(i as f32 / 2.0).to_le_bytes()),
                }
            }
        }
        let columns = Columns {
            x: columns[0], y: columns[1], z: columns[2], intensity: Some(columns[3]),
            time_lag: has_lag.then_some(columns[4]),
        };
        let cloud = CloudView::of_bytes(&bytes, n, columns).unwrap();
        prop_assert_eq!(by_chunks(&cloud, 64 + room * 17), by_stage(&cloud));
    }

    #[test]
    fn a_callers_values_go_as_records(values in prop::collection::vec(prop::array::uniform5(-50.0_f32..50.0), 0..100), room in 1_usize..30) {
        let four: Vec<[f32; 4]> = values.iter().map(|v| [v[0], v[1], v[2], v[3]]).collect();
        let points: Vec<Point> = values.iter()
            .map(|v| Point { x: v[0], y: v[1], z: v[2], intensity: v[3], time_lag: v[4] }).collect();
        for cloud in [
            CloudView::from_records(&four),
            CloudView::from_records_with_time_lag(&values),
            CloudView::from_points(&points),
        ] {
            prop_assert_eq!(by_chunks(&cloud, room * 20), by_stage(&cloud));
        }
    }
}

#[test]
fn a_mapped_file_goes_as_records_and_a_cut_one_is_an_error() {
    let layout = PointLayout::kitti();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.bin");
    std::fs::write(&path, bytes_of(&layout, 1000)).unwrap();
    let file = CloudFile::open(&path, Some(&layout)).unwrap();
    assert_eq!(by_chunks(&file.view(), 16 * 300), by_stage(&file.view()));
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(16 * 500).unwrap();
    let mut buffer = vec![0; 16 * 1000];
    assert!(copy(&file.view(), 0, usize::MAX, &mut buffer).is_err());
    assert!(copy(&file.view(), 0, usize::MAX, &mut buffer[..16 * 500]).is_ok());
}
