//! Plan: which buffers a frame needs when, and where in one piece of memory each of them lies.
//!
//! Buffers whose lives do not overlap share memory. The plan is data: it prints as a table, and
//! knows what memory it takes before any is taken.

use super::plain::Plain;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

/// Where every buffer starts: what the device's widest loads and its copies like.
pub const ALIGN_BYTES: u64 = 256;

/// A point in the order of a frame: an index into the names that [`Plan::new`] was given.
pub type Moment = usize;

/// A buffer of a plan: `len` values of `T`.
#[derive(Debug)]
pub struct Slot<T> {
    pub(super) idx: usize,
    len: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their size; the largest number there is where it is beyond.
    pub fn size_bytes(&self) -> u64 {
        (self.len as u64).saturating_mul(size_of::<T>() as u64)
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

/// Buffers, and when each of them is alive.
#[derive(Clone, Debug)]
pub struct Plan {
    moments: Vec<&'static str>,
    requests: Vec<Request>,
}

#[derive(Clone, Debug)]
struct Request {
    name: &'static str,
    type_name: &'static str,
    len: usize,
    n_bytes: u64,
    first: Moment,
    last: Moment,
    is_kept: bool,
}

impl Plan {
    /// A plan without buffers, for a frame of these moments in order.
    pub fn new(moments: &[&'static str]) -> Self {
        Self { moments: moments.to_vec(), requests: Vec::new() }
    }

    /// A buffer that is alive in these moments, and whose contents mean nothing in others.
    ///
    /// Moments after the last one count as the last one, a reversed range as all of them.
    pub fn reserve<T: Plain>(
        &mut self,
        name: &'static str,
        len: usize,
        moments: RangeInclusive<Moment>,
    ) -> Slot<T> {
        if moments.is_empty() {
            return self.keep(name, len);
        }
        let last = self.last_moment();
        self.push(name, len, (*moments.start()).min(last), (*moments.end()).min(last), false)
    }

    /// A buffer that keeps its contents from frame to frame.
    pub fn keep<T: Plain>(&mut self, name: &'static str, len: usize) -> Slot<T> {
        let last = self.last_moment();
        self.push(name, len, 0, last, true)
    }

    /// Decides where every buffer lies.
    ///
    /// **Determinism**: depends on the buffers and their order alone.
    pub fn lay_out(&self) -> Layout {
        // Large ones first: what is small finds its place between them.
        let mut order: Vec<usize> = (0..self.requests.len()).collect();
        order.sort_by_key(|&idx| (std::cmp::Reverse(self.requests[idx].n_bytes), idx));
        let mut places = vec![Place { offset: 0, end: 0 }; self.requests.len()];
        let mut placed: Vec<usize> = Vec::new();
        for idx in order {
            let request = &self.requests[idx];
            let mut taken: Vec<Place> = placed
                .iter()
                .filter(|&&other| self.requests[other].overlaps(request))
                .map(|&other| places[other])
                .collect();
            taken.sort_unstable_by_key(|place| place.offset);
            let offset = best_gap(&taken, request.n_bytes);
            places[idx] = Place { offset, end: align(offset.saturating_add(request.n_bytes)) };
            placed.push(idx);
        }
        let total_bytes = places.iter().map(|place| place.end).max().unwrap_or(0);
        Layout { plan: self.clone(), places, total_bytes }
    }

    fn last_moment(&self) -> Moment {
        self.moments.len().saturating_sub(1)
    }

    fn push<T: Plain>(
        &mut self,
        name: &'static str,
        len: usize,
        first: Moment,
        last: Moment,
        is_kept: bool,
    ) -> Slot<T> {
        let slot = Slot { idx: self.requests.len(), len, value: PhantomData };
        let type_name = std::any::type_name::<T>();
        let type_name = type_name.rsplit("::").next().unwrap_or(type_name);
        self.requests.push(Request {
            name,
            type_name,
            len,
            n_bytes: slot.size_bytes(),
            first,
            last,
            is_kept,
        });
        slot
    }
}

impl Request {
    /// Whether there is a moment in which both are alive.
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// From where to where a buffer lies; the end is aligned.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    end: u64,
}

/// The start of the smallest gap between places, sorted by start, that holds `n_bytes`; the end of
/// all where none does.
fn best_gap(taken: &[Place], n_bytes: u64) -> u64 {
    let mut best: Option<(u64, u64)> = None;
    let mut free_from = 0;
    for place in taken {
        let gap = place.offset.saturating_sub(free_from);
        if gap >= n_bytes && gap > 0 && best.is_none_or(|(smallest, _)| gap < smallest) {
            best = Some((gap, free_from));
        }
        free_from = free_from.max(place.end);
    }
    best.map_or(free_from, |(_, offset)| offset)
}

fn align(n_bytes: u64) -> u64 {
    n_bytes.checked_next_multiple_of(ALIGN_BYTES).unwrap_or(u64::MAX)
}

/// A plan with the place of every buffer.
#[derive(Clone, Debug)]
pub struct Layout {
    plan: Plan,
    places: Vec<Place>,
    total_bytes: u64,
}

impl Layout {
    /// Memory that it takes.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Memory that it would take if no two buffers shared any.
    pub fn unshared_bytes(&self) -> u64 {
        self.plan.requests.iter().fold(0, |sum, r| sum.saturating_add(align(r.n_bytes)))
    }

    /// Bytes before a range of a buffer's values; `None` where the range goes past the end, or the
    /// buffer is not of this plan.
    pub(super) fn offset_of<T>(&self, slot: Slot<T>, at: usize, n: usize) -> Option<u64> {
        let request = self.plan.requests.get(slot.idx)?;
        let is_ours = request.len == slot.len && request.n_bytes == slot.size_bytes();
        let is_inside = at.checked_add(n).is_some_and(|end| end <= slot.len);
        (is_ours && is_inside).then_some(())?;
        Some(self.places.get(slot.idx)?.offset + at as u64 * size_of::<T>() as u64)
    }

    /// Lines of a name, type, length, bytes, offset and life.
    fn rows(&self) -> Vec<[String; 6]> {
        let moment = |idx: Moment| self.plan.moments.get(idx).copied().unwrap_or("frame");
        let requests = self.plan.requests.iter().zip(&self.places);
        requests
            .map(|(r, place)| {
                let life = if r.is_kept {
                    "kept".to_owned()
                } else if r.first == r.last {
                    moment(r.first).to_owned()
                } else {
                    format!("{}..{}", moment(r.first), moment(r.last))
                };
                [
                    r.name.to_owned(),
                    r.type_name.to_owned(),
                    r.len.to_string(),
                    r.n_bytes.to_string(),
                    place.offset.to_string(),
                    life,
                ]
            })
            .collect()
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["buffer", "type", "length", "bytes", "offset", "alive"].map(str::to_owned);
        let rows = self.rows();
        let width = |column: usize| {
            std::iter::once(&head).chain(&rows).map(|row| row[column].len()).max().unwrap_or(0)
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        for [name, type_name, len, n_bytes, offset, life] in std::iter::once(&head).chain(&rows) {
            writeln!(
                f,
                "{name:0$}  {type_name:1$}  {len:>2$}  {n_bytes:>3$}  {offset:>4$}  {life}",
                widths[0], widths[1], widths[2], widths[3], widths[4]
            )?;
        }
        let (total, unshared) = (self.total_bytes, self.unshared_bytes());
        write!(f, "{total} bytes in all; {unshared} if no two buffers shared memory")
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
