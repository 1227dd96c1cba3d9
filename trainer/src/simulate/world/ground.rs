//! The ground: hills, camber, kerbs, roughness, and what it is made of.

use super::super::draw::Draw;
use super::streets::Street;
use glam::{Vec2, Vec3};
use std::sync::OnceLock;

const FINE_SPACING_M: f32 = 5.0;
const COARSE_SPACING_M: f32 = 28.0;
const HILL_SPACING_M: f32 = 140.0;
/// Radius of the kerb's corner where streets meet, metres.
const CORNER_M: f32 = 5.0;

/// Spacing of the ground's nodes, metres: a kerb rises over one of them.
const NODE_M: f32 = 0.25;
/// Cells of a tile's side.
const TILE_CELLS: usize = 64;
/// Tiles of the world's side; it is centred on the origin.
const N_TILES: usize = 96;

/// What the ground is made of at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Cover {
    /// Carriageway.
    Asphalt,
    /// Painted lines.
    Paint,
    /// Pavement beside the carriageway.
    Pavement,
    /// Grass and earth.
    Grass,
}

/// The shape of the ground, before it is sampled.
pub(in crate::simulate) struct Ground {
    seed: u32,
    rough_m: f32,
    coarse_m: f32,
    hill_m: f32,
    slope: Vec2,
    camber: f32,
    kerb_m: f32,
    pavement_m: f32,
    /// How bright the carriageway is, about 1: its surface differs from place to place.
    pub(in crate::simulate) tone: f32,
    /// The carriageways.
    pub(in crate::simulate) streets: Vec<Street>,
    /// A paved place without kerbs, as (centre, half sizes) along the first street's axes.
    pub(in crate::simulate) lot: Option<(Vec2, Vec2)>,
    tiles: Vec<OnceLock<Vec<f32>>>,
}

