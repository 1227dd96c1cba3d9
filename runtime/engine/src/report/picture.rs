//! Picture: one frame from above, as a PNG.
//!
//! x forward is up and y left is left, as a driver would look at it. The rasteriser is our own,
//! in `f32` with `libm`, so that the same frame gives the same bytes everywhere.

pub use super::marks::{Mark, MarkedScene};

use font8x8::legacy::BASIC_LEGACY;
use pilotis_spec::{Box3d, Detection, Grid, Point};

/// Wanted scale.
const PIXELS_PER_M: f32 = 12.0;
/// The map's longer side is not longer than this.
const MAX_MAP_PIXELS: f32 = 1520.0;
/// Nor shorter than this, however small the grid.
const MIN_MAP_PIXELS: f32 = 640.0;
/// Room for title and legend, so that no picture, footer included, is higher than 1600 pixels.
const HEADER_PIXELS: usize = 56;
/// Room for a sensor that stands at the lower edge.
const FOOTER_PIXELS: usize = 14;
/// Room for the title on narrow grids.
const MIN_WIDTH: usize = 560;
/// Metres between two rings.
const RING_M: f32 = 10.0;
/// Pixels of a letter.
const LETTER: usize = 8;

type Color = [u8; 3];

const BACKGROUND: Color = [13, 17, 23];
const OUTSIDE: Color = [7, 9, 13];
const RING: Color = [58, 70, 86];
const RING_TEXT: Color = [122, 138, 158];
const BORDER: Color = [44, 54, 68];
const TITLE: Color = [236, 241, 247];
const FAINT_TEXT: Color = [156, 168, 184];
const EGO: Color = [255, 255, 255];
const X_AXIS: Color = [240, 84, 84];
const Y_AXIS: Color = [92, 214, 116];

/// Colours of the classes, in the manifest's order and then again.
const CLASS_COLORS: [Color; 10] = [
    [255, 176, 46],
    [255, 92, 138],
    [86, 222, 160],
    [190, 134, 255],
    [255, 236, 92],
    [92, 200, 255],
    [255, 130, 84],
    [160, 232, 92],
    [244, 154, 220],
    [196, 206, 218],
];

/// Heights from low to high.
const RAMP: [Color; 6] =
    [[38, 62, 140], [36, 118, 188], [38, 166, 174], [110, 204, 138], [206, 226, 116], [252, 248, 214]];

/// What a picture shows.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// First part of the title: the frame's name.
    pub name: &'a str,
    /// What there is to see.
    pub grid: &'a Grid,
    /// The points, coloured by height.
    pub points: &'a [Point],
    /// Names of the classes.
    pub classes: &'a [String],
    /// The boxes, best first; of labels that would overlap, the better box has its own.
    pub detections: &'a [Detection],
    /// Milliseconds that the frame took, where the picture shall say so.
    pub frame_ms: Option<f64>,
}

/// A picture in memory: `height` rows of `width` RGB pixels.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// Where metres lie in the picture.
#[derive(Clone, Copy, Debug)]
struct Map {
    x_max: f32,
    y_max: f32,
    pixels_per_m: f32,
    /// Left, top, width and height in pixels.
    area: [usize; 4],
}

impl Map {
    fn of(grid: &Grid) -> Self {
        let (min, max) = (grid.min(), grid.max());
        let longest = (max[0] - min[0]).max(max[1] - min[1]);
        let wanted = (longest * PIXELS_PER_M).clamp(MIN_MAP_PIXELS, MAX_MAP_PIXELS);
        let pixels_per_m = wanted / longest;
        let pixels = |m: f32| ((m * pixels_per_m).round() as usize).clamp(8, MAX_MAP_PIXELS as usize);
        let (width, height) = (pixels(max[1] - min[1]), pixels(max[0] - min[0]));
        let left = width.max(MIN_WIDTH).saturating_sub(width) / 2;
        Self { x_max: max[0], y_max: max[1], pixels_per_m, area: [left, HEADER_PIXELS, width, height] }
    }

