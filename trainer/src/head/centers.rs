//! Centres: the centre head's branches, targets and losses.

use super::anchors::VELOCITY_WEIGHT;
use super::layers::{ConvNorm, Init};
use super::losses::{LossParts, Places, focal, gather_places};
use super::{Branch, HeadOutput};
use crate::config::{BackboneConfig, LossConfig};
use burn::tensor::{Device, Tensor, TensorData};
use pilotis_spec::codec::CenterCode;
use pilotis_spec::head::CenterHead;

/// BatchNorm of the head, **Source**: OpenPCDet `CenterHead`, PyTorch's defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Bias of the heat map: a probability of 0.1. **Source**: CenterNet.
const HEATMAP_BIAS: f32 = -2.19;

/// Channels of the tensors after the heat map.
const CENTER: usize = 2;
const CENTER_Z: usize = 1;
const DIM: usize = 3;
const ROT: usize = 2;
const VEL: usize = 2;

fn code_widths(head: &CenterHead) -> Vec<usize> {
    let mut widths = vec![CENTER, CENTER_Z, DIM, ROT];
    if head.velocity {
        widths.push(VEL);
    }
    widths
}

pub(crate) fn branches(
    head: &CenterHead,
    n_in: usize,
    backbone: &BackboneConfig,
    init: &mut Init,
) -> (ConvNorm, Vec<Branch>) {
    let n_shared = backbone.shared_channels;
    let shared = ConvNorm::init([n_in, n_shared], 1, EPSILON, MOMENTUM, init);
    let mut branches = Vec::new();
    for task in &head.tasks {
        let mut outputs = vec![(task.classes.len(), HEATMAP_BIAS)];
        outputs.extend(code_widths(head).into_iter().map(|n| (n, 0.0)));
        for (n_out, bias) in outputs {
            let hidden =
                backbone.hidden_branches.then(|| ConvNorm::init([n_shared; 2], 1, EPSILON, MOMENTUM, init));
            let out = init.conv([n_shared, n_out], 3, 1, Some(bias));
            branches.push(Branch { hidden, out });
        }
    }
    (shared, branches)
}

/// A box that a cell of the map is trained towards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CenterObject {
    /// Class index within the task.
    pub class_idx: usize,
    /// `[row, column]` of its cell.
    pub cell: [usize; 2],
    /// What the cell should say; what is not a number trains nothing.
    pub code: CenterCode,
}

/// What one sample trains in one task of a centre head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CenterLabels {
    /// `[classes of the task, H, W]`, 1 at centres.
    pub heatmap: Vec<f32>,
    /// Boxes; a second one in the same cell trains nothing.
    pub objects: Vec<CenterObject>,
}

/// What a batch trains in a centre head, on a device.
#[derive(Clone, Debug)]
pub struct CenterTargets {
    tasks: Vec<TaskTargets>,
    n_tensors: usize,
}

#[derive(Clone, Debug)]
struct TaskTargets {
    /// `[B, n, H, W]`: 1 at centres, -1 elsewhere.
    sign: Tensor<4>,
    /// `[B, n, H, W]`: weight over the number of centres.
    weight: Tensor<4>,
    /// One entry per code tensor: places, targets and weights `[Q, k]`.
    codes: Vec<(Places, Tensor<2>, Tensor<2>)>,
}

impl CenterTargets {
    /// Targets of `samples[sample][task]` for maps of `[H, W]`.
    ///
    /// Each task's losses are divided by its number of centres in the batch, at least one. `class_weights[task][class]`
    /// is how much a class counts in them.
    pub fn new(
        samples: &[Vec<CenterLabels>],
        head: &CenterHead,
        class_weights: &[Vec<f32>],
        [h, w]: [usize; 2],
        device: &Device,
    ) -> Self {
        let widths = code_widths(head);
        let tasks = class_weights.iter().take(head.tasks.len()).enumerate().map(|(t, class_weights)| {
            let labels: Vec<&CenterLabels> = samples.iter().map(|tasks| &tasks[t]).collect();
            TaskTargets::new(&labels, class_weights, &widths, [h, w], device)
        });
        Self { tasks: tasks.collect(), n_tensors: widths.len() + 1 }
    }

