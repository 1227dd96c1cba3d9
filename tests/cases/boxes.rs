//! Random heads and tensors for every implementation of the boxes stage. Included by path where it is
//! needed; one seed is one case, everywhere.

use pilotis_runtime::boxes::BoxesStage;
use pilotis_spec::codec::logit_threshold;
use pilotis_spec::{
    AnchorClass, AnchorGroup, AnchorHead, CenterHead, CenterTask, Detection, FrameFlags, FrameReport, Grid,
    HeadLayout, Manifest, NmsScope, ScoreRule, YawCode,
};

const MANIFEST: &str = include_str!("../../runtime/spec/tests/kitti_manifest.toml");

/// A repeatable sequence.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        let mut draw = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| {
            draw.bits();
        });
        draw
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((self.bits() >> 32) as usize * n) >> 32
    }

    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    pub fn range(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A manifest and one frame of its network.
#[derive(Debug)]
pub struct Case {
    pub seed: u64,
    pub manifest: Manifest,
    pub tensors: Vec<Vec<f32>>,
}

/// What the stage answers, to be compared bit by bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Eleven words a detection.
    pub detections: Vec<[u32; 11]>,
    pub n_candidates: u32,
    pub dropped_candidates: u32,
    pub n_suppressed: u32,
    pub dropped_boxes: u32,
    pub head_not_finite: bool,
}

impl Case {
    /// The case of a seed, on a map of at most `max_side` cells along each axis.
    pub fn new(seed: u64, max_side: usize) -> Self {
        let mut draw = Draw::new(seed);
        let manifest = manifest(&mut draw, max_side);
        let tensors = tensors(&mut draw, &manifest);
        Self { seed, manifest, tensors }
    }

    /// Another frame of the same network.
    pub fn next_frame(&self) -> Vec<Vec<f32>> {
        tensors(&mut Draw::new(!self.seed), &self.manifest)
    }
}

impl Answer {
    /// The answer of the stage on the CPU, which defines it.
    pub fn of_cpu(manifest: &Manifest, tensors: &[Vec<f32>]) -> Self {
        let mut stage = BoxesStage::build(manifest).unwrap();
        let mut report = FrameReport::default();
        let detections = stage.run(tensors, &mut report).unwrap();
        Self {
            detections: detections.iter().map(words).collect(),
            n_candidates: report.n_candidates,
            dropped_candidates: report.dropped_candidates,
            n_suppressed: report.n_suppressed,
            dropped_boxes: report.dropped_boxes,
            head_not_finite: report.flags.contains(FrameFlags::HEAD_NOT_FINITE),
        }
    }
}

/// A detection as the words that it is in memory.
pub fn words(d: &Detection) -> [u32; 11] {
    let [x, y, z] = d.bbox.center.map(f32::to_bits);
    let [l, w, h] = d.bbox.size.map(f32::to_bits);
    let [vx, vy] = d.velocity.map(f32::to_bits);
    [x, y, z, l, w, h, d.bbox.yaw.to_bits(), vx, vy, d.score.to_bits(), d.class_idx]
}