    /// Pixels right and down of a place in metres; whole numbers are pixel centres.
    fn place(&self, x: f32, y: f32) -> [f32; 2] {
        let [left, top, ..] = self.area;
        [
            (self.y_max - y) * self.pixels_per_m - 0.5 + left as f32,
            (self.x_max - x) * self.pixels_per_m - 0.5 + top as f32,
        ]
    }
}

impl Picture {
    /// Draws a frame.
    ///
    /// **Shapes**: 12 pixels a metre, less where a side would be longer than 1600 pixels.
    /// **At capacity**: what lies outside of the grid is cut; boxes that are not finite are left
    /// out. **Determinism**: the same scene gives the same bytes.
    pub fn of(scene: &Scene<'_>) -> Self {
        let mark = |d: &Detection| {
            let class = scene.classes.get(d.class_idx as usize).map_or("?", String::as_str);
            Mark { bbox: d.bbox, color: color_of(d.class_idx), label: format!("{class} {:.2}", d.score) }
        };
        let marks: Vec<Mark> = scene.detections.iter().map(mark).collect();
        let count = |idx: usize| scene.detections.iter().filter(|d| d.class_idx as usize == idx).count();
        let classes = scene.classes.iter().enumerate();
        let legend: Vec<_> =
            classes.map(|(idx, class)| (format!("{class} {}", count(idx)), color_of(idx as u32))).collect();
        let n = scene.detections.len();
        let mut facts = format!("{n} {}", if n == 1 { "box" } else { "boxes" });
        if let Some(ms) = scene.frame_ms {
            facts.push_str(&format!(", {ms:.1} ms"));
        }
        facts.push_str(&format!(", {} points", scene.points.len()));
        let Scene { name, grid, points, .. } = *scene;
        Self::of_marks(&MarkedScene { name, facts: &facts, grid, points, marks: &marks, legend: &legend })
    }

    /// Draws a frame whose boxes have colours and words of their own; otherwise as [`Picture::of`].
    pub fn of_marks(scene: &MarkedScene<'_>) -> Self {
        let map = Map::of(scene.grid);
        let [left, top, width, height] = map.area;
        let mut picture = Self::filled(width.max(MIN_WIDTH), top + height + FOOTER_PIXELS, OUTSIDE);
        picture.fill([left, top, width, height], BACKGROUND);
        picture.draw_rings(&map);
        picture.draw_points(&map, scene.grid, scene.points);
        picture.draw_ring_labels(&map);
        picture.draw_ego(&map);
        let mut labels = Vec::new();
        // The first last, so that it lies on top.
        for mark in scene.marks.iter().rev().filter(|m| is_drawable(&m.bbox)) {
            picture.draw_box(&map, mark);
        }
        for mark in scene.marks.iter().filter(|m| is_drawable(&m.bbox) && !m.label.is_empty()) {
            picture.draw_label(&map, mark, &mut labels);
        }
        picture.draw_height_legend(&map, scene.grid);
        picture.draw_header(scene);
        picture
    }

    /// Pixels to the right.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour of a pixel, `None` outside.
    pub fn pixel(&self, column: usize, row: usize) -> Option<[u8; 3]> {
        let at = self.offset_of(column, row)?;
        self.rgb.get(at..at + 3)?.try_into().ok()
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// **Errors**: the encoder's; none is known for pictures of this kind.
    pub fn to_png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(bytes)
    }

    fn filled(width: usize, height: usize, color: Color) -> Self {
        Self { width, height, rgb: color.repeat(width * height) }
    }

    fn offset_of(&self, column: usize, row: usize) -> Option<usize> {
        (column < self.width && row < self.height).then(|| (row * self.width + column) * 3)
    }

    /// Mixes a colour into a pixel; outside of the picture nothing happens.
    fn blend(&mut self, column: usize, row: usize, color: Color, share: f32) {
        let Some(at) = self.offset_of(column, row) else { return };
        let Some(pixel) = self.rgb.get_mut(at..at + 3) else { return };
        let share = share.clamp(0.0, 1.0);
        for (old, new) in pixel.iter_mut().zip(color) {
            let mixed = f32::from(*old) + (f32::from(new) - f32::from(*old)) * share;
            *old = (mixed + 0.5) as u8;
        }
    }

