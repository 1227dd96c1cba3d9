//! The worst frames, drawn from above.

use super::markup::{clipped, push};
use crate::analysis::{Frame, FrameFates, FrameSet, Rules};
use crate::plot::escaped;
use pilotis_spec::{Box3d, Point};

/// Width and height of a drawing.
const SIZE: (f64, f64) = (520.0, 480.0);
/// Points drawn, at most; more would not be told apart, and would make the file large.
const MAX_POINTS: usize = 4000;
/// Boxes further away from the origin do not stretch the view.
const MAX_VIEW_M: f64 = 90.0;
/// A view is at least this wide and high.
const MIN_VIEW_M: f64 = 24.0;
/// Room around what is drawn.
const MARGIN_M: f64 = 4.0;

/// Draws frames, the worst first.
pub(super) fn worst(
    out: &mut String,
    set: &FrameSet,
    rules: &Rules,
    fates: &[FrameFates],
    cloud: &dyn Fn(&str) -> Option<Vec<Point>>,
) {
    push!(
        out,
        "<h2 id=\"worst\">The worst frames</h2>\n<p>Those with most objects missed and boxes wrong, at a score of {}. \
         Seen from above, x upwards; the notch of a box is its front; circles stand 20 m apart.</p>\n",
        rules.score
    );
    if fates.is_empty() {
        out.push_str("<p>No object was missed and no box is wrong.</p>\n");
        return;
    }
    key(out);
    out.push_str("<div class=\"pair\">\n");
    for fates in fates {
        let frame = &set.frames()[fates.frame_idx];
        let points = cloud(&frame.name).unwrap_or_default();
        out.push_str(&drawing(frame, fates, set.classes(), &points));
    }
    out.push_str("</div>\n");
}

fn key(out: &mut String) {
    out.push_str("<div class=\"legend\">");
    for (class, word) in [
        ("labelled", "labelled, found"),
        ("missed", "labelled, missed"),
        ("uncounted", "labelled, not counted"),
        ("right", "box, right"),
        ("wrong", "box, wrong, with its score"),
    ] {
        push!(
            out,
            "<span><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\"><rect class=\"{class}\" x=\"2\" y=\"2\" \
             width=\"18\" height=\"8\"/></svg>{word}</span>"
        );
    }
    out.push_str("</div>\n");
}

/// Where metres come to lie in the drawing.
struct View {
    /// The middle of what is seen.
    middle: (f64, f64),
    px_per_m: f64,
}

impl View {
    /// The sensor and everything that counts, but for what is far out.
    fn around(frame: &Frame, fates: &FrameFates) -> Self {
        let (mut low, mut high) = ((0.0_f64, 0.0_f64), (0.0_f64, 0.0_f64));
        let objects = frame.objects.iter().zip(&fates.objects).filter(|(_, fate)| fate.is_some());
        let found = frame.detections.iter().zip(&fates.detections).filter(|(_, fate)| fate.is_some());
        for bbox in objects.map(|(o, _)| &o.bbox).chain(found.map(|(d, _)| &d.bbox)) {
            let [x, y] = [0, 1].map(|k| f64::from(bbox.center[k]).clamp(-MAX_VIEW_M, MAX_VIEW_M));
            low = (low.0.min(x), low.1.min(y));
            high = (high.0.max(x), high.1.max(y));
        }
        let extent = |low: f64, high: f64| (high - low + 2.0 * MARGIN_M).max(MIN_VIEW_M);
        // x goes up, y to the left.
        let px_per_m = (SIZE.1 / extent(low.0, high.0)).min(SIZE.0 / extent(low.1, high.1));
        Self { middle: ((low.0 + high.0) / 2.0, (low.1 + high.1) / 2.0), px_per_m }
    }

    fn px(&self, x: f64, y: f64) -> (f64, f64) {
        (
            SIZE.0 / 2.0 - (y - self.middle.1) * self.px_per_m,
            SIZE.1 / 2.0 - (x - self.middle.0) * self.px_per_m,
        )
    }

    fn is_seen(&self, x: f64, y: f64) -> bool {
        let (px, py) = self.px(x, y);
        px >= 0.0 && px < SIZE.0 && py >= 0.0 && py < SIZE.1
    }

