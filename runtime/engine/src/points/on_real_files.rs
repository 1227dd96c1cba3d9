//! Facts about real files. The folder is found by `PILOTIS_DATA` alone; without it each test
//! says that it was skipped.

use super::{CloudFile, CloudView, Columns, PointsStage, Sweep};
use crate::device::mapped::MappedFile;
use pilotis_spec::{FrameReport, Grid, Point, PointLayout};
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("PILOTIS_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: PILOTIS_DATA is not set");
    }
    folder
}

/// The files of a folder with an ending, of which there must be some.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let found: Vec<_> = all.filter(|p| p.to_string_lossy().ends_with(ending)).collect();
    assert!(!found.is_empty(), "no {ending} in {}", folder.display());
    found
}

/// All points of a file, through the stage, and the report.
fn read(path: &Path, layout: Option<&PointLayout>) -> (Vec<Point>, FrameReport) {
    let cloud = CloudFile::open(path, layout).unwrap();
    let grid = Grid::new([-1024.0; 3], [1024.0; 3], [8.0, 8.0]).unwrap();
    let mut report = FrameReport::default();
    let mut stage = PointsStage::build(cloud.n_points());
    let points = stage.run(&cloud.view(), &grid, true, &mut report).unwrap().to_vec();
    assert_eq!(points.len() as u32 + report.dropped_nan + report.dropped_out_of_range, report.n_points);
    (points, report)
}

#[test]
fn kitti_sweeps_have_their_published_sizes() {
    let Some(folder) = folder() else { return };
    for (name, n_files, sizes) in
        [("velodyne", 3, 113_110..=126_891), ("velodyne_reduced", 23, 16_189..=20_676)]
    {
        let files = files(&folder.join("kitti/training").join(name), ".bin");
        assert_eq!(files.len(), n_files);
        for file in files {
            let (points, report) = read(&file, Some(&PointLayout::kitti()));
            assert!(sizes.contains(&report.n_points), "{}: {}", file.display(), report.n_points);
            assert_eq!(points.len() as u32, report.n_points);
            assert!(points.iter().all(|p| (0.0..=0.99).contains(&p.intensity)), "{}", file.display());
        }
    }
}

#[test]
fn a_nuscenes_frame_has_its_points_and_its_own_vehicle() {
    let Some(folder) = folder() else { return };
    let file = &files(&folder.join("nuscenes_frame"), ".pcd.bin")[0];
    let (points, report) = read(file, Some(&PointLayout::nuscenes()));
    assert_eq!((report.n_points, report.n_points_kept), (34_688, 34_688));
    // "Within 1 m of the origin" is a circle in the ground plane.
    let n_own = points.iter().filter(|p| p.x.hypot(p.y) < 1.0).count();
    assert_eq!(n_own, 8_220);
    assert!(points.iter().all(|p| (0.0..=255.0).contains(&p.intensity) && p.time_lag == 0.0));
}

#[test]
fn ten_sweeps_have_ten_lags() {
    let Some(folder) = folder() else { return };
    let file = &files(&folder.join("nuscenes_ten_sweeps"), ".bin")[0];
    let (points, report) = read(file, Some(&PointLayout::nuscenes_sweeps_f16()));
    assert_eq!((report.n_points, report.n_points_kept), (271_156, 271_156));
    let mut lags: Vec<f32> = points.iter().map(|p| p.time_lag).collect();
    lags.sort_by(f32::total_cmp);
    lags.dedup();
    assert_eq!(lags.len(), 10);
    // 0.45 s to the precision of f16.
    assert!(lags[0] == 0.0 && (lags[9] - 0.45).abs() < 5e-3, "{lags:?}");
}

/// Runs of points of one lag, and the lag.
fn by_lag(bytes: &[u8]) -> Vec<(f32, &[u8])> {
    let lag = |record: &[u8]| half::f16::from_le_bytes([record[8], record[9]]).to_f32();
    let (records, rest) = bytes.as_chunks::<10>();
    assert!(rest.is_empty());
    let runs = records.chunk_by(|a, b| lag(a).to_bits() == lag(b).to_bits());
    runs.map(|run| (lag(&run[0]), run.as_flattened())).collect()
}

