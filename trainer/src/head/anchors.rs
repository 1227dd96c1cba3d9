//! Anchors: the anchor head's branches, targets and losses.

use super::layers::Init;
use super::losses::{LossParts, Places, focal, gather_places, smooth_l1};
use super::{Branch, HeadOutput};
use crate::config::LossConfig;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Int, Tensor, TensorData};
use pilotis_spec::codec::MAX_CODE;
use pilotis_spec::head::{AnchorHead, YawCode};

/// Classes begin as unlikely as they are: a probability of 0.01.
const PRIOR: f32 = 0.01;

/// Velocities weigh less than boxes: **Source** OpenPCDet's nuScenes configurations.
pub(crate) const VELOCITY_WEIGHT: f32 = 0.2;

pub(crate) fn branches(head: &AnchorHead, n_in: usize, init: &mut Init) -> Vec<Branch> {
    let mut branches = Vec::new();
    for group in &head.groups {
        let a = group.n_anchors();
        let prior = -((1.0 - PRIOR) / PRIOR).ln();
        let mut outputs = vec![(a * group.classes.len(), prior), (a * head.code_size(), 0.0)];
        if head.yaw_code == YawCode::DirectionBins {
            outputs.push((a * 2, 0.0));
        }
        for (n_out, bias) in outputs {
            branches.push(Branch { hidden: None, out: init.conv([n_in, n_out], 1, 1, Some(bias)) });
        }
    }
    branches
}

/// An anchor that some ground truth trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositiveAnchor {
    /// Its index in the group, in (row, column, anchor) order.
    pub anchor: u32,
    /// The ground truth in the anchor's code; what is not a number trains nothing.
    pub code: [f32; MAX_CODE],
    /// Direction bin of the ground truth, 0 or 1.
    pub direction: u32,
}

/// What one sample trains in one group of an anchor head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnchorLabels {
    /// Of every anchor in (row, column, anchor) order: 0 negative, -1 ignored, `k + 1` class `k`
    /// of the group.
    pub class: Vec<i32>,
    /// The anchors of a class, each once.
    pub positives: Vec<PositiveAnchor>,
}

/// What a batch trains in an anchor head, on a device.
#[derive(Clone, Debug)]
pub struct AnchorTargets {
    groups: Vec<GroupTargets>,
    /// `[B, 1, 1, 1]`: one over the positives of the sample (at least one) and the batch size.
    share: Tensor<4>,
    yaw_code: YawCode,
}

#[derive(Clone, Debug)]
struct GroupTargets {
    /// `[B, A, 1, H, W]`.
    class: Tensor<5, Int>,
    n_classes: usize,
    positives: Option<PositiveTargets>,
}

/// The positives of a batch in one group.
#[derive(Clone, Debug)]
struct PositiveTargets {
    boxes: Places,
    directions: Places,
    /// `[Q, code]`.
    code: Tensor<2>,
    /// `[Q, code]`: the sample's share times the weight of the number.
    code_weight: Tensor<2>,
    /// `[Q, 1]`: 1 for bin 1, -1 for bin 0.
    direction: Tensor<2>,
    /// `[Q, 1]`: the sample's share.
    weight: Tensor<2>,
}

impl AnchorTargets {
    /// Targets of `samples[sample][group]` for maps of `[H, W]`.
    ///
    /// Classes and boxes are averaged as OpenPCDet does: each sample's sum over all groups is
    /// divided by its number of positives, at least one, and samples are averaged.
    pub fn new(
        samples: &[Vec<AnchorLabels>],
        head: &AnchorHead,
        [h, w]: [usize; 2],
        device: &Device,
    ) -> Self {
        let share: Vec<f32> = samples
            .iter()
            .map(|groups| {
                let n: usize = groups.iter().map(|g| g.positives.len()).sum();
                1.0 / (n.max(1) * samples.len()) as f32
            })
            .collect();
        let groups = head.groups.iter().enumerate().map(|(g, group)| {
            let a = group.n_anchors();
            let labels: Vec<&AnchorLabels> = samples.iter().map(|groups| &groups[g]).collect();
            // From (row, column, anchor) to (anchor, row, column), as the tensors stand.
            let mut class: Vec<i32> = Vec::with_capacity(samples.len() * a * h * w);
            for labels in &labels {
                debug_assert_eq!(labels.class.len(), a * h * w, "labels of another map");
                for anchor in 0..a {
                    class.extend(labels.class.iter().skip(anchor).step_by(a));
                }
            }
            let shape = [samples.len(), a, 1, h, w];
            GroupTargets {
                class: Tensor::from_data(TensorData::new(class, shape), device),
                n_classes: group.classes.len(),
                positives: PositiveTargets::new(&labels, &share, head, a, h * w, device),
            }
        });
        let groups = groups.collect();
        let shape = [share.len(), 1, 1, 1];
        let share = Tensor::from_data(TensorData::new(share, shape), device);
        Self { groups, share, yaw_code: head.yaw_code }
    }

