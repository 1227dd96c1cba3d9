#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use pilotis_spec::PointLayout;
use proptest::prelude::*;

fn grid() -> Grid {
    Grid::new([0.0, -40.0, -3.0], [80.0, 40.0, 1.0], [0.5, 0.5]).unwrap()
}

fn run(
    cloud: &CloudView<'_>,
    max_points: usize,
    needs_time_lag: bool,
) -> (Vec<Point>, FrameReport, PointsSummary) {
    let mut stage = PointsStage::build(max_points);
    let mut report = FrameReport::default();
    let points = stage.run(cloud, &grid(), needs_time_lag, &mut report).unwrap().to_vec();
    (points, report, *stage.summary())
}

fn n_accounted(report: &FrameReport) -> u32 {
    report.n_points_kept
        + report.dropped_nan
        + report.dropped_near_sensor
        + report.dropped_out_of_range
        + report.dropped_over_capacity
}

const GOOD: [f32; 4] = [1.0, 2.0, -1.0, 0.5];

#[test]
fn every_drop_has_its_own_counter() {
    let nan = f32::NAN;
    let inf = f32::INFINITY;
    let records = [
        GOOD,
        [nan, 0.0, 0.0, 0.0],
        [1.0, inf, 0.0, 0.0],
        [1.0, 0.0, -inf, 0.0],
        [1.0, 0.0, 0.0, nan],
        [nan, 100.0, 0.0, 0.0], // not finite and out of range: the first cause counts
        [-1.0, 0.0, 0.0, 0.0],
        [1.0, 50.0, 0.0, 0.0],
        [1.0, 0.0, 5.0, 0.0],
        [3.0, 3.0, 0.0, 0.25],
        [4.0, 4.0, 0.0, 0.75], // the third one kept, of two
        [nan, 0.0, 0.0, 0.0],
    ];
    let (points, report, summary) = run(&CloudView::from_records(&records), 2, false);
    assert_eq!(report.n_points, 12);
    assert_eq!((report.dropped_nan, report.dropped_out_of_range, report.dropped_over_capacity), (6, 3, 1));
    assert_eq!(points.iter().map(|p| p.x).collect::<Vec<_>>(), [1.0, 3.0]);
    assert_eq!(report.flags, FrameFlags::OVER_CAPACITY);
    assert_eq!(
        summary,
        PointsSummary { n_points: 2, intensity_mean: 0.375, intensity_max: 0.5, z_mean_m: -0.5 }
    );
}

#[test]
fn ranges_are_half_open() {
    let (min, max) = (grid().min(), grid().max());
    let inside = [min, [max[0].next_down(), max[1].next_down(), max[2].next_down()]];
    let mut records: Vec<[f32; 4]> = inside.iter().map(|p| [p[0], p[1], p[2], 0.0]).collect();
    for axis in 0..3 {
        for (corner, value) in [(min, min[axis].next_down()), (min, max[axis])] {
            let mut p = corner;
            p[axis] = value;
            records.push([p[0], p[1], p[2], 0.0]);
        }
    }
    let (points, report, _) = run(&CloudView::from_records(&records), 100, false);
    assert_eq!((points.len(), report.dropped_out_of_range), (2, 6));
}

#[test]
fn empty_and_fully_dropped_clouds_are_flagged_apart() {
    assert_eq!(run(&CloudView::from_records(&[]), 9, false).1.flags, FrameFlags::EMPTY_CLOUD);
    for bad in [[-5.0, 0.0, 0.0, 0.0], [f32::NAN; 4]] {
        assert_eq!(run(&CloudView::from_records(&[bad]), 9, false).1.flags, FrameFlags::NOTHING_IN_RANGE);
    }
    assert_eq!(run(&CloudView::from_records(&[GOOD]), 0, false).1.flags, FrameFlags::OVER_CAPACITY);
}

#[test]
fn a_cloud_without_intensity_is_refused_and_leaves_no_points() {
    let layout: PointLayout = "f32:x,y,z".parse().unwrap();
    let mut stage = PointsStage::build(10);
    let mut report = FrameReport::default();
    stage.run(&CloudView::from_records(&[GOOD]), &grid(), false, &mut report).unwrap();
    let cloud = CloudView::from_bytes(&[0; 24], &layout).unwrap();
    let error = stage.run(&cloud, &grid(), false, &mut report).unwrap_err();
    assert_eq!((error.stage, error.code), (Stage::Points, FrameErrorCode::MissingField));
    assert!(stage.points().is_empty());
    assert_eq!(report.n_points, 1);
}

