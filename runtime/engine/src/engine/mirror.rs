//! Mirror: what the stages on a card made of the last frame, copied back to be looked at.

use super::LastFrame;
use super::cpu::n_not_zero;
use super::cuda::CudaStages;
use crate::device::cuda::{DeviceFault, Pinned, Plain, Slot};
use crate::pillars::Pillars;
use pilotis_spec::{Manifest, Point};
use std::ops::Range;

/// A frame's data in the memory of the host.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    points: Vec<Point>,
    cells: Vec<u32>,
    starts: Vec<u32>,
    point_idx: Vec<u32>,
    by_cell: Vec<u32>,
    sorted_cells: Vec<u32>,
    channels: Vec<f32>,
}

impl CudaStages {
    /// Copies the last frame back and arranges it as the stages on the CPU do.
    ///
    /// **Allocation and synchronisation**: both.
    pub(super) fn fetch(&mut self, manifest: &Manifest) -> Result<LastFrame<'_>, DeviceFault> {
        let state = self.work.state.as_slice()?.first().copied().unwrap_or_default();
        let (n_points, n_pillars) = (state.n_points as usize, state.n_pillars as usize);
        let slots = self.work.buffers.slots;
        let values = self.copy_back(slots.points, n_points)?;
        let has_lag = manifest.bev.recipe.needs_time_lag();
        let lags = self.copy_back(slots.time_lags, if has_lag { n_points } else { 0 })?;
        let cells = self.copy_back(slots.claimed, n_pillars)?;
        let counts = self.copy_back(slots.counts, n_pillars)?;
        let device_starts = self.copy_back(slots.starts, n_pillars)?;
        let members = self.copy_back(slots.members, n_points)?;
        let canvas = self.copy_back(slots.canvas, slots.canvas.len())?;

        let lags = lags.into_iter().chain(std::iter::repeat(0.0));
        let point =
            |([x, y, z, intensity], time_lag): ([f32; 4], f32)| Point { x, y, z, intensity, time_lag };
        let mut mirror =
            Mirror { points: values.into_iter().zip(lags).map(point).collect(), ..Mirror::default() };
        let cap = manifest.pillars.point_cap(manifest.points.max_points);
        for (start, count) in device_starts.iter().zip(&counts) {
            mirror.starts.push(mirror.point_idx.len() as u32);
            let (from, n) = (*start as usize, (*count).min(cap) as usize);
            mirror.point_idx.extend(members.get(from..from + n).unwrap_or(&[]));
        }
        mirror.starts.push(mirror.point_idx.len() as u32);
        mirror.by_cell = (0..n_pillars as u32).collect();
        mirror.by_cell.sort_unstable_by_key(|p| cells.get(*p as usize));
        mirror.sorted_cells = mirror.by_cell.iter().filter_map(|p| cells.get(*p as usize)).copied().collect();
        let (n_cells, n_channels) = (manifest.grid.n_cells(), manifest.bev.n_channels());
        for cell in &mirror.sorted_cells {
            for channel in 0..n_channels {
                let idx = if self.format.channels_last {
                    *cell as usize * n_channels + channel
                } else {
                    channel * n_cells + *cell as usize
                };
                mirror.channels.push(value_of(&canvas, idx, self.format.half));
            }
        }
        mirror.cells = cells;
        let n_values = n_cells * n_channels;
        let n_on_canvas = (0..n_values).filter(|i| value_of(&canvas, *i, self.format.half) != 0.0).count();
        let n_left_over = n_on_canvas.saturating_sub(n_not_zero(&mirror.channels));
        self.mirror = mirror;
        let Mirror { points, cells, starts, point_idx, by_cell, sorted_cells, channels } = &self.mirror;
        let pillars = Pillars::of(cells, starts, point_idx, by_cell);
        Ok(LastFrame { points, pillars, cells: sorted_cells, channels, n_left_over })
    }

    /// Copies a raw tensor of the last frame back; nothing past the last one. Its memory is shared with other
    /// stages, the first of which is the next frame's.
    ///
    /// **Allocation and synchronisation**: both.
    pub(super) fn fetch_tensor(&mut self, idx: usize) -> Result<Vec<f32>, DeviceFault> {
        match self.work.buffers.boxes.tensor_place(idx) {
            Some((slot, place)) => self.copy_back_of(slot, place),
            None => Ok(Vec::new()),
        }
    }

    fn copy_back<T: Plain>(&mut self, slot: Slot<T>, n: usize) -> Result<Vec<T>, DeviceFault> {
        self.copy_back_of(slot, 0..n)
    }

    fn copy_back_of<T: Plain>(&mut self, slot: Slot<T>, range: Range<usize>) -> Result<Vec<T>, DeviceFault> {
        // The error of building cannot be told here; that there is no memory can.
        let host = Pinned::zeroed(&self.stream, range.len());
        let mut host = host.map_err(|_| DeviceFault { code: 2 })?;
        self.stream.download(&self.work.buffers.arena, slot, range, &mut host, 0)?;
        self.stream.synchronize()?;
        Ok(host.as_slice()?.to_vec())
    }
}

/// A value of a canvas; NaN past its end.
fn value_of(canvas: &[u8], idx: usize, half: bool) -> f32 {
    let (halves, floats) = (canvas.as_chunks::<2>().0, canvas.as_chunks::<4>().0);
    let value = if half {
        halves.get(idx).map(|b| half::f16::from_le_bytes(*b).to_f32())
    } else {
        floats.get(idx).map(|b| f32::from_le_bytes(*b))
    };
    value.unwrap_or(f32::NAN)
}
