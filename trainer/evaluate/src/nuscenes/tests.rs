//! What the devkit's own figures do not show: ties, order, threads, errors, settings, files.

use super::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn object(class: DetectionClass, x: f64) -> GroundTruthBox {
    GroundTruthBox {
        class,
        translation_m: [x, 0.0, 0.0],
        size_m: [2.0, 4.0, 1.5],
        rotation: [1.0, 0.0, 0.0, 0.0],
        velocity_mps: [0.0, 0.0],
        attribute: None,
        n_points: 5,
    }
}

fn predicted(class: DetectionClass, x: f64, score: f64) -> PredictedBox {
    let GroundTruthBox { translation_m, size_m, rotation, velocity_mps, .. } = object(class, x);
    PredictedBox {
        translation_m,
        size_m,
        rotation,
        velocity_mps,
        score,
        class,
        attribute: None,
        is_empty: false,
        other_sample: None,
    }
}

fn sample(token: &str, boxes: Vec<GroundTruthBox>) -> GroundTruthSample {
    GroundTruthSample { token: token.to_owned(), ego_translation_m: [0.0; 3], boxes, racks: Vec::new() }
}

fn truth(samples: Vec<GroundTruthSample>) -> GroundTruth {
    GroundTruth::new(samples, SplitKind::Predefined).unwrap()
}

fn results(samples: Vec<(&str, Vec<PredictedBox>)>) -> Results {
    let samples = samples.into_iter().map(|(token, boxes)| SampleResults { token: token.to_owned(), boxes });
    Results { meta: Vec::new(), samples: samples.collect() }
}

fn car_report(objects: &[f64], boxes: &[(f64, f64)]) -> Report {
    let truth = truth(vec![sample("a", objects.iter().map(|x| object(DetectionClass::Car, *x)).collect())]);
    let boxes = boxes.iter().map(|(x, score)| predicted(DetectionClass::Car, *x, *score)).collect();
    evaluate(&truth, &results(vec![("a", boxes)]), &Config::default()).unwrap()
}

fn assert_aps(report: &Report, expected: [f64; 4]) {
    let aps = &report.class(DetectionClass::Car).average_precisions;
    assert!(aps.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{aps:?} instead of {expected:?}");
}

/// Many ties, across samples and in them.
fn drawn(seed: u64) -> (GroundTruth, Results) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut samples = Vec::new();
    let mut found = Vec::new();
    for n in 0..20 {
        let token = format!("s{n}");
        let objects: Vec<_> = (0..12)
            .map(|_| {
                object(DetectionClass::ALL[rng.random_range(0..10)], f64::from(rng.random_range(-30..30)))
            })
            .collect();
        let boxes = (0..30).map(|_| {
            let class = DetectionClass::ALL[rng.random_range(0..10)];
            let score = f64::from(rng.random_range(0..5)) / 4.0;
            let mut bbox = predicted(class, f64::from(rng.random_range(-60..60)) / 2.0, score);
            bbox.velocity_mps = [rng.random_range(-2.0..2.0), 0.0];
            bbox
        });
        found.push(SampleResults { token: token.clone(), boxes: boxes.collect() });
        samples.push(sample(&token, objects));
    }
    (truth(samples), Results { meta: Vec::new(), samples: found })
}

/// All figures, but for how long they took.
fn all_text(mut report: Report) -> String {
    report.eval_time_s = 0.0;
    report.summary_json() + &report.details_json()
}

#[test]
fn figures_are_the_same_for_any_number_of_threads() {
    let (truth, results) = drawn(1);
    let with = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| all_text(evaluate(&truth, &results, &Config::default()).unwrap()))
    };
    let one = with(1);
    assert!([2, 3, 8].into_iter().all(|n| with(n) == one));
}

#[test]
fn in_canonical_order_figures_are_the_same_for_any_order_of_samples_and_boxes() {
    let (truth, mut results) = drawn(2);
    let of = |results: &Results, tie_order| {
        all_text(evaluate(&truth, results, &Config { tie_order, ..Config::default() }).unwrap())
    };
    let (canonical, by_file) = (of(&results, TieOrder::Canonical), of(&results, TieOrder::File));
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut n_by_file = 0;
    for _ in 0..10 {
        results.samples.shuffle(&mut rng);
        results.samples.iter_mut().for_each(|s| s.boxes.shuffle(&mut rng));
        assert_eq!(of(&results, TieOrder::Canonical), canonical);
        n_by_file += usize::from(of(&results, TieOrder::File) != by_file);
    }
    // The order of the file, as the devkit has it, does play a part here: the test above can fail.
    assert!(n_by_file > 0);
}