impl Ground {
    /// Ground under and around the given streets.
    pub(in crate::simulate) fn build(
        draw: &mut Draw,
        streets: Vec<Street>,
        pavement_m: f32,
        lot: Option<(Vec2, Vec2)>,
    ) -> Self {
        let steep = if draw.chance(0.3) { 0.02 } else { 0.006 };
        Self {
            seed: draw.index(1 << 24) as u32,
            rough_m: draw.range(0.008, 0.03),
            coarse_m: if draw.chance(0.3) { 0.30 } else { 0.10 },
            hill_m: if draw.chance(0.3) { 2.0 } else { 0.4 },
            slope: Vec2::new(steep * draw.bell(), steep * draw.bell()),
            camber: draw.range(0.005, 0.03),
            kerb_m: if draw.chance(0.8) { draw.range(0.06, 0.17) } else { 0.0 },
            pavement_m,
            tone: draw.bell_within(1.0, 0.18, 0.6, 1.4),
            streets,
            lot,
            tiles: (0..N_TILES * N_TILES).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The exact height at a place, metres.
    fn formed(&self, p: Vec2) -> f32 {
        let beyond = self.beyond_kerb(p);
        let step = (beyond * 14.0).clamp(0.0, 1.0);
        let hills = self.hill_m * noise(self.seed, p / HILL_SPACING_M)
            + self.coarse_m * noise(self.seed ^ 1, p / COARSE_SPACING_M);
        let small = self.rough_m * noise(self.seed ^ 2, p / FINE_SPACING_M);
        // The carriageway is built flatter than what lies beside it, and sheds water to its sides.
        let crown = self.camber * (-beyond).clamp(0.0, 3.5);
        self.slope.dot(p) + hills + small * (0.35 + 0.65 * step) + crown + self.kerb_m * step
    }

    /// Height at a place, metres in the world frame: between nodes of 0.25 m, sampled once.
    ///
    /// **Determinism**: whoever samples a tile first, it holds the same values.
    pub(in crate::simulate) fn height(&self, p: Vec2) -> f32 {
        let at = p / NODE_M + Vec2::splat((N_TILES * TILE_CELLS / 2) as f32);
        let limit = (N_TILES * TILE_CELLS - 1) as f32;
        let at = at.clamp(Vec2::ZERO, Vec2::splat(limit));
        let (column, row) = (at.x as usize, at.y as usize);
        let (tile_x, tile_y) = (column / TILE_CELLS, row / TILE_CELLS);
        let Some(tile) = self.tiles.get(tile_y * N_TILES + tile_x) else { return 0.0 };
        let nodes = tile.get_or_init(|| self.sample(tile_x, tile_y));
        let first = (row % TILE_CELLS) * (TILE_CELLS + 1) + column % TILE_CELLS;
        let (fx, fy) = (at.x - column as f32, at.y - row as f32);
        let node = |idx: usize| nodes.get(idx).copied().unwrap_or(0.0);
        let low = node(first) + (node(first + 1) - node(first)) * fx;
        let next = first + TILE_CELLS + 1;
        let high = node(next) + (node(next + 1) - node(next)) * fx;
        low + (high - low) * fy
    }

    fn sample(&self, tile_x: usize, tile_y: usize) -> Vec<f32> {
        let corner = |tile: usize| (tile as f32 - (N_TILES / 2) as f32) * TILE_CELLS as f32 * NODE_M;
        let origin = Vec2::new(corner(tile_x), corner(tile_y));
        let side = TILE_CELLS + 1;
        let node = |idx: usize| origin + Vec2::new((idx % side) as f32, (idx / side) as f32) * NODE_M;
        (0..side * side).map(|idx| self.formed(node(idx))).collect()
    }

    /// The ground point at a place.
    pub(in crate::simulate) fn point(&self, p: Vec2) -> Vec3 {
        p.extend(self.height(p))
    }

    /// Distance to the nearest carriageway, negative on it; kerbs are round where streets meet.
    pub(in crate::simulate) fn beyond_kerb(&self, p: Vec2) -> f32 {
        let (mut nearest, mut second) = (f32::MAX, f32::MAX);
        for street in &self.streets {
            let beyond = street.along_across(p).y.abs() - street.half_width_m;
            (nearest, second) =
                if beyond < nearest { (beyond, nearest) } else { (nearest, second.min(beyond)) };
        }
        if nearest > 0.0 && second < CORNER_M {
            nearest = CORNER_M - Vec2::new(CORNER_M - nearest, CORNER_M - second).length();
        }
        if let (Some((center, half)), Some(street)) = (self.lot, self.streets.first()) {
            let gap = (street.along_across(p) - center).abs() - half;
            nearest = nearest.min(gap.x.max(gap.y));
        }
        nearest
    }

    /// What the ground is made of at a place.
    pub(in crate::simulate) fn cover(&self, p: Vec2) -> Cover {
        let beyond = self.beyond_kerb(p);
        if beyond > self.pavement_m {
            return Cover::Grass;
        }
        if beyond > 0.0 {
            return Cover::Pavement;
        }
        for street in &self.streets {
            let at = street.along_across(p);
            let dash = at.x - 6.0 * (at.x / 6.0).floor();
            if at.y.abs() < 0.08 && dash < 3.0 {
                return Cover::Paint;
            }
        }
        Cover::Asphalt
    }
}

/// Smooth value noise on a square lattice: about normal with deviation 0.6, within -1..1.
fn noise(seed: u32, p: Vec2) -> f32 {
    let cell = p.floor();
    let f = p - cell;
    let ease = f * f * (Vec2::splat(3.0) - f * 2.0);
    let (x, y) = (cell.x as i32, cell.y as i32);
    let at = |dx: i32, dy: i32| lattice(seed, x.wrapping_add(dx), y.wrapping_add(dy));
    let low = at(0, 0) + (at(1, 0) - at(0, 0)) * ease.x;
    let high = at(0, 1) + (at(1, 1) - at(0, 1)) * ease.x;
    low + (high - low) * ease.y
}

/// A number in -1..1 that belongs to a node of the lattice.
fn lattice(seed: u32, x: i32, y: i32) -> f32 {
    // A multiplicative hash: cheap, and the same on every platform.
    let mut h = seed
        .wrapping_add((x as u32).wrapping_mul(0x9E37_79B1))
        .wrapping_add((y as u32).wrapping_mul(0x85EB_CA77));
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^= h >> 15;
    (h >> 8) as f32 / 8_388_608.0 - 1.0
}
