//! Picture of a frame: which cars were found, which were missed, and which boxes are false.

use super::found_cars::{BoxFate, FrameFate, LabelledFrame, ObjectFate, Settings};
use pilotis_runtime::report::picture::{Mark, MarkedScene, Picture};
use pilotis_spec::{Grid, Point};

type Color = [u8; 3];

const FOUND: Color = [72, 220, 110];
const MISSED: Color = [255, 72, 60];
const NOT_COUNTED: Color = [150, 158, 170];
const TRUE_BOX: Color = [96, 206, 255];
const NEUTRAL_BOX: Color = [190, 140, 255];
const FALSE_BOX: Color = [255, 206, 48];

/// A point this far behind the grid means that the frame is not cropped to what lies ahead.
const BEHIND_M: f32 = 5.0;

/// Draws a frame: labelled objects, boxes of cars with at least the score, points.
///
/// **Errors**: a range that makes no grid; none is known.
pub(super) fn draw(
    frame: &LabelledFrame,
    fate: &FrameFate,
    points: &[Point],
    grid: &Grid,
    settings: &Settings,
) -> anyhow::Result<Picture> {
    let n = |wanted: ObjectFate| fate.objects.iter().filter(|f| **f == wanted).count();
    let n_boxes = |is: fn(&BoxFate) -> bool| fate.boxes.iter().filter(|f| is(f)).count();
    let legend = [
        (format!("car found {}", n(ObjectFate::Found)), FOUND),
        (format!("missed {}", n(ObjectFate::Missed)), MISSED),
        (format!("not counted {}", n(ObjectFate::NotCounted)), NOT_COUNTED),
        (format!("box true {}", n_boxes(|f| matches!(f, BoxFate::Finds(_)))), TRUE_BOX),
        (format!("neither {}", n_boxes(|f| *f == BoxFate::Neutral)), NEUTRAL_BOX),
        (format!("false {}", n_boxes(|f| *f == BoxFate::False)), FALSE_BOX),
    ];
    let mut marks = marks_of_boxes(frame, fate);
    marks.extend(marks_of_objects(frame, fate));
    Ok(Picture::of_marks(&MarkedScene {
        name: &frame.name,
        facts: &format!("score >= {}, {} points", settings.min_score, points.len()),
        grid: &view(grid, points, settings.max_range_m as f32)?,
        points,
        marks: &marks,
        legend: &legend,
    }))
}

/// Boxes with their scores, false ones on top.
fn marks_of_boxes(frame: &LabelledFrame, fate: &FrameFate) -> Vec<Mark> {
    let color = |fate: &BoxFate| match fate {
        BoxFate::Finds(_) => Some(TRUE_BOX),
        BoxFate::Neutral => Some(NEUTRAL_BOX),
        BoxFate::False => Some(FALSE_BOX),
        BoxFate::LeftOut => None,
    };
    let boxes = frame.detections.iter().zip(&fate.boxes);
    let mut marks: Vec<Mark> = boxes
        .filter_map(|(d, fate)| {
            Some(Mark { bbox: d.bbox, color: color(fate)?, label: format!("{:.2}", d.score) })
        })
        .collect();
    marks.sort_by_key(|mark| mark.color != FALSE_BOX);
    marks
}

/// Labelled objects: found ones without words, since their box has its score.
fn marks_of_objects(frame: &LabelledFrame, fate: &FrameFate) -> Vec<Mark> {
    let objects = frame.objects.iter().zip(&fate.objects);
    let mut marks: Vec<Mark> = objects
        .map(|(object, fate)| {
            let words = format!("{} {}", object.class_name, object.n_points);
            let (color, label) = match fate {
                ObjectFate::Found => (FOUND, String::new()),
                ObjectFate::Missed => (MISSED, words),
                ObjectFate::NotCounted => (NOT_COUNTED, words),
            };
            Mark { bbox: object.bbox, color, label }
        })
        .collect();
    marks.sort_by_key(|mark| mark.color != MISSED);
    marks
}

/// The model's grid, widened to all that counts: to the sides and ahead, and behind where points are.
fn view(grid: &Grid, points: &[Point], range_m: f32) -> anyhow::Result<Grid> {
    let (mut min, mut max) = (grid.min(), grid.max());
    if points.iter().any(|p| p.x < min[0] - BEHIND_M) {
        min[0] = min[0].min(-range_m);
    }
    min[1] = min[1].min(-range_m);
    max = [max[0].max(range_m), max[1].max(range_m), max[2]];
    // Whole metres, as cells of a metre ask for.
    let outward = |v: [f32; 3], round: fn(f32) -> f32| [round(v[0]), round(v[1]), v[2]];
    Ok(Grid::new(outward(min, f32::floor), outward(max, f32::ceil), [1.0, 1.0])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::GroundTruth;
    use pilotis_spec::{Box3d, Detection};

    fn at(x: f32) -> Box3d {
        Box3d { center: [x, 0.0, -1.0], size: [4.0, 1.6, 1.5], yaw: 0.0 }
    }

    fn grid() -> Grid {
        Grid::new([0.0, -25.6, -3.0], [51.2, 25.6, 1.0], [0.2, 0.2]).unwrap()
    }

    #[test]
    fn kinds_have_their_colours_and_what_is_wrong_lies_on_top() {
        let object = |x: f32| GroundTruth { class_name: "car".into(), bbox: at(x), ..GroundTruth::default() };
        let detection = |x: f32, score: f32| Detection { bbox: at(x), score, ..Detection::default() };
        let frame = LabelledFrame {
            name: "a".into(),
            objects: vec![object(10.0), object(20.0), object(50.0)],
            detections: vec![
                detection(10.0, 0.9),
                detection(30.0, 0.8),
                detection(50.0, 0.7),
                detection(5.0, 0.1),
            ],
        };
        let fate = FrameFate {
            objects: vec![ObjectFate::Found, ObjectFate::Missed, ObjectFate::NotCounted],
            boxes: vec![BoxFate::Finds(0), BoxFate::False, BoxFate::Neutral, BoxFate::LeftOut],
        };
        let boxes = marks_of_boxes(&frame, &fate);
        let drawn: Vec<(Color, &str)> = boxes.iter().map(|m| (m.color, m.label.as_str())).collect();
        assert_eq!(drawn, [(FALSE_BOX, "0.80"), (TRUE_BOX, "0.90"), (NEUTRAL_BOX, "0.70")]);
        let objects = marks_of_objects(&frame, &fate);
        let drawn: Vec<(Color, &str)> = objects.iter().map(|m| (m.color, m.label.as_str())).collect();
        assert_eq!(drawn, [(MISSED, "car 0"), (FOUND, ""), (NOT_COUNTED, "car 0")]);
        let picture = draw(&frame, &fate, &[], &grid(), &Settings::at(0.5)).unwrap();
        assert_eq!(picture.pixel(14, 38), Some(FOUND), "the legend");
    }

    #[test]
    fn a_picture_holds_all_that_counts_and_what_is_behind_where_there_is_something() {
        let corner = |g: &Grid| [g.min()[0], g.min()[1], g.max()[0], g.max()[1]];
        let point = |x: f32| Point { x, ..Point::default() };
        let ahead = view(&grid(), &[point(-1.0)], 40.0).unwrap();
        let around = view(&grid(), &[point(-30.0)], 40.0).unwrap();
        for (got, expected) in [(ahead, [0.0, -40.0, 52.0, 40.0]), (around, [-40.0, -40.0, 52.0, 40.0])] {
            assert!(corner(&got).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
        }
    }
}