#[test]
fn without_ties_across_samples_the_order_of_samples_plays_no_part() {
    let (truth, mut results) = drawn(4);
    let report = |results: &Results| evaluate(&truth, results, &Config::default()).unwrap();
    assert!(report(&results).n_ties_across_samples > 100);
    for (n, sample) in results.samples.iter_mut().enumerate() {
        sample.boxes.iter_mut().for_each(|b| b.score = (b.score + 2.0 * n as f64) / 60.0);
    }
    // Ties within a sample stay.
    let before = report(&results);
    assert_eq!(before.n_ties_across_samples, 0);
    results.samples.reverse();
    assert_eq!(all_text(report(&results)), all_text(before));
}

#[test]
fn of_equal_scores_the_later_box_goes_first_and_minus_zero_is_zero() {
    for (first, second) in [(0.5, 0.5), (0.0, -0.0), (-0.0, 0.0)] {
        let error = |boxes: &[(f64, f64)]| {
            car_report(&[0.0], boxes).class(DetectionClass::Car).curves[3].errors[0][100]
        };
        // The later one finds the object; at a recall of 1 the mean error is its distance.
        assert!((error(&[(0.3, first), (0.1, second)]) - 0.1).abs() < 1e-12);
        assert!((error(&[(0.1, first), (0.3, second)]) - 0.3).abs() < 1e-12);
    }
}

#[test]
fn ranges_and_distances_end_below_their_limit() {
    assert_aps(&car_report(&[0.0], &[(0.5, 0.9)]), [0.0, 1.0, 1.0, 1.0]);
    assert_aps(&car_report(&[0.0], &[(4.0, 0.9)]), [0.0; 4]);
    // 50 m away there is no car any more.
    let report = car_report(&[0.0, 50.0, 49.0], &[(0.0, 0.9), (50.0, 0.8), (49.0, 0.7)]);
    let car = report.class(DetectionClass::Car);
    assert_eq!((car.n_objects, car.n_boxes), (2, 2));
    assert_aps(&report, [1.0; 4]);
}

#[test]
fn results_without_a_box_have_figures_of_zero() {
    let truth = truth(vec![sample("a", vec![object(DetectionClass::Car, 0.0)])]);
    let report = evaluate(&truth, &results(vec![("a", Vec::new())]), &Config::default()).unwrap();
    assert!(report.mean_average_precision().abs() < 1e-15 && report.detection_score().abs() < 1e-15);
    assert!(TpError::ALL.into_iter().all(|error| (report.mean_error(error) - 1.0).abs() < 1e-15));
}

#[test]
fn samples_must_be_those_of_the_split() {
    let samples = || ["a", "b"].map(|t| sample(t, vec![object(DetectionClass::Car, 0.0)])).to_vec();
    let truth = truth(samples());
    let said = |truth: &GroundTruth, tokens: &[&str]| {
        let results = results(tokens.iter().map(|t| (*t, Vec::new())).collect());
        evaluate(truth, &results, &Config::default()).map_err(|e| e.to_string())
    };
    assert!(said(&truth, &["b", "a"]).is_ok());
    assert!(
        said(&truth, &["b"])
            .unwrap_err()
            .contains("sample `a` of the split is not in the results, nor are 0")
    );
    assert!(said(&truth, &["a", "x", "b", "y"]).unwrap_err().contains("sample `x` of the results"));
    assert!(said(&truth, &["a", "b", "a"]).unwrap_err().contains("sample `a` is twice"));
    let custom = GroundTruth::new(samples(), SplitKind::Custom).unwrap();
    assert!(said(&custom, &["a", "x", "b", "y"]).is_ok());
    assert!(said(&custom, &["a", "x"]).unwrap_err().contains("sample `b` of the split"));
}

#[test]
fn boxes_without_a_figure_are_named() {
    let truth =
        truth(vec![sample("a", vec![object(DetectionClass::Car, 0.0), object(DetectionClass::Car, 9.0)])]);
    let said = |boxes: Vec<PredictedBox>| {
        evaluate(&truth, &results(vec![("a", boxes)]), &Config::default()).map_err(|e| e.to_string())
    };
    let car = |x, score| predicted(DetectionClass::Car, x, score);
    let too_many = said(vec![car(0.0, 0.5); 501]).unwrap_err();
    assert!(too_many.contains("sample `a` has 501 boxes, and may have 500"), "{too_many}");
    assert!(said(vec![car(0.0, 0.5); 500]).is_ok());
    // One of two objects is found: past a recall of 0.5 the score is 0, above that of the box.
    let below = said(vec![car(30.0, 0.5), car(0.0, -0.5)]).unwrap_err();
    assert!(below.contains("sample `a`, box 1: `detection_score` is -0.5"), "{below}");
    assert!(said(vec![car(0.0, -0.5), car(9.0, -0.5)]).is_ok());
    let mut flat = car(0.1, 0.5);
    flat.size_m[1] = 0.0;
    assert!(said(vec![flat.clone()]).unwrap_err().contains("sample `a`, box 0: `size` is not above 0"));
    flat.translation_m[0] = 30.0;
    assert!(said(vec![flat]).is_ok());
}

