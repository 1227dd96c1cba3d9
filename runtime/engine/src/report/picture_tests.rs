//! Tests of the picture.

use super::*;

fn grid() -> Grid {
    Grid::new([0.0, -39.68, -3.0], [69.12, 39.68, 1.0], [0.16, 0.16]).unwrap()
}

fn classes() -> Vec<String> {
    ["car", "pedestrian", "cyclist"].map(str::to_owned).to_vec()
}

fn car(center: [f32; 3], yaw: f32) -> Detection {
    let bbox = Box3d { center, size: [4.0, 2.0, 1.5], yaw };
    Detection { bbox, velocity: [0.0; 2], score: 0.87, class_idx: 0 }
}

fn draw(points: &[Point], detections: &[Detection]) -> Picture {
    let (grid, classes) = (grid(), classes());
    let scene =
        Scene { name: "a.bin", grid: &grid, points, classes: &classes, detections, frame_ms: Some(12.34) };
    Picture::of(&scene)
}

#[track_caller]
fn at(picture: &Picture, x: f32, y: f32) -> Color {
    let [u, v] = Map::of(&grid()).place(x, y);
    picture.pixel(u.round() as usize, v.round() as usize).unwrap()
}

fn distance(a: Color, b: Color) -> i32 {
    a.iter().zip(b).map(|(a, b)| (i32::from(*a) - i32::from(b)).abs()).sum()
}

#[test]
fn sides_of_boxes_lie_where_their_metres_are() {
    let picture = draw(&[], &[car([30.0, 5.0, 0.0], 0.0)]);
    let amber = color_of(0);
    // Corners, side middles and the nose of a box of 4 x 2 m.
    for (x, y) in [(32.0, 6.0), (32.0, 4.0), (28.0, 6.0), (28.0, 4.0), (30.0, 6.0), (28.0, 5.0), (32.3, 5.0)]
    {
        assert!(distance(at(&picture, x, y), amber) < 120, "({x}, {y}): {:?}", at(&picture, x, y));
    }
    // Half a metre in or out there is nothing.
    for (x, y) in [(29.0, 5.5), (29.0, 4.5), (30.0, 6.5), (27.4, 5.0)] {
        assert!(distance(at(&picture, x, y), amber) > 250, "({x}, {y}): {:?}", at(&picture, x, y));
    }
    // A quarter turn swaps the sides, and the nose points to the left.
    let turned = draw(&[], &[car([30.0, 5.0, 0.0], std::f32::consts::FRAC_PI_2)]);
    for (x, y) in [(31.0, 7.0), (29.0, 3.0), (30.0, 7.3)] {
        assert!(distance(at(&turned, x, y), amber) < 120, "({x}, {y})");
    }
    assert!(distance(at(&turned, 32.0, 6.0), amber) > 250);
}

#[test]
fn marks_have_their_own_colours_and_the_first_lies_on_top() {
    let (red, blue) = ([255, 0, 0], [0, 0, 255]);
    let mark =
        |x: f32, color: Color| Mark { bbox: car([x, 5.0, 0.0], 0.0).bbox, color, label: String::new() };
    // Both have a side at x = 32: the rear of one, the front of the other.
    let marks = [mark(34.0, red), mark(30.0, blue)];
    let (grid, legend) = (grid(), [("red".to_owned(), red)]);
    let scene =
        MarkedScene { name: "a", facts: "b", grid: &grid, points: &[], marks: &marks, legend: &legend };
    let picture = Picture::of_marks(&scene);
    for (x, color) in [(36.0, red), (28.0, blue), (32.0, red)] {
        assert!(distance(at(&picture, x, 4.5), color) < 150, "{x}: {:?}", at(&picture, x, 4.5));
    }
    assert_eq!(picture.pixel(14, 38), Some(red), "the legend");
    // Detections are marks in the colours of their classes.
    let detections = [car([30.0, 5.0, 0.0], 0.3)];
    let mark = Mark { bbox: detections[0].bbox, color: color_of(0), label: "car 0.87".to_owned() };
    let names = ["car 1", "pedestrian 0", "cyclist 0"];
    let legend: Vec<_> =
        names.iter().enumerate().map(|(k, n)| ((*n).to_owned(), color_of(k as u32))).collect();
    let facts = "1 box, 12.3 ms, 0 points";
    let scene =
        MarkedScene { name: "a.bin", facts, grid: &grid, points: &[], marks: &[mark], legend: &legend };
    assert!(Picture::of_marks(&scene) == draw(&[], &detections));
}

#[test]
fn rings_are_ten_metres_apart_around_the_sensor() {
    let picture = draw(&[], &[]);
    for r in [10.0, 20.0, 50.0] {
        let (x, y) = (r * 0.8, r * 0.6);
        assert!(distance(at(&picture, x, y), RING) < 90, "{r} m: {:?}", at(&picture, x, y));
        assert_eq!(at(&picture, x + 2.4, y + 1.8), BACKGROUND, "{} m", r + 3.0);
    }
}