#[test]
fn ten_sweeps_side_by_side_are_the_file_that_holds_them_all() {
    let Some(folder) = folder() else { return };
    let file = &files(&folder.join("nuscenes_ten_sweeps"), ".bin")[0];
    let (all, _) = read(file, Some(&PointLayout::nuscenes_sweeps_f16()));
    let bytes = std::fs::read(file).unwrap();
    // Each without its lag, which then comes from the sweep.
    let layout: PointLayout = "f16:x,y,z,intensity,_".parse().unwrap();
    let runs = by_lag(&bytes);
    let sweep = |&(lag, bytes): &(f32, _), near| {
        Sweep::new(CloudView::from_bytes(bytes, &layout).unwrap(), None, lag, near).unwrap()
    };
    let sweeps: Vec<Sweep<'_>> = runs.iter().map(|run| sweep(run, 0.0)).collect();
    assert_eq!(sweeps.len(), 10);
    let grid = Grid::new([-1024.0; 3], [1024.0; 3], [8.0, 8.0]).unwrap();
    let mut stage = PointsStage::build(all.len());
    let mut report = FrameReport::default();
    let got = stage.run(&CloudView::from_sweeps(&sweeps), &grid, true, &mut report).unwrap();
    let bits = |p: &Point| [p.x, p.y, p.z, p.intensity, p.time_lag].map(f32::to_bits);
    assert_eq!(got.len(), all.len());
    assert!(got.iter().zip(&all).all(|(a, b)| bits(a) == bits(b)));
    // Whoever made the file took the own vehicle's returns out of nine sweeps before moving them, and
    // left them in the key sweep, which is a quarter of it.
    let near = |p: &&Point| p.x.abs() < 1.0 && p.y.abs() < 1.0;
    let n_near = all.iter().filter(near).count() as u32;
    let n_near_of_key = all.iter().filter(|p| p.time_lag == 0.0).filter(near).count();
    assert!(n_near_of_key > 8000, "{n_near_of_key}");
    let sweeps: Vec<Sweep<'_>> = runs.iter().map(|run| sweep(run, 1.0)).collect();
    let mut report = FrameReport::default();
    stage.run(&CloudView::from_sweeps(&sweeps), &grid, true, &mut report).unwrap();
    assert_eq!((report.dropped_near_sensor, report.n_points_kept), (n_near, 271_156 - n_near));
}

#[test]
fn a_real_pcd_file_reads_as_another_implementation_reads_it() {
    let Some(folder) = folder() else { return };
    let file = &files(&folder.join("pcd"), ".pcd")[0];
    let (points, report) = read(file, None);
    assert_eq!((report.n_points, report.n_points_kept), (119_978, 119_978));
    let reader = pcd_rs::DynReader::open(file).unwrap();
    let mut n = 0;
    for (ours, theirs) in points.iter().zip(reader) {
        let theirs: Vec<f32> = theirs.unwrap().0.iter().map(|f| f.to_value::<f32>().unwrap()).collect();
        let ours = [ours.x, ours.y, ours.z, ours.intensity].map(f32::to_bits);
        assert_eq!(ours, *theirs.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        n += 1;
    }
    assert_eq!(n, 119_978);
}

/// Not a test of speed, which a shared machine cannot give: prints what it measured.
#[test]
#[ignore = "a measurement: run with --release --ignored --nocapture"]
fn measure_the_stage_on_a_kitti_sweep() {
    let Some(folder) = folder() else { return };
    let grid = Grid::new([0.0, -39.68, -3.0], [69.12, 39.68, 1.0], [0.16, 0.16]).unwrap();
    let sweeps = Grid::new([-51.2, -51.2, -5.0], [51.2, 51.2, 3.0], [0.2, 0.2]).unwrap();
    let kitti = PointLayout::kitti();
    let sweep = &files(&folder.join("kitti/training/velodyne"), ".bin")[0];
    let bytes = std::fs::read(sweep).unwrap();
    let mapped = CloudFile::open(sweep, Some(&kitti)).unwrap();
    let ten = CloudFile::open(
        &files(&folder.join("nuscenes_ten_sweeps"), ".bin")[0],
        Some(&PointLayout::nuscenes_sweeps_f16()),
    )
    .unwrap();
    let pcd = CloudFile::open(&files(&folder.join("pcd"), ".pcd")[0], None).unwrap();
    let by_pread = MappedFile::new(std::fs::File::open(sweep).unwrap()).unwrap().without_map();
    let columns = Columns::of_layout(&kitti).unwrap();
    let by_pread = CloudView::of_mapped(&by_pread, 0, 16, mapped.n_points(), columns).unwrap();
    let memory = CloudView::from_bytes(&bytes, &kitti).unwrap();
    let cases = [
        ("kitti, memory", memory, &grid),
        ("kitti, mapped", mapped.view(), &grid),
        ("kitti, pread", by_pread, &grid),
        ("pcd binary, mapped", pcd.view(), &grid),
        ("ten sweeps f16, mapped", ten.view(), &sweeps),
    ];
    let mut stage = PointsStage::build(300_000);
    for (name, cloud, grid) in cases {
        let mut times: Vec<u128> = (0..200)
            .map(|_| {
                let begin = std::time::Instant::now();
                stage.run(&cloud, grid, true, &mut FrameReport::default()).unwrap();
                begin.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        let per_point = |ns: u128| ns as f64 / cloud.n_points() as f64;
        let (least, median) = (per_point(times[0]), per_point(times[100]));
        println!("{name}: {} points, {least:.2} ns/point at best, {median:.2} median", cloud.n_points());
    }
}
