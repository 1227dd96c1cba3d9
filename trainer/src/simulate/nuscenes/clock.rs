//! When the sweeps of a scene end, and which of them are key frames.

use anyhow::{Result, bail};

/// Key frames a second.
const KEY_FRAMES_HZ: f64 = 2.0;
/// When the first scene begins, microseconds since 1970: 2023-11-14.
const START_US: u64 = 1_700_000_000_000_000;
/// From the beginning of a scene to that of the next.
const SCENE_STEP_US: u64 = 100_000_000;

/// The sweeps of a scene: the `k`-th ends `k` turns after the drive began, and they count from 1.
///
/// So the first key frame has as many sweeps before it as lie between two key frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    rate_hz: f64,
    /// Sweeps from one key frame to the next.
    key_every: u64,
    n_key_frames: u64,
}

impl Clock {
    /// The clock of a scanner of `rate_hz` turns a second on a drive of `duration_s` seconds.
    ///
    /// **Errors**: a rate without a sweep at every half second; a drive that ends before its first key frame.
    pub(super) fn new(rate_hz: f64, duration_s: f64) -> Result<Self> {
        let key_every = (rate_hz / KEY_FRAMES_HZ).round();
        if key_every < 1.0 || (key_every * KEY_FRAMES_HZ - rate_hz).abs() > 1e-9 {
            bail!("a scanner of {rate_hz} turns a second has no sweep at each key frame (every 0.5 s)");
        }
        // A hair more, since a duration such as 0.3 + 0.2 may fall short by one.
        let n_key_frames = (duration_s * KEY_FRAMES_HZ + 1e-6).floor();
        if n_key_frames < 1.0 {
            bail!("a drive of {duration_s} s ends before its first key frame (at 0.5 s)");
        }
        Ok(Self { rate_hz, key_every: key_every as u64, n_key_frames: n_key_frames as u64 })
    }

    /// Key frames of a scene.
    pub(super) fn n_key_frames(&self) -> u64 {
        self.n_key_frames
    }

    /// Sweeps of a scene; the last is a key frame.
    pub(super) fn n_sweeps(&self) -> u64 {
        self.n_key_frames * self.key_every
    }

    /// When sweep `k` ends, seconds since the drive began.
    pub(super) fn time_s(&self, k: u64) -> f64 {
        k as f64 / self.rate_hz
    }

    /// The same in microseconds since 1970.
    pub(super) fn timestamp_us(&self, scene_idx: u64, k: u64) -> u64 {
        START_US + scene_idx * SCENE_STEP_US + (self.time_s(k) * 1e6).round() as u64
    }

    /// True where sweep `k` is a key frame.
    pub(super) fn is_key_frame(&self, k: u64) -> bool {
        k.is_multiple_of(self.key_every)
    }

    /// The key frame, counted from 0, that sweep `k` is or comes before.
    pub(super) fn key_frame_of(&self, k: u64) -> u64 {
        k.div_ceil(self.key_every) - 1
    }

    /// The sweep of a key frame.
    pub(super) fn sweep_of(&self, key_frame: u64) -> u64 {
        (key_frame + 1) * self.key_every
    }
}
