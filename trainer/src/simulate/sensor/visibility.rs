//! How much of a thing there is to see: the beams that would meet it in an empty world.

use super::Sensor;
use super::scan::{Body, Instant};
use glam::Vec3;
use std::f32::consts::{PI, TAU};

/// Columns that are looked at for one thing; of wider things only each n-th column is cast, and counted n times.
const MAX_COLUMNS: i32 = 24;

/// For each thing the beams that would meet a solid part of it if nothing else existed.
pub(in crate::simulate) fn count_free(sensor: &Sensor, now: &Instant<'_>, n_things: usize) -> Vec<u32> {
    let mut n_free = vec![0; n_things];
    for body in &now.bodies {
        if let Some(entry) = body.actor.and_then(|idx| n_free.get_mut(idx as usize)) {
            *entry = free_beams(sensor, now, body);
        }
    }
    n_free
}

fn free_beams(sensor: &Sensor, now: &Instant<'_>, body: &Body<'_>) -> u32 {
    let origin = now.origin.truncate();
    let per_column = TAU / sensor.n_columns as f32;
    let (mut low, mut high, mut slopes) = (f32::MAX, f32::MIN, (f32::MAX, f32::MIN));
    let toward = body.pose.origin.truncate() - origin;
    let anchor = libm::atan2f(toward.y, toward.x);
    for part in body.parts {
        let bounds = part.bounds.placed(&body.pose);
        let near_m = bounds.near_m(origin);
        if near_m > sensor.max_range_m {
            return 0;
        }
        let (middle, half) = bounds.azimuth(origin);
        // Parts of one thing lie close together: unwrap around its middle.
        let middle = anchor + (middle - anchor + PI).rem_euclid(TAU) - PI;
        (low, high) = (low.min(middle - half), high.max(middle + half));
        let (a, b) = bounds.slopes(origin, near_m, now.origin.z, now.origin.z + 0.25);
        slopes = (slopes.0.min(a), slopes.1.max(b));
    }
    if low > high {
        return 0;
    }
    let (first, last) = ((low / per_column).ceil() as i32, (high / per_column).floor() as i32);
    let step = ((last - first) / MAX_COLUMNS).max(1);
    let mut n_met = 0;
    for column in (first..=last).step_by(step as usize) {
        let azimuth = column as f32 * per_column;
        let (cos, sin) = (libm::cosf(azimuth), libm::sinf(azimuth));
        for (elevation, rise) in sensor.lasers() {
            let (up, flat) = (libm::sinf(elevation), libm::cosf(elevation));
            if up < slopes.0 * flat || up > slopes.1 * flat {
                continue;
            }
            let start = body.pose.local_point(now.origin + Vec3::Z * rise);
            let direction = body.pose.local_direction(Vec3::new(cos * flat, sin * flat, up));
            let is_met = body.parts.iter().any(|part| {
                part.density <= 0.0 && part.shape.span(start, direction).is_some_and(|span| span.exit > 0.0)
            });
            n_met += u32::from(is_met);
        }
    }
    n_met * step as u32
}