    /// The losses of a head's raw tensors.
    ///
    /// **Source**: OpenPCDet `FocalLossCenterNet` and `RegLossCenterNet`.
    pub fn losses(&self, output: &HeadOutput, config: &LossConfig) -> LossParts {
        let device = output.first().map(Tensor::device).unwrap_or_else(Device::flex);
        let zero = || Tensor::<1>::zeros([1], &device);
        let (mut class, mut boxes) = (zero(), zero());
        for (task, tensors) in self.tasks.iter().zip(output.chunks(self.n_tensors)) {
            class = class + focal(tensors[0].clone(), task.sign.clone(), task.weight.clone(), 2.0);
            for ((places, code, weight), tensor) in task.codes.iter().zip(&tensors[1..]) {
                if places.n > 0 {
                    let difference = gather_places(tensor.clone(), places) - code.clone();
                    boxes = boxes + (difference.abs() * weight.clone()).sum();
                }
            }
        }
        LossParts::new(class, boxes, zero(), config)
    }
}

impl TaskTargets {
    fn new(
        labels: &[&CenterLabels],
        class_weights: &[f32],
        widths: &[usize],
        [h, w]: [usize; 2],
        device: &Device,
    ) -> Self {
        let n_classes = class_weights.len();
        let heat: Vec<f32> = labels.iter().flat_map(|l| l.heatmap.iter().copied()).collect();
        debug_assert_eq!(heat.len(), labels.len() * n_classes * h * w, "heat maps of another shape");
        let is_center = |v: f32| v >= 1.0;
        let n_centers = heat.iter().filter(|v| is_center(**v)).count().max(1) as f32;
        let sign: Vec<f32> = heat.iter().map(|v| if is_center(*v) { 1.0 } else { -1.0 }).collect();
        let class_of = |place: usize| class_weights[place / (h * w) % n_classes];
        let weight: Vec<f32> = heat
            .iter()
            .enumerate()
            .map(|(place, v)| {
                let weight = if is_center(*v) { 1.0 } else { (1.0 - v).powi(4) };
                class_of(place) * weight / n_centers
            })
            .collect();

        let mut places = Vec::new();
        let mut rows: Vec<[f32; 10]> = Vec::new();
        let mut counts: Vec<f32> = Vec::new();
        for (sample, labels) in labels.iter().enumerate() {
            for object in &labels.objects {
                let place = (sample, 0, object.cell[0] * w + object.cell[1]);
                if places.contains(&place) {
                    continue;
                }
                places.push(place);
                counts.push(class_weights.get(object.class_idx).copied().unwrap_or(1.0));
                let c = &object.code;
                let ([x, y], [l, wide, tall]) = (c.offset, c.log_size);
                rows.push([x, y, c.z, l, wide, tall, c.rot[0], c.rot[1], c.velocity[0], c.velocity[1]]);
            }
        }
        let n = places.len();
        let share = 1.0 / n.max(1) as f32;
        let mut first = 0;
        let codes = widths.iter().map(|width| {
            let from = first;
            let numbers = rows.iter().flat_map(move |row| &row[from..from + width]);
            let number = if first == 8 { VELOCITY_WEIGHT } else { 1.0 };
            first += width;
            let code: Vec<f32> = numbers.clone().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
            let weight: Vec<f32> = numbers
                .enumerate()
                .map(|(k, v)| if v.is_finite() { number * share * counts[k / width] } else { 0.0 })
                .collect();
            let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [n, *width]), device);
            (Places::new(&places, *width, *width, h * w, device), tensor(code), tensor(weight))
        });
        let codes = codes.collect();
        let map = |values: Vec<f32>| {
            Tensor::from_data(TensorData::new(values, [labels.len(), n_classes, h, w]), device)
        };
        Self { sign: map(sign), weight: map(weight), codes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::layers::values;
    use crate::head::losses::tests::{assert_close, gradients};
    use pilotis_spec::head::CenterTask;

    #[test]
    fn losses_equal_the_loops_and_gradients_finite_differences() {
        let device = Device::flex().autodiff();
        let (h, w) = (3, 4);
        let head = CenterHead {
            stride: 4,
            velocity: true,
            center_min_m: [-1.0; 3],
            center_max_m: [1.0; 3],
            tasks: vec![CenterTask { classes: vec!["a".into(), "b".into()] }],
        };
        let mut heat = vec![0.0; 2 * h * w];
        (heat[5], heat[4], heat[12 + 7], heat[12 + 6]) = (1.0, 0.6, 1.0, 0.3);
        let object = |cell, z, class_idx| CenterObject {
            class_idx,
            cell,
            code: CenterCode {
                offset: [0.2, 0.7],
                z,
                log_size: [1.4, 0.5, 0.4],
                rot: [0.6, 0.8],
                velocity: [2.0, -1.0],
            },
        };
        // The last one shares a cell with the first.
        let objects = vec![object([1, 1], -0.5, 0), object([1, 3], 0.3, 1), object([1, 1], 9.0, 0)];
        let labels = vec![vec![CenterLabels { heatmap: heat.clone(), objects: objects.clone() }]];
        let widths = [2, 2, 1, 3, 2, 2];
        let raw: Vec<Vec<f32>> =
            widths.iter().map(|k| (0..k * h * w).map(|i| (i as f32 * 0.9).sin()).collect()).collect();
        let output: HeadOutput = raw
            .iter()
            .zip(widths)
            .map(|(v, k)| Tensor::from_data(TensorData::new(v.clone(), [1, k, h, w]), &device))
            .collect();
        let config = LossConfig { box_weight: 0.25, ..LossConfig::default() };
        let targets = CenterTargets::new(&labels, &head, &[vec![1.0, 3.0]], [h, w], &device);
        let parts = targets.losses(&output, &config);

        let mut class = 0.0;
        for (place, (x, heat)) in raw[0].iter().zip(&heat).enumerate() {
            let p = 1.0 / (1.0 + (-x).exp());
            let counts = if place < h * w { 1.0 } else { 3.0 };
            class -= counts
                * if *heat >= 1.0 {
                    (1.0 - p).powi(2) * p.ln()
                } else {
                    (1.0 - heat).powi(4) * p.powi(2) * (1.0 - p).ln()
                };
        }
        let mut boxes = 0.0;
        for o in &objects[..2] {
            let cell = o.cell[0] * w + o.cell[1];
            let (c, s) = (&o.code, o.code.log_size);
            let code =
                [vec![], c.offset.to_vec(), vec![c.z], s.to_vec(), c.rot.to_vec(), c.velocity.to_vec()];
            for t in 1..6 {
                for (k, v) in code[t].iter().enumerate() {
                    let counts = if o.class_idx == 0 { 1.0 } else { 3.0 };
                    boxes +=
                        counts * (raw[t][k * h * w + cell] - v).abs() * if t == 5 { 0.2 } else { 1.0 } / 2.0;
                }
            }
        }
        assert_close(&values(parts.class), &[class / 2.0], 1e-4);
        assert_close(&values(parts.boxes), &[boxes], 1e-4);
        assert_close(&values(parts.total), &[class / 2.0 + 0.25 * boxes], 1e-4);
        for tensor in 0..6 {
            let (numeric, analytic) = gradients(&raw[tensor], output[tensor].dims(), 1e-2, |x| {
                let mut output = output.clone();
                output[tensor] = x;
                targets.losses(&output, &config).total
            });
            assert_close(&numeric, &analytic, 2e-3);
        }
    }
}
