use crate::error::BuildErrorKind;
use crate::points::lzf::tests::compress;
use crate::points::{CloudFile, CloudFormat, PointsStage};
use pcd_rs::{DataKind, DynReader, DynRecord, DynWriter, Field, Schema, ValueKind, WriterInit};
use pilotis_spec::{FieldName, FrameReport, Grid, Point};
use proptest::prelude::*;
use std::io::Write;

fn open_bytes(bytes: &[u8]) -> Result<CloudFile, crate::error::BuildError> {
    let mut file = tempfile::Builder::new().suffix(".pcd").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    // The file may go: the mapping and the descriptor keep its bytes.
    CloudFile::open(file.path(), None)
}

fn points_of(cloud: &CloudFile) -> Vec<Point> {
    let grid = Grid::new([-1024.0; 3], [1024.0; 3], [8.0, 8.0]).unwrap();
    let mut stage = PointsStage::build(cloud.n_points());
    stage.run(&cloud.view(), &grid, true, &mut FrameReport::default()).unwrap().to_vec()
}

const FIELDS: &str = "FIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\n";

fn header(fields: &str, n_points: usize, data: &str) -> Vec<u8> {
    format!("VERSION 0.7\n{fields}WIDTH {n_points}\nHEIGHT 1\nPOINTS {n_points}\nDATA {data}\n").into_bytes()
}

fn compressed(fields: &str, n_points: usize, columns: &[u8]) -> Vec<u8> {
    let block = compress(columns);
    let mut bytes = header(fields, n_points, "binary_compressed");
    bytes.extend((block.len() as u32).to_le_bytes());
    bytes.extend((columns.len() as u32).to_le_bytes());
    bytes.extend(block);
    bytes
}