    /// The losses of a head's raw tensors.
    ///
    /// **Source**: OpenPCDet `AnchorHeadTemplate.get_loss`.
    pub fn losses(&self, output: &HeadOutput, config: &LossConfig) -> LossParts {
        let zero = || Tensor::<1>::zeros([1], &self.share.device());
        let (mut class, mut boxes, mut direction) = (zero(), zero(), zero());
        let has_direction = self.yaw_code == YawCode::DirectionBins;
        let tensors = output.chunks(if has_direction { 3 } else { 2 });
        for (group, tensors) in self.groups.iter().zip(tensors) {
            class = class + group.class_loss(tensors[0].clone(), &self.share, config);
            let Some(positives) = &group.positives else { continue };
            boxes = boxes + positives.box_loss(tensors[1].clone(), self.yaw_code, config);
            if has_direction {
                direction = direction + positives.direction_loss(tensors[2].clone());
            }
        }
        LossParts::new(class, boxes, direction, config)
    }
}

impl GroupTargets {
    fn class_loss(&self, logits: Tensor<4>, share: &Tensor<4>, config: &LossConfig) -> Tensor<1> {
        let [b, a, _, h, w] = self.class.dims();
        let n = self.n_classes;
        let device = logits.device();
        let shape = [b, a * n, h, w];
        let counts = self.class.clone().greater_equal_elem(0).float().expand([b, a, n, h, w]).reshape(shape);
        let own = Tensor::<1, Int>::arange(1..n as i64 + 1, &device).reshape([1, 1, n, 1, 1]);
        let is_own = self.class.clone().expand([b, a, n, h, w]).equal(own.expand([b, a, n, h, w]));
        let is_own = is_own.float().reshape(shape);
        let alpha = config.focal_alpha;
        let weight = (is_own.clone() * (2.0 * alpha - 1.0) + (1.0 - alpha)) * counts * share.clone();
        focal(logits, is_own * 2.0 - 1.0, weight, config.focal_gamma)
    }
}