#[test]
fn the_time_lag_is_read_only_where_it_is_needed() {
    let records = [[1.0, 2.0, 0.0, 0.5, 0.05], [1.0, 2.0, 0.0, 0.5, f32::NAN]];
    let points = records.map(|[x, y, z, intensity, time_lag]| Point { x, y, z, intensity, time_lag });
    let bytes: Vec<u8> = records.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    let lag: PointLayout = "f32:x,y,z,intensity,time_lag".parse().unwrap();
    for cloud in [
        CloudView::from_records_with_time_lag(&records),
        CloudView::from_points(&points),
        CloudView::from_bytes(&bytes, &lag).unwrap(),
    ] {
        assert!(cloud.has(FieldName::TimeLag));
        let (kept, report, _) = run(&cloud, 9, true);
        assert_eq!((kept.len(), report.dropped_nan, kept[0].time_lag.to_bits()), (1, 1, 0.05_f32.to_bits()));
        let (kept, report, _) = run(&cloud, 9, false);
        assert_eq!((kept.len(), report.dropped_nan, kept[0].time_lag.to_bits()), (2, 0, 0));
    }
    // The ring of nuScenes is no lag.
    let (kept, _, _) = run(&CloudView::from_bytes(&bytes, &PointLayout::nuscenes()).unwrap(), 9, true);
    assert_eq!(kept[0].time_lag.to_bits(), 0);
}

#[test]
fn half_floats_become_their_exact_values() {
    let values = [1.5_f32, -2.25, 0.125, 200.0, 0.449_951_17];
    let bytes: Vec<u8> = values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    let cloud = CloudView::from_bytes(&bytes, &PointLayout::nuscenes_sweeps_f16()).unwrap();
    let (points, _, _) = run(&cloud, 9, true);
    let [x, y, z, intensity, time_lag] = values;
    assert_eq!(points, [Point { x, y, z, intensity, time_lag }]);
}

/// Encodes records in any layout; columns that are skipped hold a value that would be noticed.
fn encode(layout: &PointLayout, records: &[[f32; 5]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        for column in layout.columns() {
            let value = match column {
                FieldName::X => record[0],
                FieldName::Y => record[1],
                FieldName::Z => record[2],
                FieldName::Intensity => record[3],
                FieldName::TimeLag => record[4],
                FieldName::Other => f32::NAN,
            };
            match layout.scalar() {
                ScalarType::F16 => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
                ScalarType::F64 => bytes.extend(f64::from(value).to_le_bytes()),
                _ => bytes.extend(value.to_le_bytes()),
            }
        }
    }
    bytes
}

