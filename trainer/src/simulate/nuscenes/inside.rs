//! Which points lie inside an annotated box: the official devkit's test, in its frame and with its arithmetic.

use crate::simulate::drive::{ActorState, Pose3};
use crate::simulate::things::Thing;
use glam::{DQuat, DVec3};

/// A box as the tables have it: global frame, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredBox {
    /// Geometric centre.
    pub(super) translation: [f64; 3],
    /// Width, length, height.
    pub(super) size: [f64; 3],
    /// Quaternion w, x, y, z.
    pub(super) rotation: [f64; 4],
}

/// A box of the sensor frame, as one of its corners and the three edges that leave it.
#[derive(Clone, Copy, Debug)]
struct Corner {
    corner: DVec3,
    edges: [DVec3; 3],
}

impl StoredBox {
    /// The box of a thing.
    pub(super) fn of(thing: &Thing, state: &ActorState) -> Self {
        let [length, width, height] = thing.size_lwh.to_array().map(f64::from);
        let half_yaw = state.yaw * 0.5;
        Self {
            translation: state.center.to_array(),
            size: [width, length, height],
            rotation: [libm::cos(half_yaw), 0.0, 0.0, libm::sin(half_yaw)],
        }
    }

    /// How many of the stored points (x, y, z first, sensor frame) are inside.
    ///
    /// **Units and frame**: `ego` is the car in the global frame, `mounting` the sensor in the car's.
    pub(super) fn count(&self, points: &[[f32; 5]], ego: &Pose3, mounting: &Pose3) -> u64 {
        let corner = self.to_sensor(ego, mounting);
        let inside =
            |[x, y, z, ..]: &&[f32; 5]| corner.encloses(DVec3::new((*x).into(), (*y).into(), (*z).into()));
        points.iter().filter(inside).count() as u64
    }

    fn to_sensor(self, ego: &Pose3, mounting: &Pose3) -> Corner {
        let [w, x, y, z] = self.rotation;
        let mut center = DVec3::from_array(self.translation);
        let mut turn = DQuat::from_xyzw(x, y, z, w).normalize();
        for frame in [ego, mounting] {
            let back = frame.rotation.normalize().inverse();
            center = back * (center - frame.translation);
            turn = back * turn;
        }
        let [width, length, height] = self.size;
        let corner = center + turn * (DVec3::new(length, width, height) * 0.5);
        let edges = [DVec3::X * -length, DVec3::Y * -width, DVec3::Z * -height].map(|edge| turn * edge);
        Corner { corner, edges }
    }
}

impl Corner {
    /// True where a point is inside, faces included.
    fn encloses(&self, point: DVec3) -> bool {
        let from_corner = point - self.corner;
        self.edges.iter().all(|edge| {
            let along = edge.dot(from_corner);
            0.0 <= along && along <= edge.dot(*edge)
        })
    }
}