    fn fill(&mut self, [left, top, width, height]: [usize; 4], color: Color) {
        for row in top..top + height {
            for column in left..left + width {
                self.blend(column, row, color, 1.0);
            }
        }
    }

    /// A line with soft edges, cut at the map's area.
    fn line(&mut self, area: [usize; 4], from: [f32; 2], to: [f32; 2], thickness: f32, color: Color) {
        let reach = thickness / 2.0 + 0.5;
        let [left, top, width, height] = area;
        // Casts saturate, so what lies far outside becomes an empty or the whole range.
        let columns = |v: f32| (v.max(left as f32) as usize).min(left + width);
        let rows = |v: f32| (v.max(top as f32) as usize).min(top + height);
        let (u0, u1) = (from[0].min(to[0]) - reach, from[0].max(to[0]) + reach + 1.0);
        let (v0, v1) = (from[1].min(to[1]) - reach, from[1].max(to[1]) + reach + 1.0);
        let along = [to[0] - from[0], to[1] - from[1]];
        let length2 = (along[0] * along[0] + along[1] * along[1]).max(1e-12);
        for row in rows(v0)..rows(v1) {
            for column in columns(u0)..columns(u1) {
                let d = [column as f32 - from[0], row as f32 - from[1]];
                let t = ((d[0] * along[0] + d[1] * along[1]) / length2).clamp(0.0, 1.0);
                let (du, dv) = (d[0] - t * along[0], d[1] - t * along[1]);
                let share = reach - (du * du + dv * dv).sqrt();
                if share > 0.0 {
                    self.blend(column, row, color, share);
                }
            }
        }
    }

    /// Text in letters of 8 x 8 times `scale`, its upper left corner at `(left, top)`.
    fn text(&mut self, left: usize, top: usize, scale: usize, color: Color, text: &str) {
        for (i, letter) in text.chars().enumerate() {
            let known = BASIC_LEGACY.get(letter as usize).filter(|_| letter >= ' ');
            let Some(rows) = known.or_else(|| BASIC_LEGACY.get(usize::from(b'?'))) else { continue };
            for (r, bits) in rows.iter().enumerate() {
                for c in (0..LETTER).filter(|c| bits >> c & 1 == 1) {
                    let (u, v) = (left + (i * LETTER + c) * scale, top + r * scale);
                    for (du, dv) in (0..scale * scale).map(|k| (k % scale, k / scale)) {
                        self.blend(u + du, v + dv, color, 1.0);
                    }
                }
            }
        }
    }

    /// Text on a dark ground, for places where points lie.
    fn plate(&mut self, [left, top, width, height]: [usize; 4], color: Color, text: &str) {
        for row in top..top + height {
            for column in left..left + width {
                self.blend(column, row, BACKGROUND, 0.8);
            }
        }
        self.text(left + 2, top + 2, 1, color, text);
    }

    fn draw_rings(&mut self, map: &Map) {
        let [left, top, width, height] = map.area;
        let [u, v] = map.place(0.0, 0.0);
        let between = RING_M * map.pixels_per_m;
        for row in top..top + height {
            for column in left..left + width {
                let (du, dv) = (column as f32 - u, row as f32 - v);
                let r = (du * du + dv * dv).sqrt();
                let ring = (r / between).round();
                let share = 1.0 - (r - ring * between).abs();
                if ring >= 1.0 && share > 0.0 {
                    self.blend(column, row, RING, share);
                }
            }
        }
        for (from, to) in border(map.area) {
            self.line(map.area, from, to, 1.0, BORDER);
        }
    }

