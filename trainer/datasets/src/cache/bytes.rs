//! A sample as bytes, little-endian, and back.

use crate::{GroundTruth, Sample};
use pilotis_spec::{Box3d, Point};

/// Bytes of a point: x, y, z, intensity, time lag.
const POINT_BYTES: usize = 20;
/// Bytes of an object besides its class: box, velocity, points, occlusion, whether it is difficult.
const OBJECT_BYTES: usize = 9 * 4 + 4 + 2;

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Appends a sample without its name.
pub(super) fn put_sample(bytes: &mut Vec<u8>, sample: &Sample) {
    bytes.extend((sample.points.len() as u32).to_le_bytes());
    bytes.extend((sample.objects.len() as u32).to_le_bytes());
    for point in &sample.points {
        for value in [point.x, point.y, point.z, point.intensity, point.time_lag] {
            bytes.extend(value.to_le_bytes());
        }
    }
    for object in &sample.objects {
        let Box3d { center, size, yaw } = object.bbox;
        for value in center.into_iter().chain(size).chain([yaw]).chain(object.velocity) {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(object.n_points.to_le_bytes());
        bytes.extend([object.occlusion, u8::from(object.difficult)]);
        put_text(bytes, &object.class_name);
    }
}

/// What is left of some bytes. Counts in them are believed only as far as there are bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn value(&mut self) -> Option<f32> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let n = self.number()? as usize;
        String::from_utf8(self.take(n)?.to_vec()).ok()
    }

    /// A count of things of at least so many bytes each.
    pub(super) fn count(&mut self, min_bytes: usize) -> Option<usize> {
        let n = self.number()? as usize;
        (n.checked_mul(min_bytes)? <= self.0.len()).then_some(n)
    }

    /// A sample; `None` where the bytes are none, or more than one.
    pub(super) fn sample(mut self, name: String) -> Option<Sample> {
        let n_points = self.count(POINT_BYTES)?;
        let n_objects = self.count(OBJECT_BYTES)?;
        let mut sample = Sample { name, points: Vec::with_capacity(n_points), objects: Vec::new() };
        for _ in 0..n_points {
            let [x, y, z, intensity, time_lag] =
                [self.value()?, self.value()?, self.value()?, self.value()?, self.value()?];
            sample.points.push(Point { x, y, z, intensity, time_lag });
        }
        for _ in 0..n_objects {
            let mut v = [0.0; 9];
            for value in &mut v {
                *value = self.value()?;
            }
            let n_points = self.number()?;
            let [occlusion, difficult] = self.array()?;
            let class_name = self.text()?;
            sample.objects.push(GroundTruth {
                class_name,
                bbox: Box3d { center: [v[0], v[1], v[2]], size: [v[3], v[4], v[5]], yaw: v[6] },
                velocity: [v[7], v[8]],
                n_points,
                occlusion,
                difficult: difficult != 0,
            });
        }
        self.0.is_empty().then_some(sample)
    }
}