/// Coordinates that f16 holds exactly, and now and then something else.
fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![8 => (-200_i16..200).prop_map(|v| f32::from(v) * 0.25), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

/// The statistics by their definition: cut, in units of 2^-20, towards zero, in numbers that hold all.
fn summary_by_definition(points: &[Point]) -> PointsSummary {
    let sum_of = |value: fn(&Point) -> f32| {
        let units = |v: f32| (f64::from(v.clamp(-65_536.0, 65_536.0)) * f64::from(1 << 20)).trunc() as i128;
        points.iter().map(|p| units(value(p))).sum::<i128>() as i64
    };
    let intensity_max = points.iter().map(|p| p.intensity).max_by(f32::total_cmp).unwrap_or(0.0);
    PointsSummary::from_sums(points.len() as u32, sum_of(|p| p.intensity), intensity_max, sum_of(|p| p.z))
}

#[test]
fn means_are_those_of_the_values_in_units_and_huge_values_are_cut() {
    let unit = 1.0 / f32::from(1024_u16).powi(2);
    let of = |intensities: &[f32]| {
        let records: Vec<[f32; 4]> = intensities.iter().map(|i| [1.0, 0.0, -0.5, *i]).collect();
        let (_, _, summary) = run(&CloudView::from_records(&records), 10, false);
        (summary.intensity_mean, summary.intensity_max)
    };
    assert_eq!(of(&[f32::MAX, 0.0]), (32_768.0, f32::MAX));
    assert_eq!(of(&[-f32::MAX, -1e6, -0.0]), (-2.0 * 65_536.0 / 3.0, 0.0));
    assert_eq!(of(&[-2.0, -3.0]), (-2.5, -2.0));
    // Of zeros the largest is the one without a sign, as integers have it on a card.
    for (zeros, largest) in [([-0.0, 0.0], 0.0_f32), ([0.0, -0.0], 0.0), ([-0.0, -0.0], -0.0)] {
        assert_eq!(of(&zeros).1.to_bits(), largest.to_bits(), "{zeros:?}");
    }
    // Towards zero, from either side.
    assert_eq!(of(&[1.9 * unit]), (f64::from(unit), 1.9 * unit));
    assert_eq!(of(&[-1.9 * unit]), (-f64::from(unit), -1.9 * unit));
    assert_eq!(of(&[f32::MIN_POSITIVE / 2.0]), (0.0, f32::MIN_POSITIVE / 2.0));
}

/// Any `f32`, or one about some units, or a usual one.
fn intensity() -> impl Strategy<Value = f32> {
    let about_units = (-40_000_000_i32..40_000_000).prop_map(|v| v as f32 / 1_048_576.0 / 7.0);
    prop_oneof![any::<f32>(), about_units, 0.0_f32..1.0]
}

proptest! {
    #[test]
    fn statistics_do_not_depend_on_the_order_of_points(
        records in prop::collection::vec((0.0_f32..80.0, -40.0_f32..40.0, -3.0_f32..1.0, intensity()), 0..80),
        by in 0_usize..80, n_times in 1_usize..40,
    ) {
        let records: Vec<[f32; 4]> = records.iter().map(|&(x, y, z, i)| [x, y, z, i]).collect();
        // Often more than are summed at once.
        let mut records = records.repeat(n_times);
        let (points, _, summary) = run(&CloudView::from_records(&records), 4000, false);
        prop_assert_eq!(summary, summary_by_definition(&points));
        prop_assert_eq!(summary, PointsSummary::of(&points));
        for turned in [true, false] {
            if turned {
                let by = by % records.len().max(1);
                records.rotate_left(by);
            } else {
                records.sort_by(|a, b| a[3].total_cmp(&b[3]));
            }
            let (_, _, again) = run(&CloudView::from_records(&records), 4000, false);
            prop_assert_eq!(again.intensity_mean.to_bits(), summary.intensity_mean.to_bits());
            prop_assert_eq!(again.z_mean_m.to_bits(), summary.z_mean_m.to_bits());
            prop_assert_eq!(again, summary);
        }
    }

    #[test]
    fn every_layout_yields_the_same_points_and_counts_add_up(
        records in prop::collection::vec(prop::array::uniform5(coordinate()), 0..60), max_points in 0_usize..20,
        needs_time_lag: bool,
    ) {
        let expected = run(&CloudView::from_records_with_time_lag(&records), max_points, needs_time_lag);
        prop_assert_eq!(n_accounted(&expected.1), records.len() as u32);
        for layout in ["f32:x,y,z,i,t", "f16:x,y,z,i,t", "f64:x,y,z,i,t", "f32:_,t,i,z,y,x", "f16:x,y,z,i,_,t", "f32:x,y,z,i,_,t"] {
            let layout: PointLayout = layout.parse().unwrap();
            let bytes = encode(&layout, &records);
            let cloud = CloudView::from_bytes(&bytes, &layout).unwrap();
            prop_assert_eq!(&run(&cloud, max_points, needs_time_lag), &expected, "{}", layout);
        }
        let without_lag: Vec<[f32; 4]> = records.iter().map(|r| [r[0], r[1], r[2], r[3]]).collect();
        let expected = run(&CloudView::from_records(&without_lag), max_points, true);
        for layout in ["kitti", "nuscenes", "f16:x,y,z,i"] {
            let layout: PointLayout = layout.parse().unwrap();
            let bytes = encode(&layout, &records);
            let cloud = CloudView::from_bytes(&bytes, &layout).unwrap();
            prop_assert_eq!(&run(&cloud, max_points, true), &expected, "{}", layout);
        }
    }

    #[test]
    fn no_bytes_panic_and_every_point_is_accounted_for(
        bytes in prop::collection::vec(any::<u8>(), 0..400), max_points in 0_usize..9, needs_time_lag: bool,
    ) {
        for layout in ["kitti", "nuscenes", "nuscenes-sweeps-f16", "f64:y,x,i,z", "f16:_,x,y,z,i,_,t"] {
            let layout: PointLayout = layout.parse().unwrap();
            let n = bytes.len() / layout.stride_bytes() * layout.stride_bytes();
            let cloud = CloudView::from_bytes(&bytes[..n], &layout).unwrap();
            let (points, report, summary) = run(&cloud, max_points, needs_time_lag);
            prop_assert_eq!(n_accounted(&report) as usize, cloud.n_points());
            prop_assert_eq!(points.len(), summary.n_points as usize);
            prop_assert!(points.iter().all(|p| p.is_finite() && grid().contains(p.x, p.y, p.z)));
        }
    }
}
