use super::*;
use crate::analysis::samples::{Model, about, classes, frames, run_of, set};
use crate::analysis::{Frame, FrameSet};

fn run(streets: u64, n_frames: usize, model: &Model) -> Run {
    run_of(set(streets, n_frames, model))
}

/// The same run without drives, so that frames are drawn.
fn lone(streets: u64, n_frames: usize, model: &Model) -> Run {
    let mut drawn = frames(streets, n_frames, model);
    drawn.iter_mut().for_each(|f| f.group = None);
    run_of(FrameSet::new(classes(), drawn).unwrap())
}

fn options(n_resamples: usize) -> Options {
    Options { n_resamples, ..Options::default() }
}

fn overall(comparison: &Comparison) -> &Row {
    &comparison.rows[0]
}

/// Of so many comparisons of two equal models, the shares in which an interval alone excludes 0 (that of
/// the mean AP; those of all metrics of classes) and in which anything is called real.
fn by_chance(n_seeds: u64, interval: Interval, n_frames: usize) -> [f64; 3] {
    let excludes = |r: &Row| r.between.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
    let is_real = |r: &Row| matches!(r.verdict, Verdict::RealGain | Verdict::RealLoss);
    let (mut n_overall, mut n_rows, mut n_all_rows, mut n_real) = (0_usize, 0, 0, 0_usize);
    for seed in 0..n_seeds {
        let of = |k| lone(seed, n_frames, &Model { seed: 1000 + 2 * seed + k, ..Model::default() });
        let options = Options { interval, ..options(640) };
        let rows = compare(&of(0), &of(1), &options).unwrap().rows;
        n_overall += usize::from(excludes(&rows[0]));
        n_rows += rows[1..].iter().filter(|r| excludes(r)).count();
        n_all_rows += rows[1..].iter().filter(|r| r.between.is_some()).count();
        n_real += usize::from(rows.iter().any(is_real));
    }
    let n = n_seeds as f64;
    [n_overall as f64 / n, n_rows as f64 / n_all_rows as f64, n_real as f64 / n]
}

#[test]
fn intervals_of_equal_models_exclude_zero_in_one_case_of_twenty() {
    let n_seeds = 150;
    for interval in [Interval::Percentile, Interval::BiasCorrected] {
        let [of_all, of_rows, any_real] = by_chance(n_seeds, interval, 60);
        // The standard deviation of a share of 0.05 in 150 cases is 0.018: three of them.
        assert!(of_all <= 0.103, "{interval:?}: {of_all}");
        // Fifteen metrics a case that hang together only in part; a bootstrap of 60 units is a little bold.
        assert!((0.03..=0.075).contains(&of_rows), "{interval:?}: {of_rows}");
        // Holm promises at most 0.05 for any false alarm among all of them.
        assert!(any_real <= 0.103, "{interval:?}: {any_real}");
    }
}

#[test]
#[ignore = "a measurement that takes minutes"]
fn shares_by_chance_over_many_seeds() {
    for interval in [Interval::Percentile, Interval::BiasCorrected] {
        let [of_all, of_rows, any_real] = by_chance(2000, interval, 60);
        println!("{interval:?}: {of_all:.4} overall, {of_rows:.4} of all metrics, {any_real:.4} called real");
        // Six standard deviations of 0.0049.
        assert!((0.02..=0.08).contains(&of_all));
    }
}

#[test]
fn frames_of_one_drive_that_err_together_are_drawn_together() {
    // In each drive one of the two models goes blind in all ten frames, by the toss of a coin.
    let blinded = |seed: u64, side: usize| {
        let mut drawn = frames(seed, 300, &Model { seed: 7, ..Model::default() });
        for (idx, frame) in drawn.iter_mut().enumerate() {
            let drive = idx / 10;
            frame.group = Some(format!("drive-{drive:03}"));
            if (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (drive + 20) & 1) as usize == side {
                frame.detections.truncate(frame.detections.len() / 2);
            }
        }
        drawn
    };
    let without = |mut drawn: Vec<Frame>| {
        drawn.iter_mut().for_each(|f| f.group = None);
        drawn
    };
    let (mut n_drives, mut n_frames) = (0, 0);
    let of = |drawn| run_of(FrameSet::new(classes(), drawn).unwrap());
    let excludes = |c: &Comparison| overall(c).between.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
    let n_seeds = 60;
    for seed in 1..=n_seeds {
        let (a, b) = (blinded(seed, 0), blinded(seed, 1));
        let by_drive = compare(&of(a.clone()), &of(b.clone()), &options(640)).unwrap();
        let by_frame = compare(&of(without(a)), &of(without(b)), &options(640)).unwrap();
        assert_eq!((by_drive.unit, by_drive.n_units), (Unit::Group, 30));
        assert_eq!((by_frame.unit, by_frame.n_units), (Unit::Frame, 300));
        n_drives += usize::from(excludes(&by_drive));
        n_frames += usize::from(excludes(&by_frame));
    }
    // 3 of 60 are expected, with a standard deviation of 1.7; frames one by one are far too sure.
    assert!(n_drives <= 9, "{n_drives} of {n_seeds}");
    assert!(n_frames >= 15, "{n_frames} of {n_seeds}");
}