    /// The outline of a box, with a notch at its front.
    fn outline(&self, bbox: &Box3d) -> String {
        let (sin, cos) = (libm::sin(f64::from(bbox.yaw)), libm::cos(f64::from(bbox.yaw)));
        let [x, y] = [0, 1].map(|k| f64::from(bbox.center[k]));
        let [half_length, half_width] = [0, 1].map(|k| f64::from(bbox.size[k]) / 2.0);
        let corner = |along: f64, across: f64| {
            let (along, across) = (along * half_length, across * half_width);
            self.px(x + along * cos - across * sin, y + along * sin + across * cos)
        };
        let corners = [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)].map(|(a, b)| corner(a, b));
        let mut path = String::new();
        for (idx, (px, py)) in corners.into_iter().enumerate() {
            push!(path, "{}{px:.1} {py:.1}", if idx == 0 { 'M' } else { 'L' });
        }
        let (front, tip) = (corner(1.0, 0.0), corner(0.45, 0.0));
        push!(path, "ZM{:.1} {:.1}L{:.1} {:.1}", front.0, front.1, tip.0, tip.1);
        path
    }
}

fn drawing(frame: &Frame, fates: &FrameFates, classes: &[String], points: &[Point]) -> String {
    let view = View::around(frame, fates);
    let (n_missed, n_wrong) = (fates.n_missed(), fates.n_wrong());
    let name = escaped(&frame.name);
    let mut out = format!(
        "<figure><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
         aria-label=\"Frame {name} from above: {n_missed} objects missed, {n_wrong} boxes wrong\">",
        SIZE.0, SIZE.1
    );
    rings(&mut out, &view);
    cloud_path(&mut out, &view, points);
    for (object, fate) in frame.objects.iter().zip(&fates.objects) {
        let class = match fate {
            Some(true) => "labelled",
            Some(false) => "missed",
            None => "uncounted",
        };
        let about = format!(
            "{}, {} points",
            classes.get(object.class_idx as usize).map_or("", String::as_str),
            object.n_points
        );
        push!(
            out,
            "<path class=\"{class}\" d=\"{}\"><title>{}</title></path>",
            view.outline(&object.bbox),
            escaped(&about)
        );
    }
    let mut tags = String::new();
    for (detection, fate) in frame.detections.iter().zip(&fates.detections) {
        let Some(is_right) = *fate else { continue };
        let class = classes.get(detection.class_idx as usize).map_or("", String::as_str);
        push!(
            out,
            "<path class=\"{}\" d=\"{}\"><title>{}</title></path>",
            if is_right { "right" } else { "wrong" },
            view.outline(&detection.bbox),
            escaped(&format!("{class}, score {:.2}", detection.score))
        );
        let [x, y] = [0, 1].map(|k| f64::from(detection.bbox.center[k]));
        if !is_right && view.is_seen(x, y) {
            let (px, py) = view.px(x, y);
            let beside = (f64::from(detection.bbox.size[1]) / 2.0 * view.px_per_m).max(3.0) + 5.0;
            // Text that would leave the drawing on the right stands on the left.
            let (px, anchor) =
                if px > SIZE.0 - 110.0 { (px - beside, "end") } else { (px + beside, "start") };
            push!(
                tags,
                "<text class=\"tag\" x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{} {:.2}</text>",
                py + 4.0,
                clipped(class, 14),
                detection.score
            );
        }
    }
    out.push_str(&tags);
    let (x, y) = view.px(0.0, 0.0);
    push!(
        out,
        "<path d=\"M{x:.1} {:.1}l5 12h-10z\" fill=\"var(--ink)\"><title>the sensor</title></path>",
        y - 7.0
    );
    let drive = frame.group.as_deref().map_or_else(String::new, |g| format!(" of {}", escaped(g)));
    push!(
        out,
        "</svg><figcaption><b>{name}</b>{drive}: {n_missed} missed, {n_wrong} wrong{}</figcaption></figure>\n",
        if points.is_empty() { "; its points are not at hand" } else { "" }
    );
    out
}

fn rings(out: &mut String, view: &View) {
    let (x, y) = view.px(0.0, 0.0);
    for k in 1..=4 {
        let radius = 20.0 * f64::from(k) * view.px_per_m;
        push!(out, "<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>");
        let label = y - radius - 3.0;
        if label > 10.0 {
            push!(out, "<text x=\"{x:.1}\" y=\"{label:.1}\" text-anchor=\"middle\">{} m</text>", 20 * k);
        }
    }
}

/// Points as dots of one path; every n-th of them where there are too many.
fn cloud_path(out: &mut String, view: &View, points: &[Point]) {
    let seen: Vec<(f64, f64)> = points
        .iter()
        .filter(|p| p.is_finite() && view.is_seen(f64::from(p.x), f64::from(p.y)))
        .map(|p| view.px(f64::from(p.x), f64::from(p.y)))
        .collect();
    if seen.is_empty() {
        return;
    }
    let stride = seen.len().div_ceil(MAX_POINTS).max(1);
    out.push_str("<path class=\"points\" d=\"");
    for (px, py) in seen.into_iter().step_by(stride) {
        push!(out, "M{px:.1} {py:.1}h0");
    }
    out.push_str("\"/>");
}
