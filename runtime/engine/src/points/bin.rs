//! Headerless records: KITTI's `.bin`, nuScenes' `.pcd.bin`, aggregated sweeps.

use super::view::n_records;
use super::{CloudError, CloudFormat, Columns, Contents, Data, Failure};
use crate::device::mapped::MappedFile;
use pilotis_spec::PointLayout;
use std::fs::File;

/// The records of a file; an empty file is a cloud of no points.
pub(super) fn open(file: File, layout: &PointLayout) -> Result<Contents, Failure> {
    let file = MappedFile::new(file)?;
    let (n_bytes, stride_bytes) = (file.n_bytes(), layout.stride_bytes());
    let Some(n_points) = n_records(n_bytes, stride_bytes) else {
        return Err(Failure::Cloud(CloudError::whole(format!(
            "has {n_bytes} bytes, which are not a whole number of {stride_bytes}-byte records of layout \
             {layout}: the file is truncated, or of another layout"
        ))));
    };
    let columns =
        Columns::of_layout(layout).ok_or_else(|| CloudError::whole("has a layout without x, y, z"))?;
    let data = Data::Mapped { file, start: 0, stride_bytes };
    Ok(Contents { format: CloudFormat::Bin(layout.clone()), n_points, columns, data }.checked()?)
}

#[cfg(test)]
mod tests {
    use crate::points::{CloudFile, PointsStage};
    use pilotis_spec::{FrameErrorCode, FrameReport, Grid, PointLayout};
    use std::io::Write;

    fn file(suffix: &str, bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn grid() -> Grid {
        Grid::new([0.0, -40.0, -3.0], [80.0, 40.0, 1.0], [0.5, 0.5]).unwrap()
    }

    #[test]
    fn an_empty_file_is_a_cloud_of_no_points() {
        let cloud = CloudFile::open(file(".bin", b"").path(), Some(&PointLayout::kitti())).unwrap();
        assert_eq!(cloud.n_points(), 0);
        assert_eq!(cloud.format().to_string(), "headerless records, layout kitti");
    }

    #[test]
    fn a_part_of_a_record_is_refused_with_both_numbers() {
        let error = CloudFile::open(file(".bin", &[0; 50]).path(), Some(&PointLayout::kitti())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("50 bytes") && text.contains("16-byte"), "{text}");
    }

    #[test]
    fn a_name_in_pcd_bin_is_headerless_whatever_it_begins_with() {
        let mut bytes = b"# .PCD v0.7 - Point ".to_vec();
        bytes.extend([0; 20]);
        let file = file(".pcd.bin", &bytes);
        assert_eq!(CloudFile::open(file.path(), Some(&PointLayout::nuscenes())).unwrap().n_points(), 2);
        let error = CloudFile::open(file.path(), None).unwrap_err();
        assert!(error.to_string().contains("name its layout"), "{error}");
    }

    #[test]
    fn folders_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = PointLayout::kitti();
        let error = CloudFile::open(folder.path(), Some(&layout)).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let error = CloudFile::open(&folder.path().join("absent.bin"), Some(&layout)).unwrap_err();
        assert!(error.to_string().contains("absent.bin"), "{error}");
    }

    #[test]
    fn a_file_cut_after_opening_fails_the_frame_and_nothing_else() {
        let n_points = 100_000;
        let file = file(".bin", &vec![0; n_points * 16]);
        let cloud = CloudFile::open(file.path(), Some(&PointLayout::kitti())).unwrap();
        let mut stage = PointsStage::build(n_points);
        let mut report = FrameReport::default();
        for cut in [0, 1, 4096, 1_000_000, n_points * 16 - 1] {
            file.as_file().set_len(cut as u64).unwrap();
            let error = stage.run(&cloud.view(), &grid(), false, &mut report).unwrap_err();
            assert_eq!((error.code, error.got), (FrameErrorCode::CloudVanished, cut as u64));
            assert!(stage.points().is_empty());
            file.as_file().set_len((n_points * 16) as u64).unwrap();
            assert_eq!(stage.run(&cloud.view(), &grid(), false, &mut report).unwrap().len(), n_points);
        }
    }
}