#[test]
fn a_planted_difference_is_found_and_has_the_right_sign() {
    let good = run(1, 160, &Model { found: 0.95, off_m: 0.5, max_false: 2, ..Model::default() });
    let bad = run(1, 160, &Model { seed: 2, found: 0.75, off_m: 1.2, max_false: 6 });
    let loss = compare(&good, &bad, &options(1000)).unwrap();
    let gain = compare(&bad, &good, &options(1000)).unwrap();
    assert_eq!((loss.unit, loss.n_units, loss.n_judged), (Unit::Group, 40, 16));
    assert_eq!(overall(&loss).verdict, Verdict::RealLoss);
    assert_eq!(overall(&gain).verdict, Verdict::RealGain);
    for (loss, gain) in loss.rows.iter().zip(&gain.rows) {
        assert!((loss.difference.unwrap() + gain.difference.unwrap()).abs() < 1e-12);
        match loss.metric {
            // Headings are right in both.
            Metric::OrientationRad => assert_eq!(loss.verdict, Verdict::NotShown),
            // A larger error is a loss.
            Metric::TranslationM => {
                assert!(loss.difference.unwrap() > 0.1);
                assert_eq!((loss.verdict, gain.verdict), (Verdict::RealLoss, Verdict::RealGain));
            }
            _ => assert_eq!((loss.verdict, gain.verdict), (Verdict::RealLoss, Verdict::RealGain), "{loss:?}"),
        }
    }
    let text = loss.to_string();
    assert!(text.contains("real: worse") && text.contains("1000 resamples of 40 drives"), "{text}");
    assert!(text.contains("Holm's correction for the 16 metrics"), "{text}");
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let run = run(3, 100, &Model::default());
    let comparison = compare(&run, &run, &options(640)).unwrap();
    for row in &comparison.rows {
        assert_eq!(row.verdict, Verdict::NotShown);
        assert_eq!(row.between, Some([0.0, 0.0]));
        assert_eq!(row.p_corrected, Some(1.0));
    }
}

#[test]
fn the_same_seed_draws_the_same_whatever_the_threads_and_another_one_others() {
    let (a, b) = (run(5, 90, &Model::default()), run(5, 90, &Model { seed: 2, ..Model::default() }));
    let with = |n_threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| compare(&a, &b, &Options { seed, ..options(640) })).unwrap()
    };
    let first = with(1, 1);
    assert_eq!(first, with(3, 1));
    let other = with(2, 2);
    assert_ne!(first.rows, other.rows);
    assert_eq!(overall(&first).difference, overall(&other).difference);
}

#[test]
fn too_few_drives_or_objects_are_not_judged() {
    // Nine drives, however clear the difference is.
    let good = run(1, 36, &Model { found: 1.0, off_m: 0.1, max_false: 0, ..Model::default() });
    let bad = run(1, 36, &Model { found: 0.3, off_m: 1.5, ..Model::default() });
    let comparison = compare(&good, &bad, &options(640)).unwrap();
    assert_eq!(comparison.n_judged, 0);
    assert!(comparison.rows.iter().all(|r| r.verdict == Verdict::TooFew && r.between.is_none()));
    assert!(comparison.to_string().contains("less than 20 drives"));
    let few = Options { min_units: 5, min_objects: 10_000, ..options(640) };
    assert_eq!(compare(&good, &bad, &few).unwrap().n_judged, 0);
    let enough = Options { min_units: 9, ..options(640) };
    assert!(compare(&good, &bad, &enough).unwrap().n_judged > 0);
}

#[test]
fn runs_on_other_data_are_refused() {
    let model = Model::default();
    let base = run(1, 40, &model);
    let error = |b: &Run| compare(&base, b, &options(640)).unwrap_err();
    assert_eq!(error(&run(1, 39, &model)), CompareError::Frames { frame: "000039".to_owned(), there: 'A' });
    assert_eq!(error(&run(1, 41, &model)), CompareError::Frames { frame: "000040".to_owned(), there: 'B' });
    // Frames of the same names, but of other streets.
    assert!(matches!(error(&run(2, 40, &model)), CompareError::Dataset { .. }));
    assert_eq!(error(&lone(1, 40, &model)), CompareError::Groups { frame: "000000".to_owned() });
    let rules = Rules { min_points: 3, ..Rules::default() };
    let other_rules = Run::new(about("x"), set(1, 40, &model), &rules).unwrap();
    assert!(matches!(error(&other_rules), CompareError::Rules { .. }));
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let (a, b) = (run(1, 90, &Model::default()), run(1, 90, &Model { seed: 2, ..Model::default() }));
    let error = |o: Options| compare(&a, &b, &o).unwrap_err();
    assert!(matches!(error(options(99)), CompareError::Option { option: "n_resamples", .. }));
    assert_eq!(
        error(options(639)),
        CompareError::TooFewResamples { n_resamples: 639, n_judged: 16, needed: 640 }
    );
    for level in [0.0, 1.0, f64::NAN, -0.1] {
        assert!(matches!(
            error(Options { level, ..options(640) }),
            CompareError::Option { option: "level", .. }
        ));
    }
    assert!(matches!(error(Options { min_units: 1, ..options(640) }), CompareError::Option { .. }));
}
