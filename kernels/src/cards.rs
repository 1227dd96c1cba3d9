//! Cards: the numbers of a card that bound what it can do; for computed bounds, never for measured figures.
//!
//! **Source**: NVIDIA's specifications of the RTX 4070. Clocks are assumptions: what a card holds under load.

/// A card of compute capability 8.9.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    /// Its name.
    pub name: &'static str,
    /// Multiprocessors.
    pub n_multiprocessors: u32,
    /// Clock that it is assumed to hold.
    pub clock_ghz: f64,
    /// Memory bandwidth.
    pub memory_gb_per_s: f64,
}

/// The cards that bounds are computed for.
pub const CARDS: [Card; 2] = [
    Card { name: "RTX 4070 laptop, 8 GB", n_multiprocessors: 36, clock_ghz: 1.8, memory_gb_per_s: 256.0 },
    Card { name: "RTX 4070 desktop, 12 GB", n_multiprocessors: 46, clock_ghz: 2.4, memory_gb_per_s: 504.0 },
];

/// Microseconds that pass between two kernels of a graph; an assumption.
pub const LAUNCH_GAP_US: f64 = 1.5;
