//! Marks: boxes with colours of their own, for pictures that tell kinds of boxes apart.

use pilotis_spec::{Box3d, Grid, Point};

/// A box with a colour and words of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where it is.
    pub bbox: Box3d,
    /// Red, green, blue.
    pub color: [u8; 3],
    /// What stands beside it; nothing where it is empty.
    pub label: String,
}

/// What a picture of several kinds of boxes shows.
#[derive(Clone, Copy, Debug)]
pub struct MarkedScene<'a> {
    /// First part of the title.
    pub name: &'a str,
    /// Second part of the title, smaller.
    pub facts: &'a str,
    /// What there is to see.
    pub grid: &'a Grid,
    /// The points, coloured by height.
    pub points: &'a [Point],
    /// The boxes, the uppermost first; of labels that would overlap, the first box has its own.
    pub marks: &'a [Mark],
    /// What the colours mean.
    pub legend: &'a [(String, [u8; 3])],
}