/// Points with every scalar type, written by another implementation.
fn written_by_pcd_rs(kind: DataKind, n: usize) -> Vec<u8> {
    let schema = Schema::from_iter([
        ("ring", ValueKind::U16, 3),
        ("y", ValueKind::F64, 1),
        ("x", ValueKind::F32, 1),
        ("z", ValueKind::I16, 1),
        ("t", ValueKind::U32, 1),
        ("reflectivity", ValueKind::U8, 1),
        ("dt", ValueKind::F32, 1),
        ("class", ValueKind::I8, 2),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.pcd");
    let init = WriterInit {
        width: n as u64,
        height: 1,
        viewpoint: Default::default(),
        data_kind: kind,
        schema: Some(schema),
        version: None,
    };
    let mut writer: DynWriter<_> = init.create(&path).unwrap();
    for i in 0..n {
        let v = i as f32;
        writer
            .push(&DynRecord(vec![
                Field::U16(vec![7; 3]),
                Field::F64(vec![f64::from(v) / 3.0]),
                Field::F32(vec![-v / 7.0]),
                Field::I16(vec![i as i16 - 20]),
                Field::U32(vec![4_000_000_000]),
                Field::U8(vec![(i % 256) as u8]),
                Field::F32(vec![v * 0.01]),
                Field::I8(vec![-1, 1]),
            ]))
            .unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn another_implementation_reads_the_same_points_in_all_encodings() {
    for (kind, format) in [
        (DataKind::Ascii, CloudFormat::PcdAscii),
        (DataKind::Binary, CloudFormat::PcdBinary),
        (DataKind::BinaryCompressed, CloudFormat::PcdBinaryCompressed),
    ] {
        let bytes = written_by_pcd_rs(kind, 300);
        let cloud = open_bytes(&bytes).unwrap();
        assert_eq!(*cloud.format(), format);
        let theirs: Vec<Point> = DynReader::from_bytes(&bytes)
            .unwrap()
            .map(|record| {
                let fields = record.unwrap().0;
                let number = |i: usize| match &fields[i] {
                    Field::F64(v) => v[0] as f32,
                    Field::F32(v) => v[0],
                    Field::I16(v) => f32::from(v[0]),
                    Field::U8(v) => f32::from(v[0]),
                    other => panic!("{other:?}"),
                };
                Point { x: number(2), y: number(1), z: number(3), intensity: number(5), time_lag: number(6) }
            })
            .collect();
        assert_eq!(theirs.len(), 300);
        assert_eq!(points_of(&cloud), theirs, "{format}");
    }
}

#[test]
fn a_clock_is_no_time_lag_and_padding_is_skipped() {
    for name in ["t", "time", "timestamp"] {
        let fields =
            format!("FIELDS x y z _ i {name}\nSIZE 4 4 4 1 1 8\nTYPE F F F U U U\nCOUNT 1 1 1 3 1 1\n");
        let mut bytes = header(&fields, 1, "binary");
        bytes.extend([1.0_f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend([9, 9, 9, 77]);
        bytes.extend(u64::MAX.to_le_bytes());
        let cloud = open_bytes(&bytes).unwrap();
        assert!(!cloud.view().has(FieldName::TimeLag));
        assert_eq!(points_of(&cloud), [Point { x: 1.0, y: 2.0, z: 3.0, intensity: 77.0, time_lag: 0.0 }]);
    }
}

#[test]
fn intensity_is_preferred_by_name_not_by_place() {
    let fields = "FIELDS x y z reflectivity intensity dt time_lag\nSIZE 4 4 4 4 4 4 4\nTYPE F F F F F F F\n";
    let mut bytes = header(fields, 1, "ascii");
    bytes.extend(b"1 2 3 4 5 6 7\n");
    let points = points_of(&open_bytes(&bytes).unwrap());
    assert_eq!((points[0].intensity, points[0].time_lag), (5.0, 7.0));
}

#[test]
fn text_may_hold_nan_and_blank_lines() {
    let mut bytes = header(FIELDS, 3, "ascii");
    bytes.extend(b"1 2 3 4\r\n\nnan nan NaN 0\n  5 6 7 8e0 \nthe rest is not read");
    let points = points_of(&open_bytes(&bytes).unwrap());
    assert_eq!(points.iter().map(|p| p.intensity).collect::<Vec<_>>(), [4.0, 8.0]);
}

#[test]
fn a_header_of_no_points_is_an_empty_cloud() {
    for data in ["ascii", "binary", "binary_compressed"] {
        assert_eq!(open_bytes(&header(FIELDS, 0, data)).unwrap().n_points(), 0);
    }
}

#[test]
fn broken_files_say_what_where_and_what_to_do() {
    let with = |mut header: Vec<u8>, body: &[u8]| {
        header.extend(body);
        header
    };
    let huge = 1 << 60;
    let at_points = "line 8: ";
    let n_header = header(FIELDS, 2, "binary_compressed").len();
    let mut wrong_sum = compressed(FIELDS, 2, &[0; 32]);
    wrong_sum[n_header + 4] = 31;
    let mut wrong_block = compressed(FIELDS, 2, &[0; 32]);
    wrong_block[n_header + 8] = 31;
    let mut long_block = compressed(FIELDS, 2, &[0; 32]);
    long_block[n_header + 2] = 1;
    let mut bomb = header(FIELDS, 1 << 20, "binary_compressed");
    bomb.extend(4_u32.to_le_bytes());
    bomb.extend((1_u32 << 24).to_le_bytes());
    bomb.extend([0; 4]);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "is empty"),
        (vec![0xff; 100], "no DATA line"),
        (with(header(FIELDS, 2, "binary"), &[0; 31]), at_points),
        (header(FIELDS, huge, "binary"), at_points),
        (header(FIELDS, usize::MAX, "binary"), at_points),
        (with(header(FIELDS, huge, "ascii"), b"1 2 3 4\n"), at_points),
        (with(header(FIELDS, 2, "ascii"), b"1 2 3 4 \n        "), "1 lines follow"),
        (with(header(FIELDS, 2, "ascii"), b"1 2 3 4\n10 20 30\n"), "line 11: 3 values"),
        (with(header(FIELDS, 2, "ascii"), b"1 2 3 4\n1 2 z 4\n"), "line 11: `z` is no value of field `z`"),
        (with(header(FIELDS, 2, "binary_compressed"), &[0; 7]), "two sizes"),
        (wrong_sum, "are not 31 bytes"),
        (wrong_block, "compressed block"),
        (long_block, "the file is truncated"),
        (bomb, "cannot become 16777216"),
        (header(&FIELDS.replace(" z ", " h "), 0, "binary"), "no field `z`"),
        (header(&FIELDS.replace(" z ", " x "), 0, "binary"), "`x` stands twice"),
        (header(&FIELDS.replace("1 1 1 1", "1 1 2 1"), 0, "binary"), "`z` has 2 values"),
        (header(&FIELDS.replace("4 4 4 4", "4 4 2 4"), 0, "binary"), "`z` is of type F with 2 bytes"),
    ];
    for (bytes, expected) in cases {
        let error = open_bytes(&bytes).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Cloud);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(error.to_string().contains(".pcd`"), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_compressed_is_read_back(values in prop::collection::vec(prop::array::uniform4(-99_i8..99), 1..200)) {
        // Column-major: all x, then all y, ...
        let columns: Vec<u8> =
            (0..4).flat_map(|c| values.iter().flat_map(move |v| f32::from(v[c]).to_le_bytes())).collect();
        let points = points_of(&open_bytes(&compressed(FIELDS, values.len(), &columns)).unwrap());
        let expected: Vec<Point> = values.iter().map(|v| {
            let [x, y, z, intensity] = v.map(f32::from);
            Point { x, y, z, intensity, time_lag: 0.0 }
        }).collect();
        prop_assert_eq!(points, expected);
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = open_bytes(&bytes);
    }

    #[test]
    fn no_mutation_panics_the_reader(
        which in 0_usize..3, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        digits: bool, cut in any::<prop::sample::Index>(), is_cut in prop::bool::weighted(0.3),
    ) {
        static FILES: std::sync::OnceLock<[Vec<u8>; 3]> = std::sync::OnceLock::new();
        let files = FILES.get_or_init(|| [DataKind::Ascii, DataKind::Binary, DataKind::BinaryCompressed].map(|k| written_by_pcd_rs(k, 20)));
        let mut bytes = files[which].clone();
        let n = bytes.len();
        for (at, byte) in edits {
            // Digits reach further into the reader than noise does.
            bytes[at.index(n)] = if digits { b'0' + byte % 10 } else { byte };
        }
        if is_cut {
            bytes.truncate(cut.index(n));
        }
        if let Ok(cloud) = open_bytes(&bytes) {
            // A mutated name may leave the cloud without intensity; all else must run.
            if cloud.view().has(FieldName::Intensity) {
                prop_assert!(points_of(&cloud).len() <= cloud.n_points());
            }
            prop_assert!(cloud.n_points() <= n, "more points than bytes");
        }
    }
}