#[test]
fn points_show_their_height_and_left_is_left() {
    let high = Point { x: 40.0, y: 20.0, z: 1.0, intensity: 0.0, time_lag: 0.0 };
    let low = Point { y: -20.0, z: -3.0, ..high };
    let picture = draw(&[high, low], &[]);
    assert!(distance(at(&picture, 40.0, 20.0), RAMP[5]) < 330, "{:?}", at(&picture, 40.0, 20.0));
    assert!(distance(at(&picture, 40.0, -20.0), RAMP[0]) < 120);
    let [u, v] = Map::of(&grid()).place(40.0, 20.0);
    assert!(u < picture.width() as f32 / 2.0 && v < picture.height() as f32 / 2.0, "left and up");
}

#[test]
fn a_picture_is_a_png_of_the_same_pixels_and_bytes() {
    let picture = draw(&[], &[car([30.0, 5.0, 0.0], 0.3)]);
    let bytes = picture.to_png().unwrap();
    assert_eq!(bytes, draw(&[], &[car([30.0, 5.0, 0.0], 0.3)]).to_png().unwrap());
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut decoded).unwrap();
    assert_eq!([info.width as usize, info.height as usize], [picture.width, picture.height]);
    assert_eq!(decoded, picture.rgb);
}

#[test]
fn no_grid_makes_a_picture_of_unreasonable_size() {
    let grids = [
        ([0.0, -0.64], [1.28, 0.64], 0.16),
        ([-51.2, -51.2], [51.2, 51.2], 0.2),
        ([-1000.0, -1.0], [1000.0, 1.0], 0.5),
        ([-1.0, -1000.0], [1.0, 1000.0], 0.5),
    ];
    for (min, max, cell) in grids {
        let grid = Grid::new([min[0], min[1], -3.0], [max[0], max[1], 1.0], [cell, cell]).unwrap();
        let detections = [car([0.5, 0.0, 0.0], 0.2)];
        let scene = Scene {
            name: "x",
            grid: &grid,
            points: &[],
            classes: &classes(),
            detections: &detections,
            frame_ms: None,
        };
        let picture = Picture::of(&scene);
        assert!(picture.width() <= 1600 && picture.height() <= 1600, "{picture:?}");
        assert!(picture.width() >= MIN_WIDTH && picture.height() > HEADER_PIXELS, "{picture:?}");
    }
}

#[test]
fn hostile_boxes_and_points_are_cut_or_left_out() {
    let mut detections = Vec::new();
    for v in [f32::NAN, f32::INFINITY, -1e30, 1e4] {
        detections.push(car([v, 0.0, 0.0], 0.0));
        detections.push(car([10.0, v, 0.0], 0.0));
        detections.push(car([10.0, 0.0, 0.0], v));
        let mut wide = car([10.0, 0.0, 0.0], 0.0);
        wide.bbox.size = [v; 3];
        detections.push(wide);
    }
    detections.push(Detection { class_idx: u32::MAX, ..car([20.0, 0.0, 0.0], 0.0) });
    let points = [f32::NAN, 1e30, -1e30].map(|x| Point { x, y: x, z: x, intensity: 0.0, time_lag: 0.0 });
    let picture = draw(&points, &detections);
    assert_eq!(picture.pixel(0, picture.height()), None);
    assert_eq!(picture.pixel(picture.width(), 0), None);
}

#[test]
fn labels_do_not_cover_each_other() {
    let mut picture = draw(&[], &[]);
    let map = Map::of(&grid());
    let mut taken = Vec::new();
    for i in 0..12_u8 {
        let bbox = car([30.0, 5.0 + f32::from(i) * 0.1, 0.0], 0.0).bbox;
        let mark = Mark { bbox, color: TITLE, label: "car 0.87".to_owned() };
        picture.draw_label(&map, &mark, &mut taken);
    }
    assert!((2..12).contains(&taken.len()), "{} labels", taken.len());
    for (i, a) in taken.iter().enumerate() {
        assert!(taken[..i].iter().all(|b| !overlap(*a, *b)));
    }
}

#[test]
fn names_outside_of_ascii_and_too_long_ones_are_drawn_all_the_same() {
    let grid = grid();
    let name = "gr\u{fc}\u{df}e-\u{1f600}".repeat(40);
    let scene = Scene {
        name: &name,
        grid: &grid,
        points: &[],
        classes: &vec!["a_class_of_a_long_name".to_owned(); 20],
        detections: &[],
        frame_ms: Some(f64::NAN),
    };
    assert!(Picture::of(&scene).to_png().is_ok());
}
