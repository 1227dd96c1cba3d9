use super::cut::{Batches, Ends};
use super::*;
use crate::nuscenes::{Attribute, DetectionClass};

const BOX: &str = r#"{"sample_token": "a", "translation": [1, -2.5, 3e0], "size": [1.0, 2.0, 3.0], "rotation": [1, 0, 0, 0],
 "velocity": [NaN, -Infinity], "detection_name": "car", "detection_score": 0.25, "attribute_name": "vehicle.parked"}"#;

fn file_of(boxes: &str) -> String {
    format!(r#"{{"meta": {{"use_lidar": true, "a": null}}, "results": {{"a": [{boxes}], "b": []}}}}"#)
}

fn read(text: &str) -> Result<Results, ResultsError> {
    read_bytes(text.as_bytes())
}

/// Where ends are guessed, the same comes out or an error.
fn read_bytes(bytes: &[u8]) -> Result<Results, ResultsError> {
    let counted = Results::from_reader(bytes);
    if let Ok(guessed) = Results::parse(bytes, Ends::Guessed) {
        let counted = counted.as_ref().map_err(ToString::to_string);
        // Velocities may be NaN, which differs from itself.
        assert_eq!(format!("{counted:?}"), format!("Ok({guessed:?})"));
    }
    counted
}

fn said(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// What is said of a box in which one thing is replaced.
fn said_of(from: &str, to: &str) -> String {
    assert!(BOX.contains(from), "{from}");
    said(&file_of(&format!("{BOX}, {}", BOX.replace(from, to))))
}

#[test]
fn fields_of_a_box_come_as_they_are_written() {
    let results = read(&file_of(BOX)).unwrap();
    assert_eq!(results.samples.iter().map(|s| s.token.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(results.meta.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["use_lidar", "a"]);
    let [bbox] = results.samples[0].boxes.as_slice() else { panic!("{results:?}") };
    assert_eq!(format!("{:?} {:?}", bbox.translation_m, bbox.size_m), "[1.0, -2.5, 3.0] [1.0, 2.0, 3.0]");
    assert_eq!(format!("{:?} {:?}", bbox.rotation, bbox.velocity_mps), "[1.0, 0.0, 0.0, 0.0] [NaN, -inf]");
    assert_eq!((bbox.class, bbox.attribute), (DetectionClass::Car, Some(Attribute::VehicleParked)));
    assert_eq!((bbox.score.to_bits(), bbox.is_empty, &bbox.other_sample), (0.25_f64.to_bits(), false, &None));
}

#[test]
fn what_the_devkit_takes_is_taken() {
    let with = |from: &str, to: &str| {
        let results = read(&file_of(&BOX.replace(from, to))).unwrap();
        results.samples[0].boxes[0].clone()
    };
    assert!(with("0.25", "1e400").score.is_infinite());
    assert_eq!(with("\"detection_score\": 0.25,", "").score.to_bits(), (-1.0_f64).to_bits());
    assert_eq!(with("vehicle.parked", "").attribute, None);
    assert_eq!(with("\"a\"", "\"elsewhere\"").other_sample.as_deref(), Some("elsewhere"));
    // The same token, written otherwise.
    assert_eq!(with("\"a\"", r#""\u0061""#).other_sample, None);
    for (n_points, is_empty) in [("0", true), ("-0.5", true), ("0.9", true), ("1", false), ("-1", false)] {
        assert_eq!(with("\"size\"", &format!("\"num_pts\": {n_points}, \"size\"")).is_empty, is_empty);
    }
    with("\"size\"", r#""colour": [{"]}": "\"["}], "ego_translation": [1, 2, 3], "size""#);
    read(r#"{"more": [1, "}"], "results": {}, "meta": {}}"#).unwrap();
}

#[test]
fn faults_of_a_box_name_sample_box_and_field() {
    for (from, to, expected) in [
        ("[1, -2.5, 3e0]", "[1, NaN, 3]", "sample `a`, box 1: `translation` may not be NaN"),
        ("[1, -2.5, 3e0]", "[1, 2]", "`translation` has 2 numbers instead of 3"),
        ("[1, -2.5, 3e0]", "[1, 2, 3, 4]", "`translation` has 4 numbers instead of 3"),
        ("[1, -2.5, 3e0]", "[1, 2, \"3\"]", "`translation` is not what it should be"),
        ("[1, -2.5, 3e0]", "null", "`translation` is not what it should be"),
        ("[1.0, 2.0, 3.0]", "[1.0, NaN, 3.0]", "`size` may not be NaN"),
        ("[1, 0, 0, 0]", "[NaN, 0, 0, 0]", "`rotation` may not be NaN"),
        ("[NaN, -Infinity]", "[1]", "`velocity` has 1 numbers instead of 2"),
        ("\"car\"", "\"tram\"", "`detection_name` is `tram`, which"),
        ("\"car\"", "7", "`detection_name` is not what it should be"),
        ("vehicle.parked", "vehicle", "`attribute_name` is `vehicle`, which"),
        ("\"vehicle.parked\"", "null", "`attribute_name` is not what it should be"),
        ("0.25", "NaN", "`detection_score` may not be NaN"),
        ("0.25", "\"0.25\"", "`detection_score` is not what it should be"),
        ("0.25", "true", "`detection_score` is not what it should be"),
        ("\"size\"", "\"num_pts\": NaN, \"size\"", "`num_pts` is not finite"),
        ("\"size\"", "\"size\": [1, 2, 3], \"size\"", "`size` is there twice"),
        ("\"size\"", "\"sizes\"", "`size` is missing"),
        ("\"sample_token\": \"a\",", "", "`sample_token` is missing"),
        ("\"velocity\"", "\"v\"", "`velocity` is missing"),
    ] {
        let said = said_of(from, to);
        assert!(said.contains("sample `a`, box 1") && said.contains(expected), "{from} -> {to}: {said}");
    }
    let long = said_of("\"car\"", &format!("\"{}\"", "é".repeat(5000)));
    assert!(long.len() < 300, "{long}");
}

#[test]
fn faults_of_the_file_name_what_and_where() {
    for (text, expected) in [
        ("", "byte 0: the file ends too early"),
        ("[]", "byte 0: expected an object `{`"),
        ("{}", "no section `results`"),
        (r#"{"meta": {}}"#, "no section `results`"),
        (r#"{"results": {}}"#, "no section `meta`"),
        (r#"{"results": []}"#, "byte 12: expected an object `{` of samples"),
        (r#"{"meta": [], "results": {}}"#, "section `meta` is not an object"),
        (r#"{"meta": {}, "results": {}, "meta": {}}"#, "section `meta` is there twice"),
        (r#"{"meta": {}, "results": {}, "results": {}}"#, "section `results` is there twice"),
        (r#"{"meta": {}, "results": {"a": [], "a": []}}"#, "sample `a` is there twice"),
        (r#"{"meta": {}, "results": {"a": {}}}"#, "sample `a`: expected array"),
        (r#"{"meta": {}, "results": {"a": null}}"#, "sample `a`: expected array"),
        (r#"{"meta": {}, "results": {"a": [[]]}}"#, "sample `a`: box 0: expected object"),
        (r#"{"meta": {}, "results": {"a": [{]}}}"#, "in sample `a`"),
        (r#"{"meta": {}, "results": {"a": [],}}"#, "byte 33: expected a key"),
        (r#"{"meta": {}, "results": {} "x": 1}"#, "byte 27: expected `,` or `}`"),
        (r#"{"meta": {}, "results": {}} x"#, "byte 28: expected nothing after"),
        (r#"{"meta": {}, "results": {}, "x": [1 2]}"#, "byte 36"),
        (r#"{"meta": {}, "results": {}, "x": }"#, "byte 33: expected a value"),
    ] {
        assert!(said(text).contains(expected), "{text}: {}", said(text));
    }
    let missing = Results::read(Path::new("no/such/file.json")).unwrap_err();
    assert!(missing.to_string().contains("no/such/file.json"));
}

#[test]
fn blocks_of_any_length_cut_the_same_samples() {
    let text = file_of(&format!("{BOX}, {BOX}")).replace("\"b\": []", r#""b": [], "c\"]}": []"#);
    let cut = |ends: Ends, block_bytes: usize| {
        let mut batches = Batches::with_blocks(text.as_bytes(), ends, block_bytes);
        let mut found = Vec::new();
        while let Some(batch) = batches.next().unwrap() {
            for member in &batch.members {
                let text = |range: &std::ops::Range<usize>| {
                    String::from_utf8_lossy(&batch.bytes[range.clone()]).into_owned()
                };
                found.push((
                    member.place,
                    text(&member.key),
                    text(&member.value),
                    batch.offset as usize + member.key.start,
                ));
            }
            batches.recycle(batch);
        }
        found
    };
    let whole = cut(Ends::Counted, 1 << 20);
    assert_eq!(
        whole.iter().map(|m| m.1.as_str()).collect::<Vec<_>>(),
        [r#""meta""#, r#""results""#, r#""a""#, r#""b""#, r#""c\"]}""#]
    );
    for block_bytes in 1..400 {
        for ends in [Ends::Counted, Ends::Guessed] {
            assert_eq!(cut(ends, block_bytes), whole, "{ends:?}, {block_bytes}");
        }
    }
}

#[test]
fn ends_are_guessed_and_where_that_fails_they_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    let read_file = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Results::read(&path)
    };
    let usual = file_of(&format!("{BOX}, {BOX}"));
    let nested = usual.replace("\"size\"", r#""parts": [{"a": 1}], "size""#);
    let in_text = usual.replace("\"size\"", r#""note": "[{}]", "size""#);
    let spaced = usual.replace("}]", "} ]");
    for (text, is_guessed) in [(&usual, true), (&nested, false), (&in_text, false), (&spaced, true)] {
        assert_eq!(Results::parse(text.as_bytes(), Ends::Guessed).is_ok(), is_guessed, "{text}");
        assert_eq!(read_file(text).unwrap().n_boxes(), 2, "{text}");
    }
    // What is said of a file does not tell of guesses.
    let broken = nested.replace("\"car\"", "\"cart\"");
    assert_eq!(read_file(&broken).unwrap_err().to_string(), said(&broken));
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    let text = file_of(BOX);
    for n_bytes in 0..text.len() {
        assert!(read(&text[..n_bytes]).is_err(), "{n_bytes}");
    }
    read(&format!("{text} \n")).unwrap();
}

#[test]
fn any_byte_changed_is_read_or_refused_and_never_a_panic() {
    let text = file_of(BOX).into_bytes();
    for place in 0..text.len() {
        for byte in [0, b'"', b'\\', b'[', b']', b'{', b'}', b',', b':', b'9', b'-', b'N', 0xff] {
            let mut changed = text.clone();
            changed[place] = byte;
            let _ = read_bytes(&changed);
        }
    }
}

#[test]
fn a_stream_that_breaks_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    assert!(matches!(Results::from_reader(Broken), Err(ResultsError::Stream(_))));
}
