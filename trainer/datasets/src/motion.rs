//! Samples in other axes, another origin and another scale than those they were recorded in.

use crate::{Dataset, Sample};
use pilotis_spec::Box3d;
use pilotis_spec::codec::normalize_yaw;
use std::sync::Arc;

/// What brings samples to the axes, the origin and the scale that a model has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// Counter-clockwise about z, first.
    pub turn_rad: f32,
    /// Up, then.
    pub raise_m: f32,
    /// Of intensities.
    pub intensity_factor: f32,
}

impl Default for Motion {
    /// None.
    fn default() -> Self {
        Self { turn_rad: 0.0, raise_m: 0.0, intensity_factor: 1.0 }
    }
}

impl Motion {
    /// Moves points, boxes and velocities; numbers of points in boxes stay.
    pub fn apply(&self, sample: &mut Sample) {
        let (sin, cos) = (libm::sinf(self.turn_rad), libm::cosf(self.turn_rad));
        let turn = |[x, y]: [f32; 2]| [x * cos - y * sin, x * sin + y * cos];
        for point in &mut sample.points {
            [point.x, point.y] = turn([point.x, point.y]);
            point.z += self.raise_m;
            point.intensity *= self.intensity_factor;
        }
        for object in &mut sample.objects {
            let [x, y, z] = object.bbox.center;
            let [x, y] = turn([x, y]);
            object.bbox.center = [x, y, z + self.raise_m];
            object.bbox.yaw = normalize_yaw(object.bbox.yaw + self.turn_rad);
            object.velocity = turn(object.velocity);
        }
    }

    /// A box as it was before it was moved.
    pub fn undo(&self, bbox: &Box3d) -> Box3d {
        let [x, y, z] = bbox.center;
        let (sin, cos) = (libm::sinf(-self.turn_rad), libm::cosf(-self.turn_rad));
        Box3d {
            center: [x * cos - y * sin, x * sin + y * cos, z - self.raise_m],
            size: bbox.size,
            yaw: normalize_yaw(bbox.yaw - self.turn_rad),
        }
    }
}

/// A dataset whose samples are moved as they are read.
#[derive(Debug)]
pub struct Moved<D> {
    /// As they were recorded.
    pub dataset: Arc<D>,
    /// What is done to each.
    pub motion: Motion,
}

impl<D: Dataset> Dataset for Moved<D> {
    fn n_samples(&self) -> usize {
        self.dataset.n_samples()
    }

    fn name(&self, idx: usize) -> &str {
        self.dataset.name(idx)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        let mut sample = self.dataset.load(idx)?;
        self.motion.apply(&mut sample);
        Ok(sample)
    }

    fn drive(&self, idx: usize) -> Option<String> {
        self.dataset.drive(idx)
    }
}