#[test]
fn a_ground_truth_of_nothing_is_refused() {
    let new = |samples| GroundTruth::new(samples, SplitKind::Predefined).map_err(|e| e.to_string());
    assert!(new(Vec::new()).unwrap_err().contains("no samples"));
    assert!(new(vec![sample("a", Vec::new())]).unwrap_err().contains("none of the 1 samples"));
    let car = || object(DetectionClass::Car, 0.0);
    assert!(
        new(vec![sample("a", vec![car()]), sample("a", Vec::new())])
            .unwrap_err()
            .contains("`a` is there twice")
    );
    let mut odd = car();
    odd.rotation[2] = f64::NAN;
    let said = new(vec![sample("a", vec![car(), odd])]).unwrap_err();
    assert!(said.contains("sample `a`: `rotation` of object 1"), "{said}");
}

#[test]
fn cycles_in_a_rack_do_not_count() {
    let mut one = sample("a", vec![object(DetectionClass::Bicycle, 2.0), object(DetectionClass::Car, 2.0)]);
    one.boxes.push(object(DetectionClass::Bicycle, 2.1));
    // Four metres long along x, turned by nothing: from -2 to 2, ends included.
    let rack =
        BicycleRack { translation_m: [0.0; 3], size_m: [1.0, 4.0, 1.0], rotation: [1.0, 0.0, 0.0, 0.0] };
    one.racks.push(rack);
    let report = evaluate(&truth(vec![one]), &results(vec![("a", Vec::new())]), &Config::default()).unwrap();
    assert_eq!(report.class(DetectionClass::Bicycle).n_objects, 1);
    assert_eq!(report.class(DetectionClass::Car).n_objects, 1);
}

const CONFIG: &str = r#"{"class_range": {"car": 50, "truck": 50, "bus": 50, "trailer": 50, "construction_vehicle": 50,
 "pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30},
 "dist_fcn": "center_distance", "dist_ths": [0.5, 1.0, 2.0, 4.0], "dist_th_tp": 2.0, "min_recall": 0.1,
 "min_precision": 0.1, "max_boxes_per_sample": 500, "mean_ap_weight": 5}"#;

#[test]
fn settings_are_read_from_the_devkits_form_and_checked() {
    assert_eq!(Config::from_json(CONFIG).unwrap(), Config::default());
    for (from, to, expected) in [
        ("\"car\": 50,", "", "`car` needs a range"),
        ("\"car\"", "\"tram\"", "no class `tram`"),
        ("\"barrier\": 30", "\"barrier\": 0", "`barrier` needs a range"),
        ("center_distance", "iou", "`iou` is not `center_distance`"),
        ("[0.5, 1.0, 2.0, 4.0]", "[]", "`dist_ths`"),
        ("[0.5, 1.0, 2.0, 4.0]", "[2.0, 2.0]", "2 m is listed twice"),
        ("[0.5, 1.0, 2.0, 4.0]", "[2.0, -1]", "`dist_ths`"),
        ("\"dist_th_tp\": 2.0", "\"dist_th_tp\": 3.0", "3 is not one of"),
        ("\"min_recall\": 0.1", "\"min_recall\": 1.0", "leaves no recall"),
        ("\"min_precision\": 0.1", "\"min_precision\": 1.0", "`min_precision`"),
        ("\"mean_ap_weight\": 5", "\"mean_ap_weight\": -5", "`mean_ap_weight`"),
        ("\"min_recall\": 0.1", "\"min_recal\": 0.1", "min_recal"),
    ] {
        let text = CONFIG.replacen(from, to, 1);
        assert_ne!(text, CONFIG);
        let said = Config::from_json(&text).unwrap_err().to_string();
        assert!(said.contains(expected), "{from} -> {to}: {said}");
    }
}

#[test]
fn files_are_in_the_devkits_form() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a").join("b");
    let mut report = car_report(&[0.0], &[(0.0, 0.5)]);
    report.meta.push(("use_lidar".to_owned(), serde_json::Value::from(true)));
    report.write(&out).unwrap();
    let summary = std::fs::read_to_string(out.join(SUMMARY_FILE)).unwrap();
    // NaN is what Python writes where there is no figure.
    assert!(summary.contains("      \"orient_err\": NaN,\n"), "{summary}");
    let summary: serde_json::Value = serde_json::from_str(&summary.replace("NaN", "null")).unwrap();
    assert!((summary["label_aps"]["car"]["0.5"].as_f64().unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(summary["cfg"], serde_json::from_str::<serde_json::Value>(CONFIG).unwrap());
    assert_eq!(summary["meta"]["use_lidar"], true);
    let details = std::fs::read_to_string(out.join(DETAILS_FILE)).unwrap();
    let details: serde_json::Value = serde_json::from_str(&details.replace("NaN", "null")).unwrap();
    assert_eq!(details.as_object().unwrap().len(), 40);
    assert_eq!(details["car:0.5"]["precision"].as_array().unwrap().len(), N_RECALLS);
}