    /// Tells how far the rings are, ahead and behind.
    fn draw_ring_labels(&mut self, map: &Map) {
        let [left, top, width, height] = map.area;
        for k in 1..=40_i32 {
            for x in [k as f32 * RING_M, -(k as f32) * RING_M] {
                let [u, v] = map.place(x, 0.0);
                let text = format!("{} m", k * RING_M as i32);
                let (w, h) = (text.len() * LETTER + 3, LETTER + 3);
                let (l, t) = (u + 3.0, v - h as f32 - 1.0);
                let is_inside = l >= left as f32
                    && t >= top as f32
                    && l + w as f32 <= (left + width) as f32
                    && t + h as f32 <= (top + height) as f32;
                if is_inside {
                    self.plate([l as usize, t as usize, w, h], RING_TEXT, &text);
                }
            }
        }
    }

    fn draw_points(&mut self, map: &Map, grid: &Grid, points: &[Point]) {
        let (low, high) = (grid.min()[2], grid.max()[2]);
        let [left, top, width, height] = map.area;
        for point in points.iter().filter(|p| p.is_finite()) {
            let [u, v] = map.place(point.x, point.y);
            let color = ramp((point.z - low) / (high - low));
            // A dot of one pixel and a half, spread over the four pixels it touches.
            let (u0, v0) = (u.floor(), v.floor());
            let (fu, fv) = (u - u0, v - v0);
            let weights = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)];
            for (du, dv) in weights {
                let (column, row) = (u0 + du, v0 + dv);
                let is_inside = column >= left as f32
                    && row >= top as f32
                    && column < (left + width) as f32
                    && row < (top + height) as f32;
                let share = (1.0 - (fu - du).abs()) * (1.0 - (fv - dv).abs());
                if is_inside {
                    self.blend(column as usize, row as usize, color, share * 1.6);
                }
            }
        }
    }

    /// The sensor: its axes and a mark.
    fn draw_ego(&mut self, map: &Map) {
        let everywhere = [0, HEADER_PIXELS, self.width, self.height - HEADER_PIXELS];
        let reach = 28.0 / map.pixels_per_m;
        let origin = map.place(0.0, 0.0);
        self.line(everywhere, origin, map.place(reach, 0.0), 2.0, X_AXIS);
        self.line(everywhere, origin, map.place(0.0, reach), 2.0, Y_AXIS);
        self.line(everywhere, origin, origin, 7.0, EGO);
    }

    fn draw_box(&mut self, map: &Map, mark: &Mark) {
        let color = mark.color;
        let corners = corners_of(&mark.bbox).map(|[x, y]| map.place(x, y));
        let [a, b, c, d] = corners;
        for (from, to) in [(a, b), (b, c), (c, d), (d, a)] {
            self.line(map.area, from, to, 1.8, color);
        }
        let Box3d { center, size, yaw } = mark.bbox;
        // From the middle past the front, so that the heading shows on small boxes too.
        let ahead = size[0] / 2.0 + 8.0 / map.pixels_per_m;
        let nose = map.place(center[0] + ahead * libm::cosf(yaw), center[1] + ahead * libm::sinf(yaw));
        self.line(map.area, map.place(center[0], center[1]), nose, 1.8, color);
    }

    /// Writes a mark's label beside its box, where no mark before it has its label.
    fn draw_label(&mut self, map: &Map, mark: &Mark, taken: &mut Vec<[usize; 4]>) {
        let (w, h) = ((mark.label.chars().count() * LETTER + 3) as f32, (LETTER + 3) as f32);
        let corners = corners_of(&mark.bbox).map(|[x, y]| map.place(x, y));
        let low = |k: usize| corners.iter().fold(f32::MAX, |m, c| m.min(c[k]));
        let high = |k: usize| corners.iter().fold(f32::MIN, |m, c| m.max(c[k]));
        let [u, v] = map.place(mark.bbox.center[0], mark.bbox.center[1]);
        let candidates = [
            [high(0) + 5.0, v - h / 2.0],
            [low(0) - w - 5.0, v - h / 2.0],
            [u - w / 2.0, high(1) + 5.0],
            [u - w / 2.0, low(1) - h - 5.0],
        ];
        let [left, top, width, height] = map.area.map(|n| n as f32);
        for [l, t] in candidates {
            let is_inside = l >= left && t >= top && l + w <= left + width && t + h <= top + height;
            let place = [l.max(0.0) as usize, t.max(0.0) as usize, w as usize, h as usize];
            if is_inside && !taken.iter().any(|other| overlap(*other, place)) {
                self.plate(place, mark.color, &mark.label);
                taken.push(place);
                return;
            }
        }
    }

    /// What the colours of the points mean, in the lower right corner.
    fn draw_height_legend(&mut self, map: &Map, grid: &Grid) {
        let [left, top, width, height] = map.area;
        const BAR: usize = 96;
        let (low, high) = (format!("{:.1} m", grid.min()[2]), format!("{:.1} m", grid.max()[2]));
        let n_letters = low.len() + high.len() + 2;
        let total = BAR + n_letters * LETTER + 12;
        if width < total + 16 || height < 64 {
            return;
        }
        let (l, t) = (left + width - total - 8, top + height - 22);
        self.plate([l, t, total, 14], FAINT_TEXT, &format!("z {low}"));
        let bar = l + (low.len() + 2) * LETTER + 6;
        for column in 0..BAR {
            let color = ramp(column as f32 / (BAR - 1) as f32);
            self.fill([bar + column, t + 2, 1, 9], color);
        }
        self.text(bar + BAR + 4, t + 2, 1, FAINT_TEXT, &high);
    }

    /// Title, and what the colours of the boxes mean.
    fn draw_header(&mut self, scene: &MarkedScene<'_>) {
        let facts_left = self.width.saturating_sub(scene.facts.chars().count() * LETTER + 12);
        let room = facts_left.saturating_sub(24) / (2 * LETTER);
        let name: String = if scene.name.chars().count() <= room {
            scene.name.to_owned()
        } else {
            scene.name.chars().take(room.saturating_sub(2)).chain("..".chars()).collect()
        };
        self.text(12, 8, 2, TITLE, &name);
        self.text(facts_left, 12, 1, FAINT_TEXT, scene.facts);
        let mut left = 12;
        for (text, color) in scene.legend {
            let width = 14 + (text.chars().count() + 2) * LETTER;
            if left + width > self.width {
                self.text(left.min(self.width.saturating_sub(24)), 36, 1, FAINT_TEXT, "..");
                break;
            }
            self.fill([left, 35, 10, 10], *color);
            self.text(left + 14, 36, 1, FAINT_TEXT, text);
            left += width;
        }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

fn is_drawable(b: &Box3d) -> bool {
    let numbers = b.center.iter().chain(&b.size).chain([&b.yaw]);
    numbers.clone().all(|v| v.is_finite() && v.abs() < 1e5)
}

/// Front left, front right, rear right, rear left.
fn corners_of(b: &Box3d) -> [[f32; 2]; 4] {
    let (sin, cos) = (libm::sinf(b.yaw), libm::cosf(b.yaw));
    let (l, w) = (b.size[0] / 2.0, b.size[1] / 2.0);
    [(l, w), (l, -w), (-l, -w), (-l, w)]
        .map(|(x, y)| [b.center[0] + x * cos - y * sin, b.center[1] + x * sin + y * cos])
}

fn border([left, top, width, height]: [usize; 4]) -> [([f32; 2], [f32; 2]); 4] {
    let (l, t) = (left as f32, top as f32);
    let (r, b) = ((left + width - 1) as f32, (top + height - 1) as f32);
    [([l, t], [r, t]), ([r, t], [r, b]), ([r, b], [l, b]), ([l, b], [l, t])]
}

fn overlap(a: [usize; 4], b: [usize; 4]) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

fn color_of(class_idx: u32) -> Color {
    CLASS_COLORS.get(class_idx as usize % CLASS_COLORS.len()).copied().unwrap_or(TITLE)
}

/// The colour at a share of the heights' range.
fn ramp(share: f32) -> Color {
    let at = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f32;
    let i = (at as usize).min(RAMP.len() - 2);
    let f = at - i as f32;
    let (Some(a), Some(b)) = (RAMP.get(i), RAMP.get(i + 1)) else { return TITLE };
    std::array::from_fn(|k| (f32::from(a[k]) * (1.0 - f) + f32::from(b[k]) * f + 0.5) as u8)
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