fn manifest(draw: &mut Draw, max_side: usize) -> Manifest {
    let mut m = Manifest::from_toml(MANIFEST).unwrap();
    let (h, w) = (2 + draw.below(max_side - 1), 2 + draw.below(max_side - 1));
    let stride = 1 + draw.below(3);
    let cell = draw.of(&[0.16_f32, 0.2, 0.25, 0.5]);
    let extent = [w, h].map(|n| (n * stride) as f32 * cell);
    let min = [draw.of(&[0.0, -0.5 * extent[0], -51.2]), -0.5 * extent[1], -3.0];
    m.grid = Grid::new(min, [min[0] + extent[0], min[1] + extent[1], 1.0], [cell, cell]).unwrap();
    let n_classes = 1 + draw.below(5);
    m.classes = (0..n_classes).map(|i| format!("class{i}")).collect();
    // The head may list them in another order.
    let mut names = m.classes.clone();
    for i in (1..n_classes).rev() {
        names.swap(i, draw.below(i + 1));
    }
    let mut groups: Vec<Vec<String>> = vec![vec![]];
    for name in names {
        if !groups[groups.len() - 1].is_empty() && draw.one_in(2) {
            groups.push(vec![]);
        }
        let last = groups.len() - 1;
        groups[last].push(name);
    }
    let velocity = draw.one_in(2);
    let is_anchors = draw.below(3) < 2;
    m.head = if is_anchors {
        let class = |draw: &mut Draw, name: String| AnchorClass {
            name,
            size_m: [draw.range(0.4, 5.0), draw.range(0.4, 2.5), draw.range(1.0, 3.0)],
            bottom_m: draw.range(-2.0, 0.0),
        };
        HeadLayout::Anchors(AnchorHead {
            stride: stride as u32,
            yaw_code: draw.of(&[YawCode::DirectionBins, YawCode::SinCos]),
            velocity,
            direction_offset_rad: draw.of(&[0.0, 0.78, -0.3, 40.0]),
            rotations_rad: draw.of(&[[0.0, 1.57], [-0.4, 2.2], [-100.0, 7.0]]),
            groups: groups
                .into_iter()
                .map(|g| AnchorGroup { classes: g.into_iter().map(|name| class(draw, name)).collect() })
                .collect(),
        })
    } else {
        let margin = draw.of(&[-0.2_f32, 0.0, 5.0]);
        HeadLayout::Centers(CenterHead {
            stride: stride as u32,
            velocity,
            center_min_m: [min[0] - margin * extent[0], min[1] - margin * extent[1], -3.0],
            center_max_m: [min[0] + extent[0] * (1.0 + margin), -min[1] + margin * extent[1], 1.0],
            tasks: groups.into_iter().map(|classes| CenterTask { classes }).collect(),
        })
    };
    let scopes = [NmsScope::PerClass, NmsScope::PerGroup, NmsScope::Agnostic];
    m.boxes.nms_scope = draw.of(if is_anchors { &scopes } else { &scopes[..2] });
    m.boxes.score_threshold = draw.of(&[0.001, 0.1, 0.3, 0.5, 0.9]);
    m.boxes.score_rule = draw.of(&[ScoreRule::AtLeast, ScoreRule::Above]);
    m.boxes.nms_iou = draw.of(&[0.0, 0.01, 0.2, 0.7, 1.0]);
    m.boxes.max_candidates = draw.of(&[1, 2, 31, 64, 65, 100, 500, 1000, 5000, 16_384]);
    m.boxes.max_boxes = (1 + draw.below(m.boxes.max_candidates as usize)) as u32;
    if draw.one_in(2) {
        m.boxes.max_boxes = m.boxes.max_candidates.min(83);
    }
    m
}

/// How scores are spread.
#[derive(Clone, Copy)]
enum Scores {
    Silent,
    Sparse,
    Dense,
    Tied,
    Equal,
    /// The least logit that passes, and its neighbours.
    Edge,
}

fn tensors(draw: &mut Draw, manifest: &Manifest) -> Vec<Vec<f32>> {
    let scores = draw.of(&[
        Scores::Silent,
        Scores::Sparse,
        Scores::Sparse,
        Scores::Dense,
        Scores::Dense,
        Scores::Tied,
        Scores::Equal,
        Scores::Edge,
    ]);
    let least =
        logit_threshold(manifest.boxes.score_threshold, manifest.boxes.score_rule == ScoreRule::Above);
    // Broken values at one place in so many; 0 for none.
    let broken = draw.of(&[0, 0, 0, 7, 100, 3000]);
    // Residuals of this reach; small ones pile boxes up.
    let reach = draw.of(&[0.0, 0.1, 1.0, 30.0]);
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38, 1e20, 1e-40, -0.0, 100.0, -120.0];
    let mut all = Vec::new();
    for spec in manifest.head.tensors(&manifest.grid) {
        let is_scores = spec.name.starts_with("cls") || spec.name.starts_with("hm");
        let mut values = Vec::with_capacity(spec.n_values());
        for _ in 0..spec.n_values() {
            let value = if is_scores {
                match scores {
                    Scores::Silent => -9.0,
                    Scores::Sparse => {
                        let most = if draw.one_in(40) { 4.0 } else { -7.5 };
                        draw.range(-9.0, most)
                    }
                    Scores::Dense => draw.range(-6.0, 6.0),
                    Scores::Tied => draw.of(&[-3.0, 0.0, -0.0, 0.25, 2.0, 30.0, -7.0]),
                    Scores::Equal => 0.25,
                    Scores::Edge => draw.of(&[least.next_down(), least, least.next_up()]),
                }
            } else {
                draw.range(-reach, reach)
            };
            values.push(if broken > 0 && draw.one_in(broken) { draw.of(&bad) } else { value });
        }
        all.push(values);
    }
    all
}
