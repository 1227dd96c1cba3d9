use super::*;
use crate::analysis::samples::{Model, about, frames, run_of, set};
use crate::analysis::{FrameSet, Rules};

fn report(n_frames: usize) -> String {
    html(&run_of(set(1, n_frames, &Model::default())), &|_| None)
}

/// Every tag opens and closes in its turn; answers with the names of all tags.
fn tags(html: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::<String>::new(), Vec::new());
    let (_, body) = html.split_once("</style>").unwrap();
    let mut rest = body.strip_prefix("</head>").unwrap();
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').unwrap();
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if name == "html" {
                break;
            }
            assert_eq!(open.pop().as_deref(), Some(name), "closes <{name}>: {}", &rest[..rest.len().min(80)]);
        } else {
            let name = tag.split([' ', '/']).next().unwrap().to_owned();
            if !tag.ends_with('/') && name != "br" {
                open.push(name.clone());
            }
            all.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

#[test]
fn every_section_is_there_and_every_tag_is_closed() {
    let html = report(40);
    let tags = tags(&html);
    for id in ["classes", "curves", "parts", "confusion", "scores", "times", "worst"] {
        assert!(html.contains(&format!("<h2 id=\"{id}\">")), "{id}");
        assert!(html.contains(&format!("<a href=\"#{id}\">")), "{id}");
    }
    // Curves and diagrams of three classes, two plots for each of four attributes, times, six frames,
    // and what stands in legends.
    let n_figures = tags.iter().filter(|t| *t == "figure").count();
    assert_eq!(n_figures, 3 + 3 + 8 + 1 + N_WORST_FRAMES);
    let n_labelled = html.matches("role=\"img\"").count();
    assert_eq!(n_labelled, n_figures, "a drawing without words for those who do not see it");
    assert_eq!(html.matches("role=\"img\" aria-label=\"").count(), n_labelled);
}

#[test]
fn the_file_fetches_and_runs_nothing() {
    let html = report(20);
    let without_namespace = html.replace("http://www.w3.org/2000/svg", "");
    for foreign in
        ["http:", "https:", "url(", "@import", "<script", "<link", "<img", "<iframe", "onload", "src="]
    {
        assert!(!without_namespace.contains(foreign), "{foreign}");
    }
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'"));
}

#[test]
fn it_stays_small() {
    // Six clouds of 120,000 points.
    let points: Vec<Point> = (0..120_000_u32)
        .map(|k| Point { x: (k % 600) as f32 / 10.0, y: (k / 600) as f32 / 5.0 - 20.0, ..Point::default() })
        .collect();
    let html = html(&run_of(set(1, 60, &Model::default())), &|_| Some(points.clone()));
    assert!(html.matches("class=\"points\"").count() == N_WORST_FRAMES);
    assert!(html.len() < 600_000, "{} bytes", html.len());
}

#[test]
fn hostile_names_stay_words() {
    const HOSTILE: &str =
        "</title></style><script>alert(1)</script><img src=x onerror='a' title=\"b\">\u{202e}&amp;";
    let mut drawn = frames(1, 12, &Model::default());
    for (idx, frame) in drawn.iter_mut().enumerate() {
        frame.name = format!("{HOSTILE}{idx}");
        frame.group = Some(HOSTILE.to_owned());
    }
    let classes = ["a", "b", "c"].map(|c| format!("{HOSTILE}{c}")).to_vec();
    let mut about = about(HOSTILE);
    about.dataset = HOSTILE.to_owned();
    about.split = HOSTILE.to_owned();
    for text in [&mut about.platform.machine, &mut about.platform.device, &mut about.platform.precision] {
        HOSTILE.clone_into(text);
    }
    let make = |frames| {
        let set = FrameSet::new(classes.clone(), frames).unwrap();
        Run::new(about.clone(), set, &Rules::default()).unwrap().with_figure(HOSTILE, 1.0)
    };
    let run = make(drawn.clone());
    for d in drawn.iter_mut().flat_map(|f| &mut f.detections) {
        d.score *= 0.9;
    }
    let options = compare::Options { n_resamples: 640, min_units: 2, ..compare::Options::default() };
    let comparison = compare::compare(&run, &make(drawn), &options);
    // One drive alone does not compare; the table of it is a report all the same.
    let comparison = comparison.unwrap();
    let check = gate::Check {
        what: HOSTILE.to_owned(),
        found: HOSTILE.to_owned(),
        wanted: HOSTILE.to_owned(),
        passed: false,
    };
    let verdict = gate::Verdict { checks: vec![check] };
    let report = Report { run: &run, comparison: Some(&comparison), verdict: Some(&verdict) };
    let html = report.html(&|_| None);
    for forbidden in ["<script", "<img", "onerror='", "\u{202e}"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert_eq!(html.matches("</style>").count(), 1);
    assert_eq!(html.matches("</title>").count(), html.matches("<title>").count());
    // Nothing was left out either.
    assert!(html.matches("&lt;script&gt;alert(1)").count() > 20);
    tags(&html);
}

#[test]
fn a_run_without_objects_boxes_times_or_mistakes_has_a_report() {
    let empty = |change: fn(&mut crate::analysis::Frame)| {
        let mut drawn = frames(2, 4, &Model { found: 1.0, off_m: 0.0, max_false: 0, ..Model::default() });
        drawn.iter_mut().for_each(change);
        html(&run_of(FrameSet::new(crate::analysis::samples::classes(), drawn).unwrap()), &|_| None)
    };
    let nothing = empty(|f| {
        f.objects.clear();
        f.detections.clear();
        f.times = None;
    });
    assert!(nothing.contains("No frame was timed") && nothing.contains("No object was missed"));
    let no_boxes = empty(|f| f.detections.clear());
    assert!(no_boxes.contains("have no diagram"));
    let no_objects = empty(|f| f.objects.clear());
    for html in [nothing, no_boxes, no_objects] {
        tags(&html);
        assert!(!html.contains("NaN") && !html.contains("inf"), "a number that is none");
    }
}

#[test]
fn thousands_stand_apart() {
    assert_eq!(grouped(7), "7");
    assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
}