impl PositiveTargets {
    /// `None` where the batch has no positives.
    fn new(
        labels: &[&AnchorLabels],
        share: &[f32],
        head: &AnchorHead,
        n_anchors: usize,
        n_cells: usize,
        device: &Device,
    ) -> Option<Self> {
        let k = head.code_size();
        let (mut box_places, mut direction_places) = (Vec::new(), Vec::new());
        let (mut code, mut code_weight, mut direction, mut weight) = (vec![], vec![], vec![], vec![]);
        for (sample, labels) in labels.iter().enumerate() {
            for p in &labels.positives {
                let (cell, anchor) = (p.anchor as usize / n_anchors, p.anchor as usize % n_anchors);
                box_places.push((sample, anchor * k, cell));
                direction_places.push((sample, anchor * 2, cell));
                for (i, value) in p.code[..k].iter().enumerate() {
                    let is_velocity = head.velocity && i + 2 >= k;
                    let number = if is_velocity { VELOCITY_WEIGHT } else { 1.0 };
                    code.push(if value.is_finite() { *value } else { 0.0 });
                    code_weight.push(if value.is_finite() { number * share[sample] } else { 0.0 });
                }
                direction.push(if p.direction == 1 { 1.0_f32 } else { -1.0 });
                weight.push(share[sample]);
            }
        }
        let n = weight.len();
        if n == 0 {
            return None;
        }
        let tensor = |values: Vec<f32>, width: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [n, width]), device)
        };
        Some(Self {
            boxes: Places::new(&box_places, k, n_anchors * k, n_cells, device),
            directions: Places::new(&direction_places, 2, n_anchors * 2, n_cells, device),
            code: tensor(code, k),
            code_weight: tensor(code_weight, k),
            direction: tensor(direction, 1),
            weight: tensor(weight, 1),
        })
    }

    fn box_loss(&self, boxes: Tensor<4>, yaw_code: YawCode, config: &LossConfig) -> Tensor<1> {
        let difference = gather_places(boxes, &self.boxes) - self.code.clone();
        let difference = match yaw_code {
            YawCode::SinCos => difference,
            YawCode::DirectionBins => {
                // sin(a) cos(b) - cos(a) sin(b): half a turn is the direction's to tell.
                let k = difference.dims()[1];
                let mut parts =
                    vec![difference.clone().narrow(1, 0, 6), difference.clone().narrow(1, 6, 1).sin()];
                if k > 7 {
                    parts.push(difference.narrow(1, 7, k - 7));
                }
                Tensor::cat(parts, 1)
            }
        };
        (smooth_l1(difference, config.smooth_l1_beta) * self.code_weight.clone()).sum()
    }

    fn direction_loss(&self, logits: Tensor<4>) -> Tensor<1> {
        let bins = gather_places(logits, &self.directions);
        // The cross-entropy of two classes is the logistic loss of their difference.
        let towards = (bins.clone().narrow(1, 1, 1) - bins.narrow(1, 0, 1)) * self.direction.clone();
        (log_sigmoid(towards) * self.weight.clone()).sum().neg()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::approx_constant, reason = "the published models write 0.78539")]

    use super::*;
    use crate::head::layers::values;
    use crate::head::losses::tests::{assert_close, gradients};
    use pilotis_spec::head::{AnchorClass, AnchorGroup};

    const MAP: [usize; 2] = [2, 3];

    fn head(yaw_code: YawCode, velocity: bool) -> AnchorHead {
        let class = |name: &str| AnchorClass { name: name.into(), size_m: [4.0, 2.0, 1.5], bottom_m: -1.0 };
        AnchorHead {
            stride: 2,
            yaw_code,
            velocity,
            direction_offset_rad: 0.78539,
            rotations_rad: [0.0, 1.57],
            groups: vec![
                AnchorGroup { classes: vec![class("a"), class("b")] },
                AnchorGroup { classes: vec![class("c")] },
            ],
        }
    }

    /// Two samples; three positives in the first (two in group 0), none in the second.
    fn labels(yaw: f32, direction: u32) -> Vec<Vec<AnchorLabels>> {
        let empty = |a: usize| AnchorLabels { class: vec![0; 6 * a], positives: vec![] };
        let mut first = vec![empty(4), empty(2)];
        let mut positive = |group: usize, anchor: usize, class: i32| {
            first[group].class[anchor] = class;
            let mut code = [0.0; MAX_CODE];
            for (k, v) in code.iter_mut().enumerate() {
                *v = 0.1 * k as f32 - 0.2 + 0.01 * anchor as f32;
            }
            code[6] = yaw;
            first[group].positives.push(PositiveAnchor { anchor: anchor as u32, code, direction });
        };
        positive(0, 7, 1);
        positive(0, 22, 2);
        positive(1, 5, 1);
        first[0].class[8] = -1;
        vec![first, vec![empty(4), empty(2)]]
    }

    fn numbers(n: usize, seed: f32) -> Vec<f32> {
        (0..n).map(|i| ((i as f32 + seed) * 1.3).sin()).collect()
    }

    fn map(v: &[f32], device: &Device) -> Tensor<4> {
        let [h, w] = MAP;
        Tensor::from_data(TensorData::new(v.to_vec(), [2, v.len() / (2 * h * w), h, w]), device)
    }

    fn output(head: &AnchorHead, device: &Device) -> (HeadOutput, Vec<Vec<f32>>) {
        let mut raw = Vec::new();
        for group in &head.groups {
            let a = group.n_anchors();
            raw.push(numbers(12 * a * group.classes.len(), 0.0));
            raw.push(numbers(12 * a * head.code_size(), 50.0));
            if head.yaw_code == YawCode::DirectionBins {
                raw.push(numbers(12 * a * 2, 90.0));
            }
        }
        (raw.iter().map(|v| map(v, device)).collect(), raw)
    }

    /// The losses by loops over samples, groups and anchors.
    fn by_loops(head: &AnchorHead, labels: &[Vec<AnchorLabels>], raw: &[Vec<f32>]) -> [f64; 3] {
        let n_tensors = raw.len() / head.groups.len();
        let mut sums = [0.0_f64; 3];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (b, groups) in labels.iter().enumerate() {
            let n: usize = groups.iter().map(|g| g.positives.len()).sum();
            let share = 1.0 / (n.max(1) as f64 * labels.len() as f64);
            for (g, label) in groups.iter().enumerate() {
                let (a, n_classes) = (head.groups[g].n_anchors(), head.groups[g].classes.len());
                let tensors = &raw[g * n_tensors..];
                let at = |t: usize, width: usize, anchor: usize, k: usize| {
                    let (cell, anchor) = (anchor / a, anchor % a);
                    f64::from(tensors[t][(b * a * width + anchor * width + k) * 6 + cell])
                };
                for (i, class) in label.class.iter().enumerate() {
                    for c in 0..n_classes {
                        let p = sigmoid(at(0, n_classes, i, c));
                        sums[0] += share
                            * match *class {
                                -1 => 0.0,
                                k if k == c as i32 + 1 => -0.25 * (1.0 - p).powi(2) * p.ln(),
                                _ => -0.75 * p.powi(2) * (1.0 - p).ln(),
                            };
                    }
                }
                for p in &label.positives {
                    let k = head.code_size();
                    for i in 0..k {
                        let (a, b) = (at(1, k, p.anchor as usize, i), f64::from(p.code[i]));
                        let is_sine = i == 6 && head.yaw_code == YawCode::DirectionBins;
                        let d = if is_sine { a.sin() * b.cos() - a.cos() * b.sin() } else { a - b }.abs();
                        let weight = if head.velocity && i + 2 >= k { 0.2 } else { 1.0 };
                        let beta = 1.0 / 9.0;
                        sums[1] +=
                            share * weight * if d < beta { 0.5 * d * d / beta } else { d - 0.5 * beta };
                    }
                    if head.yaw_code == YawCode::DirectionBins {
                        let l = [0, 1].map(|k| at(2, 2, p.anchor as usize, k));
                        let sum = l[0].exp() + l[1].exp();
                        sums[2] -= share * (l[p.direction as usize].exp() / sum).ln();
                    }
                }
            }
        }
        sums
    }

    #[test]
    fn losses_equal_the_loops() {
        let device = Device::flex();
        let config = LossConfig::default();
        for (yaw_code, velocity) in
            [(YawCode::DirectionBins, false), (YawCode::SinCos, true), (YawCode::DirectionBins, true)]
        {
            let head = head(yaw_code, velocity);
            let labels = labels(0.4, 1);
            let (output, raw) = output(&head, &device);
            let got = AnchorTargets::new(&labels, &head, MAP, &device).losses(&output, &config);
            let expected = by_loops(&head, &labels, &raw);
            let parts = [&got.class, &got.boxes, &got.direction].map(|t| values(t.clone())[0]);
            assert_close(&parts, &expected.map(|v| v as f32), 1e-4);
            assert!(parts[0] > 0.5 && parts[1] > 0.5, "{parts:?}");
            let total = parts[0] + 2.0 * parts[1] + 0.2 * parts[2];
            assert_close(&values(got.total), &[total], 1e-4);
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        let device = Device::flex().autodiff();
        let config = LossConfig::default();
        let head = head(YawCode::DirectionBins, false);
        let labels = labels(0.4, 0);
        let (output, raw) = output(&head, &device);
        let targets = AnchorTargets::new(&labels, &head, MAP, &device);
        for tensor in 0..3 {
            let shape = output[tensor].dims();
            let (numeric, analytic) = gradients(&raw[tensor], shape, 1e-2, |x| {
                let mut output = output.clone();
                output[tensor] = x;
                targets.losses(&output, &config).total
            });
            // f32 losses near 10, over a step of 0.02.
            assert_close(&numeric, &analytic, 4e-3);
            assert!(analytic.iter().any(|g| g.abs() > 0.002), "tensor {tensor} has no gradient");
        }
    }

    #[test]
    fn half_a_turn_is_the_directions_to_tell() {
        let device = Device::flex();
        let config = LossConfig::default();
        let head = head(YawCode::DirectionBins, false);
        let (output, _) = output(&head, &device);
        let at = |yaw: f32| {
            let parts = AnchorTargets::new(&labels(yaw, 0), &head, MAP, &device).losses(&output, &config);
            values(parts.boxes)[0]
        };
        assert!((at(0.3) - at(0.3 + std::f32::consts::PI)).abs() < 1e-5);
        assert!([0.8, 1.3, 1.8].iter().any(|yaw| (at(0.3) - at(*yaw)).abs() > 1e-2));
    }

    #[test]
    fn no_positives_are_no_box_loss_and_unknown_velocities_train_nothing() {
        let device = Device::flex();
        let config = LossConfig::default();
        let head = head(YawCode::SinCos, true);
        let (output, _) = output(&head, &device);
        let mut labels = labels(0.4, 0);
        for group in &mut labels[0] {
            group.positives.iter_mut().for_each(|p| p.code[8..10].fill(f32::NAN));
        }
        let parts = AnchorTargets::new(&labels, &head, MAP, &device).losses(&output, &config);
        assert!(values(parts.total)[0].is_finite() && values(parts.boxes)[0] > 0.0);
        let none = vec![labels[1].clone()];
        let one = output.iter().map(|t| t.clone().narrow(0, 0, 1)).collect();
        let parts = AnchorTargets::new(&none, &head, MAP, &device).losses(&one, &config);
        assert_eq!(values(parts.boxes), vec![0.0]);
        assert!(values(parts.class)[0] > 0.0);
    }
}
