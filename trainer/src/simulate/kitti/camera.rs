//! The camera beside the scanner: which points and boxes it sees, in KITTI's frames.

use glam::{Mat3, Vec2, Vec3};

/// Width and height of the image, pixels.
pub(super) const IMAGE_SIZE: [f32; 2] = [1242.0, 375.0];

const FOCAL_PX: f32 = 721.5;
const CENTER_PX: [f32; 2] = [614.0, 176.0];
/// Camera 2 sits this far along x from the rectified frame's origin, metres.
const CAMERA_2_X_M: f32 = -0.06;
const NEAR_M: f32 = 0.3;

/// Calibration of the simulated car: one for all frames.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    rectify: Mat3,
    rotation: Mat3,
    translation: Vec3,
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new()
    }
}

/// A small rotation, from its angles about x, y and z, radians.
fn small_rotation(angles: Vec3) -> Mat3 {
    let (sx, cx) = (libm::sinf(angles.x), libm::cosf(angles.x));
    let (sy, cy) = (libm::sinf(angles.y), libm::cosf(angles.y));
    let (sz, cz) = (libm::sinf(angles.z), libm::cosf(angles.z));
    let about_x = Mat3::from_cols(Vec3::X, Vec3::new(0.0, cx, sx), Vec3::new(0.0, -sx, cx));
    let about_y = Mat3::from_cols(Vec3::new(cy, 0.0, -sy), Vec3::Y, Vec3::new(sy, 0.0, cy));
    let about_z = Mat3::from_cols(Vec3::new(cz, sz, 0.0), Vec3::new(-sz, cz, 0.0), Vec3::Z);
    about_z * about_y * about_x
}

impl Calibration {
    /// The simulated car's calibration.
    pub(super) fn new() -> Self {
        // Camera axes (right, down, ahead) from sensor axes (ahead, left, up).
        let axes = Mat3::from_cols(Vec3::Z, Vec3::NEG_X, Vec3::NEG_Y);
        Self {
            rectify: small_rotation(Vec3::new(0.003, -0.006, 0.008)),
            rotation: small_rotation(Vec3::new(0.012, 0.004, -0.006)) * axes,
            translation: Vec3::new(-0.005, -0.08, -0.29),
        }
    }

    /// A point of the sensor frame in the rectified camera frame (x right, y down, z ahead), metres.
    pub(super) fn lidar_to_camera(&self, p: Vec3) -> Vec3 {
        self.rectify * (self.rotation * p + self.translation)
    }

    /// The pixel a camera-frame point falls on in camera 2's image; `None` behind the camera.
    pub(super) fn project(&self, p: Vec3) -> Option<Vec2> {
        let x = p.x - CAMERA_2_X_M;
        (p.z > NEAR_M * 0.99)
            .then(|| Vec2::new(FOCAL_PX * x / p.z + CENTER_PX[0], FOCAL_PX * p.y / p.z + CENTER_PX[1]))
    }

    /// True where a sensor-frame point falls into camera 2's image.
    pub(super) fn sees(&self, p: Vec3) -> bool {
        self.project(self.lidar_to_camera(p)).is_some_and(|pixel| {
            (0.0..IMAGE_SIZE[0]).contains(&pixel.x) && (0.0..IMAGE_SIZE[1]).contains(&pixel.y)
        })
    }

    /// The image box (left, top, right, bottom, pixels) of a sensor-frame box and the share of it cut off by the
    /// image's edges; `None` where nothing of it is in the image.
    pub(super) fn image_box(&self, center: Vec3, size_lwh: Vec3, yaw: f32) -> Option<([f32; 4], f32)> {
        let (cos, sin) = (libm::cosf(yaw), libm::sinf(yaw));
        let corner = |idx: usize| {
            let sign = |bit: usize| if idx & bit == 0 { 0.5 } else { -0.5 };
            let local = size_lwh * Vec3::new(sign(1), sign(2), sign(4));
            let turned = Vec3::new(cos * local.x - sin * local.y, sin * local.x + cos * local.y, local.z);
            self.lidar_to_camera(center + turned)
        };
        let (mut low, mut high) = (Vec2::MAX, Vec2::MIN);
        let mut cover = |p: Vec3| {
            if let Some(pixel) = self.project(p) {
                low = low.min(pixel);
                high = high.max(pixel);
            }
        };
        for idx in 0..8 {
            let a = corner(idx);
            cover(a);
            for bit in [1, 2, 4] {
                let b = corner(idx ^ bit);
                // An edge through the camera's plane is cut where it passes it.
                if idx & bit == 0 && (a.z > NEAR_M) != (b.z > NEAR_M) {
                    cover(a + (b - a) * ((NEAR_M - a.z) / (b.z - a.z)));
                }
            }
        }
        let limit = Vec2::new(IMAGE_SIZE[0] - 1.0, IMAGE_SIZE[1] - 1.0);
        let (inside_low, inside_high) = (low.clamp(Vec2::ZERO, limit), high.clamp(Vec2::ZERO, limit));
        let (inside, whole) = (inside_high - inside_low, high - low);
        if low.x > high.x || inside.x < 1.0 || inside.y < 1.0 {
            return None;
        }
        let truncation = 1.0 - (inside.x * inside.y) / (whole.x * whole.y).max(1.0);
        Some(([inside_low.x, inside_low.y, inside_high.x, inside_high.y], truncation.clamp(0.0, 1.0)))
    }

    /// The text of a KITTI calibration file.
    pub(super) fn to_kitti(&self) -> String {
        let row = |name: &str, values: &[f32]| {
            let numbers: Vec<String> = values.iter().map(|v| scientific(*v)).collect();
            format!("{name}: {}\n", numbers.join(" "))
        };
        let projection = |x_m: f32| {
            let [u, v] = CENTER_PX;
            [FOCAL_PX, 0.0, u, -FOCAL_PX * x_m, 0.0, FOCAL_PX, v, 0.0, 0.0, 0.0, 1.0, 0.0]
        };
        let rows = |m: &Mat3| m.transpose().to_cols_array();
        let with_offset = |m: &Mat3, t: Vec3| {
            let r = rows(m);
            [r[0], r[1], r[2], t.x, r[3], r[4], r[5], t.y, r[6], r[7], r[8], t.z]
        };
        let mut text = String::new();
        for (name, x_m) in [("P0", 0.0), ("P1", 0.537), ("P2", CAMERA_2_X_M), ("P3", 0.474)] {
            text.push_str(&row(name, &projection(x_m)));
        }
        text.push_str(&row("R0_rect", &rows(&self.rectify)));
        text.push_str(&row("Tr_velo_to_cam", &with_offset(&self.rotation, self.translation)));
        let imu = small_rotation(Vec3::new(0.002, -0.001, 0.0008));
        text.push_str(&row("Tr_imu_to_velo", &with_offset(&imu, Vec3::new(-0.81, 0.32, -0.80))));
        text.push('\n');
        text
    }
}

/// C's `%.12e`, as KITTI's files have it.
fn scientific(value: f32) -> String {
    let text = format!("{:.12e}", f64::from(value));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}
